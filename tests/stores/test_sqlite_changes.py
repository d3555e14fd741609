"""Changes to a SQLite file are made in groups, and none disturbs another of its group."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handlers.io.sqlite_changes import CHECKPOINT_GROUPS, Changes, Undone


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


@dataclass
class Ground:
    changes: Changes
    other: sqlite3.Connection
    statements: list[str] = field(default_factory=list)

    def rows(self) -> list[int]:
        return [row[0] for row in self.other.execute("SELECT n FROM numbers ORDER BY n")]


@contextmanager
def opened(folder: Path) -> Iterator[Ground]:
    path = folder / "made.db"
    near, far, other = connect(path, 0.0), connect(path, 2.0), connect(path, 0.0)
    other.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    with ThreadPoolExecutor(1) as thread:
        ground = Ground(Changes(near, far, thread, 2.0), other)
        near.set_trace_callback(ground.statements.append)
        yield ground
    for connection in (near, far, other):
        connection.close()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with opened(tmp_path) as made:
        yield made


def insert(number: int) -> object:
    def change(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        return number

    return change


async def test_what_is_asked_for_in_one_turn_is_one_transaction(ground: Ground) -> None:
    made = await asyncio.gather(*(ground.changes.make(insert(number)) for number in range(20)))
    assert made == list(range(20)) == ground.rows()
    assert [each for each in ground.statements if each.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]


async def test_an_undone_change_and_a_wrong_one_leave_the_others_of_their_group(ground: Ground) -> None:
    def undone(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (50)")
        raise Undone("no room")

    wrong = insert("not a number")  # type: ignore[arg-type]
    asked = (insert(1), undone, wrong, insert(2))
    made = await asyncio.gather(*(ground.changes.make(each) for each in asked), return_exceptions=True)
    assert made[0] == 1 and made[1] == "no room" and made[3] == 2
    assert isinstance(made[2], sqlite3.IntegrityError)
    assert ground.rows() == [1, 2]


async def test_a_file_that_another_process_writes_is_waited_for_beside_the_loop(ground: Ground) -> None:
    ground.other.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(ground.changes.make(insert(1)))
    turns = 0
    while turns < 50:  # the loop goes on meanwhile
        await asyncio.sleep(0)
        turns += 1
    assert not first.done()
    ground.other.execute("COMMIT")
    assert await first == 1 and ground.rows() == [1]


async def test_whoever_has_gone_is_not_told(ground: Ground) -> None:
    gone = asyncio.create_task(ground.changes.make(insert(1)))
    stays = asyncio.create_task(ground.changes.make(insert(2)))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 2
    assert ground.rows() == [1, 2]


async def test_a_broken_file_is_everybodys_error(ground: Ground) -> None:
    ground.changes._near.close()
    made = await asyncio.gather(*(ground.changes.make(insert(n)) for n in range(2)), return_exceptions=True)
    assert all(isinstance(each, sqlite3.ProgrammingError) for each in made)


async def test_a_full_file_is_an_error_that_waits_for_nobody(ground: Ground) -> None:
    (pages,) = ground.other.execute("PRAGMA page_count").fetchone()
    ground.changes._near.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        await ground.changes.make(
            lambda connection: connection.executemany("INSERT INTO numbers VALUES (?)", ((n,) for n in range(10_000)))
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
