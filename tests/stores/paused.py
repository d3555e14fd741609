"""A TCP relay in front of a store that can fall silent: connections stay open, and nothing passes any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Relay:
    """Carries bytes to `endpoint` and back while `running` is set."""

    def __init__(self, endpoint: str) -> None:
        self._parts = urlsplit(endpoint)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.running = asyncio.Event()
        self.running.set()
        self.url = ""

    def listens(self, port: int) -> None:
        self.url = self._parts._replace(netloc=f"127.0.0.1:{port}").geturl()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                await self.running.wait()
                sink.write(data)
                await sink.drain()
        sink.close()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


@asynccontextmanager
async def relayed(endpoint: str) -> AsyncIterator[Relay]:
    """A relay to `endpoint`, at an address of its own with the same path."""
    relay = Relay(endpoint)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.listens(server.sockets[0].getsockname()[1])
    try:
        yield relay
    finally:
        server.close()
        await relay.close()
