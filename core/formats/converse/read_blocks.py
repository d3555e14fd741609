"""Content blocks of the Converse format, read: from a client's request and from a backend's answer alike.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import base64
from collections.abc import Callable
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
    Origin,
    Reasoning,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from core.formats import carriers, envelope
from core.formats.converse.media import TYPES, format_name
from core.formats.converse.members import (
    Invalid,
    each,
    json_text,
    list_of,
    object_of,
    only_member,
    optional_flag,
    optional_object,
    optional_text,
    required_text,
    rest_of,
    within,
)

# `Text.note`: the text is the JSON of a `json` block. `Text.extra`: of a block that a guardrail evaluates.
JSON_BLOCK = "json"
GUARD_CONTENT = "guardContent"
CITATIONS_CONTENT = "citationsContent"
# `Reasoning.extra`: the redacted content is no text, so it stays base64.
BINARY_REDACTED = "redactedContent"
# `ToolResult` blocks and calls of tools that the vendor runs name themselves by a `type`; Nova's answers give the
# client's own calls one too.
CLIENT_CALL = "tool_use"

_PART = frozenset({"text"})
_MEDIA = frozenset({"format", "source"})
_DOCUMENT = frozenset({"name", "format", "source", "context", "citations"})
_S3 = frozenset({"uri"})
_TOOL_USE = frozenset({"toolUseId", "name", "input", "type"})
_TOOL_RESULT = frozenset({"toolUseId", "content", "status", "type"})
_REASONING_TEXT = frozenset({"text", "signature"})
_CITATIONS = frozenset({"content", "citations"})
_SEARCH_RESULT = frozenset({"source", "title", "content", "citations"})
_CACHE = frozenset({"type", "ttl"})
_STATUSES = {"success": False, "error": True}


def read_cache(value: Any) -> CacheMark:
    """A `cachePoint`, as the mark on what stands before it."""
    point = object_of(value)
    if point.get("type") != "default":
        raise Invalid("type", "must be 'default'")
    return CacheMark(optional_text(point, "ttl"), rest_of(point, _CACHE))


def marked(blocks: list[Block], raw: Any) -> None:
    """Puts a `cachePoint` on the last of `blocks`; one that has nothing to stand on is kept as it is."""
    mark = within("cachePoint", read_cache, raw)
    last = blocks[-1] if blocks else None
    if isinstance(last, _MARKABLE) and last.cache is None:
        last.cache = mark
    else:
        blocks.append(Opaque("converse", "cachePoint", {"cachePoint": raw}))


_MARKABLE = (Text, Image, Document, Audio, Video, ToolCall, ToolResult)


def _read_source(value: Any, media_type: str) -> Source:
    kind, content = only_member(value, "a source")
    reader = _SOURCES.get(kind)
    if reader is None:
        raise Invalid("", "must be 'bytes', 's3Location', 'text' or 'content'")
    return reader(content, media_type)


def _bytes_source(content: Any, media_type: str) -> Source:
    if not isinstance(content, str) or not content:
        raise Invalid("bytes", "must be base64 text")
    return Source("base64", content, media_type)


def _s3_source(content: Any, media_type: str) -> Source:
    location = object_of(content, "s3Location")
    uri = within("s3Location", lambda inner: required_text(inner, "uri"), location)
    return Source("s3", uri, media_type, extra=rest_of(location, _S3))


def _text_source(content: Any, media_type: str) -> Source:
    if not isinstance(content, str):
        raise Invalid("text", "must be a string")
    return Source("text", content, media_type)


def _content_source(content: Any, media_type: str) -> Source:
    return Source("blocks", media_type=media_type, blocks=each(list_of(content, "content"), "content", _part))


def _part(value: Any) -> Block:
    raw = object_of(value)
    return Text(required_text(raw, "text"), extra=rest_of(raw, _PART))


_SOURCES: dict[str, Callable[[Any, str], Source]] = {
    "bytes": _bytes_source,
    "s3Location": _s3_source,
    "text": _text_source,
    "content": _content_source,
}


def _media_type(kind: str, raw: JsonObject, extra: JsonObject) -> str:
    name = required_text(raw, "format")
    media_type = TYPES[kind].get(name)
    if media_type is None and format_name(kind, name) is not None:
        # Bedrock takes `video/mp4` for `mp4` as well.
        extra["format"] = name
        return name
    if media_type is None:
        raise Invalid("format", f"must be one of {', '.join(TYPES[kind])}")
    if format_name(kind, media_type) != name:
        extra["format"] = name
    return media_type


def _read_media[Media: (Image, Audio, Video)](node: type[Media], kind: str, value: Any) -> Media:
    raw = object_of(value)
    extra = rest_of(raw, _MEDIA)
    media_type = _media_type(kind, raw, extra)
    source = within("source", lambda inner: _read_source(inner, media_type), raw.get("source"))
    return node(source, extra=extra)


def _read_document(value: Any) -> Document:
    raw = object_of(value)
    extra = rest_of(raw, _DOCUMENT)
    media_type = "" if raw.get("format") is None else _media_type("document", raw, extra)
    return Document(
        within("source", lambda inner: _read_source(inner, media_type), raw.get("source")),
        name=required_text(raw, "name"),
        context=optional_text(raw, "context"),
        citations=_citations_switch(raw),
        extra=extra,
    )


def _citations_switch(raw: JsonObject) -> bool | None:
    switch = optional_object(raw, "citations")
    return within("citations", lambda inner: optional_flag(inner, "enabled"), switch)


def _read_search_result(value: Any) -> Document:
    raw = object_of(value)
    # The same members as core.formats.messages gives its own search results.
    extra = {"type": "search_result", "source": required_text(raw, "source"), **rest_of(raw, _SEARCH_RESULT)}
    return Document(
        Source("blocks", blocks=each(list_of(raw.get("content"), "content"), "content", _part)),
        name=required_text(raw, "title"),
        citations=_citations_switch(raw),
        extra=extra,
    )


def _read_text(value: Any) -> Text:
    if not isinstance(value, str):
        raise Invalid("", "must be a string")
    return Text(value)


def _read_json(value: Any) -> Text:
    return Text(json_text(value, ""), note={JSON_BLOCK: True})


def _read_guarded(value: Any) -> Block:
    kind, content = only_member(value, "guardContent")
    if kind == "text":
        guarded = object_of(content, "text")
        text = within("text", lambda inner: required_text(inner, "text"), guarded)
        return Text(text, extra={GUARD_CONTENT: rest_of(guarded, frozenset({"text"}))})
    if kind == "image":
        image = within("image", lambda inner: _read_media(Image, "image", inner), content)
        image.extra[GUARD_CONTENT] = {}
        return image
    raise Invalid("", "must be 'text' or 'image'")


def read_citation(value: Any) -> Citation:
    """One citation. Its places are places in the source, so the neutral offsets stay None."""
    raw = object_of(value)
    location = raw.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    url = web.get("url") if isinstance(web, dict) else None
    title, cited = raw.get("title"), raw.get("sourceContent")
    texts = [part.get("text") for part in cited if isinstance(part, dict)] if isinstance(cited, list) else []
    cited_text = "".join(text for text in texts if isinstance(text, str))
    return Citation(
        url=url if isinstance(url, str) else None,
        title=title if isinstance(title, str) else None,
        cited_text=cited_text or None,
        raw=raw,
    )


def _read_cited(value: Any) -> Text:
    raw = object_of(value)
    content, citations = raw.get("content"), raw.get("citations")
    parts = each(list_of(content, "content"), "content", _part) if content is not None else []
    texts = [part.text for part in parts if isinstance(part, Text)]
    extra = rest_of(raw, _CITATIONS)
    read = each(list_of(citations, "citations"), "citations", read_citation) if citations is not None else []
    if len(texts) != 1 or not read:
        extra[CITATIONS_CONTENT] = texts
    return Text("".join(texts), citations=read, extra=extra)


def _read_call(value: Any) -> ToolCall | ServerToolCall:
    raw = object_of(value)
    call_id, name, kind = required_text(raw, "toolUseId"), required_text(raw, "name"), raw.get("type")
    if "input" not in raw:
        raise Invalid("input", "is required")
    arguments = json_text(raw["input"], "input")
    if kind not in (None, CLIENT_CALL):
        return ServerToolCall(call_id, name, arguments, "converse", {"toolUse": raw})
    extra = rest_of(raw, _TOOL_USE) if kind is None else {"type": kind, **rest_of(raw, _TOOL_USE)}
    return ToolCall(call_id, name, arguments, extra=extra)


def _read_result(value: Any) -> ToolResult | ServerToolResult:
    raw = object_of(value)
    call_id, status, kind = required_text(raw, "toolUseId"), optional_text(raw, "status"), raw.get("type")
    if status is not None and status not in _STATUSES:
        raise Invalid("status", "must be 'success' or 'error'")
    content = each(list_of(raw.get("content"), "content"), "content", _read_result_part)
    if kind is not None:
        text = "\n".join(block.text for block in content if isinstance(block, Text))
        tool = kind.removesuffix("_result") if isinstance(kind, str) else ""
        return ServerToolResult(call_id, tool, text, "converse", {"toolResult": raw})
    is_error = None if status is None else _STATUSES[status]
    return ToolResult(call_id, content, is_error=is_error, extra=rest_of(raw, _TOOL_RESULT))


_PARTS: dict[str, Callable[[Any], Block]] = {
    "text": _read_text,
    "image": lambda value: _read_media(Image, "image", value),
    "document": _read_document,
    "video": lambda value: _read_media(Video, "video", value),
    "searchResult": _read_search_result,
}
_RESULT_PARTS: dict[str, Callable[[Any], Block]] = {**_PARTS, "json": _read_json}
# What needs to know nothing of whose reasoning is read.
_READERS: dict[str, Callable[[Any], Block]] = {
    **_PARTS,
    "audio": lambda value: _read_media(Audio, "audio", value),
    "toolUse": _read_call,
    "toolResult": _read_result,
    "guardContent": _read_guarded,
    "citationsContent": _read_cited,
}


def _read_result_part(value: Any) -> Block:
    name, content = only_member(value, "a content block")
    return _read_member(name, content, _RESULT_PARTS)


def _read_member(name: str, content: Any, readers: dict[str, Callable[[Any], Block]]) -> Block:
    reader = readers.get(name)
    if reader is None:
        return Opaque("converse", name, {name: content}, content=True)
    return within(name, reader, content)


class BlockReader:
    """Reads the blocks of messages. `origin` is whose reasoning the signatures are that are no envelopes."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def read_all(self, values: list[Any], name: str = "content") -> list[Block]:
        """The blocks of one message, which stand in its member `name`. Raises Invalid."""
        blocks: list[Block] = []
        for place, value in enumerate(values):
            try:
                if isinstance(value, dict) and value.get("cachePoint") is not None and len(value) == 1:
                    marked(blocks, value["cachePoint"])
                else:
                    blocks.append(self._read(value))
            except Invalid as fault:
                raise fault.inside(f"{name}[{place}]") from None
        return carriers.open_carriers(blocks)

    def _read(self, value: Any) -> Block:
        name, content = only_member(value, "a content block")
        if name == "reasoningContent":
            return within(name, self._read_reasoning, content)
        return _read_member(name, content, _READERS)

    def _read_reasoning(self, value: Any) -> Reasoning:
        kind, content = only_member(value, "reasoningContent")
        if kind == "redactedContent":
            return self.redacted(content)
        if kind != "reasoningText":
            raise Invalid("", "must be 'reasoningText' or 'redactedContent'")
        raw = object_of(content, "reasoningText")
        text, signature = required_text(raw, "text"), optional_text(raw, "signature")
        return self.signed([text] if text else [], signature, rest_of(raw, _REASONING_TEXT))

    def signed(self, texts: list[str], signature: str | None, extra: JsonObject) -> Reasoning:
        """Readable reasoning; what an envelope in `signature` holds, where there is one."""
        if signature and envelope.is_sealed(signature):
            # A damaged envelope is nobody's state any more: its text alone is left.
            return envelope.unseal(signature) or Reasoning(texts, extra=extra)
        return Reasoning(texts, signature=signature or None, origin=self._origin, extra=extra)

    def redacted(self, content: Any) -> Reasoning:
        """Encrypted reasoning. Anthropic's is text: base64 is only how this format writes bytes."""
        if not isinstance(content, str):
            raise Invalid("redactedContent", "must be base64 text")
        try:
            text = base64.b64decode(content, validate=True).decode("ascii")
        except UnicodeDecodeError:
            return Reasoning(redacted=content, origin=self._origin, extra={BINARY_REDACTED: True})
        except ValueError:
            raise Invalid("redactedContent", "must be base64 text") from None
        return envelope.unseal(text) or Reasoning(redacted=text, origin=self._origin)
