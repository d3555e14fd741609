"""Codex completes a turn with a tool on backends of four formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backend_server import BackendServer
from tests.clients.agent_backend import Agent, ToolUse, Turn
from tests.clients.backends import document_for
from tests.clients.programs import Ran, needs, run
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

# What a model that Codex does not know is offered (GPT-5.5 may search for more tools, beside), and what GPT-6 is: free
# text for a tool inside a namespace, which is JavaScript.
COMMAND_TOOL = ToolUse("exec_command", {"cmd": COMMAND})
SCRIPT = f"const done = await tools.exec_command({{cmd: '{COMMAND}'}}); text(done.output);"
SCRIPT_TOOL = ToolUse("exec", {"input": SCRIPT})


async def run_a_command(configuration: str, key: str, folder: Path) -> Ran:
    """Codex, which may do anything; `key` is the variable that it has its key from."""
    home = folder / ".codex"
    home.mkdir()
    (home / "config.toml").write_text(configuration, "utf-8")
    return await run(
        "codex",
        ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "Run the command."],
        folder,
        {key: "any", "CODEX_HOME": str(home)},
    )


@pytest.mark.parametrize("backend_format", FORMATS)
@pytest.mark.parametrize(
    ("model", "tool"), [("gpt-gateway", COMMAND_TOOL), ("gpt-5.5", COMMAND_TOOL), ("gpt-6-astra", SCRIPT_TOOL)]
)
async def test_codex_runs_a_command(backend_format: str, model: str, tool: ToolUse, tmp_path: Path) -> None:
    agent = Agent(backend_format, tool)
    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for(backend_format, backend.url)) as gateway,
    ):
        ran = await run_a_command(CONFIGURATION.format(url=gateway.url, model=model), "SKYBRIDGE_KEY", tmp_path)
    assert ran.code == 0, (ran.output, ran.errors)
    assert "skybridge-42" in agent.results[0], agent.results
    assert ran.output.startswith("The tool said:") and "skybridge-42" in ran.output, ran.output
    if backend_format != "chat_completions":  # which has no state of the model's
        assert agent.states == [True], "the model gets its own reasoning back"
    assert all(record.outcome == "complete" for record in gateway.records)


BUILT_IN = """
model = "gpt-6-astra"
openai_base_url = "{url}/v1"
check_for_update_on_startup = false

[analytics]
enabled = false
"""


class Summarizing(Agent):
    """An agent that writes a summary when it is asked for one, and goes on from it."""

    summaries = 0

    def answer(self, body: str) -> Turn | None:
        if "Write that summary now" in body:
            self.summaries += 1
            return Turn(text="MADE-SUMMARY: the command ran, say goodbye.")
        return Turn(text="Goodbye.") if "MADE-SUMMARY" in body else None


@pytest.mark.parametrize("backend_format", ["chat_completions", "messages", "converse"])
async def test_codex_compacts_on_any_backend(backend_format: str, tmp_path: Path) -> None:
    """Its built-in provider leaves the compaction to the other side: the item that it wants is a summary here."""
    agent = Summarizing(backend_format, SCRIPT_TOOL)
    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for(backend_format, backend.url)) as gateway,
    ):
        soon = "model_auto_compact_token_limit = 10\n"
        ran = await run_a_command(soon + BUILT_IN.format(url=gateway.url), "CODEX_API_KEY", tmp_path)
    assert ran.code == 0, (ran.output, ran.errors)
    assert agent.summaries == 1 and "context compacted" in ran.errors, ran.errors
    assert ran.output.strip() == "Goodbye.", ran.output
    assert all(record.outcome == "complete" for record in gateway.records)


async def test_codex_with_its_own_provider_goes_on_over_http(tmp_path: Path) -> None:
    """Its built-in provider asks for a WebSocket first: the answer sends it to HTTP without a second try."""
    agent = Agent("responses", SCRIPT_TOOL)
    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for("responses", backend.url)) as gateway,
    ):
        ran = await run_a_command(BUILT_IN.format(url=gateway.url), "CODEX_API_KEY", tmp_path)
    assert ran.code == 0, (ran.output, ran.errors)
    assert ran.output.startswith("The tool said:") and "skybridge-42" in ran.output, ran.output
    assert "Reconnecting" not in ran.errors, ran.errors
