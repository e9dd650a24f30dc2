"""azure-keyvault-keys reads, wraps and unwraps with the simulator's keys, and shows its refusals as Key Vault's."""

from __future__ import annotations

import os
import uuid
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.identity import ClientSecretCredential
from azure.keyvault.keys import KeyClient, KeyType
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
from azure_cloud import (
    ADMINISTRATOR,
    CRYPTO_SERVICE_ENCRYPTION_USER,
    ONCE,
    Azure,
    Tenant,
    decoded,
    encoded,
    key_client,
    post,
)

OAEP = KeyWrapAlgorithm.rsa_oaep_256
DATA_KEY = os.urandom(32)


@pytest.fixture
def credential(azure: Azure, tenant: Tenant) -> ClientSecretCredential:
    """The platform's application, which the tenant has let in and given the one role."""
    azure.assign(tenant, azure.consent(tenant), CRYPTO_SERVICE_ENCRYPTION_USER)
    return ClientSecretCredential(tenant.directory, azure.app, azure.secret, **ONCE)


@pytest.fixture
def keys(tenant: Tenant, credential: ClientSecretCredential) -> KeyClient:
    return key_client(tenant, credential)


@pytest.fixture
def owner(azure: Azure, tenant: Tenant) -> KeyClient:
    """The vault as the tenant's own administrator sees it."""
    app = str(uuid.uuid4())
    azure.call("PUT", f"/apps/{app}", {"name": "owner", "directory": tenant.directory})
    scope = tenant.scope.removesuffix("/keys/main")
    azure.assign(tenant, azure.consent(tenant, app), ADMINISTRATOR, scope)
    secret = azure.call("POST", f"/apps/{app}/secrets")["value"]
    return key_client(tenant, ClientSecretCredential(tenant.directory, app, secret, **ONCE))


def cryptography(key: str, credential: ClientSecretCredential) -> CryptographyClient:
    return CryptographyClient(key, credential, **ONCE)


def wrap(credential: ClientSecretCredential, key: str) -> dict[str, Any]:
    """WrapKey by the vault itself: the official client wraps with the public key on its own."""
    answer = post(credential, f"{key}/wrapkey", {"alg": "RSA-OAEP-256", "value": encoded(DATA_KEY)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def inner_code(error: HttpResponseError) -> tuple[int, str]:
    assert error.response is not None
    return error.response.status_code, error.error.innererror["code"]


def test_a_key_is_read_with_its_tags_and_attributes(azure: Azure, tenant: Tenant, keys: KeyClient) -> None:
    azure.call("PUT", "/keys/tags", {"leasehold-challenge": "c"}, key=tenant.key)
    key = keys.get_key("main")
    assert key.key_type == KeyType.rsa
    assert {"wrapKey", "unwrapKey"} <= set(key.key_operations)
    assert len(key.key.n) == 256
    assert key.properties.tags == {"leasehold-challenge": "c"}
    assert key.properties.enabled
    assert key.properties.recovery_level == "Recoverable"
    assert key.properties.created_on is not None


def test_what_the_vault_wraps_the_client_unwraps(
    tenant: Tenant, credential: ClientSecretCredential
) -> None:
    wrapped = wrap(credential, tenant.key)
    opened = cryptography(wrapped["kid"], credential).unwrap_key(OAEP, decoded(wrapped["value"]))
    assert opened.key == DATA_KEY
    assert opened.key_id == wrapped["kid"]


def test_what_the_client_wraps_locally_the_vault_unwraps(
    tenant: Tenant, keys: KeyClient, credential: ClientSecretCredential
) -> None:
    key = keys.get_key("main")
    wrapped = cryptography(key.id, credential).wrap_key(OAEP, DATA_KEY)
    opened = post(
        credential, f"{key.id}/unwrapkey", {"alg": "RSA-OAEP-256", "value": encoded(wrapped.encrypted_key)}
    )
    assert decoded(opened.json()["value"]) == DATA_KEY


def test_versions_are_listed_and_old_ones_go_on_unwrapping(
    azure: Azure, tenant: Tenant, keys: KeyClient, owner: KeyClient, credential: ClientSecretCredential
) -> None:
    before = wrap(credential, tenant.key)
    rotated = owner.rotate_key("main")
    assert keys.get_key("main").properties.version == rotated.properties.version
    versions = {found.version for found in owner.list_properties_of_key_versions("main")}
    assert versions == {rotated.properties.version, before["kid"].rsplit("/", 1)[1]}
    opened = cryptography(before["kid"], credential).unwrap_key(OAEP, decoded(before["value"]))
    assert opened.key == DATA_KEY
    assert wrap(credential, tenant.key)["kid"] == rotated.id


def test_a_disabled_version_refuses_and_can_be_read(
    azure: Azure, tenant: Tenant, keys: KeyClient, owner: KeyClient, credential: ClientSecretCredential
) -> None:
    wrapped = wrap(credential, tenant.key)
    owner.update_key_properties("main", enabled=False)
    assert not keys.get_key("main").properties.enabled
    with pytest.raises(HttpResponseError) as refused:
        cryptography(wrapped["kid"], credential).unwrap_key(OAEP, decoded(wrapped["value"]))
    assert inner_code(refused.value) == (403, "KeyDisabled")
    owner.update_key_properties("main", enabled=True)
    opened = cryptography(wrapped["kid"], credential).unwrap_key(OAEP, decoded(wrapped["value"]))
    assert opened.key == DATA_KEY


def test_an_expired_key_goes_on_unwrapping_and_wraps_no_more(
    azure: Azure, tenant: Tenant, keys: KeyClient, credential: ClientSecretCredential
) -> None:
    wrapped = wrap(credential, tenant.key)
    azure.edit("key_expired", key=tenant.key)
    client = CryptographyClient(keys.get_key("main"), credential, **ONCE)
    assert client.unwrap_key(OAEP, decoded(wrapped["value"])).key == DATA_KEY
    # Where the client wraps by itself it keeps to the dates that the vault told it.
    with pytest.raises(ValueError, match="(?i)expired|not be used"):
        client.wrap_key(OAEP, DATA_KEY)
    answer = post(credential, f"{tenant.key}/wrapkey", {"alg": "RSA-OAEP-256", "value": encoded(DATA_KEY)})
    assert answer.json()["error"]["innererror"]["code"] == "KeyExpired"


def test_a_harmed_ciphertext_is_a_bad_parameter(
    tenant: Tenant, credential: ClientSecretCredential
) -> None:
    wrapped = wrap(credential, tenant.key)
    harmed = bytearray(decoded(wrapped["value"]))
    harmed[17] ^= 1
    with pytest.raises(HttpResponseError) as refused:
        cryptography(wrapped["kid"], credential).unwrap_key(OAEP, bytes(harmed))
    assert (refused.value.status_code, refused.value.error.code) == (400, "BadParameter")


def test_a_missing_key_and_a_missing_version_are_not_found(
    azure: Azure, tenant: Tenant, keys: KeyClient, owner: KeyClient
) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        owner.get_key("missing")
    assert missing.value.error.code == "KeyNotFound"
    with pytest.raises(ResourceNotFoundError):
        keys.get_key("main", "0" * 32)


def test_roles_decide(azure: Azure, tenant: Tenant, keys: KeyClient) -> None:
    keys.get_key("main")
    undo = azure.edit("remove_role_assignments", directory=tenant.directory, app=azure.app)
    with pytest.raises(HttpResponseError) as refused:
        keys.get_key("main")
    assert inner_code(refused.value) == (403, "ForbiddenByRbac")
    assert "Microsoft.KeyVault/vaults/keys/read" in refused.value.message
    undo()
    keys.get_key("main")
    with pytest.raises(HttpResponseError) as refused:
        keys.update_key_properties("main", enabled=False)
    assert inner_code(refused.value) == (403, "ForbiddenByRbac")


def test_a_firewall_decides(azure: Azure, tenant: Tenant, keys: KeyClient) -> None:
    undo = azure.edit("firewall", vault=tenant.vault)
    with pytest.raises(HttpResponseError) as refused:
        keys.get_key("main")
    assert inner_code(refused.value) == (403, "ForbiddenByFirewall")
    undo()
    keys.get_key("main")


def test_another_directorys_token_is_not_taken(
    azure: Azure, tenant: Tenant, vault_name: str, credential: ClientSecretCredential
) -> None:
    other = azure.tenant(vault_name)
    # The client follows the challenge only to directories that its credential is for.
    with pytest.raises(ClientAuthenticationError):
        key_client(other, credential).get_key("main")
    answer = post(credential, f"{other.key}/wrapkey", {})
    assert answer.status_code == 401
    assert other.directory in answer.headers["WWW-Authenticate"]


def test_the_client_comes_back_when_it_was_told_to(
    azure: Azure, tenant: Tenant, credential: ClientSecretCredential
) -> None:
    key_client(tenant, credential).get_key("main")
    azure.call("PUT", f"/vaults/{tenant.vault}/limit", 0)
    with pytest.raises(HttpResponseError) as refused:
        key_client(tenant, credential).get_key("main")
    assert refused.value.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "10"
    azure.call("PUT", f"/vaults/{tenant.vault}/limit", None)
    key_client(tenant, credential).get_key("main")


def test_owners_make_delete_recover_and_change_keys(tenant: Tenant, owner: KeyClient) -> None:
    made = owner.create_rsa_key("second", size=2048, tags={"a": "1"}, hardware_protected=True)
    assert made.key_type == KeyType.rsa_hsm
    assert made.properties.tags == {"a": "1"}
    owner.update_key_properties("second", tags={"b": "2"})
    assert owner.get_key("second").properties.tags == {"b": "2"}
    assert {found.name for found in owner.list_properties_of_keys()} == {"main", "second"}
    deleted = owner.begin_delete_key("second", _polling_interval=0.1).result()
    assert deleted.scheduled_purge_date is not None
    assert [found.name for found in owner.list_deleted_keys()] == ["second"]
    with pytest.raises(ResourceNotFoundError):
        owner.get_key("second")
    owner.begin_recover_deleted_key("second", _polling_interval=0.1).result()
    assert owner.get_key("second").properties.tags == {"b": "2"}


def test_a_vault_that_does_not_exist_does_not_answer(azure: Azure, credential: ClientSecretCredential) -> None:
    with pytest.raises(ServiceResponseError):
        KeyClient("https://no-such-vault.vault.azure.net", credential, **ONCE).get_key("main")


def test_every_call_is_in_the_log(azure: Azure, tenant: Tenant, keys: KeyClient) -> None:
    keys.get_key("main")
    calls = azure.simulator.calls(account=tenant.directory)
    seen = [(call["service"], call["operation"], call.get("error_code")) for call in calls]
    # The client sends its first request without a token, to learn where to get one.
    asked = ("key_vault", "GetKey", "Unauthorized")
    assert seen[0] == asked
    assert ("entra", "Token", None) in seen
    assert seen[-1] == ("key_vault", "GetKey", None)
    assert calls[-1]["role"] == azure.app
    assert calls[-1]["key"] == tenant.key
