"""What requests cost on the platform that they run on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest

from core.compute import COMPUTE_PRICES, work_cost
from core.usage import UsageRecord
from handlers.aws_invocation import Cycle
from handlers.aws_response import Head
from handlers.compute import SharedInFlight, compute_price, cost_of
from tests.scripted import VirtualClock
from tests.served import served

LAMBDA = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}
HERE = "arm64" if os.uname().machine in ("arm64", "aarch64") else "x86_64"


def record(seconds: float = 2.0) -> UsageRecord:
    made = UsageRecord("req_1", "generate", "messages", 0.0)
    made.seconds = seconds
    return made


def test_lambdas_price() -> None:
    assert compute_price(LAMBDA) == (COMPUTE_PRICES[f"lambda/{HERE}"], 512)
    managed, _ = compute_price({**LAMBDA, "AWS_LAMBDA_MAX_CONCURRENCY": "16"})
    assert (managed.gigabyte_second, managed.request) == (0, 200_000)
    assert cost_of(record(), LAMBDA) == work_cost(COMPUTE_PRICES[f"lambda/{HERE}"], 512, 2000)
    large = record()
    large.sent = lambda: 7 * 2**20
    assert cost_of(large, LAMBDA) == cost_of(record(), LAMBDA) + 8 * 10**9 // 1024


def test_azures_price() -> None:
    assert compute_price({}) == (COMPUTE_PRICES["flex"], 2048)
    ready = {"SKYBRIDGE_COMPUTE": "flex/always-ready", "SKYBRIDGE_INSTANCE_MB": "512"}
    assert compute_price(ready) == (COMPUTE_PRICES["flex/always-ready"], 512)
    shared = record()
    shared.compute_milliseconds = 250.0
    assert cost_of(shared, ready) == work_cost(COMPUTE_PRICES["flex/always-ready"], 512, 250.0)


async def test_requests_at_once_share_an_instance() -> None:
    clock = VirtualClock()
    in_flight = SharedInFlight(None, clock, COMPUTE_PRICES["flex"])

    async def request(lasts: int) -> float:
        """Ends after so many turns of the loop, each a second."""
        in_flight.enter("caller")
        for _ in range(lasts):
            await asyncio.sleep(0)
        in_flight.leave("caller")
        made = record()
        in_flight.record(made)
        assert made.compute_milliseconds is not None
        return made.compute_milliseconds

    async def pass_time() -> None:
        for _ in range(4):
            await asyncio.sleep(0)
            clock.now += 1

    shares = await asyncio.gather(request(2), request(4), pass_time())
    assert sum(share for share in shares if share is not None) == pytest.approx(4000, abs=1001)
    assert in_flight.total == 0 and shares[0] < shares[1]


async def test_a_cycle_counts_what_it_sends() -> None:
    class Answer:
        async def body(self, head: Head, data: bytes) -> None: ...
        async def finish(self, head: Head) -> None: ...
        async def fail(self, fault: BaseException) -> None: ...
        def abort(self) -> None: ...

    cycle = Cycle(b"", Answer())
    await cycle.send({"type": "http.response.start", "status": 200})
    await cycle.send({"type": "http.response.body", "body": b"four", "more_body": True})
    await cycle.send({"type": "http.response.body", "body": b"five!"})
    assert cycle.sent() == 9


@pytest.mark.parametrize(
    ("variables", "megabytes"),
    [
        ({"AzureWebJobsScriptRoot": "/made", "SKYBRIDGE_COMPUTE": "flex", "SKYBRIDGE_INSTANCE_MB": "4096"}, 4096),
        (LAMBDA, 512),
    ],
)
async def test_usage_tells_it(tmp_path: Path, variables: dict[str, str], megabytes: int) -> None:
    document = {"backends": {"demo": {"type": "demo"}}, "models": {"demo": {"backend": "demo"}}}
    reference = f"sqlite:{tmp_path / 'made.db'}"
    settings = {"SERVICE_API_KEY": "k", "SKYBRIDGE_STORE": reference, "LOG_LEVEL": "error", **variables}
    async with served(tmp_path, document, settings) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
        accounts = gateway.composition.accounts
        assert accounts is not None and accounts.store is not None
        in_flight = gateway.composition.gateway.in_flight

        def keep(usage: UsageRecord) -> None:
            if isinstance(in_flight, SharedInFlight):
                in_flight.record(usage)
            accounts.record(usage)

        gateway.composition.gateway.ports.record = keep  # which tests.served has replaced
        body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": "Bearer k"}
        posts = (client.post("/v1/chat/completions", json=body, headers=headers) for _ in range(3))
        assert [answer.status_code for answer in await asyncio.gather(*posts)] == [200] * 3
        for _ in range(500):  # records are written after the answers
            page = (await client.get("/api/v1/usage?by=model", headers=headers)).json()
            if page["records"] == 3:
                break
            await asyncio.sleep(0.01)
        (row,) = page["data"]
        price, size = compute_price(variables)
        assert size == megabytes and row["requests"] == 3
        least = work_cost(price, megabytes, price.shortest) if "AzureWebJobsScriptRoot" in variables else 0
        assert float(row["compute_cost"]) * 1e12 >= least + 2 * price.request
