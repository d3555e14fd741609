"""Tokens of an issuer: signed by a library, verified by us; and everything that must not pass."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from core.auth.jwt import BadToken, Expected, PublicKey, read_keys, read_token, verify

NOW = 1_800_000_000.0
EXPECTED = Expected("https://issuer.example", "skybridge", NOW)
CLAIMS = {"iss": "https://issuer.example", "aud": "skybridge", "sub": "app-1", "exp": NOW + 300}


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public_key() -> PublicKey:
    numbers = private_key().public_key().public_numbers()
    return PublicKey(numbers.n, numbers.e)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token(claims: Any = CLAIMS, header: Any = None) -> str:
    head = {"alg": "RS256", "kid": "k1"} if header is None else header
    signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}.{encoded(private_key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def jwk(**members: Any) -> dict[str, Any]:
    key = public_key()
    size = (key.modulus.bit_length() + 7) // 8
    row = {"kty": "RSA", "kid": "k1", "use": "sig", "n": encoded(key.modulus.to_bytes(size)), "e": "AQAB"}
    return {**row, **members}


def test_a_good_token_holds() -> None:
    for claims in (CLAIMS, {**CLAIMS, "aud": ["other", "skybridge"], "nbf": NOW}, {**CLAIMS, "exp": NOW - 30}):
        read = read_token(token(claims))
        verify(read, read_keys({"keys": [jwk()]})[read.key_id], EXPECTED)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({**CLAIMS, "iss": "https://other.example"}, "another issuer"),
        ({**CLAIMS, "aud": "other"}, "another audience"),
        ({**CLAIMS, "aud": None}, "another audience"),
        ({**CLAIMS, "exp": NOW - 61}, "has expired"),
        ({**CLAIMS, "exp": True}, "when it holds"),
        ({**CLAIMS, "exp": None}, "when it holds"),
        ({**CLAIMS, "nbf": NOW + 120}, "not hold yet"),
    ],
)
def test_claims_that_do_not_hold(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadToken, match=reason):
        verify(read_token(token(claims)), public_key(), EXPECTED)


def test_a_signature_of_other_claims_does_not_match() -> None:
    head, _, signature = token().split(".")
    other = f"{head}.{encoded(json.dumps({**CLAIMS, 'sub': 'admin'}).encode())}.{signature}"
    for text in (other, token()[:-4], f"{head}.{token().split('.')[1]}.{encoded(b'\xff' * 256)}"):
        with pytest.raises(BadToken, match="signature"):
            verify(read_token(text), public_key(), EXPECTED)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a.b", "three parts"),
        ("é.b.c", "base64url"),
        ("YQ.YQ.YQ", "not JSON"),
        (f"{encoded(b'[1]')}.{encoded(b'{}')}.YQ", "not JSON objects"),
        (token(header={"alg": "none"}), "RS256"),
        (token(header={"alg": "HS256"}), "RS256"),
        (token(header={"alg": "RS256", "crit": ["x"]}), "extension"),
    ],
)
def test_what_is_no_token(text: str, reason: str) -> None:
    with pytest.raises(BadToken, match=reason):
        read_token(text)


def test_only_sound_signing_keys_are_taken() -> None:
    rows = [
        jwk(), jwk(kid="enc", use="enc"), jwk(kid="ec", kty="EC"), jwk(kid="small", n="AQAB"), jwk(kid="e1", e="AQ"),
        jwk(kid="none", n=None), 3,
    ]  # fmt: skip
    assert list(read_keys({"keys": rows})) == ["k1"]
    assert read_token(token(header={"alg": "RS256", "kid": 3})).key_id == ""
    for document in (None, {}, {"keys": 3}):
        with pytest.raises(BadToken, match="keys cannot be read"):
            read_keys(document)
