"""InvokeModel with Anthropic bodies: the Messages format in AWS's framing. botocore judges the frames."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from core.conversation import Conversation, Message, Stop, Text, Tool, ToolCall
from core.errors import ClientFault, StreamBroken, Unsupported
from core.events import Event, Failed, Finished, PartDelta, PartStarted, Ping, Started, answer_of, events_of
from core.formats import invoke
from core.formats.contract import Call, Reply, Target
from core.formats.invoke import wire
from core.formats.messages import StreamDecoder as MessagesStreamDecoder
from core.framing.eventstream import encode, frames_of
from core.framing.sse import records_of
from core.models.facts import ModelFacts
from core.models.resolve import facts_for
from core.translation.pipeline import translate_request
from tests.wire.fixtures import fixture, fixture_json, fixture_parameters
from tests.wire.recordings import Recorded, parameters, recorded_pairs
from tests.wire.stream_checks import (
    assert_same_at_every_cut,
    assert_truncations_fail,
    assert_well_formed,
    decode,
    joined,
)

RECORDED = [
    pair
    for folder in ("openllmetry-bedrock", "otel-botocore-bedrock", "pydantic-ai-cassettes")
    for pair in recorded_pairs(folder, "/invoke")
    if "anthropic." in pair.url and b"anthropic_version" in pair.request_body
]
WHOLE = [pair for pair in RECORDED if not pair.streamed]
STREAMED = [pair for pair in RECORDED if pair.streamed]
TARGET = Target("m", "b", "bedrock", ModelFacts("claude", "anthropic"), stream=True)
VERSION = "bedrock-2023-05-31"


def reply(model: str = "m") -> Reply:
    return Reply(model, "0123456789abcdefghij", 0, Conversation("messages", model), "req_1")


def framed(data: bytes) -> bytes:
    """A Messages stream's events as InvokeModel frames them."""
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    bodies = [base64.b64encode(record.data.encode()).decode() for record in records_of(data)]
    return b"".join(encode(headers, json.dumps({"bytes": body, "p": "abc"}).encode()) for body in bodies)


def decoder() -> Any:
    return invoke.StreamDecoder(TARGET)


def encoded(events: list[Event], model: str = "m") -> bytes:
    writer = invoke.StreamEncoder(reply(model))
    return b"".join([*map(writer.emit, events), writer.close()])


@pytest.mark.parametrize("pair", parameters(RECORDED))
def test_recorded_requests_survive(pair: Recorded) -> None:
    body = pair.request_json
    written = invoke.write_request(invoke.read_request(body, Call("m")), TARGET)
    assert written.body == {**body, "anthropic_version": VERSION}
    assert (written.headers, written.dropped) == ({}, [])


@pytest.mark.parametrize("pair", parameters(WHOLE))
def test_recorded_answers_survive(pair: Recorded) -> None:
    body = pair.response_json
    assert invoke.write_response(invoke.read_response(body, TARGET), reply(body["model"])) == body
    seen = wire.observe_response(pair.response_body)
    assert seen.usage.output_tokens == body["usage"]["output_tokens"]


@pytest.mark.parametrize("pair", parameters(STREAMED))
def test_recorded_streams_survive(pair: Recorded) -> None:
    data = pair.response_body
    assert_same_at_every_cut(decoder, data)
    assert_truncations_fail(decoder, data)
    events = joined(decode(decoder(), [data]))
    assert_well_formed(events)
    start, end = events[0], events[-1]
    assert isinstance(start, Started)
    assert isinstance(end, Finished)
    assert joined(decode(decoder(), [encoded(events, start.model)])) == events
    observer = wire.StreamObserver()
    for frame in frames_of(data):
        observer.feed(encode(frame.headers, frame.payload))
    assert (observer.started, observer.finished, observer.error) == (True, True, None)
    assert observer.observation.usage == end.usage


@pytest.mark.parametrize("data", fixture_parameters("streams", "messages", ".sse"))
def test_a_framed_stream_is_the_messages_stream(data: bytes) -> None:
    plain = joined(decode(MessagesStreamDecoder(TARGET), [data]))
    assert joined(decode(decoder(), [framed(data)])) == plain


def test_the_frames_are_botocores() -> None:
    data = encoded(
        list(events_of(answer_of(decode(decoder(), [framed(fixture("streams", "messages/made-everything.sse"))]))))
    )
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    events = [json.loads(base64.b64decode(json.loads(message.payload)["bytes"])) for message in buffer]
    assert events[0]["type"] == "message_start"
    assert events[-1] == {
        "type": "message_stop",
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": 12,
            "outputTokenCount": 44,
            "cacheReadInputTokenCount": 4,
            "cacheWriteInputTokenCount": 30,
        },
    }


def test_what_stands_in_the_body_is_read_there() -> None:
    body = {
        "anthropic_version": VERSION,
        "anthropic_beta": ["context-1m-2025-08-07", "fast-mode-2026-02-01"],
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "x"}],
    }
    conversation = invoke.read_request(body, Call("anthropic.claude", True, {"anthropic-beta": "ignored"}))
    assert (conversation.format, conversation.model, conversation.stream) == ("messages", "anthropic.claude", True)
    assert conversation.betas == body["anthropic_beta"]
    written = invoke.write_request(conversation, TARGET)
    assert written.body == {**body, "anthropic_beta": ["context-1m-2025-08-07"]}
    assert [warning.path for warning in written.dropped] == ["anthropic-beta"]


REFUSED: list[tuple[Any, str | None]] = [
    ([], None),
    ({"messages": [{"role": "user", "content": "x"}]}, "anthropic_version"),
    ({"anthropic_version": 3, "messages": []}, "anthropic_version"),
    ({"anthropic_version": VERSION, "model": "m"}, "model"),
    ({"anthropic_version": VERSION, "stream": True}, "stream"),
    ({"anthropic_version": VERSION, "anthropic_beta": "b"}, "anthropic_beta"),
    ({"anthropic_version": VERSION, "anthropic_beta": [1]}, "anthropic_beta.0"),
    ({"anthropic_version": VERSION}, "messages"),
    (
        {"anthropic_version": "2026-10-21", "temperature": 1, "messages": [{"role": "user", "content": "x"}]},
        "temperature",
    ),
]


@pytest.mark.parametrize(("body", "param"), REFUSED)
def test_wrong_bodies_are_refused(body: Any, param: str | None) -> None:
    with pytest.raises(ClientFault) as caught:
        invoke.read_request(body, Call("m"))
    assert caught.value.param == param


def test_a_conversation_of_another_format_reaches_it() -> None:
    conversation = Conversation("chat_completions", "gpt", [Message("user", [Text("x")])])
    target = Target("anthropic.claude-sonnet-4-5-20250929-v1:0", "b", "bedrock", facts_for("claude-sonnet-4-5"))
    body = translate_request(conversation, "invoke", target).written.body
    assert body["anthropic_version"] == VERSION
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    assert body["max_tokens"] == target.facts.max_output


def test_tools_that_bedrock_does_not_run_are_refused() -> None:
    conversation = Conversation("messages", "m", [Message("user", [Text("x")])])
    raw = {"type": "web_search_20250305", "name": "web_search"}
    conversation.tools = [Tool("web_search", kind="server", format="messages", raw=raw)]
    with pytest.raises(Unsupported):
        invoke.write_request(conversation, TARGET)
    raw = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
    conversation.tools = [Tool("tool_search_tool_bm25", kind="server", format="messages", raw=raw), Tool("f")]
    assert invoke.write_request(conversation, TARGET).body["tools"][0] == raw


def test_the_answers_model_is_shown_as_asked() -> None:
    body = fixture_json("responses", "messages/made-every-block.json")
    assert invoke.write_response(invoke.read_response(body, TARGET), reply("asked"))["model"] == "asked"


def exception(name: str, message: str) -> bytes:
    headers = {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
    return encode(headers, json.dumps({"message": message}).encode())


def test_an_exception_frame_fails_the_stream() -> None:
    start = framed(fixture("streams", "messages/made-refusal.sse"))[:400]
    data = exception("throttlingException", "Too many tokens")
    events = decode(decoder(), [data, data, start])
    assert len(events) == 1
    [failed] = events
    assert isinstance(failed, Failed)
    assert (failed.error.kind, failed.error.status, failed.error.message) == ("rate_limit", 429, "Too many tokens")
    observer = wire.StreamObserver()
    observer.feed(data)
    assert observer.error is not None
    assert observer.error.kind == "rate_limit"


def test_corrupt_frames_fail_the_stream_and_not_the_observer() -> None:
    data = framed(fixture("streams", "messages/made-everything.sse"))
    broken = data[:-3] + b"xyz"
    last = decode(decoder(), [broken])[-1]
    assert isinstance(last, Failed)
    assert last.error.status == 502
    observer = wire.StreamObserver()
    observer.feed(broken)
    observer.feed(b"")
    assert observer.error is None
    [only] = decoder().feed(b"HTTP/1.1 502 Bad Gateway")
    assert isinstance(only, Failed)
    assert "cannot be read" in only.error.message


@pytest.mark.parametrize("payload", [b"{", b"[]", b"{}", b'{"bytes": 3}', b'{"bytes": "!"}', b'{"bytes": "_"}'])
def test_frames_without_an_event_are_passed_over(payload: bytes) -> None:
    chunk = encode({":event-type": "chunk", ":message-type": "event"}, payload)
    other = encode({":event-type": "initial-response", ":message-type": "event"}, b"{}")
    assert decoder().feed(chunk + other) == []
    observer = wire.StreamObserver()
    observer.feed(chunk + other)
    assert not observer.started


def test_pings_and_failures_are_frames_of_their_own() -> None:
    writer = invoke.StreamEncoder(reply())
    assert writer.emit(Ping()) == wire.PING
    [frame] = frames_of(writer.emit(Failed(StreamBroken("rate_limit", "Slow down"))))
    assert frame.headers[":exception-type"] == "throttlingException"


def test_a_call_without_arguments_has_an_empty_input() -> None:
    events: list[Event] = [PartStarted(0, ToolCall("i", "f")), Finished(Stop("tool_use"), answer_of([]).usage)]
    decoded = decode(decoder(), [encoded(events)])
    assert answer_of(decoded).content == [ToolCall("i", "f")]
    assert not any(isinstance(event, PartDelta) for event in decoded)


def test_errors_are_awss() -> None:
    fault = invoke.read_error(400, {"x-amzn-errortype": "ValidationException"}, b'{"message": "Input is too long"}')
    assert fault.kind == "context_length"
    assert ("x-amzn-errortype", "ValidationException") in invoke.write_error(fault, "r").headers
