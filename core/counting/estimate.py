"""How many tokens a conversation is, where no backend says: counted from its characters, rather high than low.

Clients compact a conversation by this number: one that is too low lets them run into the model's limit. Kinds of
characters weigh what the vendors' tokenizers were seen to make of them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from core.conversation import (
    Audio,
    Block,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Video,
)
from core.models.facts import ModelFacts
from core.slotted import slotted

_WORD = re.compile(r"[A-Za-z]+")
_DIGITS = re.compile(r"[0-9]+")
_ASCII_MARK = re.compile(r"[!-/:-@\[-`{-~]")
_LINE = re.compile(r"\n+")
_WIDE = re.compile(r"[^\x00-\x7f]")

# Characters of a word that make a token; longer words are pieces.
_WORD_PIECE = 6
_DIGIT_PIECE = 2

# What a vendor's tokenizer makes of the same text, against the count here.
_SCALE: Final = {"anthropic": 1.2, "openai": 1.15, "google": 1.1}
# Claude's tokenizer from 4.7 on makes more of it; those models speak the later version of the API.
_LATER_CLAUDE = 1.55
_OTHER_SCALE = 1.25


@slotted(frozen=True)
class Frame:
    """Tokens that stand around what was sent: a request, a message, a list of tools and each tool of it, a schema for
    the answer, the instructions for reasoning, an image, a tool whose schema only the vendor knows."""

    request: int
    message: int
    tools: int
    tool: int
    schema: int
    reasoning: int
    image: int
    vendor_tool: int


_FRAMES: Final = {
    "anthropic": Frame(12, 6, 500, 60, 130, 35, 1_600, 1_500),
    "openai": Frame(30, 8, 130, 25, 60, 60, 1_105, 500),
    "google": Frame(6, 4, 20, 12, 40, 20, 1_290, 300),
}
# Chat templates of open models bring a system prompt of their own.
_OTHER_FRAME: Final = Frame(70, 8, 500, 45, 160, 60, 1_900, 1_500)
_PAGE = 3_000
_PAGES = re.compile(rb"/Type\s*/Page[^s]")
_BYTES_PER_PAGE = 50_000
_TEXT_FILE = 1.35
# Audio and video: by the second of what is there, and never nothing for what is elsewhere.
_SECOND = 32
_BYTES_PER_SECOND = 4_000
_LEAST_MEDIA = 2_000.0


def text_tokens(text: str) -> float:
    """The tokens of a text, by kinds of characters."""
    words = sum(1 + (len(word) - 1) // _WORD_PIECE for word in _WORD.findall(text))
    digits = sum(1 + (len(number) - 1) // _DIGIT_PIECE for number in _DIGITS.findall(text))
    marks = 0.9 * len(_ASCII_MARK.findall(text))
    return words + digits + marks + len(_LINE.findall(text)) + 1.1 * len(_WIDE.findall(text))


def estimate_tokens(conversation: Conversation, facts: ModelFacts) -> int:
    """The input tokens of `conversation` for a model of that family."""
    return _Counter(facts).count(conversation)


class _Counter:
    def __init__(self, facts: ModelFacts) -> None:
        later = facts.vendor == "anthropic" and facts.latest_anthropic_version > "2023-06-01"
        self._scale = _LATER_CLAUDE if later else _SCALE.get(facts.vendor, _OTHER_SCALE)
        open_model = facts.family.startswith("gpt-oss")
        self._frame = _OTHER_FRAME if open_model else _FRAMES.get(facts.vendor, _OTHER_FRAME)

    def count(self, conversation: Conversation) -> int:
        frame = self._frame
        total = frame.request + sum(self._of_message(message) for message in conversation.messages)
        if conversation.tools:
            total += frame.tools + sum(self._of_tool(tool) for tool in conversation.tools)
        if conversation.output_format is not None and conversation.output_format.schema is not None:
            total += self._of_text(_dumped(conversation.output_format.schema)) + frame.schema
        if conversation.reasoning is not None or conversation.extra:
            total += frame.reasoning  # and so do members that one vendor knows (a task's budget)
        return int(total) + 1

    def _of_text(self, text: str) -> float:
        return self._scale * text_tokens(text)

    def _of_message(self, message: Message) -> float:
        return self._frame.message + self._of_blocks(message.content)

    def _of_blocks(self, blocks: Iterable[Block]) -> float:
        return sum(_BLOCKS[type(block)](self, block) for block in blocks)

    def _of_tool(self, tool: Tool) -> float:
        if tool.kind in ("server", "client"):
            return self._frame.vendor_tool + self._of_text(_dumped(tool.raw))
        schema = _dumped(tool.parameters or tool.grammar or {})
        text = f"{tool.name}\n{tool.description or ''}\n{schema}"
        return self._frame.tool + self._of_text(text)

    def _of_call(self, call: ToolCall) -> float:
        return self._frame.tool + self._of_text(f"{call.id} {call.name} {call.arguments}")

    def _of_result(self, result: ToolResult) -> float:
        return self._frame.message + self._of_text(result.call_id) + self._of_blocks(result.content)

    def _of_reasoning(self, reasoning: Reasoning) -> float:
        return self._of_text("\n".join(reasoning.texts)) + len(reasoning.encrypted or "") / 4

    def _of_image(self, image: Image) -> float:
        return float(self._frame.image)

    def _of_document(self, document: Document) -> float:
        source = document.source
        named = self._of_text(f"{document.name or ''} {document.context or ''}") + self._frame.tool
        if source.kind == "text":
            return named + self._of_text(source.data)
        if source.kind == "blocks":
            return named + self._of_blocks(source.blocks)
        return named + _document_tokens(source, self._of_text)

    def _of_media(self, media: Audio | Video) -> float:
        return max(_LEAST_MEDIA, _SECOND * len(media.source.data) * 0.75 / _BYTES_PER_SECOND)

    def _of_raw(self, block: ServerToolCall | ServerToolResult | Opaque) -> float:
        return self._of_text(_dumped(block.raw))


def _document_tokens(source: Source, of_text: Callable[[str], float]) -> float:
    """A text is what it is; of a PDF the pages count; anything else by its size."""
    try:
        data = base64.b64decode(source.data, validate=False) if source.kind == "base64" else b""
    except (binascii.Error, ValueError):
        data = b""
    if data and source.media_type.startswith("text/"):
        return _TEXT_FILE * of_text(data.decode("utf-8", "replace"))
    pages = len(_PAGES.findall(data)) or 1 + len(data) // _BYTES_PER_PAGE
    return float(_PAGE * pages)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_BLOCKS: dict[type, Callable[[_Counter, Any], float]] = {
    Text: lambda counter, block: counter._of_text(block.text),
    Refusal: lambda counter, block: counter._of_text(block.text),
    Image: _Counter._of_image,
    Document: _Counter._of_document,
    Audio: _Counter._of_media,
    Video: _Counter._of_media,
    Reasoning: _Counter._of_reasoning,
    ToolCall: _Counter._of_call,
    ToolResult: _Counter._of_result,
    ServerToolCall: _Counter._of_raw,
    ServerToolResult: _Counter._of_raw,
    Opaque: _Counter._of_raw,
}
