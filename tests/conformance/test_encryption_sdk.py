"""The AWS Encryption SDK, AWS's own library for envelope encryption, on the simulator through a role that lets us in.

The role and the key policy are the onboarding kit's, so that what the library gets through is what any tenant of ours has set
up. It knows nothing of Leasehold: it asks KMS for its own data keys, and checks all that comes back.
https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/concepts.html
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.errors import ComAmazonawsKms
from aws_cryptographic_material_providers.mpl.models import (
    AesWrappingAlg,
    CreateAwsKmsKeyringInput,
    CreateRawAesKeyringInput,
)
from aws_encryption_sdk import AWSEncryptionSDKClientError, CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.internal.formatting.deserialize import deserialize_header
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature, InvalidTag
from envelope import Envelope
from service import Service, on_aws
from targets import (
    EVERYTHING,
    PLATFORM,
    TENANT,
    Credentials,
    Identity,
    Policy,
    Simulator,
    allow,
    client,
    policy,
)

MESSAGE = b"what an engine writes to its disk " * 200
CONTEXT = {"branch": "main", "project": "p-1"}
FLAGS = ["--context", "branch=main", "--context", "project=p-1"]


@pytest.fixture(scope="module")
def us(simulator: Simulator) -> Credentials:
    return simulator.put_user(PLATFORM, "leasehold-sdk", EVERYTHING)


@pytest.fixture(scope="module")
def service(
    simulator: Simulator, us: Credentials, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    cloud = on_aws(simulator.endpoint, us)
    started = Service(os.environ["LEASEHOLD_BIN"], cloud, tmp_path_factory.mktemp("leasehold"))
    try:
        started.server.wait_until(started.listens)
        yield started
    finally:
        started.server.stop()


class Tenant:
    """A tenant whose role and key are as the kit has them, and an engine that becomes the role as we do."""

    def __init__(self, name: str, simulator: Simulator, us: Credentials, service: Service) -> None:
        self.name, self.simulator, self.us, self.service = name, simulator, us, service
        owner = simulator.put_user(TENANT, f"owner-{name}", EVERYTHING)
        self.owner = client("kms", simulator.endpoint, owner)
        self.administration = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{TENANT}:root"})
        self.key = simulator.put_key(TENANT, policy(self.administration))
        self.role = f"arn:aws:iam::{TENANT}:role/access-{name}"
        service.do("tenant", "create", name)
        bound = ["binding", "create", f"{name}/main", "aws", "--kms-key", self.key, "--role", self.role]
        self.external_id = service.do(*bound)["external_id"]
        sections = service.do("binding", "kit", f"{name}/main")["sections"]
        # The kit's documents are the role's trust policy and the statement that the key's policy needs.
        self.trust, self.use = (json.loads(each["body"]) for each in sections if each["format"] == "json")
        simulator.put_role(TENANT, f"access-{name}", self.trust, Identity())
        self.edit_key_policy(self.administration, self.use)
        service.do("binding", "activate", f"{name}/main")

    def edit_key_policy(self, *statements: Policy) -> None:
        self.owner.put_key_policy(KeyId=self.key, Policy=json.dumps(policy(*statements)))

    def assume(self) -> Credentials:
        """The role, cut down to the key and to what the kit asks for, as we cut it down."""
        narrowed = policy(allow(*self.use["Action"], resource=self.key))
        sts = client("sts", self.simulator.endpoint, self.us)
        return Credentials.of(
            sts.assume_role(
                RoleArn=self.role,
                RoleSessionName="engine",
                ExternalId=self.external_id,
                DurationSeconds=900,
                Policy=json.dumps(narrowed),
            )
        )

    def engine(self) -> Engine:
        kms = client("kms", self.simulator.endpoint, self.assume())
        asked = CreateAwsKmsKeyringInput(kms_key_id=self.key, kms_client=kms)
        return Engine(PROVIDERS.create_aws_kms_keyring(asked))

    def edit_trust(self, edited: Policy) -> None:
        self.simulator.call("PUT", "/aws/roles/trust-policy", edited, arn=self.role)

    def last_call(self, **more: str) -> dict[str, Any]:
        """To KMS, as the tenant's own audit log has it."""
        return self.simulator.calls(service="kms", key=self.key, **more)[-1]

    def generate(self, *flags: str) -> dict[str, Any]:
        return self.service.do("key", "generate", self.name, *flags, *FLAGS)


PROVIDERS = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


class Engine:
    """What seals and opens data under a keyring."""

    def __init__(self, keyring: Any) -> None:
        self.keyring = keyring
        policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        self.client = EncryptionSDKClient(commitment_policy=policy)

    def seal(self, context: dict[str, str] = CONTEXT) -> bytes:
        sealed, _ = self.client.encrypt(source=MESSAGE, keyring=self.keyring, encryption_context=context)
        return sealed

    def open(self, sealed: bytes, context: dict[str, str] = CONTEXT) -> bytes:
        opened, _ = self.client.decrypt(source=sealed, keyring=self.keyring, encryption_context=context)
        return opened


@pytest.fixture
def tenant(simulator: Simulator, us: Credentials, service: Service, unique: Callable[[str], str]) -> Tenant:
    return Tenant(unique("sdk"), simulator, us, service)


def test_data_comes_back_through_the_role_and_the_tenant_sees_under_which_context(tenant: Tenant) -> None:
    sealed = tenant.engine().seal()
    assert MESSAGE[:34] not in sealed
    # Another session of the same role opens what the first one sealed.
    assert tenant.engine().open(sealed) == MESSAGE
    for operation in ("GenerateDataKey", "Decrypt"):
        call = tenant.last_call(operation=operation)
        assert (call["decision"], call["caller_role"]) == ("allowed", tenant.role)
        # The library adds an entry of its own, which authenticates the message.
        assert call["encryption_context"].keys() - CONTEXT.keys() == {"aws-crypto-public-key"}
        assert call["encryption_context"].items() >= CONTEXT.items()


@pytest.mark.parametrize("external_id", ["lh-somebody-elses", None])
def test_p6_the_role_is_refused_without_its_external_id(tenant: Tenant, external_id: str | None) -> None:
    sts = client("sts", tenant.simulator.endpoint, tenant.us)
    asked = {"ExternalId": external_id} if external_id else {}
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=tenant.role, RoleSessionName="engine", **asked)


def test_a_message_opens_only_as_it_was_sealed(tenant: Tenant) -> None:
    engine = tenant.engine()
    sealed = engine.seal()
    data_key = data_key_of(sealed)
    start = sealed.index(data_key)
    for index in (start, start + len(data_key) // 2, start + len(data_key) - 1):
        assert refused_by_kms(tenant, partial(engine.open, flipped(sealed, index))) == INVALID
    for index in (len(sealed) // 2, len(sealed) - 1):
        with pytest.raises(REFUSALS):
            engine.open(flipped(sealed, index))
    with pytest.raises(REFUSALS):
        engine.open(sealed, CONTEXT | {"branch": "dev"})
    assert engine.open(sealed) == MESSAGE


# What the library raises: for KMS, for itself, and for what does not authenticate.
REFUSALS = (ComAmazonawsKms, AWSEncryptionSDKClientError, InvalidTag, InvalidSignature)
INVALID = "InvalidCiphertextException"


def refused_by_kms(tenant: Tenant, attempt: Callable[[], bytes]) -> str:
    """The code with which KMS answered the last call of an attempt that must fail."""
    with pytest.raises(REFUSALS):
        attempt()
    return tenant.last_call()["error_code"]


def flipped(message: bytes, index: int) -> bytes:
    touched = bytearray(message)
    touched[index] ^= 1
    return bytes(touched)


def data_key_of(sealed: bytes) -> bytes:
    """The message's data key as KMS wrapped it."""
    header, _ = deserialize_header(io.BytesIO(sealed))
    [wrapped] = header.encrypted_data_keys
    return wrapped.encrypted_data_key


def test_the_key_edge_shuts_a_session_out_at_once_and_lets_it_in_again(tenant: Tenant) -> None:
    engine = tenant.engine()
    sealed = engine.seal()

    def shut_out(code: str) -> None:
        assert refused_by_kms(tenant, engine.seal) == code
        assert refused_by_kms(tenant, partial(engine.open, sealed)) == code

    tenant.edit_key_policy(tenant.administration, tenant.use, tenant.use | {"Sid": "No", "Effect": "Deny"})
    shut_out("AccessDeniedException")
    tenant.edit_key_policy(tenant.administration, tenant.use)
    assert engine.open(sealed) == MESSAGE
    tenant.owner.disable_key(KeyId=tenant.key)
    shut_out("DisabledException")
    tenant.owner.enable_key(KeyId=tenant.key)
    assert engine.open(sealed) == MESSAGE


def test_the_trust_edge_shuts_out_the_next_session_and_not_the_one_that_is(tenant: Tenant) -> None:
    engine = tenant.engine()
    sealed = engine.seal()
    tenant.edit_trust(policy({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}))
    with pytest.raises(ClientError, match="AccessDenied"):
        tenant.assume()
    # As on AWS. This is why a proof of ours needs a fresh session: an old one says nothing about consent.
    assert engine.open(sealed) == MESSAGE
    tenant.service.run("tenant", "reprove", tenant.name)
    denied = tenant.service.run("key", "generate", tenant.name, *FLAGS)
    assert denied.error["reason"] == "BINDING_DENIED"
    tenant.edit_trust(tenant.trust)
    assert tenant.engine().open(sealed) == MESSAGE


def test_p6_a_data_key_of_the_library_does_not_unwrap_as_one_of_ours(tenant: Tenant) -> None:
    made = tenant.generate()
    envelope = Envelope.parse(base64.b64decode(made["wrapped_key"]))
    foreign = envelope.with_ciphertext(data_key_of(tenant.engine().seal())).encode()
    answer = tenant.service.run("key", "unwrap", tenant.name, base64.b64encode(foreign).decode(), *FLAGS)
    assert (answer.error["code"], answer.error["reason"]) == ("InvalidArgument", "CLOUD_REJECTED")


def test_a_key_that_we_unwrap_serves_the_library_as_its_wrapping_key(tenant: Tenant) -> None:
    made = tenant.generate("--reveal")
    sealed = local_engine(made["plaintext"]).seal()
    unwrapped = tenant.service.do("key", "unwrap", tenant.name, made["wrapped_key"], *FLAGS)
    assert local_engine(unwrapped["plaintext"]).open(sealed) == MESSAGE


def local_engine(plaintext: str) -> Engine:
    """One that asks no cloud."""
    asked = CreateRawAesKeyringInput(
        key_namespace="leasehold",
        key_name="dek",
        wrapping_key=base64.b64decode(plaintext),
        wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
    )
    return Engine(PROVIDERS.create_raw_aes_keyring(asked))
