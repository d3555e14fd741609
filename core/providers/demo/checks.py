"""Reads a JSON body strictly: each wrong, missing or unknown value is a 400 in the vendor's own words.

A `Fields` is one JSON object with its path. Every reading method raises core.errors.ClientFault.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from core.errors import ClientFault
from core.slotted import slotted


@slotted(frozen=True)
class Dialect:
    """How a vendor words its complaints. The templates take `path`, `expected`, `got`, `value`, `allowed`."""

    index: str
    missing: str
    wrong_type: str
    wrong_value: str
    expected: Mapping[str, str]


OPENAI = Dialect(
    index="[{}]",
    missing="Missing required parameter: '{path}'.",
    wrong_type="Invalid type for '{path}': expected {expected}, but got {got} instead.",
    wrong_value="Invalid value: '{value}'. Supported values are: {allowed}.",
    expected={
        "string": "a string",
        "boolean": "a boolean",
        "integer": "an integer",
        "number": "a decimal",
        "object": "an object",
        "array": "an array",
    },
)

ANTHROPIC = Dialect(
    index=".{}",
    missing="{path}: Field required",
    wrong_type="{path}: Input should be {expected}",
    wrong_value="{path}: Input should be {allowed}",
    expected={
        "string": "a valid string",
        "boolean": "a valid boolean",
        "integer": "a valid integer",
        "number": "a valid number",
        "object": "a valid dictionary",
        "array": "a valid list",
    },
)

_KINDS: dict[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}

_GOT = {"string": "a string", "boolean": "a boolean", "integer": "an integer", "number": "a decimal"}
_GOT |= {"object": "an object", "array": "an array"}


def _kind_of(value: object) -> str:
    return next((_GOT[kind] for kind, fits in _KINDS.items() if fits(value)), "null")


def bad_request(message: str, param: str | None, code: str | None = None) -> ClientFault:
    """A 400 that names the offending member."""
    fault = ClientFault("bad_request", message, param=param)
    fault.code = code
    return fault


class Fields:
    """One JSON object, read member by member. `names` collects what was read."""

    def __init__(self, dialect: Dialect, value: Mapping[str, Any], path: str = "") -> None:
        self.dialect = dialect
        self.value = value
        self.path = path
        self.names: set[str] = set()

    def at(self, name: str) -> str:
        """The path of the member `name`."""
        return f"{self.path}.{name}" if self.path else name

    def fault(self, name: str, message: str, code: str | None = "invalid_value") -> ClientFault:
        """A 400 about the member `name`, whose path stands for "{path}" in the message."""
        return bad_request(message.replace("{path}", self.at(name)), self.at(name), code)

    def unread(self) -> list[str]:
        """The members that nothing has read, in their order."""
        return [name for name in self.value if name not in self.names]

    def has(self, name: str) -> bool:
        """Whether the member is there and not null."""
        self.names.add(name)
        return self.value.get(name) is not None

    def optional(self, name: str, kind: str) -> Any:
        """The member, None when it is absent or null. `kind` is JSON's name of its type."""
        self.names.add(name)
        value = self.value.get(name)
        if value is None:
            return None
        if not _KINDS[kind](value):
            raise self._wrong_type(name, value, kind)
        return value

    def required(self, name: str, kind: str) -> Any:
        """The member, which must be there. `kind` is JSON's name of its type."""
        if name not in self.value:
            message = self.dialect.missing.format(path=self.at(name))
            raise bad_request(message, self.at(name), "missing_required_parameter")
        value = self.optional(name, kind)
        if value is None:
            raise self._wrong_type(name, None, kind)
        return value

    def text(self, name: str) -> str:
        """A string that must be there and not be empty."""
        value: str = self.required(name, "string")
        if not value:
            raise self.fault(name, "{path}: an empty string is not allowed here.", "empty_string")
        return value

    def number(self, name: str, kind: str, least: float, most: float | None = None) -> Any:
        """An optional number within its bounds."""
        value = self.optional(name, kind)
        if value is not None and (value < least or (most is not None and value > most)):
            bounds = f">= {least}" if most is None else f"between {least} and {most}"
            raise self.fault(name, f"Invalid '{{path}}': {json.dumps(value)} is not {bounds}.")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """An optional string that must be one of `allowed`."""
        value: str | None = self.optional(name, "string")
        if value is not None and value not in allowed:
            raise self.wrong_value(name, value, allowed)
        return value

    def required_choice(self, name: str, allowed: Collection[str]) -> str:
        """A string that must be there and be one of `allowed`."""
        self.required(name, "string")
        return self.choice(name, allowed) or ""

    def nested(self, name: str) -> Fields | None:
        """An optional object."""
        value = self.optional(name, "object")
        return None if value is None else Fields(self.dialect, value, self.at(name))

    def required_object(self, name: str) -> Fields:
        """An object that must be there."""
        return Fields(self.dialect, self.required(name, "object"), self.at(name))

    def objects(self, name: str) -> list[Fields]:
        """An optional list of objects, [] when it is absent."""
        return list(self._items(name, self.optional(name, "array") or []))

    def strings(self, name: str) -> list[str]:
        """An optional list of strings, [] when it is absent."""
        values = self.optional(name, "array") or []
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self._wrong_type(name + self.dialect.index.format(index), value, "string")
        return list(values)

    def wrong_value(self, name: str, value: str, allowed: Collection[str]) -> ClientFault:
        """A 400 that lists what would have been right."""
        listed = ", ".join(f"'{each}'" for each in allowed)
        message = self.dialect.wrong_value.format(path=self.at(name), value=value, allowed=listed)
        return bad_request(message, self.at(name), "invalid_value")

    def _items(self, name: str, values: list[Any]) -> Iterator[Fields]:
        for index, value in enumerate(values):
            item = name + self.dialect.index.format(index)
            if not isinstance(value, dict):
                raise self._wrong_type(item, value, "object")
            yield Fields(self.dialect, value, self.at(item))

    def _wrong_type(self, name: str, value: object, kind: str) -> ClientFault:
        words = {"expected": self.dialect.expected[kind], "got": _kind_of(value)}
        message = self.dialect.wrong_type.format(path=self.at(name), **words)
        return bad_request(message, self.at(name), "invalid_type")
