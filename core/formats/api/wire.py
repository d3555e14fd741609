"""How `/api/v1` writes an error: `{"error": {"code", "message", "details"}}`, whole or as the event of a stream.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
import math
from typing import Any

from core.errors import GatewayError, Kind, UpstreamFault
from core.formats.contract import ErrorAnswer
from core.framing import sse
from core.http import HeaderList

PING = sse.comment("ping")
STREAM_CONTENT_TYPE = "text/event-stream"

# The statuses of this API. A failing backend is a 503 whatever it said: the client has nothing to do with it.
STATUSES = (400, 401, 403, 404, 405, 409, 413, 429, 500, 503)

CODES: dict[Kind, str] = {
    "bad_request": "BAD_REQUEST",
    "context_length": "CONTEXT_LENGTH_EXCEEDED",
    "content_filter": "CONTENT_FILTERED",
    "authentication": "UNAUTHORIZED",
    "permission": "FORBIDDEN",
    "billing": "UPSTREAM_BILLING",
    "quota": "QUOTA_EXCEEDED",
    "model_not_found": "MODEL_NOT_FOUND",
    "not_found": "NOT_FOUND",
    "method_not_allowed": "METHOD_NOT_ALLOWED",
    "timeout": "TIMEOUT",
    "conflict": "CONFLICT",
    "too_large": "PAYLOAD_TOO_LARGE",
    "rate_limit": "TOO_MANY_REQUESTS",
    "overloaded": "OVERLOADED",
    "configuration": "NOT_CONFIGURED",
    "upstream": "UPSTREAM_ERROR",
    "internal": "INTERNAL_ERROR",
    "spend_limit": "BUDGET_EXCEEDED",
    "cancelled": "CANCELLED",
}


def status_of(error: GatewayError) -> int:
    """The status that `error` is answered with here."""
    if error.status == 500 and isinstance(error, UpstreamFault):
        return 503
    if error.status in STATUSES:
        return error.status
    return 400 if error.kind in ("bad_request", "context_length", "content_filter") else 503


def error_object(error: GatewayError, request_id: str = "", details: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of an error. `details` names the field that is wrong, and when to come again, where there is one."""
    about: dict[str, Any] = dict(details or {})
    if error.param:
        about.setdefault("field", error.param)
    if error.retry_after is not None:
        about.setdefault("retry_after", max(1, math.ceil(error.retry_after)))
    if request_id:
        about.setdefault("request_id", request_id)
    return {"error": {"code": CODES[error.kind], "message": error.message, "details": about}}


def write_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """The whole answer."""
    headers: HeaderList = [("content-type", "application/json")]
    if error.retry_after is not None:
        headers.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
    body = json.dumps(error_object(error, request_id, getattr(error, "about", None)), ensure_ascii=False)
    return ErrorAnswer(status_of(error), headers, body.encode("utf-8", "replace"))


def error_event(error: GatewayError, request_id: str) -> bytes:
    """The event that ends a stream which failed."""
    body = json.dumps(error_object(error, request_id, getattr(error, "about", None)), ensure_ascii=False)
    return b"event: error\ndata: " + body.encode("utf-8", "replace") + b"\n\n"
