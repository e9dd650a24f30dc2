"""The simulated Azure under the cloud's own names, and tenants in it that are made for one test each."""

from __future__ import annotations

import base64
import json
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
import urllib3.util.connection
from azure.core.credentials import TokenCredential
from azure.keyvault.keys import KeyClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from targets import Simulator

SCOPE = "https://vault.azure.net/.default"
EXCHANGE = "api://AzureADTokenExchange"
CLOUD_HOSTS = ("login.microsoftonline.com", ".vault.azure.net")
CRYPTO_SERVICE_ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
ADMINISTRATOR = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
# One attempt: a test has to see what the server answered, not what a retry made of it.
ONCE = {"retry_total": 0}


@dataclass(frozen=True)
class Tenant:
    """A directory with a vault and a key in it."""

    directory: str
    subscription: str
    vault: str
    key: str

    @property
    def scope(self) -> str:
        """The key's resource id."""
        group = f"/subscriptions/{self.subscription}/resourceGroups/keys"
        return f"{group}/providers/Microsoft.KeyVault/vaults/{self.vault}/keys/main"


class Azure:
    """The simulator, furnished through the part of its control API about Azure."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        scenario = self.call("POST", "/scenario", {"tenants": []})
        self.home = scenario["directory"]
        self.app = scenario["client_id"]
        self.secret = scenario["client_secret"]
        self.identity = scenario["managed_identity"]

    def call(self, method: str, path: str, *body: Any, **query: str) -> Any:
        """A request to the control API."""
        return self.simulator.call(method, f"/azure{path}", *body, **query)

    def tenant(self, vault: str) -> Tenant:
        """A tenant that has let nobody in."""
        directory = str(uuid.uuid4())
        made = self.call("PUT", f"/directories/{directory}", {"name": vault})
        self.call("PUT", f"/vaults/{vault}", {"directory": directory})
        key = self.call("POST", "/keys", {"vault": vault, "name": "main"})["key"]
        return Tenant(directory, made["subscription"], vault, key)

    def consent(self, tenant: Tenant, app: str | None = None) -> str:
        """Lets an application into a tenant's directory; gives its principal."""
        path = f"/directories/{tenant.directory}/principals/{app or self.app}"
        return self.call("PUT", path)["object_id"]

    def assign(self, tenant: Tenant, principal: str, role: str, scope: str | None = None) -> str:
        """Assigns a role, at the tenant's key unless told otherwise."""
        definition = f"/providers/Microsoft.Authorization/roleDefinitions/{role}"
        properties = {
            "roleDefinitionId": definition,
            "principalId": principal,
            "principalType": "ServicePrincipal",
        }
        body = {"properties": properties, "scope": scope or tenant.scope}
        return self.call("POST", "/role-assignments", body)["name"]

    def edit(self, kind: str, **what: str) -> Callable[[], Any]:
        """Makes an edit; gives what undoes it."""
        made = self.call("POST", "/edits", {"kind": kind} | what)
        return lambda: self.call("DELETE", f"/edits/{made['id']}")


def redirect(simulator: Simulator, monkeypatch: Any, directory: Any) -> None:
    """Has connections to the cloud's names go to the simulator, which official clients then trust."""
    address = urllib.parse.urlsplit(simulator.endpoints["azure"])
    connect = urllib3.util.connection.create_connection

    def redirected(wanted: tuple[str, int], *rest: Any, **more: Any) -> Any:
        if wanted[0].endswith(CLOUD_HOSTS):
            wanted = (address.hostname, address.port)
        return connect(wanted, *rest, **more)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", redirected)
    authority = directory / "authority.pem"
    authority.write_text(simulator.endpoints["azure_ca"])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))


def key_client(tenant: Tenant, credential: TokenCredential) -> KeyClient:
    """A client of a tenant's vault that tries everything once."""
    return KeyClient(f"https://{tenant.vault}.vault.azure.net", credential, **ONCE)


def post(credential: TokenCredential, url: str, body: dict[str, Any]) -> requests.Response:
    """A bare request to a vault, for what the official client does by itself without asking."""
    token = credential.get_token(SCOPE).token
    headers = {"Authorization": f"Bearer {token}"}
    return requests.post(f"{url}?api-version=7.6", json=body, headers=headers, timeout=10)


def encoded(value: bytes) -> str:
    """Base64url without padding, as Key Vault writes bytes."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def claims(token: str) -> dict[str, Any]:
    """What a token says, unchecked."""
    return json.loads(decoded(token.split(".")[1]))


def certificate() -> tuple[bytes, str]:
    """A new certificate with its key, in PEM, and the certificate alone."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leasehold")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    return private + public, public.decode()
