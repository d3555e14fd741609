"""Masking: what goes, and what stays."""

from __future__ import annotations

from typing import Any

import pytest

from core.masking import masked


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key sk-ant-api03-abcdefghijklmnop here", "key *** here"),
        ("sk-sky-kSI49GCOIDMDQIt4glaDr1wSut", "***"),
        ("Authorization: Bearer abc.def-123456", "Authorization: ***"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0abc.c2ln", "***"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        pytest.param("eyJaaaaaaaa-" * 100_000, "eyJaaaaaaaa-" * 100_000, id="long"),  # in no time
        ("s3/x?X-Amz-Signature=0a1b&X-Amz-Date=2026&x-goog-signature=2c", "s3/x?***&X-Amz-Date=2026&***"),
        ("https://a.blob/c?sv=1&sig=ab%2Fc%3D&se=2", "https://a.blob/c?sv=1***&se=2"),
        ("AccountKey=QUJD+/ab==;EndpointSuffix=core", "***;EndpointSuffix=core"),
        ("https://ann:pass@example.org/", "https://***@example.org/"),
        ("http://example.org:80/a@b, mailto:ann@b, sig=nature", "http://example.org:80/a@b, mailto:ann@b, sig=nature"),
        ("a sketch of skylines, sk-short", "a sketch of skylines, sk-short"),
    ],
)
def test_credentials_go(text: str, left: str) -> None:
    assert masked(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ann.lee+x@mail.example.org.", "write to ***."),
        pytest.param("a." * 100_000 + "ann@example.org", ("a." * 100_000)[:-61] + "***", id="long"),
        ("call +49 (30) 1234-5678 now", "call *** now"),
        ("card 4111 1111 1111 1111", "card ***"),
        ("DE89 3704 0044 0532 0130 00", "***"),
        ("ssn 078-05-1120", "ssn ***"),
        ("from 192.0.2.17, 2001:db8::1 and 2001:db8:0:0:0:0:0:1", "from ***, *** and ***"),
        ("version 1.2.3.400 at 10:20:30, std::vector", "version 1.2.3.400 at 10:20:30, std::vector"),
        ("in 2026 there were 1,234,567 of 42", "in 2026 there were 1,234,567 of 42"),
    ],
)
def test_personal_data_goes_on_request(text: str, left: str) -> None:
    assert masked(text, personal=True) == left
    assert masked(text) == text


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"api_key": "x", "max_tokens": 5, "token": "t"}, {"api_key": "***", "max_tokens": 5, "token": "***"}),
        ([{"a": ["Bearer 123456789"]}, None, 1.5, True], [{"a": ["***"]}, None, 1.5, True]),
        ({"password": {"type": "string"}}, {"password": {"type": "string"}}),
        (
            {"client_secret": "a", "secretAccessKey": "b", "x-auth-token": "c", "accessToken": "d", "Cookie": "e"},
            dict.fromkeys(("client_secret", "secretAccessKey", "x-auth-token", "accessToken", "Cookie"), "***"),
        ),
        ({"tokens": "5", "keyboard": "us", "secretary": "ann"}, {"tokens": "5", "keyboard": "us", "secretary": "ann"}),
    ],
)
def test_nested_values(value: Any, left: Any) -> None:
    assert masked(value) == left
