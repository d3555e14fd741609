"""What a history holds, found in one walk over it: the steps of a translation that nothing there calls for are not run.

What is said here of the client's history holds for every later form of it too, but for what `core.translation.content`
puts in the place of a block: after that nothing is certain.
"""

from __future__ import annotations

from typing import Final

from core.conversation import (
    Audio,
    Block,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Video,
    leading_system,
)
from core.slotted import field, slotted

_MEDIA: Final = frozenset({Image, Document, Audio, Video})
# Blocks that every target takes as they are.
_PLAIN: Final = frozenset({Text, Reasoning, ToolCall, ToolResult})


@slotted
class Survey:
    """`kinds`: the types of all blocks, with those inside tool results. `late_system`: there is a developer's message,
    or system text behind the first turn. `named`: a message says who speaks. `cited`: a text has citations.
    `signed`, `marked`, `noted`: a block has a signature, a cache mark, a reader's note. `blank`: a message holds
    nothing, or a text nothing but white space. `extra`: members of one format alone may be there."""

    kinds: set[type] = field(default_factory=set)
    late_system: bool = False
    named: bool = False
    cited: bool = False
    signed: bool = False
    marked: bool = False
    noted: bool = False
    blank: bool = False
    extra: bool = False

    def has_media(self) -> bool:
        """Whether there is an image, a document, audio or video."""
        return not self.kinds.isdisjoint(_MEDIA)

    def has_calls(self) -> bool:
        """Whether there is a call of a tool or a result of one."""
        return ToolCall in self.kinds or ToolResult in self.kinds

    def has_reasoning(self) -> bool:
        """Whether there is reasoning."""
        return Reasoning in self.kinds

    def is_plain(self) -> bool:
        """Whether there is nothing but text, reasoning, calls and their results."""
        return self.kinds <= _PLAIN


def survey_of(messages: list[Message]) -> Survey:
    """The findings for `messages`."""
    found = Survey()
    blocks: list[Block] = []
    for message in messages:
        blocks += message.content
        if not message.content or message.name is not None or message.extra:
            _look_at_message(message, found)
    for block in blocks:
        if isinstance(block, Text):
            if not block.text.strip():
                found.blank = True
            if block.citations:
                found.cited = True
            if block.cache is None and block.signature is None and block.note is None and not block.extra:
                continue
        elif isinstance(block, ToolResult):
            blocks += block.content  # which this loop comes to at its end
            if block.cache is None and block.note is None and not block.extra:
                continue
        _look_closer(block, found)
    found.kinds = set(map(type, blocks))
    found.late_system = _has_late_system(messages)
    return found


def _look_at_message(message: Message, found: Survey) -> None:
    if not message.content:
        found.blank = True
    if message.name is not None:
        found.named = True
    if message.extra:
        found.extra = True


def _look_closer(block: Block, found: Survey) -> None:
    mark = getattr(block, "cache", None)
    if mark is not None:
        found.marked = True
        if mark.extra:
            found.extra = True
    if getattr(block, "extra", None) or type(block) in _MEDIA:
        found.extra = True
    if getattr(block, "signature", None) is not None:
        found.signed = True
    if getattr(block, "note", None) is not None:
        found.noted = True


def _has_late_system(messages: list[Message]) -> bool:
    roles = [message.role for message in messages]
    if "developer" in roles:
        return True
    # One at the head alone, as most requests have it, is not late.
    return "system" in roles[1:] and "system" in roles[leading_system(messages) :]
