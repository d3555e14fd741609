"""Whole requests and answers in files, as the router JSON system wants them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.configuration import ConfigurationError
from core.http import Request, Response
from handlers.composition import compose
from handlers.io import body_log
from handlers.io.body_log import BodyLog, BodyLoggingGateway, KeptExchange, RotatingFile
from tests.gateways import Bench, RecordingLog, body_of, native_bench
from tests.samples import PATHS, answer_body, request_body, stream_frames
from tests.scripted import Play, VirtualClock

ROOT = Path(__file__).resolve().parents[2]
JSON_HEADERS = {"content-type": "application/json"}


def logged(bench: Bench, folder: Path, **options: Any) -> BodyLoggingGateway:
    log = BodyLog(bench.clock, [RotatingFile(str(folder), bench.log).put], **options)
    bench.gateway.ports.record = log.record
    return BodyLoggingGateway(bench.gateway, log)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "requests.jsonl").read_text("utf-8").splitlines()]


def asked(format_name: str, stream: bool = False) -> Request:
    return Request("POST", PATHS[format_name], "", {"x-api-key": "made-key"}, request_body(format_name, stream=stream))


@pytest.mark.parametrize("format_name", sorted(PATHS))
async def test_a_whole_answer_is_written_down(tmp_path: Path, format_name: str) -> None:
    failing = Play(500, JSON_HEADERS, [b'{"error":{"message":"sk-made-abcdefghijklmnop is no key"}}'])
    bench = native_bench(format_name, [failing, Play(headers=JSON_HEADERS, chunks=[answer_body(format_name)])])
    gateway = logged(bench, tmp_path)
    assert (await gateway.handle(asked(format_name))).status == 200
    (line,) = lines(tmp_path)
    assert line["request"] == json.loads(request_body(format_name)) and line["response"]["model"] == "m"
    assert (line["backend"], line["attempts"], line["outcome"], line["status"]) == ("b2", 2, "complete", 200)
    assert line["usage"]["input_tokens"] == 5 and line["usage"]["total_tokens"] == 7
    assert line["errors"] == ["b1: *** is no key"] and "made-key" not in json.dumps(line)


@pytest.mark.parametrize("format_name", sorted(PATHS))
async def test_a_stream_is_written_down_when_it_has_ended(tmp_path: Path, format_name: str) -> None:
    gateway = logged(native_bench(format_name, [Play(chunks=stream_frames(format_name))]), tmp_path)
    response = await gateway.handle(asked(format_name, stream=True))
    sent = await body_of(response)
    assert sent == b"".join(stream_frames(format_name)) and not isinstance(response.body, bytes)
    assert not (tmp_path / "requests.jsonl").exists()
    for _ in range(2):
        await response.body.aclose()
    (line,) = lines(tmp_path)
    assert line["response"] == sent.decode() and line["usage"]["output_tokens"] == 2


async def test_a_stream_that_nobody_reads_is_closed_and_written_down(tmp_path: Path) -> None:
    bench = native_bench("messages", [Play(chunks=stream_frames("messages"))])
    response = await logged(bench, tmp_path).handle(asked("messages", stream=True))
    assert not isinstance(response.body, bytes)
    await response.body.aclose()
    assert lines(tmp_path)[0]["outcome"] == "abandoned" and bench.transport.open == 0


async def test_errors_too_and_no_pages(tmp_path: Path) -> None:
    gateway = logged(native_bench("messages", []), tmp_path, personal=True)
    assert (await gateway.handle(Request("POST", "/v1/messages", "", {}, b"ann@example.org"))).status == 400
    assert (await gateway.handle(Request("GET", "/health"))).status == 200
    (line,) = lines(tmp_path)
    assert line["request"] == "***" and line["response"]["error"]["type"] == "invalid_request_error"
    assert gateway.configuration is not None


async def test_a_disk_that_is_full_hurts_no_request(tmp_path: Path) -> None:
    bench = native_bench("messages", [Play(headers=JSON_HEADERS, chunks=[answer_body("messages")])])
    gateway = logged(bench, tmp_path)
    (tmp_path / "requests.jsonl").mkdir()
    assert (await gateway.handle(asked("messages"))).status == 200
    assert [event for _, event, _ in bench.log.lines] == ["body_log_fault"]


def test_what_is_nested_too_deep_is_kept_as_text() -> None:
    deep = b"[" * 5000 + b'"sk-made-abcdefghijklmnop"' + b"]" * 5000
    line = json.loads(KeptExchange({"status": 200}, deep, b"{}", personal=True).text())
    assert line["request"] == "[" * 5000 + '"***"' + "]" * 5000 and line["status"] == 200


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": 1e999, "b": "sk-made-abcdefghijklmnop"}'])
def test_numbers_that_json_has_not_are_kept_as_text(body: bytes) -> None:
    line = json.loads(KeptExchange({}, body, b"{}", personal=False).text(), parse_constant=pytest.fail)
    assert line["request"] == body.decode().replace("sk-made-abcdefghijklmnop", "***") and line["response"] == {}


_WRITER = """
import sys
from handlers.io import body_log
body_log.FILE_BYTES, body_log.FILES = 20_000, 1000
class Log:
    def event(self, *about, **fields): print(about, fields)
file = body_log.RotatingFile(sys.argv[1], Log())
for number in range(300):
    file.put(body_log.KeptExchange({"id": sys.argv[2] + str(number)}, b"x" * (number * 37 % 9000), b"", False))
"""


def test_several_processes_write_to_one_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name], cwd=ROOT, stdout=subprocess.PIPE) for name in "ab"]
    assert [writer.communicate()[0] for writer in writers] == [b"", b""]
    kept = [json.loads(line)["id"] for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(kept) == sorted(f"{name}{number}" for name in "ab" for number in range(300))


def test_files_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_log, "FILE_BYTES", 300)
    monkeypatch.setattr(body_log, "FILES", 3)
    monkeypatch.setattr(body_log, "BODY_BYTES", 40)
    monkeypatch.setattr(body_log, "MOST_WAITING", 1)
    log = BodyLog(VirtualClock(), [RotatingFile(str(tmp_path), RecordingLog()).put])
    for number in range(8):
        body = (b"x" * 50, b"\xff", b"text", b"{}")[number % 4]
        log.write(Request("POST", f"/{number}", "", {}, body), Response(200, [], b""), b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "requests.jsonl", "requests.jsonl.1", "requests.jsonl.2",
    ]  # fmt: skip
    newest = lines(tmp_path)[-1]
    assert newest["path"] == "/7" and newest["request"] == {}


def test_whoever_asks_for_a_mask_in_other_words_is_told(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"models":{"m":{"backend":"d"}},"backends":{"d":{"type":"demo"}}}', "utf-8")
    variables = {"SKYBRIDGE_BODY_LOG": str(tmp_path), "SKYBRIDGE_BODY_LOG_PERSONAL": "yes"}
    with pytest.raises(ConfigurationError, match="expected redact or off; got 'yes'"):
        compose(variables, str(path), local=True)


async def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"models":{"m":{"backend":"d"}},"backends":{"d":{"type":"demo"}}}', "utf-8")
    for variables, there in (({}, False), ({"SKYBRIDGE_BODY_LOG": str(tmp_path / "logs")}, True)):
        composition = compose({**variables, "LOG_LEVEL": "error"}, str(path), local=True)
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b'{"model":"m","messages":[{"role":"user","content":"x"}]}'}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": []}
        await composition.app(scope, receive, send)
        assert sent[0]["status"] == 200
        assert (tmp_path / "logs" / "requests.jsonl").exists() is there
        await composition.http.aclose()


@pytest.mark.parametrize(("variables", "local", "kept"), [({}, True, True), ({}, False, False), (
    {"SKYBRIDGE_BODY_LOG": "off", "SKYBRIDGE_BODY_ARCHIVE": "off", "SKYBRIDGE_METRICS": "off"}, True, False,
)])  # fmt: skip
async def test_the_router_form_keeps_bodies_at_a_desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], local: bool, kept: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    document = {
        "model_mapping": {"m": ["served"]},
        "providers": [{"name": "p", "type": "openai", "api_key": "made", "base_url": "http://b/v1", "priority": 1}],
    }  # fmt: skip
    path = tmp_path / "router.json"
    path.write_text(json.dumps(document))
    environment = {"SERVICE_API_KEY": "made-service-key", "LOG_LEVEL": "error", **variables}
    composition = compose(environment, str(path), local=local)
    assert (tmp_path / "logs").is_dir() is kept and (composition.gateway.ports.finish is not None) is kept
    await composition.http.aclose()
