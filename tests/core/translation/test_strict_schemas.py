"""What Anthropic and OpenAI enforce of a schema."""

from __future__ import annotations

from typing import Any

import pytest

from core.translation.strict_schemas import closed_schema, is_closed, is_strict

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
    ],
)
def test_openai_enforces_closed_objects_with_all_members_required(schema: dict[str, Any], strict: bool) -> None:
    assert is_strict(schema) is strict
