"""Aliases for tools and ids, out and back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from core.conversation import Answer, Text, Tool, ToolCall, ToolChoice
from core.events import Event, PartDelta, PartEnded, PartStarted, Ping
from core.models.resolve import facts_for
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.rules import CHAT_COMPLETIONS, CONVERSE, GENERATE_CONTENT, MESSAGES, RESPONSES
from core.translation.tool_names import (
    ToolRestorer,
    call_id,
    mapped_choice,
    mapped_messages,
    mapped_tools,
    tool_map,
)
from tests.core.translation.cases import call, conversation, result, said

CLAUDE = facts_for("claude-sonnet-4-5")
GPT = facts_for("gpt-5")
LONG = "mcp__" + "a" * 80


def test_names_that_fit_stay() -> None:
    mapping = tool_map(conversation(tools=[Tool("look"), Tool("mcp__x-y_1")]), MESSAGES, CLAUDE)
    assert mapping.alias("look", None) == "look"
    assert mapping.is_identity()


def test_odd_names_get_an_alias_and_collisions_a_hash() -> None:
    tools = [Tool("a.b"), Tool("a/b"), Tool("a_b"), Tool(LONG), Tool(""), Tool("ümläut")]
    mapping = tool_map(conversation(tools=tools), CONVERSE, CLAUDE)
    aliases = [mapping.alias(tool.name, None) for tool in tools]
    assert aliases[2] == "a_b"  # the one that fits keeps its name, wherever it stands
    assert len(set(aliases)) == len(tools)
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", alias) for alias in aliases)
    assert not mapping.is_identity()


def test_gemini_names_begin_with_a_letter() -> None:
    mapping = tool_map(conversation(tools=[Tool("1st"), Tool("look", namespace="clock")]), GENERATE_CONTENT, CLAUDE)
    assert mapping.alias("1st", None) == "_1st"
    assert mapping.alias("look", "clock") == "clock.look"


def test_namespaces_are_flattened_and_restored() -> None:
    tools = [Tool("run", namespace="functions"), Tool("run")]
    source = conversation(tools=tools, tool_choice=ToolChoice("named", ["run"], extra={"raw": {}}))
    mapping = tool_map(source, MESSAGES, CLAUDE)
    mapped = mapped_tools(tools, mapping, Losses("responses"))
    assert [(tool.name, tool.namespace) for tool in mapped] == [("functions__run", None), ("run", None)]
    assert mapping.restored(call(name="functions__run")) == call(name="run", namespace="functions")
    assert mapping.restored(call(name="unheard")) == call(name="unheard")
    choice = mapped_choice(source.tool_choice, source, mapping)
    assert choice == ToolChoice("named", ["functions__run"])
    native = tool_map(source, RESPONSES, GPT)
    described = [replace(tools[0], note={"namespace": {"description": "All of them."}}), tools[1]]
    losses, kept = Losses("responses"), Losses("responses")
    assert [tool.namespace for tool in mapped_tools(described, native, kept)] == ["functions", None]
    mapped_tools(described, mapping, losses)
    assert ([item.path for item in losses.dropped], kept.dropped) == (["tools"], [])
    assert mapped_choice(ToolChoice("auto"), source, mapping) == ToolChoice("auto")


def test_custom_tools_are_wrapped_where_there_are_none() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "x"}
    tools = [Tool("patch", kind="custom", grammar=grammar), Tool("free", kind="custom")]
    source = conversation(
        said("assistant", call(name="patch", arguments="*** raw", kind="custom")),
        said("user", result(kind="custom", name="said")),
        tools=tools,
    )
    mapping = tool_map(source, CHAT_COMPLETIONS, CLAUDE)
    losses = Losses("responses")
    assert [tool.kind for tool in mapped_tools(tools, mapping, losses)] == ["function", "function"]
    assert [warning.path for warning in losses.dropped] == ["tools"]
    spoken, answered = mapped_messages(source.messages, mapping)
    assert spoken.content == [call(name="patch", arguments='{"input": "*** raw"}')]
    assert answered.content[0] == result(name="patch")
    assert mapping.restored(call(name="patch", arguments='{"input": "new"}')) == call(
        name="patch", arguments="new", kind="custom"
    )


def test_custom_tools_stay_where_they_are_native() -> None:
    tools = [Tool("patch", kind="custom")]
    source = conversation(said("assistant", call(name="patch", arguments="x", kind="custom")), tools=tools)
    mapping = tool_map(source, CHAT_COMPLETIONS, GPT)
    assert mapped_tools(tools, mapping, Losses("responses")) == tools
    assert mapped_messages(source.messages, mapping)[0].content == source.messages[0].content


def test_server_tools_are_left_alone() -> None:
    tools = [Tool("web search!", kind="server", raw={"type": "web_search"})]
    mapping = tool_map(conversation(tools=tools), MESSAGES, CLAUDE)
    assert mapped_tools(tools, mapping, Losses("messages")) == tools
    assert mapping.originals == {}


def test_ids_that_do_not_fit_are_hashed_alike_in_calls_and_results() -> None:
    odd = "call|1 with spaces"
    source = conversation(said("assistant", call(odd, "look"), "and"), said("user", result(odd)))
    mapping = tool_map(source, MESSAGES, CLAUDE)
    spoken, answered = mapped_messages(source.messages, mapping)
    new = spoken.content[0]
    assert isinstance(new, ToolCall)
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", new.id)
    assert answered.content[0] == result(new.id)  # whose tool's name nobody said
    assert call_id("toolu_1", MESSAGES) == "toolu_1"
    assert len(call_id("x" * 200, CHAT_COMPLETIONS)) <= 40


@given(st.lists(st.tuples(st.none() | st.text(max_size=4), st.text(max_size=70)), max_size=12, unique=True))
def test_every_name_finds_its_way_back(names: list[tuple[str | None, str]]) -> None:
    source = conversation(tools=[Tool(name, namespace=namespace) for namespace, name in names])
    for rules in (MESSAGES, GENERATE_CONTENT):
        mapping = tool_map(source, rules, CLAUDE)
        for namespace, name in names:
            alias = mapping.alias(name, namespace)
            assert rules.tool_name.fullmatch(alias)
            assert mapping.restored(call(name=alias)) == call(name=name, namespace=namespace)


def test_a_streamed_call_is_restored_as_it_comes() -> None:
    source = conversation(tools=[Tool("patch", kind="custom", namespace="functions"), Tool("a.b")])
    restorer = ToolRestorer(tool_map(source, MESSAGES, CLAUDE))
    wrapped = ToolCall("1", "functions__patch", '{"input": "a\\nb"}')
    whole = ToolCall("1", "patch", "a\nb", kind="custom", namespace="functions")
    events: list[Event] = [
        Ping(),
        PartStarted(0, ToolCall("1", "functions__patch")),
        PartDelta(0, "arguments", '{"inp'),
        PartDelta(0, "arguments", 'ut": "a\\n'),
        PartDelta(0, "arguments", 'b"}'),
        PartEnded(0, wrapped),
        PartStarted(1, ToolCall("2", "a_b")),
        PartDelta(1, "arguments", "{}"),
        PartEnded(1, ToolCall("2", "a_b", "{}")),
        PartStarted(2, Text("")),
        PartDelta(2, "text", "done"),
        PartEnded(2, Text("done")),
    ]
    assert [new for old in events for new in restorer.feed(old)] == [
        Ping(),
        PartStarted(0, ToolCall("1", "patch", kind="custom", namespace="functions")),
        PartDelta(0, "arguments", "a\n"),
        PartDelta(0, "arguments", "b"),
        PartEnded(0, whole),
        PartStarted(1, ToolCall("2", "a.b")),
        PartDelta(1, "arguments", "{}"),
        PartEnded(1, ToolCall("2", "a.b", "{}")),
        *events[9:],
    ]
    assert restorer.answer(Answer("1", "m", [wrapped, Text("x")])).content == [whole, Text("x")]


def test_text_that_was_held_back_comes_before_the_end() -> None:
    restorer = ToolRestorer(tool_map(conversation(tools=[Tool("patch", kind="custom")]), MESSAGES, CLAUDE))
    events: list[Event] = [
        PartStarted(0, ToolCall("1", "patch")),
        PartDelta(0, "arguments", "*** raw"),
        PartEnded(0, ToolCall("1", "patch", "*** raw")),
    ]
    assert [new for old in events for new in restorer.feed(old)][1:] == [
        PartDelta(0, "arguments", "*** raw"),
        PartEnded(0, ToolCall("1", "patch", "*** raw", kind="custom")),
    ]
