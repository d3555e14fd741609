"""Runs a client program of npm's against the gateway, in a home of its own and with nothing of this machine's."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

BIN = Path(__file__).resolve().parents[2] / "node_modules" / ".bin"
SECONDS = 60.0


@dataclass
class Ran:
    """What a program printed, and how it ended."""

    code: int
    output: str
    errors: str


def needs(program: str) -> pytest.MarkDecorator:
    """Skips, visibly, where `npm install` has not run."""
    present = (BIN / program).exists() and shutil.which("node") is not None
    return pytest.mark.skipif(not present, reason=f"node_modules/.bin/{program} is absent: run `npm install`")


async def run(program: str, arguments: Sequence[str], home: Path, variables: Mapping[str, str]) -> Ran:
    """Runs node_modules/.bin/`program` in `home` to its end. It finds no proxy, key or setting of the machine's."""
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "TMPDIR": str(home),
        "NO_PROXY": "127.0.0.1,localhost",
        "SHELL": "/bin/bash",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        str(BIN / program),
        *arguments,
        cwd=home,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        output, errors = await process.communicate()
        pytest.fail(f"{program} did not end: {output.decode()[-2000:]} {errors.decode()[-2000:]}")
    assert process.returncode is not None
    return Ran(process.returncode, output.decode(), errors.decode())
