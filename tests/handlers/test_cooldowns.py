"""Cooldowns that instances share through the store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import upstream_fault
from core.ports import Store, StoreFault
from core.routing.health import Health
from core.routing.registry import Candidate, make_backend
from handlers.cooldowns import FOLDER, READ_SECONDS, SharedCooldowns, after_all
from handlers.io.sqlite_store import SqliteStore
from tests.backend_server import JSON, BackendServer, Received, Script
from tests.gateways import RecordingLog
from tests.samples import answer_body, error_body, request_body
from tests.scripted import VirtualClock
from tests.served import Served, served

CANDIDATE = Candidate(make_backend("a", "demo", {}), "m")
LIMITED = upstream_fault("rate_limit", "x", 429, retry_after=60.0)


class Instance:
    """One process's health and its way to the store. Monotonic clocks differ, dates do not."""

    def __init__(self, store: Any, clock: VirtualClock) -> None:
        self.health = Health(clock.monotonic, lambda: 0.5)
        self.log = RecordingLog()
        self.shared = SharedCooldowns(store, self.health, clock, self.log)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def test_what_one_instance_meets_the_other_knows(tmp_path: Path, clock: VirtualClock) -> None:
    store = SqliteStore(tmp_path / "s.db")
    await store.prepare()
    one, other = Instance(store, clock), Instance(store, clock)
    await store.write(FOLDER, {"0": {}, "1": {"until": "soon"}, "2": []})  # type: ignore[dict-item]  # not ours
    one.health.failed(CANDIDATE, LIMITED)
    await one.shared.flush()
    await other.shared.flush()
    assert not other.health.take(CANDIDATE)
    assert other.health.cooling(CANDIDATE) == pytest.approx(63.0)
    await store.close()


async def test_a_cooldown_that_a_probe_has_ended_is_not_learnt_again(tmp_path: Path, clock: VirtualClock) -> None:
    store = SqliteStore(tmp_path / "s.db")
    await store.prepare()
    one, other = Instance(store, clock), Instance(store, clock)
    one.health.failed(CANDIDATE, LIMITED)
    await one.shared.flush()
    await other.shared.flush()
    for instance in (one, other):
        instance.health.succeeded(CANDIDATE, 0.1)
        clock.now += READ_SECONDS + 1
        await instance.shared.flush()
        assert instance.health.take(CANDIDATE) and instance.health.cooling(CANDIDATE) == 0.0
    one.health.failed(CANDIDATE, LIMITED)
    await one.shared.flush()
    clock.now += READ_SECONDS + 1
    await other.shared.flush()
    assert not other.health.take(CANDIDATE), "a new cooldown is learnt"
    await store.close()


class Counting:
    """A store that counts its calls, and fails where it is told to."""

    def __init__(self, *, away: bool = False) -> None:
        self.calls: list[str] = []
        self.away = away
        self.documents: dict[str, Mapping[str, Any]] = {}

    async def write(self, folder: str, documents: Mapping[str, Any], expires: float | None = None) -> None:
        self.calls.append("write")
        if self.away:
            raise StoreFault("away")
        self.documents.update(documents)

    async def read_all(self, folder: str) -> Mapping[str, Any]:
        self.calls.append("read")
        if self.away:
            raise StoreFault("away")
        return self.documents


async def test_the_store_is_asked_seldom(clock: VirtualClock) -> None:
    store = Counting()
    instance = Instance(store, clock)
    for _ in range(10):
        await instance.shared.flush()
        clock.now += 1.0
    assert store.calls == ["read", "read"]


async def test_a_store_that_is_away_is_logged_and_nothing_more(clock: VirtualClock) -> None:
    instance = Instance(Counting(away=True), clock)
    instance.health.failed(CANDIDATE, LIMITED)
    await instance.shared.flush()
    assert [line[1] for line in instance.log.lines] == ["store_fault"]


async def test_what_is_over_is_not_learnt_and_not_written(clock: VirtualClock) -> None:
    store = Counting()
    store.documents = {"x": {"backend": "a", "region": "", "model": "m", "until": clock.time() - 1}}
    instance = Instance(store, clock)
    instance.health.failed(CANDIDATE, LIMITED)
    clock.now += 61
    await instance.shared.flush()
    assert store.calls == ["read"]


async def test_two_answers_at_once_flush_once(clock: VirtualClock) -> None:
    store = Counting()
    instance = Instance(store, clock)
    inner = store.read_all

    async def again(folder: str) -> Mapping[str, Any]:
        await instance.shared.flush()
        return await inner(folder)

    store.read_all = again  # type: ignore[method-assign]
    await instance.shared.flush()
    assert store.calls == ["read"]


async def test_a_door_runs_both() -> None:
    ran: list[int] = []

    async def first() -> None:
        ran.append(1)

    async def second() -> None:
        ran.append(2)

    await after_all(first, second)()
    assert ran == [1, 2]


async def test_two_gateways_over_one_store_spare_a_limited_backend(tmp_path: Path) -> None:
    """The first meets the rate limit; the second, once it has answered anything, does not."""
    limited = Script([error_body("messages")], status=429, headers={**JSON, "retry-after": "30"})
    whole = Script([answer_body("messages")], headers=JSON)
    asked: list[str] = []

    def first(received: Received) -> Script:
        asked.append("first")
        return limited if received.json["model"] == "m" else whole

    async with BackendServer(first) as a, BackendServer(lambda received: whole) as b:
        options = {"type": "anthropic", "api_key": "k"}
        rows = [{"backend": "a", "priority": 1}, {"backend": "b", "priority": 2}]
        document = {
            "backends": {"a": {**options, "base_url": a.url}, "b": {**options, "base_url": b.url}},
            "models": {"m": {"candidates": rows}, "other": {"backend": "a"}},
        }
        variables = {"SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'store.db'}", "SERVICE_API_KEY": "k"}
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        async with (
            served(tmp_path / "one", document, variables) as one,
            served(tmp_path / "two", document, variables) as two,
            httpx.AsyncClient() as client,
        ):

            async def ask(gateway: Served, model: str) -> httpx.Response:
                body = request_body("messages", model)
                return await client.post(gateway.url + "/v1/messages", content=body, headers={"x-api-key": "k"})

            assert (await ask(one, "m")).headers["x-skybridge-attempts"] == "2"
            # What comes after an answer is done when the client has it already.
            store = store_of(one)
            async with asyncio.timeout(5):
                while not await store.read_all(FOLDER):
                    await asyncio.sleep(0.01)
                await ask(two, "other")
                candidate = two.composition.gateway.configuration.registry.routes["m"].candidates[0]
                while not two.composition.gateway.health.cooling(candidate):
                    await asyncio.sleep(0.01)
            asked.clear()
            assert (await ask(two, "m")).headers["x-skybridge-attempts"] == "1"
            assert asked == []
            for gateway in (one, two):
                await store_of(gateway).close()


def store_of(gateway: Served) -> Store:
    accounts = gateway.composition.accounts
    assert accounts is not None and accounts.store is not None
    return accounts.store
