"""What a cold start loads: nothing that the first answer can do without."""

from __future__ import annotations

import re
import sys

import pytest

from tests.doors.lambda_clients import spawned, url_client
from tests.doors.lambda_emulator import LambdaEmulator

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
KEY = "sk-test-0123456789"


async def test_the_door_loads_nothing_of_weight() -> None:
    async with spawned("modules") as emulator, url_client(emulator) as client:
        loaded = set((await client.get("/")).json())
    assert "handlers.aws_streaming" in loaded
    assert not loaded & UNWANTED


async def test_the_gateway_answers_its_first_request_without_them() -> None:
    """The whole gateway, up to the end of its first streamed answer, by Python's own account of its imports."""
    emulator = LambdaEmulator()
    command = (sys.executable, "-X", "importtime", "-m", "handlers.aws_streaming")
    async with emulator.run(*command, SERVICE_API_KEY=KEY), url_client(emulator) as client:
        question = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
        response = await client.post(
            "/v1/chat/completions", json=question, headers={"authorization": f"Bearer {KEY}"}
        )
        assert response.text.endswith("data: [DONE]\n\n")
        emulator.terminate()
        assert await emulator.exited() == 0
    loaded = set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", emulator.output.decode(), re.M))
    assert {"asyncio", "handlers.asgi", "core.gateway"} <= loaded
    # A folder's models.yaml is read as YAML: only a built package has it as JSON.
    assert not loaded & (UNWANTED - {"yaml"})
