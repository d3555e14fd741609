"""What a cold start loads: nothing that the first answer can do without."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from core.keys import PREFIX
from handlers.io.http_client import HttpTransport
from tests.backend_server import BackendServer, Script
from tests.doors.lambda_clients import spawned, url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.doors.limited_key import write_limited_key
from tests.samples import request_body, stream_frames
from tests.stores import real_stores
from tests.stores.conftest import moto_server

__all__ = ["moto_server"]

pytestmark = pytest.mark.doors

# No request needs any of these to be answered; httpx costs as much as the whole budget, and imports some of the others.
UNWANTED = {
    "fastapi",
    "starlette",
    "pydantic",
    "mangum",
    "boto3",
    "botocore",
    "openai",
    "anthropic",
    "azure",
    "click",
    "rich",
    "httpx",
    "aws_lambda_powertools",
    "http.client",
    "urllib.request",
    "email",
    "yaml",
}
# What the first /v1/messages request of a cold start may load, and what it may load beside it where keys, limits and
# usage are on. Each module costs 0.1 to 5 ms of every cold start.
ALLOWED = Path(__file__).with_name("cold_path_modules.txt")
WITH_ACCOUNTS = Path(__file__).with_name("cold_path_accounts_modules.txt")
KEY = "sk-test-0123456789"
STORED_KEY = PREFIX + "b" * 43


async def test_the_door_loads_nothing_of_weight() -> None:
    async with spawned("modules") as emulator, url_client(emulator) as client:
        loaded = set((await client.get("/")).json())
    assert "handlers.aws_streaming" in loaded
    assert not loaded & UNWANTED


async def test_the_first_request_loads_no_newcomer(tmp_path: Path) -> None:
    """The whole gateway, up to the end of its first streamed answer, by Python's own account of its imports."""
    async with BackendServer([Script(stream_frames("messages"))]) as backend:
        models = write_models(tmp_path, {"a": {"type": "anthropic", "base_url": backend.url, "api_key": "k"}})
        _, loaded = await first_request({"MODEL_CONFIG_PATH": models}, KEY)
    check(loaded, ALLOWED)


async def test_the_first_request_with_keys_and_limits_loads_no_newcomer(tmp_path: Path, moto_server: str) -> None:
    """The same with a key of a store that has limits and a budget, and with backends of three formats."""
    table = f"t{uuid4().hex}"
    await write_key(moto_server, table)
    variables = {
        "SKYBRIDGE_STORE": f"dynamodb:{table}", "AWS_ENDPOINT_URL_DYNAMODB": moto_server, "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    }  # fmt: skip
    async with BackendServer([Script(stream_frames("messages"))]) as backend:
        about = {"base_url": backend.url, "api_key": "k"}
        backends = {"a": {"type": "anthropic"}, "b": {"type": "openai"}, "c": {"type": "gemini"}}
        models = write_models(tmp_path, {name: {**each, **about} for name, each in backends.items()})
        headers, loaded = await first_request({**variables, "MODEL_CONFIG_PATH": models}, STORED_KEY)
    assert headers["anthropic-ratelimit-requests-remaining"] == "9"
    check(loaded, ALLOWED, WITH_ACCOUNTS)


async def first_request(variables: Mapping[str, str], key: str) -> tuple[httpx.Headers, set[str]]:
    """The headers of the first streamed answer of a function, and what was loaded up to its end."""
    emulator = LambdaEmulator()
    command = (sys.executable, "-v", "-m", "handlers.aws_streaming")
    async with emulator.run(*command, SERVICE_API_KEY=KEY, **variables), url_client(emulator) as client:
        response = await client.post(
            "/v1/messages", content=request_body("messages", stream=True), headers={"x-api-key": key}
        )
        assert "message_stop" in response.text
        emulator.terminate()
        assert await emulator.exited() == 0
    return response.headers, modules_of(emulator.output.decode())


def check(loaded: set[str], *lists: Path) -> None:
    """That nothing was loaded which none of `lists` allows, and that they allow nothing of ours for nothing."""
    allowed = {name for each in lists for name in each.read_text().split()}
    assert not loaded & UNWANTED
    newcomers = sorted(loaded - allowed)
    assert not newcomers, f"a cold start loads more than {lists[-1].name} allows: {', '.join(newcomers)}"
    gone = sorted(name for name in allowed - loaded if name.partition(".")[0] in ("core", "handlers"))
    assert not gone, f"no longer loaded; take them out of {lists[-1].name}: {', '.join(gone)}"


async def write_key(endpoint: str, table: str) -> None:
    """A table with one key, which has limits and a budget."""
    transport = HttpTransport(environment={})
    await write_limited_key(real_stores.dynamo_store(transport, endpoint, table), STORED_KEY)
    await transport.aclose()


def write_models(folder: Path, backends: Mapping[str, Mapping[str, str]]) -> str:
    """A configuration as a built package has it, whose model is on the backend `a`."""
    path = folder / "models.json"
    models = {"m": {"backend": "a", "api_model": "claude-sonnet-4-5"}}
    path.write_text(json.dumps({"backends": backends, "models": models}))
    return str(path)


def modules_of(output: str) -> set[str]:
    """What was loaded from the door on (what comes before is the interpreter's) to the end of the first request."""
    lines = output.splitlines()
    begun = next(number for number, line in enumerate(lines) if line.startswith("import 'runpy' "))
    ended = next(number for number, line in enumerate(lines) if re.search(r'"event": ?"request"', line))
    found = (re.match(r"import '(\S+)' # ", line) for line in lines[begun + 1 : ended])
    return {line.group(1) for line in found if line}
