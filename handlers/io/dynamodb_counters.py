"""Counters in a DynamoDB table: atomic conditional writes, one round trip for all charges of a request.

A counter's own item lies under `pk` "c:<counter>", `sk` "-", with its sum in `total`; its shards (handlers.io.shards)
under "c:<counter>#<number>" with their `room`, each in a partition of its own, and their numbers in the own item's set
`wide`. A hold is an attribute of the item that
it was taken from, `h:<id>` = {a: amount, l: lease}. A charge is one UpdateItem with a condition, which DynamoDB runs
one after the other per item; room is moved by TransactWriteItems.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import batched
from math import ceil
from typing import Any

from core.ports import Charge, Hold, Shortage, StoreFault, Taken
from core.slotted import field, slotted
from handlers.io.dynamodb_table import DynamoTable, Item, error_type
from handlers.io.shards import Found, Move, Spread, Turns, move_for, take_all

# A lapsed hold is remembered this long, so that a settlement that comes late still counts, once.
LAPSED_SECONDS = 86_400.0
# TTL deletes some time after the second that an item names; counters stay readable for this long after their window.
COUNTER_GRACE = 86_400.0
# An update expression has a bound (4 KB); so many lapsed holds are given back at once.
LAPSED_AT_ONCE = 15
BATCH_READ = 100
_TRIES = 20
_MOVES = 60
_LONGEST_PAUSE = 0.1
# The shards of so many counters are remembered.
_REMEMBERED = 1000


@slotted(frozen=True)
class _Update:
    """One item's change, and the condition under which it is made."""

    key: Item
    expression: str
    condition: str
    names: Mapping[str, str]
    values: Mapping[str, Any]

    def members(self, table: str) -> Item:
        """As UpdateItem and a transaction take it."""
        found: Item = {"TableName": table, "Key": self.key, "UpdateExpression": self.expression}
        if self.condition:
            found["ConditionExpression"] = self.condition
        return {**found, "ExpressionAttributeNames": self.names, "ExpressionAttributeValues": self.values}


@slotted
class DynamoCounters:
    """The counters of `table`."""

    table: DynamoTable
    spread: Spread
    turns: Turns = field(default_factory=Turns)
    # The numbers of a counter's shards, as far as this process has seen.
    known: dict[str, set[int]] = field(default_factory=dict)

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        return await take_all(hold, partial(self._take, hold, now=now), lambda charge: self._settle(hold, charge, 0))

    async def settle(self, hold: Hold, actual: Mapping[str, int]) -> None:
        await asyncio.gather(*(self._settle(hold, each, actual.get(each.counter, 0)) for each in hold.charges))

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        found = dict.fromkeys(counters, 0)
        for batch in batched(found, BATCH_READ, strict=False):
            for item in await self._read_own([_key(counter) for counter in batch]):
                counter = item["pk"]["S"][2:]
                items = await self._read_items(counter) if "wide" in item else {0: item}
                lapsed = sum(amount for each in items.values() for _, amount in _lapsed(each, now))
                found[counter] = _found(items).used - lapsed
        return found

    async def _read_own(self, keys: Sequence[Item]) -> list[Item]:
        """Counters' own items, as far as there are any."""
        found: list[Item] = []
        left: Item = {self.table.name: {"Keys": keys, "ConsistentRead": True}}
        for _ in range(_TRIES):
            answer = await self.table.call("BatchGetItem", named=False, RequestItems=left)
            found += answer.get("Responses", {}).get(self.table.name, ())
            left = answer.get("UnprocessedKeys") or {}
            if not left:
                return found
            await self.table.client.clock.sleep(0.05)
        raise StoreFault(f"the DynamoDB table {self.table.name} does not answer reads")

    async def _take(self, hold: Hold, charge: Charge, now: float) -> int | Shortage:
        """Raises one counter; gives what it stands at then. A refusal shows the item: its lapsed holds are given back
        and it is tried again."""
        if charge.limit is not None and charge.amount > charge.limit:
            return Shortage(charge, (await self.totals([charge.counter], now))[charge.counter])
        place = self.spread.place(hold, charge)
        for _ in range(_TRIES):
            item, done, tries = await self._update(_taking(hold, charge, place))
            if done or f"h:{hold.id}" in item:  # taken now, or an earlier try of the same request got through
                if place:
                    return self.spread.taken(charge)
                if tries > 1:
                    self.spread.heat(charge.counter, _total(item))
                return _total(item)
            if place or "wide" in item:
                return await self._take_with_moves(hold, charge, now)
            lapsed = _lapsed(item, now)
            if not lapsed:
                return Shortage(charge, _total(item))
            await self._give_back(charge.counter, 0, lapsed, now)
        raise StoreFault(f"the counter {charge.counter} is too contended")

    async def _take_with_moves(self, hold: Hold, charge: Charge, now: float) -> int | Shortage:
        """Takes where there is not enough room at one place. In this process one at a time does it for a counter."""
        return await self.turns.run(charge.counter, partial(self._move_and_take, hold, charge, now))

    async def _move_and_take(self, hold: Hold, charge: Charge, now: float) -> int | Shortage:
        place, pause = hold.places[charge.counter], 0.01
        for _ in range(_MOVES):
            items = await self._read_items(charge.counter)
            found = _found(items)
            if f"h:{hold.id}" in items.get(place, {}):
                return found.used
            lapsed = {number: held for number, item in items.items() if (held := _lapsed(item, now))}
            for number, holds in lapsed.items():
                await self._give_back(charge.counter, number, holds, now)
            if lapsed:
                continue
            move = move_for(charge, place, found)
            if isinstance(move, Shortage):
                return move
            if await self._move(_moving(hold, charge, move, named=place in items)):
                self.spread.heat(charge.counter, found.used + charge.amount)
                return found.used + charge.amount
            await self.table.client.clock.sleep(pause * (0.5 + self.table.client.random.uniform()))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        raise StoreFault(f"the counter {charge.counter} is too contended")

    async def _give_back(self, counter: str, place: int, lapsed: Sequence[tuple[str, int]], now: float) -> None:
        total, sign = ("room", 1) if place else ("total", -1)
        some = lapsed[:LAPSED_AT_ONCE]
        names = {"#t": total}
        values: Item = {":sum": {"N": str(sign * sum(amount for _, amount in some))}, ":zero": {"N": "0"}}
        values[":later"] = {"N": repr(now + LAPSED_SECONDS)}
        sets, conditions = [], []
        for index, (name, amount) in enumerate(some):
            names[f"#h{index}"] = name
            values[f":a{index}"] = {"N": str(amount)}
            sets.append(f"#h{index}.a = :zero, #h{index}.l = :later")
            conditions.append(f"#h{index}.a = :a{index}")
        expression = f"SET {', '.join(sets)} ADD #t :sum"
        await self._update(_Update(_key(counter, place), expression, " AND ".join(conditions), names, values))

    async def _settle(self, hold: Hold, charge: Charge, actual: int) -> None:
        """At the place where it was taken. Where the hold's notes do not say which, and it is not at the own item of
        a counter that has shards, at the one that has it."""
        item = await self._settle_at(hold, charge, actual, hold.places.get(charge.counter, 0))
        if item is None or charge.counter in hold.places or "wide" not in item:
            return
        for place, each in (await self._read_items(charge.counter)).items():
            if place and f"h:{hold.id}" in each:
                await self._settle_at(hold, charge, actual, place)

    async def _settle_at(self, hold: Hold, charge: Charge, actual: int, place: int) -> Item | None:
        """First for the hold as it was made; then, where its lease was over and it was given back, for nothing held.
        Where there is no hold (any more) the item is given."""
        held = charge.amount
        for _ in range(2):
            delta = held - actual if place else actual - held
            names = {"#t": "room" if place else "total", "#h": f"h:{hold.id}"}
            values = {":delta": {"N": str(delta)}, ":held": {"N": str(held)}}
            key = _key(charge.counter, place)
            item, done, _ = await self._update(_Update(key, "REMOVE #h ADD #t :delta", "#h.a = :held", names, values))
            if done:
                return None
            if f"h:{hold.id}" not in item:
                return item
            held = int(item[f"h:{hold.id}"]["M"]["a"]["N"])
        return None

    async def _update(self, update: _Update) -> tuple[Item, bool, int]:
        """What was changed, or the item as it stands where the condition does not hold; which of these it is; and how
        many tries it took."""
        answer = await self.table.send(
            "UpdateItem", **update.members(self.table.name), ReturnValues="UPDATED_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )  # fmt: skip
        if answer.status == 200:
            return json.loads(answer.body).get("Attributes", {}), True, answer.tries
        if "ConditionalCheckFailed" in error_type(answer):
            return json.loads(answer.body).get("Item", {}), False, answer.tries
        raise self.table.fault("UpdateItem", answer)

    async def _move(self, updates: Sequence[_Update]) -> bool:
        """Makes the changes together, or none: False where another request was quicker."""
        items = [{"Update": update.members(self.table.name)} for update in updates]
        answer = await self.table.send("TransactWriteItems", TransactItems=items)
        if answer.status == 200:
            return True
        if "TransactionCanceled" in error_type(answer):
            return False
        raise self.table.fault("TransactWriteItems", answer)

    async def _read_items(self, counter: str) -> Mapping[int, Item]:
        """The counter's item and its shards, as they were at one moment."""
        if len(self.known) > _REMEMBERED:
            self.known.clear()
        places = {0, *self.known.get(counter, ())}
        for _ in range(_MOVES):
            gets = [{"Get": {"TableName": self.table.name, "Key": _key(counter, place)}} for place in places]
            answer = await self.table.send("TransactGetItems", TransactItems=gets)
            if answer.status == 200:
                found = zip(places, json.loads(answer.body).get("Responses", ()), strict=False)
                items = {place: each["Item"] for place, each in found if each.get("Item")}
                named = {int(number) for number in items.get(0, {}).get("wide", {}).get("NS", ())}
                if named <= places:
                    return items
                places |= named
                self.known[counter] = named
                continue
            if "TransactionCanceled" not in error_type(answer):
                raise self.table.fault("TransactGetItems", answer)
            await self.table.client.clock.sleep(0.01 * (0.5 + self.table.client.random.uniform()))
        raise StoreFault(f"the counter {counter} is too contended")


def _taking(hold: Hold, charge: Charge, place: int) -> _Update:
    names = {"#t": "room" if place else "total", "#h": f"h:{hold.id}"}
    values: Item = {
        ":amount": {"N": str(-charge.amount if place else charge.amount)},
        ":hold": {"M": {"a": {"N": str(charge.amount)}, "l": {"N": repr(hold.lease)}}},
    }
    sets = "#h = :hold" + _expiry(charge, names, values)
    condition = "attribute_not_exists(#h)"
    if place:
        names["#m"] = "most"
        values |= {":need": {"N": str(charge.amount)}, ":most": {"N": str(charge.limit)}}
        condition += " AND #t >= :need AND #m = :most"
    elif charge.limit is not None:
        values[":room"] = {"N": str(charge.limit - charge.amount)}
        condition += " AND (attribute_not_exists(#t) OR #t <= :room)"
    return _Update(_key(charge.counter, place), f"SET {sets} ADD #t :amount", condition, names, values)


def _moving(hold: Hold, charge: Charge, move: Move, *, named: bool) -> list[_Update]:
    """The changes of a move. Each item must still hold what is taken from it; the hold must be new. `named`: whether
    the place that it is taken at is among those that the own item names."""
    place = hold.places[charge.counter]
    updates = [_own_change(hold, charge, place, move.total)] if move.total or not place or not named else []
    for shard, change in move.rooms.items():
        names = {"#t": "room"}
        values: Item = {":change": {"N": str(change)}}
        conditions = []
        if change < 0:
            conditions, values[":need"] = ["#t >= :need"], {"N": str(-change)}
        expression = "ADD #t :change"
        if shard == place:
            names |= {"#h": f"h:{hold.id}", "#m": "most"}
            values[":hold"] = {"M": {"a": {"N": str(charge.amount)}, "l": {"N": repr(hold.lease)}}}
            values[":most"] = {"N": str(charge.limit)}
            conditions.append("attribute_not_exists(#h)")
            expression = f"SET #h = :hold, #m = :most{_expiry(charge, names, values)} ADD #t :change"
        key = _key(charge.counter, shard)
        updates.append(_Update(key, expression, " AND ".join(conditions), names, values))
    return updates


def _own_change(hold: Hold, charge: Charge, place: int, change: int) -> _Update:
    names = {"#t": "total"}
    values: Item = {":change": {"N": str(change)}}
    adds, conditions = "#t :change", []
    if change > 0:
        conditions.append("(attribute_not_exists(#t) OR #t <= :room)")
        values[":room"] = {"N": str((charge.limit or 0) - change)}
    sets = _expiry(charge, names, values)
    if place:
        names["#w"], values[":place"] = "wide", {"NS": [str(place)]}
        adds += ", #w :place"
    else:
        names["#h"] = f"h:{hold.id}"
        values[":hold"] = {"M": {"a": {"N": str(charge.amount)}, "l": {"N": repr(hold.lease)}}}
        conditions.append("attribute_not_exists(#h)")
        sets += ", #h = :hold"
    expression = f"SET {sets[2:]} ADD {adds}" if sets else f"ADD {adds}"
    return _Update(_key(charge.counter), expression, " AND ".join(conditions), names, values)


def _expiry(charge: Charge, names: dict[str, str], values: Item) -> str:
    """The part of an expression that ends an item with its counter's window; "" where it has none."""
    if charge.until is None:
        return ""
    names["#e"], values[":e"] = "expires", {"N": str(ceil(charge.until + COUNTER_GRACE))}
    return ", #e = :e"


def _found(items: Mapping[int, Item]) -> Found:
    rooms = {place: int(item["room"]["N"]) for place, item in items.items() if place and "room" in item}
    return Found(_total(items.get(0, {})), rooms)


def _total(item: Mapping[str, Any]) -> int:
    return int(item["total"]["N"]) if "total" in item else 0


def _lapsed(item: Mapping[str, Any], now: float) -> list[tuple[str, int]]:
    """The holds of an item that are over and not given back: attribute names and amounts."""
    holds = [(name, value["M"]) for name, value in item.items() if name.startswith("h:")]
    return [
        (name, int(hold["a"]["N"])) for name, hold in holds if int(hold["a"]["N"]) and float(hold["l"]["N"]) < now
    ]


def _key(counter: str, place: int = 0) -> Item:
    return {"pk": {"S": f"c:{counter}#{place}" if place else f"c:{counter}"}, "sk": {"S": "-"}}
