"""The page for Prometheus at the local door, and the lines for CloudWatch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.ports import StoreFault
from handlers import metric_lines, metrics_page
from handlers.composition import compose
from handlers.metric_lines import MetricLines
from handlers.metrics_page import PageOfMetrics
from handlers.telemetry import Observers
from tests.backend_server import JSON, BackendServer, Received, Script
from tests.core.telemetry.records import made_record
from tests.core.telemetry.test_measures import samples
from tests.gateways import native_bench
from tests.leaks import leak_in, secret
from tests.samples import answer_body, request_body
from tests.served import served

LABELS = 'model="m",backend="a"'


def one_backend(url: str) -> dict[str, Any]:
    backend = {"type": "anthropic", "base_url": url, "api_key": secret("backend")}
    return {"backends": {"a": backend}, "models": {"m": {"backend": "a", "api_model": "m"}}}


def _answers(received: Received) -> Script:
    return Script([answer_body("messages")], headers=JSON)


@pytest.mark.parametrize("metrics", ["", "prometheus"])
async def test_the_page_counts_from_the_first_look_on(tmp_path: Path, metrics: str) -> None:
    path = tmp_path / "models.json"
    async with BackendServer(_answers) as backend:
        path.write_text(json.dumps(one_backend(backend.url)))
        composition = compose({"SKYBRIDGE_METRICS": metrics, "LOG_LEVEL": "error"}, str(path), local=True)
        door = httpx.ASGITransport(composition.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=door, base_url="http://gateway") as client:
            for _ in range(2):
                assert (await client.post("/v1/messages", content=request_body("messages"))).is_success
                page = await client.get("/metrics")
            await client.get("/nowhere")
            last = samples((await client.get("/metrics")).content)
        await composition.http.aclose()
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    about = 'operation="generate",format="messages",' + LABELS + ',status="200",outcome="complete"'
    assert samples(page.content)[f"skybridge_requests_total{{{about}}}"] == (2 if metrics else 1)
    assert last['skybridge_refusals_total{format="chat_completions",kind="not_found"}'] == 1
    assert last["skybridge_in_flight_requests"] == 0
    assert last['skybridge_candidate_cooling{backend="a",region="us-east-1",model="m"}'] == 0
    assert leak_in(page.text) is None


async def test_the_page_is_for_the_gateways_key(tmp_path: Path) -> None:
    variables = {"SERVICE_API_KEY": secret("client"), "SKYBRIDGE_METRICS": "prometheus"}
    async with served(tmp_path, one_backend("http://b"), variables) as gateway, httpx.AsyncClient() as client:
        assert (await client.get(gateway.url + "/metrics")).status_code == 401
        headers = {"authorization": f"Bearer {secret('client')}"}
        assert (await client.get(gateway.url + "/metrics", headers=headers)).status_code == 200
        head = await client.head(gateway.url + "/metrics", headers=headers)
        assert head.status_code == 200 and not head.content
        assert (await client.post(gateway.url + "/metrics", headers=headers)).status_code == 405


async def test_no_page_where_it_is_off_and_none_for_a_key_of_the_store() -> None:
    from core.access import Caller

    bench = native_bench("messages", [])
    response = await bench.get("/metrics")
    assert response.status == 404 and b"observability" in bytes(response.body)  # type: ignore[arg-type]
    bench.gateway.ports.metrics = lambda: b"page"

    class Accounts:
        async def identify(self, request: object, rules: object) -> Caller:
            return Caller("key_1", "key")

    bench.gateway.ports.accounts = Accounts()  # type: ignore[assignment]
    assert (await bench.get("/metrics")).status == 403


def test_counting_is_put_off_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_page, "MOST_WAITING", 2)
    page = PageOfMetrics(native_bench("messages", []).gateway)
    for _ in range(3):
        page.record(made_record())
    assert len(page._waiting) == 1
    page.event("store_fault", {"during": "recording"})
    found = samples(page.page())
    assert found['skybridge_store_faults_total{during="recording"}'] == 1
    assert found['skybridge_request_seconds_count{model="claude",backend="b2"}'] == 3


async def test_lines_for_cloudwatch_come_after_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "models.json"
    variables = {
        "SKYBRIDGE_METRICS": "emf", "POWERTOOLS_METRICS_NAMESPACE": "Skybridge/made", "LOG_LEVEL": "error",
        "SKYBRIDGE_STORE": "sqlite:" + str(tmp_path / "s.db"), "SERVICE_API_KEY": secret("client"),
    }  # fmt: skip
    async with BackendServer(_answers) as backend:
        path.write_text(json.dumps(one_backend(backend.url)))
        composition = compose(variables, str(path), local=True)
        after: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": request_body("messages")}

        async def send(message: Any) -> None:
            assert message.get("status", 200) == 200

        headers = [(b"x-api-key", secret("client").encode())]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/messages", "query_string": b"", "headers": headers,
            "extensions": {"skybridge.after": after},
        }  # fmt: skip
        await composition.app(scope, receive, send)
        assert capsys.readouterr().out == ""
        composition.log.event("warning", "store_fault", during="purge", error=str(StoreFault("gone")))
        composition.log.event("warning", "something else")
        (step,) = after
        await step()
        assert composition.gateway.ports.finish is not None
        await composition.gateway.ports.finish()
        await composition.http.aclose()
    assert composition.accounts is not None and composition.accounts.store is not None
    await composition.accounts.store.close()
    request, fault = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert request["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Skybridge/made"
    assert (request["service"], request["model"], request["backend"]) == ("skybridge", "m", "a")
    assert (request["Requests"], request["InputTokens"], request["InFlight"]) == ([1.0], [5.0], [1.0])
    assert fault["StoreFaults"] == [1.0] and "model" not in fault


async def test_clients_cannot_make_metrics_without_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from handlers.io.clock import SystemClock, SystemRandom
    from handlers.io.http_client import HttpTransport
    from handlers.io.shipping import Outside

    monkeypatch.setattr(metric_lines, "MOST_MODELS", 1)
    bench = native_bench("messages", [])
    lines = MetricLines(bench.gateway, Outside({}, HttpTransport(), SystemClock(), SystemRandom(), bench.log))
    for model in ("a" * 1000, "b", "a" * 999):
        lines.record(made_record(model=model))
    await lines.flush()
    await lines.flush()
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["model"] for line in printed] == ["a" * 200, "other", "a" * 200]
    observers = Observers()
    observers.record(made_record())
