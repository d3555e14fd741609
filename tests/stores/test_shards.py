"""Where a process takes from, and how room is moved: plans as values, and what they come to on the real stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ports import Charge, Hold, Shortage, Store, Taken
from handlers.io import shards
from handlers.io.shards import Found, Move, Spread, move_for
from tests.scripted import FixedRandom
from tests.stores.test_contract import LATER, NOW, hold, total

SHARDED = pytest.mark.parametrize("open_store", ["dynamodb-shards", "tables-shards"], indirect=True)


def charge(amount: int, limit: int | None = 100, counter: str = "usd:everyone::2027-01") -> Charge:
    return Charge(counter, amount, limit, LATER)


@given(
    st.integers(0, 40), st.integers(-20, 130), st.dictionaries(st.integers(1, 5), st.integers(-5, 40)),
    st.integers(0, 5), st.integers(1, 120),
)  # fmt: skip
def test_a_move_takes_what_there_is_and_never_more(
    amount: int, own: int, rooms: dict[int, int], place: int, limit: int
) -> None:
    """`own` may be beyond a limit that was lowered; a shard's room below nothing, where more was used than held."""
    found = Found(own, rooms)
    move = move_for(charge(amount, limit), place, found)
    if found.used + amount > limit:
        assert move == Shortage(charge(amount, limit), found.used)
        return
    assert isinstance(move, Move)
    after = Found(own + move.total, {n: rooms.get(n, 0) + move.rooms.get(n, 0) for n in {*rooms, *move.rooms}})
    assert after.used == found.used + amount
    assert after.total <= limit
    for number, change in move.rooms.items():
        if number != place:
            assert change < 0 <= after.rooms[number]
        else:
            assert after.rooms[number] >= 0


def test_a_process_stays_at_the_counters_own_item_until_that_is_hot() -> None:
    spread = Spread(4, FixedRandom(0.5))
    assert spread.place(hold("r1"), charge(1)) == 0
    spread.heat(charge(1).counter, 40)
    assert spread.place(hold("r2"), charge(1)) == 2
    assert spread.place(hold("r3"), charge(1, None)) == 0, "without a limit there is no room to share"
    assert spread.place(hold("r4"), charge(1, counter="other")) == 0
    assert [spread.taken(charge(5)), spread.taken(charge(5))] == [45, 50]


def test_a_second_try_goes_where_the_first_one_went() -> None:
    spread, once = Spread(4, FixedRandom(0.5)), hold("r1")
    assert spread.place(once, charge(1)) == 0
    spread.heat(charge(1).counter, 0)
    assert spread.place(once, charge(1)) == 0


def test_only_so_many_hot_counters_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_REMEMBERED", 2)
    spread = Spread(4, FixedRandom(0.5))
    for counter in ("a", "b", "c"):
        spread.heat(counter, 1)
    assert [spread.place(hold("r"), charge(1, counter=name)) for name in ("a", "b", "c")] == [0, 2, 2]


@pytest.mark.parametrize("count", [1, 2, 16, 99])
def test_homes_are_among_the_shards(count: int) -> None:
    homes = {Spread(count, FixedRandom(part / 100), always=True).place(hold("r"), charge(1)) for part in range(100)}
    assert homes == set(range(min(count, shards.MOST_SHARDS + 1)))


@SHARDED
async def test_a_charge_is_taken_from_what_other_shards_have(open_store: Callable[[], Store], store: Store) -> None:
    """No shard has room for it, all together have; and not for one more."""
    stores = [store, *(open_store() for _ in range(3))]
    for number, each in enumerate(stores):
        assert isinstance(await each.reserve(hold(f"r{number}", charge(10)), NOW), Taken)
    assert isinstance(await stores[1].reserve(hold("large", charge(60)), NOW), Taken)
    for each in stores:
        assert await each.reserve(hold("one more", charge(1)), NOW) == Shortage(charge(1), 100)
    assert await total(store, charge(0).counter) == 100


@SHARDED
async def test_what_a_shard_gets_back_others_may_take(open_store: Callable[[], Store], store: Store) -> None:
    other = open_store()
    whole = hold("r1", charge(100))
    assert isinstance(await store.reserve(whole, NOW), Taken)
    await store.settle([(whole, {charge(0).counter: 30})])
    assert isinstance(await other.reserve(hold("r2", charge(70)), NOW), Taken)
    assert await total(store, charge(0).counter) == 100


@SHARDED
async def test_room_that_came_from_another_shard_only_is_seen_by_all(
    open_store: Callable[[], Store], store: Store
) -> None:
    """Nothing is left to grant when the second shard first takes."""
    whole, dead = hold("r1", charge(100)), hold("dead", charge(60), lease=NOW + 1)
    assert isinstance(await store.reserve(whole, NOW), Taken)
    await store.settle([(whole, {})])
    assert isinstance(await open_store().reserve(dead, NOW), Taken)
    third = open_store()
    assert isinstance(await third.reserve(hold("r2", charge(100)), NOW + 2), Taken)
    assert await total(third, charge(0).counter, NOW + 2) == 100


@SHARDED
async def test_another_process_settles_what_it_finds(open_store: Callable[[], Store], store: Store) -> None:
    """It has no notes of where a hold was taken."""
    assert isinstance(await store.reserve(hold("r1", charge(40)), NOW), Taken)
    other = open_store()
    for _ in range(2):
        await other.settle([(hold("r1", charge(40)), {charge(0).counter: 7})])
    assert await total(store, charge(0).counter) == 7
    await other.settle([(Hold("r9", (charge(1, counter="never seen"),), LATER), {})])


@SHARDED
async def test_a_limit_may_change_in_its_window(open_store: Callable[[], Store], store: Store) -> None:
    """What shards were granted under the old one does not pass under the new one."""
    other = open_store()
    for each, name in ((store, "r1"), (other, "r2")):
        assert isinstance(await each.reserve(hold(name, charge(1, 320)), NOW), Taken)
    assert isinstance(await store.reserve(hold("r3", charge(3, 5)), NOW), Taken)
    assert await other.reserve(hold("r4", charge(1, 5)), NOW) == Shortage(charge(1, 5), 5)
    assert isinstance(await other.reserve(hold("r5", charge(300, 320)), NOW), Taken)
    assert await total(store, charge(0).counter) == 305


@SHARDED
async def test_processes_with_different_settings_share_a_budget(
    open_store: Callable[[], Store], store: Store
) -> None:
    """One spreads, one does not (any more): together they pass what is affordable."""
    plain = open_store()
    plain._counters.spread = Spread(1, FixedRandom())  # type: ignore[attr-defined]
    taking = [(store, plain)[number % 2].reserve(hold(f"r{number}", charge(3)), NOW) for number in range(60)]
    outcomes = await asyncio.gather(*taking)
    assert sum(isinstance(outcome, Taken) for outcome in outcomes) == 33
    assert await total(store, charge(0).counter) == 99


@SHARDED
async def test_what_dead_processes_hold_in_shards_comes_back(open_store: Callable[[], Store], store: Store) -> None:
    stores = [store, *(open_store() for _ in range(3))]
    for number, each in enumerate(stores):
        dead = hold(f"dead{number}", charge(25), lease=NOW + 1)
        assert isinstance(await each.reserve(dead, NOW), Taken)
    assert isinstance(await store.reserve(hold("r", charge(100)), NOW + 2), Taken)
    assert await total(store, charge(0).counter, NOW + 2) == 100


@pytest.mark.parametrize("open_store", ["dynamodb", "tables"], indirect=True)
async def test_what_a_counter_stands_at_is_told_with_each_charge(store: Store) -> None:
    outcomes = [await store.reserve(hold(f"r{number}", charge(3), charge(1, 9, "rpm")), NOW) for number in range(4)]
    told = [outcome.used for outcome in outcomes if isinstance(outcome, Taken)]
    assert told == [{charge(0).counter: 3 * count, "rpm": count} for count in (1, 2, 3, 4)]


@SHARDED
async def test_what_is_told_of_a_hot_counter_is_near(store: Store) -> None:
    outcomes = [await store.reserve(hold(f"r{number}", charge(1, 320)), NOW) for number in range(30)]
    told = [outcome.used[charge(0).counter] for outcome in outcomes if isinstance(outcome, Taken)]
    assert told[0] == 1 and all(later == before + 1 for before, later in pairwise(told))
