"""What the admin listener answers, read by Prometheus's own client library."""

from __future__ import annotations

import math
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from servers import free_port
from service import Service, on_aws
from targets import EVERYTHING, PLATFORM, TENANT, Simulator, allow, policy

# https://prometheus.io/docs/concepts/data_model/
METRIC = re.compile(r"leasehold_[a-z][a-z_]*[a-z]")
LABEL = re.compile(r"[a-z][a-z_]*")


def get(port: int, path: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers["content-type"], refused.read().decode()


@pytest.fixture(scope="module")
def metrics(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a service counted that served, was denied and refused."""
    credentials = simulator.put_user(PLATFORM, "measured", EVERYTHING)
    port = free_port()
    more = {"LEASEHOLD__ADMIN__ADDRESSES": f'["127.0.0.1:{port}"]'}
    cloud = on_aws(simulator.endpoint, credentials) | more
    service = Service(os.environ["LEASEHOLD_BIN"], cloud, tmp_path_factory.mktemp("leasehold"))
    try:
        service.server.wait_until(service.listens)
        key = simulator.put_key(TENANT, policy(allow("kms:*", Principal={"AWS": f"arn:aws:iam::{TENANT}:root"})))
        role = f"arn:aws:iam::{TENANT}:role/measured"
        service.do("tenant", "create", "acme")
        made = service.do("binding", "create", "acme/main", "aws", "--kms-key", key, "--role", role)
        us = allow(
            "sts:AssumeRole",
            "sts:TagSession",
            resource=None,
            Principal={"AWS": f"arn:aws:iam::{PLATFORM}:root"},
            Condition={"StringEquals": {"sts:ExternalId": made["external_id"]}},
        )
        simulator.put_role(TENANT, "measured", policy(us), EVERYTHING)
        service.do("binding", "activate", "acme/main")
        wrapped = service.do("key", "generate", "acme", "--context", "branch=main")["wrapped_key"]
        for _ in range(3):
            service.do("key", "unwrap", "acme", wrapped, "--context", "branch=main", "--reveal")
        assert service.run("key", "unwrap", "acme", wrapped, "--context", "branch=other", "--reveal").code != 0
        simulator.put_role(TENANT, "measured", policy(), EVERYTHING)
        service.run("tenant", "reprove", "acme")
        assert service.run("key", "generate", "acme", "--context", "branch=main").code != 0
        status, kind, text = get(port, "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert get(port, "/readyz")[0] == get(port, "/livez")[0] == 200
        return text
    finally:
        service.server.stop()


@pytest.fixture(scope="module")
def families(metrics: str) -> list[Metric]:
    return list(text_string_to_metric_families(metrics))


def test_each_metric_is_described_once(metrics: str, families: list[Metric]) -> None:
    assert len(families) >= 15
    for kind in ("HELP", "TYPE"):
        described = re.findall(rf"^# {kind} (\S+) ", metrics, re.MULTILINE)
        assert len(described) == len(set(described)) == len(families)
    for family in families:
        assert METRIC.fullmatch(family.name), family.name
        assert family.documentation, f"{family.name} is not described"
        assert family.type in ("counter", "gauge", "histogram"), f"{family.name} is {family.type}"
        assert family.samples, f"{family.name} has no samples"


def test_samples_are_named_as_their_metric_and_never_twice(families: list[Metric]) -> None:
    seen = set()
    suffixes = {"counter": {"_total"}, "gauge": {""}, "histogram": {"_bucket", "_sum", "_count"}}
    for family in families:
        for sample in family.samples:
            assert sample.name.removeprefix(family.name) in suffixes[family.type], sample
            assert all(LABEL.fullmatch(label) for label in sample.labels), sample
            series = (sample.name, *sorted(sample.labels.items()))
            assert series not in seen, f"{series} is there twice"
            seen.add(series)
            assert not math.isnan(sample.value) and sample.value >= 0, sample


def test_buckets_add_up(families: list[Metric]) -> None:
    histograms = [family for family in families if family.type == "histogram"]
    assert histograms
    for family in histograms:
        buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        counts = {}
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            of = tuple(sorted(labels.items()))
            if sample.name.endswith("_bucket"):
                buckets.setdefault(of, []).append((float(sample.labels["le"]), sample.value))
            elif sample.name.endswith("_count"):
                counts[of] = sample.value
        assert buckets.keys() == counts.keys()
        for of, rising in buckets.items():
            assert rising == sorted(rising), f"{family.name} {of}: {rising}"
            assert [count for _, count in rising] == sorted(count for _, count in rising)
            assert rising[-1] == (math.inf, counts[of])


def test_what_happened_was_counted(families: list[Metric]) -> None:
    def total(name: str, **labels: str) -> float:
        matches: Callable[[dict[str, str]], bool] = lambda of: labels.items() <= of.items()
        samples = [sample for family in families for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name == name and matches(sample.labels))

    assert total("leasehold_operations_total", operation="UnwrapKey", outcome="served") == 3
    assert total("leasehold_operations_total", operation="CreateTenant") == 1
    assert total("leasehold_operations_total", reason="BINDING_DENIED") >= 1
    assert total("leasehold_leases", cloud="aws", state="denied") == 1
    assert total("leasehold_arena_capacity_keys") > 0


def test_metrics_name_nobody(metrics: str) -> None:
    for name in ("acme", "tenants/", TENANT, PLATFORM, "arn:aws"):
        assert name not in metrics
