"""Neutral blocks to the content parts of a Chat Completions message."""

from __future__ import annotations

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Conversation,
    Document,
    Dropped,
    Image,
    JsonObject,
    Opaque,
    Source,
    Text,
    Video,
)
from core.errors import Unsupported
from core.formats.chat_completions.dialects import (
    CACHE_BREAKPOINT_TTLS,
    CACHE_CONTROL_TTLS,
    Dialect,
    dialect_of,
)
from core.formats.contract import Target
from core.formats.openai_files import file_name, suffix_of
from core.translation.losses import says_nothing

_AUDIO_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3"}


class Writing:
    """What the writing of one request needs everywhere: where it goes, whence it came, what it had to drop."""

    def __init__(self, conversation: Conversation, target: Target) -> None:
        self.target = target
        self.dialect: Dialect = dialect_of(target.provider)
        self.same_format = conversation.format == "chat_completions"
        self._dropped: dict[tuple[str, str], None] = {}

    def drop(self, path: str, reason: str) -> None:
        """Warns once about one path and reason."""
        self._dropped.setdefault((path, reason))

    @property
    def dropped(self) -> list[Dropped]:
        return [Dropped(path, reason) for path, reason in self._dropped]

    def takes(self, name: str) -> bool:
        """Whether a member that not every server takes goes out. A client of this very format is taken at its word."""
        return self.same_format or name in self.dialect.knobs

    def put_extra(self, written: JsonObject, extra: JsonObject, path: str) -> None:
        """Members without a neutral field: back where they came from, or dropped with a warning."""
        for name, value in extra.items():
            if self.same_format:
                written.setdefault(name, value)
            elif not says_nothing(value):
                self.drop(f"{path}.{name}" if path else name, "Chat Completions has no such member")

    def put_cache(self, written: JsonObject, mark: CacheMark | None, path: str) -> None:
        """A cache breakpoint in the server's own words."""
        if mark is None:
            return
        facts = self.target.facts
        parts_only = self.dialect.cache == "breakpoint"  # OpenAI's stand on content, where the model is known
        unfit = parts_only and (facts.unknown or "type" not in written or "function" in written)
        if self.dialect.cache is None or not facts.cache_marks or unfit:
            place = f"{path}.cache_control" if path else "cache_control"
            self.drop(place, "this backend takes no cache breakpoints")
        elif self.dialect.cache == "breakpoint":
            ttl = {} if mark.ttl is None else {"ttl": CACHE_BREAKPOINT_TTLS.get(mark.ttl, mark.ttl)}
            written["prompt_cache_breakpoint"] = {"mode": "explicit", **ttl}
        else:
            ttl = {} if mark.ttl is None else {"ttl": CACHE_CONTROL_TTLS.get(mark.ttl, mark.ttl)}
            written["cache_control"] = {"type": "ephemeral", **ttl}


type Numbered = list[tuple[int, Block]]


def write_parts(blocks: Numbered, writing: Writing, path: str) -> list[JsonObject]:
    """The content parts of blocks, which come with their places in the message. Raises Unsupported for what
    has no part.

    Empty text is left out: some servers refuse it, and it says nothing."""
    parts = []
    for index, block in blocks:
        place = f"{path}[{index}]"
        if isinstance(block, Text) and not block.text:
            continue
        if isinstance(block, Opaque) and not block.content and block.format != "chat_completions":
            writing.drop(place, f"Chat Completions has no {block.kind!r} block")
            continue
        parts.append(_part(block, writing, place))
    return parts


def _part(block: Block, writing: Writing, path: str) -> JsonObject:
    match block:
        case Text():
            part: JsonObject = {"type": "text", "text": block.text}
            if block.citations:
                writing.drop(f"{path}.citations", "Chat Completions takes no citations back")
        case Image():
            part = {"type": "image_url", "image_url": _image_url(block, writing, path)}
        case Document():
            part = _document(block, writing, path)
        case Audio():
            part = {"type": "input_audio", "input_audio": _audio(block, writing, path)}
        case Video() if writing.dialect.video or writing.same_format:
            video = _of(block.source, {"url": _url(block.source, path)}, writing, path)
            part = {"type": "video_url", "video_url": video}
        case Opaque() if block.format == "chat_completions":
            return block.raw
        case _:
            raise _no_place(block, path)
    writing.put_cache(part, block.cache, path)
    writing.put_extra(part, block.extra, path)
    return part


def _no_place(block: Block, path: str) -> Unsupported:
    name = block.kind if isinstance(block, Opaque) else type(block).__name__.lower()
    return Unsupported(path, f"{path}: Chat Completions has no place for {name} content here.")


def _of(source: Source, written: JsonObject, writing: Writing, path: str) -> JsonObject:
    """`written` with the members that the source of a client of this very format has beside."""
    writing.put_extra(written, source.extra, path)
    return written


def _image_url(image: Image, writing: Writing, path: str) -> JsonObject:
    detail = image.detail
    if detail == "original" and not writing.same_format:
        detail = "high"
        writing.drop(f"{path}.detail", "GPT-5.4 and later alone take images at their original size")
    shown = {} if detail is None else {"detail": detail}
    return _of(image.source, {"url": _url(image.source, path), **shown}, writing, path)


def _url(source: Source, path: str) -> str:
    if source.kind == "url":
        return source.data
    if source.kind == "base64":
        return f"data:{source.media_type};base64,{source.data}"
    raise Unsupported(path, f"{path}: this backend takes the bytes or a URL, not a {source.kind} source.")


def _audio(audio: Audio, writing: Writing, path: str) -> JsonObject:
    source = audio.source
    if source.kind != "base64":
        raise Unsupported(path, f"{path}: audio must come as base64 data here.")
    format_ = _AUDIO_FORMATS.get(source.media_type) or source.media_type.removeprefix("audio/")
    return _of(source, {"data": source.data, "format": format_}, writing, path)


def _document(document: Document, writing: Writing, path: str) -> JsonObject:
    source = document.source
    if document.context:
        writing.drop(f"{path}.context", "Chat Completions has no context beside a file")
    if document.citations:
        writing.drop(f"{path}.citations", "Chat Completions cannot ask for citations")
    if source.kind in ("text", "blocks"):
        return {"type": "text", "text": _document_text(document, path)}
    name = {} if document.name is None else {"filename": document.name}
    if source.kind == "file_id":
        return {"type": "file", "file": _of(source, {"file_id": source.data, **name}, writing, path)}
    if source.kind == "url" and not (writing.dialect.document_urls or writing.same_format):
        raise Unsupported(path, f"{path}: this backend takes documents as data, not by URL.")
    if source.kind == "base64" and not writing.same_format:
        name = {"filename": file_name(document.name, suffix_of(source.media_type), "pdf")}
    return {"type": "file", "file": _of(source, {**name, "file_data": _url(source, path)}, writing, path)}


def _document_text(document: Document, path: str) -> str:
    """A text document as text, between tags that keep it apart from the user's own words."""
    texts = [document.source.data]
    if document.source.kind == "blocks":
        if not all(isinstance(block, Text) for block in document.source.blocks):
            raise Unsupported(path, f"{path}: a document of anything but text has no place here.")
        texts = [block.text for block in document.source.blocks if isinstance(block, Text)]
    title = f' title="{document.name}"' if document.name else ""
    body = "\n\n".join(texts)
    return f"<document{title}>\n{body}\n</document>"
