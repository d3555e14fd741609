"""LiteLLM's own proxy as a backend: Chat and Messages, by its mocks and with a scripted backend behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from bench.peers import LITELLM
from bench.processes import await_port, free_port
from tests.backend_server import BackendServer, Received, Script
from tests.backends.answers import CITY, answer, broken, error
from tests.backends.sdk_clients import CLIENTS, QUESTION, SCHEMA
from tests.backends.test_every_backend import format_of, streamed
from tests.leaks import MARK, secret
from tests.served import Served, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (LITELLM / "bin" / "litellm").exists(), reason="no LiteLLM: make test-all sets it up"),
]

# LiteLLM's own mocks. https://docs.litellm.ai/docs/completion/mock_requests
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(CITY)}}
MOCKS: dict[str, dict[str, Any]] = {
    "mocked": {"mock_response": "Hello there"},
    "mocked-tool": {"mock_response": "", "mock_tool_calls": [CALL]},
    "limited": {"mock_response": "litellm.RateLimitError"},
    "long": {"mock_response": "litellm.ContextWindowExceededError"},
    "down": {"mock_response": "litellm.InternalServerError"},
}
# Models behind which a scripted backend stands, in the formats that LiteLLM has to translate or not.
SCRIPTED = {"openai-behind": ("openai/gpt-4.1", "/v1"), "claude-behind": ("anthropic/claude-sonnet-4-5", "")}


@dataclass
class Proxy:
    """A running LiteLLM, and the port that its scripted models call."""

    url: str
    behind: int


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder: Path = tmp_path_factory.mktemp("litellm")
    port, behind = free_port(), free_port()
    rows = [{"model_name": name, "litellm_params": {"model": "openai/gpt-4.1", "api_key": "x", **mock}}
            for name, mock in MOCKS.items()]  # fmt: skip
    for name, (model, path) in SCRIPTED.items():
        parameters = {"model": model, "api_base": f"http://127.0.0.1:{behind}{path}", "api_key": secret("behind")}
        rows.append({"model_name": name, "litellm_params": {**parameters, "max_retries": 0}})
    settings = {"model_list": rows, "router_settings": {"num_retries": 0, "disable_cooldowns": True}}
    (folder / "litellm.json").write_text(json.dumps(settings))
    command = [str(LITELLM / "bin" / "litellm"), "--config", str(folder / "litellm.json"), "--host", "127.0.0.1",
               "--port", str(port)]  # fmt: skip
    environment = {
        **os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR",
        "LITELLM_MASTER_KEY": secret("litellm"), "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        await_port(process, port, log, 120.0)
        yield Proxy(f"http://127.0.0.1:{port}", behind)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@asynccontextmanager
async def gateway_to(tmp_path: Path, proxy: Proxy, api_model: str) -> AsyncIterator[Served]:
    backend = {"type": "litellm", "base_url": proxy.url, "api_key": secret("litellm")}
    document = {"backends": {"b": backend}, "models": {"m": {"backend": "b", "api_model": api_model}}}
    async with served(tmp_path, document, {"SERVICE_API_KEY": secret("service")}) as gateway:
        yield gateway


@asynccontextmanager
async def openai_sdk(gateway: Served) -> AsyncIterator[Any]:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=secret("service"), max_retries=0) as sdk:
        yield sdk


@asynccontextmanager
async def anthropic_sdk(gateway: Served) -> AsyncIterator[Any]:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=secret("service"), max_retries=0) as sdk:
        yield sdk


async def test_its_mocks_in_chat(proxy: Proxy, tmp_path: Path) -> None:
    async with gateway_to(tmp_path, proxy, "mocked") as gateway, openai_sdk(gateway) as sdk:
        raw = await sdk.chat.completions.with_raw_response.create(model="m", messages=QUESTION)
        whole = raw.parse()
        assert (whole.choices[0].message.content, whole.model) == ("Hello there", "m")
        assert whole.usage.total_tokens > 0 and raw.headers["x-skybridge-translation"] == "none"
        assert raw.headers["x-litellm-call-id"]
        async with sdk.chat.completions.stream(
            model="m", messages=QUESTION, stream_options={"include_usage": True}
        ) as events:
            text = "".join([event.delta async for event in events if event.type == "content.delta"])
            final = await events.get_final_completion()
        assert text == "Hello there" and final.usage.total_tokens > 0
    assert [record.outcome for record in gateway.records] == ["complete"] * 2


async def test_its_mocked_tool_call(proxy: Proxy, tmp_path: Path) -> None:
    tools: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    async with gateway_to(tmp_path, proxy, "mocked-tool") as gateway, openai_sdk(gateway) as sdk:
        whole = await sdk.chat.completions.create(model="m", messages=QUESTION, tools=tools)
    [call] = whole.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", CITY)


async def test_its_mocks_in_messages(proxy: Proxy, tmp_path: Path) -> None:
    """Its mock answers a request for a stream with a whole message, which the gateway makes a stream of."""
    asked: dict[str, Any] = {"model": "m", "max_tokens": 50, "messages": QUESTION}
    async with gateway_to(tmp_path, proxy, "mocked") as gateway, anthropic_sdk(gateway) as sdk:
        whole = await sdk.messages.create(**asked)
        assert (whole.content[0].text, whole.model, whole.stop_reason) == ("Hello there", "m", "end_turn")
        async with sdk.messages.stream(**asked) as events:
            final = await events.get_final_message()
        assert (final.content[0].text, final.model, final.stop_reason) == ("Hello there", "m", "end_turn")
        assert final.usage.output_tokens == whole.usage.output_tokens
        counted = await sdk.messages.count_tokens(model="m", messages=QUESTION)
        assert counted.input_tokens > 0


ERRORS = [
    ("limited", 429, openai.RateLimitError, anthropic.RateLimitError, "mock rate limit error"),
    ("down", 500, openai.InternalServerError, anthropic.InternalServerError, "mock internal server error"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "status", "by_openai", "by_anthropic", "said"), ERRORS)
async def test_its_errors(
    proxy: Proxy, tmp_path: Path, model: str, status: int, by_openai: Any, by_anthropic: Any, said: str, stream: bool
) -> None:
    async with gateway_to(tmp_path, proxy, model) as gateway, openai_sdk(gateway) as sdk:
        with pytest.raises(by_openai, match=said) as caught:
            await sdk.chat.completions.create(model="m", messages=QUESTION, stream=stream)
        assert caught.value.status_code == status
        async with anthropic_sdk(gateway) as claude:
            with pytest.raises(by_anthropic, match=said) as refused:
                await claude.messages.create(model="m", max_tokens=9, messages=QUESTION, stream=stream)
        assert refused.value.status_code == status


async def test_its_word_for_a_prompt_that_is_too_long(proxy: Proxy, tmp_path: Path) -> None:
    """Clients shorten their history only for words that they know."""
    async with gateway_to(tmp_path, proxy, "long") as gateway:
        async with openai_sdk(gateway) as sdk:
            with pytest.raises(openai.BadRequestError) as caught:
                await sdk.chat.completions.create(model="m", messages=QUESTION)
            assert caught.value.code == "context_length_exceeded"
        async with anthropic_sdk(gateway) as claude:
            with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
                await claude.messages.create(model="m", max_tokens=9, messages=QUESTION)


async def test_a_wrong_key_is_the_gateways_fault(proxy: Proxy, tmp_path: Path) -> None:
    backend = {"type": "litellm", "base_url": proxy.url, "api_key": secret("wrong")}
    document = {"backends": {"b": backend}, "models": {"m": {"backend": "b", "api_model": "mocked"}}}
    async with served(tmp_path, document) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        for path in ("/v1/chat/completions", "/v1/messages"):
            refused = await http.post(path, json={"model": "m", "max_tokens": 9, "messages": QUESTION})
            assert refused.status_code in (400, 500, 502), refused.text
            assert MARK not in refused.text


def good(received: Received) -> Script:
    tool = bool(received.json.get("tools"))
    return answer(format_of(received), "served-model", stream=streamed(received), tool=tool)


@pytest.mark.parametrize("client_name", ["chat", "messages", "responses", "converse", "gemini"])
@pytest.mark.parametrize("model", SCRIPTED)
async def test_whole_and_streamed_with_and_without_tools(
    proxy: Proxy, tmp_path: Path, model: str, client_name: str
) -> None:
    async with BackendServer(good, proxy.behind) as backend, gateway_to(tmp_path, proxy, model) as gateway:
        client = CLIENTS[client_name](gateway.url)
        try:
            for stream in (False, True):
                assert await client.ask(stream, tool=False) == ("Hi", [])
                assert await client.ask(stream, tool=True) == ("", [("weather", CITY)])
        finally:
            await client.close()
    assert len(backend.received) == 4
    assert [record.outcome for record in gateway.records] == ["complete"] * 4


@pytest.mark.parametrize("client_name", ["chat", "messages"])
@pytest.mark.parametrize("model", SCRIPTED)
async def test_a_backend_behind_it_that_fails(proxy: Proxy, tmp_path: Path, model: str, client_name: str) -> None:
    """Before the answer, with the statuses that LiteLLM keeps; in the middle of a stream, whatever is said."""
    now = {"status": 400}

    def play(received: Received) -> Script:
        if now["status"]:
            return error(format_of(received), now["status"], "refused behind the proxy")
        return broken(format_of(received), "served-model", "frame")

    async with BackendServer(play, proxy.behind), gateway_to(tmp_path, proxy, model) as gateway:
        client = CLIENTS[client_name](gateway.url)
        try:
            for status in (400, 429, 500):
                now["status"] = status
                for stream in (False, True):
                    with pytest.raises(client.errors) as caught:
                        await client.ask(stream, tool=False)
                    refusal = client.refusal(caught.value)
                    assert refusal.status == status and "refused behind the proxy" in refusal.text
                    assert MARK not in refusal.text
            now["status"] = 0
            with pytest.raises(client.errors):
                await client.ask(True, tool=False)
        finally:
            await client.close()
    assert gateway.records[-1].outcome in ("cut", "failed")
