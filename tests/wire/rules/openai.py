"""OpenAI's rules for Chat Completions and Responses: its OpenAPI document, closed, and what it says of histories."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema

from tests.wire.openai_judge import SPECIFICATION, nullable
from tests.wire.recordings import recorded_file

type Json = dict[str, Any]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_REASONING = re.compile(r"gpt-5($|-)|o\d|gpt-6|gpt-5\.[1-9]")


def _closed(schema: Any, *, inside: bool = False) -> Any:
    """A schema that takes no member which it does not name. What is a part of another is left open for it."""
    if isinstance(schema, list):
        return [_closed(item, inside=inside) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema and inside:
        return {**schema, "$ref": schema["$ref"].replace("#/components/schemas/", "#/open/")}
    own = "properties" in schema or "allOf" in schema
    done: Json = {}
    for name, value in schema.items():
        match name:
            case "properties":
                done[name] = {key: _closed(item) for key, item in value.items()}
            case "allOf":
                done[name] = _closed(value, inside=True)
            case "anyOf" | "oneOf":  # shapes that a value fits twice are no fault of the value
                done["anyOf"] = [*done.get("anyOf", []), *_closed(value, inside=inside or own)]
            case "items" | "additionalProperties":
                done[name] = _closed(value)
            case _:
                done[name] = value
    if own and not inside and "additionalProperties" not in schema:
        done["unevaluatedProperties"] = False
    return done


@cache
def _validator(name: str) -> Any:
    schemas = nullable(json.loads(recorded_file(SPECIFICATION)))["components"]["schemas"]
    root = {
        "$ref": f"#/components/schemas/{name}",
        "components": {"schemas": {key: _closed(value) for key, value in schemas.items()}},
        "open": {key: _closed(value, inside=True) for key, value in schemas.items()},
    }
    return jsonschema.Draft202012Validator(root)


def _specified(name: str, body: Json) -> Iterator[str]:
    for error in _validator(name).iter_errors(body):
        yield f"{name}: {_innermost(error)}"


def _innermost(error: Any) -> str:
    """The branch of an anyOf that came furthest says what is wrong."""
    while error.context:
        error = max(error.context, key=lambda one: (len(one.absolute_path), -len(one.context or [])))
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


# --- Chat Completions -----------------------------------------------------------------------------------------


def chat_completions(model: str, body: Json, _headers: Mapping[str, str]) -> list[str]:
    """The rules that a Chat Completions body breaks."""
    return [*_specified("CreateChatCompletionRequest", body), *_chat_history(body), *_chat_members(model, body)]


def _chat_history(body: Json) -> Iterator[str]:
    waiting: list[str] = []
    for place, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                yield f"messages.{place}: 'tool' must be a response to a preceding message with 'tool_calls'"
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            yield f"messages.{place}: tool_call_ids did not have response messages: {waiting}"
        calls = message.get("tool_calls") or []
        waiting = [call["id"] for call in calls]
        yield from (f"messages.{place}: tool call id too long: {one}" for one in waiting if len(one) > 40)
        if len(set(waiting)) != len(waiting):
            yield f"messages.{place}: duplicate tool call ids {waiting}"
        if message.get("tool_calls") == []:
            yield f"messages.{place}.tool_calls: empty array"
        said = message.get("content") is not None or message.get("refusal")
        if message["role"] == "assistant" and not said and not calls:
            yield f"messages.{place}: content is required unless tool_calls is specified"
    if waiting:
        yield f"tool_call_ids did not have response messages: {waiting}"


def _chat_members(model: str, body: Json) -> Iterator[str]:
    tools = body.get("tools", [])
    if body.get("tools") == []:
        yield "tools: empty array"
    if not tools and ("tool_choice" in body or "parallel_tool_calls" in body):
        yield "'tool_choice' is only allowed when 'tools' are specified"
    names = [tool[tool["type"]]["name"] for tool in tools]
    yield from _names(names)
    if _REASONING.match(model):
        sampling = {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"} & body.keys()
        if sampling and body.get("reasoning_effort") != "none":
            yield f"Unsupported parameter: {sampling} is not supported with this model."
        if "max_tokens" in body:
            yield "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'"
        if "stop" in body:
            yield "Unsupported parameter: 'stop'"
    elif "reasoning_effort" in body:
        yield "Unrecognized request argument supplied: reasoning_effort"
    if re.match(r"gpt-(5\.[4-9]|6)", model) and tools and body.get("reasoning_effort", "medium") != "none":
        yield "Function tools with reasoning_effort are not supported in /v1/chat/completions"


def _names(names: list[str]) -> Iterator[str]:
    yield from (f"tools: name does not match pattern: {name}" for name in names if not _NAME.fullmatch(name))
    yield from (f"tools: duplicate name {name}" for name, count in Counter(names).items() if count > 1)


# --- Responses ------------------------------------------------------------------------------------------------

_PREFIXES = {
    "reasoning": "rs",
    "message": "msg",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "web_search_call": "ws",
}
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def responses(model: str, body: Json, _headers: Mapping[str, str]) -> list[str]:
    """The rules that a Responses body breaks."""
    return [*_specified("CreateResponse", body), *_items(body), *_responses_members(model, body)]


def _items(body: Json) -> Iterator[str]:
    items = body["input"] if isinstance(body["input"], list) else []
    calls = Counter(item["call_id"] for item in items if item.get("type") in _CALLS)
    outputs = Counter(item["call_id"] for item in items if item.get("type") in _OUTPUTS)
    yield from (f"No tool output found for function call {one}." for one in calls - outputs)
    yield from (f"No tool call found for function call output with call_id {one}." for one in outputs - calls)
    yield from (f"call_id {one} is there more than once" for one, count in calls.items() if count > 1)
    ids = Counter(item["id"] for item in items if item.get("id"))
    yield from (f"Duplicate item found with id {one}." for one, count in ids.items() if count > 1)
    for place, item in enumerate(items):
        kind = item.get("type", "message")
        prefix = _PREFIXES.get(kind)
        if len(item.get("call_id", "")) > 64:
            yield f"input.{place}.call_id: string too long"
        if item.get("id") and prefix and item.get("role") != "user" and not item["id"].startswith(prefix):
            yield f"Invalid 'input[{place}].id': '{item['id']}'. Expected an ID that begins with '{prefix}'."
        if kind == "reasoning":
            following = items[place + 1] if place + 1 < len(items) else {}
            if following.get("type", "message") not in (*_CALLS, "message", "reasoning", "web_search_call") or (
                following.get("role", "assistant") != "assistant"
            ):
                yield f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item."
            if body.get("store") is False and not item.get("encrypted_content"):
                yield f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is false."
        if kind in _CALLS and item.get("type") == "function_call" and not isinstance(item["arguments"], str):
            yield f"input.{place}.arguments must be a string"


def _responses_members(model: str, body: Json) -> Iterator[str]:
    tools = body.get("tools", [])
    yield from _names([tool["name"] for tool in tools if "name" in tool])
    if not _REASONING.match(model) and (body.get("reasoning") or {}).get("effort"):
        yield "Unsupported parameter: 'reasoning.effort' is not supported with this model."
    if _REASONING.match(model):
        sampling = {"temperature", "top_p", "top_logprobs"} & {name for name in body if body[name] is not None}
        if sampling and (body.get("reasoning") or {}).get("effort") != "none":
            yield f"Unsupported parameter: {sampling} is not supported with this model."
    if isinstance(body.get("max_output_tokens"), int) and body["max_output_tokens"] < 16:
        yield "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16"
