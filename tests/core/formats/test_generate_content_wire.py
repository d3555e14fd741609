"""Gemini's errors, both ways, and observers."""

from __future__ import annotations

import json

import pytest

from core.errors import STATUS, ClientFault, Kind, upstream_fault
from core.formats.generate_content import wire
from core.formats.generate_content.usage import read_stop, read_usage, write_stop, write_usage
from core.stop import Stop
from core.usage import Usage
from tests.wire.fixtures import fixture, fixture_json


@pytest.mark.parametrize(
    ("name", "status", "kind", "retryable", "retry_after"),
    [
        ("bad-key", 400, "authentication", True, None),
        ("quota", 429, "rate_limit", True, 12.5),
        ("too-long", 400, "context_length", False, None),
        ("no-model", 404, "model_not_found", False, None),
        ("overloaded", 503, "overloaded", True, None),
        ("precondition", 400, "bad_request", False, None),
    ],
)
def test_read_error(name: str, status: int, kind: Kind, retryable: bool, retry_after: float | None) -> None:
    body = fixture("errors", f"generate_content/made-{name}.json")
    fault = wire.read_error(status, {}, body)
    assert (fault.kind, fault.status, fault.retryable, fault.retry_after) == (kind, status, retryable, retry_after)
    assert fault.raw is not None and fault.raw.body == body
    assert fault.details is not None
    parsed = json.loads(body)
    chunk = wire.chunk_error(parsed)
    assert chunk is not None and (chunk.kind, chunk.status) == (kind, status)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (502, b"<html>bad</html>", "upstream", "The backend answered with status 502."),
        (500, b"plain words", "upstream", "plain words"),
        (401, b"{}", "authentication", "The backend answered with status 401."),
        (404, b'{"error": "gone"}', "not_found", "gone"),
        (422, b"[]", "bad_request", "The backend answered with status 422."),
        (
            400, b'{"error": {"message": "Request payload size exceeds the limit.", "status": "INVALID_ARGUMENT"}}',
            "too_large", "Request payload size exceeds the limit.",
        ),
        (413, b'{"error": {"message": "big", "status": "INVALID_ARGUMENT"}}', "too_large", "big"),
        (
            400, b'{"error": {"message": 5, "details": [1]}}', "bad_request",
            'The backend answered with status 400: {"error": {"message": 5, "details": [1]}}',
        ),
    ],
)
def test_read_error_of_any_body(status: int, body: bytes, kind: Kind, message: str) -> None:
    fault = wire.read_error(status, {"retry-after": "3"}, body)
    assert (fault.kind, fault.message, fault.retry_after) == (kind, message, 3.0)


def test_a_chunk_that_is_no_error() -> None:
    assert wire.chunk_error({"candidates": []}) is None
    assert wire.chunk_error(None) is None
    fault = wire.chunk_error({"error": {"status": "RESOURCE_EXHAUSTED"}})
    assert fault is not None and (fault.status, fault.kind) == (429, "rate_limit")
    fault = wire.chunk_error({"error": {"code": 7}})
    assert fault is not None and fault.status == 500


@pytest.mark.parametrize("kind", sorted(STATUS))
def test_every_kind_is_written(kind: Kind) -> None:
    written = wire.write_error(ClientFault(kind, "because", param="contents", retry_after=1.2), "req-1")
    error = json.loads(written.body)["error"]
    assert error["code"] == written.status
    assert error["message"] == "because"
    assert ("retry-after", "2") in written.headers
    assert error["details"][0]["metadata"] == {"request_id": "req-1", "param": "contents"}
    assert error["details"][1] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}


def test_the_gateways_own_credential_is_not_the_clients_fault() -> None:
    written = wire.write_error(upstream_fault("authentication", "key sk-1 is bad", 401), "r")
    assert written.status == 502
    assert b"sk-1" not in written.body
    assert wire.write_error(upstream_fault("upstream", "x", 500), "r").status == 500
    assert json.loads(wire.error_event(ClientFault("bad_request", "x"), "r").removeprefix(b"data: "))["error"]


def test_observe_response() -> None:
    seen = wire.observe_response(fixture("responses", "generate_content/made-parallel-calls.json"))
    assert (seen.model, seen.response_id) == ("gemini-3-pro", "r2")
    assert seen.stop == Stop("tool_use", "STOP")
    assert (seen.usage.input_tokens, seen.usage.output_tokens, seen.usage.cache_read_tokens) == (65, 50, 40)
    blocked = wire.observe_response(fixture("responses", "generate_content/made-blocked-prompt.json"))
    assert blocked.stop == Stop("content_filter", "PROHIBITED_CONTENT", explanation="no")
    for body in (b"", b"[]", b"nonsense", b'{"candidates": [5], "promptFeedback": {}}'):
        assert wire.observe_response(body).stop is None


def test_observe_a_stream() -> None:
    observer = wire.StreamObserver()
    frames = fixture("streams", "generate_content/made-text.sse").split(b"\n\n")
    observer.feed(b'data: {"candidates":[{"content":{"parts":[{"text":""}]}}]}\n\n')
    assert not observer.started
    observer.feed(frames[0] + b"\n\n")
    assert observer.started and not observer.finished
    assert observer.observation.usage.input_tokens == 100
    observer.feed(b": comment\n\ndata: nonsense\n\ndata: 5\n\n")
    observer.feed(frames[1] + b"\n\n" + frames[2])
    assert observer.finished and observer.error is None
    assert observer.observation.usage.output_tokens == 50
    observer.feed(fixture("streams", "generate_content/made-error.sse"))
    assert observer.error is not None and observer.error.kind == "overloaded"


def test_the_ping_is_nothing_to_a_reader() -> None:
    frames = wire.PING + b'data: {"a": 1}\n\n' + wire.PING + wire.PING
    assert [record.data for record in wire.sse.records_of(frames)] == ['{"a": 1}']


def test_usage_both_ways() -> None:
    raw = fixture_json("responses", "generate_content/made-text.json")["usageMetadata"]
    usage = read_usage(raw)
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (60, 50, 30)
    assert write_usage(usage) == raw
    assert read_usage(None) == Usage()
    assert read_usage({"promptTokenCount": "x", "thoughtsTokenCount": True}) == Usage(
        raw={"promptTokenCount": "x", "thoughtsTokenCount": True}
    )
    assert write_usage(Usage()) == {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    anthropic = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=7, cache_write_5m_tokens=3)
    assert write_usage(anthropic)["promptTokenCount"] == 20


def test_stops_both_ways() -> None:
    assert read_stop({"finishReason": "SOMETHING_NEW"}, has_calls=False) == Stop("end_turn", "SOMETHING_NEW")
    assert read_stop({"finishReason": 5}, has_calls=False) is None
    assert write_stop(Stop("content_filter", "SPII"), own=True) == {"finishReason": "SPII"}
    assert write_stop(Stop("content_filter", "SPII"), own=False) == {"finishReason": "SAFETY"}
    assert write_stop(Stop("refusal", explanation="no"), own=False) == {
        "finishReason": "SAFETY",
        "finishMessage": "no",
    }
