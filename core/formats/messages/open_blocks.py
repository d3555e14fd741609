"""The block of a stream that is open: collects it, and says what each piece of it means as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from core.conversation import Block, Citation, JsonObject, Origin, Reasoning, Text, ToolCall
from core.events import Event, PartDelta, PartEnded, PartStarted
from core.formats.messages.read_blocks import read_citation
from core.formats.messages.tool_input import dump_input, read_input

_TEXT = frozenset({"type", "text", "citations"})
_THINKING = frozenset({"type", "thinking", "signature"})
_TOOL = frozenset({"type", "id", "name", "input"})

# What a delta without its block's start opens. A tool's cannot be made good: its id and name are lost.
IMPLIED: dict[str, JsonObject] = {
    "text_delta": {"type": "text"},
    "citations_delta": {"type": "text"},
    "thinking_delta": {"type": "thinking"},
}


class Parts:
    """What an open block needs of its stream: the next part's index, and the reading of whole blocks."""

    def __init__(self, origin: Origin, read: Callable[[Any], Block]) -> None:
        self.origin = origin
        self.read = read
        self._next_index = 0

    def take_index(self) -> int:
        """The index of the part that starts now."""
        self._next_index += 1
        return self._next_index - 1


class OpenBlock(Protocol):
    """`wire_index` is the block's place on the wire; a delta that it does not take is not its own."""

    wire_index: Any

    def takes(self, kind: Any) -> bool: ...
    def delta(self, delta: JsonObject, events: list[Event]) -> None: ...
    def end(self, events: list[Event]) -> None: ...


class OpenText:
    """A text block. It starts as a part with its first text or citation."""

    def __init__(self, raw: JsonObject, parts: Parts, events: list[Event]) -> None:
        self.wire_index: Any = None
        self._parts = parts
        self._index = -1
        self._texts: list[str] = []
        self._citations: list[Citation] = []
        self._extra = {name: value for name, value in raw.items() if name not in _TEXT}
        self._add(raw.get("text"), events)
        citations = raw.get("citations")
        for citation in citations if isinstance(citations, list) else []:
            self._cite(citation, events)

    def takes(self, kind: Any) -> bool:
        return kind in ("text_delta", "citations_delta")

    def delta(self, delta: JsonObject, events: list[Event]) -> None:
        if delta["type"] == "text_delta":
            self._add(delta.get("text"), events)
        else:
            self._cite(delta.get("citation"), events)

    def _add(self, text: Any, events: list[Event]) -> None:
        if not text or not isinstance(text, str):
            return
        if self._index < 0:
            self._start(events)
        self._texts.append(text)
        events.append(PartDelta(self._index, "text", text))

    def _cite(self, raw: Any, events: list[Event]) -> None:
        if not isinstance(raw, dict):
            return
        if self._index < 0:
            self._start(events)
        citation = read_citation(raw)
        self._citations.append(citation)
        events.append(PartDelta(self._index, "citation", citation))

    def _start(self, events: list[Event]) -> None:
        self._index = self._parts.take_index()
        events.append(PartStarted(self._index, Text("", extra=self._extra)))

    def end(self, events: list[Event]) -> None:
        if self._index >= 0:
            block = Text("".join(self._texts), citations=self._citations, extra=self._extra)
            events.append(PartEnded(self._index, block))


class OpenThinking:
    """A thinking block. Its signature, however many deltas it came in, is told once, at the end."""

    def __init__(self, raw: JsonObject, parts: Parts, events: list[Event]) -> None:
        self.wire_index: Any = None
        self._parts = parts
        self._index = -1
        self._texts: list[str] = []
        signature = raw.get("signature")
        self._signature = signature if isinstance(signature, str) else ""
        self._extra = {name: value for name, value in raw.items() if name not in _THINKING}
        self._add(raw.get("thinking"), events)

    def takes(self, kind: Any) -> bool:
        return kind in ("thinking_delta", "signature_delta")

    def delta(self, delta: JsonObject, events: list[Event]) -> None:
        if delta["type"] == "thinking_delta":
            self._add(delta.get("thinking"), events)
        elif isinstance(signature := delta.get("signature"), str):
            self._signature += signature

    def _add(self, text: Any, events: list[Event]) -> None:
        if not text or not isinstance(text, str):
            return
        if self._index < 0:
            self._start(events)
        self._texts.append(text)
        events.append(PartDelta(self._index, "reasoning", text))

    def _start(self, events: list[Event]) -> None:
        self._index = self._parts.take_index()
        events.append(PartStarted(self._index, Reasoning(origin=self._parts.origin, extra=self._extra)))

    def end(self, events: list[Event]) -> None:
        if self._index < 0 and not self._signature:
            return
        if self._index < 0:
            self._start(events)
        if self._signature:
            events.append(PartDelta(self._index, "signature", self._signature))
        block = Reasoning(
            ["".join(self._texts)] if self._texts else [],
            signature=self._signature or None,
            origin=self._parts.origin,
            extra=self._extra,
        )
        events.append(PartEnded(self._index, block))


class OpenToolUse:
    """A tool call. Servers exist that give the whole input at the start; it counts when no delta comes."""

    def __init__(self, raw: JsonObject, parts: Parts, events: list[Event]) -> None:
        self.wire_index: Any = None
        self._index = parts.take_index()
        self._pieces: list[str] = []
        self._input = raw.get("input")
        self._call = ToolCall(
            _text(raw.get("id")),
            _text(raw.get("name")),
            extra={name: value for name, value in raw.items() if name not in _TOOL},
        )
        events.append(PartStarted(self._index, self._called("")))

    def takes(self, kind: Any) -> bool:
        return bool(kind == "input_json_delta")

    def delta(self, delta: JsonObject, events: list[Event]) -> None:
        self._add(delta.get("partial_json"), events)

    def _add(self, piece: Any, events: list[Event]) -> None:
        if piece and isinstance(piece, str):
            self._pieces.append(piece)
            events.append(PartDelta(self._index, "arguments", piece))

    def _called(self, arguments: str) -> ToolCall:
        return ToolCall(self._call.id, self._call.name, arguments, extra=self._call.extra)

    def end(self, events: list[Event]) -> None:
        if not self._pieces and isinstance(self._input, dict) and self._input:
            self._add(dump_input(self._input), events)
        events.append(PartEnded(self._index, self._called("".join(self._pieces))))


class OpenWhole:
    """Any other block: whole at its start, or grown by deltas of its own kind. It is one part, at its end."""

    def __init__(self, raw: JsonObject, parts: Parts, _events: list[Event]) -> None:
        self.wire_index: Any = None
        self._parts = parts
        self._raw = dict(raw)
        self._pieces: list[str] = []

    def takes(self, kind: Any) -> bool:
        return kind not in ("text_delta", "thinking_delta", "signature_delta")

    def delta(self, delta: JsonObject, _events: list[Event]) -> None:
        if isinstance(piece := delta.get("partial_json"), str):
            self._pieces.append(piece)
            return
        for name, value in delta.items():
            if name != "type":
                before = self._raw.get(name)
                joins = isinstance(before, str) and isinstance(value, str)
                self._raw[name] = before + value if joins else value

    def end(self, events: list[Event]) -> None:
        """Raises Invalid when the block is not what its type promises."""
        if self._pieces:
            self._raw["input"] = read_input("".join(self._pieces))
        block = self._parts.read(self._raw)
        index = self._parts.take_index()
        events.append(PartStarted(index, block))
        events.append(PartEnded(index, block))


_OPENERS: dict[str, Callable[[JsonObject, Parts, list[Event]], OpenBlock]] = {
    "text": OpenText,
    "thinking": OpenThinking,
    "tool_use": OpenToolUse,
}


def open_block(raw: JsonObject, parts: Parts, events: list[Event]) -> OpenBlock:
    """The block that starts as `raw` says; what it holds already is added to `events`."""
    kind = raw.get("type")
    opener = _OPENERS.get(kind) if isinstance(kind, str) else None
    return opener(raw, parts, events) if opener else OpenWhole(raw, parts, events)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
