"""Vercel's AI SDK streams a text, uses a tool and gets an object, with each of its providers that speaks a format of
ours, whatever format the backend speaks."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.served import served

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("ai_sdk.mjs")
PRESENT = (ROOT / "node_modules" / "ai").is_dir() and shutil.which("node") is not None
pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not PRESENT, reason="node_modules/ai is absent: run `npm install`"),
]

PROVIDERS = ("openai", "openai-chat", "anthropic", "google", "amazon-bedrock")
# What the demo backend speaks; the pairs are chosen so that every provider meets a foreign one.
BACKENDS = {"openai": "messages", "openai-chat": "responses", "anthropic": "chat_completions"}
KEY = "service-key"


async def turn(provider: str, url: str) -> Any:
    """What the program prints."""
    environment = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", "NODE_NO_WARNINGS": "1"}
    process = await asyncio.create_subprocess_exec(
        "node", str(PROGRAM), provider, url, KEY, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()[:3000]
    return json.loads(output)


@pytest.mark.parametrize("store", [False, True], ids=["without a store", "with a store"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_text_a_tool_and_an_object(tmp_path: Path, provider: str, store: bool) -> None:
    if store and provider != "openai":
        pytest.skip("only the Responses API refers to what was stored")
    backend = {"type": "demo", "format": BACKENDS.get(provider, "messages")}
    document = {"backends": {"demo": backend}, "models": {"m": {"backend": "demo", "reasoning_effort": "low"}}}
    variables = {"SERVICE_API_KEY": KEY}
    if store:
        variables["SKYBRIDGE_STORE"] = f"sqlite:{tmp_path / 'made.db'}"
    async with served(tmp_path, document, variables) as gateway:
        told = await turn(provider, gateway.url)
    assert "Say hello." in told["text"] and told["chunks"] > 3
    assert (told["finish"], told["usage"]["inputTokens"] > 0, told["usage"]["outputTokens"] > 0) == ("stop", True, True)
    assert [call["toolName"] for call in told["calls"]] == ["weather"]
    [result] = told["results"]
    assert result.startswith("4 degrees in ") and result in told["ending"]
    assert set(told["object"]) == {"city", "people"}
    translated = {record.backend_format for record in gateway.records}
    assert translated == {backend["format"]}
