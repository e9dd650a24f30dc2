"""The service, as a process, on an AWS that is not ours: ministack enforces policy independently of the simulator.

It is used through its own command line. What ministack does not model is not asked of it here: it does not authenticate
ciphertexts, so that a wrong encryption context is refused by the envelope alone; it has no conditions on the encryption
context, so that none can be denied alone; and it applies edits at once.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service import Answer, Service, on_aws
from targets import EVERYTHING, PLATFORM, TENANT, MiniStack, Policy, allow, policy

BINDING = "main"
# A denied binding is asked again every 10 s while it is in demand; the rest is for a busy machine.
RECOVERY = 10.0 + 10.0

# The exit codes of the command line.
FAILED, DENIED = 1, 3


@pytest.fixture(scope="module")
def service(ministack: MiniStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    credentials = ministack.put_user(PLATFORM, "leasehold", EVERYTHING)
    directory = tmp_path_factory.mktemp("leasehold")
    started = Service(os.environ["LEASEHOLD_BIN"], on_aws(ministack.endpoint, credentials), directory)
    try:
        started.server.wait_until(started.listens)
        yield started
    finally:
        started.server.stop()


class Tenant:
    """A tenant with a role and a key in ministack, who has not let us in yet."""

    def __init__(self, name: str, ministack: MiniStack, service: Service) -> None:
        self.name = name
        self.binding = f"{name}/{BINDING}"
        self.service = service
        self.iam = ministack.root("iam", TENANT)
        self.kms = ministack.root("kms", TENANT)
        self.role_name = f"access-{name}"
        self.role = ministack.put_role(TENANT, self.role_name, self.trust(), EVERYTHING)
        root = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{TENANT}:root"})
        self.key = ministack.put_key(TENANT, policy(root))
        service.do("tenant", "create", name, "--revocation-bound", "15s")
        bound = ["binding", "create", self.binding, "aws", "--kms-key", self.key, "--role", self.role]
        self.external_id = service.do(*bound)["external_id"]

    def trust(self, **condition: Any) -> Policy:
        """A trust policy: the tenant's own account alone, or us too under this condition."""
        principals = [f"arn:aws:iam::{TENANT}:root"]
        own = allow("sts:AssumeRole", resource=None, Principal={"AWS": principals})
        if not condition:
            return policy(own)
        us = {"AWS": f"arn:aws:iam::{PLATFORM}:user/leasehold"}
        actions = ("sts:AssumeRole", "sts:TagSession")
        return policy(own, allow(*actions, resource=None, Principal=us, **condition))

    def edit_trust(self, edited: Policy) -> None:
        self.iam.update_assume_role_policy(RoleName=self.role_name, PolicyDocument=json.dumps(edited))

    def let_in(self) -> None:
        self.edit_trust(self.trust(Condition={"StringEquals": {"sts:ExternalId": self.external_id}}))

    def shut_out(self) -> None:
        self.edit_trust(self.trust())

    def unwrap(self, wrapped: str, branch: str = "main") -> Answer:
        return self.service.run("key", "unwrap", self.name, wrapped, "--context", f"branch={branch}")

    def resumes(self, wrapped: str) -> Any:
        """What an unwrap gives once it is served again, which must be within the time promised."""
        deadline = time.monotonic() + RECOVERY
        while (answer := self.unwrap(wrapped)).code != 0:
            assert answer.error["reason"] in ("BINDING_DENIED", "KEY_UNUSABLE"), answer.value
            assert time.monotonic() < deadline, answer.value
            time.sleep(0.2)
        return answer.value


@pytest.fixture
def tenant(ministack: MiniStack, service: Service, unique: Callable[[str], str]) -> Tenant:
    return Tenant(unique("tenant"), ministack, service)


@pytest.fixture
def onboarded(tenant: Tenant) -> Tenant:
    tenant.let_in()
    assert tenant.service.do("binding", "activate", tenant.binding)["state"] == "ACTIVE"
    return tenant


def test_onboarding_waits_for_the_tenant_and_changes_nothing_when_it_fails(
    tenant: Tenant, service: Service
) -> None:
    before = service.do("binding", "get", tenant.binding)
    denied = service.run("binding", "activate", tenant.binding)
    assert (denied.code, denied.error["reason"]) == (DENIED, "BINDING_DENIED")
    assert denied.error["metadata"]["edge"] == "trust"
    assert service.do("binding", "get", tenant.binding) == before
    tenant.let_in()
    service.do("binding", "activate", tenant.binding)


def test_p6_a_role_without_the_external_id_is_refused(tenant: Tenant, service: Service) -> None:
    tenant.edit_trust(tenant.trust(Condition={"StringLike": {"aws:PrincipalArn": "*"}}))
    refused = service.run("binding", "activate", tenant.binding)
    assert (refused.code, refused.error["reason"]) == (FAILED, "BINDING_MISCONFIGURED")
    assert "sts:ExternalId" in refused.value["error"]["message"]


def test_keys_come_back_as_they_were(onboarded: Tenant, service: Service, tmp_path: Path) -> None:
    context = ["--context", "branch=main"]
    for length in ("16", "32", "64"):
        made = service.do("key", "generate", onboarded.name, "--bytes", length, "--reveal", *context)
        assert len(base64.b64decode(made["plaintext"])) == int(length)
        assert onboarded.unwrap(made["wrapped_key"]).value["plaintext"] == made["plaintext"]
    own = tmp_path / "key"
    own.write_bytes(os.urandom(32))
    wrapped = service.do("key", "wrap", onboarded.name, "--in", str(own), *context)["wrapped_key"]
    unwrapped = onboarded.unwrap(wrapped).value["plaintext"]
    assert base64.b64decode(unwrapped) == own.read_bytes()
    wrong = onboarded.unwrap(wrapped, branch="dev")
    assert (wrong.code, wrong.error["reason"]) == (FAILED, "WRONG_CONTEXT")


@pytest.fixture
def wrapped(onboarded: Tenant, service: Service) -> str:
    """A key that is unwrapped already, and so cached."""
    made = service.do("key", "generate", onboarded.name, "--context", "branch=main")["wrapped_key"]
    assert onboarded.unwrap(made).code == 0
    return made


def test_p1_p10_a_trust_policy_edit_is_refused_and_its_undoing_resumes_service(
    onboarded: Tenant, wrapped: str, service: Service
) -> None:
    onboarded.shut_out()
    service.run("tenant", "reprove", onboarded.name)
    denied = onboarded.unwrap(wrapped)
    assert (denied.code, denied.error["reason"]) == (DENIED, "BINDING_DENIED")
    assert denied.error["metadata"]["edge"] == "trust"
    onboarded.let_in()
    onboarded.resumes(wrapped)


def test_p2_p10_a_disabled_key_is_refused_and_an_enabled_one_resumes_service(
    onboarded: Tenant, wrapped: str, service: Service
) -> None:
    onboarded.kms.disable_key(KeyId=onboarded.key)
    service.run("tenant", "reprove", onboarded.name)
    denied = onboarded.unwrap(wrapped)
    assert (denied.code, denied.error["reason"]) == (DENIED, "KEY_UNUSABLE")
    onboarded.kms.enable_key(KeyId=onboarded.key)
    onboarded.resumes(wrapped)
