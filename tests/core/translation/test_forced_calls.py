"""A call is demanded of a model that refuses such demands."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import Answer, OutputFormat, Reasoning, Stop, Text, Tool, ToolCall, ToolChoice
from core.events import Event, Finished, PartDelta, PartEnded, PartStarted, Ping, Started, answer_of
from core.translation.forced_calls import CallRestorer
from core.usage import Usage
from tests.core.translation.cases import call, conversation, prepared, result, said

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}}
CLOSED: dict[str, Any] = {**SCHEMA, "additionalProperties": False}
TOOL = Tool("extract", "Takes it.", SCHEMA)
REQUIRED = ToolChoice("required")


def test_a_single_tool_becomes_the_output_format_and_the_answer_its_call() -> None:
    source = conversation(said("user", "x"), tools=[TOOL], tool_choice=ToolChoice("named", ["extract"]))
    done = prepared(source, "messages", "claude-opus-5-5")
    assert (done.conversation.tools, done.conversation.tool_choice) == ([], None)
    assert done.conversation.output_format == OutputFormat("json_schema", {"description": "Takes it.", **SCHEMA})
    assert [warning.path for warning in done.dropped] == ["tool_choice"]
    given = done.restore.answer(Answer("msg_1", "m", [Reasoning(["hm"], signature="s"), Text('{"n":1}')]))
    [made] = given.content
    assert isinstance(made, ToolCall) and (made.name, made.arguments) == ("extract", '{"n":1}')
    assert made.id.startswith("call_") and given.stop.reason == "tool_use"


def test_streamed_as_whole() -> None:
    thought = Reasoning(["hm"])
    events: list[Event] = [
        Started("msg_1", "m"),
        Ping(),
        PartStarted(0, Reasoning()),
        PartDelta(0, "reasoning", "hm"),
        PartEnded(0, thought),
        PartStarted(1, Text("")),
        PartDelta(1, "text", '{"n":1}'),
        PartEnded(1, Text('{"n":1}')),
        Finished(Stop("end_turn"), Usage()),
    ]
    restorer = CallRestorer(TOOL)
    made = [new for event in events for new in restorer.feed(event)]
    kinds = [type(event) for event in made]
    assert kinds == [Started, Ping, PartStarted, PartDelta, PartEnded, Finished]
    whole = CallRestorer(TOOL).answer(Answer("msg_1", "m", [thought, Text('{"n":1}')], Stop("end_turn")))
    streamed = answer_of(made)
    assert streamed.content == whole.content
    assert streamed.stop == whole.stop


def test_what_is_no_text_stays_and_other_endings_too() -> None:
    spoken = Answer("1", "m", [call()], Stop("max_tokens"))
    assert CallRestorer(TOOL).answer(spoken) == spoken
    delta = PartDelta(0, "arguments", "{")
    assert CallRestorer(TOOL).feed(delta) == [delta]
    cut = CallRestorer(TOOL).answer(Answer("1", "m", [Text('{"n"')], Stop("max_tokens")))
    assert cut.stop.reason == "max_tokens"


@pytest.mark.parametrize(
    ("tools", "choice", "members"),
    [
        ([TOOL, Tool("other", None, CLOSED)], REQUIRED, {}),
        ([Tool("extract", None, None)], REQUIRED, {}),
        ([Tool("extract", None, {**SCHEMA, "additionalProperties": True})], REQUIRED, {}),
        ([TOOL], REQUIRED, {"output_format": OutputFormat("json_schema", SCHEMA)}),
    ],
)
def test_otherwise_the_model_is_asked_in_words(tools: list[Tool], choice: ToolChoice, members: Any) -> None:
    source = conversation(said("system", "S"), said("user", "x"), tools=tools, tool_choice=choice, **members)
    done = prepared(source, "messages", "claude-opus-5-5")
    assert done.conversation.tool_choice == ToolChoice("auto")
    request = "You must answer with a call of at least one of the tools, not with text alone."
    assert [message.content for message in done.conversation.messages[:2]] == [[Text("S")], [Text(request)]]
    assert "tool_choice" in [warning.path for warning in done.dropped]
    assert [tool.strict for tool in done.conversation.tools] == [
        True if tool.parameters == CLOSED else None for tool in tools
    ]


def test_with_calls_in_the_history_the_tool_stays() -> None:
    source = conversation(
        said("user", "x"),
        said("assistant", call()),
        said("user", result()),
        tools=[TOOL],
        tool_choice=ToolChoice("named", ["extract"]),
    )
    done = prepared(source, "messages", "claude-opus-5-5").conversation
    assert done.tools == [TOOL]
    words = 'You must answer with a call of the tool "extract", not with text alone.'
    assert done.messages[0] == said("system", words, slot="system")


def test_allowed_names_of_a_format_that_has_them() -> None:
    choice = ToolChoice("allowed", ["a", "b"], required=True)
    source = conversation(said("user", "x"), tools=[Tool("a"), Tool("b")], tool_choice=choice)
    done = prepared(source, "chat_completions", "llama-3.3-70b", "openai-compatible").conversation
    assert done.tool_choice == ToolChoice("allowed", ["a", "b"])
    assert done.messages[0].content == [
        Text('You must answer with a call of the tool "a" or "b", not with text alone.')
    ]


def test_strict_tools_are_closed_and_counted() -> None:
    bounded = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    tools = [Tool(f"t{number}", None, bounded, strict=True) for number in range(21)]
    source = conversation(said("user", "x"), format="chat_completions", tools=[Tool("free", strict=True), *tools])
    done = prepared(source, "messages", "claude-opus-4-7")
    assert [tool.strict for tool in done.conversation.tools] == [True] * 20 + [None] * 2
    assert done.conversation.tools[1].parameters == {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": '{"minimum": 1}'}},
        "additionalProperties": False,
    }
    assert [warning.path for warning in done.dropped] == ["tools"]
    old = prepared(source, "messages", "claude-3-5-haiku").conversation
    assert not any(tool.strict for tool in old.tools)
    own = conversation(said("user", "x"), tools=tools)
    assert prepared(own, "converse", "claude-opus-4-5").conversation.tools == tools
