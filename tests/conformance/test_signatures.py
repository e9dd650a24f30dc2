"""Requests are answered only if signed by whom they claim, for what they carry, just now."""

from __future__ import annotations

import datetime
import json
import urllib.error
import urllib.request
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningCredentials
from botocore.exceptions import ClientError
from targets import REGION, Credentials, Simulator, client


def code(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("service", "expected"),
    [("sts", ("SignatureDoesNotMatch", 403)), ("kms", ("InvalidSignatureException", 400))],
)
def test_a_wrong_secret_does_not_sign(
    simulator: Simulator, admin: Credentials, service: str, expected: tuple[str, int]
) -> None:
    wrong = Credentials(admin.access_key_id, admin.secret_access_key[::-1])
    with pytest.raises(ClientError) as caught:
        call(client(service, simulator.endpoint, wrong))
    assert code(caught) == expected


@pytest.mark.parametrize(
    ("service", "expected"),
    [("sts", ("InvalidClientTokenId", 403)), ("kms", ("UnrecognizedClientException", 400))],
)
def test_an_unknown_access_key_is_not_a_caller(
    simulator: Simulator, service: str, expected: tuple[str, int]
) -> None:
    for unknown in ("AKIAAAAAAAAAAAAAAAAA", "ASIAAAAAAAAAAAAAAAAA"):
        with pytest.raises(ClientError) as caught:
            call(client(service, simulator.endpoint, Credentials(unknown, "secret")))
        assert code(caught) == expected


@pytest.mark.parametrize("service", ["sts", "kms"])
@pytest.mark.parametrize("token", [None, "nonsense"])
def test_a_session_needs_its_own_token(
    simulator: Simulator, platform: Credentials, trusting_role: str, service: str, token: str | None
) -> None:
    sts = client("sts", simulator.endpoint, platform)
    session = Credentials.of(sts.assume_role(RoleArn=trusting_role, RoleSessionName="lh-acme"))
    call(client(service, simulator.endpoint, session))
    stolen = Credentials(session.access_key_id, session.secret_access_key, token)
    with pytest.raises(ClientError) as caught:
        call(client(service, simulator.endpoint, stolen))
    assert code(caught)[0] in {"InvalidClientTokenId", "UnrecognizedClientException"}


@pytest.mark.parametrize("service", ["sts", "kms"])
def test_a_deactivated_access_key_is_no_longer_one(
    simulator: Simulator, admin: Credentials, service: str
) -> None:
    made = client(service, simulator.endpoint, admin)
    call(made)
    simulator.call("PUT", f"/aws/access-keys/{admin.access_key_id}/active", False)
    with pytest.raises(ClientError) as caught:
        call(made)
    assert code(caught)[0] in {"InvalidClientTokenId", "UnrecognizedClientException"}
    simulator.call("PUT", f"/aws/access-keys/{admin.access_key_id}/active", True)
    call(made)


def call(made: Any) -> Any:
    """The cheapest call that has to be signed."""
    if made.meta.service_model.service_name == "sts":
        return made.get_caller_identity()
    return made.list_keys(Limit=1)


@pytest.mark.parametrize("minutes", [-20, -6, 6, 20])
@pytest.mark.parametrize("service", ["sts", "kms"])
def test_a_signature_of_another_time_is_stale(
    simulator: Simulator, admin: Credentials, service: str, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = botocore.auth.get_current_datetime
    shift = datetime.timedelta(minutes=minutes)
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *args, **more: real(*args, **more) + shift
    )
    with pytest.raises(ClientError) as caught:
        call(client(service, simulator.endpoint, admin))
    assert code(caught)[0] in {"SignatureDoesNotMatch", "InvalidSignatureException"}
    assert "Signature" in str(caught.value)


def signed(
    simulator: Simulator, credentials: Credentials, body: bytes, region: str = REGION, service: str = "kms"
) -> AWSRequest:
    """A request to KMS, signed by botocore, that a test may then tamper with."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.ListKeys"}
    request = AWSRequest("POST", simulator.endpoint + "/", headers=headers, data=body)
    keys = SigningCredentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )
    botocore.auth.SigV4Auth(keys, service, region).add_auth(request)
    return request


def send(request: AWSRequest) -> tuple[int, str]:
    """The status and error code of the answer to a request as it is."""
    prepared = request.prepare()
    raw = urllib.request.Request(
        prepared.url, data=prepared.body, headers=dict(prepared.headers), method="POST"
    )
    try:
        with urllib.request.urlopen(raw, timeout=10) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, json.load(error).get("__type", "").rsplit("#", 1)[-1]


def test_an_untouched_request_passes_and_a_touched_one_does_not(
    simulator: Simulator, admin: Credentials
) -> None:
    assert send(signed(simulator, admin, b"{}")) == (200, "")
    touched = signed(simulator, admin, b"{}")
    touched.data = b'{"Limit":1}'
    assert send(touched) == (400, "InvalidSignatureException")
    touched = signed(simulator, admin, b"{}")
    touched.headers.replace_header("X-Amz-Target", "TrentService.ListAliases")
    assert send(touched) == (400, "InvalidSignatureException")
    touched = signed(simulator, admin, b"{}")
    touched.url += "?x=1"
    assert send(touched) == (400, "InvalidSignatureException")
    touched = signed(simulator, admin, b"{}")
    authorization = touched.headers["Authorization"]
    touched.headers.replace_header(
        "Authorization", authorization[:-1] + ("0" if authorization[-1] != "0" else "1")
    )
    assert send(touched) == (400, "InvalidSignatureException")


def test_a_request_signed_for_another_service_does_not_pass(simulator: Simulator, admin: Credentials) -> None:
    assert send(signed(simulator, admin, b"{}", service="sts"))[0] == 400


def test_an_unsigned_request_is_told_that_a_token_is_missing(
    simulator: Simulator, admin: Credentials
) -> None:
    request = signed(simulator, admin, b"{}")
    del request.headers["Authorization"]
    assert send(request) == (400, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=, Signature="],
)
def test_a_malformed_authorization_is_refused(
    simulator: Simulator, admin: Credentials, authorization: str
) -> None:
    request = signed(simulator, admin, b"{}")
    request.headers.replace_header("Authorization", authorization)
    status, kind = send(request)
    assert status in {400, 403}
    assert kind in {
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
        "InvalidSignatureException",
    }


def test_an_operation_that_does_not_exist_is_unknown(simulator: Simulator, admin: Credentials) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.Nonsense"}
    request = AWSRequest("POST", simulator.endpoint + "/", headers=headers, data=b"{}")
    keys = SigningCredentials(admin.access_key_id, admin.secret_access_key)
    botocore.auth.SigV4Auth(keys, "kms", REGION).add_auth(request)
    assert send(request) == (400, "UnknownOperationException")
