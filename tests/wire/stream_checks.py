"""Checks that hold for the stream decoder of every format, on server-sent events and AWS event streams alike.

`make_decoder` is a function without arguments that gives a new decoder each time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

from core.conversation import Block, Reasoning, Refusal, Text, ToolCall
from core.errors import UpstreamFault
from core.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Ping,
    Started,
    apply_delta,
)
from core.formats.contract import StreamDecoder

type MakeDecoder = Callable[[], StreamDecoder]

# Above this, feeding byte by byte costs more than it finds: random cuts stand in for it.
_BYTE_BY_BYTE_LIMIT = 12_000


def decode(decoder: StreamDecoder, pieces: Iterable[bytes]) -> list[Event]:
    """Everything that `decoder` gives for `pieces`, its close included."""
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.close()


def assert_same_at_every_cut(
    make_decoder: MakeDecoder, data: bytes, expected_events: Sequence[Event] | None = None
) -> None:
    """`data` whole, byte by byte, at random cuts and (as text) with CRLF line ends gives `expected_events`.

    Without `expected_events`, the whole data's events are what the others must be. Neighbouring deltas of one
    part are compared joined: a decoder may give more of them when less arrives at a time.
    """
    whole = joined(decode(make_decoder(), [data]))
    expected = whole if expected_events is None else joined(expected_events)
    assert whole == expected, "whole"
    for name, pieces in _splits(data):
        assert joined(decode(make_decoder(), pieces)) == expected, name


def assert_well_formed(events: Sequence[Event]) -> None:
    """The order that core.events promises: Started, whole parts one after another, one Finished or Failed."""
    kinds = [event for event in events if not isinstance(event, Ping)]
    assert isinstance(kinds[-1], Finished | Failed)
    if isinstance(kinds[-1], Finished):
        assert isinstance(kinds[0], Started)
    assert not any(isinstance(event, Started) for event in kinds[1:])
    assert not any(isinstance(event, Finished | Failed) for event in kinds[:-1])
    _assert_parts(kinds)


def assert_truncations_fail(make_decoder: MakeDecoder, data: bytes, complete_from: bytes = b"") -> None:
    """Every truncation of `data` ends in Failed and never in Finished.

    `complete_from`: a marker that, once it is whole in the data, makes the rest dispensable.
    """
    for piece in truncations(data):
        events = decode(make_decoder(), [piece])
        assert_well_formed(events)
        if complete_from and complete_from in piece:
            continue
        assert isinstance(events[-1], Failed), piece[-120:]


def truncations(data: bytes) -> list[bytes]:
    """`data` cut after each of its frames but the last, and in the middle of each frame."""
    ends = _binary_ends(data) if data[:1] == b"\0" else _text_ends(data)
    starts = [0, *ends]
    middles = [(start + end) // 2 for start, end in zip(starts, ends, strict=False)]
    cuts = sorted({cut for cut in (*starts, *middles) if cut < len(data.rstrip(b"\r\n"))})
    return [data[:cut] for cut in cuts]


def joined(events: Iterable[Event]) -> list[Event]:
    """`events` with neighbouring text-like deltas of one part joined into one, and without pings."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Ping):
            continue
        if (
            isinstance(event, PartDelta)
            and isinstance(last, PartDelta)
            and (event.index, event.kind, event.piece) == (last.index, last.kind, last.piece)
            and event.kind in ("text", "reasoning", "arguments", "refusal")
        ):
            result[-1] = PartDelta(last.index, last.kind, last.value + event.value, last.piece)
            continue
        result.append(comparable(event))
    return result


def comparable(event: Event) -> Event:
    """`event` in a form that `==` compares by value: exceptions compare by identity otherwise."""
    if isinstance(event, Failed):
        return Failed(_ErrorByValue(event.error.kind, event.error.message, status=event.error.status))
    return event


class _ErrorByValue(UpstreamFault):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, UpstreamFault) and (self.kind, self.message, self.status) == (
            other.kind,
            other.message,
            other.status,
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.message, self.status))


def _splits(data: bytes) -> list[tuple[str, list[bytes]]]:
    splits = [(f"random cuts {seed}", _random_pieces(data, seed)) for seed in range(3)]
    if len(data) <= _BYTE_BY_BYTE_LIMIT:
        splits.append(("byte by byte", [data[place : place + 1] for place in range(len(data))]))
    if data[:1] != b"\0" and b"\r" not in data:
        returns = data.replace(b"\n", b"\r\n")
        splits.append(("CRLF", [returns]))
        splits.append(("CRLF, random cuts", _random_pieces(returns, 3)))
        if len(data) <= _BYTE_BY_BYTE_LIMIT:
            single = [returns[place : place + 1] for place in range(len(returns))]
            splits.append(("CRLF, byte by byte", single))
    return splits


def _random_pieces(data: bytes, seed: int) -> list[bytes]:
    chooser = random.Random(seed)
    cuts = sorted(chooser.randrange(len(data) + 1) for _ in range(min(60, len(data))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _assert_parts(events: Sequence[Event]) -> None:
    expected_index = 0
    open_part: PartStarted | None = None
    for event in events:
        match event:
            case PartStarted():
                assert open_part is None, "a part starts while another is open"
                assert event.index == expected_index
                open_part = PartStarted(event.index, deepcopy(event.block))
                expected_index += 1
            case PartDelta():
                assert open_part is not None and event.index == open_part.index, "a delta outside its part"
                assert event.value != "", "an empty delta"
                apply_delta(open_part.block, event)
            case PartEnded():
                assert open_part is not None and event.index == open_part.index, "an end outside its part"
                assert event.block == _settled(open_part.block, event.block), (
                    "the deltas do not add up to the whole block"
                )
                open_part = None
            case Finished():
                assert open_part is None, "the stream finishes while a part is open"
            case _:
                pass


def _settled(grown: Block, whole: Block) -> Block:
    """`grown` with what no delta carries: encrypted reasoning, its id, whose a late signature is, and `extra` are
    known for certain at the end only."""
    if isinstance(grown, Reasoning) and isinstance(whole, Reasoning):
        grown.encrypted = whole.encrypted
        grown.id = whole.id
    if isinstance(grown, Text | ToolCall) and type(grown) is type(whole) and grown.signature:
        grown.origin = whole.origin  # type: ignore[union-attr]
    if isinstance(grown, Text | Reasoning | ToolCall | Refusal) and type(grown) is type(whole):
        grown.extra = whole.extra  # type: ignore[union-attr]
    if isinstance(grown, Text | ToolCall | Refusal) and type(grown) is type(whole):
        grown.note = whole.note  # type: ignore[union-attr]
    return grown


def _text_ends(data: bytes) -> list[int]:
    ends = []
    place = data.find(b"\n\n")
    while place >= 0:
        ends.append(place + 2)
        place = data.find(b"\n\n", place + 2)
    return ends


def _binary_ends(data: bytes) -> list[int]:
    ends = []
    place = 0
    while place + 4 <= len(data):
        place += int.from_bytes(data[place : place + 4])
        ends.append(place)
    return ends
