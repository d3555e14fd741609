"""Neutral events to the chunks that OpenAI streams.

https://platform.openai.com/docs/api-reference/chat/streaming. Beyond OpenAI's members: `reasoning_content` and
`reasoning_details`. OpenAI's libraries add up what they stream: entries of a list need an `index`, and all text
members of entries with one index are joined; so `id` and `format` are told once per entry, and `annotations`,
which have no index, come in one chunk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring, encode_basestring_ascii

from core.conversation import Block, Citation, Image, JsonObject, Opaque, Reasoning, Text, ToolCall
from core.errors import GatewayError
from core.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Ping,
    Started,
)
from core.formats.chat_completions.read_tools import answers_with_function
from core.formats.chat_completions.reasoning_slots import DetailsWriter
from core.formats.chat_completions.response import (
    answer_id,
    separator_before,
    shows_reasoning,
    signature_slot,
    write_annotation,
    write_answer_image,
    write_tier,
)
from core.formats.chat_completions.usage import finish_reason, write_usage
from core.formats.chat_completions.wire import PING, broken_by, error_event
from core.formats.contract import Reply

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ascii_json = json.JSONEncoder(separators=(",", ":")).encode


def _encoded(value: object) -> bytes:
    """Compact JSON. Half a surrogate pair has no UTF-8: such text is escaped."""
    try:
        return _json(value).encode()
    except UnicodeEncodeError:
        return _ascii_json(value).encode()


class StreamEncoder:
    """See core.formats.contract.StreamEncoder."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._head = b""
        self._tail = b""
        self._same_format = False
        self._finished = False
        self._length = 0
        self._refused = False
        self._base = 0
        self._annotations: list[JsonObject] = []
        self._citations: list[Citation] = []  # of the open text, whose length is known with its end
        self._calls = 0
        self._images = 0
        self._call_prefix = b""
        self._call_suffix = b""
        self._open: Block = Text("")
        self._details = DetailsWriter()
        self._piece = 0
        self._separator = ""
        self._reasoned = False
        self._usage_null = b',"usage":null' if reply.conversation.include_usage else b""
        self._constant: JsonObject = {}
        self._function = answers_with_function(reply.conversation)
        self._shows_reasoning = shows_reasoning(reply.conversation)
        self._started(Started())

    def emit(self, event: Event) -> bytes:
        """The bytes of one event, b"" when it has none on this wire."""
        if isinstance(event, PartDelta):
            return _DELTAS[event.kind](self, event)
        writer = _EVENTS[type(event)]
        return writer(self, event)

    def close(self) -> bytes:
        """[DONE], after an answer that is complete."""
        return b"data: [DONE]\n\n" if self._finished else b""

    def _chunk(self, delta: JsonObject) -> bytes:
        return self._head + _encoded(delta) + self._tail

    # --- the frame around the parts ---

    def _started(self, event: Started) -> bytes:
        reply = self._reply
        self._same_format = event.format == "chat_completions"
        constant = {
            "id": answer_id(event.id, event.format, reply),
            "object": "chat.completion.chunk",
            "created": reply.created if event.created is None else event.created,
            "model": reply.model,
        }
        self._head = b"data: " + _encoded(constant)[:-1] + b',"choices":[{"index":0,"delta":'
        self._tail = b',"logprobs":null,"finish_reason":null}]' + self._usage_null + b"}\n\n"
        self._constant = constant
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _end(self, event: Finished) -> bytes:
        if event.stop.reason == "error":
            return self._failed(Failed(broken_by(event.stop)))
        self._finished = True
        frames = b""
        if self._annotations:
            frames += self._chunk({"annotations": self._annotations})
        if event.stop.refusal is not None and not self._refused:
            frames += self._chunk({"refusal": event.stop.refusal})
        word = _encoded(finish_reason(event.stop, same_format=self._same_format))
        if self._function and word == b'"tool_calls"':
            word = b'"function_call"'
        tier = write_tier(event.service_tier, same_format=self._same_format)
        tail = b"}]" + self._usage_null + (b"," + _encoded(tier)[1:-1] if tier else b"") + b"}\n\n"
        frames += self._head + b'{},"logprobs":null,"finish_reason":' + word + tail
        usage = write_usage(event.usage)
        if self._reply.conversation.include_usage and usage is not None:
            frames += b"data: " + _encoded({**self._constant, "choices": [], "usage": usage, **tier}) + b"\n\n"
        return frames

    def _failed(self, event: Failed) -> bytes:
        error: GatewayError = event.error
        return error_event(error, self._reply.request_id)

    def _ping(self, event: Ping) -> bytes:
        return PING

    # --- parts ---

    def _part_started(self, event: PartStarted) -> bytes:
        self._open = block = event.block
        if isinstance(block, ToolCall):
            return self._call_started(block)
        if isinstance(block, Reasoning):
            self._details.begin(block)
            self._separator = "\n\n" if self._reasoned else ""
            self._piece = 0
        elif isinstance(block, Text):
            return self._text_started(block)
        elif isinstance(block, Image):
            self._images += 1
            return self._chunk({"images": [write_answer_image(block, self._images - 1)]})
        elif isinstance(block, Opaque) and block.format == "chat_completions":
            return self._chunk({block.kind: block.raw})
        return b""

    def _text_started(self, block: Text) -> bytes:
        separator = separator_before(block) if self._length else ""
        self._length += len(separator)
        self._base = self._length
        return self._chunk({"content": separator}) if separator else b""

    def _call_started(self, call: ToolCall) -> bytes:
        if self._function:
            self._call_prefix = b'{"function_call":{"arguments":'
            self._call_suffix = b"}}"
            return self._chunk({"function_call": {"name": call.name, "arguments": ""}})
        index, self._calls = self._calls, self._calls + 1
        member = "input" if call.kind == "custom" else "arguments"
        self._call_prefix = f'{{"tool_calls":[{{"index":{index},"{call.kind}":{{"{member}":'.encode()
        self._call_suffix = b"}}]}"
        entry = {"index": index, "id": call.id, "type": call.kind, call.kind: {"name": call.name, member: ""}}
        if call.signature:
            entry["extra_content"] = signature_slot(call.signature)
        return self._chunk({"tool_calls": [entry]})

    def _part_ended(self, event: PartEnded) -> bytes:
        block = event.block
        if self._citations:
            written = (write_annotation(each, self._base, self._length - self._base) for each in self._citations)
            self._annotations += filter(None, written)
            self._citations = []
        if isinstance(block, Reasoning) and self._shows_reasoning:
            return self._reasoning_state(block)
        if isinstance(block, ToolCall) and not (block.arguments or block.kind == "custom"):
            # A function's arguments are JSON: a call without any has an empty object.
            return self._head + self._call_prefix + b'"{}"' + self._call_suffix + self._tail
        return b""

    def _reasoning_state(self, block: Reasoning) -> bytes:
        """What only the issuer can read stands at the end of its part."""
        entry = self._details.end(block)
        return b"" if entry is None else self._chunk({"reasoning_details": [entry]})

    # --- deltas ---

    def _text(self, event: PartDelta) -> bytes:
        text: str = event.value
        self._length += len(text)
        try:
            return self._head + b'{"content":' + encode_basestring(text).encode() + b"}" + self._tail
        except UnicodeEncodeError:
            return self._head + b'{"content":' + encode_basestring_ascii(text).encode() + b"}" + self._tail

    def _arguments(self, event: PartDelta) -> bytes:
        return self._head + self._call_prefix + _encoded(event.value) + self._call_suffix + self._tail

    def _reasoning(self, event: PartDelta) -> bytes:
        if not self._shows_reasoning:
            return b""
        text: str = event.value
        entry = self._details.text(text, event.piece)
        if event.piece != self._piece or self._separator:
            text = "\n\n" + text
        self._piece, self._separator, self._reasoned = event.piece, "", True
        return self._chunk({"reasoning_content": text, "reasoning_details": [entry]})

    def _refusal(self, event: PartDelta) -> bytes:
        self._refused = True
        return self._chunk({"refusal": event.value})

    def _citation(self, event: PartDelta) -> bytes:
        self._citations.append(event.value)
        return b""

    def _signature(self, event: PartDelta) -> bytes:
        """Gemini's, on text and calls. A reasoning's is told when the part ends."""
        slot = signature_slot(event.value)
        if isinstance(self._open, ToolCall) and not self._function:
            return self._chunk({"tool_calls": [{"index": self._calls - 1, "extra_content": slot}]})
        if isinstance(self._open, Text):
            return self._chunk({"extra_content": slot})
        return b""


_EVENTS: dict[type, Callable[..., bytes]] = {
    Started: StreamEncoder._started,
    PartStarted: StreamEncoder._part_started,
    PartEnded: StreamEncoder._part_ended,
    Finished: StreamEncoder._end,
    Failed: StreamEncoder._failed,
    Ping: StreamEncoder._ping,
}
_DELTAS: dict[str, Callable[[StreamEncoder, PartDelta], bytes]] = {
    "text": StreamEncoder._text,
    "reasoning": StreamEncoder._reasoning,
    "arguments": StreamEncoder._arguments,
    "refusal": StreamEncoder._refusal,
    "citation": StreamEncoder._citation,
    "signature": StreamEncoder._signature,
}
