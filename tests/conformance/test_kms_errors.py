"""Each error of the simulated KMS arrives in boto3 as the exception that botocore models for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.serialize import create_serializer
from targets import REGION, TENANT, Credentials, Simulator, allow, client, policy

OWNER = {"AWS": f"arn:aws:iam::{TENANT}:root"}
OPEN = policy(allow("kms:*", Principal=OWNER))


@pytest.mark.parametrize(
    ("state", "exception"),
    [
        ("Disabled", "DisabledException"),
        ("PendingDeletion", "KMSInvalidStateException"),
        ("PendingImport", "KMSInvalidStateException"),
        ("Unavailable", "KMSInvalidStateException"),
        ("Creating", "KMSInvalidStateException"),
        ("Updating", "KMSInvalidStateException"),
    ],
)
def test_a_key_in_the_wrong_state_refuses_every_use_but_is_described(
    kms: Any, key: str, simulator: Simulator, state: str, exception: str
) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    simulator.call("PUT", "/aws/keys/state", state, arn=key)
    for call in uses(kms, key, sealed):
        with pytest.raises(getattr(kms.exceptions, exception)) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert caught.value.response["ResponseMetadata"]["RequestId"]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == state
    simulator.call("PUT", "/aws/keys/state", "Enabled", arn=key)
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"x"


def uses(kms: Any, key: str, sealed: bytes) -> list[Callable[[], Any]]:
    return [
        lambda: kms.encrypt(KeyId=key, Plaintext=b"x"),
        lambda: kms.decrypt(KeyId=key, CiphertextBlob=sealed),
        lambda: kms.decrypt(CiphertextBlob=sealed),
        lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256"),
        lambda: kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256"),
        lambda: kms.re_encrypt(CiphertextBlob=sealed, DestinationKeyId=key),
    ]


def test_an_external_key_store_that_does_not_answer_is_an_invalid_state(
    kms: Any, simulator: Simulator
) -> None:
    key = simulator.put_key(TENANT, OPEN, origin="EXTERNAL_KEY_STORE", state="ExternalTimeout")
    with pytest.raises(kms.exceptions.KMSInvalidStateException):
        kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    described = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert (described["KeyState"], described["Origin"]) == ("Enabled", "EXTERNAL_KEY_STORE")


@pytest.mark.parametrize(
    "name",
    [
        "11111111-2222-3333-4444-555555555555",
        f"arn:aws:kms:{REGION}:{TENANT}:key/11111111-2222-3333-4444-555555555555",
        "alias/nothing",
        f"arn:aws:kms:{REGION}:{TENANT}:alias/nothing",
        f"arn:aws:kms:us-east-1:{TENANT}:key/11111111-2222-3333-4444-555555555555",
        "not an identifier",
    ],
)
def test_a_key_that_does_not_exist_is_not_found(kms: Any, name: str) -> None:
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId=name)
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.generate_data_key(KeyId=name, KeySpec="AES_256")


def test_a_foreign_key_is_denied_whether_or_not_it_exists(
    key: str, platform: Credentials, simulator: Simulator
) -> None:
    kms = client("kms", simulator.endpoint, platform)
    for name in (key, f"arn:aws:kms:{REGION}:{TENANT}:key/11111111-2222-3333-4444-555555555555"):
        with pytest.raises(ClientError) as caught:
            kms.generate_data_key(KeyId=name, KeySpec="AES_256")
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
        assert "the resource does not exist in this Region, no resource-based policies allow access" in str(
            caught.value
        )


def test_a_ciphertext_that_was_touched_is_invalid_at_every_byte(kms: Any, key: str) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"a": "1"})["CiphertextBlob"]
    for index in range(len(sealed)):
        touched = bytearray(sealed)
        touched[index] ^= 1
        with pytest.raises(kms.exceptions.InvalidCiphertextException):
            kms.decrypt(KeyId=key, CiphertextBlob=bytes(touched), EncryptionContext={"a": "1"})


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_ciphertext_that_was_cut_is_invalid(kms: Any, key: str, cut: int) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x" * 100)["CiphertextBlob"]
    for part in (sealed[:-cut], sealed[cut:], sealed + b"x" * cut, sealed[:cut]):
        with pytest.raises(kms.exceptions.InvalidCiphertextException):
            kms.decrypt(KeyId=key, CiphertextBlob=part)


@pytest.mark.parametrize("context", [{}, {"a": "2"}, {"A": "1"}, {"a": "1", "b": "2"}, {"b": "1"}])
def test_a_wrong_context_is_an_invalid_ciphertext(kms: Any, key: str, context: dict[str, str]) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"a": "1"})["CiphertextBlob"]
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionContext=context)


def test_another_key_than_the_one_that_encrypted_is_incorrect(
    kms: Any, key: str, simulator: Simulator
) -> None:
    other = simulator.put_key(TENANT, OPEN)
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    with pytest.raises(kms.exceptions.IncorrectKeyException):
        kms.decrypt(KeyId=other, CiphertextBlob=sealed)
    with pytest.raises(kms.exceptions.IncorrectKeyException):
        kms.re_encrypt(CiphertextBlob=sealed, SourceKeyId=other, DestinationKeyId=key)


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "HMAC_256"])
def test_keys_of_another_kind_have_the_wrong_usage(kms: Any, simulator: Simulator, spec: str) -> None:
    key = simulator.put_key(TENANT, OPEN, spec=spec)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeySpec"] == spec
    with pytest.raises(kms.exceptions.InvalidKeyUsageException):
        kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    with pytest.raises(kms.exceptions.InvalidKeyUsageException):
        kms.encrypt(KeyId=key, Plaintext=b"x")


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"KeySpec": "AES_256", "NumberOfBytes": 32},
        {"KeySpec": "AES_512"},
        {"NumberOfBytes": 1025},
    ],
)
def test_a_data_key_of_no_or_impossible_length_fails_validation(
    simulator: Simulator, admin: Credentials, key: str, parameters: dict[str, Any]
) -> None:
    kms = unvalidated(simulator, admin)
    with pytest.raises(ClientError) as caught:
        kms.generate_data_key(KeyId=key, **parameters)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def unvalidated(simulator: Simulator, credentials: Credentials) -> Any:
    """A client that leaves the checking of parameters to the server."""
    made = client("kms", simulator.endpoint, credentials)
    made._serializer = create_serializer(
        made.meta.service_model.metadata["protocol"], include_validation=False
    )
    return made


@pytest.mark.parametrize("size", [0, 4097])
def test_a_plaintext_of_impossible_length_fails_validation(
    simulator: Simulator, admin: Credentials, key: str, size: int
) -> None:
    kms = unvalidated(simulator, admin)
    with pytest.raises(ClientError) as caught:
        kms.encrypt(KeyId=key, Plaintext=b"x" * size)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    kms.encrypt(KeyId=key, Plaintext=b"x" * 4096)


@pytest.mark.parametrize(
    "document",
    [
        "not json",
        json.dumps({"Version": "2012-10-17"}),
        json.dumps({"Version": "2012-10-18", "Statement": []}),
        json.dumps(policy(allow("kms:*", Principal={"AWS": "nobody"}))),
        json.dumps(policy(allow("kms:*", Principal=OWNER, Condition={"StringMatches": {"aws:x": "y"}}))),
        json.dumps(policy(allow("kms:*", Principal=OWNER, Comment="x"))),
    ],
)
def test_a_malformed_policy_is_refused_and_changes_nothing(kms: Any, key: str, document: str) -> None:
    with pytest.raises(kms.exceptions.MalformedPolicyDocumentException):
        kms.put_key_policy(KeyId=key, Policy=document)
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"]) == OPEN
    with pytest.raises(kms.exceptions.MalformedPolicyDocumentException):
        kms.create_key(Policy=document)


def test_a_refusal_says_who_may_not_do_what_and_why(admin: Credentials, simulator: Simulator) -> None:
    key = simulator.put_key(TENANT, policy(allow("kms:Encrypt", Principal=OWNER)))
    kms = client("kms", simulator.endpoint, admin)
    with pytest.raises(ClientError) as caught:
        kms.decrypt(KeyId=key, CiphertextBlob=kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"])
    error = caught.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    caller = client("sts", simulator.endpoint, admin).get_caller_identity()["Arn"]
    assert error["Message"] == (
        f"User: {caller} is not authorized to perform: kms:Decrypt on resource: {key} "
        "because no resource-based policy allows the kms:Decrypt action"
    )


def test_a_refused_ciphertext_does_not_tell_which_key_made_it(
    kms: Any, key: str, platform: Credentials, simulator: Simulator
) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    foreign = client("kms", simulator.endpoint, platform)
    with pytest.raises(ClientError) as caught:
        foreign.decrypt(CiphertextBlob=sealed)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert key.rsplit("/", 1)[1] not in str(caught.value)


@pytest.mark.parametrize(
    ("effect", "code", "status"),
    [
        ({"kind": "throttle"}, "ThrottlingException", 400),
        (
            {"kind": "error", "status": 500, "code": "KMSInternalException", "message": "x"},
            "KMSInternalException",
            500,
        ),
        (
            {"kind": "error", "status": 503, "code": "DependencyTimeoutException", "message": "x"},
            "DependencyTimeoutException",
            503,
        ),
    ],
)
def test_injected_faults_arrive_as_the_services_errors(
    kms: Any, key: str, simulator: Simulator, effect: dict[str, Any], code: str, status: int
) -> None:
    fault = simulator.call("POST", "/faults", {"match": {"key": key}, "effect": effect})["id"]
    with pytest.raises(ClientError) as caught:
        kms.encrypt(KeyId=key, Plaintext=b"x")
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    simulator.call("DELETE", f"/faults/{fault}")
    kms.encrypt(KeyId=key, Plaintext=b"x")
