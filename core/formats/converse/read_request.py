"""A Converse request body, read into the neutral conversation.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
The model's id and whether to stream are in the path, not in the body.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from core.conversation import (
    Conversation,
    JsonObject,
    Message,
    Origin,
    OutputFormat,
    Reasoning,
    Role,
    Sampling,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from core.formats.contract import Call
from core.formats.converse.members import (
    Invalid,
    each,
    list_of,
    object_of,
    only_member,
    optional_count,
    optional_flag,
    optional_fraction,
    optional_list,
    optional_object,
    optional_text,
    required_text,
    rest_of,
    within,
)
from core.formats.converse.model_fields import read_effort, read_model_fields
from core.formats.converse.read_blocks import BlockReader, read_cache
from core.models.resolve import facts_for

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}

# In whose messages alone a block may stand, and what Bedrock says elsewhere.
_ONLY_IN: dict[type, tuple[Role, ...]] = {ToolCall: ("assistant",), Reasoning: ("assistant",), ToolResult: ("user",)}
_MISPLACED: dict[type, str] = {
    ToolCall: "toolUse blocks can only be in assistant messages",
    Reasoning: "reasoningContent blocks can only be in assistant messages",
    ToolResult: "toolResult blocks can only be in user messages",
}

_TOP = frozenset(
    {
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "additionalModelRequestFields",
        "outputConfig",
        "serviceTier",
    }
)
_MESSAGE = frozenset({"role", "content"})
_INFERENCE = frozenset({"maxTokens", "temperature", "topP", "stopSequences"})
_TOOL_CONFIG = frozenset({"tools", "toolChoice"})
_TOOL_SPEC = frozenset({"name", "description", "inputSchema", "strict"})
_OUTPUT_CONFIG = frozenset({"textFormat", "effort"})
_JSON_SCHEMA = frozenset({"schema", "name", "description"})
_TEXT_FORMAT = frozenset({"type", "structure"})
_SERVICE_TIER = frozenset({"type"})


def read_request(body: JsonObject, call: Call) -> Conversation:
    """The conversation that a client asks to continue. `body` is parsed JSON of any shape.

    Raises ClientFault with the offending member's path in `param`.
    """
    try:
        return _read(object_of(body), call)
    except Invalid as invalid:
        raise invalid.fault() from None


def _read(body: JsonObject, call: Call) -> Conversation:
    model = call.model or ""
    reader = BlockReader(Origin(facts_for(model).vendor))
    inference = optional_object(body, "inferenceConfig")
    conversation = Conversation(
        format="converse",
        model=model,
        messages=_read_system(body, reader) + _read_messages(body, reader),
        stream=bool(call.stream),
        extra=rest_of(body, _TOP),
    )
    within("inferenceConfig", lambda value: _read_inference(conversation, value), inference)
    within("toolConfig", lambda value: _read_tools(conversation, value), optional_object(body, "toolConfig"))
    read_model_fields(conversation, optional_object(body, "additionalModelRequestFields"))
    within("outputConfig", lambda value: _read_output(conversation, value), optional_object(body, "outputConfig"))
    tier = optional_object(body, "serviceTier")
    conversation.service_tier = within("serviceTier", lambda value: optional_text(value, "type"), tier)
    if rest := rest_of(tier, _SERVICE_TIER):
        conversation.extra["serviceTier"] = rest
    return conversation


def _read_system(body: JsonObject, reader: BlockReader) -> list[Message]:
    blocks = reader.read_all(optional_list(body, "system"), "system")
    return [Message("system", blocks, slot="system")] if blocks else []


def _read_messages(body: JsonObject, reader: BlockReader) -> list[Message]:
    def read(value: Any) -> Message:
        raw = object_of(value)
        role = _ROLES.get(required_text(raw, "role"))
        if role is None:
            raise Invalid("role", "must be 'user' or 'assistant'")
        content = reader.read_all(list_of(raw.get("content"), "content"))
        for block in content:
            if role not in _ONLY_IN.get(type(block), (role,)):
                raise Invalid("content", _MISPLACED[type(block)])
        return Message(role, content, extra=rest_of(raw, _MESSAGE))

    if body.get("messages") == []:
        raise Invalid("messages", "A conversation must start with a user message.")
    return each(optional_list(body, "messages"), "messages", read)


def _read_inference(conversation: Conversation, raw: JsonObject) -> None:
    conversation.max_tokens = optional_count(raw, "maxTokens", 1)
    conversation.sampling = Sampling(
        temperature=optional_fraction(raw, "temperature"), top_p=optional_fraction(raw, "topP")
    )
    conversation.stop = each(optional_list(raw, "stopSequences"), "stopSequences", _read_word)
    rest = rest_of(raw, _INFERENCE)
    if rest:
        conversation.extra["inferenceConfig"] = rest


def _read_word(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid("", "must be a string")
    return value


def _read_tools(conversation: Conversation, raw: JsonObject) -> None:
    tools = conversation.tools
    each(optional_list(raw, "tools"), "tools", lambda value: _read_tool(tools, value))
    choice = raw.get("toolChoice")
    if choice is not None:
        conversation.tool_choice = within("toolChoice", _read_choice, choice)
    rest = rest_of(raw, _TOOL_CONFIG)
    if rest:
        conversation.extra["toolConfig"] = rest


def _read_tool(tools: list[Tool], value: Any) -> None:
    kind, content = only_member(value, "a tool")
    if kind == "cachePoint":
        if not tools or tools[-1].cache is not None:
            raise Invalid(kind, "must stand after a tool")
        tools[-1].cache = within(kind, read_cache, content)
        return
    reader = _TOOL_READERS.get(kind)
    if reader is None:
        raise Invalid("", "must be 'toolSpec', 'systemTool' or 'cachePoint'")
    tools.append(within(kind, reader, content))


def _read_spec(value: Any) -> Tool:
    raw = object_of(value)
    kind, schema = within("inputSchema", lambda inner: only_member(inner, "an input schema"), raw.get("inputSchema"))
    if kind != "json" or not isinstance(schema, dict):
        raise Invalid("inputSchema", "must hold an object in 'json'")
    return Tool(
        required_text(raw, "name"),
        description=optional_text(raw, "description"),
        parameters=schema,
        strict=optional_flag(raw, "strict"),
        extra=rest_of(raw, _TOOL_SPEC),
    )


def _read_system_tool(value: Any) -> Tool:
    raw = object_of(value)
    return Tool(required_text(raw, "name"), kind="server", format="converse", raw={"systemTool": raw})


_TOOL_READERS: dict[str, Callable[[Any], Tool]] = {"toolSpec": _read_spec, "systemTool": _read_system_tool}


def _read_choice(value: Any) -> ToolChoice:
    kind, content = only_member(value, "a tool choice")
    raw = object_of(content, kind)
    match kind:
        case "auto":
            return ToolChoice("auto", extra=raw)
        case "any":
            return ToolChoice("required", extra=raw)
        case "tool":
            name = within("tool", lambda inner: required_text(inner, "name"), raw)
            return ToolChoice("named", [name], extra=rest_of(raw, frozenset({"name"})))
    raise Invalid("", "must be 'auto', 'any' or 'tool'")


def _read_output(conversation: Conversation, raw: JsonObject) -> None:
    text_format = raw.get("textFormat")
    if text_format is not None:
        conversation.output_format = within("textFormat", _read_format, text_format)
    effort = optional_text(raw, "effort")
    rest = rest_of(raw, _OUTPUT_CONFIG)
    if effort is not None and read_effort(conversation, effort) is not None:
        rest["effort"] = effort
    if rest:
        conversation.extra["outputConfig"] = rest


def _read_format(value: Any) -> OutputFormat:
    raw = object_of(value)
    if raw.get("type") != "json_schema":
        raise Invalid("type", "must be 'json_schema'")
    kind, content = within("structure", lambda inner: only_member(inner, "the structure"), raw.get("structure"))
    if kind != "jsonSchema":
        raise Invalid("structure", "must be 'jsonSchema'")
    found = within("structure.jsonSchema", _read_schema, content)
    found.extra.update(rest_of(raw, _TEXT_FORMAT))
    return found


def _read_schema(value: Any) -> OutputFormat:
    raw = object_of(value)
    try:
        schema = json.loads(required_text(raw, "schema"))
    except (ValueError, RecursionError):
        raise Invalid("schema", "must be the JSON text of a schema") from None
    return OutputFormat(
        "json_schema",
        object_of(schema, "schema"),
        name=optional_text(raw, "name"),
        description=optional_text(raw, "description"),
        extra=rest_of(raw, _JSON_SCHEMA),
    )
