"""Faults on request: what a backend's bad day looks like, so that each claim can be seen by hand.

`x-skybridge-fault: 429@1, cut@after=120, slow@2s` makes the first attempt a 429, cuts every stream after 120 bytes
and lets every answer wait for two seconds. A gateway obeys the header only where its operator has said so.

    fault           what the gateway sees
    400 .. 599      an answer with that status
    refuse          the connection is refused
    reset           the connection is reset before the answer
    silence         nothing, for ever; with after=N, after N bytes of the body
    slow            the answer begins later (2s, 250ms)
    empty           an answer without a body
    garbage         a body that nobody can read
    cut             the connection breaks, after N bytes of the body (after=N)
    error-frame     an error event in the stream, after N bytes (after=N), then its end

`@N` names the attempt (1 is the first); without it a fault is met by all attempts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence

from core.errors import ClientFault, upstream_fault
from core.formats import load_wire
from core.framing import frame_buffer
from core.ports import BackendRequest, Clock, Exchange, Head, Transport, TransportFault
from core.relay import FrameBuffer
from core.slotted import slotted

HEADER = "x-skybridge-fault"
KINDS = ("refuse", "reset", "silence", "slow", "empty", "garbage", "cut", "error-frame")

_STATUS = re.compile(r"[45]\d\d", re.ASCII)
_ATTEMPT = re.compile(r"\d{1,3}", re.ASCII)
_AFTER = re.compile(r"after=(\d{1,9})", re.ASCII)
_TIME = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s)", re.ASCII)
_GARBAGE = b"\x00\xff\xfe{[garbage\n\n"


@slotted
class Fault:
    """One fault. `attempt` None meets all attempts; `after` is in bytes of the body, None when not given."""

    kind: str
    status: int = 0
    attempt: int | None = None
    after: int | None = None
    seconds: float = 1.0


def read_faults(header: str) -> list[Fault]:
    """The faults that a header asks for. Raises ClientFault (400) that says what is wrong with it."""
    return [_read_fault(item.strip()) for item in header.split(",") if item.strip()]


def _read_fault(item: str) -> Fault:
    name, *arguments = item.split("@")
    fault = Fault("status", int(name)) if _STATUS.fullmatch(name) else Fault(name)
    if fault.kind not in KINDS and fault.kind != "status":
        raise _wrong(f"'{name}' is no fault; there are a status (400 to 599) and {', '.join(KINDS)}.")
    for argument in arguments:
        _apply(fault, argument)
    return fault


def _apply(fault: Fault, argument: str) -> None:
    if _ATTEMPT.fullmatch(argument):
        fault.attempt = int(argument)
    elif after := _AFTER.fullmatch(argument):
        fault.after = int(after[1])
    elif time := _TIME.fullmatch(argument):
        fault.seconds = float(time[1]) / (1000.0 if time[2] == "ms" else 1.0)
    else:
        raise _wrong(f"'{argument}' is not an attempt (1), a place (after=120) or a time (2s, 250ms).")


def _wrong(message: str) -> ClientFault:
    return ClientFault("bad_request", f"{HEADER}: {message}", param=HEADER)


def refused_header() -> ClientFault:
    """For a gateway that does not obey the header."""
    return _wrong("fault injection is off on this gateway. SKYBRIDGE_FAULTS=1 or `serve --faults` turns it on.")


class FaultyTransport:
    """core.ports.Transport whose answers have `faults`. `backend_format` is what the backend would have spoken."""

    def __init__(self, transport: Transport, faults: Sequence[Fault], clock: Clock, backend_format: str) -> None:
        self._transport = transport
        self._faults = {fault.kind: fault for fault in faults}
        self._clock = clock
        self._format = backend_format

    async def send(self, request: BackendRequest) -> Exchange:
        """As the transport's own. Raises TransportFault."""
        if "refuse" in self._faults:
            raise TransportFault("connect", "connection refused (injected)")
        status = self._faults.get("status")
        if status is not None:
            exchange: Exchange = _Canned(status.status)
        else:
            exchange = await self._transport.send(request)
        return _FaultyExchange(exchange, self._faults, self._clock, self._format)


class _Canned:
    """core.ports.Exchange of an error that no backend gave."""

    def __init__(self, status: int) -> None:
        self._head = Head(status, {"content-type": "application/json"})
        self._body = json.dumps({"error": {"message": f"Injected fault: {status}", "type": "injected"}}).encode()

    async def head(self, wait: float) -> Head | None:
        return self._head

    async def read(self, wait: float) -> bytes | None:
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """Nothing is open."""


class _FaultyExchange:
    """core.ports.Exchange of an attempt that has faults."""

    def __init__(self, exchange: Exchange, faults: dict[str, Fault], clock: Clock, backend_format: str) -> None:
        self._exchange = exchange
        self._faults = faults
        self._clock = clock
        slow = faults.get("slow")
        self._delay = slow.seconds if slow is not None else 0.0
        silence = faults.get("silence")
        self._mute = silence is not None and silence.after is None
        self._pieces = [make(faults[kind], backend_format) for kind, make in _PIECES.items() if kind in faults]

    async def head(self, wait: float) -> Head | None:
        if "reset" in self._faults:
            raise TransportFault("head", "connection reset (injected)")
        if self._mute or self._delay > wait:
            self._delay -= wait
            await self._clock.sleep(wait)
            return None
        if self._delay > 0:
            await self._clock.sleep(self._delay)
            self._delay = 0.0
        return await self._exchange.head(wait)

    async def read(self, wait: float) -> bytes | None:
        data: bytes | None = b""
        if not any(piece.over for piece in self._pieces):
            data = await self._exchange.read(wait)
        for piece in self._pieces:
            data = piece.change(data)
            if piece.over and data is None:
                await self._clock.sleep(wait)
        return data

    def close(self) -> None:
        self._exchange.close()


class _Piece:
    """Changes a body. `over`: the backend's own bytes are not wanted any more."""

    def __init__(self, fault: Fault, backend_format: str) -> None:
        self._left = fault.after or 0
        self._wire = load_wire(backend_format)
        self.over = False

    def change(self, data: bytes | None) -> bytes | None:
        """What is read in the place of `data`."""
        if self.over:
            return self.at_end()
        if data is None:
            return None
        if len(data) < self._left or (not data and self._left):
            self._left -= len(data)
            return data
        kept = data[: self._left]
        self.over = True
        return kept or self.at_end()

    def at_end(self) -> bytes | None:
        return b""


class _Garbage(_Piece):
    def __init__(self, fault: Fault, backend_format: str) -> None:
        super().__init__(fault, backend_format)
        self._rest = _GARBAGE

    def at_end(self) -> bytes | None:
        rest, self._rest = self._rest, b""
        return rest


class _Cut(_Piece):
    def at_end(self) -> bytes | None:
        raise TransportFault("body", "connection reset (injected)")


class _Silence(_Piece):
    def __init__(self, fault: Fault, backend_format: str) -> None:
        super().__init__(fault, backend_format)
        self._left = fault.after if fault.after is not None else math.inf  # type: ignore[assignment]

    def at_end(self) -> bytes | None:
        return None


class _ErrorFrame(_Piece):
    """Whole frames pass, then comes an error as the backend's format has it."""

    def __init__(self, fault: Fault, backend_format: str) -> None:
        super().__init__(fault, backend_format)
        self._buffer: FrameBuffer = frame_buffer(self._wire.STREAM_CONTENT_TYPE)
        error = upstream_fault("overloaded", "Injected fault: an error event.", 529)
        self._frame = self._wire.error_event(error, "injected")

    def change(self, data: bytes | None) -> bytes | None:
        if self.over:
            return self.at_end()
        if not data:
            return data
        frames = self._buffer.feed(data)
        self._left -= len(data)
        if self._left > 0:
            return frames or None
        self.over = True
        return frames + self.at_end()

    def at_end(self) -> bytes:
        frame, self._frame = self._frame, b""
        return frame


_PIECES: dict[str, Callable[[Fault, str], _Piece]] = {
    "empty": _Piece,
    "garbage": _Garbage,
    "cut": _Cut,
    "silence": _Silence,
    "error-frame": _ErrorFrame,
}
