"""Content codings that a backend applied although none was asked for: gzip and deflate, undone as bytes come.

RFC 9110, 8.4. Any other coding is refused by name: a client that did not ask for it could not read it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core.ports import TransportFault

# What one call may give at most: a small body that unpacks to gigabytes must not fill the memory.
MAX_PIECE = 256 * 1024


class Inflater(Protocol):
    """The part of zlib's decompression object that is used here."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


def make_decoder(coding: str) -> ContentDecoder | None:
    """A decoder for the `content-encoding` value `coding`, None where there is nothing to undo.

    Raises TransportFault (stage head) for a coding that is not known here.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return None
    if name not in _OPENERS:
        raise TransportFault("head", f"the backend sent content-encoding {name!r}, which was not asked for")
    return ContentDecoder(name)


class ContentDecoder:
    """Compressed pieces in, plain pieces of at most MAX_PIECE bytes out."""

    __slots__ = ("_full", "_inflater", "_open", "_rest")

    def __init__(self, name: str) -> None:
        self._open = _OPENERS[name]
        self._inflater: Inflater | None = None
        self._rest = b""
        self._full = False

    @property
    def pending(self) -> bool:
        """Whether feed(b"") may give more."""
        return self._full or bool(self._rest)

    def feed(self, data: bytes) -> bytes:
        """What `data` adds to the plain body, b"" when it takes more. Raises TransportFault (stage body)."""
        import zlib  # noqa: PLC0415 - backends do not compress unasked: loaded when one does

        data = self._rest + data if self._rest else data
        if not data and not self._full:
            return b""
        try:
            if self._inflater is None or self._inflater.eof:
                self._inflater = self._open(data)
            plain = self._inflater.decompress(data, MAX_PIECE)
        except zlib.error as error:
            raise TransportFault("body", f"the backend's compressed body is damaged: {error}") from error
        # With the last input taken, zlib may still hold output that did not fit.
        self._full = len(plain) == MAX_PIECE and not self._inflater.eof
        # A gzip body may be several members, one after the other (RFC 1952, 2.2).
        self._rest = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        return plain

    def finish(self) -> None:
        """To be called at the body's end. Raises TransportFault (stage body) when it was cut short."""
        if self._inflater is not None and not self._inflater.eof:
            raise TransportFault("body", "the backend's compressed body ended too early")


def _open_gzip(_first: bytes) -> Inflater:
    import zlib  # noqa: PLC0415 - see feed

    return zlib.decompressobj(wbits=31)


def _open_deflate(first: bytes) -> Inflater:
    """zlib's format as RFC 9110 means it, or the bare stream that some servers send: the first byte tells."""
    import zlib  # noqa: PLC0415 - see feed

    return zlib.decompressobj(wbits=15 if first[0] & 0x0F == 8 and first[0] >> 4 <= 7 else -15)


_OPENERS: dict[str, Callable[[bytes], Inflater]] = {
    "gzip": _open_gzip,
    "x-gzip": _open_gzip,
    "deflate": _open_deflate,
}
