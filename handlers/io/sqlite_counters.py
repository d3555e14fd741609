"""Counters and holds in a SQLite file, as one transaction sees them.

A transaction serves all that one turn of the event loop asks for. What a counter stands at is read when it is first
asked for and written once at the end: a request's five counters cost a group of requests what they cost one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import batched, chain
from typing import Final

from core.json_edit import compact_encoder, refuse
from core.ports import Hold, Settlement, Shortage, Taken

# SQLite takes no lone surrogates, which JSON in ASCII has escapes for.
encode = compact_encoder(refuse, in_ascii=True)

# A hold that lapsed stays, given back already, so that a settlement that comes late still counts, once.
LAYOUT: Final = (
    "CREATE TABLE reservations (id TEXT PRIMARY KEY, lease REAL NOT NULL, amounts TEXT NOT NULL, "
    "lapsed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
    "INSERT INTO reservations SELECT id, MAX(lease), json_group_object(counter, amount), SUM(amount) = 0 "
    "FROM holds GROUP BY id",
    "DROP TABLE holds",
)


# So many counters are read or written by one statement: a request has a handful, and each number its own statement.
AT_ONCE: Final = 16


class Counters:
    """The counters of one transaction on `connection`, inside which it is used up to `write`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._totals: dict[str, int] = {}
        self._ends: dict[str, float | None] = {}  # of those that have changed

    def reserve(self, hold: Hold) -> Taken | Shortage:
        """See core.ports.Store."""
        amounts = {charge.counter: charge.amount for charge in hold.charges}
        totals = self._read(amounts)
        query = "INSERT OR IGNORE INTO reservations (id, lease, amounts) VALUES (?, ?, ?)"
        if self._connection.execute(query, (hold.id, hold.lease, encode(amounts))).rowcount == 0:
            # An earlier try of the same request got through.
            return Taken({counter: totals[counter] for counter in amounts})
        used = {counter: totals[counter] + amount for counter, amount in amounts.items()}
        for charge in hold.charges:
            if charge.limit is not None and used[charge.counter] > charge.limit:
                self._connection.execute("DELETE FROM reservations WHERE id = ?", (hold.id,))
                return Shortage(charge, totals[charge.counter])
        totals.update(used)
        for charge in hold.charges:
            self._ends[charge.counter] = charge.until
        return Taken(used)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """See core.ports.Store."""
        query = "DELETE FROM reservations WHERE id = ? RETURNING lapsed"
        for hold, actual in settlements:
            row = self._connection.execute(query, (hold.id,)).fetchone()
            if row is None:
                continue  # it is settled already
            self._read([charge.counter for charge in hold.charges])
            for charge in hold.charges:
                self._totals[charge.counter] += actual.get(charge.counter, 0) - (0 if row[0] else charge.amount)
                self._ends[charge.counter] = charge.until

    def give_back_lapsed(self, now: float) -> None:
        """What dead processes had reserved goes back to its counters."""
        for name, amounts in self._lapsed(now):
            self.write()
            self._totals.clear()
            self._connection.execute("UPDATE reservations SET lapsed = 1 WHERE id = ?", (name,))
            query = "UPDATE counters SET total = total - ? WHERE counter = ?"
            self._connection.executemany(query, [(amount, counter) for counter, amount in amounts.items()])

    def totals(self, counters: Iterable[str], now: float) -> Mapping[str, int]:
        """See core.ports.Store."""
        names = list(counters)
        found = dict(self._read(names))
        for _, amounts in self._lapsed(now):
            for counter, amount in amounts.items():
                if counter in found:
                    found[counter] -= amount
        return {name: found[name] for name in names}

    def write(self) -> None:
        """Puts what has changed into the file. Raises OverflowError for what SQLite cannot count."""
        totals = self._totals
        rows = [(counter, totals[counter], until) for counter, until in self._ends.items()]
        for group in batched(rows, AT_ONCE, strict=False):
            self._connection.execute(_writing(len(group)), list(chain.from_iterable(group)))
        self._ends.clear()

    def _read(self, names: Iterable[str]) -> dict[str, int]:
        """What counters stand at, these among them."""
        totals = self._totals
        for unread in batched([name for name in names if name not in totals], AT_ONCE, strict=False):
            (found,) = self._connection.execute(_reading(len(unread)), unread)
            for name, total in zip(unread, found, strict=True):
                totals[name] = total or 0
        return totals

    def _lapsed(self, now: float) -> list[tuple[str, dict[str, int]]]:
        query = "SELECT id, amounts FROM reservations WHERE lapsed = 0 AND lease < ?"
        return [(name, json.loads(amounts)) for name, amounts in self._connection.execute(query, (now,))]


@lru_cache(maxsize=AT_ONCE)
def _reading(count: int) -> str:
    """The query for so many counters, a column each: half of what `counter IN (...)` takes, for which SQLite makes a
    table of the names."""
    return f"SELECT {', '.join(['(SELECT total FROM counters WHERE counter = ?)'] * count)}"  # noqa: S608  # marks alone


@lru_cache(maxsize=AT_ONCE)
def _writing(count: int) -> str:
    return (
        f"INSERT INTO counters VALUES {', '.join(['(?, ?, ?)'] * count)} "  # noqa: S608  # marks alone
        "ON CONFLICT (counter) DO UPDATE SET total = excluded.total"
    )
