"""Signature V4 on the published suites, and against botocore's own signer."""

from __future__ import annotations

import json
from calendar import timegm
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from core.auth import sigv4
from core.auth.credentials import Credentials
from core.auth.sigv4 import Scope, SignedParts
from core.errors import Refused
from core.http import Request
from tests.wire.recordings import FOLDER

SUITES = FOLDER / "sigv4"
BOTOCORE_CASES = sorted((SUITES / "botocore-aws4_testsuite").rglob("*.creq"))
AWS_C_CASES = sorted((SUITES / "aws-c-auth-suite" / "v4").glob("*/context.json"))
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SCOPE = Scope("20150830T123600Z", "us-east-1", "service")
NOW = 1440938160.0  # 2015-08-30T12:36:00Z

needs_suites = pytest.mark.skipif(not SUITES.exists(), reason="the folder ../shared/recordings is absent")


def read_http(text: str) -> SignedParts:
    """The suites' request files: a request line, headers (some folded), an empty line, the body."""
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    request_line, *lines = head.split("\n")
    method, target = request_line.removesuffix(" HTTP/1.1").split(" ", 1)
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            name, value = headers[-1]
            headers[-1] = (name, f"{value}\n{line}")
        elif line:
            name, _, value = line.partition(":")
            headers.append((name, value))
    path, _, query = target.partition("?")
    return SignedParts(method, path, query, headers, body.encode())


def without(parts: SignedParts, *names: str) -> SignedParts:
    return replace(parts, headers=[(name, value) for name, value in parts.headers if name.lower() not in names])


def authorization_of(added: list[tuple[str, str]]) -> str:
    return dict(added)["authorization"]


@needs_suites
@pytest.mark.parametrize("path", BOTOCORE_CASES, ids=lambda path: path.stem)
def test_botocore_suite(path: Path) -> None:
    parts = without(read_http(path.with_suffix(".sreq").read_text("utf-8")), "authorization")
    wanted = path.with_suffix(".authz").read_text().strip()
    claim = sigv4.parse_authorization(wanted)
    assert claim is not None
    signed_token = "x-amz-security-token" in claim.signed_headers
    keys = replace(KEYS, session_token=dict(parts.headers)["X-Amz-Security-Token"] if signed_token else None)
    canonical = sigv4.canonical_request(
        parts, sigv4.canonical_path(parts.path), claim.signed_headers, sigv4._payload_hash(parts)
    )
    assert canonical == path.read_text("utf-8").replace("\r\n", "\n")
    to_sign = path.with_suffix(".sts").read_text().replace("\r\n", "\n")
    assert sigv4.string_to_sign(SCOPE, canonical) == to_sign
    added = sigv4.sign(without(parts, "x-amz-date", "x-amz-security-token"), keys, SCOPE)
    assert authorization_of(added) == wanted
    sigv4.verify(parts, claim, KEYS.secret_access_key, NOW, service="service")


@needs_suites
@pytest.mark.parametrize("path", AWS_C_CASES, ids=lambda path: path.parent.name)
def test_aws_c_auth_suite_in_headers(path: Path) -> None:
    folder = path.parent
    context = json.loads(path.read_text())
    signed = read_http((folder / "header-signed-request.txt").read_text("utf-8"))
    claim = sigv4.parse_authorization(dict(signed.headers)["Authorization"].strip())
    assert claim is not None
    canonical = sigv4.canonical_request(
        signed,
        sigv4.canonical_path(signed.path, normalize=context["normalize"]),
        claim.signed_headers,
        sigv4._payload_hash(signed),
    )
    assert canonical == (folder / "header-canonical-request.txt").read_text("utf-8")
    to_sign = sigv4.string_to_sign(SCOPE, canonical)
    assert to_sign == (folder / "header-string-to-sign.txt").read_text()
    wanted = (folder / "header-signature.txt").read_text()
    assert sigv4.signature(KEYS.secret_access_key, SCOPE, to_sign) == wanted == claim.signature
    if not context["normalize"]:
        return
    token = None if context.get("omit_session_token") else context["credentials"].get("token")
    parts = without(signed, "authorization", "x-amz-date", "x-amz-security-token")
    added = sigv4.sign(parts, replace(KEYS, session_token=token), SCOPE)
    assert sigv4.parse_authorization(authorization_of(added)) == claim
    sigv4.verify(signed, claim, KEYS.secret_access_key, NOW, service="service")


@needs_suites
@pytest.mark.parametrize("path", AWS_C_CASES, ids=lambda path: path.parent.name)
def test_aws_c_auth_suite_in_the_query(path: Path) -> None:
    folder = path.parent
    context = json.loads(path.read_text())
    signed = read_http((folder / "query-signed-request.txt").read_text("utf-8"))
    late = ["X-Amz-Signature="] + (["X-Amz-Security-Token="] if context.get("omit_session_token") else [])
    query = "&".join(part for part in signed.query.split("&") if not part.startswith(tuple(late)))
    names = next(part for part in query.split("&") if part.startswith("X-Amz-SignedHeaders="))
    canonical = sigv4.canonical_request(
        replace(signed, query=query),
        sigv4.canonical_path(signed.path, normalize=context["normalize"]),
        names.partition("=")[2].replace("%3B", ";").split(";"),
        sigv4._payload_hash(signed),
    )
    assert canonical == (folder / "query-canonical-request.txt").read_text("utf-8")
    to_sign = sigv4.string_to_sign(SCOPE, canonical)
    assert to_sign == (folder / "query-string-to-sign.txt").read_text()
    assert sigv4.signature(KEYS.secret_access_key, SCOPE, to_sign) == (folder / "query-signature.txt").read_text()


MODEL_IDS = [
    "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "us.amazon.nova-pro-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4",
    "anthropic.claude-opus-5-5",
]


def signed_by_botocore(path: str, body: bytes, token: str | None = None) -> SignedParts:
    request = AWSRequest(
        "POST",
        f"https://bedrock-runtime.us-east-1.amazonaws.com{path}",
        headers={"Content-Type": "application/json", "X-Amzn-Bedrock-Trace": "ENABLED", "User-Agent": "x"},
        data=body,
    )
    SigV4Auth(BotocoreCredentials("AKID", "secret", token), "bedrock", "us-east-1").add_auth(request)
    headers = [*request.headers.items(), ("Host", "bedrock-runtime.us-east-1.amazonaws.com")]
    return SignedParts("POST", path, "", headers, body)


@pytest.mark.parametrize("token", [None, "a/token+="])
@pytest.mark.parametrize("model", MODEL_IDS)
def test_model_ids_are_signed_as_botocore_signs_them(model: str, token: str | None) -> None:
    path = f"/model/{quote(model, safe='')}/converse"
    theirs = signed_by_botocore(path, b'{"messages":[]}', token)
    wanted = dict(theirs.headers)
    parts = without(theirs, "authorization", "x-amz-date", "x-amz-security-token")
    scope = Scope(wanted["X-Amz-Date"], "us-east-1", "bedrock")
    assert authorization_of(sigv4.sign(parts, Credentials("AKID", "secret", token), scope)) == wanted["Authorization"]


def test_the_path_is_encoded_twice_except_for_s3() -> None:
    assert sigv4.canonical_path("/model/a%3A0/converse", "bedrock") == "/model/a%253A0/converse"
    assert sigv4.canonical_path("/bucket//a%3A0/../b", "s3") == "/bucket//a%3A0/../b"
    assert sigv4.canonical_path("", "s3") == "/"
    assert sigv4.canonical_path("", normalize=False) == "/"


def test_the_signing_key_is_derived_once_a_day() -> None:
    sigv4.signing_key.cache_clear()
    parts = SignedParts("GET", "/", "", [("host", "h")])
    for second in range(3):
        sigv4.sign(parts, KEYS, Scope(sigv4.amz_date(NOW + second), "us-east-1", "bedrock"))
    assert sigv4.signing_key.cache_info().misses == 1


def test_amz_date() -> None:
    assert sigv4.amz_date(NOW + 0.9) == "20150830T123600Z"


def made_request(now: float = NOW, **changes: object) -> tuple[SignedParts, str]:
    parts = SignedParts("POST", "/model/m%3A0/converse", "", [("host", "gw.test")], b"{}")
    parts = replace(parts, **changes)  # type: ignore[arg-type]
    added = sigv4.sign(parts, Credentials("key-1", "s3cret"), Scope(sigv4.amz_date(now), "eu-west-1", "bedrock"))
    return replace(parts, headers=parts.headers + added), authorization_of(added)


def verify(parts: SignedParts, header: str, secret: str = "s3cret", now: float = NOW) -> None:
    claim = sigv4.parse_authorization(header)
    assert claim is not None
    sigv4.verify(parts, claim, secret, now)


def test_verify_accepts_what_is_right() -> None:
    verify(*made_request())
    parts, header = made_request()
    verify(replace(parts, path="/model/m:0/converse"), header)  # a front door that decoded the path
    arn = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse-stream"
    parts, header = made_request(path=arn)
    verify(replace(parts, path="/model/arn:aws:bedrock:us-east-1:1:inference-profile/x/converse-stream"), header)


def test_verify_accepts_a_key_id_with_slashes() -> None:
    claim = sigv4.parse_authorization(
        "AWS4-HMAC-SHA256 Credential=a/b/20150830/r/bedrock/aws4_request,SignedHeaders=host;x-amz-date,Signature=0"
    )
    assert claim is not None and claim.access_key_id == "a/b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"body": b"{ }"}, "does not match"),
        ({"path": "/model/n%3A0/converse"}, "does not match"),
        ({"query": "a=1"}, "does not match"),
        ({"method": "GET"}, "does not match"),
    ],
)
def test_verify_refuses_a_changed_request(change: dict[str, object], message: str) -> None:
    parts, header = made_request()
    with pytest.raises(Refused, match=message) as caught:
        verify(replace(parts, **change), header)  # type: ignore[arg-type]
    assert (caught.value.kind, caught.value.status) == ("authentication", 403)
    assert "s3cret" not in str(caught.value)


def test_verify_refuses_another_secret_and_another_host() -> None:
    parts, header = made_request()
    with pytest.raises(Refused, match="does not match"):
        verify(parts, header, secret="other")
    moved = [("host", "evil.test") if name == "host" else (name, value) for name, value in parts.headers]
    with pytest.raises(Refused, match="does not match"):
        verify(replace(parts, headers=moved), header)


@pytest.mark.parametrize("late", [-301.0, 301.0])
def test_verify_refuses_an_old_or_early_signature(late: float) -> None:
    with pytest.raises(Refused, match="expired or not yet valid"):
        verify(*made_request(), now=NOW + late)
    verify(*made_request(), now=NOW + (300 if late > 0 else -300))


def test_verify_refuses_an_unsigned_payload() -> None:
    parts, header = made_request(headers=[("host", "gw.test"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")])
    with pytest.raises(Refused, match="x-amz-content-sha256"):
        verify(parts, header)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("20150830/", "20150829/", "differs from x-amz-date"),
        ("/bedrock/", "/s3/", "must name the service"),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date", "must be signed"),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date;host", "must be sorted"),
        ("Credential=key-1/", "Credential=", "lacks Credential"),
        (", Signature=", ", Sig=", "lacks Credential"),
        ("SignedHeaders=", "Signed=", "lacks Credential"),
        ("aws4_request", "aws5_request", "must end with"),
    ],
)
def test_verify_refuses_a_wrong_claim(old: str, new: str, message: str) -> None:
    parts, header = made_request()
    assert old in header
    with pytest.raises(Refused, match=message):
        verify(parts, header.replace(old, new, 1))


@pytest.mark.parametrize("date", ["", "yesterday", "20150830T126000Z"])
def test_verify_needs_a_date(date: str) -> None:
    parts, header = made_request()
    dated = [("x-amz-date", date) if name == "x-amz-date" else (name, value) for name, value in parts.headers]
    with pytest.raises(Refused, match="needs x-amz-date"):
        verify(replace(parts, headers=dated), header)


def test_another_scheme_is_no_claim() -> None:
    assert sigv4.parse_authorization("Bearer abc") is None
    assert sigv4.parse_authorization("") is None


@given(st.text(max_size=60))
def test_odd_authorization_headers_are_refused_and_nothing_else(text: str) -> None:
    parts, _ = made_request()
    try:
        claim = sigv4.parse_authorization(f"AWS4-HMAC-SHA256 {text}")
        assert claim is not None
        sigv4.verify(parts, claim, "s3cret", NOW)
    except Refused:
        return
    raise AssertionError("accepted")


def test_botocore_and_we_agree_both_ways() -> None:
    parts = signed_by_botocore("/model/x%3A0/converse", b'{"a":1}', "token")
    headers = dict(parts.headers)
    claim = sigv4.parse_authorization(headers["Authorization"])
    assert claim is not None
    signed_at = timegm(sigv4.strptime(headers["X-Amz-Date"], sigv4.DATE_FORMAT))
    sigv4.verify(parts, claim, "secret", signed_at)


def test_a_gateway_key_is_found_by_its_signature() -> None:
    parts, _ = made_request()
    request = Request(parts.method, parts.path, parts.query, dict(parts.headers), parts.body)
    assert sigv4.signing_secret(request, ["other", "s3cret", "third"], NOW) == "s3cret"
    for secrets in ([], ["other"]):
        with pytest.raises(Refused, match="does not match"):
            sigv4.signing_secret(request, secrets, NOW)
    assert sigv4.signing_secret(Request("GET", "/", headers={"authorization": "Bearer k"}), ["k"], NOW) is None
    assert sigv4.signing_secret(Request("GET", "/"), ["k"], NOW) is None
