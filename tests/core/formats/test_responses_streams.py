"""Streams of Responses events: read at every cut, from servers of every quality; written in full ceremony."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import pytest

from core.conversation import (
    Block,
    Citation,
    Conversation,
    Image,
    Opaque,
    Origin,
    Reasoning,
    ReasoningRequest,
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
    events_of,
)
from core.formats import envelope
from core.formats.responses.read_items import read_reasoning
from core.formats.responses.response import read_response, write_response
from core.formats.responses.stream_decoder import StreamDecoder
from core.formats.responses.stream_encoder import StreamEncoder
from core.formats.responses.wire import PING
from core.framing.sse import records_of
from core.usage import Usage
from tests.core.formats.responses_cases import SUFFIX, reply, target, without_nulls
from tests.wire.fixtures import fixture, fixture_parameters
from tests.wire.recordings import Recorded, parameters, recorded_pairs
from tests.wire.stream_checks import (
    assert_same_at_every_cut,
    assert_truncations_fail,
    assert_well_formed,
    decode,
    joined,
)

STREAMED = [
    pair for pair in recorded_pairs("pydantic-ai-cassettes", "/responses") if pair.streamed and pair.status == 200
]


def _decoder() -> StreamDecoder:
    return StreamDecoder(target())


def _read(name: str) -> list[Event]:
    return joined(decode(_decoder(), [fixture("streams", f"responses/made-{name}.sse")]))


def _blocks(events: Iterable[Event]) -> list[Block]:
    return [event.block for event in events if isinstance(event, PartEnded)]


def _deltas(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    return [
        (event.index, event.kind, event.piece, event.value) for event in events if isinstance(event, PartDelta)
    ]


def _stop(events: list[Event]) -> Stop:
    assert isinstance(events[-1], Finished)
    return events[-1].stop


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", fixture_parameters("streams", "responses", ".sse"))
def test_a_stream_is_the_same_at_every_cut(data: bytes) -> None:
    assert_same_at_every_cut(_decoder, data)
    assert_well_formed(decode(_decoder(), [data]))


@pytest.mark.parametrize("data", fixture_parameters("streams", "responses", ".sse"))
def test_a_stream_that_is_cut_fails(data: bytes) -> None:
    terminals = (b'"response.completed"', b'"response.incomplete"')
    marker = next((terminal for terminal in terminals if terminal in data), b"")
    # With the terminal frame whole, what follows it ([DONE]) may be missing.
    whole = data[: data.index(b"\n\n", data.index(marker)) + 2] if marker else b""
    assert_truncations_fail(_decoder, data, complete_from=whole[-60:])


@pytest.mark.parametrize("pair", parameters(STREAMED))
def test_a_recorded_stream_is_its_own_last_snapshot(pair: Recorded) -> None:
    events = decode(_decoder(), [pair.response_body])
    assert_well_formed(events)
    records = [json.loads(record.data) for record in records_of(pair.response_body) if record.data != "[DONE]"]
    if records[-1]["type"] != "response.completed":
        assert isinstance(events[-1], Failed)
        return
    answer = answer_of(events)
    whole = read_response(records[-1]["response"], target())
    assert answer.usage == whole.usage
    assert answer.stop == whole.stop
    if records[0]["type"] == "response.created":  # a resumed stream begins later
        assert [_settled(block) for block in answer.content] == [_settled(block) for block in whole.content]
        assert replace(answer, content=[], usage=Usage()) == replace(whole, content=[], usage=Usage())


def _settled(block: Block) -> Any:
    """A block without what servers give anew in each snapshot: encrypted state (OpenAI), ids (OpenRouter)."""
    return _without(asdict(block))


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        volatile = ("encrypted", "encrypted_content")
        return {name: _without(member) for name, member in value.items() if name not in volatile}
    if isinstance(value, str) and value.startswith(("rs_tmp_", "msg_tmp_")):
        return "temporary"
    return value


@pytest.mark.parametrize("pair", parameters(STREAMED))
def test_a_recorded_stream_is_written_with_the_same_items(pair: Recorded) -> None:
    events = decode(_decoder(), [pair.response_body])
    if not isinstance(events[-1], Finished):
        return
    written = _encoded(events)
    answer = answer_of(events)
    assert written[-1]["response"] == write_response(answer, reply())
    _assert_ceremony(written)


def test_text() -> None:
    events = _read("text")
    assert isinstance(events[0], Started)
    assert (events[0].id, events[0].model, events[0].created) == ("resp_1", "gpt-5-2025-08-07", 1_700_000_000)
    assert _deltas(events) == [(0, "text", 0, "Grüezi mitenand\u2028 👋")]
    finished = events[-1]
    assert isinstance(finished, Finished)
    usage = finished.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (10, 4, 6)
    assert (usage.output_tokens, usage.reasoning_tokens) == (12, 5)
    assert finished.stop == Stop("end_turn", "completed")
    assert finished.service_tier == "default"


def test_reasoning_comes_in_pieces_and_its_state_at_the_end() -> None:
    events = _read("reasoning-and-calls")
    assert _deltas(events) == [
        (0, "reasoning", 0, "**Plan**\n\nFirst."),
        (0, "reasoning", 1, "Then."),
        (1, "text", 0, "Let me look."),
        (2, "arguments", 0, '{"city":"Bern"}'),
        (3, "arguments", 0, "*** Begin\n*** End"),
    ]
    reasoning, text, call, custom = _blocks(events)
    assert reasoning == Reasoning(
        ["**Plan**\n\nFirst.", "Then."],
        form="summary",
        encrypted="gAAAAwhole",
        id="rs_1",
        origin=Origin("openai", "azure"),
    )
    assert isinstance(text, Text)
    assert text.note is not None
    assert text.note["item"]["members"]["phase"] == "commentary"
    assert isinstance(call, ToolCall)
    assert isinstance(custom, ToolCall)
    assert (call.id, call.name, call.kind) == ("call_1", "weather", "function")
    assert (custom.id, custom.name, custom.kind) == ("call_2", "apply_patch", "custom")
    assert _stop(events) == Stop("tool_use", "completed")


@pytest.mark.parametrize("name", ["done-only", "snapshot-only"])
def test_servers_that_send_no_deltas(name: str) -> None:
    events = _read(name)
    assert _deltas(events) == [
        (1, "text", 0, "Whole."),
        (2, "refusal", 0, "But no."),
        (3, "arguments", 0, '{"a":1}'),
    ]
    assert [type(block) for block in _blocks(events)] == [Reasoning, Text, Refusal, ToolCall]


def test_items_that_overlap_come_one_after_another() -> None:
    events = _read("interleaved")
    assert _deltas(events) == [
        (0, "arguments", 0, '{"a":1}'),
        (1, "arguments", 0, '{"b":2}'),
        (2, "text", 0, "Meanwhile"),
    ]


def test_many_items_that_overlap() -> None:
    frames = []
    for kind in ("added", "done"):
        for index in range(1, 3_000):
            item = {"type": "function_call", "id": f"fc_{index}", "call_id": f"c{index}", "name": "f", "arguments": ""}
            frames.append({"type": f"response.output_item.{kind}", "output_index": index, "item": item})
    frames.insert(0, {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}})
    frames.append({"type": "response.completed", "response": {}})
    data = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames).encode()
    events = decode(_decoder(), [data])
    assert_well_formed(events)
    assert len(_blocks(events)) == 2_999


def test_servers_that_end_no_items() -> None:
    events = _read("no-done-events")
    assert _deltas(events) == [(0, "text", 0, "Half a"), (1, "arguments", 0, '{"a":1}')]


def test_servers_that_count_no_items() -> None:
    events = _read("index-zero")
    assert _deltas(events) == [(0, "text", 0, "One"), (1, "arguments", 0, "{}")]
    assert _stop(events).reason == "tool_use"


def test_servers_that_leave_most_out() -> None:
    events = _read("sparse")
    assert _deltas(events) == [(0, "text", 0, "No indices")]
    assert Ping() in decode(_decoder(), [fixture("streams", "responses/made-sparse.sse")])
    first_delta = b'data: {"type":"response.output_text.delta","delta":"x"}\n\ndata: {"type":"response.completed"}\n\n'
    assert _deltas(decode(_decoder(), [first_delta])) == [(0, "text", 0, "x")]


def test_parts_that_were_never_streamed_follow() -> None:
    item = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    whole = [{"type": "output_text", "text": "One", "annotations": []}, {"type": "refusal", "refusal": "Two"}]
    frames = [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "On"},
        {"type": "response.output_item.done", "output_index": 0, "item": {**item, "content": whole}},
        {"type": "response.completed", "response": {"status": "completed"}},
    ]
    data = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames).encode()
    events = joined(decode(_decoder(), [data]))
    assert _deltas(events) == [(0, "text", 0, "One"), (1, "refusal", 0, "Two")]


def test_a_refusal_says_why_the_answer_stopped() -> None:
    events = _read("refusal")
    assert _deltas(events) == [(0, "refusal", 0, "I cannot.")]
    assert _stop(events) == Stop("refusal", "completed", explanation="I cannot.")


def test_an_incomplete_answer() -> None:
    assert _stop(_read("incomplete")) == Stop("max_tokens", "max_output_tokens")


def test_annotations_and_hosted_tools() -> None:
    events = _read("search-and-annotations")
    search, found, more, odd = _blocks(events)
    assert isinstance(search, ServerToolCall)
    assert (search.tool, search.arguments) == ("web_search", '{"query": "example"}')
    assert isinstance(found, Text)
    assert found.text == "Found"
    assert [(citation.url, citation.end) for citation in found.citations] == [("https://example.org/a", 5)]
    assert isinstance(more, Text)
    assert (more.text, more.citations[0].title) == ("More.", "a.txt")
    assert isinstance(odd, Opaque)
    assert odd.kind == "an_item_of_next_year"


def test_a_raw_chain_and_odd_calls() -> None:
    events = _read("raw-reasoning-and-odd-calls")
    reasoning, late, bare = _blocks(events)
    assert isinstance(reasoning, Reasoning)
    assert (reasoning.form, reasoning.texts) == ("raw", ["Raw chain, ended.", "More."])
    assert isinstance(late, ToolCall)
    assert (late.name, late.arguments) == ("late", '{"x": 1}')
    assert isinstance(bare, ToolCall)
    assert (bare.name, bare.arguments) == ("bare", "")


def test_what_was_streamed_stands() -> None:
    reasoning, text, call = _blocks(_read("contradictions"))
    assert isinstance(reasoning, Reasoning)
    assert isinstance(text, Text)
    assert isinstance(call, ToolCall)
    assert (reasoning.texts, text.text) == (["Seen"], "Seen")
    assert (call.id, call.name, call.arguments) == ("call_1", "f", '{"a":1}')


FAILURES = [
    ("failed", "context_length", 400),
    ("error-flat", "upstream", 502),
    ("error-nested", "quota", 429),
]


@pytest.mark.parametrize(("name", "kind", "status"), FAILURES)
def test_a_failure_ends_the_stream(name: str, kind: str, status: int) -> None:
    decoder = _decoder()
    events = decoder.feed(fixture("streams", f"responses/made-{name}.sse"))
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert (failed.error.kind, failed.error.status) == (kind, status)
    assert decoder.feed(fixture("streams", "responses/made-text.sse")) == []
    assert decoder.close() == []


ADDED = '"type":"response.output_item.added","output_index":0'
DONE = '"type":"response.output_item.done","output_index":0'
BROKEN = [
    b"data: {broken\n\n",
    b'data: "text"\n\n',
    f'data: {{{DONE},"item":{{"type":"message","role":"assistant","content":5}}}}\n\n'.encode(),
    f'data: {{{ADDED},"item":{{"type":"function_call","name":5,"call_id":"c"}}}}\n\n'.encode(),
    b'data: {"type":"response.failed","response":null}\n\n',
    b'data: {"error":{"message":"Out of tokens.","code":"insufficient_quota"}}\n\n',
    b'event: error\ndata: {"message":"No type."}\n\n',
]


@pytest.mark.parametrize("data", BROKEN)
def test_broken_events_become_failures(data: bytes) -> None:
    events = _decoder().feed(data)
    assert isinstance(events[-1], Failed)


ODD_EVENTS = [
    {"type": "response.refusal.delta", "output_index": 0, "delta": "a"},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 1, "delta": "a"},
    {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "a"},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": "x", "delta": "a"},
    {"type": "response.output_text.delta", "output_index": None, "delta": 5},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": -4, "delta": "a"},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 10**9, "delta": "a"},
    {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "a"},
    {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": 5},
    {"type": "response.output_item.added", "output_index": 0, "item": None},
    {"type": "response.output_item.done", "output_index": -1, "item": None},
    {"type": "response.content_part.added", "output_index": 0, "part": 5},
    {"type": 5},
]


def test_odd_events_do_no_harm_in_any_order() -> None:
    end = {"type": "response.completed", "response": {"output": [5, {}], "usage": 5, "created_at": True}}
    for first in ODD_EVENTS:
        for second in ODD_EVENTS:
            frames = [first, second, end]
            data = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames).encode()
            assert_well_formed(decode(_decoder(), [data]))


# --- writing ---------------------------------------------------------------------------------------------


def _encoded(events: Iterable[Event], conversation: Conversation | None = None) -> list[dict[str, Any]]:
    encoder = StreamEncoder(reply(conversation))
    data = b"".join(encoder.emit(event) for event in events) + encoder.close()
    records = records_of(data)
    bodies = [json.loads(record.data) for record in records]
    assert [record.event for record in records] == [body["type"] for body in bodies]
    return bodies


def _assert_ceremony(written: list[dict[str, Any]]) -> None:
    """The order that OpenAI's servers keep, and deltas that add up to what is repeated."""
    assert [event["sequence_number"] for event in written] == list(range(len(written)))
    assert [event["type"] for event in written[:2]] == ["response.created", "response.in_progress"]
    assert written[-1]["type"] in ("response.completed", "response.incomplete")
    output: list[Any] = []
    deltas: dict[str, str] = {}
    for event in written[2:-1]:
        assert event["output_index"] == len(output), event
        if event["type"] == "response.output_item.added":
            announced = event["item"]
            assert announced.get("status") in ("in_progress", None)
        elif event["type"] == "response.output_item.done":
            assert (event["item"].get("id"), event["item"]["type"]) == (announced.get("id"), announced["type"])
            output.append(event["item"])
        elif event["type"].endswith(".delta"):
            key = _place(event, ".delta")
            deltas[key] = deltas.get(key, "") + event["delta"]
        elif _place(event, ".done") in deltas:
            repeated = next(event[name] for name in ("text", "refusal", "arguments", "input") if name in event)
            assert deltas.pop(_place(event, ".done")) == repeated
    assert deltas == {}
    assert written[-1]["response"]["output"] == output


def _place(event: dict[str, Any], suffix: str) -> str:
    indices = [event.get(name) for name in ("item_id", "output_index", "content_index", "summary_index")]
    return f"{event['type'].removesuffix(suffix)} {indices}"


def _whole(*blocks: Block) -> list[Event]:
    """Parts that come in one piece."""
    parts = [(PartStarted(index, block), PartEnded(index, block)) for index, block in enumerate(blocks)]
    return [event for part in parts for event in part]


CLAUDE = [
    Reasoning(["Think."], signature="sig", origin=Origin("anthropic", "claude-opus-5")),
    Text("Let me "),
    Text("look.", citations=[Citation(url="https://e.org", title="E"), Citation(title="page")]),
    ToolCall("toolu_1", "weather", '{"city":"Bern"}'),
    ToolCall("toolu_2", "now", ""),
    ToolCall("toolu_3", "apply_patch", "*** Begin", kind="custom"),
]
ASKED = Conversation("responses", "claude", reasoning=ReasoningRequest(encrypted=True))


def _claude_events(stop: Stop | None = None) -> list[Event]:
    usage = Usage(10, 5, cache_read_tokens=2, cache_write_5m_tokens=3, cache_write_1h_tokens=4, reasoning_tokens=1)
    events: list[Event] = [Started("msg_01", "claude-opus-5", Usage(10), format="messages")]
    answer = answer_of([Started(), Finished(stop or Stop("tool_use", "tool_use"), usage)])
    answer.content = list(CLAUDE)
    return [*events, *list(events_of(answer))[1:]]


def test_another_vendors_turn_in_full_ceremony() -> None:
    written = _encoded(_claude_events(), ASKED)
    _assert_ceremony(written)
    assert [event["type"].removeprefix("response.") for event in written] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]
    response = written[-1]["response"]
    reasoning, message, weather, now, patch = response["output"]
    assert response["id"] == f"resp_{SUFFIX}"
    assert response["model"] == "asked-for"
    assert response["usage"] == {
        "input_tokens": 19,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 7},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 24,
    }
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Think."}]
    assert envelope.unseal(reasoning["encrypted_content"]) == CLAUDE[0]
    assert [part["text"] for part in message["content"]] == ["Let me ", "look."]
    assert message["content"][1]["annotations"] == [
        {"type": "url_citation", "url": "https://e.org", "title": "E", "start_index": 0, "end_index": 5}
    ]
    assert (weather["call_id"], weather["arguments"]) == ("toolu_1", '{"city":"Bern"}')
    assert (now["call_id"], now["arguments"]) == ("toolu_2", "{}")
    assert (patch["type"], patch["input"]) == ("custom_tool_call", "*** Begin")


def test_a_whole_answer_and_a_stream_say_the_same() -> None:
    answer = answer_of(_claude_events())
    assert _encoded(_claude_events(), ASKED)[-1]["response"] == write_response(answer, reply(ASKED))


OWN = [
    "text",
    "reasoning-and-calls",
    "done-only",
    "refusal",
    "incomplete",
    "raw-reasoning-and-odd-calls",
    "search-and-annotations",
    "two-messages",
]


@pytest.mark.parametrize("name", OWN)
def test_a_stream_of_this_format_keeps_its_items(name: str) -> None:
    data = fixture("streams", f"responses/made-{name}.sse")
    written = _encoded(decode(_decoder(), [data]))
    _assert_ceremony(written)
    original = [json.loads(record.data) for record in records_of(data) if record.data != "[DONE]"][-1]["response"]
    if original["output"] and name != "raw-reasoning-and-odd-calls":
        assert without_nulls(written[-1]["response"]["output"]) == without_nulls(original["output"])
    rest = {key: value for key, value in original.items() if key not in ("output", "model")}
    assert {key: written[-1]["response"][key] for key in rest} == rest


def test_state_is_sealed_only_for_clients_that_can_replay_it() -> None:
    cases = [
        (Conversation("responses", "m"), False),
        (Conversation("responses", "m", store=True), False),
        (Conversation("responses", "m", store=False), True),
        (ASKED, True),
    ]
    for conversation, sealed in cases:
        response = _encoded(_claude_events(), conversation)[-1]["response"]
        assert ("encrypted_content" in response["output"][0]) is sealed


def test_reasoning_without_text() -> None:
    redacted = Reasoning(redacted="AAAA", origin=Origin("anthropic"))
    unsigned = Reasoning()
    openai = Reasoning(encrypted="gAAAA", id="rs_9", origin=Origin("openai"))
    events = [
        Started(format="messages"),
        *_whole(redacted, unsigned, openai),
        Finished(Stop("end_turn"), Usage()),
    ]
    written = _encoded(events, ASKED)
    _assert_ceremony(written)
    first, second = written[-1]["response"]["output"]
    assert read_reasoning(first, "output") == redacted
    assert read_reasoning(second, "output") == openai  # the state, and the id that it belongs to
    assert _encoded(events)[-1]["response"]["output"] == []


def test_server_tools_of_another_vendor() -> None:
    blocks: list[Block] = [
        ServerToolCall("s1", "web_search", '{"query":"x"}', "messages", {}),
        ServerToolCall("s2", "web_search", "{broken", "messages", {}),
        ServerToolCall("s3", "code_execution", "{}", "messages", {}),
        ServerToolResult("s1", "web_search", "found", "messages", {}),
        Opaque("messages", "compaction", {}),
    ]
    written = _encoded([Started(format="messages"), *_whole(*blocks), Finished(Stop("end_turn"), Usage())])
    _assert_ceremony(written)
    assert [item["action"] for item in written[-1]["response"]["output"]] == [
        {"type": "search", "query": "x"},
        {"type": "search", "query": ""},
    ]


STOPS: list[tuple[Stop, str, Any]] = [
    (Stop("end_turn"), "completed", None),
    (Stop("tool_use"), "completed", None),
    (Stop("stop_sequence"), "completed", None),
    (Stop("max_tokens", "length"), "incomplete", {"reason": "max_output_tokens"}),
    (Stop("context_window"), "incomplete", {"reason": "max_output_tokens"}),
    (Stop("content_filter"), "incomplete", {"reason": "content_filter"}),
    (Stop("refusal", "refusal"), "incomplete", {"reason": "content_filter"}),
    (Stop("pause_turn"), "incomplete", {"reason": "max_output_tokens"}),
    (Stop("pause_turn", "steered"), "incomplete", {"reason": "steered"}),
    (Stop("compaction"), "incomplete", {"reason": "max_output_tokens"}),
    (Stop("error", "malformed"), "failed", None),
]


@pytest.mark.parametrize(("stop", "status", "details"), STOPS)
def test_ends_of_other_formats(stop: Stop, status: str, details: Any) -> None:
    last = _encoded(_claude_events(stop))[-1]
    assert last["type"] == f"response.{status}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (status, details)
    assert (last["response"]["error"] is not None) is (status == "failed")


def test_a_refusal_in_words_is_a_completed_answer() -> None:
    refusal = Refusal("I will not.")
    events = [
        Started(format="chat_completions"),
        PartStarted(0, Refusal("")),
        PartDelta(0, "refusal", "I will not."),
        PartEnded(0, refusal),
        Finished(Stop("refusal"), Usage()),
    ]
    written = _encoded(events)
    _assert_ceremony(written)
    assert written[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "I will not."}]
    assert written[-1]["type"] == "response.completed"


def test_an_explanation_beside_a_refusal_becomes_a_part() -> None:
    stop = Stop("refusal", "refusal", explanation="Against the rules.")
    events = [*_claude_events(stop)[:1], *_claude_events(stop)[-1:]]
    written = _encoded(events)
    _assert_ceremony(written)
    response = written[-1]["response"]
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "Against the rules."}]
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert response == write_response(answer_of(events), reply())


def test_an_image_of_the_models_own() -> None:
    image = Image(Source("base64", "iVBORw0KGgo=", "image/png"))
    linked = Image(Source("url", "https://e.org/i.png"))
    events = [Started(format="generate_content"), *_whole(image, linked), Finished(Stop("end_turn"), Usage())]
    written = _encoded(events)
    _assert_ceremony(written)
    assert written[-1]["response"]["output"] == [
        {
            "id": f"ig_{SUFFIX}0000",
            "type": "image_generation_call",
            "status": "completed",
            "result": "iVBORw0KGgo=",
        }
    ]


def test_a_failure_is_one_to_every_client() -> None:
    events = [*_claude_events()[:9], Failed(upstream_fault("rate_limit", "Slow down.", 429, retry_after=3))]
    *_, error, failed = _encoded(events, ASKED)
    assert (error["type"], error["code"], error["error"]["message"]) == ("error", "rate_limit_exceeded", "Slow down.")
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {
        "code": "rate_limit_exceeded",
        "message": "Slow down. Please try again in 3s.",
    }
    assert (failed["sequence_number"], failed["response"]["status"]) == (error["sequence_number"] + 1, "failed")
    assert failed["response"]["output"][0]["type"] == "reasoning"


def test_a_failure_before_the_start() -> None:
    written = _encoded([Failed(upstream_fault("context_length", "Too long.", 400))])
    assert [event["type"] for event in written] == ["error", "response.failed"]
    assert written[1]["response"]["error"]["code"] == "context_length_exceeded"


def test_a_ping_is_a_comment() -> None:
    assert StreamEncoder(reply()).emit(Ping()) == PING


def test_halves_of_a_pair_are_joined() -> None:
    events = [
        Started(format="chat_completions"),
        PartStarted(0, Text("")),
        PartDelta(0, "text", "\ud83d"),
        PartDelta(0, "text", "\ude00"),
        PartEnded(0, Text("\ud83d\ude00")),
        Finished(Stop("end_turn"), Usage()),
    ]
    written = _encoded(events)
    assert [event["delta"] for event in written if event["type"].endswith(".delta")] == ["\U0001f600"]


def test_reasoning_pieces_are_parts() -> None:
    events = [
        Started(format="generate_content"),
        PartStarted(0, Reasoning()),
        PartDelta(0, "reasoning", "One", 0),
        PartDelta(0, "reasoning", " and", 0),
        PartDelta(0, "reasoning", "Two", 1),
        PartDelta(0, "signature", "sig"),
        PartEnded(0, Reasoning(["One and", "Two"], signature="sig", origin=Origin("google"))),
        Finished(Stop("end_turn"), Usage()),
    ]
    written = _encoded(events)
    _assert_ceremony(written)
    assert written[-1]["response"]["output"][0]["summary"] == [
        {"type": "summary_text", "text": "One and"},
        {"type": "summary_text", "text": "Two"},
    ]


def test_settings_are_repeated() -> None:
    conversation = Conversation("responses", "claude")
    conversation.extra["truncation"] = "auto"
    snapshot = _encoded(_claude_events(), conversation)[0]["response"]
    assert (snapshot["status"], snapshot["output"], snapshot["usage"]) == ("in_progress", [], None)
    assert (snapshot["truncation"], snapshot["store"], snapshot["created_at"]) == ("auto", True, 1_700_000_000)
