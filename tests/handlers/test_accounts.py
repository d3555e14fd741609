"""A request with a key: reserved before it, settled and recorded after it, whatever becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.access import AccessRules
from core.configuration import ConfigurationError
from core.estimate import input_tokens
from core.http import Request, Response
from core.ports import (
    BackendRequest,
    Charge,
    Exchange,
    Hold,
    Settlement,
    Shortage,
    StoredDocument,
    StoreFault,
    Taken,
)
from handlers.io.sqlite_store import SqliteStore
from handlers.quotas import read_quotas
from tests.gateways import body_of, path_of
from tests.handlers.accounted import SECRET, AccountedBench, sqlite
from tests.samples import TYPES, answer_body, request_body, stream_frames
from tests.scripted import Play

JSON_HEADERS = {"content-type": "application/json"}
# A dollar a token: amounts are easy to read.
DOLLAR = {"m": {"input": 1_000_000, "output": 1_000_000}}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = sqlite(tmp_path)
    yield store
    await store.close()


def document(format_name: str = "messages", **sections: Any) -> dict[str, Any]:
    backend = {"type": TYPES[format_name], "base_url": "http://b1/v1", "api_key": "k"}
    row = {"backend": "b1", "api_model": "m", "max_tokens": 64}
    return {"backends": {"b1": backend}, "models": {"m": row}, "prices": DOLLAR, **sections}


def whole(format_name: str = "messages") -> Play:
    return Play(headers=JSON_HEADERS, chunks=[answer_body(format_name)])


async def ask(
    bench: AccountedBench, format_name: str = "messages", stream: bool = False, key: str = SECRET
) -> Response:
    body = request_body(format_name, stream=stream)
    return await bench.post(path_of(format_name), body, authorization=f"Bearer {key}")


async def test_a_request_is_recorded_with_everything(store: SqliteStore) -> None:
    bench = AccountedBench(document(), [whole()], store)
    await bench.add_key(labels={"env": "dev"})
    response = await bench.post(
        path_of("messages"), request_body("messages"), x_api_key=SECRET, user_agent="made/1",
        x_claude_code_session_id="s1", x_claude_code_agent_id="a1",
    )  # fmt: skip
    assert response.status == 200
    assert response.header("x-skybridge-cost-usd") == "7"
    (row,) = await bench.documents()
    assert {name: row[name] for name in ("key", "owner", "labels", "user_agent", "session", "agent")} == {
        "key": "key_made", "owner": "team-a", "labels": {"env": "dev"}, "user_agent": "made/1", "session": "s1",
        "agent": "a1",
    }  # fmt: skip
    assert (row["model"], row["api_model"], row["backend"], row["attempts"]) == ("m", "m", "b1", 1)
    assert (row["input_tokens"], row["output_tokens"], row["cost"]) == (5, 2, 7 * 10**12)
    assert row["cost_parts"] == {"input": 5 * 10**12, "output": 2 * 10**12}
    assert (row["status"], row["outcome"], row["finish"], row["streamed"]) == (200, "complete", "end_turn", False)
    assert SECRET not in json.dumps(row)


async def test_who_has_no_key_is_not_let_in(store: SqliteStore) -> None:
    bench = AccountedBench(document(), [], store)
    await bench.add_key()
    await bench.add_key("sk-sky-ended", expires=bench.clock.time() - 1)
    await bench.add_key("sk-sky-revoked", revoked=bench.clock.time() - 1)
    for key, words in [
        ("sk-sky-unknown", "not valid"), ("other", "not valid"), ("sk-sky-ended", "has expired"),
        ("sk-sky-revoked", "is revoked"),
    ]:  # fmt: skip
        response = await ask(bench, key=key)
        assert response.status == 401 and words in (await body_of(response)).decode()
    assert (await bench.post(path_of("messages"), b"{}")).status == 401
    assert await bench.documents() == []


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "?key="])
async def test_a_key_comes_in_whichever_place_its_sdk_uses(store: SqliteStore, header: str) -> None:
    bench = AccountedBench(document(), [whole()], store)
    await bench.add_key()
    in_query = header.startswith("?")
    value = f"Bearer {SECRET}" if header == "authorization" else SECRET
    headers = {} if in_query else {header: value}
    query = f"beta=true&key={SECRET}" if in_query else "beta=true"
    body = request_body("messages")
    response = await bench.gateway.handle(Request("POST", path_of("messages"), query, headers, body))
    assert response.status == 200
    (sent,) = bench.transport.requests
    assert SECRET not in repr(sent) and sent.url.endswith("?beta=true")


async def test_one_valid_key_is_enough(store: SqliteStore) -> None:
    """Claude Code sends two where two are configured: one of them may be an old one."""
    bench = AccountedBench(document(), [whole()] * 3, store, AccessRules(("service",), stored=True))
    await bench.add_key()
    await bench.add_key("sk-sky-revoked", revoked=bench.clock.time() - 1)
    body = request_body("messages")
    for valid in (SECRET, "service"):
        headers = {"x_api_key": "sk-sky-revoked", "authorization": f"Bearer {valid}"}
        assert (await bench.post(path_of("messages"), body, **headers)).status == 200
    both = await bench.post(path_of("messages"), body, x_api_key="sk-sky-revoked", authorization="Bearer other")
    assert both.status == 401 and b"is revoked" in await body_of(both)


async def test_a_revoked_key_is_refused_within_30_seconds(store: SqliteStore) -> None:
    bench = AccountedBench(document(), [whole()], store)
    await bench.add_key()
    assert (await ask(bench)).status == 200
    await bench.add_key(revoked=bench.clock.time())
    bench.clock.now += 30
    assert (await ask(bench)).status == 401


async def test_a_model_that_the_key_may_not_use(store: SqliteStore) -> None:
    bench = AccountedBench(document(), [], store)
    await bench.add_key(models=("gpt-*",))
    assert (await ask(bench)).status == 403


async def test_a_rate_limit_in_the_clients_dialect(store: SqliteStore) -> None:
    bench = AccountedBench(document("chat_completions"), [whole("chat_completions")] * 2, store)
    await bench.add_key(quota={"requests_per_minute": 1})
    assert (await ask(bench, "chat_completions")).status == 200
    refused = await ask(bench, "chat_completions")
    assert refused.status == 429 and json.loads(await body_of(refused))["error"]["code"] == "rate_limit_exceeded"
    assert refused.header("x-ratelimit-limit-requests") == "1" and int(refused.header("retry-after") or 0) <= 60
    assert [name for name, _ in refused.headers].count("x-ratelimit-limit-requests") == 1
    await bench.accounts.flush()
    bench.clock.now += 60
    assert (await ask(bench, "chat_completions")).status == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("format_name", ["messages", "chat_completions"])
async def test_an_answer_tells_what_is_left(store: SqliteStore, format_name: str, stream: bool) -> None:
    """This gateway's limits, not those of the key that it uses itself at the backend."""
    names = {
        "messages": "anthropic-ratelimit-requests-{}", "chat_completions": "x-ratelimit-{}-requests",
    }[format_name]  # fmt: skip
    own = {names.format(name): "9" for name in ("limit", "remaining", "reset")}
    content_type = "text/event-stream" if stream else "application/json"
    chunks = stream_frames(format_name) if stream else [answer_body(format_name)]
    plays = [Play(headers={"content-type": content_type, **own, "openai-processing-ms": "3"}, chunks=chunks)] * 3
    bench = AccountedBench(document(format_name), plays, store)
    await bench.add_key(quota={"requests_per_minute": 5})
    for left in ("4", "3"):
        answer = await ask(bench, format_name, stream)
        await body_of(answer)
        assert [value for name, value in answer.headers if name == names.format("limit")] == ["5"]
        assert [value for name, value in answer.headers if name == names.format("remaining")] == [left]
        assert answer.header("openai-processing-ms") == "3"
    await bench.add_key("sk-sky-unlimited")
    unlimited = await ask(bench, format_name, stream, key="sk-sky-unlimited")
    assert unlimited.header(names.format("limit")) == "9", "the backend's own pass where the gateway has none"


async def test_a_failed_answer_tells_what_is_left_too(store: SqliteStore) -> None:
    bench = AccountedBench(document(), [Play(400, JSON_HEADERS, [b"{}"])], store)
    await bench.add_key(quota={"requests_per_minute": 5})
    refused = await ask(bench)
    assert refused.status == 400 and refused.header("anthropic-ratelimit-requests-remaining") == "4"


async def test_a_budget_is_a_spend_limit(store: SqliteStore) -> None:
    """The worst case is reserved and the truth settled, so that the rest can be spent."""
    worst = input_tokens(request_body("messages")) + 64
    quotas = {"owners": {"*": {"usd_per_month": worst + 7}}}
    bench = AccountedBench(document(quotas=quotas), [Play(chunks=stream_frames("messages")), whole()], store)
    await bench.add_key()
    first = await ask(bench, stream=True)
    assert (await ask(bench)).status == 429, "the first may still cost as much"
    await body_of(first)
    assert (await ask(bench)).status == 200
    refused = await ask(bench)
    error = json.loads(await body_of(refused))["error"]
    assert error["details"]["error_code"] == "enforced_spend_limit_reached"
    assert "monthly budget" in error["message"] and "owner team-a" in error["message"]
    assert "14 USD are spent" in error["message"] and "resets at 2023-12-01T00:00:00Z" in error["message"]


async def test_requests_in_flight_are_given_back(store: SqliteStore) -> None:
    quotas = {"models": {"m": {"in_flight": 1}}, "everyone": {"tokens_per_day": 10_000}}
    bench = AccountedBench(document(quotas=quotas), [Play(chunks=stream_frames("messages")), whole()], store)
    await bench.add_key()
    first = await ask(bench, stream=True)
    assert (await ask(bench)).status == 429
    await body_of(first)
    await bench.accounts.flush()
    assert (await ask(bench)).status == 200
    await bench.accounts.flush()
    counters = ["in_flight:model:m:", "tokens_per_day:everyone::2023-11-14"]
    assert await store.totals(counters, bench.clock.time()) == {counters[0]: 0, counters[1]: 14}


class CountingStore(SqliteStore):
    """Counts reservations, and settles when it is let."""

    reserved = 0

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may_settle = asyncio.Event()
        self.may_settle.set()

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        self.reserved += 1
        return await super().reserve(hold, now)

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        await self.may_settle.wait()
        await super().settle(settlements)


async def test_a_client_that_asks_again_at_once_is_in_flight_once(tmp_path: Path) -> None:
    """What follows an answer is done a moment later; the next request may be there before."""
    store = CountingStore(tmp_path / "made.db")
    bench = AccountedBench(document(), [whole()] * 6, store)
    await bench.add_key(quota={"in_flight": 1})
    assert [(await ask(bench)).status for _ in range(4)] == [200] * 4
    assert store.reserved == 1 + 3 * 2
    store.may_settle.clear()
    flushing = asyncio.create_task(bench.accounts.flush())
    await asyncio.sleep(0)
    next_one = asyncio.create_task(ask(bench))
    while store.reserved < 8:
        await asyncio.sleep(0.001)
    store.may_settle.set()
    assert (await next_one).status == 200, "the flush that was under way is waited for"
    await flushing
    assert len(await bench.documents()) == 5
    await store.close()


async def test_what_no_settlement_gives_back_is_refused_at_once(tmp_path: Path) -> None:
    store = CountingStore(tmp_path / "made.db")
    bench = AccountedBench(document(), [whole()], store)
    await bench.add_key(quota={"requests_per_minute": 1, "in_flight": 2})
    assert [(await ask(bench)).status for _ in range(2)] == [200, 429]
    assert store.reserved == 2
    await store.close()


async def test_what_comes_while_a_flush_writes_is_written_where_a_door_asks_for_it(tmp_path: Path) -> None:
    store = CountingStore(tmp_path / "made.db")
    bench = AccountedBench(document(), [whole()] * 3, store)
    await bench.add_key(quota={"in_flight": 9})
    assert (await ask(bench)).status == 200
    store.may_settle.clear()
    flushing = asyncio.create_task(bench.accounts.flush())
    await asyncio.sleep(0)
    assert (await ask(bench)).status == 200
    await bench.accounts.flush()  # it leaves it to the one that writes
    assert (await ask(bench)).status == 200
    store.may_settle.set()
    await flushing
    assert len(list(await store.read_all("usage:2023-11-14"))) == 3
    await store.close()


class GatedStore(SqliteStore):
    """Writes records, and notes where `notes` says so, as often as it is let."""

    def __init__(self, path: Path, notes: bool = False) -> None:
        super().__init__(path)
        self.gate = asyncio.Semaphore(0)
        self.gated = "notes:" if notes else "usage:"

    async def write(
        self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None = None
    ) -> None:
        if folder.startswith(self.gated):
            await self.gate.acquire()
        await super().write(folder, documents, expires)


async def test_nobody_waits_for_more_than_what_was_there_when_they_asked(tmp_path: Path) -> None:
    """Others' answers end all the time, so that whoever writes their records is never done."""
    store = GatedStore(tmp_path / "made.db")
    bench = AccountedBench(document(), [whole()] * 9, store)
    await bench.add_key("sk-sky-others")
    await bench.add_key(quota={"in_flight": 1}, id="key_one")
    full = Hold("taken", (Charge("in_flight:key:key_one:", 1, 1),), bench.clock.time() + 900)
    assert isinstance(await store.reserve(full, bench.clock.time()), Taken)
    assert (await ask(bench, key="sk-sky-others")).status == 200
    flushing = asyncio.create_task(bench.accounts.flush())
    await asyncio.sleep(0)
    refused = asyncio.create_task(ask(bench))
    for _ in range(3):
        while bench.accounts._waiting:
            await asyncio.sleep(0.001)
        assert (await ask(bench, key="sk-sky-others")).status == 200
        await bench.accounts.flush()  # it leaves it to the one that writes
        store.gate.release()
    assert (await asyncio.wait_for(refused, 30)).status == 429
    assert not flushing.done()
    store.gate = asyncio.Semaphore(9)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    assert len(await bench.documents()) == 5
    await store.close()


async def test_a_client_that_leaves_while_others_are_settled_for_it_harms_nothing(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "made.db", notes=True)
    bench = AccountedBench(document(quotas={"note_seconds": 0}), [whole()] * 2, store)
    await bench.add_key(quota={"in_flight": 1})
    bench.gateway.ports.transports = {"http": NotedTransport(bench)}
    assert (await ask(bench)).status == 200
    leaving = asyncio.create_task(ask(bench))
    while bench.accounts._writer is None or bench.accounts._waiting:
        await asyncio.sleep(0.001)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    last = asyncio.create_task(bench.accounts.flush())
    await asyncio.sleep(0)
    assert not last.done(), "what nobody else waits for it does"
    store.gate.release()
    await last
    assert bench.accounts._writer is None
    assert sorted(row["outcome"] for row in await bench.documents()) == ["abandoned", "complete"]
    assert await store.read_all("notes:2023-11-14") == {}
    await store.close()


class NotedTransport:
    """Sends a request once it is being noted."""

    def __init__(self, bench: AccountedBench) -> None:
        self._bench = bench

    async def send(self, request: BackendRequest) -> Exchange:
        upkeep = self._bench.accounts._upkeep
        assert upkeep is not None
        while not upkeep._notes:
            await asyncio.sleep(0.001)
        return await self._bench.transport.send(request)


class SlowStore(SqliteStore):
    """It takes what is asked for, and does not say so."""

    taken = asyncio.Event()

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        await super().reserve(hold, now)
        self.taken.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody waits so long")


async def test_what_a_client_that_left_had_reserved_is_given_back(tmp_path: Path) -> None:
    """It left while the reservation was under way."""
    store = SlowStore(tmp_path / "made.db")
    bench = AccountedBench(document(quotas={"everyone": {"usd_total": 10**4, "in_flight": 3}}), [], store)
    await bench.add_key()
    asking = asyncio.create_task(ask(bench))
    await store.taken.wait()
    counters = ["usd_total:everyone::", "in_flight:everyone::"]
    assert (await store.totals(counters, bench.clock.time()))[counters[1]] == 1
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    (row,) = await bench.documents()
    assert row["outcome"] == "abandoned"
    assert await store.totals(counters, bench.clock.time()) == dict.fromkeys(counters, 0)
    await store.close()


async def test_who_is_named_is_not_among_the_others(store: SqliteStore) -> None:
    """An owner or a model that the operator lets free."""
    quotas = {"owners": {"team-a": {}, "*": {"usd_total": 0}}, "models": {"m": {}, "*": {"in_flight": 0}}}
    bench = AccountedBench(document(quotas=quotas), [whole()], store)
    await bench.add_key()
    assert (await ask(bench)).status == 200
    await bench.add_key("sk-sky-other", owner="team-b")
    assert (await ask(bench, key="sk-sky-other")).status == 429


async def test_long_names_that_clients_make_up_are_counted_and_not_remembered(store: SqliteStore) -> None:
    made = document(quotas={"models": {"*": {"requests_per_minute": 1}}})
    made["models"] = {"m*": made["models"]["m"]}
    bench = AccountedBench(made, [whole()] * 2, store)
    await bench.add_key()
    for name, remembered in (("m-short", 1), ("m" * 5000, 1)):
        body = request_body("messages").replace(b'"m"', json.dumps(name).encode(), 1)
        statuses = [(await bench.post(path_of("messages"), body, x_api_key=SECRET)).status for _ in range(2)]
        assert statuses == [200, 429] and len(bench.accounts._known) == remembered


async def test_a_budget_needs_a_price(store: SqliteStore) -> None:
    bench = AccountedBench(document(prices={}), [whole()], store)
    await bench.add_key(quota={"usd_total": 5})
    refused = await ask(bench)
    assert refused.status == 503 and b"No price is known for 'm'" in await body_of(refused)
    await bench.add_key("sk-sky-free")
    answer = await ask(bench, key="sk-sky-free")
    assert answer.status == 200 and answer.header("x-skybridge-cost-usd") is None


async def test_counting_tokens_takes_none_and_costs_nothing(store: SqliteStore) -> None:
    """Who has spent everything, or has a budget and no price, can still be told how long a prompt is."""
    counted = Play(headers=JSON_HEADERS, chunks=[b'{"input_tokens":3}'])
    bench = AccountedBench(document(prices={}), [counted] * 2, store)
    await bench.add_key(quota={"usd_total": 0, "tokens_per_day": 0, "requests_per_minute": 1})
    statuses = []
    for _ in range(2):
        answer = await bench.post("/v1/messages/count_tokens", request_body("messages"), x_api_key=SECRET)
        statuses.append(answer.status)
    assert statuses == [200, 429]


async def test_200_callers_at_once_overspend_nothing(store: SqliteStore) -> None:
    bench = AccountedBench(document(quotas={"everyone": {"usd_per_day": 20_000}}), [whole()] * 200, store)
    await bench.add_key()

    async def call() -> int:
        response = await ask(bench)
        await bench.accounts.flush()
        return response.status

    statuses = await asyncio.gather(*(call() for _ in range(200)))
    await bench.accounts.flush()
    spent = (await store.totals(["usd_per_day:everyone::2023-11-14"], bench.clock.time())).popitem()[1]
    assert statuses.count(200) > 0 and set(statuses) <= {200, 429}
    assert spent == statuses.count(200) * 7 * 10**12 <= 20_000 * 10**12


async def test_failed_abandoned_and_cut_requests_are_recorded(store: SqliteStore) -> None:
    frames = stream_frames("messages")
    plays = [
        Play(500, JSON_HEADERS, [b"{}"]), Play(chunks=frames), Play(chunks=[*frames[:3], ConnectionError("gone")][:3]),
    ]  # fmt: skip
    bench = AccountedBench(document(), plays, store)
    await bench.add_key(quota={"usd_total": 10**16})
    assert (await ask(bench)).status == 500
    left = await ask(bench, stream=True)
    assert not isinstance(left.body, bytes)
    await left.body.aclose()
    await body_of(await ask(bench, stream=True))
    rows = await bench.documents()
    assert sorted(row["outcome"] for row in rows) == ["abandoned", "cut", "failed"]


async def test_a_stream_that_was_left_before_it_counted_is_estimated(store: SqliteStore) -> None:
    frames = stream_frames("chat_completions")
    bench = AccountedBench(document("chat_completions"), [Play(chunks=[*frames[:2], 99.0])], store)
    await bench.add_key()
    response = await ask(bench, "chat_completions", stream=True)
    assert not isinstance(response.body, bytes)
    stream = aiter(response.body)
    await anext(stream)
    await stream.aclose()
    (row,) = await bench.documents()
    assert row["outcome"] == "abandoned" and row["input_tokens"] > 0
    assert any("estimated" in error for error in row["errors"])


async def test_who_leaves_before_the_answer_has_had_the_prompt_read(store: SqliteStore) -> None:
    """What a backend was at work on is estimated, what none was asked for is not, and what it has said is believed."""
    leaves: Any = KeyboardInterrupt()
    plays = [Play(head_fault=leaves), Play(connect=leaves), Play(chunks=stream_frames("messages"))]
    bench = AccountedBench(document(), plays, store)
    await bench.add_key()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            await ask(bench)
    begun = await ask(bench, stream=True)
    assert not isinstance(begun.body, bytes)
    await begun.body.aclose()
    rows = {row["id"]: row for row in await bench.documents()}
    estimated, unasked, told = (rows[record.request_id] for record in bench.records)
    assert [(row["status"], row["outcome"]) for row in rows.values()] == [(499, "abandoned")] * 3
    assert estimated["input_tokens"] > 0 and "usage estimated" in estimated["errors"][0] and estimated["cost"] > 0
    assert unasked["input_tokens"] is None and unasked["errors"] == ["the client left while no backend was asked"]
    assert (told["input_tokens"], told["errors"]) == (5, [])


async def test_a_defect_is_no_leaving(store: SqliteStore) -> None:
    bench = AccountedBench(document(), [Play(connect=ZeroDivisionError())], store)
    await bench.add_key()
    with pytest.raises(ZeroDivisionError):
        await ask(bench)
    (row,) = await bench.documents()
    assert (row["status"], row["outcome"], row["errors"]) == (500, "failed", ["a defect: ZeroDivisionError"])


async def test_an_answer_that_nobody_counted_is_estimated(store: SqliteStore) -> None:
    answer = json.loads(answer_body("chat_completions"))
    del answer["usage"]
    plays = [Play(headers=JSON_HEADERS, chunks=[json.dumps(answer).encode()])]
    bench = AccountedBench(document("chat_completions"), plays, store)
    await bench.add_key()
    assert (await ask(bench, "chat_completions")).status == 200
    (row,) = await bench.documents()
    assert row["outcome"] == "complete" and row["cost"] == row["input_tokens"] * 10**12 > 0
    assert any("estimated" in error for error in row["errors"])


class DeadStore(SqliteStore):
    """A store that answers nothing any more, once `dead` is set."""

    dead = False

    async def read(self, folder: str, name: str) -> StoredDocument | None:
        self._check()
        return await super().read(folder, name)

    async def write(self, folder: str, documents: Mapping[str, Any], expires: float | None = None) -> None:
        self._check()
        await super().write(folder, documents, expires)

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        self._check()
        return await super().reserve(hold, now)

    async def read_all(self, folder: str) -> Mapping[str, StoredDocument]:
        self._check()
        return await super().read_all(folder)

    async def read_page(self, folder: str, after: str = "", most: int = 500) -> Mapping[str, StoredDocument]:
        self._check()
        return await super().read_page(folder, after, most)

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        self._check()
        return await super().totals(counters, now)

    async def purge(self, now: float) -> int:
        self._check()
        return await super().purge(now)

    def _check(self) -> None:
        if self.dead:
            raise StoreFault("the store is away")


async def test_a_dead_store_fails_open_for_limits_and_closed_for_budgets_and_keys(tmp_path: Path) -> None:
    store = DeadStore(tmp_path / "made.db")
    bench = AccountedBench(document(), [whole()] * 3, store)
    await bench.add_key(quota={"requests_per_minute": 5})
    await bench.add_key("sk-sky-budget", quota={"usd_total": 10**16})
    await bench.add_key("sk-sky-revoked", revoked=bench.clock.time())
    assert (await ask(bench, key="sk-sky-revoked")).status == 401
    assert (await ask(bench)).status == 200
    assert len(await bench.documents()) == 1
    store.dead = True
    bench.clock.now += 31
    assert (await ask(bench)).status == 200
    assert (await ask(bench, key="sk-sky-revoked")).status == 401
    assert (await ask(bench, key="sk-sky-budget")).status == 503
    assert (await ask(bench, key="sk-sky-never-seen")).status == 503
    faults = [fields for _, event, fields in bench.log.lines if event == "store_fault"]
    assert any(fields.get("metric") == "store_faults" for fields in faults)
    await bench.accounts.flush()  # does not raise, and loses nothing
    bench.clock.now += 300
    assert (await ask(bench)).status == 503
    store.dead = False
    assert len(await bench.documents()) == 2
    await store.close()


async def test_the_stance_may_be_closed(tmp_path: Path) -> None:
    store = DeadStore(tmp_path / "made.db")
    bench = AccountedBench(document(quotas={"on_store_fault": "closed", "keys": {"in_flight": 3}}), [], store)
    await bench.add_key()
    assert (await bench.get("/v1/models", x_api_key=SECRET)).status == 200
    store.dead = True
    assert (await ask(bench)).status == 503
    await store.close()


async def test_old_records_are_purged_once_a_day(tmp_path: Path) -> None:
    store = DeadStore(tmp_path / "made.db")
    bench = AccountedBench(document(), [], store)
    await store.write("usage:old", {"a": {}}, bench.clock.time() + 1)
    await bench.accounts.flush()
    assert await store.read_all("usage:old")
    bench.clock.now += 86_400
    store.dead = True
    await bench.accounts.flush()
    store.dead = False
    bench.clock.now += 86_400
    await bench.accounts.flush()
    assert not await store.read_all("usage:old")
    await store.close()


async def test_the_service_key_and_anonymous_callers(store: SqliteStore) -> None:
    bench = AccountedBench(document(), [whole()] * 2, store, AccessRules(("service",), stored=True))
    assert (await ask(bench, key="service")).status == 200
    assert (await ask(bench, key="wrong")).status == 401
    bench.gateway.rules = AccessRules()
    assert (await bench.post(path_of("messages"), request_body("messages"))).status == 200
    assert sorted(row["shown"] for row in await bench.documents()) == ["", "the service key"]


@pytest.mark.parametrize(
    ("policy", "stream", "times"),
    [
        ({}, True, 1), ({"hedge_after": 1.0}, True, 2), ({"continue": True}, True, 3),
        ({"continue": True, "hedge_after": 1.0}, True, 3), ({"continue": True, "hedge_after": 1.0}, False, 1),
    ],
)  # fmt: skip
async def test_what_may_be_answered_more_than_once_reserves_it(
    store: SqliteStore, policy: dict[str, Any], stream: bool, times: int
) -> None:
    made = document()
    row = made["models"]["m"]
    made["models"]["m"] = {"candidates": [{**row, "priority": number} for number in (1, 2, 3)], "policy": policy}
    bench = AccountedBench(made, [], store)
    await bench.add_key(quota={"tokens_per_day": 1})
    refused = await ask(bench, stream=stream)
    once = input_tokens(request_body("messages", stream=stream)) + 64
    assert f"may take {once * times}." in (await body_of(refused)).decode()


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"key": {}}, "quotas.key"),
        ({"on_store_fault": "maybe"}, "quotas.on_store_fault"),
        ({"shards": 0}, "quotas.shards"),
        ({"shards": 17}, "quotas.shards"),
        ({"shards": "4"}, "quotas.shards"),
        ({"lease_seconds": 0}, "quotas.lease_seconds"),
        ({"lease_seconds": float("inf")}, "quotas.lease_seconds"),
        ({"note_seconds": float("nan")}, "quotas.note_seconds"),
        ({"note_seconds": -1}, "quotas.note_seconds"),
        ({"owners": {"a": {"rpm": 1}}}, "quotas.owners.a.rpm"),
        ({"models": 3}, ""),
        ({"everyone": {"in_flight": "x"}}, "quotas.everyone.in_flight"),
    ],
)
def test_quotas_that_cannot_be_read(section: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_quotas(section)
    assert key in str(caught.value)


async def test_usage_is_read_over_http(tmp_path: Path) -> None:
    store = DeadStore(tmp_path / "made.db")
    bench = AccountedBench(document(), [whole()] * 3, store, AccessRules(("service",), stored=True))
    await bench.add_key()
    for key in (SECRET, SECRET, "service"):
        assert (await ask(bench, key=key)).status == 200
    await bench.accounts.flush()

    async def usage(query: str, key: str) -> Response:
        return await bench.gateway.handle(Request("GET", "/api/v1/usage", query, {"x-api-key": key}))

    own = json.loads(await body_of(await usage("by=key,model&days=2", SECRET)))
    assert [(row["requests"], row["cost"], row["model"]) for row in own["data"]] == [(2, "14", "m")]
    everything = json.loads(await body_of(await usage("", "service")))
    assert [(row["day"], row["requests"]) for row in everything["data"]] == [("2023-11-14", 3)]
    for query in ("by=moon", "days=x", "days=0", "days=999", "colour=red"):
        assert (await usage(query, "service")).status == 400
    assert (await usage("", "wrong")).status == 401
    store.dead = True
    assert (await usage("", "service")).status == 503
    await store.close()
    bench.accounts._store = None
    assert (await usage("", "service")).status == 503
    bench.gateway.ports.accounts = None
    assert (await usage("", "service")).status == 503


async def test_a_caller_is_told_what_is_left(tmp_path: Path) -> None:
    store = DeadStore(tmp_path / "made.db")
    quotas = {"models": {"m": {"requests_per_minute": 3}}, "everyone": {"usd_per_day": 20_000}}
    bench = AccountedBench(document(quotas=quotas), [whole()], store)
    key = await bench.add_key(quota={"requests_per_minute": 60})
    assert (await ask(bench)).status == 200
    await bench.accounts.flush()
    left = await bench.accounts.quotas_left(key.caller(), ["m", "other"])
    here, elsewhere = left["m"], left["other"]
    assert here is not None and elsewhere is not None
    assert (here["requests_per_minute"]["remaining"], here["requests_per_minute"]["of"]) == (2, "model m")
    assert (elsewhere["requests_per_minute"]["remaining"], elsewhere["requests_per_minute"]["limit"]) == (59, 60)
    assert here["usd_per_day"]["used"] == 7.0 and here["usd_per_day"]["resets"] == 1_700_006_400.0
    store.dead = True
    assert await bench.accounts.quotas_left(key.caller(), ["m"]) == {"m": None}
    await store.close()


async def test_who_is_not_limited_has_no_quota(store: SqliteStore) -> None:
    bench = AccountedBench(document(), [], store)
    key = await bench.add_key()
    assert await bench.accounts.quotas_left(key.caller(), ["m"]) == {"m": None}


async def test_what_anthropic_uses_beside_its_answer_is_billed(store: SqliteStore) -> None:
    """A compaction costs what the model does, an advisor what its own does; neither is in the answer's counts."""
    entries: list[Any] = [
        {"type": "compaction", "input_tokens": 180, "output_tokens": 3},
        {"type": "message", "input_tokens": 5, "output_tokens": 2},
        {"type": "advisor_message", "model": "wise", "input_tokens": 10, "output_tokens": 1},
        {"type": "advisor_message", "model": "wise"}, "odd", {},
    ]  # fmt: skip
    answers = []
    for iterations in (entries, None, {"type": "compaction"}):
        answer = json.loads(answer_body("messages"))
        answer["usage"]["iterations"] = iterations
        answers.append(Play(headers=JSON_HEADERS, chunks=[json.dumps(answer).encode()]))
    prices = {**DOLLAR, "wise": {"input": 10_000_000, "output": 10_000_000}}
    bench = AccountedBench(document(prices=prices), answers, store)
    key = await bench.add_key(quota={"usd_per_day": 10**18})
    for _ in answers:
        await ask(bench)
    rows = await bench.documents()
    assert sorted((row["input_tokens"], row["wasted_tokens"], row["wasted_cost"]) for row in rows) == [
        (5, 0, 0), (5, 0, 0), (5, 194, (183 + 110) * 10**12),
    ]  # fmt: skip
    left = (await bench.accounts.quotas_left(key.caller(), ["m"]))["m"]
    assert left is not None and left["usd_per_day"]["used"] == 7 * 3 + 183 + 110


@pytest.mark.parametrize(
    ("format_name", "stream"), [("messages", False), ("messages", True), ("chat_completions", False)]
)
async def test_a_fast_answer_has_its_own_price(store: SqliteStore, format_name: str, stream: bool) -> None:
    prices = {"m": {**DOLLAR["m"], "tiers": {"fast": 2}}}
    chunks = stream_frames("messages") if stream else [answer_body("messages")]
    members = b'"service_tier":"standard","speed":"fast","input_tokens":'
    said = [chunk.replace(b'"input_tokens":', members) for chunk in chunks]
    headers = {"content-type": "text/event-stream"} if stream else JSON_HEADERS
    bench = AccountedBench(document(prices=prices), [Play(headers=headers, chunks=said)] * 2, store)
    await bench.add_key(quota={"usd_per_day": 10**18})
    body = json.loads(request_body(format_name, stream=stream))
    if format_name == "messages":
        body["speed"] = "fast"
    response = await bench.post(path_of(format_name), json.dumps(body).encode(), authorization=f"Bearer {SECRET}")
    await body_of(response)
    (row,) = await bench.documents()
    assert row["cost"] == 14 * 10**12


async def test_what_a_refused_answer_says_that_it_used_is_on_the_bill(store: SqliteStore) -> None:
    failed = {
        "id": "resp_1", "object": "response", "status": "failed", "error": {"code": "server_error", "message": "no"},
        "model": "m", "output": [], "usage": {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
    }  # fmt: skip
    backend = {"type": TYPES["responses"], "base_url": "http://b1/v1", "api_key": "k", "formats": ["responses"]}
    row = {"candidates": [{"backend": "b1", "api_model": "m"}, {"backend": "b2", "api_model": "m"}]}
    made = {"backends": {"b1": backend, "b2": {**backend, "base_url": "http://b2/v1"}}, "models": {"m": row}}
    plays = [Play(headers=JSON_HEADERS, chunks=[json.dumps(failed).encode()]), whole("responses")]
    bench = AccountedBench({**made, "prices": DOLLAR}, plays, store)
    await bench.add_key()
    assert (await ask(bench)).status == 200
    (document_,) = await bench.documents()
    assert (document_["attempts"], document_["wasted_tokens"]) == (2, 110)
    assert document_["wasted_cost"] == 110 * 10**12
