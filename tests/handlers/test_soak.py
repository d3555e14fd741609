"""Many streams at once with random faults and random disconnects, over real sockets: nothing hangs, nothing leaks."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core.usage import UsageRecord
from tests.backend_server import JSON, RESET, BackendServer, Received, Script
from tests.samples import error_body, error_frame, request_body, stream_frames
from tests.served import Served, served

AT_ONCE = 200
FRAMES = stream_frames("messages")
WHOLE = b"".join(FRAMES)
REQUEST = request_body("messages", stream=True)
HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(REQUEST)
PAGE = resource.getpagesize()


class Weather:
    """What the backend does, by lot."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.server: BackendServer | None = None

    def choose(self, received: Received) -> Script:
        assert self.server is not None
        self.server.received.clear()  # what the test itself keeps is no leak
        some = FRAMES[: self.random.randrange(1, len(FRAMES))]
        kinds = [
            Script([*FRAMES]),
            Script([WHOLE[:100], 0.02, WHOLE[100:]]),
            Script([error_body("messages")], status=self.random.choice([429, 500, 503, 529]), headers=JSON),
            Script([RESET]),
            Script([*some, RESET]),
            Script([*some], close=True),
            Script([*some, error_frame("messages")]),
            Script([*some, 30.0]),
            Script([30.0]),
            Script([b"\x00garbage\n\n"]),
        ]
        return self.random.choices(kinds, [60, 10, 8, 4, 4, 4, 4, 1, 1, 2])[0]


class Clients:
    """They ask, and some of them leave."""

    def __init__(self, gateway: Served, seed: int) -> None:
        self.random = random.Random(seed)
        host, port = gateway.url.removeprefix("http://").split(":")
        self.address = (host, int(port))
        self.seen: Counter[str] = Counter()

    async def run(self, count: int) -> None:
        left = iter(range(count))

        async def one_after_another() -> None:
            for _ in left:
                async with asyncio.timeout(60):
                    await self.one()

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_after_another())

    async def one(self) -> None:
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write(HEAD + REQUEST)
            if self.random.random() < 0.2:
                await self.leave(reader)
                writer.transport.abort()
                self.seen["left"] += 1
            else:
                self.seen[verdict(await reader.read())] += 1
        finally:
            writer.close()

    async def leave(self, reader: asyncio.StreamReader) -> None:
        if self.random.random() < 0.5:
            await asyncio.sleep(self.random.random() * 0.02)
        else:
            await reader.read(self.random.randrange(1, 400))


def verdict(answer: bytes) -> str:
    """`whole`, `refused` or `cut`; anything else is a failure."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status != 200:
        assert status in (429, 500, 502, 503, 504, 529), head
        return "refused"
    assert answer.endswith(b"0\r\n\r\n"), "every stream ends properly"
    assert body.count(b"event: message_start") <= 1
    if b"event: message_stop" in body:
        assert body.count(b'"text": "H"') == 1
        return "whole"
    assert b"event: error" in body, body
    return "cut"


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def settings(url: str) -> dict[str, Any]:
    options = {
        "type": "anthropic", "base_url": url, "api_key": "k", "first_byte_timeout": 2.0, "idle_timeout": 2.0,
    }  # fmt: skip
    rows = [{"backend": "a", "priority": 1}, {"backend": "b", "priority": 2}]
    return {
        "backends": {"a": options, "b": options},
        "models": {"m": {"candidates": rows, "policy": {"hedge_after": 0.25}}},
    }


async def soak(tmp_path: Path, count: int, rounds: int) -> list[int]:
    """Asks `count` times; gives the resident memory after each of `rounds`."""
    weather = Weather(1)
    outcomes: Counter[str] = Counter()
    memory: list[int] = []
    before = len(asyncio.all_tasks())
    async with BackendServer(weather.choose) as backend:
        weather.server = backend
        async with served(tmp_path, settings(backend.url)) as gateway:
            running = len(asyncio.all_tasks())

            def record(usage: UsageRecord) -> None:
                outcomes[usage.outcome] += 1

            gateway.composition.gateway.ports.record = record
            clients = Clients(gateway, 2)
            for _ in range(rounds):
                await clients.run(count // rounds)
                gc.collect()
                memory.append(resident())
            async with asyncio.timeout(10):
                while gateway.composition.gateway.in_flight.total:
                    await asyncio.sleep(0.01)
                while gateway.composition.http.open_connections > gateway.composition.http.idle_connections:
                    await asyncio.sleep(0.01)
                # A connection of the local server and one of the backend have a task each until they are closed.
                while len(asyncio.all_tasks()) > running + backend.connections * 2:
                    await asyncio.sleep(0.01)
            asked = sum(clients.seen.values())
            assert asked == count
            # When both backends have failed five times in a row, all but one probe are refused for a moment.
            assert clients.seen["whole"] > count * 0.25, clients.seen
            # A client that left before its request was read is no request.
            assert count - clients.seen["left"] <= sum(outcomes.values()) <= count
            await gateway.composition.http.aclose()
            async with asyncio.timeout(10):
                while backend.connections:
                    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == before
    return memory


@pytest.fixture(autouse=True)
def many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def test_a_few_hundred_streams(tmp_path: Path) -> None:
    await soak(tmp_path, 400, 2)


@pytest.mark.slow
async def test_ten_thousand_streams_leave_nothing_behind(tmp_path: Path) -> None:
    memory = await soak(tmp_path, 10_000, 10)
    warm, end = memory[3], memory[-1]
    print(f"resident memory in MB: {[round(size / 1e6, 1) for size in memory]}")
    assert end < warm * 1.1, memory
