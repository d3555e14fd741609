"""Content blocks written for a Messages backend. https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Document,
    FormatName,
    Image,
    JsonObject,
    Opaque,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from core.errors import Unsupported
from core.formats.arguments import read_arguments
from core.formats.messages.read_blocks import EMPTY_LIST
from core.translation.losses import Losses

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
PDF = "application/pdf"
_PDF_START = "JVBER"  # base64 of "%PDF"
# Of a search result's `extra`, as both formats that have one read it.
_SAID_OF_RESULTS = ("type", "source")

# How long the other formats' breakpoints last, in the two terms that there are here.
_TTLS = {"30m": "5m", "12h": "1h"}


def write_cache(mark: CacheMark) -> JsonObject:
    """The `cache_control` object of a mark."""
    written: JsonObject = {"type": "ephemeral"}
    if mark.ttl is not None:
        written["ttl"] = _TTLS.get(mark.ttl, mark.ttl)
    return written


class BlockWriter:
    """Writes blocks of a conversation of `client_format` for a model whose opaque state is `vendor`'s.

    Each write gives one object, or None where the block is left out (with a warning, unless it is empty).
    Raises Unsupported for content that the format cannot carry.
    """

    def __init__(self, client_format: FormatName, vendor: str, losses: Losses) -> None:
        self._same = client_format == "messages"
        self._vendor = vendor
        self._losses = losses

    def write_all(self, blocks: Iterable[Block]) -> list[JsonObject]:
        """Those of `blocks` that can be written, in order."""
        return [written for block in blocks if (written := _WRITERS[type(block)](self, block)) is not None]

    def finish(self, written: JsonObject, cache: CacheMark | None, extra: JsonObject) -> JsonObject:
        """Adds the cache mark, and the members of the origin format: put back, or warned of elsewhere."""
        if cache is not None:
            written["cache_control"] = write_cache(cache)
            if self._same:
                written["cache_control"].update(cache.extra)
        if extra:
            self.add_extra(written, extra, "messages.content")
        return written

    def add_extra(self, written: JsonObject, extra: JsonObject, where: str) -> None:
        """Puts `extra` into `written` when it is of this format; warns of each member otherwise."""
        if self._same:
            written.update(extra)
            return
        for name, value in extra.items():
            if value is not None:
                self._losses.add(f"{where}.{name}", "Messages has no such member")

    def _text(self, block: Text) -> JsonObject | None:
        if not block.text.strip():
            return None  # an empty or blank text is a 400, and says nothing
        written: JsonObject = {"type": "text", "text": block.text}
        if block.citations:
            citations = [citation.raw for citation in block.citations if self._is_own(citation)]
            if citations:
                written["citations"] = citations
            if len(citations) < len(block.citations):
                self._losses.add("messages.content.citations", "no Anthropic model issued them")
        if block.cache is None and not block.extra:
            return written
        return self.finish(written, block.cache, block.extra)

    def _is_own(self, citation: Citation) -> bool:
        # A web citation without its encrypted index was translated for the client: no backend takes it back.
        return self._same and citation.raw.get("encrypted_index") != ""

    def _image(self, block: Image) -> JsonObject:
        if block.detail not in (None, "auto"):
            self._losses.add("messages.content.detail", "Messages has no level of detail for images")
        written: JsonObject = {"type": "image", "source": self._image_source(block.source)}
        return self.finish(written, block.cache, block.extra)

    def _image_source(self, source: Source) -> JsonObject:
        if source.kind == "base64":
            if source.media_type not in IMAGE_TYPES:
                kind = source.media_type or "unknown"
                raise Unsupported("image", f"images of type {kind} cannot be sent: use JPEG, PNG, GIF or WebP")
            written = {"type": "base64", "media_type": source.media_type, "data": source.data}
        else:
            written = self._plain_source(source, "image")
        return self._finish_source(written, source)

    def _plain_source(self, source: Source, feature: str) -> JsonObject:
        if source.kind == "url":
            return {"type": "url", "url": source.data}
        if source.kind == "file_id" and self._same:
            return {"type": "file", "file_id": source.data}
        raise Unsupported(feature, f"a {feature} given as {source.kind} cannot be sent to this backend")

    def _finish_source(self, written: JsonObject, source: Source) -> JsonObject:
        self.add_extra(written, source.extra, "messages.content.source")
        return written

    def _document(self, block: Document) -> JsonObject:
        if block.extra.get("type") == "search_result":
            return self._search_result(block)
        written: JsonObject = {"type": "document", "source": self._document_source(block)}
        if block.name is not None:
            written["title"] = block.name
        if block.context is not None:
            written["context"] = block.context
        if block.citations is not None:
            written["citations"] = {"enabled": block.citations}
        return self.finish(written, block.cache, block.extra)

    def _search_result(self, block: Document) -> JsonObject:
        source, content = block.extra.get("source"), self.write_all(block.source.blocks)
        written: JsonObject = {"type": "search_result", "source": source, "title": block.name, "content": content}
        if block.citations is not None:
            written["citations"] = {"enabled": block.citations}
        extra = {name: value for name, value in block.extra.items() if name not in _SAID_OF_RESULTS}
        return self.finish(written, block.cache, extra)

    def _document_source(self, block: Document) -> JsonObject:
        source = block.source
        if source.kind == "text":
            written = self._text_source(source)
        elif source.kind == "blocks":
            written = {"type": "content", "content": self.write_all(source.blocks)}
        elif source.kind == "base64":
            written = self._base64_document(source)
        else:
            written = self._plain_source(source, "document")
        return self._finish_source(written, source)

    @staticmethod
    def _text_source(source: Source) -> JsonObject:
        if source.extra.get("type") == "content":
            return {"content": source.data}
        return {"type": "text", "media_type": "text/plain", "data": source.data}

    def _base64_document(self, source: Source) -> JsonObject:
        if source.media_type == PDF or (not source.media_type and source.data.startswith(_PDF_START)):
            return {"type": "base64", "media_type": PDF, "data": source.data}
        if self._same:
            return {"type": "base64", "media_type": source.media_type, "data": source.data}
        text = _decoded_text(source)
        if text is None:
            kind = source.media_type or "unknown"
            raise Unsupported("document", f"documents of type {kind} cannot be sent: use PDF or plain text")
        return {"type": "text", "media_type": "text/plain", "data": text}

    def _audio(self, _block: Audio) -> JsonObject:
        raise Unsupported("audio", "Messages backends take no audio")

    def _video(self, _block: Video) -> JsonObject:
        raise Unsupported("video", "Messages backends take no video")

    def _reasoning(self, block: Reasoning) -> JsonObject | None:
        own = block.origin is not None and block.origin.vendor == self._vendor
        written: JsonObject
        if own and block.redacted is not None:
            written = {"type": "redacted_thinking", "data": block.redacted}
        elif own and block.signature:
            written = {"type": "thinking", "thinking": block.text, "signature": block.signature}
        else:
            self._losses.add("messages.content.reasoning", "not signed by the model's vendor")
            return None
        if block.extra:
            self.add_extra(written, block.extra, "messages.content")
        return written

    def _tool_call(self, block: ToolCall) -> JsonObject:
        custom = block.kind == "custom"
        arguments = {"input": block.arguments} if custom else read_arguments(block.arguments)
        written: JsonObject = {"type": "tool_use", "id": block.id, "name": block.name, "input": arguments}
        if block.cache is None and not block.extra:
            return written
        return self.finish(written, block.cache, block.extra)

    def _tool_result(self, block: ToolResult) -> JsonObject:
        written: JsonObject = {"type": "tool_result", "tool_use_id": block.call_id}
        first = block.content[0] if block.content else None
        if block.plain and len(block.content) == 1 and isinstance(first, Text):
            written["content"] = first.text
        elif (content := self.write_all(block.content)) or block.note == EMPTY_LIST:
            written["content"] = content
        if block.is_error is not None:
            written["is_error"] = block.is_error
        return self.finish(written, block.cache, block.extra)

    def _refusal(self, block: Refusal) -> JsonObject | None:
        return self._text(Text(block.text))

    def _server_call(self, block: ServerToolCall) -> JsonObject | None:
        if block.format == "messages":
            return block.raw
        self._losses.add("messages.content.server_tool", f"{block.format} ran the tool {block.tool}")
        return None

    def _server_result(self, block: ServerToolResult) -> JsonObject | None:
        if block.format == "messages":
            return block.raw
        self._losses.add("messages.content.server_tool", f"{block.format} ran the tool {block.tool}")
        return self._text(Text(block.text))

    def _opaque(self, block: Opaque) -> JsonObject | None:
        if block.format == "messages":
            return block.raw
        if block.content:
            raise Unsupported(block.kind, f"content of type {block.kind} cannot be sent to this backend")
        self._losses.add(f"messages.content.{block.kind}", "Messages has no such block")
        return None


# Each writer takes the type that is its key.
_WRITERS: dict[type, Callable[[BlockWriter, Any], JsonObject | None]] = {
    Text: BlockWriter._text,
    Image: BlockWriter._image,
    Document: BlockWriter._document,
    Audio: BlockWriter._audio,
    Video: BlockWriter._video,
    Reasoning: BlockWriter._reasoning,
    ToolCall: BlockWriter._tool_call,
    ToolResult: BlockWriter._tool_result,
    Refusal: BlockWriter._refusal,
    ServerToolCall: BlockWriter._server_call,
    ServerToolResult: BlockWriter._server_result,
    Opaque: BlockWriter._opaque,
}


def _decoded_text(source: Source) -> str | None:
    if not source.media_type.startswith("text/") and source.media_type != "application/json":
        return None
    try:
        return base64.b64decode(source.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
