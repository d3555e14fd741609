"""JSON Web Tokens of an OIDC issuer, verified: RS256 with the issuer's published keys (RFC 7515, 7517, 7518, 7519).

Only this one algorithm, which every issuer must offer (OpenID Connect Core, 15.1): what a token's header says is never
a choice. Verifying RSA takes one modular power of public numbers, so it needs no library and no constant time.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final

from core.slotted import slotted

# Clocks of different machines differ by this much.
LEEWAY_SECONDS: Final = 60.0
# RFC 7518, 3.3: no smaller keys; and an exponent that makes the power expensive is no real one.
_SMALLEST_MODULUS_BITS: Final = 2048
_LARGEST_MODULUS_BITS: Final = 8192
_LARGEST_EXPONENT: Final = 2**32
# DigestInfo of SHA-256 (RFC 8017, 9.2, note 1).
_DIGEST_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")


class BadToken(ValueError):
    """The token does not hold. The message says why and quotes nothing of it."""


@slotted(frozen=True)
class PublicKey:
    """An RSA key of the issuer."""

    modulus: int
    exponent: int


@slotted(frozen=True)
class Token:
    """A token taken apart. Nothing in it is true before `verify`."""

    key_id: str
    signed: bytes
    signature: bytes
    claims: Mapping[str, Any]


@slotted(frozen=True)
class Expected:
    """What a token must say. `now` is in epoch seconds."""

    issuer: str
    audience: str
    now: float


def read_token(text: str) -> Token:
    """Raises BadToken for what is no token, or one of another algorithm."""
    parts = text.split(".")
    if len(parts) != 3:
        raise BadToken("it has not three parts")
    header, claims = _object(parts[0]), _object(parts[1])
    if header.get("alg") != "RS256":
        raise BadToken("it is not signed with RS256")
    if "crit" in header:
        raise BadToken("its header demands an extension")
    key_id = header.get("kid")
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Token(key_id if isinstance(key_id, str) else "", signed, _bytes(parts[2]), claims)


def read_keys(document: Any) -> Mapping[str, PublicKey]:
    """The RSA signing keys of a JWK set, by key id. Others are passed over. Raises BadToken for what is no set."""
    rows = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise BadToken("the issuer's keys cannot be read")
    found = {}
    for row in rows:
        if isinstance(row, dict) and row.get("kty") == "RSA" and row.get("use", "sig") == "sig":
            key = PublicKey(_number(row.get("n")), _number(row.get("e")))
            bits = key.modulus.bit_length()
            sound = _SMALLEST_MODULUS_BITS <= bits <= _LARGEST_MODULUS_BITS
            if sound and 1 < key.exponent <= _LARGEST_EXPONENT:
                found[str(row.get("kid", ""))] = key
    return found


def verify(token: Token, key: PublicKey, expected: Expected) -> None:
    """Returns when signature, issuer, audience and times hold. Raises BadToken."""
    if not _is_signed(token, key):
        raise BadToken("its signature does not match")
    claims = token.claims
    if claims.get("iss") != expected.issuer:
        raise BadToken("it is of another issuer")
    audience = claims.get("aud")
    if expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise BadToken("it is for another audience")
    expires, begins = _time(claims.get("exp")), _time(claims.get("nbf", 0))
    if expires + LEEWAY_SECONDS <= expected.now:
        raise BadToken("it has expired")
    if begins - LEEWAY_SECONDS > expected.now:
        raise BadToken("it does not hold yet")


def _is_signed(token: Token, key: PublicKey) -> bool:
    """RSASSA-PKCS1-v1_5: the whole padding is built and compared, not parsed (RFC 8017, 8.2.2)."""
    size = (key.modulus.bit_length() + 7) // 8
    number = int.from_bytes(token.signature)
    if len(token.signature) != size or number >= key.modulus:
        return False
    digest = _DIGEST_INFO + sha256(token.signed).digest()
    wanted = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    return compare_digest(pow(number, key.exponent, key.modulus).to_bytes(size), wanted)


def _time(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadToken("it does not say when it holds")
    return value


def _object(part: str) -> Mapping[str, Any]:
    text = _bytes(part)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise BadToken("its parts are not JSON") from None
    if not isinstance(value, dict):
        raise BadToken("its parts are not JSON objects")
    return value


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("its parts are not base64url") from None


def _number(value: Any) -> int:
    return int.from_bytes(_bytes(value)) if isinstance(value, str) else 0
