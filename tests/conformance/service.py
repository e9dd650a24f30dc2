"""The service under test, as a process, used through its own command line."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import Server, bare_environment, free_port
from targets import REGION


@dataclass(frozen=True)
class Answer:
    """What a command printed, and how it ended."""

    code: int
    value: Any

    @property
    def error(self) -> dict[str, Any]:
        return self.value["error"]["details"]


def on_aws(endpoint: str, credentials: Any, kms: str | None = None) -> dict[str, str]:
    """What has the service use AWS at an endpoint, or KMS at one of its own."""
    return {
        "LEASEHOLD__PROVIDERS__AWS__REGION": REGION,
        "LEASEHOLD__PROVIDERS__AWS__ENDPOINTS__STS": endpoint,
        "LEASEHOLD__PROVIDERS__AWS__ENDPOINTS__KMS": kms or endpoint,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
    }


class Service:
    """`leasehold serve`, and its command line."""

    def __init__(self, binary: str, cloud: dict[str, str], directory: Path) -> None:
        self.binary = binary
        self.port = free_port()
        settings = {
            "LEASEHOLD__DEPLOYMENT": "conformance",
            "LEASEHOLD__REGISTRY__KIND": "memory",
            "LEASEHOLD__LISTEN__TCP": f'["127.0.0.1:{self.port}"]',
            "LEASEHOLD__AUDIT__DIRECTORY": str(directory / "audit"),
            "LEASEHOLD__MEMORY__DANGER_ALLOW_UNLOCKED": "true",
        }
        environment = bare_environment() | settings | cloud
        self.server = Server("leasehold", [binary, "serve"], environment, directory / "leasehold.log")

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def run(self, *arguments: str) -> Answer:
        """A command, whatever comes of it."""
        environment = bare_environment() | {"LEASEHOLD_ADDR": f"http://127.0.0.1:{self.port}"}
        command = [self.binary, "--json", *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        printed = ended.stdout if ended.returncode == 0 else ended.stderr
        assert printed, f"{arguments} ended with {ended.returncode} and said nothing: {self.server.output()}"
        return Answer(ended.returncode, json.loads(printed))

    def do(self, *arguments: str) -> Any:
        """A command that must succeed."""
        answer = self.run(*arguments)
        assert answer.code == 0, f"{arguments}: {answer.value}\n{self.server.output()}"
        return answer.value
