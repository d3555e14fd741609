"""Events, written as a Converse event stream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from core.conversation import (
    Block,
    Image,
    JsonObject,
    Opaque,
    Reasoning,
    ServerToolCall,
    ServerToolResult,
    Text,
    ToolCall,
)
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Ping, Started
from core.formats import envelope
from core.formats.carriers import carrier_of
from core.formats.contract import Reply
from core.formats.converse.response import AnswerBlocks, stop_fields
from core.formats.converse.usage import write_stop, write_usage
from core.formats.converse.wire import PING, error_event
from core.formats.converse.write_blocks import redacted_content, write_citation
from core.framing.eventstream import encode_frame, encode_headers

_FIELDS = "additionalModelResponseFields"
_quoted = json.encoder.encode_basestring_ascii


def _block_of(event_type: str) -> bytes:
    return encode_headers({":event-type": event_type, ":content-type": "application/json", ":message-type": "event"})


_HEADERS = {
    name: _block_of(name)
    for name in (
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    )
}
_DELTA_HEADERS = _HEADERS["contentBlockDelta"]

# The JSON around a delta's text, by the delta's kind.
_AROUND = {
    "text": ('{"text":', "}"),
    "refusal": ('{"text":', "}"),
    "reasoning": ('{"reasoningContent":{"text":', "}}"),
    "arguments": ('{"toolUse":{"input":', "}}"),
}


def _frame(event_type: str, payload: JsonObject) -> bytes:
    return encode_frame(_HEADERS[event_type], json.dumps(payload, separators=(",", ":")).encode())


class StreamEncoder:
    """Events to a client's bytes; see core.formats.contract.StreamEncoder.

    Blocks that only another format knows are left out, so this format's indices count on their own. A text or
    reasoning block has no start event; one that stays empty is no block at all.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._blocks = AnswerBlocks(reply, own=False)
        self._index = 0
        self._open = False
        self._piece = 0

    def emit(self, event: Event) -> bytes:
        """The frames of `event`, b"" when it needs none."""
        # Deltas are nearly all of a stream.
        if type(event) is PartDelta:
            return self._delta(event)
        writer = _WRITERS.get(type(event))
        return b"" if writer is None else writer(self, event)

    def close(self) -> bytes:
        """The stream has nothing after its last event."""
        return b""

    def _started(self, event: Started) -> bytes:
        self._blocks.own = event.format == "converse"
        return _frame("messageStart", {"role": "assistant"})

    def _part_started(self, event: PartStarted) -> bytes:
        self._piece = 0
        block = event.block
        if not isinstance(block, ToolCall):
            return b""
        carrier = carrier_of(block)
        before = b"" if carrier is None else self._signature_block(envelope.seal(carrier))
        self._open = True
        kind = block.extra if self._blocks.own else {}
        start = {"toolUse": {"toolUseId": block.id, "name": block.name, **kind}}
        return before + self._start_block(start)

    def _delta(self, event: PartDelta) -> bytes:
        around = _AROUND.get(event.kind)
        if around is None:
            if event.kind != "citation":
                return b""  # a signature goes out with the end of its block, when all of it is known
            self._open = True
            return self._content({"citation": write_citation(event.value, own=self._blocks.own)})
        self._open = True
        value = event.value
        if event.piece != self._piece:
            self._piece = event.piece
            value = f"\n\n{value}"
        payload = f'{{"contentBlockIndex":{self._index},"delta":{around[0]}{_quoted(value)}{around[1]}}}'
        return encode_frame(_DELTA_HEADERS, payload.encode())

    def _part_ended(self, event: PartEnded) -> bytes:
        block = event.block
        match block:
            case Reasoning():
                return self._end_reasoning(block)
            case Text() if block.signature:
                carrier = carrier_of(block)
                assert carrier is not None
                return self._end_block() + self._signature_block(envelope.seal(carrier))
            case Image() | ServerToolCall() | ServerToolResult() | Opaque():
                return self._whole(block)
            case _:
                return self._end_block()

    def _end_reasoning(self, block: Reasoning) -> bytes:
        (raw,) = list(self._blocks.write(block)) or [{}]
        content = raw.get("reasoningContent", {})
        if "redactedContent" in content:
            self._open = True
            return self._content({"reasoningContent": {"redactedContent": redacted_content(block)}}) + (
                self._end_block()
            )
        signature = content.get("reasoningText", {}).get("signature")
        if not signature:
            return self._end_block()
        if not self._open:
            return self._signature_block(signature)
        return self._content({"reasoningContent": {"signature": signature}}) + self._end_block()

    def _signature_block(self, signature: str) -> bytes:
        """A reasoning block that holds a signature alone. Its text is said to be empty: boto3 sends no block back
        whose text was never mentioned."""
        self._open = True
        text = self._content({"reasoningContent": {"text": ""}})
        return text + self._content({"reasoningContent": {"signature": signature}}) + self._end_block()

    def _whole(self, block: Block) -> bytes:
        """A block that came in one piece: start, one delta and stop."""
        written = list(self._blocks.write(block))
        if not written:
            return b""
        ((kind, content),) = written[0].items()
        parts = _WHOLE.get(kind)
        if parts is None:
            return b""
        self._open = True
        start, delta = parts(content)
        return self._start_block({kind: start}) + self._content({kind: delta}) + self._end_block()

    def _start_block(self, start: JsonObject) -> bytes:
        return _frame("contentBlockStart", {"contentBlockIndex": self._index, "start": start})

    def _content(self, delta: JsonObject) -> bytes:
        return _frame("contentBlockDelta", {"contentBlockIndex": self._index, "delta": delta})

    def _end_block(self) -> bytes:
        if not self._open:
            return b""
        self._open = False
        self._index += 1
        return _frame("contentBlockStop", {"contentBlockIndex": self._index - 1})

    def _finished(self, event: Finished) -> bytes:
        own = self._blocks.own
        stop: JsonObject = {"stopReason": write_stop(event.stop, same_format=own)}
        fields = event.extra.get(_FIELDS) if own else stop_fields(event.stop, self._reply)
        if fields:
            stop[_FIELDS] = fields
        # How long it took is not known here; the SDKs want a number.
        metadata: JsonObject = {
            "usage": write_usage(event.usage, same_format=own),
            "metrics": {"latencyMs": 0},
        }
        if own:
            metadata.update({name: value for name, value in event.extra.items() if name != _FIELDS})
            if event.service_tier is not None:
                metadata["serviceTier"] = {"type": event.service_tier}
        return _frame("messageStop", stop) + _frame("metadata", metadata)

    def _failed(self, event: Failed) -> bytes:
        return error_event(event.error, self._reply.request_id)

    def _ping(self, _event: Ping) -> bytes:
        return PING


_WRITERS: dict[type, Callable[[StreamEncoder, Any], bytes]] = {
    Started: StreamEncoder._started,
    PartStarted: StreamEncoder._part_started,
    PartEnded: StreamEncoder._part_ended,
    Finished: StreamEncoder._finished,
    Failed: StreamEncoder._failed,
    Ping: StreamEncoder._ping,
}


def _whole_call(content: JsonObject) -> tuple[JsonObject, Any]:
    start = {name: value for name, value in content.items() if name != "input"}
    return start, {"input": json.dumps(content.get("input", {}), separators=(",", ":"))}


def _whole_result(content: JsonObject) -> tuple[JsonObject, Any]:
    return {name: value for name, value in content.items() if name != "content"}, content.get("content", [])


def _whole_image(content: JsonObject) -> tuple[JsonObject, Any]:
    return {"format": content.get("format")}, {name: value for name, value in content.items() if name != "format"}


# How a whole block divides into its start and its one delta.
_WHOLE: dict[str, Callable[[JsonObject], tuple[JsonObject, Any]]] = {
    "toolUse": _whole_call,
    "toolResult": _whole_result,
    "image": _whole_image,
}
