"""What a pass-through route needs of generateContent: errors both ways, and observers of answers.

https://ai.google.dev/gemini-api/docs/troubleshooting and https://google.aip.dev/193
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

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
from core.formats.generate_content.usage import read_block, read_stop, read_usage
from core.framing import sse
from core.http import HeaderList
from core.json_edit import JsonObject, split_half, with_numbers

# Google's own clients take a comment line for a piece of JSON and fail; an empty line is nothing to every
# reader, and white space between the elements of an array too.
PING: Final = b"\n"
STREAM_CONTENT_TYPE: Final = "text/event-stream"
ARRAY_CONTENT_TYPE: Final = "application/json; charset=UTF-8"

_KIND_OF_STATUS_WORD: Final[dict[str, Kind]] = {
    "INVALID_ARGUMENT": "bad_request",
    "FAILED_PRECONDITION": "bad_request",
    "OUT_OF_RANGE": "bad_request",
    "UNAUTHENTICATED": "authentication",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "ABORTED": "conflict",
    "ALREADY_EXISTS": "conflict",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "CANCELLED": "cancelled",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
    "INTERNAL": "upstream",
    "UNIMPLEMENTED": "upstream",
}
# kind -> the status and the word that Google's clients know it by (https://google.aip.dev/193).
_WRITTEN: Final[dict[Kind, tuple[int, str]]] = {
    "bad_request": (400, "INVALID_ARGUMENT"),
    "context_length": (400, "INVALID_ARGUMENT"),
    "content_filter": (400, "INVALID_ARGUMENT"),
    "authentication": (401, "UNAUTHENTICATED"),
    "permission": (403, "PERMISSION_DENIED"),
    "billing": (400, "FAILED_PRECONDITION"),
    "quota": (429, "RESOURCE_EXHAUSTED"),
    "model_not_found": (404, "NOT_FOUND"),
    "not_found": (404, "NOT_FOUND"),
    "method_not_allowed": (405, "UNIMPLEMENTED"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "conflict": (409, "ABORTED"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "overloaded": (503, "UNAVAILABLE"),
    "configuration": (503, "UNAVAILABLE"),
    "upstream": (502, "INTERNAL"),
    "internal": (500, "INTERNAL"),
    "spend_limit": (429, "RESOURCE_EXHAUSTED"),
    "cancelled": (499, "CANCELLED"),
}
_STATUS_OF_WORD: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_TOO_LONG = re.compile(
    r"exceeds? the maximum (?:number of tokens|input|context)|input token count|prompt is too long"
    r"|maximum context length|context window",
    re.IGNORECASE,
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")
_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"
_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """The fault behind a backend's answer of `status` >= 400. `headers` have lower-case names.

    A streaming call's error stands in an array of one element.
    """
    error = _error_of(_parsed(body))
    message = _text(error.get("message")) or words_of(status, body)
    fault = _fault(error, message, status)
    if fault.retry_after is None:
        fault.retry_after = retry_after_seconds(headers)
    fault.raw = RawError(status, headers, body)
    return fault


def chunk_error(chunk: Any) -> UpstreamFault | None:
    """The fault that a chunk of a stream reports, None where it is no error."""
    error = _error_of(chunk)
    if not error:
        return None
    code, word = error.get("code"), error.get("status")
    status = code if isinstance(code, int) and 400 <= code < 600 else _STATUS_OF_WORD.get(str(word), 500)
    return _fault(error, _text(error.get("message")) or "the backend reported an error in its stream", status)


def write_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """`error` as Google's API would answer it."""
    status, body = _written(error, request_id)
    headers: HeaderList = [("content-type", "application/json; charset=UTF-8")]
    if error.retry_after is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after))))
    headers.extend(error.headers.items())
    return ErrorAnswer(status, headers, dump(body))


def error_object(error: GatewayError, request_id: str) -> JsonObject:
    """The body of `error`, as it also stands in a stream."""
    return _written(error, request_id)[1]


def error_event(error: GatewayError, request_id: str) -> bytes:
    """The event that ends an `alt=sse` stream after its commit point; google-genai raises on it."""
    return b"data: " + dump(error_object(error, request_id)) + b"\n\n"


def observe_response(body: bytes) -> Observation:
    """What a whole answer says of its model, stop reason, usage and error (a proxy's, in a 200). Never raises."""
    observation = Observation()
    parsed = _parsed(body)
    if isinstance(parsed, dict):
        observation.error = chunk_error(parsed)
        _observe(observation, parsed)
    return observation


class StreamObserver:
    """Reads a copy of an `alt=sse` stream; see core.formats.contract.StreamObserver.

    Every chunk states the running usage, so every chunk is read: a client that goes leaves the last count.
    """

    def __init__(self) -> None:
        self.observation = Observation()
        self.started = False
        self.finished = False
        self.error: UpstreamFault | None = None

    def feed(self, frames: bytes) -> None:
        """Reads whole frames; the very last may lack its empty line."""
        for record in sse.records_of(frames + b"\n\n"):
            self._read(_parsed(record.data))

    def _read(self, chunk: Any) -> None:
        self.error = chunk_error(chunk) or self.error
        if not isinstance(chunk, dict):
            return
        if _observe(self.observation, chunk):
            self.started = True
        self.finished = self.finished or self.observation.stop is not None


def _observe(observation: Observation, chunk: JsonObject) -> bool:
    """Takes over what `chunk` says; True when it has content."""
    observation.model = _text(chunk.get("modelVersion")) or observation.model
    observation.response_id = _text(chunk.get("responseId")) or observation.response_id
    if "usageMetadata" in chunk:
        observation.usage.merge(read_usage(chunk["usageMetadata"]))
    parts = candidate_parts(chunk)
    candidate = first_candidate(chunk)
    calls = any("functionCall" in part for part in parts)
    observation.stop = read_stop(candidate, has_calls=calls) or read_block(chunk) or observation.stop
    return any(part.get("text") != "" for part in parts)


def first_candidate(body: JsonObject) -> JsonObject:
    """The first candidate of an answer or chunk, an empty object where there is none."""
    candidates = body.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    return first if isinstance(first, dict) else {}


def candidate_parts(body: JsonObject) -> list[JsonObject]:
    """The parts of the first candidate."""
    content = first_candidate(body).get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def dump(value: JsonObject) -> bytes:
    """Compact JSON. Half of a surrogate pair, which has no UTF-8, becomes "?"."""
    text = with_numbers(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return split_half(text)[0].encode("utf-8", "replace")


def _fault(error: JsonObject, message: str, status: int) -> UpstreamFault:
    fault = upstream_fault(_kind(error, message, status), message, status)
    # A wrong key is a 400 here; another candidate has another key.
    fault.retryable = fault.retryable or fault.kind == "authentication"
    fault.retry_after = _retry_delay(error)
    fault.details = error or None
    return fault


def _kind(error: JsonObject, message: str, status: int) -> Kind:
    if any(detail.get("reason") in ("API_KEY_INVALID", "API_KEY_EXPIRED") for detail in _details(error)):
        return "authentication"
    kind = _KIND_OF_STATUS_WORD.get(str(error.get("status"))) or KIND_OF_STATUS.get(status)
    if kind is None:
        kind = "bad_request" if 400 <= status < 500 else "upstream"
    if kind == "bad_request" and _TOO_LONG.search(message):
        return "context_length"
    if kind == "bad_request" and (status == 413 or "payload size exceeds" in message):
        return "too_large"
    if kind == "not_found" and "models/" in message:
        return "model_not_found"
    return kind


def _retry_delay(error: JsonObject) -> float | None:
    for detail in _details(error):
        match = _DURATION.fullmatch(str(detail.get("retryDelay")))
        if match:
            return float(match.group(1))
    return None


def _details(error: JsonObject) -> list[JsonObject]:
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _written(error: GatewayError, request_id: str) -> tuple[int, JsonObject]:
    kind, message = error.kind, error.message
    if isinstance(error, UpstreamFault) and kind in ("authentication", "permission"):
        # The gateway's own credential was refused: that is no fault of the client's, and the backend's words
        # may quote a part of the key.
        kind, message = "upstream", "The backend refused the gateway's credential."
    status, word = _WRITTEN[kind]
    if error.kind == "upstream" and 500 <= error.status < 600:
        status = error.status
    info: JsonObject = {"@type": _ERROR_INFO, "reason": error.kind.upper(), "domain": "skybridge"}
    info["metadata"] = {"request_id": request_id, **({"param": error.param} if error.param else {})}
    details: list[JsonObject] = [info]
    if error.retry_after is not None:
        details.append({"@type": _RETRY_INFO, "retryDelay": f"{math.ceil(error.retry_after)}s"})
    return status, {"error": {"code": status, "message": message, "status": word, "details": details}}


def _error_of(parsed: Any) -> JsonObject:
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _parsed(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
