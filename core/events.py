"""The neutral stream: what every stream decoder gives and every stream encoder takes.

A stream is `Started`, then parts one after another, then `Finished` or `Failed`. Parts never overlap: each is
PartStarted, any number of PartDelta, PartEnded, and their indices count 0, 1, 2, ... A format whose parts
interleave on the wire (parallel tool calls of Chat Completions) has its decoder hold the later ones back.
No part is started before it has something to say, and no delta is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from core.conversation import (
    Answer,
    Block,
    FormatName,
    JsonObject,
    Reasoning,
    Refusal,
    Stop,
    Text,
    ToolCall,
)
from core.errors import UpstreamFault
from core.slotted import field, replace, slotted
from core.usage import Usage

type DeltaKind = Literal["text", "reasoning", "signature", "arguments", "citation", "refusal"]


@slotted
class Started:
    """The answer begins. `usage` is what the backend said this early, often nothing."""

    id: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    created: int | None = None
    format: FormatName | None = None
    extra: JsonObject = field(default_factory=dict)


@slotted
class PartStarted:
    """A block opens. `block` is its skeleton (an empty Text, a ToolCall with id and name), or whole where
    the block comes in one piece (redacted reasoning, server tools, Opaque): then no delta follows."""

    index: int
    block: Block


@slotted
class PartDelta:
    """More of the open block. `value` is a str, never empty; a Citation for kind `citation`.

    kind `reasoning`: `piece` counts the Reasoning.texts entry that it belongs to.
    """

    index: int
    kind: DeltaKind
    value: Any
    piece: int = 0


@slotted
class PartEnded:
    """A block closes. `block` is the whole of it as the decoder knows it."""

    index: int
    block: Block


@slotted
class Finished:
    """The answer is complete. `usage` is the final count, cumulative."""

    stop: Stop
    usage: Usage
    service_tier: str | None = None
    extra: JsonObject = field(default_factory=dict)


@slotted
class Failed:
    """The backend reported an error in the stream, or the stream ended without its proper end."""

    error: UpstreamFault


@slotted
class Ping:
    """The backend's keep-alive."""


type Event = Started | PartStarted | PartDelta | PartEnded | Finished | Failed | Ping


def empty_copy(block: Block) -> Block:
    """The skeleton of `block` for PartStarted: what its deltas will fill is empty. A text's signature that is known by
    then is told at once."""
    match block:
        case Text():
            return replace(block, text="", citations=[])
        case Reasoning() if block.redacted is None:
            return replace(block, texts=[], signature=None, encrypted=None)
        case ToolCall():
            return replace(block, arguments="")
        case Refusal():
            return replace(block, text="")
        case _:
            return block


def deltas_of(index: int, block: Block) -> Iterator[PartDelta]:
    """The deltas that fill `empty_copy(block)` up to `block` again."""
    match block:
        case Text():
            yield from _text_deltas(index, block)
        case Reasoning() if block.redacted is None:
            yield from _reasoning_deltas(index, block)
        case ToolCall() if block.arguments:
            yield PartDelta(index, "arguments", block.arguments)
        case Refusal() if block.text:
            yield PartDelta(index, "refusal", block.text)
        case _:
            pass


def _text_deltas(index: int, block: Text) -> Iterator[PartDelta]:
    if block.text:
        yield PartDelta(index, "text", block.text)
    for citation in block.citations:
        yield PartDelta(index, "citation", citation)
    if block.signature:
        yield PartDelta(index, "signature", block.signature)


def _reasoning_deltas(index: int, block: Reasoning) -> Iterator[PartDelta]:
    for piece, text in enumerate(block.texts):
        if text:
            yield PartDelta(index, "reasoning", text, piece)
    if block.signature:
        yield PartDelta(index, "signature", block.signature)


def events_of(answer: Answer) -> Iterator[Event]:
    """A whole answer as a stream, for a client that streams from a backend that does not."""
    yield Started(answer.id, answer.model, Usage(), answer.created, answer.format, answer.extra)
    for index, block in enumerate(answer.content):
        yield PartStarted(index, empty_copy(block))
        yield from deltas_of(index, block)
        yield PartEnded(index, block)
    yield Finished(answer.stop, answer.usage, answer.service_tier)


def apply_delta(block: Block, delta: PartDelta) -> None:
    """Grows `block` in place by `delta`. A kind that the block cannot take is a decoder's bug: ValueError."""
    kind, value = delta.kind, delta.value
    if isinstance(block, Text | Refusal) and kind == ("text" if isinstance(block, Text) else "refusal"):
        block.text += value
    elif isinstance(block, ToolCall) and kind == "arguments":
        block.arguments += value
    elif isinstance(block, Reasoning) and kind == "reasoning":
        while len(block.texts) <= delta.piece:
            block.texts.append("")
        block.texts[delta.piece] += value
    elif isinstance(block, Text | Reasoning | ToolCall) and kind == "signature":
        block.signature = value
    elif isinstance(block, Text) and kind == "citation":
        block.citations.append(value)
    else:
        raise ValueError(f"a {type(block).__name__} takes no {kind} delta")


def answer_of(events: Iterable[Event]) -> Answer:
    """A whole stream as an answer, for a client that does not stream from a backend that does.

    Raises the error of a `Failed` event.
    """
    answer = Answer(id="", model="")
    for event in events:
        if isinstance(event, PartEnded):
            answer.content.append(event.block)
        elif isinstance(event, Started):
            answer = Answer(
                event.id, event.model, usage=event.usage, created=event.created, format=event.format, extra=event.extra
            )
        elif isinstance(event, Finished):
            answer.stop = event.stop
            answer.usage.merge(event.usage)
            answer.service_tier = event.service_tier
            answer.extra = {**answer.extra, **event.extra}
        elif isinstance(event, Failed):
            raise event.error
    return answer
