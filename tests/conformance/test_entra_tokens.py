"""azure-identity gets its tokens from the simulator, and shows what the simulator refuses as Entra ID's refusals."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)
from azure_cloud import EXCHANGE, ONCE, SCOPE, Azure, Tenant, certificate, claims


@pytest.fixture
def consented(azure: Azure, tenant: Tenant) -> Tenant:
    """The tenant has let the platform's application in."""
    azure.consent(tenant)
    return tenant


@pytest.fixture
def instance(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process runs on the simulated virtual machine."""
    endpoint = azure.simulator.endpoints["azure_identity"]
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint)


@pytest.fixture
def app_service(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process runs on the simulated App Service."""
    endpoints = azure.simulator.endpoints
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{endpoints['azure_identity']}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", endpoints["azure_identity_header"])


def with_secret(azure: Azure, directory: str, **changed: str) -> ClientSecretCredential:
    given = {"client_id": azure.app, "client_secret": azure.secret} | changed
    return ClientSecretCredential(directory, **given, **ONCE)


def refusal(credential: Any, scope: str = SCOPE) -> str:
    """The message of the refusal that the client raises."""
    with pytest.raises(ClientAuthenticationError) as refused:
        credential.get_token(scope)
    return refused.value.message


def test_a_secret_gets_a_token_for_the_tenants_directory(azure: Azure, consented: Tenant) -> None:
    token = with_secret(azure, consented.directory).get_token(SCOPE)
    said = claims(token.token)
    assert (said["tid"], said["appid"]) == (consented.directory, azure.app)
    assert said["aud"] == "https://vault.azure.net"
    assert 3500 < token.expires_on - time.time() < 3700


def test_a_domain_names_a_directory(azure: Azure) -> None:
    directory, domain = str(uuid.uuid4()), f"d-{uuid.uuid4().hex}.onmicrosoft.com"
    azure.call("PUT", f"/directories/{directory}", {"name": "Domain", "domains": [domain]})
    azure.call("PUT", f"/directories/{directory}/principals/{azure.app}")
    token = with_secret(azure, domain).get_token(SCOPE)
    assert claims(token.token)["tid"] == directory


def test_a_wrong_secret_is_refused(azure: Azure, consented: Tenant) -> None:
    assert "AADSTS7000215" in refusal(with_secret(azure, consented.directory, client_secret="wrong"))


def test_an_expired_secret_is_refused(azure: Azure, consented: Tenant) -> None:
    undo = azure.edit("expire_secret", app=azure.app)
    try:
        assert "AADSTS7000222" in refusal(with_secret(azure, consented.directory))
    finally:
        undo()


def test_an_application_without_consent_is_not_found(azure: Azure, tenant: Tenant) -> None:
    assert "AADSTS700016" in refusal(with_secret(azure, tenant.directory))


def test_a_directory_that_does_not_exist_is_not_found(azure: Azure) -> None:
    # The client asks for the directory's endpoints first, is told there, and says so in its own words.
    directory = str(uuid.uuid4())
    with pytest.raises(ClientAuthenticationError, match="double check your tenant name or GUID"):
        with_secret(azure, directory).get_token(SCOPE)
    asked = azure.simulator.calls(account=directory)
    assert [(call["operation"], call["error_code"]) for call in asked] == [
        ("OpenIdConfiguration", "AADSTS90002")
    ]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("disable_service_principal", "AADSTS7000112"),
        ("conditional_access_block", "AADSTS53003"),
        ("remove_consent", "AADSTS700016"),
    ],
)
def test_what_the_administrator_does_to_the_principal_is_felt(
    azure: Azure, consented: Tenant, kind: str, code: str
) -> None:
    undo = azure.edit(kind, directory=consented.directory, app=azure.app)
    assert code in refusal(with_secret(azure, consented.directory))
    undo()
    with_secret(azure, consented.directory).get_token(SCOPE)


def test_an_unknown_resource_is_refused(azure: Azure, consented: Tenant) -> None:
    credential = with_secret(azure, consented.directory)
    assert "AADSTS500011" in refusal(credential, "https://unknown.example/.default")


def test_throttling_is_told_with_the_time_to_wait(azure: Azure, consented: Tenant) -> None:
    credential = with_secret(azure, consented.directory)
    fault = {"match": {"service": "entra", "operation": "Token"}, "effect": {"kind": "throttle"}}
    made = azure.simulator.call("POST", "/faults", fault)
    try:
        with pytest.raises(HttpResponseError) as refused:
            credential.get_token(SCOPE)
    finally:
        azure.simulator.call("DELETE", f"/faults/{made['id']}")
    assert refused.value.response is None or refused.value.response.status_code == 429
    assert "AADSTS90055" in str(refused.value)


@pytest.mark.parametrize("chain", [False, True])
def test_a_registered_certificate_signs_for_the_application(
    azure: Azure, consented: Tenant, chain: bool
) -> None:
    pem, public = certificate()
    credential = CertificateCredential(
        consented.directory, azure.app, certificate_data=pem, send_certificate_chain=chain, **ONCE
    )
    assert "AADSTS700027" in refusal(credential)
    azure.call("POST", f"/apps/{azure.app}/certificates", {"pem": public})
    assert claims(credential.get_token(SCOPE).token)["appidacr"] == "2"


def test_a_managed_identity_stands_in_for_a_secret(
    azure: Azure, consented: Tenant, instance: None
) -> None:
    machine = ManagedIdentityCredential(**ONCE)
    credential = ClientAssertionCredential(
        consented.directory, azure.app, lambda: machine.get_token(f"{EXCHANGE}/.default").token, **ONCE
    )
    assert claims(credential.get_token(SCOPE).token)["tid"] == consented.directory


@pytest.fixture
def issuer(azure: Azure) -> Iterator[str]:
    """A cluster's issuer that the platform's application trusts for one service account."""
    url = f"https://oidc.example.test/{uuid.uuid4()}"
    keys = azure.simulator.call("PUT", "/aws/issuers", {"issuer": url})["jwks"]
    credential = {"name": url, "issuer": url, "subject": "account", "audiences": [EXCHANGE], "jwks": keys}
    azure.call("PUT", f"/apps/{azure.app}/federated-credentials", credential)
    yield url


def assertion(azure: Azure, issuer: str, **changed: Any) -> str:
    said = {"sub": "account", "aud": EXCHANGE} | changed
    body = {"issuer": issuer, "algorithm": "RS256", "claims": said}
    return azure.simulator.call("POST", "/aws/issuers/tokens", body)["token"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, None),
        ({"sub": "another"}, "AADSTS700213"),
        ({"aud": "api://another"}, "AADSTS700212"),
        ({"iss": "https://another.example.test"}, "AADSTS700211"),
        ({"exp": 1_000_000_000}, "AADSTS700024"),
        ({"nbf": 4_000_000_000}, "AADSTS700024"),
    ],
)
def test_a_clusters_assertion_is_checked_claim_by_claim(
    azure: Azure, consented: Tenant, issuer: str, changed: dict[str, Any], code: str | None
) -> None:
    token = assertion(azure, issuer, **changed)
    credential = ClientAssertionCredential(consented.directory, azure.app, lambda: token, **ONCE)
    if code:
        assert code in refusal(credential)
    else:
        credential.get_token(SCOPE)


def test_a_machine_gets_tokens_of_its_identity(azure: Azure, instance: None) -> None:
    for named in ({}, {"client_id": azure.identity}):
        said = claims(ManagedIdentityCredential(**named, **ONCE).get_token(SCOPE).token)
        assert (said["tid"], said["appid"]) == (azure.home, azure.identity)


def test_an_app_service_gets_tokens_of_its_identity(azure: Azure, app_service: None) -> None:
    token = ManagedIdentityCredential(**ONCE).get_token(SCOPE)
    assert claims(token.token)["appid"] == azure.identity
    assert token.expires_on - time.time() > 22 * 3600


def test_a_machine_has_no_identity_that_was_not_assigned(azure: Azure, instance: None) -> None:
    unknown = ManagedIdentityCredential(client_id=str(uuid.uuid4()), **ONCE)
    with pytest.raises(ClientAuthenticationError, match="Identity not found|not been assigned"):
        unknown.get_token(SCOPE)
