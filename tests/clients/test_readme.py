"""Every command and program of the README's first calls runs, as it stands there, against the gateway of `make run`."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.clients.programs import BIN, needs, run

pytestmark = pytest.mark.clients

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
URL = "http://127.0.0.1:8000"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [command for kind, text in BLOCKS if kind == "sh" for command in text.split("\n\n")]
CURLS = [command for command in COMMANDS if command.startswith("curl")]
PROGRAMS = [text for kind, text in BLOCKS if kind == "python" and URL in text]
AGENTS = [text for kind, text in BLOCKS if kind == "sh" and "claude -p" in text]
CODEX = [text for kind, text in BLOCKS if kind == "toml"]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[str]:
    """`skybridge serve` as `make run` starts it, and where it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "handlers.cli", "serve", "--port", str(port), "--config", str(ROOT / "models.yaml"),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SKYBRIDGE_DEMO_PACE": "0", "HOME": str(folder)},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await _listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.communicate()


async def _listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return
    pytest.fail("the gateway does not listen")


async def output_of(*command: str, folder: Path) -> str:
    """What a program prints. It must end well."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60.0)
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_the_first_calls(tmp_path: Path) -> None:
    assert len(CURLS) >= 2 and len(PROGRAMS) >= 2
    async with running(tmp_path) as url:
        plain, streamed = [await output_of("bash", "-c", text.replace(URL, url), folder=tmp_path) for text in CURLS[:2]]
        assert '"chat.completion"' in plain
        assert streamed.startswith("event: message_start") and "event: message_stop" in streamed
        for text in PROGRAMS:
            printed = await output_of(sys.executable, "-c", text.replace(URL, url), folder=tmp_path)
            assert printed.strip(), text


@needs("claude")
async def test_claude_code_as_the_readme_starts_it(tmp_path: Path) -> None:
    [command] = AGENTS
    async with running(tmp_path) as url:
        variables = "IS_SANDBOX=1 CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 "
        text = command.replace(URL, url).replace("claude -p", f"{BIN / 'claude'} -p")
        assert (await output_of("bash", "-c", variables + text + " < /dev/null", folder=tmp_path)).strip()


@needs("codex")
async def test_codex_as_the_readme_configures_it(tmp_path: Path) -> None:
    [configuration] = CODEX
    async with running(tmp_path) as url:
        folder = tmp_path / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(configuration.replace(URL, url), "utf-8")
        ran = await run("codex", ["exec", "--skip-git-repo-check", "Say hello"], tmp_path, {"CODEX_HOME": str(folder)})
    assert ran.code == 0, ran.errors
    assert ran.output.strip()
