"""OpenAI's error envelope, which Chat Completions, Responses and Embeddings share, both ways.

Reads what OpenAI, Azure OpenAI, OpenRouter, LiteLLM, Databricks and plain proxies send; writes OpenAI's own
`{"error": {"message", "type", "param", "code"}}` (https://platform.openai.com/docs/guides/error-codes).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from core.errors import (
    KIND_OF_STATUS,
    STATUS,
    GatewayError,
    Kind,
    RawError,
    UpstreamFault,
    retry_after_seconds,
    upstream_fault,
    words_of,
)
from core.formats.contract import ErrorAnswer
from core.http import HeaderList
from core.json_edit import JsonObject
from core.slotted import slotted

_LONGEST_MESSAGE = 2000

# OpenRouter's moderation answers 403, and names in `metadata` what it disliked.
_FLAGGED = "flagged_input"

# What a backend's `code`, `type`, Databricks' `error_code` or OpenRouter's `error_type` means, in lower case.
_KIND_OF_WORD: dict[str, Kind] = {
    "context_length_exceeded": "context_length",
    "contextwindowexceedederror": "context_length",
    "string_above_max_length": "bad_request",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "contentpolicyviolationerror": "content_filter",
    "responsibleaipolicyviolation": "content_filter",
    _FLAGGED: "content_filter",
    "invalid_prompt": "content_filter",
    "invalid_api_key": "authentication",
    "authentication_error": "authentication",
    "unauthenticated": "authentication",
    "permission_denied": "permission",
    "permission_error": "permission",
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "payment_required": "billing",
    "insufficient_credits": "billing",
    "budget_exceeded": "quota",
    "model_not_found": "model_not_found",
    "deploymentnotfound": "model_not_found",
    "endpoint_not_found": "model_not_found",
    "resource_does_not_exist": "model_not_found",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "request_limit_exceeded": "rate_limit",
    "too_many_requests": "rate_limit",
    "provider_overloaded": "overloaded",
    "server_is_overloaded": "overloaded",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "slow_down": "overloaded",
    "temporarily_unavailable": "overloaded",
    "provider_unavailable": "upstream",
    "timeout": "timeout",
    "timeout_error": "timeout",
    "request_too_large": "too_large",
    "configuration_error": "configuration",
    "server_error": "upstream",
    "internal_error": "upstream",
}

# How servers that speak this format word a prompt that is too long; only looked for in a refusal (4xx).
_CONTEXT_WORDINGS = (
    "maximum context length",
    "context_length_exceeded",
    "exceeds the context window",
    "context window of this model",
    "exceed context limit",
    "exceeds the model's context",
    "exceeds the maximum number of tokens",
    "exceeds the available context size",
    "prompt is too long",
    "input is too long",
    "prompt contains too many tokens",
    "contextwindowexceedederror",
)

_KINDS_THAT_WORDING_DECIDES = frozenset[Kind]({"bad_request", "too_large", "upstream", "content_filter"})


class _Row(NamedTuple):
    """How an error kind reads in OpenAI's words."""

    status: int
    type: str
    code: str | None


_ROWS: dict[Kind, _Row] = {
    "bad_request": _Row(400, "invalid_request_error", None),
    "context_length": _Row(400, "invalid_request_error", "context_length_exceeded"),
    "content_filter": _Row(400, "invalid_request_error", "content_filter"),
    "authentication": _Row(401, "invalid_request_error", "invalid_api_key"),
    "permission": _Row(403, "invalid_request_error", "permission_denied"),
    "billing": _Row(429, "insufficient_quota", "insufficient_quota"),
    "quota": _Row(429, "insufficient_quota", "insufficient_quota"),
    "model_not_found": _Row(404, "invalid_request_error", "model_not_found"),
    "not_found": _Row(404, "invalid_request_error", None),
    "method_not_allowed": _Row(405, "invalid_request_error", "method_not_allowed"),
    "timeout": _Row(504, "server_error", "timeout"),
    "conflict": _Row(409, "invalid_request_error", "conflict"),
    "too_large": _Row(413, "invalid_request_error", "request_too_large"),
    "rate_limit": _Row(429, "requests", "rate_limit_exceeded"),
    "overloaded": _Row(503, "server_error", "overloaded"),
    "configuration": _Row(503, "configuration_error", "configuration_error"),
    "upstream": _Row(502, "server_error", "upstream_error"),
    "internal": _Row(500, "server_error", "server_error"),
    "spend_limit": _Row(429, "insufficient_quota", "insufficient_quota"),
    "cancelled": _Row(499, "server_error", "request_cancelled"),
}

# Clients act on these codes (Codex compacts on context_length_exceeded): a backend's variant is not used.
_FIXED_CODES = frozenset[Kind](
    {"context_length", "content_filter", "quota", "billing", "spend_limit", "rate_limit"}
)

# Waiting does not help here; OpenAI's SDKs retry every 429 unless this header says no.
_NO_RETRY = frozenset[Kind]({"quota", "billing", "spend_limit"})

# A backend that refuses the gateway's own credential is the gateway's trouble: on a 401 clients log in.
_OWN_CREDENTIAL = frozenset[Kind]({"authentication", "permission"})
_OWN_CREDENTIAL_MESSAGE = "The backend refused the gateway's credential."


@slotted
class _Found:
    """The error object of a body, whatever wraps it; every member as text, "" when absent."""

    message: str = ""
    words: tuple[str, ...] = ()
    code: str = ""
    param: str | None = None
    http_code: int | None = None
    details: JsonObject | None = None


def read_openai_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """The fault that a backend's error answer means. `headers` have lower-case names.

    Also for a 200 whose body is an error (OpenRouter): its own `code` is then the status, 502 without one.
    """
    found = _find(_parse(body))
    answered = status
    if found.http_code is not None and status < 400:
        status = found.http_code
    if status < 400:
        status = 502
    message = found.message or words_of(answered, body)
    kind = _kind_of(status, found, message)
    fault = upstream_fault(kind, message, status, retry_after=retry_after_seconds(headers))
    fault.code = found.code or None
    fault.param = found.param
    fault.details = found.details
    fault.raw = RawError(status, dict(headers), body)
    return fault


def read_error_object(error: Any, *, default: Kind = "upstream") -> UpstreamFault:
    """The fault that an error object inside a stream (or inside a failed Response) means: there is no status,
    so it follows from the object's own code, else from `default`."""
    found = _find({"error": error})
    kind = _kind_of(found.http_code or 0, found, found.message)
    if kind == "upstream" and not found.words:
        kind = default
    status = found.http_code or STATUS[kind]
    fault = upstream_fault(kind, found.message or "The backend reported an error without a message.", status)
    fault.code = found.code or None
    fault.param = found.param
    fault.details = found.details
    return fault


def openai_error_object(error: GatewayError) -> JsonObject:
    """`{"message", "type", "param", "code"}` for `error`: the inside of the envelope."""
    if _is_own_credential(error):
        return {
            "message": _OWN_CREDENTIAL_MESSAGE,
            "type": "server_error",
            "param": None,
            "code": "upstream_authentication",
        }
    row = _ROWS[error.kind]
    code = row.code if error.kind in _FIXED_CODES else error.code or row.code
    return {"message": error.message, "type": row.type, "param": error.param, "code": code}


def write_openai_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """`error` as OpenAI would answer it. Its body has no place for `request_id`: that goes in `x-request-id`,
    which the gateway sets on every answer."""
    body = json.dumps({"error": openai_error_object(error)}, separators=(",", ":"))
    headers: HeaderList = [("content-type", "application/json"), *_retry_headers(error)]
    headers += [(name, value) for name, value in error.headers.items() if name not in dict(headers)]
    return ErrorAnswer(_status_for_client(error), headers, body.encode())


def _is_own_credential(error: GatewayError) -> bool:
    return isinstance(error, UpstreamFault) and error.kind in _OWN_CREDENTIAL


def _status_for_client(error: GatewayError) -> int:
    if _is_own_credential(error):
        return 502
    if isinstance(error, UpstreamFault):
        return _ROWS[error.kind].status
    return 503 if error.status == 529 else error.status


def _retry_headers(error: GatewayError) -> HeaderList:
    headers = [("x-should-retry", "false")] if error.kind in _NO_RETRY else []
    seconds = error.retry_after
    if seconds is None and error.kind == "rate_limit":
        seconds = 1.0  # Codex retries a 429 only when it is told when
    if seconds is not None:
        headers.append(("retry-after", str(math.ceil(seconds))))
        if seconds != math.ceil(seconds):
            headers.append(("retry-after-ms", str(math.ceil(seconds * 1000))))
    return headers


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _find(value: Any) -> _Found:
    """The error inside a parsed body: enveloped (OpenAI), flat (Databricks, API Management), or in a list."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return _Found()
    error = value.get("error", value)
    if isinstance(error, str):
        # A word beside a message is a code; alone it may be a sentence, as Ollama's is.
        error = {"message": value.get("message") or error, "code": "" if " " in error else error}
    if not isinstance(error, dict):
        return _Found()
    return _found_in(error)


def _found_in(error: JsonObject) -> _Found:
    code = error.get("code", error.get("error_code", error.get("statusCode")))
    words = [code, error.get("type"), error.get("status")]
    for inner in (error.get("innererror"), error.get("metadata")):
        if isinstance(inner, dict):
            words += [inner.get("code"), inner.get("error_type"), _FLAGGED if _FLAGGED in inner else None]
    param = error.get("param")
    return _Found(
        message=_message_of(error),
        words=tuple(word.lower() for word in words if isinstance(word, str) and not word.isdigit()),
        code=code if isinstance(code, str) and not code.isdigit() else "",
        param=param if isinstance(param, str) else None,
        http_code=_http_code(code),
        details=error,
    )


def _message_of(error: JsonObject) -> str:
    """The message. OpenRouter's own says only "Provider returned error"; the backend's is in metadata.raw."""
    for name in ("message", "detail", "error_message"):
        message = error.get(name)
        if isinstance(message, str) and message:
            metadata = error.get("metadata")
            raw = metadata.get("raw") if isinstance(metadata, dict) else None
            whole = f"{message}: {raw}" if isinstance(raw, str) and raw else message
            return whole[:_LONGEST_MESSAGE]
    return ""


def _http_code(code: Any) -> int | None:
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599 else None


def _kind_of(status: int, found: _Found, message: str) -> Kind:
    kind = next((_KIND_OF_WORD[word] for word in found.words if word in _KIND_OF_WORD), None)
    if kind is None or kind == "upstream":  # "server_error" says less than a status does
        kind = KIND_OF_STATUS.get(status, kind or ("bad_request" if 400 <= status < 500 else "upstream"))
    if kind in _KINDS_THAT_WORDING_DECIDES and status < 500:
        lowered = message.lower()
        if any(wording in lowered for wording in _CONTEXT_WORDINGS):
            return "context_length"
    return kind
