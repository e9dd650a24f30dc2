"""The service, as a process, on a KMS that is not ours and authenticates ciphertexts: moto.

Whoever can write where an engine keeps its wrapped keys can hand us any envelope, and the tenant can make ciphertexts of
their own with their key. moto lets everyone do everything, so that roles are assumed in ministack, which does not.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from envelope import Envelope
from service import Answer, Service, on_aws
from targets import EVERYTHING, PLATFORM, TENANT, Identity, MiniStack, Moto, allow, policy

CONTEXT = {"branch": "main", "project": "p-1"}
OTHER_CONTEXT = {"branch": "dev", "project": "p-1"}

# moto's ciphertexts begin with the id of the key that made them, in the clear.
KEY_ID = 36


@pytest.fixture(scope="module")
def service(ministack: MiniStack, moto: Moto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    credentials = ministack.put_user(PLATFORM, "leasehold-moto", EVERYTHING)
    cloud = on_aws(ministack.endpoint, credentials, kms=moto.endpoint)
    started = Service(os.environ["LEASEHOLD_BIN"], cloud, tmp_path_factory.mktemp("leasehold"))
    try:
        started.server.wait_until(started.listens)
        yield started
    finally:
        started.server.stop()


class Tenant:
    """A tenant with a role in ministack and a key in moto."""

    def __init__(self, name: str, service: Service, ministack: MiniStack, moto: Moto) -> None:
        self.name = name
        self.service = service
        self.ministack = ministack
        self.kms = moto.kms
        service.do("tenant", "create", name)
        self.key = self.bind("main")

    def bind(self, binding: str) -> str:
        """An ACTIVE binding to a new key."""
        key = self.kms.create_key(KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
        role = f"{self.name}-{binding}"
        arn = f"arn:aws:iam::{TENANT}:role/{role}"
        name = f"{self.name}/{binding}"
        made = self.service.do("binding", "create", name, "aws", "--kms-key", key, "--role", arn)
        us = allow(
            "sts:AssumeRole",
            "sts:TagSession",
            resource=None,
            Principal={"AWS": f"arn:aws:iam::{PLATFORM}:user/leasehold-moto"},
            Condition={"StringEquals": {"sts:ExternalId": made["external_id"]}},
        )
        self.ministack.put_role(TENANT, role, policy(us), Identity())
        self.service.do("binding", "activate", name)
        return key

    def generate(self, context: dict[str, str] = CONTEXT) -> tuple[Envelope, bytes]:
        """A new key, wrapped and in the clear."""
        made = self.service.do("key", "generate", self.name, "--reveal", *flags(context))
        return decoded(made), base64.b64decode(made["plaintext"])

    def unwrap(self, envelope: Envelope, context: dict[str, str] = CONTEXT) -> Answer:
        return self.unwrap_bytes(envelope.encode(), context)

    def unwrap_bytes(self, wrapped: bytes, context: dict[str, str] = CONTEXT) -> Answer:
        return self.service.run("key", "unwrap", self.name, encoded(wrapped), *flags(context))

    def opens(self, envelope: Envelope, context: dict[str, str] = CONTEXT) -> bytes:
        answer = self.unwrap(envelope, context)
        assert answer.code == 0, answer.value
        return base64.b64decode(answer.value["plaintext"])

    def refusal(self, envelope: Envelope, context: dict[str, str] = CONTEXT) -> tuple[str, str]:
        return refused(self.unwrap(envelope, context))


def refused(answer: Answer) -> tuple[str, str]:
    """The status and the reason of an unwrap that must have failed."""
    assert answer.code != 0, "it unwrapped"
    return answer.error["code"], answer.error["reason"]


def decoded(answer: dict[str, Any]) -> Envelope:
    return Envelope.parse(base64.b64decode(answer["wrapped_key"]))


def encoded(wrapped: bytes) -> str:
    return base64.b64encode(wrapped).decode("ascii")


def flags(context: dict[str, str]) -> list[str]:
    return [flag for name, value in context.items() for flag in ("--context", f"{name}={value}")]


MALFORMED = ("InvalidArgument", "MALFORMED_ENVELOPE")
WRONG_CONTEXT = ("InvalidArgument", "WRONG_CONTEXT")
FOREIGN = ("InvalidArgument", "FOREIGN_ENVELOPE")
REJECTED = ("InvalidArgument", "CLOUD_REJECTED")
# What moto says of a ciphertext of another key than the one named, where AWS says IncorrectKeyException.
ANOTHER_KEYS = ("FailedPrecondition", "REQUEST_DENIED")


@pytest.fixture(scope="module")
def tenant(service: Service, ministack: MiniStack, moto: Moto) -> Tenant:
    """One for all tests that leave it as it is."""
    return Tenant("integrity", service, ministack, moto)


@pytest.fixture
def newcomer(service: Service, ministack: MiniStack, moto: Moto, unique: Callable[[str], str]) -> Tenant:
    return Tenant(unique("integrity"), service, ministack, moto)


def flipped(field: bytes, index: int) -> bytes:
    touched = bytearray(field)
    touched[index] ^= 1
    return bytes(touched)


# === integrity ===


def test_p6_a_wrapped_key_whose_ciphertext_was_touched_is_an_invalid_argument_at_every_byte(
    tenant: Tenant,
) -> None:
    envelope, plaintext = tenant.generate()
    sealed = envelope.ciphertext
    for index in range(KEY_ID, len(sealed)):
        touched = envelope.with_ciphertext(flipped(sealed, index))
        assert tenant.refusal(touched) == REJECTED, index
    for cut in (sealed[:-1], sealed[: KEY_ID + 1], sealed + b"x"):
        assert tenant.refusal(envelope.with_ciphertext(cut)) == REJECTED
    assert tenant.opens(envelope) == plaintext


def test_p6_a_wrapped_key_whose_header_was_touched_does_not_unwrap_whichever_the_byte(tenant: Tenant) -> None:
    envelope, _ = tenant.generate()
    wrapped = envelope.encode()
    refusals = {
        refused(tenant.unwrap_bytes(flipped(wrapped, index))) for index in range(len(envelope.header()))
    }
    # All of them ours: nothing of this had to be asked of the cloud.
    assert refusals == {MALFORMED, FOREIGN, WRONG_CONTEXT}


def test_p6_a_ciphertext_of_another_context_does_not_unwrap_for_this_one(tenant: Tenant) -> None:
    main, _ = tenant.generate(CONTEXT)
    dev, _ = tenant.generate(OTHER_CONTEXT)
    assert tenant.refusal(dev, CONTEXT) == WRONG_CONTEXT
    # A header that commits to the context asked for gets past us. KMS knows better.
    assert tenant.refusal(dev.of_context(CONTEXT), CONTEXT) == REJECTED
    assert tenant.refusal(main.with_ciphertext(dev.ciphertext), CONTEXT) == REJECTED


@pytest.mark.parametrize("purpose", ["kek", "canary", "DEK", ""])
def test_p6_what_was_sealed_for_another_purpose_is_never_returned_as_a_key(
    tenant: Tenant, purpose: str
) -> None:
    envelope, _ = tenant.generate()
    assert tenant.opens(sealed_by_tenant(tenant, envelope, envelope.kms_context(CONTEXT))) == OWN
    other = envelope.kms_context(CONTEXT, purpose)
    assert tenant.refusal(sealed_by_tenant(tenant, envelope, other)) == REJECTED


# A key of the tenant's own making.
OWN = bytes(range(32))


def sealed_by_tenant(tenant: Tenant, envelope: Envelope, context: dict[str, str]) -> Envelope:
    """A ciphertext that the tenant made with their key, under a header of ours."""
    sealed = tenant.kms.encrypt(KeyId=tenant.key, Plaintext=OWN, EncryptionContext=context)
    return envelope.with_ciphertext(sealed["CiphertextBlob"])


@pytest.mark.parametrize("context", [{}, CONTEXT], ids=["no-context", "the-callers-context"])
def test_p6_what_another_application_sealed_with_the_tenants_key_does_not_unwrap(
    tenant: Tenant, context: dict[str, str]
) -> None:
    envelope, _ = tenant.generate()
    assert tenant.refusal(sealed_by_tenant(tenant, envelope, context)) == REJECTED


def test_a_ciphertext_that_the_cloud_denies_is_refused_alone(tenant: Tenant) -> None:
    envelope, plaintext = tenant.generate()
    odd = envelope.with_ciphertext(b"00000000-0000-4000-8000-000000000000" + envelope.ciphertext[KEY_ID:])
    assert tenant.refusal(odd) == ANOTHER_KEYS
    assert tenant.opens(envelope) == plaintext
    # The proof that such a denial starts is only begun by then. This one is over.
    tenant.service.do("tenant", "reprove", tenant.name)
    lease = tenant.service.do("binding", "get", f"{tenant.name}/main")["lease"]
    assert lease["state"] == "LIVE"
    assert tenant.opens(envelope) == plaintext


# === without us ===


@pytest.mark.parametrize("length", [16, 24, 32, 48, 64])
def test_p5_the_tenant_unwraps_without_us_by_what_the_documentation_says(tenant: Tenant, length: int) -> None:
    made = tenant.service.do(
        "key", "generate", tenant.name, "--bytes", str(length), "--reveal", *flags(CONTEXT)
    )
    envelope = decoded(made)
    assert envelope.key == tenant.key
    opened = tenant.kms.decrypt(
        KeyId=tenant.key,
        CiphertextBlob=envelope.ciphertext,
        EncryptionContext=envelope.kms_context(CONTEXT),
    )
    assert opened["Plaintext"] == base64.b64decode(made["plaintext"])
    assert len(opened["Plaintext"]) == length


# === ReEncrypt ===


def re_encrypted(
    tenant: Tenant, source: Envelope, destination: Envelope, key: str, **contexts: dict[str, str]
) -> Envelope:
    """The destination's header over the source's key, which the tenant moved there without seeing it."""
    asked = {
        "SourceEncryptionContext": source.kms_context(CONTEXT),
        "DestinationEncryptionContext": destination.kms_context(CONTEXT),
    } | contexts
    moved = tenant.kms.re_encrypt(CiphertextBlob=source.ciphertext, DestinationKeyId=key, **asked)
    return destination.with_ciphertext(moved["CiphertextBlob"])


def test_a_wrapped_key_that_the_tenant_renewed_under_the_same_key_unwraps_to_the_same(tenant: Tenant) -> None:
    envelope, plaintext = tenant.generate()
    renewed = re_encrypted(tenant, envelope, envelope, tenant.key)
    assert renewed != envelope
    assert tenant.opens(renewed) == plaintext


@pytest.mark.parametrize("context", [{}, CONTEXT], ids=["no-context", "the-callers-context"])
def test_p6_a_wrapped_key_that_was_re_encrypted_out_of_its_context_no_longer_unwraps(
    tenant: Tenant, context: dict[str, str]
) -> None:
    envelope, _ = tenant.generate()
    moved = re_encrypted(tenant, envelope, envelope, tenant.key, DestinationEncryptionContext=context)
    assert tenant.refusal(moved) == REJECTED


def test_p6_a_wrapped_key_that_was_re_encrypted_under_another_key_no_longer_unwraps(tenant: Tenant) -> None:
    envelope, plaintext = tenant.generate()
    other = tenant.kms.create_key(KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
    moved = re_encrypted(tenant, envelope, envelope, other)
    # The binding's key is the one that is named, and it did not seal this.
    assert tenant.refusal(moved) == ANOTHER_KEYS
    # Nor does a header that names the other key lead there: it is no binding's.
    elsewhere = replace(envelope, key=other)
    assert tenant.refusal(re_encrypted(tenant, envelope, elsewhere, other)) == FOREIGN
    assert tenant.opens(envelope) == plaintext


def test_p5_a_tenant_moves_a_wrapped_key_to_a_new_binding_as_a_rewrap_does(newcomer: Tenant) -> None:
    old, plaintext = newcomer.generate()
    new_key = newcomer.bind("next")
    rewrapped = newcomer.service.do("key", "rewrap", newcomer.name, encoded(old.encode()), *flags(CONTEXT))
    ours = decoded(rewrapped)
    assert (ours.key, ours.binding) == (new_key, "next")
    theirs = re_encrypted(newcomer, old, replace(old, key=new_key, binding="next"), new_key)
    assert ours.header() == theirs.header()
    assert newcomer.opens(ours) == newcomer.opens(theirs) == plaintext
    assert newcomer.opens(old) == plaintext, "the old binding still unwraps what it wrapped"
    # Neither header fits the other's ciphertext.
    assert newcomer.refusal(old.with_ciphertext(theirs.ciphertext)) == REJECTED
    assert newcomer.refusal(theirs.with_ciphertext(old.ciphertext)) == REJECTED
