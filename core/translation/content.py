"""Content blocks made fit for a target: media, documents, foreign blocks.

What a target cannot show its model is refused with the feature's name; only what is no content (citations of past
answers, bookkeeping blocks) is left out with a warning.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from core.conversation import (
    SYSTEM_ROLES,
    Audio,
    Block,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    ToolResult,
    Video,
)
from core.errors import Unsupported
from core.models.facts import ModelFacts
from core.slotted import field, replace, slotted
from core.translation.losses import Losses
from core.translation.paths import client_path
from core.translation.rebuilt import result_with_content, with_content
from core.translation.rules import GOOGLE_READS, FormatRules

_DATA_URI = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)
_MEDIA_TYPES: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "application/x-pdf": "application/pdf",
}
_NAME_LENGTH: Final = 200
# https://platform.claude.com/docs/en/build-with-claude/vision
_ANTHROPIC_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
ATTACHED: Final = "See the attached document."


def normalised_source(source: Source) -> Source:
    """The source with data URIs taken apart and its media type in its usual spelling."""
    if source.kind == "url":
        uri = _DATA_URI.match(source.data)
        if uri and uri.group(3):
            media_type = uri.group(1).lower() or source.media_type
            source = replace(source, kind="base64", data=source.data[uri.end() :], media_type=media_type)
    spelling = source.media_type.lower().split(";")[0].strip()
    return replace(source, media_type=_MEDIA_TYPES.get(spelling, spelling))


_MEDIA = (Image, Document, Audio, Video)


def media_sources(conversation: Conversation) -> Iterator[tuple[Block, Source]]:
    """Every image, document, audio and video with its source, those inside tool results too."""
    for message in conversation.messages:
        for block in message.content:
            if isinstance(block, ToolResult):
                for one in block.content:
                    if isinstance(one, _MEDIA):
                        yield one, one.source
            elif isinstance(block, _MEDIA):
                yield block, block.source


def urls_to_inline(conversation: Conversation, rules: FormatRules) -> list[Source]:
    """The sources whose URLs the target does not fetch itself, each URL once. Who fetches them guards against
    private addresses, and hands the bytes to `with_inlined`."""
    found: dict[str, Source] = {}
    for block, source in media_sources(conversation):
        if _needs_inlining(block, normalised_source(source), rules):
            found.setdefault(source.data, source)
    return list(found.values())


def _needs_inlining(block: Block, source: Source, rules: FormatRules) -> bool:
    if source.kind != "url":
        return False
    if GOOGLE_READS.match(source.data):
        return False  # Gemini fetches it, and what others would get is no video or file
    return not (rules.image_urls if isinstance(block, Image) else rules.document_urls)


def with_inlined(conversation: Conversation, fetched: Mapping[str, Source]) -> Conversation:
    """The conversation with the sources of `fetched` (by URL) in the place of their URLs."""

    def inlined(block: Block) -> Block:
        match block:
            case Image() | Document() | Audio() | Video() if block.source.kind == "url":
                source = fetched.get(block.source.data, block.source)
                return replace(block, source=replace(source, extra=block.source.extra))
            case ToolResult():
                return replace(block, content=[inlined(inner) for inner in block.content])
            case _:
                return block

    messages = [
        replace(message, content=[inlined(block) for block in message.content]) for message in conversation.messages
    ]
    return replace(conversation, messages=messages)


@slotted
class ContentFitter:
    """Fits blocks one after another. It remembers the document names that it gave: they must be unique, and
    the same on every turn."""

    conversation: Conversation
    rules: FormatRules
    facts: ModelFacts
    losses: Losses
    names: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)  # the last that was tried, by name

    def fitted(self, messages: list[Message]) -> list[Message]:
        """The messages with every block in a form that the target takes; one that has none left goes with them.
        Raises Unsupported."""
        result: list[Message] = []
        name = client_path(self.conversation.format, "messages")
        for index, message in enumerate(messages):
            path = f"{name}[{index}]"
            if message.role in SYSTEM_ROLES and self._foreign and self.rules.format != "responses":
                _refuse_media(message.content, path)
            content = [new for block in message.content for new in self._block(block, path)]
            if message.content and not content:
                continue
            if self.rules.document_names and message.role in ("user", "tool"):
                content = _with_text(content)
            result.append(with_content(message, content))
        return result

    @property
    def _foreign(self) -> bool:
        return self.conversation.format != self.rules.format

    @property
    def _knows_files(self) -> bool:
        """Whether the client's file ids are the backend's too: OpenAI's formats share one store of files."""
        pair = {self.conversation.format, self.rules.format}
        return len(pair) == 1 or (pair <= _OPENAI_FORMATS and self.facts.vendor == "openai")

    def _block(self, block: Block, path: str) -> list[Block]:
        handler = _HANDLERS.get(type(block))
        return [block] if handler is None else handler(self, block, path)

    def _text(self, block: Text, _path: str) -> list[Block]:
        if not (self._foreign and block.citations):
            return [block]
        self.losses.add("messages", "citations of past answers were left out")
        return [replace(block, citations=[])]

    def _image(self, block: Image, path: str) -> list[Block]:
        if not self.facts.images:
            raise Unsupported(path, "The model does not take images.")
        kind = normalised_source(block.source).media_type
        if self.rules.format == "messages" and block.source.kind == "base64" and kind not in _ANTHROPIC_IMAGES:
            what = kind or "unknown"
            raise Unsupported(path, f"images of type {what} cannot be sent: use JPEG, PNG, GIF or WebP")
        return [replace(block, source=self._source(block, path))]

    def _document(self, block: Document, path: str) -> list[Block]:
        source = self._readable(normalised_source(block.source))
        readable = source.kind in ("text", "blocks")
        # Bedrock's documents of blocks are of text alone.
        illustrated = self.rules.document_names and any(isinstance(nested, Image) for nested in source.blocks)
        if readable and (illustrated or not self.rules.text_documents or not self.facts.documents):
            return self._document_text(block, source, path)
        if not self.facts.documents:
            raise Unsupported(path, "The model does not take documents.")
        name = self._document_name(block.name) if self.rules.document_names else block.name
        if self.rules.format == "responses":
            self._lose_document_members(block)
        return [replace(block, source=self._source(block, path), name=name)]

    def _readable(self, source: Source) -> Source:
        """A file of plain text as a text, for OpenAI, whose older models read PDFs only. Its own clients know that."""
        if self.rules.format not in _OPENAI_FORMATS or self.conversation.format in _OPENAI_FORMATS:
            return source
        if source.kind != "base64" or not source.media_type.startswith("text/"):
            return source
        try:
            text = base64.b64decode(source.data, validate=True).decode()
        except ValueError:  # also of other encodings than UTF-8
            return source
        return replace(source, kind="text", data=text)

    def _document_text(self, block: Document, source: Source, path: str) -> list[Block]:
        self._lose_document_members(block)
        origin = block.extra.get("source")  # of a search result
        title = f' name="{block.name}"' if block.name else ""
        title += f' source="{origin}"' if isinstance(origin, str) and origin else ""
        if source.kind == "text":
            return [Text(f"<document{title}>\n{source.data}\n</document>", cache=block.cache)]
        inner = [new for nested in source.blocks for new in self._block(nested, path)]
        return [Text(f"<document{title}>"), *inner, Text("</document>", cache=block.cache)]

    def _lose_document_members(self, block: Document) -> None:
        for name in ("context", "citations"):
            if getattr(block, name):
                self.losses.add(f"messages.content.{name}", "the target has no such member beside a document")

    def _document_name(self, name: str | None) -> str:
        """Letters, digits, single spaces, `-()[]`; at most 200, and no two alike
        (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html)."""
        cleaned = re.sub(r"[^A-Za-z0-9\-()\[\] ]", " ", name or "")
        base = re.sub(r" +", " ", cleaned).strip()[: _NAME_LENGTH - 8].strip() or "Document"
        unique, number = base, self.numbers.get(base, 1)
        while unique in self.names:
            number += 1
            unique = f"{base} {number}"
        self.names.add(unique)
        self.numbers[base] = number
        return unique

    def _audio(self, block: Audio, path: str) -> list[Block]:
        if not (self.rules.audio and self.facts.audio):
            raise Unsupported(path, "The model does not take audio.")
        return [replace(block, source=self._source(block, path))]

    def _video(self, block: Video, path: str) -> list[Block]:
        if not self.rules.video:
            raise Unsupported(path, "The model does not take video.")
        return [replace(block, source=self._source(block, path))]

    def _source(self, block: Image | Document | Audio | Video, path: str) -> Source:
        source = normalised_source(block.source)
        if _needs_inlining(block, source, self.rules):
            raise Unsupported(path, "The target reads no URLs, and this one was not fetched.")
        if source.kind == "url" and not self.rules.google_files and GOOGLE_READS.match(source.data):
            raise Unsupported(path, "Gemini alone reads this address by itself.")
        if source.kind == "file_id" and not self._knows_files:
            raise Unsupported(path, "A file id is known to the vendor that issued it only.")
        if source.kind == "s3" and not self.rules.s3_locations:
            raise Unsupported(path, "An S3 location can be read by Bedrock only.")
        return source

    def _result(self, block: ToolResult, path: str) -> list[Block]:
        content = [new for inner in block.content for new in self._block(inner, path)]
        return [result_with_content(block, content)]

    def _refusal(self, block: Refusal, _path: str) -> list[Block]:
        return [block] if self.rules.refusals else [Text(block.text)]

    def _server_call(self, block: ServerToolCall, _path: str) -> list[Block]:
        if block.format == self.rules.format:
            return [block]
        self.losses.add("messages", f"a past call of the vendor's own {block.tool} was left out")
        return []

    def _server_result(self, block: ServerToolResult, _path: str) -> list[Block]:
        if block.format == self.rules.format:
            return [block]
        self.losses.add("messages", f"a past result of the vendor's own {block.tool} became text")
        return [Text(f"[Result of {block.tool}]\n{block.text}")] if block.text else []

    def _opaque(self, block: Opaque, path: str) -> list[Block]:
        if block.format == self.rules.format:
            return [block]
        if block.text is not None:
            self.losses.add("messages", f"a {block.kind!r} block became text")
            return [Text(block.text)]
        if block.content:
            raise Unsupported(path, f"The target has nothing that could hold a {block.kind!r} block.")
        self.losses.add("messages", f"blocks of type {block.kind!r} were left out")
        return []


_OPENAI_FORMATS: Final = frozenset({"chat_completions", "responses"})

# Each handler takes the type that is its key.
_HANDLERS: Final[dict[type, Callable[[ContentFitter, Any, str], list[Block]]]] = {
    Text: ContentFitter._text,
    Image: ContentFitter._image,
    Document: ContentFitter._document,
    Audio: ContentFitter._audio,
    Video: ContentFitter._video,
    ToolResult: ContentFitter._result,
    Refusal: ContentFitter._refusal,
    ServerToolCall: ContentFitter._server_call,
    ServerToolResult: ContentFitter._server_result,
    Opaque: ContentFitter._opaque,
}


def _refuse_media(content: list[Block], path: str) -> None:
    if any(isinstance(block, _MEDIA) for block in content):
        raise Unsupported(path, "The target's system messages are text only.")


def _with_text(content: list[Block]) -> list[Block]:
    """Converse wants words beside a document."""
    has_document = any(isinstance(block, Document) for block in content)
    if not has_document or any(isinstance(block, Text) and block.text.strip() for block in content):
        return content
    return [*content, Text(ATTACHED)]
