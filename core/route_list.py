"""The table of endpoints for readers: every method and path, with `{model}` in the place of what varies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.routes import Endpoint, rows

# What a pattern of the table is made of: a group of alternatives, maybe optional, and a named part.
_GROUP = re.compile(r"\(\?:([^()]*)\)(\?)?")
_PART = re.compile(r"\(\?P<(\w+)>[^()]*\)")

_IDENTIFIED = frozenset({"response", "response_input", "delete_response"})


def listed_routes() -> Iterator[tuple[str, str, Endpoint]]:
    """Methods, path templates and endpoints; the application of the console is no endpoint."""
    for method, pattern, endpoint in rows():
        if endpoint.operation == "console":
            continue
        name = "response_id" if endpoint.operation in _IDENTIFIED else r"\1"
        template = _PART.sub(rf"{{{name}}}", pattern)
        for path in _spelled_out(template):
            yield method, path, endpoint


def _spelled_out(template: str) -> Iterator[str]:
    """The paths that a pattern with groups stands for."""
    found = _GROUP.search(template)
    if found is None:
        yield template
        return
    choices = found.group(1).split("|") + ([""] if found.group(2) else [])
    for choice in choices:
        yield from _spelled_out(template[: found.start()] + choice + template[found.end() :])
