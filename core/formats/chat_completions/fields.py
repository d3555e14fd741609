"""Checked access to a client's JSON: a wrong type becomes a 400 that names the member, in OpenAI's words."""

from __future__ import annotations

from typing import Any

from core.conversation import JsonObject
from core.errors import ClientFault

_TYPE_NAMES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def wrong_type(path: str, expected: str, value: object) -> ClientFault:
    """The fault for a value of another type than `expected` ("a string", "an array", ...)."""
    found = _TYPE_NAMES.get(type(value), "something else")
    fault = ClientFault(
        "bad_request", f"Invalid type for '{path}': expected {expected}, but got {found} instead.", param=path
    )
    fault.code = "invalid_type"
    return fault


def wrong_value(path: str, message: str) -> ClientFault:
    """The fault for a value of the right type that makes no sense."""
    fault = ClientFault("bad_request", f"Invalid value for '{path}': {message}", param=path)
    fault.code = "invalid_value"
    return fault


def missing(path: str) -> ClientFault:
    """The fault for a required member that is absent or null."""
    fault = ClientFault("bad_request", f"Missing required parameter: '{path}'.", param=path)
    fault.code = "missing_required_parameter"
    return fault


def text_at(value: object, path: str) -> str:
    """`value`, which must be a string."""
    if not isinstance(value, str):
        raise wrong_type(path, "a string", value)
    return value


class Fields:
    """One JSON object. Each member is taken once; what is never taken is left in `rest`.

    A null member counts as absent.
    """

    __slots__ = ("path", "rest")

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        self.path = path
        self.rest: JsonObject = dict(value)

    def at(self, name: str) -> str:
        """The path of the member `name`."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str) -> Any:
        """The member, whatever it is; None when absent."""
        return self.rest.pop(name, None)

    def text(self, name: str) -> str | None:
        value = self.rest.pop(name, None)
        if value is None or isinstance(value, str):
            return value
        raise wrong_type(self.at(name), "a string", value)

    def required_text(self, name: str) -> str:
        value = self.rest.pop(name, None)
        if isinstance(value, str):
            return value
        raise missing(self.at(name)) if value is None else wrong_type(self.at(name), "a string", value)

    def boolean(self, name: str) -> bool | None:
        value = self.rest.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise wrong_type(self.at(name), "a boolean", value)
        return value

    def integer(self, name: str) -> int | None:
        """A whole number; `4.0` is one, as JavaScript clients may write it."""
        value = self.rest.pop(name, None)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(self.at(name), "an integer", value)
        return value

    def count(self, name: str) -> int | None:
        """A whole number above zero."""
        value = self.integer(name)
        if value is not None and value < 1:
            raise wrong_value(self.at(name), f"expected at least 1, but got {value} instead.")
        return value

    def number(self, name: str) -> float | None:
        """Any number, an int as an int: its text is not changed."""
        value = self.rest.pop(name, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise wrong_type(self.at(name), "a number", value)
        return value

    def array(self, name: str) -> list[Any] | None:
        value = self.rest.pop(name, None)
        if value is not None and not isinstance(value, list):
            raise wrong_type(self.at(name), "an array", value)
        return value

    def object(self, name: str) -> JsonObject | None:
        value = self.rest.pop(name, None)
        if value is not None and not isinstance(value, dict):
            raise wrong_type(self.at(name), "an object", value)
        return value

    def fields(self, name: str) -> Fields | None:
        """The member as Fields, None when absent."""
        value = self.rest.pop(name, None)
        return None if value is None else Fields(value, self.at(name))
