"""Answers that are no object at their top, from backends that enforce objects only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.conversation import Answer, FormatName, OutputFormat, Text, ToolCall
from core.events import Event, Finished, PartDelta, PartEnded, PartStarted
from core.stop import Stop
from core.translation.losses import Losses
from core.translation.output_root import RootRestorer, enforceable_output
from core.translation.rules import RULES
from core.usage import Usage
from tests.core.translation.cases import conversation

LIST = {"type": "array", "items": {"type": "string"}}


def asked(
    schema: dict[str, Any] | None, to: str = "converse", origin: FormatName = "generate_content", **extra: str
) -> Any:
    source = conversation(format=origin, output_format=OutputFormat("json_schema", schema, extra=extra))
    written, restorer = enforceable_output(source, RULES[to], Losses("messages"))
    return written.output_format, restorer


def object_of(value: dict[str, Any], **shared: Any) -> dict[str, Any]:
    head = {"type": "object", "properties": {"value": value}, "required": ["value"], "additionalProperties": False}
    return {**head, **shared}


@pytest.mark.parametrize(
    ("schema", "to", "origin"),
    [
        (None, "messages", "generate_content"),
        ({"type": "object"}, "messages", "generate_content"),
        ({"properties": {}}, "messages", "generate_content"),
        (LIST, "generate_content", "messages"),
        (LIST, "responses", "responses"),
    ],
)
def test_what_stays(schema: Any, to: str, origin: str) -> None:
    wanted, restorer = asked(schema, to, origin)
    assert wanted.schema == schema and restorer is None


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        (LIST, object_of(LIST)),
        ({}, object_of({})),
        ({"$schema": "s", "type": ["object", "null"]}, object_of({"type": ["object", "null"]})),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#"}, {"$ref": "#/$defs/A"}]}}},
            object_of(
                {"$ref": "#/$defs/A"},
                **{"$defs": {"A": {"anyOf": [{"$ref": "#/properties/value"}, {"$ref": "#/$defs/A"}]}}},
            ),
        ),
        (
            {"items": {"properties": {"$ref": {"$ref": "#/items"}, "other": {"$ref": "http://x"}}}},
            object_of(
                {"items": {"properties": {"$ref": {"$ref": "#/properties/value/items"}, "other": {"$ref": "http://x"}}}}
            ),
        ),
    ],
)
def test_the_value_stands_in_an_object(schema: dict[str, Any], written: dict[str, Any]) -> None:
    wanted, restorer = asked(schema)
    assert wanted.schema == written and restorer is not None


def test_openai_enforces_what_it_can() -> None:
    thing = {"type": "object", "properties": {"a": LIST}, "required": ["a"]}
    wanted, _ = asked({"type": "array", "items": thing}, "responses")
    closed = {**thing, "additionalProperties": False}
    assert (wanted.schema, wanted.strict) == (object_of({"type": "array", "items": closed}), True)


def test_a_word_needs_no_media_type_elsewhere() -> None:
    wanted, _ = asked({"enum": ["a"]}, responseMimeType="text/x.enum")
    assert wanted.extra == {}
    wanted, _ = asked({"enum": ["a"]}, responseMimeType="text/csv")
    assert wanted.extra == {"responseMimeType": "text/csv"}


def streamed(restorer: RootRestorer, text: str, size: int) -> tuple[str, str]:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    events: list[Event] = [PartStarted(0, Text(""))]
    events += [PartDelta(0, "text", piece) for piece in pieces]
    events.append(PartEnded(0, Text(text)))
    shown = [new for event in events for new in restorer.feed(event)]
    deltas = [event.value for event in shown if isinstance(event, PartDelta)]
    assert all(deltas)
    last = shown[-1]
    assert isinstance(last, PartEnded) and isinstance(last.block, Text)
    return "".join(deltas), last.block.text


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    ("text", "value", "word"),
    [
        ('{"value":[1.50,{"a":{}}]}', '[1.50,{"a":{}}]', None),
        (' {\n "value" : [ "}" , 1 ]\n}\n', '[ "}" , 1 ]', None),
        ('{"value":"gr\\u00fcn "}', '"gr\\u00fcn "', "grün "),
        ('{"value":{"a":1}', '{"a":1}', None),  # cut short: the end is the value's
        ('{"va', '{"va', None),
        ('{"v a l u e":1}', '{"v a l u e":1}', None),
        ("[1, 2] ", "[1, 2] ", None),
        ('"a"', '"a"', "a"),
        ("I cannot.", "I cannot.", None),
        ("", "", None),
    ],
)
def test_the_value_is_taken_out(text: str, value: str, word: str | None, bare: bool) -> None:
    wanted = word if bare and word is not None else value
    whole = RootRestorer(bare).answer(Answer("i", "m", [Text(text), ToolCall("1", "f")], Stop("end_turn")))
    assert whole.content == [Text(wanted), ToolCall("1", "f")]
    for size in (1, 3, 7, 100):
        assert streamed(RootRestorer(bare), text, size) == (wanted, wanted)


def test_each_text_stands_for_itself_and_other_events_pass() -> None:
    restorer = RootRestorer(False)
    assert streamed(restorer, '{"value":1}', 2) == ("1", "1")
    assert streamed(restorer, '{"value":2}', 2) == ("2", "2")
    others: list[Event] = [
        PartStarted(0, ToolCall("1", "f")), PartDelta(0, "arguments", "{}"), Finished(Stop("end_turn"), Usage())
    ]  # fmt: skip
    assert [restorer.feed(event) for event in others] == [[event] for event in others]


def test_values_stay_json() -> None:
    for value in ([], {}, 0, "}", [{"value": {}}], None):
        text = json.dumps({"value": value})
        assert json.loads(streamed(RootRestorer(False), text, 1)[0]) == value
