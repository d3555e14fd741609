"""What a pass-through route needs of Chat Completions: errors, keep-alives, and observing an answer."""

from __future__ import annotations

import json
from typing import Any

from core.errors import GatewayError, UpstreamFault, upstream_fault
from core.formats.chat_completions.usage import read_stop, read_usage
from core.formats.contract import Observation
from core.formats.openai_errors import (
    openai_error_object,
    read_error_object,
)
from core.formats.openai_errors import read_openai_error as read_error
from core.formats.openai_errors import write_openai_error as write_error
from core.framing import sse
from core.json_edit import load
from core.stop import Stop

__all__ = [
    "CONTENT_MEMBERS",
    "PING",
    "STREAM_CONTENT_TYPE",
    "StreamObserver",
    "error_event",
    "observe_response",
    "read_error",
    "write_error",
]

PING = sse.comment("ping")
STREAM_CONTENT_TYPE = "text/event-stream"

# The members of a delta that the client's user waits for; `role` alone is none of them.
CONTENT_MEMBERS = (
    "content",
    "tool_calls",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking_blocks",
    "refusal",
    "function_call",
    "audio",
)


def error_event(error: GatewayError, request_id: str) -> bytes:
    """The frame that ends a stream with an error: OpenAI's SDKs raise on a top-level `error`.

    No [DONE] follows it: a reader that knows no error frames must see a cut stream, not a finished answer.
    `request_id` stands in the answer's headers; the body has no place for it.
    """
    body = json.dumps({"error": openai_error_object(error)}, separators=(",", ":"))
    return b"data: " + body.encode() + b"\n\n"


def observe_response(body: bytes) -> Observation:
    """Model, id, finish reason, usage and error (OpenRouter's, in a 200) of a whole answer. Never raises."""
    observation = Observation()
    answer = _json_object(body)
    if answer.get("error"):
        observation.error = read_error(200, {}, body)
    _observe(observation, answer)
    return observation


class StreamObserver:
    """Observes a stream of chunks. See core.formats.contract.StreamObserver.

    Once content has been seen, a frame is parsed only when its bytes hold one of a few markers. Text cannot
    fake them: inside a JSON string the quotes are escaped.
    """

    __slots__ = ("_finish_marker", "_usage_marker", "error", "finished", "observation", "started")

    def __init__(self) -> None:
        self.observation = Observation()
        self.started = False
        self.finished = False
        self.error: UpstreamFault | None = None
        self._usage_marker = b'"usage":{'
        self._finish_marker = b'"finish_reason":"'

    def feed(self, frames: bytes) -> None:
        """Takes whole frames, any number of them."""
        if self.started and not (
            self._usage_marker in frames
            or self._finish_marker in frames
            or b'"error"' in frames
            # [DONE] stands last; in the rest of the frames it could only be text.
            or frames.find(b"[DONE]", -32) >= 0
            or frames.startswith(b"event:")
        ):
            return
        if b'"choices": ' in frames:
            # This server's JSON has a blank after the colon (json.dumps as it is by default).
            self._usage_marker = b'"usage": {'
            self._finish_marker = b'"finish_reason": "'
        for record in sse.records_of(frames):
            data = record.data
            if data.strip() == "[DONE]":
                self.finished = self.started  # behind nothing it ends no answer
            elif record.event == "error":
                self._failed(_json_object(data))
            else:
                self._chunk(_json_object(data))

    def _failed(self, frame: dict[str, Any]) -> None:
        self.error = self.observation.error = read_error_object(frame.get("error") or frame)

    def _chunk(self, chunk: dict[str, Any]) -> None:
        if chunk.get("error"):
            self._failed(chunk)
            return
        choice = _observe(self.observation, chunk)
        stop = self.observation.stop
        if stop is not None and stop.reason == "error":
            self.error = self.observation.error = broken_by(stop)
        elif stop is not None:
            self.started = self.finished = True
        elif not self.started:
            delta = choice.get("delta")
            self.started = isinstance(delta, dict) and any(delta.get(name) for name in CONTENT_MEMBERS)


def broken_by(stop: Stop) -> UpstreamFault:
    """The fault that a finish reason such as `error` or `abort` stands for."""
    return upstream_fault("upstream", f"the backend ended its answer with finish_reason {stop.raw!r}", 502)


def _json_object(data: str | bytes) -> dict[str, Any]:
    try:
        value = load(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _observe(observation: Observation, answer: dict[str, Any]) -> dict[str, Any]:
    """Takes what a chunk or an answer states; gives its first choice, {} when there is none."""
    model, response_id = answer.get("model"), answer.get("id")
    if observation.model is None and isinstance(model, str) and model:
        observation.model = model
    if observation.response_id is None and isinstance(response_id, str) and response_id:
        observation.response_id = response_id
    usage = answer.get("usage")
    if isinstance(usage, dict):
        counts = read_usage(usage)
        tier = answer.get("service_tier")
        counts.tier = tier if isinstance(tier, str) else None
        observation.usage.merge(counts)
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return {}
    word = choice.get("finish_reason")
    if isinstance(word, str) and word:
        observation.stop = read_stop(word, called=_may_have_called(word))
    return choice


def _may_have_called(word: str) -> bool:
    # An observer keeps no content, so the word is all that it has to go by.
    return word in ("tool_calls", "function_call", "tool_use", "tool_call")
