"""A full context window is known to the coding agents by their own words for it, whatever the backend's are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.backend_server import JSON, BackendServer, Script
from tests.clients.backends import document_for
from tests.clients.programs import needs, run
from tests.clients.test_codex import CONFIGURATION
from tests.served import served

pytestmark = pytest.mark.clients

OPENAIS = {
    "message": "This model's maximum context length is 10 tokens.",
    "type": "invalid_request_error",
    "param": "messages",
    "code": "context_length_exceeded",
}
BEDROCKS = {"message": "Input is too long for requested model."}


@needs("claude")
async def test_claude_code_on_an_openai_backend(tmp_path: Path) -> None:
    body = json.dumps({"error": OPENAIS}).encode()
    async with (
        BackendServer(lambda _: Script([body], 400, JSON)) as backend,
        served(tmp_path, document_for("chat_completions", backend.url)) as gateway,
    ):
        variables = {
            "ANTHROPIC_BASE_URL": gateway.url,
            "ANTHROPIC_API_KEY": "any",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        }
        ran = await run("claude", ["-p", "Hi", "--model", "claude-sonnet-4-5"], tmp_path, variables)
    assert ran.code == 1
    assert "Prompt is too long" in ran.output
    assert len(backend.received) == 1


@needs("codex")
async def test_codex_on_bedrock(tmp_path: Path) -> None:
    headers = {**JSON, "x-amzn-errortype": "ValidationException"}
    async with (
        BackendServer(lambda _: Script([json.dumps(BEDROCKS).encode()], 400, headers)) as backend,
        served(tmp_path, document_for("converse", backend.url)) as gateway,
    ):
        folder = tmp_path / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(CONFIGURATION.format(url=gateway.url, model="gpt-gateway"), "utf-8")
        arguments = ["exec", "--skip-git-repo-check", "Hi"]
        ran = await run("codex", arguments, tmp_path, {"SKYBRIDGE_KEY": "any", "CODEX_HOME": str(folder)})
    assert ran.code == 1
    assert "ran out of room in the model's context window" in ran.errors
    assert len(backend.received) == 1
