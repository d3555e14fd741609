"""Every type of backend behind every vendor's SDK: whole and streamed, tools, errors before and in the answer.

The clients judge the answers: they are the vendors' own. The backends are scripted on a socket.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.backend_server import BackendServer, Received, Script
from tests.backends.answers import CITY, answer, broken, error
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
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]

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


# --- the three clients: each gives the text, and the tool call as (name, arguments) ---------------------------------


class Chat:
    """OpenAI's SDK, Chat Completions."""

    errors: Any = openai.APIError
    status_error: Any = openai.APIStatusError

    def __init__(self, url: str) -> None:
        self.sdk: Any = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret("service"), max_retries=0)

    async def ask(self, stream: bool, tool: bool) -> tuple[str, Any]:
        function = {"name": "weather", "parameters": SCHEMA}
        tools: dict[str, Any] = {"tools": [{"type": "function", "function": function}]} if tool else {}
        if not stream:
            whole = await self.sdk.chat.completions.create(model="m", messages=QUESTION, **tools)
            message = whole.choices[0].message
            assert whole.usage.total_tokens == 7
            assert whole.choices[0].finish_reason == ("tool_calls" if tool else "stop")
        else:
            options = {"include_usage": True}
            async with self.sdk.chat.completions.stream(
                model="m", messages=QUESTION, stream_options=options, **tools
            ) as events:
                async for _ in events:
                    pass
                final = await events.get_final_completion()
            message = final.choices[0].message
            assert final.usage.total_tokens == 7
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
        return message.content or "", calls


class Responses:
    """OpenAI's SDK, Responses."""

    errors: Any = openai.APIError
    status_error: Any = openai.APIStatusError

    def __init__(self, url: str) -> None:
        self.sdk: Any = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret("service"), max_retries=0)

    async def ask(self, stream: bool, tool: bool) -> tuple[str, Any]:
        function = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
        tools: dict[str, Any] = {"tools": [function]} if tool else {}
        asked = {"model": "m", "input": "What is the weather in Oslo?", "store": False, **tools}
        if not stream:
            final = await self.sdk.responses.create(**asked)
        else:
            failed = ""
            async with self.sdk.responses.stream(**asked) as events:
                async for event in events:
                    if event.type in ("error", "response.failed"):
                        failed = event.type
                if failed:
                    raise openai.APIError(failed, httpx.Request("POST", "http://gateway"), body=None)
                final = await events.get_final_response()
        assert final.usage.total_tokens == 7
        calls = [(item.name, json.loads(item.arguments)) for item in final.output if item.type == "function_call"]
        return final.output_text, calls


class Messages:
    """Anthropic's SDK."""

    errors: Any = anthropic.APIError
    status_error: Any = anthropic.APIStatusError

    def __init__(self, url: str) -> None:
        self.sdk: Any = anthropic.AsyncAnthropic(base_url=url, api_key=secret("service"), max_retries=0)

    async def ask(self, stream: bool, tool: bool) -> tuple[str, Any]:
        tools: dict[str, Any] = {"tools": [{"name": "weather", "input_schema": SCHEMA}]} if tool else {}
        asked = {"model": "m", "max_tokens": 50, "messages": QUESTION, **tools}
        if not stream:
            final = await self.sdk.messages.create(**asked)
        else:
            async with self.sdk.messages.stream(**asked) as events:
                final = await events.get_final_message()
        assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 2)
        assert final.stop_reason == ("tool_use" if tool else "end_turn")
        text = "".join(block.text for block in final.content if block.type == "text")
        return text, [(block.name, block.input) for block in final.content if block.type == "tool_use"]


CLIENTS: dict[str, Any] = {"chat": Chat, "responses": Responses, "messages": Messages}


@pytest.mark.parametrize("client_name", CLIENTS)
@pytest.mark.parametrize("name", BACKENDS)
async def test_whole_and_streamed_with_and_without_tools(tmp_path: Path, name: str, client_name: str) -> None:
    async with BackendServer(good) as backend, gateway_to(tmp_path, name, backend) as gateway:
        client = CLIENTS[client_name](gateway.url)
        async with client.sdk:
            for stream in (False, True):
                assert await client.ask(stream, tool=False) == ("Hi", [])
                assert await client.ask(stream, tool=True) == ("", [("weather", CITY)])
        header = BACKENDS[name][2]
        assert all(received.headers.get(header) for received in backend.received)
        assert not any(secret("service") in str(received.headers) for received in backend.received)
        assert [record.outcome for record in gateway.records] == ["complete"] * 4


# What the client sees of a backend's status. A refusal of the gateway's own credential is the gateway's fault.
SEEN: dict[str, dict[int, set[int]]] = {
    "openai": {400: {400}, 401: {500, 502}, 403: {500, 502}, 404: {404}, 408: {408, 504}, 413: {413}, 429: {429},
               500: {500, 502}, 503: {503}, 529: {503, 529}},
    "anthropic": {400: {400}, 401: {500, 502}, 403: {500, 502}, 404: {404}, 408: {408, 504}, 413: {413}, 429: {429},
                  500: {500, 502}, 503: {503, 529}, 529: {529}},
}  # fmt: skip


@pytest.mark.parametrize("client_name", CLIENTS)
@pytest.mark.parametrize("name", BACKENDS)
async def test_errors_keep_status_message_and_headers(tmp_path: Path, name: str, client_name: str) -> None:
    client_class = CLIENTS[client_name]
    seen = SEEN["anthropic" if client_class is Messages else "openai"]
    now = {"status": 0}

    def play(received: Received) -> Script:
        quoted = secret("session" if "iam" in BACKENDS[name][0].values() else name)
        message = f"refused with {now['status']} for the key {quoted}"
        return error(format_of(received), now["status"], message)

    async with BackendServer(play) as backend, gateway_to(tmp_path, name, backend) as gateway:
        client = client_class(gateway.url)
        async with client.sdk:
            for status, expected in seen.items():
                for stream in (False, True):
                    now["status"] = status
                    with pytest.raises(client.status_error) as caught:
                        await client.ask(stream, tool=False)
                    response = caught.value.response
                    assert response.status_code in expected, (status, stream, response.text)
                    if status not in (401, 403):
                        assert f"refused with {status}" in response.text, response.text
                    if status in (429, 503, 529):
                        assert int(response.headers["retry-after"]) >= 1
                    assert response.headers["x-request-id"]
                    assert MARK not in response.text + str(response.headers)


@pytest.mark.parametrize("how", ["frame", "reset"])
@pytest.mark.parametrize("client_name", CLIENTS)
@pytest.mark.parametrize("name", BACKENDS)
async def test_a_stream_that_breaks_is_an_error(tmp_path: Path, name: str, client_name: str, how: str) -> None:
    """Never a success, never a silent end."""

    def play(received: Received) -> Script:
        return broken(format_of(received), "served-model", how)

    async with BackendServer(play) as backend, gateway_to(tmp_path, name, backend) as gateway:
        client = CLIENTS[client_name](gateway.url)
        async with client.sdk:
            with pytest.raises(client.errors):
                await client.ask(True, tool=False)
        assert [record.outcome for record in gateway.records] == ["cut"]
