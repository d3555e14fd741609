"""A backend's `alt=sse` stream to events: parts are fragments, and neighbours of a kind make up one block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.conversation import Block, JsonObject, Reasoning, Text, ToolCall
from core.errors import UpstreamFault, upstream_fault
from core.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    apply_delta,
    deltas_of,
    empty_copy,
)
from core.formats.contract import Target
from core.formats.generate_content.response import (
    broken_answer,
    citations_of,
    extra_of,
    id_source,
    read_parts,
    text_of,
)
from core.formats.generate_content.usage import read_block, read_stop, read_usage
from core.formats.generate_content.wire import candidate_parts, chunk_error, first_candidate
from core.framing import sse
from core.json_edit import load
from core.slotted import replace
from core.stop import Stop

# Members of a candidate beside which its text is all that it says.
_PLAIN_MEMBERS = frozenset({"content", "index"})


class StreamDecoder:
    """See core.formats.contract.StreamDecoder.

    The end is reported with the chunk that has both the finish reason and the usage, else when the body ends:
    usage may follow in a chunk of its own, and servers exist that give every chunk a finish reason, the first too.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sse = sse.Decoder()
        self._metadata: JsonObject = {}
        self._more: list[str] = []
        self._stop: Stop | None = None
        self._stops_at_once = False
        self._open: Text | Reasoning | None = None
        self._index = 0
        self._has_calls = False
        self._extra: JsonObject = {}
        self._mint: Callable[[], str] | None = None
        self._done = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        return self._events(self._sse.feed(data))

    def close(self) -> list[Event]:
        """What the body's end means: the finish, or a failure when the stream was cut."""
        events = self._events(self._sse.close())
        if self._done:
            return events
        if self._stop is None:
            self._done = True
            fault = upstream_fault("upstream", "The backend's stream ended without a finish reason.", 502)
            return [*events, Failed(fault)]
        return [*events, *self._finish()]

    def _events(self, records: list[sse.Record]) -> list[Event]:
        events: list[Event] = []
        for record in records:
            if self._done:
                break
            chunk = _parsed(record.data)
            text = self._plain_text(chunk)
            if text is not None:
                self._count(chunk)
                self._more.append(text)
                events.append(PartDelta(self._index, "text", text))
                continue
            try:
                events.extend(self._chunk(chunk))
            except UpstreamFault as fault:
                self._done = True
                events.append(Failed(fault))
        return events

    def _chunk(self, chunk: Any) -> list[Event]:
        fault = chunk_error(chunk)
        if fault is not None:
            raise fault
        if not isinstance(chunk, dict):
            raise upstream_fault("upstream", "The backend's stream holds something that is no chunk.", 502)
        self._count(chunk)
        self._take_up()
        events: list[Event] = []
        first = self._mint is None
        if first:
            events.append(self._started(chunk))
        if self._stop is None or self._stops_at_once:
            events.extend(self._content(chunk))
            self._stops_at_once = self._stops_at_once or (first and self._stop is not None)
        if self._stop is not None and "usageMetadata" in chunk and not self._stops_at_once:
            events.extend(self._finish())
        return events

    def _count(self, chunk: JsonObject) -> None:
        """Takes over the running usage, which nearly every chunk states."""
        metadata = chunk.get("usageMetadata")
        if type(metadata) is dict:
            if None in metadata.values():
                metadata = {name: value for name, value in metadata.items() if value is not None}
            self._metadata.update(metadata)

    def _take_up(self) -> None:
        """Adds what plain chunks said to the open text."""
        if self._more and isinstance(self._open, Text):
            self._open.text += "".join(self._more)
            self._more = []

    def _plain_text(self, chunk: Any) -> str | None:
        """More of the open text, in a chunk that says nothing else, as nearly all of a stream's; None for any other."""
        opened = self._open
        if type(opened) is not Text or opened.signature or self._stop is not None:
            return None
        try:
            [candidate] = chunk["candidates"]
            [part] = candidate["content"]["parts"]
            text = part["text"]
        except (KeyError, TypeError, ValueError):
            return None  # of another shape
        if len(part) != 1 or type(text) is not str or not _PLAIN_MEMBERS.issuperset(candidate):
            return None
        return None if "promptFeedback" in chunk or "error" in chunk else text or None

    def _started(self, chunk: JsonObject) -> Started:
        response_id = text_of(chunk.get("responseId"))
        self._mint = id_source(response_id, chunk)
        model = text_of(chunk.get("modelVersion")) or self._target.model
        return Started(response_id, model, read_usage(dict(self._metadata)), format="generate_content")

    def _content(self, chunk: JsonObject) -> list[Event]:
        assert self._mint is not None
        events: list[Event] = []
        for block in read_parts(candidate_parts(chunk), self._mint):
            events.extend(self._block(block))
        candidate = first_candidate(chunk)
        if isinstance(self._open, Text):
            for citation in citations_of(candidate, self._open.text):
                events.append(self._delta(PartDelta(self._index, "citation", citation)))
        self._stop = read_stop(candidate, has_calls=self._has_calls) or read_block(chunk) or self._stop
        if self._stop is not None and self._stop.reason == "error":
            raise broken_answer(self._stop)
        self._extra.update(extra_of(candidate))
        return events

    def _block(self, block: Block) -> list[Event]:
        if not isinstance(block, Text | Reasoning):
            self._has_calls = self._has_calls or isinstance(block, ToolCall)
            return [*self._end_part(), *self._whole_part(block)]
        if isinstance(block, Reasoning) and (block.encrypted or block.redacted):
            return [*self._end_part(), *self._whole_part(block)]
        deltas = list(deltas_of(self._index, block))
        if not deltas:
            return []
        events: list[Event] = []
        if not self._extends(block):
            events.extend(self._end_part())
            self._open = _opened(block)
            events.append(PartStarted(self._index, empty_copy(block)))
        assert self._open is not None
        events.extend(self._delta(replace(delta, index=self._index)) for delta in deltas)
        return events

    def _extends(self, block: Text | Reasoning) -> bool:
        return type(self._open) is type(block) and self._open is not None and not self._open.signature

    def _delta(self, delta: PartDelta) -> PartDelta:
        assert self._open is not None
        apply_delta(self._open, delta)
        return delta

    def _whole_part(self, block: Block) -> list[Event]:
        index = self._index
        self._index += 1
        deltas = list(deltas_of(index, block))
        return [PartStarted(index, empty_copy(block) if deltas else block), *deltas, PartEnded(index, block)]

    def _end_part(self) -> list[Event]:
        self._take_up()
        if self._open is None:
            return []
        block, self._open = self._open, None
        self._index += 1
        return [PartEnded(self._index - 1, block)]

    def _finish(self) -> list[Event]:
        assert self._stop is not None
        self._done = True
        return [*self._end_part(), Finished(self._stop, read_usage(self._metadata), extra=self._extra)]


def _opened(block: Text | Reasoning) -> Text | Reasoning:
    if isinstance(block, Text):
        return Text("", origin=block.origin, extra=block.extra)
    return Reasoning([], form=block.form, origin=block.origin, extra=block.extra)


def _parsed(text: str) -> Any:
    try:
        return load(text)
    except (ValueError, RecursionError):
        return None
