"""The errors of the console's operations, as their OpenAPI document tells them."""

from __future__ import annotations

from typing import Any, Final

from handlers.admin_models import FaultAnswer

WORDS: Final = {
    400: "The request is wrong; `details.field` says where.",
    401: "No key, or a wrong one.",
    403: "Not for this caller.",
    404: "There is no such thing.",
    409: "Not in the state that it is in.",
    413: "The body, or a file in it, is too large.",
    429: "Too many requests, or a budget is used up; `details.retry_after` says when to come again.",
    500: "The gateway failed.",
    503: "Not configured, or a store or backend that cannot be reached.",
}


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that an operation may answer with: 400 and 401, which all of them may, and `statuses`."""
    return {status: {"model": FaultAnswer, "description": WORDS[status]} for status in (400, 401, *statuses)}
