"""The audit journal, verified by what docs/audit.md says and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from service import Service, on_aws
from targets import EVERYTHING, PLATFORM, Simulator

LABEL = b"leasehold/audit/checkpoint/v1"


def verify(directory: Path, public_key: str) -> int:
    """How many lines the chain has, all of them in order; or an error at the first that is not."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    sequence, previous, signed = 0, "0" * 64, 0
    for file in sorted(directory.glob("audit-*.jsonl")):
        *lines, rest = file.read_bytes().split(b"\n")
        assert rest == b"", "the file ends in the middle of a line"
        for line in lines:
            body, seal = line[:-75], line[-75:]
            sequence += 1
            assert seal == b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}', f"{sequence} was changed"
            record = json.loads(line)
            assert record["sequence"] == sequence, f"{sequence} is not where it belongs"
            assert record["previous"] == previous, f"{sequence} does not follow from the one before"
            previous = record["hash"]
            if record["type"] == "checkpoint":
                message, _, signature = body.rpartition(b',"signature":"')
                key.verify(bytes.fromhex(signature[:-1].decode()), LABEL + message)
                signed = sequence
    assert signed > 0, "nothing was signed"
    return sequence


@pytest.fixture(scope="module")
def journal(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Service]:
    """What a service wrote that lived twice, and whose files are small."""
    credentials = simulator.put_user(PLATFORM, "audited", EVERYTHING)
    directory = tmp_path_factory.mktemp("leasehold")
    more = {"LEASEHOLD__AUDIT__ROTATE_BYTES": "65536", "LEASEHOLD__AUDIT__CHECKPOINT_RECORDS": "5"}
    for life in ("one", "two"):
        service = Service(os.environ["LEASEHOLD_BIN"], on_aws(simulator.endpoint, credentials) | more, directory)
        try:
            service.server.wait_until(service.listens)
            for n in range(60):
                service.do("tenant", "create", f"{life}-{n}")
                service.do("tenant", "get", f"{life}-{n}")
        finally:
            service.server.stop()
    return directory / "audit", service


def public_key(journal: tuple[Path, Service]) -> str:
    directory, service = journal
    key: str = service.do("audit", "public-key", str(directory / "signing.pem"))["public_key"]
    return key


def test_the_chain_is_what_the_documentation_says(journal: tuple[Path, Service]) -> None:
    directory, service = journal
    key = public_key(journal)
    lines = verify(directory, key)
    assert len(list(directory.glob("audit-*.jsonl"))) > 1
    assert lines > 240
    report = service.do("audit", "verify", str(directory), "--public-key", key)
    assert (report["intact"], report["records"], report["last"]) == (True, lines, lines)
    # Both ended by themselves, so that all of it is signed.
    assert report["unsigned"] == 0


def test_both_verifiers_find_what_was_changed(journal: tuple[Path, Service], tmp_path: Path) -> None:
    directory, service = journal
    key = public_key(journal)
    files = sorted(directory.glob("audit-*.jsonl"))
    for number, file in enumerate(files):
        whole = file.read_bytes()
        at = whole.index(b"tenant", len(whole) // 2)
        for other in files:
            (tmp_path / other.name).write_bytes(other.read_bytes())
        (tmp_path / file.name).write_bytes(whole[:at] + b"T" + whole[at + 1 :])
        with pytest.raises(AssertionError, match="was changed"):
            verify(tmp_path, key)
        answer = service.run("audit", "verify", str(tmp_path), "--public-key", key)
        assert answer.code == 6, f"file {number}"
        message = answer.value["error"]["message"]
        line = whole[:at].count(b"\n") + 1
        assert f"{file.name}:{line} " in message and "was changed" in message


def test_a_signature_is_of_the_key_that_is_named(journal: tuple[Path, Service]) -> None:
    directory, service = journal
    with pytest.raises(InvalidSignature):
        verify(directory, "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")
    answer = service.run("audit", "verify", str(directory), "--public-key", "19bf44096984cdfe" * 4)
    assert answer.code == 6
