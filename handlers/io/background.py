"""A transport whose requests connect in the background, for an attempt that is made beside another one."""

from __future__ import annotations

import asyncio

from core.ports import BackendRequest, Exchange, Head, Transport


class BackgroundTransport:
    """core.ports.Transport over another one; `send` returns at once, and a failure to connect is told by head()."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(self, request: BackendRequest) -> Exchange:
        """An exchange that is being connected."""
        return BackgroundExchange(asyncio.ensure_future(self._transport.send(request)))


class BackgroundExchange:
    """core.ports.Exchange whose connection is still being made."""

    def __init__(self, sending: asyncio.Future[Exchange]) -> None:
        self._sending = sending

    async def head(self, wait: float) -> Head | None:
        """The head, None when it has not come within `wait` seconds. Raises TransportFault."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        if not self._sending.done():
            await asyncio.wait((self._sending,), timeout=wait)
            if not self._sending.done():
                return None
        return await self._sending.result().head(max(0.0, until - loop.time()))

    async def read(self, wait: float) -> bytes | None:
        """Called after head() has given the head. Raises TransportFault."""
        return await self._sending.result().read(wait)

    def close(self) -> None:
        """Drops the connection, also one that comes later."""
        self._sending.add_done_callback(_close)
        self._sending.cancel()


def _close(sending: asyncio.Future[Exchange]) -> None:
    if not sending.cancelled() and sending.exception() is None:
        sending.result().close()
