"""Puts one output item of a stream together and turns it into neutral parts while it grows.

Deltas go out as they come. When the finished item arrives (`response.output_item.done`, or the answer's last
snapshot), what the deltas did not bring is sent after them: some servers send no deltas at all, and encrypted
reasoning comes with the finished item only.
"""

from __future__ import annotations

from core.conversation import (
    Block,
    Citation,
    JsonObject,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from core.events import DeltaKind, Event, PartDelta, PartEnded, PartStarted, deltas_of, empty_copy
from core.formats.arguments import spaced_text
from core.formats.responses import members
from core.formats.responses.content import read_citation, read_part
from core.formats.responses.read_items import assistant_blocks, item_type, read_tool_call
from core.slotted import replace

_PATH = "output"


class ItemAssembly:
    """One item between `added` and `done`. Its parts are numbered from `first_part` on.

    `text_place` is the content index of the output text that is open, None when none is; with it, `open_part`
    and `chunks` the stream decoder handles the common case by itself.
    """

    def __init__(self, item: JsonObject, first_part: int, origin: Origin) -> None:
        self.next_part = first_part
        self.text_place: int | None = None
        self.open_part = first_part - 1
        self.chunks: list[str] = []
        self._place: int | None = None
        self._item = item
        self._origin = origin
        self._open: Block | None = None
        self._citations: list[Citation] = []
        self._pieces: list[list[str]] = []
        self._ended_places: set[int] = set()
        self._part_shape: JsonObject = {}

    @property
    def item_id(self) -> object:
        """The id under which the item was announced."""
        return self._item.get("id")

    def started(self) -> list[Event]:
        """What can be said when the item was only announced: a call, with its name."""
        item = self._item
        payload = "input" if item.get("type") == "custom_tool_call" else "arguments"
        if item.get("type") not in ("function_call", "custom_tool_call") or not item.get("name"):
            return []
        call = read_tool_call({**item, **_finished_status(item), payload: ""}, _PATH)
        return self._start(call)

    def announce_part(self, part: JsonObject) -> None:
        """`content_part.added`: what the part will be beside its text."""
        self._part_shape = part

    def spoken(self, place: int, value: str, kind: str) -> list[Event]:
        """A delta of the text (`kind` output_text) or refusal at content index `place`. One that does not fit
        what is open, or comes after its part's end, waits for the finished item."""
        wanted = Text if kind == "output_text" else Refusal
        if self._open is not None and not isinstance(self._open, Text | Refusal):
            return []
        events: list[Event] = []
        if self._place != place:
            if place in self._ended_places:
                return []
            events += self._end_spoken(None)
            events += self._start(self._spoken_block(kind))
            self._place = place
            self.text_place = place if wanted is Text else None
        if not isinstance(self._open, wanted):
            return []
        self.chunks.append(value)
        delta_kind: DeltaKind = "text" if wanted is Text else "refusal"
        return [*events, PartDelta(self.open_part, delta_kind, value)]

    def annotated(self, place: int, annotation: JsonObject) -> list[Event]:
        """An annotation of the text at `place`. One that comes before its text waits for the finished item."""
        if self._place != place or not isinstance(self._open, Text):
            return []
        citation = read_citation(annotation)
        self._citations.append(citation)
        return [PartDelta(self.open_part, "citation", citation)]

    def thought(self, piece: int, value: str, form: str) -> list[Event]:
        """A delta of a reasoning text, `form` being `summary` or `raw`; the form that came first is the one
        that is streamed."""
        events: list[Event] = []
        if self._open is None:
            block = Reasoning(form="raw" if form == "raw" else "summary", origin=self._origin)
            block.id = members.text(self._item, "id", _PATH)
            events += self._start(block)
        if not isinstance(self._open, Reasoning) or self._open.form != form:
            return []
        piece = min(max(piece, 0), len(self._pieces))
        if piece == len(self._pieces):
            self._pieces.append([])
        self._pieces[piece].append(value)
        return [*events, PartDelta(self.open_part, "reasoning", value, piece)]

    def argued(self, value: str) -> list[Event]:
        """A delta of a call's arguments. A call whose name is not known yet waits for the finished item."""
        if not isinstance(self._open, ToolCall):
            return []
        self.chunks.append(value)
        return [PartDelta(self.open_part, "arguments", value)]

    def finished(self, item: JsonObject | None) -> list[Event]:
        """The rest of the item, from its finished form; None when that never came.

        Raises ClientFault when the item is malformed.
        """
        blocks = self._final_blocks(item)
        final = blocks[0] if len(blocks) == 1 else None
        match self._open:
            case Text() | Refusal():
                return self._finish_message(blocks)
            case ToolCall() as call:
                return self._finish_call(call, final if isinstance(final, ToolCall) else call)
            case Reasoning() as reasoning:
                return self._finish_reasoning(reasoning, final if isinstance(final, Reasoning) else reasoning)
            case _:
                return [event for block in blocks for event in self._whole(block)]

    def _final_blocks(self, item: JsonObject | None) -> list[Block]:
        return [] if item is None else finished_blocks(item, self._origin)

    def _finish_message(self, blocks: list[Block]) -> list[Event]:
        open_place = self._place or 0
        events = self._end_spoken(blocks[open_place] if open_place < len(blocks) else None)
        for place, block in enumerate(blocks):
            if place not in self._ended_places:
                events += self._whole(block)
        return events

    def _finish_call(self, announced: ToolCall, final: ToolCall) -> list[Event]:
        events, whole = self._missing_text("".join(self.chunks), final.arguments, "arguments")
        # What has been announced stands.
        block = replace(final, id=announced.id, name=announced.name, kind=announced.kind, arguments=whole)
        return [*events, self._end(block)]

    def _finish_reasoning(self, announced: Reasoning, final: Reasoning) -> list[Event]:
        events: list[Event] = []
        streamed = ["".join(pieces) for pieces in self._pieces]
        texts = final.texts if _extends(final.texts, streamed) else streamed
        for piece, text in enumerate(texts):
            done = streamed[piece] if piece < len(streamed) else ""
            if text[len(done) :]:
                events.append(PartDelta(self.open_part, "reasoning", text[len(done) :], piece))
        return [*events, self._end(replace(final, texts=texts, form=announced.form))]

    def _end_spoken(self, final: Block | None) -> list[Event]:
        """Ends the open text or refusal, completed from `final` where that is its continuation."""
        block, place = self._open, self._place
        if place is None or not isinstance(block, Text | Refusal):
            return []
        streamed = "".join(self.chunks)
        delta_kind: DeltaKind = "text" if isinstance(block, Text) else "refusal"
        settled = final if type(final) is type(block) and isinstance(final, Text | Refusal) else block
        events, whole = self._missing_text(streamed, settled.text, delta_kind)
        ended = replace(settled, text=whole)
        if isinstance(ended, Text):
            # Annotations that the finished item repeats are known already; others are new.
            new = [citation for citation in ended.citations if citation not in self._citations]
            events += [PartDelta(self.open_part, "citation", citation) for citation in new]
            ended.citations = [*self._citations, *new]
        self._ended_places.add(place)
        self._place = self.text_place = None
        events.append(self._end(ended))
        return events

    def _missing_text(self, streamed: str, final: str, kind: DeltaKind) -> tuple[list[Event], str]:
        """The delta that leads from what was streamed to the final text, and the whole. A final text that is
        no continuation cannot be told any more: what was streamed stands."""
        if not final.startswith(streamed):
            return [], streamed
        missing = final[len(streamed) :]
        if not missing:
            return [], streamed
        return [PartDelta(self.open_part, kind, missing)], final

    def _spoken_block(self, kind: str) -> Text | Refusal:
        shape = self._part_shape
        self._part_shape = {}
        empty = {**shape, "type": kind, "text": "", "annotations": []}
        if kind == "refusal":
            empty = {"type": kind, "refusal": ""}
        block = read_part(empty, _PATH, assistant=True)
        assert isinstance(block, Text | Refusal)
        if not self._ended_places:
            shell = members.rest({**self._item, **_finished_status(self._item)}, ("content",))
            block.note = {**(block.note or {}), "item": {"members": shell}}
        return block

    def _whole(self, block: Block) -> list[Event]:
        events = self._start(empty_copy(block))
        return [*events, *deltas_of(self.open_part, block), self._end(block)]

    def _start(self, block: Block) -> list[Event]:
        self._open = block
        self.chunks = []
        self._citations = []
        self.open_part = self.next_part
        self.next_part += 1
        return [PartStarted(self.open_part, replace(block))]

    def _end(self, block: Block) -> PartEnded:
        self._open = None
        return PartEnded(self.open_part, block)


def finished_blocks(item: JsonObject, origin: Origin) -> list[Block]:
    """The blocks of a finished output item; its reasoning state is from `origin`. Raises ClientFault."""
    kind = item_type(item, _PATH)
    blocks = assistant_blocks(kind, _tolerated(item), _PATH)
    if blocks is None:
        return [Opaque("responses", kind, item)]
    for block in blocks:
        if isinstance(block, Reasoning) and block.origin == Origin("openai"):
            block.origin = origin
    return blocks


def _tolerated(item: JsonObject) -> JsonObject:
    """Servers exist that leave a call's arguments out when there are none, or send them as an object."""
    payload = {"function_call": "arguments", "custom_tool_call": "input"}.get(str(item.get("type")))
    if payload is None or isinstance(item.get(payload), str):
        return item
    value = item.get(payload)
    return {**item, payload: "" if value is None else spaced_text(value)}


def _finished_status(item: JsonObject) -> JsonObject:
    """The status that the item will have when nothing goes wrong: what a part says when it starts should still
    be true when it ends."""
    return {"status": "completed"} if "status" in item else {}


def _extends(texts: list[str], streamed: list[str]) -> bool:
    """Whether `texts` continue what was streamed, piece by piece."""
    return len(texts) >= len(streamed) and all(
        text.startswith(done) for text, done in zip(texts, streamed, strict=False)
    )
