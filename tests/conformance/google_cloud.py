"""The simulated Google Cloud, where official clients are told to go, and tenants in it that are made for one test each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import urllib3.util.connection
from google.auth import impersonated_credentials
from google.auth.credentials import Credentials
from google.auth.transport.requests import Request
from google.cloud import kms
from google.oauth2 import service_account
from targets import Simulator

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LOCATION = "europe-west3"
TOKEN_CREATOR = "roles/iam.serviceAccountTokenCreator"
KEY_USER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
KEY_VIEWER = "roles/cloudkms.viewer"


@dataclass(frozen=True)
class Tenant:
    """A project with a key, and the service account that may be impersonated to use it."""

    project: str
    service_account: str
    key: str


class Google:
    """The simulator, furnished through the part of its control API about Google Cloud."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.endpoint = simulator.endpoints["gcp"]
        scenario = self.call("POST", "/scenario", {"tenants": []})
        self.base = scenario["base"]
        self.key_file = json.loads(scenario["service_account_key"])
        self.provider = scenario["provider"]
        self.issuer = scenario["issuer"]
        self.subject = scenario["subject"]

    def call(self, method: str, path: str, *body: Any, **query: str) -> Any:
        """A request to the control API."""
        return self.simulator.call(method, f"/gcp{path}", *body, **query)

    def tenant(self, project: str) -> Tenant:
        """A tenant that has let nobody in."""
        self.call("PUT", f"/projects/{project}")
        account = self.service_account(project, "leasehold-access")
        key = f"projects/{project}/locations/{LOCATION}/keyRings/ring/cryptoKeys/main"
        self.call("POST", "/keys", {"name": key})
        return Tenant(project, account, key)

    def service_account(self, project: str, name: str) -> str:
        """Makes a service account."""
        email = f"{name}@{project}.iam.gserviceaccount.com"
        self.call("PUT", "/service-accounts", service_account=email)
        return email

    def grant(self, role: str, to: str, **place: str) -> None:
        """Gives a service account a role on a place, such as `key=` or `service_account=`."""
        self.call("POST", "/policies/grant", {"role": role, "member": f"serviceAccount:{to}"}, **place)

    def let_in(self, tenant: Tenant) -> None:
        """Does what a tenant does to let the platform in."""
        self.grant(TOKEN_CREATOR, self.base, service_account=tenant.service_account)
        for role in (KEY_USER, KEY_VIEWER):
            self.grant(role, tenant.service_account, key=tenant.key)

    def edit(self, kind: str, **what: Any) -> Callable[[], Any]:
        """Makes an edit; gives what undoes it."""
        made = self.call("POST", "/edits", {"kind": kind} | what)
        return lambda: self.call("DELETE", f"/edits/{made['id']}")

    def key_of(self, email: str) -> dict[str, Any]:
        """A new key file of a service account."""
        return json.loads(self.call("POST", "/service-accounts/keys", service_account=email)["file"])

    def holder(self, key_file: dict[str, Any] | None = None) -> service_account.Credentials:
        """The holder of a key file, the platform's own unless told otherwise."""
        file = key_file or self.key_file
        return service_account.Credentials.from_service_account_info(file, scopes=[SCOPE])

    def become(
        self,
        target: str,
        delegates: list[str] | None = None,
        source: Credentials | None = None,
        lifetime: int = 3600,
    ) -> impersonated_credentials.Credentials:
        """A service account, impersonated by the platform's own unless told otherwise."""
        endpoint = f"{self.endpoint}/v1/projects/-/serviceAccounts/{target}:generateAccessToken"
        return impersonated_credentials.Credentials(
            source_credentials=source or self.holder(),
            target_principal=target,
            target_scopes=[SCOPE],
            delegates=delegates,
            lifetime=lifetime,
            iam_endpoint_override=endpoint,
        )

    def kms(self, credentials: Credentials) -> kms.KeyManagementServiceClient:
        """The official client of Cloud KMS."""
        options = {"api_endpoint": self.endpoint}
        return kms.KeyManagementServiceClient(
            credentials=credentials, transport="rest", client_options=options
        )

    def faulty(self, **what: Any) -> Callable[[], Any]:
        """Injects a fault; gives what clears it."""
        made = self.simulator.call("POST", "/faults", what)
        return lambda: self.simulator.call("DELETE", f"/faults/{made['id']}")


def keep_on_this_machine(monkeypatch: Any) -> None:
    """Refuses connections to Google's own names, which its library makes in the background whatever it is told."""
    connect = urllib3.util.connection.create_connection

    def kept(wanted: tuple[str, int], *rest: Any, **more: Any) -> Any:
        if wanted[0].endswith((".googleapis.com", ".google.internal")):
            raise ConnectionRefusedError(f"{wanted[0]} is not on this machine")
        return connect(wanted, *rest, **more)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", kept)


def refreshed(credentials: Credentials) -> str:
    """A fresh token."""
    credentials.refresh(Request())
    return credentials.token
