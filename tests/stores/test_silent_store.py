"""A store that falls silent while the gateway serves: the configured stance, in time, and nothing lost afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from core.ports import Store
from handlers.io.http_client import HttpTransport
from handlers.io.sqlite_store import SqliteStore
from tests.gateways import path_of
from tests.handlers.accounted import AccountedBench
from tests.samples import TYPES, answer_body, request_body
from tests.scripted import Play
from tests.stores import real_stores
from tests.stores.paused import relayed

# Much longer than any call to a store may take here: 0.3 s, and for SQLite twice that.
PATIENCE = 10.0
DOLLAR = {"m": {"input": 1_000_000, "output": 1_000_000}}


@asynccontextmanager
async def silenced(
    kind: str, request: pytest.FixtureRequest, folder: Path
) -> AsyncIterator[tuple[Store, Callable[[bool], None]]]:
    """A store of this kind, and what makes it fall silent (True) and answer again (False)."""
    if kind == "sqlite":
        store = SqliteStore(folder / "made.db", busy_seconds=0.3)
        await store.prepare()
        other = sqlite3.connect(folder / "made.db", isolation_level=None)
        yield store, lambda silent: other.execute("BEGIN EXCLUSIVE" if silent else "ROLLBACK") and None
        other.close()
        await store.close()
        return
    endpoint = request.getfixturevalue("moto_server" if kind == "dynamodb" else "azurite_server")
    async with relayed(endpoint) as relay:
        transport = HttpTransport(environment={})
        opened = real_stores.dynamo_store if kind == "dynamodb" else real_stores.azure_store
        cloud = opened(transport, relay.url, f"t{uuid4().hex}")
        await cloud.prepare()

        def set_silent(silent: bool) -> None:
            cloud._table.client.seconds = 0.3 if silent else 20.0
            relay.running.clear() if silent else relay.running.set()

        yield cloud, set_silent
        await transport.aclose()


def bench_over(store: Store, stance: str = "open") -> AccountedBench:
    backend = {"type": TYPES["messages"], "base_url": "http://b1/v1", "api_key": "k"}
    row = {"backend": "b1", "api_model": "m", "max_tokens": 64}
    document = {
        "backends": {"b1": backend}, "models": {"m": row}, "prices": DOLLAR, "quotas": {"on_store_fault": stance},
    }  # fmt: skip
    plays = [Play(headers={"content-type": "application/json"}, chunks=[answer_body("messages")])] * 20
    return AccountedBench(document, plays, store)


async def status_of(bench: AccountedBench, key: str) -> int:
    async with asyncio.timeout(PATIENCE):
        answer = await bench.post(path_of("messages"), request_body("messages"), x_api_key=key)
    return answer.status


@pytest.mark.parametrize("kind", ["sqlite", "dynamodb", "tables"])
async def test_the_stance_of_a_gateway_whose_store_falls_silent(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with silenced(kind, request, tmp_path) as (store, set_silent):
        bench = bench_over(store)
        await bench.add_key("sk-sky-limited", id="k1", quota={"requests_per_minute": 9})
        await bench.add_key("sk-sky-budget", id="k2", quota={"usd_total": 10**16})
        await bench.add_key("sk-sky-revoked", id="k3", revoked=bench.clock.time())
        expected = {"sk-sky-limited": 200, "sk-sky-budget": 200, "sk-sky-revoked": 401}
        for key, status in expected.items():
            assert await status_of(bench, key) == status
        await bench.accounts.flush()
        set_silent(True)
        bench.clock.now += 31
        for key, status in {**expected, "sk-sky-budget": 503}.items():
            assert await status_of(bench, key) == status
        if kind != "sqlite":  # whose readers wait for no writer
            assert await status_of(bench, "sk-sky-unseen") == 503
        async with asyncio.timeout(PATIENCE):
            await bench.accounts.flush()
        lines = [fields for level, event, fields in bench.log.lines if event == "store_fault" and level == "warning"]
        assert {fields["during"] for fields in lines} >= {"admission", "recording"}
        assert {fields["metric"] for fields in lines} == {"store_faults"}
        set_silent(False)
        bench.clock.now += 31
        for key, status in expected.items():
            assert await status_of(bench, key) == status
        outcomes = [row["outcome"] for row in await bench.documents()]
        assert sorted(outcomes) == [*["complete"] * 5, "failed"], "nothing is lost, and nothing there twice"


@pytest.mark.parametrize("kind", ["sqlite", "dynamodb", "tables"])
async def test_closed_when_the_configuration_says_so(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with silenced(kind, request, tmp_path) as (store, set_silent):
        bench = bench_over(store, "closed")
        await bench.add_key("sk-sky-limited", id="k1", quota={"requests_per_minute": 9})
        assert await status_of(bench, "sk-sky-limited") == 200
        set_silent(True)
        assert await status_of(bench, "sk-sky-limited") == 503
        set_silent(False)
        assert await status_of(bench, "sk-sky-limited") == 200


@pytest.mark.parametrize("kind", ["dynamodb", "tables"])
async def test_a_silent_store_is_not_asked_for_each_request(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Who only has limits is let go at once while the store was found silent a moment ago."""
    async with silenced(kind, request, tmp_path) as (store, set_silent):
        bench = bench_over(store)
        await bench.add_key("sk-sky-limited", id="k1", quota={"requests_per_minute": 9})
        assert await status_of(bench, "sk-sky-limited") == 200
        set_silent(True)
        bench.clock.now += 31
        for _ in range(8):
            assert await status_of(bench, "sk-sky-limited") == 200
        asked = [fields["during"] for _, event, fields in bench.log.lines if event == "store_fault"]
        assert asked == ["key lookup", "admission"]
        set_silent(False)
