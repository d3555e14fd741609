"""What was said in a conversation: values, their documents, and what a model is shown of them.

A store keeps one document for each message. The newest come first in the order of names, so that a turn reads no more
of a long history than its model can take. A message that is larger than a store's documents may be is kept in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from core.conversation import Block, Document, Image, Message, Source, Text
from core.slotted import field, slotted

type Role = Literal["user", "assistant"]
type Status = Literal["complete", "partial", "failed"]
type StoredMessage = Mapping[str, Any]

# The smallest of the stores' bounds is DynamoDB's 400 KB for an item; a piece is escaped once more when it is written.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
PIECE_BYTES: Final = 350_000
_MOST_MESSAGES: Final = 10**8

# What is said in the prompt of a model is some tokens more than was counted.
MARGIN: Final = 0.95
# The context of a model that nobody knows.
UNKNOWN_CONTEXT: Final = 128_000
# What is left for the answer where nobody says how long it may be.
ANSWER_ROOM: Final = 4_096


@slotted
class Attachment:
    """A file beside a text. `data` is base64 text; `type` is image or document."""

    type: Literal["image", "document"]
    media_type: str
    data: str
    name: str = ""

    def document(self) -> dict[str, str]:
        return {"type": self.type, "media_type": self.media_type, "data": self.data, "name": self.name}


@slotted
class Said:
    """One message. `about` is what is kept of an answer: its model, usage, cost, reasoning, tool calls."""

    role: Role
    content: str
    attachments: list[Attachment] = field(default_factory=list)
    status: Status = "complete"
    created: float = 0.0
    id: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As a store keeps it."""
        document: dict[str, Any] = {
            "id": self.id, "role": self.role, "content": self.content, "status": self.status, "created": self.created,
            **self.about,
        }  # fmt: skip
        if self.attachments:
            document["attachments"] = [each.document() for each in self.attachments]
        return document

    def shown(self) -> Message:
        """As a model is asked with it."""
        blocks: list[Block] = [_block(each) for each in self.attachments]
        if self.content:
            blocks.append(Text(self.content))
        return Message(self.role, blocks, plain=not self.attachments)


def _block(attachment: Attachment) -> Block:
    source = Source("base64", attachment.data, attachment.media_type)
    if attachment.type == "image":
        return Image(source)
    return Document(source, attachment.name or None)


_KNOWN = frozenset({"id", "role", "content", "status", "created", "attachments", "before"})


def said_of(document: StoredMessage) -> Said:
    """The message that a store keeps as `document`."""
    attachments = [
        Attachment(each["type"], each["media_type"], each["data"], each["name"])
        for each in document.get("attachments", ())
    ]
    return Said(
        document["role"], document["content"], attachments, document["status"], document["created"], document["id"],
        {name: value for name, value in document.items() if name not in _KNOWN},
    )  # fmt: skip


def name_of(number: int, turn: str) -> str:
    """The name of the message `number` (from 0), said in a turn: the newest is the first by name. A turn that has lost
    its session writes under names that nobody looks for."""
    return f"{_MOST_MESSAGES - 1 - number:08d}-{turn}"


def documents_of(name: str, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The documents that `document` is kept as under `name`: itself, or its pieces and how many they are."""
    text = json.dumps(document, ensure_ascii=False)
    if 6 * len(text) <= PIECE_BYTES or len(json.dumps(document)) <= PIECE_BYTES:
        return {name: dict(document)}
    pieces = list(_pieces(text))
    found: dict[str, dict[str, Any]] = {name: {"pieces": len(pieces)}}
    found.update({f"{name}.{index:04d}": {"text": piece} for index, piece in enumerate(pieces)})
    return found


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        length = PIECE_BYTES - 100
        while len(json.dumps(text[start : start + length])) > PIECE_BYTES:
            length //= 2
        yield text[start : start + length]
        start += length


class Assembler:
    """Puts documents, which come in the order of their names, together again."""

    def __init__(self) -> None:
        self._name = ""
        self._pieces: list[str] = []
        self._wanted = 0

    def feed(self, name: str, document: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        """A name and its whole document, once it is whole. What lacks a piece is passed over: it was being written
        when its writer died."""
        base, dot, _ = name.partition(".")
        if not dot:
            self._name, self._pieces, self._wanted = base, [], int(document.get("pieces", 0))
            return None if self._wanted else (base, document)
        if base != self._name:
            return None
        self._pieces.append(document["text"])
        if len(self._pieces) < self._wanted:
            return None
        return base, json.loads("".join(self._pieces))


def for_model(history: Sequence[Said]) -> list[Said]:
    """What a model is shown of a history, the oldest first: questions that were never answered are left out."""
    shown: list[Said] = []
    for said in history:
        if said.role == "assistant" and not said.content:
            while shown and shown[-1].role == "user":
                shown.pop()
            continue
        shown.append(said)
    while shown and shown[-1].role == "user":
        shown.pop()
    return shown


def trimmed(history: Sequence[Said], room: float, count: Callable[[Said], float]) -> list[Said]:
    """The newest whole turns of `history` (the oldest first) that fit into `room` tokens. A turn begins with what the
    user said; `count` tells a message's tokens."""
    kept: list[Said] = []
    turn: list[Said] = []
    left = room
    for said in reversed(history):
        turn.insert(0, said)
        left -= count(said)
        if left < 0:
            break
        if said.role == "user":
            kept[:0] = turn
            turn = []
    return kept
