"""A backend's failure reaches every client as its own SDK's error: before the answer, and in the middle of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from botocore.exceptions import EventStreamError
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from core.framing.eventstream import encode_frame, encode_headers
from core.http import Request, Response
from tests.clients.agent_backend import DIALECTS, Turn
from tests.gateways import body_of
from tests.scripted import Play
from tests.translation.judges import JUDGES
from tests.translation.pairs import bench_of, request_of

CLIENTS = ("chat_completions", "responses", "messages", "converse", "generate_content")
PAIRS = [(client, backend) for client in CLIENTS for backend in CLIENTS]
USER: Any = [{"role": "user", "content": "Hi"}]


def _openai(kind: str, code: str | None, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def _google(code: int, status: str, message: str) -> dict[str, Any]:
    # Google says in a detail that a 400 is about the key.
    reason = "API_KEY_INVALID" if "API key" in message else "OTHER"
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


TOO_LONG = "context"
BUSY = "busy"
BROKEN = "broken"
NO_KEY = "key"

# What each backend answers: status, headers, body.
FAULTS: dict[tuple[str, str], tuple[int, dict[str, str], dict[str, Any]]] = {
    ("chat_completions", TOO_LONG): (
        400,
        {},
        _openai("invalid_request_error", "context_length_exceeded", "maximum context length is 10 tokens"),
    ),
    ("messages", TOO_LONG): (
        400,
        {},
        _anthropic("invalid_request_error", "prompt is too long: 11 tokens > 10 maximum"),
    ),
    ("converse", TOO_LONG): (
        400,
        {"x-amzn-errortype": "ValidationException"},
        {"message": "Input is too long for requested model."},
    ),
    ("generate_content", TOO_LONG): (
        400,
        {},
        _google(
            400, "INVALID_ARGUMENT", "The input token count (11) exceeds the maximum number of tokens allowed (10)."
        ),
    ),
    ("chat_completions", BUSY): (429, {"retry-after": "7"}, _openai("requests", "rate_limit_exceeded", "slow down")),
    ("messages", BUSY): (429, {"retry-after": "7"}, _anthropic("rate_limit_error", "slow down")),
    ("converse", BUSY): (
        429,
        {"x-amzn-errortype": "ThrottlingException", "retry-after": "7"},
        {"message": "slow down"},
    ),
    ("generate_content", BUSY): (429, {"retry-after": "7"}, _google(429, "RESOURCE_EXHAUSTED", "slow down")),
    ("chat_completions", BROKEN): (500, {}, _openai("server_error", None, "broken")),
    ("messages", BROKEN): (500, {}, _anthropic("api_error", "broken")),
    ("converse", BROKEN): (500, {"x-amzn-errortype": "InternalServerException"}, {"message": "broken"}),
    ("generate_content", BROKEN): (500, {}, _google(500, "INTERNAL", "broken")),
    ("chat_completions", NO_KEY): (401, {}, _openai("invalid_request_error", "invalid_api_key", "bad key sk-1")),
    ("messages", NO_KEY): (401, {}, _anthropic("authentication_error", "bad key")),
    ("converse", NO_KEY): (403, {"x-amzn-errortype": "AccessDeniedException"}, {"message": "bad key"}),
    ("generate_content", NO_KEY): (400, {}, _google(400, "INVALID_ARGUMENT", "API key not valid")),
}
for kind in (TOO_LONG, BUSY, BROKEN, NO_KEY):
    FAULTS["responses", kind] = FAULTS["chat_completions", kind]


def _sdk_error(client: str, response: Response, body: bytes) -> tuple[int, str]:
    """The status and the message that the client's SDK raises."""
    return _READERS[client](response.status, response.headers, body)


def _by_openai(call: Callable[[openai.OpenAI], Any]) -> Callable[..., tuple[int, str]]:
    def read(status: int, headers: Any, body: bytes) -> tuple[int, str]:
        answer = httpx2.Response(status, headers=headers, content=body)
        with httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)) as http:
            client = openai.OpenAI(api_key="k", base_url="http://made/v1", http_client=http, max_retries=0)
            with pytest.raises(openai.APIStatusError) as caught:
                call(client)
        return caught.value.status_code, f"{caught.value.code} {caught.value.message}"

    return read


def _by_anthropic(status: int, headers: Any, body: bytes) -> tuple[int, str]:
    answer = httpx2.Response(status, headers=headers, content=body)
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)) as http:
        client = anthropic.Anthropic(api_key="k", http_client=http, max_retries=0)
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(model="m", max_tokens=5, messages=USER)
    return caught.value.status_code, caught.value.message


def _by_google(status: int, headers: Any, body: bytes) -> tuple[int, str]:
    answer = httpx.Response(status, headers=headers, content=body)
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as http:
        options = types.HttpOptions(base_url="http://made.invalid", httpx_client=http)
        with pytest.raises(genai_errors.APIError) as caught:
            genai.Client(api_key="k", http_options=options).models.generate_content(model="m", contents="x")
    return caught.value.code, f"{caught.value.status} {caught.value.message}"


def _by_botocore(status: int, headers: Any, body: bytes) -> tuple[int, str]:
    names = dict(headers)
    return status, f"{names['x-amzn-errortype']} {json.loads(body)['message']}"


_READERS: dict[str, Callable[..., tuple[int, str]]] = {
    "chat_completions": _by_openai(lambda client: client.chat.completions.create(model="m", messages=USER)),
    "responses": _by_openai(lambda client: client.responses.create(model="m", input="x")),
    "messages": _by_anthropic,
    "converse": _by_botocore,
    "generate_content": _by_google,
}

# By what each client tells that the context is full, and the status of a lasting fault of the gateway's own.
CONTEXT_WORDS = {
    "chat_completions": "context_length_exceeded",
    "responses": "context_length_exceeded",
    "messages": "prompt is too long",
    "converse": " is too long",
    "generate_content": "INVALID_ARGUMENT",
}


async def _answer(client: str, backend: str, fault: str, stream: bool) -> tuple[Response, bytes]:
    status, headers, body = FAULTS[backend, fault]
    play = Play(status, {"content-type": "application/json", **headers}, [json.dumps(body).encode()])
    bench = bench_of(backend, play)
    path, sent = request_of(client, stream)
    response = await bench.gateway.handle(Request("POST", path, "alt=sse", {}, sent))
    return response, await body_of(response)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_refusals_before_the_answer(client: str, backend: str, stream: bool) -> None:
    response, body = await _answer(client, backend, TOO_LONG, stream)
    status, message = _sdk_error(client, response, body)
    assert status == 400
    if client != backend:
        assert CONTEXT_WORDS[client] in message, message
    response, body = await _answer(client, backend, BUSY, stream)
    status, message = _sdk_error(client, response, body)
    assert status == 429 and "slow down" in message
    assert dict(response.headers)["retry-after"] == "7"
    response, body = await _answer(client, backend, BROKEN, stream)
    assert _sdk_error(client, response, body)[0] in (500, 502, 424)
    response, body = await _answer(client, backend, NO_KEY, stream)
    status, message = _sdk_error(client, response, body)
    assert status in (500, 502, 503, 424), "the gateway's credential is not the client's fault"
    assert "sk-1" not in message


# How each backend's stream breaks after some text.
def _broken_stream(backend: str) -> list[bytes]:
    whole = DIALECTS[backend].stream(Turn(text="Hello there"))
    match backend:
        case "chat_completions":
            return [*whole[:2], f"data: {json.dumps(_openai('server_error', None, 'broken'))}\n\n".encode()]
        case "responses":
            error = {"type": "error", "code": "server_error", "message": "broken", "param": None, "sequence_number": 9}
            return [*whole[:4], f"event: error\ndata: {json.dumps(error)}\n\n".encode()]
        case "messages":
            return [
                *whole[:3],
                f"event: error\ndata: {json.dumps(_anthropic('overloaded_error', 'broken'))}\n\n".encode(),
            ]
        case "converse":
            headers = {":exception-type": "modelStreamErrorException", ":message-type": "exception"}
            return [*whole[:2], encode_frame(encode_headers(headers), b'{"message": "broken"}')]
        case _:
            first = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "index": 0}]}
            error = _google(503, "UNAVAILABLE", "broken")
            return [f"data: {json.dumps(first)}\r\n\r\n".encode(), f"data: {json.dumps(error)}\r\n\r\n".encode()]


RAISED: dict[str, type[Exception]] = {
    "chat_completions": openai.APIError,
    "responses": openai.APIError,
    "messages": anthropic.APIStatusError,
    "converse": EventStreamError,
    "generate_content": genai_errors.APIError,
}


@pytest.mark.parametrize("cut", [False, True], ids=["an error frame", "cut"])
@pytest.mark.parametrize(("client", "backend"), [pair for pair in PAIRS if pair[0] != pair[1]])
async def test_a_stream_that_breaks_ends_in_the_clients_own_error(client: str, backend: str, cut: bool) -> None:
    chunks = _broken_stream(backend)
    bench = bench_of(backend, Play(headers=DIALECTS[backend].headers, chunks=chunks[:-1] if cut else chunks))
    path, sent = request_of(client, True)
    response = await bench.gateway.handle(Request("POST", path, "alt=sse", {}, sent))
    body = await body_of(response)
    assert response.status == 200 and b"Hello" in body
    with pytest.raises(RAISED[client]) as caught:
        reading = JUDGES[client].stream(body, False)
        assert reading is None, "a broken stream was read as a whole answer"
    if not cut:
        assert "broken" in str(caught.value)
    assert bench.records[-1].outcome == "cut"


@pytest.mark.parametrize("client", [client for client in CLIENTS if client != "converse"])
async def test_a_broken_answer_of_bedrocks_is_an_error(client: str) -> None:
    frames = DIALECTS["converse"].stream(Turn(text="Hello there"))
    frames[-2] = encode_frame(
        encode_headers({":event-type": "messageStop", ":content-type": "application/json", ":message-type": "event"}),
        b'{"stopReason": "malformed_model_output"}',
    )
    bench = bench_of("converse", Play(headers=DIALECTS["converse"].headers, chunks=frames))
    path, sent = request_of(client, True)
    response = await bench.gateway.handle(Request("POST", path, "alt=sse", {}, sent))
    body = await body_of(response)
    with pytest.raises(RAISED[client]):
        JUDGES[client].stream(body, False)
