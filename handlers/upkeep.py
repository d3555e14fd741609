"""What keeps a store in order: a request whose process died leaves a record, and what has expired is dropped.

A request that holds something and takes longer than `note_seconds` is noted in the store beside it; nobody waits. The
note goes when the request's record is written. One that is still there when its lease is over belongs to a process that
died: it becomes the request's record, `abandoned`. Processes that live look for such notes every ten minutes, and purge
once a day; of those that have just started one in 50 does both, because in the cloud few live so long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

from core import bill
from core.ports import Clock, Hold, Log, Random, Store, StoreFault
from core.usage import UsageRecord

DAY = 86_400.0
TEND_SECONDS = 600.0
PURGE_SECONDS = DAY
# The chance of a process that has just started to be the one that tends.
START_CHANCE = 0.02
# A request that takes longer is noted in the store while it is under way.
NOTE_SECONDS = 2.0
# Notes are looked for in the folders of so many days, and kept for as many.
NOTE_DAYS = 3

DIED = "the process ended before the request did: nobody knows what it used"


class Upkeep:
    """Looks after `store`."""

    def __init__(
        self, store: Store, clock: Clock, random: Random, log: Log, note_seconds: float = NOTE_SECONDS
    ) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        now = clock.time()
        chosen = random.uniform() < START_CHANCE
        self._tend_at = now + (0.0 if chosen else TEND_SECONDS)
        self._purge_at = now + (0.0 if chosen else PURGE_SECONDS)
        self._note_seconds = note_seconds
        # Requests that nothing is noted of yet, in the order in which that is due, which a single timer looks at.
        self._begun: dict[str, tuple[float, UsageRecord, Hold]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._notes: dict[str, asyncio.Task[None]] = {}

    def begin(self, record: UsageRecord, hold: Hold) -> None:
        """Notes the request of `record` when it is still under way after `note_seconds`."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._note_seconds
        self._begun[record.request_id] = due, record, hold
        if self._timer is None or self._loop is not loop:  # a loop that has ended rings no more
            self._loop = loop
            self._timer = loop.call_at(due, self._note_those_due, loop)

    def _note_those_due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._begun:
            request_id, (due, record, hold) = next(iter(self._begun.items()))
            if due > loop.time():
                self._timer = loop.call_at(due, self._note_those_due, loop)
                return
            del self._begun[request_id]
            self._notes[request_id] = loop.create_task(self._write_note(record, hold))

    async def _write_note(self, record: UsageRecord, hold: Hold) -> None:
        document = {**bill.usage_document(record, 0), "outcome": "abandoned", "errors": [DIED], "lease": hold.lease}
        expires = hold.lease + NOTE_DAYS * DAY
        await self._quietly("noting", self._store.write(_folder(hold.lease), {record.request_id: document}, expires))

    def end(self, record: UsageRecord) -> None:
        """The request is over: no note is made of it any more."""
        self._begun.pop(record.request_id, None)

    async def forget(self, records: Iterable[UsageRecord]) -> None:
        """Takes the notes of requests away whose records are written. Raises StoreFault."""
        for record in records:
            note = self._notes.get(record.request_id)
            if note is not None and record.hold is not None:
                await asyncio.wait((note,))  # which goes on where this is given up
                await self._store.delete(_folder(record.hold.lease), record.request_id)
                del self._notes[record.request_id]

    async def tend(self) -> None:
        """What is to be done now and then, once at a time. Raises nothing."""
        now = self._clock.time()
        if now >= self._tend_at:
            self._tend_at = now + TEND_SECONDS
            await self._quietly("closing notes", self._close_notes(now))
        if now >= self._purge_at:
            self._purge_at = now + PURGE_SECONDS
            await self._quietly("purge", self._purge(now))

    async def _close_notes(self, now: float) -> None:
        """Makes records of the notes whose leases are over. A request that has its record already keeps it."""
        for back in range(NOTE_DAYS):
            folder = _folder(now - back * DAY)
            for name, note in (await self._store.read_all(folder)).items():
                if not _is_note(note) or note["lease"] >= now:
                    continue
                document = {member: value for member, value in note.items() if member != "lease"}
                place = bill.folder_of(bill.day_of(note["started"]))
                await self._store.replace(place, name, (None, document), now + bill.RETENTION_DAYS * DAY)
                await self._store.delete(folder, name)
                self._log.event("warning", "request_died", request_id=name, key=note.get("key"))

    async def _purge(self, now: float) -> None:
        """What one purge left the next one drops, soon: there may be many the first time."""
        if await self._store.purge(now):
            self._purge_at = now + TEND_SECONDS

    async def _quietly(self, during: str, work: Awaitable[object]) -> None:
        try:
            await work
        except StoreFault as fault:
            self._log.event("warning", "store_fault", during=during, error=str(fault), metric="store_faults")


def _is_note(note: Any) -> bool:
    """What somebody else wrote into the store may be none: it stays until it expires."""
    return isinstance(note, dict) and all(isinstance(note.get(name), (int, float)) for name in ("lease", "started"))


def _folder(lease: float) -> str:
    return f"notes:{bill.day_of(lease)}"
