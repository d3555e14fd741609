"""What every store must hold to, run on the three real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from core.bill import day_of, folder_of, usage_document
from core.keys import digest_of
from core.ports import Charge, Hold, Shortage, Store, Taken
from core.slotted import replace
from core.usage import Cost, UsageRecord, in_usd
from core.usage_report import Report, UsageQuery
from handlers.io.clock import SystemClock, SystemRandom
from handlers.key_desk import KeyDesk
from handlers.usage_reading import read_usage
from tests.gateways import RecordingLog
from tests.stores.conftest import KINDS

SHARDED = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("dynamodb-shards", "tables-shards")]
pytestmark = pytest.mark.parametrize("open_store", [*KINDS, *SHARDED], indirect=True)

NOW = 1_800_000_000.0
LATER = NOW + 3600


def hold(name: str, *charges: Charge, lease: float = NOW + 60) -> Hold:
    return Hold(name, charges, lease)


def budget(amount: int, limit: int | None = 100, counter: str = "usd:key/a#b:2027-01") -> Charge:
    return Charge(counter, amount, limit, LATER)


async def total(store: Store, counter: str, now: float = NOW) -> int:
    return (await store.totals([counter], now))[counter]


async def test_documents_are_written_read_listed_replaced_and_deleted(store: Store) -> None:
    assert await store.read("keys", "a") is None
    await store.write("keys", {"a": {"n": 1, "text": "é/\u2028"}, "b/#?%": {"n": 2}})
    assert await store.read("keys", "a") == {"n": 1, "text": "é/\u2028"}
    assert await store.read_all("keys") == {"a": {"n": 1, "text": "é/\u2028"}, "b/#?%": {"n": 2}}
    await store.write("keys", {"a": {"n": 3}})
    await store.delete("keys", "b/#?%")
    await store.delete("keys", "nothing")
    assert await store.read_all("keys") == {"a": {"n": 3}}
    assert await store.read_all("other") == {}


async def test_many_and_large_documents(store: Store) -> None:
    documents = {f"{number:03}": {"text": "x" * 1000, "n": number} for number in range(60)}
    documents["long"] = {"text": "y" * 70_000, "n": 60}
    await store.write("usage:2027-01-15", documents, LATER)
    assert await store.read_all("usage:2027-01-15") == documents


async def test_a_folder_is_read_in_pages(store: Store) -> None:
    documents = {f"req_{number:03}/#": {"n": number} for number in range(25)}
    await store.write("usage:2027-01-15", documents)
    await store.write("usage:2027-01-16", {"req_999": {"n": 999}})
    found: dict[str, object] = {}
    sizes = []
    while page := await store.read_page("usage:2027-01-15", next(reversed(found), ""), 10):
        found |= page
        sizes.append(len(page))
    assert found == documents and list(found) == sorted(documents) and max(sizes) == 10
    assert await store.read_page("nothing") == {}


async def test_a_document_is_replaced_only_where_the_one_before_still_stands(store: Store) -> None:
    first, second, third = {"n": 1, "text": "é\u2028", "at": 1.5}, {"n": 2}, {"n": 3}
    assert await store.replace("chat", "s/1", (None, first), LATER)
    assert await store.replace("chat", "s/1", (None, first), LATER)  # the same try again
    assert not await store.replace("chat", "s/1", (None, second), LATER)
    assert await store.read("chat", "s/1") == first
    assert await store.replace("chat", "s/1", (await store.read("chat", "s/1"), second), LATER)
    assert await store.replace("chat", "s/1", (first, second), LATER)
    assert not await store.replace("chat", "s/1", (first, third), LATER)
    assert not await store.replace("chat", "s/2", (first, third))
    assert await store.read_all("chat") == {"s/1": second}


async def test_of_many_who_replace_one_document_one_wins(open_store: Callable[[], Store], store: Store) -> None:
    others = [store, *(open_store() for _ in range(3))]
    await store.write("chat", {"s": {"n": 0}})
    tries = [each.replace("chat", "s", ({"n": 0}, {"n": number})) for number, each in enumerate(others * 5, 1)]
    done = await asyncio.gather(*tries)
    assert done.count(True) == 1
    assert await store.read("chat", "s") == {"n": done.index(True) + 1}
    for other in others[1:]:
        await other.close()


async def test_usage_is_added_up_from_pages(store: Store) -> None:
    for number in range(30):
        record = UsageRecord(f"req_{number}", "generate", "messages", NOW - 86_400 * (number % 2), model="m")
        record.caller, record.outcome, record.cost = f"key_{number % 3}", "complete", Cost(number, 0)
        await store.write(folder_of(day_of(record.started)), {record.request_id: usage_document(record, 0)}, LATER)
    query = UsageQuery(("model",), 2)
    whole = await read_usage(store, Report(query), NOW, page=7)
    (row,) = whole.report.rows()
    assert (whole.complete, whole.records, row["requests"], row["cost"]) == (True, 30, 30, in_usd(sum(range(30))))
    (own,) = (await read_usage(store, Report(query, "key_1"), NOW)).report.rows()
    assert own["requests"] == 10
    part = await read_usage(store, Report(query), NOW, most=10, page=7)
    assert not part.complete and 10 <= part.records < 30


async def test_keys_live_in_every_store(store: Store) -> None:
    desk = KeyDesk(store, SystemClock(), SystemRandom(), RecordingLog(), "a test")
    secret, key = await desk.issue(replace(desk.blank(), owner="o", name="n", admin=True, quota={"usd_total": 10**18}))
    await desk.change([key], [replace(key, labels={"a": "b"})])
    newer, _ = await desk.rotate(key.id, 60.0)
    assert [each.state(desk.clock.time()) for each in await desk.find(key.id)] == ["active", "active"]
    await desk.revoke(key.id)
    found = await desk.all()
    assert {each.digest for each in found} == {digest_of(secret), digest_of(newer)}
    assert all(each.admin and each.labels == {"a": "b"} and each.revoked for each in found)


async def test_what_has_expired_may_be_purged(store: Store) -> None:
    await store.write("usage", {"old": {"n": 1}}, NOW - 1)
    await store.write("usage", {"new": {"n": 2}}, LATER)
    await store.write("usage", {"always": {"n": 3}})
    purged = await store.purge(NOW)
    left = set(await store.read_all("usage"))
    assert purged == 3 - len(left)
    assert left - {"old"} == {"new", "always"}


async def test_a_reservation_is_settled_with_what_was_used(store: Store) -> None:
    charge = budget(40)
    assert isinstance(await store.reserve(hold("r1", charge), NOW), Taken)
    assert await total(store, charge.counter) == 40
    await store.settle([(hold("r1", charge), {charge.counter: 7})])
    assert await total(store, charge.counter) == 7
    await store.settle([(hold("r1", charge), {charge.counter: 7})])
    assert await total(store, charge.counter) == 7


async def test_the_same_reservation_twice_counts_once(store: Store) -> None:
    charge = budget(40)
    for _ in range(2):
        assert isinstance(await store.reserve(hold("r1", charge), NOW), Taken)
    assert await total(store, charge.counter) == 40


async def test_a_refused_reservation_takes_nothing(store: Store) -> None:
    small, large = budget(1, 10, "rpm:key"), budget(60, 100)
    assert isinstance(await store.reserve(hold("r1", small, large), NOW), Taken)
    assert await store.reserve(hold("r2", small, large), NOW) == Shortage(large, 60)
    assert await store.reserve(hold("r3", budget(101, 100, "fresh")), NOW) == Shortage(budget(101, 100, "fresh"), 0)
    assert await store.totals([small.counter, large.counter, "fresh"], NOW) == {
        small.counter: 1, large.counter: 60, "fresh": 0,
    }  # fmt: skip


async def test_a_counter_without_a_limit_only_counts(store: Store) -> None:
    charge = Charge("tokens", 5, None, None)
    for name in ("r1", "r2"):
        assert isinstance(await store.reserve(hold(name, charge), NOW), Taken)
    assert await total(store, "tokens") == 10


async def test_a_dead_process_gives_its_reservation_back(store: Store) -> None:
    charge = budget(60)
    assert isinstance(await store.reserve(hold("dead", charge, lease=NOW + 30), NOW), Taken)
    assert await store.reserve(hold("r2", charge), NOW + 29) == Shortage(charge, 60)
    assert await total(store, charge.counter, NOW + 31) == 0
    assert isinstance(await store.reserve(hold("r2", charge, lease=NOW + 90), NOW + 31), Taken)
    assert await total(store, charge.counter, NOW + 31) == 60


async def test_a_settlement_after_the_lease_counts_once(store: Store) -> None:
    charge = budget(60)
    slow = hold("slow", charge, lease=NOW + 30)
    assert isinstance(await store.reserve(slow, NOW), Taken)
    assert isinstance(await store.reserve(hold("r2", charge, lease=NOW + 90), NOW + 31), Taken)
    for _ in range(2):
        await store.settle([(slow, {charge.counter: 10})])
    assert await total(store, charge.counter, NOW + 32) == 70


async def test_many_dead_reservations_are_given_back(store: Store) -> None:
    for number in range(20):
        assert isinstance(await store.reserve(hold(f"dead{number}", budget(5), lease=NOW + 1), NOW), Taken)
    assert isinstance(await store.reserve(hold("r", budget(100)), NOW + 2), Taken)
    assert await total(store, budget(0).counter, NOW + 2) == 100


@pytest.mark.parametrize("processes", [1, 3])
async def test_300_at_once_against_one_budget(open_store: Callable[[], Store], processes: int) -> None:
    """Exactly what is affordable passes: not one more, not one less."""
    stores = [open_store() for _ in range(processes)]
    for store in stores:
        await store.prepare()
    reserving = (stores[number % processes].reserve(hold(f"r{number}", budget(3, 300)), NOW) for number in range(300))
    outcomes = await asyncio.gather(*reserving)
    assert sum(isinstance(outcome, Taken) for outcome in outcomes) == 100
    assert await total(stores[0], budget(0).counter) == 300
    for store in stores:
        await store.close()


async def test_200_callers_spend_no_more_than_the_budget(store: Store) -> None:
    """Each reserves the worst case and settles for a third of it, while the others try."""

    async def call(number: int) -> int:
        reservation = hold(f"r{number}", budget(3, 60))
        if isinstance(await store.reserve(reservation, NOW), Shortage):
            return 0
        await store.settle([(reservation, {reservation.charges[0].counter: 1})])
        return 1

    spent = sum(await asyncio.gather(*(call(number) for number in range(200))))
    assert await total(store, budget(0).counter) == spent <= 60


async def test_preparing_twice_keeps_what_is_there(open_store: Callable[[], Store], store: Store) -> None:
    await store.write("keys", {"a": {"n": 1}})
    again = open_store()
    await again.prepare()
    assert await again.read("keys", "a") == {"n": 1}
    await again.close()


async def test_picodollars_of_a_large_budget_are_exact(store: Store) -> None:
    million = 10**6 * 10**12
    charge = Charge("usd", 999_999_999_999_999_999, million, None)
    assert isinstance(await store.reserve(hold("r1", charge), NOW), Taken)
    assert isinstance(await store.reserve(hold("r2", Charge("usd", 1, million, None)), NOW), Taken)
    assert isinstance(await store.reserve(hold("r3", Charge("usd", 1, million, None)), NOW), Shortage)
    assert await total(store, "usd") == million


async def test_a_record_of_made_up_names_fits(store: Store) -> None:
    """Names, header values and messages of any length: nothing may keep what waits with it from being written."""
    long = "\U0001f600" * 500_000
    made = UsageRecord("r1", "generate", "messages", NOW, model=long, user_agent=long, session=long, agent=long)
    made.api_model = made.tier = long
    made.dropped = made.edits = made.errors = [long] * 900
    await store.write(folder_of(day_of(NOW)), {"r1": usage_document(made, 0)}, NOW + 86_400)
    (row,) = (await store.read_all(folder_of(day_of(NOW)))).values()
    assert isinstance(row, dict) and row["dropped"][-1] == "and 870 more" and len(row["model"]) == 301
