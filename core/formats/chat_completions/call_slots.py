"""Sorts the fragments of tool calls that a Chat Completions stream interleaves.

Fragments belong together by `index`; some servers leave it out, give every call index 0, repeat `id` and `name`
with each fragment, or send whole calls. What identifies a new call is in `CallSlots.slot_for`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from core.conversation import JsonObject
from core.formats.arguments import compact_text
from core.slotted import field, slotted


@slotted
class CallSlot:
    """One call as far as its fragments have come. `pending` is what has not been streamed yet."""

    id: str = ""
    name: str = ""
    kind: Literal["function", "custom"] = "function"
    signature: str | None = None
    pending: list[str] = field(default_factory=list)
    streamed: list[str] = field(default_factory=list)
    closed: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.streamed) + "".join(self.pending)

    def is_complete(self) -> bool:
        """Whether nothing can follow: the arguments are a whole JSON object."""
        if self.kind == "custom":
            return False
        text = self.arguments.strip()
        if not (text.startswith("{") and text.endswith("}")):
            return False
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return True


class CallSlots:
    """The calls of one answer, by the order of their first fragment."""

    def __init__(self) -> None:
        self.slots: list[CallSlot] = []
        self._by_index: dict[int, CallSlot] = {}

    def add(self, entry: JsonObject, response_id: str) -> CallSlot:
        """Takes one entry of `tool_calls`; gives the slot that it belongs to, grown by it."""
        kind: Literal["function", "custom"] = "custom" if isinstance(entry.get("custom"), dict) else "function"
        inner = entry.get(kind)
        inner = inner if isinstance(inner, dict) else {}
        name, id_ = _text(inner.get("name")), _text(entry.get("id"))
        arguments = _arguments(inner.get("input" if kind == "custom" else "arguments"))
        slot = self.slot_for(entry.get("index"), id_, name, arguments)
        slot.name = slot.name or name
        if "custom" in entry:
            slot.kind = kind
        slot.id = slot.id or id_
        if slot.name and not slot.id:
            slot.id = self._minted(response_id, slot)
        slot.signature = thought_signature(entry) or slot.signature
        if arguments == "null" and slot.kind == "function" and not slot.arguments:
            arguments = ""  # what some servers say of a call without any
        if arguments:
            slot.pending.append(arguments)
        return slot

    def slot_for(self, index: Any, id_: str, name: str, arguments: str) -> CallSlot:
        """The slot of a fragment: the one of its index or id; a new one where an id differs, or where a
        name comes with arguments although the slot's own are complete."""
        if isinstance(index, bool) or not isinstance(index, int):
            slot = self._without_index(id_, name)
        else:
            slot = self._by_index.get(index)
        if slot is None or self._is_new(slot, id_, name, arguments):
            slot = CallSlot()
            self.slots.append(slot)
        if isinstance(index, int):
            self._by_index[index] = slot
        return slot

    def _without_index(self, id_: str, name: str) -> CallSlot | None:
        if id_:
            return next((slot for slot in self.slots if slot.id == id_), None)
        last = self.slots[-1] if self.slots else None
        return last if last is not None and (not name or name == last.name) else None

    @staticmethod
    def _is_new(slot: CallSlot, id_: str, name: str, arguments: str) -> bool:
        if id_ and slot.id and id_ != slot.id:
            return bool(name) or slot.is_complete()
        if id_ and id_ == slot.id:
            return False
        return bool(name and arguments and slot.name) and slot.is_complete()

    def _minted(self, response_id: str, slot: CallSlot) -> str:
        """An id for a call that has none: the same each time the same answer is read."""
        seed = f"{response_id}\n{self.slots.index(slot)}\n{slot.name}"
        return "call_" + hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arguments(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else compact_text(value)


def thought_signature(entry: JsonObject) -> str | None:
    """What `extra_content` of a call or a message holds: Gemini's thought signature (https://ai.google.dev/gemini-api/docs/thought-signatures)."""
    extra = entry.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None
