"""The demo's Responses side, reading: https://platform.openai.com/docs/api-reference/responses.

It keeps nothing, so `previous_response_id` and references to stored items are refused as unknown; a reference to
reasoning is passed over, because clients that leave `store` unset send those. The writing is in
`responses_answer`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable

from core.errors import ClientFault
from core.providers.demo.ask import Ask, JsonObject, Offer, ToolOutput
from core.providers.demo.checks import OPENAI, Fields, bad_request
from core.providers.demo.reading import (
    EFFORTS,
    attachment_of_url,
    drop_hidden,
    read_name,
    read_schema,
    refuse_unsupported,
)
from core.providers.demo.tokens import IMAGE_TOKENS, count_value

ROLES = ("user", "assistant", "system", "developer")
_REFUSED = {"background": False, "conversation": None, "prompt": None}
_ENVELOPE = "skydemo_"

# Members that only tune, or that are kept for the client's own use.
_TUNING = (
    "temperature top_p top_logprobs truncation max_tool_calls store metadata user safety_identifier service_tier"
    " prompt_cache_key prompt_cache_retention prompt_cache_options stream_options client_metadata moderation"
    " context_management access_programs"
)


def read_ask(body: JsonObject) -> Ask:
    """A request body as an Ask. Raises ClientFault as OpenAI answers 400."""
    fields = Fields(OPENAI, body)
    ask = Ask("Responses", fields.text("model"), body=body)
    ask.stream = fields.optional("stream", "boolean") or False
    refuse_unsupported(fields, _REFUSED)
    if fields.has("previous_response_id"):
        gone = fields.text("previous_response_id")
        message = f"Previous response with id '{gone}' not found."
        raise fields.fault("previous_response_id", message, "previous_response_not_found")
    instructions = fields.optional("instructions", "string") or ""
    ask.system_length += len(instructions)
    ask.prompt_tokens += count_value(instructions)
    _read_tools(ask, fields.objects("tools"))
    _read_input(ask, fields)
    _read_choice(ask, fields)
    _read_reasoning(ask, fields)
    _read_text(ask, fields)
    for name, most in (("temperature", 2), ("top_p", 1)):
        fields.number(name, "number", 0, most)
    ask.max_tokens = fields.number("max_output_tokens", "integer", 16)
    ask.parallel = fields.optional("parallel_tool_calls", "boolean") is not False
    ask.encrypted = "reasoning.encrypted_content" in fields.strings("include")
    fields.names.update(_TUNING.split())
    ask.unread = fields.unread()
    return ask


def _read_input(ask: Ask, fields: Fields) -> None:
    if isinstance(fields.value.get("input"), str):
        ask.roles.append("user")
        text = fields.required("input", "string")
        ask.user_text = drop_hidden(text)
        ask.prompt_tokens += count_value(text)
        return
    fields.required("input", "array")
    items = fields.objects("input")
    if not items:
        raise fields.fault("input", "Invalid '{path}': empty array.", "empty_array")
    calls: dict[str, str] = {}
    answered: set[str] = set()
    for item in items:
        kind = item.optional("type", "string") or ("message" if "role" in item.value else "item_reference")
        if kind == "message":
            _read_message(ask, item)
        elif kind in _CALLS:
            ask.outputs.clear()
            calls[item.text("call_id")] = item.text("name")
            ask.prompt_tokens += count_value(item.required(_CALLS[kind], "string")) + 3
        elif kind in _OUTPUTS:
            answered.add(_read_output(ask, item, calls))
        elif kind in _ITEMS:
            _ITEMS[kind](ask, item)
        else:
            ask.prompt_tokens += count_value(item.value)
    for call_id in calls:
        if call_id not in answered:
            raise bad_request(f"No tool output found for function call {call_id}.", "input")


_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def _read_message(ask: Ask, item: Fields) -> None:
    role = item.required_choice("role", ROLES)
    ask.roles.append(role)
    ask.prompt_tokens += 3
    if role != "developer":
        ask.outputs.clear()
    text = _read_content(ask, item, "content")
    ask.prompt_tokens += count_value(text)
    if role == "user":
        ask.user_text = drop_hidden(text) or ask.user_text
    elif role != "assistant":
        ask.system_length += len(text)


def _read_content(ask: Ask, item: Fields, name: str) -> str:
    """The text of a string or of a list of parts; what else is there becomes an attachment."""
    if isinstance(item.value.get(name), str):
        text: str = item.required(name, "string")
        return text
    item.required(name, "array")
    return "\n".join(_read_part(ask, part) for part in item.objects(name))


def _read_part(ask: Ask, part: Fields) -> str:
    kind = part.required_choice("type", ("input_text", "output_text", "refusal", "input_image", "input_file"))
    if kind in ("input_text", "output_text", "refusal"):
        text: str = part.required("refusal" if kind == "refusal" else "text", "string")
        return text
    ask.prompt_tokens += IMAGE_TOKENS
    if kind == "input_image":
        part.choice("detail", ("auto", "low", "high", "original"))
        where = "an image (stored)" if part.has("file_id") else attachment_of_url(part, "image_url", "an image")
        ask.attachments.append(where)
        return ""
    name = part.optional("filename", "string") or part.optional("file_id", "string")
    if not any(part.has(source) for source in ("file_id", "file_data", "file_url")):
        raise part.fault("file_id", "Missing required parameter: '{path}'.", "missing_required_parameter")
    ask.attachments.append(f"a file ({name or 'unnamed'})")
    return ""


def _read_output(ask: Ask, item: Fields, calls: dict[str, str]) -> str:
    """A tool's output; gives the call that it answers."""
    call_id = item.text("call_id")
    if call_id not in calls:
        raise bad_request(f"No tool call found for function call output with call_id {call_id}.", "input")
    text = _read_content(ask, item, "output")
    ask.prompt_tokens += count_value(text)
    ask.outputs.append(ToolOutput(calls[call_id], text))
    return call_id


def seal(reasoning: str) -> str:
    """The demo's encrypted reasoning. It only looks encrypted: there is nothing to hide."""
    text = reasoning.encode("utf-8", "replace")
    return _ENVELOPE + base64.urlsafe_b64encode(hashlib.sha256(text).digest() + text).decode()


def _read_reasoning_item(ask: Ask, item: Fields) -> None:
    """A reasoning item that came back: the demo's own must be whole, another model's is passed over."""
    item.optional("summary", "array")
    sealed = item.optional("encrypted_content", "string") or ""
    if not sealed.startswith(_ENVELOPE):
        return
    try:
        opened = base64.urlsafe_b64decode(sealed.removeprefix(_ENVELOPE))
    except (binascii.Error, ValueError):
        opened = b""
    if hashlib.sha256(opened[32:]).digest() != opened[:32]:
        message = f"The encrypted content for item {item.value.get('id')} could not be verified."
        raise item.fault("encrypted_content", message, "invalid_encrypted_content")


def _read_reference(ask: Ask, item: Fields) -> None:
    identity = item.text("id")
    if not identity.startswith("rs_"):
        raise ClientFault("not_found", f"Item with id '{identity}' not found.", param="input")


def _read_additional_tools(ask: Ask, item: Fields) -> None:
    item.required("tools", "array")
    _read_tools(ask, item.objects("tools"))


_ITEMS: dict[str, Callable[[Ask, Fields], None]] = {
    "reasoning": _read_reasoning_item,
    "item_reference": _read_reference,
    "additional_tools": _read_additional_tools,
}


def _read_tools(ask: Ask, tools: list[Fields], namespace: str | None = None) -> None:
    for tool in tools:
        kind = tool.text("type")
        if kind == "namespace" and namespace is None:
            tool.required("tools", "array")
            _read_tools(ask, tool.objects("tools"), tool.text("name"))
        elif kind == "function":
            ask.offers.append(Offer(read_name(tool), read_schema(tool, "parameters"), namespace))
        elif kind == "custom":
            ask.offers.append(Offer(read_name(tool), None, namespace))
        else:
            ask.vendor_tools.append(kind)
        ask.prompt_tokens += count_value(tool.value)


def _read_choice(ask: Ask, fields: Fields) -> None:
    if not fields.has("tool_choice"):
        return
    if isinstance(fields.value["tool_choice"], str):
        choice = fields.choice("tool_choice", ("none", "auto", "required"))
        ask.choice = "required" if choice == "required" else "none" if choice == "none" else "auto"
        return
    named = fields.required_object("tool_choice")
    kind = named.text("type")
    if kind == "allowed_tools":
        ask.choice = "required" if named.required_choice("mode", ("auto", "required")) == "required" else "auto"
        ask.allowed = [tool.optional("name", "string") or tool.text("type") for tool in named.objects("tools")]
    elif kind in ("function", "custom"):
        ask.choice, ask.allowed = "required", [named.text("name")]
        if ask.allowed[0] not in [offer.name for offer in ask.offers]:
            message = f"Tool choice '{kind}' not found in 'tools' parameter."
            raise fields.fault("tool_choice", message, None)


def _read_reasoning(ask: Ask, fields: Fields) -> None:
    reasoning = fields.nested("reasoning")
    if reasoning is None:
        return
    effort = reasoning.choice("effort", EFFORTS)
    summary = reasoning.choice("summary", ("auto", "concise", "detailed"))
    ask.effort = None if effort == "none" else effort or "auto"
    ask.show_reasoning = summary is not None


def _read_text(ask: Ask, fields: Fields) -> None:
    text = fields.nested("text")
    if text is None:
        return
    text.choice("verbosity", ("low", "medium", "high"))
    wanted = text.nested("format")
    if wanted is None:
        return
    kind = wanted.required_choice("type", ("text", "json_object", "json_schema"))
    ask.json_only = kind == "json_object"
    if kind == "json_schema":
        read_name(wanted)
        wanted.required("schema", "object")
        ask.schema = read_schema(wanted, "schema")
        ask.prompt_tokens += count_value(ask.schema)
