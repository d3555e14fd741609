"""Clients that read slowly, stall, or leave before the first byte: over real sockets and at the ASGI boundary."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from handlers.asgi import make_app
from tests.backend_server import BackendServer, Script
from tests.gateways import native_bench
from tests.samples import request_body, stream_frames
from tests.scripted import Play
from tests.served import Served, served

FRAMES = stream_frames("messages")
# One text delta of 256 KiB.
BIG = FRAMES[2].replace(b'"H"', b'"' + b"x" * 262_144 + b'"')


class Counted:
    """Chunks that count how many of them were taken."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from FRAMES[:2]
        for _ in range(self.total):
            self.taken += 1
            yield BIG
        yield from FRAMES[4:]


def document(url: str, **limits: Any) -> dict[str, Any]:
    options = {"type": "anthropic", "base_url": url, "api_key": "k"}
    return {"backends": {"b": options}, "models": {"m": {"backend": "b"}}, "limits": limits}


async def stalled_client(gateway: Served) -> socket.socket:
    """A connection whose owner sends a request and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    host, port = gateway.url.removeprefix("http://").split(":")
    await loop.sock_connect(client, (host, int(port)))
    body = request_body("messages", stream=True)
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    await loop.sock_sendall(client, head.encode() + body)
    return client


async def test_a_stalled_reader_holds_the_backend_back_and_is_let_go(tmp_path: Path) -> None:
    chunks = Counted(400)
    async with BackendServer([Script(chunks)]) as backend:  # type: ignore[arg-type]
        async with served(tmp_path, document(backend.url, reader_stall_seconds=0.5)) as gateway:
            client = await stalled_client(gateway)
            async with asyncio.timeout(10):
                await backend.closed.wait()
                while not gateway.records:
                    await asyncio.sleep(0.01)
            assert gateway.records[0].outcome == "abandoned"
            assert chunks.taken < 100, "100 MB are not buffered for a reader that takes nothing"
            # What is in the sockets' own buffers the client still gets, then its connection has ended.
            got = b""
            async with asyncio.timeout(5):
                with suppress(ConnectionError):
                    while data := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
                        got += data
            client.close()
            assert b"message_stop" not in got
            assert gateway.composition.gateway.in_flight.total == 0


async def test_a_slow_reader_gets_everything(tmp_path: Path) -> None:
    chunks = Counted(8)
    async with BackendServer([Script(chunks)]) as backend:  # type: ignore[arg-type]
        async with served(tmp_path, document(backend.url, reader_stall_seconds=5)) as gateway:
            client = await stalled_client(gateway)
            loop = asyncio.get_running_loop()
            got = b""
            while b"message_stop" not in got[-500:]:
                got += await loop.sock_recv(client, 65_536)
                await asyncio.sleep(0.001)
            assert got.count(b"x" * 262_144) <= 8
            assert got.count(b"x") >= 8 * 262_144
            client.close()
            while not gateway.records:
                await asyncio.sleep(0.01)
            assert gateway.records[0].outcome == "complete"


def scope() -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": "/v1/messages", "headers": [], "extensions": {}}


class Client:
    """The door's side of one ASGI call."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._asked = 0
        self.gone = asyncio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        self._asked += 1
        if self._asked == 1:
            return {"type": "http.request", "body": self._body}
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def test_leaving_before_the_first_byte_of_a_stream_closes_the_backend() -> None:
    """The client goes while the head of the answer is being sent: the stream's code has not begun to run."""
    bench = native_bench("messages", [Play(chunks=FRAMES)])
    client = Client(request_body("messages", stream=True))

    async def send(message: Any) -> None:
        client.gone.set()
        await asyncio.Event().wait()

    await make_app(bench.gateway)(scope(), client.receive, send)
    assert bench.transport.open == 0
    assert [record.outcome for record in bench.records] == ["abandoned"]
    assert bench.gateway.in_flight.total == 0


async def test_a_client_that_leaves_with_the_last_byte_disturbs_nothing() -> None:
    bench = native_bench("messages", [Play(chunks=FRAMES)])
    client = Client(request_body("messages", stream=True))
    after: list[str] = []

    async def send(message: Any) -> None:
        client.sent.append(message)
        if message.get("more_body") is None and message["type"] == "http.response.body":
            client.gone.set()
            for _ in range(3):
                await asyncio.sleep(0)

    async def finish() -> None:
        await asyncio.sleep(0)
        after.append("ran")

    await make_app(bench.gateway, finish)(scope(), client.receive, send)
    assert after == ["ran"]
    assert [record.outcome for record in bench.records] == ["complete"]


async def test_a_door_without_a_way_to_abort_is_left_too() -> None:
    bench = native_bench("messages", [Play(chunks=FRAMES)])
    bench.gateway.configuration.limits.reader_stall_seconds = 0.02
    client = Client(request_body("messages", stream=True))

    async def send(message: Any) -> None:
        await asyncio.sleep(0.015 if message["type"] == "http.response.start" else 60)

    await make_app(bench.gateway)(scope(), client.receive, send)
    assert [record.outcome for record in bench.records] == ["abandoned"]
    assert bench.transport.open == 0


async def test_the_doors_own_cancellation_goes_through() -> None:
    bench = native_bench("messages", [Play(chunks=FRAMES)])
    client = Client(request_body("messages", stream=True))
    started = asyncio.Event()

    async def send(message: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(make_app(bench.gateway)(scope(), client.receive, send))  # type: ignore[arg-type]
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.transport.open == 0


async def test_leaving_while_two_attempts_race_closes_both(tmp_path: Path) -> None:
    never = asyncio.Event()
    async with BackendServer([Script([never])]) as first, BackendServer([Script([never])]) as second:
        config = document(first.url)
        config["backends"]["c"] = {**config["backends"]["b"], "base_url": second.url}
        rows = [{"backend": "b", "priority": 1}, {"backend": "c", "priority": 2}]
        config["models"]["m"] = {"candidates": rows, "policy": {"hedge_after": 0.05}}
        async with served(tmp_path, config) as gateway:
            client = await stalled_client(gateway)
            while not second.received:
                await asyncio.sleep(0.005)
            client.close()
            async with asyncio.timeout(1.0):
                await first.closed.wait()
                await second.closed.wait()
            assert [record.outcome for record in gateway.records] == ["abandoned"]
            assert gateway.composition.gateway.in_flight.total == 0


async def test_a_hedge_over_real_connections(tmp_path: Path) -> None:
    never = asyncio.Event()
    async with BackendServer([Script([never])]) as first, BackendServer([Script(FRAMES)]) as second:
        config = document(first.url)
        config["backends"]["c"] = {**config["backends"]["b"], "base_url": second.url}
        rows = [{"backend": "b", "priority": 1}, {"backend": "c", "priority": 2}]
        config["models"]["m"] = {"candidates": rows, "policy": {"hedge_after": 0.05}}
        async with served(tmp_path, config) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
            response = await client.post("/v1/messages", content=request_body("messages", stream=True))
            assert response.content == b"".join(FRAMES)
            assert response.headers["x-skybridge-backend"] == "c"
            async with asyncio.timeout(1.0):
                await first.closed.wait()
