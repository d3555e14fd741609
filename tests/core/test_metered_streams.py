"""Chat Completions streams tell their tokens on request only: where somebody counts, the gateway asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.formats.contract import Observation
from core.generation import read_generation
from core.http import Request
from core.relay import Renamer, UsageHider
from core.routes import Endpoint
from tests.gateways import Bench, body_of, native_bench
from tests.scripted import Play

HEAD = b'data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[],"prompt_filter_results":[]}\n\n'
TEXT = b'data: {"id":"c1","model":"m","choices":[{"delta":{"content":"\\"choices\\":[] hi"}}],"usage":null}\n\n'
STOP = b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"c1","model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"
FRAMES = [HEAD, TEXT, STOP, USAGE, DONE]


async def asked(body: dict[str, Any], *, metered: bool = True, **options: Any) -> tuple[Bench, bytes]:
    bench = native_bench("chat_completions", [Play(chunks=FRAMES)], candidates=1, **options)
    bench.gateway.ports.metered = metered
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True, **body}
    answer = await bench.post("/v1/chat/completions", json.dumps(request).encode())
    return bench, await body_of(answer)


def sent(bench: Bench) -> Any:
    (request,) = bench.transport.requests
    return json.loads(request.body).get("stream_options")


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False, "include_x": False}}]
)
async def test_the_gateway_asks_and_keeps_the_answer_to_itself(options: dict[str, Any]) -> None:
    bench, answer = await asked(options)
    assert sent(bench) == {**(options.get("stream_options") or {}), "include_usage": True}
    assert answer == HEAD + TEXT + STOP + DONE
    (record,) = bench.records
    assert (record.usage.input_tokens, record.usage.output_tokens, record.outcome) == (7, 3, "complete")
    assert "stream_options" in record.edits


async def test_who_asks_is_told() -> None:
    bench, answer = await asked({"stream_options": {"include_usage": True}})
    assert answer == b"".join(FRAMES) and bench.records[0].edits == []


@pytest.mark.parametrize(
    ("body", "metered", "options"),
    [
        ({}, False, {}),
        ({}, True, {"include_usage": False}),
        ({"stream_options": 3}, True, {}),
    ],
)
async def test_nothing_is_changed_otherwise(body: dict[str, Any], metered: bool, options: dict[str, Any]) -> None:
    bench, answer = await asked(body, metered=metered, **options)
    assert sent(bench) == body.get("stream_options") and bench.records[0].edits == []
    assert answer == b"".join(FRAMES)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("colon", [b":", b": "])
def test_however_frames_are_written(end: bytes, colon: bytes) -> None:
    frames = [frame.replace(b"\n\n", end).replace(b'":', b'"' + colon) for frame in FRAMES]
    out = UsageHider(None).frames(b"".join(frames), Observation())
    assert out == b"".join(frame for frame in frames if b"prompt_tokens" not in frame)


def test_what_cannot_be_read_is_left_alone() -> None:
    for frame in (b': "choices":[]\n\n', b'data: "choices":[] {\n\n', b'data: ["choices":[]]\n\n', b"data: [1]\n\n"):
        assert UsageHider(None).frames(frame, Observation()) == frame


def test_the_name_is_put_back_too() -> None:
    out = UsageHider(Renamer("asked")).frames(HEAD + USAGE, Observation(model="m"))
    assert out == HEAD.replace(b'"m"', b'"asked"')


@pytest.mark.parametrize(
    ("values", "tier"),
    [
        ({}, ""), ({"service_tier": "flex"}, "flex"), ({"serviceTier": "priority"}, "priority"),
        ({"serviceTier": {"type": "flex"}}, "flex"), ({"serviceTier": {}}, ""), ({"service_tier": 3}, ""),
    ],
)  # fmt: skip
def test_the_tier_that_is_asked_for(values: dict[str, Any], tier: str) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **values}).encode()
    endpoint = Endpoint("generate", "chat_completions")
    generation = read_generation(Request("POST", "/v1/chat/completions", "", {}, body), endpoint)
    assert generation.service_tier == tier
