"""What the gateway does while the platform has no request for it yet."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from core.ports import BackendRequest, TransportFault
from core.usage import UsageRecord
from handlers.composition import compose
from handlers.io.http_client import HttpTransport


class Prepared(HttpTransport):
    """A transport that counts how often it was prepared."""

    def __init__(self) -> None:
        super().__init__(environment={})
        self.times = 0

    def prepare_tls(self) -> None:
        self.times += 1


@pytest.mark.parametrize(
    ("backend", "times"),
    [
        ({"type": "anthropic", "api_key": "k"}, 1),
        ({"type": "anthropic", "api_key": "k", "base_url": "http://127.0.0.1:1"}, 0),
        ({"type": "demo"}, 0),
    ],
)
def test_tls_is_prepared_where_a_backend_needs_it(tmp_path: Path, backend: dict[str, Any], times: int) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"backends": {"b": backend}, "models": {"m": {"backend": "b", "api_model": "m"}}}))
    composition = compose({"SERVICE_API_KEY": "k"}, str(path))
    transport = composition.http = Prepared()
    composition.warm()
    assert transport.times == times


@pytest.mark.parametrize("address", ["https://127.0.0.1:1", "http://127.0.0.1:1"])
async def test_what_a_thread_prepares_is_ready_when_it_is_asked_for(tmp_path: Path, address: str) -> None:
    backend = {"type": "anthropic", "api_key": "k", "base_url": address}
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"backends": {"b": backend}, "models": {"m": {"backend": "b", "api_model": "m"}}}))
    composition = compose({"SERVICE_API_KEY": "k"}, str(path), ahead=True)
    composition.warm()
    with pytest.raises(TransportFault, match="refused"):  # nobody listens there, which is all that is wrong
        await composition.http.send(BackendRequest("GET", f"{address}/", [], b""))


def test_a_credential_is_prepared_and_a_wrong_one_is_told_to_the_first_request(tmp_path: Path) -> None:
    backends = {"b": {"type": "bedrock", "region": "us-east-1"}, "c": {"type": "demo", "auth": "no-such-scheme"}}
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"backends": backends, "models": {"m": {"backend": "b", "api_model": "m"}}}))
    composition = compose({"SERVICE_API_KEY": "k"}, str(path))
    composition.http = Prepared()
    composition.warm()
    assert "handlers.io.aws_credentials" in sys.modules


async def test_what_the_store_did_not_take_is_written_before_the_process_ends(tmp_path: Path) -> None:
    backends = {"b": {"type": "demo"}}
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"backends": backends, "models": {"m": {"backend": "b", "api_model": "m"}}}))
    composition = compose({"SKYBRIDGE_STORE": f"sqlite:{tmp_path}/made.db", "SKYBRIDGE_METRICS": "emf"}, str(path))
    composition.gateway.ports.record(UsageRecord("req_1", "generate", "messages", 1_700_000_000.0))
    await composition.finish()
    accounts = composition.accounts
    assert accounts is not None and accounts.store is not None
    assert list(await accounts.store.read_all("usage:2023-11-14")) == ["req_1"]
    await accounts.store.close()


async def test_a_gateway_that_holds_nothing_ends_at_once(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    models = {"m": {"backend": "b", "api_model": "m"}}
    path.write_text(json.dumps({"backends": {"b": {"type": "demo"}}, "models": models}))
    await compose({"SERVICE_API_KEY": "k"}, str(path)).finish()
