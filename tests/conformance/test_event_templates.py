"""What tenants deploy so that their edits have Leasehold look: the templates in `deploy/events`.

They are parsed as Terraform does, their rules are held against the events that the simulator's edits leave, and the names
of calls in them against the official service models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import hcl2
import pytest
from targets import REGION, SESSION, TENANT, Identity, Simulator, allow, policy

EVENTS = Path(__file__).parents[2] / "deploy" / "events"
FILES = sorted(EVENTS.rglob("*.tf"))
CLOSED = policy(allow("sts:AssumeRole", resource=None, Principal={"AWS": f"arn:aws:iam::{TENANT}:root"}))


def pattern(name: str, **variables: str) -> dict[str, Any]:
    """An event pattern, rendered."""
    return json.loads(Template((EVENTS / "aws/region" / name).read_text()).substitute(variables))


def matches(wanted: Any, event: Any) -> bool:
    """Whether an event matches a pattern of exact values; of an array one element must match."""
    if isinstance(event, list):
        return any(matches(wanted, element) for element in event)
    if isinstance(wanted, dict):
        return isinstance(event, dict) and all(
            key in event and matches(value, event[key]) for key, value in wanted.items()
        )
    return event in wanted


def plain(value: Any) -> Any:
    """Strings as they are meant: some versions of the parser keep their quotes."""
    return value.strip('"') if isinstance(value, str) else value


def blocks(cloud: str, kind: str) -> dict[str, dict[str, Any]]:
    """The blocks of one kind (`resource`, …) of a cloud's templates, by type or name."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((EVENTS / cloud).rglob("*.tf")):
        with file.open() as text:
            for block in hcl2.load(text).get(kind, []):
                for name, body in block.items():
                    found.setdefault(plain(name), {}).update(body if kind == "resource" else {"body": body})
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EVENTS)))
def test_a_template_parses_and_names_files_and_variables_that_exist(file: Path) -> None:
    text = file.read_text()
    parsed = hcl2.loads(text)
    declared = {plain(name) for block in parsed.get("variable", []) for name in block}
    assert set(re.findall(r"\bvar\.(\w+)", text)) == declared
    named = re.findall(r'\$\{path\.module\}/([^"]+)"', text)
    assert all((file.parent / name).is_file() for name in named)
    for name in named:
        if name.endswith(".tftpl"):
            used = set(re.findall(r"\$\{(\w+)\}", (file.parent / name).read_text()))
            assert used and all(re.search(rf"\b{variable}\s*=", text) for variable in used)


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_template_calls_the_one_path_and_shows_its_secret_to_nobody(cloud: str) -> None:
    text = "".join(file.read_text() for file in (EVENTS / cloud).rglob("*.tf"))
    assert '/v1/tenants/${var.tenant}:reprove"' in text
    variables = blocks(cloud, "variable")
    if "secret" in variables:
        assert variables["secret"]["body"]["sensitive"] is True
    assert ("secret" in variables) == (cloud != "gcp")


@pytest.mark.parametrize(
    ("name", "service", "variables"),
    [("role-events.json.tftpl", "iam", {"role_name": "r"}), ("key-events.json.tftpl", "kms", {"key_arn": "k"})],
)
def test_a_pattern_names_calls_that_exist(name: str, service: str, variables: dict[str, str]) -> None:
    detail = pattern(name, **variables)["detail"]
    operations = SESSION.client(service, region_name=REGION).meta.service_model.operation_names
    assert set(detail["eventName"]) <= set(operations)
    assert detail["eventSource"] == [f"{service}.amazonaws.com"]


def test_every_edit_of_the_tenants_matches_and_nobody_elses(
    simulator: Simulator, unique: Callable[[str], str]
) -> None:
    roles = [simulator.put_role(TENANT, unique("events"), CLOSED, Identity()) for _ in range(2)]
    keys = [simulator.put_key(TENANT, policy(allow("kms:*", Principal="*"))) for _ in range(2)]
    role = pattern("role-events.json.tftpl", role_name=roles[0].split("/")[-1])
    key = pattern("key-events.json.tftpl", key_arn=keys[0])
    edits = [
        (role, roles, {"kind": "trust_deny_principal", "principal": "*"}),
        (role, roles, {"kind": "role_detach_policies"}),
        (role, roles, {"kind": "role_deny", "actions": ["kms:Decrypt"]}),
        (role, roles, {"kind": "revoke_older_sessions"}),
        (key, keys, {"kind": "key_deny", "principal": "*"}),
        (key, keys, {"kind": "key_state", "state": "Disabled"}),
        (key, keys, {"kind": "key_state", "state": "PendingDeletion"}),
    ]
    for wanted, resources, edit in edits:
        for resource in resources:
            start = max((event["sequence"] for event in simulator.call("GET", "/aws/events")), default=0)
            field = "role" if resources is roles else "key"
            made = simulator.call("POST", "/aws/edits", edit | {field: resource})
            simulator.call("DELETE", f"/aws/edits/{made['id']}")
            events = [event["event"] for event in simulator.call("GET", "/aws/events", after=str(start))]
            assert len(events) == 2, "made and undone"
            matched = [matches(wanted, event) for event in events]
            assert matched == [resource == resources[0]] * 2, (edit, events)
            other = key if wanted is role else role
            assert not any(matches(other, event) for event in events)


def test_what_is_sent_of_an_event_is_there_and_is_no_secret(simulator: Simulator) -> None:
    key = simulator.put_key(TENANT, policy(allow("kms:*", Principal="*")))
    simulator.call("PUT", "/aws/keys/state", "Disabled", arn=key)
    event = simulator.call("GET", "/aws/events")[-1]["event"]
    paths = json.loads((EVENTS / "aws/region/input-paths.json").read_text())
    text = (EVENTS / "aws/region/input-template.json").read_text()
    assert set(re.findall(r"<(\w+)>", text)) == set(paths)
    for name, path in paths.items():
        value: Any = event
        for step in path.removeprefix("$.").split("."):
            value = value[step]
        text = text.replace(f"<{name}>", value)
    sent = json.loads(text)
    assert sent["event"] == "DisableKey"
    assert key not in text and TENANT not in text


def test_the_push_subscription_and_the_caller_agree() -> None:
    text = (EVENTS / "gcp/main.tf").read_text()
    resources = blocks("gcp", "resource")
    assert {"google_pubsub_subscription", "google_logging_project_sink"} <= set(resources)
    assert text.count("local.audience") == 2, "what is presented is what is expected"
    assert 'email = "${google_service_account.push.email}"' in text
