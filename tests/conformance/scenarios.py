"""Policies and what follows from them: tables that every target has to answer alike.

Names in angle brackets stand for what a scenario makes: `<user>`, `<role>` and `<session>` are ARNs of the
caller, `<account>` its account, `<target>` the role to be assumed or the key to be used. The tables are in
`trust_scenarios` and `use_scenarios`; the expected answers are those of AWS's documentation:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from targets import PLATFORM, TENANT, Policy, allow, deny, policy

ALLOWED = "allowed"
DENIED = "denied"


@dataclass(frozen=True)
class Trust:
    """May a user become a role?"""

    name: str
    trust: list[Policy]
    expected: str
    # The caller's account: the role's own, or another.
    caller: str = PLATFORM
    identity: list[Policy] | None = field(default_factory=lambda: [allow("sts:*")])
    boundary: list[Policy] | None = None
    request: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    # Why ministack does not answer as AWS documents it, if it does not.
    ministack_differs: str | None = None


@dataclass(frozen=True)
class Use:
    """May a session of a role, or a user, use a key of the tenant's?"""

    name: str
    key: list[Policy]
    expected: str
    # The caller's account: the key's own, or another.
    caller: str = TENANT
    as_user: bool = False
    identity: list[Policy] | None = None
    boundary: list[Policy] | None = None
    session: list[Policy] | None = None
    operation: str = "GenerateDataKey"
    tags: dict[str, str] = field(default_factory=dict)
    ministack_differs: str | None = None


def trusts(principal: str, *actions: str, **more: Any) -> Policy:
    return allow(*(actions or ("sts:AssumeRole",)), resource=None, Principal={"AWS": principal}, **more)


def distrusts(principal: str, **more: Any) -> Policy:
    return deny("sts:AssumeRole", resource=None, Principal={"AWS": principal}, **more)


def grants(principal: str, *actions: str, **more: Any) -> Policy:
    return allow(*(actions or ("kms:*",)), Principal={"AWS": principal}, **more)


def forbids(principal: str, *actions: str, **more: Any) -> Policy:
    return deny(*(actions or ("kms:*",)), Principal={"AWS": principal}, **more)


def when(operator: str, **keys: Any) -> dict[str, Any]:
    """A condition; `__` stands for the colon of a key."""
    return {"Condition": {operator: {key.replace("__", ":"): value for key, value in keys.items()}}}


EXTERNAL_ID = when("StringEquals", sts__ExternalId="lh-1")
EVER = when("DateGreaterThan", aws__CurrentTime="2000-01-01T00:00:00Z")
NEVER = when("DateGreaterThan", aws__CurrentTime="2999-01-01T00:00:00Z")
OWN_ACCOUNT_ALONE = (
    "it always asks the caller's identity policies, even if the trust policy names the caller itself"
)


def document(statements: list[Policy], names: dict[str, str]) -> Policy:
    """The statements as a policy, with the names in angle brackets filled in."""
    return fill(policy(*statements), names)


def fill(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: fill(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, names) for inner in value]
    if isinstance(value, str):
        for name, stands_for in names.items():
            value = value.replace(f"<{name}>", stands_for)
    return value
