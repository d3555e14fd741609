"""JSON answers from models without structured output."""

from __future__ import annotations

import pytest

from core.conversation import Answer, OutputFormat, Text, Tool, ToolCall, ToolChoice
from core.errors import Unsupported
from core.events import Event, Finished, PartDelta, PartEnded, PartStarted
from core.models.resolve import facts_for
from core.stop import Stop
from core.translation.losses import Losses
from core.translation.rules import RULES
from core.translation.structured_output import JSON_ONLY, TOOL_NAME, OutputRestorer, with_structured_output
from core.usage import Usage
from tests.core.translation.cases import conversation, said, shape

SCHEMA = OutputFormat("json_schema", {"type": "object"}, description="An answer.")
ANY = OutputFormat("json_object")


@pytest.mark.parametrize(
    ("wanted", "to", "model"),
    [
        (None, "messages", "claude-3-haiku"),
        (OutputFormat("text"), "messages", "claude-3-haiku"),
        (SCHEMA, "messages", "claude-opus-4-7"),
        (SCHEMA, "converse", "claude-opus-4-6"),
        (ANY, "chat_completions", "gpt-4"),
    ],
)
def test_what_needs_nothing(wanted: OutputFormat | None, to: str, model: str) -> None:
    source = conversation(output_format=wanted)
    assert with_structured_output(source, RULES[to], facts_for(model), Losses("messages")) == (source, False)


def test_a_tool_stands_in() -> None:
    source = conversation(output_format=SCHEMA)
    written, as_call = with_structured_output(source, RULES["converse"], facts_for("nova-pro"), Losses("messages"))
    assert as_call
    assert written.tools == [Tool(TOOL_NAME, "An answer.", {"type": "object"})]
    assert written.tool_choice == ToolChoice("named", [TOOL_NAME])
    assert written.output_format is None
    bare = conversation(output_format=OutputFormat("json_schema"))
    written, _ = with_structured_output(bare, RULES["converse"], facts_for("nova-pro"), Losses("messages"))
    assert written.tools[0].parameters == {"type": "object"}


def test_json_in_words() -> None:
    losses = Losses("chat_completions")
    source = conversation(said("system", "s"), said("user", "u"), output_format=ANY)
    written, as_call = with_structured_output(source, RULES["messages"], facts_for("claude-opus-5"), losses)
    assert not as_call
    assert shape(written.messages) == [("system", ["s"]), ("system", [JSON_ONLY]), ("user", ["u"])]
    assert [warning.path for warning in losses.dropped] == ["response_format"]


@pytest.mark.parametrize(
    ("model", "tools"), [("nova-pro", [Tool("look")]), ("llama3-1-8b", []), ("titan-text-express", [])]
)
def test_a_model_that_can_neither_enforce_nor_call_refuses(model: str, tools: list[Tool]) -> None:
    source = conversation(output_format=SCHEMA, tools=tools)
    with pytest.raises(Unsupported) as caught:
        with_structured_output(source, RULES["converse"], facts_for(model), Losses("messages"))
    assert caught.value.param == "output_config.format"


def test_the_call_becomes_text_again() -> None:
    output = ToolCall("1", TOOL_NAME, '{"a":1}')
    other = ToolCall("2", "look", "{}")
    restorer = OutputRestorer()
    answer = Answer("i", "m", [Text("so"), output], Stop("tool_use"))
    assert restorer.answer(answer).content == [Text("so"), Text('{"a":1}')]
    assert restorer.answer(answer).stop == Stop("end_turn")
    events: list[Event] = [
        PartStarted(0, ToolCall("1", TOOL_NAME)),
        PartDelta(0, "arguments", '{"a":1}'),
        PartEnded(0, output),
        PartStarted(1, other),
        PartDelta(1, "arguments", "{}"),
        PartEnded(1, other),
        Finished(Stop("max_tokens"), Usage()),
    ]
    assert [new for old in events for new in restorer.feed(old)] == [
        PartStarted(0, Text("")),
        PartDelta(0, "text", '{"a":1}'),
        PartEnded(0, Text('{"a":1}')),
        *events[3:],
    ]


RECURSIVE = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}


def test_a_schema_that_anthropic_refuses_is_a_tools() -> None:
    source = conversation(format="responses", output_format=OutputFormat("json_schema", RECURSIVE))
    _, as_call = with_structured_output(source, RULES["messages"], facts_for("claude-opus-4-6"), Losses("responses"))
    assert as_call
    with pytest.raises(Unsupported, match="no schema like this"):
        with_structured_output(source, RULES["messages"], facts_for("claude-opus-5-5"), Losses("responses"))
    own = conversation(format="converse", output_format=OutputFormat("json_schema", RECURSIVE))
    assert with_structured_output(own, RULES["messages"], facts_for("claude-opus-5-5"), Losses("converse"))[0] is own
    elsewhere = with_structured_output(source, RULES["converse"], facts_for("gpt-oss-120b"), Losses("responses"))
    assert elsewhere[0].output_format is not None or elsewhere[1]
