"""Claude Code completes a turn with a tool on a backend of every format."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backend_server import BackendServer
from tests.clients.agent_backend import DIALECTS, Agent, ToolUse
from tests.clients.backends import document_for
from tests.clients.programs import needs, run
from tests.served import served

pytestmark = [pytest.mark.clients, needs("claude")]

COMMAND = "echo skybridge-$((40+2))"


@pytest.mark.parametrize("backend_format", list(DIALECTS))
async def test_claude_code_runs_a_tool(backend_format: str, tmp_path: Path) -> None:
    agent = Agent(backend_format, ToolUse("Bash", {"command": COMMAND, "description": "Prints a number"}))
    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for(backend_format, backend.url)) as gateway,
    ):
        ran = await run(
            "claude",
            ["-p", "Run the command.", "--model", "claude-sonnet-4-5", "--allowedTools", "Bash"],
            tmp_path,
            {
                "ANTHROPIC_BASE_URL": gateway.url,
                "ANTHROPIC_API_KEY": "any",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "IS_SANDBOX": "1",
            },
        )
    assert ran.code == 0, (ran.output, ran.errors)
    assert ran.output.startswith("The tool said: skybridge-42")
    assert [result.split()[0] for result in agent.results] == ["skybridge-42"]
    if backend_format != "chat_completions":  # which has no state of the model's
        assert agent.states == [True], "the model gets its own reasoning back"
    assert all(record.outcome == "complete" for record in gateway.records)
