"""boto3 gets from the simulated STS what it gets from STS, errors included."""

from __future__ import annotations

import datetime
import json
import secrets
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.serialize import create_serializer
from targets import EVERYTHING, PLATFORM, TENANT, Credentials, Identity, Simulator, allow, client, policy


@pytest.fixture
def sts(simulator: Simulator, platform: Credentials) -> Any:
    return client("sts", simulator.endpoint, platform)


def trust(*actions: str, **more: Any) -> dict[str, Any]:
    principal = {"AWS": f"arn:aws:iam::{PLATFORM}:root"}
    return policy(allow(*(actions or ("sts:AssumeRole",)), resource=None, Principal=principal, **more))


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return caught.value.response["Error"]["Code"]


def test_every_caller_learns_who_it_is(
    sts: Any, simulator: Simulator, trusting_role: str, unique: Any
) -> None:
    identity = sts.get_caller_identity()
    assert identity["Account"] == PLATFORM
    assert identity["Arn"].startswith(f"arn:aws:iam::{PLATFORM}:user/platform-")
    assert identity["UserId"].startswith("AIDA")
    assumed = sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme")
    identity = client("sts", simulator.endpoint, Credentials.of(assumed)).get_caller_identity()
    name = trusting_role.rsplit("/", 1)[1]
    assert identity["Arn"] == f"arn:aws:sts::{TENANT}:assumed-role/{name}/lh-acme"
    assert identity["UserId"] == assumed["AssumedRoleUser"]["AssumedRoleId"]
    powerless = simulator.put_user(PLATFORM, unique("powerless"), Identity())
    assert client("sts", simulator.endpoint, powerless).get_caller_identity()["Account"] == PLATFORM


@pytest.mark.parametrize("seconds", [900, 3600])
def test_an_assumed_session_lasts_as_long_as_asked_for(sts: Any, trusting_role: str, seconds: int) -> None:
    answer = sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme", DurationSeconds=seconds)
    left = answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.UTC)
    assert abs(left.total_seconds() - seconds) < 30
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    assert answer["AssumedRoleUser"]["AssumedRoleId"].startswith("AROA")
    assert answer["ResponseMetadata"]["RequestId"]


def test_a_session_may_last_no_longer_than_its_role_allows(
    sts: Any, simulator: Simulator, unique: Any, trusting_role: str
) -> None:
    with pytest.raises(ClientError) as caught:
        sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme", DurationSeconds=3601)
    assert code(caught) == "ValidationError"
    patient = simulator.put_role(TENANT, unique("patient"), trust(), EVERYTHING, seconds=43200)
    sts.assume_role(RoleArn=patient, RoleSessionName="lh-acme", DurationSeconds=43200)


def test_a_chained_session_may_last_an_hour_at_most(
    sts: Any, simulator: Simulator, unique: Any, trusting_role: str
) -> None:
    first = Credentials.of(sts.assume_role(RoleArn=trusting_role, RoleSessionName="hop-1"))
    trust_first = policy(allow("sts:AssumeRole", resource=None, Principal={"AWS": trusting_role}))
    second = simulator.put_role(TENANT, unique("second"), trust_first, EVERYTHING, seconds=43200)
    hop = client("sts", simulator.endpoint, first)
    hop.assume_role(RoleArn=second, RoleSessionName="hop-2", DurationSeconds=3600)
    with pytest.raises(
        ClientError, match="1 hour session limit for roles assumed by role chaining"
    ) as caught:
        hop.assume_role(RoleArn=second, RoleSessionName="hop-2", DurationSeconds=3601)
    assert code(caught) == "ValidationError"


def test_a_role_that_does_not_exist_is_refused_like_one_that_does_not_trust(
    sts: Any, simulator: Simulator, unique: Any
) -> None:
    distrustful = simulator.put_role(TENANT, unique("distrustful"), policy(), EVERYTHING)
    for role in (distrustful, f"arn:aws:iam::{TENANT}:role/nothing"):
        with pytest.raises(ClientError) as caught:
            sts.assume_role(RoleArn=role, RoleSessionName="lh-acme")
        assert code(caught) == "AccessDenied"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        caller = sts.get_caller_identity()["Arn"]
        assert caught.value.response["Error"]["Message"] == (
            f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role}"
        )


def test_the_external_id_is_asked_for_at_every_assume(sts: Any, simulator: Simulator, unique: Any) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "lh-2f9a"}}
    role = simulator.put_role(TENANT, unique("external"), trust(Condition=condition), EVERYTHING)
    sts.assume_role(RoleArn=role, RoleSessionName="lh-acme", ExternalId="lh-2f9a")
    for wrong in ({}, {"ExternalId": "lh-2f9b"}, {"ExternalId": "lh-2f9"}):
        with pytest.raises(ClientError) as caught:
            sts.assume_role(RoleArn=role, RoleSessionName="lh-acme", **wrong)
        assert code(caught) == "AccessDenied"


def test_an_edit_of_the_trust_policy_stops_new_sessions_but_not_old_ones(
    sts: Any, simulator: Simulator, trusting_role: str, key: str
) -> None:
    session = Credentials.of(sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme"))
    principal = f"arn:aws:iam::{PLATFORM}:root"
    edit = {"kind": "trust_remove_principal", "role": trusting_role, "principal": principal}
    number = simulator.call("POST", "/aws/edits", edit)["id"]
    with pytest.raises(ClientError) as caught:
        sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme")
    assert code(caught) == "AccessDenied"
    client("kms", simulator.endpoint, session).generate_data_key(KeyId=key, KeySpec="AES_256")
    simulator.call("DELETE", f"/aws/edits/{number}")
    sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme")


@pytest.mark.parametrize(
    "document",
    [
        "nonsense",
        json.dumps({"Version": "2012-10-17"}),
        json.dumps(policy({"Effect": "Allow"})),
        json.dumps(policy({"Effect": "Allow", "Action": "kms:*"})),
        json.dumps(policy(allow("kms:*", Principal="*"))),
        json.dumps(policy(allow("kms:*", Condition={"StringEqual": {"aws:x": "y"}}))),
    ],
)
def test_a_malformed_session_policy_is_modelled_as_such(sts: Any, trusting_role: str, document: str) -> None:
    with pytest.raises(sts.exceptions.MalformedPolicyDocumentException):
        sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme", Policy=document)


def test_a_session_policy_is_bounded_alone_and_packed_with_its_tags(
    sts: Any, trusting_role: str, key: str
) -> None:
    statements = [allow("kms:Decrypt", resource=f"{key}{secrets.token_hex(60)}") for _ in range(7)]
    document = json.dumps(policy(*statements), separators=(",", ":"))
    tags = [{"Key": f"tag-{number}", "Value": secrets.token_hex(100)} for number in range(10)]
    request = {"RoleArn": trusting_role, "RoleSessionName": "lh-acme"}
    assert 1500 < len(document) <= 2048
    assert 0 < sts.assume_role(**request, Policy=document)["PackedPolicySize"] <= 100
    assert "PackedPolicySize" not in sts.assume_role(**request)
    with pytest.raises(sts.exceptions.PackedPolicyTooLargeException):
        sts.assume_role(**request, Policy=document, Tags=tags)
    with pytest.raises(ClientError) as caught:
        sts.assume_role(**request, Policy=document + " " * 2048)
    assert code(caught) == "ValidationError"


@pytest.mark.parametrize(
    "parameters",
    [
        {"RoleSessionName": "x"},
        {"RoleSessionName": "x" * 65},
        {"RoleSessionName": "no spaces"},
        {"DurationSeconds": 899},
        {"DurationSeconds": 43201},
        {"ExternalId": "x"},
        {"ExternalId": "no spaces"},
        {"SourceIdentity": "x"},
        {"RoleArn": "arn:aws:iam::1:role/x"},
        {"RoleArn": "nonsense, but long enough"},
        {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]},
    ],
)
def test_parameters_outside_their_constraints_fail_validation(
    simulator: Simulator, platform: Credentials, trusting_role: str, parameters: dict[str, Any]
) -> None:
    sts = client("sts", simulator.endpoint, platform)
    sts._serializer = create_serializer("query", include_validation=False)
    with pytest.raises(ClientError) as caught:
        sts.assume_role(**{"RoleArn": trusting_role, "RoleSessionName": "lh-acme"} | parameters)
    assert code(caught) in {"ValidationError", "InvalidParameterValue"}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_session_tags_reach_conditions_and_transitive_ones_the_next_hop(
    sts: Any, simulator: Simulator, unique: Any, trusting_role: str
) -> None:
    tagged = Credentials.of(
        sts.assume_role(
            RoleArn=trusting_role,
            RoleSessionName="lh-acme",
            Tags=[{"Key": "tenant", "Value": "acme"}, {"Key": "shard", "Value": "7"}],
            TransitiveTagKeys=["tenant"],
        )
    )
    keys = {
        tag: key_for_tag(simulator, *tag)
        for tag in [("tenant", "acme"), ("tenant", "globex"), ("shard", "7")]
    }

    def may_use(credentials: Credentials) -> set[tuple[str, str]]:
        kms = client("kms", simulator.endpoint, credentials)
        used = set()
        for tag, key in keys.items():
            try:
                kms.generate_data_key(KeyId=key, KeySpec="AES_256")
                used.add(tag)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "AccessDeniedException"
        return used

    assert may_use(tagged) == {("tenant", "acme"), ("shard", "7")}
    trust_first = policy(
        allow("sts:AssumeRole", "sts:TagSession", resource=None, Principal={"AWS": trusting_role})
    )
    second = simulator.put_role(TENANT, unique("second"), trust_first, EVERYTHING)
    hop = client("sts", simulator.endpoint, tagged)
    assert may_use(Credentials.of(hop.assume_role(RoleArn=second, RoleSessionName="hop-2"))) == {
        ("tenant", "acme")
    }
    untagging = policy(allow("sts:AssumeRole", resource=None, Principal={"AWS": trusting_role}))
    third = simulator.put_role(TENANT, unique("third"), untagging, EVERYTHING)
    with pytest.raises(ClientError, match="not authorized to perform: sts:TagSession"):
        hop.assume_role(RoleArn=third, RoleSessionName="hop-2")


def key_for_tag(simulator: Simulator, name: str, value: str) -> str:
    """A key for callers that carry this tag."""
    owner = {"AWS": f"arn:aws:iam::{TENANT}:root"}
    condition = {"StringEquals": {f"aws:PrincipalTag/{name}": value}}
    return simulator.put_key(TENANT, policy(allow("kms:*", Principal=owner, Condition=condition)))


def test_a_source_identity_is_set_only_where_trusted_and_stays(
    sts: Any, simulator: Simulator, unique: Any, trusting_role: str
) -> None:
    plain = simulator.put_role(TENANT, unique("plain"), trust(), EVERYTHING)
    with pytest.raises(ClientError, match="not authorized to perform: sts:SetSourceIdentity"):
        sts.assume_role(RoleArn=plain, RoleSessionName="lh-acme", SourceIdentity="leasehold")
    answer = sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme", SourceIdentity="leasehold")
    assert answer["SourceIdentity"] == "leasehold"
    condition = {"StringEquals": {"aws:SourceIdentity": "leasehold"}}
    owner = {"AWS": f"arn:aws:iam::{TENANT}:root"}
    key = simulator.put_key(TENANT, policy(allow("kms:*", Principal=owner, Condition=condition)))
    client("kms", simulator.endpoint, Credentials.of(answer)).generate_data_key(KeyId=key, KeySpec="AES_256")
    other = Credentials.of(
        sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme", SourceIdentity="other")
    )
    with pytest.raises(ClientError):
        client("kms", simulator.endpoint, other).generate_data_key(KeyId=key, KeySpec="AES_256")


def test_a_chain_of_roles_is_cut_down_by_each_session_policy(
    sts: Any, simulator: Simulator, unique: Any, key: str, trusting_role: str
) -> None:
    trust_first = policy(
        allow("sts:AssumeRole", resource=None, Principal={"AWS": f"arn:aws:iam::{TENANT}:root"})
    )
    second = simulator.put_role(TENANT, unique("second"), trust_first, EVERYTHING)
    third = simulator.put_role(TENANT, unique("third"), trust_first, EVERYTHING)
    only_second = json.dumps(policy(allow("sts:AssumeRole", resource=second)))
    first = Credentials.of(
        sts.assume_role(RoleArn=trusting_role, RoleSessionName="hop-1", Policy=only_second)
    )
    hop = client("sts", simulator.endpoint, first)
    with pytest.raises(ClientError) as caught:
        hop.assume_role(RoleArn=third, RoleSessionName="hop-2")
    assert code(caught) == "AccessDenied"
    last = Credentials.of(hop.assume_role(RoleArn=second, RoleSessionName="hop-2"))
    client("kms", simulator.endpoint, last).generate_data_key(KeyId=key, KeySpec="AES_256")
    with pytest.raises(ClientError, match="because no session policy allows the kms:GenerateDataKey action"):
        client("kms", simulator.endpoint, first).generate_data_key(KeyId=key, KeySpec="AES_256")


def test_a_boundary_of_the_role_limits_its_sessions(
    sts: Any, simulator: Simulator, unique: Any, key: str
) -> None:
    bounded = Identity({"everything": policy(allow("*"))}, boundary=policy(allow("kms:Encrypt")))
    role = simulator.put_role(TENANT, unique("bounded"), trust(), bounded)
    kms = client(
        "kms", simulator.endpoint, Credentials.of(sts.assume_role(RoleArn=role, RoleSessionName="lh-acme"))
    )
    kms.encrypt(KeyId=key, Plaintext=b"x")
    with pytest.raises(
        ClientError, match="because no permissions boundary allows the kms:GenerateDataKey action"
    ):
        kms.generate_data_key(KeyId=key, KeySpec="AES_256")


def test_throttling_is_an_error_of_status_400(sts: Any, simulator: Simulator, trusting_role: str) -> None:
    fault = {"match": {"service": "sts", "role": trusting_role}, "effect": {"kind": "throttle"}, "count": 1}
    simulator.call("POST", "/faults", fault)
    with pytest.raises(ClientError) as caught:
        sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme")
    assert (code(caught), caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == ("Throttling", 400)
    sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme")
