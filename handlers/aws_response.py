"""An HTTP answer in the forms that Lambda's fronts read: a stream's prelude, or one buffered JSON object.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload
https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#respond-to-load-balancer
"""

from __future__ import annotations

import base64
import json
from typing import Any

from handlers.aws_events import BadEvent, Front, HttpEvent

type HeaderRows = list[tuple[bytes, bytes]]

PRELUDE_END = b"\0" * 8
# RFC 9110, 7.6.1: these speak of one connection, and the client's is the front's.
HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
TEXT_TYPES = frozenset(
    {
        "application/json",
        "application/javascript",
        "application/xml",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/yaml",
    }
)
TEXT_SUFFIXES = ("+json", "+xml")
JSON: HeaderRows = [(b"content-type", b"application/json")]
# What an answer may have that does not stream, in megabytes, and who gives it:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
MEGABYTE = 1024 * 1024
LAMBDA_LIMIT = (6, b"Lambda")
LIMITS: dict[Front, tuple[int, bytes]] = {"load-balancer": (1, b"a load balancer")}
# Not a 5xx, which clients would try again, and pay for again.
TOO_LARGE = (
    b'{"error":{"type":"response_too_large","message":"The answer is larger than the %d MB that %b takes '
    b'unless it streams. Ask the function URL, which streams, or for a shorter answer."}}'
)


class Head:
    """An answer's status and headers, by lower-case name in order of appearance."""

    def __init__(self, status: int, headers: HeaderRows) -> None:
        self.status = status
        self.headers: dict[str, list[str]] = {}
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.headers.setdefault(name.lower().decode("latin-1"), []).append(value.decode("latin-1"))

    def joined(self) -> dict[str, str]:
        """The headers but set-cookie, repeated ones joined (RFC 9110, 5.3)."""
        return {name: ", ".join(values) for name, values in self.headers.items() if name != "set-cookie"}

    def cookies(self) -> list[str]:
        """The values of set-cookie, which may not be joined."""
        return self.headers.get("set-cookie", [])


def prelude(event: HttpEvent, head: Head) -> bytes:
    """The JSON in front of a streamed body, without the eight NUL bytes that end it."""
    members: dict[str, Any] = {"statusCode": head.status, "headers": head.joined()}
    if event.front == "rest-api":
        rows = head.headers.items()
        repeated = {name: values for name, values in rows if len(values) > 1 or name == "set-cookie"}
        members["headers"] = {name: values[0] for name, values in rows if name not in repeated}
        members["multiValueHeaders"] = repeated
    else:
        members["cookies"] = head.cookies()
    return json.dumps(members, separators=(",", ":")).encode()


def buffered(event: HttpEvent, head: Head, body: bytes) -> bytes:
    """The whole answer as the JSON object that `event`'s front takes, or in its place a 413 that the front takes."""
    answer = _whole(event, head, body)
    limit = LIMITS.get(event.front, LAMBDA_LIMIT)
    return answer if len(answer) <= limit[0] * MEGABYTE else _whole(event, Head(413, JSON), TOO_LARGE % limit)


def refused(fault: BadEvent) -> bytes:
    """The answer to an event that is malformed, in the form that all fronts read."""
    error = {"type": "invalid_request_error", "message": f"The event is no HTTP request as its front sends it: {fault}"}
    return _whole(HttpEvent("http-api", "GET", "/", ""), Head(400, JSON), json.dumps({"error": error}).encode())


def _whole(event: HttpEvent, head: Head, body: bytes) -> bytes:
    text = None if is_binary(head) else _decode(body)
    members: dict[str, Any] = {"statusCode": head.status}
    if event.front == "load-balancer":
        members["statusDescription"] = f"{head.status} {REASONS.get(head.status, 'Status')}"
    members |= _header_members(event, head)
    members["body"] = base64.b64encode(body).decode() if text is None else text
    members["isBase64Encoded"] = text is None
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def is_binary(head: Head) -> bool:
    """True where the body has to travel as base64, by what its headers say of it."""
    if "content-encoding" in head.headers:
        return True
    content_type = head.joined().get("content-type", "").partition(";")[0].strip().lower()
    return not (
        content_type.startswith("text/") or content_type in TEXT_TYPES or content_type.endswith(TEXT_SUFFIXES)
    )


def _header_members(event: HttpEvent, head: Head) -> dict[str, Any]:
    if event.multi_value:
        return {"multiValueHeaders": head.headers}
    if event.front != "load-balancer":
        return {"headers": head.joined(), "cookies": head.cookies()}
    headers = head.joined()
    for index, cookie in enumerate(head.cookies()):
        headers[_cased("set-cookie", index)] = cookie
    return {"headers": headers}


def _cased(name: str, index: int) -> str:
    """`name` in the `index`-th mixture of upper and lower case: a load balancer without multi-value headers
    takes each name once, and clients do not care for its case."""
    return "".join(
        letter.upper() if index >> position & 1 else letter for position, letter in enumerate(name.lower())
    )


def _decode(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


# A load balancer wants the reason phrase; http.HTTPStatus would cost more to import than these cost to list.
REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    301: "Moved Permanently",
    302: "Found",
    304: "Not Modified",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

# Which fronts take a stream at all. A REST API does so only where it was set to, which no event tells.
STREAMING_FRONTS: frozenset[Front] = frozenset({"function-url", "rest-api"})


def may_stream(event: HttpEvent, mode: str) -> bool:
    """Whether `event`'s front takes a stream. `mode`: auto, streaming or buffered, as the operator says.

    auto: function URLs get a stream, everything else does not.
    """
    if mode == "auto":
        return event.front == "function-url"
    return mode == "streaming" and event.front in STREAMING_FRONTS
