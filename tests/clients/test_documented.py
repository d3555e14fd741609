"""The blocks of docs/clients.md, run as they stand there but for the address, and requests as Cursor sends them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.backend_server import BackendServer, Script
from tests.clients.programs import BIN, needs
from tests.clients.programs import run as run_program
from tests.served import served

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text()
OTHER_BLOCKS = re.findall(r"^```(\w+(?: \w+)?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
URL = "http://127.0.0.1:8000"
LANGCHAIN = ROOT / ".venv-langchain" / "bin" / "python"
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


async def run(code: str, url: str, python: str = sys.executable) -> str:
    """What the block prints, and its errors."""
    assert KEY in code
    return await output_of([python, "-c", code.replace(URL, url)], {**os.environ, "LANGSMITH_TRACING": "false"})


async def output_of(command: list[str], variables: Mapping[str, str], folder: Path | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, env=variables, cwd=folder, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 100)
    return output.decode() if process.returncode == 0 else f"exit {process.returncode}: {output.decode()[-2000:]}"


def block(kind: str, words: str) -> str:
    """The only block of that kind with these words in it."""
    [found] = [text for name, text in OTHER_BLOCKS if name == kind and words in text]
    return found


def test_every_block_is_tried_by_a_test() -> None:
    tried = [block("sh", "ANTHROPIC_BASE_URL"), block("toml", "wire_api"), block("python langchain", "ChatOpenAI")]
    tried += [block("js", "createOpenAI"), block("sh", "--aws-sigv4"), *BLOCKS.values()]
    assert sorted(text for _, text in OTHER_BLOCKS) == sorted(tried)


@needs("claude")
async def test_claude_code_as_the_page_sets_it_up(tmp_path: Path) -> None:
    document = {**DEMO, "models": {"claude-*": {"backend": "demo", "api_model": "demo"}}}
    variables = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", "IS_SANDBOX": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
    }  # fmt: skip
    async with served(tmp_path, document, {"SERVICE_API_KEY": KEY}) as gateway:
        text = block("sh", "ANTHROPIC_BASE_URL").replace(URL, gateway.url)
        text = re.sub(r"^claude$", f"{BIN / 'claude'} -p 'Say Hello'", text, flags=re.MULTILINE)
        assert "Hello" in await output_of(["bash", "-ec", text], variables, tmp_path)


@needs("codex")
async def test_codex_as_the_page_sets_it_up(tmp_path: Path) -> None:
    folder = tmp_path / ".codex"
    folder.mkdir()
    async with served(tmp_path, DEMO, {"SERVICE_API_KEY": KEY}) as gateway:
        (folder / "config.toml").write_text(block("toml", "wire_api").replace(URL, gateway.url), "utf-8")
        variables = {"SKYBRIDGE_KEY": KEY, "CODEX_HOME": str(folder)}
        ran = await run_program("codex", ["exec", "--skip-git-repo-check", "Say Hello"], tmp_path, variables)
    assert ran.code == 0, ran.errors
    assert ran.output.strip()


@pytest.mark.slow
@pytest.mark.skipif(not LANGCHAIN.exists(), reason="no .venv-langchain: make test-all sets it up")
async def test_langchain(tmp_path: Path) -> None:
    async with served(tmp_path, DEMO, {"SERVICE_API_KEY": KEY}) as gateway:
        output = await run(block("python langchain", "ChatOpenAI"), gateway.url, str(LANGCHAIN))
    assert output.count("Hello") == 2, output


@pytest.mark.skipif(not (ROOT / "node_modules" / "ai").is_dir(), reason="no node_modules/ai: run `npm install`")
async def test_the_ai_sdk(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    async with served(tmp_path, DEMO, {"SERVICE_API_KEY": KEY}) as gateway:
        (tmp_path / "block.mjs").write_text(block("js", "createOpenAI").replace(URL, gateway.url))
        variables = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"}
        output = await output_of(["node", "--preserve-symlinks", "block.mjs"], variables, tmp_path)
    assert output.count("Hello") == 2, output


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
async def test_curl_signs_for_a_function_url() -> None:
    """As botocore would have signed the same request."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made", "AWS_SESSION_TOKEN": "session"}
    async with BackendServer([Script([b"{}"])]) as server:
        given = {**keys, "AWS_REGION": "eu-west-1", "FUNCTION_URL": f"{server.url}/", "NO_PROXY": "127.0.0.1"}
        await output_of(["bash", "-ec", block("sh", "--aws-sigv4")], {"PATH": os.environ["PATH"], **given})
        [request] = server.received
        headers = {name.lower(): value for name, value in request.headers.items()}
        credential, signed, signature = re.findall(r"=([^,\s]+)", headers["authorization"])
        assert credential.endswith("/eu-west-1/lambda/aws4_request")
        again = AWSRequest("POST", f"{server.url}{request.target}", data=request.body)
        for name in signed.split(";"):
            again.headers[name] = headers[name]
        again.context["timestamp"] = headers["x-amz-date"]
        signer = SigV4Auth(Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]), "lambda", "eu-west-1")
        text = signer.string_to_sign(again, signer.canonical_request(again))
        assert signer.signature(text, again) == signature


TOOL = {"name": "read_file", "description": "Reads", "parameters": {"type": "object", "properties": {}}}
BLOCK = [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]
# What Cursor sends to /v1/chat/completions: its documentation has the first, gateways' operators report the others.
CURSOR = {
    "chat": {"messages": [{"role": "user", "content": "Hello"}], "tools": [{"type": "function", "function": TOOL}]},
    "responses": {"input": [{"role": "user", "content": "Hello"}], "tools": [{"type": "function", **TOOL}],
                  "store": False, "truncation": "auto"},
    "blocks": {"messages": [{"role": "user", "content": BLOCK}]},
}  # fmt: skip


@pytest.mark.parametrize("shape", CURSOR)
async def test_cursor_is_answered_in_chat_chunks(shape: str, tmp_path: Path) -> None:
    body: dict[str, Any] = {"model": "demo", "stream": True, **CURSOR[shape]}
    async with served(tmp_path, DEMO, {"SERVICE_API_KEY": KEY}) as gateway:
        given = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=f"{gateway.url}/v1", headers=given, trust_env=False) as client:
            listed = await client.get("/models")
            answer = await client.post("/chat/completions", json=body)
    assert [row["id"] for row in listed.json()["data"]] == ["demo"]
    frames = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert answer.status_code == 200 and frames[-1] == "[DONE]", answer.text
    chunks = [json.loads(frame) for frame in frames[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
