"""Counting through the gateway: exact where the backend counts, an estimate that says so where it does not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.gateways import Bench, body_of
from tests.samples import error_body
from tests.scripted import Play, refused

JSON = {"content-type": "application/json"}
BACKENDS: dict[str, Any] = {
    "claude": {"type": "anthropic"},
    "aws": {"type": "bedrock", "base_url": "http://aws"},
    "google": {"type": "gemini", "base_url": "http://google", "api_key": "k"},
    "gpt": {"type": "openai"},
    "router": {"type": "openrouter"},
}
HELLO = {"messages": [{"role": "user", "content": "Hello there"}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Hello there"}]}]}
INVOKE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, **HELLO}
TOOLS = [{"name": "t", "input_schema": {"type": "object", "properties": {}}}]


def bench(backend: str, model: str, *plays: Play, **row: Any) -> Bench:
    document = {"backends": BACKENDS, "models": {"m": {"backend": backend, "api_model": model, **row}}}
    return Bench(document, plays)


def says(answer: dict[str, Any]) -> Play:
    return Play(headers=JSON, chunks=[json.dumps(answer).encode()])


async def count(ground: Bench, surface: str, body: dict[str, Any]) -> tuple[Any, str | None]:
    path = {"messages": "/v1/messages/count_tokens", "gemini": "/v1beta/models/m:countTokens",
            "converse": "/model/m/count-tokens", "responses": "/v1/responses/input_tokens"}[surface]  # fmt: skip
    named = {"model": "m", **body} if surface in ("messages", "responses") else body
    response = await ground.post(path, json.dumps(named).encode())
    assert response.status == 200, await body_of(response)
    return json.loads(await body_of(response)), response.header("x-skybridge-token-count")


EXACT = [
    ("claude", "claude-opus-5", {"input_tokens": 7}, "/v1/messages/count_tokens"),
    ("aws", "us.anthropic.claude-opus-5", {"inputTokens": 7}, "/model/us.anthropic.claude-opus-5/count-tokens"),
    ("google", "gemini-3-pro", {"totalTokens": 7}, "/v1beta/models/gemini-3-pro:countTokens"),
    ("gpt", "gpt-5", {"object": "response.input_tokens", "input_tokens": 7}, "/v1/responses/input_tokens"),
]
ASKED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("messages", {**HELLO, "system": "Be brief.", "tools": TOOLS}, {"input_tokens": 7}),
    ("gemini", GEMINI, {"totalTokens": 7}),
    ("converse", {"input": {"converse": CONVERSE}}, {"inputTokens": 7}),
    ("responses", {"input": "Hello there"}, {"object": "response.input_tokens", "input_tokens": 7}),
]


@pytest.mark.parametrize(("backend", "model", "answer", "path"), EXACT)
@pytest.mark.parametrize(("surface", "body", "expected"), ASKED)
async def test_exact_where_the_backend_counts(
    backend: str, model: str, answer: dict[str, Any], path: str, surface: str, body: dict[str, Any],
    expected: dict[str, Any],
) -> None:  # fmt: skip
    ground = bench(backend, model, says(answer), max_tokens=500)
    found, header = await count(ground, surface, body)
    assert found == expected and header is None
    (request,) = ground.transport.requests
    assert request.url.endswith(path)
    sent = json.loads(request.body)
    assert "Hello there" in request.body.decode()
    assert not {"max_tokens", "stream", "max_output_tokens", "inferenceConfig"} & sent.keys()


@pytest.mark.parametrize(("surface", "body", "expected"), ASKED)
async def test_an_estimate_says_so(surface: str, body: dict[str, Any], expected: dict[str, Any]) -> None:
    ground = bench("router", "anthropic/claude-sonnet-4")
    found, header = await count(ground, surface, body)
    assert header == "estimated"
    assert found.keys() == expected.keys()
    number = next(value for value in found.values() if isinstance(value, int))
    assert 10 < number < 700
    assert ground.transport.requests == []
    assert ground.records[0].backend == "estimate"


FAULTS = [
    Play(connect=refused()),
    Play(status=500, headers=JSON, chunks=[error_body("messages")]),
    Play(status=401, headers=JSON, chunks=[error_body("messages")]),
    Play(headers=JSON, chunks=[b"[]"]),
    Play(headers=JSON, chunks=[b"<html>"]),
    Play(headers=JSON, chunks=[b'{"inputTokens": "7"}']),
]


@pytest.mark.parametrize("fault", range(len(FAULTS)))
async def test_an_estimate_when_the_backend_does_not_answer(fault: int) -> None:
    ground = bench("aws", "us.anthropic.claude-opus-5", FAULTS[fault])
    found, header = await count(ground, "messages", HELLO)
    assert header == "estimated" and found["input_tokens"] > 5


@pytest.mark.parametrize(("surface", "body"), [("messages", HELLO), ("converse", {"input": {"converse": CONVERSE}})])
async def test_an_estimate_where_bedrock_counts_for_base_models_only(surface: str, body: dict[str, Any]) -> None:
    refusal = json.dumps({"message": "The provided model doesn't support counting tokens."}).encode()
    headers = {**JSON, "x-amzn-errortype": "ValidationException"}
    ground = bench("aws", "us.anthropic.claude-opus-5", Play(status=400, headers=headers, chunks=[refusal]))
    _, header = await count(ground, surface, body)
    assert header == "estimated"


async def test_a_schema_for_the_answer_counts() -> None:
    ground = bench("claude", "claude-opus-5", says({"input_tokens": 7}))
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = {"type": "json_schema", "name": "n", "schema": schema}
    await count(ground, "responses", {"input": "Hi", "text": {"format": wanted}})
    asked = json.loads(ground.transport.requests[0].body)
    assert asked["output_config"] == {"format": {"type": "json_schema", "schema": schema}}


async def test_a_request_that_the_backend_refuses_is_refused() -> None:
    refusal = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}).encode()
    ground = bench("claude", "claude-opus-5", Play(status=400, headers=JSON, chunks=[refusal]))
    response = await ground.post("/v1/messages/count_tokens", json.dumps({"model": "m", **HELLO}).encode())
    assert response.status == 400


async def test_only_the_same_family_counts_for_a_model() -> None:
    """Another candidate's tokenizer would give another number."""
    candidates = [
        {"backend": "router", "api_model": "openai/gpt-5", "priority": 1},
        {"backend": "claude", "api_model": "claude-opus-5", "priority": 2},
    ]
    ground = Bench({"backends": BACKENDS, "models": {"m": {"candidates": candidates}}}, [])
    _, header = await count(ground, "messages", HELLO)
    assert header == "estimated"


async def test_gemini_whole_request_and_bedrock_invoke_bodies() -> None:
    whole = {"generateContentRequest": {"model": "models/m", **GEMINI, "systemInstruction": {"parts": [{"text": "x"}]}}}
    ground = bench("claude", "claude-opus-5", says({"input_tokens": 9}))
    assert await count(ground, "gemini", whole) == ({"totalTokens": 9}, None)
    encoded = base64.b64encode(json.dumps(INVOKE).encode()).decode()
    ground = bench("claude", "claude-opus-5", says({"input_tokens": 9}))
    assert await count(ground, "converse", {"input": {"invokeModel": {"body": encoded}}}) == ({"inputTokens": 9}, None)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("/v1beta/models/m:countTokens", {"generateContentRequest": 3}),
    ("/model/m/count-tokens", {}),
    ("/model/m/count-tokens", {"input": 3}),
    ("/model/m/count-tokens", {"input": {"converse": 3}}),
    ("/model/m/count-tokens", {"input": {"invokeModel": {"body": 3}}}),
    ("/model/m/count-tokens", {"input": {"invokeModel": {"body": "!!"}}}),
    ("/model/m/count-tokens", {"input": {"invokeModel": {"body": "W10="}}}),
]


@pytest.mark.parametrize(("path", "body"), WRONG)
async def test_bad_requests_are_refused(path: str, body: dict[str, Any]) -> None:
    ground = bench("router", "anthropic/claude-sonnet-4")
    response = await ground.post(path, json.dumps(body).encode())
    assert response.status == 400, await body_of(response)
