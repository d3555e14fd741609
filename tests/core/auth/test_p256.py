"""P-256 signatures: the RFCs' vectors, another library's signatures, and everything that must not pass."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from core.auth.p256 import G, N, P, is_on_curve, verifies

# RFC 6979, A.2.5.
KEY = (
    0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
    0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299,
)
SIGNATURES = {
    "sample": (
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    "test": (
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
}


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def signature(r: int, s: int) -> bytes:
    return r.to_bytes(32) + s.to_bytes(32)


def point_of(private: int) -> tuple[int, int]:
    numbers = ec.derive_private_key(private, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x, numbers.y


def signed(private: int, message: bytes) -> bytes:
    made = ec.derive_private_key(private, ec.SECP256R1()).sign(message, ec.ECDSA(hashes.SHA256()))
    return signature(*decode_dss_signature(made))


@pytest.mark.parametrize("text", sorted(SIGNATURES))
def test_the_vectors_of_rfc_6979(text: str) -> None:
    assert is_on_curve(*KEY)
    r, s = SIGNATURES[text]
    assert verifies(KEY, digest(text), signature(r, s))
    assert verifies(KEY, digest(text), signature(r, N - s)), "the other of a pair of equal worth"
    assert not verifies(KEY, digest(text + "!"), signature(r, s))
    assert not verifies(point_of(7), digest(text), signature(r, s))


def test_the_example_of_rfc_7515() -> None:
    """A.3."""

    def read(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    key = (
        int.from_bytes(read("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")),
        int.from_bytes(read("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")),
    )
    text = (
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
        "cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    message, _, made = text.rpartition(".")
    assert is_on_curve(*key) and verifies(key, digest(message), read(made))


@given(st.integers(1, N - 1), st.binary(max_size=40), st.integers(0, 511))
@settings(max_examples=15, deadline=None)
def test_what_another_library_signs_and_any_bit_of_it(private: int, message: bytes, bit: int) -> None:
    made, key, hashed = signed(private, message), point_of(private), sha256(message).digest()
    assert verifies(key, hashed, made)
    turned = bytes(byte ^ (1 << bit % 8 if index == bit // 8 else 0) for index, byte in enumerate(made))
    assert not verifies(key, hashed, turned)


@pytest.mark.parametrize("private", [1, 2, N - 1, N - 2])
def test_keys_that_meet_the_base_point(private: int) -> None:
    """Where the sum of the two is a point doubled, or no point."""
    made = signed(private, b"made")
    assert verifies(point_of(private), sha256(b"made").digest(), made)
    assert not verifies(point_of(private), sha256(b"other").digest(), made)


def test_a_sum_without_a_point_verifies_nothing() -> None:
    """With the base point's negative as the key and the digest as r both products cancel out."""
    hashed = digest("any")
    assert not verifies(point_of(N - 1), hashed, signature(int.from_bytes(hashed), 5))


@pytest.mark.parametrize("number", [0, N, N + 1, P, 2**256 - 1])
def test_numbers_out_of_range(number: int) -> None:
    r, s = SIGNATURES["test"]
    assert not verifies(KEY, digest("test"), signature(number, s))
    assert not verifies(KEY, digest("test"), signature(r, number))


@pytest.mark.parametrize("cut", [b"", b"\x00" * 63, b"\x00" * 65])
def test_signatures_of_another_length(cut: bytes) -> None:
    assert not verifies(KEY, digest("test"), cut)
    assert not verifies(KEY, digest("test"), signature(*SIGNATURES["test"]) + cut[:1] + b"\x00")


@pytest.mark.parametrize("point", [(0, 0), (KEY[0], KEY[1] + 1), (KEY[0] + P, KEY[1]), (P, 1), (-1, 1), (G[1], G[0])])
def test_points_off_the_curve(point: tuple[int, int]) -> None:
    assert not is_on_curve(*point)
