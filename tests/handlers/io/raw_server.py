"""A TCP server whose every byte is written by the test."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

from core.ports import BackendRequest

WAIT = 5.0  # how long a test waits for what must come, in seconds

type Script = Callable[[Peer], Awaitable[None]]


class Peer:
    """The server's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """The next request's head, with its empty line, and its body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        return head, await self._reader.readexactly(int(length[1]) if length else 0)

    async def read(self, count: int) -> bytes:
        return await self._reader.readexactly(count)

    async def gone(self) -> None:
        """Until the client has closed the connection, or reset it."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            pass

    def send(self, *data: bytes) -> None:
        self._writer.write(b"".join(data))

    async def drain(self) -> None:
        await self._writer.drain()

    def end(self) -> None:
        """Half-closes: the client reads an end, the server reads on."""
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        await self._writer.start_tls(context)


class RawServer:
    """Plays `scripts` in turn, the last one again and again. What a script raises is raised by `stop`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._scripts: list[Script] = []
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    def plays(self, *scripts: Script) -> None:
        self._scripts = list(scripts)

    def answers(self, *pieces: bytes) -> None:
        """Answers every request on every connection with the same bytes."""

        async def script(peer: Peer) -> None:
            while True:
                await peer.request()
                peer.send(*pieces)

        self.plays(script)

    def request(self, method: str = "POST", body: bytes = b"{}", **options: float) -> BackendRequest:
        """A request to this server."""
        scheme = "https" if self._tls else "http"
        return BackendRequest(method, f"{scheme}://localhost:{self.port}/v1/x?y=1", [("a", "b")], body, **options)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        try:
            await script(Peer(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client went, or the test is over
        except BaseException as error:
            self._failure = error
        finally:
            writer.close()
            self._tasks.discard(task)


async def eventually(condition: Callable[[], bool]) -> None:
    """Until `condition` holds."""
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0.001)
