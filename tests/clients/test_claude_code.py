"""Claude Code completes a turn with a tool on a backend of every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backend_server import BackendServer
from tests.clients.agent_backend import DIALECTS, Agent, ToolUse, Turn
from tests.clients.backends import document_for
from tests.clients.programs import Ran, needs, run
from tests.served import served

pytestmark = [pytest.mark.clients, needs("claude")]

COMMAND = "echo skybridge-$((40+2))"


async def run_a_command(url: str, model: str, folder: Path) -> Ran:
    """Claude Code, which may use its shell."""
    return await run(
        "claude",
        ["-p", "Run the command.", "--model", model, "--allowedTools", "Bash"],
        folder,
        {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "any",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        },
    )


@pytest.mark.parametrize("backend_format", list(DIALECTS))
async def test_claude_code_runs_a_tool(backend_format: str, tmp_path: Path) -> None:
    agent = Agent(backend_format, ToolUse("Bash", {"command": COMMAND, "description": "Prints a number"}))
    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for(backend_format, backend.url)) as gateway,
    ):
        ran = await run_a_command(gateway.url, "claude-sonnet-4-5", tmp_path)
    assert ran.code == 0, (ran.output, ran.errors)
    assert ran.output.startswith("The tool said: skybridge-42")
    assert [result.split()[0] for result in agent.results] == ["skybridge-42"]
    if backend_format != "chat_completions":  # which has no state of the model's
        assert agent.states == [True], "the model gets its own reasoning back"
    assert all(record.outcome == "complete" for record in gateway.records)


class WithoutReasoning(Agent):
    """GPT-5.4 and later in Chat Completions, where OpenAI refuses tools with reasoning."""

    efforts: list[Any]

    def answer(self, body: str) -> Turn | None:
        asked = json.loads(body)
        if asked.get("tools"):
            self.efforts.append(asked.get("reasoning_effort"))
        return None


async def test_claude_code_uses_tools_where_they_exclude_reasoning(tmp_path: Path) -> None:
    agent = WithoutReasoning("chat_completions", ToolUse("Bash", {"command": COMMAND, "description": "A number"}))
    agent.efforts = []
    async with BackendServer(agent) as backend:
        document = document_for("chat_completions", backend.url)
        document["models"]["*"]["api_model"] = "gpt-5.6"
        async with served(tmp_path, document) as gateway:
            ran = await run_a_command(gateway.url, "claude-sonnet-5-5", tmp_path)
    assert ran.code == 0, (ran.output, ran.errors)
    assert ran.output.startswith("The tool said: skybridge-42")
    assert agent.efforts == ["none", "none"]
    assert [record.outcome for record in gateway.records] == ["complete"] * len(gateway.records)
    assert any("thinking" in name for record in gateway.records for name in record.dropped)


DISCOVERY: dict[str, Any] = {
    "backends": {"d": {"type": "demo"}},
    "models": {
        "claude-sonnet-4-5": {"backend": "d"}, "anthropic/claude-for-us": {"backend": "d"},
        "claude-*haiku*": {"backend": "d"}, "gpt-5": {"backend": "d"},
    },
}  # fmt: skip


async def test_claude_code_discovers_the_gateways_models(tmp_path: Path) -> None:
    """It asks for the list at its start, with its key, and keeps the names that it offers: those of Claude's."""
    async with served(tmp_path, DISCOVERY, {"SERVICE_API_KEY": "gateway-key-0123"}) as gateway:
        folder = tmp_path / ".claude"
        ran = await run(
            "claude",
            ["-p", "Hi", "--model", "anthropic/claude-for-us"],
            tmp_path,
            {
                "ANTHROPIC_BASE_URL": gateway.url,
                "ANTHROPIC_API_KEY": "gateway-key-0123",
                "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CONFIG_DIR": str(folder),
                "DISABLE_AUTOUPDATER": "1",
                "IS_SANDBOX": "1",
            },
        )
        assert ran.code == 0, (ran.output, ran.errors)
        found = json.loads((folder / "cache" / "gateway-models.json").read_text("utf-8"))
        assert found["baseUrl"] == gateway.url
    # A pattern is no name that can be asked for, and the other one is not Claude's.
    assert [model["id"] for model in found["models"]] == ["claude-sonnet-4-5", "anthropic/claude-for-us"]
