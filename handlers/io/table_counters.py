"""Counters in an Azure table: read, changed, and written back under their ETags.

A counter's own entity has PartitionKey "c-<counter>" and RowKey "-", its sum in `total`; its shards
(handlers.io.shards) lie in the same partition under "s<number>", with their `room`. Holds are JSON in `holds0`, ... of
the entity that they were taken from. All changes of one entity that wait in this process are one write; a conflict
(412, 409) with another process is tried again. A process that is alone with a counter goes on from what it wrote last
and need not read it. Room is moved by an entity group transaction, after a query of the partition, which sees it as it
was at one moment.
https://learn.microsoft.com/rest/api/storageservices/designing-a-scalable-partitioning-strategy-for-azure-table-storage
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from core.ports import Charge, Hold, Shortage, StoreFault, Taken
from core.slotted import field, slotted
from handlers.io.azure_table import AzureTable, Entity, EntityChange, joined, key_of, pieces
from handlers.io.shards import Found, Move, Spread, Turns, move_for, take_all

# A lapsed hold is remembered this long, so that a settlement that comes late still counts, once.
LAPSED_SECONDS = 86_400.0
_CONFLICTS = 60
_LONGEST_PAUSE = 0.1
# What was written last is remembered of so many counters.
_REMEMBERED = 1000
OWN = "-"


@slotted
class _Counter:
    """An entity as read: its sum (a shard's: its room, granted under the limit `most`), its holds (id to amount and
    lease), and the ETag to write it back under. `wide`: whether shards were ever granted something."""

    total: int = 0
    holds: dict[str, list[float]] = field(default_factory=dict)
    until: float | None = None
    tag: str | None = None
    wide: bool = False
    most: int | None = None

    def state(self) -> str:
        """What a change would change."""
        return json.dumps([self.total, self.holds, self.wide, self.most])

    def give_back(self, now: float, sign: int) -> bool:
        """Lapsed holds stand for nothing any more; after a day they are forgotten. Whether there were any."""
        before = len(self.holds), self.total
        for name, (amount, lease) in list(self.holds.items()):
            if lease < now and amount:
                self.total += sign * int(amount)
                self.holds[name] = [0, now + LAPSED_SECONDS]
            elif lease < now:
                del self.holds[name]
        return before != (len(self.holds), self.total)

    def lapsed(self, now: float) -> int:
        """What lapsed holds stand for."""
        return sum(int(amount) for amount, lease in self.holds.values() if lease < now)


# What a change of one entity comes to: what the counter stands at, a shortage, or None where the hold is elsewhere, or
# more room has to be found.
type _Outcome = int | Shortage | None
type _Change = Callable[[_Counter], _Outcome]


@slotted
class TableCounters:
    """The counters of `table`."""

    table: AzureTable
    spread: Spread
    waiting: dict[tuple[str, str], list[tuple[_Change, asyncio.Future[_Outcome]]]] = field(default_factory=dict)
    writers: set[asyncio.Task[None]] = field(default_factory=set)
    turns: Turns = field(default_factory=Turns)
    # What this process wrote last, which spares reading it; and of which counters others write too.
    written: dict[tuple[str, str], _Counter] = field(default_factory=dict)
    shared: set[tuple[str, str]] = field(default_factory=set)

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        return await take_all(hold, partial(self._take, hold, now=now), lambda charge: self._settle(hold, charge, 0))

    async def settle(self, hold: Hold, actual: Mapping[str, int]) -> None:
        await asyncio.gather(*(self._settle(hold, each, actual.get(each.counter, 0)) for each in hold.charges))

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        found = await asyncio.gather(*(self._read_all(counter) for counter in counters))
        return {
            counter: _found(entities).used - sum(each.lapsed(now) for each in entities.values())
            for counter, entities in zip(counters, found, strict=True)
        }

    async def close(self) -> None:
        if self.writers:
            await asyncio.wait(self.writers)

    async def _take(self, hold: Hold, charge: Charge, now: float) -> int | Shortage:
        place = self.spread.place(hold, charge)
        taking = _taking_shard(hold, charge) if place else _taking(hold, charge, now)
        outcome = await self._change(charge.counter, _row(place), taking)
        if outcome is None:
            return await self._take_with_moves(hold, charge, now)
        return self.spread.taken(charge) if place else outcome

    async def _take_with_moves(self, hold: Hold, charge: Charge, now: float) -> int | Shortage:
        """Takes where there is not enough room at one place. In this process one at a time does it for a counter."""
        return await self.turns.run(charge.counter, partial(self._move_and_take, hold, charge, now))

    async def _move_and_take(self, hold: Hold, charge: Charge, now: float) -> int | Shortage:
        place, pause = hold.places[charge.counter], 0.005
        for _ in range(_CONFLICTS):
            counters = await self._read_all(charge.counter)
            if hold.id in counters.get(place, _Counter()).holds:
                return _found(counters).used
            before = {number: counter.state() for number, counter in counters.items()}
            for number, counter in counters.items():
                counter.give_back(now, 1 if number else -1)
            found = _found(counters)
            move = move_for(charge, place, found)
            if isinstance(move, Shortage):
                return move
            _make(move, hold, charge, counters)
            changes = [
                EntityChange(f"c-{charge.counter}", _row(number), _entity(counter, number), counter.tag)
                for number, counter in counters.items()
                if counter.state() != before.get(number)
            ]
            for change in changes:
                self.written.pop((charge.counter, change.row), None)
            if await self.table.put_together(changes):
                self.spread.heat(charge.counter, found.used + charge.amount)
                return found.used + charge.amount
            await self.table.client.clock.sleep(pause * (0.5 + self.table.client.random.uniform()))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        raise StoreFault(f"the counter {charge.counter} is too contended")

    async def _settle(self, hold: Hold, charge: Charge, actual: int) -> None:
        """At the place where it was taken. Where the hold's notes do not say which, and it is not at the own entity of
        a counter that has shards, at the one that has it."""
        place = hold.places.get(charge.counter, 0)
        outcome = await self._change(charge.counter, _row(place), _settling(hold.id, actual, 1 if place else -1))
        if outcome is not None or charge.counter in hold.places:
            return
        for number, counter in (await self._read_all(charge.counter)).items():
            if number and hold.id in counter.holds:
                await self._change(charge.counter, _row(number), _settling(hold.id, actual, 1))

    async def _change(self, counter: str, row: str, change: _Change) -> _Outcome:
        """Puts a change in the entity's queue. Whoever finds the queue empty starts its writer."""
        outcome: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        queue = self.waiting.get((counter, row))
        if queue is not None:
            queue.append((change, outcome))
        else:
            self.waiting[counter, row] = [(change, outcome)]
            writer = asyncio.create_task(self._write(counter, row))
            self.writers.add(writer)
            writer.add_done_callback(self.writers.discard)
        return await outcome

    async def _write(self, counter: str, row: str) -> None:
        """Writes an entity until nothing waits for it."""
        key = (counter, row)
        while self.waiting[key]:
            batch, self.waiting[key] = self.waiting[key], []
            try:
                outcomes = await self._apply(counter, row, [change for change, _ in batch])
            except StoreFault as fault:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(fault)
                continue
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)
        del self.waiting[key]

    async def _apply(self, counter: str, row: str, changes: Sequence[_Change]) -> list[_Outcome]:
        """Makes the changes in one write, to what this process wrote last or to what it reads. Raises StoreFault."""
        key, pause = (counter, row), 0.005
        for _ in range(_CONFLICTS):
            known = self.written.pop(key, None)  # before anything goes wrong
            current = await self._read(counter, row) if known is None else known
            before = current.state()
            outcomes = [change(current) for change in changes]
            if current.state() == before:
                if known is None:
                    return outcomes
                continue  # whether nothing is to be changed what stands there now must tell
            entity = _entity(current, 0 if row == OWN else 1)
            current.tag = await self.table.put(EntityChange(f"c-{counter}", row, entity, current.tag))
            if current.tag is not None:
                self._remember(key, current)
                return outcomes
            self.shared.add(key)
            if known is not None:
                continue
            if row == OWN:
                self.spread.heat(counter, current.total)
            await self.table.client.clock.sleep(pause * (0.5 + self.table.client.random.uniform()))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        raise StoreFault(f"the counter {counter} is too contended")

    def _remember(self, key: tuple[str, str], counter: _Counter) -> None:
        if len(self.shared) > _REMEMBERED:
            self.shared.clear()
        if counter.tag and key not in self.shared:
            self.written[key] = counter
            if len(self.written) > _REMEMBERED:
                del self.written[next(iter(self.written))]

    async def _read(self, counter: str, row: str) -> _Counter:
        answer = await self.table.send("GET", self.table.entity_url(f"c-{counter}", row))
        if answer.status == 404:
            return _Counter()
        return _counter(self.table.json(answer, "reading a counter"), answer.headers.get("etag"))

    async def _read_all(self, counter: str) -> dict[int, _Counter]:
        """The counter's entity (0) and its shards."""
        condition = f"PartitionKey eq '{key_of(f'c-{counter}')}'"
        entities = await self.table.query(condition, metadata="fullmetadata")
        return {
            0 if entity["RowKey"] == OWN else int(entity["RowKey"][1:]): _counter(entity, entity["odata.etag"])
            for entity in entities
        }


def _row(place: int) -> str:
    return f"s{place}" if place else OWN


def _taking(hold: Hold, charge: Charge, now: float) -> _Change:
    def change(counter: _Counter) -> _Outcome:
        if hold.id in counter.holds:
            return counter.total  # an earlier try of the same request got through
        counter.give_back(now, -1)
        if charge.limit is not None and counter.total + charge.amount > charge.limit:
            return None if counter.wide else Shortage(charge, counter.total)
        counter.total += charge.amount
        counter.until = charge.until
        counter.holds[hold.id] = [charge.amount, hold.lease]
        return counter.total

    return change


def _taking_shard(hold: Hold, charge: Charge) -> _Change:
    def change(counter: _Counter) -> _Outcome:
        if hold.id not in counter.holds:
            if counter.total < charge.amount or counter.most != charge.limit:
                return None
            counter.total -= charge.amount
            counter.holds[hold.id] = [charge.amount, hold.lease]
        return counter.total

    return change


def _settling(hold_id: str, actual: int, sign: int) -> _Change:
    """`sign`: 1 where what was not used is room again, -1 where it is taken from a sum."""

    def change(counter: _Counter) -> _Outcome:
        held = counter.holds.pop(hold_id, None)
        if held is None:
            return None if counter.wide else counter.total
        counter.total += sign * (int(held[0]) - actual)
        return counter.total

    return change


def _make(move: Move, hold: Hold, charge: Charge, counters: dict[int, _Counter]) -> None:
    """Changes the counters as `move` says, and notes the hold."""
    place = hold.places[charge.counter]
    own = counters.setdefault(0, _Counter())
    own.total += move.total
    own.wide, own.until = True, charge.until
    for number, change in move.rooms.items():
        counters.setdefault(number, _Counter()).total += change
    taken_from = counters[place]
    taken_from.holds[hold.id] = [charge.amount, hold.lease]
    taken_from.until = charge.until
    if place:
        taken_from.most = charge.limit


def _found(counters: Mapping[int, _Counter]) -> Found:
    rooms = {number: counter.total for number, counter in counters.items() if number}
    return Found(counters[0].total if 0 in counters else 0, rooms)


def _counter(entity: Entity, tag: str | None) -> _Counter:
    """Raises StoreFault for what somebody else wrote: whoever asked must not wait for ever."""
    try:
        holds = json.loads(joined("holds", entity))
        total = int(entity["total" if "total" in entity else "room"])
    except (LookupError, TypeError, ValueError) as fault:
        raise StoreFault("what the Azure table keeps is no counter") from fault
    most = entity.get("most")
    return _Counter(
        total, holds, entity.get("until"), tag, bool(entity.get("wide")), None if most is None else int(most)
    )


def _entity(counter: _Counter, place: int) -> Entity:
    sum_name = "room" if place else "total"
    entity: Entity = {**pieces("holds", json.dumps(counter.holds)), sum_name: str(counter.total)}
    entity[f"{sum_name}@odata.type"] = "Edm.Int64"
    if counter.wide:
        entity["wide"] = True
    if counter.most is not None:
        entity |= {"most": str(counter.most), "most@odata.type": "Edm.Int64"}
    if counter.until is not None:
        expires = counter.until + LAPSED_SECONDS
        entity |= {"until": counter.until, "until@odata.type": "Edm.Double"}
        entity |= {"expires": expires, "expires@odata.type": "Edm.Double"}
    return entity
