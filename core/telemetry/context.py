"""Where a request stands in a trace, as W3C and X-Ray write it in headers.

https://www.w3.org/TR/trace-context/
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.slotted import slotted

# Version ff is forbidden; later versions than 00 may carry more, which is ignored.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_XRAY_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_XRAY_PARENT = re.compile(r"[0-9a-f]{16}")
# What a receiver must be able to carry (section 3.3.1.5) is 512 characters; headers of a request have a bound anyway.
LONGEST_STATE = 8192


@slotted(frozen=True)
class TraceContext:
    """The caller's place. Ids are lower case hexadecimal, 32 and 16 digits. `parent` is "" where only the trace is
    known. `sampled` None: the caller has not decided. `state` is vendors' own, carried as it is."""

    trace_id: str
    parent: str
    sampled: bool | None
    state: str = ""


def read_traceparent(headers: Mapping[str, str]) -> TraceContext | None:
    """The W3C headers; None where there are none, or what they say is not valid."""
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", "").strip())
    if match is None:
        return None
    version, trace_id, parent, flags, more = match.groups()
    if not int(trace_id, 16) or not int(parent, 16) or (version == "00" and more):
        return None
    state = headers.get("tracestate", "")
    return TraceContext(trace_id, parent, bool(int(flags, 16) & 1), state if len(state) <= LONGEST_STATE else "")


def read_xray(header: str) -> TraceContext | None:
    """`Root=1-...;Parent=...;Sampled=1`, in any order, with members of no interest here.

    `Sampled=0` only says that X-Ray keeps no record (Lambda says so whenever tracing is off): it decides nothing.
    """
    members = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    root = _XRAY_ROOT.fullmatch(members.get("Root", ""))
    if root is None:
        return None
    trace_id = root[1] + root[2]
    parent = members.get("Parent", "")
    if not int(trace_id, 16):
        return None
    known = _XRAY_PARENT.fullmatch(parent) is not None and bool(int(parent, 16))
    return TraceContext(trace_id, parent if known else "", True if members.get("Sampled") == "1" else None)


def caller_of(headers: Mapping[str, str], platform: str) -> TraceContext | None:
    """The caller's place: W3C's headers, else X-Ray's as the platform tells it, else as a header has it."""
    found = read_traceparent(headers)
    if found is None and platform:
        found = read_xray(platform)
    if found is None and "x-amzn-trace-id" in headers:
        found = read_xray(headers["x-amzn-trace-id"])
    return found


def traceparent(trace_id: str, span_id: str, sampled: bool) -> str:
    """The header for whoever is called next."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"
