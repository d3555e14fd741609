"""The `messages` of a Chat Completions request to neutral turns."""

from __future__ import annotations

from typing import Literal

from core.conversation import (
    Block,
    JsonObject,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from core.formats.chat_completions.fields import Fields, missing, wrong_value
from core.formats.chat_completions.read_content import read_cache, read_content
from core.formats.chat_completions.reasoning_slots import read_reasoning
from core.formats.chat_completions.tool_arguments import arguments_text

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
# What most messages of the assistant have beside their text, if anything.
_CALLS = frozenset({"tool_calls"})
_EMPTY_IN_CALLS = ("provider_specific_fields", "caller")
_REASONING_MEMBERS = ("reasoning_details", "thinking_blocks", "reasoning_content", "reasoning")


def read_messages(messages: list[object]) -> list[Message]:
    """The turns in order. Raises ClientFault."""
    reader = _MessagesReader()
    return [reader.read(message, f"messages[{index}]") for index, message in enumerate(messages)]


class _MessagesReader:
    """Reads one message after the other; knows the last legacy function call, which has no id of its own."""

    def __init__(self) -> None:
        self._functions = 0

    def read(self, value: object, path: str) -> Message:
        fields = Fields(value, path)
        word = fields.required_text("role")
        role = _ROLES.get(word)
        if role is None:
            raise wrong_value(fields.at("role"), f"{word!r} is none of {', '.join(map(repr, _ROLES))}.")
        if role == "assistant":
            return self._assistant(fields)
        if role == "tool":
            return self._result(fields, legacy=word == "function")
        return _plain_message(fields, role)

    def _assistant(self, fields: Fields) -> Message:
        content = fields.take("content")
        # The empty text is what OpenAI's own answers hold beside tool calls.
        blocks = [] if content == "" else _content(content, fields)
        if fields.rest.keys() <= _CALLS:
            blocks += read_tool_calls(fields)
            return Message("assistant", blocks, plain=isinstance(content, str), extra=fields.rest)
        return self._assistant_with_more(fields, blocks, plain=isinstance(content, str))

    def _assistant_with_more(self, fields: Fields, written: list[Block], *, plain: bool) -> Message:
        reasoning = read_reasoning(fields.rest)
        blocks: list[Block] = [*reasoning, *written]
        for name in _REASONING_MEMBERS:
            fields.take(name)
        refusal = fields.text("refusal")
        if refusal:
            blocks.append(Refusal(refusal))
        audio = fields.object("audio")
        if audio is not None:
            blocks.append(Opaque("chat_completions", "audio", audio, content=True))
        blocks += read_tool_calls(fields)
        blocks += self._function_call(fields)
        if reasoning:
            blocks = _signed_by_id(blocks)
        message = Message("assistant", blocks, plain=plain, name=fields.text("name"))
        _take_signatures(fields.object("extra_content"), blocks)
        _drop_empty(fields.rest, ("annotations", "function_call", "provider_specific_fields"))
        _mark_last(message, fields)
        return message

    def _function_call(self, fields: Fields) -> list[Block]:
        call = fields.fields("function_call")
        if call is None:
            return []
        self._functions += 1
        name, arguments = call.required_text("name"), call.text("arguments") or ""
        return [ToolCall(self._function_id(), name, arguments, extra=call.rest)]

    def _function_id(self) -> str:
        return f"call_function_{self._functions}"

    def _result(self, fields: Fields, *, legacy: bool) -> Message:
        call_id = self._function_id() if legacy else fields.required_text("tool_call_id")
        content = fields.take("content")
        result = ToolResult(call_id, _content(content, fields), plain=isinstance(content, str))
        if fields.rest:
            result.is_error = fields.boolean("is_error")
            result.name = fields.text("name")
            result.cache = read_cache(fields)
        return Message("tool", [result], extra=fields.rest)


def _content(content: object, fields: Fields) -> list[Block]:
    return [Text(content)] if isinstance(content, str) else read_content(content, fields.at("content"))


def _plain_message(fields: Fields, role: Role) -> Message:
    content = fields.take("content")
    if content is None:
        raise missing(fields.at("content"))
    message = Message(role, _content(content, fields), plain=isinstance(content, str))
    if fields.rest:
        message.name = fields.text("name")
        _mark_last(message, fields)
    return message


def _mark_last(message: Message, fields: Fields) -> None:
    """A cache breakpoint on the message stands after its last block; what is left of the members is extra."""
    mark = read_cache(fields)
    if mark is not None:
        for block in reversed(message.content):
            if not isinstance(block, Reasoning | Refusal | Opaque) and hasattr(block, "cache"):
                block.cache = block.cache or mark
                break
    message.extra = fields.rest


def _drop_empty(members: JsonObject, names: tuple[str, ...]) -> None:
    """Answers that clients send back hold empty members, which say nothing."""
    for name in names:
        if not members.get(name):
            members.pop(name, None)


def read_tool_calls(fields: Fields) -> list[Block]:
    """The member `tool_calls` of a message."""
    calls = fields.array("tool_calls")
    if not calls:
        return []
    path = fields.at("tool_calls")
    return [_tool_call(Fields(call, f"{path}[{index}]")) for index, call in enumerate(calls)]


def _tool_call(fields: Fields) -> ToolCall:
    kind = fields.text("type") or "function"
    fields.take("index")
    extra_content = fields.object("extra_content")
    if kind == "custom":
        custom = fields.fields("custom")
        if custom is None:
            raise missing(fields.at("custom"))
        name, arguments, inner = custom.required_text("name"), custom.text("input") or "", custom
    else:
        function = fields.fields("function")
        if function is None:
            raise missing(fields.at("function"))
        name, inner = function.required_text("name"), function
        arguments = function.take("arguments")
        if not isinstance(arguments, str):
            arguments = arguments_text(arguments, function.at("arguments"))
    call_kind: Literal["function", "custom"] = "custom" if kind == "custom" else "function"
    call = ToolCall(fields.text("id") or "", name, arguments, call_kind)
    if fields.rest or inner.rest:
        call.cache = read_cache(fields)
        _drop_empty(fields.rest, _EMPTY_IN_CALLS)
        _drop_empty(inner.rest, _EMPTY_IN_CALLS)
        call.extra = {**inner.rest, **fields.rest}
    _take_signatures(extra_content, [call])
    return call


def _signed_by_id(blocks: list[Block]) -> list[Block]:
    """The blocks, Gemini's signatures that OpenRouter tells with the ids of their calls on those calls."""
    calls = {block.id: block for block in blocks if isinstance(block, ToolCall)}
    kept: list[Block] = []
    for block in blocks:
        call = calls.get(block.id) if isinstance(block, Reasoning) and block.id and not block.texts else None
        if isinstance(block, Reasoning) and call is not None and block.origin == Origin("google"):
            call.signature, call.origin = call.signature or block.signature, block.origin
        else:
            kept.append(block)
    return kept


def _take_signatures(extra_content: JsonObject | None, blocks: list[Block]) -> None:
    """Gemini's thought signature belongs to the first call of the message, or to its text
    (https://ai.google.dev/gemini-api/docs/thought-signatures)."""
    if not extra_content:
        return
    google = extra_content.get("google")
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    if not isinstance(signature, str) or not signature:
        return
    calls = [block for block in blocks if isinstance(block, ToolCall)]
    signed: list[ToolCall | Text] = [*calls, *(block for block in blocks if isinstance(block, Text))]
    if signed and signed[0].signature is None:
        signed[0].signature, signed[0].origin = signature, Origin("google")
