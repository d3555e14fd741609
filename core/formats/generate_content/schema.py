"""JSON Schema to and from what Gemini reads.

`parametersJsonSchema` and `responseJsonSchema` take a part of JSON Schema, `parameters` and `responseSchema` an
OpenAPI subset with types in capitals. https://ai.google.dev/api/caching#Schema
"""

from __future__ import annotations

from typing import Any, Final

from core.conversation import JsonObject

_ACCEPTED: Final = frozenset(
    {
        "$id",
        "$defs",
        "$ref",
        "$anchor",
        "type",
        "format",
        "title",
        "description",
        "enum",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "anyOf",
        "oneOf",
        "properties",
        "additionalProperties",
        "required",
        "propertyOrdering",
    }
)
# Members that say nothing about which values are valid: leaving them out is no loss.
_SILENT: Final = frozenset({"$schema", "$comment", "default", "examples", "example", "deprecated", "readOnly"})
# Members that are said in other words.
_REWORDED: Final = frozenset({"const", "definitions", "allOf"})
_NAMED_SCHEMAS: Final = frozenset({"properties", "$defs"})
_SCHEMAS: Final = frozenset({"items", "additionalProperties"})
_SCHEMA_LISTS: Final = frozenset({"anyOf", "oneOf", "prefixItems"})
_MAX_DEPTH: Final = 64


class SchemaCleaner:
    """Cuts schemas to what Gemini accepts. `lost` collects the constraints that had to go, by name."""

    def __init__(self) -> None:
        self.lost: dict[str, None] = {}

    def clean(self, schema: JsonObject) -> JsonObject:
        """The schema in the accepted part of JSON Schema; keys keep their order."""
        return self._schema(schema, _MAX_DEPTH)

    def _schema(self, schema: JsonObject, depth: int) -> JsonObject:
        if depth == 0:
            self.lost.setdefault("nesting")
            return {}
        written: JsonObject = {}
        plain = _REWORDED.isdisjoint(schema) and type(schema.get("items")) is not list
        unified = schema if plain else _unified(schema)
        for name, value in unified.items():
            if name in _ACCEPTED:
                written[name] = self._member(name, value, depth)
            elif name not in _SILENT:
                self.lost.setdefault(name)
        return written

    def _member(self, name: str, value: Any, depth: int) -> Any:
        if name in _NAMED_SCHEMAS and isinstance(value, dict):
            return {key: self._any(inner, depth) for key, inner in value.items()}
        if name in _SCHEMAS:
            return value if isinstance(value, bool) and name != "items" else self._any(value, depth)
        if name in _SCHEMA_LISTS and isinstance(value, list):
            return [self._any(inner, depth) for inner in value]
        if name == "$ref" and isinstance(value, str):
            return value.replace("#/definitions/", "#/$defs/", 1)
        return value

    def _any(self, value: Any, depth: int) -> Any:
        if value is True:
            return {}  # the same in the words of an object
        return self._schema(value, depth - 1) if isinstance(value, dict) else value


def _unified(schema: JsonObject) -> JsonObject:
    """The schema with `const`, `definitions`, `allOf` and a list of `items` said in accepted words."""
    unified: JsonObject = {}
    for name, value in schema.items():
        if name == "const":
            unified.setdefault("enum", [value])
        elif name == "items" and isinstance(value, list):
            unified.setdefault("prefixItems", value)  # as older drafts say it
        elif name == "definitions" and isinstance(value, dict):
            unified["$defs"] = {**value, **unified.get("$defs", {})}
        elif name == "allOf" and isinstance(value, list):
            for part in value:
                if isinstance(part, dict):
                    _merge(unified, _unified(part))
        else:
            _merge(unified, {name: value})
    return unified


def _merge(target: JsonObject, part: JsonObject) -> None:
    """What `part` demands as well: properties and required names are joined, other members stay as first said."""
    for name, value in part.items():
        present = target.get(name)
        if name in _NAMED_SCHEMAS and isinstance(present, dict) and isinstance(value, dict):
            target[name] = {**present, **value}
        elif name == "required" and isinstance(present, list) and isinstance(value, list):
            target[name] = [*present, *(entry for entry in value if entry not in present)]
        else:
            target.setdefault(name, value)


def from_openapi(schema: JsonObject, depth: int = _MAX_DEPTH) -> JsonObject:
    """JSON Schema of an OpenAPI-style `parameters` or `responseSchema`: types in small letters, `nullable` as a
    type, properties in their `propertyOrdering`, no format that says no more than the type. Google's own SDK writes
    some names with underscores."""
    if depth == 0:
        return {}
    written: JsonObject = {}
    for spelling, value in schema.items():
        name = _CAMEL_CASE.get(spelling, spelling)
        if name == "type" and isinstance(value, str):
            written[name] = value.lower()
        elif name in ("properties", "$defs") and isinstance(value, dict):
            written[name] = {key: _from_any(inner, depth) for key, inner in value.items()}
        elif name in ("items", "additionalProperties"):
            written[name] = _from_any(value, depth)
        elif name == "anyOf" and isinstance(value, list):
            written[name] = [_from_any(inner, depth) for inner in value]
        elif name in _COUNTS and isinstance(value, str):
            written[name] = _count(value)
        elif name == "$ref" and isinstance(value, str):
            written[name] = value.replace("#/defs/", "#/$defs/", 1)
        elif name not in ("nullable", "propertyOrdering") and not (name == "format" and value in _OPENAPI_FORMATS):
            written[name] = value
    _put_in_order(written, schema.get("propertyOrdering", schema.get("property_ordering")))
    return _nullable(written) if schema.get("nullable") is True else written


def _put_in_order(schema: JsonObject, ordering: Any) -> None:
    """Puts the properties in the order in which the answer is to have them: who enforces a schema keeps to its own."""
    properties = schema.get("properties")
    if isinstance(ordering, list) and isinstance(properties, dict):
        first = {name: properties[name] for name in ordering if isinstance(name, str) and name in properties}
        schema["properties"] = {**first, **properties}


_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
# Formats of OpenAPI's that JSON Schema does not have: vendors that enforce schemas refuse them.
_OPENAPI_FORMATS: Final = ("enum", "int32", "int64", "float", "double")
_CAMEL_CASE: Final = {
    "any_of": "anyOf",
    "additional_properties": "additionalProperties",
    "property_ordering": "propertyOrdering",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "defs": "$defs",
    "ref": "$ref",
}


def _count(text: str) -> int | str:
    """The number that `text` says, as ProtoJSON writes 64-bit integers; `text` itself where it says none."""
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else text


def _nullable(schema: JsonObject) -> JsonObject:
    """`schema`, which may be null as well."""
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema


def _from_any(value: Any, depth: int) -> Any:
    return from_openapi(value, depth - 1) if isinstance(value, dict) else value
