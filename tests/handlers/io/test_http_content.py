import gzip
import tracemalloc
import zlib

import pytest

from core.ports import TransportFault
from handlers.io.http_content import MAX_PIECE, ContentDecoder, make_decoder

PLAIN = b"data: {}\n\n" * 50


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


CODED = [
    pytest.param("gzip", gzip.compress(PLAIN), id="gzip"),
    pytest.param("GZIP", gzip.compress(PLAIN), id="upper-case"),
    pytest.param("x-gzip", gzip.compress(PLAIN), id="old-name"),
    pytest.param("gzip", gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:]), id="two-members"),
    pytest.param("deflate", zlib.compress(PLAIN), id="deflate-zlib"),
    pytest.param("deflate", raw_deflate(PLAIN), id="deflate-raw"),
]


def decode(decoder: ContentDecoder, pieces: list[bytes]) -> bytes:
    plain = b""
    for piece in pieces:
        plain += decoder.feed(piece)
        while decoder.pending:
            plain += decoder.feed(b"")
    decoder.finish()
    return plain


@pytest.mark.parametrize(("coding", "data"), CODED)
def test_codings_are_undone_at_every_split(coding: str, data: bytes) -> None:
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))], [b"", data[:7], b"", data[7:]]):
        decoder = make_decoder(coding)
        assert decoder is not None
        assert decode(decoder, pieces) == PLAIN


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_nothing_is_undone_where_nothing_was_done(coding: str) -> None:
    assert make_decoder(coding) is None


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "x"])
def test_other_codings_are_refused_by_name(coding: str) -> None:
    with pytest.raises(TransportFault, match=coding) as caught:
        make_decoder(coding)
    assert caught.value.stage == "head"


@pytest.mark.parametrize(("coding", "data"), CODED)
def test_a_body_that_is_cut_short_is_a_fault(coding: str, data: bytes) -> None:
    decoder = make_decoder(coding)
    assert decoder is not None
    decoder.feed(data[:-9])
    while decoder.pending:
        decoder.feed(b"")
    with pytest.raises(TransportFault, match="too early") as caught:
        decoder.finish()
    assert caught.value.stage == "body"


def test_an_empty_body_is_no_fault() -> None:
    decoder = make_decoder("gzip")
    assert decoder is not None
    decoder.finish()


def test_a_damaged_body_is_a_fault() -> None:
    decoder = make_decoder("gzip")
    assert decoder is not None
    with pytest.raises(TransportFault, match="damaged"):
        decoder.feed(b"not gzip at all")


def test_a_small_body_that_unpacks_to_a_huge_one_comes_in_pieces() -> None:
    size = 8 * 1024 * 1024 + 1
    data = gzip.compress(bytes(size))
    decoder = make_decoder("gzip")
    assert decoder is not None
    tracemalloc.start()
    total, piece = 0, decoder.feed(data)
    while piece:
        assert len(piece) <= MAX_PIECE
        total += len(piece)
        piece = decoder.feed(b"")
    decoder.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == size
    assert peak < 2 * 1024 * 1024
