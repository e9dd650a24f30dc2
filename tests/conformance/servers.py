"""The servers under test: each is started on loopback, waited for, and stopped with all that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0


class Server:
    """A child process in a process group of its own, with its output in a log file."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Waits until `ready` says so; fails with the log if the process ends or time runs out."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.output()}")
            if ready():
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} was not ready after {START_TIMEOUT} s:\n{self.output()}")

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """Ends the whole process group, at first politely."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
            try:
                self.process.wait(STOP_TIMEOUT)
                return
            except subprocess.TimeoutExpired:
                continue


def free_port() -> int:
    """A port that was free a moment ago, for servers that cannot choose their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    """Whether an HTTP server answers at all there."""
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def bare_environment() -> dict[str, str]:
    """This process's environment without anything that steers AWS clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def start_ministack(directory: Path) -> tuple[Server, str]:
    """Starts ministack with its policy enforcement on; gives its endpoint too."""
    port = free_port()
    settings = {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "sts,iam,kms",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    server = Server(
        "ministack",
        [sys.executable, "-m", "ministack"],
        bare_environment() | settings,
        directory / "ministack.log",
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        server.wait_until(lambda: answers(endpoint))
    except BaseException:
        server.stop()
        raise
    return server, endpoint


def start_moto(directory: Path, account: str) -> tuple[Server, str]:
    """Starts moto with everyone in one account, whatever signs their requests; gives its endpoint too."""
    port = free_port()
    server = Server(
        "moto",
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        bare_environment() | {"MOTO_ACCOUNT_ID": account},
        directory / "moto.log",
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        server.wait_until(lambda: answers(f"{endpoint}/moto-api/"))
    except BaseException:
        server.stop()
        raise
    return server, endpoint


def start_simulator(directory: Path) -> tuple[Server, str]:
    """Starts `leasehold cloudsim` on ports of its own choosing; gives the base of its control API too."""
    binary = os.environ.get("LEASEHOLD_BIN")
    if not binary:
        raise RuntimeError("LEASEHOLD_BIN has to name the leasehold binary")
    port = free_port()
    # The tests furnish the other clouds themselves, which they can only while nobody lives there.
    command = [binary, "cloudsim", "run", "--control", f"127.0.0.1:{port}", "--aws", "127.0.0.1:0", "acme=aws"]
    server = Server("cloudsim", command, bare_environment(), directory / "cloudsim.log")
    control = f"http://127.0.0.1:{port}/control/v1"
    try:
        server.wait_until(lambda: answers(f"{control}/endpoints"))
    except BaseException:
        server.stop()
        raise
    return server, control
