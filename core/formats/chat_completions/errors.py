"""Errors of the Chat Completions surface, read from any server that speaks it and written as OpenAI does.

https://platform.openai.com/docs/guides/error-codes. What servers send instead of
`{"error": {"message", "type", "param", "code"}}`: OpenRouter's `code` is the HTTP status and its error may stand
in a 200; Azure nests the reason in `innererror`; Databricks sends `{"error_code", "message"}`; API gateways send
`{"statusCode", "message"}`; vLLM and others `{"detail"}` or the members of `error` at the top.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from core.errors import (
    GatewayError,
    Kind,
    RawError,
    UpstreamFault,
    retry_after_seconds,
    upstream_fault,
)
from core.formats.contract import ErrorAnswer
from core.http import HeaderList

# The words by which servers name a cause, lower case: `code`, `type`, `innererror.code`, `metadata.error_type`,
# `error_code`. What is not here follows from the status.
_KINDS_BY_WORD: dict[str, Kind] = {
    "context_length_exceeded": "context_length",
    "contextwindowexceedederror": "context_length",
    "exceed_context_size_error": "context_length",
    "model_context_window_exceeded": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "contentpolicyviolationerror": "content_filter",
    "responsibleaipolicyviolation": "content_filter",
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "quota_exceeded": "quota",
    "billing_not_active": "billing",
    "payment_required": "billing",
    "insufficient_credits": "billing",
    "rate_limit_exceeded": "rate_limit",
    "request_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "throttling_error": "rate_limit",
    "invalid_api_key": "authentication",
    "authentication_error": "authentication",
    "unauthenticated": "authentication",
    "permission_denied": "permission",
    "model_not_found": "model_not_found",
    "deploymentnotfound": "model_not_found",
    "endpoint_not_found": "model_not_found",
    "resource_does_not_exist": "model_not_found",
    "request_too_large": "too_large",
    "slow_down": "overloaded",
    "server_overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "engine_overloaded": "overloaded",
    "provider_overloaded": "overloaded",
    "temporarily_unavailable": "overloaded",
    "provider_unavailable": "upstream",
    "deadline_exceeded": "timeout",
    "timeout_error": "timeout",
}

_KINDS_BY_STATUS: dict[int, Kind] = {
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    424: "upstream",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

# What a message must say, lower case, for a 4xx without a telling code to have a narrower cause.
_KINDS_BY_PHRASE: tuple[tuple[str, Kind], ...] = (
    ("maximum context length", "context_length"),
    ("maximum prompt length", "context_length"),
    ("context length exceeded", "context_length"),
    ("context_length_exceeded", "context_length"),
    ("exceeds the context", "context_length"),
    ("exceed context window", "context_length"),
    ("context window", "context_length"),
    ("context size", "context_length"),
    ("prompt is too long", "context_length"),
    ("input is too long", "context_length"),
    ("input token count", "context_length"),
    ("too many input tokens", "context_length"),
    ("content management policy", "content_filter"),
    ("you exceeded your current quota", "quota"),
    ("insufficient credits", "billing"),
    ("requires more credits", "billing"),
    ("invalid model name", "model_not_found"),
    ("not a valid model id", "model_not_found"),
)
_PHRASE_STATUSES = frozenset({400, 402, 404, 413, 422, 429, 500})

# Another candidate has another account, whatever the status was.
_RETRYABLE_KINDS: frozenset[Kind] = frozenset({"quota", "billing", "authentication", "permission"})
# About the content: it would fail elsewhere too.
_FINAL_KINDS: frozenset[Kind] = frozenset({"context_length", "content_filter"})

# kind -> (status, type, code) as OpenAI answers. A None code lets the error's own one through.
_ANSWERS: dict[Kind, tuple[int, str, str | None]] = {
    "bad_request": (400, "invalid_request_error", None),
    "context_length": (400, "invalid_request_error", "context_length_exceeded"),
    "content_filter": (400, "invalid_request_error", "content_filter"),
    "authentication": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", "insufficient_permissions"),
    "billing": (429, "insufficient_quota", "insufficient_quota"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "not_found": (404, "invalid_request_error", None),
    "method_not_allowed": (405, "invalid_request_error", "method_not_allowed"),
    "timeout": (504, "server_error", "timeout"),
    "conflict": (409, "invalid_request_error", None),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "rate_limit": (429, "requests", "rate_limit_exceeded"),
    "overloaded": (503, "server_error", "server_overloaded"),
    "configuration": (503, "configuration_error", "configuration_error"),
    "upstream": (502, "server_error", None),
    "internal": (500, "server_error", None),
    "spend_limit": (429, "insufficient_quota", "spend_limit_exceeded"),
    "cancelled": (499, "invalid_request_error", "request_cancelled"),
}
# Kinds whose own status says more than the table's, where it is one of these.
_OWN_STATUSES: dict[Kind, frozenset[int]] = {
    "bad_request": frozenset({400, 411, 415, 422}),
    "upstream": frozenset({500, 502}),
}
_MESSAGE_LIMIT = 2000


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """A server's error answer as a fault, whatever its shape; `raw` keeps it as it came.

    `status` may be 200 where the body holds an error (OpenRouter).
    """
    fault = fault_of(_parsed(body), status, headers)
    if not fault.message:
        text = body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip()
        fault.message = text if text and not text.startswith("<") else f"the backend answered with status {status}"
        fault.args = (fault.message,)
    fault.raw = RawError(status, headers, body)
    return fault


def fault_of(parsed: object, status: int, headers: Mapping[str, str]) -> UpstreamFault:
    """The fault that an error object describes. `parsed`: a whole body or stream frame, decoded; any JSON value.

    The message is "" where there was none.
    """
    error = _error_object(parsed)
    code = error.get("code")
    number = _status_number(code)
    if status < 400:
        status = number or 502
    words = _words(error)
    message = _message(error)
    kind = _kind(status, words, message)
    fault = upstream_fault(kind, message, status, retry_after=retry_after_seconds(headers))
    fault.code = code if isinstance(code, str) and number is None else (words[0] if words else None)
    param = error.get("param")
    fault.param = param if isinstance(param, str) else None
    fault.details = error or None
    if kind in _FINAL_KINDS:
        fault.retryable = False
    elif kind in _RETRYABLE_KINDS:
        fault.retryable = True
    return fault


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error_object(parsed: object) -> dict[str, Any]:
    # Gemini's OpenAI-shaped endpoint wraps its error in a list.
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return {"message": parsed} if isinstance(parsed, str) else {}
    error = parsed.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {**parsed, "message": parsed.get("message") or error}
    return parsed


def _status_number(code: object) -> int | None:
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _words(error: dict[str, Any]) -> list[str]:
    """Every machine-readable name of the cause, most telling first; HTTP numbers are none."""
    inner = error.get("innererror")
    metadata = error.get("metadata")
    found = [
        error.get("code"),
        metadata.get("error_type") if isinstance(metadata, dict) else None,
        inner.get("code") if isinstance(inner, dict) else None,
        error.get("error_code"),
        error.get("type"),
        error.get("status"),
    ]
    return [word for word in found if isinstance(word, str) and word and not word.isdigit()]


def _message(error: dict[str, Any]) -> str:
    message = error.get("message") or error.get("detail") or error.get("error_message") or ""
    if not isinstance(message, str):
        message = json.dumps(message, ensure_ascii=False)
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, str) and raw and raw not in message:
        # OpenRouter's own message is often just "Provider returned error".
        message = f"{message}: {raw}"
    return message[:_MESSAGE_LIMIT]


def _kind(status: int, words: list[str], message: str) -> Kind:
    for word in words:
        kind = _KINDS_BY_WORD.get(word.lower())
        if kind is not None:
            return kind
    if status in _PHRASE_STATUSES:
        lowered = message.lower()
        for phrase, kind in _KINDS_BY_PHRASE:
            if phrase in lowered:
                return kind
    if status == 404 and "model" in message.lower():
        return "model_not_found"
    return _KINDS_BY_STATUS.get(status) or ("bad_request" if status < 500 else "upstream")


def write_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """An error as OpenAI's API answers it (wire-formats: statuses and codes). `request_id` travels in the
    answer's headers, which the gateway writes; OpenAI's body has no place for it."""
    status, body = _rendered(error)
    headers: HeaderList = [("content-type", "application/json")]
    if error.retry_after is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after))))
        if error.retry_after != int(error.retry_after):
            headers.append(("retry-after-ms", str(math.ceil(error.retry_after * 1000))))
    headers += [(name, value) for name, value in error.headers.items() if name != "retry-after"]
    return ErrorAnswer(status, headers, json.dumps(body, separators=(",", ":")).encode())


def error_event(error: GatewayError, request_id: str) -> bytes:
    """The frame that ends a stream with an error: OpenAI's SDKs raise on a top-level `error`.

    No [DONE] follows it: a reader that knows no error frames must see a cut stream, not a finished answer.
    """
    _, body = _rendered(error)
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def _rendered(error: GatewayError) -> tuple[int, dict[str, Any]]:
    status, type_, code = _ANSWERS[error.kind]
    message = error.message
    if isinstance(error, UpstreamFault) and error.kind in ("authentication", "permission"):
        # The gateway's credential was refused, not the client's; the backend's words may show parts of it.
        status, type_, code = 502, "server_error", "upstream_authentication_failed"
        message = f"The backend refused the gateway's credential (status {error.status})."
    elif error.status in _OWN_STATUSES.get(error.kind, ()):
        status = error.status
    return status, {
        "error": {"message": message, "type": type_, "param": error.param, "code": code or error.code},
    }
