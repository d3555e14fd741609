"""The console and its API in both built packages: cold, restored and warm, their sessions in the cloud's store and read
by another instance, in an environment where nothing but /tmp can be written."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from handlers.io.http_client import HttpTransport
from tests.chat_backends import events_of
from tests.doors.aws_calls import GRANTED, all_permissions
from tests.doors.azure_host import AzureHost
from tests.doors.deployed import (
    BODY,
    CONSOLE,
    ENDS,
    HEADERS,
    KEY,
    PAGES,
    QUESTION,
    check_kept,
    read_elsewhere,
    use,
)  # fmt: skip
from tests.doors.lambda_clients import url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.doors.lambda_rie import Rie, emulator_path, rie
from tests.doors.sealed import can_seal, seal
from tests.doors.test_aws_package import build as aws_build
from tests.doors.test_aws_package import package as package
from tests.doors.test_aws_package import python as python
from tests.doors.test_aws_package import runtime as runtime
from tests.doors.test_azure_build import build as azure_build
from tests.doors.test_azure_build import link_packages
from tests.handlers.test_aws_events import load
from tests.stores import real_stores

ROUNDS = 2  # a cold one and a warm one

pytestmark = pytest.mark.doors


@pytest.mark.skipif(not can_seal(), reason="this machine lets no file system be made read-only for one process")
def test_nothing_but_tmp_can_be_written_there() -> None:
    """What the other tests here put before their commands does what it says. Where it is skipped, they run without."""
    assert seal(CONSOLE)


async def in_dynamodb(moto: str, table: str) -> dict[str, str]:
    """A table as the template makes it, and what tells a gateway where it is. moto keeps tables from test to test."""
    transport = HttpTransport(environment={})
    await real_stores.dynamo_store(transport, moto, table).prepare()
    await transport.aclose()
    return {
        "SKYBRIDGE_STORE": f"dynamodb:{table}", "AWS_ENDPOINT_URL": moto, "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
    }  # fmt: skip


def on_lambda(package: Path, store: dict[str, str]) -> dict[str, str]:
    return {**store, "LAMBDA_TASK_ROOT": str(package), "HOME": "/tmp", "SERVICE_API_KEY": KEY}


@pytest.mark.parametrize(
    "snap_start", [pytest.param(False, id="cold"), pytest.param(True, id="restored", marks=pytest.mark.slow)]
)
async def test_on_aws(snap_start: bool, package: Path, python: str, tmp_path: Path) -> None:
    calls: list[tuple[str, bytes]] = []
    with real_stores.moto(calls) as moto:
        store = await in_dynamodb(moto, f"chat-{snap_start}")
        calls.clear()
        emulator = LambdaEmulator(folder=package, snap_start=snap_start)
        command = (*seal(package), str(package / aws_build.WRAPPER), python, "/var/runtime/bootstrap.py")
        async with emulator.run(*command, **on_lambda(package, store)), url_client(emulator) as client:
            emulator.restore()
            for turn in range(1, ROUNDS + 1):
                await use(client, turn)
            await emulator.ready()
            # The role lets it do all of this, on this table.
            assert {action for action, _ in all_permissions(calls)} <= GRANTED
            assert {name for _, name in all_permissions(calls)} == {f"chat-{snap_start}"}
        await read_elsewhere(tmp_path, store, ROUNDS)


@pytest.mark.slow
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
        settings = {**store, "HOME": "/tmp", "SERVICE_API_KEY": KEY}
        with AzureHost(target, settings, [*seal(target), sys.executable, "-I", "-S", "-B"]) as host:
            async with httpx.AsyncClient(base_url=host.url, trust_env=False, timeout=30) as client:
                for turn in range(1, ROUNDS + 1):
                    await use(client, turn)
        await read_elsewhere(tmp_path, store, ROUNDS)


# Amazon's own emulator: the same through an HTTP API, whose answers are JSON.


def ask(function: Rie, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request through an HTTP API: status, headers and the body's bytes."""
    event = load("http-api")
    given = {"host": "example.org", "content-type": "application/json", **HEADERS, **headers}
    event |= {"rawPath": path, "rawQueryString": "", "headers": given, "isBase64Encoded": False}
    event["body"] = "" if body is None else json.dumps(body)
    event["requestContext"]["http"] |= {"method": method, "path": path}
    answer = function.invoke(event).json()
    text = answer.get("body", "")
    content = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    return answer["statusCode"], answer["headers"], content


def use_buffered(function: Rie) -> None:
    for path, end in ENDS.items():
        status, _, content = ask(function, "POST", path, BODY)
        assert status == 200 and content.endswith(end)
    status, _, content = ask(function, "POST", "/api/v1/chat/stream", QUESTION)
    assert status == 200 and events_of(content)[-1][0] == "done"
    for path, kind in PAGES.items():
        status, headers, content = ask(function, "GET", path, accept="text/html")
        assert status == 200 and headers["content-type"].startswith(kind), path
        status, headers, nothing = ask(function, "HEAD", path, accept="text/html")
        assert (status, nothing) == (200, b"") and headers["content-type"].startswith(kind), path
    status, headers, packed = ask(function, "GET", "/console/app.js", **{"accept-encoding": "gzip"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(packed) == (CONSOLE / "app.js").read_bytes()


@pytest.mark.skipif(emulator_path() is None, reason="no .venv-aws: make test sets it up")
@pytest.mark.slow
async def test_on_the_emulator_of_amazon(package: Path, python: str, runtime: Path, tmp_path: Path) -> None:
    """The streaming loop keeps a session, and the buffered door reads it and goes on."""
    wrapper = [str(package / aws_build.WRAPPER), python, "/var/runtime/bootstrap.py"]
    doors = (wrapper, [python, "-m", "awslambdaric", "handlers.aws_buffered.handler"])
    with real_stores.moto() as moto:
        store = await in_dynamodb(moto, "chat-buffered")
        for rounds, command in enumerate(doors, 1):
            given = {**on_lambda(package, store), "PYTHONPATH": "" if command is wrapper else str(runtime)}
            with rie([*seal(package, runtime), *command], package, **given) as function:
                await asyncio.to_thread(use_buffered, function)
                _, _, kept = await asyncio.to_thread(ask, function, "GET", "/api/v1/sessions/cloud")
            check_kept(json.loads(kept), rounds)
        await read_elsewhere(tmp_path, store, len(doors))
