"""What a pass-through route needs of the Messages format: errors both ways, and observers of answers.

https://docs.anthropic.com/en/api/errors and https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from core.errors import (
    KIND_OF_STATUS,
    GatewayError,
    Kind,
    RawError,
    UpstreamFault,
    retry_after_seconds,
    upstream_fault,
    words_of,
)
from core.formats.contract import ErrorAnswer, Observation
from core.formats.messages.usage import later_usage, read_stop, read_usage
from core.framing import sse
from core.http import HeaderList
from core.json_edit import JsonObject, load
from core.usage import Usage

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
STREAM_CONTENT_TYPE = "text/event-stream; charset=utf-8"

# Claude Code compacts the conversation only when a 400 says this.
TOO_LONG = "prompt is too long"
# It lowers max_tokens, and does not compact, when it reads this one.
TOO_LONG_WITH_OUTPUT = "exceed context limit"
_TOO_LONG_WORDINGS = (
    TOO_LONG, TOO_LONG_WITH_OUTPUT, "input is too long", "maximum context length", "contextwindowexceedederror",
)  # fmt: skip

SPEND_LIMIT_CODE = "enforced_spend_limit_reached"

_KIND_OF_TYPE: dict[str, Kind] = {
    "invalid_request_error": "bad_request",
    "authentication_error": "authentication",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
}

# kind -> the status and the type that an Anthropic client knows it by.
_WRITTEN: dict[Kind, tuple[int, str]] = {
    "bad_request": (400, "invalid_request_error"),
    "context_length": (400, "invalid_request_error"),
    "content_filter": (400, "invalid_request_error"),
    "authentication": (401, "authentication_error"),
    "permission": (403, "permission_error"),
    "billing": (402, "billing_error"),
    "quota": (402, "billing_error"),
    "model_not_found": (404, "not_found_error"),
    "not_found": (404, "not_found_error"),
    "method_not_allowed": (405, "invalid_request_error"),
    "timeout": (504, "timeout_error"),
    "conflict": (409, "conflict_error"),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    "overloaded": (529, "overloaded_error"),
    "configuration": (503, "configuration_error"),
    "upstream": (502, "api_error"),
    "internal": (500, "api_error"),
    "spend_limit": (429, "rate_limit_error"),
    "cancelled": (499, "api_error"),
}

# The status that an error frame stands for: a stream has no status line of its own any more.
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """The fault behind a backend's answer of `status` >= 400. `headers` have lower-case names.

    A body that is no Anthropic error (a CDN's page, AWS's `{"message"}`) is understood as far as it goes.
    """
    parsed = _object(body)
    error = _member(parsed, "error")
    message = _message_of(parsed) or words_of(status, body)
    fault = _fault(error, message, status)
    fault.retry_after = retry_after_seconds(headers)
    fault.raw = RawError(status, headers, body)
    return fault


def frame_error(frame: JsonObject) -> UpstreamFault:
    """The fault that an `error` event of a stream reports."""
    error = _member(frame, "error")
    message = _message_of(frame) or "the backend reported an error in its stream"
    return _fault(error, message, _STATUS_OF_TYPE.get(str(error.get("type")), 500))


def write_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """`error` as Anthropic's API would answer it. The status is the one of its kind, 529 for overloaded."""
    status, body = _written(error, request_id)
    headers: HeaderList = [("content-type", "application/json"), ("request-id", request_id)]
    if error.kind == "spend_limit":
        # The limit stands until it is raised or its period ends: asking again at once cannot help.
        headers.append(("x-should-retry", "false"))
    elif error.retry_after is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after))))
    headers.extend(error.headers.items())
    return ErrorAnswer(status, headers, _dump(body))


def error_event(error: GatewayError, request_id: str) -> bytes:
    """The `error` event that ends a stream after its commit point."""
    return b"event: error\ndata: " + _dump(_written(error, request_id)[1]) + b"\n\n"


def observe_response(body: bytes) -> Observation:
    """What a whole answer says of its model, stop reason, usage and error (a proxy's, in a 200). Never raises."""
    observation = Observation()
    answer = _object(body)
    if answer.get("type") == "error":
        observation.error = frame_error(answer)
    _observe_message(observation, answer)
    return observation


class StreamObserver:
    """Reads a copy of a Messages stream; see core.formats.contract.StreamObserver.

    Once content has been seen, deltas are passed over unparsed: only frames that name an event of the message
    itself, or an error, are read.
    """

    def __init__(self) -> None:
        self.observation = Observation()
        self.started = False
        self.finished = False
        self.error: UpstreamFault | None = None

    def feed(self, frames: bytes) -> None:
        """Reads whole frames; the very last may lack its empty line."""
        if self.started and not _names_an_event(frames):
            return
        for record in sse.records_of(frames + b"\n\n"):
            self.read_text(record.data)

    def read_text(self, data: str | bytes) -> None:
        """Reads one event's JSON, unless it is a mere delta behind the first."""
        if not self.started or _names_an_event(data):
            self.read(_object(data))

    def read(self, event: JsonObject) -> None:
        """Reads one event's data; what is not known is passed over."""
        kind = event.get("type")
        reader = _EVENT_READERS.get(kind) if isinstance(kind, str) else None
        if reader is not None:
            reader(self, event)

    def _message_start(self, event: JsonObject) -> None:
        _observe_message(self.observation, _member(event, "message"))

    def _block_start(self, event: JsonObject) -> None:
        # A text or thinking block may open and stay empty; every other one is content as it opens.
        block = _member(event, "content_block")
        kind = block.get("type")
        if kind not in ("text", "thinking") or block.get(kind):
            self.started = True

    def _block_delta(self, event: JsonObject) -> None:
        if any(value for name, value in _member(event, "delta").items() if name != "type"):
            self.started = True

    def _message_delta(self, event: JsonObject) -> None:
        delta = _member(event, "delta")
        stop = read_stop(delta.get("stop_reason"), delta.get("stop_sequence"), delta.get("stop_details"))
        if stop is not None:
            self.observation.stop = stop
        self.observation.usage = later_usage(self.observation.usage, event.get("usage"))

    def _message_stop(self, _event: JsonObject) -> None:
        self.finished = True

    def _error(self, event: JsonObject) -> None:
        self.error = frame_error(event)


_EVENT_READERS: dict[str, Callable[[StreamObserver, JsonObject], None]] = {
    "message_start": StreamObserver._message_start,
    "content_block_start": StreamObserver._block_start,
    "content_block_delta": StreamObserver._block_delta,
    "message_delta": StreamObserver._message_delta,
    "message_stop": StreamObserver._message_stop,
    "error": StreamObserver._error,
}


def _names_an_event(data: str | bytes) -> bool:
    if isinstance(data, bytes):
        return b'"message_' in data or b'"error"' in data
    return '"message_' in data or '"error"' in data


def _observe_message(observation: Observation, message: JsonObject) -> None:
    model, response_id = message.get("model"), message.get("id")
    observation.model = model if isinstance(model, str) else observation.model
    observation.response_id = response_id if isinstance(response_id, str) else observation.response_id
    observation.stop = read_stop(message.get("stop_reason"), message.get("stop_sequence"), message.get("stop_details"))
    observation.usage = read_usage(message.get("usage")) if "usage" in message else Usage()


def _fault(error: JsonObject, message: str, status: int) -> UpstreamFault:
    kind = _kind(error, message, status)
    fault = upstream_fault(kind, message, status)
    fault.details = error or None
    return fault


def _kind(error: JsonObject, message: str, status: int) -> Kind:
    kind = _KIND_OF_TYPE.get(str(error.get("type"))) or KIND_OF_STATUS.get(status)
    if kind is None:
        kind = "bad_request" if 400 <= status < 500 else "upstream"
    refine = _REFINED.get(kind)
    return refine(error, message.lower()) if refine else kind


def _bad_request_kind(_error: JsonObject, message: str) -> Kind:
    if any(wording in message for wording in _TOO_LONG_WORDINGS):
        return "context_length"
    if "credit balance" in message or "usage limits" in message:
        return "billing"
    return "bad_request"


def _too_large_kind(_error: JsonObject, message: str) -> Kind:
    # Google's front answers 413 for a prompt over the context window too.
    return "context_length" if any(wording in message for wording in _TOO_LONG_WORDINGS) else "too_large"


def _not_found_kind(_error: JsonObject, message: str) -> Kind:
    return "model_not_found" if message.startswith("model:") else "not_found"


def _rate_limit_kind(error: JsonObject, _message: str) -> Kind:
    return "spend_limit" if _member(error, "details").get("error_code") == SPEND_LIMIT_CODE else "rate_limit"


# Kinds whose type says less than the message or the details do.
_REFINED: dict[Kind, Callable[[JsonObject, str], Kind]] = {
    "bad_request": _bad_request_kind,
    "too_large": _too_large_kind,
    "not_found": _not_found_kind,
    "rate_limit": _rate_limit_kind,
}


def _written(error: GatewayError, request_id: str) -> tuple[int, JsonObject]:
    kind, message = error.kind, error.message
    if isinstance(error, UpstreamFault) and kind in ("authentication", "permission"):
        # It is the gateway's credential that was refused: a client that read 401 would log in again, and the
        # backend's own words may quote a part of the key.
        kind, message = "upstream", "The backend refused the gateway's credential."
    status, type_name = _WRITTEN[kind]
    if error.kind == "upstream" and 500 <= error.status < 600:
        status = error.status
    if kind == "context_length" and not _has_overflow_wording(message):
        message = f"{TOO_LONG}: {message}"
    written: JsonObject = {"type": type_name, "message": message}
    if kind == "spend_limit":
        written["details"] = {"error_code": SPEND_LIMIT_CODE}
    elif error.param == "thread":
        # The SDK's tool runner asks for a thread and goes on without one after this answer alone.
        written["details"] = {"error_code": "thread_unsupported_request", "unsupported": []}
    return status, {"type": "error", "error": written, "request_id": request_id}


def _has_overflow_wording(message: str) -> bool:
    return TOO_LONG in message or TOO_LONG_WITH_OUTPUT in message


def _message_of(body: JsonObject) -> str | None:
    error = body.get("error")
    for value in (_member(body, "error").get("message"), body.get("message"), error, body.get("detail")):
        if isinstance(value, str) and value:
            return value
    return None


def _object(text: bytes | str) -> JsonObject:
    try:
        value = load(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _member(value: JsonObject, name: str) -> Any:
    """The object member `name`, an empty one where it is absent or something else."""
    member = value.get(name)
    return member if isinstance(member, dict) else {}


def _dump(value: JsonObject) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
