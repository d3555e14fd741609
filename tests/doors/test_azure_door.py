"""The Azure door's own parts, in this process: what the worker sees of them, and what they do when things go wrong."""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
from azurefunctions.extensions import base

from handlers.azure_extension import AsgiAnswer, ForwardedRequest, WebApp, WebServer
from tests.doors.azure_apps import Probe, answer


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """handlers.azure around the probe; importing it makes the app."""
    monkeypatch.setenv("SKYBRIDGE_ASGI_APP", "tests.doors.azure_apps:create_probe")
    return importlib.import_module("handlers.azure")


def web_app(
    answered: Callable[[ForwardedRequest], Awaitable[AsgiAnswer]], **options: float
) -> tuple[WebApp, dict[str, object]]:
    """A WebApp as the worker sets it up, and the worker's records of its invocations."""
    references: dict[str, object] = {"made-id": object(), "other": object()}
    worker = ModuleType("made_worker")
    worker.http_coordinator = SimpleNamespace(_context_references=references)  # type: ignore[attr-defined]
    sys.modules["made_worker"] = worker

    async def catch_all(request: ForwardedRequest) -> AsgiAnswer:
        return await answered(request)

    catch_all.__module__ = "made_worker"
    app = WebApp(**options)
    assert app.route(catch_all) is catch_all
    return app, references


async def call(app: Any, path: str = "/any") -> list[dict[str, Any]]:
    """What the app sends for one GET."""
    sent: list[dict[str, Any]] = []
    headers = [(b"x-ms-invocation-id", b"made-id")]
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "extensions": {"made": {}},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def test_the_worker_finds_the_extension() -> None:
    assert base.ModuleTrackerMeta.get_module() == "handlers.azure_extension"
    assert base.RequestTrackerMeta.check_type(ForwardedRequest)
    assert base.ResponseTrackerMeta.check_type(AsgiAnswer)


def test_the_app_is_one_function_on_every_path(azure: ModuleType) -> None:
    (function,) = azure.app.get_functions()
    trigger = json.loads(function.get_raw_bindings()[0])
    assert (trigger["type"], trigger["route"], trigger["authLevel"]) == ("httpTrigger", "{*path}", "ANONYMOUS")
    assert "methods" not in trigger


def test_route_parameters_come_from_the_invocation() -> None:
    request = ForwardedRequest({"headers": [(b"x-ms-invocation-id", b"made-id")]})
    synchronizer = base.RequestTrackerMeta.get_synchronizer()
    synchronizer.sync_route_params(request, {"path": "v1/models"})
    assert request.route_params == {"path": "v1/models"} and request.invocation_id == "made-id"
    synchronizer.sync_route_params(request, None)
    assert request.route_params == {}


async def test_the_door_tells_the_platform_and_works_on_after_the_answer(azure: ModuleType) -> None:
    steps: list[str] = []

    async def note() -> None:
        steps.append("after")

    async def broken() -> None:
        raise RuntimeError("made to fail")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        extensions = scope["extensions"]
        extensions["skybridge.after"].extend([broken, note])
        assert extensions["skybridge.platform"] == "azure" and extensions["made"] == {}
        assert 200 < extensions["skybridge.first_byte_deadline"] - asyncio.get_running_loop().time() <= 230
        await answer(send, {})
        steps.append("answered")

    app, references = web_app(lambda request: azure.gateway(request))
    assert json.loads((await call(app))[1]["body"])["platform"] == "azure"
    assert references.keys() == {"other"}
    assert (await call(azure.door(application)))[0]["status"] == 200
    assert steps == ["answered", "after"]


async def test_an_application_that_fails_is_a_500_or_a_cut(azure: ModuleType) -> None:
    app, references = web_app(lambda request: azure.gateway(request))
    start, body = await call(app, "/fail/early")
    assert start["status"] == 500 and json.loads(body["body"])["request_id"] == "made-id"
    with pytest.raises(RuntimeError, match="made to fail"):
        await call(app, "/fail/late")
    assert references.keys() == {"other"}


async def test_an_invocation_that_failed_is_a_500() -> None:
    async def failed(request: ForwardedRequest) -> AsgiAnswer:
        raise ValueError("the worker's own")

    app, references = web_app(failed)
    assert (await call(app))[0]["status"] == 500
    assert references.keys() == {"other"}


async def test_an_invocation_that_never_comes_ends() -> None:
    async def never(request: ForwardedRequest) -> AsgiAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    app, references = web_app(never, invocation_wait=0)
    assert (await call(app))[0]["status"] == 500
    assert references.keys() == {"other"}


async def test_a_worker_that_keeps_no_records_is_fine() -> None:
    async def answered(request: ForwardedRequest) -> AsgiAnswer:
        return await request.answer(Probe())

    app, _ = web_app(answered)
    app._coordinator = None
    assert (await call(app, "/open/x"))[0]["status"] == 200


async def test_the_server_serves_the_app() -> None:
    async def answered(request: ForwardedRequest) -> AsgiAnswer:
        return await request.answer(Probe())

    app, _ = web_app(answered)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    web_server = WebServer("127.0.0.1", port, app)
    serving = asyncio.create_task(web_server.serve())
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=8)) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/open/x")).status_code == 200
    web_server.server.should_exit = True
    await serving
