"""Every failure that the gateway knows, split by whose fault it is and what happens next.

GatewayError                    has a status, a kind (the key of each format's error table) and a message
├── ClientFault                 400-class: no other candidate would do better; the client must change something
├── Refused                     this gateway's own auth, limit or overload said no
├── NotConfigured               the operator left something out: 503 configuration_error, names the variable
├── Unsupported                 this candidate cannot represent the request: next candidate, else a 400
├── UpstreamFault               a backend answered with an error, or not at all: maybe the next candidate
└── StreamBroken                the backend failed after the commit point: an error event ends the stream

Kinds are neutral; each format's `write_error` renders them in its own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from core.slotted import slotted

type Kind = Literal[
    "bad_request",
    "context_length",
    "content_filter",
    "authentication",
    "permission",
    "billing",
    "quota",
    "model_not_found",
    "not_found",
    "method_not_allowed",
    "timeout",
    "conflict",
    "too_large",
    "rate_limit",
    "overloaded",
    "configuration",
    "upstream",
    "internal",
    "spend_limit",
    "cancelled",
]

# The status that goes with each kind where a backend gave none of its own.
STATUS: dict[Kind, int] = {
    "bad_request": 400,
    "context_length": 400,
    "content_filter": 400,
    "authentication": 401,
    "permission": 403,
    "billing": 402,
    "quota": 429,
    "model_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "timeout": 504,
    "conflict": 409,
    "too_large": 413,
    "rate_limit": 429,
    "overloaded": 503,
    "configuration": 503,
    "upstream": 502,
    "internal": 500,
    "spend_limit": 429,
    "cancelled": 499,
}


# The kind that a backend's status stands for where its body says nothing more precise.
KIND_OF_STATUS: dict[int, Kind] = {
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    499: "cancelled",
    503: "overloaded",
    504: "timeout",
    524: "timeout",
    529: "overloaded",
}


class GatewayError(Exception):
    """The root. `param` names the offending member of the request, where there is one. `about` is what only the
    console's API tells beside the message, `backend` the name of the one that failed, for the log."""

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.status = STATUS[kind] if status is None else status
        self.param = param
        self.retry_after = retry_after
        self.code: str | None = None
        self.headers: dict[str, str] = {}
        self.about: dict[str, Any] = {}
        self.backend = ""


class ClientFault(GatewayError):
    """The request is wrong; no candidate is tried (again)."""


class Refused(GatewayError):
    """This gateway says no: wrong key, limit reached, too many requests in flight."""


class NotConfigured(GatewayError):
    """The operator's configuration lacks something that this request needs."""

    def __init__(self, message: str) -> None:
        super().__init__("configuration", message)


class Unsupported(GatewayError):
    """The candidate's format cannot carry `feature`; another candidate may."""

    def __init__(self, feature: str, message: str) -> None:
        super().__init__("bad_request", message, param=feature)
        self.feature = feature


@slotted
class RawError:
    """A backend's error as it came: relayed as it is when client and backend speak the same format."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class UpstreamFault(GatewayError):
    """A backend's failure. `retryable`: the next candidate may do better. `raw` is None when nothing came.

    `details` is the backend's parsed error object, for the log and for clients of the same format.
    """

    retryable: bool = False
    raw: RawError | None = None
    details: dict[str, Any] | None = None


class StreamBroken(UpstreamFault):
    """The backend failed after the first byte had gone to the client."""


# Statuses after which the next candidate is tried. A 400 is about the content: it would fail there too.
RETRYABLE_STATUSES = frozenset({401, 403, 408, 409, 424, 429, 500, 501, 502, 503, 504, 520, 522, 524, 529})

# One account's empty purse says nothing about the next candidate's.
RETRYABLE_KINDS: frozenset[Kind] = frozenset({"billing", "spend_limit", "quota"})


def upstream_fault(kind: Kind, message: str, status: int, *, retry_after: float | None = None) -> UpstreamFault:
    """An UpstreamFault whose `retryable` follows from its status and kind."""
    fault = UpstreamFault(kind, message, status=status, retry_after=retry_after)
    fault.retryable = status in RETRYABLE_STATUSES or status >= 500 or kind in RETRYABLE_KINDS
    return fault


# A backend's number with more digits is no time.
_LONGEST_NUMBER = 16


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as `retry-after-ms` or `retry-after` (delta-seconds) say; None when neither is there.

    An HTTP date is left to the policy, which has a clock (RFC 9110, 10.2.3).
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if len(value) < _LONGEST_NUMBER and value.replace(".", "", 1).isdecimal():
            return float(value) / scale
    return None


# An error's body is quoted so far.
_LONGEST_QUOTE = 2000


def words_of(status: int, body: bytes) -> str:
    """What is told of an error whose body has no message in a known place: its plain text, or its JSON; a proxy's page
    says nothing to a client."""
    text = body[: _LONGEST_QUOTE * 4].decode("utf-8", "replace").strip()
    if not text or text.startswith("<") or text in ("{}", "[]", "null"):
        return f"The backend answered with status {status}."
    if text.startswith(("{", "[", '"')):
        text = f"The backend answered with status {status}: {text}"
    return text[:_LONGEST_QUOTE]
