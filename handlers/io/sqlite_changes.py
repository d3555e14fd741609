"""Changes to a SQLite file, in groups: all that one turn of the event loop asks for is one transaction.

A change is made on the loop itself. In WAL mode it is appended to a file without waiting for the disk, which takes less
time than handing it to a thread and back. What does have to wait, for another process that is writing or for the disk,
is left to a thread. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from handlers.io.sqlite_counters import Counters

# May be made more than once: what has to be undone is made again.
type Change = Callable[[sqlite3.Connection, Counters], Any]
type Asked = tuple[Change, asyncio.Future[Any]]

# What SQLite raises, and Python for a number that SQLite has no room for, for a text that UTF-8 has no bytes for, and
# for what somebody else wrote into the file: nobody waits for ever.
FAILURES = (sqlite3.Error, OverflowError, ValueError, TypeError, AttributeError, LookupError)

# How often the thread moves what was appended into the file, in groups. Nobody writes meanwhile, so that it gets all
# and the log begins at its start again: a page that is written in the place of another one takes a tenth of the time of
# one that makes a file longer. It takes some milliseconds; a disk that needs longer is not waited for.
CHECKPOINT_GROUPS = 500
REST_SECONDS = 0.05
# The pages at which a writer does it itself, lest the log grow without end beside other processes.
CHECKPOINT_PAGES = 10_000


class Changes:
    """Gathers changes. `near` is the loop's own connection, which never waits; `far` the thread's. What has waited for
    the thread for `busy_seconds` fails."""

    def __init__(
        self, near: sqlite3.Connection, far: sqlite3.Connection, thread: ThreadPoolExecutor, busy_seconds: float
    ) -> None:
        self._near = near
        self._far = far
        self._thread = thread
        self._busy_seconds = busy_seconds
        self._asked: list[Asked] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._groups = 0
        self._resting: asyncio.TimerHandle | None = None
        near.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    def make(self, change: Change) -> asyncio.Future[Any]:
        """Gives what the change returned, once it is committed. Raises sqlite3.Error."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # nobody is left who waits for what an earlier loop did not come to
            self._loop, self._asked, self._resting = loop, [], None
        future: asyncio.Future[Any] = loop.create_future()
        self._asked.append((change, future))
        if len(self._asked) == 1 and self._resting is None:
            loop.call_soon(self._commit, loop)
        return future

    def _commit(self, loop: asyncio.AbstractEventLoop) -> None:
        asked, self._asked = self._asked, []
        changes = [change for change, _ in asked]
        try:
            outcomes = _transaction(self._near, changes)
        except FAILURES as failure:
            self._tell_all_but_busy(loop, asked, _one_by_one(self._near, changes, failure))
            return
        _tell(asked, outcomes)
        self._groups += 1
        if self._groups % CHECKPOINT_GROUPS == 0 and self._resting is None:
            self._resting = loop.call_later(REST_SECONDS, self._go_on, loop)
            moved = loop.run_in_executor(self._thread, _checkpoint, self._far)
            moved.add_done_callback(lambda done: self._go_on(loop, done.exception()))

    def _go_on(self, loop: asyncio.AbstractEventLoop, _failure: BaseException | None = None) -> None:
        """The log is short again, or takes too long to become so, or cannot: what is wrong with the file, the next
        change will meet."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
            if self._asked:
                self._commit(loop)

    def _tell_all_but_busy(
        self, loop: asyncio.AbstractEventLoop, asked: Sequence[Asked], outcomes: Sequence[Any]
    ) -> None:
        """Those that met another process's writing are left to the thread, which waits for it."""
        busy: list[Asked] = []
        for each, outcome in zip(asked, outcomes, strict=True):
            if _is_busy(outcome):
                busy.append(each)
            else:
                _tell([each], [outcome])
        if busy:
            waiting = loop.run_in_executor(self._thread, self._transact_in_time, busy, Turn(loop))
            waiting.add_done_callback(lambda done: _tell(busy, done.exception() or done.result()))

    def _transact_in_time(self, busy: Sequence[Asked], turn: Turn) -> list[Any]:
        turn.check(self._busy_seconds)
        # Whoever has left may have undone by now what would only be done here.
        return transact(self._far, [_nothing if future.cancelled() else change for change, future in busy])


class Turn:
    """When something was left to the thread, which does one thing after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked = loop.time()

    def check(self, busy_seconds: float) -> None:
        """Raises sqlite3.OperationalError where that is too long ago: those before have waited in vain."""
        if self._loop.time() - self._asked > busy_seconds:
            raise sqlite3.OperationalError("too many calls wait for it")


def _nothing(_connection: sqlite3.Connection, _counters: Counters) -> None:
    """No change."""


def transact(connection: sqlite3.Connection, changes: Sequence[Change]) -> list[Any]:
    """What each change returned or raised. All are one transaction; where one fails, each has its own."""
    try:
        return _transaction(connection, changes)
    except FAILURES as failure:
        return _one_by_one(connection, changes, failure)


def _one_by_one(connection: sqlite3.Connection, changes: Sequence[Change], failure: Exception) -> list[Any]:
    """The same, where all of them in one transaction met `failure`."""
    if len(changes) == 1 or _is_busy(failure):
        return [failure] * len(changes)
    return [_outcome(connection, change) for change in changes]


def _is_busy(outcome: object) -> bool:
    """Whether another process was writing, so that nothing was changed."""
    code: int = getattr(outcome, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF == sqlite3.SQLITE_BUSY  # whatever the higher bits say of the reason


def alone[Result](connection: sqlite3.Connection, change: Callable[[sqlite3.Connection, Counters], Result]) -> Result:
    """What one change returned, after a transaction of its own. Raises what it raised."""
    (outcome,) = _transaction(connection, [change])
    return cast("Result", outcome)


def _transaction(connection: sqlite3.Connection, changes: Sequence[Change]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        counters = Counters(connection)
        outcomes = [change(connection, counters) for change in changes]
        counters.write()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return outcomes


def _outcome(connection: sqlite3.Connection, change: Change) -> Any:
    try:
        return alone(connection, change)
    except FAILURES as error:
        return error


def _tell(asked: Sequence[Asked], outcomes: Sequence[Any] | BaseException) -> None:
    """Gives each who asked their outcome, or all the same error."""
    if isinstance(outcomes, BaseException):
        outcomes = [outcomes] * len(asked)
    for (_, future), outcome in zip(asked, outcomes, strict=True):
        if future.done():  # whoever asked has gone
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _checkpoint(far: sqlite3.Connection) -> None:
    # It moves what it can without waiting for anybody; the next one moves the rest.
    far.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
