"""What the gateway answers by itself: bad input, keys, unknown names, lists and pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.http import Request, Response
from tests.gateways import Bench, body_of, native_bench, path_of
from tests.samples import PATHS, answer_body, request_body
from tests.scripted import Play

FORMATS = sorted(PATHS)
JSON = {"content-type": "application/json"}


async def error_of(response: Response) -> dict[str, Any]:
    """The error object; every format here has one, and every answer a request id."""
    assert response.header("x-request-id")
    error: dict[str, Any] = json.loads(await body_of(response))["error"]
    assert error["message"]
    return error


BAD_BODIES = [
    (b"", "empty"),
    (b"   ", "empty"),
    (b"[]", "object"),
    (b"null", "object"),
    (b'"x"', "object"),
    (b"{", "JSON"),
    (b'{"model":"m",}', "JSON"),
    (b'{"model":"m" "x":1}', "JSON"),
    (b'{"model" "m"}', "JSON"),
    (b'{"model":}', "JSON"),
    (b"{model:1}", "JSON"),
    (b'{"model":"m"} x', "JSON"),
    (b'{"model":"m","x":NaN}', "NaN"),
    (b'{"model":"m","x":' + b"1" * 5000 + b"}", "JSON"),
    (b'{"model":"m","model":"n"}', "twice"),
    (b'{"model":"\xff"}', "UTF-8"),
    (b'{"model":"a\x01b"}', "JSON"),
    (b'{"x":' + b"[" * 200_000, "deeply"),
    (b"{}", "'model' is missing"),
    (b'{"model":null}', "'model' is missing"),
    (b'{"model":7}', "'model' must be"),
    (b'{"model":""}', "'model' must be"),
]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(("body", "said"), BAD_BODIES, ids=[str(index) for index in range(len(BAD_BODIES))])
async def test_a_bad_body_is_a_400_that_says_why(format_name: str, body: bytes, said: str) -> None:
    bench = native_bench(format_name, [])
    response = await bench.post(path_of(format_name), body)
    assert response.status == 400
    assert said in (await error_of(response))["message"]
    assert bench.transport.requests == []


@pytest.mark.parametrize("format_name", FORMATS)
async def test_a_compressed_body_is_refused_by_its_coding(format_name: str) -> None:
    bench = native_bench(format_name, [])
    response = await bench.post(path_of(format_name), b"\x1f\x8b\x08", content_encoding="gzip")
    assert "the content-encoding 'gzip'; send it as it is" in (await error_of(response))["message"]
    assert response.status == (400 if format_name == "messages" else 415)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("stream", ['"yes"', "1", "[]", "{}"])
async def test_stream_must_be_a_boolean(format_name: str, stream: str) -> None:
    body = request_body(format_name).replace(b'"stream":false', f'"stream":{stream}'.encode())
    response = await native_bench(format_name, []).post(path_of(format_name), body)
    assert response.status == 400
    assert "'stream'" in (await error_of(response))["message"]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("content", ["5", "true", "null", "[]"])
async def test_the_conversation_must_have_the_right_type(format_name: str, content: str) -> None:
    member = "input" if format_name == "responses" else "messages"
    body = f'{{"model":"m","{member}":{content}}}'.encode()
    response = await native_bench(format_name, []).post(path_of(format_name), body)
    assert response.status == 400
    assert f"'{member}'" in (await error_of(response))["message"]


async def test_responses_may_have_a_stored_prompt_instead_of_input() -> None:
    bench = native_bench("responses", [Play(headers=JSON, chunks=[answer_body("responses")])])
    response = await bench.post("/v1/responses", b'{"model":"m","prompt":{"id":"p"}}')
    assert response.status == 200


@pytest.mark.parametrize("format_name", FORMATS)
@given(body=st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
async def test_no_bytes_make_the_gateway_fail(format_name: str, body: bytes) -> None:
    response = await native_bench(format_name, []).post(path_of(format_name), body)
    assert response.status == 400


KEY_HEADERS: list[dict[str, str]] = [
    {"authorization": "Bearer right"},
    {"authorization": "bearer  right "},
    {"x_api_key": "right"},
    {"api_key": "right"},
    {"x_goog_api_key": "right"},
    {"x_api_key": "other", "authorization": "Bearer right"},
]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("headers", KEY_HEADERS)
async def test_the_key_works_in_every_header(format_name: str, headers: dict[str, str]) -> None:
    bench = native_bench(format_name, [Play(headers=JSON, chunks=[answer_body(format_name)])])
    bench.gateway.rules.keys = ("wrong", "right")
    response = await bench.post(path_of(format_name), request_body(format_name), **headers)
    assert response.status == 200


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer no"}, {"authorization": "Basic right"}, {"x_api_key": "\udcff"}]
)
async def test_a_wrong_or_missing_key_is_a_401(format_name: str, headers: dict[str, str]) -> None:
    bench = native_bench(format_name, [])
    bench.gateway.rules.keys = ("right",)
    response = await bench.post(path_of(format_name), request_body(format_name), **headers)
    assert response.status == 401
    assert "key" in (await error_of(response))["message"]


async def test_gemini_clients_may_send_the_key_in_the_query() -> None:
    bench = native_bench("messages", [])
    bench.gateway.rules.keys = ("right",)
    for query, status in (("key=right", 200), ("key=wrong", 401), ("monkey=right", 401)):
        response = await bench.gateway.handle(Request("GET", "/v1/models", query))
        assert response.status == status


@pytest.mark.parametrize("format_name", FORMATS)
async def test_an_unknown_model_is_a_404_that_lists_the_names(format_name: str) -> None:
    bench = native_bench(format_name, [])
    response = await bench.post(path_of(format_name), request_body(format_name, model="gpt-99"))
    assert response.status == 404
    error = await error_of(response)
    assert error["message"] == "Model 'gpt-99' is not configured. Available models: m"
    if format_name != "messages":
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")


@pytest.mark.parametrize(
    ("path", "headers", "key"),
    [
        ("/v1/messages/what", {}, "type"),
        ("/anthropic/v2", {}, "type"),
        ("/nowhere", {"anthropic_version": "2023-06-01"}, "type"),
        ("/nowhere", {}, "code"),
        ("/v1/what", {}, "code"),
    ],
)
async def test_an_unknown_path_is_a_404_in_the_format_that_it_suggests(
    path: str, headers: dict[str, str], key: str
) -> None:
    response = await native_bench("messages", []).post(path, b"{}", **headers)
    assert response.status == 404
    assert key in await error_of(response)


async def test_unknown_paths_of_bedrock_and_gemini_have_their_shapes() -> None:
    bench = native_bench("messages", [])
    response = await bench.post("/model/x/what", b"{}")
    assert response.status == 404 and "message" in json.loads(await body_of(response))
    response = await bench.post("/v1beta/what", b"{}")
    assert (await error_of(response))["code"] == 404
    response = await bench.post("/what", b"{}", authorization="AWS4-HMAC-SHA256 Credential=x")
    assert "message" in json.loads(await body_of(response))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/chat/completions/"])
async def test_a_wrong_method_is_a_405_with_allow(path: str) -> None:
    response = await native_bench("messages", []).get(path)
    assert response.status == 405
    assert response.header("allow") == "POST"
    await error_of(response)


async def test_a_websocket_is_declined_with_426() -> None:
    """The one refusal after which Codex asks over HTTP at once."""
    response = await native_bench("responses", []).get("/v1/responses", upgrade="WebSocket", connection="Upgrade")
    assert response.status == 426
    assert (response.header("upgrade"), response.header("allow")) == ("HTTP/1.1", "POST")
    assert (await error_of(response))["code"] == "method_not_allowed"


async def test_a_wrong_method_on_a_path_with_a_model() -> None:
    response = await native_bench("messages", []).get("/model/x/converse")
    assert response.status == 405
    assert response.header("allow") == "POST"


async def test_pages_without_a_key() -> None:
    bench = native_bench("messages", [])
    bench.gateway.rules.keys = ("right",)
    for path in ("/health", "/ready", "/", "/api/hello"):
        response = await bench.get(path)
        assert response.status == 200
        json.loads(await body_of(response))
    health = json.loads(await body_of(await bench.get("/health")))
    assert health["backends"]["b1"] == {"type": "anthropic", "configured": True, "missing": None}
    response = await bench.gateway.handle(Request("HEAD", "/"))
    assert response.status == 200


async def test_models_in_each_clients_shape() -> None:
    bench = native_bench("messages", [])
    openai = json.loads(await body_of(await bench.get("/v1/models")))
    assert openai["object"] == "list"
    assert openai["data"][0] == {"id": "m", "object": "model", "created": 0, "owned_by": "b1"}
    anthropic = json.loads(await body_of(await bench.get("/v1/models", anthropic_version="2023-06-01")))
    assert (anthropic["first_id"], anthropic["data"][0]["type"]) == ("m", "model")
    gemini = json.loads(await body_of(await bench.get("/v1beta/models")))
    assert gemini["models"][0]["name"] == "models/m"
    one = json.loads(await body_of(await bench.get("/v1/models/m")))
    assert one["id"] == "m"
    one = json.loads(await body_of(await bench.get("/v1/models/m", anthropic_version="2023-06-01")))
    assert one["display_name"] == "m"
    assert (await bench.get("/v1/models/nope")).status == 404
    assert (await bench.get("/v1/models")).status == 200


async def test_an_empty_registry_lists_nothing() -> None:
    bench = Bench({"models": {}}, [])
    listed = json.loads(await body_of(await bench.get("/v1/models", anthropic_version="1")))
    assert listed == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    response = await bench.post("/v1/messages", request_body("messages"))
    assert "Available models: none" in (await error_of(response))["message"]


async def test_header_values_are_safe() -> None:
    plays = [Play(headers=JSON, chunks=[answer_body("messages")])]
    bench = native_bench("messages", plays, api_model="x\r\nset: y\u20ac")
    response = await bench.post("/v1/messages", request_body("messages"))
    assert response.header("x-skybridge-model") == "x??set: y?"


OVERFLOWS = [
    # LiteLLM's word, in both of its formats, and what each client's SDK must find.
    ("chat_completions", "/v1/chat/completions", {"error": {"message": "litellm.ContextWindowExceededError: too much",
     "type": "invalid_request_error", "param": None, "code": "400"}}, b'"code":"context_length_exceeded"'),
    ("messages", "/v1/messages", {"type": "error", "error": {"type": "invalid_request_error",
     "message": "litellm.ContextWindowExceededError: too much"}}, b"prompt is too long: litellm"),
    # Words that clients know are told as they came.
    ("chat_completions", "/v1/chat/completions", {"error": {"message": "x", "code": "context_length_exceeded"}}, None),
    ("messages", "/v1/messages", {"type": "error", "error": {"type": "invalid_request_error",
     "message": "prompt is too long: 9 tokens > 8 maximum"}}, None),
]  # fmt: skip


@pytest.mark.parametrize(("format_name", "path", "said", "told"), OVERFLOWS)
async def test_a_full_context_window_is_told_in_words_that_clients_know(
    format_name: str, path: str, said: dict[str, Any], told: bytes | None
) -> None:
    raw = json.dumps(said).encode()
    bench = native_bench(format_name, [Play(status=400, headers=JSON, chunks=[raw])], candidates=1)
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    response = await bench.post(path, json.dumps(body).encode())
    found = await body_of(response)
    assert response.status == 400
    assert found == raw if told is None else told in found.replace(b'": ', b'":')
