"""Trust policies, and whether a user may become the role."""

from __future__ import annotations

from scenarios import (
    ALLOWED,
    DENIED,
    EVER,
    EXTERNAL_ID,
    NEVER,
    OWN_ACCOUNT_ALONE,
    Trust,
    distrusts,
    trusts,
    when,
)
from targets import PLATFORM, TENANT, allow, deny

TRUST_SCENARIOS = [
    Trust("no statement", [], DENIED),
    Trust("the caller's account", [trusts("<account>")], ALLOWED),
    Trust("the caller's account by its id", [trusts(PLATFORM)], ALLOWED),
    Trust("another account", [trusts("777788889999")], DENIED),
    Trust("the caller itself", [trusts("<user>")], ALLOWED),
    Trust("another user", [trusts(f"arn:aws:iam::{PLATFORM}:user/nobody")], DENIED),
    Trust("everyone", [trusts("*")], ALLOWED),
    Trust(
        "a service only",
        [allow("sts:AssumeRole", resource=None, Principal={"Service": "ec2.amazonaws.com"})],
        DENIED,
    ),
    Trust("another action only", [trusts("<account>", "sts:TagSession")], DENIED),
    Trust("all actions", [trusts("<account>", "sts:*")], ALLOWED),
    Trust("an explicit deny beside the allow", [trusts("<account>"), distrusts("<user>")], DENIED),
    Trust("an explicit deny before the allow", [distrusts("*"), trusts("<account>")], DENIED),
    Trust(
        "a deny of someone else",
        [trusts("<account>"), distrusts(f"arn:aws:iam::{PLATFORM}:user/nobody")],
        ALLOWED,
    ),
    # External ids.
    Trust(
        "the right external id", [trusts("<account>", **EXTERNAL_ID)], ALLOWED, request={"ExternalId": "lh-1"}
    ),
    Trust(
        "a wrong external id", [trusts("<account>", **EXTERNAL_ID)], DENIED, request={"ExternalId": "lh-2"}
    ),
    Trust(
        "an external id in the wrong case",
        [trusts("<account>", **EXTERNAL_ID)],
        DENIED,
        request={"ExternalId": "LH-1"},
    ),
    Trust("no external id where one is asked for", [trusts("<account>", **EXTERNAL_ID)], DENIED),
    Trust(
        "an external id where none is asked for",
        [trusts("<account>")],
        ALLOWED,
        request={"ExternalId": "lh-1"},
    ),
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
    Trust(
        "a session name that fits",
        [trusts("<account>", **when("StringLike", sts__RoleSessionName="lh-*"))],
        ALLOWED,
    ),
    Trust(
        "a session name that does not",
        [trusts("<account>", **when("StringLike", sts__RoleSessionName="x-*"))],
        DENIED,
    ),
    Trust(
        "the caller's ARN", [trusts("<account>", **when("ArnEquals", aws__PrincipalArn="<user>"))], ALLOWED
    ),
    Trust(
        "the ARN of another",
        [trusts("<account>", **when("ArnLike", aws__PrincipalArn=f"arn:aws:iam::{PLATFORM}:role/*"))],
        DENIED,
    ),
    Trust(
        "an address that fits",
        [trusts("<account>", **when("IpAddress", aws__SourceIp="127.0.0.0/8"))],
        ALLOWED,
    ),
    Trust(
        "an address that does not",
        [trusts("<account>", **when("IpAddress", aws__SourceIp="10.0.0.0/8"))],
        DENIED,
    ),
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
    Trust(
        "an identity policy for another role",
        [trusts("<user>")],
        DENIED,
        identity=[allow("sts:*", resource="<target>x")],
    ),
    Trust(
        "an identity policy for this role",
        [trusts("<user>")],
        ALLOWED,
        identity=[allow("sts:AssumeRole", resource="<target>")],
    ),
    Trust(
        "an identity policy that denies",
        [trusts("<user>")],
        DENIED,
        identity=[allow("*"), deny("sts:AssumeRole")],
    ),
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
            trusts(
                "<account>", "sts:TagSession", Condition={"StringEquals": {"aws:RequestTag/tenant": "acme"}}
            ),
        ],
        DENIED,
        request={"Tags": [{"Key": "tenant", "Value": "globex"}]},
    ),
]
