"""Content blocks of an answer, written for a Messages client: whole, and as the start of a streamed one.

What came from a Messages backend goes out as it came in. Reasoning of other vendors becomes thinking blocks whose
signature is an envelope (core.formats.envelope), so that the client's next request brings it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.conversation import (
    Audio,
    Block,
    Citation,
    Document,
    Image,
    JsonObject,
    Opaque,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from core.formats import envelope
from core.formats.arguments import read_arguments
from core.formats.messages.read_blocks import ANTHROPIC


def write_block(block: Block) -> JsonObject | None:
    """The whole block; None where a Messages client has no use for it."""
    return _WRITERS[type(block)](block)


def is_redacted(block: Block) -> bool:
    """Whether `block` becomes a `redacted_thinking` block."""
    return isinstance(block, Reasoning) and block.redacted is not None and _is_native(block)


def signature_of(block: Reasoning) -> str:
    """What stands in a thinking block's `signature`: Anthropic's own, or an envelope around another's state."""
    if _is_native(block):
        return block.signature or ""
    return envelope.seal(block)


def write_citation(citation: Citation) -> JsonObject | None:
    """The citation as this format has it, None where it has no form for it.

    A web citation of another vendor gets an empty `encrypted_index`: a client can show it, and
    write_request knows it again and leaves it out.
    """
    if str(citation.raw.get("type")).endswith("_location"):
        return citation.raw
    if citation.url is None:
        return None
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title,
        "encrypted_index": "",
        "cited_text": citation.cited_text or "",
    }


def _is_native(block: Reasoning) -> bool:
    # An aborted stream leaves thinking without its signature; it is still Anthropic's.
    own = block.origin is not None and block.origin.vendor == ANTHROPIC.vendor
    return own and block.encrypted is None


def _text(block: Text) -> JsonObject | None:
    written: JsonObject = {"type": "text", "text": block.text}
    citations = [raw for citation in block.citations if (raw := write_citation(citation)) is not None]
    if citations:
        written["citations"] = citations
    if not block.text and not citations:
        return None
    return written


def _refusal(block: Refusal) -> JsonObject | None:
    return _text(Text(block.text))


def _reasoning(block: Reasoning) -> JsonObject:
    if is_redacted(block):
        return {"type": "redacted_thinking", "data": block.redacted}
    return {"type": "thinking", "thinking": block.text, "signature": signature_of(block)}


def _tool_call(block: ToolCall) -> JsonObject:
    arguments = {"input": block.arguments} if block.kind == "custom" else read_arguments(block.arguments)
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": arguments}


def _server_tool(block: ServerToolCall | ServerToolResult) -> JsonObject | None:
    # What another vendor's own tool did is no text of the model's; what the model made of it stands in its text.
    return block.raw if block.format == "messages" else None


def _opaque(block: Opaque) -> JsonObject | None:
    return block.raw if block.format == "messages" else None


def _omitted(kind: str) -> Callable[[Any], JsonObject]:
    # Messages answers hold no media: a visible mark instead of a silent gap.
    return lambda _: {"type": "text", "text": f"[{kind} omitted: Messages answers cannot hold it]"}


_WRITERS: dict[type, Callable[[Any], JsonObject | None]] = {
    Text: _text,
    Refusal: _refusal,
    Reasoning: _reasoning,
    ToolCall: _tool_call,
    ServerToolCall: _server_tool,
    ServerToolResult: _server_tool,
    Opaque: _opaque,
    Image: _omitted("image"),
    Document: _omitted("document"),
    Audio: _omitted("audio"),
    Video: _omitted("video"),
    ToolResult: _omitted("tool result"),
}
