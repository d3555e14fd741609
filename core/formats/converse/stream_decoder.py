"""A Converse event stream, read.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
Text and reasoning have no start event, and the usage follows the stop: so parts open with their first delta, and
`messageStop` is held until `metadata` has come.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from core.conversation import (
    Block,
    Citation,
    Image,
    JsonObject,
    Opaque,
    Origin,
    Reasoning,
    ServerToolCall,
    ServerToolResult,
    Source,
    Stop,
    Text,
    ToolCall,
)
from core.errors import UpstreamFault, upstream_fault
from core.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Ping,
    Started,
    empty_copy,
)
from core.formats.contract import Target
from core.formats.converse.media import IMAGE_TYPES
from core.formats.converse.members import Invalid, json_text
from core.formats.converse.read_blocks import CLIENT_CALL, BlockReader, read_citation
from core.formats.converse.response import broken_answer, read_tier
from core.formats.converse.usage import read_stop, read_usage
from core.formats.converse.wire import frame_error, is_error
from core.framing.eventstream import CorruptFrame, Decoder, Frame
from core.json_edit import load
from core.usage import Usage

_FIELDS = "additionalModelResponseFields"
_FINAL_EXTRAS = ("metrics", "trace", "performanceConfig")


class _Part:
    """The open part. `number` is its index on the wire; `pieces` what its deltas brought so far.

    A part that is `whole` gives no deltas: its block is known with its end only.
    """

    __slots__ = ("block", "index", "number", "pieces", "signature", "whole")

    def __init__(self, index: int, number: int, block: Block, *, whole: bool = False) -> None:
        self.index = index
        self.number = number
        self.block = block
        self.whole = whole
        self.pieces: list[Any] = []
        self.signature: list[str] = []


class StreamDecoder:
    """A backend's bytes to events; see core.formats.contract.StreamDecoder."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._reader = BlockReader(Origin(target.facts.vendor))
        self._frames = Decoder()
        self._events: list[Event] = []
        self._part: _Part | None = None
        self._parts = 0
        self._started = False
        self._called = False
        self._done = False
        self._stop: Stop | None = None
        self._stop_fields: JsonObject = {}

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        if self._done:
            return []
        try:
            for frame in self._frames.feed(data):
                self._read(frame)
        except CorruptFrame as fault:
            self._fail(_broken(str(fault)))
        if self._frames.fault is not None:
            self._fail(_broken(str(self._frames.fault)))
        events, self._events = self._events, []
        return events

    def close(self) -> list[Event]:
        """What the end of the body means: an answer whose stop was seen is complete, any other was cut."""
        if not self._done:
            if self._stop is not None:
                self._finish(Usage(), {})
            else:
                self._fail(_broken("the stream ended before the answer did"))
        events, self._events = self._events, []
        return events

    def _read(self, frame: Frame) -> None:
        if self._done:
            return
        reader = _READERS.get(frame.headers.get(":event-type", ""))
        if reader is not None:
            try:
                event = load(frame.payload)
                reader(self, event)
            except (ValueError, RecursionError, KeyError, TypeError, AttributeError, Invalid):
                self._fail(_broken("an event of the stream cannot be read"))
        elif is_error(frame):
            self._fail(frame_error(frame))

    def _start(self, _event: JsonObject) -> None:
        if not self._started:
            self._started = True
            self._events.append(Started(model=self._target.model, format="converse"))

    def _block_start(self, event: JsonObject) -> None:
        self._end_part()
        for kind, start in event["start"].items():  # none for a text, from servers that announce every block
            reader = _STARTS.get(kind)
            if reader is not None:
                reader(self, event["contentBlockIndex"], start)

    def _tool_use_start(self, number: int, start: JsonObject) -> None:
        call_id, name = _text(start, "toolUseId"), _text(start, "name")
        if start.get("type") not in (None, CLIENT_CALL):
            call = ServerToolCall(call_id, name, "", "converse", {"toolUse": dict(start)})
            self._part = _Part(self._next(), number, call, whole=True)
            return
        self._called = True
        self._open(number, ToolCall(call_id, name, extra={"type": CLIENT_CALL} if "type" in start else {}))

    def _tool_result_start(self, number: int, start: JsonObject) -> None:
        kind = start.get("type")
        tool = kind.removesuffix("_result") if isinstance(kind, str) else ""
        raw = {"toolResult": dict(start)}
        block = ServerToolResult(_text(start, "toolUseId"), tool, "", "converse", raw)
        self._part = _Part(self._next(), number, block, whole=True)

    def _image_start(self, number: int, start: JsonObject) -> None:
        name = _text(start, "format")
        image = Image(Source("base64", "", IMAGE_TYPES.get(name, f"image/{name}")))
        self._part = _Part(self._next(), number, image, whole=True)

    def _block_delta(self, event: JsonObject) -> None:
        number, delta = event["contentBlockIndex"], event["delta"]
        part = self._part
        # Most of a stream is text, so it has the shortest way.
        text = delta.get("text")
        if text is not None:
            if text:
                if part is None or part.number != number or type(part.block) is not Text:
                    part = self._open(number, Text(""))
                part.pieces.append(text)
                self._events.append(PartDelta(part.index, "text", _checked(text)))
            return
        for kind, value in delta.items():
            reader = _DELTAS.get(kind)
            if reader is not None:
                reader(self, number, value)

    def _tool_use_delta(self, number: int, value: JsonObject) -> None:
        part = self._part
        arguments = _text(value, "input")
        if part is None or part.number != number or not isinstance(part.block, ToolCall | ServerToolCall):
            raise ValueError("arguments of a call that has not begun")
        if not arguments:
            return
        part.pieces.append(arguments)
        if not part.whole:
            self._events.append(PartDelta(part.index, "arguments", arguments))

    def _reasoning_delta(self, number: int, value: JsonObject) -> None:
        for kind, content in value.items():
            if kind == "text" and content:
                part = self._reasoning_part(number)
                part.pieces.append(_checked(content))
                self._events.append(PartDelta(part.index, "reasoning", content))
            elif kind == "signature" and content:
                # It may come in pieces, and one delta must bring the whole of it.
                self._reasoning_part(number).signature.append(_checked(content))
            elif kind == "redactedContent" and content:
                self._redacted_part(number).pieces.append(base64.b64decode(content, validate=True))

    def _reasoning_part(self, number: int) -> _Part:
        part = self._part
        if part is None or part.number != number or not isinstance(part.block, Reasoning) or part.whole:
            part = self._open(number, Reasoning(origin=Origin(self._target.facts.vendor)))
        return part

    def _redacted_part(self, number: int) -> _Part:
        part = self._part
        if part is None or part.number != number or not isinstance(part.block, Reasoning) or not part.whole:
            self._end_part()
            part = self._part = _Part(self._next(), number, Reasoning(), whole=True)
        return part

    def _citation_delta(self, number: int, value: JsonObject) -> None:
        part = self._part
        if part is None or part.number != number or not isinstance(part.block, Text):
            part = self._open(number, Text(""))
        citation = read_citation(value)
        part.pieces.append(citation)
        self._events.append(PartDelta(part.index, "citation", citation))

    def _tool_result_delta(self, number: int, value: list[JsonObject]) -> None:
        part = self._part
        if part is None or part.number != number or not isinstance(part.block, ServerToolResult):
            raise ValueError("content of a result that has not begun")
        part.pieces.extend(value)

    def _image_delta(self, number: int, value: JsonObject) -> None:
        part = self._part
        if part is None or part.number != number or not isinstance(part.block, Image):
            raise ValueError("content of an image that has not begun")
        source = value.get("source")
        if source is None:
            part.block.extra.update(value)
        else:
            part.pieces.append(_text(source, "bytes"))

    def _block_stop(self, _event: JsonObject) -> None:
        self._end_part()

    def _message_stop(self, event: JsonObject) -> None:
        self._start(event)
        self._end_part()
        fields = event.get(_FIELDS)
        self._stop = read_stop(event.get("stopReason"), fields, called=self._called)
        if fields is not None:
            self._stop_fields = {_FIELDS: fields}

    def _metadata(self, event: JsonObject) -> None:
        if self._stop is not None:
            self._finish(read_usage(event.get("usage")), event)

    def _ping(self, _event: JsonObject) -> None:
        self._events.append(Ping())

    def _finish(self, usage: Usage, metadata: JsonObject) -> None:
        assert self._stop is not None
        if self._stop.reason == "error":
            self._fail(broken_answer(self._stop))
            return
        extra = {**self._stop_fields, **{name: metadata[name] for name in _FINAL_EXTRAS if name in metadata}}
        tier = read_tier(metadata.get("serviceTier"))
        self._events.append(Finished(self._stop, usage, tier, extra))
        self._done = True

    def _fail(self, fault: UpstreamFault) -> None:
        if not self._done:
            self._done = True
            self._events.append(Failed(fault))

    def _next(self) -> int:
        """The index of the part that opens now."""
        self._start({})
        self._parts += 1
        return self._parts - 1

    def _open(self, number: int, block: Block) -> _Part:
        self._end_part()
        part = self._part = _Part(self._next(), number, block)
        self._events.append(PartStarted(part.index, empty_copy(block)))
        return part

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        block = _FILLERS[type(part.block)](self._reader, part)
        if part.whole:
            self._events.append(PartStarted(part.index, block))
        elif part.signature:
            self._events.append(PartDelta(part.index, "signature", "".join(part.signature)))
        self._events.append(PartEnded(part.index, block))


_READERS: dict[str, Callable[[StreamDecoder, JsonObject], None]] = {
    "messageStart": StreamDecoder._start,
    "contentBlockStart": StreamDecoder._block_start,
    "contentBlockDelta": StreamDecoder._block_delta,
    "contentBlockStop": StreamDecoder._block_stop,
    "messageStop": StreamDecoder._message_stop,
    "metadata": StreamDecoder._metadata,
    "ping": StreamDecoder._ping,
}
_STARTS: dict[str, Callable[[StreamDecoder, int, JsonObject], None]] = {
    "toolUse": StreamDecoder._tool_use_start,
    "toolResult": StreamDecoder._tool_result_start,
    "image": StreamDecoder._image_start,
}
_DELTAS: dict[str, Callable[[StreamDecoder, int, Any], None]] = {
    "toolUse": StreamDecoder._tool_use_delta,
    "reasoningContent": StreamDecoder._reasoning_delta,
    "citation": StreamDecoder._citation_delta,
    "toolResult": StreamDecoder._tool_result_delta,
    "image": StreamDecoder._image_delta,
}


def _fill_text(_reader: BlockReader, part: _Part) -> Block:
    citations = [piece for piece in part.pieces if isinstance(piece, Citation)]
    return Text("".join(piece for piece in part.pieces if isinstance(piece, str)), citations=citations)


def _fill_reasoning(reader: BlockReader, part: _Part) -> Block:
    if part.whole:
        return reader.redacted(base64.b64encode(b"".join(part.pieces)).decode())
    assert isinstance(part.block, Reasoning)
    texts = ["".join(part.pieces)] if part.pieces else []
    return Reasoning(texts, signature="".join(part.signature) or None, origin=part.block.origin)


def _fill_call(_reader: BlockReader, part: _Part) -> Block:
    assert isinstance(part.block, ToolCall)
    return ToolCall(part.block.id, part.block.name, "".join(part.pieces), extra=part.block.extra)


def _fill_server_call(_reader: BlockReader, part: _Part) -> Block:
    block = part.block
    assert isinstance(block, ServerToolCall)
    block.arguments = "".join(part.pieces) or "{}"
    try:
        block.raw["toolUse"]["input"] = json.loads(block.arguments)
    except (ValueError, RecursionError):
        block.raw["toolUse"]["input"] = block.arguments
    return block


def _fill_server_result(_reader: BlockReader, part: _Part) -> Block:
    block = part.block
    assert isinstance(block, ServerToolResult)
    block.raw["toolResult"]["content"] = part.pieces
    block.text = "\n".join(_digest(piece) for piece in part.pieces)
    return block


def _digest(piece: Any) -> str:
    if isinstance(piece, dict) and isinstance(piece.get("text"), str):
        return str(piece["text"])
    return json_text(piece.get("json") if isinstance(piece, dict) else piece, "toolResult")


def _fill_image(_reader: BlockReader, part: _Part) -> Block:
    block = part.block
    assert isinstance(block, Image)
    if not part.pieces:
        return Opaque("converse", "image", {"image": dict(block.extra)})
    block.source.data = "".join(part.pieces)
    return block


_FILLERS: dict[type, Callable[[BlockReader, _Part], Block]] = {
    Text: _fill_text,
    Reasoning: _fill_reasoning,
    ToolCall: _fill_call,
    ServerToolCall: _fill_server_call,
    ServerToolResult: _fill_server_result,
    Image: _fill_image,
}


def _text(value: JsonObject, name: str) -> str:
    return _checked(value[name])


def _checked(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is no string")
    return value


def _broken(message: str) -> UpstreamFault:
    return upstream_fault("upstream", f"the backend's stream is broken: {message}", 502)
