"""The gateway itself on the real Azure worker, answered by its demo backend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.doors.azure_host import AzureHost, StartFailed

ROOT = Path(__file__).parents[2]
MODELS = {"backends": {"demo": {"type": "demo"}}, "models": {"demo": {"backend": "demo", "api_model": "demo"}}}
ASKED = {"model": "demo", "max_tokens": 200, "messages": [{"role": "user", "content": "Hello from Azure"}]}

pytestmark = pytest.mark.doors


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureHost]:
    config = tmp_path_factory.mktemp("config") / "models.yaml"
    config.write_text(json.dumps(MODELS))
    settings = {"SERVICE_API_KEY": "made-key", "MODEL_CONFIG_PATH": str(config), "SKYBRIDGE_DEMO_PACE": "0.002"}
    with AzureHost(ROOT, settings) as started:
        yield started


@pytest.fixture(scope="module")
def client(host: AzureHost) -> Iterator[httpx.Client]:
    headers = {"authorization": "Bearer made-key"}
    with httpx.Client(base_url=host.url, headers=headers, timeout=20, trust_env=False) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_whole_answer(client: httpx.Client, path: str) -> None:
    response = client.post(path, json=ASKED)
    assert response.status_code == 200
    assert "Hello from Azure" in response.text
    assert response.headers["x-skybridge-backend"] == "demo"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_stream_comes_in_pieces(client: httpx.Client, path: str) -> None:
    with client.stream("POST", path, json={**ASKED, "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        pieces = list(response.iter_raw())
    assert len(pieces) > 5
    assert "Azure" in b"".join(pieces).decode()


@pytest.mark.parametrize("stream", [False, True])
def test_the_host_keeps_the_line_of_a_request(client: httpx.Client, host: AzureHost, stream: bool) -> None:
    """The real worker runs the function; the host takes lines of an invocation under way, and no others."""
    response = client.post("/v1/messages", json={**ASKED, "stream": stream})
    lines = [(level, json.loads(text)) for level, name, text in host.inspect()["kept_log"] if name == "skybridge"]
    (line,) = [line for _, line in lines if line["request_id"] == response.headers["x-request-id"]]
    assert (line["event"], line["outcome"], line["streamed"]) == ("request", "complete", stream)
    assert {level for level, _ in lines} == {"INFO"}


def test_a_wrong_key_and_an_unknown_path(client: httpx.Client) -> None:
    assert client.post("/v1/messages", json=ASKED, headers={"authorization": "Bearer no"}).status_code == 401
    assert client.get("/nowhere").status_code == 404


def test_the_gateway_does_not_start_without_a_key() -> None:
    with pytest.raises(StartFailed, match="SERVICE_API_KEY"), AzureHost(ROOT):
        pass
