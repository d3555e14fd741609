"""The registry form: `models:` whose rows name `azure` or `anthropic`, the credentials in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.backend_server import BackendServer
from tests.forms.backends import answer
from tests.served import served

DOCUMENT: dict[str, Any] = {
    "models": {
        "gpt-high": {
            "backend": "azure", "api_model": "gpt-5", "reasoning_effort": "high", "summary_level": "detailed",
            "verbosity_level": "low", "truncation_strategy": "auto",
        },
        "gpt-own": {"backend": "azure", "api_model": "gpt-5", "deployment_name": "mine"},
        "claude-sonnet-4-5": {"backend": "anthropic", "api_model": "claude-sonnet-4.5-20250514"},
    }
}  # fmt: skip


async def test_form_registry(tmp_path: Path) -> None:
    """Chat Completions in and out, whatever the backend speaks."""
    async with BackendServer(answer) as backend:
        variables = {
            "AZURE_API_KEY": "a", "AZURE_BASE_URL": backend.url, "AZURE_API_VERSION": "2025-04-01-preview",
            "ANTHROPIC_API_KEY": "c", "ANTHROPIC_BASE_URL": backend.url, "SERVICE_API_KEY": "service",
        }  # fmt: skip
        async with served(tmp_path, DOCUMENT, variables) as gateway:
            client = openai.AsyncOpenAI(base_url=gateway.url, api_key="service", max_retries=0)
            async with client as asking:
                assert [model.id async for model in asking.models.list()] == list(DOCUMENT["models"])
                for model in DOCUMENT["models"]:
                    stream = await asking.chat.completions.create(
                        model=model, messages=[{"role": "user", "content": "Hello!"}], stream=True
                    )
                    text = "".join([part.choices[0].delta.content or "" async for part in stream if part.choices])
                    assert text == "Hi"
                with pytest.raises(openai.NotFoundError) as caught:
                    await asking.chat.completions.create(
                        model="unknown-model", messages=[{"role": "user", "content": "x"}]
                    )
        available = "gpt-high, gpt-own, claude-sonnet-4-5"
        assert caught.value.body == {
            "message": f"Model 'unknown-model' is not configured. Available models: {available}",
            "type": "invalid_request_error", "param": "model", "code": "model_not_found",
        }  # fmt: skip
        high, own, claude = backend.received
    assert high.target == "/openai/responses?api-version=2025-04-01-preview"
    assert high.headers["api-key"] == "a"
    assert (high.json["model"], own.json["model"]) == ("gpt-5", "mine")
    assert high.json["reasoning"] == {"effort": "high", "summary": "detailed"}
    assert (high.json["text"]["verbosity"], high.json["truncation"]) == ("low", "auto")
    assert (claude.target, claude.headers["x-api-key"]) == ("/v1/messages", "c")
    assert claude.json["max_tokens"] == 8192


async def test_form_registry_missing_key(tmp_path: Path) -> None:
    async with served(tmp_path, DOCUMENT, {}) as gateway, httpx.AsyncClient() as http:
        answer = await http.post(
            f"{gateway.url}/chat/completions",
            json={"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hello!"}]},
        )
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert (error["message"], error["type"]) == ("ANTHROPIC_API_KEY not set in environment", "configuration_error")
