"""The router JSON: each endpoint uses backends of its own format, by priority, and nothing is translated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.backend_server import JSON, SSE, BackendServer, Received, Script
from tests.forms.backends import failing
from tests.samples import answer_body, stream_frames
from tests.served import served


def document(primary: str, spare: str) -> dict[str, Any]:
    return {
        "model_mapping": {"gpt-4": ["first-name", "second-name"], "claude-3-opus": ["opus"]},
        "providers": [
            {"name": "o2", "type": "openai", "api_key": "k2", "base_url": f"{spare}/v1", "priority": 3},
            {"name": "a1", "type": "anthropic", "api_key": "k3", "base_url": primary, "priority": 1},
            {"name": "a2", "type": "anthropic", "api_key": "k4", "base_url": spare, "priority": 2},
            {"name": "o1", "type": "openai", "api_key": "k1", "base_url": f"{primary}/v1", "priority": 2},
        ],
    }


def served_name(received: Received) -> Script:
    """A good answer under the backend's own model name, which must reach the client unchanged."""
    name = "messages" if received.target.endswith("/messages") else "chat_completions"
    if received.json.get("stream"):
        return Script(stream_frames(name, "served-name"), headers=SSE)
    return Script([answer_body(name, "served-name")], headers=JSON)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500])
async def test_form_router_json(tmp_path: Path, status: int) -> None:
    async with (
        BackendServer(lambda received: failing(status)) as broken,
        BackendServer(served_name) as good,
        served(tmp_path, document(broken.url, good.url)) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/openai", api_key="x", max_retries=0) as gpt,
        anthropic.AsyncAnthropic(base_url=f"{gateway.url}/anthropic", api_key="x", max_retries=0) as claude,
    ):
        chat = await gpt.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "Hi"}])
        assert (chat.model, chat.choices[0].message.content) == ("served-name", "Hi")
        message = await claude.messages.create(
            model="claude-3-opus", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        )
        assert message.model == "served-name"
        raw = await claude.messages.with_raw_response.create(
            model="claude-3-opus", max_tokens=9, messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        body = b"".join([chunk async for chunk in raw.http_response.aiter_bytes()])
        assert body == b"".join(stream_frames("messages", "served-name"))
    assert [received.json["model"] for received in good.received] == ["second-name", "opus", "opus"]
    assert {received.json["model"] for received in broken.received} <= {"first-name", "opus"}
    assert good.received[0].headers["authorization"] == "Bearer k2"
    assert good.received[1].headers["x-api-key"] == "k4"


async def test_form_router_json_never_translates(tmp_path: Path) -> None:
    """With providers of one format only, the other endpoint has nobody to ask."""
    async with BackendServer(served_name) as good:
        only = {"model_mapping": {}, "providers": document("", good.url)["providers"][:1]}
        async with (
            served(tmp_path, only) as gateway,
            anthropic.AsyncAnthropic(base_url=f"{gateway.url}/anthropic", api_key="x", max_retries=0) as claude,
        ):
            with pytest.raises(anthropic.NotFoundError):
                await claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
        assert good.received == []


async def test_form_router_json_changes_the_models_name_only(tmp_path: Path) -> None:
    """What a model refuses is left, and a stream's tokens are asked for (`stream_options`) where they are paid from a
    budget only, not wherever somebody counts them."""
    asked = b'{"model": "gpt-4",  "stream":true, "temperature": 0.4, "messages": [{"role": "user", "content": "Hi"}]}'
    claude = b"""{"model": "claude-3-opus", "max_tokens": 2000, "top_k": 3,
        "messages": [{"role": "user", "content": "Hi"}], "thinking": {"type": "enabled", "budget_tokens": 1024}}"""
    mapping = {"gpt-4": "gpt-5.4", "claude-3-opus": "claude-opus-4-8"}
    async with BackendServer(served_name) as good:
        mapped = {**document(good.url, good.url), "model_mapping": mapping}
        counting = {"SKYBRIDGE_STORE": f"sqlite:{tmp_path}/accounts.db", "SERVICE_API_KEY": "made-key"}
        async with (
            served(tmp_path, mapped, counting) as gateway,
            httpx.AsyncClient(base_url=gateway.url, headers={"x-api-key": "made-key"}) as client,
        ):
            answer = await client.post("/openai/chat/completions", content=asked)
            assert answer.content == b"".join(stream_frames("chat_completions", "served-name"))
            assert (await client.post("/anthropic/v1/messages", content=claude)).status_code == 200
            made = (await client.post("/api/v1/keys", json={"owner": "a", "budgets": {"usd_per_day": 100}})).json()
            answer = await client.post("/openai/chat/completions", content=asked, headers={"x-api-key": made["key"]})
            assert answer.status_code == 200
    chat, messages, paid = [received.body for received in good.received]
    assert chat == asked.replace(b"gpt-4", b"gpt-5.4")
    assert messages == claude.replace(b"claude-3-opus", b"claude-opus-4-8")
    assert json.loads(paid) == {**json.loads(chat), "stream_options": {"include_usage": True}}
