"""Documents that AWS credentials come in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.auth import credentials
from core.auth.credentials import Credentials, UnreadableCredentials

EXPIRES = 1704164645.0  # 2024-01-02T03:04:05Z
XML = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials>
  <SessionToken> tok&amp;en </SessionToken><SecretAccessKey>s3cret</SecretAccessKey>
  <Expiration>2024-01-02T03:04:05.123Z</Expiration><AccessKeyId>ASIA1</AccessKeyId>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


def container(**members: object) -> bytes:
    return json.dumps({"AccessKeyId": "ASIA1", "SecretAccessKey": "s3cret", **members}).encode()


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(Credentials("AKIA1", "s3cret", "tok3n"))
    assert "tok3n" not in repr(Credentials("AKIA1", "s3cret", "tok3n"))


def test_credentials_of_the_environment() -> None:
    names = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    assert credentials.from_environment(names) == Credentials("AKIA1", "s3cret")
    with_token = {**names, "AWS_SESSION_TOKEN": "t"}
    assert credentials.from_environment(with_token) == Credentials("AKIA1", "s3cret", "t")
    for name in names:
        assert credentials.from_environment({**names, name: " "}) is None
    assert credentials.from_environment({}) is None


def test_credentials_of_a_container_s_endpoint() -> None:
    read = credentials.from_container(container(Token="t", Expiration="2024-01-02T03:04:05Z", RoleArn="a"))
    assert read == Credentials("ASIA1", "s3cret", "t", EXPIRES)
    assert credentials.from_container(container()) == Credentials("ASIA1", "s3cret")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        container(AccessKeyId=5),
        container(SecretAccessKey=""),
        container(Token=5),
        container(Expiration=5),
        container(Expiration="tomorrow"),
        container(Expiration="2024-13-02T03:04:05Z"),
    ],
)
def test_unreadable_documents(document: bytes) -> None:
    with pytest.raises(UnreadableCredentials) as caught:
        credentials.from_container(document)
    assert "s3cret" not in str(caught.value)


def test_web_identity() -> None:
    read = credentials.from_web_identity(XML.encode())
    assert read == Credentials("ASIA1", "s3cret", "tok&en", EXPIRES)
    with pytest.raises(UnreadableCredentials):
        credentials.from_web_identity(b"<a/>")


def test_web_identity_errors() -> None:
    body = b"<ErrorResponse><Error><Code>ExpiredToken</Code><Message>it &lt;expired&gt;</Message></Error>"
    assert credentials.web_identity_error(body) == "ExpiredToken: it <expired>"
    assert credentials.web_identity_error(b"<html>") == ""


PROFILES = """
# a comment = x
[default]
aws_access_key_id = AKIA1
aws_secret_access_key=s3cret=
[ work ]
; another
AWS_ACCESS_KEY_ID = AKIA2
aws_secret_access_key = other
aws_session_token = t
nonsense
[half]
aws_access_key_id = AKIA3
"""


def test_credentials_of_a_profile() -> None:
    assert credentials.from_profile(PROFILES, "default") == Credentials("AKIA1", "s3cret=")
    assert credentials.from_profile(PROFILES, "work") == Credentials("AKIA2", "other", "t")
    assert credentials.from_profile(PROFILES, "half") is None
    assert credentials.from_profile(PROFILES, "absent") is None


@given(st.binary(max_size=80))
def test_odd_documents_are_unreadable_and_nothing_else(document: bytes) -> None:
    for read in (credentials.from_container, credentials.from_web_identity):
        with pytest.raises(UnreadableCredentials):
            read(document)
    credentials.from_profile(document.decode("utf-8", "replace"), "default")
