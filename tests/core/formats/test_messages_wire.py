"""What pass-through needs of the Messages format: errors both ways, and observers."""

from __future__ import annotations

import json

import pytest

from core.errors import STATUS, ClientFault, GatewayError, Kind, Refused, Unsupported, UpstreamFault, upstream_fault
from core.formats.messages import wire
from core.framing.sse import records_of
from core.usage import Usage
from tests.wire.fixtures import fixture, fixture_json, fixture_parameters
from tests.wire.recordings import Recorded, parameters, recorded_pairs

STREAMED = [pair for pair in recorded_pairs("pydantic-ai-cassettes", "/v1/messages") if pair.streamed]


def _error(type_name: str, message: str, **more: object) -> bytes:
    return json.dumps({"type": "error", "error": {"type": type_name, "message": message, **more}}).encode()


SPENT = {"error_code": "enforced_spend_limit_reached"}
# status, error type, message, the kind that it is
READ_CASES: list[tuple[int, str, str, Kind]] = [
    (400, "invalid_request_error", "max_tokens: Field required", "bad_request"),
    (400, "invalid_request_error", "prompt is too long: 2 > 1", "context_length"),
    (400, "invalid_request_error", "Your credit balance is too low", "billing"),
    (400, "new_error", "what", "bad_request"),
    (401, "authentication_error", "invalid x-api-key", "authentication"),
    (402, "billing_error", "pay", "billing"),
    (403, "permission_error", "no", "permission"),
    (404, "not_found_error", "model: claude-x", "model_not_found"),
    (404, "not_found_error", "Not found", "not_found"),
    (409, "conflict_error", "again", "conflict"),
    (413, "request_too_large", "Prompt is too long", "context_length"),
    (413, "request_too_large", "Request exceeds the maximum size", "too_large"),
    (429, "rate_limit_error", "slow down", "rate_limit"),
    (500, "api_error", "Internal server error", "upstream"),
    (500, "overloaded_error", "Overloaded", "overloaded"),
    (504, "timeout_error", "late", "timeout"),
    (529, "overloaded_error", "Overloaded", "overloaded"),
]


@pytest.mark.parametrize(("status", "type_name", "message", "kind"), READ_CASES)
def test_errors_are_read(status: int, type_name: str, message: str, kind: Kind) -> None:
    body = _error(type_name, message)
    fault = wire.read_error(status, {"retry-after": "7"}, body)
    assert (fault.kind, fault.message, fault.status, fault.retry_after) == (kind, message, status, 7.0)
    assert fault.raw is not None
    assert fault.raw.body == body
    assert fault.details == {"type": type_name, "message": message}


# Bodies that are no Anthropic errors: a CDN's page, AWS's shape, another gateway's.
FOREIGN_CASES: list[tuple[int, bytes, Kind, str]] = [
    (418, b"", "bad_request", "The backend answered with status 418."),
    (503, b"upstream connect error", "overloaded", "upstream connect error"),
    (502, b"<html>Bad gateway</html>", "upstream", "The backend answered with status 502."),
    (403, b'{"message": "not authorized"}', "permission", "not authorized"),
    (400, b'{"error": "just text"}', "bad_request", "just text"),
    (400, b'{"detail": "wrong"}', "bad_request", "wrong"),
    (400, b"[1]", "bad_request", "The backend answered with status 400: [1]"),
    (500, b'{"error": []}', "upstream", 'The backend answered with status 500: {"error": []}'),
]


@pytest.mark.parametrize(("status", "body", "kind", "message"), FOREIGN_CASES)
def test_other_bodies_are_understood_as_far_as_it_goes(status: int, body: bytes, kind: Kind, message: str) -> None:
    fault = wire.read_error(status, {}, body)
    assert (fault.kind, fault.message, fault.details) == (kind, message, None)


def test_another_account_may_have_credit() -> None:
    spent = wire.read_error(429, {}, _error("rate_limit_error", "cap", details=SPENT))
    assert (spent.kind, spent.retryable) == ("spend_limit", True)
    assert wire.read_error(402, {}, b"").retryable
    assert not wire.read_error(400, {}, b"").retryable


WRITTEN_CASES: list[tuple[Kind, int, str]] = [
    ("bad_request", 400, "invalid_request_error"),
    ("context_length", 400, "invalid_request_error"),
    ("content_filter", 400, "invalid_request_error"),
    ("authentication", 401, "authentication_error"),
    ("permission", 403, "permission_error"),
    ("billing", 402, "billing_error"),
    ("quota", 402, "billing_error"),
    ("model_not_found", 404, "not_found_error"),
    ("not_found", 404, "not_found_error"),
    ("method_not_allowed", 405, "invalid_request_error"),
    ("timeout", 504, "timeout_error"),
    ("conflict", 409, "conflict_error"),
    ("too_large", 413, "request_too_large"),
    ("rate_limit", 429, "rate_limit_error"),
    ("overloaded", 529, "overloaded_error"),
    ("configuration", 503, "configuration_error"),
    ("upstream", 502, "api_error"),
    ("internal", 500, "api_error"),
    ("spend_limit", 429, "rate_limit_error"),
    ("cancelled", 499, "api_error"),
]


def test_every_kind_is_written() -> None:
    assert {kind for kind, _, _ in WRITTEN_CASES} == set(STATUS)


@pytest.mark.parametrize(("kind", "status", "type_name"), WRITTEN_CASES)
def test_errors_are_written(kind: Kind, status: int, type_name: str) -> None:
    answer = wire.write_error(GatewayError(kind, "What happened"), "req_1")
    body = json.loads(answer.body)
    assert answer.status == status
    assert body["type"] == "error"
    assert body["error"]["type"] == type_name
    assert body["error"]["message"].endswith("What happened")
    assert body["request_id"] == "req_1"
    assert ("request-id", "req_1") in answer.headers
    [record] = records_of(wire.error_event(GatewayError(kind, "What happened"), "req_1"))
    assert record.event == "error"
    assert json.loads(record.data) == body


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("Input is too long for requested model.", "prompt is too long: Input is too long for requested model."),
        ("prompt is too long: 3 tokens > 2 maximum", "prompt is too long: 3 tokens > 2 maximum"),
        ("input length and `max_tokens` exceed context limit: 1 + 2 > 2",) * 2,
    ],
)
def test_claude_code_recognises_an_overflow(message: str, written: str) -> None:
    answer = wire.write_error(upstream_fault("context_length", message, 400), "r")
    assert json.loads(answer.body)["error"]["message"] == written


def test_a_wait_is_told_in_whole_seconds() -> None:
    error = Refused("rate_limit", "Wait.", retry_after=1.2)
    error.headers["x-limit"] = "5"
    answer = wire.write_error(error, "r")
    assert ("retry-after", "2") in answer.headers
    assert ("x-limit", "5") in answer.headers


def test_a_spend_limit_is_told_apart_from_a_rate_limit() -> None:
    answer = wire.write_error(Refused("spend_limit", "The budget is used up until 1 May.", retry_after=9), "r")
    assert json.loads(answer.body)["error"]["details"] == SPENT
    assert ("x-should-retry", "false") in answer.headers
    assert not any(name == "retry-after" for name, _ in answer.headers)


def test_a_thread_is_refused_so_that_the_sdk_goes_on_without_one() -> None:
    answer = wire.write_error(Unsupported("thread", "no threads"), "r")
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["details"]["error_code"] == "thread_unsupported_request"


@pytest.mark.parametrize("status", [401, 403])
def test_the_gateways_own_credential_is_not_the_clients_fault(status: int) -> None:
    fault = wire.read_error(status, {}, b'{"message": "Incorrect API key provided: sk-abc***xyz"}')
    answer = wire.write_error(fault, "r")
    assert answer.status == 502
    assert b"sk-abc" not in answer.body
    assert wire.write_error(ClientFault("permission", "no"), "r").status == 403


def test_an_upstream_status_is_kept_where_it_is_a_5xx() -> None:
    assert wire.write_error(upstream_fault("upstream", "x", 500), "r").status == 500
    assert wire.write_error(upstream_fault("upstream", "x", 424), "r").status == 502


def test_half_a_surrogate_pair_in_a_message_does_not_break_the_answer() -> None:
    assert b"ab" in wire.write_error(ClientFault("bad_request", "ab\ud83d"), "r").body


def test_the_ping_is_a_whole_event() -> None:
    [record] = records_of(wire.PING)
    assert (record.event, json.loads(record.data)) == ("ping", {"type": "ping"})


def _observed(data: bytes) -> wire.StreamObserver:
    observer = wire.StreamObserver()
    for frame in data.split(b"\n\n"):
        observer.feed(frame + b"\n\n")
    return observer


def test_a_stream_is_observed() -> None:
    observer = _observed(fixture("streams", "messages/made-everything.sse"))
    seen = observer.observation
    assert (observer.started, observer.finished, observer.error) == (True, True, None)
    assert (seen.model, seen.response_id) == ("claude-sonnet-4-5", "msg_01")
    assert seen.stop is not None
    assert seen.stop.raw == "tool_use"
    assert seen.usage == Usage(12, 44, 4, 10, 20, 6, raw=seen.usage.raw, tier="standard")


def test_a_total_of_cache_writes_is_not_counted_beside_its_split() -> None:
    usage = _observed(fixture("streams", "messages/made-no-usage-split.sse")).observation.usage
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (0, 100)
    assert usage.total_input_tokens == 101


STARTS: list[tuple[str, bool]] = [
    ('{"type":"message_start","message":{"usage":{}}}', False),
    ('{"type":"content_block_start","content_block":{"type":"text","text":""}}', False),
    ('{"type":"content_block_start","content_block":{"type":"text","text":"a"}}', True),
    ('{"type":"content_block_start","content_block":{"type":"tool_use","id":"a","name":"b"}}', True),
    ('{"type":"content_block_delta","delta":{"type":"text_delta","text":""}}', False),
    ('{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"a"}}', True),
    ('{"type":"ping"}', False),
    ("{", False),
    ("[]", False),
    ('{"type":["a"]}', False),
    ('{"type":"content_block_delta","delta":"x"}', False),
]


@pytest.mark.parametrize(("data", "started"), STARTS)
def test_a_stream_starts_with_its_first_content(data: str, started: bool) -> None:
    observer = wire.StreamObserver()
    observer.feed(f"event: x\ndata: {data}\n\n".encode())
    assert observer.started is started


def test_an_error_frame_is_observed_before_and_after_content() -> None:
    data = fixture("streams", "messages/made-error.sse")
    for part in (data, data[data.rindex(b"event: error") :]):
        error = _observed(part).error
        assert error is not None
        assert (error.kind, error.status, error.message, error.retryable) == ("overloaded", 529, "Overloaded", True)


def test_a_disagreeing_total_of_cache_writes_counts() -> None:
    usage = {"cache_creation_input_tokens": 50, "cache_creation": {"ephemeral_1h_input_tokens": 20}}
    seen = wire.observe_response(json.dumps({"usage": usage}).encode()).usage
    assert (seen.cache_write_5m_tokens, seen.cache_write_1h_tokens) == (30, 20)


def test_a_message_delta_without_a_reason_keeps_the_last_one() -> None:
    observer = wire.StreamObserver()
    for delta in ('{"stop_reason": "max_tokens"}', "{}"):
        observer.feed(f'data: {{"type": "message_delta", "delta": {delta}}}\n\n'.encode())
    assert observer.observation.stop is not None
    assert observer.observation.stop.reason == "max_tokens"


def test_text_that_looks_like_an_event_is_passed_over() -> None:
    observer = wire.StreamObserver()
    observer.started = True
    text = json.dumps({"type": "content_block_delta", "delta": {"text": 'say "message_stop" and "error"'}})
    observer.feed(f"event: content_block_delta\ndata: {text}\n\n".encode())
    observer.feed(b'event: y\ndata: {"type": "unknown", "x": "error"}\n\n')
    assert (observer.finished, observer.error) == (False, None)


def test_a_last_frame_without_its_empty_line_is_read() -> None:
    observer = wire.StreamObserver()
    observer.feed(b'event: message_stop\ndata: {"type":"message_stop"}\n')
    assert observer.finished


def test_a_whole_answer_is_observed() -> None:
    body = fixture_json("responses", "messages/made-every-block.json")
    seen = wire.observe_response(json.dumps(body).encode())
    assert (seen.model, seen.response_id) == ("claude-sonnet-4-5", "msg_01")
    assert seen.usage == Usage(10, 7, 5, 10, 20, 3, raw=body["usage"], tier="standard")
    assert seen.stop is not None
    assert seen.stop.reason == "tool_use"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"usage": [], "id": 3, "model": null, "stop_reason": 1}', b"\xff"])
def test_an_unreadable_answer_is_no_error(body: bytes) -> None:
    seen = wire.observe_response(body)
    assert (seen.model, seen.stop, seen.usage) == (None, None, Usage(raw=seen.usage.raw))


@pytest.mark.parametrize("data", fixture_parameters("streams", "messages", ".sse"))
def test_observer_never_raises_on_cut_streams(data: bytes) -> None:
    for place in range(0, len(data), 7):
        wire.StreamObserver().feed(data[:place])


@pytest.mark.parametrize("pair", parameters(STREAMED))
def test_recorded_streams_are_observed(pair: Recorded) -> None:
    observer = _observed(pair.response_body)
    assert observer.started
    assert observer.finished
    assert observer.observation.usage.output_tokens


def test_faults_are_upstream_faults() -> None:
    assert isinstance(wire.read_error(500, {}, b""), UpstreamFault)
