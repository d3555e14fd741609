"""A Responses request body to a neutral conversation.

https://platform.openai.com/docs/api-reference/responses/create
The body is untrusted: whatever is wrong with it is a ClientFault whose `param` names the member.
"""

from __future__ import annotations

from typing import get_args

from core.conversation import (
    Conversation,
    Effort,
    JsonObject,
    Message,
    OutputFormat,
    ReasoningRequest,
    Sampling,
    Text,
    Tool,
)
from core.formats.contract import Call
from core.formats.responses import members
from core.formats.responses.read_items import read_items
from core.formats.responses.tools import read_tool_choice, read_tools

ENCRYPTED_CONTENT = "reasoning.encrypted_content"
_EFFORTS: dict[str, Effort] = {effort: effort for effort in get_args(Effort.__value__)}

# The members of the body that have a neutral field; all others go to `Conversation.extra`.
_HANDLED = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "text",
        "reasoning",
        "include",
        "temperature",
        "top_p",
        "top_logprobs",
        "max_output_tokens",
        "service_tier",
        "user",
        "metadata",
        "prompt_cache_key",
        "stream",
        "previous_response_id",
        "store",
    }
)


def read_request(body: JsonObject, call: Call) -> Conversation:
    """The conversation that `body` asks to continue. `call.model` stands in for an absent `model`.

    Raises ClientFault (400) with the offending member's path as `param`.
    """
    items, input_was_text = _input_items(body)
    messages, added_tools = _messages(items)
    conversation = Conversation(
        format="responses",
        model=members.text(body, "model") or call.model or "",
        messages=[*_instructions(body), *messages],
        tools=read_tools(members.objects(body, "tools") or [], "tools") + added_tools,
        tool_choice=read_tool_choice(body),
        parallel_tool_calls=members.boolean(body, "parallel_tool_calls"),
        reasoning=_reasoning(body),
        sampling=Sampling(
            temperature=members.number(body, "temperature"),
            top_p=members.number(body, "top_p"),
            top_logprobs=members.integer(body, "top_logprobs"),
        ),
        max_tokens=members.count(body, "max_output_tokens"),
        service_tier=members.text(body, "service_tier"),
        user=members.text(body, "user") or members.text(body, "safety_identifier"),
        metadata=members.json_object(body, "metadata"),
        cache_key=members.text(body, "prompt_cache_key"),
        stream=bool(members.boolean(body, "stream") if "stream" in body else call.stream),
        previous_response_id=members.text(body, "previous_response_id"),
        store=members.boolean(body, "store"),
        extra=members.rest(body, _HANDLED),
    )
    if input_was_text:
        conversation.messages[-1].note = {"input": "text"}
    if not conversation.model:
        raise members.missing("model")
    _read_text(conversation, body)
    _keep_include(conversation, body)
    return conversation


def _input_items(body: JsonObject) -> tuple[list[JsonObject], bool]:
    value = body.get("input")
    if isinstance(value, str):
        return [{"role": "user", "content": value}], True
    if value is not None and not isinstance(value, list):
        raise members.wrong_type("input", "a string or an array of input items", value)
    items = members.objects(body, "input")
    if items is None:
        # A stored prompt or an earlier answer may hold the whole input.
        if body.get("prompt") or body.get("previous_response_id") or body.get("conversation"):
            return [], False
        raise members.missing("input")
    return items, False


def _messages(items: list[JsonObject]) -> tuple[list[Message], list[Tool]]:
    """The messages, and the tools that `additional_tools` items declare among them.

    Such a tool notes where its item stood, counted in items, and what else the item said.
    """
    spoken: list[tuple[str, JsonObject]] = []
    tools: list[Tool] = []
    for place, item in enumerate(items):
        here = f"input[{place}]"
        declared = _declared(item, place, here) if item.get("type") == "additional_tools" else None
        if declared:
            tools += declared
        else:
            spoken.append((here, item))
    return read_items(spoken), tools


def _declared(item: JsonObject, place: int, path: str) -> list[Tool]:
    declared = read_tools(members.objects(item, "tools", path) or [], f"{path}.tools")
    for tool in declared:
        declaration = {"position": place, "item": members.rest(item, ("tools",))}
        tool.note = {**(tool.note or {}), "additional_tools": declaration}
    return declared


def _instructions(body: JsonObject) -> list[Message]:
    instructions = members.text(body, "instructions")
    if instructions is None:
        return []
    return [Message("system", [Text(instructions)], slot="instructions", plain=True)]


def _reasoning(body: JsonObject) -> ReasoningRequest | None:
    value = members.json_object(body, "reasoning")
    encrypted = ENCRYPTED_CONTENT in (members.texts(body, "include") or [])
    if value is None:
        return ReasoningRequest(encrypted=True) if encrypted else None
    word = members.text(value, "effort", "reasoning")
    if word is not None and word not in _EFFORTS:
        expected = ", ".join(f"'{effort}'" for effort in _EFFORTS)
        message = f"Invalid value: '{word}'. Supported values are: {expected}."
        raise members.invalid("reasoning.effort", message)
    effort = None if word is None else _EFFORTS[word]
    return ReasoningRequest(
        mode=None if effort is None else "off" if effort == "none" else "effort",
        effort=effort,
        display=members.text(value, "summary", "reasoning"),
        encrypted=encrypted,
        extra=members.rest(value, ("effort", "summary")),
    )


def _read_text(conversation: Conversation, body: JsonObject) -> None:
    """`text`: the output's format and verbosity."""
    value = members.json_object(body, "text")
    if value is None:
        return
    conversation.verbosity = members.text(value, "verbosity", "text")
    shape = members.json_object(value, "format", "text")
    if shape is not None:
        conversation.output_format = _output_format(shape)
    rest = members.rest(value, ("format", "verbosity"))
    if rest:
        conversation.extra["text"] = rest


def _output_format(shape: JsonObject) -> OutputFormat:
    path = "text.format"
    kind = members.required_text(shape, "type", path)
    if kind == "text":
        return OutputFormat("text", extra=members.rest(shape, ("type",)))
    if kind == "json_object":
        return OutputFormat("json_object", extra=members.rest(shape, ("type",)))
    if kind != "json_schema":
        expected = "'text', 'json_object', and 'json_schema'"
        raise members.invalid(f"{path}.type", f"Invalid value: '{kind}'. Supported values are: {expected}.")
    schema = members.json_object(shape, "schema", path)
    if schema is None:
        raise members.missing(f"{path}.schema")
    return OutputFormat(
        "json_schema",
        schema=schema,
        name=members.text(shape, "name", path),
        description=members.text(shape, "description", path),
        strict=members.boolean(shape, "strict", path),
        extra=members.rest(shape, ("type", "schema", "name", "description", "strict")),
    )


def _keep_include(conversation: Conversation, body: JsonObject) -> None:
    """Keeps `include` where it asks for more than encrypted reasoning, which has a neutral field."""
    include = members.texts(body, "include") or []
    if any(name != ENCRYPTED_CONTENT for name in include):
        conversation.extra["include"] = include
