"""Changes to a SQLite file are made in groups, and none disturbs another of its group."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.ports import Charge, Hold, Shortage, StoreFault, Taken
from handlers.io.sqlite_changes import CHECKPOINT_GROUPS, Changes
from handlers.io.sqlite_counters import Counters
from handlers.io.sqlite_store import LAPSED_SECONDS, MIGRATIONS, SqliteStore


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@dataclass
class Ground:
    changes: Changes
    other: sqlite3.Connection
    thread: ThreadPoolExecutor
    statements: list[str] = field(default_factory=list)

    def rows(self) -> list[int]:
        return [row[0] for row in self.other.execute("SELECT n FROM numbers ORDER BY n")]


@contextmanager
def opened(folder: Path) -> Iterator[Ground]:
    path = folder / "made.db"
    near, far, other = connect(path, 0.0), connect(path, 2.0), connect(path, 0.0)
    other.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    with ThreadPoolExecutor(1) as thread:
        ground = Ground(Changes(near, far, thread, 2.0), other, thread)
        near.set_trace_callback(ground.statements.append)
        yield ground
    for connection in (near, far, other):
        connection.close()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with opened(tmp_path) as made:
        yield made


def insert(number: int) -> object:
    def change(connection: sqlite3.Connection, _: Counters) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        return number

    return change


async def test_what_is_asked_for_in_one_turn_is_one_transaction(ground: Ground) -> None:
    made = await asyncio.gather(*(ground.changes.make(insert(number)) for number in range(20)))
    assert made == list(range(20)) == ground.rows()
    assert [each for each in ground.statements if each.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]


async def test_a_wrong_change_leaves_the_others_of_its_group(ground: Ground) -> None:
    wrong, too_large = insert("not a number"), insert(2**64)  # type: ignore[arg-type]
    asked = (insert(1), wrong, too_large, insert(2))
    made = await asyncio.gather(*(ground.changes.make(each) for each in asked), return_exceptions=True)
    assert made[0] == 1 and made[3] == 2
    assert isinstance(made[1], sqlite3.IntegrityError) and isinstance(made[2], OverflowError)
    assert ground.rows() == [1, 2]


async def test_a_file_that_another_process_writes_is_waited_for_beside_the_loop(ground: Ground) -> None:
    ground.other.execute("BEGIN IMMEDIATE")
    first = asyncio.ensure_future(ground.changes.make(insert(1)))
    turns = 0
    while turns < 50:  # the loop goes on meanwhile
        await asyncio.sleep(0)
        turns += 1
    assert not first.done()
    ground.other.execute("COMMIT")
    assert await first == 1 and ground.rows() == [1]


async def test_a_change_that_meets_another_process_after_a_wrong_one_is_waited_for(ground: Ground) -> None:
    """A group that failed is made again one by one, and meanwhile another process may begin to write."""
    begun: list[str] = []

    def follow(statement: str) -> None:
        if statement.startswith("BEGIN"):
            begun.append(statement)
            if len(begun) == 4:  # behind the group and the two before
                ground.other.execute("BEGIN IMMEDIATE")

    ground.changes._near.set_trace_callback(follow)
    changes = (insert(1), insert("not a number"), insert(2))  # type: ignore[arg-type]
    first, wrong, last = (asyncio.ensure_future(ground.changes.make(each)) for each in changes)
    with pytest.raises(sqlite3.IntegrityError):
        await wrong
    assert await first == 1 and not last.done()
    ground.other.execute("COMMIT")
    assert await last == 2 and ground.rows() == [1, 2]


async def test_whoever_has_gone_is_not_told(ground: Ground) -> None:
    gone = asyncio.ensure_future(ground.changes.make(insert(1)))
    stays = asyncio.ensure_future(ground.changes.make(insert(2)))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 2
    assert ground.rows() == [1, 2]


async def test_what_waits_for_another_process_is_not_done_for_whoever_has_gone(ground: Ground) -> None:
    """What undoes it may have been quicker."""
    free = threading.Event()
    ground.thread.submit(free.wait)
    ground.other.execute("BEGIN IMMEDIATE")
    gone, stays = ground.changes.make(insert(1)), ground.changes.make(insert(2))
    while ground.changes._asked:
        await asyncio.sleep(0)
    gone.cancel()
    ground.other.execute("COMMIT")
    free.set()
    assert await stays == 2 and ground.rows() == [2]


async def test_a_broken_file_is_everybodys_error(ground: Ground) -> None:
    ground.changes._near.close()
    made = await asyncio.gather(*(ground.changes.make(insert(n)) for n in range(2)), return_exceptions=True)
    assert all(isinstance(each, sqlite3.ProgrammingError) for each in made)


async def test_a_full_file_is_an_error_that_waits_for_nobody(ground: Ground) -> None:
    (pages,) = ground.other.execute("PRAGMA page_count").fetchone()
    ground.changes._near.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        await ground.changes.make(
            lambda connection, _: connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(9_999)])
        )
    assert ground.rows() == []


async def test_what_was_appended_is_moved_into_the_file(tmp_path: Path) -> None:
    with opened(tmp_path) as ground:
        for number in range(CHECKPOINT_GROUPS):
            await ground.changes.make(insert(number))
    # The thread has ended, so its last job is done: a reader of the file alone finds the rows.
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "made.db").read_bytes())
    alone = sqlite3.connect(copy)
    assert alone.execute("SELECT COUNT(*) FROM numbers").fetchone() == (CHECKPOINT_GROUPS,)
    alone.close()


async def test_the_log_begins_at_its_start_again(ground: Ground, tmp_path: Path) -> None:
    log = tmp_path / "made.db-wal"
    for number in range(CHECKPOINT_GROUPS):
        await ground.changes.make(insert(number))
    once = log.stat().st_size
    for number in range(CHECKPOINT_GROUPS, 4 * CHECKPOINT_GROUPS):
        await ground.changes.make(insert(number))
    assert log.stat().st_size < 1.1 * once
    assert ground.rows() == list(range(4 * CHECKPOINT_GROUPS))


async def test_a_disk_that_takes_long_is_not_waited_for(ground: Ground) -> None:
    away = threading.Event()
    ground.thread.submit(away.wait)
    try:
        made = [await ground.changes.make(insert(number)) for number in range(CHECKPOINT_GROUPS + 3)]
        assert made == list(range(CHECKPOINT_GROUPS + 3)), "the thread has not begun to move anything"
    finally:
        away.set()


def test_a_loop_that_ended_while_the_log_rested_holds_up_no_other(tmp_path: Path) -> None:
    with opened(tmp_path) as ground:

        async def fill() -> None:
            for number in range(CHECKPOINT_GROUPS):
                await ground.changes.make(insert(number))
            ground.changes.make(insert(-1))

        async def go_on() -> object:
            return await asyncio.wait_for(ground.changes.make(insert(CHECKPOINT_GROUPS)), 10.0)

        asyncio.run(fill())
        assert asyncio.run(go_on()) == CHECKPOINT_GROUPS
        assert ground.rows() == list(range(CHECKPOINT_GROUPS + 1))


async def test_counters_of_one_turn_are_read_and_written_once(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "made.db")
    await store.prepare()
    assert store._near is not None
    statements: list[str] = []
    store._near.set_trace_callback(statements.append)
    holds = [Hold(f"r{number}", (Charge("a", 3, 10), Charge("b", 1)), 1e9) for number in range(5)]
    made = await asyncio.gather(*(store.reserve(hold, 0.0) for hold in holds))
    assert [isinstance(each, Shortage) for each in made] == [False] * 3 + [True] * 2
    assert made[3] == Shortage(holds[3].charges[0], 9)
    assert sum(each.startswith("SELECT (SELECT total") for each in statements) == 1
    assert sum(each.startswith("INSERT INTO counters") for each in statements) == 1
    assert await store.totals(("b", "a", "none"), 0.0) == {"b": 3, "a": 9, "none": 0}
    await store.close()


async def test_a_sum_that_sqlite_cannot_hold_is_a_fault_of_its_own_request(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "made.db")
    await store.reserve(Hold("r1", (Charge("a", 2**62),), 1e9), 0.0)
    much, little = Hold("r2", (Charge("a", 2**62),), 1e9), Hold("r3", (Charge("b", 1),), 1e9)
    made = await asyncio.gather(store.reserve(much, 0.0), store.reserve(little, 0.0), return_exceptions=True)
    assert isinstance(made[0], StoreFault) and isinstance(made[1], Taken)
    assert await store.totals(("a", "b"), 0.0) == {"a": 2**62, "b": 1}
    await store.close()


async def test_a_text_that_utf8_has_no_bytes_for_is_a_fault_of_its_own_request(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "made.db")
    odd = "\ud800"
    asked = (store.write("chat", {odd: {}}), store.write("chat", {"a": {"text": odd}}), store.read("chat", odd))
    made = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(made[0], StoreFault) and made[1] is None and isinstance(made[2], StoreFault)
    assert await store.read("chat", "a") == {"text": odd}
    await store.close()


@pytest.mark.parametrize("amounts", ["[]", "{", '{"a": null}'])
async def test_a_hold_that_somebody_else_wrote_is_a_fault_and_no_hang(tmp_path: Path, amounts: str) -> None:
    store = SqliteStore(tmp_path / "made.db")
    await store.prepare()
    other = connect(tmp_path / "made.db", 1.0)
    other.execute("INSERT INTO reservations (id, lease, amounts) VALUES ('odd', 1, ?)", (amounts,))
    other.execute("INSERT INTO counters VALUES ('a', 1, NULL)")
    other.close()
    hold = Hold("r1", (Charge("a", 1),), 1e9)
    with pytest.raises(StoreFault):
        await asyncio.wait_for(store.reserve(hold, 5.0), 30)
    with pytest.raises(StoreFault):
        await store.totals(("a",), 5.0)
    await store.close()


async def test_what_lapsed_is_given_back_before_it_is_purged(tmp_path: Path) -> None:
    """A budget without an end is reserved from by a process that dies, and by nobody else for a long time."""
    store = SqliteStore(tmp_path / "made.db")
    await store.reserve(Hold("r1", (Charge("usd_total", 40),), 100.0), 0.0)
    await store.purge(100.0 + 2 * LAPSED_SECONDS)
    assert await store.totals(("usd_total",), 100.0 + 2 * LAPSED_SECONDS) == {"usd_total": 0}
    await store.close()


async def test_what_an_older_version_held_is_settled_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "made.db"
    older = connect(path, 0.0)
    for step in MIGRATIONS[:3]:
        for statement in step:
            older.execute(statement)
    older.execute("INSERT INTO counters VALUES ('a', 30, NULL), ('b', 3, NULL)")
    older.execute("INSERT INTO holds VALUES ('a', 'alive', 20, 100), ('b', 'alive', 2, 100), ('a', 'dead', 10, 50)")
    older.execute("INSERT INTO holds VALUES ('a', 'lapsed', 0, 40), ('b', 'dead', 1, 50)")
    older.execute("PRAGMA user_version = 3")
    older.close()
    store = SqliteStore(path)
    assert await store.totals(("a", "b"), 60.0) == {"a": 20, "b": 2}
    for name in ("alive", "lapsed"):
        await store.settle([(Hold(name, (Charge("a", 20), Charge("b", 2)), 100.0), {"a": 5, "b": 1})])
    await store.reserve(Hold("new", (Charge("a", 1),), 200.0), 60.0)
    assert await store.totals(("a", "b"), 60.0) == {"a": 5 + 5 + 1, "b": 1 + 1}
    await store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "made.db")
    await store.prepare()
    await store.close()
    for call in (store.read("keys", "a"), store.write("keys", {"a": {}})):
        with pytest.raises(StoreFault, match=r"made\.db is closed"):
            await call
