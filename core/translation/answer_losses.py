"""What of a backend's answer the client's format has no place for: each is a warning, as in requests.

What a vendor's own tools did (searches, code, MCP) is no text of the model's; what the model made of it stands in its
text. A whole answer's warnings are in `x-skybridge-dropped`, a stream's in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from core.conversation import (
    Answer,
    Audio,
    Block,
    Citation,
    Document,
    FormatName,
    Image,
    JsonObject,
    Opaque,
    ServerToolCall,
    ServerToolResult,
    Stop,
    Text,
    Video,
)
from core.translation.losses import phase_of

# Formats whose answers cannot say that the turn is not over: the nearest is that it was cut short.
_NO_PAUSE: Final = frozenset({"chat_completions", "responses", "converse"})
_IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# Members of an answer without a neutral field that say more than how it was made.
_WORTH_TELLING: Final = frozenset(
    {
        "container", "context_management", "groundingMetadata", "input_transformations", "trace", "logprobs",
        "logprobsResult", "moderation",
    }
)  # fmt: skip


class AnswerLosses:
    """Adds to `dropped` what a client of `client_format` does not see of the answer it is shown."""

    def __init__(self, client_format: FormatName, dropped: list[str]) -> None:
        self._client_format = client_format
        self._shows_media = _MEDIA[client_format]
        self._dropped = dropped
        self._format: FormatName | None = None
        self._signed: str | None = None
        self._signed_late = False

    def begin(self, format_name: FormatName | None, extra: JsonObject) -> None:
        """The answer came in this format, with these members beside its content."""
        self._format = format_name
        self.members(extra)

    def finished(self, stop: Stop, extra: JsonObject) -> None:
        """The answer is over: why, and more of the members beside its content. Converse has no place for the reason
        of a refusal."""
        self.members(extra)
        if stop.reason == "pause_turn" and self._client_format in _NO_PAUSE:
            self._add("pause_turn")
        if self._client_format == "converse" != self._format and stop.explanation:
            self._add("explanation")
        if self._signed_late:
            self._add("signature")

    def members(self, extra: JsonObject) -> None:
        """Members beside its content."""
        if self._format != self._client_format:
            for name in extra:
                if name in _WORTH_TELLING and extra[name]:
                    self._add(name)

    def block(self, block: Block) -> None:
        """A block of the answer, as it begins."""
        self._signed_late = False
        if isinstance(block, Text):
            self._signed = block.signature
            return
        match block:
            case ServerToolCall() | ServerToolResult() | Opaque():
                if not self._shows_own(block):
                    self._add(_name_of(block))
            case Image() | Document() | Audio() | Video() if not self._shows_media(block):
                self._add(type(block).__name__.lower())

    def ended(self, block: Block) -> None:
        """A block of the answer, whole. Citations are known at its end."""
        if not isinstance(block, Text):
            return
        if block.signature is not None:
            self._signature(block)
        citations = block.citations
        if block.note is not None and self._client_format != self._format and phase_of(block.note):
            self._add("phase")
        if citations and self._client_format not in (self._format, "converse"):
            self._citations(citations)

    def _signature(self, block: Text) -> None:
        """Gemini's on a text. A Messages client has it before the text, or before the block that follows."""
        if self._client_format == "responses" or (self._client_format == "messages" and not block.text):
            self._add("signature")
        self._signed_late = self._client_format == "messages" and block.signature != self._signed

    def _citations(self, citations: Sequence[Citation]) -> None:
        if any(citation.url is None and not self._is_own(citation.raw) for citation in citations):
            self._add("citations")

    def whole(self, answer: Answer) -> None:
        """A whole answer."""
        self.begin(answer.format, answer.extra)
        for block in answer.content:
            self.block(block)
            self.ended(block)
        self.finished(answer.stop, {})

    def _shows_own(self, block: ServerToolCall | ServerToolResult | Opaque) -> bool:
        if block.format == self._client_format:
            return True
        searches = isinstance(block, ServerToolCall) and block.tool == "web_search"
        return searches and self._client_format == "responses"

    def _is_own(self, raw: JsonObject) -> bool:
        """Anthropic's citations of documents, from another surface of theirs."""
        return self._client_format == "messages" and str(raw.get("type")).endswith("_location")

    def _add(self, name: str) -> None:
        path = f"answer.{name}"
        if path not in self._dropped:
            self._dropped.append(path)


def _name_of(block: ServerToolCall | ServerToolResult | Opaque) -> str:
    """What its own format calls it."""
    if isinstance(block, Opaque):
        return block.kind
    kind = block.raw.get("type")
    return kind if isinstance(kind, str) else next(iter(block.raw), block.tool)


type _Media = Image | Document | Audio | Video


def _in_base64(block: _Media) -> bool:
    return isinstance(block, Image) and block.source.kind == "base64"


# Whether an answer of the format can hold such media. A Messages client gets a mark in their place.
_MEDIA: Final[dict[FormatName, Callable[[_Media], bool]]] = {
    "chat_completions": lambda block: isinstance(block, Image),
    "responses": _in_base64,
    "messages": lambda block: False,
    "converse": lambda block: _in_base64(block) and block.source.media_type in _IMAGES,
    "generate_content": lambda block: block.source.kind in ("base64", "url"),
}
