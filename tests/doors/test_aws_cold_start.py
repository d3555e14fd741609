"""What a cold start loads: nothing that the first answer can do without."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.backend_server import BackendServer, Script
from tests.doors.lambda_clients import spawned, url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.samples import request_body, stream_frames

pytestmark = pytest.mark.doors

# design.md names the first ten; httpx costs as much as the whole budget, and imports some of the others.
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
# What the first /v1/messages request of a cold start may load. Each module costs 0.1 to 5 ms of every cold start.
ALLOWED = Path(__file__).with_name("cold_path_modules.txt")
KEY = "sk-test-0123456789"


async def test_the_door_loads_nothing_of_weight() -> None:
    async with spawned("modules") as emulator, url_client(emulator) as client:
        loaded = set((await client.get("/")).json())
    assert "handlers.aws_streaming" in loaded
    assert not loaded & UNWANTED


async def test_the_first_request_loads_no_newcomer(tmp_path: Path) -> None:
    """The whole gateway, up to the end of its first streamed answer, by Python's own account of its imports."""
    emulator = LambdaEmulator()
    command = (sys.executable, "-X", "importtime", "-m", "handlers.aws_streaming")
    async with BackendServer([Script(stream_frames("messages"))]) as backend:
        environment = {"SERVICE_API_KEY": KEY, "MODEL_CONFIG_PATH": write_models(tmp_path, backend.url)}
        async with emulator.run(*command, **environment), url_client(emulator) as client:
            response = await client.post(
                "/v1/messages", content=request_body("messages", stream=True), headers={"x-api-key": KEY}
            )
            assert "message_stop" in response.text
            emulator.terminate()
            assert await emulator.exited() == 0
    loaded = modules_of(emulator.output.decode())
    allowed = set(ALLOWED.read_text().split())
    assert not loaded & UNWANTED
    newcomers = sorted(loaded - allowed)
    assert not newcomers, f"a cold start loads more than {ALLOWED.name} allows: {', '.join(newcomers)}"
    gone = sorted(name for name in allowed - loaded if name.partition(".")[0] in ("core", "handlers"))
    assert not gone, f"no longer loaded; take them out of {ALLOWED.name}: {', '.join(gone)}"


def write_models(folder: Path, url: str) -> str:
    """A configuration as a built package has it, of one backend."""
    backend = {"type": "anthropic", "base_url": url, "api_key": "k"}
    path = folder / "models.json"
    path.write_text(json.dumps({"backends": {"a": backend}, "models": {"m": {"backend": "a", "api_model": "m"}}}))
    return str(path)


def modules_of(output: str) -> set[str]:
    """What was loaded from the door on (what comes before is the interpreter's) to the end of the first request."""
    lines = output.splitlines()
    begun = next(number for number, line in enumerate(lines) if line.endswith("| runpy"))
    ended = next(number for number, line in enumerate(lines) if re.search(r'"event": ?"request"', line))
    found = (re.match(r"import time: +\d+ \| +\d+ \| +(\S+)$", line) for line in lines[begun + 1 : ended])
    return {line.group(1) for line in found if line}
