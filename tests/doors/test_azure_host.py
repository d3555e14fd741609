"""The Azure door: the shipped function_app.py and host.json in the real worker, behind a host's stand-in."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.doors.azure_host import AzureHost, StartFailed

ROOT = Path(__file__).parents[2]
PROBE = {"SKYBRIDGE_ASGI_APP": "tests.doors.azure_apps:create_probe"}

pytestmark = pytest.mark.doors


@pytest.fixture(scope="module")
def host() -> Iterator[AzureHost]:
    with AzureHost(ROOT, PROBE) as running:
        yield running


@pytest.fixture
def client(host: AzureHost) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=host.url, timeout=20, trust_env=False) as opened:
        yield opened


def test_the_worker_streams_http_itself(host: AzureHost) -> None:
    assert host.capabilities["HttpUri"].startswith("http://127.0.0.1:")
    assert host.capabilities["RequiresRouteParameters"] == "true"


def test_the_first_bytes_arrive_before_the_last_are_sent(host: AzureHost, client: httpx.Client) -> None:
    with client.stream("GET", "/gate/stream") as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"first"
        client.get("/open/stream").raise_for_status()
        assert b"".join(pieces) == b"last"
    assert client.get("/seen/stream").json() == {"note": "after"}
    assert all(invocation["result"]["status"] == 1 for invocation in host.invocations)


def test_a_body_streams_in(client: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 70_000
        assert client.get("/seen/upload").json() == {"note": "body"}
        yield b"x" * 30_000

    assert client.post("/upload/upload", content=pieces()).text == "100000"


def test_a_client_that_leaves_is_told_to_the_application(client: httpx.Client) -> None:
    with client.stream("POST", "/hold/leaver", content=b"{}") as response:
        assert next(response.iter_raw()) == b"first"
    assert client.get("/seen/leaver").json() == {"note": "http.disconnect"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"])
def test_any_method(client: httpx.Client, method: str) -> None:
    assert client.request(method, "/any").json()["method"] == method


def test_an_answer_to_head_has_no_body(client: httpx.Client) -> None:
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/messages", "/model/a%3Ab%2Fc/converse", "/v1beta/models/x:generateContent", "/a//b/"],
)
def test_any_path_with_its_escapes(client: httpx.Client, path: str) -> None:
    told = client.get(path + "?beta=true&name=a%20b").json()
    assert (told["path"], told["query"]) == (path, "beta=true&name=a%20b")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"])
def test_no_path_is_taken_by_the_extension(client: httpx.Client, path: str) -> None:
    assert client.get(path).json()["path"] == path


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
def test_bodies_of_any_size(client: httpx.Client, size: int) -> None:
    assert client.post("/any", content=b"x" * size).json()["length"] == size


def test_headers_and_text_are_untouched(client: httpx.Client) -> None:
    told = client.post("/any", content="ä €", headers={"x-api-key": "k", "x-many": "a, b"}).json()
    assert told["text"] == "ä €"
    assert ["x-api-key", "k"] in told["headers"]
    assert ["x-many", "a, b"] in told["headers"]


def test_the_platform_and_its_deadline_are_told(client: httpx.Client) -> None:
    told = client.get("/any").json()
    assert told["platform"] == "azure"
    assert 0 < told["seconds"] < 230


def test_an_exception_is_a_json_500(client: httpx.Client) -> None:
    response = client.post("/fail/early")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["error"]["code"] == "internal_error"
    assert "made to fail" not in response.text
    assert body["request_id"] == response.headers["x-request-id"] != ""


def test_an_exception_in_a_stream_cuts_it(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError), client.stream("POST", "/fail/late") as response:
        assert response.status_code == 200
        response.read()


def test_work_after_the_answer_may_fail(client: httpx.Client) -> None:
    assert client.post("/fail/after").json() == {"after": "fails"}
    assert client.get("/any").status_code == 200


def test_a_request_that_is_not_the_hosts_is_refused(host: AzureHost) -> None:
    response = httpx.get(host.capabilities["HttpUri"] + "/any", trust_env=False)
    assert response.status_code == 500
    assert response.json()["request_id"] == ""


def test_nothing_is_kept_of_answered_requests(host: AzureHost, client: httpx.Client) -> None:
    for _ in range(300):
        client.post("/any", content=b"{}")
    client.post("/fail/early")
    held = host.inspect()
    assert held["context_references"] == 0
    assert held["tasks"] < 20


def test_concurrent_streams(host: AzureHost, client: httpx.Client) -> None:
    with httpx.Client(base_url=host.url, timeout=20, trust_env=False) as many:
        streams = [many.send(many.build_request("GET", "/gate/many"), stream=True) for _ in range(10)]
        pieces = [stream.iter_raw() for stream in streams]
        assert [next(piece) for piece in pieces] == [b"first"] * 10
        client.get("/open/many")
        assert [b"".join(piece) for piece in pieces] == [b"last"] * 10


def test_pipelined_requests_on_one_connection(host: AzureHost) -> None:
    address = httpx.URL(host.url)
    assert address.port is not None
    with socket.create_connection((address.host, address.port)) as connection:
        request = b"GET /any/%d HTTP/1.1\r\nhost: h\r\n%s\r\n"
        connection.sendall(request % (1, b"") + request % (2, b"connection: close\r\n"))
        received = b""
        while data := connection.recv(65_536):
            received += data
    assert received.index(b"/any/1") < received.index(b"/any/2")


@pytest.mark.parametrize(
    ("factory", "words"),
    [("tests.doors.azure_apps:absent", "AttributeError"), ("absent:app", "ModuleNotFoundError")],
)
def test_a_broken_application_stops_the_start(factory: str, words: str) -> None:
    with pytest.raises(StartFailed, match=words), AzureHost(ROOT, {"SKYBRIDGE_ASGI_APP": factory}):
        pass


def test_host_json_gives_plain_paths() -> None:
    settings = json.loads((ROOT / "host.json").read_text())
    assert settings["extensions"]["http"]["routePrefix"] == ""
    assert os.path.exists(ROOT / "function_app.py")
