"""Neutral turns to the `messages` of a Chat Completions request."""

from __future__ import annotations

from core.conversation import (
    Document,
    Image,
    JsonObject,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    ToolCall,
    ToolResult,
)
from core.formats.chat_completions.dialects import REASONING_TEXT_VENDORS
from core.formats.chat_completions.reasoning_slots import (
    format_of,
    needs_envelope,
    write_details,
    write_thinking_block,
)
from core.formats.chat_completions.write_content import Numbered, Writing, write_parts

# A tool message holds text only; what else the tool gave follows in a user message.
_MEDIA = (Image, Document)
_FOLLOWS = "[The {kind} is in the next user message.]"
_FROM = "From the result of tool call {call_id}:"
_ERROR_PREFIX = "Error: "


def write_messages(messages: list[Message], writing: Writing) -> list[JsonObject]:
    """The wire's messages. Raises Unsupported for content that has no place."""
    writer = _MessagesWriter(writing)
    for index, message in enumerate(messages):
        writer.add(message, f"messages[{index}]")
    writer.flush()
    return writer.written


class _MessagesWriter:
    """Writes turn after turn; holds back the media of tool results until the run of results has ended."""

    def __init__(self, writing: Writing) -> None:
        self.written: list[JsonObject] = []
        self._writing = writing
        self._held: list[JsonObject] = []

    def add(self, message: Message, path: str) -> None:
        if message.role == "assistant":
            self.flush()
            self.written.append(write_assistant(message, self._writing, path))
            return
        rest: Numbered = []
        for index, block in enumerate(message.content):
            if isinstance(block, ToolResult):
                self._result(block, message if message.role == "tool" else None, path)
            else:
                rest.append((index, block))
        if rest or not message.content:
            self.flush()
            self._plain(message, rest, path)

    def flush(self) -> None:
        """The user message with what the tool messages before it could not hold."""
        if self._held:
            self.written.append({"role": "user", "content": self._held})
            self._held = []

    def _plain(self, message: Message, blocks: Numbered, path: str) -> None:
        role = message.role
        if role == "tool":
            role = "user"
        if role == "developer" and not self._writing.dialect.developer_role:
            role = "system"
        written: JsonObject = {"role": role, "content": content_of(message, blocks, self._writing, path)}
        put_name(written, message, self._writing, path)
        self._writing.put_extra(written, message.extra, path)
        self.written.append(written)

    def _result(self, result: ToolResult, message: Message | None, path: str) -> None:
        written: JsonObject = {"role": "tool", "tool_call_id": result.call_id}
        media: Numbered = []
        text = None if result.is_error or result.cache is not None else _only_text(list(enumerate(result.content)))
        if text is not None and (result.plain or not self._writing.same_format):
            written["content"] = text
        else:
            written["content"], media = self._parts(result, path)
        extra = {**result.extra, **(message.extra if message else {})}
        if result.name is not None and self._writing.same_format:
            written["name"] = result.name
        self._writing.put_extra(written, extra, path)
        self.written.append(written)
        if media:
            self._held.append({"type": "text", "text": _FROM.format(call_id=result.call_id)})
            self._held += write_parts(media, self._writing, f"{path}.content")

    def _parts(self, result: ToolResult, path: str) -> tuple[str | list[JsonObject], Numbered]:
        """The content of a tool's message, and the blocks that it cannot hold."""
        text_blocks: Numbered = []
        media: Numbered = []
        for index, block in enumerate(result.content):
            if isinstance(block, _MEDIA):
                media.append((index, block))
                text_blocks.append((index, Text(_FOLLOWS.format(kind=type(block).__name__.lower()))))
            else:
                text_blocks.append((index, block))
        parts = write_parts(text_blocks, self._writing, f"{path}.content")
        return _result_content(parts, result, self._writing, path), media


def _result_content(parts: list[JsonObject], result: ToolResult, writing: Writing, path: str) -> str | list[JsonObject]:
    if result.is_error:
        parts = _as_error(parts)
    marked: JsonObject = {}
    if result.cache is not None:
        writing.put_cache(marked, result.cache, path)
    if marked and parts:
        return [*parts[:-1], {**parts[-1], **marked}]
    single = len(parts) == 1 and set(parts[0]) == {"type", "text"}
    if single and (result.plain or not writing.same_format):
        return str(parts[0]["text"])
    return parts or ""


def _as_error(parts: list[JsonObject]) -> list[JsonObject]:
    """The format has no error flag: the text says it, unless it does already."""
    first = str(parts[0].get("text", "")) if parts else ""
    if first.lower().startswith("error"):
        return parts
    return [{**(parts[0] if parts else {"type": "text"}), "text": _ERROR_PREFIX + first}, *parts[1:]]


def content_of(message: Message, blocks: Numbered, writing: Writing, path: str) -> str | list[JsonObject]:
    """`content`: a bare string where the origin had one, or where one plain text is all."""
    bare = message.plain or not writing.same_format
    text = _only_text(blocks) if bare else None
    if text is not None:
        return text
    parts = write_parts(blocks, writing, f"{path}.content")
    if not parts:
        return ""
    single = len(parts) == 1 and set(parts[0]) == {"type", "text"}
    return str(parts[0]["text"]) if single and bare else parts


def _only_text(blocks: Numbered) -> str | None:
    """The text that is all there is of `blocks`, and all there is to say of it."""
    if len(blocks) != 1:
        return None
    block = blocks[0][1]
    if isinstance(block, Text) and block.cache is None and not block.citations and not block.extra:
        return block.text
    return None


def put_name(written: JsonObject, message: Message, writing: Writing, path: str) -> None:
    """The participant's name, where the server takes one."""
    if message.name is None:
        return
    if writing.dialect.names:
        written["name"] = message.name
    else:
        writing.drop(f"{path}.name", "this backend takes no participant names")


def write_assistant(message: Message, writing: Writing, path: str) -> JsonObject:
    """One assistant message: content, refusal, calls, and reasoning in the slot that the server knows."""
    written: JsonObject = {"role": "assistant"}
    spoken: Numbered = []
    reasoning: list[Reasoning] = []
    calls: list[JsonObject] = []
    for index, block in enumerate(message.content):
        match block:
            case Text():
                spoken.append((index, block))
            case Reasoning():
                reasoning.append(block)
            case ToolCall():
                calls.append(write_call(block, writing, f"{path}.tool_calls[{len(calls)}]"))
            case Refusal():
                written["refusal"] = block.text
            case Opaque(format="chat_completions", kind="audio"):
                written["audio"] = block.raw
            case ServerToolCall() | ServerToolResult():
                writing.drop(f"{path}.content[{index}]", f"the vendor's own {block.tool} has no place here")
            case _:
                spoken.append((index, block))
    content = content_of(message, spoken, writing, path)
    written["content"] = content or (None if len(written) > 1 or calls else "")
    if calls:
        written["tool_calls"] = calls
    put_name(written, message, writing, path)
    if reasoning:
        _put_reasoning(written, reasoning, writing, path)
    _put_call_signatures(written, message, writing)
    writing.put_extra(written, message.extra, path)
    return written


def write_call(call: ToolCall, writing: Writing, path: str) -> JsonObject:
    """One entry of `tool_calls`."""
    name = call.name if call.namespace is None else f"{call.namespace}__{call.name}"
    written: JsonObject = {"id": call.id, "type": call.kind}
    if call.kind == "custom":
        written["custom"] = {"name": name, "input": call.arguments}
    else:
        written["function"] = {"name": name, "arguments": call.arguments or "{}"}
    if call.signature and writing.target.facts.vendor == "google":
        if writing.dialect.slot != "details":
            written["extra_content"] = {"google": {"thought_signature": call.signature}}
    elif call.signature:
        writing.drop(f"{path}.signature", "a thought signature goes back to its vendor only")
    writing.put_cache(written, call.cache, path)
    writing.put_extra(written, call.extra, path)
    return written


def _put_call_signatures(written: JsonObject, message: Message, writing: Writing) -> None:
    """Gemini's signatures where OpenRouter wants them back: in entries with the calls' ids
    (https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks)."""
    if writing.dialect.slot != "details" or writing.target.facts.vendor != "google":
        return
    details: list[JsonObject] = written.get("reasoning_details", [])
    for block in message.content:
        if isinstance(block, ToolCall) and block.signature:
            signature: JsonObject = {"type": "reasoning.encrypted", "data": block.signature, "id": block.id}
            details.append({**signature, "format": "google-gemini-v1", "index": len(details)})
    if details:
        written["reasoning_details"] = details


def _put_reasoning(written: JsonObject, blocks: list[Reasoning], writing: Writing, path: str) -> None:
    vendor = writing.target.facts.vendor
    readable = [block for block in blocks if _is_readable(block, vendor)]
    if len(readable) < len(blocks):
        writing.drop(f"{path}.reasoning", "reasoning goes back to the vendor that it came from only")
    if not readable:
        return
    slot = writing.dialect.slot
    if slot == "details":
        details: list[JsonObject] = []
        for block in readable:
            details += write_details(block, len(details))
        written["reasoning_details"] = details
    elif slot == "thinking_blocks" and vendor == "anthropic":
        written["thinking_blocks"] = [write_thinking_block(block) for block in readable]
    elif slot == "content" and vendor == "anthropic":
        _put_reasoning_parts(written, readable)
    elif slot != "none" and (vendor in REASONING_TEXT_VENDORS or writing.same_format):
        text = "\n\n".join(block.text for block in readable if block.text)
        if text:
            written["reasoning_content"] = text
    else:
        writing.drop(f"{path}.reasoning", "this backend takes no reasoning back")


def _is_readable(reasoning: Reasoning, vendor: str) -> bool:
    """Whether a model of `vendor` takes this reasoning back: its own state, or mere text where text is enough."""
    has_state = bool(reasoning.signature or reasoning.redacted or reasoning.encrypted)
    if vendor == "anthropic":
        return has_state and reasoning.origin is not None and reasoning.origin.vendor == vendor
    if has_state:
        return (
            format_of(reasoning.origin) != "unknown"
            and not needs_envelope(reasoning)
            and (reasoning.origin is not None and reasoning.origin.vendor == vendor)
        )
    return reasoning.origin is None or reasoning.origin.vendor == vendor


def _put_reasoning_parts(written: JsonObject, blocks: list[Reasoning]) -> None:
    """Databricks: reasoning stands in `content`, before the text."""
    parts: list[JsonObject] = []
    for block in blocks:
        entry: JsonObject = {"type": "summary_text", "text": block.text, "signature": block.signature or ""}
        if block.redacted:
            entry = {"type": "summary_encrypted_text", "data": block.redacted}
        parts.append({"type": "reasoning", "summary": [entry]})
    content = written["content"]
    if isinstance(content, str) and content:
        parts.append({"type": "text", "text": content})
    elif isinstance(content, list):
        parts += content
    written["content"] = parts
