"""Counters that are too hot for one item of a store: other items take a shard of their room.

A counter's own item (place 0) holds all that is committed: what was taken from it, and what was granted to the shards
(places 1, 2, ...). It never goes beyond the limit. A shard holds `room`: what it was granted and has not given out. So
what is spent or reserved is the own item's total without the room of all shards; nothing can be overspent, whatever
number of shards each process uses. And nobody is refused while there is room somewhere: what a place lacks is moved to
it from the others, in one transaction.

A process takes from the own item until that is found to be hot, then from one shard, its home.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import batched
from typing import Final

from core.ports import Charge, Hold, Random, Settlement, Shortage, Taken
from core.slotted import slotted

# All shards are read when room is looked for, whichever this process uses: so many there can be.
MOST_SHARDS: Final = 16
# A shard is granted this part of the limit at once, so that it asks seldom.
GRANTS: Final = 32
# So many requests are settled side by side.
SETTLED_AT_ONCE: Final = 32
# A process remembers this many hot counters.
_REMEMBERED: Final = 1000


class Spread:
    """Where a process takes from. `shards`: how many places there are, 1 for the counters' own items only.
    `always`: from the first charge on, however cool a counter is."""

    def __init__(self, shards: int, random: Random, *, always: bool = False) -> None:
        self._home = int(random.uniform() * min(shards, MOST_SHARDS + 1))
        self._always = always
        self._hot: dict[str, int] = {}

    def place(self, hold: Hold, charge: Charge) -> int:
        """Where `charge` is taken; noted in the hold, so that a second try goes there too."""
        spread = charge.limit is not None and (self._always or charge.counter in self._hot)
        return hold.places.setdefault(charge.counter, self._home if spread else 0)

    def heat(self, counter: str, used: int) -> None:
        """Others are in the way at the counter's own item, which stands at `used`."""
        if counter not in self._hot and len(self._hot) >= _REMEMBERED:
            del self._hot[next(iter(self._hot))]
        self._hot[counter] = used

    def taken(self, charge: Charge) -> int:
        """What the counter stands at, as far as this process knows: when it last looked, and what it took since."""
        used = self._hot.get(charge.counter, 0) + charge.amount
        self.heat(charge.counter, used)
        return used


@slotted(frozen=True)
class Found:
    """A counter's items as they were read: the own item's total, and the room of each shard."""

    total: int
    rooms: Mapping[int, int]

    @property
    def used(self) -> int:
        """What is spent or reserved."""
        return self.total - sum(self.rooms.values())


@slotted(frozen=True)
class Move:
    """How a charge is taken by moving room: what is added to the own item's total, and to the room of each shard."""

    total: int
    rooms: Mapping[int, int]


def move_for(charge: Charge, place: int, found: Found) -> Move | Shortage:
    """How `place` gets room for `charge`, which has a limit: from what nobody was granted, then from other shards."""
    limit = charge.limit or 0
    if found.used + charge.amount > limit:
        return Shortage(charge, found.used)
    free = limit - found.total
    lacking = charge.amount - found.rooms.get(place, 0)
    granted = min(free, lacking if place == 0 else max(lacking, limit // GRANTS))
    lacking -= granted
    rooms: dict[int, int] = {}
    for shard, room in sorted(found.rooms.items(), key=lambda item: -item[1]):
        if lacking <= 0:
            break
        if shard != place and room > 0:
            rooms[shard] = -min(room, lacking)
            lacking += rooms[shard]
    if place == 0:
        return Move(charge.amount + sum(rooms.values()), rooms)
    rooms[place] = granted - sum(rooms.values()) - charge.amount
    return Move(granted, rooms)


class Turns:
    """One at a time for each counter, in this process."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}

    async def run[Result](self, counter: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """What `work` gives when it is its turn."""
        lock = self._locks.setdefault(counter, asyncio.Lock())
        try:
            async with lock:
                return await work()
        finally:
            if not lock.locked():
                self._locks.pop(counter, None)


async def take_all(
    hold: Hold, take: Callable[[Charge], Awaitable[int | Shortage]], give_back: Callable[[Charge], Awaitable[None]]
) -> Taken | Shortage:
    """The charges go out together, so they cost one round trip. Those beside a short one are given back, which may
    refuse others for a moment but never lets one too many pass."""
    outcomes = await asyncio.gather(*map(take, hold.charges), return_exceptions=True)
    faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    shortages = [outcome for outcome in outcomes if isinstance(outcome, Shortage)]
    used = {
        charge.counter: outcome
        for charge, outcome in zip(hold.charges, outcomes, strict=True)
        if isinstance(outcome, int)
    }
    if faults or shortages:
        given = (give_back(charge) for charge in hold.charges if charge.counter in used)
        await asyncio.gather(*given, return_exceptions=True)
    if faults:
        raise faults[0]
    return shortages[0] if shortages else Taken(used)


async def settle_all(
    settlements: Sequence[Settlement], settle: Callable[[Hold, Mapping[str, int]], Awaitable[None]]
) -> None:
    """Some at a time, side by side. Raises StoreFault."""
    for some in batched(settlements, SETTLED_AT_ONCE, strict=False):
        await asyncio.gather(*(settle(hold, actual) for hold, actual in some))
