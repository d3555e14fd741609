"""Stores that do not answer as they should: dead, throttled, contended, of another version. Each call ends in time."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from core.configuration import ConfigurationError, read_configuration
from core.ports import BackendRequest, Charge, Hold, StoreFault, Taken
from core.usage import UsageRecord
from handlers.io import sqlite_store, table_counters
from handlers.io.sqlite_store import SqliteStore
from handlers.stores import Machine, make_accounts, open_store
from tests.gateways import RecordingLog
from tests.scripted import FixedRandom, Play, ScriptedExchange, ScriptedTransport, VirtualClock, refused

HOLD = Hold("r1", (Charge("usd_total:key:k:", 1, 10), Charge("in_flight:key:k:", 1, 10)), 5000.0)
DYNAMO = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1",
}  # fmt: skip
TABLES = {"AZURE_STORAGE_KEY": "a2V5"}
PLACES = {
    "dynamodb": ("dynamodb:skybridge", DYNAMO),
    "tables": ("azure-table:https://acct.table.core.windows.net/skybridge", TABLES),
}


VERSION_1 = {
    "dynamodb": Play(200, {}, [b'{"Item": {"body": {"S": "{\\"version\\": 1}"}}}']),
    "tables": Play(200, {}, [b'{"body0": "{\\"version\\": 1}"}']),
}


def play(status: int, body: Any = None, **headers: str) -> Play:
    return Play(status, headers, [json.dumps(body or {}).encode()])


def opened(
    kind: str, plays: list[Play], variables: dict[str, str] | None = None, *, checked: bool = True
) -> tuple[Any, ScriptedTransport]:
    """A store over scripted answers; its schema was looked at before."""
    place, settings = PLACES[kind]
    clock = VirtualClock()
    transport = ScriptedTransport(plays, clock)
    environment = settings if variables is None else variables
    store: Any = open_store(place, Machine(environment, transport, clock, FixedRandom()))
    store._schema._checked = checked
    return store, transport


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_a_dead_service_is_given_up_in_time(kind: str) -> None:
    store, transport = opened(kind, [Play(connect=refused())] * 50)
    with pytest.raises(StoreFault, match="connection refused"):
        await store.reserve(HOLD, 1000.0)
    assert transport.clock.now <= 1000.0 + 2 * 2.0


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_a_silent_service_is_given_up_in_time(kind: str) -> None:
    for silent in (Play(head_delay=60.0), Play(chunks=[60.0])):
        store, transport = opened(kind, [silent] * 9)
        with pytest.raises(StoreFault, match="in time"):
            await store.read("keys", "a")
        assert transport.clock.now <= 1002.0


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_throttling_passes(kind: str) -> None:
    throttled = {
        "dynamodb": play(400, {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}),
        "tables": play(429),
    }[kind]
    store, transport = opened(kind, [throttled, play(503), play(404) if kind == "tables" else play(200)])
    assert await store.read("keys", "a") is None
    assert len(transport.requests) == 3


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_a_refusal_is_told(kind: str) -> None:
    refusal = play(400, {"__type": "x#ValidationException"}) if kind == "dynamodb" else play(403)
    store, _ = opened(kind, [refusal] * 40)
    calls = (
        lambda: store.read("keys", "a"), store.prepare, lambda: store.write("keys", {"a": {}}),
        lambda: store.reserve(HOLD, 1.0), lambda: store.delete("keys", "a"), lambda: store.totals(["c"], 1.0),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(StoreFault, match="403|ValidationException"):
            await call()


async def test_what_is_no_json_is_told() -> None:
    store, _ = opened("dynamodb", [Play(400, {}, [b"<html>"])])
    with pytest.raises(StoreFault, match="status 400"):
        await store.read("keys", "a")


async def test_an_answer_that_never_ends_is_cut_off() -> None:
    store, _ = opened("dynamodb", [Play(chunks=[b"x" * 9_000_000] * 3)] * 9)
    with pytest.raises(StoreFault, match="too long"):
        await store.read("keys", "a")


async def test_one_charge_that_fails_gives_the_other_back() -> None:
    plays = [play(200), play(400, {"__type": "x#ValidationException"}), play(200)]
    store, transport = opened("dynamodb", plays)
    with pytest.raises(StoreFault):
        await store.reserve(HOLD, 1000.0)
    assert b"REMOVE #h" in transport.requests[2].body


async def test_unprocessed_items_are_sent_again() -> None:
    left = {"UnprocessedItems": {"skybridge": [{"PutRequest": {"Item": {}}}]}}
    store, transport = opened("dynamodb", [play(200, left), play(200)])
    await store.write("usage", {"a": {}})
    assert len(transport.requests) == 2
    store, _ = opened("dynamodb", [play(200, left)] * 30)
    with pytest.raises(StoreFault, match="does not take writes"):
        await store.write("usage", {"a": {}})


async def test_counters_that_were_not_read_are_asked_for_again() -> None:
    def read(name: str, **more: Any) -> Play:
        return play(200, {"Responses": {"skybridge": [{"pk": {"S": f"c:{name}"}, "total": {"N": "7"}}]}, **more})

    left = {"UnprocessedKeys": {"skybridge": {"Keys": [{"pk": {"S": "c:b"}, "sk": {"S": "-"}}]}}}
    store, transport = opened("dynamodb", [read("a", **left), read("b")])
    assert await store.totals(("a", "b"), 0.0) == {"a": 7, "b": 7}
    assert b"c:a" not in transport.requests[1].body
    store, _ = opened("dynamodb", [read("a", **left)] * 30)
    with pytest.raises(StoreFault, match="does not answer reads"):
        await store.totals(("a", "b"), 0.0)


async def test_pages_are_followed() -> None:
    def page(name: str, **more: Any) -> dict[str, Any]:
        return {"Items": [{"sk": {"S": name}, "body": {"S": "{}"}}], **more}

    store, _ = opened("dynamodb", [play(200, page("a", LastEvaluatedKey={"pk": {"S": "x"}})), play(200, page("b"))])
    assert set(await store.read_all("usage")) == {"a", "b"}
    rows = [{"value": [{"RowKey": name, "body0": "{}"}]} for name in ("a", "b")]
    more = {"x-ms-continuation-nextpartitionkey": "p", "x-ms-continuation-nextrowkey": "r"}
    tables, transport = opened("tables", [play(200, rows[0], **more), play(200, rows[1])])
    assert set(await tables.read_all("usage")) == {"a", "b"}
    assert "NextPartitionKey=p&NextRowKey=r" in transport.requests[1].url


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_endless_contention_is_a_fault(kind: str) -> None:
    conflict = {
        "dynamodb": [play(400, {"__type": "x#ConditionalCheckFailedException", "Item": {
            "total": {"N": "10"}, "h:old": {"M": {"a": {"N": "5"}, "l": {"N": "1"}}}}})] * 80,
        "tables": [play(404), play(409)] * 80,
    }[kind]  # fmt: skip
    store, _ = opened(kind, conflict)
    with pytest.raises(StoreFault, match="too contended"):
        await store.reserve(Hold("r1", HOLD.charges[:1], 5000.0), 1000.0)


CHARGE = Charge("usd_total:everyone::", 1, 100)


def one_hold(name: str) -> Hold:
    return Hold(name, (CHARGE,), 5000.0)


async def test_a_counter_that_is_throttled_is_spread() -> None:
    """DynamoDB: the next charge of this process goes to its shard; there is none yet, so it is granted some room."""
    throttled = play(400, {"__type": "x#ThrottlingException"})
    taken = play(200, {"Attributes": {"total": {"N": "7"}}})
    missing = play(400, {"__type": "x#ConditionalCheckFailedException"})
    cancelled = play(400, {"__type": "x#TransactionCanceledException"})
    items = play(200, {"Responses": [{"Item": {"total": {"N": "7"}}}, *[{}] * 16]})
    store, transport = opened(
        "dynamodb", [throttled, taken, missing, cancelled, items, cancelled, items, play(200), play(200)]
    )
    assert await store.reserve(one_hold("r1"), 1000.0) == Taken({CHARGE.counter: 7})
    assert await store.reserve(one_hold("r2"), 1000.0) == Taken({CHARGE.counter: 8})
    assert await store.reserve(one_hold("r3"), 1000.0) == Taken({CHARGE.counter: 9})
    operations = [dict(each.headers)["x-amz-target"].partition(".")[2] for each in transport.requests]
    assert operations == [
        "UpdateItem", "UpdateItem", "UpdateItem", "TransactGetItems", "TransactGetItems", "TransactWriteItems",
        "TransactGetItems", "TransactWriteItems", "UpdateItem",
    ]  # fmt: skip
    assert b"c:usd_total:everyone::#4" in transport.requests[2].body


async def test_a_counter_whose_writes_collide_is_spread() -> None:
    """Table Storage."""
    own = play(200, {"total": "7", "holds0": "{}"}, etag="made")
    whole = {"PartitionKey": "c-x", "RowKey": "-", "total": "8", "holds0": "{}", "odata.etag": "made"}
    batch = Play(202, {}, [b"--b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n--b--"])
    conflict = Play(202, {}, [b"--b\r\n\r\nHTTP/1.1 412 Precondition Failed\r\n\r\n--b--"])
    rows = play(200, {"value": [whole]})
    store, transport = opened("tables", [own, play(412), own, play(204), play(404), rows, conflict, rows, batch])
    assert await store.reserve(one_hold("r1"), 1000.0) == Taken({CHARGE.counter: 8})
    assert await store.reserve(one_hold("r2"), 1000.0) == Taken({CHARGE.counter: 9})
    assert "RowKey='s4'" in transport.requests[4].url and transport.requests[-1].url.endswith("/$batch")


def entity(total: int, **headers: str) -> Play:
    return play(200, {"total": str(total), "holds0": "{}"}, **headers)


@pytest.mark.parametrize("odd", [{}, {"total": "x"}, {"total": None}, {"total": "1", "holds0": "{"}])
async def test_what_somebody_else_wrote_as_a_counter_keeps_nobody_waiting(odd: dict[str, Any]) -> None:
    """Table Storage, where the changes of a counter wait for those before them."""
    store, _ = opened("tables", [play(200, {"holds0": "{}", **odd})] * 2)
    for number in range(2):
        with pytest.raises(StoreFault, match="is no counter"):
            await asyncio.wait_for(store.reserve(one_hold(f"r{number}"), 1000.0), 30)


async def test_a_process_that_is_alone_with_a_counter_need_not_read_it() -> None:
    """Table Storage: one round trip, until another process is found to write too."""
    plays = [entity(7, etag="e0"), play(204, etag="e1"), play(204, etag="e2")]
    plays += [play(412), entity(50, etag="e9"), play(204, etag="e10"), entity(51, etag="e10"), play(204, etag="e11")]
    store, transport = opened("tables", plays)
    for number, stands_at in enumerate((8, 9, 51, 52)):
        assert await store.reserve(one_hold(f"r{number}"), 1000.0) == Taken({CHARGE.counter: stands_at})
    methods = [request.method for request in transport.requests]
    assert methods == ["GET", "PUT", "PUT", "PUT", "GET", "PUT", "GET", "PUT"]
    assert dict(transport.requests[2].headers)["if-match"] == "e1"


async def test_a_refusal_is_of_what_stands_there_now() -> None:
    """What the process remembers may be over: others have given something back."""
    store, transport = opened("tables", [entity(99, etag="e0"), play(204, etag="e1"), entity(20, etag="e5"), play(204)])
    assert await store.reserve(one_hold("r1"), 1000.0) == Taken({CHARGE.counter: 100})
    assert await store.reserve(one_hold("r2"), 1000.0) == Taken({CHARGE.counter: 21})
    assert [request.method for request in transport.requests] == ["GET", "PUT", "GET", "PUT"]


async def test_what_is_remembered_is_forgotten_where_a_write_is_unclear() -> None:
    lost = Play(connect=refused())
    store, transport = opened("tables", [entity(7, etag="e0"), play(204, etag="e1"), *[lost] * 40])
    await store.reserve(one_hold("r1"), 1000.0)
    with pytest.raises(StoreFault):
        await store.reserve(one_hold("r2"), 1000.0)
    transport._plays[:] = [entity(8, etag="e1"), play(204, etag="e2")]
    assert await store.reserve(one_hold("r3"), 1000.0) == Taken({CHARGE.counter: 9})


async def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_counters, "_REMEMBERED", 2)
    store, _ = opened("tables", [entity(7, etag="e0"), play(204, etag="e1")] * 5)
    for number in range(5):
        await store.reserve(Hold("r", (Charge(f"usd_total:key:k{number}:", 1, 100),), 5000.0), 1000.0)
    assert len(store._counters.written) == 2
    store._counters.shared.update(("a", str(number)) for number in range(3))
    store._counters._remember(("b", "-"), next(iter(store._counters.written.values())))
    assert len(store._counters.shared) == 0 and len(store._counters.written) == 2


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_room_that_cannot_be_moved_is_told(kind: str) -> None:
    """Refused, or contended without end."""
    missing = play(400, {"__type": "x#ConditionalCheckFailedException"}) if kind == "dynamodb" else play(404)
    entity = {"RowKey": "-", "total": "7", "holds0": "{}", "odata.etag": "made"}
    found, refused_batch, busy_batch = {
        "dynamodb": (
            play(200, {"Responses": [{"Item": {"total": {"N": "7"}}}]}), play(400, {"__type": "x#ValidationException"}),
            play(400, {"__type": "x#TransactionCanceledException"}),
        ),
        "tables": (
            play(200, {"value": [entity]}), Play(202, {}, [b"HTTP/1.1 403 Forbidden"]),
            Play(202, {}, [b"HTTP/1.1 412 Precondition Failed"]),
        ),
    }[kind]  # fmt: skip
    plays = {
        "TransactWriteItems answered Validation|403": [missing, found, refused_batch],
        "too contended": [missing, *[found, busy_batch] * 60],
        "TransactGetItems answered Validation|answered with 403": [
            missing, play(403) if kind == "tables" else refused_batch,
        ],
    }  # fmt: skip
    if kind == "dynamodb":
        plays["is too contended"] = [missing, *[busy_batch] * 60]
    for words, answers in plays.items():
        store, _ = opened(kind, answers)
        store._counters.spread.heat(CHARGE.counter, 7)
        with pytest.raises(StoreFault, match=words):
            await store.reserve(one_hold("r1"), 1000.0)


async def test_a_table_that_is_being_made_is_waited_for() -> None:
    creating, active = ({"Table": {"TableStatus": status}} for status in ("CREATING", "ACTIVE"))
    missing = play(400, {"__type": "x#ResourceNotFoundException"})
    making = [missing, play(200), play(200, creating), play(200, active)]
    store, _ = opened("dynamodb", [*making, play(200), VERSION_1["dynamodb"]])
    await store.prepare()
    store, _ = opened("dynamodb", [*making, play(400, {"__type": "x#AccessDeniedException"})])
    with pytest.raises(StoreFault, match="UpdateTimeToLive answered AccessDenied"):
        await store.prepare()
    store, _ = opened("dynamodb", [missing, play(200), *[play(200, creating)] * 30])
    with pytest.raises(StoreFault, match="does not become active"):
        await store.prepare()
    store, _ = opened("dynamodb", [missing, play(400, {"__type": "x#LimitExceededException"})])
    with pytest.raises(StoreFault, match="CreateTable answered LimitExceeded"):
        await store.prepare()


async def test_tables_are_reached_with_the_managed_identity() -> None:
    identity = {"IDENTITY_ENDPOINT": "http://127.0.0.1:42356/msi/token", "IDENTITY_HEADER": "h", "AZURE_CLIENT_ID": "c"}
    token = play(200, {"access_token": "made-token", "expires_on": "1800000000"})
    store, transport = opened("tables", [token, play(404)], identity)
    assert await store.read("keys", "a") is None
    assert "resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=c" in transport.requests[0].url
    assert ("authorization", "Bearer made-token") in transport.requests[1].headers
    with pytest.raises(StoreFault, match="Azure table skybridge: IDENTITY_ENDPOINT"):
        await opened("tables", [], {})[0].read("keys", "a")


async def test_dynamodb_is_signed_for_its_region() -> None:
    store, transport = opened("dynamodb", [play(200)])
    assert await store.read("keys", "a") is None
    (request,) = transport.requests
    assert request.url == "https://dynamodb.eu-west-1.amazonaws.com/"
    assert "/eu-west-1/dynamodb/aws4_request" in dict(request.headers)["authorization"]


async def test_an_older_sqlite_file_is_brought_forward_and_a_newer_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.db"
    connection = sqlite3.connect(path)
    for statement in sqlite_store.MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("INSERT INTO documents VALUES ('keys', 'a', '{\"n\": 1}', NULL)")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    store = SqliteStore(path)
    await store.prepare()
    assert await store.read("keys", "a") == {"n": 1}
    await store.close()
    assert connection.execute("PRAGMA user_version").fetchone() == (len(sqlite_store.MIGRATIONS),)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    newer = SqliteStore(path)
    with pytest.raises(StoreFault, match="schema 99"):
        await newer.prepare()
    await newer.close()


async def test_a_sqlite_file_that_somebody_holds_is_given_up_in_time(tmp_path: Path) -> None:
    """However many calls wait for it: each its own time, not one after the other."""
    store = SqliteStore(tmp_path / "made.db", busy_seconds=0.05)
    await store.prepare()
    other = sqlite3.connect(tmp_path / "made.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(5):
        waiting = []
        for number in range(100):
            hold = Hold(f"r{number}", HOLD.charges, 5000.0)
            waiting.append(asyncio.create_task(store.reserve(hold, 1.0)))
            await asyncio.sleep(0)  # a transaction of its own
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreFault}
    assert {str(outcome).rpartition(": ")[2] for outcome in outcomes} == {
        "database is locked", "too many calls wait for it",
    }  # fmt: skip
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(await store.reserve(HOLD, 1.0), Taken)
    await store.close()


async def test_a_sqlite_file_that_was_opened_by_half_is_opened(tmp_path: Path) -> None:
    """Files ran out between its two connections."""
    await asyncio.get_running_loop().run_in_executor(None, int)  # what a thread takes is there
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    failed = 0
    for more in range(8):
        store = SqliteStore(tmp_path / f"{more}.db")
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, hard))
        try:
            with suppress(StoreFault):
                await store.prepare()
                failed -= 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        failed += 1
        await store.write("a", {"b": {"n": more}})
        assert await store.read("a", "b") == {"n": more}
        await store.close()
    assert 2 < failed < 8


def test_quotas_need_a_store_and_tokens_an_audience() -> None:
    clock = VirtualClock()
    variables = {"SKYBRIDGE_OIDC_ISSUER": "https://issuer.example"}
    machine = Machine(variables, ScriptedTransport([], clock), clock, FixedRandom())
    configuration = read_configuration({"quotas": {"keys": {"in_flight": 1}}}, {})
    with pytest.raises(ConfigurationError, match="need a store"):
        make_accounts(configuration, "", machine, RecordingLog())
    with pytest.raises(ConfigurationError, match="SKYBRIDGE_OIDC_AUDIENCE"):
        make_accounts(read_configuration({}, {}), "", machine, RecordingLog())
    wrong = read_configuration({"prices": {"m": {"input": 1}}}, {})
    with pytest.raises(ConfigurationError, match=r"prices\.m"):
        make_accounts(wrong, "", Machine({}, machine.transport, machine.clock, machine.random), RecordingLog())


class TogetherTransport(ScriptedTransport):
    """Answers nobody before so many requests are under way at once: first `parties[0]`, then `parties[1]`, ..."""

    def __init__(self, plays: list[Play], clock: VirtualClock, *parties: int) -> None:
        super().__init__(plays, clock)
        self._barriers = [barrier for each in parties for barrier in [asyncio.Barrier(each)] * each]

    async def send(self, request: BackendRequest) -> ScriptedExchange:
        barrier = self._barriers.pop(0)
        exchange = await super().send(request)
        await barrier.wait()
        return exchange


async def test_every_charge_of_a_request_goes_out_in_one_round_trip() -> None:
    """In a process that has just started the schema's version is asked for beside them."""
    clock = VirtualClock()
    transport = TogetherTransport([VERSION_1["dynamodb"], *[play(200)] * 4], clock, 3, 2)
    store = open_store(PLACES["dynamodb"][0], Machine(DYNAMO, transport, clock, FixedRandom()))
    async with asyncio.timeout(5):
        for _ in range(2):
            assert isinstance(await store.reserve(HOLD, 1000.0), Taken)


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_the_first_key_is_looked_up_beside_the_schemas_version(kind: str) -> None:
    clock = VirtualClock()
    transport = TogetherTransport([VERSION_1[kind], play(404 if kind == "tables" else 200)], clock, 2)
    store = open_store(PLACES[kind][0], Machine(PLACES[kind][1], transport, clock, FixedRandom()))
    async with asyncio.timeout(5):
        assert await store.read("keys", "a") is None
    assert len(transport.requests) == 2


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_a_first_call_that_fails_does_not_pass_for_checked(kind: str) -> None:
    refusal = play(400, {"__type": "x#ValidationException"}) if kind == "dynamodb" else play(403)
    missing = play(404) if kind == "tables" else play(200)
    store, transport = opened(kind, [refusal, missing, VERSION_1[kind], refusal, missing], checked=False)
    for _ in range(2):  # the check fails, then the call
        with pytest.raises(StoreFault, match="403|ValidationException"):
            await store.read("keys", "a")
    assert await store.read("keys", "a") is None and len(transport.requests) == 5


_PROCESS = """
import asyncio, sys
from pathlib import Path
from core.ports import Charge, Hold, Taken
from handlers.io.sqlite_store import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    holds = (Hold(f"{sys.argv[2]}-{n}", (Charge("usd", 3, 300, None),), 9e9) for n in range(100))
    outcomes = await asyncio.gather(*(store.reserve(hold, 1.0) for hold in holds))
    print(sum(isinstance(outcome, Taken) for outcome in outcomes))
    await store.close()

asyncio.run(main())
"""


async def test_several_processes_share_one_sqlite_file(tmp_path: Path) -> None:
    """Three processes that open and fill it at once: exactly what is affordable passes."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", _PROCESS, str(tmp_path / "made.db")]
    processes = [
        await asyncio.create_subprocess_exec(*arguments, name, env=environment, stdout=asyncio.subprocess.PIPE)
        for name in ("a", "b", "c")
    ]
    outputs = [await process.communicate() for process in processes]
    assert sum(int(output) for output, _ in outputs) == 100


@pytest.mark.parametrize("kind", PLACES)
async def test_a_store_without_a_credential_is_a_store_that_cannot_be_asked(kind: str) -> None:
    """Also where only the identity's endpoint is away: requests go on as `on_store_fault` says, records wait."""
    clock = VirtualClock()
    machine = Machine({"HOME": "/nowhere"}, ScriptedTransport([], clock), clock, FixedRandom(0.5))
    store = open_store(PLACES[kind][0], machine)
    with pytest.raises(StoreFault, match=r"table skybridge: (no AWS credentials|IDENTITY_ENDPOINT not set)"):
        await store.read("keys", "a")
    accounts = make_accounts(read_configuration({}, {}), PLACES[kind][0], machine, log := RecordingLog())
    accounts.record(UsageRecord("req_1", "generate", "messages", clock.time()))
    await accounts.flush()
    assert ("store_fault", "recording") in [(event, fields.get("during")) for _, event, fields in log.lines]
