"""Tokens of an issuer: signed by a library, verified by us; and everything that must not pass."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from core.auth.jwt import BadToken, CurveKey, Expected, PublicKey, read_keys, read_token, verify

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


CURVE_PRIVATE = ec.derive_private_key(20261121, ec.SECP256R1())
MASK = padding.MGF1(hashes.SHA256())


def signature(algorithm: str, signed: bytes, salt: int = 32) -> bytes:
    if algorithm == "ES256":
        r, s = decode_dss_signature(CURVE_PRIVATE.sign(signed, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    pads: dict[str, Any] = {"PS256": padding.PSS(MASK, salt)}
    return private_key().sign(signed, pads.get(algorithm, padding.PKCS1v15()), hashes.SHA256())


def token(claims: Any = CLAIMS, header: Any = None, made_by: str = "") -> str:
    """A token; `made_by` is the algorithm that signs it, where the header names another."""
    head = {"alg": "RS256", "kid": "k1"} if header is None else header
    signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}.{encoded(signature(made_by or head['alg'], signed.encode()))}"


def curve_jwk(**members: Any) -> dict[str, Any]:
    numbers = CURVE_PRIVATE.public_key().public_numbers()
    x, y = (encoded(number.to_bytes(32)) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "kid": "k1", "x": x, "y": y, **members}


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
        ({**CLAIMS, "iss": None}, "another issuer"),
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


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
@pytest.mark.parametrize("named", [True, False])
def test_each_algorithm_verifies_with_its_own_keys_only(algorithm: str, named: bool) -> None:
    read = read_token(token(header={"alg": algorithm, "kid": "k1"}))
    own = {"alg": algorithm} if named else {}
    kind, other = (curve_jwk, jwk) if algorithm == "ES256" else (jwk, curve_jwk)
    verify(read, read_keys({"keys": [kind(**own)]})["k1"], EXPECTED)
    for wrong in (other(), kind(alg="RS512"), kind(alg="RS256" if algorithm == "PS256" else "PS256")):
        with pytest.raises(BadToken, match="signature"):
            verify(read, read_keys({"keys": [wrong]})["k1"], EXPECTED)


@pytest.mark.parametrize(("named", "made_by"), [("PS256", "RS256"), ("RS256", "PS256"), ("ES256", "RS256")])
def test_a_signature_of_another_algorithm_does_not_match(named: str, made_by: str) -> None:
    read = read_token(token(header={"alg": named, "kid": "k1"}, made_by=made_by))
    for row in (jwk(), curve_jwk()):
        with pytest.raises(BadToken, match="signature"):
            verify(read, read_keys({"keys": [row]})["k1"], EXPECTED)


def pss_message(change: Any) -> bytes:
    """What a good PS256 signature stands for, with `change` made to it, signed as it is."""
    signed = token(header={"alg": "PS256", "kid": "k1"}).rpartition(".")[0].encode()
    key, numbers = public_key(), private_key().private_numbers()
    changed = key.modulus
    while changed >= key.modulus:  # which no signature stands for; the salt, and so the message, differs each time
        message = pow(int.from_bytes(signature("PS256", signed)), key.exponent, key.modulus).to_bytes(256)
        changed = int.from_bytes(change(bytearray(message)))
    return signed + b"." + encoded(pow(changed, numbers.d, key.modulus).to_bytes(256)).encode()


def flipped(place: int, bits: int) -> Any:
    def change(message: bytearray) -> bytearray:
        message[place] ^= bits
        return message

    return change


def test_a_pss_message_is_checked_whole() -> None:
    whole = read_token(pss_message(lambda message: message).decode())
    verify(whole, public_key(), EXPECTED)
    for change in (flipped(-1, 1), flipped(0, 0x80), flipped(1, 1), flipped(190, 1), flipped(222, 1), flipped(-2, 1)):
        with pytest.raises(BadToken, match="signature"):
            verify(read_token(pss_message(change).decode()), public_key(), EXPECTED)
    for salt in (0, 20, 64):
        signed = token(header={"alg": "PS256", "kid": "k1"}).rpartition(".")[0]
        other = f"{signed}.{encoded(signature('PS256', signed.encode(), salt))}"
        with pytest.raises(BadToken, match="signature"):
            verify(read_token(other), public_key(), EXPECTED)


def test_only_points_of_the_curve_are_keys() -> None:
    good = curve_jwk()
    rows = [
        good, curve_jwk(kid="swapped", x=good["y"], y=good["x"]), curve_jwk(kid="p384", crv="P-384"),
        curve_jwk(kid="zero", x="", y=""), curve_jwk(kid="none", y=None), {"kty": "oct", "k": "YQ"},
    ]  # fmt: skip
    numbers = CURVE_PRIVATE.public_key().public_numbers()
    assert read_keys({"keys": rows}) == {"k1": CurveKey(numbers.x, numbers.y)}
