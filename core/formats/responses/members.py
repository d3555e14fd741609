"""Typed members out of JSON that anyone may have written. A wrong type is a 400 in OpenAI's words.

`path` is where the object stands ("" for the body, `input[0].content[1]`); absent and null both give None.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from core.conversation import JsonObject
from core.errors import ClientFault

_JSON_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def invalid(path: str, message: str, code: str = "invalid_value") -> ClientFault:
    """The 400 that blames the member at `path`."""
    fault = ClientFault("bad_request", message, param=path)
    fault.code = code
    return fault


def wrong_type(path: str, expected: str, value: Any) -> ClientFault:
    """`expected` with its article: "a string"."""
    got = next((name for kind, name in _JSON_NAMES if isinstance(value, kind)), "null")
    return invalid(
        path, f"Invalid type for '{path}': expected {expected}, but got {got} instead.", "invalid_type"
    )


def missing(path: str) -> ClientFault:
    return invalid(path, f"Missing required parameter: '{path}'.", "missing_required_parameter")


def join(path: str, name: str) -> str:
    """The path of the member `name` of the object at `path`."""
    return f"{path}.{name}" if path else name


def text(owner: JsonObject, name: str, path: str = "") -> str | None:
    value = owner.get(name)
    if value is None or isinstance(value, str):
        return value
    raise wrong_type(join(path, name), "a string", value)


def required_text(owner: JsonObject, name: str, path: str = "") -> str:
    value = owner.get(name)
    if isinstance(value, str):
        return value
    if value is None:
        raise missing(join(path, name))
    raise wrong_type(join(path, name), "a string", value)


def boolean(owner: JsonObject, name: str, path: str = "") -> bool | None:
    value = owner.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise wrong_type(join(path, name), "a boolean", value)


def integer(owner: JsonObject, name: str, path: str = "") -> int | None:
    value = owner.get(name)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise wrong_type(join(path, name), "an integer", value)


def count(owner: JsonObject, name: str, path: str = "") -> int | None:
    """A whole number above zero."""
    value = integer(owner, name, path)
    if value is not None and value < 1:
        where = join(path, name)
        raise invalid(where, f"Invalid value for '{where}': expected at least 1, but got {value} instead.")
    return value


def number(owner: JsonObject, name: str, path: str = "") -> float | None:
    value = owner.get(name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise wrong_type(join(path, name), "a decimal", value)


def json_object(owner: JsonObject, name: str, path: str = "") -> JsonObject | None:
    value = owner.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise wrong_type(join(path, name), "an object", value)


def objects(owner: JsonObject, name: str, path: str = "") -> list[JsonObject] | None:
    """A list whose every element is an object."""
    value = owner.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise wrong_type(join(path, name), "an array", value)
    for place, element in enumerate(value):
        if not isinstance(element, dict):
            raise wrong_type(f"{join(path, name)}[{place}]", "an object", element)
    return value


def texts(owner: JsonObject, name: str, path: str = "") -> list[str] | None:
    """A list whose every element is a string."""
    value = owner.get(name)
    if value is None:
        return None
    here = join(path, name)
    if not isinstance(value, list):
        raise wrong_type(here, "an array", value)
    for place, element in enumerate(value):
        if not isinstance(element, str):
            raise wrong_type(f"{here}[{place}]", "a string", element)
    return value


def rest(owner: JsonObject, handled: Collection[str]) -> JsonObject:
    """The members that have no neutral field. A null says no more than an absent member and is left out."""
    if isinstance(handled, frozenset) and owner.keys() <= handled:
        return {}
    return {name: value for name, value in owner.items() if name not in handled and value is not None}
