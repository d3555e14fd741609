"""core.ports.Store in a SQLite file, safe for several processes of one machine.

WAL mode lets readers and one writer work at once; every change is part of one immediate transaction, so a counter is
raised and read without anybody in between. Reading, and whatever may take long, is done by a thread of its own.
https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import Any

from core.ports import Hold, Settlement, Shortage, StoredDocument, StoreFault, Taken
from handlers.io.sqlite_changes import FAILURES, Change, Changes, Turn, alone
from handlers.io.sqlite_counters import LAYOUT, Counters, encode

# A lapsed hold is remembered this long, so that a settlement that comes late still counts, once.
LAPSED_SECONDS = 86_400.0
BUSY_SECONDS = 2.0
# So often a process looks for holds whose lease is over: it has to look at all of them.
SWEEP_SECONDS = 1.0

# Each step brings a file from the version of its index to the next; `user_version` is how many were done.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE documents (folder TEXT, name TEXT, body TEXT NOT NULL, expires REAL, "
        "PRIMARY KEY (folder, name)) WITHOUT ROWID",
        "CREATE TABLE counters (counter TEXT PRIMARY KEY, total INTEGER NOT NULL, until REAL) WITHOUT ROWID",
        "CREATE TABLE holds (counter TEXT, id TEXT, amount INTEGER NOT NULL, lease REAL NOT NULL, "
        "PRIMARY KEY (counter, id)) WITHOUT ROWID",
    ),
    (
        "CREATE INDEX documents_by_expiry ON documents (expires) WHERE expires IS NOT NULL",
        "CREATE INDEX counters_by_end ON counters (until) WHERE until IS NOT NULL",
    ),
    ("CREATE INDEX holds_by_lease ON holds (lease) WHERE amount > 0",),
    LAYOUT,
)


class SqliteStore:
    """The store in the file at `path`, which is made at first use. A call waits at most `busy_seconds` for its turn in
    this process, and as long for other processes."""

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._thread = ThreadPoolExecutor(1, "skybridge-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._near: sqlite3.Connection | None = None
        self._changes: Changes | None = None
        self._swept_at = -inf
        self._closed = False

    async def prepare(self) -> None:
        await self._run(lambda connection: None)

    async def read(self, folder: str, name: str) -> StoredDocument | None:
        def work(connection: sqlite3.Connection) -> StoredDocument | None:
            query = "SELECT body FROM documents WHERE folder = ? AND name = ?"
            row = connection.execute(query, (folder, name)).fetchone()
            return None if row is None else _document(row[0])

        return await self._run(work)

    async def write(
        self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None = None
    ) -> None:
        rows = [(folder, name, encode(document), expires) for name, document in documents.items()]
        query = "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)"
        await self._change(lambda connection, _: connection.executemany(query, rows))

    async def replace(
        self, folder: str, name: str, change: tuple[StoredDocument | None, StoredDocument], expires: float | None = None
    ) -> bool:
        before, after = change

        def work(connection: sqlite3.Connection, _: Counters) -> bool:
            query = "SELECT body FROM documents WHERE folder = ? AND name = ?"
            row = connection.execute(query, (folder, name)).fetchone()
            standing = None if row is None else _document(row[0])
            if standing not in (before, after):
                return False
            query = "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)"
            connection.execute(query, (folder, name, encode(after), expires))
            return True

        replaced: bool = await self._change(work)
        return replaced

    async def read_all(self, folder: str) -> Mapping[str, StoredDocument]:
        def work(connection: sqlite3.Connection) -> Mapping[str, StoredDocument]:
            rows = connection.execute("SELECT name, body FROM documents WHERE folder = ? ORDER BY name", (folder,))
            return {name: _document(body) for name, body in rows}

        return await self._run(work)

    async def read_page(self, folder: str, after: str = "", most: int = 500) -> Mapping[str, StoredDocument]:
        def work(connection: sqlite3.Connection) -> Mapping[str, StoredDocument]:
            query = "SELECT name, body FROM documents WHERE folder = ? AND name > ? ORDER BY name LIMIT ?"
            return {name: _document(body) for name, body in connection.execute(query, (folder, after, most))}

        return await self._run(work)

    async def delete(self, folder: str, name: str) -> None:
        query = "DELETE FROM documents WHERE folder = ? AND name = ?"
        await self._change(lambda connection, _: connection.execute(query, (folder, name)))

    async def purge(self, now: float) -> int:
        def work(connection: sqlite3.Connection, counters: Counters) -> int:
            counters.give_back_lapsed(now)
            dropped = connection.execute("DELETE FROM documents WHERE expires < ?", (now,)).rowcount
            ended = now - LAPSED_SECONDS
            connection.execute("DELETE FROM counters WHERE until < ?", (ended,))
            connection.execute("DELETE FROM reservations WHERE lease < ?", (ended,))
            return dropped

        return await self._run(lambda connection: alone(connection, work))

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        sweeps = not 0.0 <= now - self._swept_at < SWEEP_SECONDS

        def work(_: sqlite3.Connection, counters: Counters) -> Taken | Shortage:
            if sweeps:
                counters.give_back_lapsed(now)
            return counters.reserve(hold)

        taken: Taken | Shortage = await self._change(work)
        if sweeps:
            self._swept_at = now
        return taken

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        await self._change(lambda _, counters: counters.settle(settlements))

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        return await self._run(lambda connection: Counters(connection).totals(counters, now))

    async def close(self) -> None:
        if self._connection is not None:
            await self._run(lambda connection: connection.close())
        if self._near is not None:
            self._near.close()
        self._connection = self._near = self._changes = None
        self._closed = True
        self._thread.shutdown(wait=False)

    async def _change(self, change: Change) -> Any:
        """Makes a change together with others of its moment. Raises StoreFault."""
        if self._changes is None:
            await self.prepare()
        assert self._changes is not None
        try:
            return await self._changes.make(change)
        except FAILURES as error:
            raise self._fault(error) from error

    async def _run[Result](self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._closed:
            raise StoreFault(f"the SQLite store {self._path} is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._do, work, Turn(loop))

    def _do[Result](self, work: Callable[[sqlite3.Connection], Result], turn: Turn) -> Result:
        try:
            turn.check(self._busy_seconds)
            # Each may fail, and is then opened by the next call.
            if self._connection is None:
                self._connection = _open(self._path, self._busy_seconds)
            if self._changes is None:
                self._near = _open(self._path, 0.0)
                self._changes = Changes(self._near, self._connection, self._thread, self._busy_seconds)
            return work(self._connection)
        except (*FAILURES, OSError) as error:
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> StoreFault:
        return StoreFault(f"the SQLite store {self._path}: {error}")


def _open(path: Path, busy_seconds: float) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # One is opened by the thread and used by the loop: each has one user at a time.
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode a process that dies loses nothing with this setting; a power cut may lose the last commits.
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == len(MIGRATIONS):
        return

    def work(connection: sqlite3.Connection, _: Counters) -> None:
        version = _version(connection)  # again: another process may have been quicker
        if version > len(MIGRATIONS):
            raise StoreFault(f"the SQLite store {path} has schema {version}; this version reads {len(MIGRATIONS)}")
        for step in MIGRATIONS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    alone(connection, work)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _document(body: str) -> StoredDocument:
    document: StoredDocument = json.loads(body)
    return document
