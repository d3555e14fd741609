"""Requests whose process died, and what has expired: on the three real stores, with a clock that tests move."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from core.bill import folder_of, usage_document
from core.ports import Charge, Hold, Store, StoreFault
from core.usage import UsageRecord
from handlers.io.sqlite_store import SqliteStore
from handlers.io.table_store import PURGE_AT_ONCE
from handlers.upkeep import TEND_SECONDS, Upkeep
from tests.gateways import RecordingLog
from tests.scripted import FixedRandom, VirtualClock

# 2023-11-14T22:13:20Z: a lease of two hours ends on the next day.
START = 1_700_000_000.0
LEASE = START + 7200


def record(name: str = "req_1") -> UsageRecord:
    made = UsageRecord(name, "generate", "messages", START, model="m", caller="key_1", key="key sk-…", owner="team-a")
    made.hold = Hold("h1", (Charge("usd_total:everyone::", 5, 10),), LEASE)
    return made


class Ground:
    """Upkeep over a store. `chance` is what the process drew when it started."""

    def __init__(self, store: Store, chance: float = 0.5, note_seconds: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.pass_until(START)
        self.log = RecordingLog()
        self.store = store
        self.upkeep = Upkeep(store, self.clock, FixedRandom(chance), self.log, note_seconds)

    def pass_until(self, moment: float) -> None:
        """Lets time pass up to `moment` (since the epoch)."""
        self.clock.now += moment - self.clock.time()

    async def note(self, of: UsageRecord) -> None:
        assert of.hold is not None
        self.upkeep.begin(of, of.hold)
        while of.request_id not in self.upkeep._notes:
            await asyncio.sleep(0)
        await self.upkeep._notes[of.request_id]

    async def rows(self) -> list[object]:
        return list((await self.store.read_all(folder_of("2023-11-14"))).values())


async def test_a_request_that_died_leaves_a_record(store: Store) -> None:
    ground = Ground(store)
    await ground.note(record())
    ground.pass_until(LEASE - 1)
    await ground.upkeep.tend()
    assert await ground.rows() == [], "it may still be under way"
    ground.pass_until(LEASE + TEND_SECONDS)
    await ground.upkeep.tend()
    (row,) = await ground.rows()
    expected = {"id": "req_1", "outcome": "abandoned", "owner": "team-a", "model": "m", "cost": None}
    assert isinstance(row, dict) and {name: row[name] for name in expected} == expected
    assert "nobody knows what it used" in row["errors"][0] and "lease" not in row
    assert [fields["request_id"] for _, event, fields in ground.log.lines if event == "request_died"] == ["req_1"]
    ground.clock.now += TEND_SECONDS
    await ground.upkeep.tend()
    assert len(await ground.rows()) == 1


async def test_what_is_no_note_holds_no_other_up(store: Store) -> None:
    ground = Ground(store)
    damaged: dict[str, Any] = {"a": {}, "b": {"lease": "soon", "started": 1.0}, "c": {"lease": LEASE}, "d": ["x"]}
    await store.write("notes:2023-11-15", damaged)
    await ground.note(record())
    ground.pass_until(LEASE + TEND_SECONDS)
    await ground.upkeep.tend()
    assert len(await ground.rows()) == 1 and set(await store.read_all("notes:2023-11-15")) == set(damaged)


async def test_a_record_that_is_there_is_the_truth(store: Store) -> None:
    """The process died between the record and the note's end."""
    ground = Ground(store)
    await ground.note(record())
    whole = dict(usage_document(record(), 0)) | {"outcome": "complete"}
    await store.write(folder_of("2023-11-14"), {"req_1": whole})
    ground.pass_until(LEASE + TEND_SECONDS)
    await ground.upkeep.tend()
    assert await ground.rows() == [whole]


async def test_a_note_goes_with_its_record(store: Store) -> None:
    ground, made = Ground(store), record()
    await ground.note(made)
    assert len(await store.read_all("notes:2023-11-15")) == 1
    ground.upkeep.end(made)
    await ground.upkeep.forget([made])
    assert await store.read_all("notes:2023-11-15") == {}
    await ground.upkeep.forget([made])


def test_a_loop_that_ended_leaves_requests_of_others_noted(tmp_path: Path) -> None:
    async def begin(ground: Ground, name: str) -> None:
        made = record(name)
        assert made.hold is not None
        ground.upkeep.begin(made, made.hold)

    async def noted() -> object:
        await begin(ground, "req_2")
        while "req_2" not in ground.upkeep._notes:
            await asyncio.sleep(0)
        await asyncio.gather(*ground.upkeep._notes.values())
        names = set(await ground.store.read_all("notes:2023-11-15"))
        await ground.store.close()
        return names

    ground = Ground(SqliteStore(tmp_path / "made.db"), note_seconds=0.05)
    asyncio.run(begin(ground, "req_1"))
    assert asyncio.run(noted()) == {"req_1", "req_2"}


async def test_a_short_request_is_never_noted(store: Store) -> None:
    ground, made = Ground(store, note_seconds=60.0), record()
    assert made.hold is not None
    ground.upkeep.begin(made, made.hold)
    ground.upkeep.end(made)
    await ground.upkeep.forget([made])
    assert not ground.upkeep._begun and not ground.upkeep._notes
    assert await store.read_all("notes:2023-11-15") == {}


@pytest.mark.parametrize("open_store", ["sqlite", "tables"], indirect=True)
async def test_a_process_that_lives_purges_once_a_day(store: Store) -> None:
    ground = Ground(store)
    for moments in (((1, 1), (23, 1), (24.5, 0), (25, 0)), ((26, 1), (48, 1), (49.5, 0))):
        await store.write("old", {"a": {}}, START + 10)
        for hours, left in moments:
            ground.pass_until(START + hours * 3600)
            await ground.upkeep.tend()
            assert len(await store.read_all("old")) == left


@pytest.mark.parametrize("open_store", ["sqlite", "tables"], indirect=True)
async def test_one_in_fifty_processes_purges_when_it_starts(store: Store) -> None:
    """Drawn evenly, two of a hundred that handle one request each and end."""
    purged = []
    for number in range(100):
        ground = Ground(store, number / 100)
        await store.write("old", {"a": {}}, START - 10)
        await ground.upkeep.tend()
        if not await store.read_all("old"):
            purged.append(number)
    assert purged == [0, 1]


async def test_what_one_purge_left_the_next_drops_soon() -> None:
    class LongStore:
        left = PURGE_AT_ONCE + 1
        calls = count()

        async def purge(self, now: float) -> int:
            next(self.calls)
            dropped = min(self.left, PURGE_AT_ONCE)
            self.left -= dropped
            return dropped

        async def read_all(self, folder: str) -> dict[str, object]:
            return {}

    store = LongStore()
    ground = Ground(store, 0.0)  # type: ignore[arg-type]
    for _ in range(4):
        await ground.upkeep.tend()
        ground.clock.now += TEND_SECONDS
    assert store.left == 0 and next(store.calls) == 3


class AwayStore:
    """Answers nothing."""

    async def away(self, *_: object) -> None:
        raise StoreFault("away")

    read_all = purge = write = away


async def test_a_store_that_is_away_is_told_of_and_harms_nothing() -> None:
    ground = Ground(AwayStore(), 0.0)  # type: ignore[arg-type]
    await ground.note(record())
    await ground.upkeep.tend()
    told = [fields["during"] for _, event, fields in ground.log.lines if event == "store_fault"]
    assert told == ["noting", "closing notes", "purge"]
