"""What pass-through needs of Chat Completions: errors of many servers, and observing answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.conversation import Stop
from core.errors import ClientFault, GatewayError, NotConfigured, Refused, upstream_fault
from core.formats import load_wire
from core.formats.chat_completions import wire
from core.formats.chat_completions.usage import finish_reason, read_stop, read_usage, write_usage
from core.usage import Usage
from tests.wire.fixtures import fixture_json

CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def frame(value: Any) -> bytes:
    data = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f"data: {data}\n\n".encode()


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    return frame({**CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


@pytest.mark.parametrize("case", fixture_json("errors", "chat_completions/made-upstream.json"), ids=lambda c: c["name"])
def test_errors_of_many_servers(case: dict[str, Any]) -> None:
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    fault = wire.read_error(case["status"], case.get("headers", {}), body.encode())
    expected = case["fault"]
    found = {name: getattr(fault, name) for name in expected}
    assert found == expected
    assert fault.raw is not None and fault.raw.body == body.encode() and fault.raw.status == fault.status


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["error", "code", "message", "type", "metadata", "param"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode()),
    st.integers(100, 599),
)
def test_reading_an_error_never_raises(body: bytes, status: int) -> None:
    fault = wire.read_error(status, {}, body)
    assert fault.status >= 400 and fault.message
    wire.observe_response(body)
    observer = wire.StreamObserver()
    observer.feed(b"data: " + body + b"\n\n")


@pytest.mark.parametrize(
    ("error", "status", "type_", "code"),
    [
        (GatewayError("context_length", "too long"), 400, "invalid_request_error", "context_length_exceeded"),
        (GatewayError("model_not_found", "no"), 404, "invalid_request_error", "model_not_found"),
        (NotConfigured("AZURE_API_KEY is missing"), 503, "configuration_error", "configuration_error"),
        (Refused("authentication", "no"), 401, "invalid_request_error", "invalid_api_key"),
        (Refused("overloaded", "busy"), 503, "server_error", "overloaded"),
        (upstream_fault("overloaded", "busy", 529), 503, "server_error", "overloaded"),
        (upstream_fault("authentication", "key sk-1", 401), 502, "server_error", "upstream_authentication"),
        (upstream_fault("quota", "pay", 429), 429, "insufficient_quota", "insufficient_quota"),
    ],
)
def test_errors_as_openai_writes_them(error: GatewayError, status: int, type_: str, code: str) -> None:
    answer = wire.write_error(error, "req_1")
    body = json.loads(answer.body)["error"]
    assert (answer.status, body["type"], body["code"]) == (status, type_, code)
    assert set(body) == {"message", "type", "param", "code"}
    assert "sk-1" not in body["message"]


def test_param_code_and_retry_after_are_kept() -> None:
    fault = ClientFault("bad_request", "no", param="messages[0].role")
    fault.code = "invalid_value"
    body = json.loads(wire.write_error(fault, "r").body)["error"]
    assert (body["param"], body["code"]) == ("messages[0].role", "invalid_value")
    answer = wire.write_error(upstream_fault("rate_limit", "slow", 429, retry_after=1.5), "r")
    assert ("retry-after", "2") in answer.headers and ("retry-after-ms", "1500") in answer.headers


def test_an_error_event_is_one_frame_and_no_end() -> None:
    event = wire.error_event(upstream_fault("upstream", "broken\n\n“half”", 502), "r")
    assert event.startswith(b"data: {") and event.endswith(b"}\n\n") and event.count(b"\n") == 2
    assert b"[DONE]" not in event
    assert json.loads(event[6:])["error"]["message"] == "broken\n\n“half”"


def test_the_wire_module_is_light() -> None:
    module = load_wire("chat_completions")
    assert module.PING.startswith(b": ") and module.PING.endswith(b"\n\n")
    assert module.STREAM_CONTENT_TYPE == "text/event-stream"


def test_observing_a_whole_answer() -> None:
    body = {**CHUNK, "choices": [{"index": 0, "message": {}, "finish_reason": "length"}]}
    body["usage"] = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    seen = wire.observe_response(json.dumps(body).encode())
    assert (seen.model, seen.response_id, seen.stop) == ("m", "chatcmpl-1", Stop("max_tokens", "length"))
    assert seen.usage.total_tokens == 15 and seen.error is None


def test_an_error_in_a_200_is_seen() -> None:
    seen = wire.observe_response(b'{"error":{"code":402,"message":"Insufficient credits"}}')
    assert seen.error is not None and (seen.error.kind, seen.error.status) == ("billing", 402)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "x"}]},
        {"tool_calls": [{"index": 0}]},
        {"refusal": "x"},
    ],
)
def test_content_starts_a_stream(delta: dict[str, Any]) -> None:
    observer = wire.StreamObserver()
    observer.feed(chunk({"role": "assistant", "content": ""}) + b": ping\n\n")
    observer.feed(frame({**CHUNK, "choices": [], "prompt_filter_results": []}))
    observer.feed(frame({**CHUNK, "choices": [{"index": 0, "content_filter_results": {}}]}))
    assert not observer.started
    observer.feed(chunk(delta))
    assert observer.started and not observer.finished


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_comes_late_is_seen_behind_the_markers(separators: tuple[str, str]) -> None:
    def spaced(value: Any) -> bytes:
        return b"data: " + json.dumps(value, separators=separators).encode() + b"\n\n"

    def text(word: str, finish: str | None = None, **more: Any) -> bytes:
        return spaced({**CHUNK, "choices": [{"delta": {"content": word}, "finish_reason": finish}], **more})

    observer = wire.StreamObserver()
    observer.feed(text("a", usage=None))
    observer.feed(text('"usage":{"error" [DONE] "finish_reason":"', usage=None))
    assert observer.started and not observer.finished and observer.error is None
    observer.feed(text("", "stop", usage=None))
    assert observer.finished and observer.observation.stop == Stop("end_turn", "stop")
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    observer.feed(spaced({**CHUNK, "choices": [], "usage": usage}))
    assert observer.observation.usage.raw == usage


def test_done_alone_finishes() -> None:
    observer = wire.StreamObserver()
    observer.feed(chunk({"content": "x"}))
    observer.feed(frame("[DONE]"))
    assert observer.finished and observer.observation.stop is None


def test_errors_in_a_stream() -> None:
    for bad in (
        frame({"error": {"code": 429, "message": "slow"}}),
        chunk({}, "error"),
        b'event: error\ndata: {"message":"x"}\n\n',
        frame({"error": "just words"}),
    ):
        observer = wire.StreamObserver()
        observer.feed(chunk({"content": "x"}))
        observer.feed(bad)
        assert observer.error is not None and observer.error is observer.observation.error
        assert not observer.finished


@pytest.mark.parametrize(
    "case", fixture_json("responses", "chat_completions/made-usages.json"), ids=lambda c: c["name"]
)
def test_usage_of_many_servers(case: dict[str, Any]) -> None:
    usage = read_usage(case["usage"])
    expected = case["neutral"]
    assert {name: getattr(usage, name) for name in expected} == expected


@given(
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_usage_adds_up(fresh: int, output: int, read: int, written: int, reasoning: int) -> None:
    wrote = write_usage(Usage(fresh, output + reasoning, read, written, None, reasoning))
    assert wrote is not None
    again = read_usage(wrote)
    assert again.total_input_tokens == fresh + read + written == wrote["prompt_tokens"]
    assert (again.input_tokens, again.cache_read_tokens, again.cache_write_tokens) == (fresh, read, written)
    assert (again.output_tokens, again.reasoning_tokens) == (output + reasoning, reasoning)
    assert wrote["total_tokens"] == again.total_tokens


def test_unknown_usage_is_not_zero() -> None:
    assert write_usage(Usage()) is None
    assert read_usage(None) == read_usage([]) == Usage()
    assert read_usage({"prompt_tokens": True, "completion_tokens": -1}).output_tokens is None


def test_stop_words() -> None:
    assert read_stop("stop", called=True).reason == "tool_use"
    assert read_stop("tool_calls", called=False).reason == "end_turn"
    assert read_stop("SAFETY").reason == "content_filter"
    assert read_stop("something new").reason == "end_turn"
    assert finish_reason(Stop("refusal", "stop"), same_format=True) == "stop"
    assert finish_reason(Stop("refusal", "stop")) == "content_filter"
    assert finish_reason(Stop("tool_use", "stop"), same_format=True) == "tool_calls"
