"""Checked access to a client's JSON: a wrong type becomes a 400 in Google's words, with the member's path.

Google's servers take member names in camelCase and in snake_case alike (ProtoJSON), and so does this.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from core.conversation import JsonObject
from core.errors import ClientFault
from core.formats.arguments import spaced_text

_CAPITAL = re.compile(r"(?<!^)([A-Z])")


def invalid(path: str, message: str) -> ClientFault:
    """The fault of a member at `path`."""
    return ClientFault("bad_request", f"Invalid value at '{path}': {message}", param=path)


@cache
def snake_case(name: str) -> str:
    """`maxOutputTokens` is `max_output_tokens`. Asked for the names that this format knows, which are few."""
    return _CAPITAL.sub(r"_\1", name).lower()


def json_text(value: Any, path: str) -> str:
    """The member at `path` as JSON text."""
    try:
        return spaced_text(value)
    except RecursionError:
        raise invalid(path, "it is nested too deeply.") from None


class Fields:
    """One object of a request. Each `take` removes a member, so that `rest` is what nobody asked for.

    Every method raises ClientFault where the member has another type; None and absence are the same.
    """

    __slots__ = ("path", "rest")

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise invalid(path or "body", "an object is expected.")
        self.path = path
        self.rest: JsonObject = {name: member for name, member in value.items() if member is not None}

    def at(self, name: str) -> str:
        """The path of the member `name`."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str) -> Any:
        """The member `name` in either spelling."""
        rest = self.rest
        if not rest:
            return None
        value = rest.pop(name, None)
        return rest.pop(snake_case(name), None) if value is None else value

    def text(self, name: str) -> str | None:
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            raise invalid(self.at(name), "a string is expected.")
        return value

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise invalid(self.at(name), "it is required.")
        return value

    def boolean(self, name: str) -> bool | None:
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise invalid(self.at(name), "true or false is expected.")
        return value

    def number(self, name: str) -> float | None:
        value = self.take(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise invalid(self.at(name), "a number is expected.")
        return value

    def integer(self, name: str) -> int | None:
        value = self.number(name)
        if isinstance(value, float):
            if not value.is_integer():
                raise invalid(self.at(name), "an integer is expected.")
            value = int(value)
        return value

    def count(self, name: str) -> int | None:
        """A whole number above zero."""
        value = self.integer(name)
        if value is not None and value < 1:
            raise invalid(self.at(name), "a number of at least 1 is expected.")
        return value

    def object(self, name: str) -> JsonObject | None:
        value = self.take(name)
        if value is not None and not isinstance(value, dict):
            raise invalid(self.at(name), "an object is expected.")
        return value

    def fields(self, name: str) -> Fields | None:
        value = self.take(name)
        return None if value is None else Fields(value, self.at(name))

    def items(self, name: str) -> list[Any]:
        """An array; a lone value stands for an array of one, as in Google's own servers."""
        value = self.take(name)
        if value is None:
            return []
        if isinstance(value, dict):
            return [value]
        if not isinstance(value, list):
            raise invalid(self.at(name), "an array is expected.")
        return value

    def texts(self, name: str) -> list[str]:
        values = self.items(name)
        for place, value in enumerate(values):
            if not isinstance(value, str):
                raise invalid(f"{self.at(name)}[{place}]", "a string is expected.")
        return values
