"""google-auth gets its tokens from the simulator, and shows what the simulator refuses as Google's refusals."""

from __future__ import annotations

import importlib
import json
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import google.auth
import pytest
from google.api_core.exceptions import Forbidden
from google.auth import _helpers, identity_pool
from google.auth.compute_engine import _metadata
from google.auth.credentials import Credentials
from google.auth.exceptions import OAuthError, RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import id_token
from google.oauth2.credentials import Credentials as UserCredentials
from google_cloud import SCOPE, TOKEN_CREATOR, Google, Tenant, refreshed
from jwt.exceptions import InvalidAudienceError

IMPERSONATION = "iam.serviceAccounts.getAccessToken"


@pytest.fixture
def let_in(google: Google, customer: Tenant) -> Tenant:
    """The tenant has let the platform's service account become its own, and that one use its key."""
    google.let_in(customer)
    return customer


@pytest.fixture
def instance(google: Google) -> Iterator[None]:
    """This process runs on the simulated machine."""
    host = google.simulator.endpoints["gcp_metadata"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("GCE_METADATA_HOST", host)
        monkeypatch.setenv("GCE_METADATA_IP", host)
        # The library reads where the server is when it is loaded.
        importlib.reload(_metadata)
        yield
    importlib.reload(_metadata)


def refusal(credentials: Credentials) -> str:
    """What the refusal that the client raises says."""
    with pytest.raises(RefreshError) as refused:
        credentials.refresh(Request())
    return str(refused.value)


def denied(credentials: Credentials) -> dict[str, str]:
    """The details of a refusal by IAM."""
    with pytest.raises(RefreshError) as refused:
        credentials.refresh(Request())
    error = json.loads(refused.value.args[1])["error"]
    assert (error["code"], error["status"]) == (403, "PERMISSION_DENIED")
    [info] = [detail for detail in error["details"] if detail["@type"].endswith("ErrorInfo")]
    assert (info["reason"], info["domain"]) == ("IAM_PERMISSION_DENIED", "iam.googleapis.com")
    return info["metadata"]


def seconds_left(credentials: Credentials) -> float:
    return (credentials.expiry - _helpers.utcnow()).total_seconds()


# === becoming a service account ===


def test_a_tenants_service_account_is_become_for_an_hour(google: Google, let_in: Tenant) -> None:
    session = google.become(let_in.service_account)
    assert refreshed(session)
    assert 3500 < seconds_left(session) <= 3600
    assert google.kms(session).get_crypto_key(name=let_in.key).name == let_in.key


def test_without_the_grant_nobody_becomes_it(google: Google, customer: Tenant) -> None:
    assert denied(google.become(customer.service_account))["permission"] == IMPERSONATION


def test_what_does_not_exist_is_not_found(google: Google, customer: Tenant) -> None:
    missing = google.become(f"missing-account@{customer.project}.iam.gserviceaccount.com")
    assert "NOT_FOUND" in refusal(missing)


def test_a_grant_taken_back_ends_new_tokens_alone(google: Google, let_in: Tenant) -> None:
    session = google.become(let_in.service_account)
    refreshed(session)
    member = f"serviceAccount:{google.base}"
    undo = google.edit("remove_token_creator", service_account=let_in.service_account, member=member)
    denied(google.become(let_in.service_account))
    assert google.kms(session).get_crypto_key(name=let_in.key).name == let_in.key
    undo()
    refreshed(google.become(let_in.service_account))


def test_a_disabled_service_account_ends_tokens_that_were_issued(google: Google, let_in: Tenant) -> None:
    session = google.become(let_in.service_account)
    refreshed(session)
    undo = google.edit("disable_service_account", service_account=let_in.service_account)
    assert "FAILED_PRECONDITION" in refusal(google.become(let_in.service_account))
    # The client tries to get another token when one is refused.
    with pytest.raises(RefreshError, match="FAILED_PRECONDITION"):
        google.kms(session).get_crypto_key(name=let_in.key)
    undo()
    refreshed(google.become(let_in.service_account))


@pytest.mark.parametrize(
    ("lifetime", "extended", "fits"), [(3601, False, False), (43200, True, True), (43201, True, False)]
)
def test_a_token_lives_as_long_as_its_organisation_lets_it(
    google: Google, let_in: Tenant, lifetime: int, extended: bool, fits: bool
) -> None:
    account = let_in.service_account
    google.call("PUT", "/service-accounts/lifetime-extended", extended, service_account=account)
    session = google.become(account, lifetime=lifetime)
    if fits:
        refreshed(session)
        assert lifetime - 100 < seconds_left(session) <= lifetime
    else:
        assert "INVALID_ARGUMENT" in refusal(session)


def test_a_chain_of_delegates_needs_every_link(google: Google, let_in: Tenant) -> None:
    links = [google.service_account(let_in.project, name) for name in ("first-hop", "second-hop")]
    chain = [google.base, *links, let_in.service_account]
    # Out of the account's policy goes the platform: only the chain leads there.
    google.call("PUT", "/policies", {"bindings": []}, service_account=let_in.service_account)
    granted = []
    for trusted, trusting in pairwise(chain):
        metadata = denied(google.become(let_in.service_account, delegates=links))
        granted.append(metadata["permission"])
        google.grant(TOKEN_CREATOR, trusted, service_account=trusting)
    delegation = "iam.serviceAccounts.implicitDelegation"
    assert granted == [delegation, delegation, IMPERSONATION]
    session = google.become(let_in.service_account, delegates=links)
    assert google.kms(session).get_crypto_key(name=let_in.key).name == let_in.key
    denied(google.become(let_in.service_account))
    denied(google.become(let_in.service_account, delegates=links[::-1]))
    last = google.simulator.calls(account=let_in.project, operation="GenerateAccessToken")[-3]
    assert [account in last["parameters"]["delegates"] for account in links] == [True, True]


def test_a_deny_policy_outweighs_a_grant(google: Google, let_in: Tenant) -> None:
    permission = "iam.googleapis.com/serviceAccounts.getAccessToken"
    undo = google.edit("deny", project=let_in.project, permissions=[permission])
    denied(google.become(let_in.service_account))
    undo()
    refreshed(google.become(let_in.service_account))


# === service-account keys ===


def test_a_key_file_gets_tokens_until_it_is_deleted(google: Google, customer: Tenant) -> None:
    file = google.key_of(customer.service_account)
    assert refreshed(google.holder(file))
    path = {"service_account": customer.service_account, "id": file["private_key_id"]}
    google.call("DELETE", "/service-accounts/keys", **path)
    assert "invalid_grant: Invalid JWT Signature." in refusal(google.holder(file))


def test_the_key_of_a_disabled_service_account_gets_nothing(google: Google, customer: Tenant) -> None:
    file = google.key_of(customer.service_account)
    undo = google.edit("disable_service_account", service_account=customer.service_account)
    assert "invalid_grant: Account disabled" in refusal(google.holder(file))
    undo()
    refreshed(google.holder(file))


def test_a_key_file_needs_no_token_endpoint(google: Google, let_in: Tenant) -> None:
    file = google.key_of(let_in.service_account)
    before = len(google.simulator.calls(service="gcp_oauth"))
    # The client of Cloud KMS signs its tokens itself.
    client = google.kms(google.holder(file | {"token_uri": "http://127.0.0.1:1/token"}))
    assert client.get_crypto_key(name=let_in.key).name == let_in.key
    assert len(google.simulator.calls(service="gcp_oauth")) == before


# === the metadata server ===


def test_a_machine_finds_its_own_identity(google: Google, instance: None) -> None:
    credentials, project = google_default()
    assert refreshed(credentials)
    assert (credentials.service_account_email, project) == (
        google.base,
        google.base.split("@")[1].split(".")[0],
    )


def test_a_machine_becomes_a_tenants_service_account(google: Google, instance: None, let_in: Tenant) -> None:
    machine, _ = google_default()
    session = google.become(let_in.service_account, source=machine)
    assert google.kms(session).get_crypto_key(name=let_in.key).name == let_in.key
    [became] = google.simulator.calls(account=let_in.project, operation="GenerateAccessToken")
    assert became["caller_role"] == google.base


def test_a_machines_identity_token_is_verified_by_googles_keys(google: Google, instance: None) -> None:
    token = id_token.fetch_id_token(Request(), "https://leasehold.example")
    certificates = f"{google.endpoint}/oauth2/v3/certs"
    said = id_token.verify_token(token, Request(), "https://leasehold.example", certs_url=certificates)
    assert (said["iss"], said["email"]) == ("https://accounts.google.com", google.base)
    with pytest.raises(InvalidAudienceError):
        id_token.verify_token(token, Request(), "https://another.example", certs_url=certificates)


def google_default() -> tuple[Credentials, str | None]:
    return google.auth.default(scopes=[SCOPE])


# === workload identity federation ===


@pytest.fixture
def federated(google: Google, tmp_path: Path) -> Callable[..., identity_pool.Credentials]:
    """Credentials of a workload of the platform's cluster, with some claims changed, as a credential file describes them."""

    def credentials(become: str | None = None, **changed: Any) -> identity_pool.Credentials:
        audience = f"//iam.googleapis.com/{google.provider}"
        said = {"sub": google.subject, "aud": audience} | changed
        body = {"issuer": google.issuer, "algorithm": "RS256", "claims": said}
        token = tmp_path / f"token-{uuid.uuid4()}"
        token.write_text(google.call("POST", "/issuers/tokens", body)["token"])
        file = {
            "type": "external_account",
            "audience": audience,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{google.endpoint}/v1/token",
            "credential_source": {"file": str(token)},
        }
        if become:
            account = f"{google.endpoint}/v1/projects/-/serviceAccounts/{become}"
            file["service_account_impersonation_url"] = f"{account}:generateAccessToken"
        path = tmp_path / f"credentials-{uuid.uuid4()}.json"
        path.write_text(json.dumps(file))
        return identity_pool.Credentials.from_file(str(path), scopes=[SCOPE])

    return credentials


def test_a_clusters_token_is_exchanged(google: Google, let_in: Tenant, federated: Callable[..., Any]) -> None:
    direct = federated()
    assert refreshed(direct)
    with pytest.raises(Forbidden):
        google.kms(direct).get_crypto_key(name=let_in.key)
    pool = google.provider.split("/providers/")[0]
    workload = f"principal://iam.googleapis.com/{pool}/subject/{google.subject}"
    body = {"role": "roles/cloudkms.viewer", "member": workload}
    google.call("POST", "/policies/grant", body, key=let_in.key)
    assert google.kms(direct).get_crypto_key(name=let_in.key).name == let_in.key


def test_a_workload_becomes_the_platforms_account_and_then_a_tenants(
    google: Google, let_in: Tenant, federated: Callable[..., Any]
) -> None:
    session = google.become(let_in.service_account, source=federated(become=google.base))
    assert google.kms(session).get_crypto_key(name=let_in.key).name == let_in.key


def test_another_workload_becomes_nobody(google: Google, federated: Callable[..., Any]) -> None:
    other = federated(become=google.base, sub="system:serviceaccount:other:other")
    assert IMPERSONATION in refusal(other)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"aud": "//iam.googleapis.com/another"}, "invalid_grant"),
        ({"iss": "https://another.example"}, "invalid_grant"),
        ({"exp": 1_000_000_000}, "invalid_grant"),
        ({"iat": 4_000_000_000, "exp": 4_000_003_600}, "invalid_grant"),
        ({"sub": ""}, "invalid_grant"),
    ],
)
def test_a_clusters_token_is_checked_claim_by_claim(
    federated: Callable[..., Any], changed: dict[str, Any], code: str
) -> None:
    with pytest.raises(OAuthError, match=f"Error code {code}"):
        federated(**changed).refresh(Request())


def test_a_disabled_pool_exchanges_nothing(google: Google, federated: Callable[..., Any]) -> None:
    credentials, pool = federated(), google.provider.split("/providers/")[0]
    google.call("PUT", "/pools/disabled", True, pool=pool)
    try:
        with pytest.raises(OAuthError, match="Error code invalid_target"):
            credentials.refresh(Request())
    finally:
        google.call("PUT", "/pools/disabled", False, pool=pool)
    refreshed(credentials)


# === users ===


def test_a_users_login_gets_tokens(google: Google, let_in: Tenant) -> None:
    email = f"{uuid.uuid4()}@example.com"
    file = json.loads(google.call("PUT", f"/users/{email}")["file"])
    # The library has an address of its own for what is in a file.
    fields = {name: file[name] for name in ("refresh_token", "client_id", "client_secret", "token_uri")}
    credentials = UserCredentials(None, **fields)
    with pytest.raises(Forbidden):
        google.kms(credentials).get_crypto_key(name=let_in.key)
    body = {"role": "roles/cloudkms.viewer", "member": f"user:{email}"}
    google.call("POST", "/policies/grant", body, key=let_in.key)
    assert google.kms(credentials).get_crypto_key(name=let_in.key).name == let_in.key
    refused = UserCredentials(None, **(fields | {"client_secret": "wrong"}))
    assert "invalid_client" in refusal(refused)
