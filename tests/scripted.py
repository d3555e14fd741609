"""A transport that plays a script, on a clock of its own: no waiting is real.

A script is one Play per attempt. Its chunks are bytes (they arrive), numbers (seconds of silence) or exceptions
(the connection breaks). What the transport was sent is in `requests`, what is still open in `open`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.ports import BackendRequest, Head, TransportFault

type Chunk = bytes | float | Exception


class VirtualClock:
    """core.ports.Clock whose time passes only where somebody waits for it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class FixedRandom:
    """core.ports.Random that always says the same."""

    def __init__(self, uniform: float = 0.5) -> None:
        self._uniform = uniform

    def token(self, length: int) -> str:
        return "A" * length

    def uniform(self) -> float:
        return self._uniform


@dataclass
class Play:
    """How one attempt goes. `connect` is raised instead of connecting; `head_delay` is silence before the head."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    chunks: Sequence[Chunk] = ()
    connect: Exception | None = None
    head_delay: float = 0.0
    head_fault: Exception | None = None


class ScriptedExchange:
    """core.ports.Exchange over one Play."""

    def __init__(self, play: Play, transport: ScriptedTransport) -> None:
        self._play = play
        self._chunks = list(play.chunks)
        self._head_delay = play.head_delay
        self._transport = transport
        self.closed = False

    async def head(self, wait: float) -> Head | None:
        if self._head_delay > wait:
            self._head_delay -= wait
            self._transport.clock.now += wait
            return None
        self._transport.clock.now += self._head_delay
        self._head_delay = 0.0
        if self._play.head_fault is not None:
            raise self._play.head_fault
        return Head(self._play.status, self._play.headers)

    async def read(self, wait: float) -> bytes | None:
        if not self._chunks:
            return b""
        chunk = self._chunks[0]
        if isinstance(chunk, bytes):
            self._chunks.pop(0)
            return chunk
        if isinstance(chunk, Exception):
            raise chunk
        if chunk > wait:
            self._chunks[0] = chunk - wait
            self._transport.clock.now += wait
            return None
        self._transport.clock.now += chunk
        self._chunks.pop(0)
        return await self.read(0.0)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._transport.open -= 1


class ScriptedTransport:
    """core.ports.Transport over a list of Plays, one for each attempt in turn."""

    def __init__(self, plays: Sequence[Play], clock: VirtualClock) -> None:
        self._plays = list(plays)
        self.clock = clock
        self.requests: list[BackendRequest] = []
        self.open = 0

    async def send(self, request: BackendRequest) -> ScriptedExchange:
        self.requests.append(request)
        play = self._plays.pop(0)
        if play.connect is not None:
            raise play.connect
        self.open += 1
        return ScriptedExchange(play, self)


def refused() -> TransportFault:
    """What a transport raises when nobody listens."""
    return TransportFault("connect", "connection refused")
