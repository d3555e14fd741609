"""Gemini's rules for generateContent: https://ai.google.dev/gemini-api/docs/function-calling and thought signatures."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
from google.genai import types

type Json = dict[str, Any]

MEMBERS: Mapping[str, pydantic.TypeAdapter[Any]] = {
    "contents": pydantic.TypeAdapter(list[types.Content]),
    "systemInstruction": pydantic.TypeAdapter(types.Content),
    "tools": pydantic.TypeAdapter(list[types.Tool]),
    "toolConfig": pydantic.TypeAdapter(types.ToolConfig),
    "generationConfig": pydantic.TypeAdapter(types.GenerationConfig),
    "safetySettings": pydantic.TypeAdapter(list[types.SafetySetting]),
}
PLAIN = frozenset({"cachedContent", "serviceTier", "store", "labels"})
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_SCHEMA = frozenset(
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


def generate_content(model: str, body: Json, _headers: Mapping[str, str]) -> list[str]:
    """The rules that the body breaks."""
    found = []
    for name, value in body.items():
        if name in PLAIN:
            continue
        if name not in MEMBERS:
            found.append(f"Unknown name {name}: Cannot find field.")
            continue
        try:
            MEMBERS[name].validate_python(value)
        except pydantic.ValidationError as error:
            found.append(f"{name}: {error}")
    return [*found, *_turns(model, body), *_parts(body), *_tools(body)]


def _calls(content: Json) -> list[Json]:
    return [part["functionCall"] for part in content["parts"] if "functionCall" in part]


def _responses(content: Json) -> list[Json]:
    return [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]


def _turns(model: str, body: Json) -> Iterator[str]:
    contents = body["contents"]
    if contents[0].get("role") != "user":
        yield "Please ensure that the first turn is a user turn"
    for place, content in enumerate(contents):
        if content.get("role") not in ("user", "model"):
            yield "Please use a valid role: user, model."
        calls, following = _calls(content), contents[place + 1] if place + 1 < len(contents) else {"parts": []}
        answers = _responses(following)
        if calls and len(answers) != len(calls):
            yield (
                f"contents.{place}: the number of function response parts ({len(answers)}) must equal the number of "
                f"function call parts ({len(calls)}) of the function call turn"
            )
        if sorted(call["name"] for call in calls) != sorted(one["name"] for one in answers):
            yield f"contents.{place}: a function response turn must come right after its function call turn"
        ids = [call.get("id") for call in calls]
        if any(ids) and [one.get("id") for one in answers] != ids:
            yield f"contents.{place}: the responses' ids are not those of the calls: {ids}"
    if _responses(contents[0]):
        yield "a function response turn must come after a function call turn"
    yield from _signatures(model, contents)


def _signatures(model: str, contents: list[Json]) -> Iterator[str]:
    """Gemini 3: the first call of each step of the open turn has a signature."""
    if not model.startswith("gemini-3"):
        return
    asked = [place for place, content in enumerate(contents) if content["role"] == "user" and not _responses(content)]
    for place, content in enumerate(contents[asked[-1] if asked else 0 :]):
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if first is not None and not first.get("thoughtSignature"):
            yield f"contents.{place}: Function call is missing a thought_signature in functionCall parts"


def _parts(body: Json) -> Iterator[str]:
    for content in body["contents"]:
        if not content["parts"]:
            yield "contents.parts must not be empty."
        for part in content["parts"]:
            if not part.keys() - {"thought", "thoughtSignature"}:
                yield "Unable to submit request because it must have a text parameter."
            if part.get("text") == "" and "thoughtSignature" not in part:
                yield "an empty text part"
            try:
                base64.b64decode(part.get("thoughtSignature", ""), validate=True)
                base64.b64decode(part.get("inlineData", {}).get("data", ""), validate=True)
            except binascii.Error:
                yield "invalid base64"


def _tools(body: Json) -> Iterator[str]:
    names: list[str] = []
    for declared in (one for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])):
        names.append(declared["name"])
        if not _NAME.fullmatch(declared["name"]):
            yield f"Invalid function name: {declared['name']}"
        yield from _schema(declared.get("parametersJsonSchema", {}), declared["name"])
    if len(set(names)) != len(names):
        yield "Duplicate function declaration found"
    choice = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if set(choice.get("allowedFunctionNames", [])) - set(names):
        yield "allowedFunctionNames names an unknown function"
    if len(body.get("generationConfig", {}).get("stopSequences", [])) > 5:
        yield "stopSequences: at most 5"
    thinking = body.get("generationConfig", {}).get("thinkingConfig", {})
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        yield "thinkingBudget and thinkingLevel exclude each other"


def _schema(schema: Any, where: str) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _schema(item, where)
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        if name not in _SCHEMA:
            yield f"{where}: unknown keyword {name}"
        elif name in ("properties", "$defs"):
            for inner in value.values():
                yield from _schema(inner, where)
        elif name in ("items", "prefixItems", "anyOf", "oneOf", "additionalProperties"):
            yield from _schema(value, where)
