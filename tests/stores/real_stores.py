"""The three real stores, each behind a real component on loopback: a file, moto's server, Azurite."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from ssl import SSLContext
from threading import Lock, Thread
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from core.auth.credentials import Credentials
from handlers.io import azure_table, dynamodb_store, table_store
from handlers.io.authenticators import SigV4
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.http_client import HttpTransport
from handlers.io.shards import Spread
from handlers.io.store_http import CloudClient

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "devstoreaccount1"
# Azurite's published development key: every installation has it.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class FixedCredentials:
    """Any pair: moto checks none."""

    async def current(self) -> Credentials:
        return Credentials("AKIDEXAMPLE", "secret")


def signed_client(transport: HttpTransport, service: str, seconds: float = 20.0) -> CloudClient:
    clock = SystemClock()
    signer = SigV4(FixedCredentials(), "us-east-1", service, clock)
    throttled = dynamodb_store.is_throttled
    return CloudClient(service, transport, clock, SystemRandom(), signer.authorize, throttled, seconds)


def dynamo_store(
    transport: HttpTransport, endpoint: str, table: str, spread: Spread | None = None
) -> dynamodb_store.DynamoStore:
    return dynamodb_store.DynamoStore(signed_client(transport, "dynamodb"), endpoint, table, spread)


def azure_store(
    transport: HttpTransport, endpoint: str, table: str, spread: Spread | None = None
) -> table_store.TableStore:
    clock = SystemClock()
    signer = azure_table.SharedKey(ACCOUNT, ACCOUNT_KEY, clock)
    throttled = azure_table.is_throttled
    client = CloudClient("Azurite", transport, clock, SystemRandom(), signer.authorize, throttled, 20.0)
    return table_store.TableStore(client, endpoint, table, spread)


@contextmanager
def moto(calls: list[tuple[str, bytes]] | None = None) -> Iterator[str]:
    """moto's server: DynamoDB, Secrets Manager and SSM under one address.

    DynamoDB writes to one item one after the other. moto's threads do not: they read, check and write in steps, so
    here they take turns. `calls` gets each request that is sent there: its X-Amz-Target and its body.
    """
    application = DomainDispatcherApplication(create_backend_app)
    turn = Lock()

    def in_turn(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with turn:
            if calls is not None:
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                environ["wsgi.input"] = BytesIO(body)
                calls.append((environ.get("HTTP_X_AMZ_TARGET", environ["PATH_INFO"]), body))
            return list(application(environ, start_response))

    server = make_server("127.0.0.1", 0, in_turn, threaded=True, request_handler=_QuietHandler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Nothing: a line a request is no help in a test's output."""


@contextmanager
def azurite(
    folder: Path, *options: str, tls: SSLContext | None = None, service: str = "table"
) -> Iterator[str]:
    """One of Azurite's services, in memory; over https where `options` have a certificate and `tls` trusts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = ROOT / "node_modules" / "azurite" / "dist" / "src" / service / "main.js"
    command = ["node", str(script), "--silent", "--inMemoryPersistence", "--disableTelemetry"]
    command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port), *options]
    address = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
    with open(folder / "azurite.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            _wait_for(f"{address}/", process, tls)
            yield f"{address}/{ACCOUNT}"
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes], tls: SSLContext | None) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        try:
            httpx.get(url, verify=tls or True)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")
