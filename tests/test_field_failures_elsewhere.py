"""The failures that users of gateways reported, numbers 33 to 40: money, resilience and the run time. Each is shown
here in the small; the tests of its own part go further."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.estimate import input_tokens
from core.http import Request
from handlers.io.sqlite_store import SqliteStore
from tests.backend_server import BackendServer, Script
from tests.gateways import Bench, body_of, native_bench
from tests.handlers.accounted import SECRET, AccountedBench
from tests.samples import TYPES, answer_body, request_body, stream_frames
from tests.scripted import Play
from tests.served import served

ROOT = Path(__file__).resolve().parents[1]
JSON = {"content-type": "application/json"}
MESSAGES = "/v1/messages"
COUNTED = {"model": "m", "messages": [{"role": "user", "content": "How long is this?"}]}


async def count(body: dict[str, Any], **backend: Any) -> tuple[int, str | None]:
    """The tokens of `body`, and whether they are an estimate."""
    backends = {"b": {"base_url": "http://b/v1", "api_key": "k", **backend}}
    document = {"backends": backends, "models": {"m": {"backend": "b", "api_model": "m"}}}
    bench = Bench(document, [Play(headers=JSON, chunks=[b'{"input_tokens": 42}'])])
    response = await bench.post(f"{MESSAGES}/count_tokens", json.dumps(body).encode())
    assert response.status == 200
    return json.loads(await body_of(response))["input_tokens"], response.header("x-skybridge-token-count")


async def test_field_failure_33_token_counts_are_exact_or_say_that_they_are_estimates() -> None:
    assert await count(COUNTED, type="anthropic") == (42, None)
    plain, says = await count(COUNTED, type="openai", format="chat_completions")
    assert says == "estimated"
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "The city's whole name"}}}
    tools = [{"name": "weather", "description": "Tells the weather", "input_schema": schema}]
    more, _ = await count({**COUNTED, "tools": tools, "system": "Be brief."}, type="openai", format="chat_completions")
    assert more > plain + 10


async def test_field_failure_34_concurrent_requests_cannot_pass_one_budget(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "made.db")
    backend = {"type": TYPES["messages"], "base_url": "http://b1/v1", "api_key": "k"}
    row = {"backend": "b1", "api_model": "m", "max_tokens": 64}
    prices = {"m": {"input": 1_000_000, "output": 1_000_000}}  # a dollar a token
    document = {"backends": {"b1": backend}, "models": {"m": row}, "prices": prices}
    body = request_body("messages", stream=True)
    worst = 64 + input_tokens(body)  # dollars that a request may take
    budget = 5 * worst + 1
    plays = [Play(chunks=stream_frames("messages")) for _ in range(20)]
    bench = AccountedBench({**document, "quotas": {"keys": {"usd_per_day": budget}}}, plays, store)
    await bench.add_key()
    answers = await asyncio.gather(*(bench.post(MESSAGES, body, x_api_key=SECRET) for _ in range(20)))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (5, 15), "while those that pass are still being answered"
    for answer in answers:
        await body_of(answer)
    await bench.accounts.flush()
    await store.close()


async def test_field_failure_35_failover_before_the_commit_and_never_after() -> None:
    frames = stream_frames("messages")
    early = Play(chunks=[b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'])
    bench = native_bench("messages", [early, Play(chunks=frames)])
    answered = await body_of(await bench.post(MESSAGES, request_body("messages", stream=True)))
    assert answered == b"".join(frames)
    cut = Play(chunks=[b"".join(frames[:4])])
    bench = native_bench("messages", [cut, Play(chunks=frames)])
    broken = await body_of(await bench.post(MESSAGES, request_body("messages", stream=True)))
    assert broken.startswith(b"".join(frames[:4])) and broken.count(b"message_start\n") == 1
    assert b"event: error" in broken and len(bench.transport.requests) == 1


async def test_field_failure_36_a_client_that_leaves_closes_the_backend(tmp_path: Path) -> None:
    never = asyncio.Event()
    async with BackendServer([Script([b"".join(stream_frames("messages")[:4]), never])]) as backend:
        backends = {"b": {"type": "anthropic", "base_url": backend.url, "api_key": "k"}}
        document = {"backends": backends, "models": {"m": {"backend": "b"}}}
        async with served(tmp_path, document) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
            async with client.stream("POST", MESSAGES, content=request_body("messages", stream=True)) as response:
                await anext(response.aiter_bytes())
            await asyncio.wait_for(backend.closed.wait(), 10)
            while not gateway.records:
                await asyncio.sleep(0)
        assert gateway.records[-1].outcome == "abandoned"


async def test_field_failure_37_waits_are_told_and_kept() -> None:
    limited = Play(status=429, headers={**JSON, "retry-after": "7"}, chunks=[b'{"type":"error","error":{}}'])
    bench = native_bench("messages", [limited, limited])
    response = await bench.post(MESSAGES, request_body("messages"))
    assert (response.status, response.header("retry-after")) == (429, "7")


async def test_field_failure_38_silence_is_pinged_from_before_the_first_byte() -> None:
    frames = stream_frames("messages")
    bench = native_bench("messages", [Play(head_delay=40.0, chunks=[*frames[:3], 31.0, *frames[3:]])], candidates=1)
    body = await body_of(await bench.post(MESSAGES, request_body("messages", stream=True)))
    parts = body.split(b"event: ping\n")
    assert len(parts) >= 5 and body.startswith(b"event: ping\n")
    assert re.sub(rb"event: ping\ndata: [^\n]*\n\n", b"", body) == b"".join(frames)  # none cuts a frame


def test_field_failure_39_small_packages_that_start_fast_and_stream() -> None:
    """The door that Lambda starts loads nothing of weight, and readiness is never a 5xx."""
    code = "import sys, handlers.aws_streaming; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    heavy = {"fastapi", "starlette", "pydantic", "mangum", "boto3", "botocore", "openai", "anthropic", "azure", "click"}
    assert heavy.isdisjoint(ran.stdout.split())
    bench = native_bench("messages", [])
    for path in ("/", "/health", "/ready"):
        assert asyncio.run(bench.gateway.handle(Request("GET", path, "", {}))).status == 200


async def test_field_failure_40_few_pinned_packages_flat_memory_and_no_leaked_credentials() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    required = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line) for line in required)
    assert len(required) <= 40
    bench = native_bench("messages", [Play(headers=JSON, chunks=[answer_body("messages")])])
    await bench.post(
        MESSAGES, request_body("messages"), authorization="Bearer users-own", x_api_key="users-own", cookie="users-own",
        host="evil.example",
    )  # fmt: skip
    [sent] = bench.transport.requests
    assert "users-own" not in str(sent.headers) and "evil" not in str(sent.headers) + sent.url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "gateway.internal"])
async def test_field_failure_40_no_header_of_a_host_opens_the_gateway(host: str) -> None:
    bench = native_bench("messages", [])
    bench.gateway.rules.keys = ("secret",)
    forwarded = {"host": host, "x_forwarded_host": host, "x_forwarded_for": "127.0.0.1"}
    assert (await bench.post(MESSAGES, request_body("messages"), **forwarded)).status == 401
