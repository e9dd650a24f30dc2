"""Our client assertions before an independent judge: npm's oidc-provider stands in Entra ID's place.

It verifies by itself what the simulator verifies in our own words: signature, algorithm, issuer, subject, audience, times,
and that no assertion is shown twice. Tokens for no vault come of it, so that a verification ends where the vault begins.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from servers import Server, bare_environment, free_port

HERE = Path(__file__).parent
# Beside the virtual environment's own packages, and made anew with it.
MODULES = HERE.parent / ".venv" / "oidc-provider"
PACKAGE = "oidc-provider@9.13.3"

ENTRA = "login.microsoftonline.com"
SCOPE = "https://vault.azure.net/.default"
HOME = "10000000-0000-4000-8000-000000000001"
TENANTS = ("20000000-0000-4000-8000-000000000001", "20000000-0000-4000-8000-000000000002")
CLIENT = "10000000-0000-4000-8000-0000000000a1"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path


def make_pair(directory: Path, name: str, host: str | None = None) -> Pair:
    """A new RSA key and a certificate for it that it signed itself; of a server, if it has a host."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
    write_pair(pair, certificate, key)
    return pair


def write_pair(pair: Pair, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def module() -> str:
    """The provider, installed if it is not there yet."""
    installed = MODULES / PACKAGE.replace("@", "-")
    if not installed.exists():
        installed.mkdir(parents=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(installed), PACKAGE]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=300)
        except BaseException:
            subprocess.run(["rm", "-rf", str(installed)], check=True)
            raise
    return str(installed / "node_modules" / "oidc-provider" / "lib" / "index.js")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class OpenId:
    """The provider, as a process, and what it granted and refused."""

    def __init__(self, directory: Path, application: Pair) -> None:
        self.port = free_port()
        self.tls = make_pair(directory, "entra", ENTRA)
        settings = {
            "module": module(),
            "port": self.port,
            "certificate": str(self.tls.certificate),
            "key": str(self.tls.key),
            "client_id": CLIENT,
            "client_certificate": str(application.certificate),
            "directories": [HOME, *TENANTS],
            "scope": SCOPE,
        }
        file = directory / "openid.json"
        file.write_text(json.dumps(settings))
        command = ["node", str(HERE / "openid" / "server.js"), str(file)]
        self.server = Server("oidc-provider", command, bare_environment(), directory / "openid.log")

    def told(self) -> list[dict[str, Any]]:
        lines = self.server.output().splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"directory"')]


class Service:
    """`leasehold serve` as an application with a certificate, and its command line."""

    def __init__(self, openid: OpenId, application: Pair, directory: Path) -> None:
        self.binary = os.environ["LEASEHOLD_BIN"]
        self.port = free_port()
        endpoint = f"https://127.0.0.1:{openid.port}"
        azure = "LEASEHOLD__PROVIDERS__AZURE__"
        settings = {
            "LEASEHOLD__DEPLOYMENT": "conformance",
            "LEASEHOLD__REGISTRY__KIND": "memory",
            "LEASEHOLD__LISTEN__TCP": f'["127.0.0.1:{self.port}"]',
            "LEASEHOLD__AUDIT__DIRECTORY": str(directory / "audit"),
            "LEASEHOLD__MEMORY__DANGER_ALLOW_UNLOCKED": "true",
            f"{azure}CLIENT_ID": CLIENT,
            f"{azure}DIRECTORY_ID": HOME,
            f"{azure}IDENTITY__CERTIFICATE__CERTIFICATE_FILE": str(application.certificate),
            f"{azure}IDENTITY__CERTIFICATE__KEY_FILE": str(application.key),
            f"{azure}ENDPOINTS__ENTRA": endpoint,
            f"{azure}ENDPOINTS__KEY_VAULT": endpoint,
            f"{azure}EXTRA_ROOT_CAS": json.dumps([str(openid.tls.certificate)]),
        }
        environment = bare_environment() | settings
        self.server = Server("leasehold", [self.binary, "serve"], environment, directory / "leasehold.log")

    def run(self, *arguments: str) -> tuple[int, Any]:
        """A command's exit code, and what it printed."""
        environment = bare_environment() | {"LEASEHOLD_ADDR": f"http://127.0.0.1:{self.port}"}
        command = [self.binary, "--json", *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        printed = ended.stdout or ended.stderr
        assert printed, f"{arguments} ended with {ended.returncode} and said nothing: {self.server.output()}"
        return ended.returncode, json.loads(printed)

    def bind(self, tenant: str, directory: str) -> str:
        """A tenant with a binding to a vault of this directory."""
        binding = f"{tenant}/main"
        key = f"https://{tenant}.vault.azure.net/keys/main"
        for command in (
            ("tenant", "create", tenant),
            ("binding", "create", binding, "azure", "--key", key, "--directory", directory),
        ):
            code, printed = self.run(*command)
            assert code == 0, printed
        return binding


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("application"), "application")


@pytest.fixture(scope="module")
def openid(application: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenId]:
    started = OpenId(tmp_path_factory.mktemp("openid"), application)
    try:
        started.server.wait_until(lambda: listens(started.port))
        yield started
    finally:
        started.server.stop()


@pytest.fixture
def service(openid: OpenId, application: Pair, tmp_path: Path) -> Iterator[Service]:
    started = Service(openid, application, tmp_path)
    try:
        started.server.wait_until(lambda: listens(started.port))
        yield started
    finally:
        started.server.stop()


def all_granted(answers: list[dict[str, Any]], directory: str) -> None:
    """Something was asked of this directory and of no other, once or again when it took too long, and never in vain."""
    assert answers
    assert all(answer == {"directory": directory, "granted": True} for answer in answers), answers


def test_an_assertion_is_good_at_home(openid: OpenId, service: Service) -> None:
    before = len(openid.told())
    code, kit = service.run("binding", "kit", service.bind("acme", TENANTS[0]))
    assert code == 0, kit
    all_granted(openid.told()[before:], HOME)


def test_a_directory_gets_an_assertion_for_itself(
    openid: OpenId, service: Service, unique: Callable[[str], str]
) -> None:
    for directory in TENANTS:
        before = len(openid.told())
        _, report = service.run("binding", "verify", service.bind(unique("tenant"), directory))
        asked = openid.told()[before:]
        assert {"directory": directory, "granted": True} in asked, report
        assert all(answer["granted"] for answer in asked), asked


def test_each_assertion_is_shown_once(openid: OpenId, service: Service) -> None:
    # A second one with the same jti would be refused as a replay.
    binding = service.bind("often", TENANTS[0])
    for _ in range(3):
        before = len(openid.told())
        code, kit = service.run("binding", "kit", binding)
        assert code == 0, kit
        all_granted(openid.told()[before:], HOME)


def test_a_certificate_that_is_not_registered_is_refused(
    openid: OpenId, application: Pair, tmp_path: Path
) -> None:
    stranger = make_pair(tmp_path, "stranger")
    service = Service(openid, stranger, tmp_path)
    try:
        service.server.wait_until(lambda: listens(service.port))
        binding = service.bind("acme", TENANTS[0])
        before = len(openid.told())
        code, _ = service.run("binding", "kit", binding)
        assert code != 0
        answers = openid.told()[before:]
        assert answers and all(answer["error"] == "invalid_client" for answer in answers), answers
        # The files are read anew for each assertion: the right certificate in their place is enough.
        stranger.certificate.write_bytes(application.certificate.read_bytes())
        stranger.key.write_bytes(application.key.read_bytes())
        code, kit = service.run("binding", "kit", binding)
        assert code == 0, kit
    finally:
        service.server.stop()
