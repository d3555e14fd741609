"""The console and its API in both built packages, their sessions in the cloud's store and read by another instance."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from handlers.io.http_client import HttpTransport
from tests.chat_backends import document, events_of
from tests.doors.azure_host import AzureHost
from tests.doors.lambda_clients import url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.doors.test_aws_package import build as aws_build
from tests.doors.test_aws_package import package as package
from tests.doors.test_aws_package import python as python
from tests.doors.test_azure_build import build as azure_build
from tests.doors.test_azure_build import link_packages
from tests.served import served
from tests.stores import real_stores

KEY = "sk-of-a-deployed-gateway-0123"
HEADERS = {"authorization": f"Bearer {KEY}"}
QUESTION = {"message": "Remember <script>alert(1)</script>", "model": "demo", "session_id": "cloud"}
PAGES = {"/": "text/html", "/docs": "text/html", "/openapi.json": "application/json", "/console/base.css": "text/css"}

pytestmark = pytest.mark.doors


def check_stream(parts: list[bytes]) -> None:
    """A turn came in pieces, and whole."""
    events = events_of(b"".join(parts))
    assert len(parts) > 3 and events[0][0] == "start" and events[-1][0] == "done"
    assert events[-1][1]["session_id"] == "cloud"


async def read_elsewhere(tmp_path: Path, store: dict[str, str]) -> Any:
    """The session as another process tells it, which then goes on with it."""
    async with served(tmp_path, document(), {**store, "SERVICE_API_KEY": KEY}) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url, headers=HEADERS, trust_env=False, timeout=30) as client:
            kept = (await client.get("/api/v1/sessions/cloud")).json()
            turn = await client.post("/api/v1/chat", json={**QUESTION, "message": "And here?"})
            assert turn.status_code == 200 and "3 messages" in turn.json()["message"]["content"]
            return kept


def check_kept(kept: Any) -> None:
    assert [each["role"] for each in kept["messages"]] == ["user", "assistant"] and kept["message_count"] == 2
    assert kept["messages"][0]["content"] == QUESTION["message"] and kept["messages"][1]["status"] == "complete"
    assert kept["title"] == QUESTION["message"]


async def test_on_aws(package: Path, python: str, tmp_path: Path) -> None:
    with real_stores.moto() as moto:
        store = {
            "SKYBRIDGE_STORE": "dynamodb:chat", "AWS_ENDPOINT_URL": moto, "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        }  # fmt: skip
        transport = HttpTransport(environment={})
        await real_stores.dynamo_store(transport, moto, "chat").prepare()  # the template makes it
        await transport.aclose()
        environment = {**store, "LAMBDA_TASK_ROOT": str(package), "HOME": str(tmp_path), "SERVICE_API_KEY": KEY}
        emulator = LambdaEmulator(folder=package)
        command = (str(package / aws_build.WRAPPER), python, "/var/runtime/bootstrap.py")
        async with emulator.run(*command, **environment), url_client(emulator) as client:
            emulator.restore()
            async with client.stream("POST", "/api/v1/chat/stream", json=QUESTION, headers=HEADERS) as response:
                assert response.status_code == 200
                check_stream([part async for part in response.aiter_raw()])
            for path, kind in PAGES.items():
                page = await client.get(path, headers={"accept": "text/html"})
                assert page.status_code == 200 and page.headers["content-type"].startswith(kind), path
            listed = await client.get("/api/v1/sessions", headers=HEADERS)
            assert [each["id"] for each in listed.json()["sessions"]] == ["cloud"]
            await emulator.ready()
        check_kept(await read_elsewhere(tmp_path, store))


async def test_on_azure(tmp_path: Path) -> None:
    target = tmp_path / "package"
    azure_build.build(Path(__file__).parents[2], target)
    link_packages(target / "requirements.txt", target / azure_build.PACKAGES)
    (tmp_path / "azurite").mkdir()
    with real_stores.azurite(tmp_path / "azurite") as endpoint:
        store = {"SKYBRIDGE_STORE": f"azure-table:{endpoint}/chat", "AZURE_STORAGE_KEY": real_stores.ACCOUNT_KEY}
        transport = HttpTransport(environment={})
        await real_stores.azure_store(transport, endpoint, "chat").prepare()  # the template makes it
        await transport.aclose()
        settings = {**store, "HOME": str(tmp_path), "SERVICE_API_KEY": KEY}
        await asyncio.to_thread(ask_azure, target, settings)
        check_kept(await read_elsewhere(tmp_path, store))


def ask_azure(target: Path, settings: dict[str, str]) -> None:
    with (
        AzureHost(target, settings, [sys.executable, "-I", "-S", "-B"]) as host,
        httpx.Client(base_url=host.url, headers=HEADERS, trust_env=False, timeout=30) as client,
    ):
        with client.stream("POST", "/api/v1/chat/stream", json=QUESTION) as response:
            assert response.status_code == 200
            check_stream(list(response.iter_raw()))
        for path, kind in PAGES.items():
            page = client.get(path, headers={"accept": "text/html"})
            assert page.status_code == 200 and page.headers["content-type"].startswith(kind), path
