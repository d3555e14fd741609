"""Event-stream frames: botocore's decoder is the judge, on recordings and on what we encode."""

from __future__ import annotations

import contextlib
import struct
from binascii import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from core.framing import eventstream
from core.framing.eventstream import CorruptFrame, Decoder, Frame, FrameBuffer
from tests.wire.recordings import Recorded, parameters, recorded_pairs

FOLDERS = ("pydantic-ai-cassettes", "otel-botocore-bedrock", "openllmetry-bedrock")


def streams() -> list[Recorded]:
    return [
        pair
        for folder in FOLDERS
        for pair in recorded_pairs(folder, "bedrock")
        if "vnd.amazon.eventstream" in pair.response_headers.get("content-type", "")
    ]


def by_botocore(data: bytes) -> list[tuple[dict[str, object], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


def plain(frames: list[Frame]) -> list[tuple[dict[str, str], bytes]]:
    return [(frame.headers, frame.payload) for frame in frames]


@pytest.mark.parametrize("pair", parameters(streams()))
def test_recordings_decode_as_botocore_decodes_them_at_every_split(pair: Recorded) -> None:
    body = pair.response_body
    wanted = by_botocore(body)
    assert wanted
    assert plain(eventstream.frames_of(body)) == wanted
    assert b"".join(eventstream.encode(headers, payload) for headers, payload in wanted) == body  # type: ignore[arg-type]
    for step in (1, 2, 7, 12, 101):
        decoder, buffer = Decoder(), FrameBuffer()
        found: list[Frame] = []
        passed: list[bytes] = []
        for start in range(0, len(body), step):
            chunk = body[start : start + step]
            found += decoder.feed(chunk)
            passed.append(buffer.feed(chunk))
        decoder.close()
        assert plain(found) == wanted
        assert b"".join(passed) == body and buffer.close() == b""
        assert all(eventstream.frames_of(part) for part in passed if part)


def test_every_two_way_split_of_a_small_stream() -> None:
    body = b"".join(eventstream.encode({":event-type": "e", "n": str(n)}, b"x" * n) for n in range(4))
    wanted = eventstream.frames_of(body)
    for cut in range(len(body) + 1):
        decoder, buffer = Decoder(), FrameBuffer()
        assert decoder.feed(body[:cut]) + decoder.feed(body[cut:]) == wanted
        assert buffer.feed(body[:cut]) + buffer.feed(body[cut:]) == body


names = st.text(min_size=1, max_size=20)


@given(st.dictionaries(names, st.text(max_size=50), max_size=5), st.binary(max_size=200))
def test_botocore_decodes_what_we_encode(headers: dict[str, str], payload: bytes) -> None:
    frame = eventstream.encode(headers, payload)
    assert by_botocore(frame) == [(headers, payload)]
    assert eventstream.frames_of(frame) == [Frame(headers, payload)]


VALUES = [
    (b"\x00", "true"),
    (b"\x01", "false"),
    (b"\x02\xff", "-1"),
    (b"\x03\x01\x00", "256"),
    (b"\x04\xff\xff\xff\xfe", "-2"),
    (b"\x05" + struct.pack("!q", 1 << 40), str(1 << 40)),
    (b"\x06\x00\x03abc", "YWJj"),
    (b"\x07\x00\x02\xc3\xa9", "é"),
    (b"\x08" + struct.pack("!q", 1500000000000), "1500000000000"),
    (b"\x09" + bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
]


@pytest.mark.parametrize(("value", "wanted"), VALUES)
def test_every_header_type_is_read(value: bytes, wanted: str) -> None:
    block = b"\x01a" + value + b"\x01z\x07\x00\x01!"
    assert eventstream.decode_headers(block) == {"a": wanted, "z": "!"}
    assert by_botocore(eventstream.encode_frame(block, b""))[0][0]["z"] == "!"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (b"\x01a\x0a", "unknown type"),
        (b"\x01a\x07\x00\x05ab", "cut off"),
        (b"\x01a\x07\x00", "cut off"),
        (b"\x01a\x04\x00", "cut off"),
        (b"\x01a\x09\x00", "cut off"),
        (b"\x05ab", "cut off"),
        (b"\x01a", "cut off"),
        (b"\x01\xff\x00", "not UTF-8"),
        (b"\x01a\x07\x00\x01\xff", "not UTF-8"),
        (b"\x01a\x00\x01a\x01", "there twice"),
    ],
)
def test_broken_headers(block: bytes, message: str) -> None:
    with pytest.raises(CorruptFrame, match=message):
        eventstream.frames_of(eventstream.encode_frame(block, b"{}"))


@given(st.binary(max_size=60))
def test_odd_header_blocks_are_corrupt_and_nothing_else(block: bytes) -> None:
    with contextlib.suppress(CorruptFrame):
        eventstream.decode_headers(block)


def test_each_flipped_byte_is_noticed() -> None:
    good = eventstream.encode({":event-type": "chunk"}, b'{"a":1}')
    for place in range(len(good)):
        bad = bytes((*good[:place], good[place] ^ 1, *good[place + 1 :]))
        with pytest.raises(CorruptFrame):
            eventstream.frames_of(bad)


def test_frames_before_a_corrupt_one_are_given_first() -> None:
    good = eventstream.encode({"a": "b"}, b"1")
    decoder = Decoder()
    assert decoder.feed(good + good[:-1] + b"\x00") == [Frame({"a": "b"}, b"1")]
    assert decoder.fault is not None
    for call in (lambda: decoder.feed(good), decoder.close):
        with pytest.raises(CorruptFrame):
            call()


def test_a_stream_that_ends_inside_a_frame() -> None:
    decoder = Decoder()
    assert decoder.feed(eventstream.encode({}, b"{}")[:-1]) == []
    with pytest.raises(CorruptFrame, match="ended inside a frame"):
        decoder.close()
    empty = Decoder()
    assert empty.feed(b"") == []
    empty.close()


@pytest.mark.parametrize(("total", "headers"), [(15, 0), (200_000, 140_000), (25 << 20, 0), (16, 1)])
def test_impossible_lengths(total: int, headers: int) -> None:
    lengths = struct.pack("!II", total, headers)
    prelude = lengths + struct.pack("!I", crc32(lengths))
    with pytest.raises(CorruptFrame, match="not allowed"):
        Decoder().feed(prelude)


def test_what_is_no_frame_is_passed_on_unchanged() -> None:
    buffer = FrameBuffer()
    good = eventstream.encode({"a": "b"}, b"1")
    assert buffer.feed(good + b'{"message": "not a frame"}') == good + b'{"message": "not a frame"}'
    assert buffer.feed(b"more") == b"more"
    assert buffer.size == 0


def test_the_rest_is_given_at_the_end() -> None:
    buffer = FrameBuffer()
    good = eventstream.encode({"a": "b"}, b"1")
    assert buffer.feed(good + good[:20]) == good
    assert buffer.size == 20
    assert buffer.close() == good[:20]
    assert buffer.close() == b""


def test_headers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="too long"):
        eventstream.encode({"n" * 256: "v"}, b"")
    with pytest.raises(ValueError, match="too long"):
        eventstream.encode({"n": "v" * 65_536}, b"")


def test_the_header_cache_is_bounded() -> None:
    decoder = Decoder()
    for number in range(100):
        assert decoder.feed(eventstream.encode({"n": str(number)}, b""))[0].headers == {"n": str(number)}
    assert len(decoder._blocks) <= 64
