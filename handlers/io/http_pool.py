"""Idle connections, kept for the next request to the same scheme, host and port; the youngest is used first.

A connection that closed while it was idle leaves by itself (connection_lost), and one whose goodbye is still
unread in the socket is seen by `quiet`. Ages are measured on both clocks: a frozen Lambda environment may
wake with a monotonic clock that stood still.
"""

from __future__ import annotations

import asyncio

from core.ports import Clock
from handlers.io.http_connection import READ_SIZE, HttpConnection
from handlers.io.http_url import Key

# A connection that has rested for less than this is used again as it is.
FRESH_SECONDS = 0.05


class Pool:
    """All connections of one event loop: the idle ones by key, and a count of those that are open."""

    def __init__(self, clock: Clock, *, idle_seconds: float, max_idle: int) -> None:
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._max_idle = max_idle
        self._idle: dict[Key, list[HttpConnection]] = {}
        self._open: set[HttpConnection] = set()
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    @property
    def idle_count(self) -> int:
        """How many connections wait for a request."""
        return sum(map(len, self._idle.values()))

    @property
    def open_count(self) -> int:
        """How many connections are open, idle or not."""
        return len(self._open)

    def make(self, key: Key) -> HttpConnection:
        """A protocol for a connection that is about to be opened."""
        return HttpConnection(key, self._buffer, self._forget)

    def add(self, connection: HttpConnection) -> None:
        """Counts a connection whose opening has succeeded.

        Not before: when the opening is cancelled, uvloop closes the socket and tells the protocol nothing.
        """
        if connection.connected:
            self._open.add(connection)

    def take(self, key: Key) -> HttpConnection | None:
        """The youngest usable idle connection; the unusable ones that are met on the way are dropped."""
        stack = self._idle.get(key)
        while stack:
            connection = stack.pop()
            if self._usable(connection):
                connection.reused = True
                return connection
            connection.abort()
        return None

    def _usable(self, connection: HttpConnection) -> bool:
        """Under load a connection rests for milliseconds: what its socket may hold is then not asked for, which
        takes a system call. One that the server closed in that moment breaks at once, and the request is sent
        again."""
        steady, wall = connection.idle_since
        if 0 <= self._clock.monotonic() - steady < FRESH_SECONDS and 0 <= self._clock.time() - wall < FRESH_SECONDS:
            return connection.usable
        return connection.quiet() and not self._expired(connection)

    def give(self, connection: HttpConnection) -> None:
        """Takes a connection back when its exchange has ended."""
        if not connection.release():
            return
        stack = self._idle.get(connection.key)
        if stack is None:
            stack = self._idle[connection.key] = []
        connection.idle_seconds = seconds = _server_allows(connection, self._idle_seconds)
        if seconds <= 0 or len(stack) >= self._max_idle:
            connection.abort()
            return
        connection.idle_since = (self._clock.monotonic(), self._clock.time())
        stack.append(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._idle_seconds, self._sweep)

    def drop(self) -> None:
        """Closes every connection at once, the busy ones too."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()

    async def drained(self) -> None:
        """Until no connection is open any more."""
        while self._open:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied

    def _expired(self, connection: HttpConnection) -> bool:
        steady, wall = connection.idle_since
        allowed = connection.idle_seconds
        return self._clock.monotonic() >= steady + allowed or self._clock.time() >= wall + allowed

    def _sweep(self) -> None:
        self._sweeper = None
        for key, stack in list(self._idle.items()):
            young = []
            for connection in stack:
                if self._expired(connection):
                    connection.abort()
                else:
                    young.append(connection)
            if young:
                self._idle[key] = young
            else:
                del self._idle[key]
        if self._idle:
            self._sweeper = asyncio.get_running_loop().call_later(self._idle_seconds, self._sweep)

    def _forget(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        stack = self._idle.get(connection.key)
        if stack and connection in stack:
            stack.remove(connection)
        if not self._open and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)


def _server_allows(connection: HttpConnection, most: float) -> float:
    """Idle seconds that `keep-alive: timeout=N` grants, with a second's margin for the way there; `most` at most.

    The header is from RFC 2068, 19.7.1.1; Node's server and others send it.
    """
    if connection.head is None or "keep-alive" not in connection.head.headers:
        return most
    for part in connection.head.headers["keep-alive"].split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "timeout" and value.isdecimal() and len(value) < 10:
            return min(most, int(value) - 1.0)
    return most
