"""The demo's Messages side, `count_tokens` included: https://docs.claude.com/en/api/messages.

A thinking block's signature is checked when it comes back, as Anthropic does; one that another model signed is
passed over, as Anthropic does too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator

from core.framing import sse
from core.providers.demo.ask import Ask, JsonObject, Offer, Reply, Stamp, ToolOutput
from core.providers.demo.checks import ANTHROPIC, Fields, bad_request
from core.providers.demo.reading import drop_hidden, read_name, read_schema
from core.providers.demo.tokens import IMAGE_TOKENS, count_value, pieces_of
from core.providers.demo.writing import to_json

_SIGNER = b"skybridge-demo"
_STOP_REASONS = {"done": "end_turn", "tools": "tool_use", "length": "max_tokens", "stop_sequence": "stop_sequence"}
_THINKING = ("adaptive", "enabled", "disabled", "between_tools")
_LEAST_BUDGET = 1024
_EFFORTS = ("low", "medium", "high", "xhigh", "max")

_CONTENT_BLOCKS = {
    "user": ("text", "image", "document", "search_result", "tool_result", "container_upload"),
    "system": ("text", "tool_addition", "tool_removal"),
    "tool_result": ("text", "image", "document", "search_result", "tool_reference", "browser_state"),
}
_ATTACHMENTS = {"image": "an image", "document": "a document", "search_result": "a search result"}
_SOURCES = ("base64", "url", "file", "text", "content")

# Members that only tune, or that are another header's affair: nothing to speak of.
_TUNING = (
    "temperature top_p top_k metadata service_tier speed inference_geo diagnostics betas context_management"
    " safeguards cache_control"
)


def read_ask(body: JsonObject) -> Ask:
    """A request body as an Ask. Raises ClientFault as Anthropic answers 400."""
    fields = Fields(ANTHROPIC, body)
    if fields.has("thread"):
        message = "{path}: this server keeps no threads; send the whole conversation."
        raise fields.fault("thread", message, "thread_unsupported_request")
    ask = _read_prompt(fields)
    fields.required("max_tokens", "integer")
    ask.max_tokens = fields.number("max_tokens", "integer", 1)
    ask.stream = fields.optional("stream", "boolean") or False
    ask.stop = fields.strings("stop_sequences")
    for sequence in ask.stop:
        if not sequence.strip():
            raise fields.fault("stop_sequences", "{path}: each stop sequence must contain non-whitespace")
    for name in ("temperature", "top_p"):
        fields.number(name, "number", 0, 1)
    _check_budget(fields, ask)
    fields.names.update(_TUNING.split())
    ask.unread = fields.unread()
    return ask


def count_tokens(body: JsonObject) -> JsonObject:
    """The answer of `count_tokens`. Raises ClientFault as Anthropic answers 400."""
    ask = _read_prompt(Fields(ANTHROPIC, body))
    return {"input_tokens": ask.prompt_tokens}


def _read_prompt(fields: Fields) -> Ask:
    """All of a request that stands in the prompt."""
    ask = Ask("Messages", fields.text("model"), body=dict(fields.value))
    _read_tools(ask, fields)
    _read_system(ask, fields)
    _read_messages(ask, fields)
    _read_thinking(ask, fields)
    _read_output(ask, fields)
    _share_cache(ask, fields)
    return ask


def _check_budget(fields: Fields, ask: Ask) -> None:
    thinking = fields.nested("thinking")
    if thinking is None or thinking.value.get("type") != "enabled":
        return
    if ask.max_tokens is not None and thinking.value["budget_tokens"] >= ask.max_tokens:
        raise thinking.fault("budget_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`")


def _read_system(ask: Ask, fields: Fields) -> None:
    if isinstance(fields.value.get("system"), list):
        texts = []
        for block in fields.objects("system"):
            block.required_choice("type", ("text",))
            texts.append(block.text("text"))
        text = "\n".join(texts)
    else:
        text = fields.optional("system", "string") or ""
    ask.system_length += len(text)
    ask.prompt_tokens += count_value(text)


def _read_messages(ask: Ask, fields: Fields) -> None:
    fields.required("messages", "array")
    messages = fields.objects("messages")
    if not messages:
        raise fields.fault("messages", "{path}: at least one message is required")
    waiting: dict[str, str] = {}
    for index, message in enumerate(messages):
        role = message.required_choice("role", ("user", "assistant", "system"))
        if index == 0 and role == "system":
            raise message.fault("role", "messages: first message must use the \"user\" role")
        ask.roles.append(role)
        ask.prompt_tokens += 3
        blocks = _blocks_of(message)
        if role == "assistant":
            _refuse_unanswered(message, waiting)
            ask.outputs.clear()
            waiting = _read_answer(ask, blocks)
        else:
            _read_turn(ask, role, blocks, waiting)
            if role == "user":
                _refuse_unanswered(message, waiting)
    _refuse_unanswered(messages[-1], waiting)


def _blocks_of(message: Fields) -> list[Fields]:
    """A message's blocks; a bare string is one text block."""
    content = message.value.get("content")
    if isinstance(content, str):
        if not content:
            raise message.fault("content", "{path}: text content blocks must be non-empty")
        return [Fields(message.dialect, {"type": "text", "text": content}, message.at("content"))]
    message.required("content", "array")
    return message.objects("content")


def _refuse_unanswered(message: Fields, waiting: dict[str, str]) -> None:
    if waiting:
        ids = ", ".join(waiting)
        text = (
            f"{message.path}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each"
            " `tool_use` block must have a corresponding `tool_result` block in the next message."
        )
        raise bad_request(text, message.path)


def _read_turn(ask: Ask, role: str, blocks: list[Fields], waiting: dict[str, str]) -> None:
    """A user's or a system message; takes the calls that it answers out of `waiting`."""
    texts = []
    for block in blocks:
        kind = block.required_choice("type", _CONTENT_BLOCKS[role])
        if kind == "text":
            texts.append(block.text("text"))
            ask.prompt_tokens += count_value(texts[-1])
        elif kind == "tool_result":
            _read_result(ask, block, waiting)
        else:
            _read_attachment(ask, block, kind)
    if role == "user":
        ask.user_text = drop_hidden("\n".join(texts)) or ask.user_text
    else:
        ask.system_length += sum(len(text) for text in texts)


def _read_result(ask: Ask, block: Fields, waiting: dict[str, str]) -> None:
    call_id = block.text("tool_use_id")
    if call_id not in waiting:
        text = (
            f"{block.path}: unexpected `tool_use_id` found in `tool_result` blocks: {call_id}. Each `tool_result`"
            " block must have a corresponding `tool_use` block in the previous message."
        )
        raise bad_request(text, block.at("tool_use_id"))
    block.optional("is_error", "boolean")
    texts = []
    if isinstance(block.value.get("content"), str):
        texts.append(block.required("content", "string"))
    else:
        for part in block.objects("content"):
            kind = part.required_choice("type", _CONTENT_BLOCKS["tool_result"])
            if kind == "text":
                texts.append(part.required("text", "string"))
            else:
                _read_attachment(ask, part, kind)
    ask.outputs.append(ToolOutput(waiting.pop(call_id), "\n".join(texts)))
    ask.prompt_tokens += sum(count_value(text) for text in texts)


def _read_attachment(ask: Ask, block: Fields, kind: str) -> None:
    ask.prompt_tokens += IMAGE_TOKENS
    if kind not in _ATTACHMENTS:
        return
    if kind == "search_result":
        ask.attachments.append(f"{_ATTACHMENTS[kind]} ({block.text('title')})")
        return
    source = block.required_object("source")
    origin = source.required_choice("type", _SOURCES)
    if origin == "base64":
        data = source.required("data", "string")
        about = f"{source.text('media_type')}, about {len(data) * 3 // 4} bytes"
    elif origin == "url":
        about = source.text("url")[:80]
    else:
        about = block.optional("title", "string") or origin
    ask.attachments.append(f"{_ATTACHMENTS[kind]} ({about})")


def _read_answer(ask: Ask, blocks: list[Fields]) -> dict[str, str]:
    """An assistant's turn; gives its calls, id to tool name."""
    calls: dict[str, str] = {}
    for block in blocks:
        kind = block.text("type")
        if kind == "text":
            ask.prompt_tokens += count_value(block.required("text", "string"))
        elif kind == "tool_use":
            ask.prompt_tokens += count_value(block.required("input", "object")) + 3
            calls[block.text("id")] = block.text("name")
        elif kind == "thinking":
            _check_signature(block)
    return calls


def sign(thinking: str) -> str:
    """The demo's signature of a thinking text."""
    return base64.b64encode(_SIGNER + hashlib.sha256(thinking.encode("utf-8", "replace")).digest()).decode()


def _check_signature(block: Fields) -> None:
    """Refuses a text that is not the one that the demo signed. An omitted text, "", cannot be checked."""
    thinking: str = block.required("thinking", "string")
    signature: str = block.required("signature", "string")
    try:
        ours = base64.b64decode(signature, validate=True).startswith(_SIGNER)
    except (binascii.Error, ValueError):
        ours = False
    if ours and thinking and signature != sign(thinking):
        raise block.fault("signature", f"{block.path}: Invalid `signature` in `thinking` block")


def _read_tools(ask: Ask, fields: Fields) -> None:
    for tool in fields.objects("tools"):
        kind = tool.optional("type", "string") or "custom"
        if kind != "custom":
            ask.vendor_tools.append(tool.optional("name", "string") or kind)
            continue
        name = read_name(tool)
        tool.required("input_schema", "object")
        ask.offers.append(Offer(name, read_schema(tool, "input_schema")))
        ask.prompt_tokens += count_value(tool.value)
    _read_choice(ask, fields)


def _read_choice(ask: Ask, fields: Fields) -> None:
    choice = fields.nested("tool_choice")
    if choice is None:
        return
    kind = choice.required_choice("type", ("auto", "any", "tool", "none"))
    if kind in ("any", "tool") and not fields.value.get("tools"):
        raise fields.fault("tool_choice", "{path}: may only be specified while providing tools")
    ask.choice = "none" if kind == "none" else "auto" if kind == "auto" else "required"
    ask.parallel = choice.optional("disable_parallel_tool_use", "boolean") is not True
    if kind == "tool":
        ask.allowed = [choice.text("name")]
        if ask.allowed[0] not in [offer.name for offer in ask.offers] + ask.vendor_tools:
            raise choice.fault("name", f"Tool '{ask.allowed[0]}' not found in provided tools")


def _read_thinking(ask: Ask, fields: Fields) -> None:
    thinking = fields.nested("thinking")
    if thinking is None:
        return
    kind = thinking.required_choice("type", _THINKING)
    if kind == "enabled":
        thinking.required("budget_tokens", "integer")
        thinking.number("budget_tokens", "integer", _LEAST_BUDGET)
        if ask.choice == "required":
            message = "Thinking may not be enabled when tool_choice forces tool use."
            raise fields.fault("tool_choice", message)
    if kind in ("enabled", "adaptive"):
        ask.effort = kind
        ask.show_reasoning = thinking.optional("display", "string") != "omitted"


def _read_output(ask: Ask, fields: Fields) -> None:
    config = fields.nested("output_config")
    effort = config.choice("effort", _EFFORTS) if config is not None else None
    if effort and ask.effort:
        ask.effort = f"{ask.effort}, {effort}"
    wanted = config.nested("format") if config is not None else None
    wanted = wanted or fields.nested("output_format")  # the older place
    if wanted is not None:
        wanted.required_choice("type", ("json_schema",))
        ask.schema = wanted.required("schema", "object")
        ask.prompt_tokens += count_value(ask.schema)


def _share_cache(ask: Ask, fields: Fields) -> None:
    """Says what a prompt cache would have done: a marked prompt is written on the first turn, read on later ones.

    What lies behind the last marker is guessed at a tenth of the prompt.
    """
    if '"cache_control"' not in json.dumps(fields.value):
        return
    cached = ask.prompt_tokens * 9 // 10
    ask.prompt_tokens -= cached
    if "assistant" in ask.roles:
        ask.cached_tokens = cached
    else:
        ask.written_tokens = cached


def usage_of(ask: Ask, reply: Reply | None) -> JsonObject:
    """The usage object: of an answer, or of its start where `reply` is None."""
    return {
        "input_tokens": ask.prompt_tokens,
        "cache_creation_input_tokens": ask.written_tokens,
        "cache_read_input_tokens": ask.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": ask.written_tokens, "ephemeral_1h_input_tokens": 0},
        "output_tokens": reply.output_tokens if reply else 1,
        "output_tokens_details": {"thinking_tokens": reply.reasoning_tokens if reply else 0},
        "service_tier": "standard",
    }


def _content_of(ask: Ask, reply: Reply, stamp: Stamp) -> list[JsonObject]:
    """The answer's blocks."""
    blocks: list[JsonObject] = []
    if reply.reasoning:
        shown = reply.reasoning if ask.show_reasoning else ""
        blocks.append({"type": "thinking", "thinking": shown, "signature": sign(reply.reasoning)})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for number, call in enumerate(reply.calls):
        identity = {"type": "tool_use", "id": stamp.mint("toolu_", number), "name": call.offer.name}
        blocks.append({**identity, "input": json.loads(call.arguments)})
    return blocks


def _message(ask: Ask, stamp: Stamp, usage: JsonObject) -> JsonObject:
    return {
        "id": stamp.mint("msg_"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def write_answer(ask: Ask, reply: Reply, stamp: Stamp) -> JsonObject:
    """The answer as a `message`."""
    return {
        **_message(ask, stamp, usage_of(ask, reply)),
        "content": _content_of(ask, reply, stamp),
        "stop_reason": _STOP_REASONS[reply.ended],
        "stop_sequence": reply.stop_sequence,
    }


def _frame(kind: str, **members: object) -> bytes:
    body = {"type": kind, **members}
    return sse.encode(to_json(body), event=kind)


def write_frames(ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
    """The answer as server-sent events, word by word."""
    yield _frame("message_start", message=_message(ask, stamp, usage_of(ask, None)))
    yield _frame("ping")
    for index, block in enumerate(_content_of(ask, reply, stamp)):
        start, deltas = _opened(block)
        yield _frame("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield _frame("content_block_delta", index=index, delta=delta)
        yield _frame("content_block_stop", index=index)
    ended = {"stop_reason": _STOP_REASONS[reply.ended], "stop_sequence": reply.stop_sequence}
    yield _frame("message_delta", delta=ended, usage=usage_of(ask, reply))
    yield _frame("message_stop")


def _opened(block: JsonObject) -> tuple[JsonObject, list[JsonObject]]:
    """A block as it starts, and the deltas that fill it."""
    kind = block["type"]
    if kind == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces_of(block["text"])]
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces_of(block["thinking"])]
        signature = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*deltas, signature]
    arguments = json.dumps(block["input"], ensure_ascii=False)
    pieces = ["", *pieces_of(arguments)] if block["input"] else [""]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
