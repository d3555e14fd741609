"""Converse streams, read and written."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conversation import (
    Answer,
    Block,
    Citation,
    Image,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Source,
    Stop,
    Text,
    ToolCall,
)
from core.errors import upstream_fault
from core.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Ping,
    Started,
    answer_of,
    deltas_of,
    empty_copy,
    events_of,
)
from core.formats.converse import StreamDecoder, StreamEncoder, read_response, write_response
from core.formats.converse.wire import PING, StreamObserver, error_event
from core.framing.eventstream import encode, frames_of
from core.usage import Usage
from tests.core.formats.converse_cases import model_of, recorded, reply_to, target_of
from tests.wire.fixtures import fixture, fixture_parameters
from tests.wire.recordings import Recorded, parameters
from tests.wire.stream_checks import (
    assert_same_at_every_cut,
    assert_truncations_fail,
    assert_well_formed,
    decode,
)

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
STREAMED = [pair for pair in recorded() if pair.status == 200 and pair.streamed]
USAGE = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}


def frame(kind: str, payload: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps(payload).encode())


def delta(number: int, content: Any) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": number, "delta": content})


def start(number: int, content: Any) -> bytes:
    return frame("contentBlockStart", {"contentBlockIndex": number, "start": content})


def stop(number: int) -> bytes:
    return frame("contentBlockStop", {"contentBlockIndex": number})


OPENING = frame("messageStart", {"role": "assistant", "p": "abc"})


def ending(reason: str = "end_turn", **members: Any) -> bytes:
    usage = {"usage": USAGE, "metrics": {"latencyMs": 5}, **members}
    return frame("messageStop", {"stopReason": reason}) + frame("metadata", usage)


def events(data: bytes, model: str = CLAUDE) -> list[Event]:
    return decode(StreamDecoder(target_of(model)), [data])


def blocks(*parts: bytes) -> list[Block]:
    found = events(OPENING + b"".join(parts) + ending())
    assert_well_formed(found)
    assert_same_at_every_cut(lambda: StreamDecoder(target_of(CLAUDE)), OPENING + b"".join(parts) + ending())
    return answer_of(found).content


def payloads(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for one in frames_of(data):
        payload = json.loads(one.payload)
        payload.pop("p", None)
        found.append((one.headers[":event-type"], payload))
    return found


def written(emitted: list[Event], model: str = CLAUDE) -> bytes:
    encoder = StreamEncoder(reply_to(model))
    return b"".join(encoder.emit(event) for event in emitted) + encoder.close()


def without_empty(found: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """`found` without deltas that say nothing and blocks that are made of them; the rest is numbered anew."""
    kept = [raw for raw in found if raw[1].get("delta") not in ({"text": ""}, {"toolUse": {"input": ""}})]
    said = {raw["contentBlockIndex"] for kind, raw in kept if kind in ("contentBlockStart", "contentBlockDelta")}
    numbers = {number: place for place, number in enumerate(sorted(said))}
    name = "contentBlockIndex"
    return [
        (kind, {**raw, name: numbers[raw[name]]} if name in raw else raw)
        for kind, raw in kept
        if raw.get(name) in numbers or name not in raw
    ]


@pytest.mark.parametrize("pair", parameters(STREAMED))
def test_recorded_streams_decode_at_every_cut_and_come_back(pair: Recorded) -> None:
    model = model_of(pair)

    def decoder() -> StreamDecoder:
        return StreamDecoder(target_of(model))

    assert_same_at_every_cut(decoder, pair.response_body)
    found = decode(decoder(), [pair.response_body])
    assert_well_formed(found)
    assert isinstance(found[-1], Finished)
    assert_truncations_fail(decoder, pair.response_body, b"messageStop")
    assert payloads(written(found, model)) == without_empty(payloads(pair.response_body))


@pytest.mark.parametrize("data", fixture_parameters("streams", "converse", ".eventstream"))
def test_made_streams_decode_at_every_cut_and_come_back(data: bytes) -> None:
    def decoder() -> StreamDecoder:
        return StreamDecoder(target_of(CLAUDE))

    assert_same_at_every_cut(decoder, data)
    found = decode(decoder(), [data])
    assert_well_formed(found)
    if isinstance(found[-1], Finished):
        assert_truncations_fail(decoder, data, b"messageStop")
        assert payloads(written(found)) == without_empty(payloads(data))


def failure_of(name: str) -> tuple[str, int, str]:
    (*_, last) = events(fixture("streams", f"converse/made-fails-{name}.eventstream"))
    assert isinstance(last, Failed)
    return last.error.kind, last.error.status, last.error.message


def test_made_streams_that_fail() -> None:
    assert failure_of("throttled") == ("rate_limit", 429, "Too many tokens, please wait before trying again.")
    assert failure_of("before-content") == ("upstream", 424, "The model broke.")
    kind, status, message = failure_of("cut")
    assert (kind, status) == ("upstream", 502) and "the stream ended" in message


def test_text_reasoning_and_calls() -> None:
    found = blocks(
        delta(0, {"reasoningContent": {"text": "th"}}),
        delta(0, {"reasoningContent": {"text": "ink"}}),
        delta(0, {"reasoningContent": {"signature": "c2"}}),
        delta(0, {"reasoningContent": {"signature": "ln"}}),
        stop(0),
        delta(1, {"text": ""}),
        delta(1, {"text": "he"}),
        delta(1, {"text": "llo"}),
        stop(1),
        start(2, {"toolUse": {"toolUseId": "t1", "name": "f"}}),
        delta(2, {"toolUse": {"input": ""}}),
        delta(2, {"toolUse": {"input": '{"a"'}}),
        delta(2, {"toolUse": {"input": ":1}"}}),
        stop(2),
        start(3, {"toolUse": {"toolUseId": "t2", "name": "g"}}),
        stop(3),
        delta(4, {"text": ""}),
        stop(4),
    )
    assert found == [
        Reasoning(["think"], signature="c2ln", origin=Origin("anthropic")),
        Text("hello"),
        ToolCall("t1", "f", '{"a":1}'),
        ToolCall("t2", "g", ""),
    ]


def test_parts_open_and_close_by_themselves() -> None:
    """Some models leave out stops, reuse an index for another kind of content, or omit the start."""
    data = b"".join(
        (
            delta(0, {"reasoningContent": {"text": "a"}}),
            delta(0, {"text": "b"}),
            delta(1, {"text": "c"}),
            delta(1, {"reasoningContent": {"signature": "s"}}),
            ending("tool_use"),
        )
    )
    found = events(data)
    assert_well_formed(found)
    assert isinstance(found[0], Started) and found[0].model == CLAUDE
    claude = Origin("anthropic")
    assert answer_of(found).content == [
        Reasoning(["a"], origin=claude),
        Text("b"),
        Text("c"),
        Reasoning(signature="s", origin=claude),
    ]


def test_redacted_reasoning_comes_whole() -> None:
    first, second = base64.b64encode(b"EuA").decode(), base64.b64encode(b"BCD").decode()
    found = blocks(
        delta(0, {"reasoningContent": {"redactedContent": first}}),
        delta(0, {"reasoningContent": {"redactedContent": second}}),
        stop(0),
        delta(1, {"reasoningContent": {"redactedContent": base64.b64encode(b"\xff").decode()}}),
        stop(1),
        delta(1, {"reasoningContent": {"text": "seen"}}),
        delta(1, {"reasoningContent": {"redactedContent": first}}),
        delta(2, {"reasoningContent": {"text": ""}}),
    )
    assert [(block.redacted, block.texts) for block in found if isinstance(block, Reasoning)] == [
        ("EuABCD", []),
        ("/w==", []),
        (None, ["seen"]),
        ("EuA", []),
    ]


def test_citations() -> None:
    raw = {"title": "T", "sourceContent": [{"text": "w"}, 1], "location": {"web": {"url": "https://u"}}}
    found = blocks(delta(0, {"citation": raw}), delta(0, {"text": "a"}), delta(0, {"citation": {"title": 5}}), stop(0))
    assert found == [Text("a", citations=[Citation("https://u", "T", "w", raw=raw), Citation(raw={"title": 5})])]


def test_what_the_vendor_runs_comes_whole() -> None:
    found = blocks(
        start(0, {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}}),
        delta(0, {"toolUse": {"input": '{"q": '}}),
        delta(0, {"toolUse": {"input": "1}"}}),
        stop(0),
        start(1, {"toolResult": {"toolUseId": "s", "type": "nova_grounding_result", "status": "success"}}),
        delta(1, {"toolResult": [{"text": "found"}, {"json": {"a": 1}}, 5]}),
        stop(1),
        start(2, {"toolUse": {"toolUseId": "s2", "name": "n", "type": "server_tool_use"}}),
        delta(2, {"toolUse": {"input": "{"}}),
        stop(2),
        start(3, {"toolResult": {"toolUseId": "s2"}}),
        stop(3),
    )
    call, result, odd, bare = found
    assert isinstance(call, ServerToolCall) and call.arguments == '{"q": 1}'
    assert call.raw["toolUse"]["input"] == {"q": 1}
    assert isinstance(result, ServerToolResult) and result.text == 'found\n{"a":1}\n5'
    assert result.tool == "nova_grounding"
    assert isinstance(odd, ServerToolCall) and odd.raw["toolUse"]["input"] == "{"
    assert isinstance(bare, ServerToolResult) and (bare.tool, bare.text) == ("", "")


def test_images() -> None:
    found = blocks(
        start(0, {"image": {"format": "png"}}),
        delta(0, {"image": {"source": {"bytes": "AAAA"}}}),
        stop(0),
        start(1, {"image": {"format": "odd"}}),
        delta(1, {"image": {"error": {"message": "no"}}}),
        stop(1),
    )
    assert found == [
        Image(Source("base64", "AAAA", "image/png")),
        Opaque("converse", "image", {"image": {"error": {"message": "no"}}}),
    ]


def test_the_stop_waits_for_the_usage() -> None:
    decoder = StreamDecoder(target_of(CLAUDE))
    assert len(decoder.feed(OPENING + delta(0, {"text": "a"}))) == 3
    fields = {"stop_sequence": "END"}
    held = frame("messageStop", {"stopReason": "stop_sequence", "additionalModelResponseFields": fields})
    assert [type(event) for event in decoder.feed(held)] == [PartEnded]
    metadata = {
        "usage": USAGE,
        "metrics": {"latencyMs": 1},
        "serviceTier": {"type": "flex"},
        "trace": {"x": 1},
    }
    (finished,) = decoder.feed(frame("metadata", metadata))
    assert isinstance(finished, Finished)
    assert finished.stop == Stop("stop_sequence", "stop_sequence", "END")
    assert (finished.usage.output_tokens, finished.service_tier) == (2, "flex")
    assert finished.extra.keys() == {"metrics", "trace", "additionalModelResponseFields"}
    assert decoder.feed(delta(0, {"text": "late"})) == [] == decoder.close()


def test_an_answer_is_complete_with_its_stop() -> None:
    found = events(OPENING + delta(0, {"text": "a"}) + frame("messageStop", {"stopReason": "max_tokens"}))
    assert isinstance(found[-1], Finished) and found[-1].stop.reason == "max_tokens"
    early = events(frame("metadata", {"usage": USAGE}) + ending())
    assert isinstance(early[-1], Finished) and early[-1].usage.input_tokens == 1


def test_failure_7_calls_end_with_tool_use() -> None:
    found = events(start(0, {"toolUse": {"toolUseId": "t", "name": "f"}}) + ending("end_turn"))
    assert isinstance(found[-1], Finished) and found[-1].stop.reason == "tool_use"


def test_what_is_unknown_is_passed_over_and_pings_are_pings() -> None:
    data = frame("newEvent", 5) + PING + start(0, {"newKind": {}}) + delta(0, {"newKind": 1}) + ending()
    assert [type(event) for event in events(data)] == [Ping, Started, Finished]


def test_exceptions_are_failures() -> None:
    data = OPENING + delta(0, {"text": "a"}) + error_event(upstream_fault("rate_limit", "slow down", 429), "r")
    found = events(data + ending())
    assert isinstance(found[-1], Failed)
    assert (found[-1].error.kind, found[-1].error.message) == ("rate_limit", "slow down")
    assert_same_at_every_cut(lambda: StreamDecoder(target_of(CLAUDE)), data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        OPENING,
        OPENING + delta(0, {"text": "a"}),
        b"<html>" * 10,
        OPENING + b"\0" * 20,
        frame("contentBlockDelta", 5),
        frame("contentBlockDelta", {"delta": {}}),
        frame("contentBlockStart", {"contentBlockIndex": 0, "start": []}),
        frame("contentBlockStart", {"contentBlockIndex": 0}),
        encode({":event-type": "contentBlockDelta", ":message-type": "event"}, b"{"),
        encode({":event-type": "contentBlockDelta", ":message-type": "event"}, b"\xff"),
        delta(0, {"text": 5}),
        delta(0, {"toolUse": {"input": "x"}}),
        delta(0, {"toolResult": []}),
        delta(0, {"image": {}}),
        delta(0, {"reasoningContent": {"text": 5}}),
        delta(0, {"reasoningContent": {"redactedContent": "%"}}),
        delta(0, {"citation": 5}),
        start(0, {"toolUse": {"name": "f"}}),
        start(0, {"toolUse": {"name": 5, "toolUseId": "t"}}),
    ],
)
def test_broken_and_cut_streams_fail(data: bytes) -> None:
    found = events(data)
    assert isinstance(found[-1], Failed)
    assert found[-1].error.kind == "upstream" and found[-1].error.retryable
    assert sum(isinstance(event, Failed) for event in found) == 1


def test_a_start_that_announces_nothing_is_none() -> None:
    found = events(OPENING + start(0, {}) + delta(0, {"text": "a"}) + stop(0) + ending())
    assert [type(event) for event in found] == [Started, PartStarted, PartDelta, PartEnded, Finished]


SAMPLE = b"".join(
    (
        OPENING,
        delta(0, {"reasoningContent": {"text": "a"}}),
        delta(1, {"text": "b"}),
        start(2, {"toolUse": {"toolUseId": "t", "name": "f"}}),
        delta(2, {"toolUse": {"input": "{}"}}),
        start(3, {"image": {"format": "png"}}),
        delta(3, {"image": {"source": {"bytes": "AAAA"}}}),
        start(4, {"toolResult": {"toolUseId": "t"}}),
        delta(4, {"toolResult": [{"text": "x"}]}),
        ending(),
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["text", "toolUse", "input", "start", "delta", "source"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.integers(0, 10), JSON, st.sampled_from(["", "start", "delta", "contentBlockIndex"]))
@settings(max_examples=200, deadline=None)
def test_a_decoder_never_raises_on_a_backends_bytes(place: int, odd: Any, name: str) -> None:
    frames = frames_of(SAMPLE)
    payload = json.loads(frames[place].payload)
    changed = {**payload, name: odd} if name else odd
    data = b"".join(
        encode(one.headers, json.dumps(changed).encode() if number == place else one.payload)
        for number, one in enumerate(frames)
    )
    found = events(data)
    assert isinstance(found[-1], Finished | Failed)
    StreamObserver().feed(data)


def test_an_answer_of_another_format_is_written() -> None:
    google = Origin("google")
    answer = Answer(
        "id",
        "m",
        [
            Reasoning(["one", "two"], "summary", encrypted="e", origin=Origin("openai")),
            Reasoning(redacted="EuAB", origin=Origin("anthropic")),
            Text("héllo", signature="s1", origin=google),
            ToolCall("t1", "f", '{"a":1}', signature="s2", origin=google),
            ToolCall("t2", "g"),
            Refusal("no"),
            Text("cited", citations=[Citation("https://u", "T")]),
            ServerToolCall("s", "web_search", "{}", "messages", {}),
            Image(Source("base64", "AAAA", "image/png")),
            Opaque("messages", "x", {}),
            Text("", citations=[]),
            Reasoning(["plain"]),
        ],
        Stop("pause_turn"),
        Usage(3, 4, cache_write_1h_tokens=2),
        format="messages",
    )
    data = written(list(events_of(answer)), "alias")
    found = payloads(data)
    numbers = [raw["contentBlockIndex"] for kind, raw in found if kind == "contentBlockStop"]
    assert numbers == list(range(len(numbers)))
    starts = [raw["start"] for kind, raw in found if kind == "contentBlockStart"]
    assert [next(iter(raw)) for raw in starts] == ["toolUse", "toolUse", "image"]
    assert found[-2:] == [
        ("messageStop", {"stopReason": "max_tokens"}),
        (
            "metadata",
            {
                "usage": {
                    "inputTokens": 3,
                    "outputTokens": 4,
                    "totalTokens": 9,
                    "cacheWriteInputTokens": 2,
                    "cacheDetails": [{"ttl": "1h", "inputTokens": 2}],
                },
                "metrics": {"latencyMs": 0},
            },
        ),
    ]
    whole = write_response(answer, reply_to("alias"))["output"]["message"]["content"]
    assert joined(answer_of(events(data))) == joined(
        read_response({"output": {"message": {"content": whole}}}, target_of(CLAUDE))
    )


def joined(answer: Answer) -> list[tuple[str, Any, Any]]:
    """What of an answer must be the same, streamed or whole: a stream's envelopes stay signatures."""
    seen: list[tuple[str, Any, Any]] = []
    for block in answer.content:
        match block:
            case Text():
                if seen and seen[-1][0] == "text" and not block.citations:
                    seen[-1] = ("text", seen[-1][1] + block.text, seen[-1][2])
                else:
                    seen.append(("text", block.text, [citation.url for citation in block.citations]))
            case ToolCall():
                seen.append(("call", block.id, json.loads(block.arguments or "{}")))
            case Image():
                seen.append(("image", block.source.data, None))
            case _:
                pass
    return seen


def test_signatures_stream_as_they_are_where_the_model_tells_their_vendor() -> None:
    claude = Origin("anthropic")
    thought, hidden = Reasoning(["a"], signature="c2ln", origin=claude), Reasoning(redacted="EuAB", origin=claude)
    answer = Answer("", "m", [thought, hidden], format="messages")
    assert answer_of(events(written(list(events_of(answer))))).content == [thought, hidden]


def test_own_blocks_stream_back() -> None:
    data = b"".join(
        (
            OPENING,
            start(0, {"toolUse": {"toolUseId": "s", "name": "n", "type": "server_tool_use"}}),
            delta(0, {"toolUse": {"input": '{"q":1}'}}),
            stop(0),
            start(1, {"toolResult": {"toolUseId": "s", "type": "n_result"}}),
            delta(1, {"toolResult": [{"text": "found"}]}),
            stop(1),
            start(2, {"image": {"format": "png"}}),
            delta(2, {"image": {"source": {"bytes": "AAAA"}}}),
            stop(2),
            delta(3, {"text": "a"}),
            delta(3, {"citation": {"title": "T"}}),
            stop(3),
            ending(serviceTier={"type": "flex"}, performanceConfig={"latency": "optimized"}),
        )
    )
    assert payloads(written(events(data))) == payloads(data)


def test_opaque_blocks_have_no_stream_form() -> None:
    opaque = Opaque("converse", "newBlock", {"newBlock": {}})
    assert written([PartStarted(0, opaque), PartEnded(0, opaque)]) == b""


def test_an_asked_for_stop_sequence_is_told() -> None:
    body = {"additionalModelResponseFieldPaths": ["/stop_sequence"]}
    encoder = StreamEncoder(reply_to("m", body))
    data = encoder.emit(Finished(Stop("stop_sequence", sequence="END"), Usage()))
    assert payloads(data)[0][1]["additionalModelResponseFields"] == {"stop_sequence": "END"}


def test_pings_and_failures_are_written() -> None:
    encoder = StreamEncoder(reply_to("m"))
    assert encoder.emit(Ping()) == PING
    fault = upstream_fault("overloaded", "busy", 503)
    assert encoder.emit(Failed(fault)) == error_event(fault, "req-1")


def test_text_of_any_kind_is_written() -> None:
    for text in ('"\\\n\u2028', "\ud83d", "\U0001f600", "\x00"):
        encoder = StreamEncoder(reply_to("m"))
        data = encoder.emit(PartDelta(0, "text", text))
        assert payloads(data)[0][1]["delta"] == {"text": text}


BLOCKS = (
    st.builds(Text, st.text(min_size=1, max_size=9))
    | st.builds(ToolCall, st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=5), st.text(max_size=9))
    | st.builds(
        Reasoning,
        st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=1),
        signature=st.none() | st.text(min_size=1, max_size=5),
        origin=st.just(Origin("anthropic")),
    )
)


@given(st.lists(BLOCKS, max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_is_streamed_reads_back(content: list[Block]) -> None:
    answer = Answer("", CLAUDE, content, Stop("max_tokens"), Usage(1, 2), format="messages")
    found = events(written(list(events_of(answer))))
    assert_well_formed(found)
    back = answer_of(found)
    assert back.content == content
    assert (back.stop.reason, back.usage.output_tokens) == ("max_tokens", 2)


def test_pieces_of_reasoning_are_parted_by_a_blank_line() -> None:
    block = Reasoning(["a", "b"])
    parts: list[Event] = [PartStarted(0, empty_copy(block)), *deltas_of(0, block), PartEnded(0, block)]
    texts = [raw["delta"]["reasoningContent"]["text"] for kind, raw in payloads(written(parts)) if "delta" in raw]
    assert texts == ["a", "\n\nb"]
