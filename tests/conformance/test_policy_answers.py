"""The simulator's answers to policies are AWS's documented ones, and an independent server gives the same."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from scenarios import ALLOWED, DENIED, Trust, Use, document
from targets import TENANT, Credentials, Identity, Policy, Target, client, policy
from trust_scenarios import TRUST_SCENARIOS
from use_scenarios import USE_SCENARIOS

_numbers = itertools.count(1)

REFUSALS = {"AccessDenied", "AccessDeniedException"}


def answer(call: Any, **parameters: Any) -> str:
    """Whether a call is allowed; any other failure than a refusal is one of the test."""
    try:
        call(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] in REFUSALS:
            return DENIED
        raise
    return ALLOWED


def identity(scenario: Trust | Use, names: dict[str, str]) -> Identity:
    policies = {} if scenario.identity is None else {"own": document(scenario.identity, names)}
    boundary = None if scenario.boundary is None else document(scenario.boundary, names)
    return Identity(policies, boundary, scenario.tags)


def play_trust(target: Target, scenario: Trust) -> str:
    number = next(_numbers)
    user, role = f"caller-{number}", f"target-{number}"
    names = {
        "user": f"arn:aws:iam::{scenario.caller}:user/{user}",
        "account": f"arn:aws:iam::{scenario.caller}:root",
        "target": f"arn:aws:iam::{TENANT}:role/{role}",
    }
    credentials = target.put_user(scenario.caller, user, identity(scenario, names))
    target.put_role(TENANT, role, document(scenario.trust, names), Identity())
    sts = client("sts", target.endpoint, credentials)
    return answer(sts.assume_role, RoleArn=names["target"], RoleSessionName="lh-test", **scenario.request)


def play_use(target: Target, scenario: Use) -> str:
    number = next(_numbers)
    user, role = f"caller-{number}", f"worker-{number}"
    names = {
        "user": f"arn:aws:iam::{scenario.caller}:user/{user}",
        "role": f"arn:aws:iam::{scenario.caller}:role/{role}",
        "session": f"arn:aws:sts::{scenario.caller}:assumed-role/{role}/lh-test",
        "account": f"arn:aws:iam::{scenario.caller}:root",
    }
    key = target.put_key(TENANT, document(scenario.key, names))
    names["target"] = key
    if scenario.as_user:
        credentials = target.put_user(scenario.caller, user, identity(scenario, names))
    else:
        credentials = session(target, scenario, user, role, names)
    kms = client("kms", target.endpoint, credentials)
    if scenario.operation == "DescribeKey":
        return answer(kms.describe_key, KeyId=key)
    return answer(kms.generate_data_key, KeyId=key, KeySpec="AES_256")


def session(target: Target, scenario: Use, user: str, role: str, names: dict[str, str]) -> Credentials:
    may_assume: Policy = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": names["role"]}
    assumer = target.put_user(scenario.caller, user, Identity({"assume": policy(may_assume)}))
    trust: Policy = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": names["user"]}}
    target.put_role(scenario.caller, role, policy(trust), identity(scenario, names))
    narrowed = {}
    if scenario.session is not None:
        narrowed["Policy"] = json.dumps(document(scenario.session, names))
    sts = client("sts", target.endpoint, assumer)
    return Credentials.of(sts.assume_role(RoleArn=names["role"], RoleSessionName="lh-test", **narrowed))


def both_targets(scenarios: list[Any]) -> list[Any]:
    """Every scenario on every target, marked where ministack is known to differ from AWS."""
    rows = []
    for scenario, target in itertools.product(scenarios, ["simulator", "ministack"]):
        if target == "ministack" and isinstance(scenario, Use) and scenario.caller != TENANT:
            continue
        marks = []
        if target == "ministack" and scenario.ministack_differs:
            marks.append(pytest.mark.xfail(strict=True, reason=scenario.ministack_differs))
        rows.append(pytest.param(scenario, target, marks=marks, id=f"{scenario.name}-{target}"))
    return rows


@pytest.mark.parametrize(("scenario", "target"), both_targets(TRUST_SCENARIOS))
def test_assuming_is_answered_as_documented(
    scenario: Trust, target: str, request: pytest.FixtureRequest
) -> None:
    assert play_trust(request.getfixturevalue(target), scenario) == scenario.expected


@pytest.mark.parametrize(("scenario", "target"), both_targets(USE_SCENARIOS))
def test_using_a_key_is_answered_as_documented(
    scenario: Use, target: str, request: pytest.FixtureRequest
) -> None:
    assert play_use(request.getfixturevalue(target), scenario) == scenario.expected
