"""ECDSA signatures on the curve P-256, verified (FIPS 186-5, 6.4.2; the curve: SP 800-186, 3.2.1.3).

Only verified, never made: every number here is public, so nothing has to take the same time. Points are Jacobian (the
formulas are the complete ones of https://hyperelliptic.org/EFD/g1p/auto-shortw-jacobian-3.html with their exceptions
spelled out); both products are taken at once, bit by bit.
"""

from __future__ import annotations

from typing import Final

P: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G: Final = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

type Affine = tuple[int, int]
# x / z^2 and y / z^3; z is 0 for the point at infinity.
type Jacobian = tuple[int, int, int]

_INFINITY: Final[Jacobian] = (1, 1, 0)


def is_on_curve(x: int, y: int) -> bool:
    """Whether it is a public key. The curve's order is prime, so every point of it is one."""
    return 0 <= x < P and 0 <= y < P and (y * y - (x * x * x - 3 * x + B)) % P == 0


def verifies(key: Affine, digest: bytes, signature: bytes) -> bool:
    """Whether `signature` (r and s, 32 bytes each: RFC 7518, 3.4) is of `digest` (SHA-256's) by `key`, a point of the
    curve."""
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if len(signature) != 64 or not 0 < r < N or not 0 < s < N:
        return False
    inverse = pow(s, -1, N)
    x, _, z = _sum_of_products(int.from_bytes(digest) * inverse % N, r * inverse % N, key)
    if z == 0:
        return False
    return x * pow(z, -2, P) % P % N == r


def _sum_of_products(first: int, second: int, key: Affine) -> Jacobian:
    """`first` times the base point and `second` times `key`, together."""
    both = _affine(_add((*G, 1), key))
    steps = (None, G, key, both)
    found = _INFINITY
    for bit in range(max(first.bit_length(), second.bit_length()) - 1, -1, -1):
        found = _double(found)
        step = steps[first >> bit & 1 | (second >> bit & 1) << 1]
        if step is not None:
            found = _add(found, step)
    return found


def _double(point: Jacobian) -> Jacobian:
    x, y, z = point
    delta, gamma = z * z % P, y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    doubled = (alpha * alpha - 8 * beta) % P
    return doubled, (alpha * (4 * beta - doubled) - 8 * gamma * gamma) % P, 2 * y * z % P


def _add(point: Jacobian, other: Affine) -> Jacobian:
    x, y, z = point
    if z == 0:
        return *other, 1
    square = z * z % P
    across = (other[0] * square - x) % P
    up = (other[1] * square * z - y) % P
    if across == 0:
        return _INFINITY if up else _double(point)
    across_2 = across * across % P
    across_3 = across_2 * across % P
    shared = x * across_2 % P
    added = (up * up - across_3 - 2 * shared) % P
    return added, (up * (shared - added) - y * across_3) % P, z * across % P


def _affine(point: Jacobian) -> Affine | None:
    x, y, z = point
    if z == 0:
        return None
    inverse = pow(z, -1, P)
    return x * inverse * inverse % P, y * inverse * inverse * inverse % P
