"""Content blocks of the Converse format, written: for a backend's request and for a client's answer alike.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Document,
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
from core.formats.converse.media import format_name
from core.formats.converse.read_blocks import BINARY_REDACTED, CITATIONS_CONTENT, GUARD_CONTENT, JSON_BLOCK
from core.models.facts import ModelFacts
from core.translation.losses import Losses, said

# A tool's result needs some content.
EMPTY_RESULT = "(no content)"

_TTLS = {"5m": "5m", "30m": "5m", "1h": "1h", "12h": "1h", "24h": "1h"}
_OWN_EXTRAS = frozenset({GUARD_CONTENT, CITATIONS_CONTENT, BINARY_REDACTED, "format", "type", "source"})


class BlockWriter:
    """Writes the blocks of a request for a model of `facts`.

    `own`: the conversation came in this very format, so its own members go back as they were.
    """

    def __init__(self, facts: ModelFacts, losses: Losses, *, own: bool) -> None:
        self._facts = facts
        self._losses = losses
        self._own = own
        self._base = ""
        self._place = 0
        self._documents = 0

    @property
    def _path(self) -> str:
        """Where the block stands that is being written, for warnings and errors."""
        return f"{self._base}[{self._place}]"

    def write_all(self, blocks: Iterable[Block], path: str) -> list[JsonObject]:
        """The blocks of one message; `path` is where they stand, for warnings and errors."""
        written: list[JsonObject] = []
        self._base = path
        for self._place, block in enumerate(blocks):
            raw = self._write(block)
            if raw is not None:
                written.append(raw)
            mark = block.cache if isinstance(block, Text) else _mark_of(block)
            if mark is not None and written:
                written += self.cache_point(mark, f"{self._path}.cache")
        return written

    def cache_point(self, mark: CacheMark, path: str) -> list[JsonObject]:
        """The block that stands after what is to be cached; none where the model knows no such thing."""
        if not self._facts.cache_marks and not self._own:
            self._losses.add(path, "this model on Bedrock takes no cache points")
            return []
        point: JsonObject = {"type": "default"}
        if self._own:
            point.update(mark.extra)
        ttl = mark.ttl if self._own else _TTLS.get(mark.ttl or "")
        # Five minutes is the default, which models that know no other accept as well.
        if ttl is not None and (self._own or ttl != "5m"):
            point["ttl"] = ttl
        return [{"cachePoint": point}]

    def _write(self, block: Block) -> JsonObject | None:
        raw = _WRITERS[type(block)](self, block)
        if raw is not None and (extra := getattr(block, "extra", None)):
            self._put_extra(extra, raw)
        return raw

    def _put_extra(self, extra: JsonObject, raw: JsonObject) -> None:
        """The members that only the block's own format knows: put back, or reported."""
        rest = {name: value for name, value in extra.items() if name not in _OWN_EXTRAS}
        if not rest:
            return
        if not self._own:
            for name in said(rest):
                self._losses.add(f"{self._path}.{name}", "Converse has no place for it")
            return
        (inner,) = raw.values()
        # Some blocks stand one level deeper: reasoningContent.reasoningText, guardContent.image.
        (inner.get("reasoningText") or inner.get("image") or inner).update(rest)

    def text(self, block: Text) -> JsonObject | None:
        """A text, in the kind of block that it came in."""
        if block.extra or block.citations or block.signature:
            return self._text_with_more(block)
        return {"text": block.text} if self._own or block.text.strip() else None

    def _text_with_more(self, block: Text) -> JsonObject | None:
        guard = block.extra.get(GUARD_CONTENT)
        if self._own and isinstance(guard, dict):
            return {"guardContent": {"text": {"text": block.text, **guard}}}
        if self._own and (block.citations or CITATIONS_CONTENT in block.extra):
            return {"citationsContent": cited_text(block)}
        if block.citations:
            self._losses.add(f"{self._path}.citations", "Converse takes back its own citations only")
        if block.signature:
            self._losses.add(f"{self._path}.signature", "only its issuer can read it")
        return {"text": block.text} if self._own or block.text.strip() else None

    def media(self, block: Image | Audio | Video) -> JsonObject:
        """An image, a sound or a film."""
        kind = _MEDIA_KINDS[type(block)]
        name = block.extra.get("format") if self._own else None
        name = name or format_name(kind, block.source.media_type)
        if name is None:
            media_type = block.source.media_type or "of an unknown type"
            raise Unsupported(self._path, f"Converse takes no {kind} {media_type}")
        raw: JsonObject = {"format": name, "source": self._source(block.source)}
        if isinstance(block, Image) and block.detail not in (None, "auto"):
            self._losses.add(f"{self._path}.detail", "Converse has no such knob")
        if self._own and GUARD_CONTENT in block.extra:
            return {"guardContent": {"image": raw}}
        return {kind: raw}

    def document(self, block: Document) -> JsonObject:
        """A document, or a search result."""
        if block.extra.get("type") == "search_result":
            return {"searchResult": self._search_result(block)}
        self._documents += 1
        raw: JsonObject = {"name": block.name or f"document-{self._documents}"}
        source = block.source
        name = block.extra.get("format") or format_name("document", source.media_type)
        if name is not None:
            raw["format"] = name
        elif source.kind not in ("blocks", "text"):
            media_type = source.media_type or "of an unknown type"
            raise Unsupported(self._path, f"Converse takes no document {media_type}")
        raw["source"] = self._document_source(source)
        if block.context is not None:
            raw["context"] = block.context
        if block.citations is not None:
            raw["citations"] = {"enabled": block.citations}
        return {"document": raw}

    def _search_result(self, block: Document) -> JsonObject:
        raw: JsonObject = {
            "source": block.extra.get("source") or "",
            "title": block.name or "",
            "content": self._texts(block.source),
        }
        if block.citations is not None:
            raw["citations"] = {"enabled": block.citations}
        return raw

    def _document_source(self, source: Source) -> JsonObject:
        if source.kind == "text" and not self._own:
            # As bytes it is a document for every model; as text only for some.
            return {"bytes": base64.b64encode(source.data.encode("utf-8", "replace")).decode()}
        if source.kind == "text":
            return {"text": source.data}
        if source.kind == "blocks":
            return {"content": self._texts(source)}
        return self._source(source)

    def _texts(self, source: Source) -> list[JsonObject]:
        if source.kind == "text":
            return [{"text": source.data}]
        texts = [block for block in source.blocks if isinstance(block, Text)]
        if len(texts) != len(source.blocks):
            raise Unsupported(self._path, "a document's parts can only be text in Converse")
        return [{"text": block.text} for block in texts]

    def _source(self, source: Source) -> JsonObject:
        if source.kind == "base64":
            return {"bytes": source.data}
        if source.kind == "s3":
            owner = {name: source.extra[name] for name in ("bucketOwner",) if name in source.extra}
            return {"s3Location": {"uri": source.data, **owner}}
        raise Unsupported(self._path, f"Converse takes no source of kind {source.kind!r}")

    def reasoning(self, block: Reasoning) -> JsonObject | None:
        """Reasoning that the model can read itself; any other is left out."""
        vendor = block.origin.vendor if block.origin else ""
        if vendor != self._facts.vendor and not (self._own and not vendor):
            self._losses.add(self._path, "reasoning of another vendor's model cannot be read by this one")
            return None
        if block.redacted is not None:
            return {"reasoningContent": {"redactedContent": redacted_content(block)}}
        if not block.signature and vendor == "anthropic" and not self._own:
            self._losses.add(self._path, "reasoning without its signature is refused")
            return None
        text: JsonObject = {"text": block.text}
        if block.signature:
            text["signature"] = block.signature
        return {"reasoningContent": {"reasoningText": text}}

    def call(self, block: ToolCall) -> JsonObject:
        """A tool call. A signature on it is its issuer's, who is never a model on Bedrock."""
        if block.signature:
            self._losses.add(f"{self._path}.signature", "only its issuer can read it")
        return {"toolUse": {**tool_use(block), **(block.extra if self._own else {})}}

    def result(self, block: ToolResult) -> JsonObject:
        """What a tool gave back."""
        base, place = self._base, self._place
        content: list[JsonObject] = []
        self._base = f"{base}[{place}].content"
        for self._place, part in enumerate(block.content):
            if not isinstance(part, Text | Image | Document | Video | Opaque):
                raise Unsupported(self._path, f"a tool result cannot hold a {type(part).__name__} in Converse")
            raw = result_json(part) if self._own and isinstance(part, Text) else None
            raw = raw or self._write(part)
            if raw is not None:
                content.append(raw)
        self._base, self._place = base, place
        if not content and not self._own:
            content = [{"text": EMPTY_RESULT}]
        raw_result: JsonObject = {"toolUseId": block.call_id, "content": content}
        if block.is_error is not None:
            raw_result["status"] = "error" if block.is_error else "success"
        return {"toolResult": raw_result}

    def server_tool(self, block: ServerToolCall | ServerToolResult) -> JsonObject | None:
        """What the vendor's own tool did: only its own format knows how."""
        if block.format == "converse":
            return block.raw
        self._losses.add(self._path, f"the vendor's own tool {block.tool!r} is not known to Converse")
        return None

    def opaque(self, block: Opaque) -> JsonObject | None:
        """A block of one format alone."""
        if block.format == "converse":
            return block.raw
        if block.content:
            raise Unsupported(self._path, f"Converse has no block for {block.kind!r}")
        self._losses.add(self._path, f"Converse has no block for {block.kind!r}")
        return None


def _mark_of(block: Block) -> CacheMark | None:
    """The mark after `block`; one inside a tool's result moves to its end, the only place that it may have."""
    mark: CacheMark | None = getattr(block, "cache", None)
    if mark is None and isinstance(block, ToolResult):
        inner = (getattr(part, "cache", None) for part in block.content)
        return next((part_mark for part_mark in inner if part_mark is not None), None)
    return mark


_MEDIA_KINDS: dict[type, str] = {Image: "image", Audio: "audio", Video: "video"}

_WRITERS: dict[type, Callable[[BlockWriter, Any], JsonObject | None]] = {
    Text: BlockWriter.text,
    Image: BlockWriter.media,
    Audio: BlockWriter.media,
    Video: BlockWriter.media,
    Document: BlockWriter.document,
    Reasoning: BlockWriter.reasoning,
    ToolCall: BlockWriter.call,
    ToolResult: BlockWriter.result,
    Refusal: lambda _, block: {"text": block.text} if block.text.strip() else None,
    ServerToolCall: BlockWriter.server_tool,
    ServerToolResult: BlockWriter.server_tool,
    Opaque: BlockWriter.opaque,
}


def tool_use(block: ToolCall) -> JsonObject:
    """The members of a `toolUse` block. Arguments that are no JSON object stand in a member `_raw`."""
    return {"toolUseId": block.id, "name": block.name, "input": read_arguments(block.arguments)}


def result_json(block: Text) -> JsonObject | None:
    """The `json` block of a text that came as one; None for any other, and where it is no object."""
    if JSON_BLOCK not in (block.note or {}):
        return None
    try:
        value = json.loads(block.text)
    except (ValueError, RecursionError):
        return None
    return {"json": value} if isinstance(value, dict) else None


def cited_text(block: Text) -> JsonObject:
    """The members of a `citationsContent` block."""
    texts = block.extra.get(CITATIONS_CONTENT)
    content = [{"text": text} for text in ([block.text] if texts is None else texts)]
    return {"content": content, "citations": [citation.raw for citation in block.citations]}


def redacted_content(block: Reasoning) -> str:
    """Encrypted reasoning as the base64 that this format writes bytes in."""
    redacted = block.redacted or ""
    return redacted if BINARY_REDACTED in block.extra else base64.b64encode(redacted.encode()).decode()


def write_citation(citation: Citation, *, own: bool) -> JsonObject:
    """A citation in an answer: the format's own object where it came with one."""
    if own and citation.raw:
        return citation.raw
    written: JsonObject = {}
    if citation.title is not None:
        written["title"] = citation.title
    if citation.cited_text is not None:
        written["sourceContent"] = [{"text": citation.cited_text}]
    if citation.url is not None:
        written["source"] = citation.url
        written["location"] = {"web": {"url": citation.url}}
    return written
