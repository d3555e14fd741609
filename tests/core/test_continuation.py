"""`policy: {continue: true}`: a stream of plain text that breaks is taken up by another candidate."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from core.continuation import Story
from core.conversation import Answer, Citation, Conversation, Message, Stop, Text, ToolCall
from core.errors import upstream_fault
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Ping, Started, events_of
from core.formats import load_format, load_wire
from core.formats.contract import Reply, Target
from core.http import Request
from core.models.resolve import facts_for
from core.ports import TransportFault
from core.usage import Usage
from tests.gateways import Bench, body_of
from tests.samples import error_frame
from tests.scripted import Chunk, Play

TYPES = {"messages": "anthropic", "chat_completions": "openai-compatible", "converse": "bedrock"}
MODEL = "claude-sonnet-4-5"
RESET = TransportFault("body", "reset")


def stream(format_name: str, words: Sequence[str], output: int = 2) -> list[bytes]:
    """A backend's stream of `words`: the start, a frame for each of the words, the end."""
    asked = Conversation("messages", "m", [Message("user", [Text("hi")])], stream=True, include_usage=True)
    encoder = load_format(format_name).StreamEncoder(Reply("m", "A" * 20, 1, asked, "r"))
    usage = Usage(input_tokens=5, output_tokens=output)
    events: list[Event] = [Started("id1", "m", Usage(input_tokens=5, output_tokens=1)), PartStarted(0, Text(""))]
    events += [PartDelta(0, "text", word) for word in words]
    events += [PartEnded(0, Text("".join(words))), Finished(Stop("end_turn"), usage)]
    return [part for part in (*map(encoder.emit, events), encoder.close()) if part]


def broken(words: Sequence[str], *tail: Chunk) -> Play:
    """A stream of Messages whose connection breaks after its words."""
    frames = stream("messages", words)
    place = max(number for number, frame in enumerate(frames, 1) if b"text_delta" in frame)
    return play("messages", [*frames[:place], *(tail or (RESET,))])


def play(format_name: str, chunks: Sequence[Chunk]) -> Play:
    return Play(headers={"content-type": load_wire(format_name).STREAM_CONTENT_TYPE}, chunks=chunks)


def bench(plays: Sequence[Play], formats: Sequence[str], models: Sequence[str] = (), **policy: Any) -> Bench:
    names = [f"b{number}" for number in range(1, len(formats) + 1)]
    backends = {
        name: {"type": TYPES[kind], "base_url": f"http://{name}", "api_key": "k", "format": kind}
        for name, kind in zip(names, formats, strict=True)
    }
    rows = [
        {"backend": name, "api_model": models[place] if models else MODEL, "priority": place}
        for place, name in enumerate(names)
    ]
    return Bench({
        "backends": backends, "models": {"m": {"candidates": rows, "policy": {"continue": True, **policy}}},
    }, plays)  # fmt: skip


def body(**members: Any) -> bytes:
    messages = [{"role": "user", "content": "hi"}]
    return json.dumps({"model": "m", "max_tokens": 99, "messages": messages, "stream": True, **members}).encode()


async def ask(ground: Bench, sent: bytes | None = None) -> tuple[bytes, list[Event]]:
    """The client's bytes and what its own format says of them."""
    response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, sent or body()))
    got = await body_of(response)
    assert ground.transport.open == 0 and ground.gateway.in_flight.total == 0
    assert len(ground.records) == 1
    decoder = load_format("messages").StreamDecoder(Target("m", "b", "p", facts_for("m"), True))
    return got, [*decoder.feed(got), *decoder.close()]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.value for event in events if isinstance(event, PartDelta))


def prefill(ground: Bench, number: int = -1) -> Any:
    return json.loads(ground.transport.requests[number].body)["messages"][-1]


BREAKS: list[Chunk] = [RESET, b"", 1000.0, error_frame("messages")]


@pytest.mark.parametrize("how", range(len(BREAKS)), ids=["reset", "end", "silence", "error"])
@pytest.mark.parametrize("second", ["messages", "converse", "chat_completions"])
async def test_the_client_sees_one_answer(how: int, second: str) -> None:
    first = broken(["Once ", "upon"], *([BREAKS[how]] if BREAKS[how] != b"" else [b": end\n\n"]))
    ground = bench([first, play(second, stream(second, [" a", " time"]))], ["messages", second])
    got, events = await ask(ground)
    assert text_of(events) == "Once upon a time"
    assert got.count(b"event: message_start\n") == 1 and got.count(b"event: message_stop\n") == 1
    assert got.count(b"event: content_block_start\n") == got.count(b"event: content_block_stop\n") == 1
    assert b"event: error" not in got
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.usage.input_tokens, finished.usage.output_tokens) == (5, 1 + 2)  # the first had counted one
    sent = prefill(ground)
    assert sent["role"] == "assistant" and "Once upon" in json.dumps(sent["content"])
    (record,) = ground.records
    assert (record.backend, record.attempts, record.outcome) == ("b2", 2, "complete")
    assert record.errors[0].startswith("b1: ") and record.wasted[0].backend == "b1"


async def test_even_without_a_break_the_answer_goes_the_events_way() -> None:
    ground = bench([play("messages", stream("messages", ["Hi"]))], ["messages"])
    response = await ground.post("/v1/messages", body())
    assert response.header("x-skybridge-translation") == "messages>messages"
    assert b"Hi" in await body_of(response)


@pytest.mark.parametrize(("said", "goes_on", "whole"), [
    (["one \n\n"], ["\n\ntwo"], "one \n\n\n\ntwo"),
    (["one "], [" two"], "one two"),
    (["one "], ["two"], "one two"),
    (["one\n\n"], ["\n", "\n", "two"], "one\n\ntwo"),
    (["one\n\n"], ["\n\n", "two"], "one\n\ntwo"),
])  # fmt: skip
async def test_white_space_at_the_seam_is_not_doubled(said: list[str], goes_on: list[str], whole: str) -> None:
    plays = [broken(said), play("messages", stream("messages", goes_on))]
    ground = bench(plays, ["messages", "messages"])
    _, events = await ask(ground)
    assert text_of(events) == whole
    content = prefill(ground)["content"]
    assert (content if isinstance(content, str) else content[0]["text"]) == "one"


async def test_a_third_candidate_takes_up_what_the_second_could_not_finish() -> None:
    plays = [broken(["a "]), broken(["b "]), play("messages", stream("messages", ["c"]))]
    ground = bench(plays, ["messages"] * 3)
    got, events = await ask(ground)
    assert text_of(events) == "a b c"
    assert got.count(b"message_start") == got.count(b'"type":"message_start"') * 2
    assert ground.records[0].attempts == 3


async def test_a_candidate_that_fails_before_it_speaks_is_passed_over() -> None:
    plays = [broken(["a "]), Play(503, {}, [b"{}"]), play("messages", stream("messages", ["b"]))]
    ground = bench(plays, ["messages"] * 3)
    _, events = await ask(ground)
    assert text_of(events) == "a b"
    assert ground.records[0].backend == "b3"


async def test_a_client_that_leaves_before_the_next_one_speaks_pays_once() -> None:
    slow = play("messages", stream("messages", ["b"]))
    slow.head_delay = 40.0
    ground = bench([broken(["a "]), slow], ["messages"] * 2)
    response = await ground.post("/v1/messages", body())
    pieces = response.body
    assert isinstance(pieces, AsyncGenerator)
    async for data in pieces:
        if data == load_wire("messages").PING:
            break
    await pieces.aclose()
    (record,) = ground.records
    assert (record.outcome, record.backend, record.wasted) == ("abandoned", "b1", [])
    assert record.usage.input_tokens == 5 and not ground.transport.open


async def test_pings_while_the_next_one_thinks() -> None:
    slow = play("messages", stream("messages", ["b"]))
    slow.head_delay = 40.0
    ground = bench([broken(["a "]), slow], ["messages"] * 2)
    got, events = await ask(ground)
    assert text_of(events) == "a b"
    assert got.count(load_wire("messages").PING) == 2


async def test_when_nobody_can_go_on_the_error_event_ends_it() -> None:
    ground = bench([broken(["a "]), Play(503, {}, [b"{}"])], ["messages"] * 2)
    got, events = await ask(ground)
    assert isinstance(events[-1], Failed) and text_of(events) == "a "
    assert got.count(b"event: error") == 1
    (record,) = ground.records
    assert (record.outcome, record.backend, record.attempts) == ("cut", "b1", 2)
    assert record.usage.total_tokens and not record.wasted  # what the first one used counts once


@pytest.mark.parametrize("members", [
    {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
    {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 4096},
])  # fmt: skip
async def test_what_may_be_more_than_text_is_not_taken_up(members: dict[str, Any]) -> None:
    ground = bench([broken(["a "])], ["messages"] * 2)
    _, events = await ask(ground, body(**members))
    assert isinstance(events[-1], Failed)
    assert len(ground.transport.requests) == 1


async def test_models_that_take_no_prefill_are_not_asked() -> None:
    ground = bench([broken(["a "])], ["messages"] * 2, [MODEL, "claude-opus-4-7"])
    _, events = await ask(ground)
    assert isinstance(events[-1], Failed)
    assert len(ground.transport.requests) == 1


async def test_an_answer_that_is_not_streamed_passes_through() -> None:
    answer = b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"usage":{}}'
    ground = bench([Play(headers={"content-type": "application/json"}, chunks=[answer])], ["messages"])
    response = await ground.post("/v1/messages", body(stream=False))
    assert response.header("x-skybridge-translation") == "none"


async def test_the_gateways_own_end_of_time_is_not_taken_up() -> None:
    ground = bench([broken(["a "], 1000.0)], ["messages"] * 2, max_stream_seconds=30)
    _, events = await ask(ground)
    assert isinstance(events[-1], Failed)
    assert len(ground.transport.requests) == 1


@pytest.mark.parametrize("count", [1, 2])
async def test_an_error_event_is_told_once_where_nobody_goes_on(count: int) -> None:
    """With one candidate nobody could; with two, the answer may be more than text."""
    ground = bench([broken(["a "], error_frame("messages"))], ["messages"] * count)
    tools = {"tools": [{"name": "f", "input_schema": {"type": "object"}}]} if count == 2 else {}
    got, events = await ask(ground, body(**tools))
    assert isinstance(events[-1], Failed) and got.count(b"event: error") == 1
    assert (ground.records[0].outcome, len(ground.records[0].errors)) == ("cut", 1)


async def test_an_error_event_after_a_tool_call_is_told_once() -> None:
    frames = stream("messages", ["a "])
    call = b'event: content_block_start\ndata: {"type":"content_block_start","index":1,"content_block":' \
        b'{"type":"tool_use","id":"t","name":"f","input":{}}}\n\n'
    ground = bench([play("messages", [*frames[:-2], call, error_frame("messages")])], ["messages"] * 2)
    got, events = await ask(ground)
    assert isinstance(events[-1], Failed) and got.count(b"event: error") == 1
    assert len(ground.transport.requests) == 1


def tell(story: Story, events: Sequence[Event]) -> list[Event]:
    return [told for event in events for told in story.events(event)]


def test_a_part_that_had_ended_is_followed_by_a_new_one() -> None:
    story = Story()
    told = tell(story, [Started(), PartStarted(0, Text("")), PartDelta(0, "text", "a"), PartEnded(0, Text("a"))])
    story.resume()
    told += tell(story, list(events_of(Answer("i", "m", [Text("b")]))))
    assert [event.index for event in told if isinstance(event, PartStarted)] == [0, 1]
    assert [event.block for event in told if isinstance(event, PartEnded)] == [Text("a"), Text("b")]


def test_a_tool_call_after_the_seam_ends_the_open_text() -> None:
    story = Story()
    told = tell(story, [Started(), PartStarted(0, Text("")), PartDelta(0, "text", "a")])
    story.resume()
    told += tell(story, list(events_of(Answer("i", "m", [ToolCall("c", "f", "{}")]))))
    assert [type(event).__name__ for event in told] == [
        "Started", "PartStarted", "PartDelta", "PartEnded", "PartStarted", "PartDelta", "PartEnded", "Finished",
    ]  # fmt: skip
    assert [getattr(event, "index", None) for event in told] == [None, 0, 0, 0, 1, 1, 1, None]
    assert not story.can_go_on


def test_citations_end_the_willingness_to_go_on() -> None:
    story = Story()
    tell(story, [Started(), PartStarted(0, Text("")), PartDelta(0, "text", "a")])
    assert story.can_go_on
    tell(story, [PartDelta(0, "citation", Citation())])
    assert not story.can_go_on
    failed = Failed(upstream_fault("upstream", "x", 502))
    assert story.events(failed) == [failed]


def test_a_backends_ping_is_no_part_of_the_story() -> None:
    assert Story().events(Ping()) == [Ping()]
