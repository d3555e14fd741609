"""Server-sent events at every split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UpstreamFault
from core.framing.sse import LARGEST_FRAME, Decoder, FrameBuffer, Record, comment, encode, records_of

STREAMS: list[tuple[bytes, list[Record]]] = [
    (b"data: a\n\n", [Record("", "a")]),
    (b"data:a\n\ndata:  b\n\n", [Record("", "a"), Record("", " b")]),
    (b"event: x\ndata: 1\ndata: 2\n\n", [Record("x", "1\n2")]),
    (b"event:x\r\ndata: 1\r\n\r\n", [Record("x", "1")]),
    (b"data: 1\r\rdata: 2\r\r", [Record("", "1"), Record("", "2")]),
    (b": comment\n\ndata\n\ndata: \n\ndata:\n\n", []),
    (b"data\ndata: 1\ndata\n\n", [Record("", "\n1\n")]),
    (b"event: lost\n\ndata: 1\nid: 7\nretry: 3\n\n", [Record("", "1")]),
    ("data: \u2028\x85\x0b\n\n".encode(), [Record("", "\u2028\x85\x0b")]),
    (b"\xef\xbb\xbfdata: bom\n\n", [Record("", "bom")]),
    (b"data: bad \xff\n\n", [Record("", "bad \ufffd")]),
    (b"data: mixed\n\r\ndata: 2\r\n\n", [Record("", "mixed"), Record("", "2")]),
]


def decode(pieces: list[bytes]) -> list[Record]:
    decoder = Decoder()
    records = [record for piece in pieces for record in decoder.feed(piece)]
    return records + decoder.close()


@pytest.mark.parametrize(("stream", "records"), STREAMS)
def test_whole_byte_by_byte_and_unfinished(stream: bytes, records: list[Record]) -> None:
    assert decode([stream]) == records
    assert decode([stream[index : index + 1] for index in range(len(stream))]) == records
    assert decode([stream.rstrip(b"\r\n")]) == records


PIECES = st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b": c", b"event: e", b"y"])


@given(st.lists(PIECES, max_size=12), st.data())
def test_a_split_changes_nothing(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cut = data.draw(st.integers(0, len(stream)))
    assert decode([stream[:cut], stream[cut:]]) == decode([stream])
    buffer = FrameBuffer()
    assert buffer.feed(stream[:cut]) + buffer.feed(stream[cut:]) + buffer.close() == stream


def test_written_frames_are_read_again() -> None:
    frames = encode('{"a":1}') + comment("ping") + encode("2", "message_stop")
    assert records_of(frames) == [Record("", '{"a":1}'), Record("message_stop", "2")]
    assert Decoder().close() == []
    assert Decoder().feed(b"") == []


def test_a_frame_without_an_end_is_not_held_for_ever() -> None:
    decoder = Decoder()
    piece = b"data: " + b"x" * (LARGEST_FRAME // 2)
    assert decoder.feed(piece) == []
    with pytest.raises(UpstreamFault, match="without an end"):
        decoder.feed(piece)


def test_a_frame_in_pieces_is_put_together() -> None:
    buffer = FrameBuffer()
    for piece in (b"data: a", b"b\r", b"\n", b"x: \r"):
        assert buffer.feed(piece) == b""
    assert buffer.size == len(b"data: ab\r\nx: \r")
    assert buffer.feed(b"\ndata: c\r\n\r\nrest") == b"data: ab\r\nx: \r\ndata: c\r\n\r\n"
    assert (buffer.close(), buffer.size) == (b"rest", 0)
