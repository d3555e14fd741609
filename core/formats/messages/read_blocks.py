"""Content blocks of the Messages format, read: from a client's request and from a backend's answer alike.

https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.conversation import (
    Block,
    CacheMark,
    Citation,
    Document,
    Image,
    JsonObject,
    Opaque,
    Origin,
    Reasoning,
    Role,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from core.formats import envelope
from core.formats.messages import server_tools
from core.formats.messages.members import (
    MISSING,
    NOT_AN_OBJECT,
    Invalid,
    each,
    list_of,
    object_of,
    optional_flag,
    optional_text,
    required_text,
    rest_of,
    within,
)
from core.formats.messages.tool_input import dump_input

ANTHROPIC = Origin("anthropic")

# Blocks that only their own format knows, and that say nothing a reader elsewhere would miss.
# By type: the member that holds what a block says, and how to say it in words.
_IN_WORDS = {
    "compaction": ("content", "{}"),
    "tool_reference": ("tool_name", "The tool {} is available."),
    "tool_addition": ("tool", "The tool {} is available now."),
    "tool_removal": ("tool", "The tool {} is not available any more: do not call it."),
}
# `ToolResult.note`: its content was a list of nothing.
EMPTY_LIST: JsonObject = {"content": "empty list"}
_CONTENTLESS = frozenset({"fallback", "mcp_tool_listing", "tool_reference"})

_MEDIA_TYPES = {"image/jpg": "image/jpeg"}

_TEXT = frozenset({"type", "text", "citations", "cache_control"})
_IMAGE = frozenset({"type", "source", "cache_control"})
_DOCUMENT = frozenset({"type", "source", "title", "context", "citations", "cache_control"})
_SEARCH_RESULT = frozenset({"type", "source", "title", "content", "citations", "cache_control"})
_THINKING = frozenset({"type", "thinking", "signature"})
_REDACTED = frozenset({"type", "data"})
_TOOL_USE = frozenset({"type", "id", "name", "input", "cache_control"})
_TOOL_RESULT = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})
_SOURCE = frozenset({"type", "media_type", "data", "url", "file_id", "content"})
_CACHE = frozenset({"type", "ttl"})


def read_cache(raw: JsonObject) -> CacheMark | None:
    """The mark in the member `cache_control` of `raw`. Raises Invalid."""
    value = raw.get("cache_control")
    if value is None:
        return None
    mark = object_of(value, "cache_control")
    ttl = within("cache_control", lambda inner: optional_text(inner, "ttl"), mark)
    extra = rest_of(mark, _CACHE)
    if mark.get("type") != "ephemeral":
        extra["type"] = mark.get("type")
    return CacheMark(ttl, extra)


def read_citation(raw: Any) -> Citation:
    """One citation, of any type. Its places are places in the source, so the neutral offsets stay None."""
    citation = object_of(raw)
    url = citation.get("url") or citation.get("source")
    title = citation.get("title") or citation.get("document_title")
    cited = citation.get("cited_text")
    return Citation(
        url=url if isinstance(url, str) else None,
        title=title if isinstance(title, str) else None,
        cited_text=cited if isinstance(cited, str) else None,
        raw=citation,
    )


def read_text(raw: JsonObject) -> Text:
    """A `text` block."""
    text = raw.get("text")
    if len(raw) == 2 and isinstance(text, str):
        return Text(text)
    text = required_text(raw, "text")
    citations = raw.get("citations")
    extra = rest_of(raw, _TEXT)
    read = []
    if isinstance(citations, list) and citations:
        read = each(citations, "citations", read_citation)
    elif citations is not None:
        extra["citations"] = citations
    return Text(text, citations=read, cache=read_cache(raw), extra=extra)


def _read_source(value: Any, readers: dict[str, Callable[[JsonObject], Source]]) -> Source:
    raw = object_of(value)
    kind = raw.get("type")
    reader = readers.get(kind) if isinstance(kind, str) else None
    if reader is None:
        *others, last = (f"'{name}'" for name in readers)
        raise Invalid("type", f"Input should be {', '.join(others)} or {last}")
    source = reader(raw)
    source.extra.update({name: member for name, member in raw.items() if name not in _SOURCE})
    return source


def _image_source(value: Any) -> Source:
    return _read_source(value, _IMAGE_SOURCES)


def _document_source(value: Any) -> Source:
    return _read_source(value, _DOCUMENT_SOURCES)


def _base64_source(raw: JsonObject) -> Source:
    media_type = required_text(raw, "media_type")
    return Source("base64", required_text(raw, "data"), _MEDIA_TYPES.get(media_type, media_type))


def _text_source(raw: JsonObject) -> Source:
    return Source("text", required_text(raw, "data"), optional_text(raw, "media_type") or "text/plain")


def _content_source(raw: JsonObject) -> Source:
    content = raw.get("content")
    if isinstance(content, str):
        # Readable everywhere as plain text; the type tells this format's writer how it stood.
        return Source("text", content, "text/plain", extra={"type": "content"})
    return Source("blocks", blocks=each(list_of(content, "content"), "content", _read_document_part))


_IMAGE_SOURCES: dict[str, Callable[[JsonObject], Source]] = {
    "base64": _base64_source,
    "url": lambda raw: Source("url", required_text(raw, "url")),
    "file": lambda raw: Source("file_id", required_text(raw, "file_id")),
}
_DOCUMENT_SOURCES = {
    **_IMAGE_SOURCES,
    "text": _text_source,
    "content": _content_source,
}


def _read_image(raw: JsonObject) -> Image:
    source = within("source", _image_source, raw.get("source"))
    return Image(source, cache=read_cache(raw), extra=rest_of(raw, _IMAGE))


def _read_citations_switch(raw: JsonObject, extra: JsonObject) -> bool | None:
    switch = raw.get("citations")
    if switch is None:
        return None
    enabled = object_of(switch, "citations").get("enabled")
    if isinstance(enabled, bool) and len(switch) == 1:
        return enabled
    extra["citations"] = switch
    return None


def _read_document(raw: JsonObject) -> Document:
    extra = rest_of(raw, _DOCUMENT)
    return Document(
        within("source", _document_source, raw.get("source")),
        name=optional_text(raw, "title"),
        context=optional_text(raw, "context"),
        citations=_read_citations_switch(raw, extra),
        cache=read_cache(raw),
        extra=extra,
    )


def _read_search_result(raw: JsonObject) -> Document:
    content = each(list_of(raw.get("content"), "content"), "content", _read_document_part)
    extra = rest_of(raw, _SEARCH_RESULT)
    extra["type"] = "search_result"
    extra["source"] = required_text(raw, "source")
    return Document(
        Source("blocks", blocks=content),
        name=required_text(raw, "title"),
        citations=_read_citations_switch(raw, extra),
        cache=read_cache(raw),
        extra=extra,
    )


def _read_tool_use(raw: JsonObject) -> ToolCall:
    if "input" not in raw:
        raise Invalid("input", MISSING)
    try:
        text = dump_input(object_of(raw["input"], "input"))
    except RecursionError:
        raise Invalid("input", "Input is nested too deeply") from None
    return ToolCall(
        required_text(raw, "id"),
        required_text(raw, "name"),
        text,
        cache=read_cache(raw),
        extra=rest_of(raw, _TOOL_USE),
    )


def _read_tool_result(raw: JsonObject) -> ToolResult:
    content = raw.get("content")
    plain = isinstance(content, str)
    if isinstance(content, str):
        blocks: list[Block] = [Text(content)]
    elif content is None:
        blocks = []
    else:
        blocks = each(list_of(content, "content"), "content", _read_result_part)
    return ToolResult(
        required_text(raw, "tool_use_id"),
        blocks,
        is_error=optional_flag(raw, "is_error"),
        plain=plain,
        cache=read_cache(raw),
        extra=rest_of(raw, _TOOL_RESULT),
        note=EMPTY_LIST if content == [] else None,
    )


def read_opaque(raw: JsonObject) -> Opaque:
    """A block that only this format knows, with the words that say the same to other vendors' models."""
    kind = required_text(raw, "type")
    member, words = _IN_WORDS.get(kind, ("", ""))
    value = raw.get(member)
    if isinstance(value, dict):
        value = value.get("name")  # of a tool
    text = words.format(value) if isinstance(value, str) and value else None
    return Opaque("messages", kind, raw, content=kind not in _CONTENTLESS, text=text)


_DOCUMENT_PARTS: dict[str, Callable[[JsonObject], Block]] = {"text": read_text, "image": _read_image}
_RESULT_PARTS: dict[str, Callable[[JsonObject], Block]] = {
    **_DOCUMENT_PARTS,
    "document": _read_document,
    "search_result": _read_search_result,
}


# What needs to know nothing of who is read.
_READERS: dict[str, Callable[[JsonObject], Block]] = {
    **_RESULT_PARTS,
    "tool_use": _read_tool_use,
    "tool_result": _read_tool_result,
    "server_tool_use": server_tools.read_call,
    "mcp_tool_use": server_tools.read_call,
}


def _read_document_part(raw: Any) -> Block:
    part = object_of(raw)
    return _DOCUMENT_PARTS.get(required_text(part, "type"), read_opaque)(part)


def _read_result_part(raw: Any) -> Block:
    part = object_of(raw)
    return _RESULT_PARTS.get(required_text(part, "type"), read_opaque)(part)


# The role in whose messages alone a client may send a block.
_ONLY_IN: dict[str, Role] = {
    "image": "user",
    "tool_result": "user",
    "search_result": "user",
    "tool_use": "assistant",
    "thinking": "assistant",
    "redacted_thinking": "assistant",
}


class BlockReader:
    """Reads the blocks of messages. `origin` is whose state a signature is.

    `sealed`: envelopes are opened. In a backend's answer they are not: there it is the backend's affair what
    its signatures are. `role`: blocks of other roles are refused.
    """

    def __init__(self, origin: Origin = ANTHROPIC, *, sealed: bool = True, role: Role | None = None) -> None:
        self.origin = origin
        self._sealed = sealed
        self._misplaced = {} if role is None else {kind: only for kind, only in _ONLY_IN.items() if only != role}

    def read(self, value: Any) -> Block:
        """One block. Raises Invalid."""
        if not isinstance(value, dict):
            raise Invalid("", NOT_AN_OBJECT)
        kind = value.get("type")
        if not isinstance(kind, str):
            raise Invalid("type", "Input should be a valid string" if "type" in value else MISSING)
        reader = _READERS.get(kind)
        block = self._read_rare(value, kind) if reader is None else reader(value)
        if kind in self._misplaced:
            raise Invalid("", f"`{kind}` blocks can only be in `{self._misplaced[kind]}` messages")
        return block

    def _read_rare(self, raw: JsonObject, kind: str) -> Block:
        if kind == "thinking":
            return self._read_thinking(raw)
        if kind == "redacted_thinking":
            return self._read_redacted(raw)
        return server_tools.read_result(raw) if server_tools.is_result(kind) else read_opaque(raw)

    def _read_thinking(self, raw: JsonObject) -> Reasoning:
        text, signature = required_text(raw, "thinking"), optional_text(raw, "signature")
        texts = [text] if text else []
        extra = rest_of(raw, _THINKING) if len(raw) > 3 else {}
        if self._sealed and signature and envelope.is_sealed(signature):
            # A damaged envelope is nobody's state any more: its text alone is left.
            return envelope.unseal(signature) or Reasoning(texts, extra=extra)
        return Reasoning(texts, signature=signature or None, origin=self.origin, extra=extra)

    def _read_redacted(self, raw: JsonObject) -> Reasoning:
        data = required_text(raw, "data")
        sealed = envelope.unseal(data) if self._sealed else None
        return sealed or Reasoning(redacted=data, origin=self.origin, extra=rest_of(raw, _REDACTED))
