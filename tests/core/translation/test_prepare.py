"""Whole conversations, prepared for each target and restored on the way back."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conversation import (
    Answer,
    Block,
    CacheMark,
    Conversation,
    Message,
    Origin,
    OutputFormat,
    Reasoning,
    ReasoningRequest,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from core.errors import Unsupported
from core.events import events_of
from core.formats.contract import Target
from core.models.resolve import facts_for
from core.stop import Stop
from core.translation.pipeline import translate_request
from core.translation.prepare import INERT_TOOL
from core.translation.reasoning_state import SENTINEL
from core.translation.rules import rules_for
from tests.core.translation.cases import PROVIDERS, call, conversation, prepared, result, said, shape, target

WHOLE = "EqoBCkYIARgC"
GOOGLE = Origin("google")
TARGETS = [
    ("chat_completions", "gpt-4o"),
    ("chat_completions", "deepseek-chat"),
    ("responses", "gpt-5"),
    ("messages", "claude-sonnet-4-5"),
    ("messages", "claude-opus-5"),
    ("converse", "us.anthropic.claude-opus-4-6-v1"),
    ("converse", "amazon.nova-pro-v1:0"),
    ("generate_content", "gemini-2.5-pro"),
    ("generate_content", "gemini-3-pro"),
]


def test_converse_wants_tools_when_the_history_has_them() -> None:
    history = (said("user", "a"), said("assistant", call()), said("user", result()))
    assert prepared(conversation(*history), "converse", "claude-opus-4-6").conversation.tools == [INERT_TOOL]
    assert prepared(conversation(said("user", "a")), "converse", "claude-opus-4-6").conversation.tools == []
    assert prepared(conversation(*history), "messages", "claude-opus-4-6").conversation.tools == []


def test_converse_cannot_say_none() -> None:
    source = conversation(said("user", "a"), tools=[Tool("look")], tool_choice=ToolChoice("none"))
    done = prepared(source, "converse", "claude-opus-4-6")
    assert done.conversation.tools == []
    assert done.conversation.tool_choice is None
    assert [warning.path for warning in done.dropped] == ["tool_choice"]
    assert prepared(source, "messages", "claude-opus-4-6").conversation.tool_choice == ToolChoice("none")


def test_a_model_without_tools_refuses_them() -> None:
    with pytest.raises(Unsupported) as caught:
        prepared(conversation(said("user", "a"), tools=[Tool("look")]), "converse", "amazon.titan-text-express-v1")
    assert caught.value.param == "tools"


def test_an_open_loop_without_its_thinking_turns_thinking_off() -> None:
    loop = [said("user", "a"), said("assistant", call()), said("user", result())]
    source = conversation(*loop, reasoning=ReasoningRequest("budget", budget=2_048), max_tokens=4_000)
    done = prepared(source, "messages", "claude-sonnet-4-5")
    assert done.conversation.reasoning == ReasoningRequest("off")
    assert [warning.path for warning in done.dropped] == ["thinking"]
    signed = Reasoning(["hm"], signature=WHOLE, origin=Origin("anthropic"))
    loop[1] = said("assistant", signed, call())
    whole = prepared(replace(source, messages=loop), "messages", "claude-sonnet-4-5")
    assert whole.conversation.reasoning == source.reasoning
    more = [said("assistant", call("2")), said("user", result("2"))]
    thought_once = replace(whole.conversation, messages=[*loop, *more])
    later = prepared(thought_once, "messages", "claude-sonnet-4-5")
    assert later.conversation.reasoning == source.reasoning and not later.dropped
    demanded = replace(thought_once, tools=[Tool("look")], tool_choice=ToolChoice("required"))
    forced = prepared(demanded, "messages", "claude-sonnet-4-5")
    assert forced.conversation.reasoning == ReasoningRequest("off")
    assert forced.conversation.messages[1] == said("assistant", call()), "thinking that is off cannot be replayed"
    assert [warning.path for warning in forced.dropped] == ["thinking", "messages.thinking"]
    adaptive = prepared(source, "messages", "claude-opus-4-7").conversation.reasoning
    assert adaptive is not None and adaptive.mode == "adaptive"


def test_knobs_depend_on_each_other() -> None:
    source = conversation(
        said("user", "a"),
        format="chat_completions",
        max_tokens=500,
        reasoning=ReasoningRequest("effort", "high"),
        sampling=Sampling(temperature=0.5),
        stop=["a"],
    )
    done = prepared(source, "messages", "claude-sonnet-4-5")
    assert done.conversation.max_tokens == 16_884
    assert done.conversation.reasoning == ReasoningRequest("budget", budget=16_384, display="summary")
    assert done.conversation.sampling == Sampling()
    assert [warning.path for warning in done.dropped] == ["max_completion_tokens", "temperature"]
    capped = prepared(
        replace(source, reasoning=ReasoningRequest("budget", budget=90_000)), "messages", "claude-opus-4-1"
    )
    assert capped.conversation.reasoning is not None
    assert (capped.conversation.max_tokens, capped.conversation.reasoning.budget) == (32_000, 31_500)
    off = replace(source, tool_choice=ToolChoice("required"), tools=[Tool("look")])
    forced = prepared(off, "messages", "claude-sonnet-4-5").conversation
    assert forced.reasoning == ReasoningRequest("off")
    assert forced.sampling == Sampling(temperature=0.5)


def test_foreign_history_for_gemini_3_gets_the_sentinel() -> None:
    source = conversation(said("user", "a"), said("assistant", call()), said("user", result()))
    spoken = prepared(source, "generate_content", "gemini-3-pro").conversation.messages[1].content
    assert spoken == [call(signature=SENTINEL, origin=GOOGLE)]
    assert prepared(source, "generate_content", "gemini-2.5-pro").conversation.messages[1].content == [call()]


def test_the_way_back_goes_through_every_step() -> None:
    source = conversation(said("user", "a"), tools=[Tool("run", namespace="functions", kind="custom")])
    done = prepared(source, "generate_content", "gemini-3-pro")
    (tool,) = done.conversation.tools
    answer = Answer("i", "m", [ToolCall("1", tool.name, '{"input":"x"}', signature="c2ln", origin=GOOGLE)])
    restored = done.restore.answer(answer)
    carrier = Reasoning(signature="c2ln", origin=GOOGLE, extra={"for_call": "1"})
    assert restored.content == [
        carrier,
        ToolCall("1", "run", "x", kind="custom", namespace="functions", origin=GOOGLE),
    ]
    streamed = [new for event in events_of(answer) for new in done.restore.events(event)]
    assert [event.block for event in streamed if hasattr(event, "block")][1::2] == restored.content


def test_a_structured_answer_comes_back_as_text() -> None:
    source = conversation(said("user", "a"), output_format=OutputFormat("json_schema", {"type": "object"}))
    done = prepared(source, "converse", "amazon.nova-pro-v1:0")
    answer = Answer("i", "m", [ToolCall("1", "structured_output", '{"a":1}')], Stop("tool_use"))
    assert done.restore.answer(answer) == Answer("i", "m", [Text('{"a":1}')], Stop("end_turn"))


# --- every turn begins with the same bytes ----------------------------------------------------------------

NAMES = st.sampled_from(["look", "a.b", "a_b", "x" * 90, "find it"])
IDS = st.sampled_from(["call_1", "toolu_02", "call|3", "i" * 70])
TEXTS = st.sampled_from(["hello", "", "  ", "more words", "x-anthropic-billing-header: 1"])


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """One exchange: the user's turn (maybe with reminders), the assistant's, and results of its calls."""
    messages = [said("user", *draw(st.lists(TEXTS, min_size=1, max_size=2)))]
    if draw(st.booleans()):
        messages.append(said("system", draw(TEXTS)))
    content: list[Block] = []
    vendor = draw(st.sampled_from(["anthropic", "openai", "google"]))
    if draw(st.booleans()):
        content.append(Reasoning([draw(TEXTS)], signature=WHOLE, origin=Origin(vendor)))
    content.append(Text(draw(TEXTS)))
    calls = draw(st.lists(st.tuples(IDS, NAMES), max_size=2, unique_by=lambda pair: pair[0]))
    for id, name in calls:
        signature = draw(st.none() | st.just("c2ln"))
        content.append(ToolCall(id, name, "{}", signature=signature, origin=GOOGLE if signature else None))
    messages.append(said("assistant", *content))
    answered = [ToolResult(id, [Text(draw(TEXTS))]) for id, _ in calls if draw(st.booleans())]
    if answered:
        messages.append(said("tool", *answered))
        messages.append(said("assistant", draw(TEXTS)))
    return messages


def blocks_of(source: Conversation, format_name: str, model: str) -> list[str]:
    """Every block that the target sees, in order, with the role of its message."""
    done = prepared(source, format_name, model).conversation
    return [f"{message.role} {block!r}" for message in done.messages for block in message.content]


@pytest.mark.parametrize(("format_name", "model"), TARGETS)
@settings(max_examples=40, deadline=None)
@given(exchanges=st.lists(turns(), min_size=1, max_size=4), last=TEXTS)
def test_a_longer_conversation_begins_with_the_shorter_one(
    format_name: str, model: str, exchanges: list[list[Message]], last: str
) -> None:
    head = [said("system", "You are", slot="system")]
    history: list[Message] = []
    before: list[str] = []
    for exchange in exchanges:
        # The request that led to this exchange's answer, then the same with the answer in its history.
        asked = exchange[: next(place for place, message in enumerate(exchange) if message.role == "assistant")]
        source = conversation(*head, *history, *asked, tools=[Tool("look"), Tool("a.b")])
        untouched = deepcopy(source)
        blocks = blocks_of(source, format_name, model)
        assert source == untouched
        assert blocks[: len(before)] == before
        before = blocks
        history += exchange
    final = conversation(*head, *history, said("user", last), tools=[Tool("look"), Tool("a.b")])
    assert blocks_of(final, format_name, model)[: len(before)] == before


# --- the whole pipeline -----------------------------------------------------------------------------------


def full(client: Any) -> Conversation:
    return Conversation(
        client,
        "asked",
        [
            said("system", "You are", slot="system"),
            said("user", Text("look", cache=CacheMark())),
            said("assistant", Reasoning(["hm"], signature=WHOLE, origin=Origin("anthropic")), "so", call("c|1", "a.b")),
            said("tool", result("c|1")),
            said("user", "well?"),
        ],
        tools=[Tool("a.b", "Looks.", {"type": "object", "properties": {}})],
        tool_choice=ToolChoice("auto"),
        reasoning=ReasoningRequest("effort", "low"),
        max_tokens=5_000,
        sampling=Sampling(temperature=0.3),
    )


@pytest.mark.parametrize("client", PROVIDERS)
@pytest.mark.parametrize(("format_name", "model"), TARGETS)
def test_every_pair_is_written(client: str, format_name: str, model: str) -> None:
    where = Target(model, "backend", PROVIDERS[format_name], facts_for(model), stream=True)
    done = translate_request(full(client), format_name, where)
    assert json.dumps(done.written.body)
    assert all(warning.path and warning.reason for warning in done.written.dropped)
    text = json.dumps(done.written.body)
    assert "look" in text and "seen" in text and "well?" in text
    assert full(client) == full(client)


def test_the_warnings_of_both_stages_are_in_the_clients_words() -> None:
    source = full("responses")
    source.extra = {"truncation": "auto"}
    done = translate_request(source, "messages", target("claude-opus-4-7", "anthropic"))
    paths = [warning.path for warning in done.written.dropped]
    assert "temperature" in paths
    assert "truncation" in paths


def test_invoke_model_is_messages_without_urls() -> None:
    where = Target("anthropic.claude-opus-4-6-v1", "backend", "bedrock", facts_for("claude-opus-4-6"))
    done = translate_request(full("responses"), "invoke", where)
    assert "model" not in done.written.body
    assert rules_for("invoke", where) == rules_for("messages", where)
    assert not rules_for("invoke", where).image_urls


def test_shape_of_a_whole_request() -> None:
    done = prepared(full("responses"), "generate_content", "gemini-2.5-pro").conversation
    assert shape(done.messages) == [
        ("system", ["You are"]),
        ("user", ["look"]),
        ("assistant", ["so", "call a.b c|1"]),
        ("user", ["result c|1: seen", "well?"]),
    ]
