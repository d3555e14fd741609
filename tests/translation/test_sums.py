"""One bill: what the backend counted, what the gateway recorded and what the client was told add up to the same
tokens and the same money, for every pair of formats, streamed and not."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import pytest

from core.formats import load_wire
from core.http import Request
from core.models.prices import Price, PriceList, read_prices
from core.usage import UsageRecord
from handlers.pricing import Pricing
from tests.gateways import body_of
from tests.scripted import Play
from tests.translation.judges import JUDGES
from tests.translation.pairs import bench_of, request_of
from tests.translation.reading import Reading
from tests.translation.recorded import FORMATS, Exchange, diverse

# USD for a million tokens, every part with a price of its own.
USD = {"input": "3.1", "output": "15.7", "cache_read": "0.37", "cache_write_5m": "3.9", "cache_write_1h": "3.9"}
# Gemini's usage has no word for what was written to a cache: it is part of the prompt there.
NO_CACHE_WRITES = frozenset({"generate_content"})
SAMPLES = 4


@cache
def samples(backend: str, streamed: bool) -> tuple[Exchange, ...]:
    """A few recorded answers that state their usage, those first that tell the most kinds of token apart."""

    def kinds(exchange: Exchange) -> int:
        read = judged(backend, exchange.body, streamed)
        return sum(bool(count) for count in (read.prompt, read.output, read.cache_read, read.cache_write))

    found = [one for one in diverse(backend) if one.streamed == streamed and kinds(one) >= 2]
    return tuple(sorted(found, key=lambda one: (-kinds(one), one.name))[:SAMPLES])


def judged(format_name: str, body: bytes, streamed: bool) -> Reading:
    judge = JUDGES[format_name]
    return judge.stream(body, False) if streamed else judge.whole(body, False)


def dollars(read: Reading) -> Decimal:
    """The bill by hand, from what an SDK read."""
    into, written = read.cache_read or 0, read.cache_write or 0
    plain = (read.prompt or 0) - into - written
    counts = {"input": plain, "output": read.output or 0, "cache_read": into, "cache_write_5m": written}
    return sum((Decimal(USD[part]) * count for part, count in counts.items()), Decimal(0)) / 1_000_000


def tokens(read: Reading) -> tuple[int, int]:
    return read.prompt or 0, read.output or 0


async def exchanged(client: str, exchange: Exchange) -> tuple[UsageRecord, Reading]:
    """What the gateway recorded of an answer, priced, and what the client's SDK was told."""
    kind = load_wire(exchange.format).STREAM_CONTENT_TYPE if exchange.streamed else "application/json"
    bench = bench_of(exchange.format, Play(headers={"content-type": kind}, chunks=[exchange.body]))
    path, body = request_of(client, exchange.streamed)
    query = "alt=sse" if client == "generate_content" and exchange.streamed else ""
    answer = await body_of(await bench.gateway.handle(Request("POST", path, query, {}, body)))
    (record,) = bench.records
    price: dict[str, Price] = dict(read_prices({record.api_model: USD}))
    record.cost = Pricing(bench.gateway.configuration, PriceList(price)).record(record)
    return record, judged(client, answer, exchange.streamed)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("backend", FORMATS)
@pytest.mark.parametrize("client", FORMATS)
async def test_the_sums_agree(client: str, backend: str, streamed: bool) -> None:
    sums = {"backend": (0, 0), "record": (0, 0), "client": (0, 0)}
    billed = stated = told = Decimal(0)
    exchanges = samples(backend, streamed)
    assert exchanges or not any(one.streamed == streamed for one in diverse(backend))
    for exchange in exchanges:
        truth = judged(backend, exchange.body, streamed)
        record, read = await exchanged(client, exchange)
        assert record.cost is not None
        usage = record.usage
        recorded = (usage.total_input_tokens, usage.output_tokens or 0)
        for name, counts in (("backend", tokens(truth)), ("record", recorded), ("client", tokens(read))):
            sums[name] = (sums[name][0] + counts[0], sums[name][1] + counts[1])
        billed += Decimal(record.cost.usd)
        stated += dollars(truth)
        told += dollars(read)
    assert sums["record"] == sums["backend"]
    assert sums["client"] == sums["backend"]
    if backend not in NO_CACHE_WRITES:
        assert abs(billed - stated) <= Decimal("1e-9")
    if client not in NO_CACHE_WRITES:
        assert abs(billed - told) <= Decimal("1e-9")
