"""Values made from JSON Schemas: they fit, and they are sensible."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.providers.demo.samples import sample


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas, "required": list(schemas), "additionalProperties": False}


FITTING: dict[str, Any] = {
    "nothing": {},
    "any object": {"type": "object"},
    "every type": properties(a={"type": "string"}, b={"type": "integer"}, c={"type": "number"}, d={"type": "boolean"},
                             e={"type": "null"}, f={"type": "array", "items": {"type": "string"}}),
    "nullable": properties(a={"type": ["null", "integer"]}, b={"type": "null"}, c={"type": ["null"]}),
    "enum and const": properties(a={"enum": ["x", "y"]}, b={"const": {"deep": 1}}, c={"type": "integer", "enum": [7]}),
    "defaults and examples": properties(a={"type": "integer", "default": 5}, b={"type": "string", "examples": ["e"]},
                                        c={"type": "string", "default": None}),
    "bounds": properties(
        a={"type": "integer", "minimum": 10, "maximum": 12},
        b={"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
        c={"type": "number", "exclusiveMinimum": 0, "maximum": 0.4},
        d={"type": "integer", "maximum": -3},
        e={"type": "integer", "minimum": 11, "multipleOf": 5},
        f={"type": "integer", "maximum": 19, "minimum": 15, "multipleOf": 4},
        g={"type": "number", "minimum": 2.5, "maximum": 2.5},
    ),
    "strings": properties(
        a={"type": "string", "minLength": 40}, b={"type": "string", "maxLength": 2},
        c={"type": "string", "pattern": "^[A-Z]{3}-[0-9]{3}$"}, d={"type": "string", "pattern": "^[0-9]{5}$"},
    ),
    "formats": properties(**{
        name.replace("-", "_"): {"type": "string", "format": name}
        for name in ("date-time", "date", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "duration")
    }),
    "lists": properties(
        a={"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
        b={"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True},
        c={"type": "array", "maxItems": 0}, d={"type": "array", "prefixItems": [{"type": "integer"}], "items": False},
        e={"items": {"enum": ["only"]}}, f={"type": "array", "prefixItems": [{"type": "null"}, {"type": "string"}]},
        g={"type": "array", "items": {"enum": [True, False]}, "minItems": 1, "uniqueItems": True},
    ),
    "references": {
        "$defs": {"name/part": properties(first={"type": "string"})},
        **properties(a={"$ref": "#/$defs/name~1part"}, b={"type": "array", "items": {"$ref": "#/$defs/name~1part"}}),
    },
    "recursive": {
        "$ref": "#/$defs/node",
        "$defs": {"node": {"type": "object", "properties": {
            "value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        }, "required": ["value"]}},
    },
    "combined": properties(
        a={"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 4}]},
        b={"oneOf": [properties(kind={"const": "x"}), properties(kind={"const": "y"})]},
        c={"allOf": [{"type": "object", "properties": {"p": {"type": "integer"}}, "required": ["p"]},
                     {"properties": {"q": {"type": "string"}}, "required": ["q"]}]},
        d={"anyOf": [{"type": "null"}]},
    ),
    "untyped object": {"properties": {"a": {"type": "integer"}}, "required": ["a", "unlisted"]},
}


@pytest.mark.parametrize("name", FITTING)
@pytest.mark.parametrize("text", ["", "Book 3 rooms in New York for ada@example.com, please: 'two words' of y"])
def test_the_value_fits(name: str, text: str) -> None:
    jsonschema.validate(sample(FITTING[name], text), FITTING[name])


@pytest.mark.parametrize(
    ("text", "schema", "expected"),
    [
        ("What is the weather in San Francisco?", {"location": {"type": "string"}}, {"location": "San Francisco"}),
        ("What is the weather?", {"city_name": {"type": "string"}}, {"city_name": "Paris"}),
        ("What is 17 * 23?", {"expression": {"type": "string"}}, {"expression": "17 * 23"}),
        ("Add 41 please", {"amount": {"type": "integer"}}, {"amount": 41}),
        ("Set it to 2.5", {"level": {"type": "number"}}, {"level": 2.5}),
        ("In Celsius", {"unit": {"type": "string", "enum": ["fahrenheit", "celsius"]}}, {"unit": "celsius"}),
        ("Say “good morning”", {"text": {"type": "string"}}, {"text": "good morning"}),
        ("Say hello", {"text": {"type": "string"}}, {"text": "Say hello"}),
        ("Run `ls -la` now", {"command": {"type": "string"}}, {"command": "ls -la"}),
        ("Clean up everything", {"command": {"type": "string"}}, {"command": "echo skybridge-demo"}),
        ("Read src/main.py", {"file_path": {"type": "string"}}, {"file_path": "src/main.py"}),
        ("It's Ada's", {"nickName": {"type": "string"}}, {"nickName": "demo nickName"}),
    ],
)
def test_the_value_is_sensible(text: str, schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sample(properties(**schema), text) == expected


def test_optional_properties_are_left_out_unless_spoken_of() -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}, "note": True},
        "required": ["city"],
    }
    assert sample(schema, "in Rome") == {"city": "Rome"}
    assert sample(schema, "in Rome, in kelvin") == {"city": "Rome", "unit": "kelvin"}
    assert sample({"type": "object", "properties": {"q": {"type": "string"}}}, "x") == {"q": "x"}


def test_what_cannot_be_fitted_still_ends() -> None:
    endless: Any = {"$ref": "#"}
    assert isinstance(sample(endless, ""), str)
    wide: Any = {"$defs": {"n": properties(a={"$ref": "#/$defs/n"}, b={"$ref": "#/$defs/n"})}, "$ref": "#/$defs/n"}
    assert isinstance(sample(wide, ""), dict)
    looped: Any = {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}
    assert isinstance(sample(looped, ""), str)
    assert sample(properties(a={"type": "integer", "minimum": 9, "maximum": 1}), "")["a"] == 1
    assert sample({"type": "string", "pattern": "("}, "") == "demo"
    assert sample({"type": "string", "pattern": "^qqq$"}, "") == "demo"
    assert sample({"type": "string", "pattern": "a{99999999999}"}, "") == "demo"


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYWORDS = (
    "type properties required items prefixItems enum const default examples anyOf oneOf allOf $ref minimum maximum"
    " exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern format minItems maxItems uniqueItems"
)
SCHEMAS = st.recursive(
    st.dictionaries(
        st.sampled_from(KEYWORDS.split()),
        ODD | st.sampled_from(["object", "array", "string", "integer", "number", "#", "date"]), max_size=5,
    ),
    lambda inner: st.builds(
        lambda kind, name, schema: {"type": kind, "properties": {name: schema}, "required": [name], "items": schema,
                                    "anyOf": [schema]},
        st.sampled_from(["object", "array"]), st.text(max_size=4), inner,
    ),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(SCHEMAS, st.text(max_size=20))
def test_no_schema_breaks_it(schema: Any, text: str) -> None:
    sample(schema, text)
