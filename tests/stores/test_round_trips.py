"""How long a client waits for the store: counted in round trips, on a real store, before the backend is asked."""

from __future__ import annotations

from uuid import uuid4

import pytest

from core.ports import BackendRequest, Exchange, Head, Transport
from handlers.io.http_client import HttpTransport
from tests.gateways import body_of, path_of
from tests.handlers.accounted import SECRET, AccountedBench
from tests.samples import TYPES, answer_body, request_body
from tests.scripted import Play
from tests.stores import real_stores

JSON_HEADERS = {"content-type": "application/json"}
# Eight counters: four kinds of subject, two limits each.
TWO = {"requests_per_minute": 100, "tokens_per_day": 10**9}
QUOTAS = {"owners": {"*": TWO}, "models": {"m": TWO}, "everyone": TWO}


class Watched:
    """core.ports.Transport that notes in `events` when something is asked and when it is answered."""

    def __init__(self, transport: Transport, events: list[str], name: str) -> None:
        self._transport = transport
        self._events = events
        self._name = name

    async def send(self, request: BackendRequest) -> Exchange:
        self._events.append(f"{self._name} asked")
        return WatchedExchange(await self._transport.send(request), self._events, self._name)


class WatchedExchange:
    """core.ports.Exchange of a Watched."""

    def __init__(self, exchange: Exchange, events: list[str], name: str) -> None:
        self._exchange = exchange
        self._events = events
        self._name = name

    async def head(self, wait: float) -> Head | None:
        head = await self._exchange.head(wait)
        self._events.append(f"{self._name} answered")
        return head

    async def read(self, wait: float) -> bytes | None:
        return await self._exchange.read(wait)

    def close(self) -> None:
        self._exchange.close()


def round_trips(events: list[str]) -> tuple[int, int]:
    """Calls to the store before the backend was asked, and how many of them had to wait for another's answer."""
    before = events[: events.index("backend asked")]
    asked = [event for event in before if event == "store asked"]
    turns = sum(
        event == "store asked" and (place == 0 or before[place - 1] == "store answered")
        for place, event in enumerate(before)
    )
    return len(asked), turns


@pytest.mark.parametrize(("quotas", "calls"), [({"everyone": TWO}, 2), (QUOTAS, 8)])
async def test_round_trips_before_the_backend_is_asked(
    moto_server: str, quotas: dict[str, object], calls: int
) -> None:
    events: list[str] = []
    http = HttpTransport(environment={})
    store = real_stores.dynamo_store(http, moto_server, f"t{uuid4().hex}")
    await store.prepare()
    backend = {"type": TYPES["messages"], "base_url": "http://b1/v1", "api_key": "k"}
    row = {"backend": "b1", "api_model": "m", "max_tokens": 64}
    document = {"backends": {"b1": backend}, "models": {"m": row}, "quotas": quotas}
    serving = real_stores.dynamo_store(http, moto_server, store._table.name)
    bench = AccountedBench(document, [Play(headers=JSON_HEADERS, chunks=[answer_body("messages")])] * 3, serving)
    await bench.add_key(quota=TWO if quotas is QUOTAS else {})
    serving._schema._checked = False  # as in a process that has just started
    serving._table.client.transport = Watched(http, events, "store")
    bench.gateway.ports.transports = {"http": Watched(bench.transport, events, "backend")}
    found = []
    for _ in range(3):
        answer = await bench.post(path_of("messages"), request_body("messages"), x_api_key=SECRET)
        assert answer.status == 200, await body_of(answer)
        found.append(round_trips(events))
        await bench.accounts.flush()
        events.clear()
    # The key and, beside it, the schema's version; then every counter. With the key known, the counters alone.
    assert found == [(calls + 2, 2), (calls, 1), (calls, 1)]
    await http.aclose()
