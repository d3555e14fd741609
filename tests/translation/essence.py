"""What of a conversation must survive every translation: its texts, calls, results and media, in order."""

from __future__ import annotations

import base64
import json
from collections import Counter
from contextlib import suppress
from typing import Any

from core.conversation import (
    Audio,
    Block,
    Conversation,
    Document,
    Image,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from tests.translation.reading import json_value

type Atom = tuple[Any, ...]


def lost(before: Conversation, after: Conversation) -> list[Atom]:
    """What of `before` is not in `after`, in its place. A target may say more (reminders, placeholders, notes on
    what stands elsewhere), move media out of tool results, and call tools and calls by other names."""
    wanted, found = _atoms(before), _atoms(after)
    missing = _out_of_order([atom for atom in wanted if atom[0] != "media"], found)
    media = Counter(atom for atom in wanted if atom[0] == "media")
    return missing + list((media - Counter(atom for atom in found if atom[0] == "media")).elements())


def _out_of_order(wanted: list[Atom], found: list[Atom]) -> list[Atom]:
    missing = []
    place, offset = 0, 0
    for atom in wanted:
        for candidate in range(place, len(found)):
            start = offset if candidate == place else 0
            end = _end_in(atom, found[candidate], start)
            if end is not None:
                place, offset = (candidate, end) if atom[0] == "text" else (candidate + 1, 0)
                break
        else:
            missing.append(atom)
    return missing


def _end_in(atom: Atom, other: Atom, start: int) -> int | None:
    """Where `atom` ends in `other`; None where it is not there."""
    if atom[0] == other[0] == "text":
        at = other[1].find(atom[1], start)
        return None if at < 0 else at + len(atom[1])
    return 0 if atom == other else None


def _atoms(conversation: Conversation) -> list[Atom]:
    calls: dict[str, int] = {}
    atoms: list[Atom] = []
    for message in conversation.messages:
        if message.role not in ("system", "developer"):
            for block in message.content:
                atoms += _of(block, calls)
    return atoms


def _of(block: Block, calls: dict[str, int]) -> list[Atom]:
    match block:
        case Text() | Refusal():
            return _text(block.text)
        case ToolCall():
            calls[block.id] = len(calls)
            arguments = json_value(block.arguments) if block.kind == "function" else {"input": block.arguments}
            return [("call", calls[block.id], arguments)]
        case ToolResult():
            inner = [atom for part in block.content for atom in _of(part, calls)]
            return [("result", calls.get(block.call_id, block.call_id)), *inner]
        case Image() | Document() | Audio() | Video():
            return _medium(block.source)
        case _:
            return []


def _text(text: str) -> list[Atom]:
    text = text.strip()
    if text.startswith(("{", "[")):
        # An object of JSON may be sent as one where the target has objects.
        with suppress(ValueError):
            text = json.dumps(json.loads(text), sort_keys=True)
    return [("text", text)] if text else []


def _medium(source: Source) -> list[Atom]:
    if source.kind == "text":
        return _text(source.data)
    if source.kind == "blocks":
        return [atom for block in source.blocks for atom in _of(block, {})]
    if source.kind == "base64" and source.media_type.startswith("text/"):
        return _text(base64.b64decode(source.data).decode())
    return [("media", source.data)]
