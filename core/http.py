"""The framework-neutral HTTP pair that the doors hand to the gateway and get back.

Header names are lower case throughout. A request's repeated headers are joined with ", " (RFC 9110, 5.3);
a response's stay apart, because `set-cookie` may not be joined.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

from core.slotted import field, slotted

type HeaderList = list[tuple[str, str]]


_TRACE_HEADERS = ("traceparent", "tracestate")


def trace_headers(headers: Mapping[str, str]) -> HeaderList:
    """W3C's place in a trace, which goes on to whoever is called next (https://www.w3.org/TR/trace-context/)."""
    return [(name, headers[name]) for name in _TRACE_HEADERS if name in headers]


@slotted
class Request:
    """One HTTP request, its body read whole.

    `path` is still percent-encoded and has no query; `query` has no question mark. `deadline` is the
    platform's: a reading of `Clock.monotonic()` by which the answer must have ended, None where there is none;
    `first_byte_deadline` the same for its beginning, which bounds an answer that is not streamed. `principal` is who
    the platform says is calling (an IAM ARN), "" where it authenticates nobody; it never comes from a header. `sent`
    tells how many bytes of the answer have gone out, where the platform asks for money for them.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    deadline: float | None = None
    first_byte_deadline: float | None = None
    principal: str = ""
    sent: Callable[[], int] | None = None


@slotted
class Response:
    """One HTTP response. A body that is a generator is streamed: the door closes it when the client goes."""

    status: int
    headers: HeaderList
    body: bytes | AsyncGenerator[bytes]

    def header(self, name: str) -> str | None:
        """The first value of the header `name` (lower case), None when it is absent."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


# All headers of an answer together may not exceed 8 KB or so anywhere on the way (Node's clients: 16 KB).
_LONGEST_LIST = 2_000


def listed(names: Sequence[str]) -> str:
    """`names` as a header's list. A long one does without the numbers of places that are alike (`tools[7].strict` is
    `tools[].strict`), and a longer one ends in how many more there are."""
    text = ", ".join(names)
    if len(text) <= _LONGEST_LIST:
        return text
    import re  # noqa: PLC0415  # hardly ever

    shorter = list(dict.fromkeys(re.sub(r"\[\d+\]", "[]", name) for name in names))
    kept: list[str] = []
    size = 0
    for name in shorter:
        size += len(name) + 2
        if size > _LONGEST_LIST:
            return ", ".join([*kept, f"and {len(shorter) - len(kept)} more"])
        kept.append(name)
    return ", ".join(kept)


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name, those that are there more than once joined with ", " (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
