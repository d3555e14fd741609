"""Converse: errors both ways, keep-alive, observers."""

from __future__ import annotations

import json

import pytest

from core.errors import STATUS, ClientFault, GatewayError, upstream_fault
from core.formats.converse import wire
from core.formats.converse.wire import StreamObserver, read_error, write_error
from core.framing.eventstream import encode, frames_of
from tests.core.formats.converse_cases import recorded
from tests.wire.fixtures import fixture_parameters
from tests.wire.recordings import Recorded, parameters

FAILED = [pair for pair in recorded() if pair.status != 200]
STREAMED = [pair for pair in recorded() if pair.status == 200 and pair.streamed]
WHOLE = [pair for pair in recorded() if pair.status == 200 and not pair.streamed]


def event(kind: str, payload: object, message_type: str = "event") -> bytes:
    name = ":exception-type" if message_type == "exception" else ":event-type"
    headers = {name: kind, ":content-type": "application/json", ":message-type": message_type}
    return encode(headers, json.dumps(payload).encode())


@pytest.mark.parametrize("pair", parameters(FAILED))
def test_recorded_errors(pair: Recorded) -> None:
    fault = read_error(pair.status, pair.response_headers, pair.response_body)
    assert (fault.kind, fault.status, fault.retryable) == ("model_not_found", 400, False)
    assert fault.message == "The provided model identifier is invalid."
    assert fault.raw is not None and fault.raw.body == pair.response_body


@pytest.mark.parametrize("text", fixture_parameters("errors", "converse", ".json"))
def test_made_errors(text: bytes) -> None:
    made = json.loads(text)
    fault = read_error(made["status"], made["headers"], json.dumps(made["body"]).encode())
    assert (fault.kind, fault.message) == (made["kind"], made["body"]["message"])


@pytest.mark.parametrize(
    ("status", "name", "message", "kind", "retryable"),
    [
        (400, "ValidationException", "Input is too long for requested model.", "context_length", False),
        (400, "ValidationException", "prompt is too long: 9 tokens > 8 maximum", "context_length", False),
        (400, "ValidationException", "Output blocked by content filtering policy", "content_filter", False),
        (400, "ValidationException", "messages: at least one message is required", "bad_request", False),
        (403, "AccessDeniedException", "You don't have access to the model", "permission", True),
        (403, "UnrecognizedClientException", "The security token is invalid.", "authentication", True),
        (403, "ExpiredTokenException", "expired", "authentication", True),
        (403, "com.amazonaws#InvalidSignatureException", "no match", "authentication", True),
        (404, "ResourceNotFoundException:http://x/", "Could not resolve", "model_not_found", False),
        (408, "ModelTimeoutException", "slow", "timeout", True),
        (424, "ModelErrorException", "broke", "upstream", True),
        (429, "ThrottlingException", "Too many requests", "rate_limit", True),
        (429, "ThrottlingException", "Too many tokens per day", "quota", True),
        (429, "ModelNotReadyException", "warming up", "overloaded", True),
        (400, "ServiceQuotaExceededException", "quota", "quota", True),
        (500, "InternalServerException", "oops", "upstream", True),
        (503, "ServiceUnavailableException", "busy", "overloaded", True),
        (413, "", "big", "too_large", False),
        (413, "ValidationException", "Request body is too large", "too_large", False),
        (413, "ValidationException", "Input is too long for requested model.", "context_length", False),
        (418, "TeapotException", "tea", "bad_request", False),
        (502, "", "bad gateway", "upstream", True),
    ],
)
def test_errors_are_read(status: int, name: str, message: str, kind: str, retryable: bool) -> None:
    body = json.dumps({"message": message}).encode()
    headers = {"x-amzn-errortype": name, "retry-after": "3"} if name else {}
    fault = read_error(status, headers, body)
    assert (fault.kind, fault.status, fault.message, fault.retryable) == (kind, status, message, retryable)
    assert fault.retry_after == (3.0 if name else None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"Message": "capital", "__type": "ThrottlingException"}', "capital"),
        (b"plain words", "plain words"),
        (b"<html>", "The backend answered with status 429."),
        (b"[1]", "The backend answered with status 429: [1]"),
        (b'{"message": 5}', 'The backend answered with status 429: {"message": 5}'),
        (b"[" * 100_000, ("The backend answered with status 429: " + "[" * 2000)[:2000]),
        (b"\xff", "\ufffd"),
    ],
)
def test_bodies_that_are_no_error_objects(body: bytes, message: str) -> None:
    fault = read_error(429, {}, body)
    assert (fault.kind, fault.message) == ("rate_limit", message)


@pytest.mark.parametrize("kind", STATUS)
def test_written_errors_read_back(kind: str) -> None:
    answer = write_error(GatewayError(kind, "words", retry_after=1.2), "req-1")  # type: ignore[arg-type]
    headers = dict(answer.headers)
    assert headers["x-amzn-requestid"] == "req-1"
    assert headers["retry-after"] == "2"
    fault = read_error(answer.status, headers, answer.body)
    assert "words" in fault.message
    same = {"context_length", "authentication", "permission", "quota", "timeout", "conflict", "rate_limit"}
    if kind in same | {"overloaded", "upstream", "model_not_found"}:
        assert fault.kind == kind


def test_the_gateways_own_credential_is_not_the_clients_fault() -> None:
    fault = upstream_fault("authentication", "The security token AKIA… is invalid", 403)
    answer = write_error(fault, "r")
    assert answer.status == 500
    assert b"AKIA" not in answer.body
    assert write_error(ClientFault("authentication", "wrong key"), "r").status == 403


def test_the_status_of_the_backend_is_told() -> None:
    assert json.loads(write_error(upstream_fault("upstream", "m", 503), "r").body)["originalStatusCode"] == 503
    odd = GatewayError("upstream", "m", status=7)
    assert json.loads(write_error(odd, "r").body)["originalStatusCode"] == 502


def test_extra_headers_of_an_error_are_written() -> None:
    error = GatewayError("rate_limit", "m")
    error.headers["x-ratelimit-limit"] = "5"
    assert ("x-ratelimit-limit", "5") in write_error(error, "r").headers


@pytest.mark.parametrize(
    ("kind", "exception"),
    [
        ("rate_limit", "throttlingException"),
        ("overloaded", "serviceUnavailableException"),
        ("bad_request", "validationException"),
        ("upstream", "modelStreamErrorException"),
        ("timeout", "modelStreamErrorException"),
        ("internal", "internalServerException"),
        ("permission", "internalServerException"),
    ],
)
def test_error_events_read_back(kind: str, exception: str) -> None:
    (frame,) = frames_of(wire.error_event(GatewayError(kind, "words"), "r"))  # type: ignore[arg-type]
    assert frame.headers[":exception-type"] == exception
    fault = wire.frame_error(frame)
    assert fault.message == "words"
    observer = StreamObserver()
    observer.feed(wire.error_event(GatewayError(kind, "words"), "r"))  # type: ignore[arg-type]
    assert observer.error is not None and observer.error.kind == fault.kind


def test_error_frames_that_are_no_exceptions() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "it broke"}
    (frame,) = frames_of(encode(headers, b""))
    fault = wire.frame_error(frame)
    assert (fault.kind, fault.message, fault.status) == ("upstream", "it broke", 500)
    (bare,) = frames_of(encode({":message-type": "error"}, b""))
    assert wire.frame_error(bare).message == "the backend ended its stream with an error"


@pytest.mark.parametrize("pair", parameters(STREAMED))
def test_recorded_streams_are_observed(pair: Recorded) -> None:
    observer = StreamObserver()
    for start in range(0, len(pair.response_body), 200):
        observer.feed(pair.response_body[start : start + 200])
    frames = [json.loads(frame.payload) for frame in frames_of(pair.response_body)]
    assert (observer.started, observer.finished, observer.error) == (True, True, None)
    stop = observer.observation.stop
    assert stop is not None and stop.raw == frames[-2]["stopReason"]
    assert observer.observation.usage.input_tokens == frames[-1]["usage"]["inputTokens"]
    assert observer.observation.usage.output_tokens == frames[-1]["usage"]["outputTokens"]


@pytest.mark.parametrize("pair", parameters(WHOLE))
def test_recorded_answers_are_observed(pair: Recorded) -> None:
    observation = wire.observe_response(pair.response_body)
    usage = pair.response_json["usage"]
    assert observation.usage.input_tokens == usage["inputTokens"]
    assert observation.stop is not None and observation.stop.raw == pair.response_json["stopReason"]


def test_what_is_no_answer_is_observed_as_nothing() -> None:
    observation = wire.observe_response(b"oops")
    assert observation.stop is None and observation.usage.input_tokens is None


def test_the_observer_passes_over_what_it_cannot_read() -> None:
    observer = StreamObserver()
    observer.feed(event("unknown", {}) + wire.PING)
    assert not observer.started
    observer.feed(b"{}" * 20)
    observer.feed(event("messageStop", {"stopReason": "end_turn"}))
    assert not observer.finished
    odd = StreamObserver()
    odd.feed(event("metadata", ["usage"]) + event("messageStop", "x"))
    assert odd.finished and odd.observation.stop is not None and odd.observation.stop.raw is None
