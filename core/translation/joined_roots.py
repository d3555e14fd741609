"""Schemas of arguments that are combined of others at their top, as the one object that vendors demand there.

Anthropic ("input_schema does not support oneOf, allOf, or anyOf at the top level"; on Bedrock as well) and OpenAI
("schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level") refuse the whole
request for one such tool. The tools of MCP servers have them. The object allows whatever one of the schemas allows;
what it cannot say stands in its description.
"""

from __future__ import annotations

import json
from typing import Any, Final

from core.conversation import JsonObject, Tool
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.strict_schemas import COMBINED

_ALL: Final = "allOf"
_LISTS: Final = (_ALL, "anyOf", "oneOf")
_ADVICE: Final = ("anyOf", "oneOf", "not", "enum")
_MAX_DEPTH: Final = 8


def joined_tool(tool: Tool, losses: Losses) -> Tool:
    """The tool with one object at the top of its schema, not strict any more: what was to be enforced has changed."""
    schema = tool.parameters
    if schema is None or COMBINED.isdisjoint(schema):
        return tool
    joined = _joined(schema, schema, _MAX_DEPTH)
    advice = {name: schema[name] for name in _ADVICE if name in schema}
    if advice:
        described = joined.get("description")
        remark = json.dumps(advice, ensure_ascii=False)
        joined["description"] = f"{described}\n\n{remark}" if isinstance(described, str) and described else remark
    if advice or tool.strict:
        losses.add("tools", f"the target takes one object as a schema: that of {tool.name!r} is not enforced as it was")
    return replace(tool, parameters=joined, strict=None if tool.strict else tool.strict)


def _joined(schema: JsonObject, root: JsonObject, depth: int) -> JsonObject:
    """`schema` and all that it is combined of, in one object. `root` is where references lead."""
    result = {name: value for name, value in schema.items() if name not in COMBINED}
    if depth == 0:
        return result
    if "$ref" in schema:
        _join(result, [_joined(_referred(schema["$ref"], root), root, depth - 1)], _ALL)
    for keyword in _LISTS:
        parts = schema.get(keyword)
        if isinstance(parts, list):
            _join(result, [_joined(part, root, depth - 1) for part in parts if isinstance(part, dict)], keyword)
    return result


def _referred(reference: Any, root: JsonObject) -> JsonObject:
    """The definition that a reference within the schema names; an empty one where there is none."""
    found: Any = root
    for name in str(reference).removeprefix("#").split("/")[1:]:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) and found is not root else {}


def _join(target: JsonObject, parts: list[JsonObject], keyword: str) -> None:
    """Adds to `target` the properties of all `parts`, and what they demand: of alternatives, what each of them does."""
    properties = _members(target)
    for part in parts:
        for name, value in _members(part).items():
            properties[name] = _either(properties[name], value, keyword) if name in properties else value
        for name, value in part.items():
            if keyword == _ALL and name not in ("properties", "required"):
                target.setdefault(name, value)
    demanded = [_required(part) for part in parts]
    named = list(dict.fromkeys(name for names in demanded for name in names))
    required = named if keyword == _ALL else [name for name in named if all(name in names for names in demanded)]
    if properties:
        target["properties"] = properties
    if required:
        target["required"] = list(dict.fromkeys([*_required(target), *required]))


def _either(one: Any, other: Any, keyword: str) -> Any:
    """What a property may be by both of its definitions together."""
    if one == other:
        return one
    word = _ALL if keyword == _ALL else "anyOf"
    earlier = one[word] if isinstance(one, dict) and list(one) == [word] else [one]
    return {word: [*earlier, other]} if other not in earlier else one


def _members(schema: JsonObject) -> JsonObject:
    members = schema.get("properties")
    return dict(members) if isinstance(members, dict) else {}


def _required(schema: JsonObject) -> list[Any]:
    names = schema.get("required")
    return names if isinstance(names, list) else []
