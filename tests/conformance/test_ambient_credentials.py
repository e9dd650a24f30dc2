"""botocore's own resolvers find credentials in the simulated machine: instance, container, pod."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, CredentialRetrievalError, MetadataRetrievalError
from botocore.utils import InstanceMetadataRegionFetcher
from targets import EVERYTHING, ONCE, PLATFORM, REGION, TENANT, Simulator, allow, policy

ISSUER = "https://oidc.example.test/id/cluster-1"
PROVIDER = ISSUER.removeprefix("https://")


@pytest.fixture
def platform_role(simulator: Simulator, unique: Any) -> str:
    """A role of the platform's own that its machines may take."""
    services = {"Service": ["ec2.amazonaws.com", "ecs-tasks.amazonaws.com", "pods.eks.amazonaws.com"]}
    trust = policy(allow("sts:AssumeRole", "sts:TagSession", resource=None, Principal=services))
    return simulator.put_role(PLATFORM, unique("machine"), trust, EVERYTHING)


@pytest.fixture
def instance(simulator: Simulator, platform_role: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This process runs on the simulated instance."""
    simulator.call("PUT", "/aws/ambient/instance", platform_role)
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", simulator.endpoints["imds"])
    yield platform_role
    simulator.call("PUT", "/aws/ambient/instance", None)


@pytest.fixture
def container(simulator: Simulator, platform_role: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This process runs in the simulated container."""
    simulator.call("PUT", "/aws/ambient/container", {"role": platform_role, "tags": {"cluster": "c-1"}})
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", simulator.endpoints["container"])
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", simulator.endpoints["container_token"])
    yield platform_role
    simulator.call("PUT", "/aws/ambient/container", {"role": None})


def ambient_client(service: str, simulator: Simulator) -> Any:
    """A client that finds its credentials itself."""
    return boto3.session.Session().client(
        service, region_name=REGION, endpoint_url=simulator.endpoint, config=ONCE
    )


def test_an_instance_gets_its_role_by_imds_version_2(simulator: Simulator, instance: str) -> None:
    session = botocore.session.Session()
    credentials = session.get_credentials()
    assert credentials.method == "iam-role"
    assert credentials.get_frozen_credentials().access_key.startswith("ASIA")
    arn = ambient_client("sts", simulator).get_caller_identity()["Arn"]
    assert arn.startswith(f"arn:aws:sts::{PLATFORM}:assumed-role/{instance.rsplit('/', 1)[1]}/i-")


def test_an_instance_learns_its_region(simulator: Simulator, instance: str) -> None:
    configured = {"ec2_metadata_service_endpoint": simulator.endpoints["imds"]}
    assert InstanceMetadataRegionFetcher(config=configured).retrieve_region() == simulator.endpoints["region"]


def test_an_instance_becomes_a_tenants_role(simulator: Simulator, instance: str, trusting_role: str) -> None:
    answer = ambient_client("sts", simulator).assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme")
    assert answer["AssumedRoleUser"]["Arn"].startswith(f"arn:aws:sts::{TENANT}:assumed-role/")


def test_metadata_is_given_to_holders_of_a_token_only(simulator: Simulator, instance: str) -> None:
    base = simulator.endpoints["imds"]
    path = "/latest/meta-data/iam/security-credentials/"
    assert status("GET", base + path) == 401
    assert status("GET", base + path, {"X-aws-ec2-metadata-token": "nonsense"}) == 401
    assert status("GET", base + "/latest/api/token") == 405
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    assert status("PUT", base + "/latest/api/token", ttl | {"X-Forwarded-For": "10.0.0.1"}) == 403
    assert status("PUT", base + "/latest/api/token") == 400
    assert status("PUT", base + "/latest/api/token", ttl) == 200


def status(method: str, url: str, headers: dict[str, str] | None = None) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers or {}, method=method), timeout=10
        ) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_an_instance_without_a_role_has_no_credentials(simulator: Simulator, instance: str) -> None:
    simulator.call("PUT", "/aws/ambient/instance", None)
    assert botocore.session.Session().get_credentials() is None


def test_a_container_gets_its_role(simulator: Simulator, container: str) -> None:
    credentials = botocore.session.Session().get_credentials()
    assert credentials.method == "container-role"
    arn = ambient_client("sts", simulator).get_caller_identity()["Arn"]
    assert arn.startswith(f"arn:aws:sts::{PLATFORM}:assumed-role/{container.rsplit('/', 1)[1]}/")


def test_a_container_may_keep_its_token_in_a_file(
    simulator: Simulator, container: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(simulator.endpoints["container_token"])
    monkeypatch.delenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    assert botocore.session.Session().get_credentials().method == "container-role"


def test_a_container_with_a_wrong_token_gets_nothing(container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "nonsense")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with pytest.raises((MetadataRetrievalError, CredentialRetrievalError)):
        botocore.session.Session().get_credentials().get_frozen_credentials()


def test_a_containers_tags_are_transitive(simulator: Simulator, container: str, unique: Any) -> None:
    principal = {"AWS": f"arn:aws:iam::{PLATFORM}:root"}
    tagging = policy(allow("sts:AssumeRole", "sts:TagSession", resource=None, Principal=principal))
    plain = policy(allow("sts:AssumeRole", resource=None, Principal=principal))
    sts = ambient_client("sts", simulator)
    sts.assume_role(
        RoleArn=simulator.put_role(TENANT, unique("tagging"), tagging, EVERYTHING), RoleSessionName="lh-acme"
    )
    role = simulator.put_role(TENANT, unique("plain"), plain, EVERYTHING)
    with pytest.raises(ClientError, match="sts:TagSession"):
        sts.assume_role(RoleArn=role, RoleSessionName="lh-acme")


@pytest.fixture
def federated_role(simulator: Simulator, unique: Any) -> str:
    """A role of the platform's that trusts one subject of an OpenID provider, as EKS sets it up."""
    simulator.call("PUT", "/aws/issuers", {"issuer": ISSUER})
    provider = {"issuer": ISSUER, "audiences": ["sts.amazonaws.com"]}
    simulator.call("PUT", f"/aws/accounts/{PLATFORM}/oidc-providers", provider)
    condition = {
        "StringEquals": {
            f"{PROVIDER}:sub": "system:serviceaccount:leasehold:server",
            f"{PROVIDER}:aud": "sts.amazonaws.com",
        }
    }
    federated = {"Federated": f"arn:aws:iam::{PLATFORM}:oidc-provider/{PROVIDER}"}
    trust = policy(
        allow("sts:AssumeRoleWithWebIdentity", resource=None, Principal=federated, Condition=condition)
    )
    return simulator.put_role(PLATFORM, unique("federated"), trust, EVERYTHING)


CLAIMS = {"sub": "system:serviceaccount:leasehold:server", "aud": "sts.amazonaws.com"}


def mint(simulator: Simulator, issuer: str = ISSUER, **claims: Any) -> str:
    return simulator.call("POST", "/aws/issuers/tokens", {"issuer": issuer, "claims": CLAIMS | claims})[
        "token"
    ]


def test_a_pod_gets_its_role_by_its_token_file(
    simulator: Simulator, federated_role: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(mint(simulator))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", federated_role)
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "lh-pod")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", simulator.endpoint)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert botocore.session.Session().get_credentials().method == "assume-role-with-web-identity"
    arn = ambient_client("sts", simulator).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{PLATFORM}:assumed-role/{federated_role.rsplit('/', 1)[1]}/lh-pod"


@pytest.fixture
def anyone(simulator: Simulator) -> Any:
    """STS for a caller without credentials."""
    config = ONCE.merge(Config(signature_version=UNSIGNED))
    return boto3.session.Session().client(
        "sts", region_name=REGION, endpoint_url=simulator.endpoint, config=config
    )


def assume(anyone: Any, role: str, token: str) -> Any:
    return anyone.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="lh-pod", WebIdentityToken=token
    )


def test_a_web_identity_is_told_back_what_its_token_said(
    anyone: Any, simulator: Simulator, federated_role: str
) -> None:
    answer = assume(anyone, federated_role, mint(simulator))
    assert answer["SubjectFromWebIdentityToken"] == CLAIMS["sub"]
    assert answer["Audience"] == "sts.amazonaws.com"
    assert answer["Provider"] == f"arn:aws:iam::{PLATFORM}:oidc-provider/{PROVIDER}"


def test_another_subject_is_refused(anyone: Any, simulator: Simulator, federated_role: str) -> None:
    with pytest.raises(ClientError) as caught:
        assume(anyone, federated_role, mint(simulator, sub="system:serviceaccount:leasehold:other"))
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_another_provider_is_refused(anyone: Any, simulator: Simulator, federated_role: str) -> None:
    other = "https://oidc.example.test/id/cluster-2"
    simulator.call("PUT", "/aws/issuers", {"issuer": other})
    with pytest.raises(anyone.exceptions.InvalidIdentityTokenException):
        assume(anyone, federated_role, mint(simulator, other))
    provider = {"issuer": other, "audiences": ["sts.amazonaws.com"]}
    simulator.call("PUT", f"/aws/accounts/{PLATFORM}/oidc-providers", provider)
    with pytest.raises(ClientError) as caught:
        assume(anyone, federated_role, mint(simulator, other))
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_an_expired_token_is_modelled_as_expired(
    anyone: Any, simulator: Simulator, federated_role: str
) -> None:
    now = int(time.time())
    with pytest.raises(anyone.exceptions.ExpiredTokenException):
        assume(anyone, federated_role, mint(simulator, iat=now - 90_000, exp=now - 86_400))


def test_a_token_for_another_audience_is_invalid(
    anyone: Any, simulator: Simulator, federated_role: str
) -> None:
    with pytest.raises(anyone.exceptions.InvalidIdentityTokenException, match="Incorrect token audience"):
        assume(anyone, federated_role, mint(simulator, aud="someone.else"))


def test_a_token_that_was_touched_is_invalid(anyone: Any, simulator: Simulator, federated_role: str) -> None:
    header, payload, signature = mint(simulator, sub="system:serviceaccount:leasehold:other").split(".")
    _, good_payload, _ = mint(simulator).split(".")
    for forged in (
        f"{header}.{good_payload}.{signature}",
        f"{header}.{good_payload}.",
        f"{unsigned_header()}.{good_payload}.",
        f"{header}.{payload}",
        "nonsense",
    ):
        with pytest.raises(anyone.exceptions.InvalidIdentityTokenException):
            assume(anyone, federated_role, forged)


def unsigned_header() -> str:
    """A header that says that no signature is needed."""
    return urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
