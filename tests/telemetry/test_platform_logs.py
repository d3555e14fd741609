"""Log lines in each platform's own shape: on Lambda as Powertools' Logger prints them, on Azure through `logging`."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging import logger as powertools_logger

from handlers.composition import compose
from handlers.io.azure_log import IN_INVOCATION, AzureLog
from handlers.io.clock import SystemClock
from handlers.io.lambda_log import CURRENT, ColdStart, LambdaInvocation, LambdaLog
from handlers.io.log import JsonLog
from tests.doors.lambda_clients import url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.leaks import leak_in, secret
from tests.scripted import VirtualClock

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:made"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
VARIABLES = {"AWS_LAMBDA_FUNCTION_NAME": "made", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}


@pytest.fixture
def invocation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first invocation of an environment, for both loggers."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE)
    monkeypatch.setattr(powertools_logger, "is_cold_start", True)
    token = CURRENT.set(LambdaInvocation("req-1", ARN, TRACE, cold_start=ColdStart({}).take()))
    yield
    CURRENT.reset(token)


LINES: list[tuple[str, str, dict[str, object]]] = [
    ("info", "request", {"request_id": "r", "ms": 1.5, "finish": None, "dropped": ["top_k"], "streamed": True}),
    ("warning", "store_fault", {"error": ValueError("gone"), "during": "purge"}),
    ("error", "defect", {"trace": 'Traceback\n  "größer"'}),
    ("debug", "quiet", {}),
]


@pytest.mark.parametrize(("level", "event", "fields"), LINES, ids=[line[1] for line in LINES])
def test_a_line_is_what_powertools_prints(
    invocation: None, level: str, event: str, fields: dict[str, object]
) -> None:
    ours, theirs = io.StringIO(), io.StringIO()
    service = f"made-{event}"  # loggers of one name are one, which keeps its first stream
    log = LambdaLog(SystemClock(), "info", {**VARIABLES, "POWERTOOLS_SERVICE_NAME": service}, ours)
    logger = Logger(service=service, stream=theirs, use_rfc3339=True, level="INFO")
    context = SimpleNamespace(
        function_name="made", memory_limit_in_mb="512", invoked_function_arn=ARN, aws_request_id="req-1"
    )

    @logger.inject_lambda_context
    def both(event_: Any, context_: Any) -> None:
        extra, put = {"event": event, **fields}, getattr(logger, level)
        # One line of code for both, which the lines name as their place.
        log.event(level, event, **fields); put(event, extra=extra)  # noqa: E702  # fmt: skip

    both({}, context)
    if level == "debug":
        assert ours.getvalue() == theirs.getvalue() == ""
        return
    mine, expected = json.loads(ours.getvalue()), json.loads(theirs.getvalue())
    stamps = [line.pop("timestamp") for line in (mine, expected)]
    assert mine == expected and list(mine) == list(expected)
    assert [len(stamp) for stamp in stamps] == [29, 29] and stamps[0][:16] == stamps[1][:16]
    assert (mine["cold_start"], mine["function_request_id"]) == (True, "req-1")
    assert mine["xray_trace_id"] == "1-5759e988-bd862e3fe1be46a994272793" and "finish" not in mine


def test_outside_of_an_invocation() -> None:
    out = io.StringIO()
    LambdaLog(VirtualClock(), "info", {"POWERTOOLS_LOG_LEVEL": "WARNING"}, out).event("warning", "start")
    line = json.loads(out.getvalue())
    assert line["service"] == "service_undefined" and "cold_start" not in line and "xray_trace_id" not in line
    assert line["timestamp"] == "2023-11-14T22:30:00.000+00:00"


def test_an_environment_that_was_kept_warm_starts_never_cold() -> None:
    cold, kept = ColdStart({}), ColdStart({"AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"})
    assert [cold.take(), cold.take(), kept.take()] == [True, False, False]


@pytest.mark.doors
async def test_the_lambda_door_says_whose_line_it_is(tmp_path: Path) -> None:
    """The whole gateway behind the emulator: two invocations, the first of them cold."""
    models = {"backends": {"d": {"type": "demo"}}, "models": {"m": {"backend": "d", "api_model": "demo"}}}
    path = tmp_path / "models.json"
    path.write_text(json.dumps(models))
    emulator = LambdaEmulator()
    environment = {
        "SERVICE_API_KEY": secret("client"), "MODEL_CONFIG_PATH": str(path), "SKYBRIDGE_DEMO_PACE": "0",
        "SKYBRIDGE_METRICS": "emf", "POWERTOOLS_SERVICE_NAME": "made-service",
    }  # fmt: skip
    body = {"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}
    command = (sys.executable, "-m", "handlers.aws_streaming")
    async with emulator.run(*command, **environment), url_client(emulator) as client:
        for _ in range(2):
            answer = await client.post("/v1/messages", json=body, headers={"x-api-key": secret("client")})
            assert answer.status_code == 200
        emulator.terminate()
        assert await emulator.exited() == 0
    output = emulator.output.decode()
    assert leak_in(output) is None
    lines = [json.loads(line) for line in output.splitlines()]
    requests = [line for line in lines if line.get("message") == "request"]
    assert [line["cold_start"] for line in requests] == [True, False]
    assert len({line["function_request_id"] for line in requests}) == 2
    assert {line["service"] for line in requests} == {"made-service"} and requests[0]["level"] == "INFO"
    metrics = [line for line in lines if "_aws" in line]
    assert [line["Requests"] for line in metrics] == [[1.0], [1.0]] and metrics[0]["backend"] == "d"


def test_on_azure_lines_go_to_the_host_with_their_level(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log = AzureLog(VirtualClock(), "info")
    seen: list[str] = []
    log.watcher = lambda event, fields: seen.append(event)
    log.event("warning", "outside")
    assert json.loads(capsys.readouterr().err)["event"] == "outside" and caplog.records == []
    token = IN_INVOCATION.set(True)
    for level in ("debug", "info", "warning", "error"):
        log.event(level, "inside", number=1)
    IN_INVOCATION.reset(token)
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING, logging.ERROR]
    assert {record.name for record in caplog.records} == {"skybridge"} and capsys.readouterr().err == ""
    assert json.loads(caplog.records[0].getMessage())["number"] == 1
    assert seen == ["outside", "inside", "inside", "inside"]


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, LambdaLog),
        ({"FUNCTIONS_EXTENSION_VERSION": "~4"}, AzureLog),
        ({"AzureWebJobsScriptRoot": "/home/site/wwwroot"}, AzureLog),
        ({}, JsonLog),
    ],
)
def test_the_platform_chooses(tmp_path: Path, variables: dict[str, str], kind: type[JsonLog]) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"models":{"m":{"backend":"d"}},"backends":{"d":{"type":"demo"}}}')
    composition = compose({**variables, "LOG_LEVEL": "error"}, str(path), local=True)
    assert type(composition.log) is kind


async def test_lines_of_one_turn_are_written_together() -> None:
    out = io.StringIO()
    log = JsonLog(VirtualClock(), "info", out)
    log.event("info", "a")
    log.event("info", "b")
    assert out.getvalue() == ""
    await asyncio.sleep(0)
    assert out.getvalue().count("\n") == 2




HALF = "half \ud800, whole é漢"


@pytest.mark.parametrize("kind", [JsonLog, LambdaLog])
def test_half_a_pair_in_a_name_loses_no_line(kind: type[JsonLog]) -> None:
    """A platform's streams take UTF-8 strictly, and lines are written together."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    log = kind(VirtualClock(), "info", out) if kind is JsonLog else LambdaLog(VirtualClock(), "info", {}, out)
    log.event("info", "before")
    log.event("warning", "odd", model=HALF)
    lines = [json.loads(line) for line in out.buffer.getvalue().decode().splitlines()]  # type: ignore[attr-defined]
    assert [line["event"] for line in lines] == ["before", "odd"] and lines[1]["model"] == HALF


def test_half_a_pair_is_escaped_for_azures_host(caplog: pytest.LogCaptureFixture) -> None:
    token = IN_INVOCATION.set(True)
    AzureLog(VirtualClock(), "info").event("info", "odd", model=HALF)
    IN_INVOCATION.reset(token)
    message = caplog.records[0].getMessage()
    assert message.encode() and json.loads(message)["model"] == HALF
