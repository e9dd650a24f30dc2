"""What time does to sessions, in a simulator of its own, because its clock only goes forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from servers import start_simulator
from targets import Credentials, Simulator, client


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Takes the place of the one that all other tests share."""
    server, control = start_simulator(tmp_path_factory.mktemp("cloudsim"))
    try:
        yield Simulator(control)
    finally:
        server.stop()


@pytest.fixture
def sts(simulator: Simulator, platform: Credentials) -> Any:
    return client("sts", simulator.endpoint, platform)


@pytest.fixture
def clock(simulator: Simulator) -> Callable[[float], Any]:
    """Moves the simulated time forward by seconds."""
    return lambda seconds: simulator.call("POST", "/clock/advance", {"seconds": seconds})


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return caught.value.response["Error"]["Code"]


def test_revoking_older_sessions_denies_them_by_their_issue_time(
    sts: Any, simulator: Simulator, trusting_role: str, key: str, clock: Any
) -> None:
    old = client(
        "kms",
        simulator.endpoint,
        Credentials.of(sts.assume_role(RoleArn=trusting_role, RoleSessionName="old")),
    )
    old.generate_data_key(KeyId=key, KeySpec="AES_256")
    clock(2)
    simulator.call("POST", "/aws/edits", {"kind": "revoke_older_sessions", "role": trusting_role})
    with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
        old.generate_data_key(KeyId=key, KeySpec="AES_256")
    clock(2)
    new = client(
        "kms",
        simulator.endpoint,
        Credentials.of(sts.assume_role(RoleArn=trusting_role, RoleSessionName="new")),
    )
    new.generate_data_key(KeyId=key, KeySpec="AES_256")


def test_an_expired_session_says_so(
    sts: Any, simulator: Simulator, trusting_role: str, key: str, clock: Any
) -> None:
    answer = sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme", DurationSeconds=900)
    session = Credentials.of(answer)
    kms = client("kms", simulator.endpoint, session)
    clock(898)
    kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    clock(3)
    with pytest.raises(ClientError) as caught:
        kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert (code(caught), caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (
        "ExpiredTokenException",
        400,
    )
    expired = client("sts", simulator.endpoint, session)
    with pytest.raises(ClientError) as caught:
        expired.get_caller_identity()
    assert (code(caught), caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (
        "ExpiredToken",
        403,
    )


def test_an_edit_takes_effect_only_after_its_propagation(
    sts: Any, simulator: Simulator, trusting_role: str, clock: Any
) -> None:
    simulator.call("PUT", "/aws/propagation", {"trust_policy_ms": 60_000})
    try:
        simulator.call(
            "POST", "/aws/edits", {"kind": "trust_deny_principal", "role": trusting_role, "principal": "*"}
        )
    finally:
        simulator.call("PUT", "/aws/propagation", {})
    clock(58)
    sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme")
    clock(3)
    with pytest.raises(ClientError) as caught:
        sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme")
    assert code(caught) == "AccessDenied"


def test_a_key_is_gone_when_its_deletion_is_due(kms: Any, key: str, clock: Any) -> None:
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    clock(7 * 86_400 - 60)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    clock(61)
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId=key)
