"""The onboarding kits of Azure and Google Cloud, whose Terraform is parsed as Terraform does."""

from __future__ import annotations

import http.server
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
from azure_cloud import Azure
from service import Service


class Metadata(http.server.BaseHTTPRequestHandler):
    """As much of Google's metadata server as it takes to be somebody."""

    def do_GET(self) -> None:
        token = {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"}
        account = "leasehold@our-platform.iam.gserviceaccount.com"
        body = account if self.path.endswith("/email") else json.dumps(token)
        self.send_response(200)
        self.send_header("Metadata-Flavor", "Google")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def metadata() -> Iterator[str]:
    """Where a metadata server is."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def on_azure(azure: Azure, directory: Path) -> dict[str, str]:
    """What has the service use the simulated Azure, with its application's secret."""
    endpoints = azure.simulator.endpoints
    authority, secret = directory / "authority.pem", directory / "secret"
    authority.write_text(endpoints["azure_ca"])
    secret.write_text(azure.secret)
    here = "LEASEHOLD__PROVIDERS__AZURE__"
    return {
        f"{here}CLIENT_ID": azure.app,
        f"{here}DIRECTORY_ID": azure.home,
        f"{here}IDENTITY__SECRET__FILE": str(secret),
        f"{here}EXTRA_ROOT_CAS": f'["{authority}"]',
        f"{here}ENDPOINTS__ENTRA": endpoints["azure"],
        f"{here}ENDPOINTS__KEY_VAULT": endpoints["azure"],
    }


@pytest.fixture(scope="module")
def service(
    metadata: str, azure_world: Azure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("leasehold")
    google = {
        "LEASEHOLD__PROVIDERS__GCP__IDENTITY": "metadata",
        "LEASEHOLD__PROVIDERS__GCP__ENDPOINTS__METADATA": metadata,
    }
    clouds = google | on_azure(azure_world, directory)
    started = Service(os.environ["LEASEHOLD_BIN"], clouds, directory)
    try:
        started.server.wait_until(started.listens)
        yield started
    finally:
        started.server.stop()


@pytest.fixture
def terraform(service: Service, unique: Callable[[str], str]) -> Callable[..., tuple[str, dict[str, Any]]]:
    """The Terraform of the kit for a binding that is made with these arguments, as text and parsed."""

    def of(*arguments: str) -> tuple[str, dict[str, Any]]:
        binding = f"{unique('terraform')}/main"
        service.do("tenant", "create", binding.split("/")[0])
        service.do("binding", "create", binding, *arguments)
        sections = service.do("binding", "kit", binding)["sections"]
        [text] = [section["body"] for section in sections if section["format"] == "hcl"]
        return text, hcl2.loads(text)

    return of


def kinds(parsed: dict[str, Any]) -> list[str]:
    """The types of the resources, some of which come several times."""
    return sorted(kind.strip('"') for resource in parsed["resource"] for kind in resource)


def refers_to_what_is_there(text: str) -> bool:
    """Whether every resource that is referred to is declared."""
    declared = set(re.findall(r'(?:resource|data) "(\w+)" "(\w+)"', text))
    return set(re.findall(r"\b(\w+)\.(leasehold\w*)\b", text)) <= declared


GOOGLE_KEY = "projects/{}/locations/europe-west3/keyRings/main/cryptoKeys/leasehold"
ACCOUNT = "leasehold-access@initech-identities.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("project", "delegates", "services", "roles"),
    [
        ("initech-identities", [], 1, 2),
        ("initech-keys", [], 2, 2),
        ("initech-keys", ["hop-one@initech-hops.iam.gserviceaccount.com"], 2, 3),
    ],
    ids=["one-project", "two-projects", "a-chain"],
)
def test_google_clouds_is_valid_and_switches_on_grants_and_labels(
    terraform: Callable[..., tuple[str, dict[str, Any]]],
    project: str,
    delegates: list[str],
    services: int,
    roles: int,
) -> None:
    through = [argument for delegate in delegates for argument in ("--delegate", delegate)]
    key = GOOGLE_KEY.format(project)
    text, parsed = terraform("gcp", "--kms-key", key, "--service-account", ACCOUNT, *through)
    assert refers_to_what_is_there(text)
    hops = len(delegates) + 1
    assert kinds(parsed) == sorted(
        ["google_project_service"] * services
        + ["google_project_iam_custom_role"] * roles
        + ["google_service_account_iam_member"] * hops
        + ["google_kms_crypto_key_iam_member", "google_kms_crypto_key"]
    )


def test_azures_is_valid_consents_and_assigns_and_leaves_the_key_to_its_owner(
    terraform: Callable[..., tuple[str, dict[str, Any]]],
) -> None:
    directory = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    key = "https://initech.vault.azure.net/keys/leasehold"
    text, parsed = terraform("azure", "--key", key, "--directory", directory)
    assert refers_to_what_is_there(text)
    assert kinds(parsed) == ["azuread_service_principal", "azurerm_role_assignment"]
    assert "--tags leasehold-challenge=" in text
