"""Spans on their way to a collector: a fake one on loopback, which reads them with the protocol's own messages."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.configuration import ConfigurationError
from core.telemetry.context import read_xray
from handlers.composition import compose
from handlers.io.otlp_exporter import read_settings
from handlers.io.shipping import TRIES
from tests.backend_server import JSON, BackendServer, Received, Script
from tests.core.telemetry.collector import attributes_of, parsed, spans_of
from tests.doors.lambda_clients import url_client
from tests.doors.lambda_emulator import LambdaEmulator, xray_header
from tests.leaks import leak_in, secret
from tests.samples import PATHS, request_body, stream_frames
from tests.served import served

ROOT = Path(__file__).resolve().parents[2]
OK = Script([b"{}"], headers=JSON)


def one_backend(url: str) -> dict[str, Any]:
    backend = {"type": "anthropic", "base_url": url, "api_key": secret("backend")}
    return {"backends": {"a": backend}, "models": {"m": {"backend": "a", "api_model": "m"}}}


async def test_a_request_is_exported_before_the_process_ends(tmp_path: Path) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-team-key={secret('collector')},odd=a%20b", "OTEL_SERVICE_NAME": "made",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_RESOURCE_ATTRIBUTES": "team=blue,service.name=other",
        "SERVICE_API_KEY": secret("client"),
    }  # fmt: skip
    async with BackendServer([OK]) as collector, BackendServer([Script(stream_frames("messages"))]) as backend:
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url + "/"
        async with served(tmp_path, one_backend(backend.url), variables) as gateway, httpx.AsyncClient() as client:
            headers = {"x-api-key": secret("client")}
            answer = await client.post(
                gateway.url + "/v1/messages?key=hidden", content=request_body("messages", stream=True), headers=headers
            )
            assert answer.status_code == 200 and collector.received == []  # it waits for a batch
        (export,) = collector.received
    assert (export.method, export.target) == ("POST", "/v1/traces")
    assert export.headers["content-type"] == "application/json" and export.headers["odd"] == "a b"
    assert export.headers["x-team-key"] == secret("collector")
    body = gzip.decompress(export.body)
    server, client_span = spans_of(body)
    resource = attributes_of(parsed(body).resource_spans[0].resource)
    assert resource["service.name"] == "made" and resource["team"] == "blue"
    assert attributes_of(server)["http.route"] == "/v1/messages"
    assert backend.received[0].headers["traceparent"].split("-")[2] == client_span.span_id.hex()
    assert attributes_of(client_span)["server.port"] == int(backend.url.rpartition(":")[2])
    assert leak_in(body.decode()) is None and b"hidden" not in body


@pytest.mark.parametrize(
    ("statuses", "exports"),
    [([503, 200], 2), ([400], 1), ([429] * TRIES, TRIES)],
    ids=["again", "refused", "given up"],
)
async def test_a_collector_that_fails_hurts_no_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], statuses: list[int], exports: int
) -> None:
    scripts = [Script([secret("quoted").encode()], status, JSON) for status in statuses]
    lambda_like = {"AWS_LAMBDA_FUNCTION_NAME": "made", "LOG_LEVEL": "warning"}  # it is sent after each answer
    async with BackendServer(scripts) as collector, BackendServer(_streams) as backend:
        variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/custom", **lambda_like}
        async with served(tmp_path, one_backend(backend.url), variables) as gateway, httpx.AsyncClient() as client:
            for _ in range(exports):
                body = request_body("messages", stream=True)
                answer = await client.post(gateway.url + PATHS["messages"], content=body)
                assert answer.status_code == 200
                await gateway.afterwards()
        assert len(collector.received) == exports and collector.received[0].target == "/custom"
        assert len(spans_of(collector.received[-1].body)) == 2 * (exports if statuses[0] != 400 else 1)
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events.count("export_fault") == sum(status != 200 for status in statuses)
    assert ("export_lost" in events) == (statuses[-1] != 200)


async def test_half_a_pair_in_a_clients_name_does_not_end_the_export(tmp_path: Path) -> None:
    async with BackendServer([OK]) as collector, BackendServer(_streams) as backend:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with served(tmp_path, one_backend(backend.url), variables) as gateway, httpx.AsyncClient() as client:
            for model in (rb"half\ud800", b"m"):
                body = b'{"model": "%s", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}' % model
                await client.post(gateway.url + PATHS["messages"], content=body)
    models = [attributes_of(span).get("gen_ai.request.model") for span in spans_of(collector.received[0].body)]
    assert models[0] == "half?" and models[1] == "m"


def _streams(received: Received) -> Script:
    return Script(stream_frames("messages"))


async def test_on_lambda_a_trace_is_xrays_and_is_sent_before_the_sleep(tmp_path: Path) -> None:
    """The whole gateway behind the emulator. The environment is frozen once it has asked for the next invocation: by
    then the collector has the spans of the one before."""
    path = tmp_path / "models.json"
    emulator = LambdaEmulator()
    async with BackendServer(_streams) as backend, BackendServer(lambda received: OK) as collector:
        path.write_text(json.dumps(one_backend(backend.url)))
        environment = {
            "SERVICE_API_KEY": secret("client"), "MODEL_CONFIG_PATH": str(path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={secret('collector')}",
        }  # fmt: skip
        command = (sys.executable, "-m", "handlers.aws_streaming")
        async with emulator.run(*command, **environment), url_client(emulator) as client:
            for count in (1, 2):
                body, key = request_body("messages", stream=True), {"x-api-key": secret("client")}
                answer = await client.post("/v1/messages", content=body, headers=key)
                assert "message_stop" in answer.text
                assert len(collector.received) >= count - 1
            emulator.terminate()
            assert await emulator.exited() == 0
    assert leak_in(emulator.output.decode()) is None
    server, sent = spans_of(collector.received[0].body)
    assert len(collector.received) == 2 and attributes_of(server)["http.route"] == "/v1/messages"
    caller = read_xray(xray_header("request-1"))
    assert caller is not None
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (caller.trace_id, caller.parent)
    carried = f"00-{caller.trace_id}-{sent.span_id.hex()}-01"
    assert backend.received[0].headers["traceparent"] == carried


async def test_a_collector_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with BackendServer(_streams) as backend, BackendServer([]) as gone:
        pass
    async with BackendServer(_streams) as backend:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": gone.url, "LOG_LEVEL": "warning"}
        async with served(tmp_path, one_backend(backend.url), variables) as gateway, httpx.AsyncClient() as client:
            body = request_body("messages", stream=True)
            assert (await client.post(gateway.url + "/v1/messages", content=body)).status_code == 200
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["export_fault", "export_lost"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "http://HOST:PORT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "only http/json"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "milliseconds"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT": "²"}, "milliseconds"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "expected a number"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_SAMPLER": "maybe"}, "OTEL_TRACES_SAMPLER"),
        ({"SKYBRIDGE_METRICS": "graphite"}, "SKYBRIDGE_METRICS"),
    ],
)
async def test_settings_that_make_no_sense_stop_the_start(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps(one_backend("http://b")))
    with pytest.raises(ConfigurationError, match=said):
        compose({**variables, "LOG_LEVEL": "error"}, str(path), local=True)


@pytest.mark.parametrize(
    "variables",
    [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}],
)
def test_it_may_be_off(variables: dict[str, str]) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"} if variables else {}
    assert read_settings({**endpoint, **variables}, {}) is None


ON = """
import json, sys
from handlers.composition import compose
before = set(sys.modules)
compose(json.loads(sys.argv[2]), sys.argv[1])
print("\\n".join(set(sys.modules) - before))
"""
ALL_ON = {
    "SKYBRIDGE_METRICS": "emf", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "SERVICE_API_KEY": "made-service-key",
    "SKYBRIDGE_BODY_ARCHIVE": "s3://bucket", "AWS_LAMBDA_FUNCTION_NAME": "f", "LOG_LEVEL": "error",
}  # fmt: skip
AFTER_THE_FIRST_ANSWER = {
    "gzip", "email", "urllib.parse", "datetime", "core.telemetry.emf", "core.telemetry.otlp", "core.telemetry.measures",
    "handlers.io.archive_places", "core.auth.sigv4", "aws_lambda_powertools", "opentelemetry",
}  # fmt: skip


def test_what_is_on_is_mostly_loaded_after_the_first_answer(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"models":{"m":{"backend":"d"}},"backends":{"d":{"type":"demo"}}}')
    command = [sys.executable, "-c", ON, str(path), json.dumps(ALL_ON)]
    loaded = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    assert "core.telemetry.spans" in loaded and loaded & AFTER_THE_FIRST_ANSWER == set()


UNWANTED = (
    "core.telemetry", "handlers.telemetry", "handlers.io.shipping", "handlers.io.otlp", "handlers.io.body",
    "handlers.io.lambda_log", "handlers.io.azure_log", "opentelemetry", "aws_lambda_powertools", "gzip",
)  # fmt: skip
OFF = """
import asyncio, json, sys
from handlers.composition import compose
async def main():
    composition = compose({"LOG_LEVEL": "error", "SKYBRIDGE_DEMO_PACE": "0"}, sys.argv[1], local=True)
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}).encode()
    async def receive(): return {"type": "http.request", "body": body}
    async def send(message): assert message.get("status", 200) == 200, message
    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "query_string": b"", "headers": []}
    await composition.app(scope, receive, send)
asyncio.run(main())
print("\\n".join(sys.modules))
"""


def test_nothing_of_it_is_loaded_when_it_is_off(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"models":{"m":{"backend":"d"}},"backends":{"d":{"type":"demo"}}}')
    done = subprocess.run([sys.executable, "-c", OFF, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "core.run" in loaded and [name for name in loaded if name.startswith(UNWANTED)] == []
