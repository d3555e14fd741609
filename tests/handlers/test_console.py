"""The console's application: loaded when it is first asked for, and its faults in the API's shape."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from core.access import Caller
from core.http import Request
from handlers.console import make_console
from tests.chat_backends import document
from tests.gateways import native_bench
from tests.served import served

ROOT = Path(__file__).resolve().parents[2]
KEY = {"x-api-key": "service-key-1"}

# In a process of its own: what a request to a model loads, and what one to the console adds.
LOADED = """
import asyncio, json, sys
from core.http import Request
from handlers.composition import compose

def of_the_console():
    roots = ("fastapi", "starlette", "pydantic", "anyio", "handlers.c", "handlers.admin", "core.chat", "handlers.s")
    return sorted(name for name in sys.modules if name.startswith(roots) and name not in known)

async def ask(gateway, method, path, body=b"", **headers):
    response = await gateway.handle(Request(method, path, "", headers, body))
    parts = [response.body] if isinstance(response.body, bytes) else [part async for part in response.body]
    assert response.status == 200, parts

async def main():
    gateway = compose({"SKYBRIDGE_DEMO_PACE": "0", "LOG_LEVEL": "error"}, sys.argv[1], local=True).gateway
    body = {"model": "demo", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    await ask(gateway, "POST", "/v1/messages", json.dumps(body).encode())
    await ask(gateway, "GET", "/")
    before = of_the_console()
    await ask(gateway, "GET", "/", accept="text/html")
    print(json.dumps([before, of_the_console()]))

known = {"handlers.composition", "handlers.cooldowns", "handlers.callers"}
asyncio.run(main())
"""


def test_a_request_to_a_model_loads_nothing_of_the_console(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps(document()), "utf-8")
    command = [sys.executable, "-c", LOADED, str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = json.loads(ran.stdout)
    assert before == []
    assert {"fastapi", "handlers.console", "handlers.chat_api", "core.chat"} <= set(after)


async def test_what_the_gateway_answers_itself_has_the_same_shape(tmp_path: Path) -> None:
    async with served(tmp_path, document(), {"SERVICE_API_KEY": KEY["x-api-key"]}) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            answers = {
                401: await client.get("/api/v1/sessions"),
                404: await client.get("/api/v1/none", headers=KEY),
                405: await client.post("/openapi.json", headers=KEY),
                503: await client.get("/api/v1/usage", headers=KEY),
            }
            plain = await client.get("/")
            trailing = await client.get("/api/v1/me/", headers=KEY)
            twice = await client.get("/api/v1/sessions/", headers=KEY)
    for status, answer in answers.items():
        assert answer.status_code == status and set(answer.json()) == {"error"}
        assert set(answer.json()["error"]) == {"code", "message", "details"}
    assert plain.json()["name"] == "skybridge" and trailing.status_code == 200 and twice.status_code == 503


async def test_a_gateway_without_a_console_says_so() -> None:
    bench = native_bench("messages", [])
    response = await bench.get("/docs")
    assert response.status == 404 and b"no console" in bytes(response.body)  # type: ignore[arg-type]


async def test_a_defect_is_raised_to_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = native_bench("messages", [])
    console = make_console(bench.gateway, None, "")

    @console.app.get("/api/v1/defect")
    async def defect() -> None:
        raise ZeroDivisionError

    @console.app.get("/api/v1/teapot")
    async def teapot() -> None:
        from starlette.exceptions import HTTPException

        raise HTTPException(418, "short and stout")

    with pytest.raises(ZeroDivisionError):
        await console.handle(Request("GET", "/api/v1/defect"), Caller("c"), "req_1")
    answer = await console.handle(Request("GET", "/api/v1/teapot"), Caller("c"), "req_1")
    assert answer.status == 400 and b"short and stout" in bytes(answer.body)  # type: ignore[arg-type]
    assert answer.header("x-request-id") == "req_1"
