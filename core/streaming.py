"""A stream on its way to the client: its pieces one by one, what a silence means, and a body that can be closed before
it began."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from core.attempts import LONGEST_NAP, Process, Winner
from core.errors import ClientFault, upstream_fault
from core.ports import Clock, TransportFault
from core.relay import Pipe

if TYPE_CHECKING:
    from core.continuation import Story

# After a stream's proper end its connection is given this long to end too, so that it can be used again.
TAIL_SECONDS = 5.0


class StreamBody(AsyncGenerator[bytes]):
    """A stream's body. Closing a generator that was never begun runs none of its code, so this does what its
    end would have done: `abandon` closes the backend and accounts for the request."""

    def __init__(self, chunks: AsyncGenerator[bytes], abandon: Callable[[], None]) -> None:
        self._chunks = chunks
        self._abandon = abandon
        self._begun = False

    def __aiter__(self) -> AsyncGenerator[bytes]:
        self._begun = True
        return self._chunks

    async def asend(self, value: None) -> bytes:
        self._begun = True
        return await self._chunks.asend(value)

    async def athrow(self, *exception: Any) -> bytes:
        self._begun = True
        return await self._chunks.athrow(*exception)

    async def aclose(self) -> None:
        if not self._begun:
            self._begun = True
            self._abandon()
        await self._chunks.aclose()


class Silence:
    """How long a backend has said nothing, and what to do about it. `usual`: the wait of a stream that has just said
    something, as nearly every wait is."""

    __slots__ = ("_idle_timeout", "_ping_seconds", "_since_ping", "_waiting", "idle", "usual")

    def __init__(self, idle_timeout: float, ping_seconds: float) -> None:
        self._idle_timeout = idle_timeout
        self._ping_seconds = ping_seconds
        self.idle = 0.0
        self._since_ping = 0.0
        self.usual = self._waiting = min(ping_seconds, LONGEST_NAP, idle_timeout)

    def wait(self, finished: bool) -> float:
        """Seconds to wait for the next bytes."""
        most = TAIL_SECONDS if finished else min(self._ping_seconds - self._since_ping, LONGEST_NAP)
        self._waiting = min(most, self._idle_timeout - self.idle)
        return self._waiting

    def broken(self) -> None:
        """The stream has said something again."""
        self.idle = self._since_ping = 0.0
        self._waiting = self.usual

    def lasted(self, ping: bytes) -> bytes:
        """A whole wait went by: from time to time the client gets a ping. Raises UpstreamFault when the silence is
        too long."""
        self.idle += self._waiting
        self._since_ping += self._waiting
        if self.idle >= self._idle_timeout:
            raise upstream_fault("timeout", "The backend's stream fell silent.", 504)
        if self._since_ping < self._ping_seconds:
            return b""
        self._since_ping = 0.0
        return ping


class Bounds:
    """By when a stream must have ended: `ends`, None without a bound of its own, and the end of `process`."""

    __slots__ = ("_clock", "ends", "process")

    def __init__(self, ends: float | None, process: Process, clock: Clock) -> None:
        self.ends = ends
        self.process = process
        self._clock = clock

    def shortened(self, wait: float) -> float:
        """`wait`, or the time that is left. Raises ClientFault when there is none."""
        ends = min(moment for moment in (self.ends, self.process.stop_at) if moment is not None)
        left = ends - self._clock.monotonic()
        if left <= 0:
            raise ClientFault("timeout", "The gateway's time for this request is over; the answer is cut here.")
        return min(wait, left)


class Relay:
    """The winner's stream from the commit on, piece by piece."""

    __slots__ = ("_bounds", "_ended", "_exchange", "_pending", "_ping", "_pipe", "_silence")

    def __init__(self, winner: Winner, silence: Silence, ping: bytes, bounds: Bounds) -> None:
        assert winner.pipe is not None
        self._pipe = winner.pipe
        self._exchange = winner.exchange
        self._pending = winner.pending
        self._silence = silence
        self._ping = ping
        self._bounds = bounds
        self._ended = False

    async def next(self) -> bytes | None:
        """What goes to the client next; None after a whole answer. Raises GatewayError or TransportFault when the
        stream breaks, stalls or runs out of time. Called for every piece of every stream, so it is one flat loop."""
        if self._pending:
            pending, self._pending = self._pending, b""
            return pending
        pipe, silence, bounds = self._pipe, self._silence, self._bounds
        while not self._ended:
            finished = pipe.finished
            wait = silence.wait(finished) if silence.idle or finished else silence.usual
            if bounds.ends is not None or bounds.process.stop_at is not None:
                wait = bounds.shortened(wait)
            try:
                data = await self._exchange.read(wait)
            except TransportFault:
                if not finished:
                    raise
                data = b""  # a connection that breaks after the answer's proper end has done no harm
            if data:
                if silence.idle:
                    silence.broken()
                out = pipe.feed(data)
            elif data is None and not finished:
                out = silence.lasted(self._ping)
            else:
                self._ended = True
                out = pipe.close()
            if out:
                return out
        self._check_end()
        return None

    def _check_end(self) -> None:
        pipe = self._pipe
        story = story_of(pipe)
        if pipe.error is not None and story is not None and story.can_go_on:
            raise pipe.error  # which the pipe has kept from the client
        if not pipe.finished and pipe.error is None:
            raise upstream_fault("upstream", "The backend's stream ended before the answer was complete.", 502)


def story_of(pipe: Pipe | None) -> Story | None:
    """What has been told by a stream that may be taken up, None where it may not (core.translated has the pipe)."""
    return getattr(pipe, "story", None)
