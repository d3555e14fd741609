"""What a pass-through route needs of the Responses API: errors, keep-alives, and an observer of its answers.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
import math
from typing import Any

from core.errors import GatewayError, Kind, UpstreamFault
from core.formats.contract import Observation
from core.formats.openai_errors import (
    openai_error_object,
    read_error_object,
    read_openai_error,
    write_openai_error,
)
from core.formats.responses.usage import read_stop, read_usage
from core.framing.sse import comment, records_of
from core.json_edit import JsonObject, load

PING = comment("ping")
STREAM_CONTENT_TYPE = "text/event-stream"

read_error = read_openai_error
write_error = write_openai_error

# Codes of `response.error`, by kind. Codex stops on these and retries on all others, so what a retry may mend
# is `server_error` and what it cannot is `invalid_prompt`.
_FAILURE_CODES: dict[Kind, str] = {
    "bad_request": "invalid_prompt",
    "content_filter": "invalid_prompt",
    "too_large": "invalid_prompt",
    "context_length": "context_length_exceeded",
    "quota": "insufficient_quota",
    "billing": "insufficient_quota",
    "spend_limit": "insufficient_quota",
    "rate_limit": "rate_limit_exceeded",
}

# Above any real count, so that the numbers still rise where the relay has not counted what went before.
_LAST_SEQUENCE_NUMBER = 2**31 - 1

# One of these stands in every frame that must be read once content flows; text deltas cannot hold the quoted
# ones, because quotes are escaped inside a JSON string.
_MARKERS = (b'"response"', b'"error"', b"event: error")
_TERMINALS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_CONTENT_EVENTS = frozenset({"response.output_item.added", "response.output_item.done"})


def failure_of(error: GatewayError) -> JsonObject:
    """`response.error` for `error`: code and message. Codex reads how long to wait from the message."""
    rendered = openai_error_object(error)
    message = rendered["message"]
    if error.kind == "rate_limit" and error.retry_after is not None and "try again in" not in message:
        message = f"{message} Please try again in {math.ceil(error.retry_after)}s."
    return {"code": _FAILURE_CODES.get(error.kind, "server_error"), "message": message}


def error_frame(error: GatewayError, sequence_number: int) -> bytes:
    """`event: error`, flat as the API reference has it and nested as OpenAI's servers send it: the SDK raises
    only on a top-level `error` member, typed readers (Vercel's AI SDK) take either form."""
    rendered = openai_error_object(error)
    return frame(
        "error",
        {
            "type": "error",
            "code": rendered["code"],
            "message": rendered["message"],
            "param": rendered["param"],
            "error": rendered,
            "sequence_number": sequence_number,
        },
    )


def error_event(error: GatewayError, request_id: str) -> bytes:
    """The end of a stream that broke, for a client of which no more is known than that it speaks Responses.

    Two frames, because no single one is a failure to everybody: OpenAI's SDK raises at the first and takes a
    bare `response.failed` for an ordinary event; Codex passes over the first and stops at the second.
    """
    failed = {
        "id": f"resp_{request_id}",
        "object": "response",
        "created_at": 0,
        "status": "failed",
        "error": failure_of(error),
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "",
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }
    return error_frame(error, _LAST_SEQUENCE_NUMBER - 1) + frame(
        "response.failed",
        {"type": "response.failed", "response": failed, "sequence_number": _LAST_SEQUENCE_NUMBER},
    )


def frame(event: str, data: JsonObject) -> bytes:
    """One server-sent event. A lone surrogate cannot be UTF-8; such a text is sent with its JSON escapes."""
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        return f"event: {event}\ndata: {text}\n\n".encode()
    except UnicodeEncodeError:
        return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def observe_response(body: bytes) -> Observation:
    """Model, id, end and usage of a whole answer, and its error when it failed. Never raises."""
    observation = Observation()
    response = json_object(body)
    _observe(observation, response)
    if response.get("status") is not None:
        observation.stop = read_stop(response)
    if response.get("error"):
        observation.error = read_error_object(response["error"])
    return observation


class StreamObserver:
    """Reads a copy of a stream of Responses events. See core.formats.contract.StreamObserver.

    Once content has been seen, a frame is parsed only when its bytes hold a marker.
    """

    __slots__ = ("error", "finished", "observation", "started")

    def __init__(self) -> None:
        self.observation = Observation()
        self.started = False
        self.finished = False
        self.error: UpstreamFault | None = None

    def feed(self, frames: bytes) -> None:
        """Takes whole frames, any number of them."""
        if self.started:
            for marker in _MARKERS:
                if marker in frames:
                    break
            else:
                return
        for record in records_of(frames):
            event = json_object(record.data)
            self._event(event_type(event, record.event), event)

    def _event(self, kind: str, event: JsonObject) -> None:
        response = event.get("response")
        if isinstance(response, dict):
            _observe(self.observation, response)
            if kind in _TERMINALS:
                self._end(kind, response)
        elif kind == "error":
            self._fail(event.get("error") or event)
        elif kind in _CONTENT_EVENTS or kind.endswith(".delta"):
            self.started = True

    def _end(self, kind: str, response: JsonObject) -> None:
        self.observation.stop = read_stop({"status": kind.removeprefix("response."), **response})
        if kind == "response.failed":
            self._fail(response.get("error"))
        else:
            self.started = self.finished = True

    def _fail(self, error: Any) -> None:
        # An `error` event may be followed by `response.failed`, which says the same again.
        if self.error is None:
            self.error = self.observation.error = read_error_object(error)


def _observe(observation: Observation, response: JsonObject) -> None:
    model, response_id = response.get("model"), response.get("id")
    if isinstance(model, str) and model:
        observation.model = model
    if isinstance(response_id, str) and response_id:
        observation.response_id = response_id
    usage = response.get("usage")
    if isinstance(usage, dict):
        counts = read_usage(usage)
        tier = response.get("service_tier")
        counts.tier = tier if isinstance(tier, str) else None
        observation.usage.merge(counts)


def event_type(event: JsonObject, name: str) -> str:
    """The type of a stream event; some servers say it in the frame's `event` line only, and an error may have
    neither."""
    kind = event.get("type")
    if isinstance(kind, str):
        return kind
    return name or ("error" if event.get("error") else "")


def json_object(data: str | bytes) -> JsonObject:
    """The JSON object in `data`, an empty one where there is none."""
    try:
        value = load(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
