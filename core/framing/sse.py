"""Server-sent events, both ways (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Lines end with LF, CRLF or CR and nothing else: `str.splitlines` would also split at U+2028, which JSON may hold
unescaped. A frame is the lines up to and with the empty one that ends it.
"""

from __future__ import annotations

import re

from core.errors import upstream_fault
from core.slotted import slotted

_FRAME_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\r\n\n|\n\r\n|\r\n\r(?!\n)")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
# One frame of one event, as most of what arrives is.
_LONE_FRAME = re.compile(rb"(?:event: ([^\r\n]*+)\n)?data: ([^\r\n]++)\n\n")
# A decoder has to hold a whole frame: generated images come in frames of megabytes, no answer in one of this size.
LARGEST_FRAME = 64 * 1024 * 1024


@slotted
class Record:
    """One event. `event` is "" where the frame named none; `data` lines are joined with LF."""

    event: str
    data: str


class FrameBuffer:
    """Cuts a byte stream at frame ends, so that what is passed on is always whole frames. `size`: bytes held back.

    A frame that comes in many pieces is put together once, when its end is there.
    """

    def __init__(self) -> None:
        self.size = 0
        self._held: list[bytes] = []
        self._tail = b""  # the last bytes held back: an end may lie across two pieces

    def feed(self, data: bytes) -> bytes:
        """The whole frames that are complete now; the incomplete rest is kept."""
        if self._held:
            seam = self._tail + data
            if b"\n\n" not in seam and (b"\r" not in seam or _FRAME_END.search(seam) is None):
                self._hold(data, seam)
                return b""
            data = self.close() + data
        end = data.rfind(b"\n\n") + 2 if b"\r" not in data else self._end_with_returns(data)
        if end < 2:
            self._hold(data, data)
            return b""
        if end == len(data):
            return data
        rest = data[end:]
        self._hold(rest, rest)
        return data[:end]

    def _hold(self, data: bytes, seam: bytes) -> None:
        if data:
            self._held.append(data)
            self.size += len(data)
            self._tail = seam[-3:]

    @staticmethod
    def _end_with_returns(buffer: bytes) -> int:
        # A CR at the very end may be half of a CRLF: what it ends is known with the next byte.
        end = 0
        for match in _FRAME_END.finditer(buffer):
            if match.end() == len(buffer) and buffer.endswith(b"\r"):
                break
            end = match.end()
        return end

    def close(self) -> bytes:
        """What is left at the stream's end: an unfinished frame, or one that a lone CR ended."""
        rest = b"".join(self._held)
        self._held.clear()
        self.size = 0
        return rest


def records_of(frames: bytes) -> list[Record]:
    """The events of whole frames. Comments, `id` and `retry` are passed over; a frame without data is none, nor is one
    whose data is empty, as some servers keep connections alive."""
    if lone := _LONE_FRAME.fullmatch(frames):
        name, value = lone.groups(b"")
        return [Record(name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))]
    records: list[Record] = []
    event = ""
    data: list[str] = []
    frames = frames.removeprefix(_BYTE_ORDER_MARK)
    lines = frames.split(b"\n") if b"\r" not in frames else _LINE_END.split(frames)
    for line in lines:
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            data.append(value.decode("utf-8", "replace"))
        elif not line:
            if any(data):
                records.append(Record(event, "\n".join(data)))
            data = []
            event = ""
        elif line.startswith(b"event:"):
            event = line[6:].decode("utf-8", "replace").removeprefix(" ")
        elif line == b"data":
            data.append("")
    return records


class Decoder:
    """Bytes at any split to events."""

    def __init__(self) -> None:
        self._buffer = FrameBuffer()

    def feed(self, data: bytes) -> list[Record]:
        """The events that are complete now. Raises UpstreamFault when there is no end to one."""
        frames = self._buffer.feed(data)
        if frames:
            return records_of(frames)
        if self._buffer.size > LARGEST_FRAME:
            raise upstream_fault("upstream", "The backend's stream holds an event without an end.", 502)
        return []

    def close(self) -> list[Record]:
        """The event that a stream ended in without its empty line: the specification drops it, but servers
        exist that end so, and a cut frame cannot be read as JSON anyway."""
        rest = self._buffer.close()
        return records_of(rest + b"\n\n") if rest else []


def encode(data: str, event: str = "") -> bytes:
    """One frame. `data` must be one line: JSON is."""
    if event:
        return f"event: {event}\ndata: {data}\n\n".encode()
    return f"data: {data}\n\n".encode()


def comment(text: str) -> bytes:
    """A frame that every reader passes over: the keep-alive."""
    return f": {text}\n\n".encode()
