"""Bodies in a bucket of moto's S3 and in a container of Azurite's Blob service."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from core.configuration import ConfigurationError
from core.ports import BackendRequest
from handlers.composition import compose
from handlers.io import shipping
from handlers.io.archive_places import BLOB_VERSION, BlobKey
from handlers.io.body_archive import open_archive
from handlers.io.body_log import KeptExchange
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.http_client import HttpTransport
from handlers.io.shipping import Outside
from handlers.io.short_calls import exchange
from tests.backend_server import JSON, BackendServer, Script
from tests.gateways import RecordingLog
from tests.leaks import leak_in, secret
from tests.samples import request_body
from tests.served import served
from tests.stores import real_stores
from tests.stores.test_keyless_tables import certificate, token

AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-secret-access", "AWS_REGION": "us-east-1"}
MODELS = {"backends": {"d": {"type": "demo"}}, "models": {"m": {"backend": "d", "api_model": "demo"}}}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """These services are slow where everything runs at once; a cloud's are not."""
    monkeypatch.setattr(shipping, "LAST_SECONDS", 60.0)


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, Any]]:
    """moto's server and boto3's client of it."""
    with real_stores.moto() as endpoint:
        keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "made-secret-access"}
        yield endpoint, boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_stores.azurite(tmp_path_factory.mktemp("azurite"), service="blob") as endpoint:
        yield endpoint


def outside_of(variables: dict[str, str], transport: HttpTransport) -> Outside:
    return Outside(variables, transport, SystemClock(), SystemRandom(), RecordingLog())


def kept(text: str) -> KeptExchange:
    return KeptExchange({"path": "/v1/messages"}, json.dumps({"said": text}).encode(), b'{"ok":1}', personal=True)


def lines_of(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(body).decode().splitlines()]


async def test_a_gateway_archives_to_s3_before_it_ends(tmp_path: Path, s3: tuple[str, Any]) -> None:
    endpoint, client = s3
    client.create_bucket(Bucket="bodies")
    variables = {
        **AWS, "AWS_ENDPOINT_URL_S3": endpoint, "SKYBRIDGE_BODY_ARCHIVE": "s3://bodies/team a",
        "SKYBRIDGE_BODY_LOG_PERSONAL": "redact",
    }  # fmt: skip
    said = f"my key is {secret('told')}, I am ann@example.org at 192.0.2.7, IBAN DE89 3704 0044 0532 0130 00"
    body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": said}]}
    async with served(tmp_path, MODELS, variables) as gateway, httpx.AsyncClient(timeout=20) as sender:
        for stream in (False, True):
            assert (await sender.post(gateway.url + "/v1/messages", json={**body, "stream": stream})).is_success
    (row,) = client.list_objects_v2(Bucket="bodies")["Contents"]
    assert row["Key"].startswith("team a/2") and row["Key"].endswith(".jsonl.gz")
    found = client.get_object(Bucket="bodies", Key=row["Key"])
    assert (found["ContentType"], found["ContentEncoding"]) == ("application/x-ndjson", "gzip")
    whole, streamed = lines_of(found["Body"].read())
    text = json.dumps([whole, streamed])
    assert leak_in(text) is None
    assert not any(personal in text for personal in ("ann@", "192.0.2.7", "3704"))
    assert whole["response"]["type"] == "message" and "message_stop" in streamed["response"]


async def test_one_object_a_batch(s3: tuple[str, Any]) -> None:
    endpoint, client = s3
    client.create_bucket(Bucket="batched")
    transport = HttpTransport(environment={})
    archive = open_archive("s3://batched", outside_of({**AWS, "AWS_ENDPOINT_URL": endpoint}, transport))
    for number in range(20):
        archive.put(kept(f"{number} " + "x" * 200_000))
    await archive.shipper.finish()
    rows = client.list_objects_v2(Bucket="batched")["Contents"]
    numbers = [
        int(line["request"]["said"].split()[0])
        for row in rows
        for line in lines_of(client.get_object(Bucket="batched", Key=row["Key"])["Body"].read())
    ]
    assert sorted(numbers) == list(range(20)) and 3 < len(rows) < 8
    await transport.aclose()


async def blob(endpoint: str, transport: HttpTransport, method: str, rest: str) -> tuple[int, bytes]:
    """A call to the Blob service with the account's key."""
    clock = SystemClock()
    headers = [("x-ms-version", BLOB_VERSION)]
    request = BackendRequest(method, f"{endpoint}/{rest}", headers, b"")
    await BlobKey(real_stores.ACCOUNT, real_stores.ACCOUNT_KEY, clock).authorize(request)
    return await exchange(transport, clock, request, 20.0)


async def only_blob(endpoint: str, transport: HttpTransport) -> bytes:
    status, listing = await blob(endpoint, transport, "GET", "bodies?restype=container&comp=list")
    assert status == 200
    name = listing.decode().partition("<Name>")[2].partition("</Name>")[0]
    status, body = await blob(endpoint, transport, "GET", f"bodies/{name}")
    assert status == 200
    return body


async def test_blob_storage_with_the_accounts_key(blobs: str) -> None:
    transport = HttpTransport(environment={})
    assert (await blob(blobs, transport, "PUT", "bodies?restype=container"))[0] == 201
    variables = {"AZURE_STORAGE_KEY": real_stores.ACCOUNT_KEY}
    archive = open_archive(f"{blobs}/bodies/prefix", outside_of(variables, transport))
    archive.put(kept("größer"))
    await archive.shipper.finish()
    (line,) = lines_of(await only_blob(blobs, transport))
    assert line["request"] == {"said": "größer"} and line["path"] == "/v1/messages"
    await transport.aclose()


async def test_blob_storage_with_a_managed_identity(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    tls = ssl.create_default_context(cafile=cert)
    options = ("--oauth", "basic", "--cert", str(cert), "--key", str(key))
    issued = {"access_token": token("https://storage.azure.com/"), "expires_on": "4000000000"}
    with real_stores.azurite(tmp_path, *options, tls=tls, service="blob") as endpoint:
        async with BackendServer([Script([json.dumps(issued).encode()], headers=JSON)]) as identity:
            transport = HttpTransport(environment={}, tls=tls)
            assert (await blob(endpoint, transport, "PUT", "bodies?restype=container"))[0] == 201
            variables = {"IDENTITY_ENDPOINT": f"{identity.url}/msi/token", "IDENTITY_HEADER": "made"}
            archive = open_archive(f"{endpoint}/bodies", outside_of(variables, transport))
            archive.put(kept("keyless"))
            await archive.shipper.finish()
            assert lines_of(await only_blob(endpoint, transport))[0]["request"] == {"said": "keyless"}
            await transport.aclose()


async def test_a_sas_goes_with_each_address() -> None:
    async with BackendServer([Script([b""], 201, JSON)]) as server:
        transport = HttpTransport(environment={})
        archive = open_archive(f"{server.url}/account/bodies?sv=1&sig=a%2Bb", outside_of({}, transport))
        archive.put(kept("x"))
        await archive.shipper.finish()
        await transport.aclose()
    (put,) = server.received
    assert put.method == "PUT" and put.target.startswith("/account/bodies/2")
    assert put.target.endswith(".jsonl.gz?sv=1&sig=a%2Bb")
    assert put.headers["x-ms-blob-type"] == "BlockBlob" and "authorization" not in put.headers


@pytest.mark.parametrize("status", [403, 503, 0], ids=["refused", "busy", "gone"])
async def test_an_archive_that_fails_hurts_no_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    async with BackendServer(lambda received: Script([secret("quoted").encode()], status or 500, JSON)) as server:
        url = server.url
        if not status:
            await server.__aexit__()
        variables = {
            **AWS, "AWS_ENDPOINT_URL_S3": url, "SKYBRIDGE_BODY_ARCHIVE": "s3://bodies", "LOG_LEVEL": "warning",
            "AWS_LAMBDA_FUNCTION_NAME": "made", "AWS_SESSION_TOKEN": secret("session"),
        }  # fmt: skip
        async with served(tmp_path, MODELS, variables) as gateway, httpx.AsyncClient(timeout=20) as client:
            for _ in range(2):
                answer = await client.post(gateway.url + "/v1/messages", content=request_body("messages"))
                assert answer.status_code == 200
                await gateway.afterwards()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = [line["event"] for line in lines]
    assert events.count("archive_fault") >= 2 and "archive_lost" in events


@pytest.mark.parametrize(
    "reference",
    ["bucket", "s3:///prefix", "ftp://a/b", "https://account.blob.core.windows.net", "s3://"],
)
def test_references_that_name_no_place(tmp_path: Path, reference: str) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps(MODELS))
    with pytest.raises(ConfigurationError, match="expected s3://"):
        compose({"SKYBRIDGE_BODY_ARCHIVE": reference, "LOG_LEVEL": "error"}, str(path), local=True)


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("s3://bucket/a/b?region=eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com/a/b/"),
        ("s3://dotted.bucket", "https://s3.us-east-1.amazonaws.com/dotted.bucket/"),
        ("https://acct.blob.core.windows.net/c/x y", "https://acct.blob.core.windows.net/c/x%20y/"),
    ],
)
def test_a_reference_is_the_address_of_a_bucket_or_a_container(reference: str, url: str) -> None:
    archive = open_archive(reference, outside_of({"AZURE_STORAGE_KEY": "bWFkZQ=="}, HttpTransport(environment={})))
    assert archive.place().url == url


async def test_an_address_that_cannot_be_read_is_told() -> None:
    outside = outside_of({}, HttpTransport(environment={}))
    archive = open_archive("https://[half/container", outside)
    archive.put(kept("x"))
    await archive.shipper.finish()
    assert isinstance(outside.log, RecordingLog)
    assert [event for _, event, _ in outside.log.lines] == ["archive_fault", "archive_lost"]


def test_seconds_must_be_seconds() -> None:
    with pytest.raises(ConfigurationError, match="expected seconds"):
        open_archive("s3://b", outside_of({"SKYBRIDGE_BODY_ARCHIVE_SECONDS": "soon"}, HttpTransport(environment={})))


async def test_bodies_may_go_to_the_platforms_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variables = {"SKYBRIDGE_BODY_LOG": "-", "LOG_LEVEL": "info", "SERVICE_API_KEY": secret("client")}
    asked = {**json.loads(request_body("messages")), "metadata": {"user_id": secret("told")}}
    async with served(tmp_path, MODELS, variables) as gateway, httpx.AsyncClient(timeout=20) as client:
        headers = {"x-api-key": secret("client")}
        assert (await client.post(gateway.url + "/v1/messages", json=asked, headers=headers)).is_success
    printed = capsys.readouterr().err
    assert leak_in(printed) is None
    (line,) = [line for line in map(json.loads, printed.splitlines()) if line["event"] == "bodies"]
    assert line["request"] == {**asked, "metadata": {"user_id": "***"}} and isinstance(line["time"], str)
