"""boto3 gets from the simulated KMS what it gets from KMS, for every call offered."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from targets import PLATFORM, REGION, TENANT, Credentials, Identity, Simulator, allow, client, policy

CONTEXT = {"tenant": "acme", "branch": "main"}


def test_encrypt_and_decrypt_are_inverse(kms: Any, key: str) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"a data key", EncryptionContext=CONTEXT)
    assert sealed["KeyId"] == key
    assert sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert b"a data key" not in sealed["CiphertextBlob"]
    opened = kms.decrypt(KeyId=key, CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert (opened["Plaintext"], opened["KeyId"]) == (b"a data key", key)


def test_decrypt_finds_the_key_by_the_ciphertext(kms: Any, key: str) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["KeyId"] == key


def test_the_order_of_the_context_does_not_matter(kms: Any, key: str) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"b": "2", "a": "1"})["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"a": "1", "b": "2"})["Plaintext"] == b"x"


@pytest.mark.parametrize(
    ("size", "length"),
    [
        ({"KeySpec": "AES_256"}, 32),
        ({"KeySpec": "AES_128"}, 16),
        ({"NumberOfBytes": 64}, 64),
        ({"NumberOfBytes": 1}, 1),
    ],
)
def test_data_keys_have_the_length_asked_for(kms: Any, key: str, size: dict[str, Any], length: int) -> None:
    made = kms.generate_data_key(KeyId=key, EncryptionContext=CONTEXT, **size)
    assert len(made["Plaintext"]) == length
    opened = kms.decrypt(KeyId=key, CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["Plaintext"]
    withheld = kms.generate_data_key_without_plaintext(KeyId=key, EncryptionContext=CONTEXT, **size)
    assert "Plaintext" not in withheld
    opened = kms.decrypt(KeyId=key, CiphertextBlob=withheld["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert len(opened["Plaintext"]) == length


def test_data_keys_differ(kms: Any, key: str) -> None:
    made = [kms.generate_data_key(KeyId=key, KeySpec="AES_256") for _ in range(3)]
    assert len({each["Plaintext"] for each in made}) == 3
    assert len({each["CiphertextBlob"] for each in made}) == 3


def test_re_encrypt_moves_a_ciphertext_to_another_key_and_context(
    kms: Any, key: str, simulator: Simulator
) -> None:
    other = kms.create_key()["KeyMetadata"]["Arn"]
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    moved = kms.re_encrypt(
        CiphertextBlob=sealed,
        SourceKeyId=key,
        SourceEncryptionContext=CONTEXT,
        DestinationKeyId=other,
        DestinationEncryptionContext={"tenant": "globex"},
    )
    assert (moved["SourceKeyId"], moved["KeyId"]) == (key, other)
    opened = kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"tenant": "globex"})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"x", other)


def test_describe_key_tells_the_metadata(kms: Any) -> None:
    made = kms.create_key(Description="tenant key")["KeyMetadata"]
    assert made["Arn"] == f"arn:aws:kms:{REGION}:{TENANT}:key/{made['KeyId']}"
    described = kms.describe_key(KeyId=made["KeyId"])["KeyMetadata"]
    assert described == made
    expected = {
        "AWSAccountId": TENANT,
        "Description": "tenant key",
        "Enabled": True,
        "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "MultiRegion": False,
    }
    assert {name: described[name] for name in expected} == expected
    age = datetime.datetime.now(datetime.UTC) - described["CreationDate"]
    assert abs(age) < datetime.timedelta(minutes=1)


def test_keys_have_aliases_that_stand_for_them(kms: Any, key: str) -> None:
    alias = f"alias/{key.rsplit('/', 1)[1]}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == key
    assert (
        kms.generate_data_key(KeyId=f"arn:aws:kms:{REGION}:{TENANT}:{alias}", KeySpec="AES_256")["KeyId"]
        == key
    )
    listed = [each for page in kms.get_paginator("list_aliases").paginate() for each in page["Aliases"]]
    assert [each["TargetKeyId"] for each in listed if each["AliasName"] == alias] == [key.rsplit("/", 1)[1]]
    with pytest.raises(kms.exceptions.AlreadyExistsException):
        kms.create_alias(AliasName=alias, TargetKeyId=key)
    kms.delete_alias(AliasName=alias)
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId=alias)


def test_keys_are_listed_page_by_page(kms: Any, key: str) -> None:
    kms.create_key()
    pages = list(kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 1}))
    assert len(pages) >= 2
    assert key in [each["KeyArn"] for page in pages for each in page["Keys"]]


def test_key_policies_are_read_back_as_written_and_enforced(
    kms: Any, key: str, platform: Credentials, simulator: Simulator
) -> None:
    document = policy(
        allow("kms:*", Principal={"AWS": f"arn:aws:iam::{TENANT}:root"}),
        allow("kms:GenerateDataKey", Principal={"AWS": f"arn:aws:iam::{PLATFORM}:root"}),
    )
    kms.put_key_policy(KeyId=key, Policy=json.dumps(document))
    answer = kms.get_key_policy(KeyId=key)
    assert json.loads(answer["Policy"]) == document
    assert answer["PolicyName"] == "default"
    foreign = client("kms", simulator.endpoint, platform)
    assert foreign.generate_data_key(KeyId=key, KeySpec="AES_256")["KeyId"] == key


def test_a_key_without_a_policy_of_its_own_gets_the_default_one(kms: Any) -> None:
    made = kms.create_key()["KeyMetadata"]["KeyId"]
    [statement] = json.loads(kms.get_key_policy(KeyId=made)["Policy"])["Statement"]
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{TENANT}:root"}
    assert statement["Action"] == "kms:*"


def test_disabling_and_enabling_a_key_takes_effect(kms: Any, key: str) -> None:
    kms.disable_key(KeyId=key)
    described = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert (described["KeyState"], described["Enabled"]) == ("Disabled", False)
    with pytest.raises(kms.exceptions.DisabledException):
        kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    kms.enable_key(KeyId=key)
    kms.generate_data_key(KeyId=key, KeySpec="AES_256")


def test_deletion_is_scheduled_and_cancelled(kms: Any, key: str) -> None:
    scheduled = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert scheduled["KeyState"] == "PendingDeletion"
    left = scheduled["DeletionDate"] - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=6, hours=23) < left < datetime.timedelta(days=7, hours=1)
    described = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert (described["KeyState"], described["DeletionDate"]) == (
        "PendingDeletion",
        scheduled["DeletionDate"],
    )
    with pytest.raises(kms.exceptions.KMSInvalidStateException):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    with pytest.raises(kms.exceptions.KMSInvalidStateException):
        kms.enable_key(KeyId=key)
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    kms.enable_key(KeyId=key)
    kms.encrypt(KeyId=key, Plaintext=b"x")


def test_rotation_keeps_old_ciphertexts_readable(kms: Any, key: str) -> None:
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    status = kms.get_key_rotation_status(KeyId=key)
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 90)
    assert status["NextRotationDate"] > datetime.datetime.now(datetime.UTC)
    kms.disable_key_rotation(KeyId=key)
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    before = kms.encrypt(KeyId=key, Plaintext=b"old")["CiphertextBlob"]
    assert kms.rotate_key_on_demand(KeyId=key)["KeyId"] == key
    after = kms.encrypt(KeyId=key, Plaintext=b"new")["CiphertextBlob"]
    old, new = kms.decrypt(CiphertextBlob=before), kms.decrypt(CiphertextBlob=after)
    assert (old["Plaintext"], new["Plaintext"]) == (b"old", b"new")
    assert old["KeyMaterialId"] != new["KeyMaterialId"]


@pytest.mark.parametrize(
    "operation",
    ["encrypt", "decrypt", "generate_data_key", "generate_data_key_without_plaintext", "re_encrypt"],
)
def test_a_dry_run_asks_for_permission_only(kms: Any, key: str, operation: str) -> None:
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    parameters = {
        "encrypt": {"KeyId": key, "Plaintext": b"x"},
        "decrypt": {"KeyId": key, "CiphertextBlob": sealed},
        "generate_data_key": {"KeyId": key, "KeySpec": "AES_256"},
        "generate_data_key_without_plaintext": {"KeyId": key, "KeySpec": "AES_256"},
        "re_encrypt": {"CiphertextBlob": sealed, "DestinationKeyId": key},
    }[operation]
    with pytest.raises(kms.exceptions.DryRunOperationException):
        getattr(kms, operation)(DryRun=True, **parameters)
    kms.put_key_policy(KeyId=key, Policy=json.dumps(owner_only_policy()))
    with pytest.raises(kms.exceptions.ClientError) as caught:
        getattr(kms, operation)(DryRun=True, **parameters)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"


def owner_only_policy() -> dict[str, Any]:
    """Administration for the account, but no use."""
    owner = {"AWS": f"arn:aws:iam::{TENANT}:root"}
    return policy(allow("kms:Put*", "kms:Get*", "kms:Describe*", Principal=owner))


def test_the_log_shows_calls_as_the_tenants_audit_log_would(kms: Any, key: str, simulator: Simulator) -> None:
    secret = b"never to be logged, not even encoded"
    answer = kms.encrypt(KeyId=key, Plaintext=secret, EncryptionContext=CONTEXT)
    [call] = simulator.calls(service="kms", operation="Encrypt", key=key)
    assert call["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert call["encryption_context"] == CONTEXT
    assert call["decision"] == "allowed"
    assert "never to be logged" not in json.dumps(call)
    assert simulator.calls(key=key, **{"context.branch": "other"}) == []


def test_a_session_uses_the_key_within_its_session_policy(
    platform: Credentials, trusting_role: str, key: str, simulator: Simulator
) -> None:
    sts = client("sts", simulator.endpoint, platform)
    narrowed = policy(allow("kms:Encrypt", "kms:Decrypt", resource=key))
    session = Credentials.of(
        sts.assume_role(
            RoleArn=trusting_role, RoleSessionName="lh", DurationSeconds=900, Policy=json.dumps(narrowed)
        )
    )
    kms = client("kms", simulator.endpoint, session)
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(KeyId=key, CiphertextBlob=sealed)["Plaintext"] == b"x"
    with pytest.raises(
        kms.exceptions.ClientError, match="because no session policy allows the kms:GenerateDataKey action"
    ):
        kms.generate_data_key(KeyId=key, KeySpec="AES_256")


CONDITIONS = [
    ({"StringEquals": {"kms:EncryptionContext:tenant": "acme"}}, {"tenant": "acme"}, {"tenant": "globex"}),
    ({"StringEquals": {"kms:EncryptionContext:tenant": "acme"}}, {"tenant": "acme", "branch": "x"}, {}),
    ({"StringLike": {"kms:EncryptionContext:branch": "b-*"}}, {"branch": "b-1"}, {"branch": "c-1"}),
    ({"StringEquals": {"kms:EncryptionContextKeys": "tenant"}}, {"tenant": "x"}, {"branch": "x"}),
    (
        {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant", "branch"]}},
        {"tenant": "x"},
        {"tenant": "x", "other": "y"},
    ),
    ({"Null": {"kms:EncryptionContextKeys": "false"}}, {"tenant": "x"}, {}),
    (
        {"StringEquals": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"}},
        {"tenant": "acme"},
        {"tenant": "globex"},
    ),
]


@pytest.mark.parametrize(("condition", "right", "wrong"), CONDITIONS)
def test_conditions_on_the_encryption_context_are_enforced(
    simulator: Simulator, unique: Any, condition: dict[str, Any], right: dict[str, str], wrong: dict[str, str]
) -> None:
    user = unique("context")
    credentials = simulator.put_user(TENANT, user, Identity(tags={"tenant": "acme"}))
    arn = f"arn:aws:iam::{TENANT}:user/{user}"
    key = simulator.put_key(TENANT, policy(allow("kms:*", Principal={"AWS": arn}, Condition=condition)))
    kms = client("kms", simulator.endpoint, credentials)
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=right)["CiphertextBlob"]
    assert kms.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionContext=right)["Plaintext"] == b"x"
    for call in (
        lambda: kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=wrong),
        lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=wrong),
        lambda: kms.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionContext=wrong),
    ):
        with pytest.raises(kms.exceptions.ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_deny_of_one_context_leaves_the_others(kms: Any, key: str, simulator: Simulator) -> None:
    edit = {"kind": "key_deny", "key": key, "principal": "*", "encryption_context": {"branch": "secret"}}
    number = simulator.call("POST", "/aws/edits", edit)["id"]
    kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"branch": "main"})
    with pytest.raises(kms.exceptions.ClientError, match="with an explicit deny in a resource-based policy"):
        kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"branch": "secret"})
    simulator.call("DELETE", f"/aws/edits/{number}")
    kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"branch": "secret"})
