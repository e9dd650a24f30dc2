"""Official clients and independent servers against the simulator and the service, all on loopback.

Each server is started once, and each test builds the users, roles and keys that it needs
under names of its own.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure_cloud import Azure, Tenant, redirect
from google_cloud import Google, keep_on_this_machine
from google_cloud import Tenant as GoogleTenant
from servers import start_ministack, start_moto, start_simulator
from targets import (
    EVERYTHING,
    PLATFORM,
    TENANT,
    Credentials,
    MiniStack,
    Moto,
    Simulator,
    allow,
    client,
    policy,
)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    server, control = start_simulator(tmp_path_factory.mktemp("cloudsim"))
    try:
        yield Simulator(control)
    finally:
        server.stop()


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    server, endpoint = start_ministack(tmp_path_factory.mktemp("ministack"))
    try:
        yield MiniStack(endpoint)
    finally:
        server.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    server, endpoint = start_moto(tmp_path_factory.mktemp("moto"), TENANT)
    try:
        yield Moto(endpoint)
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def no_ambient_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Clients find what a test gives them and nothing of the machine's."""
    theirs = ("AWS_", "AZURE_", "IDENTITY_", "MSI_", "GOOGLE_", "GCE_", "CLOUDSDK_")
    for name in [name for name in os.environ if name.startswith(theirs)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))


_numbers = itertools.count(1)


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Names that no other test has."""
    return lambda prefix: f"{prefix}-{next(_numbers)}"


@pytest.fixture
def platform(simulator: Simulator, unique: Callable[[str], str]) -> Credentials:
    """A user of the platform's account that may do whatever others let it do."""
    return simulator.put_user(PLATFORM, unique("platform"), EVERYTHING)


@pytest.fixture
def admin(simulator: Simulator, unique: Callable[[str], str]) -> Credentials:
    """A user of the tenant's account that may do everything in it."""
    return simulator.put_user(TENANT, unique("admin"), EVERYTHING)


@pytest.fixture
def kms(simulator: Simulator, admin: Credentials) -> Any:
    """KMS as the tenant's administrator."""
    return client("kms", simulator.endpoint, admin)


@pytest.fixture
def key(simulator: Simulator) -> str:
    """A key whose policy leaves the decision to the tenant's identity policies."""
    return simulator.put_key(TENANT, policy(allow("kms:*", Principal={"AWS": f"arn:aws:iam::{TENANT}:root"})))


@pytest.fixture
def trusting_role(simulator: Simulator, unique: Callable[[str], str]) -> str:
    """A role of the tenant's that trusts the platform's account and may use all keys."""
    trust = policy(
        allow(
            "sts:AssumeRole",
            "sts:TagSession",
            "sts:SetSourceIdentity",
            resource=None,
            Principal={"AWS": f"arn:aws:iam::{PLATFORM}:root"},
        )
    )
    return simulator.put_role(TENANT, unique("trusting"), trust, EVERYTHING)


@pytest.fixture(scope="session")
def azure_world(simulator: Simulator) -> Azure:
    """The platform's directory, application and managed identity."""
    return Azure(simulator)


@pytest.fixture
def azure(azure_world: Azure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Azure:
    """The simulated Azure, where the cloud's own names lead to for as long as a test runs."""
    redirect(azure_world.simulator, monkeypatch, tmp_path)
    return azure_world


@pytest.fixture
def vault_name() -> str:
    """A name that no other vault has."""
    return f"v-{uuid.uuid4().hex[:20]}"


@pytest.fixture
def tenant(azure: Azure) -> Tenant:
    """A tenant that has let nobody in."""
    return azure.tenant(f"v-{uuid.uuid4().hex[:20]}")


@pytest.fixture(scope="session")
def google(simulator: Simulator) -> Iterator[Google]:
    """The platform's project, its service account and its workload identity pool."""
    # For as long as there are tests: what the library does in the background outlives each of them.
    with pytest.MonkeyPatch.context() as monkeypatch:
        keep_on_this_machine(monkeypatch)
        yield Google(simulator)


@pytest.fixture
def project() -> str:
    """An id that no other project has."""
    return f"p-{uuid.uuid4().hex[:20]}"


@pytest.fixture
def customer(google: Google, project: str) -> GoogleTenant:
    """A tenant on Google Cloud that has let nobody in."""
    return google.tenant(project)
