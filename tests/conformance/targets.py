"""Two clouds behind one interface: the simulator, and ministack, which enforces policy independently.

Beside them moto, which authenticates ciphertexts independently, but lets everyone do everything.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Protocol

import boto3
from botocore.config import Config

REGION = "eu-central-1"
# The tenant that owns roles and keys, and the platform that becomes them.
TENANT = "111122223333"
PLATFORM = "444455556666"

# One attempt: a test has to see what the server answered, not what a retry made of it.
ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)

# One session for all clients: it keeps the service models, which take longer to load than a test to run.
SESSION = boto3.session.Session()

# "No body", where JSON's null is one.
NOTHING: Any = object()

Policy = dict[str, Any]


@dataclass(frozen=True)
class Credentials:
    """What signs a request."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @staticmethod
    def of(answer: dict[str, Any]) -> Credentials:
        """From the answer of an assume."""
        issued = answer["Credentials"]
        return Credentials(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


@dataclass(frozen=True)
class Identity:
    """What is attached to a user or role."""

    policies: dict[str, Policy] = field(default_factory=dict)
    boundary: Policy | None = None
    tags: dict[str, str] = field(default_factory=dict)


def client(service: str, endpoint: str, credentials: Credentials | None, region: str = REGION) -> Any:
    """A boto3 client that takes nothing from the environment."""
    keys = {}
    if credentials:
        keys = {
            "aws_access_key_id": credentials.access_key_id,
            "aws_secret_access_key": credentials.secret_access_key,
            "aws_session_token": credentials.session_token,
        }
    return SESSION.client(service, region_name=region, endpoint_url=endpoint, config=ONCE, **keys)


class Target(Protocol):
    """A cloud in which a scenario can be built and played."""

    endpoint: str

    def put_user(self, account: str, name: str, identity: Identity) -> Credentials: ...

    def put_role(self, account: str, name: str, trust: Policy, identity: Identity) -> str: ...

    def put_key(self, account: str, policy: Policy) -> str: ...


class Simulator:
    """The simulator, furnished through its control API."""

    def __init__(self, control: str) -> None:
        self.control = control
        self.endpoints = self.call("GET", "/endpoints")
        self.endpoint = self.endpoints["aws"]
        for account in (TENANT, PLATFORM):
            self.call("PUT", f"/aws/accounts/{account}")

    def call(self, method: str, path: str, body: Any = NOTHING, **query: str) -> Any:
        """A request to the control API."""
        url = self.control + path + ("?" + urllib.parse.urlencode(query) if query else "")
        content = b"" if body is NOTHING else json.dumps(body).encode()
        request = urllib.request.Request(url, data=content, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def put_user(self, account: str, name: str, identity: Identity) -> Credentials:
        body = {"identity_policies": identity.policies, "boundary": identity.boundary, "tags": identity.tags}
        key = self.call("PUT", f"/aws/accounts/{account}/users/{name}", body)
        return Credentials(key["access_key_id"], key["secret_access_key"])

    def put_role(
        self, account: str, name: str, trust: Policy, identity: Identity, seconds: int = 3600
    ) -> str:
        arn = f"arn:aws:iam::{account}:role/{name}"
        body = {
            "trust_policy": trust,
            "identity_policies": identity.policies,
            "boundary": identity.boundary,
            "tags": identity.tags,
            "max_session_seconds": seconds,
        }
        self.call("PUT", "/aws/roles", body, arn=arn)
        return arn

    def put_key(self, account: str, policy: Policy, **more: Any) -> str:
        body = {"account": account, "region": REGION, "policy": policy} | more
        return self.call("POST", "/aws/keys", body)["arn"]

    def calls(self, **query: str) -> list[dict[str, Any]]:
        """The log of calls, oldest first."""
        return self.call("GET", "/calls", **query)


class MiniStack:
    """ministack, furnished through IAM and KMS by root users, whose access keys are their accounts' ids."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def root(self, service: str, account: str) -> Any:
        return client(service, self.endpoint, Credentials(account, "test"))

    def boundary(self, account: str, name: str, identity: Identity) -> dict[str, str]:
        if identity.boundary is None:
            return {}
        made = self.root("iam", account).create_policy(
            PolicyName=f"{name}-boundary", PolicyDocument=json.dumps(identity.boundary)
        )
        return {"PermissionsBoundary": made["Policy"]["Arn"]}

    def put_user(self, account: str, name: str, identity: Identity) -> Credentials:
        iam = self.root("iam", account)
        iam.create_user(UserName=name, Tags=tags(identity), **self.boundary(account, name, identity))
        for policy, document in identity.policies.items():
            iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def put_role(self, account: str, name: str, trust: Policy, identity: Identity) -> str:
        iam = self.root("iam", account)
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust),
            Tags=tags(identity),
            **self.boundary(account, name, identity),
        )
        for policy, document in identity.policies.items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
        return f"arn:aws:iam::{account}:role/{name}"

    def put_key(self, account: str, policy: Policy) -> str:
        made = self.root("kms", account).create_key(
            Policy=json.dumps(policy), BypassPolicyLockoutSafetyCheck=True
        )
        return made["KeyMetadata"]["Arn"]


class Moto:
    """moto, where whoever signs is an administrator of the tenant's account."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.kms = client("kms", endpoint, Credentials("anyone", "test"))


def tags(identity: Identity) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in identity.tags.items()]


def allow(*actions: str, resource: str | None = "*", **more: Any) -> Policy:
    """A statement that allows; without a resource for trust policies."""
    return statement("Allow", actions, resource, more)


def deny(*actions: str, resource: str | None = "*", **more: Any) -> Policy:
    """A statement that denies."""
    return statement("Deny", actions, resource, more)


def statement(effect: str, actions: tuple[str, ...], resource: str | None, more: dict[str, Any]) -> Policy:
    made: Policy = {"Effect": effect, "Action": list(actions)}
    if resource is not None:
        made["Resource"] = resource
    return made | more


def policy(*statements: Policy) -> Policy:
    """A document of the current version."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


EVERYTHING = Identity({"everything": policy(allow("*"))})
