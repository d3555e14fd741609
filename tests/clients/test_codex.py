"""Codex completes a turn with a tool on backends of four formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backend_server import BackendServer
from tests.clients.agent_backend import Agent, ToolUse
from tests.clients.backends import document_for
from tests.clients.programs import needs, run
from tests.served import served

pytestmark = [pytest.mark.clients, needs("codex")]

COMMAND = "echo skybridge-$((40+2))"
CONFIGURATION = """
model = "{model}"
model_provider = "skybridge"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.skybridge]
name = "Skybridge"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "SKYBRIDGE_KEY"
"""
FORMATS = ("responses", "chat_completions", "messages", "converse")


@pytest.mark.parametrize("backend_format", FORMATS)
async def test_codex_runs_a_command(backend_format: str, tmp_path: Path) -> None:
    agent = Agent(backend_format, ToolUse(("exec_command",), {"cmd": COMMAND}))
    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for(backend_format, backend.url)) as gateway,
    ):
        folder = tmp_path / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(CONFIGURATION.format(url=gateway.url, model="gpt-gateway"), "utf-8")
        ran = await run(
            "codex",
            ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "Run the command."],
            tmp_path,
            {"SKYBRIDGE_KEY": "any", "CODEX_HOME": str(folder)},
        )
    assert ran.code == 0, (ran.output, ran.errors)
    assert "skybridge-42" in agent.results[0], agent.results
    assert ran.output.strip().startswith("The tool said:"), ran.output
    assert all(record.outcome == "complete" for record in gateway.records)
