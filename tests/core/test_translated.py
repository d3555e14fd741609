"""Candidates of another format, through the whole gateway: what is sent, what comes back, what is told."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from core.ports import TransportFault
from tests.gateways import Bench, body_of
from tests.samples import answer_body, error_frame, request_body, stream_frames
from tests.scripted import Play

JSON = {"content-type": "application/json"}


def bench(plays: list[Play], **candidate: Any) -> Bench:
    backends = {
        "azure": {"type": "azure-openai", "base_url": "http://azure", "api_key": "k", "format": "responses"},
        "claude": {"type": "anthropic", "base_url": "http://claude", "api_key": "k"},
        "chat": {"type": "openai-compatible", "base_url": "http://chat/v1"},
        "aws": {"type": "bedrock", "base_url": "http://aws", "api_key": "k", "format": "converse"},
        "vertex": {
            "type": "openai-compatible", "format": "generate_content", "api_key": "token",
            "base_url": "https://vertex/v1/projects/p/locations/global/publishers/google",
        },
    }  # fmt: skip
    row = {"backend": "claude", "api_model": "claude-sonnet-4-5", **candidate}
    return Bench({"backends": backends, "models": {"m": row}}, plays)


def sent(under_test: Bench) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(under_test.transport.requests[-1].body)
    return body


async def test_a_registrys_defaults_reach_the_backend() -> None:
    under_test = bench(
        [Play(headers=JSON, chunks=[answer_body("responses")])],
        backend="azure", api_model="gpt-5", reasoning_effort="high", summary_level="detailed",
        verbosity_level="low", truncation_strategy="auto", max_tokens=77,
    )  # fmt: skip
    response = await under_test.post("/v1/chat/completions", request_body("chat_completions"))
    assert response.status == 200
    body = sent(under_test)
    assert body["reasoning"]["effort"] == "high"
    assert body["reasoning"]["summary"] == "detailed"
    assert body["text"]["verbosity"] == "low"
    assert body["truncation"] == "auto"
    assert body["max_output_tokens"] == 77
    assert response.header("x-skybridge-translation") == "chat_completions>responses"
    assert json.loads(await body_of(response))["model"] == "m"


@pytest.mark.parametrize(
    ("stream", "verb"), [(False, ":generateContent"), (True, ":streamGenerateContent?alt=sse")]
)
async def test_vertex_is_reached_by_its_address(stream: bool, verb: str) -> None:
    answer = b'{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}],"usageMetadata":{}}'
    play = Play(chunks=[b"data: " + answer + b"\n\n"]) if stream else Play(headers=JSON, chunks=[answer])
    under_test = bench([play], backend="vertex", api_model="gemini-3-flash-preview")
    response = await under_test.post("/v1/messages", request_body("messages", stream=stream))
    assert response.status == 200 and await body_of(response)
    place = "https://vertex/v1/projects/p/locations/global/publishers/google/models/gemini-3-flash-preview"
    assert under_test.transport.requests[0].url == place + verb


async def test_what_the_client_said_stays() -> None:
    under_test = bench(
        [Play(headers=JSON, chunks=[answer_body("messages")])],
        max_tokens=77, temperature=0.1, top_p=0.2, top_k=3, reasoning_effort="high", service_tier="auto",
        summary_level="auto", truncation_strategy="auto",
    )  # fmt: skip
    said = {
        "model": "m", "input": "x", "max_output_tokens": 5, "temperature": 0.9, "truncation": "disabled",
        "reasoning": {"effort": "low", "summary": "concise"},
    }  # fmt: skip
    response = await under_test.post("/v1/responses", json.dumps(said).encode())
    assert response.status == 200
    assert sent(under_test)["thinking"]["budget_tokens"] < 8192
    under_test = bench([Play(headers=JSON, chunks=[answer_body("messages")])], max_tokens=77, temperature=0.1)
    await under_test.post("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"x"}]}')
    assert (sent(under_test)["max_tokens"], sent(under_test)["temperature"]) == (77, 0.1)


async def test_a_default_without_a_meaning_is_the_operators_fault() -> None:
    under_test = bench([], magic=1)
    response = await under_test.post("/v1/chat/completions", request_body("chat_completions"))
    assert response.status == 503
    assert b"'magic' has no meaning" in await body_of(response)


async def test_streams_are_translated_and_observed() -> None:
    under_test = bench([Play(chunks=stream_frames("messages"))])
    response = await under_test.post("/v1/chat/completions", request_body("chat_completions", stream=True))
    body = await body_of(response)
    assert body.endswith(b"data: [DONE]\n\n")
    (record,) = under_test.records
    assert (record.usage.input_tokens, record.usage.output_tokens, record.finish) == (5, 2, "end_turn")
    assert (record.client_format, record.backend_format) == ("chat_completions", "messages")
    headers = dict(under_test.transport.requests[0].headers)
    assert headers["accept"] == "text/event-stream" and headers["anthropic-version"]


async def test_a_translated_stream_that_breaks_ends_in_the_clients_error() -> None:
    frames = stream_frames("messages")
    for last in (error_frame("messages", "went wrong"), TransportFault("body", "went wrong")):
        under_test = bench([Play(chunks=[*frames[:4], last])])
        response = await under_test.post("/v1/chat/completions", request_body("chat_completions", stream=True))
        body = await body_of(response)
        assert b"went wrong" in body and b"[DONE]" not in body
        assert under_test.records[0].outcome == "cut"


async def test_an_error_frame_before_content_is_an_error_answer() -> None:
    under_test = bench([Play(chunks=[error_frame("messages", "busy")])])
    response = await under_test.post("/v1/chat/completions", request_body("chat_completions", stream=True))
    assert response.status == 503
    assert json.loads(await body_of(response))["error"]["message"] == "busy"


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"", b'{"a":' + b"[" * 100_000])
async def test_an_answer_that_cannot_be_read_is_the_backends_fault(body: bytes) -> None:
    response = await bench([Play(headers=JSON, chunks=[body])]).post(
        "/v1/chat/completions", request_body("chat_completions")
    )
    assert response.status == 502
    assert b"the answer is not" in await body_of(response)


async def test_errors_are_translated_with_their_words() -> None:
    play = Play(400, JSON, [b'{"type":"error","error":{"type":"invalid_request_error","message":"no such tool"}}'])
    response = await bench([play]).post("/v1/chat/completions", request_body("chat_completions"))
    assert response.status == 400
    error = json.loads(await body_of(response))["error"]
    assert (error["type"], error["message"]) == ("invalid_request_error", "no such tool")


class Pictures:
    """core.ports.Media with one picture."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, url: str) -> tuple[str, bytes]:
        self.asked.append(url)
        return "image/png", b"\x89PNG"


async def test_urls_are_inlined_once_where_the_backend_wants_bytes() -> None:
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}, "metrics": {"latencyMs": 1},
    }  # fmt: skip
    under_test = bench(
        [Play(500, JSON, [b"{}"]), Play(headers=JSON, chunks=[json.dumps(answer).encode()])],
        backend="aws", api_model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    )  # fmt: skip
    under_test.gateway.configuration.registry.backends["aws"].max_retries = 1
    pictures = under_test.gateway.ports.media = Pictures()
    picture = {"type": "image_url", "image_url": {"url": "https://h/p.png"}}
    content = [{"type": "text", "text": "see"}, picture, picture]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    response = await under_test.post("/v1/chat/completions", body)
    assert response.status == 200
    assert pictures.asked == ["https://h/p.png"]
    image = sent(under_test)["messages"][0]["content"][1]["image"]
    assert (image["format"], base64.b64decode(image["source"]["bytes"])) == ("png", b"\x89PNG")


async def test_a_picture_that_is_there_is_not_fetched() -> None:
    under_test = bench([Play(headers=JSON, chunks=[answer_body("messages")])])
    pictures = under_test.gateway.ports.media = Pictures()
    data = base64.b64encode(b"\x89PNG").decode()
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    response = await under_test.post("/v1/chat/completions", body)
    assert response.status == 200 and not pictures.asked
    source = sent(under_test)["messages"][0]["content"][0]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": data}


async def test_what_is_dropped_is_named() -> None:
    under_test = bench([Play(headers=JSON, chunks=[answer_body("messages")])])
    body = b'{"model":"m","seed":7,"logit_bias":{"1":2},"messages":[{"role":"user","content":"x"}]}'
    response = await under_test.post("/v1/chat/completions", body)
    dropped = response.header("x-skybridge-dropped") or ""
    assert "seed" in dropped and "logit_bias" in dropped
    assert set(under_test.records[0].dropped) >= {"seed", "logit_bias"}


async def test_what_cannot_be_carried_is_refused_by_name() -> None:
    under_test = bench([])
    body = b'{"model":"m","n":3,"messages":[{"role":"user","content":"x"}]}'
    response = await under_test.post("/v1/chat/completions", body)
    assert response.status == 400
    assert json.loads(await body_of(response))["error"]["param"] == "n"
    assert under_test.transport.requests == []


async def test_a_router_never_translates() -> None:
    document = {
        "model_mapping": {},
        "providers": [{"name": "a", "type": "anthropic", "api_key": "k", "base_url": "http://a"}],
    }
    response = await Bench(document, []).post("/openai/chat/completions", request_body("chat_completions"))
    assert response.status == 404
    assert b"No chat_completions backend serves 'm'" in await body_of(response)


async def test_the_served_name_when_asked_for() -> None:
    under_test = bench([Play(headers=JSON, chunks=[answer_body("messages", "served-1")])])
    under_test.gateway.configuration.registry.routes["m"].answer_model = "served"
    response = await under_test.post("/v1/chat/completions", request_body("chat_completions"))
    assert json.loads(await body_of(response))["model"] == "claude-sonnet-4-5"


async def test_sealed_state_of_a_broken_stream_that_had_not_started() -> None:
    """A pipe that fails before any event still ends in the client's format."""
    under_test = bench([Play(chunks=[b": wait\n\n", 30.0, TransportFault("body", "gone")])])
    response = await under_test.post("/v1/chat/completions", request_body("chat_completions", stream=True))
    assert response.status in (200, 502)
    assert b"gone" in await body_of(response)


async def test_the_deadline_ends_a_translated_stream_in_the_clients_format() -> None:
    frames = stream_frames("messages")
    under_test = bench([Play(chunks=[*frames[:4], 50.0, *frames[4:]])], policy={"max_stream_seconds": 20})
    response = await under_test.post("/v1/responses", request_body("responses", stream=True))
    body = await body_of(response)
    assert b"response.failed" in body and b"time for this request is over" in body


DEEP = '{"a":' * 4000 + "{}" + "}" * 4000
TURN = '{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f",'


@pytest.mark.parametrize(
    "body",
    [
        TURN + f'"args":{DEEP}}}}}]}}]}}',
        TURN + f'"args":{{}}}}}}]}},{{"parts":[{{"functionResponse":{{"name":"f","response":{DEEP}}}}}]}}]}}',
        '{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"responseMimeType":"application/json",'
        f'"responseJsonSchema":{DEEP}}}}}',
    ],
)
async def test_what_is_nested_too_deeply_is_the_clients_fault(body: str) -> None:
    under_test = bench([], backend="chat", api_model="gpt-4.1")
    answer = await under_test.post("/v1beta/models/m:generateContent", body.encode())
    assert answer.status == 400 and b"nested too deeply" in await body_of(answer)
