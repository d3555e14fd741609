"""The whole gateway in this process, without a socket: the local door's protocol in front, a scripted backend behind.

What a request does is the same each time, so it can be counted. `Gateway.exchange` sends one request's bytes into the
door and gives the bytes that came out. The backend's side of the HTTP client gets a prepared answer, a piece for each
turn of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from core.ports import Store
from handlers.composition import Composition, compose
from handlers.io.http_client import HttpTransport
from handlers.io.http_connection import HttpConnection
from handlers.io.http_pool import Pool
from handlers.io.http_server import HttpServer
from handlers.io.http_url import Target

KEY = "sk-bench-0123456789"


class _NoSocket(asyncio.Transport):
    """What both ends have in common: a transport that is open and never full."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)})
        self._closing = False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self._closing = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class BackendEnd(_NoSocket):
    """Where the HTTP client writes to: each request is answered with the same pieces."""

    def __init__(self, connection: HttpConnection, pieces: Sequence[bytes]) -> None:
        super().__init__()
        self._connection = connection
        self._pieces = pieces
        self._loop = asyncio.get_running_loop()

    def write(self, data: Any) -> None:
        self._loop.call_soon(self._deliver, 0)

    def writelines(self, parts: Any) -> None:
        self._loop.call_soon(self._deliver, 0)

    def _deliver(self, number: int) -> None:
        piece = self._pieces[number]
        self._connection.get_buffer(len(piece))[: len(piece)] = piece
        self._connection.buffer_updated(len(piece))
        if number + 1 < len(self._pieces):
            self._loop.call_soon(self._deliver, number + 1)


class ScriptedHttp(HttpTransport):
    """The HTTP client, whose connections need no network."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__(environment={})
        self._pieces = pieces

    async def connect(self, pool: Pool, target: Target, timeout: float) -> HttpConnection:
        connection = pool.make(target.key)
        connection.connection_made(BackendEnd(connection, self._pieces))
        pool.add(connection)
        return connection


class ClientEnd(_NoSocket):
    """Where the door writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.keep = True
        self.answered = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """What is written from here on belongs to the next answer."""
        self.written.clear()
        self.answered = asyncio.get_running_loop().create_future()

    def write(self, data: Any) -> None:
        if not self.keep:
            self.written.clear()
        self.written.append(bytes(data))
        if not self.answered.done() and _is_whole(self.written):
            self.answered.set_result(None)

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))


class CountingStore:
    """core.ports.Store that counts the calls of another one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def counted(*values: Any) -> Any:
            self.calls += 1
            return await method(*values)

        return counted


class InProcess:
    """One gateway with its door and its backend. To be used inside a running loop."""

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], pieces: Sequence[bytes], variables: Mapping[str, str]
    ) -> None:
        path = folder / "models.json"
        path.write_text(json.dumps(settings))
        with contextlib.redirect_stderr(io.StringIO()) as self._log:
            self.composition: Composition = compose(variables, str(path), local=True)
        http = ScriptedHttp(pieces)
        transports = self.composition.gateway.ports.transports
        transports.update(http=http, https=http)  # type: ignore[attr-defined]  # a dict
        self._server = HttpServer(self.composition.app, self.composition.gateway.ports.clock)
        self._door, self._client = self.connect()
        self._begun: list[asyncio.Protocol] = []

    def connect(self) -> tuple[asyncio.Protocol, ClientEnd]:
        """One more client."""
        door, client = self._server.connect(), ClientEnd()
        door.connection_made(client)
        return door, client

    async def exchange(self, request: bytes, *, keep: bool = True) -> bytes:
        """One request on a connection that is kept alive, up to the end of its answer, of which only the last piece is
        kept where nobody wants it."""
        self._client.begin()
        self._client.keep = keep
        self._door.data_received(request)
        await self._client.answered
        while under_way := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(under_way)  # what follows the answer
        self._log.seek(0)
        self._log.truncate()
        return b"".join(self._client.written)

    def begin(self, request: bytes) -> None:
        """One request on a connection of its own, whose answer is not waited for."""
        door, client = self.connect()
        self._begun.append(door)
        client.keep = False
        door.data_received(request)

    def counted_store(self) -> CountingStore | None:
        """Counts the calls of the accounts' store from here on; None where there is none."""
        accounts = self.composition.accounts
        if accounts is None or accounts.store is None:
            return None
        accounts._store = CountingStore(accounts.store)
        return accounts._store

    async def abandon(self) -> None:
        """The clients that have begun something leave."""
        for door in self._begun:
            door.connection_lost(ConnectionResetError())
        while under_way := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(under_way)
        await self.close()

    async def close(self) -> None:
        """Ends what is open."""
        accounts = self.composition.accounts
        if accounts is not None and accounts.store is not None:
            await accounts.flush()
            await accounts.store.close()


def _is_whole(written: Sequence[bytes]) -> bool:
    if written[-1].endswith(b"0\r\n\r\n"):
        return True
    head, end, body = b"".join(written[:2]).partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
    return bool(end and length) and len(body) >= int(length)


def request_of(path: str, body: bytes) -> bytes:
    """One POST as the OpenAI SDK's headers look."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:8000\r\naccept: application/json\r\n"
        "accept-encoding: gzip, deflate\r\nconnection: keep-alive\r\ncontent-type: application/json\r\n"
        f"user-agent: OpenAI/Python 2.8.1\r\nauthorization: Bearer {KEY}\r\nx-stainless-lang: python\r\n"
        "x-stainless-package-version: 2.8.1\r\nx-stainless-os: Linux\r\nx-stainless-arch: x64\r\n"
        "x-stainless-runtime: CPython\r\nx-stainless-runtime-version: 3.13.5\r\nx-stainless-async: false\r\n"
        f"x-stainless-retry-count: 0\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def new_loop() -> asyncio.AbstractEventLoop:
    """The loop that the local door runs on. It has no Python code of its own that would be counted."""
    return uvloop.new_event_loop()
