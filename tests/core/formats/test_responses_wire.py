"""What pass-through needs of the Responses format: error events and observers."""

from __future__ import annotations

import json

import pytest

from core.conversation import Stop
from core.errors import ClientFault, Refused, upstream_fault
from core.formats import load_wire
from core.formats.responses import wire
from core.formats.responses.usage import read_usage
from core.framing.sse import records_of
from core.slotted import replace
from core.usage import Usage
from tests.wire.fixtures import fixture, fixture_parameters
from tests.wire.recordings import Recorded, parameters, recorded_pairs

RECORDED = [pair for pair in recorded_pairs("pydantic-ai-cassettes", "/responses") if pair.status == 200]
STREAMED = [pair for pair in RECORDED if pair.streamed]
WHOLE = [pair for pair in RECORDED if not pair.streamed]


def _frames(data: bytes) -> list[bytes]:
    return [frame + b"\n\n" for frame in data.split(b"\n\n") if frame.strip()]


def _observed(data: bytes) -> wire.StreamObserver:
    observer = wire.StreamObserver()
    for frame in _frames(data):
        observer.feed(frame)
    return observer


def test_the_wire_module_is_all_that_a_pass_through_route_loads() -> None:
    loaded = load_wire("responses")
    assert loaded.PING == b": ping\n\n"
    assert loaded.STREAM_CONTENT_TYPE == "text/event-stream"


@pytest.mark.parametrize("pair", parameters(STREAMED))
def test_a_recorded_stream_is_observed(pair: Recorded) -> None:
    records = [json.loads(record.data) for record in records_of(pair.response_body) if record.data != "[DONE]"]
    observer = _observed(pair.response_body)
    assert observer.error is None
    if records[-1]["type"] != "response.completed":
        assert not observer.finished
        return
    last = records[-1]["response"]
    assert (observer.started, observer.finished) == (True, True)
    assert observer.observation.usage == replace(read_usage(last["usage"]), tier=last.get("service_tier"))
    assert (observer.observation.model, observer.observation.response_id) == (last["model"], last["id"])
    whole = wire.observe_response(json.dumps(last).encode())
    assert whole == observer.observation


@pytest.mark.parametrize("pair", parameters(WHOLE))
def test_a_recorded_answer_is_observed(pair: Recorded) -> None:
    observation = wire.observe_response(pair.response_body)
    body = pair.response_json
    tier = body.get("service_tier") if body.get("usage") else None
    assert observation.usage == replace(read_usage(body.get("usage")), tier=tier)
    assert observation.response_id == body.get("id")
    assert observation.error is None


def test_the_start_of_a_stream_is_not_its_content() -> None:
    observer = wire.StreamObserver()
    seen = []
    for frame in _frames(fixture("streams", "responses/made-text.sse"))[:4]:
        observer.feed(frame)
        seen.append(observer.started)
    assert seen == [False, False, True, True]
    assert not observer.finished
    assert observer.observation.response_id == "resp_1"


@pytest.mark.parametrize("data", fixture_parameters("streams", "responses", ".sse"))
def test_observing_is_the_same_frame_by_frame_and_whole(data: bytes) -> None:
    whole = wire.StreamObserver()
    whole.feed(data)
    single = _observed(data)
    assert (whole.started, whole.finished) == (single.started, single.finished)
    assert (whole.error is None) == (single.error is None)
    assert whole.observation.usage == single.observation.usage


@pytest.mark.parametrize(
    ("name", "kind"), [("failed", "context_length"), ("error-flat", "upstream"), ("error-nested", "quota")]
)
def test_errors_in_a_stream_are_seen(name: str, kind: str) -> None:
    observer = _observed(fixture("streams", f"responses/made-{name}.sse"))
    assert observer.error is not None
    assert observer.error.kind == kind
    assert observer.observation.error is observer.error
    assert not observer.finished


def test_the_first_error_counts() -> None:
    observer = wire.StreamObserver()
    observer.feed(wire.error_event(upstream_fault("rate_limit", "Slow down.", 429), "r"))
    assert observer.error is not None
    assert observer.error.kind == "rate_limit"


def test_an_incomplete_stream_is_finished() -> None:
    observer = _observed(fixture("streams", "responses/made-incomplete.sse"))
    assert observer.finished
    assert observer.observation.stop == Stop("max_tokens", "max_output_tokens")


ODD = [b"", b"\n\n", b": ping\n\n", b"data: [DONE]\n\n", b"data: {\n\n", b"data: 5\n\n", b'data: {"type":5}\n\n']


def test_what_cannot_be_read_is_passed_over() -> None:
    observer = wire.StreamObserver()
    for data in [*ODD, b'data: {"type":"response.output_text.delta"}\n\n', *ODD]:
        observer.feed(data)
    assert observer.started
    assert observer.error is None
    assert observer.observation.usage == Usage()


BODIES = [b"", b"[]", b'{"usage": 5, "model": 5, "output": 5}', b'{"usage": {"input_tokens": -1}}', b"\xff"]


@pytest.mark.parametrize("body", BODIES)
def test_odd_answers_are_observed_without_harm(body: bytes) -> None:
    observation = wire.observe_response(body)
    assert observation.usage.total_tokens == 0
    assert observation.model is None


def test_a_failed_answer_is_an_error() -> None:
    body = {"id": "resp_1", "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "Slow."}}
    observation = wire.observe_response(json.dumps(body).encode())
    assert observation.error is not None
    assert observation.error.kind == "rate_limit"
    assert observation.stop == Stop("error", "failed")


STOPS = [
    ({"status": "incomplete"}, Stop("max_tokens", "incomplete")),
    ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, Stop("pause_turn", "steered")),
    ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, Stop("pause_turn", "steered")),
    ({"status": "incomplete", "incomplete_details": {"reason": "new"}}, Stop("max_tokens", "new")),
    ({"status": "cancelled"}, Stop("error", "cancelled")),
    ({"status": "completed", "output": [5, {"type": "shell_call"}]}, Stop("tool_use", "completed")),
    ({"status": "completed", "output": [{"type": "message", "content": 5}]}, Stop("end_turn", "completed")),
]


@pytest.mark.parametrize(("body", "stop"), STOPS)
def test_why_an_answer_ended(body: object, stop: Stop) -> None:
    assert wire.observe_response(json.dumps(body).encode()).stop == stop


def test_an_error_event_is_a_failure_to_every_client() -> None:
    data = wire.error_event(upstream_fault("context_length", "Too long.", 400), "req_1")
    error, failed = [json.loads(record.data) for record in records_of(data)]
    assert (error["type"], error["code"], error["message"]) == ("error", "context_length_exceeded", "Too long.")
    assert error["error"]["message"] == "Too long."
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "context_length_exceeded", "message": "Too long."}
    assert failed["sequence_number"] > error["sequence_number"]


FAILURE_CODES = [
    (ClientFault("bad_request", "m"), "invalid_prompt"),
    (Refused("spend_limit", "m"), "insufficient_quota"),
    (upstream_fault("overloaded", "m", 529), "server_error"),
    (upstream_fault("authentication", "sk-1", 401), "server_error"),
]


@pytest.mark.parametrize(("error", "code"), FAILURE_CODES)
def test_codes_tell_codex_whether_to_try_again(error: ClientFault, code: str) -> None:
    assert wire.failure_of(error)["code"] == code
    assert "sk-1" not in wire.failure_of(error)["message"]


def test_a_rate_limit_says_when_to_try_again() -> None:
    assert wire.failure_of(Refused("rate_limit", "Slow.", retry_after=2.2))["message"] == (
        "Slow. Please try again in 3s."
    )
    given = Refused("rate_limit", "Slow, try again in 9s.", retry_after=2)
    assert wire.failure_of(given)["message"] == "Slow, try again in 9s."


def test_text_that_is_no_unicode_is_escaped() -> None:
    assert wire.frame("x", {"t": "\ud83d"}) == b'event: x\ndata: {"t":"\\ud83d"}\n\n'
