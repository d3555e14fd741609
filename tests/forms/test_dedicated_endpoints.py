"""The dedicated Databricks endpoints and their health pages, whatever else is configured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.dedicated import check_backend
from core.ports import BackendRequest
from core.routing.registry import Backend, make_backend
from tests.backend_server import BackendServer, Script
from tests.forms.backends import answer, failing
from tests.scripted import Play, ScriptedTransport, VirtualClock
from tests.served import served

HELLO: dict[str, Any] = {"max_tokens": 32, "messages": [{"role": "user", "content": "Hello"}]}
REQUIRED = "Azure Databricks host and token must be configured"

ASKED = [
    ("/v1/databricks/messages", {"model": "claude-3.7-sonnet"}, "databricks-claude-3-7-sonnet", False),
    ("/v1/databricks/messages/claude-sonnet-4", {}, "databricks-claude-sonnet-4", False),
    ("/v1/databricks/messages/claude-3-7-sonnet", {}, "databricks-claude-3-7-sonnet", False),
    ("/v1/databricks/messages/databricks-claude-other", {"stream": True}, "databricks-claude-other", True),
    ("/v1/databricks/messages/stream", {"model": "big"}, "databricks-claude-sonnet-4", True),
]


@pytest.mark.parametrize(("path", "extra", "model", "streamed"), ASKED)
async def test_dedicated_endpoints(
    tmp_path: Path, path: str, extra: dict[str, Any], model: str, streamed: bool
) -> None:
    """With another backend as the active one."""
    async with BackendServer(answer) as backend:
        variables = {
            "PROXY_BACKEND": "OPENROUTER", "OPENROUTER_API_KEY": "k", "DATABRICKS_HOST": backend.url,
            "DATABRICKS_TOKEN": "t",
        }  # fmt: skip
        async with served(tmp_path, None, variables) as gateway, httpx.AsyncClient() as http:
            response = await http.post(f"{gateway.url}{path}", json={**HELLO, **extra})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream") is streamed
        (received,) = backend.received
        assert received.target == "/serving-endpoints/anthropic/v1/messages"
        assert (received.json["model"], received.json.get("stream", False)) == (model, streamed)


async def test_dedicated_endpoints_prefer_configured_rows(tmp_path: Path) -> None:
    async with BackendServer(answer) as backend:
        document = {
            "backends": {"d": {"type": "databricks", "base_url": backend.url, "api_key": "t"}, "x": {"type": "demo"}},
            "models": {
                "mine": {"candidates": [{"backend": "x"}, {"backend": "d", "api_model": "my-endpoint"}]},
                "other": {"backend": "x"},
            },
        }
        async with served(tmp_path, document) as gateway, httpx.AsyncClient() as http:
            for model in ("mine", "big"):
                await http.post(f"{gateway.url}/v1/databricks/messages", json={**HELLO, "model": model})
        named = [received.json["model"] for received in backend.received]
        assert named == ["my-endpoint", "databricks-claude-sonnet-4"]


@pytest.mark.parametrize("variables", [{}, {"DATABRICKS_TOKEN": "t"}])
async def test_dedicated_endpoints_without_configuration(tmp_path: Path, variables: dict[str, str]) -> None:
    variables = {"PROXY_BACKEND": "OPENROUTER", **variables}
    async with served(tmp_path, None, variables) as gateway, httpx.AsyncClient() as http:
        asked = await http.post(f"{gateway.url}/v1/databricks/messages", json={**HELLO, "model": "big"})
        assert asked.status_code == 503 and REQUIRED in asked.json()["error"]["message"]
        for path in ("/v1/databricks/health", "/v1/databricks/health/detailed"):
            page = await http.get(f"{gateway.url}{path}")
            assert page.status_code == 503
            assert page.json()["status"] == "unhealthy" and not page.json()["configured"]


async def test_dedicated_health(tmp_path: Path) -> None:
    state = {"status": 200}

    def play(received: Any) -> Script:
        if state["status"] == 200:
            return answer(received)
        return failing(state["status"])

    async with BackendServer(play) as backend:
        variables = {
            "PROXY_BACKEND": "AZURE_DATABRICKS", "DATABRICKS_HOST": backend.url, "DATABRICKS_TOKEN": "t-secret",
            "SERVICE_API_KEY": "gateway-key",
        }  # fmt: skip
        async with served(tmp_path, None, variables) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
            page = await http.get("/v1/databricks/health")
            assert (page.status_code, page.json()["status"]) == (200, "healthy")
            assert (await http.get("/v1/databricks/health/detailed")).status_code == 401
            key = {"authorization": "Bearer gateway-key"}
            page = await http.get("/v1/databricks/health/detailed", headers=key)
            found = page.json()
            assert page.status_code == 200 and found["check"]["ok"] and found["check"]["status"] == 200
            assert found["models"]["claude-3.7-sonnet"] == "databricks-claude-3-7-sonnet"
            assert backend.received[0].target == "/api/2.0/serving-endpoints"
            state["status"] = 503
            for _ in range(8):
                await http.post("/v1/messages", json={**HELLO, "model": "big"}, headers=key)
            assert (await http.get("/v1/databricks/health")).status_code == 503
            page = await http.get("/v1/databricks/health/detailed", headers=key)
            assert page.status_code == 503 and not page.json()["check"]["ok"]
            assert "t-secret" not in json.dumps(page.json()) and backend.url not in json.dumps(page.json())
        backend_url = backend.url
    variables["DATABRICKS_HOST"] = backend_url  # nobody listens there now
    async with served(tmp_path, None, variables) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        page = await http.get("/v1/databricks/health/detailed", headers=key)
        assert page.status_code == 503 and page.json()["check"]["error"]


async def test_ready_names_no_secret(tmp_path: Path) -> None:
    variables = {"PROXY_BACKEND": "OPENROUTER", "OPENROUTER_API_KEY": "k-secret", "SERVICE_API_KEY": "s"}
    async with served(tmp_path, None, variables) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        ready = await http.get("/ready")
        health = await http.get("/health")
    assert ready.status_code == health.status_code == 200
    assert health.json()["active"] == "OPENROUTER"
    assert "k-secret" not in health.text


async def test_a_check_that_is_not_answered() -> None:
    clock = VirtualClock()
    transport = ScriptedTransport([Play(head_delay=60.0)], clock)
    backend = make_backend("d", "databricks", {"base_url": "http://h", "api_key": "k"})

    async def authorize(backend: Backend, request: BackendRequest) -> None:
        return None

    found = await check_backend(backend, {"http": transport}, authorize)
    assert found == {"ok": False, "error": "no answer within 5 s"}
    assert transport.open == 0
