"""The demo's Chat Completions side: https://platform.openai.com/docs/api-reference/chat.

Reasoning is given as `reasoning_content`, as DeepSeek, vLLM and LiteLLM do: OpenAI itself never shows it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.framing import sse
from core.providers.demo.ask import Ask, JsonObject, Offer, Reply, Stamp, ToolCall, ToolOutput
from core.providers.demo.checks import OPENAI, Fields, bad_request
from core.providers.demo.reading import (
    EFFORTS,
    attachment_of_url,
    drop_hidden,
    read_name,
    read_schema,
    read_stop,
    refuse_unsupported,
)
from core.providers.demo.tokens import IMAGE_TOKENS, count_value, pieces_of
from core.providers.demo.writing import to_json

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_REFUSED = {"n": 1, "logprobs": False, "modalities": ["text"], "audio": None}
_FINISH = {"done": "stop", "tools": "tool_calls", "length": "length", "stop_sequence": "stop"}

# Members that only tune: read nowhere, yet nothing to speak of.
_TUNING = (
    "temperature top_p presence_penalty frequency_penalty logit_bias seed top_logprobs store metadata user"
    " safety_identifier prompt_cache_key prompt_cache_retention prompt_cache_options service_tier verbosity"
    " prediction moderation"
)


def read_ask(body: JsonObject) -> Ask:
    """A request body as an Ask. Raises ClientFault as OpenAI answers 400."""
    fields = Fields(OPENAI, body)
    ask = Ask("Chat Completions", fields.text("model"), body=body)
    ask.stream = fields.optional("stream", "boolean") or False
    options = fields.nested("stream_options")
    if options is not None:
        if not ask.stream:
            message = "The '{path}' parameter is only allowed when 'stream' is enabled."
            raise fields.fault("stream_options", message, None)
        ask.include_usage = options.optional("include_usage", "boolean") or False
    refuse_unsupported(fields, _REFUSED)
    _read_messages(ask, fields)
    _read_tools(ask, fields)
    _read_output(ask, fields)
    _read_reasoning(ask, fields)
    for name, most in (("temperature", 2), ("top_p", 1)):
        fields.number(name, "number", 0, most)
    limit = fields.number("max_completion_tokens", "integer", 1)
    ask.max_tokens = limit or fields.number("max_tokens", "integer", 1)
    ask.stop = read_stop(fields)
    fields.names.update(_TUNING.split())
    ask.unread = fields.unread()
    return ask


def _read_messages(ask: Ask, fields: Fields) -> None:
    fields.required("messages", "array")
    messages = fields.objects("messages")
    if not messages:
        raise fields.fault("messages", "Invalid '{path}': empty array.", "empty_array")
    waiting: dict[str, str] = {}
    for message in messages:
        role = message.required_choice("role", ROLES)
        if waiting and role != "tool":
            raise _unanswered(message, waiting)
        ask.roles.append(role)
        ask.prompt_tokens += 3 + count_value(message.optional("name", "string") or "")
        if role != "tool":
            ask.outputs.clear()
        text = _read_content(ask, message, role)
        ask.prompt_tokens += count_value(text)
        if role == "assistant":
            waiting = _read_calls(ask, message)
        elif role == "tool":
            ask.outputs.append(ToolOutput(_answered_call(message, waiting), text))
        elif role in ("system", "developer"):
            ask.system_length += len(text)
        elif role == "user":
            ask.user_text = drop_hidden(text) or ask.user_text
    if waiting:
        raise _unanswered(messages[-1], waiting)


def _unanswered(message: Fields, waiting: dict[str, str]) -> Exception:
    ids = ", ".join(waiting)
    text = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
        f" 'tool_call_id'. The following tool_call_ids did not have response messages: {ids}"
    )
    return bad_request(text, message.at("role"))


def _answered_call(message: Fields, waiting: dict[str, str]) -> str:
    """The name of the tool whose call this message answers."""
    call_id = message.text("tool_call_id")
    if call_id not in waiting:
        text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
        raise bad_request(f"Invalid parameter: {text}", message.at("tool_call_id"))
    return waiting.pop(call_id)


def _read_calls(ask: Ask, message: Fields) -> dict[str, str]:
    """An assistant message's calls, id to tool name."""
    calls: dict[str, str] = {}
    message.optional("refusal", "string")
    for call in message.objects("tool_calls"):
        kind = call.required_choice("type", ("function", "custom"))
        function = call.required_object(kind)
        written = function.required("input" if kind == "custom" else "arguments", "string")
        calls[call.text("id")] = function.text("name")
        ask.prompt_tokens += count_value(written) + 3
    if not calls and not any(message.has(name) for name in ("content", "refusal", "audio", "function_call")):
        raise message.fault("content", "Invalid value for '{path}': expected a string, got null.", None)
    return calls


def _read_content(ask: Ask, message: Fields, role: str) -> str:
    """A message's text, "" where it has none; what else it holds becomes an attachment."""
    if isinstance(message.value.get("content"), list):
        return "\n".join(_read_part(ask, part) for part in message.objects("content"))
    if role == "assistant":
        return message.optional("content", "string") or ""
    text: str = message.required("content", "string")
    return text


def _read_part(ask: Ask, part: Fields) -> str:
    kind = part.required_choice("type", ("text", "image_url", "input_audio", "file", "refusal"))
    if kind in ("text", "refusal"):
        text: str = part.required(kind, "string")
        return text
    held = part.required_object(kind)
    ask.prompt_tokens += IMAGE_TOKENS
    if kind == "image_url":
        held.choice("detail", ("auto", "low", "high", "original"))
        ask.attachments.append(attachment_of_url(held, "url", "an image"))
    elif kind == "input_audio":
        held.required("data", "string")
        ask.attachments.append(f"a sound ({held.required_choice('format', ('wav', 'mp3'))})")
    else:
        name = held.optional("filename", "string") or held.optional("file_id", "string")
        ask.attachments.append(f"a file ({name or 'unnamed'})")
    return ""


def _read_tools(ask: Ask, fields: Fields) -> None:
    if fields.has("tools") and fields.value["tools"] == []:
        raise fields.fault("tools", "Invalid '{path}': empty array.", "empty_array")
    for tool in fields.objects("tools"):
        kind = tool.required_choice("type", ("function", "custom"))
        declared = tool.required_object(kind)
        name = read_name(declared)
        ask.offers.append(Offer(name, read_schema(declared, "parameters") if kind == "function" else None))
        ask.prompt_tokens += count_value(tool.value)
    ask.parallel = fields.optional("parallel_tool_calls", "boolean") is not False
    _read_choice(ask, fields)


def _read_choice(ask: Ask, fields: Fields) -> None:
    if not fields.has("tool_choice"):
        return
    if not ask.offers:
        message = "Invalid value for '{path}': '{path}' is only allowed when 'tools' are specified."
        raise fields.fault("tool_choice", message, None)
    if isinstance(fields.value["tool_choice"], str):
        choice = fields.choice("tool_choice", ("none", "auto", "required"))
        ask.choice = "required" if choice == "required" else "none" if choice == "none" else "auto"
        return
    named = fields.required_object("tool_choice")
    kind = named.required_choice("type", ("function", "custom", "allowed_tools"))
    inner = named.required_object(kind)
    ask.choice = "required"
    if kind == "allowed_tools":
        ask.choice = "required" if inner.required_choice("mode", ("auto", "required")) == "required" else "auto"
        listed = inner.objects("tools")
        ask.allowed = [
            tool.required_object(tool.required_choice("type", ("function", "custom"))).text("name") for tool in listed
        ]
    else:
        ask.allowed = [inner.text("name")]
    known = {offer.name for offer in ask.offers}
    for name in ask.allowed:
        if name not in known:
            raise inner.fault("name", f"Tool choice '{name}' not found in 'tools' parameter.", None)


def _read_output(ask: Ask, fields: Fields) -> None:
    wanted = fields.nested("response_format")
    if wanted is None:
        return
    kind = wanted.required_choice("type", ("text", "json_object", "json_schema"))
    ask.json_only = kind == "json_object"
    if kind == "json_schema":
        described = wanted.required_object("json_schema")
        read_name(described)
        ask.schema = read_schema(described, "schema") or {"type": "object"}
        ask.prompt_tokens += count_value(ask.schema)


def _read_reasoning(ask: Ask, fields: Fields) -> None:
    """OpenAI's `reasoning_effort`, OpenRouter's `reasoning`, Anthropic's `thinking`: whichever is there."""
    effort = fields.choice("reasoning_effort", EFFORTS)
    reasoning = fields.nested("reasoning")
    if reasoning is not None:
        effort = reasoning.choice("effort", EFFORTS) or ("none" if reasoning.value.get("enabled") is False else "auto")
        ask.show_reasoning = reasoning.value.get("exclude") is not True
    thinking = fields.nested("thinking")
    if thinking is not None and thinking.value.get("type") in ("enabled", "adaptive"):
        effort = "thinking"
    ask.effort = None if effort == "none" else effort


def usage_of(ask: Ask, reply: Reply) -> JsonObject:
    """The usage object of an answer."""
    return {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": ask.prompt_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens, "audio_tokens": 0},
    }


def _written_call(call: ToolCall, call_id: str, arguments: str) -> JsonObject:
    kind, member = ("function", "arguments") if call.offer.schema is not None else ("custom", "input")
    return {"id": call_id, "type": kind, kind: {"name": call.offer.name, member: arguments}}


def write_answer(ask: Ask, reply: Reply, stamp: Stamp) -> JsonObject:
    """The answer as a `chat.completion`."""
    message: JsonObject = {"role": "assistant", "content": reply.text or None, "refusal": None, "annotations": []}
    if not reply.calls and message["content"] is None:
        message["content"] = ""
    if reply.reasoning and ask.show_reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [
            _written_call(call, stamp.mint("call_", number), call.arguments)
            for number, call in enumerate(reply.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[reply.ended]}
    return {
        "id": stamp.mint("chatcmpl-"),
        "object": "chat.completion",
        "created": stamp.created,
        "model": ask.model,
        "choices": [choice],
        "usage": usage_of(ask, reply),
        "service_tier": "default",
        "system_fingerprint": "fp_skybridge_demo",
    }


def write_frames(ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
    """The answer as `chat.completion.chunk` events, word by word, up to `[DONE]`."""
    head = {
        "id": stamp.mint("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": stamp.created,
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_skybridge_demo",
    }

    def chunk(choices: list[Any], usage: JsonObject | None = None) -> bytes:
        body = {**head, "choices": choices, **({"usage": usage} if ask.include_usage else {})}
        return sse.encode(to_json(body))

    for delta in _deltas(ask, reply, stamp):
        yield chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])
    yield chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": _FINISH[reply.ended]}])
    if ask.include_usage:
        yield chunk([], usage_of(ask, reply))
    yield sse.encode("[DONE]")


def _deltas(ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[JsonObject]:
    yield {"role": "assistant", "content": None if reply.calls else "", "refusal": None}
    if ask.show_reasoning:
        for piece in pieces_of(reply.reasoning):
            yield {"reasoning_content": piece}
    for piece in pieces_of(reply.text):
        yield {"content": piece}
    for number, call in enumerate(reply.calls):
        yield {"tool_calls": [{"index": number, **_written_call(call, stamp.mint("call_", number), "")}]}
        kind, member = ("function", "arguments") if call.offer.schema is not None else ("custom", "input")
        for piece in pieces_of(call.arguments):
            yield {"tool_calls": [{"index": number, kind: {member: piece}}]}
