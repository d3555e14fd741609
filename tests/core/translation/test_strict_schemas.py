"""What Anthropic and OpenAI enforce of a schema."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import FormatName, OutputFormat, Tool
from core.models.resolve import facts_for
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.rules import RULES
from core.translation.strict_schemas import (
    StrictLimits,
    closed_schema,
    is_closed,
    is_strict,
    strict_output,
    strict_tools,
)
from tests.core.translation.cases import conversation

OPEN: dict[str, Any] = {
    "type": "object",
    "description": "Top.",
    "properties": {
        "minimum": {"type": ["object", "null"], "properties": {"a": {"type": "string", "maxLength": 3}}},
        "list": {"type": "array", "items": {"type": "object"}, "minItems": 2},
        "pair": {"items": [{"type": "object"}], "minItems": 1},
        "either": {"anyOf": [{"type": "object", "contains": 1}, True]},
        "fixed": {"enum": [{"type": "object"}], "default": {"maximum": 1}},
    },
    "$defs": {"d": {"type": "integer", "minimum": 0, "description": ""}},
}


def test_anthropic_gets_closed_objects_and_bounds_as_advice() -> None:
    assert closed_schema(OPEN) == {
        "type": "object",
        "description": "Top.",
        "properties": {
            "minimum": {
                "type": ["object", "null"],
                "properties": {"a": {"type": "string", "description": '{"maxLength": 3}'}},
                "additionalProperties": False,
            },
            "list": {
                "type": "array",
                "items": {"type": "object", "additionalProperties": False},
                "description": '{"minItems": 2}',
            },
            "pair": {"items": [{"type": "object", "additionalProperties": False}], "minItems": 1},
            "either": {
                "anyOf": [{"type": "object", "additionalProperties": False, "description": '{"contains": 1}'}, True]
            },
            "fixed": {"enum": [{"type": "object"}], "default": {"maximum": 1}},
        },
        "$defs": {"d": {"type": "integer", "description": '{"minimum": 0}'}},
        "additionalProperties": False,
    }
    assert is_closed(closed_schema(OPEN)) and not is_closed(OPEN)
    assert closed_schema({"minimum": 1, "description": "A number."}) == {"description": 'A number.\n\n{"minimum": 1}'}


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "required": "a"}, False),
        ({**CLOSED, "properties": "a"}, False),
        ({**CLOSED, "additionalProperties": {"type": "string"}}, False),
        ({**CLOSED, "$defs": {"d": {"type": "object"}}}, False),
        ({"anyOf": [CLOSED, {"type": "array", "items": {"type": "object"}}]}, False),
        ({"anyOf": [CLOSED, {"type": "array", "items": CLOSED}]}, True),
        ({**CLOSED, "properties": {"a": {"type": "string", "default": "x"}}}, False),
        ({**CLOSED, "properties": {"a": {"oneOf": [{"type": "string"}]}}}, False),
        ({**CLOSED, "properties": {"a": {"type": "string", "format": "uri"}}}, False),
        ({**CLOSED, "properties": {"a": {"type": "string", "format": "date"}}, "$schema": "x"}, True),
        ({**CLOSED, "properties": {"default": {"type": "string"}}, "required": ["default"]}, True),
    ],
)
def test_openai_enforces_closed_objects_with_all_members_required(schema: dict[str, Any], strict: bool) -> None:
    assert is_strict(schema) is strict


THING: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = {**THING, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "origin", "to", "written"),
    [
        (THING, "generate_content", "chat_completions", CLOSED),
        (CLOSED, "generate_content", "responses", None),  # the writers see that it is strict
        (
            {"type": "object", "properties": {"a": {"anyOf": [THING, {"type": "null"}]}}, "required": ["a"]},
            "generate_content",
            "responses",
            {
                "type": "object",
                "properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        (THING, "responses", "chat_completions", None),
        (THING, "generate_content", "converse", None),
        (CLOSED, "messages", "responses", None),
        (None, "messages", "responses", None),
    ],
)
def test_openai_enforces_what_gemini_would(schema: Any, origin: FormatName, to: str, written: Any) -> None:
    losses = Losses(origin)
    source = conversation(format=origin, output_format=OutputFormat("json_schema", schema))
    wanted = strict_output(source, RULES[to], losses).output_format
    assert wanted == OutputFormat("json_schema", written or schema, strict=written is not None or None)
    assert losses.dropped == []


@pytest.mark.parametrize(
    "schema",
    [
        {**THING, "required": []},
        {**THING, "required": "a"},
        {**THING, "properties": {}},
        {**THING, "properties": 5},
        {**THING, "additionalProperties": True},
        {**THING, "properties": {"a": {"type": "string", "format": "int32"}}},
        {**THING, "properties": {"a": {"type": "string", "format": []}}},
        {**THING, "properties": {"a": {"oneOf": []}}},
    ],
)
def test_what_openai_does_not_enforce_is_told(schema: Any) -> None:
    losses = Losses("generate_content")
    source = conversation(format="generate_content", output_format=OutputFormat("json_schema", schema))
    assert strict_output(source, RULES["responses"], losses) is source
    assert [item.path for item in losses.dropped] == ["generationConfig.responseJsonSchema"]


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": [], "additionalProperties": False}


NODE = {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        ({}, True),
        (_object(**{f"p{number}": {"type": "string"} for number in range(24)}), True),
        (_object(**{f"p{number}": {"type": "string"} for number in range(25)}), False),
        ({**_object(a={"type": "string"}), "required": None}, True),
        ({"type": "array", "items": [{"type": ["string", "null"]}] * 16}, True),
        ({"type": "array", "items": [{"oneOf": [{}, {}]}] * 17}, False),
        ({"properties": {"a": {"$ref": "#/$defs/B"}}, "$defs": {"B": {"type": "string"}}}, True),
        ({"properties": {"a": NODE}, "$defs": {"B": {"items": {"$ref": "#/$defs/C"}}, "C": {}}}, True),
        ({"properties": {"a": NODE}, "$defs": {"B": {"items": NODE}}}, False),
        ({"properties": {"a": {"$ref": "#/definitions/B"}}, "definitions": {"B": {"items": {"$ref": "#"}}}}, False),
        ({"$ref": "#"}, False),
        ({"$ref": "https://example.com/schema"}, False),
        ({"$ref": "#/$defs/none", "$defs": 5}, False),
        ({"$ref": "#/$defs/B", "$defs": {"B": True}}, False),
        ({"$ref": 5}, False),
    ],
)
def test_what_anthropic_takes_at_all(schema: Any, taken: bool) -> None:
    assert StrictLimits().takes(schema) is taken


@pytest.mark.parametrize(("end", "taken"), [({"type": "string"}, True), ({"$ref": "#/$defs/d5"}, False)])
def test_a_long_chain_of_definitions_is_no_circle(end: dict[str, Any], taken: bool) -> None:
    chain = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(3_000)}
    asked = _object(a={"$ref": "#/$defs/d0"}, b={"$ref": "#/$defs/d1"})
    schema = {**asked, "$defs": {**chain, "d3000": end}}
    assert StrictLimits().takes(schema) is taken


def test_limits_are_a_requests() -> None:
    limits, many = StrictLimits(), _object(**{f"p{number}": {"type": "string"} for number in range(13)})
    assert [limits.takes(many), limits.takes(many), limits.takes({})] == [True, False, True]
    assert [limits.takes({}) for _ in range(19)] == [True] * 18 + [False]


OPTIONAL: dict[str, Any] = {**CLOSED, "required": []}


@pytest.mark.parametrize(
    ("schema", "origin", "to", "written", "strict"),
    [
        (CLOSED, "messages", "responses", CLOSED, True),
        (None, "messages", "responses", None, True),
        (OPTIONAL, "messages", "responses", OPTIONAL, None),
        (OPTIONAL, "converse", "chat_completions", OPTIONAL, None),
        (THING, "converse", "chat_completions", THING, None),
        (THING, "generate_content", "chat_completions", CLOSED, True),
        (OPTIONAL, "generate_content", "responses", OPTIONAL, None),
        (OPTIONAL, "chat_completions", "responses", OPTIONAL, True),  # its own client knows what it takes
        (OPTIONAL, "messages", "generate_content", OPTIONAL, True),
    ],
)
def test_openai_enforces_what_tools_it_can(schema: Any, origin: FormatName, to: str, written: Any, strict: Any) -> None:
    losses = Losses(origin)
    source = conversation(format=origin, tools=[Tool("a", parameters=schema, strict=True), Tool("b", parameters=THING)])
    tool, other = strict_tools(source, RULES[to], facts_for("gpt-5"), losses)
    assert (tool.parameters, tool.strict, other) == (written, strict, source.tools[1])
    assert bool(losses.dropped) is (strict is None)


@pytest.mark.parametrize(
    ("model", "strict"), [("gpt-5", [True, None, False, None, None]), ("llama3-1-8b", [None, None, False, None, None])]
)
def test_tools_of_the_responses_format_are_strict_unless_they_say_otherwise(model: str, strict: list[Any]) -> None:
    tools = [
        Tool("a", parameters=CLOSED),
        Tool("b", parameters=OPTIONAL),
        Tool("c", parameters=CLOSED, strict=False),
        Tool("d"),
        Tool("e", kind="custom"),
    ]
    source = conversation(format="responses", tools=tools)
    written = strict_tools(source, RULES["chat_completions"], facts_for(model), Losses("responses"))
    assert [tool.strict for tool in written] == strict
    assert [replace(tool, strict=None) for tool in written] == [replace(tool, strict=None) for tool in tools]


@pytest.mark.parametrize(
    "more",
    [
        {"additionalProperties": {"type": "string"}},
        {"additionalProperties": True},
        {"patternProperties": {"^x": {"type": "string"}}},
        {"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},
        {"unevaluatedProperties": True},
    ],
)
def test_an_object_that_is_open_by_its_own_words_is_never_closed(more: dict[str, Any]) -> None:
    schema = {**THING, **more}
    assert closed_schema(schema) == schema
    assert not StrictLimits().takes(schema)
    assert not StrictLimits().takes(closed_schema({**THING, "properties": {"a": schema}}))
    assert StrictLimits().takes(closed_schema(THING))
