"""JSON Web Tokens of an OIDC issuer, verified with the issuer's published keys (RFC 7515, 7517, 7518, 7519).

RS256, which every issuer must offer (OpenID Connect Core, 15.1), PS256 and ES256. What a token's header says is no
choice: each algorithm takes keys of its own kind only, and a key that names one takes no other. Verifying deals with
public numbers only, so it needs no constant time; and no library: the usual one is larger than the whole package.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final

from core.auth import p256
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
    """An RSA key of the issuer. `algorithm` is the only one that it is for, "" where it does not say."""

    modulus: int
    exponent: int
    algorithm: str = ""


@slotted(frozen=True)
class CurveKey:
    """A key of the issuer on P-256: a point of the curve."""

    x: int
    y: int
    algorithm: str = ""


type Key = PublicKey | CurveKey


@slotted(frozen=True)
class Token:
    """A token taken apart. Nothing in it is true before `verify`."""

    key_id: str
    algorithm: str
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
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _VERIFIERS:
        raise BadToken(f"it is not signed with one of {', '.join(_VERIFIERS)}")
    if "crit" in header:
        raise BadToken("its header demands an extension")
    key_id = header.get("kid")
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Token(key_id if isinstance(key_id, str) else "", algorithm, signed, _bytes(parts[2]), claims)


def read_keys(document: Any) -> Mapping[str, Key]:
    """The signing keys of a JWK set that tokens are verified with here, by key id. Others are passed over, unsound ones
    too. Raises BadToken for what is no set."""
    rows = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise BadToken("the issuer's keys cannot be read")
    found: dict[str, Key] = {}
    for row in rows:
        if isinstance(row, dict) and row.get("use", "sig") == "sig":
            key = _rsa_key(row) if row.get("kty") == "RSA" else _curve_key(row)
            if key is not None:
                found[str(row.get("kid", ""))] = key
    return found


def _rsa_key(row: Mapping[str, Any]) -> PublicKey | None:
    key = PublicKey(_number(row.get("n")), _number(row.get("e")), str(row.get("alg", "")))
    sound = _SMALLEST_MODULUS_BITS <= key.modulus.bit_length() <= _LARGEST_MODULUS_BITS
    return key if sound and 1 < key.exponent <= _LARGEST_EXPONENT else None


def _curve_key(row: Mapping[str, Any]) -> CurveKey | None:
    if row.get("kty") != "EC" or row.get("crv") != "P-256":
        return None
    key = CurveKey(_number(row.get("x")), _number(row.get("y")), str(row.get("alg", "")))
    return key if p256.is_on_curve(key.x, key.y) else None


def verify(token: Token, key: Key, expected: Expected) -> None:
    """Returns when signature, issuer, audience and times hold. Raises BadToken."""
    if key.algorithm not in ("", token.algorithm) or not _VERIFIERS[token.algorithm](token, key):
        raise BadToken("its signature does not match")
    claims = token.claims
    # Auth0's and Entra's older tokens end their issuer's URL with a slash, which is easily lost in a setting.
    if str(claims.get("iss")).removesuffix("/") != expected.issuer.removesuffix("/"):
        raise BadToken("it is of another issuer")
    audience = claims.get("aud")
    if expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise BadToken("it is for another audience")
    expires, begins = _time(claims.get("exp")), _time(claims.get("nbf", 0))
    if expires + LEEWAY_SECONDS <= expected.now:
        raise BadToken("it has expired")
    if begins - LEEWAY_SECONDS > expected.now:
        raise BadToken("it does not hold yet")


def _power(token: Token, key: PublicKey) -> bytes:
    """The message that the signature stands for, as long as the modulus (RFC 8017, 5.2.2); b"" for none."""
    size = (key.modulus.bit_length() + 7) // 8
    number = int.from_bytes(token.signature)
    if len(token.signature) != size or number >= key.modulus:
        return b""
    return pow(number, key.exponent, key.modulus).to_bytes(size)


def _is_pkcs1(token: Token, key: Key) -> bool:
    """RSASSA-PKCS1-v1_5: the whole padding is built and compared, not parsed (RFC 8017, 8.2.2)."""
    if not isinstance(key, PublicKey):
        return False
    message = _power(token, key)
    digest = _DIGEST_INFO + sha256(token.signed).digest()
    wanted = b"\x00\x01" + b"\xff" * (len(message) - len(digest) - 3) + b"\x00" + digest
    return compare_digest(message, wanted)


def _is_pss(token: Token, key: Key) -> bool:
    """RSASSA-PSS with SHA-256, its mask and a salt of the same length (RFC 8017, 8.1.2 and 9.1.2; RFC 7518, 3.5)."""
    if not isinstance(key, PublicKey):
        return False
    message = _power(token, key)
    bits = key.modulus.bit_length() - 1
    encoded = message[-((bits + 7) // 8) :]
    if not encoded or encoded[-1] != 0xBC or any(message[: -len(encoded)]):
        return False
    masked, digest = encoded[:-33], encoded[-33:-1]
    block = int.from_bytes(masked) ^ int.from_bytes(_mask(digest, len(masked)))
    unused = 8 * len(encoded) - bits
    if int.from_bytes(masked) >> (8 * len(masked) - unused):
        return False
    data = (block & (1 << (8 * len(masked) - unused)) - 1).to_bytes(len(masked))
    padding, salt = data[:-32], data[-32:]
    if padding != b"\x00" * (len(padding) - 1) + b"\x01":
        return False
    return compare_digest(sha256(bytes(8) + sha256(token.signed).digest() + salt).digest(), digest)


def _mask(seed: bytes, size: int) -> bytes:
    """MGF1 with SHA-256 (RFC 8017, B.2.1)."""
    blocks = (sha256(seed + counter.to_bytes(4)).digest() for counter in range((size + 31) // 32))
    return b"".join(blocks)[:size]


def _is_ecdsa(token: Token, key: Key) -> bool:
    if not isinstance(key, CurveKey):
        return False
    return p256.verifies((key.x, key.y), sha256(token.signed).digest(), token.signature)


_VERIFIERS: Final[Mapping[str, Callable[[Token, Key], bool]]] = {
    "RS256": _is_pkcs1, "PS256": _is_pss, "ES256": _is_ecdsa,
}  # fmt: skip


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
