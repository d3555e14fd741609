"""A Messages request body, read into the neutral conversation. https://docs.anthropic.com/en/api/messages

`max_tokens` may be absent here: the bodies of `count_tokens` are read too, and every backend format has a
default for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.conversation import (
    Block,
    Conversation,
    Document,
    Effort,
    JsonObject,
    Message,
    OutputFormat,
    ReasoningRequest,
    Role,
    Sampling,
    Text,
)
from core.formats.carriers import open_carriers
from core.formats.contract import Call
from core.formats.messages.members import (
    MISSING,
    NOT_AN_OBJECT,
    Invalid,
    each,
    list_of,
    object_of,
    optional_count,
    optional_flag,
    optional_fraction,
    optional_object,
    optional_text,
    rest_of,
    within,
)
from core.formats.messages.read_blocks import BlockReader, read_cache
from core.formats.messages.read_tools import read_tool, read_tool_choice

# The version from which on sampling parameters, documents in assistant turns and citations in user turns
# are refused: https://docs.anthropic.com/en/api/versioning
_STRICT_VERSION = "2026-10-21"

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_EFFORTS: dict[str, Effort] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_DISPLAYS = {"summarized": "summary", "omitted": "none"}
_TOP = frozenset(
    {
        "model",
        "messages",
        "system",
        "max_tokens",
        "stop_sequences",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "thinking",
        "output_config",
        "output_format",
        "cache_control",
        "metadata",
        "service_tier",
        "tools",
        "tool_choice",
        "betas",
    }
)
_MESSAGE = frozenset({"role", "content"})
_OUTPUT_CONFIG = frozenset({"effort", "format"})
_OUTPUT_FORMAT = frozenset({"type", "schema"})
_THINKING = frozenset({"type", "budget_tokens", "display"})

_READERS: dict[Role, BlockReader] = {role: BlockReader(role=role) for role in _ROLES.values()}


def read_request(body: JsonObject, call: Call) -> Conversation:
    """The conversation that a client asks to continue. `body` is parsed JSON of any shape.

    Raises ClientFault with a message in Anthropic's words and the offending member in `param`.
    """
    try:
        conversation = _read(object_of(body), call)
        if call.headers.get("anthropic-version", "").strip() == _STRICT_VERSION:
            _check_strict(body, conversation)
    except Invalid as invalid:
        raise invalid.fault() from None
    return conversation


def _read(body: JsonObject, call: Call) -> Conversation:
    stream = optional_flag(body, "stream")
    conversation = Conversation(
        format="messages",
        model=_model(body, call),
        messages=_read_system(body) + _read_messages(body),
        sampling=Sampling(
            temperature=optional_fraction(body, "temperature"),
            top_p=optional_fraction(body, "top_p"),
            top_k=optional_count(body, "top_k", 0),
        ),
        max_tokens=optional_count(body, "max_tokens", 1),
        stop=_read_texts(body, "stop_sequences"),
        service_tier=optional_text(body, "service_tier"),
        cache=read_cache(body),
        stream=bool(stream if call.stream is None else call.stream),
        betas=_read_betas(body, call.headers),
        extra={name: member for name, member in body.items() if name not in _TOP},
    )
    _read_tools(conversation, body)
    _read_metadata(conversation, body)
    _read_reasoning(conversation, body)
    return conversation


def _model(body: JsonObject, call: Call) -> str:
    model = optional_text(body, "model") or call.model
    if not model:
        raise Invalid("model", MISSING)
    return model


def _read_system(body: JsonObject) -> list[Message]:
    system = body.get("system")
    if system is None:
        return []
    message = _message("system", system, "system", {})
    message.slot = "system"
    return [message]


def _message(role: Role, content: Any, name: str, extra: JsonObject) -> Message:
    """The message whose content stands in the member `name`."""
    if isinstance(content, str):
        return Message(role, [Text(content)], plain=True, extra=extra)
    if not isinstance(content, list):
        raise Invalid(name, "Input should be a valid string or a list of content blocks")
    blocks = each(content, name, _READERS[role].read)
    # Carriers are reasoning, which only the assistant has.
    return Message(role, open_carriers(blocks) if role == "assistant" else blocks, extra=extra)


def _read_messages(body: JsonObject) -> list[Message]:
    if "messages" not in body:
        raise Invalid("messages", MISSING)
    messages = list_of(body["messages"], "messages")
    if not messages:
        raise Invalid("messages", "at least one message is required")
    return each(messages, "messages", _read_message)


def _read_message(value: Any) -> Message:
    if not isinstance(value, dict):
        raise Invalid("", NOT_AN_OBJECT)
    name = value.get("role")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise Invalid("role", "Input should be 'user', 'assistant' or 'system'" if "role" in value else MISSING)
    if "content" not in value:
        raise Invalid("content", MISSING)
    return _message(role, value["content"], "content", rest_of(value, _MESSAGE) if len(value) > 2 else {})


def _read_texts(body: JsonObject, name: str) -> list[str]:
    values = body.get(name)
    return [] if values is None else each(list_of(values, name), name, _text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid("", "Input should be a valid string")
    return value


def _read_betas(body: JsonObject, headers: Mapping[str, str]) -> list[str]:
    header = headers.get("anthropic-beta", "")
    if not header and "betas" not in body:
        return []
    named = [name.strip() for name in header.split(",")]
    return list(dict.fromkeys(name for name in (*named, *_read_texts(body, "betas")) if name))


def _read_tools(conversation: Conversation, body: JsonObject) -> None:
    tools = body.get("tools")
    if tools is not None:
        conversation.tools = each(list_of(tools, "tools"), "tools", read_tool)
    choice = optional_object(body, "tool_choice")
    if choice is not None:
        conversation.tool_choice, conversation.parallel_tool_calls = within("tool_choice", read_tool_choice, choice)


def _read_metadata(conversation: Conversation, body: JsonObject) -> None:
    metadata = optional_object(body, "metadata")
    if metadata is None:
        return
    conversation.user = within("metadata", lambda value: optional_text(value, "user_id"), metadata)
    rest = rest_of(metadata, frozenset({"user_id"}))
    if rest:
        conversation.extra["metadata"] = rest


_REASONING = frozenset({"thinking", "output_config", "output_format"})


def _read_reasoning(conversation: Conversation, body: JsonObject) -> None:
    if _REASONING.isdisjoint(body):
        return
    request = None
    thinking = optional_object(body, "thinking")
    if thinking is not None:
        request = within("thinking", _read_thinking, thinking)
    config = optional_object(body, "output_config") or {}
    effort = within("output_config", _read_effort, config)
    if effort is not None:
        request = request or ReasoningRequest(mode="effort")
        request.effort = effort
    conversation.reasoning = request
    # `output_format` is the older place of the same thing.
    conversation.output_format = within("output_config", lambda raw: _read_format(raw, "format"), config)
    if conversation.output_format is None:
        conversation.output_format = _read_format(body, "output_format")
    rest = rest_of(config, _OUTPUT_CONFIG)
    if rest:
        conversation.extra["output_config"] = rest


def _read_thinking(raw: JsonObject) -> ReasoningRequest:
    kind = raw.get("type")
    reader = _THINKING_TYPES.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise Invalid("type", "Input should be 'adaptive', 'enabled', 'disabled' or 'between_tools'")
    request = reader(raw)
    display = optional_text(raw, "display")
    request.display = _DISPLAYS.get(display, display) if display else None
    request.extra = rest_of(raw, _THINKING)
    return request


def _read_budget(raw: JsonObject) -> ReasoningRequest:
    budget = optional_count(raw, "budget_tokens", 1024)
    if budget is None:
        raise Invalid("budget_tokens", MISSING)
    return ReasoningRequest(mode="budget", budget=budget)


_THINKING_TYPES: dict[str, Callable[[JsonObject], ReasoningRequest]] = {
    "adaptive": lambda _: ReasoningRequest(mode="adaptive"),
    "enabled": _read_budget,
    "disabled": lambda _: ReasoningRequest(mode="off"),
    "between_tools": lambda _: ReasoningRequest(mode="between_tools"),
}


def _read_effort(config: JsonObject) -> Effort | None:
    name = optional_text(config, "effort")
    if name is None:
        return None
    effort = _EFFORTS.get(name)
    if effort is None:
        raise Invalid("effort", "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    return effort


def _read_format(holder: JsonObject, name: str) -> OutputFormat | None:
    raw = optional_object(holder, name)
    if raw is None:
        return None
    if raw.get("type") != "json_schema":
        raise Invalid(f"{name}.type", "Input should be 'json_schema'")
    schema = within(name, lambda value: optional_object(value, "schema"), raw)
    if schema is None:
        raise Invalid(f"{name}.schema", MISSING)
    return OutputFormat("json_schema", schema, extra=rest_of(raw, _OUTPUT_FORMAT))


def _check_strict(body: JsonObject, conversation: Conversation) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            raise Invalid(name, "Extra inputs are not permitted")
    offset = 1 if body.get("system") is not None else 0
    for place, message in enumerate(conversation.messages[offset:]):
        for position, block in enumerate(message.content):
            _check_strict_block(f"messages.{place}.content.{position}", message.role, block)


def _check_strict_block(path: str, role: Role, block: Block) -> None:
    if role == "assistant" and isinstance(block, Document):
        raise Invalid(path, "`document` blocks can only be in `user` messages")
    if role == "user" and isinstance(block, Text) and block.citations:
        raise Invalid(f"{path}.citations", "Extra inputs are not permitted")
