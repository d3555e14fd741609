"""The Python blocks of docs/clients.md, run as they stand there but for the address."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.served import served

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "clients.md").read_text()
BLOCKS = {title: code for title, code in re.findall(r"\*\*([\w -]+)\*\*[^\n]*\n+```python\n(.*?)```", PAGE, re.DOTALL)}
KEY = "sk-your-gateway-key"
DEMO = {"backends": {"demo": {"type": "demo"}}, "models": {"demo": {"backend": "demo"}}}

pytestmark = pytest.mark.clients


def test_the_page_has_a_block_for_each_sdk() -> None:
    assert list(BLOCKS) == ["OpenAI", "Azure OpenAI", "Anthropic", "boto3", "google-genai"]


async def test_every_block_runs(tmp_path: Path) -> None:
    """Each in a process of its own, all at once: they do not close their clients, as examples do not."""
    async with served(tmp_path, DEMO, {"SERVICE_API_KEY": KEY}) as gateway:
        outputs = await asyncio.gather(*(run(code, gateway.url) for code in BLOCKS.values()))
    for title, output in zip(BLOCKS, outputs, strict=True):
        assert "Hello" in output, f"{title}: {output}"


async def run(code: str, url: str) -> str:
    """What the block prints, and its errors."""
    assert KEY in code
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code.replace("http://127.0.0.1:8000", url)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode() if process.returncode == 0 else f"exit {process.returncode}: {output.decode()[-2000:]}"
