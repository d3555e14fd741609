"""Every pair of a client format and a backend format, behind a gateway whose backend plays a recorded answer."""

from __future__ import annotations

import json
from typing import Any

from core.formats import load_wire
from core.http import Request
from tests.gateways import Bench, body_of
from tests.scripted import Play
from tests.translation.recorded import Exchange

# A backend of each format: its options, and a model that speaks the format natively.
BACKENDS: dict[str, tuple[dict[str, Any], str]] = {
    "chat_completions": ({"type": "openai", "format": "chat_completions"}, "gpt-4.1"),
    "responses": ({"type": "openai", "format": "responses"}, "gpt-5"),
    "messages": ({"type": "anthropic"}, "claude-sonnet-4-5"),
    "converse": ({"type": "bedrock", "format": "converse", "region": "us-east-1"}, "us.amazon.nova-pro-v1:0"),
    "invoke": (
        {"type": "bedrock", "format": "invoke", "region": "us-east-1"},
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
    "generate_content": ({"type": "gemini", "api_key": "k"}, "gemini-2.5-flash"),
}

# A small request of each client format: its path, whole and streamed, and its body.
_PATHS: dict[str, tuple[str, str]] = {
    "chat_completions": ("/v1/chat/completions",) * 2,
    "responses": ("/v1/responses",) * 2,
    "messages": ("/v1/messages",) * 2,
    "converse": ("/model/m/converse", "/model/m/converse-stream"),
    "invoke": ("/model/m/invoke", "/model/m/invoke-with-response-stream"),
    "generate_content": ("/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent"),
}
_BODIES: dict[str, dict[str, Any]] = {
    "chat_completions": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "responses": {"model": "m", "input": "Hi", "store": False},
    "messages": {"model": "m", "max_tokens": 512, "messages": [{"role": "user", "content": "Hi"}]},
    "converse": {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
    "invoke": {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 512,
        "messages": [{"role": "user", "content": "Hi"}],
    },
    "generate_content": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}
# Formats that say in the body whether to stream.
_STREAM_MEMBERS: dict[str, dict[str, Any]] = {
    "chat_completions": {"stream": True, "stream_options": {"include_usage": True}},
    "responses": {"stream": True},
    "messages": {"stream": True},
}


def document_of(backend_format: str, api_model: str = "", **options: Any) -> dict[str, Any]:
    """A configuration whose model `m` is served by one backend of `backend_format`."""
    backend, model = BACKENDS[backend_format]
    row = {"backend": "there", "api_model": api_model or model}
    return {"backends": {"there": {**backend, **options}}, "models": {"m": row}}


def request_of(client_format: str, stream: bool, body: dict[str, Any] | None = None) -> tuple[str, bytes]:
    """The path and the body of a client's request; a small one unless `body` is given."""
    values = dict(_BODIES[client_format] if body is None else body)
    path = _PATHS[client_format][stream]
    if stream:
        values.update(_STREAM_MEMBERS.get(client_format, {}))
    return path, json.dumps(values).encode()


def bench_of(backend_format: str, play: Play, api_model: str = "") -> Bench:
    return Bench(document_of(backend_format, api_model), [play])


async def answered(client_format: str, exchange: Exchange, request: dict[str, Any] | None = None) -> bytes:
    """What a client of `client_format` gets for `request` (a small one) when the backend answers with `exchange`."""
    kind = load_wire(exchange.format).STREAM_CONTENT_TYPE if exchange.streamed else "application/json"
    play = Play(headers={"content-type": kind}, chunks=_cut(exchange.body))
    bench = bench_of(exchange.format, play)
    path, body = request_of(client_format, exchange.streamed, request)
    query = "alt=sse" if client_format == "generate_content" and exchange.streamed else ""
    response = await bench.gateway.handle(Request("POST", path, query, {}, body))
    answer = await body_of(response)
    assert response.status == 200, answer
    names = dict(response.headers)
    wanted = "none" if client_format == exchange.format else f"{client_format}>{exchange.format}"
    assert names["x-skybridge-translation"] == wanted
    return answer


def _cut(body: bytes) -> list[bytes]:
    """`body` in three pieces whose borders are nobody's."""
    third = len(body) // 3
    return [piece for piece in (body[:third], body[third : 2 * third + 1], body[2 * third + 1 :]) if piece]
