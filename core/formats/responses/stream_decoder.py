"""A stream of Responses events to neutral events.

https://platform.openai.com/docs/api-reference/responses-streaming
Items may overlap on the wire (their events carry an `output_index`); neutral parts may not, so the events of a
later item wait until the one that is open has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.conversation import JsonObject, Origin, Stop
from core.errors import ClientFault, upstream_fault
from core.events import Event, Failed, Finished, PartDelta, Ping
from core.formats.contract import Target
from core.formats.openai_errors import read_error_object
from core.formats.responses.item_assembly import ItemAssembly
from core.formats.responses.response import origin_of, response_members, started_by
from core.formats.responses.usage import CLIENT_CALLS, read_stop, read_usage
from core.formats.responses.wire import event_type, json_object
from core.framing.sse import Decoder, Record

_CUT = "The backend's stream ended before its answer was complete."
_TEXT_DELTA = "response.output_text.delta"
_TERMINALS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class StreamDecoder:
    """See core.formats.contract.StreamDecoder."""

    def __init__(self, target: Target) -> None:
        self._origin: Origin = origin_of(target)
        self._frames = Decoder()
        self._started = False
        self._ended = False
        self._parts = 0
        self._open_index: int | None = None
        self._open: ItemAssembly | None = None
        self._waiting: dict[int, list[tuple[str, JsonObject]]] = {}
        self._done_indices: set[int] = set()
        self._done_ids: set[str] = set()
        self._done_count = 0
        self._called = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data`, cut anywhere, completes."""
        return self._read(self._frames.feed(data))

    def close(self) -> list[Event]:
        """`Failed` unless the stream had its proper end."""
        events = self._read(self._frames.close())
        if not self._ended:
            self._ended = True
            events.append(Failed(upstream_fault("upstream", _CUT, 502)))
        return events

    def _read(self, records: list[Record]) -> list[Event]:
        events: list[Event] = []
        for record in records:
            if self._ended:
                break
            event = json_object(record.data)
            if event.get("type") == _TEXT_DELTA and self._continues(events, event):
                continue
            if not event:
                if record.data.strip() != "[DONE]":
                    self._fail(events, "The backend sent an event that is no JSON object.")
                continue
            try:
                self._event(events, event_type(event, record.event), event)
            except ClientFault as fault:
                self._fail(events, f"The backend sent a malformed answer: {fault.message}")
        return events

    def _fail(self, events: list[Event], message: str) -> None:
        self._ended = True
        events.append(Failed(upstream_fault("upstream", message, 502)))

    def _event(self, events: list[Event], kind: str, event: JsonObject) -> None:
        if kind in _ITEM_EVENTS:
            self._start(events, {})
            self._item_event(events, kind, event)
            self._replay(events)
        elif kind in _TERMINALS:
            self._end(events, kind, _object(event.get("response")))
        elif kind in ("response.created", "response.in_progress", "response.queued"):
            self._start(events, _object(event.get("response")))
        elif kind == "error":
            self._ended = True
            events.append(Failed(read_error_object(event.get("error") or event)))
        elif kind == "keepalive":
            events.append(Ping())

    def _start(self, events: list[Event], response: JsonObject) -> None:
        if not self._started:
            self._started = True
            events.append(started_by(response))

    def _continues(self, events: list[Event], event: JsonObject) -> bool:
        """The common case, made short: more of the text that is open. False when it is anything else."""
        item = self._open
        if item is None or item.text_place is None or event.get("content_index") != item.text_place:
            return False
        delta = event.get("delta")
        if not delta or type(delta) is not str or event.get("output_index") != self._open_index:
            return False
        item.chunks.append(delta)
        events.append(PartDelta(item.open_part, "text", delta))
        return True

    # --- items ----------------------------------------------------------------------------------------------

    def _item_event(self, events: list[Event], kind: str, event: JsonObject) -> None:
        index = event.get("output_index")
        if not isinstance(index, int):  # left out by some servers, whose items do not overlap
            index = self._done_count if self._open_index is None else self._open_index
        item = self._open
        if item is not None and index == self._open_index and _is_another(item, kind, event):
            self._finish_item(events, item, None)
            item = None
        if item is None:
            item = self._opens(events, index, kind, event)
        if item is None:
            return
        if index != self._open_index:
            self._waiting.setdefault(index, []).append((kind, event))
        elif kind == "response.output_item.done":
            self._finish_item(events, item, _object(event.get("item")))
        else:
            events.extend(_ITEM_EVENTS[kind](item, event))

    def _opens(self, events: list[Event], index: int, kind: str, event: JsonObject) -> ItemAssembly | None:
        """Opens the item that the event is about. Echoes of an item that has ended are passed over."""
        announced = kind in ("response.output_item.added", "response.output_item.done")
        if not announced and index in self._done_indices:
            return None
        self._open_index = index
        self._open = ItemAssembly(_object(event.get("item")), self._parts, self._origin)
        if kind == "response.output_item.added":
            events.extend(self._open.started())
        return self._open

    def _finish_item(self, events: list[Event], assembly: ItemAssembly, item: JsonObject | None) -> None:
        """Ends the open item; `item` is its finished form, where that is known."""
        if self._open_index is not None:
            self._done_indices.add(self._open_index)
        self._done_count += 1
        self._open = self._open_index = None
        if item:
            self._done_ids |= _ids_of(item)
            self._called = self._called or str(item.get("type")) in CLIENT_CALLS
        events.extend(assembly.finished(item or None))
        self._parts = assembly.next_part

    def _replay(self, events: list[Event]) -> None:
        """Goes through the events that waited, while no item is open."""
        while self._open is None and self._waiting:
            index = next(iter(self._waiting))
            for kind, event in self._waiting.pop(index):
                self._item_event(events, kind, {**event, "output_index": index})

    # --- the end --------------------------------------------------------------------------------------------

    def _end(self, events: list[Event], kind: str, response: JsonObject) -> None:
        if kind == "response.failed":
            self._ended = True
            events.append(Failed(read_error_object(response.get("error"))))
            return
        self._start(events, response)
        self._settle(events, response)
        stop = read_stop({"status": kind.removeprefix("response."), **response})
        if stop.reason == "end_turn" and self._called:
            stop = Stop("tool_use", stop.raw)
        self._ended = True
        tier = response.get("service_tier")
        events.append(
            Finished(
                stop,
                read_usage(response.get("usage")),
                service_tier=tier if isinstance(tier, str) else None,
                extra=response_members(response),
            )
        )

    def _settle(self, events: list[Event], response: JsonObject) -> None:
        """Ends what is still open and adds what was never streamed, from the last snapshot's output."""
        output = response.get("output")
        items = [_object(item) for item in output] if isinstance(output, list) else []
        while self._open is not None:
            index = -1 if self._open_index is None else self._open_index
            self._finish_item(events, self._open, items[index] if 0 <= index < len(items) else None)
            self._replay(events)
        for index, item in enumerate(items):
            # Ids and indices of sloppy servers do not always match; the number of items then tells.
            if self._done_count >= len(items):
                break
            if index not in self._done_indices and not _ids_of(item) & self._done_ids:
                self._finish_item(events, ItemAssembly(item, self._parts, self._origin), item)


def _is_another(item: ItemAssembly, kind: str, event: JsonObject) -> bool:
    """Whether the event announces the next item, under the same index, without having ended `item`."""
    return kind == "response.output_item.added" and item.item_id != _object(event.get("item")).get("id")


def _text(event: JsonObject, name: str = "delta") -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""


def _number(event: JsonObject, name: str) -> int:
    value = event.get(name)
    return value if isinstance(value, int) else 0


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _ids_of(item: JsonObject) -> set[str]:
    return {value for value in (item.get("id"), item.get("call_id")) if isinstance(value, str) and value}


def _spoken(item: ItemAssembly, event: JsonObject, kind: str) -> list[Event]:
    delta = _text(event)
    return item.spoken(_number(event, "content_index"), delta, kind) if delta else []


def _announced(item: ItemAssembly, event: JsonObject) -> list[Event]:
    item.announce_part(_object(event.get("part")))
    return []


def _annotated(item: ItemAssembly, event: JsonObject) -> list[Event]:
    return item.annotated(_number(event, "content_index"), _object(event.get("annotation")))


def _thought(item: ItemAssembly, event: JsonObject, index: str, form: str) -> list[Event]:
    delta = _text(event)
    return item.thought(_number(event, index), delta, form) if delta else []


def _argued(item: ItemAssembly, event: JsonObject) -> list[Event]:
    delta = _text(event)
    return item.argued(delta) if delta else []


def _nothing(item: ItemAssembly, event: JsonObject) -> list[Event]:
    return []


# The events of one item. The `.done` events repeat what the deltas brought and what the item's own `done` brings
# again, so they are not listed.
_ITEM_EVENTS: dict[str, Callable[[ItemAssembly, JsonObject], list[Event]]] = {
    "response.output_item.added": _nothing,
    "response.output_item.done": _nothing,
    "response.content_part.added": _announced,
    _TEXT_DELTA: lambda item, event: _spoken(item, event, "output_text"),
    "response.refusal.delta": lambda item, event: _spoken(item, event, "refusal"),
    "response.output_text.annotation.added": _annotated,
    "response.reasoning_summary_text.delta": lambda item, event: _thought(
        item, event, "summary_index", "summary"
    ),
    "response.reasoning_text.delta": lambda item, event: _thought(item, event, "content_index", "raw"),
    "response.function_call_arguments.delta": _argued,
    "response.custom_tool_call_input.delta": _argued,
}

