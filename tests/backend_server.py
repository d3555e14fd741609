"""A scripted backend on a real socket: answers each request as the next Script says, and keeps what it got.

Chunks are bytes (sent at once, one chunk of a chunked body each), numbers (seconds of silence), an asyncio.Event
(waited for) or RESET (the connection is reset). The server notes when a client's connection closed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

RESET = object()
SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


@dataclass
class Script:
    """One answer. `close`: the connection ends without the body's proper end."""

    chunks: Sequence[Any] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: SSE)
    close: bool = False


@dataclass
class Received:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class BackendServer:
    """Use as an async context manager; `url` is where it listens."""

    def __init__(
        self, scripts: Sequence[Script] | Callable[[Received], Script], port: int = 0, tls: SSLContext | None = None
    ) -> None:
        self._port = port
        self._tls = tls
        self._choose = scripts if callable(scripts) else _in_turn(scripts)
        self.received: list[Received] = []
        self.closed = asyncio.Event()
        self.connections = 0
        self.url = ""

    async def __aenter__(self) -> BackendServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        self._server.close_clients()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections -= 1
            self.closed.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, target, _ = line.split(" ")
        received = Received(method, target, headers, body)
        self.received.append(received)
        watcher = asyncio.create_task(reader.read(1))
        try:
            return await self._play(self._choose(received), writer, watcher)
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await watcher

    async def _play(self, script: Script, writer: asyncio.StreamWriter, watcher: asyncio.Task[bytes]) -> bool:
        lines = [f"HTTP/1.1 {script.status} X", "transfer-encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in script.headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        for chunk in script.chunks:
            if chunk is RESET:
                writer.transport.abort()
                return False
            if isinstance(chunk, bytes):
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
                continue
            waiting = asyncio.ensure_future(chunk.wait() if isinstance(chunk, asyncio.Event) else asyncio.sleep(chunk))
            await asyncio.wait({waiting, watcher}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if watcher.done():
                return False
        if script.close:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return not watcher.done()


def _in_turn(scripts: Sequence[Script]) -> Callable[[Received], Script]:
    rest = list(scripts)
    return lambda received: rest.pop(0)
