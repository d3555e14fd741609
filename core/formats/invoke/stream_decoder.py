"""InvokeModelWithResponseStream's frames, decoded into events: each `chunk` holds one event of Anthropic's."""

from __future__ import annotations

from core.events import Event
from core.formats.contract import Target
from core.formats.converse.wire import frame_error, is_error
from core.formats.invoke.wire import chunk_of
from core.formats.messages.response import unreadable
from core.formats.messages.stream_decoder import EventDecoder
from core.framing.eventstream import CorruptFrame, Decoder


class StreamDecoder:
    """AWS event-stream frames at any split; see core.formats.contract.StreamDecoder."""

    def __init__(self, target: Target) -> None:
        self._frames = Decoder()
        self._events = EventDecoder(target)

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        events: list[Event] = []
        try:
            for frame in self._frames.feed(data):
                if is_error(frame):
                    self._events.fail(frame_error(frame), events)
                elif chunk := chunk_of(frame):
                    self._events.read_text(chunk.decode("utf-8", "replace"), events)
        except CorruptFrame as corrupt:
            self._events.fail(unreadable(str(corrupt)), events)
        return events

    def close(self) -> list[Event]:
        """Failed when the stream was cut."""
        events: list[Event] = []
        self._events.close(events)
        return events
