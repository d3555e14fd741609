"""Failures reported against other gateways that the Messages writers and readers must not repeat.

Each test names the reports that it answers.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.conversation import (
    Answer,
    Block,
    Conversation,
    Message,
    Origin,
    OutputFormat,
    Reasoning,
    Stop,
    Text,
    ToolCall,
    ToolResult,
)
from core.errors import Unsupported
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Started, events_of
from core.formats.contract import Call, Reply, Target
from core.formats.messages import (
    StreamDecoder,
    StreamEncoder,
    read_request,
    read_response,
    write_request,
    write_response,
)
from core.framing.sse import records_of
from core.models.facts import ModelFacts
from core.usage import Usage
from tests.wire.anthropic_judge import streamed_message_of
from tests.wire.fixtures import fixture_json
from tests.wire.stream_checks import decode

TARGET = Target("m", "b", "anthropic", ModelFacts("claude", "anthropic"))
REPLY = Reply("m", "0123456789abcdefghij", 0, Conversation("messages", "m"))


def foreign(*blocks: Block, stop: Stop | None = None, usage: Usage | None = None) -> Answer:
    answer = Answer("chatcmpl-1", "gpt", list(blocks), stop or Stop("end_turn", "stop"), usage or Usage())
    answer.format = "chat_completions"
    return answer


def encoded(events: Any) -> bytes:
    writer = StreamEncoder(REPLY)
    return b"".join([*map(writer.emit, events), writer.close()])


def wire_events(events: Any) -> list[Any]:
    return [json.loads(record.data) for record in records_of(encoded(events))]


def test_back_to_back_tool_calls_are_blocks_of_their_own() -> None:
    """litellm#15307, litellm PR15315."""
    calls = [ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "f", '{"x": 2}'), ToolCall("c", "g", "{}")]
    content = streamed_message_of(encoded(events_of(foreign(*calls))))["content"]
    assert [(block["id"], block["input"]) for block in content] == [("a", {"x": 1}), ("b", {"x": 2}), ("c", {})]


def test_arguments_that_come_with_the_name_are_kept() -> None:
    """litellm#25321, litellm PR25411."""
    call = ToolCall("a", "f", '{"path": "x"}')
    events: list[Event] = [
        Started(),
        PartStarted(0, Text("")),
        PartDelta(0, "text", "Now."),
        PartEnded(0, Text("Now.")),
        PartStarted(1, ToolCall("a", "f")),
        PartDelta(1, "arguments", '{"path": "x"}'),
        PartEnded(1, call),
        Finished(Stop("tool_use"), Usage()),
    ]
    assert streamed_message_of(encoded(events))["content"][1]["input"] == {"path": "x"}


text_blocks = st.lists(
    st.builds(Text, st.text(min_size=1, max_size=5).filter(str.strip))
    | st.builds(Reasoning, st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=1))
    | st.builds(ToolCall, st.sampled_from("abc"), st.just("f"), st.just('{"a":1}')),
    max_size=6,
)


@given(text_blocks)
def test_nothing_is_lost_where_one_block_follows_another(blocks: list[Block]) -> None:
    """litellm#30014, litellm PR30024: concatenated output equals the backend's for any order of blocks."""
    events = wire_events(events_of(foreign(*blocks)))
    starts = [event["index"] for event in events if event["type"] == "content_block_start"]
    stops = [event["index"] for event in events if event["type"] == "content_block_stop"]
    assert starts == stops == list(range(len(blocks)))
    for index, block in enumerate(blocks):
        deltas = [
            event["delta"] for event in events if event["type"] == "content_block_delta" and event["index"] == index
        ]
        told = "".join(
            delta.get("text") or delta.get("thinking") or delta.get("partial_json") or "" for delta in deltas
        )
        assert told == (block.arguments if isinstance(block, ToolCall) else getattr(block, "text", None))


def test_a_stream_that_begins_with_a_tool_opens_nothing_before_it() -> None:
    """litellm#31561: no empty text block 0, no empty delta."""
    events = wire_events(events_of(foreign(ToolCall("a", "f"))))
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_second_reasoning_segment_is_a_new_block() -> None:
    """sglang#24293, ccr#1397, ccr#1725, new-api#4389, ollama#14816."""
    blocks = [Reasoning(["a"]), Text("b"), Reasoning(["c"]), ToolCall("i", "f")]
    events = wire_events(events_of(foreign(*blocks)))
    kinds = {
        "thinking": ("thinking_delta", "signature_delta"),
        "text": ("text_delta",),
        "tool_use": ("input_json_delta",),
    }
    open_kind = ""
    for event in events:
        if event["type"] == "content_block_start":
            open_kind = event["content_block"]["type"]
        elif event["type"] == "content_block_delta":
            assert event["delta"]["type"] in kinds[open_kind]


def test_calls_without_arguments_are_closed_and_to_be_run() -> None:
    """bifrost PR3441."""
    events = wire_events(events_of(foreign(ToolCall("a", "f"), ToolCall("b", "g"))))
    assert [event["index"] for event in events if event["type"] == "content_block_stop"] == [0, 1]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    whole = write_response(foreign(ToolCall("a", "f"), ToolCall("b", "g")), REPLY)
    assert [block["input"] for block in whole["content"]] == [{}, {}]
    assert whole["stop_reason"] == "tool_use"


def test_late_usage_stands_in_the_last_message_delta() -> None:
    """envoy#2352, litellm#31069."""
    usage = Usage(100, 7, 50, 20, 10)
    message = streamed_message_of(encoded(events_of(foreign(Text("a"), usage=usage))))
    told = message["usage"]
    assert (told["input_tokens"], told["output_tokens"]) == (100, 7)
    assert (told["cache_read_input_tokens"], told["cache_creation_input_tokens"]) == (50, 30)


def test_one_message_start_with_an_id_of_its_own() -> None:
    """litellm's message-id tests; vercel/ai's duplicate-message-start and spliced-message-start."""
    events = wire_events([Started("chatcmpl-1"), *events_of(foreign(Text("a")))])
    starts = [event["message"]["id"] for event in events if event["type"] == "message_start"]
    assert starts == ["msg_0123456789abcdefghij"]


def test_a_signature_comes_right_before_its_blocks_stop() -> None:
    """bifrost#5638: and the same one in the whole answer."""
    block = Reasoning(["a"], signature="c2ln", origin=Origin("anthropic"))
    events = wire_events(events_of(foreign(block, Text("b"))))
    stop = next(place for place, event in enumerate(events) if event["type"] == "content_block_stop")
    assert events[stop - 1]["delta"] == {"type": "signature_delta", "signature": "c2ln"}
    assert all("signature" not in event.get("delta", {}) for event in events[: stop - 1])
    assert write_response(foreign(block), REPLY)["content"][0]["signature"] == "c2ln"


def test_interleaved_thinking_and_calls_keep_their_order() -> None:
    """bifrost#6342, bifrost#5560, bifrost#5762."""
    content = [
        {"type": "thinking", "thinking": "a", "signature": "czE="},
        {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        {"type": "thinking", "thinking": "", "signature": "czI="},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": "b"},
        {"type": "tool_use", "id": "2", "name": "f", "input": {"b": 1, "a": 2}},
    ]
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "assistant", "content": content}]}
    written = write_request(read_request(body, Call()), TARGET).body
    assert json.dumps(written["messages"][0]["content"]) == json.dumps(content)
    answer = {**fixture_json("responses", "messages/made-every-block.json"), "content": content}
    assert write_response(read_response(answer, TARGET), Reply(answer["model"], "", 0, REPLY.conversation)) == answer


FOREIGN_THINKING = [
    Reasoning(["a"]),
    Reasoning(["a"], encrypted="x", id="rs_1", origin=Origin("openai")),
    Reasoning(signature="c2ln", origin=Origin("google")),
    Reasoning(["a"], origin=Origin("anthropic")),
]


@pytest.mark.parametrize("block", FOREIGN_THINKING)
def test_foreign_or_unsigned_thinking_is_never_sent_to_claude(block: Reasoning) -> None:
    """bifrost PR4075, tensorzero PR3944; oh-my-pi PR333 for the signature that an aborted stream lacks."""
    message = Message("assistant", [block, Text("b")])
    written = write_request(Conversation("chat_completions", "m", [message]), TARGET)
    assert written.body["messages"][0]["content"] == [{"type": "text", "text": "b"}]
    assert written.dropped


def test_an_aborted_stream_is_never_a_finished_answer() -> None:
    """oh-my-pi PR333: half a signature must not look whole."""
    data = encoded(events_of(foreign(Reasoning(["a"], signature="c2lnbmF0dXJl", origin=Origin("anthropic")))))
    events = decode(StreamDecoder(TARGET), [data[: data.index(b"c2lnbmF0dXJl") + 5]])
    assert isinstance(events[-1], Failed)
    assert not any(isinstance(event, PartEnded) for event in events)


def test_images_in_tool_results_are_carried() -> None:
    """ccr#1678, envoy#2098, CLIProxyAPI#1670."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aQ=="}}
    result = {"type": "tool_result", "tool_use_id": "i", "content": [image]}
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [result]}]}
    assert write_request(read_request(body, Call()), TARGET).body == body


def test_a_schema_is_enforced_or_refused() -> None:
    """litellm PR39070, litellm#27846, litellm#21208."""
    conversation = Conversation("chat_completions", "m", [Message("user", [Text("a")])])
    conversation.output_format = OutputFormat("json_schema", {"type": "object", "additionalProperties": False})
    assert write_request(conversation, TARGET).body["output_config"]["format"]["type"] == "json_schema"
    unable = Target("m", "b", "anthropic", ModelFacts("claude-3", "anthropic", structured_output=False))
    with pytest.raises(Unsupported):
        write_request(conversation, unable)


def test_empty_texts_are_never_sent() -> None:
    """claude-code#62396, hermes PR11929, llama_index PR17278."""
    messages = [
        Message("user", [Text(""), Text("a")]),
        Message("assistant", [Text(" \n")]),
        Message("user", [ToolResult("i", [Text("")])]),
    ]
    written = write_request(Conversation("chat_completions", "m", messages), TARGET).body["messages"]
    assert [message["content"] for message in written] == [
        [{"type": "text", "text": "a"}],
        "(no content)",
        [{"type": "tool_result", "tool_use_id": "i"}],
    ]


def test_system_messages_between_turns_are_read() -> None:
    """envoy PR2189, kiro-gateway#190, claude-code#77698, nyro PR217, colibri PR725."""
    body = fixture_json("requests", "messages/made-claude-code.json")
    roles = [message.role for message in read_request(body, Call()).messages]
    assert roles == ["system", "user", "system", "assistant", "user", "system"]


counts = st.integers(0, 1000)


@given(counts, counts, counts, counts, counts)
def test_cache_tokens_are_counted_once(fresh: int, read: int, short: int, long: int, output: int) -> None:
    """litellm PR24845, PR25517, #34373, PR36878, #9812, #11789, #15270: streamed and whole the same."""
    usage = Usage(fresh, output, read, short, long)
    body = write_response(foreign(Text("a"), usage=usage), REPLY)
    again = read_response(body, TARGET).usage
    last = decode(StreamDecoder(TARGET), [encoded(events_of(foreign(Text("a"), usage=usage)))])[-1]
    assert isinstance(last, Finished)
    for seen in (again, last.usage):
        assert seen.total_input_tokens == fresh + read + short + long
        assert (seen.cache_write_5m_tokens, seen.cache_write_1h_tokens) == (short, long)
        assert seen.output_tokens == output


def test_a_conversation_that_grows_keeps_its_prefix() -> None:
    """litellm#41424, benchflow#1135, bifrost#5629: the same history is the same bytes on every turn."""
    body = fixture_json("requests", "messages/made-claude-code.json")
    earlier = {**body, "messages": body["messages"][:3]}
    texts = []
    for request in (earlier, body):
        written = write_request(read_request(request, Call()), TARGET).body
        texts.append([json.dumps(written[name]) for name in ("system", "tools", "messages")])
    assert texts[0][:2] == texts[1][:2]
    assert texts[1][2].startswith(texts[0][2].removesuffix("]"))
