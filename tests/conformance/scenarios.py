"""Policies and what follows from them: one table, which every target has to answer alike.

Names in angle brackets stand for what a scenario makes: `<user>`, `<role>` and `<session>` are the caller's ARNs, `<account>`
its account's root, `<target>` the role to be assumed or the key to be used. The expected answers are those of AWS's
documentation:
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
    """May a session of a role, or a user, use a key of its own account?"""

    name: str
    key: list[Policy]
    expected: str
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
OWN_ACCOUNT_ALONE = "it always asks the caller's identity policies, even if the trust policy names the caller itself"

TRUST_SCENARIOS = [
    Trust("no statement", [], DENIED),
    Trust("the caller's account", [trusts("<account>")], ALLOWED),
    Trust("the caller's account by its id", [trusts(PLATFORM)], ALLOWED),
    Trust("another account", [trusts("777788889999")], DENIED),
    Trust("the caller itself", [trusts("<user>")], ALLOWED),
    Trust("another user", [trusts(f"arn:aws:iam::{PLATFORM}:user/nobody")], DENIED),
    Trust("everyone", [trusts("*")], ALLOWED),
    Trust("a service only", [allow("sts:AssumeRole", resource=None, Principal={"Service": "ec2.amazonaws.com"})], DENIED),
    Trust("another action only", [trusts("<account>", "sts:TagSession")], DENIED),
    Trust("all actions", [trusts("<account>", "sts:*")], ALLOWED),
    Trust("an explicit deny beside the allow", [trusts("<account>"), distrusts("<user>")], DENIED),
    Trust("an explicit deny before the allow", [distrusts("*"), trusts("<account>")], DENIED),
    Trust("a deny of someone else", [trusts("<account>"), distrusts(f"arn:aws:iam::{PLATFORM}:user/nobody")], ALLOWED),
    # External ids.
    Trust("the right external id", [trusts("<account>", **EXTERNAL_ID)], ALLOWED, request={"ExternalId": "lh-1"}),
    Trust("a wrong external id", [trusts("<account>", **EXTERNAL_ID)], DENIED, request={"ExternalId": "lh-2"}),
    Trust("an external id in the wrong case", [trusts("<account>", **EXTERNAL_ID)], DENIED, request={"ExternalId": "LH-1"}),
    Trust("no external id where one is asked for", [trusts("<account>", **EXTERNAL_ID)], DENIED),
    Trust("an external id where none is asked for", [trusts("<account>")], ALLOWED, request={"ExternalId": "lh-1"}),
    Trust(
        "one of several external ids",
        [trusts("<account>", **when("StringEquals", sts__ExternalId=["lh-0", "lh-1"]))],
        ALLOWED,
        request={"ExternalId": "lh-1"},
    ),
    Trust(
        "a deny of any other external id, with none given",
        [trusts("<account>"), distrusts("*", **when("StringNotEquals", sts__ExternalId="lh-1"))],
        DENIED,
    ),
    Trust(
        "a deny of any other external id, with the right one",
        [trusts("<account>"), distrusts("*", **when("StringNotEquals", sts__ExternalId="lh-1"))],
        ALLOWED,
        request={"ExternalId": "lh-1"},
    ),
    Trust(
        "a deny when no external id is given",
        [trusts("<account>"), distrusts("*", **when("Null", sts__ExternalId="true"))],
        DENIED,
    ),
    Trust(
        "StringEqualsIfExists without an external id",
        [trusts("<account>", **when("StringEqualsIfExists", sts__ExternalId="lh-1"))],
        ALLOWED,
    ),
    # Other conditions.
    Trust("a moment that has come", [trusts("<account>", **EVER)], ALLOWED),
    Trust("a moment that has not come", [trusts("<account>", **NEVER)], DENIED),
    Trust("a session name that fits", [trusts("<account>", **when("StringLike", sts__RoleSessionName="lh-*"))], ALLOWED),
    Trust("a session name that does not", [trusts("<account>", **when("StringLike", sts__RoleSessionName="x-*"))], DENIED),
    Trust("the caller's ARN", [trusts("<account>", **when("ArnEquals", aws__PrincipalArn="<user>"))], ALLOWED),
    Trust(
        "the ARN of another",
        [trusts("<account>", **when("ArnLike", aws__PrincipalArn=f"arn:aws:iam::{PLATFORM}:role/*"))],
        DENIED,
    ),
    Trust("an address that fits", [trusts("<account>", **when("IpAddress", aws__SourceIp="127.0.0.0/8"))], ALLOWED),
    Trust("an address that does not", [trusts("<account>", **when("IpAddress", aws__SourceIp="10.0.0.0/8"))], DENIED),
    Trust(
        "the caller's tag",
        [trusts("<account>", Condition={"StringEquals": {"aws:PrincipalTag/team": "storage"}})],
        ALLOWED,
        tags={"team": "storage"},
    ),
    Trust(
        "another tag of the caller's",
        [trusts("<account>", Condition={"StringEquals": {"aws:PrincipalTag/team": "storage"}})],
        DENIED,
        tags={"team": "web"},
    ),
    Trust("an unknown key", [trusts("<account>", **when("StringEquals", aws__Unheard="x"))], DENIED),
    # The caller's own side, across accounts.
    Trust("no identity policy, across accounts", [trusts("<user>")], DENIED, identity=None),
    Trust("an identity policy for another role", [trusts("<user>")], DENIED, identity=[allow("sts:*", resource="<target>x")]),
    Trust("an identity policy for this role", [trusts("<user>")], ALLOWED, identity=[allow("sts:AssumeRole", resource="<target>")]),
    Trust("an identity policy that denies", [trusts("<user>")], DENIED, identity=[allow("*"), deny("sts:AssumeRole")]),
    Trust("a boundary that leaves it out", [trusts("<user>")], DENIED, boundary=[allow("kms:*")]),
    Trust("a boundary that allows it", [trusts("<user>")], ALLOWED, boundary=[allow("sts:*")]),
    # Within one account.
    Trust("its own account, with an identity policy", [trusts("<account>")], ALLOWED, caller=TENANT),
    Trust("its own account, without", [trusts("<account>")], DENIED, caller=TENANT, identity=None),
    Trust(
        "the user itself, without an identity policy, in one account",
        [trusts("<user>")],
        ALLOWED,
        caller=TENANT,
        identity=None,
        ministack_differs=OWN_ACCOUNT_ALONE,
    ),
    Trust("an identity policy alone, in one account", [trusts("777788889999")], DENIED, caller=TENANT),
    # Session tags.
    Trust(
        "session tags that the trust policy does not let us set",
        [trusts("<account>")],
        DENIED,
        request={"Tags": [{"Key": "tenant", "Value": "acme"}]},
    ),
    Trust(
        "session tags that it does",
        [trusts("<account>", "sts:AssumeRole", "sts:TagSession")],
        ALLOWED,
        request={"Tags": [{"Key": "tenant", "Value": "acme"}]},
    ),
    Trust(
        "a session tag of the wrong value",
        [
            trusts("<account>"),
            trusts("<account>", "sts:TagSession", Condition={"StringEquals": {"aws:RequestTag/tenant": "acme"}}),
        ],
        DENIED,
        request={"Tags": [{"Key": "tenant", "Value": "globex"}]},
    ),
]

WIDE = [allow("kms:*")]
ELSEWHERE = [allow("s3:*")]

USE_SCENARIOS = [
    # The key policy has to allow.
    Use("an identity policy alone", [grants("777788889999")], DENIED, identity=WIDE),
    Use("the account, with an identity policy", [grants("<account>")], ALLOWED, identity=WIDE),
    Use("the account, without", [grants("<account>")], DENIED),
    Use("the account, with an identity policy for something else", [grants("<account>")], DENIED, identity=ELSEWHERE),
    Use("the role, without an identity policy", [grants("<role>")], ALLOWED),
    Use("another role", [grants(f"arn:aws:iam::{TENANT}:role/nobody")], DENIED),
    Use("the session, without an identity policy", [grants("<session>")], ALLOWED),
    Use("another session of the role", [grants("<session>x")], DENIED),
    Use("everyone, without an identity policy", [grants("*")], ALLOWED),
    Use("a user, without an identity policy", [grants("<user>")], ALLOWED, as_user=True),
    Use("a user by its account, with an identity policy", [grants("<account>")], ALLOWED, as_user=True, identity=WIDE),
    Use("a user by its account, without", [grants("<account>")], DENIED, as_user=True),
    # Actions and resources.
    Use("another action", [grants("<role>", "kms:Decrypt")], DENIED),
    Use("an action with a wildcard", [grants("<role>", "kms:GenerateDataKey*")], ALLOWED),
    Use("an action in another case", [grants("<role>", "KMS:generatedatakey")], ALLOWED),
    Use("every action but this", [{"Effect": "Allow", "Principal": {"AWS": "<role>"}, "NotAction": "kms:GenerateDataKey", "Resource": "*"}], DENIED),
    Use("an identity policy for this key", [grants("<account>")], ALLOWED, identity=[allow("kms:*", resource="<target>")]),
    Use("an identity policy for another key", [grants("<account>")], DENIED, identity=[allow("kms:*", resource="<target>x")]),
    Use(
        "an identity policy for all keys of the account",
        [grants("<account>")],
        ALLOWED,
        identity=[allow("kms:*", resource=f"arn:aws:kms:*:{TENANT}:key/*")],
    ),
    Use("describing, when only that is allowed", [grants("<role>", "kms:DescribeKey")], ALLOWED, operation="DescribeKey"),
    # Explicit denies, wherever they stand.
    Use("a deny in the key policy", [grants("<role>"), forbids("<role>")], DENIED, identity=WIDE),
    Use("a deny of everyone in the key policy", [grants("<role>"), forbids("*")], DENIED, identity=WIDE),
    Use("a deny of the account in the key policy", [grants("<role>"), forbids("<account>")], DENIED, identity=WIDE),
    Use("a deny of someone else in the key policy", [grants("<role>"), forbids("<role>x")], ALLOWED),
    Use("a deny of another action", [grants("<role>"), forbids("<role>", "kms:Decrypt")], ALLOWED),
    Use("a deny in the identity policy", [grants("<session>")], DENIED, identity=[deny("kms:*")]),
    Use("a deny in the boundary", [grants("<session>")], DENIED, boundary=[allow("*"), deny("kms:*")]),
    Use("a deny in the session policy", [grants("<session>")], DENIED, session=[allow("*"), deny("kms:*")]),
    # Boundaries and session policies narrow identity policies and grants to the role, not grants to the session.
    Use("a boundary that leaves it out", [grants("<account>")], DENIED, identity=WIDE, boundary=ELSEWHERE),
    Use("a boundary that allows it", [grants("<account>")], ALLOWED, identity=WIDE, boundary=WIDE),
    Use("a boundary alone", [grants("<account>")], DENIED, boundary=WIDE),
    Use("a session policy that leaves it out", [grants("<account>")], DENIED, identity=WIDE, session=ELSEWHERE),
    Use("a session policy that allows it", [grants("<account>")], ALLOWED, identity=WIDE, session=WIDE),
    Use("a session policy alone", [grants("<account>")], DENIED, session=WIDE),
    Use("a session policy for another key", [grants("<account>")], DENIED, identity=WIDE, session=[allow("kms:*", resource="<target>x")]),
    Use("a session policy for this key", [grants("<account>")], ALLOWED, identity=WIDE, session=[allow("kms:*", resource="<target>")]),
    Use("the role's ARN, narrowed by the session policy", [grants("<role>")], DENIED, session=ELSEWHERE),
    Use("the role's ARN, within the session policy", [grants("<role>")], ALLOWED, session=WIDE),
    Use("the role's ARN, narrowed by the boundary", [grants("<role>")], DENIED, boundary=ELSEWHERE),
    Use("the role's ARN, within the boundary", [grants("<role>")], ALLOWED, boundary=WIDE),
    Use("the session's ARN, whatever the session policy leaves out", [grants("<session>")], ALLOWED, session=ELSEWHERE),
    Use("the session's ARN, whatever the boundary leaves out", [grants("<session>")], ALLOWED, boundary=ELSEWHERE),
    Use("a user's ARN, whatever the boundary leaves out", [grants("<user>")], ALLOWED, as_user=True, boundary=ELSEWHERE),
    # Conditions.
    Use("sessions issued since long ago", [grants("<role>", **when("DateGreaterThan", aws__TokenIssueTime="2000-01-01T00:00:00Z"))], ALLOWED),
    Use("sessions to be issued in times to come", [grants("<role>", **when("DateGreaterThan", aws__TokenIssueTime="2999-01-01T00:00:00Z"))], DENIED),
    Use(
        "AWSRevokeOlderSessions of a moment to come",
        [grants("<account>")],
        DENIED,
        identity=[allow("kms:*"), deny("*", **when("DateLessThan", aws__TokenIssueTime="2999-01-01T00:00:00Z"))],
    ),
    Use(
        "AWSRevokeOlderSessions of long ago",
        [grants("<account>")],
        ALLOWED,
        identity=[allow("kms:*"), deny("*", **when("DateLessThan", aws__TokenIssueTime="2000-01-01T00:00:00Z"))],
    ),
    Use("a tag of the role", [grants("<role>", Condition={"StringEquals": {"aws:PrincipalTag/team": "storage"}})], ALLOWED, tags={"team": "storage"}),
    Use("a tag that the role lacks", [grants("<role>", Condition={"StringEquals": {"aws:PrincipalTag/team": "storage"}})], DENIED),
    Use("the caller's account", [grants("*", **when("StringEquals", aws__PrincipalAccount=TENANT))], ALLOWED),
    Use("another account", [grants("*", **when("StringEquals", aws__PrincipalAccount=PLATFORM))], DENIED),
    Use("a deny of callers without a session", [grants("<role>"), forbids("*", **when("Null", aws__TokenIssueTime="true"))], ALLOWED),
    Use("the region", [grants("<role>", **when("StringEquals", aws__RequestedRegion="eu-central-1"))], ALLOWED),
    Use("another region", [grants("<role>", **when("StringEquals", aws__RequestedRegion="us-east-1"))], DENIED),
]


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
