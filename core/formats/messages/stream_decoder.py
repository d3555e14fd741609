"""A Messages backend's stream, decoded into events. https://docs.anthropic.com/en/api/messages-streaming

Rule 1: a part starts with its first content. A text or thinking block that stays empty is no part, and indices are
        counted anew.
Rule 2: blocks that are whole at their start, or whose deltas mean nothing elsewhere (server tools, compaction),
        become one part at their stop.
Rule 3: servers deviate. A delta without its block start, a start without the last block's stop and a second
        message_start are made good; an unknown event is passed over; unreadable JSON ends the stream.
Rule 4: message_stop alone ends well. A stream that just ends has failed, whatever came before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.conversation import JsonObject, Stop
from core.errors import UpstreamFault, upstream_fault
from core.events import Event, Failed, Finished, Ping, Started
from core.formats.contract import Target
from core.formats.messages.members import Invalid
from core.formats.messages.open_blocks import IMPLIED, OpenBlock, OpenToolUse, Parts, open_block
from core.formats.messages.response import block_reader, service_tier_of, text_or_empty, unreadable
from core.formats.messages.usage import later_usage, read_stop, read_usage, settled_stop
from core.formats.messages.wire import frame_error
from core.framing import sse
from core.json_edit import load
from core.usage import Usage

_MESSAGE_MEMBERS = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"}
)
_DELTA_MEMBERS = frozenset({"stop_reason", "stop_sequence", "stop_details"})
_EVENT_MEMBERS = frozenset({"type", "delta", "usage"})



class StreamDecoder:
    """Server-sent events at any split; see core.formats.contract.StreamDecoder."""

    def __init__(self, target: Target) -> None:
        self._sse = sse.Decoder()
        self._events = EventDecoder(target)

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        events: list[Event] = []
        for record in self._sse.feed(data):
            self._events.read_text(record.data, events)
        return events

    def close(self) -> list[Event]:
        """The last event, where its empty line is missing; Failed when the stream was cut."""
        events: list[Event] = []
        for record in self._sse.close():
            self._events.read_text(record.data, events)
        self._events.close(events)
        return events


class EventDecoder:
    """The stream's events, one JSON object after another, whatever frames them."""

    def __init__(self, target: Target) -> None:
        reader = block_reader(target)
        self._parts = Parts(reader.origin, reader.read)
        self._started = False
        self._over = False
        self._called = False
        self._usage = Usage()
        self._stop: Stop | None = None
        self._extra: JsonObject = {}
        self._block: OpenBlock | None = None

    def read_text(self, data: str, events: list[Event]) -> None:
        """Reads one event's JSON and adds what it means to `events`."""
        if self._over or data == "[DONE]":
            return
        event = _parsed(data)
        if isinstance(event, dict):
            self.read(event, events)
        else:
            self._fail(unreadable("an event is no JSON object"), events)

    def read(self, event: JsonObject, events: list[Event]) -> None:
        """Adds what `event` means to `events`; an unknown type means nothing."""
        kind = event.get("type")
        if kind == "content_block_delta":
            self._delta(event, events)
            return
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is not None and not self._over:
            reader(self, event, events)

    def fail(self, error: UpstreamFault, events: list[Event]) -> None:
        """Ends the stream with an error that its framing reported."""
        if not self._over:
            self._fail(error, events)

    def close(self, events: list[Event]) -> None:
        """The body has ended: unless the stream ended properly before, it has failed."""
        if not self._over:
            self._fail(upstream_fault("upstream", "The backend's stream ended before its end", 502), events)

    def _fail(self, error: UpstreamFault, events: list[Event]) -> None:
        self._over = True
        events.append(Failed(error))

    def _start(self, events: list[Event], message: JsonObject) -> None:
        self._started = True
        extra = {name: value for name, value in message.items() if name not in _MESSAGE_MEMBERS}
        events.append(
            Started(
                text_or_empty(message.get("id")),
                text_or_empty(message.get("model")),
                read_usage(message.get("usage")),
                format="messages",
                extra=extra,
            )
        )

    def _message_start(self, event: JsonObject, events: list[Event]) -> None:
        message = object_or_empty(event.get("message"))
        self._usage = later_usage(self._usage, message.get("usage"))
        if not self._started:
            self._start(events, message)
        stop = read_stop(message.get("stop_reason"), message.get("stop_sequence"), message.get("stop_details"))
        self._stop = stop or self._stop

    def _block_start(self, event: JsonObject, events: list[Event]) -> None:
        self._open(object_or_empty(event.get("content_block")), event.get("index"), events)

    def _open(self, raw: JsonObject, wire_index: Any, events: list[Event]) -> None:
        self._end_block(events)
        if self._over:
            return
        self.ensure_started(events)
        self._block = open_block(raw, self._parts, events)
        self._called = self._called or isinstance(self._block, OpenToolUse)
        self._block.wire_index = wire_index

    def _delta(self, event: JsonObject, events: list[Event]) -> None:
        delta = event.get("delta")
        if self._over or not isinstance(delta, dict):
            return
        kind, index = delta.get("type"), event.get("index")
        block = self._block
        if block is not None and (index is None or index == block.wire_index) and block.takes(kind):
            block.delta(delta, events)
            return
        implied = IMPLIED.get(kind) if isinstance(kind, str) else None
        if implied is not None:
            self._open(implied, index, events)
            if self._block is not None:
                self._block.delta(delta, events)
        elif delta.get("partial_json"):
            self._fail(unreadable("a piece of a tool's input without its tool"), events)

    def _block_stop(self, _event: JsonObject, events: list[Event]) -> None:
        self._end_block(events)

    def _end_block(self, events: list[Event]) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        try:
            block.end(events)
        except Invalid as invalid:
            self._fail(unreadable(f"a content block: {invalid.message}"), events)

    def _message_delta(self, event: JsonObject, events: list[Event]) -> None:
        self._end_block(events)
        delta = object_or_empty(event.get("delta"))
        stop = read_stop(delta.get("stop_reason"), delta.get("stop_sequence"), delta.get("stop_details"))
        self._stop = stop or self._stop
        self._usage = later_usage(self._usage, event.get("usage"))
        for source, known in ((delta, _DELTA_MEMBERS), (event, _EVENT_MEMBERS)):
            self._extra.update({name: value for name, value in source.items() if name not in known})

    def _message_stop(self, _event: JsonObject, events: list[Event]) -> None:
        self._end_block(events)
        if self._over:
            return
        self.ensure_started(events)
        self._over = True
        stop = settled_stop(self._stop or Stop("end_turn"), called=self._called)
        events.append(Finished(stop, self._usage, service_tier_of(self._usage.raw), self._extra))

    def _ping(self, _event: JsonObject, events: list[Event]) -> None:
        events.append(Ping())

    def _error(self, event: JsonObject, events: list[Event]) -> None:
        self._fail(frame_error(event), events)

    def ensure_started(self, events: list[Event]) -> None:
        """Adds the Started that a server left out."""
        if not self._started:
            self._start(events, {})


def _parsed(data: str) -> Any:
    """The JSON value of `data`, None when it is none."""
    try:
        return load(data)
    except (ValueError, RecursionError):
        return None


def object_or_empty(value: Any) -> JsonObject:
    """`value` where it is an object, an empty one where it is anything else."""
    return value if isinstance(value, dict) else {}


_READERS: dict[str, Callable[[EventDecoder, JsonObject, list[Event]], None]] = {
    "message_start": EventDecoder._message_start,
    "content_block_start": EventDecoder._block_start,
    "content_block_stop": EventDecoder._block_stop,
    "message_delta": EventDecoder._message_delta,
    "message_stop": EventDecoder._message_stop,
    "ping": EventDecoder._ping,
    "error": EventDecoder._error,
}
