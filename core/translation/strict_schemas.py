"""JSON Schemas that a vendor enforces while it samples: each takes a part of the language only.

Anthropic (https://platform.claude.com/docs/en/build-with-claude/structured-outputs): objects are closed; no bounds
of numbers, lengths or lists. What it does not take becomes advice in the description, as Anthropic's own SDK does.
OpenAI (https://platform.openai.com/docs/guides/structured-outputs): objects are closed and all members required.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from core.conversation import Conversation, JsonObject, Tool
from core.models.facts import ModelFacts
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.rules import FormatRules

_NUMBERS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_BOUNDS: Final = frozenset(
    {
        "minLength", "maxLength", "uniqueItems", "contains", "minContains", "maxContains", "minProperties",
        "maxProperties", "propertyNames",
    }
)  # fmt: skip
# Keywords that Anthropic refuses in an enforced schema.
_REFUSED: Final = _NUMBERS | _BOUNDS | {"maxItems"}
# What OpenAI takes in an enforced schema.
_ENFORCED_BY_OPENAI: Final = _NUMBERS | {
    "type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems", "enum", "const", "anyOf",
    "$ref", "$defs", "title", "description", "format", "pattern",
}  # fmt: skip
# What it refuses in one with "... is not permitted".
_REFUSED_BY_OPENAI: Final = _BOUNDS | {
    "allOf", "oneOf", "not", "if", "then", "else", "default", "dependentRequired", "dependentSchemas", "prefixItems",
    "unevaluatedItems", "unevaluatedProperties", "patternProperties",
}  # fmt: skip
_FORMATS_OF_OPENAI: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
# Anthropic refuses more (https://platform.claude.com/docs/en/build-with-claude/structured-outputs).
MAX_STRICT_TOOLS: Final = 20
_DEFINITIONS: Final = ("$defs", "definitions")
# What a schema of arguments may not be combined of at its top, but in Gemini's format.
COMBINED: Final = frozenset({"allOf", "anyOf", "oneOf", "not", "enum", "$ref"})
_ANY_ROOT: Final = ("generate_content",)
_WANT_PROPERTIES: Final = ("chat_completions", "responses")
_SUBSCHEMAS: Final = ("items", "not", "additionalItems")
_LISTS_OF_SCHEMAS: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_MAPS_OF_SCHEMAS: Final = ("properties", "$defs", "definitions")
# What opens an object to members without a name, beside `additionalProperties`.
_OPENING: Final = ("patternProperties", "unevaluatedProperties")


def argument_schemas(tools: list[Tool], rules: FormatRules) -> list[Tool]:
    """The tools, each schema with the words that the target insists on at its root: every vendor on `type`, OpenAI
    on `properties` ("object schema missing properties")."""
    return [_argument_schema(tool, rules.format in _WANT_PROPERTIES) for tool in tools]


def _argument_schema(tool: Tool, with_properties: bool) -> Tool:
    schema = tool.parameters
    if schema is None:
        return tool
    kind = schema.get("type")
    # Arguments are always an object, whatever else a schema allows.
    missing: JsonObject = {"type": "object"} if kind is None or (isinstance(kind, list) and "object" in kind) else {}
    if with_properties and {**schema, **missing}["type"] == "object" and "properties" not in schema:
        missing["properties"] = {}
    return replace(tool, parameters={**schema, **missing}) if missing else tool


def closed_schema(schema: JsonObject) -> JsonObject:
    """`schema` as Anthropic enforces it: every object closed, every bound a remark in its description. An object that
    is open by its own words stays so: `StrictLimits` does not take it."""
    advice = {name: value for name, value in schema.items() if _is_refused(name, value)}
    kept = {name: _closed_member(name, value, closed_schema) for name, value in schema.items() if name not in advice}
    if _is_object(kept) and not _is_open(kept):
        kept["additionalProperties"] = False
    if advice:
        remark = json.dumps(advice, ensure_ascii=False)
        described = kept.get("description")
        kept["description"] = f"{described}\n\n{remark}" if isinstance(described, str) and described else remark
    return kept


def _is_refused(name: str, value: Any) -> bool:
    return name in _REFUSED or (name == "minItems" and value not in (0, 1))


def _is_object(schema: JsonObject) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _is_open(schema: JsonObject) -> bool:
    """Whether the object `schema` allows members without a name by its own words. (Where nothing is said of them, it
    is closed, as Anthropic's own SDK does.)"""
    return schema.get("additionalProperties", False) is not False or any(name in schema for name in _OPENING)


type _Close = Callable[[JsonObject], JsonObject]


def _closed_member(name: str, value: Any, close: _Close) -> Any:
    if name in _LISTS_OF_SCHEMAS and isinstance(value, list):
        return [_closed(item, close) for item in value]
    if name in _SUBSCHEMAS:
        return _closed(value, close)
    if name in _MAPS_OF_SCHEMAS and isinstance(value, dict):
        return {key: _closed(item, close) for key, item in value.items()}
    return value


def _closed(value: Any, close: _Close) -> Any:
    return close(value) if isinstance(value, dict) else value


def is_closed(schema: JsonObject) -> bool:
    """Whether Anthropic enforces `schema` as it stands."""
    return closed_schema(schema) == schema


def has_strict_limits(conversation: Conversation, rules: FormatRules, facts: ModelFacts) -> bool:
    """Whether Anthropic's limits are to be kept for the client. Those who speak Anthropic's formats know them."""
    own = conversation.format in ("messages", "converse")
    return not own and facts.vendor == "anthropic" and rules.reasoning == "thinking"


class StrictLimits:
    """What is left of Anthropic's limits of one request for schemas that are enforced."""

    def __init__(self) -> None:
        self._schemas = MAX_STRICT_TOOLS
        self._optional = 24
        self._unions = 16

    def takes(self, schema: JsonObject) -> bool:
        """Whether `schema` may be enforced as well; it is counted then."""
        if _is_recursive(schema):
            return False
        optional, unions = 0, 0
        for inner in _all_schemas(schema):
            members = inner.get("properties")
            if isinstance(members, dict):
                required = inner.get("required")
                optional += sum(1 for name in members if not isinstance(required, list) or name not in required)
            unions += "anyOf" in inner or "oneOf" in inner or isinstance(inner.get("type"), list)
            if _is_object(inner) and _is_open(inner):
                return False
        if not self._schemas or optional > self._optional or unions > self._unions:
            return False
        self._schemas -= 1
        self._optional -= optional
        self._unions -= unions
        return True


def _all_schemas(schema: JsonObject) -> list[JsonObject]:
    """The schema and all within it."""
    found = [schema]
    for each in found:  # which grows
        found += _inner_schemas(each)
    return found


def _is_recursive(schema: JsonObject) -> bool:
    """Whether a reference in `schema` leads back to where it stands, or out of the schema."""
    named = {"#": {name: value for name, value in schema.items() if name not in _DEFINITIONS}}
    for place in _DEFINITIONS:
        shared = schema.get(place)
        if isinstance(shared, dict):
            named.update({f"#/{place}/{name}": inner for name, inner in shared.items() if isinstance(inner, dict)})
    references = {name: _references(inner) for name, inner in named.items()}
    if any(reference not in references for found in references.values() for reference in found):
        return True
    # From those without a reference on, whoever needs nothing else any more: what is left has a circle.
    users: dict[str, list[str]] = {name: [] for name in references}
    for name, found in references.items():
        for reference in found:
            users[reference].append(name)
    settled = [name for name, found in references.items() if not found]
    for name in settled:  # which grows
        for user in users[name]:
            references[user].remove(name)
            if not references[user]:
                settled.append(user)
    return len(settled) < len(references)


def _references(schema: JsonObject) -> set[str]:
    return {str(inner["$ref"]) for inner in _all_schemas(schema) if "$ref" in inner}


def is_strict(schema: JsonObject) -> bool:
    """Whether OpenAI enforces `schema`: every object in it is closed, and requires all of its members, and nothing that
    it refuses stands there."""
    if not _REFUSED_BY_OPENAI.isdisjoint(schema) or str(schema.get("format", "date")) not in _FORMATS_OF_OPENAI:
        return False
    if _is_object(schema):
        members = schema.get("properties", {})
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if not isinstance(members, dict) or set(members) - {name for name in required if isinstance(name, str)}:
            return False
    return all(is_strict(inner) for inner in _inner_schemas(schema))


def strict_output(conversation: Conversation, rules: FormatRules, losses: Losses) -> Conversation:
    """The conversation with an output format that OpenAI enforces, where the client's format enforces every schema. A
    schema that OpenAI would refuse is asked for without being enforced, which is a warning."""
    wanted = conversation.output_format
    if wanted is None or wanted.schema is None or rules.format not in _WANT_PROPERTIES:
        return conversation
    if conversation.format in _WANT_PROPERTIES or is_strict(wanted.schema):
        return conversation
    if conversation.format != "generate_content" or not _is_closable(wanted.schema):
        losses.add("output_format", "the target does not enforce such a schema: it was asked to keep to it")
        return conversation
    return replace(conversation, output_format=replace(wanted, schema=_with_closed_objects(wanted.schema), strict=True))


def strict_tools(
    conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses
) -> list[Tool]:
    """The tools, strict ones as OpenAI enforces them, where the client's format enforces more: Gemini's are closed, a
    schema that OpenAI would refuse is not enforced, which is a warning. In the Responses format OpenAI's models are
    strict about every schema that they can enforce, unless they are told not to be."""
    tools = conversation.tools
    if rules.format not in _ANY_ROOT and any([not COMBINED.isdisjoint(tool.parameters or ()) for tool in tools]):
        # Some MCP servers' tools alone are like that.
        joined: Callable[[Tool, Losses], Tool] = import_module("core.translation.joined_roots").joined_tool
        tools = [joined(tool, losses) for tool in tools]
    if rules.format not in _WANT_PROPERTIES:
        return tools
    if conversation.format in _WANT_PROPERTIES:
        by_default = conversation.format == "responses" and facts.vendor == "openai"
        return [_strict_by_default(tool) for tool in tools] if by_default else tools
    return [_strict_tool(tool, conversation, losses) if tool.strict else tool for tool in tools]


def _strict_by_default(tool: Tool) -> Tool:
    if tool.strict is None and tool.kind == "function" and tool.parameters is not None and is_strict(tool.parameters):
        return replace(tool, strict=True)
    return tool


def _strict_tool(tool: Tool, conversation: Conversation, losses: Losses) -> Tool:
    schema = tool.parameters
    if schema is None or is_strict(schema):
        return tool
    if conversation.format == "generate_content" and _is_closable(schema):
        return replace(tool, parameters=_with_closed_objects(schema))
    losses.add("tools", "the target does not enforce such a schema: the tool is not strict")
    return replace(tool, strict=None)


def _is_closable(schema: JsonObject) -> bool:
    """Whether OpenAI enforces `schema` once its objects are closed, as Gemini's are without a word."""
    if not _ENFORCED_BY_OPENAI.issuperset(schema) or str(schema.get("format", "date")) not in _FORMATS_OF_OPENAI:
        return False
    if _is_object(schema):
        members, required = schema.get("properties"), schema.get("required")
        if not isinstance(members, dict) or not isinstance(required, list) or schema.get("additionalProperties"):
            return False
        if not members or any(name not in required for name in members):
            return False
    return all(_is_closable(inner) for inner in _inner_schemas(schema))


def _with_closed_objects(schema: JsonObject) -> JsonObject:
    kept = {name: _closed_member(name, value, _with_closed_objects) for name, value in schema.items()}
    return {**kept, "additionalProperties": False} if _is_object(schema) else kept


def _inner_schemas(schema: JsonObject) -> list[JsonObject]:
    found: list[Any] = [schema.get(name) for name in _SUBSCHEMAS]
    for name in _LISTS_OF_SCHEMAS:
        value = schema.get(name)
        found += value if isinstance(value, list) else []
    for name in _MAPS_OF_SCHEMAS:
        value = schema.get(name)
        found += value.values() if isinstance(value, dict) else []
    return [inner for inner in found if isinstance(inner, dict)]
