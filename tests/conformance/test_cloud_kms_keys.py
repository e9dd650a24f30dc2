"""google-cloud-kms encrypts and decrypts with the simulator's keys, and shows its refusals as Cloud KMS's."""

from __future__ import annotations

import os
from typing import Any

import pytest
from google.api_core.exceptions import (
    Aborted,
    BadRequest,
    Conflict,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)
from google.auth.credentials import Credentials
from google.cloud import kms
from google.iam.v1.policy_pb2 import Binding, Policy
from google_cloud import Google, Tenant
from google_crc32c import value as crc32c

DATA_KEY = os.urandom(32)
CONTEXT = b'{"branch":"main"}'
State = kms.CryptoKeyVersion.CryptoKeyVersionState


@pytest.fixture
def client(google: Google, customer: Tenant) -> kms.KeyManagementServiceClient:
    """Cloud KMS as the tenant's service account, which the platform has become."""
    google.let_in(customer)
    return google.kms(google.become(customer.service_account))


@pytest.fixture
def owner(google: Google, customer: Tenant) -> kms.KeyManagementServiceClient:
    """Cloud KMS as the tenant's own administrator."""
    email = google.service_account(customer.project, "key-owner")
    google.grant("roles/cloudkms.admin", email, project=customer.project)
    return google.kms(google.holder(google.key_of(email)))


class Bearer(Credentials):
    """A token, and no other one."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def refresh(self, request: Any) -> None:
        """There is no other one."""


def encrypt(
    client: kms.KeyManagementServiceClient, key: str, context: bytes = CONTEXT, **changed: Any
) -> kms.EncryptResponse:
    request = {
        "name": key,
        "plaintext": DATA_KEY,
        "plaintext_crc32c": crc32c(DATA_KEY),
        "additional_authenticated_data": context,
        "additional_authenticated_data_crc32c": crc32c(context),
    }
    return client.encrypt(request=request | changed, retry=None)


def decrypt(
    client: kms.KeyManagementServiceClient,
    key: str,
    ciphertext: bytes,
    context: bytes = CONTEXT,
    **changed: Any,
) -> kms.DecryptResponse:
    request = {
        "name": key,
        "ciphertext": ciphertext,
        "ciphertext_crc32c": crc32c(ciphertext),
        "additional_authenticated_data": context,
        "additional_authenticated_data_crc32c": crc32c(context),
    }
    return client.decrypt(request=request | changed, retry=None)


def detail(error: GoogleAPICallError, kind: str) -> dict[str, Any]:
    """The one detail of this kind."""
    [found] = [detail for detail in error.details if detail["@type"].endswith(f"google.rpc.{kind}")]
    return found


def violation(error: BadRequest) -> tuple[str, str]:
    """The type and subject of the one violated precondition."""
    assert error.response.json()["error"]["status"] == "FAILED_PRECONDITION"
    [violated] = detail(error, "PreconditionFailure")["violations"]
    return violated["type"], violated["subject"]


def denied(error: Forbidden) -> tuple[str, str]:
    """The permission that was lacking, and on what."""
    assert (error.reason, error.domain) == ("IAM_PERMISSION_DENIED", "cloudkms.googleapis.com")
    return error.metadata["permission"], error.metadata["resource"]


def version(key: str, number: int) -> str:
    return f"{key}/cryptoKeyVersions/{number}"


# === encryption ===


def test_what_is_encrypted_is_decrypted_and_checked_both_ways(
    client: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    sealed = encrypt(client, customer.key)
    assert sealed.name == version(customer.key, 1)
    assert sealed.verified_plaintext_crc32c and sealed.verified_additional_authenticated_data_crc32c
    assert sealed.ciphertext_crc32c == crc32c(sealed.ciphertext)
    assert sealed.protection_level == kms.ProtectionLevel.SOFTWARE
    opened = decrypt(client, customer.key, sealed.ciphertext)
    assert (opened.plaintext, opened.plaintext_crc32c) == (DATA_KEY, crc32c(DATA_KEY))
    assert opened.used_primary


def test_a_checksum_that_is_not_sent_is_not_verified(
    client: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    sealed = client.encrypt(name=customer.key, plaintext=DATA_KEY)
    assert not sealed.verified_plaintext_crc32c
    assert not sealed.verified_additional_authenticated_data_crc32c
    assert sealed.ciphertext_crc32c == crc32c(sealed.ciphertext)
    opened = client.decrypt(name=customer.key, ciphertext=sealed.ciphertext)
    assert opened.plaintext_crc32c == crc32c(DATA_KEY)


def test_a_wrong_checksum_is_refused(client: kms.KeyManagementServiceClient, customer: Tenant) -> None:
    sealed = encrypt(client, customer.key)
    wrong = crc32c(b"another")
    for field in ("plaintext_crc32c", "additional_authenticated_data_crc32c"):
        with pytest.raises(BadRequest, match=field):
            encrypt(client, customer.key, **{field: wrong})
    for field in ("ciphertext_crc32c", "additional_authenticated_data_crc32c"):
        with pytest.raises(BadRequest, match=field):
            decrypt(client, customer.key, sealed.ciphertext, **{field: wrong})


@pytest.mark.parametrize("context", [b"", b'{"branch":"other"}'])
def test_another_context_opens_nothing(
    client: kms.KeyManagementServiceClient, customer: Tenant, context: bytes
) -> None:
    sealed = encrypt(client, customer.key)
    with pytest.raises(BadRequest, match="Decryption failed"):
        decrypt(client, customer.key, sealed.ciphertext, context)


def test_a_harmed_ciphertext_and_another_keys_open_nothing(
    google: Google, client: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    sealed = encrypt(client, customer.key)
    harmed = bytearray(sealed.ciphertext)
    harmed[-1] ^= 1
    with pytest.raises(BadRequest, match="the ciphertext is invalid"):
        decrypt(client, customer.key, bytes(harmed))
    other = f"{customer.key}-2"
    google.call("POST", "/keys", {"name": other})
    google.grant("roles/cloudkms.cryptoKeyDecrypter", customer.service_account, key=other)
    with pytest.raises(BadRequest, match="refers to the correct CryptoKey"):
        decrypt(client, other, sealed.ciphertext)


def test_a_key_in_hardware_says_so_and_takes_less(
    google: Google, client: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    key = f"{customer.key}-hsm"
    google.call("POST", "/keys", {"name": key, "protection_level": "HSM"})
    google.grant("roles/cloudkms.cryptoKeyEncrypter", customer.service_account, key=key)
    assert encrypt(client, key).protection_level == kms.ProtectionLevel.HSM
    large = os.urandom(8 * 1024)
    with pytest.raises(BadRequest, match="maximum size"):
        encrypt(client, key, plaintext=large, plaintext_crc32c=crc32c(large))


# === versions ===


def test_old_versions_go_on_decrypting_after_a_rotation(
    client: kms.KeyManagementServiceClient, owner: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    before = encrypt(client, customer.key)
    made = owner.create_crypto_key_version(parent=customer.key, crypto_key_version={})
    assert (made.name, made.state) == (version(customer.key, 2), State.ENABLED)
    assert encrypt(client, customer.key).name == version(customer.key, 1), "not primary yet"
    key = owner.update_crypto_key_primary_version(name=customer.key, crypto_key_version_id="2")
    assert key.primary.name == made.name
    after = encrypt(client, customer.key)
    assert after.name == made.name
    old, new = (decrypt(client, customer.key, sealed.ciphertext) for sealed in (before, after))
    assert (old.plaintext, old.used_primary, new.used_primary) == (DATA_KEY, False, True)
    assert encrypt(client, version(customer.key, 1)).name == version(customer.key, 1)


def test_versions_and_keys_are_listed_page_by_page(
    google: Google, owner: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    for state in ("ENABLED", "DISABLED", "ENABLED"):
        google.call("POST", "/keys/versions", state, key=customer.key)
    listed = owner.list_crypto_key_versions(request={"parent": customer.key, "page_size": 3})
    found = {found.name.rsplit("/")[-1]: found.state for found in listed}
    enabled, disabled = State.ENABLED, State.DISABLED
    assert found == {"1": enabled, "2": enabled, "3": disabled, "4": enabled}
    assert listed.total_size == 4
    request = {"parent": customer.key, "filter": "state=DISABLED"}
    assert [found.name for found in owner.list_crypto_key_versions(request=request)] == [
        version(customer.key, 3)
    ]
    for number in range(3):
        google.call("POST", "/keys", {"name": f"{customer.key}-{number}"})
    ring = customer.key.split("/cryptoKeys/")[0]
    keys = owner.list_crypto_keys(request={"parent": ring, "page_size": 3})
    assert [key.name.rsplit("/")[-1] for key in keys] == ["main", "main-0", "main-1", "main-2"]


def test_a_disabled_version_refuses_until_it_is_enabled(
    client: kms.KeyManagementServiceClient, owner: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    sealed = encrypt(client, customer.key)
    name = version(customer.key, 1)

    def put(state: State) -> kms.CryptoKeyVersion:
        changed = kms.CryptoKeyVersion(name=name, state=state)
        return owner.update_crypto_key_version(crypto_key_version=changed, update_mask={"paths": ["state"]})

    assert put(State.DISABLED).state == State.DISABLED
    assert client.get_crypto_key_version(name=name).state == State.DISABLED
    for use in (
        lambda: encrypt(client, customer.key),
        lambda: decrypt(client, customer.key, sealed.ciphertext),
    ):
        with pytest.raises(BadRequest) as refused:
            use()
        assert violation(refused.value) == ("KEY_DISABLED", name)
    with pytest.raises(BadRequest) as refused:
        put(State.DESTROYED)
    assert refused.value.response.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert put(State.ENABLED).state == State.ENABLED
    assert decrypt(client, customer.key, sealed.ciphertext).plaintext == DATA_KEY


def test_a_version_is_destroyed_after_a_while_in_which_it_can_be_restored(
    google: Google,
    client: kms.KeyManagementServiceClient,
    owner: kms.KeyManagementServiceClient,
    customer: Tenant,
) -> None:
    sealed, name = encrypt(client, customer.key), version(customer.key, 1)
    scheduled = owner.destroy_crypto_key_version(name=name)
    assert scheduled.state == State.DESTROY_SCHEDULED
    waits = scheduled.destroy_time - scheduled.create_time
    assert 29 < waits.total_seconds() / 86400 < 31
    with pytest.raises(BadRequest) as refused:
        decrypt(client, customer.key, sealed.ciphertext)
    assert violation(refused.value) == ("KEY_DESTROY_SCHEDULED", name)
    with pytest.raises(BadRequest) as refused:
        owner.destroy_crypto_key_version(name=name)
    assert violation(refused.value) == ("KEY_DESTROY_SCHEDULED", name)
    assert owner.restore_crypto_key_version(name=name).state == State.DISABLED
    google.edit("version_destroyed", key=customer.key, version=1)
    gone = client.get_crypto_key_version(name=name)
    assert gone.state == State.DESTROYED and gone.destroy_event_time
    with pytest.raises(BadRequest) as refused:
        decrypt(client, customer.key, sealed.ciphertext)
    assert violation(refused.value) == ("KEY_DESTROYED", name)


# === who may do what ===


def test_policies_decide(google: Google, client: kms.KeyManagementServiceClient, customer: Tenant) -> None:
    sealed = encrypt(client, customer.key)
    undo = google.edit("remove_key_grants", key=customer.key)
    for use, permission in (
        (lambda: encrypt(client, customer.key), "cloudkms.cryptoKeyVersions.useToEncrypt"),
        (lambda: decrypt(client, customer.key, sealed.ciphertext), "cloudkms.cryptoKeyVersions.useToDecrypt"),
        (lambda: client.get_crypto_key(name=customer.key), "cloudkms.cryptoKeys.get"),
    ):
        with pytest.raises(Forbidden) as refused:
            use()
        assert denied(refused.value) == (permission, customer.key)
    undo()
    assert decrypt(client, customer.key, sealed.ciphertext).plaintext == DATA_KEY
    undo = google.edit("deny", project=customer.project)
    with pytest.raises(Forbidden):
        decrypt(client, customer.key, sealed.ciphertext)
    undo()
    decrypt(client, customer.key, sealed.ciphertext)


def test_nobody_learns_what_does_not_exist_without_permission(
    client: kms.KeyManagementServiceClient, owner: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    missing = f"{customer.key}-missing"
    with pytest.raises(Forbidden) as refused:
        client.get_crypto_key(name=missing)
    assert denied(refused.value) == ("cloudkms.cryptoKeys.get", missing)
    with pytest.raises(NotFound, match="not found"):
        owner.get_crypto_key(name=missing)
    with pytest.raises(NotFound):
        owner.get_crypto_key_version(name=version(customer.key, 9))


def test_administrators_read_and_write_policies(
    client: kms.KeyManagementServiceClient, owner: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    old = owner.get_iam_policy(request={"resource": customer.key})
    member = f"serviceAccount:{customer.service_account}"
    assert {(binding.role, *binding.members) for binding in old.bindings} == {
        ("roles/cloudkms.cryptoKeyEncrypterDecrypter", member),
        ("roles/cloudkms.viewer", member),
    }
    wanted = ["cloudkms.cryptoKeyVersions.useToDecrypt", "cloudkms.cryptoKeys.update"]
    request = {"resource": customer.key, "permissions": wanted}
    assert list(client.test_iam_permissions(request=request).permissions) == wanted[:1]
    less = Policy(etag=old.etag, bindings=[Binding(role="roles/cloudkms.viewer", members=[member])])
    owner.set_iam_policy(request={"resource": customer.key, "policy": less})
    with pytest.raises(Forbidden):
        encrypt(client, customer.key)
    with pytest.raises((Aborted, Conflict)):
        owner.set_iam_policy(request={"resource": customer.key, "policy": old})
    with pytest.raises(Forbidden):
        client.set_iam_policy(request={"resource": customer.key, "policy": old})


def test_labels_are_their_owners(
    client: kms.KeyManagementServiceClient, owner: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    key = kms.CryptoKey(name=customer.key, labels={"leasehold-challenge": "c"})
    mask = {"paths": ["labels"]}
    with pytest.raises(Forbidden):
        client.update_crypto_key(crypto_key=key, update_mask=mask)
    owner.update_crypto_key(crypto_key=key, update_mask=mask)
    shown = client.get_crypto_key(name=customer.key)
    assert dict(shown.labels) == {"leasehold-challenge": "c"}
    assert shown.purpose == kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
    assert (shown.primary.name, shown.primary.state) == (version(customer.key, 1), State.ENABLED)
    assert shown.destroy_scheduled_duration.days == 30


def test_a_token_that_is_refused_is_replaced_once(google: Google, customer: Tenant) -> None:
    google.let_in(customer)
    # What the platform signs itself is nobody's to end.
    platform = google.holder().with_always_use_jwt_access(True)
    client = google.kms(google.become(customer.service_account, source=platform))
    client.get_crypto_key(name=customer.key)
    google.call("DELETE", "/tokens")
    assert client.get_crypto_key(name=customer.key).name == customer.key
    calls = google.simulator.calls(account=customer.project)
    assert [(call["operation"], call.get("error_code")) for call in calls] == [
        ("GenerateAccessToken", None),
        ("GetCryptoKey", None),
        ("GetCryptoKey", "UNAUTHENTICATED"),
        ("GenerateAccessToken", None),
        ("GetCryptoKey", None),
    ]


def test_an_unknown_token_is_nobodys(google: Google, customer: Tenant) -> None:
    with pytest.raises(Unauthorized) as refused:
        google.kms(Bearer("no-such-token")).get_crypto_key(name=customer.key)
    assert refused.value.reason == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


# === trouble ===


def test_a_used_up_quota_is_told_with_the_time_to_wait(
    google: Google, client: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    sealed = encrypt(client, customer.key)
    match = {"service": "cloud_kms", "key": customer.key}
    clear = google.faulty(match=match, effect={"kind": "throttle"})
    try:
        with pytest.raises(TooManyRequests) as refused:
            decrypt(client, customer.key, sealed.ciphertext)
    finally:
        clear()
    error = refused.value
    assert error.response.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert error.reason == "RATE_LIMIT_EXCEEDED"
    assert error.metadata["consumer"] == f"projects/{customer.project}"
    assert detail(error, "RetryInfo")["retryDelay"] == "5s"
    assert detail(error, "QuotaFailure")["violations"]
    assert decrypt(client, customer.key, sealed.ciphertext).plaintext == DATA_KEY


def test_an_external_key_manager_that_is_away_is_told_from_one_that_refuses(
    google: Google, client: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    key = f"{customer.key}-external"
    google.call("POST", "/keys", {"name": key, "protection_level": "EXTERNAL"})
    google.grant("roles/cloudkms.cryptoKeyEncrypter", customer.service_account, key=key)
    encrypt(client, key)
    google.call("PUT", "/keys/external", "UNREACHABLE", key=key)
    with pytest.raises(ServiceUnavailable):
        encrypt(client, key)
    for answer in ("PERMISSION_DENIED", "NOT_FOUND"):
        google.call("PUT", "/keys/external", answer, key=key)
        with pytest.raises(BadRequest) as refused:
            encrypt(client, key)
        violations = detail(refused.value, "PreconditionFailure")["violations"]
        assert [violation["type"] for violation in violations] == ["KEY_ENABLED", f"EXTERNAL_{answer}"]


def test_every_call_is_in_the_log(
    google: Google, client: kms.KeyManagementServiceClient, customer: Tenant
) -> None:
    sealed = encrypt(client, customer.key)
    decrypt(client, customer.key, sealed.ciphertext)
    calls = google.simulator.calls(account=customer.project)
    assert [(call["service"], call["operation"]) for call in calls] == [
        ("iam_credentials", "GenerateAccessToken"),
        ("cloud_kms", "Encrypt"),
        ("cloud_kms", "Decrypt"),
    ]
    assert {call["key"] for call in calls[1:]} == {customer.key}
    assert {call["caller_role"] for call in calls[1:]} == {customer.service_account}
    assert calls[2]["key_version"] == "1"
