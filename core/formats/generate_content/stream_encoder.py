"""Events to the chunks that a Gemini client reads: server-sent events, or one JSON array.

A client that calls `:streamGenerateContent?alt=sse` gets `StreamEncoder`'s events; without `alt=sse` Google streams a
JSON array, and so does `ArrayStreamEncoder`. Text and thoughts go out as they come; a call goes out whole.
"""

from __future__ import annotations

import json

from core.conversation import JsonObject, Reasoning, Text, ToolCall
from core.events import Event, Failed, Finished, PartDelta, PartEnded, Ping, Started
from core.formats.contract import Reply
from core.formats.generate_content.parts import signature_of
from core.formats.generate_content.response import grounding_of, write_part
from core.formats.generate_content.usage import write_stop, write_usage
from core.formats.generate_content.wire import PING, dump, error_object
from core.json_edit import split_half

_BEFORE_TEXT = b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":'
_quoted = json.encoder.encode_basestring


class ChunkWriter:
    """Events to chunk objects, without their framing."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._id = f"resp_{reply.id_suffix}"
        self._own = False
        self._piece = 0
        self._texts: list[Text] = []
        self._half = ""  # of a surrogate pair, at the end of the last delta

    def chunks(self, event: Event) -> list[JsonObject]:
        """The chunks for one event, often none."""
        match event:
            case Started():
                self._id = event.id or self._id
                self._own = event.format == "generate_content"
                return []
            case PartDelta():
                return self._delta(event)
            case PartEnded():
                return self._ended(event)
            case Finished():
                return [self._finished(event)]
            case Failed():
                return [error_object(event.error, self._reply.request_id)]
            case _:
                return []

    def _delta(self, delta: PartDelta) -> list[JsonObject]:
        if delta.kind in ("text", "refusal"):
            return [self._chunk([{"text": self.joined(delta.value)}])]
        if delta.kind == "reasoning":
            # Pieces of a summary are joined as in Reasoning.text.
            joint = "\n\n" if delta.piece > self._piece else ""
            self._piece = delta.piece
            return [self._chunk([{"text": joint + self.joined(delta.value), "thought": True}])]
        return []

    def joined(self, text: str) -> str:
        """`text` with what the last delta began: a first half of a surrogate pair at its end waits for the next one."""
        if text.isascii():
            self._half = ""
            return text
        text, self._half = split_half(self._half + text)
        return text

    def _ended(self, event: PartEnded) -> list[JsonObject]:
        block = event.block
        self._piece, self._half = 0, ""
        if isinstance(block, Text):
            self._texts.append(block)
            if not block.signature:
                return []
            return [self._chunk([{"text": "", "thoughtSignature": block.signature}])]
        if isinstance(block, Reasoning):
            signature = signature_of(block)
            if signature is None:
                return []
            return [self._chunk([{"text": "", "thought": True, "thoughtSignature": signature}])]
        parts = write_part(block, own=self._own)
        # A refusal has gone out in its deltas.
        whole = isinstance(block, ToolCall) or not all("text" in part for part in parts)
        return [self._chunk(parts)] if parts and whole else []

    def _chunk(self, parts: list[JsonObject]) -> JsonObject:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        return {"candidates": [candidate], "modelVersion": self._reply.model, "responseId": self._id}

    def after_text(self) -> bytes:
        """What follows a text in an event that says nothing else."""
        names = {"modelVersion": self._reply.model, "responseId": self._id}
        return b'}]},"index":0}],' + dump(names)[1:] + b"\n\n"

    def _finished(self, event: Finished) -> JsonObject:
        chunk = self._chunk([{"text": ""}])
        candidate = chunk["candidates"][0]
        candidate.update(write_stop(event.stop, own=self._own))
        candidate.update(event.extra if self._own else grounding_of(self._texts))
        chunk["usageMetadata"] = write_usage(event.usage)
        return chunk


class StreamEncoder:
    """See core.formats.contract.StreamEncoder: the framing of `alt=sse`."""

    def __init__(self, reply: Reply) -> None:
        self._writer = ChunkWriter(reply)
        self._tail = b""

    def emit(self, event: Event) -> bytes:
        """The bytes for one event."""
        if type(event) is PartDelta and event.kind == "text":
            return self._text(event.value)
        if isinstance(event, Ping):
            return PING
        return b"".join(b"data: " + dump(chunk) + b"\n\n" for chunk in self._writer.chunks(event))

    def _text(self, text: str) -> bytes:
        """A chunk of text, of which only the text is new."""
        if not self._tail:
            self._tail = self._writer.after_text()
        try:
            data = _quoted(text).encode()
        except UnicodeEncodeError:
            data = _quoted(self._writer.joined(text)).encode("utf-8", "replace")
        return _BEFORE_TEXT + data + self._tail

    def close(self) -> bytes:
        """Nothing stands after the last chunk."""
        return b""


class ArrayStreamEncoder:
    """The framing without `alt=sse`: one JSON array, of type ARRAY_CONTENT_TYPE, element by element."""

    def __init__(self, reply: Reply) -> None:
        self._writer = ChunkWriter(reply)
        self._begun = False

    def emit(self, event: Event) -> bytes:
        """The bytes for one event."""
        if isinstance(event, Ping):
            return PING
        return b"".join(self._element(chunk) for chunk in self._writer.chunks(event))

    def close(self) -> bytes:
        """The array's end."""
        return b"]" if self._begun else b"[]"

    def _element(self, chunk: JsonObject) -> bytes:
        opening, self._begun = (b",\r\n" if self._begun else b"["), True
        return opening + dump(chunk)
