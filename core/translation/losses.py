"""Collects the warnings of one translation; the same warning is kept once, however often it applies."""

from __future__ import annotations

from typing import Any

from core.conversation import Dropped, FormatName, JsonObject
from core.translation.paths import client_path


class Losses:
    """What a translation had to leave out, in the order of its discovery."""

    def __init__(self, client_format: FormatName) -> None:
        self._client_format: FormatName = client_format
        self._seen: dict[tuple[str, str], None] = {}

    def add(self, name: str, reason: str) -> None:
        """Warns that the neutral member `name` (a key of `core.translation.paths`, or a path of its own)
        could not be carried as it was."""
        self._seen.setdefault((client_path(self._client_format, name), reason))

    @property
    def dropped(self) -> list[Dropped]:
        return [Dropped(path, reason) for path, reason in self._seen]


def says_nothing(value: Any) -> bool:
    """Whether a member of this value asks for nothing: null, or an empty list. An empty object may be a mark."""
    return value is None or value == []


def said(extra: JsonObject) -> list[str]:
    """The names of the members of `extra` that say something."""
    return [name for name, value in extra.items() if not says_nothing(value)]


def phase_of(note: JsonObject) -> object:
    """What the item that a block's `note` tells of says of its message: a comment on the way, or the final answer.
    Only the Responses API's messages have phases."""
    return (note.get("item") or {}).get("members", {}).get("phase")
