"""The credentials that backends take."""

from __future__ import annotations

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from core.auth import sigv4
from core.auth.credentials import Credentials
from core.errors import NotConfigured
from core.ports import Authenticator, BackendRequest
from handlers.io.authenticators import SigV4
from handlers.io.key_auth import Bearer, HeaderKey

NOW = 1_704_164_645.0


class FixedClock:
    def monotonic(self) -> float:
        return NOW

    def time(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        return None


class FixedCredentials:
    async def current(self) -> Credentials:
        return Credentials("AKID", "s3cret", "tok")


def request(url: str = "https://h.test/model/a%3A0/converse?x=1", **headers: str) -> BackendRequest:
    return BackendRequest("POST", url, [("content-type", "application/json"), *headers.items()], b"{}")


async def test_keys_replace_what_was_there() -> None:
    asked = request(**{"x-api-key": "the caller's", "authorization": "Bearer the caller's"})
    authenticators: list[Authenticator] = [HeaderKey("x-api-key", " k1 ", "ANTHROPIC_API_KEY"), Bearer("t1")]
    for authenticator in authenticators:
        await authenticator.authorize(asked)
    assert asked.headers == [
        ("content-type", "application/json"),
        ("x-api-key", "k1"),
        ("authorization", "Bearer t1"),
    ]


@pytest.mark.parametrize("value", [None, "", "  "])
async def test_a_missing_key_names_its_variable(value: str | None) -> None:
    for authenticator in (HeaderKey("api-key", value, "AZURE_API_KEY"), Bearer(value, "AZURE_API_KEY")):
        with pytest.raises(NotConfigured, match="AZURE_API_KEY is not set"):
            await authenticator.authorize(request())
    with pytest.raises(NotConfigured, match="AWS_REGION is not set"):
        await SigV4(FixedCredentials(), value, "bedrock", FixedClock()).authorize(request())


@pytest.mark.parametrize(
    "url", ["https://h.test/model/a%3A0/converse?x=1", "http://127.0.0.1:8080", "https://h.test:443/"]
)
async def test_requests_are_signed_as_botocore_signs_them(url: str) -> None:
    asked = request(url, authorization="Bearer the caller's")
    await SigV4(FixedCredentials(), "us-east-1", "bedrock", FixedClock()).authorize(asked)
    theirs = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=b"{}")
    theirs.context["timestamp"] = sigv4.amz_date(NOW)
    theirs.headers["X-Amz-Date"] = sigv4.amz_date(NOW)
    theirs.headers["X-Amz-Security-Token"] = "tok"
    signer = SigV4Auth(BotocoreCredentials("AKID", "s3cret", "tok"), "bedrock", "us-east-1")
    to_sign = signer.string_to_sign(theirs, signer.canonical_request(theirs))
    headers = dict(asked.headers)
    assert headers["authorization"].endswith(f"Signature={signer.signature(to_sign, theirs)}")
    assert headers["x-amz-security-token"] == "tok"
    assert "host" not in headers


async def test_a_given_host_header_is_the_one_that_is_signed() -> None:
    asked = request(host="front.test")
    await SigV4(FixedCredentials(), "us-east-1", "bedrock", FixedClock()).authorize(asked)
    claim = sigv4.parse_authorization(dict(asked.headers)["authorization"])
    assert claim is not None
    parts = sigv4.SignedParts("POST", "/model/a%3A0/converse", "x=1", asked.headers, b"{}")
    sigv4.verify(parts, claim, "s3cret", NOW)


async def test_a_url_that_is_none() -> None:
    with pytest.raises(NotConfigured, match="base_url"):
        await SigV4(FixedCredentials(), "us-east-1", "bedrock", FixedClock()).authorize(request("h.test"))
