"""A stream to the client beside its bytes: a body that can be closed before it began, and what a silence means."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

from core.attempts import LONGEST_NAP
from core.errors import upstream_fault

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
    """How long a backend has said nothing, and what to do about it."""

    __slots__ = ("_idle", "_idle_timeout", "_ping_seconds", "_since_ping", "_waiting")

    def __init__(self, idle_timeout: float, ping_seconds: float) -> None:
        self._idle_timeout = idle_timeout
        self._ping_seconds = ping_seconds
        self._idle = 0.0
        self._since_ping = 0.0
        self._waiting = 0.0

    def wait(self, finished: bool) -> float:
        """Seconds to wait for the next bytes."""
        most = TAIL_SECONDS if finished else min(self._ping_seconds - self._since_ping, LONGEST_NAP)
        self._waiting = min(most, self._idle_timeout - self._idle)
        return self._waiting

    def broken(self) -> None:
        self._idle = self._since_ping = 0.0

    def lasted(self, ping: bytes) -> bytes:
        """A whole wait went by: from time to time the client gets a ping. Raises UpstreamFault when the silence is
        too long."""
        self._idle += self._waiting
        self._since_ping += self._waiting
        if self._idle >= self._idle_timeout:
            raise upstream_fault("timeout", "The backend's stream fell silent.", 504)
        if self._since_ping < self._ping_seconds:
            return b""
        self._since_ping = 0.0
        return ping
