"""AWS event-stream frames, both ways (`application/vnd.amazon.eventstream`).

Big-endian: total length (4 bytes), length of the headers (4), CRC-32 of these eight; headers; payload; CRC-32
of everything before it. https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import base64
from binascii import crc32
from collections.abc import Callable, Mapping
from struct import Struct, error

from core.slotted import slotted

MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 24 * 1024 * 1024

_PRELUDE = Struct("!III")
_LENGTHS = Struct("!II")
_WORD = Struct("!I")
_SHORT = Struct("!H")
_PRELUDE_SIZE = _PRELUDE.size
_CRC_SIZE = 4
_STRING_TYPE = 7
# Streams repeat the same few header blocks; a hostile one may not fill the memory with new ones.
_CACHED_BLOCKS = 64


class CorruptFrame(ValueError):
    """The bytes are not a frame: a wrong checksum, an impossible length, an unreadable header."""


@slotted(frozen=True)
class Frame:
    """One message. A header of any type is text here: `true`, a number, base64 for bytes, milliseconds since
    the epoch for a timestamp. Frames with the same headers share one dict: do not change it."""

    headers: dict[str, str]
    payload: bytes


def _number(width: int) -> Callable[[bytes, int], tuple[str, int]]:
    def read(block: bytes, at: int) -> tuple[str, int]:
        return str(int.from_bytes(_take(block, at, width), signed=True)), at + width

    return read


def _take(block: bytes, at: int, width: int) -> bytes:
    value = block[at : at + width]
    if len(value) != width:
        raise CorruptFrame("a header is cut off")
    return value


def _sized(block: bytes, at: int) -> tuple[bytes, int]:
    (length,) = _SHORT.unpack(_take(block, at, 2))
    return _take(block, at + 2, length), at + 2 + length


def _read_bytes(block: bytes, at: int) -> tuple[str, int]:
    value, end = _sized(block, at)
    return base64.b64encode(value).decode(), end


def _read_string(block: bytes, at: int) -> tuple[str, int]:
    value, end = _sized(block, at)
    return value.decode(), end


def _read_uuid(block: bytes, at: int) -> tuple[str, int]:
    digits = _take(block, at, 16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])), at + 16


# By type code: takes the block and where the value begins, gives the value and where it ends.
_READERS: dict[int, Callable[[bytes, int], tuple[str, int]]] = {
    0: lambda _, at: ("true", at),
    1: lambda _, at: ("false", at),
    2: _number(1),
    3: _number(2),
    4: _number(4),
    5: _number(8),
    6: _read_bytes,
    _STRING_TYPE: _read_string,
    8: _number(8),
    9: _read_uuid,
}


def decode_headers(block: bytes) -> dict[str, str]:
    """The headers of one block. Raises CorruptFrame."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name = _take(block, at + 1, block[at]).decode()
            code = _take(block, name_end, 1)[0]
            if name in headers:
                raise CorruptFrame(f"the header {name!r} is there twice")
            headers[name], at = _READERS[code](block, name_end + 1)
    except UnicodeDecodeError:
        raise CorruptFrame("a header is not UTF-8") from None
    except KeyError:
        raise CorruptFrame("a header has an unknown type") from None
    return headers


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """A header block of strings. Raises ValueError for a name over 255 or a value over 65,535 bytes."""
    block = bytearray()
    for name, value in headers.items():
        name_bytes, value_bytes = name.encode(), value.encode()
        try:
            block += bytes((len(name_bytes),)) + name_bytes + bytes((_STRING_TYPE,))
            block += _SHORT.pack(len(value_bytes)) + value_bytes
        except (error, ValueError):
            raise ValueError(f"the event-stream header {name[:40]!r} is too long") from None
    return bytes(block)


def encode_frame(header_block: bytes, payload: bytes) -> bytes:
    """A frame of an encoded header block, for writers that use the same block again and again."""
    total = _PRELUDE_SIZE + len(header_block) + len(payload) + _CRC_SIZE
    lengths = _LENGTHS.pack(total, len(header_block))
    message = b"".join((lengths, _WORD.pack(crc32(lengths)), header_block, payload))
    return message + _WORD.pack(crc32(message))


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame with string headers. Raises ValueError for a header that is too long."""
    return encode_frame(encode_headers(headers), payload)


def _frame_size(buffer: bytes, at: int) -> int:
    """The whole size of the frame at `at`, of which the prelude is there. Raises CorruptFrame."""
    total, header_size, checksum = _PRELUDE.unpack_from(buffer, at)
    if crc32(buffer[at : at + 8]) != checksum:
        raise CorruptFrame("the checksum of a frame's prelude is wrong")
    payload_size = total - header_size - _PRELUDE_SIZE - _CRC_SIZE
    if header_size > MAX_HEADERS or not 0 <= payload_size <= MAX_PAYLOAD:
        raise CorruptFrame(f"a frame of {total} bytes with {header_size} bytes of headers is not allowed")
    return int(total)


class FrameBuffer:
    """Cuts a byte stream at frame ends, so that what is passed on is always whole frames.

    It never raises: bytes that are no frames are passed on as they are, for their reader to judge.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._corrupt = False

    @property
    def size(self) -> int:
        """Bytes held back."""
        return len(self._rest)

    def feed(self, data: bytes) -> bytes:
        """The whole frames that are complete now; the incomplete rest is kept."""
        buffer = self._rest + data if self._rest else data
        end = len(buffer) if self._corrupt else self._end(buffer)
        self._rest = buffer[end:]
        return buffer[:end] if self._rest else buffer

    def _end(self, buffer: bytes) -> int:
        end = 0
        try:
            while len(buffer) - end >= _PRELUDE_SIZE:
                size = _frame_size(buffer, end)
                if len(buffer) - end < size:
                    break
                end += size
        except CorruptFrame:
            self._corrupt = True
            return len(buffer)
        return end

    def close(self) -> bytes:
        """What is left at the stream's end: an unfinished frame."""
        rest, self._rest = self._rest, b""
        return rest


class Decoder:
    """Bytes at any split to frames, every checksum checked.

    Once a frame is corrupt there is no way to find the next one: `fault` says why, and nothing more comes.
    """

    def __init__(self) -> None:
        self.fault: CorruptFrame | None = None
        self._rest = b""
        self._blocks: dict[bytes, dict[str, str]] = {}

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises `fault` unless there are frames from before it."""
        frames: list[Frame] = []
        if self.fault is None:
            try:
                self._decode(self._rest + data if self._rest else data, frames)
            except CorruptFrame as fault:
                self.fault = fault
        if self.fault is not None and not frames:
            raise self.fault
        return frames

    def close(self) -> None:
        """Raises CorruptFrame when the stream ended inside a frame, or `fault` when there was one."""
        if self.fault is not None:
            raise self.fault
        if self._rest:
            raise CorruptFrame(f"the stream ended inside a frame, after {len(self._rest)} of its bytes")

    def _decode(self, buffer: bytes, frames: list[Frame]) -> None:
        at = 0
        self._rest = b""
        while len(buffer) - at >= _PRELUDE_SIZE:
            size = _frame_size(buffer, at)
            end = at + size - _CRC_SIZE
            if len(buffer) < end + _CRC_SIZE:
                break
            if crc32(buffer[at:end]) != _WORD.unpack_from(buffer, end)[0]:
                raise CorruptFrame("the checksum of a frame is wrong")
            start = at + _PRELUDE_SIZE
            payload = start + _WORD.unpack_from(buffer, at + 4)[0]
            block = buffer[start:payload]
            headers = self._blocks.get(block)
            frames.append(Frame(self._headers(block) if headers is None else headers, buffer[payload:end]))
            at += size
        self._rest = buffer[at:]

    def _headers(self, block: bytes) -> dict[str, str]:
        headers = decode_headers(block)
        if len(self._blocks) < _CACHED_BLOCKS:
            self._blocks[block] = headers
        return headers


def frames_of(frames: bytes) -> list[Frame]:
    """The frames of bytes that hold whole frames only. Raises CorruptFrame."""
    decoder = Decoder()
    found = decoder.feed(frames)
    decoder.close()
    return found
