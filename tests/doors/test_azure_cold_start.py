"""What the Azure door loads beside Azure's own worker, up to its first answer with keys, limits and usage on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from core.keys import PREFIX
from handlers.io.http_client import HttpTransport
from tests.backend_server import BackendServer, Script
from tests.doors.azure_host import AzureHost
from tests.doors.limited_key import write_limited_key
from tests.samples import request_body, stream_frames
from tests.stores import real_stores
from tests.stores.conftest import azurite_server

__all__ = ["azurite_server"]

pytestmark = pytest.mark.doors

ROOT = Path(__file__).parents[2]
# Each module costs an instance's start 0.1 to 5 ms.
ALLOWED = Path(__file__).with_name("azure_cold_path_modules.txt")
KEY = PREFIX + "b" * 43
# An application that needs nothing: what is loaded with it is the worker's and the door's.
BARE = {"SKYBRIDGE_ASGI_APP": "tests.doors.azure_apps:create_probe", "PYTHONPATH": str(ROOT)}


async def test_the_first_request_with_keys_and_limits_loads_no_newcomer(tmp_path: Path, azurite_server: str) -> None:
    table = f"t{uuid4().hex}"
    await write_key(azurite_server, table)
    async with BackendServer([Script(stream_frames("messages"))]) as backend:
        settings = {
            "SERVICE_API_KEY": "made-service-key", "MODEL_CONFIG_PATH": write_models(tmp_path, backend.url),
            "SKYBRIDGE_STORE": f"azure-table:{azurite_server}/{table}", "AZURE_STORAGE_KEY": real_stores.ACCOUNT_KEY,
        }  # fmt: skip
        loaded = await asyncio.to_thread(modules_with, settings, ask)
    loaded -= await asyncio.to_thread(modules_with, BARE, lambda url: None)
    allowed = set(ALLOWED.read_text().split())
    newcomers = sorted(loaded - allowed)
    assert not newcomers, f"the first request loads more than {ALLOWED.name} allows: {', '.join(newcomers)}"
    gone = sorted(allowed - loaded)
    assert not gone, f"no longer loaded; take them out of {ALLOWED.name}: {', '.join(gone)}"


def modules_with(settings: Mapping[str, str], use: Callable[[str], None]) -> set[str]:
    """What a worker with these settings has loaded after `use` of its address."""
    with AzureHost(ROOT, dict(settings)) as host:
        use(host.url)
        return set(host.inspect()["modules"])


def ask(url: str) -> None:
    """The first request, and that it was accounted."""
    response = httpx.post(
        f"{url}/v1/messages", content=request_body("messages", stream=True), headers={"x-api-key": KEY},
        trust_env=False, timeout=20,
    )  # fmt: skip
    assert "message_stop" in response.text
    assert response.headers["anthropic-ratelimit-requests-remaining"] == "9"


async def write_key(endpoint: str, table: str) -> None:
    """A table with one key, which has limits and a budget."""
    transport = HttpTransport(environment={})
    await write_limited_key(real_stores.azure_store(transport, endpoint, table), KEY)
    await transport.aclose()


def write_models(folder: Path, url: str) -> str:
    """A configuration with backends of three formats."""
    backends = {name: {"type": name, "base_url": url, "api_key": "k"} for name in ("anthropic", "openai", "gemini")}
    path = folder / "models.json"
    models = {"m": {"backend": "anthropic", "api_model": "claude-sonnet-4-5"}}
    path.write_text(json.dumps({"backends": backends, "models": models}))
    return str(path)
