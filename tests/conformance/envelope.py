"""Envelopes, read and made from docs/envelope.md alone, as a tenant or an auditor without Leasehold would."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

MAGIC = b"LSHD"
VERSION = 1
DIRECT = 1
# The length of the commitment to the encryption context, with which a header ends.
COMMITMENT = 32


@dataclass(frozen=True)
class Envelope:
    """A `direct` envelope."""

    provider: str
    key: str
    version: str
    tenant: str
    binding: str
    commitment: bytes
    ciphertext: bytes

    @staticmethod
    def parse(wrapped: bytes) -> Envelope:
        rest = wrapped
        fixed = MAGIC + bytes([VERSION, DIRECT])
        assert rest.startswith(fixed), rest[: len(fixed)]
        rest = rest[len(fixed) :]
        texts = []
        for width in (1, 2, 2, 1, 1):
            text, rest = prefixed(rest, width)
            texts.append(text.decode("ascii"))
        provider, key, version, tenant, binding = texts
        commitment, rest = rest[:COMMITMENT], rest[COMMITMENT:]
        ciphertext, rest = prefixed(rest, 2)
        assert rest == b"", rest
        return Envelope(provider, key, version, tenant, binding, commitment, ciphertext)

    def header(self) -> bytes:
        texts = [(self.provider, 1), (self.key, 2), (self.version, 2), (self.tenant, 1), (self.binding, 1)]
        fields = b"".join(prefix(text.encode("ascii"), width) for text, width in texts)
        return MAGIC + bytes([VERSION, DIRECT]) + fields + self.commitment

    def encode(self) -> bytes:
        return self.header() + prefix(self.ciphertext, 2)

    def kms_context(self, context: dict[str, str], purpose: str = "dek") -> dict[str, str]:
        """What KMS is asked with for a caller's encryption context."""
        digest = hashlib.sha256(self.header()).hexdigest()
        return context | {"leasehold:header": digest, "leasehold:purpose": purpose}

    def of_context(self, context: dict[str, str]) -> Envelope:
        """The same, committed to another context, though its ciphertext is not."""
        return replace(self, commitment=commitment(context))

    def with_ciphertext(self, ciphertext: bytes) -> Envelope:
        return replace(self, ciphertext=ciphertext)


def commitment(context: dict[str, str]) -> bytes:
    entries = sorted((name.encode(), value.encode()) for name, value in context.items())
    encoded = b"leasehold/context/v1" + bytes([len(entries)])
    for name, value in entries:
        encoded += prefix(name, 2) + prefix(value, 2)
    return hashlib.sha256(encoded).digest()


def prefix(field: bytes, width: int) -> bytes:
    """A field with its length in so many bytes before it."""
    return len(field).to_bytes(width, "big") + field


def prefixed(rest: bytes, width: int) -> tuple[bytes, bytes]:
    """The field at the front, and what follows it."""
    end = width + int.from_bytes(rest[:width], "big")
    assert len(rest) >= end, rest
    return rest[width:end], rest[end:]
