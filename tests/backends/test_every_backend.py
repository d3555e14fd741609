"""Every type of backend behind every vendor's SDK: whole and streamed, tools, errors before and in the answer.

The clients judge the answers: they are the vendors' own. The backends are scripted on a socket.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.backend_server import BackendServer, Received, Script
from tests.backends.answers import CITY, answer, broken, error
from tests.backends.sdk_clients import CLIENTS, Client
from tests.leaks import MARK, secret
from tests.served import Served, served

CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-pro-v1:0"
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": secret("aws"), "AWS_SESSION_TOKEN": secret("session"),
}  # fmt: skip

# A name for the test, the backend's options (`/` stands for the scripted server), the model, and the header that must
# hold the backend's credential.
BACKENDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "openai": ({"type": "openai", "base_url": "/v1"}, "gpt-4.1", "authorization"),
    "azure-openai": ({"type": "azure-openai", "base_url": "/"}, "dep-gpt", "api-key"),
    "azure-classic": ({"type": "azure-openai", "base_url": "/", "api_version": "2024-10-21",
                       "format": "chat_completions"}, "dep-gpt", "api-key"),
    "anthropic": ({"type": "anthropic", "base_url": "/"}, "claude-sonnet-4-5", "x-api-key"),
    "azure-foundry": ({"type": "azure-foundry", "base_url": "/"}, "claude-sonnet-4-5", "x-api-key"),
    "bedrock-messages": ({"type": "bedrock", "base_url": "/", "auth": "iam"}, CLAUDE, "authorization"),
    "bedrock-converse": ({"type": "bedrock", "base_url": "/", "auth": "iam"}, NOVA, "authorization"),
    "bedrock-invoke": ({"type": "bedrock", "base_url": "/", "format": "invoke"}, CLAUDE, "authorization"),
    "bedrock-mantle": ({"type": "bedrock-mantle", "base_url": "/"}, "openai.gpt-oss-120b", "authorization"),
    "gemini": ({"type": "gemini", "base_url": "/"}, "gemini-2.5-pro", "x-goog-api-key"),
    "databricks": ({"type": "databricks", "base_url": "/"}, "databricks-claude-sonnet-4", "authorization"),
    "databricks-chat": ({"type": "databricks", "base_url": "/"}, "databricks-llama-4", "authorization"),
    "openrouter": ({"type": "openrouter", "base_url": "/api/v1"}, "anthropic/claude-sonnet-4", "authorization"),
    "litellm": ({"type": "litellm", "base_url": "/"}, "any-model", "authorization"),
    "openai-compatible": ({"type": "openai-compatible", "base_url": "/v1"}, "llama-3.3", "authorization"),
}  # fmt: skip

_PATHS = (
    ("/messages", "messages"), ("/responses", "responses"), ("/chat/completions", "chat_completions"),
    ("/converse", "converse"), ("/converse-stream", "converse"), ("/invoke", "invoke"),
    ("/invoke-with-response-stream", "invoke"), ("generateContent", "generate_content"),
    ("treamGenerateContent", "generate_content"),
)  # fmt: skip


def format_of(received: Received) -> str:
    path = received.target.partition("?")[0]
    return next(name for end, name in _PATHS if path.endswith(end))


def streamed(received: Received) -> bool:
    return bool(received.json.get("stream")) or "stream" in received.target.lower()


def good(received: Received) -> Script:
    """What was asked for: a tool call where tools are on offer."""
    tool = any(member in received.json for member in ("tools", "toolConfig"))
    return answer(format_of(received), "served-model", stream=streamed(received), tool=tool)


@asynccontextmanager
async def gateway_to(tmp_path: Path, name: str, backend: BackendServer) -> AsyncIterator[Served]:
    options, model, _ = BACKENDS[name]
    options = {**options, "base_url": backend.url + options["base_url"].rstrip("/"), "api_key": secret(name)}
    if options.get("auth") == "iam":
        del options["api_key"]
    document = {"backends": {"b": options}, "models": {"m": {"backend": "b", "api_model": model}}}
    environment = {**AWS, "SERVICE_API_KEY": secret("service"), "LOG_LEVEL": "debug"}
    async with served(tmp_path, document, environment) as gateway:
        yield gateway


@pytest.mark.parametrize("client_name", CLIENTS)
@pytest.mark.parametrize("name", BACKENDS)
async def test_whole_and_streamed_with_and_without_tools(tmp_path: Path, name: str, client_name: str) -> None:
    async with BackendServer(good) as backend, gateway_to(tmp_path, name, backend) as gateway:
        async with closing(CLIENTS[client_name](gateway.url)) as client:
            for stream in (False, True):
                assert await client.ask(stream, tool=False) == ("Hi", [])
                assert await client.ask(stream, tool=True) == ("", [("weather", CITY)])
        header = BACKENDS[name][2]
        assert all(received.headers.get(header) for received in backend.received)
        assert not any(secret("service") in str(received.headers) for received in backend.received)
        assert [record.outcome for record in gateway.records] == ["complete"] * 4


@pytest.mark.parametrize("client_name", CLIENTS)
@pytest.mark.parametrize("name", BACKENDS)
async def test_a_backend_that_does_not_stream(tmp_path: Path, name: str, client_name: str) -> None:
    """Some servers, proxies' caches and mocks give the whole answer: the client gets the stream that it asked for."""

    def play(received: Received) -> Script:
        tool = any(member in received.json for member in ("tools", "toolConfig"))
        return answer(format_of(received), "served-model", stream=False, tool=tool)

    async with BackendServer(play) as backend, gateway_to(tmp_path, name, backend) as gateway:
        async with closing(CLIENTS[client_name](gateway.url)) as client:
            assert await client.ask(True, tool=False) == ("Hi", [])
            assert await client.ask(True, tool=True) == ("", [("weather", CITY)])
        assert [record.outcome for record in gateway.records] == ["complete"] * 2
        assert [record.usage.output_tokens for record in gateway.records] == [2, 2]


# What the client sees of a backend's status: the statuses, and the vendor's words for the kind where the gateway writes
# them. A refusal of the gateway's own credential is the gateway's fault.
type Seen = tuple[set[int], set[str]]
BROKEN = {500, 502}
SEEN: dict[str, dict[int, Seen]] = {
    "openai": {
        400: ({400}, {"invalid_request_error"}), 401: (BROKEN, {"server_error"}), 403: (BROKEN, {"server_error"}),
        404: ({404}, {"invalid_request_error"}), 408: ({408, 504}, {"server_error", "timeout_error"}),
        413: ({413}, {"invalid_request_error"}), 429: ({429}, {"requests", "tokens", "rate_limit_error"}),
        500: (BROKEN, {"server_error"}), 503: ({503}, {"server_error", "overloaded_error"}),
        529: ({503}, {"server_error", "overloaded_error"}),
    },
    "anthropic": {
        400: ({400}, {"invalid_request_error"}), 401: (BROKEN, {"api_error"}), 403: (BROKEN, {"api_error"}),
        404: ({404}, {"not_found_error"}), 408: ({408, 504}, {"timeout_error"}), 413: ({413}, {"request_too_large"}),
        429: ({429}, {"rate_limit_error"}), 500: (BROKEN, {"api_error"}),
        503: ({503, 529}, {"overloaded_error", "api_error"}), 529: ({529}, {"overloaded_error"}),
    },
    "aws": {
        400: ({400}, {"ValidationException"}), 401: (BROKEN, {"InternalServerException"}),
        403: (BROKEN, {"InternalServerException"}), 404: ({404}, {"ResourceNotFoundException"}),
        408: ({408}, {"ModelTimeoutException"}), 413: ({400, 413}, {"ValidationException"}),
        429: ({429}, {"ThrottlingException"}),
        500: ({424, 500}, {"ModelErrorException", "InternalServerException"}),
        503: ({503}, {"ServiceUnavailableException"}), 529: ({503}, {"ServiceUnavailableException"}),
    },
    "google": {
        400: ({400}, {"INVALID_ARGUMENT"}), 401: (BROKEN, {"INTERNAL"}), 403: (BROKEN, {"INTERNAL"}),
        404: ({404}, {"NOT_FOUND"}), 408: ({504}, {"DEADLINE_EXCEEDED"}), 413: ({400, 413}, {"INVALID_ARGUMENT"}),
        429: ({429}, {"RESOURCE_EXHAUSTED"}), 500: (BROKEN, {"INTERNAL"}), 503: ({503}, {"UNAVAILABLE"}),
        529: ({503}, {"UNAVAILABLE"}),
    },
}  # fmt: skip


# Each vendor's own id of a request, by the format that it answers in.
REQUEST_ID = {
    "messages": "request-id", "chat_completions": "x-request-id", "responses": "x-request-id",
    "converse": "x-amzn-requestid", "invoke": "x-amzn-requestid", "generate_content": "x-request-id",
}  # fmt: skip


@pytest.mark.parametrize("client_name", CLIENTS)
@pytest.mark.parametrize("name", BACKENDS)
async def test_errors_keep_status_message_and_headers(tmp_path: Path, name: str, client_name: str) -> None:
    now = {"status": 0}

    def play(received: Received) -> Script:
        message = f"refused with {now['status']} for {quoted(received)}"
        script = error(format_of(received), now["status"], message)
        return replace(script, headers={**script.headers, REQUEST_ID[format_of(received)]: "req-of-the-backend"})

    async with BackendServer(play) as backend, gateway_to(tmp_path, name, backend) as gateway:
        async with closing(CLIENTS[client_name](gateway.url)) as client:
            for status, (statuses, kinds) in SEEN[client.dialect].items():
                for stream in (False, True):
                    now["status"] = status
                    with pytest.raises(client.errors) as caught:
                        await client.ask(stream, tool=False)
                    refusal = client.refusal(caught.value)
                    about = (status, stream, refusal)
                    # A backend of the client's format has said it in the client's words, but for what must not pass.
                    native = refusal.headers["x-skybridge-translation"] == "none" and status not in (401, 403)
                    assert refusal.status in statuses or (native and refusal.status == status != 529), about
                    assert native or refusal.kind in kinds, about
                    assert status in (401, 403) or f"refused with {status}" in refusal.text, about
                    if status in (429, 503, 529):
                        assert refusal.headers["retry-after"] == "7", about
                    assert refusal.headers["x-request-id"], about
                    assert "req-of-the-backend" in refusal.headers.values(), about
                    assert MARK not in refusal.text + str(refusal.headers), about


def quoted(received: Received) -> str:
    """The worst that a backend can say: every header that it got."""
    assert MARK in str(received.headers)
    return " ".join(f"{name} {value}" for name, value in received.headers.items())


@pytest.mark.parametrize("how", ["frame", "reset"])
@pytest.mark.parametrize("client_name", CLIENTS)
@pytest.mark.parametrize("name", BACKENDS)
async def test_a_stream_that_breaks_is_an_error(tmp_path: Path, name: str, client_name: str, how: str) -> None:
    """Never a success, never a silent end. What the backend says of its key is not told."""

    def play(received: Received) -> Script:
        return broken(format_of(received), "served-model", how, f"the model fell over for {quoted(received)}")

    async with BackendServer(play) as backend, gateway_to(tmp_path, name, backend) as gateway:
        async with closing(CLIENTS[client_name](gateway.url)) as client:
            with pytest.raises(client.errors) as caught:
                await client.ask(True, tool=False)
        if how == "frame":
            assert "the model fell over" in str(caught.value)
        assert MARK not in str(caught.value)
        assert [record.outcome for record in gateway.records] == ["cut"]
        assert not any(MARK in message for record in gateway.records for message in record.errors)


@asynccontextmanager
async def closing(client: Client) -> AsyncIterator[Client]:
    try:
        yield client
    finally:
        await client.close()
