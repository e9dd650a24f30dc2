"""The onboarding kit for AWS, taken at its word: its commands are run by the real `aws`, its Terraform is parsed.

The cloud is ministack, which enforces policy independently of the simulator. `jq` runs as the library of PyPI, so that the
machine needs none.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
from servers import bare_environment
from service import Service, on_aws
from targets import EVERYTHING, PLATFORM, REGION, TENANT, MiniStack, allow, policy

OTHER = "777788889999"

# As much of jq's command line as the kit uses; the program itself is run by jq.
JQ = f"""#!{sys.executable}
import json, sys
import jq
arguments, named, rest = sys.argv[1:], {{}}, []
while arguments:
    argument = arguments.pop(0)
    if argument == "--slurpfile":
        name, file = arguments.pop(0), arguments.pop(0)
        named[name] = [json.load(open(file))]
    elif argument == "--arg":
        name = arguments.pop(0)
        named[name] = arguments.pop(0)
    else:
        rest.append(argument)
program, file = rest
print(json.dumps(jq.compile(program, args=named).input_value(json.load(open(file))).first(), indent=2))
"""


@pytest.fixture(scope="module")
def service(ministack: MiniStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    credentials = ministack.put_user(PLATFORM, "leasehold-kit", EVERYTHING)
    directory = tmp_path_factory.mktemp("leasehold")
    started = Service(os.environ["LEASEHOLD_BIN"], on_aws(ministack.endpoint, credentials), directory)
    try:
        started.server.wait_until(started.listens)
        yield started
    finally:
        started.server.stop()


@pytest.fixture
def shell(ministack: MiniStack, tmp_path: Path) -> Callable[[str], None]:
    """Runs commands as an administrator of the tenant's account would, in a directory of their own."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "jq").write_text(JQ)
    (tools / "jq").chmod(stat.S_IRWXU)
    settings = {
        "PATH": f"{tools}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": ministack.endpoint,
        "AWS_ACCESS_KEY_ID": TENANT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }

    def run(commands: str) -> None:
        ended = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", commands],
            env=bare_environment() | settings,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, f"{commands}\n{ended.stdout}{ended.stderr}"

    return run


class Onboarding:
    """A tenant with a key, and a binding whose role nobody has made yet."""

    def __init__(self, name: str, ministack: MiniStack, service: Service) -> None:
        self.name, self.service = name, service
        self.binding = f"{name}/main"
        root = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{TENANT}:root"})
        self.key = ministack.put_key(TENANT, policy(root))
        role = f"arn:aws:iam::{TENANT}:role/access-{name}"
        service.do("tenant", "create", name)
        service.do("binding", "create", self.binding, "aws", "--kms-key", self.key, "--role", role)
        self.kit = service.do("binding", "kit", self.binding)

    def section(self, format: str) -> str:
        [body] = [section["body"] for section in self.kit["sections"] if section["format"] == format]
        return body

    def works(self) -> bool:
        """Whether a proof, made now, succeeds."""
        return self.service.run("binding", "verify", self.binding).code == 0


@pytest.fixture
def onboarding(ministack: MiniStack, service: Service, unique: Callable[[str], str]) -> Onboarding:
    return Onboarding(unique("kit"), ministack, service)


def test_the_commands_of_the_kit_make_the_binding_work_and_can_be_run_again(
    onboarding: Onboarding, service: Service, shell: Callable[[str], None]
) -> None:
    assert not onboarding.works()
    shell(onboarding.section("shell"))
    assert service.do("binding", "activate", onboarding.binding)["state"] == "ACTIVE"
    shell(onboarding.section("shell"))
    assert onboarding.works()


def test_every_lever_revokes_and_its_undoing_restores(
    onboarding: Onboarding, service: Service, shell: Callable[[str], None]
) -> None:
    shell(onboarding.section("shell"))
    service.do("binding", "activate", onboarding.binding)
    assert onboarding.works()
    levers = onboarding.kit["levers"]
    assert len(levers) == 5
    for lever in levers:
        shell(lever["revoke"])
        assert not onboarding.works(), lever["title"]
        shell(lever["restore"])
        assert onboarding.works(), lever["title"]


def jsonencoded(text: str) -> list[Any]:
    """What is inside each `jsonencode(…)`."""
    decoder = json.JSONDecoder()
    return [decoder.raw_decode(rest)[0] for rest in text.split("jsonencode(")[1:]]


@pytest.mark.parametrize("accounts", [[TENANT], [TENANT, OTHER]], ids=["one-account", "two-accounts"])
def test_the_terraform_of_the_kit_is_valid_and_says_the_same_as_its_policies(
    accounts: list[str], service: Service, unique: Callable[[str], str]
) -> None:
    name = unique("terraform")
    key = f"arn:aws:kms:{REGION}:{accounts[-1]}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    role = f"arn:aws:iam::{TENANT}:role/path/{name}"
    service.do("tenant", "create", name)
    bound = ["binding", "create", f"{name}/main", "aws", "--kms-key", key, "--role", role]
    service.do(*bound, "--source-identity", "leasehold", "--session-tag", "stage=test")
    sections = service.do("binding", "kit", f"{name}/main")["sections"]
    [text] = [section["body"] for section in sections if section["format"] == "hcl"]
    parsed = hcl2.loads(text)
    kinds = sorted(kind.strip('"') for resource in parsed["resource"] for kind in resource)
    permissions = ["aws_iam_role_policy"] if len(accounts) > 1 else []
    assert kinds == sorted(["aws_iam_role", "aws_kms_key_policy", *permissions])
    assert len(parsed.get("provider", [])) == (len(accounts) if len(accounts) > 1 else 0)
    documents = [json.loads(section["body"]) for section in sections if section["format"] == "json"]
    statement = documents.pop()
    assert jsonencoded(text) == documents
    assert all(f'"{action}"' in text for action in statement["Action"])
