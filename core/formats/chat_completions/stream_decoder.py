"""A Chat Completions server's stream to neutral events.

https://platform.openai.com/docs/api-reference/chat/streaming, and what other servers make of it: chunks without
choices, choices without a delta, a finish reason in the chunk of the last text, no [DONE], usage anywhere.
"""

from __future__ import annotations

from typing import Any

from core.conversation import JsonObject, Stop
from core.errors import UpstreamFault, upstream_fault
from core.events import Event, Failed, Finished, Started
from core.formats.chat_completions.delta_reader import BrokenDelta, DeltaReader
from core.formats.chat_completions.plain_chunks import PlainChunks
from core.formats.chat_completions.usage import read_stop, read_usage
from core.formats.chat_completions.wire import broken_by
from core.formats.contract import Target
from core.formats.openai_errors import read_error_object
from core.framing import sse
from core.json_edit import load
from core.usage import Usage


class ChunkReader:
    """Chunks, already parsed, to events. A whole answer is read as one chunk."""

    def __init__(self, target: Target) -> None:
        self.ended = False
        self._reader = DeltaReader(target.facts.vendor)
        self._started = False
        self._usage = Usage()
        self._finish_word: str | None = None
        self._service_tier: str | None = None

    def read(self, chunk: JsonObject) -> list[Event]:
        """The events of one chunk."""
        error = chunk.get("error")
        if error:
            return self.fail(read_error_object(error))
        usage = chunk.get("usage")
        if usage is not None:
            self._usage.merge(read_usage(usage))
        choice = _choice(chunk.get("choices"))
        if choice is None:
            return []
        if not self._started:
            self._start(chunk)
        tier = chunk.get("service_tier")
        if isinstance(tier, str):
            self._service_tier = tier
        try:
            delta = choice.get("delta")
            if isinstance(delta, dict):
                self._reader.read(delta)
        except BrokenDelta as broken:
            return self.fail(upstream_fault("upstream", str(broken), 502))
        word = choice.get("finish_reason")
        if isinstance(word, str):
            self._finish_word = word or self._finish_word or ""
        return self._taken()

    def read_text(self, text: str) -> list[Event]:
        """The events of a chunk that holds this text only."""
        self._reader.read_text(text)
        return self._taken()

    def finish(self, *, done: bool) -> list[Event]:
        """The stream's end. `done`: [DONE] was seen; without it only a telling finish reason counts."""
        if self.ended:
            return []
        word = self._finish_word
        if word is None or not (word or done):
            return self.fail(upstream_fault("upstream", "the backend's stream ended before its answer did", 502))
        try:
            self._reader.finish()
        except BrokenDelta as broken:
            return self.fail(upstream_fault("upstream", str(broken), 502))
        stop = read_stop(word, called=self._reader.called)
        if stop.reason == "error":
            return self.fail(broken_by(stop))
        self.ended = True
        if stop.reason == "end_turn" and self._reader.refused:
            stop = Stop("refusal", stop.raw)
        return [*self._taken(), Finished(stop, self._usage, self._service_tier)]

    def fail(self, fault: UpstreamFault) -> list[Event]:
        """What was read so far, then the failure."""
        self.ended = True
        return [*self._taken(), Failed(fault)]

    def _start(self, chunk: JsonObject) -> None:
        self._started = True
        created = chunk.get("created")
        self._reader.response_id = _string(chunk.get("id"))
        self._reader.parts.events.append(
            Started(
                self._reader.response_id,
                _string(chunk.get("model")),
                created=created if type(created) is int else None,
                format="chat_completions",
            )
        )

    def _taken(self) -> list[Event]:
        events = self._reader.parts.events
        self._reader.parts.events = []
        return events


class StreamDecoder:
    """See core.formats.contract.StreamDecoder."""

    def __init__(self, target: Target) -> None:
        self._frames = sse.Decoder()
        self._chunks = ChunkReader(target)
        self._plain = PlainChunks()

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        return self._read(self._frames.feed(data))

    def close(self) -> list[Event]:
        """The end of the body: Failed unless the answer had ended."""
        events = self._read(self._frames.close())
        return events + self._chunks.finish(done=False)

    def _read(self, records: list[sse.Record]) -> list[Event]:
        events: list[Event] = []
        for record in records:
            if self._chunks.ended:
                break
            events += self._record(record)
        return events

    def _record(self, record: sse.Record) -> list[Event]:
        data = record.data
        text = self._plain.text_of(data)
        if text:
            return self._chunks.read_text(text)
        try:
            chunk = load(data)
        except (ValueError, RecursionError):
            return self._no_json(data.strip())
        if not isinstance(chunk, dict):
            return []
        if record.event == "error":
            chunk = {"error": chunk.get("error") or chunk}
        self._plain.learn(data, chunk)
        return self._chunks.read(chunk)

    def _no_json(self, data: str) -> list[Event]:
        if data == "[DONE]":
            return self._chunks.finish(done=True)
        if not data:
            return []
        fault = upstream_fault("upstream", "the backend sent a frame that cannot be read", 502)
        return self._chunks.fail(fault)


def _choice(choices: Any) -> JsonObject | None:
    """The first choice; further ones (n > 1) have no place in the neutral stream."""
    if not isinstance(choices, list):
        return None
    for choice in choices:
        if isinstance(choice, dict) and choice.get("index") in (0, None):
            return choice
    return None


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
