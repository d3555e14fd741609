"""Server-sent events at every split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.framing.sse import Decoder, FrameBuffer, Record, comment, encode, records_of

STREAMS: list[tuple[bytes, list[Record]]] = [
    (b"data: a\n\n", [Record("", "a")]),
    (b"data:a\n\ndata:  b\n\n", [Record("", "a"), Record("", " b")]),
    (b"event: x\ndata: 1\ndata: 2\n\n", [Record("x", "1\n2")]),
    (b"event:x\r\ndata: 1\r\n\r\n", [Record("x", "1")]),
    (b"data: 1\r\rdata: 2\r\r", [Record("", "1"), Record("", "2")]),
    (b": comment\n\ndata\n\n", [Record("", "")]),
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
