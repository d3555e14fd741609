"""Events encoded as a Messages stream. https://docs.anthropic.com/en/api/messages-streaming

Each client event is `event: NAME` and one line of JSON. What stays the same over the deltas of a block is dumped
once, when the block opens; a delta then costs its own text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any

from core.conversation import Block, FormatName, JsonObject, Reasoning, Refusal, Text, ToolCall
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Started
from core.formats.carriers import carrier_of
from core.formats.contract import Reply
from core.formats.messages.answer_blocks import (
    is_redacted,
    signature_of,
    write_block,
    write_citation,
)
from core.formats.messages.response import answer_usage, early_usage, message_id, write_stop
from core.formats.messages.tool_input import dump_input, read_input
from core.formats.messages.wire import PING, error_event
from core.json_edit import split_half
from core.usage import Usage

_DELTA_END = "}}\n\n"
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

# Which member of which delta each kind of piece becomes.
_DELTAS = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
    "arguments": ("input_json_delta", "partial_json"),
    "signature": ("signature_delta", "signature"),
}


class StreamEncoder:
    """See core.formats.contract.StreamEncoder. Indices are counted here: parts that a Messages client has no
    use for leave no gap."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._origin: FormatName | None = None
        self._started = False
        self._index = -1
        self._open = False
        self._piece = 0
        self._heads: dict[str, str] = {}
        self._content: list[Block] = []
        # A text that begins with its signature, until its first piece; whether the open text's signature stands before
        # it; one that came with a text's end, until a block follows: agents take the last block for the answer.
        self._unopened: Text | None = None
        self._told = False
        self._waiting: Reasoning | None = None
        self._unfit = False  # whether the open call's arguments are no object
        self._half = ""  # of a surrogate pair, at the end of a delta of this kind
        self._half_kind = ""

    def emit(self, event: Event) -> bytes:
        """The bytes for `event`, b"" for one that says nothing to a Messages client."""
        emitter = _EMITTERS.get(type(event))
        if emitter is not None:
            text = emitter(self, event)
            try:
                return text.encode()
            except UnicodeEncodeError:
                return self._joined(text, event)
        return error_event(event.error, self._reply.request_id) if isinstance(event, Failed) else PING

    def _joined(self, text: str, event: Event) -> bytes:
        """`text` with half of a surrogate pair in it, as some backends cut an emoji. Anthropic's SDK fails on a half: a
        first one at a delta's end waits for the next delta. Any other is told by its JSON escape."""
        if isinstance(event, PartDelta) and isinstance(event.value, str):
            told = encode_basestring(event.value) + _DELTA_END
            value, self._half = split_half(self._half + event.value)
            self._half_kind = event.kind
            text = text.removesuffix(told) + encode_basestring(value) + _DELTA_END
        return "".join(map(_escaped, text)).encode()

    def close(self) -> bytes:
        """Nothing: message_stop is the last event."""
        return b""

    def _start(self, event: Started) -> str:
        if self._started:
            return ""
        self._started = True
        self._origin = event.format
        own = event.format == "messages"
        message = {
            "id": message_id(event.id, self._reply),
            "type": "message",
            "role": "assistant",
            "model": self._reply.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": early_usage(event.usage, event.format),
            **(event.extra if own else {}),
        }
        return _event("message_start", {"type": "message_start", "message": message})

    def _ensure_started(self) -> str:
        return "" if self._started else self._start(Started(usage=Usage()))

    def _part_started(self, event: PartStarted) -> str:
        block = event.block
        shape = _START_SHAPES.get(type(block))
        if shape is None or is_redacted(block):
            return self._ensure_started() + self._whole(block)
        start = shape(block)
        if self._origin == "messages":
            start.update(block.extra)  # type: ignore[union-attr]
        opened = self._ensure_started()
        if isinstance(block, Text) and block.signature:
            self._unopened = block
            return opened  # opens with its first piece: there may be none
        if isinstance(block, ToolCall) and block.signature:
            opened += self._carried(carrier_of(block))
        opened += self._open_block(start)
        if isinstance(block, Reasoning) and block.texts:
            # Another vendor's encrypted block came whole, with a readable text beside it.
            opened += self._head("reasoning") + encode_basestring(block.text) + _DELTA_END
        return opened

    def _whole(self, block: Block) -> str:
        """A block that comes in one piece. What would grow from the model is told as if it did: clients take
        the text and the input from deltas only."""
        written = write_block(block)
        if written is None:
            return ""
        if written["type"] == "compaction":
            return self._compaction(written)
        for member, empty, kind in _GROWING_MEMBERS:
            value = written.get(member)
            if value and written["type"] in _GROWING_TYPES:
                start = self._open_block({**written, member: empty})
                text = value if isinstance(value, str) else dump_input(value)
                return start + self._head(kind) + encode_basestring(text) + _DELTA_END
        return self._open_block(written)

    def _compaction(self, written: JsonObject) -> str:
        delta = {**written, "type": "compaction_delta"}
        event = {"type": "content_block_delta", "index": self._index + 1, "delta": delta}
        opened = self._open_block({"type": "compaction", "content": None})
        return opened + _event("content_block_delta", event)

    def _open_block(self, start: JsonObject) -> str:
        carrier, self._waiting = self._waiting, None
        before = "" if carrier is None else self._carried(carrier)
        self._index += 1
        self._open = True
        self._piece = 0
        self._heads = {}
        event = {"type": "content_block_start", "index": self._index, "content_block": start}
        return before + _event("content_block_start", event)

    def _part_delta(self, event: PartDelta) -> str:
        kind = event.kind
        if not self._open or kind == "signature":
            # A signature goes out whole, right before the block's stop.
            return "" if kind == "signature" or self._unopened is None else self._begin(self._unopened, event)
        if kind == "citation":
            return self._citation(event)
        head = self._heads.get(kind)
        if head is None:
            if kind == "arguments" and event.value.lstrip()[:1] not in ("", "{"):
                self._open, self._unfit = False, True
                return ""
            head = self._head(kind)
        if event.piece != self._piece:
            # The neutral reasoning has several pieces; a thinking block has one text.
            self._piece = event.piece
            return head + encode_basestring("\n\n") + _DELTA_END + head + encode_basestring(event.value) + _DELTA_END
        return head + encode_basestring(event.value) + _DELTA_END

    def _begin(self, text: Text, first: PartDelta) -> str:
        """A signed text, up to its first piece."""
        self._unopened, self._told = None, True
        signature = self._carried(carrier_of(text, ahead=True))
        return signature + self._open_block(_empty_text(text)) + self._part_delta(first)

    def _head(self, kind: str) -> str:
        delta, member = _DELTAS[kind]
        head = (
            f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{self._index},'
            f'"delta":{{"type":"{delta}","{member}":'
        )
        self._heads[kind] = head
        return head

    def _citation(self, event: PartDelta) -> str:
        citation = write_citation(event.value)
        if citation is None:
            return ""
        delta = {"type": "citations_delta", "citation": citation}
        return _event("content_block_delta", {"type": "content_block_delta", "index": self._index, "delta": delta})

    def _part_ended(self, event: PartEnded) -> str:
        block = event.block
        self._content.append(block)
        if not self._open:
            self._unopened = None
            return self._wrapped(block) if self._unfit and isinstance(block, ToolCall) else ""
        last = ""
        if self._half:
            last, self._half = self._head(self._half_kind) + encode_basestring(self._half) + _DELTA_END, ""
        if isinstance(block, Reasoning) and not is_redacted(block) and (signature := signature_of(block)):
            last += self._head("signature") + encode_basestring(signature) + _DELTA_END
        if isinstance(block, Text) and block.signature:
            self._waiting = None if self._told else carrier_of(block)
            self._told = False
        return last + self._stop_block()

    def _wrapped(self, call: ToolCall) -> str:
        """The input of a call whose arguments are no object, as a whole answer has it: SDKs fail on the sum of them."""
        self._unfit = False
        return self._head("arguments") + encode_basestring(dump_input(read_input(call.arguments))) + _DELTA_END + (
            self._stop_block()
        )

    def _stop_block(self) -> str:
        self._open = False
        stop = f'{{"type":"content_block_stop","index":{self._index}}}'
        return f"event: content_block_stop\ndata: {stop}\n\n"

    def _carried(self, carrier: Reasoning | None) -> str:
        assert carrier is not None
        start = self._open_block({"type": "thinking", "thinking": "", "signature": ""})
        signature = self._head("signature") + encode_basestring(signature_of(carrier)) + _DELTA_END
        return start + signature + self._stop_block()

    def _finished(self, event: Finished) -> str:
        start = self._ensure_started()
        delta = write_stop(event.stop, self._content, self._origin)
        written: JsonObject = {
            "type": "message_delta",
            "delta": delta,
            "usage": answer_usage(event.usage, self._origin),
        }
        if self._origin == "messages":
            extra = dict(event.extra)
            if "container" in extra:
                delta["container"] = extra.pop("container")
            written.update(extra)
        return start + _event("message_delta", written) + _event("message_stop", {"type": "message_stop"})


_EMITTERS: dict[type, Callable[[StreamEncoder, Any], str]] = {
    Started: StreamEncoder._start,
    PartStarted: StreamEncoder._part_started,
    PartDelta: StreamEncoder._part_delta,
    PartEnded: StreamEncoder._part_ended,
    Finished: StreamEncoder._finished,
}


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char


def _event(name: str, data: JsonObject) -> str:
    return f"event: {name}\ndata: {_dump(data)}\n\n"


def _empty_text(_block: Text | Refusal) -> JsonObject:
    return {"type": "text", "text": ""}


def _empty_thinking(_block: Reasoning) -> JsonObject:
    return {"type": "thinking", "thinking": "", "signature": ""}


def _empty_tool_use(block: ToolCall) -> JsonObject:
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}


_START_SHAPES: dict[type, Callable[[Any], JsonObject]] = {
    Text: _empty_text,
    Refusal: _empty_text,
    Reasoning: _empty_thinking,
    ToolCall: _empty_tool_use,
}
_GROWING_TYPES = frozenset({"text", "server_tool_use", "mcp_tool_use"})
_GROWING_MEMBERS: tuple[tuple[str, Any, str], ...] = (("text", "", "text"), ("input", {}, "arguments"))
