"""The bill of every pair of formats, to the token and the picodollar: what a scripted backend states, what is recorded
in the store, what usage adds up, what the client is told. Every kind of token has a price of its own, the prompt is
long enough to be dearer, and the service tier is the one that the backend served."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from core.access import AccessRules
from core.formats import load_wire
from core.framing.eventstream import Decoder
from core.http import Request
from core.usage import Usage, in_usd
from handlers.io.sqlite_store import SqliteStore
from tests.gateways import body_of
from tests.handlers.accounted import AccountedBench, sqlite
from tests.scripted import Play
from tests.translation.metered import WHOLE, answer_of, told_by
from tests.translation.pairs import BACKENDS, document_of, request_of

FORMATS = tuple(WHOLE)
PRICES: dict[str, Any] = {
    "input": "3.1", "output": "15.7", "cache_read": "0.37", "cache_write_5m": "3.9", "cache_write_1h": "6.3",
    "long_context": {"above": 4000, "input": 2, "output": "1.5"}, "tiers": {"priority": "7/4", "flex": "0.5"},
}  # fmt: skip
TIERS = ("default", "priority")
# Formats that have no word for the tier of an answer: what was asked for holds.
NO_TIER = frozenset({"generate_content"})


def cost_by_hand(counts: Usage, tier: str) -> Fraction:
    """USD, by the schoolbook."""
    factor = Fraction(PRICES["tiers"].get(tier, 1))
    assert counts.total_input_tokens > PRICES["long_context"]["above"]
    into, out = factor * 2, factor * Fraction("1.5")
    parts = (
        (counts.input_tokens, "input", into), (counts.output_tokens, "output", out),
        (counts.cache_read_tokens, "cache_read", into), (counts.cache_write_5m_tokens, "cache_write_5m", into),
        (counts.cache_write_1h_tokens, "cache_write_1h", into),
    )  # fmt: skip
    return sum((Fraction(PRICES[name]) * (count or 0) * by for count, name, by in parts), Fraction(0)) / 10**6


def last_usage(client: str, body: bytes, streamed: bool) -> dict[str, Any]:
    """The usage object that a client of this format ends up with; a later report stands over an earlier one."""
    if not streamed:
        whole = json.loads(body)
        return dict(whole["usageMetadata" if client == "generate_content" else "usage"])
    if client == "converse":
        events = [json.loads(frame.payload) for frame in Decoder().feed(body)]
    else:
        lines = (line for line in body.decode().splitlines() if line.startswith("data: {"))
        events = [json.loads(line.removeprefix("data: ")) for line in lines]
    found: dict[str, Any] = {}
    for event in events:
        for place in (event, event.get("message") or {}, event.get("response") or {}):
            found |= place.get("usageMetadata") or place.get("usage") or {}
    return found


def told_to(client: str, body: bytes, streamed: bool) -> dict[str, int]:
    """The counts that a client reads, by what they are; those that its format has a word for."""
    usage = last_usage(client, body, streamed)
    if client == "messages":
        split = usage["cache_creation"]
        return {
            "read": usage["cache_read_input_tokens"], "5m": split["ephemeral_5m_input_tokens"],
            "1h": split["ephemeral_1h_input_tokens"], "output": usage["output_tokens"],
            "prompt": usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"],
            "reasoning": (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0),
        }  # fmt: skip
    if client == "converse":
        by_ttl = {row["ttl"]: row["inputTokens"] for row in usage.get("cacheDetails", [])}
        written, read = usage.get("cacheWriteInputTokens", 0), usage["cacheReadInputTokens"]
        return {
            "read": read, "5m": written - by_ttl.get("1h", 0), "1h": by_ttl.get("1h", 0),
            "output": usage["outputTokens"], "prompt": usage["inputTokens"] + read + written,
        }  # fmt: skip
    if client == "generate_content":
        thoughts = usage.get("thoughtsTokenCount", 0)
        return {
            "read": usage["cachedContentTokenCount"], "prompt": usage["promptTokenCount"], "reasoning": thoughts,
            "output": usage["candidatesTokenCount"] + thoughts,
        }  # fmt: skip
    into, out = ("input", "output") if client == "responses" else ("prompt", "completion")
    details = usage[f"{into}_tokens_details"]
    hourly = details.get("cache_creation_token_details", {}).get("ephemeral_1h_input_tokens", 0)
    written = details.get("cache_write_tokens", 0)
    by_ttl = {"written": written} if client == "responses" else {"5m": written - hourly, "1h": hourly}
    return {
        "read": details["cached_tokens"], **by_ttl, "prompt": usage[f"{into}_tokens"],
        "output": usage[f"{out}_tokens"], "reasoning": usage[f"{out}_tokens_details"]["reasoning_tokens"],
    }  # fmt: skip


def by_kind(truth: Usage) -> dict[str, int]:
    return {
        "read": truth.cache_read_tokens or 0, "5m": truth.cache_write_5m_tokens or 0,
        "1h": truth.cache_write_1h_tokens or 0, "written": truth.cache_write_tokens, "output": truth.output_tokens or 0,
        "prompt": truth.total_input_tokens, "reasoning": truth.reasoning_tokens or 0,
    }  # fmt: skip


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = sqlite(tmp_path)
    yield store
    await store.close()


def bench_of(backend: str, store: SqliteStore) -> AccountedBench:
    _, model = BACKENDS[backend]
    plays = []
    for streamed in (False, True):
        kind = load_wire(backend).STREAM_CONTENT_TYPE if streamed else "application/json"
        bodies = (answer_of(backend, streamed, tier) for tier in TIERS)
        plays += [Play(headers={"content-type": kind}, chunks=[body]) for body in bodies]
    document = {**document_of(backend), "prices": {model: PRICES}}
    return AccountedBench(document, plays, store, AccessRules(("service",)))


async def asked(bench: AccountedBench, client: str, streamed: bool) -> tuple[bytes, str | None]:
    path, body = request_of(client, streamed)
    query = "alt=sse" if client == "generate_content" and streamed else ""
    answer = await bench.gateway.handle(Request("POST", path, query, {"x-api-key": "service"}, body))
    assert answer.status == 200
    return await body_of(answer), answer.header("x-skybridge-cost-usd")


@pytest.mark.parametrize("backend", FORMATS)
@pytest.mark.parametrize("client", FORMATS)
async def test_one_bill(client: str, backend: str, store: SqliteStore) -> None:
    bench, truth = bench_of(backend, store), told_by(backend)
    billed = Fraction(0)
    for streamed in (False, True):
        for tier in TIERS:
            served = "default" if backend in NO_TIER else tier
            cost = cost_by_hand(truth, served)
            billed += cost
            body, stated = await asked(bench, client, streamed)
            record = bench.records[-1]
            assert by_kind(record.usage) == by_kind(truth)
            assert record.cost is not None and abs(Fraction(record.cost.usd) - cost) <= Fraction("1e-9")
            assert stated is None if streamed else abs(Fraction(stated or 0) - cost) <= Fraction("1e-9")
            told = told_to(client, body, streamed)
            assert told == {kind: count for kind, count in by_kind(truth).items() if kind in told}
    rows = await bench.documents()
    assert sum(Fraction(in_usd(row["cost"])) for row in rows) == billed
    page = json.loads(await bench.accounts.usage(await bench.accounts.identify(
        Request("GET", "/", "", {"x-api-key": "service"}), bench.gateway.rules), "by=backend"))  # fmt: skip
    (total,) = page["data"]
    assert Fraction(total["cost"]) == billed == sum(Fraction(part) for part in total["cost_parts"].values())
    assert (total["requests"], total["total_tokens"]) == (4, 4 * truth.total_tokens)
    assert total["reasoning_tokens"] == 4 * (truth.reasoning_tokens or 0)
    assert total["cache_write_1h_tokens"] == 4 * (truth.cache_write_1h_tokens or 0)
