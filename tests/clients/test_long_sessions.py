"""Claude Code and Codex at work for many turns on a strict backend of every format: parallel calls, tools that fail or
say nothing, pictures, long tool names, subagents, a session taken up again and compacted, and a model that is switched
in the middle. What a vendor would refuse is a complaint; what the programs count is what the backends said."""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.backend_server import JSON, BackendServer, Received, Script
from tests.clients.backends import backend_for
from tests.clients.programs import Ran, needs, run
from tests.clients.scripted_model import Say, Scenes, ScriptedModel, Think, Use
from tests.clients.test_codex import CONFIGURATION
from tests.served import Served, served
from tests.wire.recordings import needs_recordings

pytestmark = [pytest.mark.clients, pytest.mark.slow, needs_recordings]

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# The models of each format that refuse most; both generations of Claude.
MODELS = {
    "messages": ("claude-opus-5-5", "claude-sonnet-4-5"),
    "invoke": ("us.anthropic.claude-opus-5-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "converse": ("us.anthropic.claude-sonnet-5-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "responses": ("gpt-6-astra",),
    "chat_completions": ("gpt-5.1",),
    "generate_content": ("gemini-3-pro-preview",),
}
BACKENDS = [(format_name, model) for format_name, models in MODELS.items() for model in models]


def configuration(*candidates: tuple[str, str, str]) -> dict[str, Any]:
    """Backends at these addresses, of these formats, with these models, one after the other."""
    rows = [
        {"backend": f"b{place}", "api_model": model, "priority": place}
        for place, (_, model, _) in enumerate(candidates, 1)
    ]
    backends = {f"b{place}": backend_for(name, url) for place, (name, _, url) in enumerate(candidates, 1)}
    return {"backends": backends, "models": {"*": {"candidates": rows}}}


# --- Claude Code ------------------------------------------------------------------------------------------------

# A server of the Model Context Protocol whose tool has, with the server's name before it, more than 64 characters.
SERVER = "a-server-with-a-rather-long-name-for-its-tools"
TOOL = "repeats_what_it_is_told_and_shows_a_picture"
MCP = """
import json, sys
schema = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1}}, "required": ["text"]}
for request in map(json.loads, sys.stdin):
    answers = {
        "initialize": lambda: {
            "protocolVersion": request["params"]["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "made", "version": "1"},
        },
        "tools/list": lambda: {"tools": [{"name": TOOL, "description": "Repeats", "inputSchema": schema}]},
        "tools/call": lambda: {"content": [
            {"type": "text", "text": "told: " + request["params"]["arguments"]["text"]},
            {"type": "image", "data": PICTURE, "mimeType": "image/png"},
        ]},
    }
    if "id" in request:
        result = answers.get(request["method"], dict)()
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
"""


def bash(command: str) -> Use:
    return Use("Bash", {"command": command, "description": "Runs it"})


def claude_scenes(home: Path) -> Scenes:
    long_name = f"mcp__{SERVER}__{TOOL}"
    return {
        "work": [
            [Think(), Say("I look."), bash("echo one"), bash("exit 3"), Use("Read", {"file_path": f"{home}/no"})],
            [Think(), Use("Write", {"file_path": f"{home}/made.txt", "content": "first line\nsecond line\n"})],
            [
                Think(),
                Use("Edit", {"file_path": f"{home}/made.txt", "old_string": "first", "new_string": "1st"}),
                Use("Read", {"file_path": f"{home}/picture.png"}),
            ],
            [Think(""), bash("true"), Use("Read", {"file_path": f"{home}/empty.txt"})],
            [Think(), Use("ToolSearch", {"query": f"select:{long_name}", "max_results": 3})],
            [Think(), Use(f"{TOOL}|.*_[0-9a-f]{{8}}", {"text": "hello"}), bash("cat made.txt")],
            [Think(), Say("All is done.")],
        ],
        "agents": [
            [Think(), *(agent(f"SCENE:{name}") for name in ("one", "two"))],
            [Think(), Say("The agents are away.")],
        ],
        "one": [[Think(), bash("echo of-agent-one")], [Think(), Say("One is done.")]],
        "two": [[Think(), Use("Read", {"file_path": f"{home}/picture.png"})], [Say("Two is done.")]],
        "again": [[Think(), bash("echo again")], [Think(), Say("It went on.")]],
    }


def agent(prompt: str) -> Use:
    return Use("Agent", {"description": "looks", "prompt": prompt, "subagent_type": "general-purpose"})


def asked_for(*models: str) -> str:
    """The name that Claude Code asks for: what it says of thinking passes through to a Claude as it is."""
    return "claude-sonnet-4-5" if any("sonnet-4-5" in model for model in models) else "claude-opus-5-5"


async def claude(url: str, home: Path, model: str, *arguments: str) -> dict[str, Any]:
    """What Claude Code says at its end."""
    server = {"command": sys.executable, "args": ["-c", MCP.replace("TOOL", repr(TOOL)).replace("PICTURE", repr(b64))]}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {SERVER: server}}), "utf-8")
    ran = await run(
        "claude",
        ["-p", *arguments, "--model", model, "--output-format", "json", "--mcp-config",
         str(home / "mcp.json"), "--dangerously-skip-permissions"],
        home,
        {
            "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "any", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1", "IS_SANDBOX": "1", "ENABLE_TOOL_SEARCH": "auto:0",
        },
    )  # fmt: skip
    assert ran.code == 0, (ran.output, ran.errors)
    said: dict[str, Any] = json.loads(ran.output)
    return said


b64 = base64.b64encode(PICTURE).decode()


def furnish(home: Path) -> None:
    (home / "picture.png").write_bytes(PICTURE)
    (home / "empty.txt").touch()


def assert_complete(gateway: Served) -> None:
    assert {record.outcome for record in gateway.records} == {"complete"}


@needs("claude")
@pytest.mark.parametrize(("format_name", "model"), BACKENDS)
async def test_claude_code_works_for_long(format_name: str, model: str, tmp_path: Path) -> None:
    furnish(tmp_path)
    scripted = ScriptedModel(format_name, model, claude_scenes(tmp_path))
    async with (
        BackendServer(scripted) as backend,
        served(tmp_path, configuration((format_name, model, backend.url))) as gateway,
    ):
        asked = asked_for(model)
        worked = await claude(gateway.url, tmp_path, asked, "SCENE:work", "--effort", "high")
        assert worked["result"] == "All is done."
        assert_counted(worked["usage"], scripted, format_name)
        went = await claude(gateway.url, tmp_path, asked, "SCENE:agents", "--continue", "--effort", "low")
        assert went["result"] == "The agents are away."
        await claude(gateway.url, tmp_path, asked, "/compact", "--continue")
        assert (await claude(gateway.url, tmp_path, asked, "SCENE:again", "--continue"))["result"] == "It went on."
        assert_complete(gateway)
    assert scripted.complaints == []
    assert (tmp_path / "made.txt").read_text("utf-8") == "1st line\nsecond line\n"
    results = "\n".join(scripted.results)
    assert "1st line" in results and "again" in results and "of-agent-one" in results


def assert_counted(usage: dict[str, Any], scripted: ScriptedModel, format_name: str) -> None:
    used = scripted.used
    written = 0 if format_name == "generate_content" else sum(one.written for one in used)  # which does not tell it
    assert usage["output_tokens"] == sum(one.output for one in used)
    assert usage["cache_read_input_tokens"] == sum(one.read for one in used)
    assert usage["cache_creation_input_tokens"] == written
    assert usage["input_tokens"] == sum(one.prompt - one.read for one in used) - written


SWITCHED = [
    ("messages", "responses"), ("messages", "generate_content"), ("responses", "messages"), ("responses", "invoke"),
    ("converse", "generate_content"), ("generate_content", "converse"), ("generate_content", "responses"),
    ("chat_completions", "messages"),
]  # fmt: skip


@needs("claude")
@pytest.mark.parametrize("age", [0, -1])
@pytest.mark.parametrize(("first", "second"), SWITCHED)
async def test_claude_code_with_a_model_that_is_switched(first: str, second: str, age: int, tmp_path: Path) -> None:
    """Every other request finds the first backend busy: what one model thought goes back to it alone."""
    furnish(tmp_path)
    played: Counter[str] = Counter()
    scenes = claude_scenes(tmp_path)
    models = MODELS[first][age], MODELS[second][age]
    one = ScriptedModel(first, models[0], scenes, played=played)
    other = ScriptedModel(second, models[1], scenes, name="z", played=played)
    turn = count()

    def at_times(received: Received) -> Script:
        busy = "count" not in received.target and next(turn) % 2
        return Script([b'{"message":"busy","error":{"message":"busy"}}'], 503, JSON) if busy else one(received)

    async with BackendServer(at_times) as left, BackendServer(other) as right:
        document = configuration((first, models[0], left.url), (second, models[1], right.url))
        async with served(tmp_path, document) as gateway:
            asked = asked_for(*models)
            assert (await claude(gateway.url, tmp_path, asked, "SCENE:work"))["result"] == "All is done."
            assert (await claude(gateway.url, tmp_path, asked, "SCENE:again", "--continue"))["result"] == "It went on."
            assert_complete(gateway)
    assert one.complaints + other.complaints == []
    assert one.used and other.used


# --- Codex ------------------------------------------------------------------------------------------------------

PATCH = "*** Begin Patch\n*** Add File: patched.txt\n+hello\n*** End Patch\n"


def script(lines: str) -> Use:
    return Use("exec", {"input": lines})


def codex_scenes(home: Path) -> Scenes:
    shell = "text((await tools.exec_command({cmd: 'echo again'})).output)"
    look = f"image((await tools.view_image({{path: '{home}/picture.png'}})).image_url)"
    either = Use("exec_command|exec", {"cmd": "echo again", "input": shell})
    return {
        "plain": [
            [
                Think(),
                Say("I look around."),
                Use("exec_command", {"cmd": "echo one"}),
                Use("exec_command", {"cmd": "exit 3"}),
                Use("view_image", {"path": f"{home}/picture.png"}),
            ],
            [Think(), Use("exec_command", {"cmd": "echo hello > patched.txt; cat absent"})],
            [Think(), Say("All is done.")],
        ],
        "scripts": [
            [Think(), script("text((await tools.exec_command({cmd: 'echo six'})).output)")],
            [Think(), script("throw new Error('broken')")],
            [Think(), script(f"text(await tools.apply_patch({json.dumps(PATCH)}))"), script(look)],
            [Think(), Say("All is done.")],
        ],
        "agents": [
            [Think(), Use("spawn_agent", {"message": "SCENE:sub", "task_name": "sub_one"})],
            [Think(), Say("The agent is away.")],
        ],
        "sub": [[Think(), either], [Think(), Say("The agent is done.")]],
        "again": [[Think(), either], [Think(), Say("It went on.")]],
    }


async def codex(home: Path, *arguments: str) -> Ran:
    free = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    ran = await run(
        "codex", ["exec", *free, *arguments], home, {"SKYBRIDGE_KEY": "any", "CODEX_HOME": str(home / ".codex")}
    )
    assert ran.code == 0, (ran.output, ran.errors)
    return ran


@needs("codex")
@pytest.mark.parametrize(("asked", "scene"), [("gpt-gateway", "plain"), ("gpt-6-astra", "scripts")])
@pytest.mark.parametrize(("format_name", "model"), BACKENDS)
async def test_codex_works_for_long(format_name: str, model: str, asked: str, scene: str, tmp_path: Path) -> None:
    furnish(tmp_path)
    (tmp_path / ".codex").mkdir()
    scripted = ScriptedModel(format_name, model, codex_scenes(tmp_path), native=format_name == "responses")
    async with (
        BackendServer(scripted) as backend,
        served(tmp_path, configuration((format_name, model, backend.url))) as gateway,
    ):
        settings = CONFIGURATION.format(url=gateway.url, model=asked)
        (tmp_path / ".codex" / "config.toml").write_text(settings, "utf-8")
        assert (await codex(tmp_path, f"SCENE:{scene}")).output == "All is done.\n"
        assert (await codex(tmp_path, "SCENE:agents")).output == "The agent is away.\n"
        assert (await codex(tmp_path, "resume", "--last", "SCENE:again")).output == "It went on.\n"
    assert scripted.complaints == []
    assert (tmp_path / "patched.txt").read_text("utf-8") == "hello\n"
    assert any("again" in result for result in scripted.results)
