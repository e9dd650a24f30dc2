"""What a ciphertext is bound to and what ReEncrypt makes of it, in the simulator and in moto, which authenticates them too.

Every attempt to open a ciphertext is made twice, by Decrypt and as the source of ReEncrypt, because whoever may
re-encrypt could otherwise have opened what Decrypt refuses. Key states and permissions are not asked for here: moto
looks at neither. The expected answers are those of
https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html and
https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from targets import EVERYTHING, TENANT, client

PLAINTEXT = bytes(range(32))
CONTEXT = {"tenant": "acme", "branch": "main"}
OTHER_CONTEXT = {"tenant": "globex"}

OPENED = "opened"
INVALID = "InvalidCiphertextException"
INCORRECT_KEY = "IncorrectKeyException"
NOT_FOUND = "NotFoundException"
# What may be said of a ciphertext that names another key than its own: moto denies access where AWS knows better.
REFUSALS = {INVALID, INCORRECT_KEY, "AccessDeniedException"}


class Keys:
    """A server's KMS as the tenant's administrator uses it, with three keys, which moto takes its time to make."""

    def __init__(self, server: str, kms: Any) -> None:
        self.server = server
        self.kms = kms
        self.source, self.destination, self.other = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(3))

    def seal(self, key: str, context: dict[str, str], plaintext: bytes = PLAINTEXT) -> bytes:
        return self.kms.encrypt(KeyId=key, Plaintext=plaintext, EncryptionContext=context)["CiphertextBlob"]

    def decrypt(self, key: str | None, blob: bytes, context: dict[str, str]) -> bytes:
        named = {"KeyId": key} if key else {}
        return self.kms.decrypt(CiphertextBlob=blob, EncryptionContext=context, **named)["Plaintext"]

    def re_encrypt(self, key: str | None, blob: bytes, context: dict[str, str]) -> bytes:
        """What is inside, learnt by way of the other key."""
        named = {"SourceKeyId": key} if key else {}
        moved = self.kms.re_encrypt(
            CiphertextBlob=blob, SourceEncryptionContext=context, DestinationKeyId=self.other, **named
        )
        return self.decrypt(moved["KeyId"], moved["CiphertextBlob"], {})


@pytest.fixture(scope="module", params=["simulator", "moto"])
def keys(request: pytest.FixtureRequest) -> Keys:
    target = request.getfixturevalue(request.param)
    if request.param == "moto":
        return Keys(request.param, target.kms)
    admin = target.put_user(TENANT, "ciphertexts", EVERYTHING)
    return Keys(request.param, client("kms", target.endpoint, admin))


def answer(call: Callable[..., bytes], *arguments: Any) -> str:
    """Whether what comes out is what went in, or the code of the refusal."""
    try:
        assert call(*arguments) == PLAINTEXT
    except ClientError as error:
        return error.response["Error"]["Code"]
    return OPENED


@dataclass(frozen=True)
class Attempt:
    """A ciphertext of `CONTEXT` and what is tried with it."""

    name: str
    expected: str
    context: dict[str, str] | None = None
    # Which key the caller names: the one that sealed it is the source.
    named: str | None = "source"
    touch: Callable[[bytes], bytes] = bytes
    # Why moto does not answer as AWS documents it, if it does not.
    moto_differs: str | None = None


def flip(index: int) -> Callable[[bytes], bytes]:
    def touch(blob: bytes) -> bytes:
        touched = bytearray(blob)
        touched[index] ^= 1
        return bytes(touched)

    return touch


ATTEMPTS = [
    Attempt("as it was sealed", OPENED),
    Attempt("without naming a key", OPENED, named=None),
    Attempt("in another order", OPENED, context=dict(reversed(CONTEXT.items()))),
    Attempt(
        "another key",
        INCORRECT_KEY,
        named="other",
        moto_differs="Decrypt denies access instead, and ReEncrypt does not look at the key that is named",
    ),
    # The encryption context, which has to be the same to the letter.
    Attempt("no context", INVALID, context={}),
    Attempt("an entry less", INVALID, context={"tenant": "acme"}),
    Attempt("an entry more", INVALID, context=CONTEXT | {"project": "p-1"}),
    Attempt("another value", INVALID, context=CONTEXT | {"branch": "dev"}),
    Attempt("a value in another case", INVALID, context=CONTEXT | {"branch": "Main"}),
    Attempt("a name in another case", INVALID, context={"Tenant": "acme", "branch": "main"}),
    Attempt("values changed places", INVALID, context={"tenant": "main", "branch": "acme"}),
    Attempt("names and values changed places", INVALID, context={"acme": "tenant", "main": "branch"}),
    Attempt(
        "the same letters, divided otherwise",
        INVALID,
        context={"tenanta": "cme", "branchm": "ain"},
        moto_differs="it joins names and values without their lengths",
    ),
    # The bytes.
    Attempt("a byte changed in the middle", INVALID, touch=lambda blob: flip(len(blob) // 2)(blob)),
    Attempt("the last byte changed", INVALID, touch=flip(-1)),
    Attempt("cut by a byte", INVALID, touch=lambda blob: blob[:-1]),
    Attempt("cut to a byte", INVALID, touch=lambda blob: blob[:1]),
    Attempt("a byte more", INVALID, touch=lambda blob: blob + b"x"),
    Attempt("not a ciphertext", INVALID, touch=lambda blob: b"x" * 16),
]


@pytest.mark.parametrize("operation", ["decrypt", "re_encrypt"])
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_a_ciphertext_opens_only_as_it_was_sealed(
    attempt: Attempt, operation: str, keys: Keys, request: pytest.FixtureRequest
) -> None:
    if keys.server == "moto" and attempt.moto_differs:
        request.applymarker(pytest.mark.xfail(strict=True, reason=attempt.moto_differs))
    named = attempt.named and getattr(keys, attempt.named)
    blob = attempt.touch(keys.seal(keys.source, CONTEXT))
    context = CONTEXT if attempt.context is None else attempt.context
    assert answer(getattr(keys, operation), named, blob, context) == attempt.expected


def test_a_ciphertext_that_was_touched_never_opens_whichever_the_byte(keys: Keys) -> None:
    sealed = keys.seal(keys.source, CONTEXT)
    answers = {
        answer(keys.decrypt, keys.source, flip(index)(sealed), CONTEXT) for index in range(len(sealed))
    }
    assert answers <= REFUSALS


def test_two_ciphertexts_of_a_key_cannot_be_joined(keys: Keys) -> None:
    key = keys.source
    one, two = keys.seal(key, CONTEXT), keys.seal(key, CONTEXT)
    # Where the one ends and the other begins moves through all that follows what they have in common.
    joints = [
        joint for joint in range(1, len(one)) if one[:joint] != two[:joint] and one[joint:] != two[joint:]
    ]
    assert len(joints) > len(PLAINTEXT)
    assert {answer(keys.decrypt, key, one[:joint] + two[joint:], CONTEXT) for joint in joints} == {INVALID}


@pytest.mark.parametrize("size", [1, 32, 4096])
def test_re_encrypting_keeps_what_is_inside_and_shows_it_to_nobody(keys: Keys, size: int) -> None:
    plaintext = bytes(number % 251 for number in range(size))
    blob = keys.seal(keys.source, CONTEXT, plaintext)
    moved = move(keys, blob, keys.source, keys.destination, OTHER_CONTEXT)
    assert (moved["SourceKeyId"], moved["KeyId"]) == (keys.source, keys.destination)
    assert "Plaintext" not in moved
    assert size == 1 or plaintext not in moved["CiphertextBlob"]
    assert keys.decrypt(keys.destination, moved["CiphertextBlob"], OTHER_CONTEXT) == plaintext


def move(keys: Keys, blob: bytes, source: str, destination: str, context: dict[str, str]) -> dict[str, Any]:
    """Re-encrypts what is of `CONTEXT`."""
    return keys.kms.re_encrypt(
        CiphertextBlob=blob,
        SourceKeyId=source,
        SourceEncryptionContext=CONTEXT,
        DestinationKeyId=destination,
        DestinationEncryptionContext=context,
    )


def test_what_was_re_encrypted_is_bound_to_its_new_key_and_context_alone(keys: Keys) -> None:
    source, destination = keys.source, keys.destination
    blob = keys.seal(source, CONTEXT)
    moved = move(keys, blob, source, destination, OTHER_CONTEXT)["CiphertextBlob"]
    assert answer(keys.decrypt, source, moved, OTHER_CONTEXT) in REFUSALS
    assert answer(keys.decrypt, destination, moved, CONTEXT) == INVALID
    assert answer(keys.decrypt, destination, moved, {}) == INVALID
    # The old one is as good as before: what shall not open it any more has to be revoked, not moved.
    assert answer(keys.decrypt, source, blob, CONTEXT) == OPENED
    assert answer(keys.decrypt, source, blob, OTHER_CONTEXT) == INVALID


def test_re_encrypting_under_the_same_key_makes_another_ciphertext_of_the_new_context(keys: Keys) -> None:
    key = keys.source
    blob = keys.seal(key, CONTEXT)
    renewed = move(keys, blob, key, key, CONTEXT)["CiphertextBlob"]
    assert renewed != blob
    assert answer(keys.decrypt, key, renewed, CONTEXT) == OPENED
    unbound = move(keys, blob, key, key, {})["CiphertextBlob"]
    assert answer(keys.decrypt, key, unbound, {}) == OPENED
    assert answer(keys.decrypt, key, unbound, CONTEXT) == INVALID


def test_a_ciphertext_comes_back_from_a_chain_of_keys(keys: Keys) -> None:
    chain = [keys.source, keys.destination, keys.other]
    blob = keys.seal(chain[0], CONTEXT)
    for source, destination in itertools.pairwise([*chain, chain[0]]):
        blob = move(keys, blob, source, destination, CONTEXT)["CiphertextBlob"]
    assert answer(keys.decrypt, chain[0], blob, CONTEXT) == OPENED


def test_a_destination_that_does_not_exist_is_not_found(keys: Keys) -> None:
    key = keys.source
    nowhere = key[: -len("000000000000")] + "000000000000"
    blob = keys.seal(key, CONTEXT)
    assert answer(lambda: move(keys, blob, key, nowhere, CONTEXT)["CiphertextBlob"]) == NOT_FOUND
