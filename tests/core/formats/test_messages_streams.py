"""Messages streams, decoded and encoded; Anthropic's own SDK is the judge of what is encoded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import anthropic
import pytest

from core.conversation import (
    Answer,
    Block,
    Citation,
    Conversation,
    Image,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    ServerToolResult,
    Source,
    Stop,
    Text,
    ToolCall,
)
from core.errors import StreamBroken, upstream_fault
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
    events_of,
)
from core.formats import load_format
from core.formats.contract import Reply, Target
from core.formats.messages import StreamDecoder, StreamEncoder, write_response
from core.formats.messages.tool_input import read_input
from core.framing.sse import records_of
from core.models.facts import ModelFacts
from core.translation.answer_losses import AnswerLosses
from core.usage import Usage
from tests.wire.anthropic_judge import streamed_message_of
from tests.wire.fixtures import fixture, fixture_parameters
from tests.wire.recordings import FOLDER, Recorded, parameters, recorded_pairs
from tests.wire.stream_checks import (
    assert_same_at_every_cut,
    assert_truncations_fail,
    assert_well_formed,
    decode,
    joined,
)

TARGET = Target("m", "b", "anthropic", ModelFacts("claude", "anthropic"), stream=True)
RECORDED = [
    pair
    for folder in ("pydantic-ai-cassettes", "openllmetry-anthropic")
    for pair in recorded_pairs(folder, "api.anthropic.com/v1/messages")
    if pair.streamed and pair.status == 200
]
SDK_STREAMS = [
    pytest.param(path.read_bytes(), id=path.stem) for path in sorted((FOLDER / "anthropic-sdk-sse").glob("*.txt"))
] or [pytest.param(b"", id="absent", marks=pytest.mark.skip(reason="no recordings"))]


def decoder() -> StreamDecoder:
    return StreamDecoder(TARGET)


def decoded(data: bytes) -> list[Event]:
    return decode(decoder(), [data])


def encoder(model: str = "m") -> StreamEncoder:
    return StreamEncoder(Reply(model, "0123456789abcdefghij", 0, Conversation("messages", model), "req_1"))


def encoded(events: Iterable[Event], model: str = "m") -> bytes:
    writer = encoder(model)
    return b"".join([*map(writer.emit, events), writer.close()])


def wire_events(data: bytes) -> list[Any]:
    records = records_of(data)
    events = [json.loads(record.data) for record in records]
    assert [record.event for record in records] == [event["type"] for event in events]
    return events


def test_a_stream_becomes_events() -> None:
    assert joined(decoded(fixture("streams", "messages/made-everything.sse"))) == EVERYTHING


THOUGHT = Reasoning(["Let me see\u2028ünï."], signature="c2ln", origin=Origin("anthropic"))
CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.com",
    "title": "T",
    "encrypted_index": "aQ==",
    "cited_text": "c",
}
CITED = Citation("https://example.com", "T", "c", raw=CITATION)


def _whole_events() -> list[Event]:
    events = decoded(fixture("streams", "messages/made-everything.sse"))
    search, found = (event.block for event in events if isinstance(event, PartEnded) and event.index in (3, 4))
    start_usage = next(event.usage for event in events if isinstance(event, Started))
    usage = next(event.usage for event in events if isinstance(event, Finished))
    assert search.raw["input"] == {"query": "x"}  # type: ignore[union-attr]
    assert found.raw["content"][0]["title"] == "T"  # type: ignore[union-attr]
    assert usage == Usage(12, 44, 4, 10, 20, 6, raw=usage.raw, tier="standard")
    redacted = Reasoning(redacted="cmVk", origin=Origin("anthropic"))
    return [
        Started("msg_01", "claude-sonnet-4-5", start_usage, format="messages"),
        PartStarted(0, Reasoning(origin=Origin("anthropic"))),
        PartDelta(0, "reasoning", "Let me see\u2028ünï."),
        PartDelta(0, "signature", "c2ln"),
        PartEnded(0, THOUGHT),
        PartStarted(1, redacted),
        PartEnded(1, redacted),
        PartStarted(2, Text("")),
        PartDelta(2, "text", "Grüße 😀"),
        PartEnded(2, Text("Grüße 😀")),
        PartStarted(3, search),
        PartEnded(3, search),
        PartStarted(4, found),
        PartEnded(4, found),
        PartStarted(5, Text("")),
        PartDelta(5, "citation", CITED),
        PartDelta(5, "text", "cited"),
        PartEnded(5, Text("cited", citations=[CITED])),
        PartStarted(6, ToolCall("toolu_1", "f")),
        PartDelta(6, "arguments", '{"a": 1}'),
        PartEnded(6, ToolCall("toolu_1", "f", '{"a": 1}')),
        PartStarted(7, ToolCall("toolu_2", "no_arguments")),
        PartEnded(7, ToolCall("toolu_2", "no_arguments")),
        Finished(
            Stop("tool_use", "tool_use"),
            usage,
            "standard",
            {"container": {"id": "container_1"}, "context_management": {"applied_edits": []}},
        ),
    ]


EVERYTHING = _whole_events()


@pytest.mark.parametrize("data", fixture_parameters("streams", "messages", ".sse"))
def test_made_streams_are_the_same_at_every_cut(data: bytes) -> None:
    assert_same_at_every_cut(decoder, data)
    assert_well_formed(decoded(data))
    if b"event: error" not in data:
        assert_truncations_fail(decoder, data, complete_from=b'{"type":"message_stop"}')


def _as_anthropic_sends_them() -> list[Any]:
    made = fixture_parameters("streams", "messages", ".sse")
    return [case for case in made if case.id not in ("made-error", "made-missing-starts")]


@pytest.mark.parametrize("data", _as_anthropic_sends_them())
def test_made_streams_survive(data: bytes) -> None:
    events = joined(decoded(data))
    assert isinstance(events[0], Started)
    again = encoded(events, events[0].model)
    assert joined(decoded(again)) == events


@pytest.mark.parametrize("data", SDK_STREAMS)
def test_the_sdks_own_streams(data: bytes) -> None:
    assert_same_at_every_cut(decoder, data)
    assert_truncations_fail(decoder, data)
    events = joined(decoded(data))
    assert_well_formed(events)
    assert isinstance(events[0], Started)
    again = encoded(events, events[0].model)
    assert joined(decoded(again)) == events


@pytest.mark.parametrize("pair", parameters(RECORDED))
def test_recorded_streams_survive(pair: Recorded) -> None:
    data = pair.response_body
    events = joined(decoded(data))
    assert_well_formed(events)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    again = encoded(events, events[0].model)
    assert joined(decoded(again)) == events
    assert streamed_message_of(again) == streamed_message_of(data)


@pytest.mark.parametrize("pair", parameters(RECORDED[::7]))
def test_recorded_streams_are_the_same_at_every_cut(pair: Recorded) -> None:
    data = pair.response_body[:6000]
    assert_same_at_every_cut(decoder, data)
    assert_truncations_fail(decoder, data)


def content_of(name: str) -> list[Block]:
    return answer_of(decoded(fixture("streams", f"messages/made-{name}.sse"))).content


SERVER_HABITS: list[tuple[str, list[Block]]] = [
    ("duplicate-start", [Text("Hi there")]),
    ("missing-stops", [Reasoning(["Hm"], signature="c2ln", origin=Origin("anthropic")), Text("Hi you")]),
    ("missing-starts", [Reasoning(["Hm"], origin=Origin("anthropic")), Text("Hi")]),
    ("whole-input", [ToolCall("toolu_1", "f", '{"a": "ü"}')]),
    ("empty-blocks", [Reasoning(signature="c2ln", origin=Origin("anthropic")), Text("x")]),
    ("unknown-events", [Text("x")]),
    (
        "compaction",
        [
            Opaque(
                "messages",
                "compaction",
                {"type": "compaction", "content": "We talked before."},
                True,
                "We talked before.",
            ),
            Text("Hi"),
        ],
    ),
    ("refusal", []),
]


@pytest.mark.parametrize(("name", "content"), SERVER_HABITS)
def test_what_servers_do_otherwise_is_made_good(name: str, content: list[Block]) -> None:
    assert content_of(name) == content


def test_the_first_of_two_message_starts_counts() -> None:
    events = decoded(fixture("streams", "messages/made-duplicate-start.sse"))
    assert [event.id for event in events if isinstance(event, Started)] == ["msg_01"]


def test_an_unknown_stop_reason_keeps_its_word() -> None:
    answer = answer_of(decoded(fixture("streams", "messages/made-unknown-events.sse")))
    assert answer.stop == Stop("end_turn", "new_reason")


def test_an_error_frame_ends_the_stream() -> None:
    data = fixture("streams", "messages/made-error.sse")
    events = decoded(data + fixture("streams", "messages/made-refusal.sse"))
    last = events[-1]
    assert isinstance(last, Failed)
    assert (last.error.kind, last.error.status, last.error.message) == ("overloaded", 529, "Overloaded")


def _frame(data: str) -> bytes:
    return f"event: x\ndata: {data}\n\n".encode()


START = _frame('{"type":"message_start","message":{"id":"msg_1"}}')
TEXT_OPEN = _frame('{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}')
BROKEN: list[str] = [
    "{",
    "[]",
    "null",
    '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}',
    '{"type":"content_block_start","index":1,"content_block":{}}',
    "[" * 100_000,
]


@pytest.mark.parametrize("data", BROKEN)
def test_what_cannot_be_read_fails_the_stream(data: str) -> None:
    stop = _frame('{"type":"content_block_stop","index":1}') + _frame('{"type":"message_stop"}')
    events = decoded(START + TEXT_OPEN + _frame(data) + stop + TEXT_OPEN)
    assert isinstance(events[-1], Failed)
    assert events[-1].error.status == 502
    assert_well_formed(events)


def test_a_broken_block_at_the_very_end_fails_the_stream() -> None:
    unreadable = _frame('{"type":"content_block_start","index":0,"content_block":{}}')
    for ending in ('{"type":"message_stop"}', '{"type":"content_block_delta","index":1,"delta":{"type":"text_delta"}}'):
        events = decoded(START + unreadable + _frame(ending))
        assert [type(event) for event in events] == [Started, Failed]


PASSED_OVER: list[str] = [
    '{"type":["x"]}',
    '{"type":"content_block_delta","index":0,"delta":[]}',
    '{"type":"content_block_delta","index":0,"delta":{"type":["x"]}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":3}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":3}}',
    '{"type":"content_block_delta","index":9,"delta":{"type":"signature_delta","signature":"x"}}',
    '{"type":"message_delta","delta":null,"usage":null}',
    ' {"type":"ping"} ',
]


@pytest.mark.parametrize("data", PASSED_OVER)
def test_what_says_nothing_is_passed_over(data: str) -> None:
    text = _frame('{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}')
    events = decoded(START + TEXT_OPEN + _frame(data) + text + _frame('{"type":"message_stop"}'))
    assert answer_of(events).content == [Text("a")]
    assert_well_formed(events)


ODD_BLOCKS: list[tuple[str, str, list[Block]]] = [
    (
        '{"type":"thinking","thinking":"a","signature":5}',
        '{"type":"thinking_delta","thinking":5}',
        [Reasoning(["a"], origin=Origin("anthropic"))],
    ),
    ('{"type":"thinking","x":1}', '{"type":"signature_delta","signature":5}', []),
    (
        '{"type":"tool_use","id":5,"caller":"c"}',
        '{"type":"input_json_delta","partial_json":5}',
        [ToolCall("", "", extra={"caller": "c"})],
    ),
    (
        '{"type":"text","text":"","citations":[{"url":"u"}],"z":1}',
        '{"type":"text_delta","text":""}',
        [Text("", [Citation("u", raw={"url": "u"})], extra={"z": 1})],
    ),
    (
        '{"type":"new","a":"x","b":1}',
        '{"type":"new_delta","a":"y","b":2}',
        [Opaque("messages", "new", {"type": "new", "a": "xy", "b": 2}, True)],
    ),
]


@pytest.mark.parametrize(("block", "delta", "content"), ODD_BLOCKS)
def test_odd_blocks(block: str, delta: str, content: list[Block]) -> None:
    events = decoded(
        START
        + _frame(f'{{"type":"content_block_start","index":0,"content_block":{block}}}')
        + _frame(f'{{"type":"content_block_delta","index":0,"delta":{delta}}}')
        + _frame('{"type":"message_stop"}')
    )
    assert_well_formed(events)
    assert answer_of(events).content == content


# --- encoding ---------------------------------------------------------------------------------------------

FOREIGN_USAGE = Usage(10, 7, 5, 2, 3, 4, raw={"prompt_tokens": 20})


def foreign(*blocks: Block, stop: Stop | None = None) -> list[Event]:
    answer = Answer("chatcmpl-1", "gpt", list(blocks), stop or Stop("end_turn", "stop"), FOREIGN_USAGE)
    answer.format = "chat_completions"
    return list(events_of(answer))


def test_the_event_sequence_is_anthropics() -> None:
    data = encoded(foreign(Reasoning(["a", "b"], "summary", encrypted="x"), Text("Hi"), ToolCall("i", "f", "{}")))
    events = wire_events(data)
    start, *parts, delta, stop = events
    assert start["message"] == {
        "id": "msg_0123456789abcdefghij",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }
    shape = [(event["type"].removeprefix("content_block_"), event["index"]) for event in parts]
    assert shape == [
        *[("start", 0), ("delta", 0), ("delta", 0), ("delta", 0), ("delta", 0), ("stop", 0)],
        *[("start", 1), ("delta", 1), ("stop", 1)],
        *[("start", 2), ("delta", 2), ("stop", 2)],
    ]
    assert parts[4]["delta"]["type"] == "signature_delta"
    assert parts[-3]["content_block"] == {"type": "tool_use", "id": "i", "name": "f", "input": {}}
    assert delta["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert delta["usage"]["input_tokens"] == 10
    assert delta["usage"]["cache_read_input_tokens"] == 5
    assert delta["usage"]["cache_creation_input_tokens"] == 5
    assert delta["usage"]["output_tokens"] == 7
    assert stop == {"type": "message_stop"}


ANSWERS: list[list[Block]] = [
    [Text('Grüße \u2028 😀 "quoted" \\ \n')],
    [Reasoning(["a", "b"], "summary", encrypted="x", origin=Origin("openai")), Text("Hi"), ToolCall("i", "f")],
    [Text("a", citations=[Citation("u", "t", raw={"type": "url_citation"})]), ToolCall("i", "f", '{"a": [1]}')],
    [Text("signed", signature="Z2Vt", origin=Origin("google")), Text("b")],
    [Refusal("No.")],
    [Image(Source("url", "u")), ServerToolResult("i", "code", "4", "responses", {}), Text("b")],
    [Reasoning([], redacted="cmVk", origin=Origin("anthropic")), Reasoning(["a"], redacted="x", origin=Origin("b"))],
    [
        Opaque("responses", "x", {}),
        ToolCall("1", "f", signature="Z2Vt", origin=Origin("google")),
        ToolCall("2", "g", '{"x": "y"}'),
    ],
]


@pytest.mark.parametrize("blocks", ANSWERS)
@pytest.mark.parametrize("stop", [Stop("end_turn", "stop"), Stop("max_tokens", "length")])
def test_a_streamed_answer_is_the_whole_one(blocks: list[Block], stop: Stop) -> None:
    events = foreign(*blocks, stop=stop)
    whole = write_response(answer_of(events), Reply("m", "0123456789abcdefghij", 0, Conversation("messages", "m")))
    collected = streamed_message_of(encoded(events))
    whole.setdefault("stop_details", None)
    for block in whole["content"]:
        block.pop("citations", None)
    for block in collected["content"]:
        block.pop("citations", None)
    assert collected == whole


def test_a_tool_call_split_anywhere_is_one_block() -> None:
    events: list[Event] = [PartStarted(0, ToolCall("i", "f"))]
    events += [PartDelta(0, "arguments", piece) for piece in '{"city": "Zürich"}']
    events += [PartEnded(0, ToolCall("i", "f", '{"city": "Zürich"}')), Finished(Stop("tool_use"), Usage())]
    [block] = streamed_message_of(encoded(events))["content"]
    assert (block["type"], block["input"]) == ("tool_use", {"city": "Zürich"})


def test_parts_without_a_place_leave_no_gap() -> None:
    unknown = Opaque("responses", "x", {})
    events: list[Event] = [
        Started(),
        PartStarted(0, unknown),
        PartEnded(0, unknown),
        PartStarted(1, Text("")),
        PartDelta(1, "text", "a"),
        PartDelta(1, "citation", Citation()),
        PartEnded(1, Text("a", citations=[Citation()])),
        Finished(Stop("end_turn"), Usage()),
    ]
    data = encoded(events)
    assert [event["index"] for event in wire_events(data) if "index" in event] == [0, 0, 0]
    assert streamed_message_of(data)["content"][0]["type"] == "text"


def test_only_one_message_start() -> None:
    data = encoded([Started("msg_1"), Started("msg_2"), Finished(Stop("end_turn"), Usage())])
    assert [event["type"] for event in wire_events(data)] == ["message_start", "message_delta", "message_stop"]


def test_an_emoji_in_two_halves_arrives_whole() -> None:
    first, second = "\ud83d", "\ude00"
    deltas = [PartDelta(0, "text", each) for each in ("ü" + first, second + "!", second, "x" + first)]
    whole = "ü" + first + second + "!" + second + "x" + first
    events: list[Event] = [PartStarted(0, Text("")), *deltas, PartEnded(0, Text(whole))]
    texts = [event["delta"]["text"] for event in wire_events(encoded(events)) if "delta" in event]
    assert texts == ["ü", "😀!", second, "x", first]


def test_an_emoji_in_two_halves_does_not_break_a_calls_input() -> None:
    call = ToolCall("toolu_1", "f", '{"a": "😀"}')
    pieces = ('{"a": "\ud83d', '\ude00"}')
    events = [Started("msg_1"), PartStarted(0, ToolCall("toolu_1", "f", ""))]
    events += [PartDelta(0, "arguments", piece) for piece in pieces]
    data = encoded([*events, PartEnded(0, call), Finished(Stop("tool_use"), Usage())])
    assert streamed_message_of(data)["content"][0]["input"] == {"a": "😀"}


def test_pings_and_failures_are_events_of_their_own() -> None:
    writer = encoder()
    assert wire_events(writer.emit(Ping())) == [{"type": "ping"}]
    broken = StreamBroken("overloaded", "Overloaded")
    [error] = wire_events(writer.emit(Failed(broken)))
    assert error == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_1",
    }


def test_the_sdk_raises_what_a_failed_stream_says() -> None:
    events: list[Event] = [Started(), Failed(upstream_fault("overloaded", "Overloaded", 503))]
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        streamed_message_of(encoded(events))


@pytest.mark.parametrize(
    ("pieces", "read"),
    [
        (['{"query"', ':"Bern"}'], {"query": "Bern"}),
        ([" "], {}),
        (['{"query'], {"_raw": '{"query'}),
        (["[1]"], {"_raw": "[1]"}),
        (['{"n": 1e999}'], {"_raw": '{"n": 1e999}'}),
    ],
)
def test_the_input_of_a_server_tool_is_put_together(pieces: list[str], read: dict[str, Any]) -> None:
    assert read_input("".join(pieces)) == read


GEMINIS: dict[str, tuple[list[dict[str, Any]], list[str], bool]] = {
    "with the text": ([{"text": "Hi", "thoughtSignature": "U0lH"}], ["thinking", "text"], True),
    "at its end": ([{"text": "H"}, {"text": "i"}, {"text": "", "thoughtSignature": "U0lH"}], ["text"], False),
    "before a call": (
        [{"text": "Hi"}, {"text": "", "thoughtSignature": "U0lH"}, {"functionCall": {"name": "f", "args": {}}}],
        ["text", "thinking", "tool_use"],
        True,
    ),
    "of no text": (
        [{"text": "Hm", "thought": True}, {"text": "", "thoughtSignature": "U0lH"}],
        ["thinking"],
        False,
    ),
}


@pytest.mark.parametrize(("parts", "kinds", "carried"), GEMINIS.values(), ids=list(GEMINIS))
def test_a_texts_signature_is_never_the_last_block(parts: list[Any], kinds: list[str], carried: bool) -> None:
    """Claude Code takes the last block for the answer, and Anthropic takes no thinking there."""
    backend = load_format("generate_content").StreamDecoder(TARGET)
    chunks = [{"candidates": [{"content": {"role": "model", "parts": [part]}}], "responseId": "r"} for part in parts]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[index]
    events = [event for chunk in chunks for event in backend.feed(f"data: {json.dumps(chunk)}\n\n".encode())]
    events += backend.close()
    dropped: list[str] = []
    losses = AnswerLosses("messages", dropped)
    for event in events:
        match event:
            case PartStarted():
                losses.block(event.block)
            case PartEnded():
                losses.ended(event.block)
            case Finished():
                losses.finished(event.stop, event.extra)
    data = encoded(events)
    assert [block["type"] for block in streamed_message_of(data)["content"]] == kinds
    assert (b"skybridge1." in data) is (carried or "Hm" in str(parts))
    assert dropped == ([] if carried else ["answer.signature"])


def test_a_signature_without_a_text_is_no_block_of_a_whole_answer() -> None:
    answer = Answer("id", "m", [Text("", signature="U0lH", origin=Origin("google"))], format="generate_content")
    assert write_response(answer, Reply("m", "S" * 20, 1, Conversation("m", []), "req"))["content"] == []
