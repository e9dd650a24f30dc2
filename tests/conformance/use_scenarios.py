"""Key policies and all that may narrow them, and whether a caller may use the key."""

from __future__ import annotations

from scenarios import ALLOWED, DENIED, Use, forbids, grants, when
from targets import PLATFORM, TENANT, allow, deny

WIDE = [allow("kms:*")]
ELSEWHERE = [allow("s3:*")]

USE_SCENARIOS = [
    # The key policy has to allow.
    Use("an identity policy alone", [grants("777788889999")], DENIED, identity=WIDE),
    Use("the account, with an identity policy", [grants("<account>")], ALLOWED, identity=WIDE),
    Use("the account, without", [grants("<account>")], DENIED),
    Use(
        "the account, with an identity policy for something else",
        [grants("<account>")],
        DENIED,
        identity=ELSEWHERE,
    ),
    Use("the role, without an identity policy", [grants("<role>")], ALLOWED),
    Use("another role", [grants(f"arn:aws:iam::{TENANT}:role/nobody")], DENIED),
    Use("the session, without an identity policy", [grants("<session>")], ALLOWED),
    Use("another session of the role", [grants("<session>x")], DENIED),
    Use("everyone, without an identity policy", [grants("*")], ALLOWED),
    Use("a user, without an identity policy", [grants("<user>")], ALLOWED, as_user=True),
    Use(
        "a user by its account, with an identity policy",
        [grants("<account>")],
        ALLOWED,
        as_user=True,
        identity=WIDE,
    ),
    Use("a user by its account, without", [grants("<account>")], DENIED, as_user=True),
    # Actions and resources.
    Use("another action", [grants("<role>", "kms:Decrypt")], DENIED),
    Use("an action with a wildcard", [grants("<role>", "kms:GenerateDataKey*")], ALLOWED),
    Use("an action in another case", [grants("<role>", "KMS:generatedatakey")], ALLOWED),
    Use(
        "every action but this",
        [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "<role>"},
                "NotAction": "kms:GenerateDataKey",
                "Resource": "*",
            }
        ],
        DENIED,
    ),
    Use(
        "an identity policy for this key",
        [grants("<account>")],
        ALLOWED,
        identity=[allow("kms:*", resource="<target>")],
    ),
    Use(
        "an identity policy for another key",
        [grants("<account>")],
        DENIED,
        identity=[allow("kms:*", resource="<target>x")],
    ),
    Use(
        "an identity policy for all keys of the account",
        [grants("<account>")],
        ALLOWED,
        identity=[allow("kms:*", resource=f"arn:aws:kms:*:{TENANT}:key/*")],
    ),
    Use(
        "describing, when only that is allowed",
        [grants("<role>", "kms:DescribeKey")],
        ALLOWED,
        operation="DescribeKey",
    ),
    # Explicit denies, wherever they stand.
    Use("a deny in the key policy", [grants("<role>"), forbids("<role>")], DENIED, identity=WIDE),
    Use("a deny of everyone in the key policy", [grants("<role>"), forbids("*")], DENIED, identity=WIDE),
    Use(
        "a deny of the account in the key policy",
        [grants("<role>"), forbids("<account>")],
        DENIED,
        identity=WIDE,
    ),
    Use("a deny of someone else in the key policy", [grants("<role>"), forbids("<role>x")], ALLOWED),
    Use("a deny of another action", [grants("<role>"), forbids("<role>", "kms:Decrypt")], ALLOWED),
    Use("a deny in the identity policy", [grants("<session>")], DENIED, identity=[deny("kms:*")]),
    Use("a deny in the boundary", [grants("<session>")], DENIED, boundary=[allow("*"), deny("kms:*")]),
    Use("a deny in the session policy", [grants("<session>")], DENIED, session=[allow("*"), deny("kms:*")]),
    # Boundaries and session policies narrow identity policies and grants to the role, but not to the session.
    Use("a boundary that leaves it out", [grants("<account>")], DENIED, identity=WIDE, boundary=ELSEWHERE),
    Use("a boundary that allows it", [grants("<account>")], ALLOWED, identity=WIDE, boundary=WIDE),
    Use("a boundary alone", [grants("<account>")], DENIED, boundary=WIDE),
    Use(
        "a session policy that leaves it out", [grants("<account>")], DENIED, identity=WIDE, session=ELSEWHERE
    ),
    Use("a session policy that allows it", [grants("<account>")], ALLOWED, identity=WIDE, session=WIDE),
    Use("a session policy alone", [grants("<account>")], DENIED, session=WIDE),
    Use(
        "a session policy for another key",
        [grants("<account>")],
        DENIED,
        identity=WIDE,
        session=[allow("kms:*", resource="<target>x")],
    ),
    Use(
        "a session policy for this key",
        [grants("<account>")],
        ALLOWED,
        identity=WIDE,
        session=[allow("kms:*", resource="<target>")],
    ),
    Use("the role's ARN, narrowed by the session policy", [grants("<role>")], DENIED, session=ELSEWHERE),
    Use("the role's ARN, within the session policy", [grants("<role>")], ALLOWED, session=WIDE),
    Use("the role's ARN, narrowed by the boundary", [grants("<role>")], DENIED, boundary=ELSEWHERE),
    Use("the role's ARN, within the boundary", [grants("<role>")], ALLOWED, boundary=WIDE),
    Use(
        "the session's ARN, whatever the session policy leaves out",
        [grants("<session>")],
        ALLOWED,
        session=ELSEWHERE,
    ),
    Use(
        "the session's ARN, whatever the boundary leaves out",
        [grants("<session>")],
        ALLOWED,
        boundary=ELSEWHERE,
    ),
    Use(
        "a user's ARN, whatever the boundary leaves out",
        [grants("<user>")],
        ALLOWED,
        as_user=True,
        boundary=ELSEWHERE,
    ),
    # From another account both sides have to allow. (ministack knows a key in its own account only.)
    Use(
        "a foreign account, with an identity policy",
        [grants("<account>")],
        ALLOWED,
        caller=PLATFORM,
        identity=WIDE,
    ),
    Use("a foreign account, without", [grants("<account>")], DENIED, caller=PLATFORM),
    Use(
        "a foreign role, with an identity policy", [grants("<role>")], ALLOWED, caller=PLATFORM, identity=WIDE
    ),
    Use("a foreign role, without", [grants("<role>")], DENIED, caller=PLATFORM),
    Use("a foreign session, without", [grants("<session>")], DENIED, caller=PLATFORM),
    Use("everyone, from a foreign account, without", [grants("*")], DENIED, caller=PLATFORM),
    Use("everyone, from a foreign account", [grants("*")], ALLOWED, caller=PLATFORM, identity=WIDE),
    Use(
        "an identity policy alone, from a foreign account",
        [grants(TENANT)],
        DENIED,
        caller=PLATFORM,
        identity=WIDE,
    ),
    Use(
        "a foreign session beyond its boundary",
        [grants("<session>")],
        DENIED,
        caller=PLATFORM,
        identity=WIDE,
        boundary=ELSEWHERE,
    ),
    Use(
        "a foreign session beyond its session policy",
        [grants("<session>")],
        DENIED,
        caller=PLATFORM,
        identity=WIDE,
        session=ELSEWHERE,
    ),
    Use(
        "a foreign user, with an identity policy",
        [grants("<user>")],
        ALLOWED,
        caller=PLATFORM,
        as_user=True,
        identity=WIDE,
    ),
    Use("a foreign user, without", [grants("<user>")], DENIED, caller=PLATFORM, as_user=True),
    # Conditions.
    Use(
        "sessions issued since long ago",
        [grants("<role>", **when("DateGreaterThan", aws__TokenIssueTime="2000-01-01T00:00:00Z"))],
        ALLOWED,
    ),
    Use(
        "sessions to be issued in times to come",
        [grants("<role>", **when("DateGreaterThan", aws__TokenIssueTime="2999-01-01T00:00:00Z"))],
        DENIED,
    ),
    Use(
        "AWSRevokeOlderSessions of a moment to come",
        [grants("<account>")],
        DENIED,
        identity=[
            allow("kms:*"),
            deny("*", **when("DateLessThan", aws__TokenIssueTime="2999-01-01T00:00:00Z")),
        ],
    ),
    Use(
        "AWSRevokeOlderSessions of long ago",
        [grants("<account>")],
        ALLOWED,
        identity=[
            allow("kms:*"),
            deny("*", **when("DateLessThan", aws__TokenIssueTime="2000-01-01T00:00:00Z")),
        ],
    ),
    Use(
        "a tag of the role",
        [grants("<role>", Condition={"StringEquals": {"aws:PrincipalTag/team": "storage"}})],
        ALLOWED,
        tags={"team": "storage"},
    ),
    Use(
        "a tag that the role lacks",
        [grants("<role>", Condition={"StringEquals": {"aws:PrincipalTag/team": "storage"}})],
        DENIED,
    ),
    Use("the caller's account", [grants("*", **when("StringEquals", aws__PrincipalAccount=TENANT))], ALLOWED),
    Use("another account", [grants("*", **when("StringEquals", aws__PrincipalAccount=PLATFORM))], DENIED),
    Use(
        "a deny of callers without a session",
        [grants("<role>"), forbids("*", **when("Null", aws__TokenIssueTime="true"))],
        ALLOWED,
    ),
    Use(
        "the region", [grants("<role>", **when("StringEquals", aws__RequestedRegion="eu-central-1"))], ALLOWED
    ),
    Use(
        "another region", [grants("<role>", **when("StringEquals", aws__RequestedRegion="us-east-1"))], DENIED
    ),
]
