"""Both built packages with their state where the templates put it: streamed, billed, and nothing written beside /tmp.

The gateway's key is a secret in moto's Secrets Manager, usage is in moto's DynamoDB or in Azurite's tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.bill import day_of, folder_of
from handlers.io.clock import SystemClock
from handlers.io.http_client import HttpTransport
from tests.doors.azure_host import AzureHost
from tests.doors.lambda_clients import url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.doors.test_aws_package import build as aws_build
from tests.doors.test_aws_package import package as package
from tests.doors.test_aws_package import python as python
from tests.doors.test_azure_build import build as azure_build
from tests.doors.test_azure_build import link_packages
from tests.stores import real_stores

KEY = "sk-kept-in-a-secret-0123"
HEADERS = {"authorization": f"Bearer {KEY}"}
BODY = {"model": "demo", "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
# Where each format's stream ends.
ENDS = {"/v1/chat/completions": b"data: [DONE]\n\n", "/v1/messages": b'data: {"type":"message_stop"}\n\n'}

pytestmark = pytest.mark.doors


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with real_stores.moto() as endpoint:
        headers = {
            "x-amz-target": "secretsmanager.CreateSecret",
            "content-type": "application/x-amz-json-1.1",
            "authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/secretsmanager/aws4_request",
        }
        made = httpx.post(endpoint, json={"Name": "gateway", "SecretString": KEY}, headers=headers, trust_env=False)
        assert made.status_code == 200
        yield endpoint


def files_below(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*")}


@pytest.mark.parametrize("snap_start", [False, True], ids=["cold", "restored"])
async def test_on_aws(snap_start: bool, package: Path, python: str, moto: str, tmp_path: Path) -> None:
    emulator = LambdaEmulator(folder=package, snap_start=snap_start)
    table = f"skybridge-{snap_start}"
    environment = {
        "LAMBDA_TASK_ROOT": str(package),
        "HOME": str(tmp_path),
        "SERVICE_API_KEY": "aws-secret://gateway",
        "SKYBRIDGE_STORE": f"dynamodb:{table}",
        "AWS_ENDPOINT_URL": moto,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    }
    transport = HttpTransport(environment={})
    store = real_stores.dynamo_store(transport, moto, table)
    await store.prepare()  # the template makes it
    before = files_below(package, tmp_path)
    command = (str(package / aws_build.WRAPPER), python, "/var/runtime/bootstrap.py")
    async with emulator.run(*command, **environment), url_client(emulator) as client:
        emulator.restore()
        for path, end in ENDS.items():
            async with client.stream("POST", path, json=BODY, headers=HEADERS) as response:
                assert response.status_code == 200
                parts = [part async for part in response.aiter_raw()]
            assert len(parts) > 3
            assert b"".join(parts).endswith(end)
        refused = await client.post("/v1/messages", json=BODY, headers={"x-api-key": "aws-secret://gateway"})
        assert refused.status_code == 401
        await emulator.ready()
    assert files_below(package, tmp_path) == before
    stored = await store.read_all(folder_of(day_of(SystemClock().time())))
    await transport.aclose()
    assert sorted(row["client_format"] for row in stored.values()) == ["chat_completions", "messages"]
    assert_billed(stored.values())


def assert_billed(rows: Iterable[Mapping[str, Any]]) -> None:
    """Every stream is counted, asked or not, and what the platform wants for it is known."""
    for row in rows:
        assert row["output_tokens"] > 0 and row["compute_cost"] > 0


async def test_on_azure(tmp_path: Path) -> None:
    target, home = tmp_path / "package", tmp_path / "home"
    home.mkdir()
    azure_build.build(Path(__file__).parents[2], target)
    link_packages(target / "requirements.txt", target / azure_build.PACKAGES)
    before = files_below(target, home)
    (tmp_path / "azurite").mkdir()
    with real_stores.azurite(tmp_path / "azurite") as endpoint:
        settings = {
            "HOME": str(home),
            "SERVICE_API_KEY": KEY,
            "SKYBRIDGE_STORE": f"azure-table:{endpoint}/skybridge",
            "AZURE_STORAGE_KEY": real_stores.ACCOUNT_KEY,
        }
        transport = HttpTransport(environment={})
        store = real_stores.azure_store(transport, endpoint, "skybridge")
        await store.prepare()  # the template makes it
        # Neither this folder nor the environment's packages are in reach.
        with (
            AzureHost(target, settings, [sys.executable, "-I", "-S", "-B"]) as host,
            httpx.Client(base_url=host.url, headers=HEADERS, trust_env=False, timeout=30) as client,
        ):
            for path, end in ENDS.items():
                with client.stream("POST", path, json=BODY) as response:
                    assert response.status_code == 200
                    parts = list(response.iter_raw())
                assert len(parts) > 3
                assert b"".join(parts).endswith(end)
        stored = await store.read_all(folder_of(day_of(SystemClock().time())))
        await transport.aclose()
    assert files_below(target, home) == before
    assert_billed(stored.values())
    assert {row["client_format"] for row in stored.values()} == {"chat_completions", "messages"}
