"""Checked access to a client's JSON: a wrong type becomes a 400 in Anthropic's words, `path: message`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.formats.invalid import Invalid as Invalid
from core.json_edit import JsonObject

MISSING = "Field required"
NOT_AN_OBJECT = "Input should be a valid dictionary"


def object_of(value: Any, name: str = "") -> JsonObject:
    """`value`, which must be an object."""
    if not isinstance(value, dict):
        raise Invalid(name, NOT_AN_OBJECT)
    return value


def list_of(value: Any, name: str) -> list[Any]:
    """`value`, which must be an array."""
    if not isinstance(value, list):
        raise Invalid(name, "Input should be a valid list")
    return value


def required_text(value: JsonObject, name: str) -> str:
    """The string member `name`."""
    member = value.get(name)
    if isinstance(member, str):
        return member
    raise Invalid(name, "Input should be a valid string" if name in value else MISSING)


def optional_text(value: JsonObject, name: str) -> str | None:
    """The string member `name`, None where it is absent or null."""
    member = value.get(name)
    if member is None or isinstance(member, str):
        return member
    raise Invalid(name, "Input should be a valid string")


def optional_flag(value: JsonObject, name: str) -> bool | None:
    """The boolean member `name`, None where it is absent or null."""
    member = value.get(name)
    if member is None or isinstance(member, bool):
        return member
    raise Invalid(name, "Input should be a valid boolean")


def optional_object(value: JsonObject, name: str) -> JsonObject | None:
    """The object member `name`, None where it is absent or null."""
    member = value.get(name)
    return None if member is None else object_of(member, name)


def optional_count(value: JsonObject, name: str, minimum: int) -> int | None:
    """The integer member `name`; `4.0` is one, as JavaScript clients may write it."""
    member = value.get(name)
    if member is None:
        return None
    if isinstance(member, float) and member.is_integer():
        member = int(member)
    if isinstance(member, bool) or not isinstance(member, int):
        raise Invalid(name, "Input should be a valid integer")
    if member < minimum:
        raise Invalid(name, f"Input should be greater than or equal to {minimum}")
    return member


def optional_fraction(value: JsonObject, name: str) -> float | None:
    """The number member `name` in [0, 1]."""
    member = value.get(name)
    if member is None:
        return None
    if isinstance(member, bool) or not isinstance(member, int | float):
        raise Invalid(name, "Input should be a valid number")
    if not 0 <= member <= 1:
        raise Invalid(name, f"Input should be between 0 and 1, not {member}")
    return member


def each[Read](values: list[Any], name: str, read: Callable[[Any], Read]) -> list[Read]:
    """`read` of every one of `values`; a fault in one says which."""
    results: list[Read] = []
    try:
        for value in values:
            results.append(read(value))
    except Invalid as fault:
        # All before the faulty one were read, so their number is its place.
        raise fault.inside(str(len(results))).inside(name) from None
    return results


def within[Read](name: str, read: Callable[[Any], Read], value: Any) -> Read:
    """`read(value)`; a fault in it stands below `name`."""
    try:
        return read(value)
    except Invalid as fault:
        raise fault.inside(name) from None


def rest_of(value: JsonObject, known: frozenset[str]) -> JsonObject:
    """The members beside `known` ones: what the neutral node carries in `extra`.

    A known member that is null said nothing to the neutral field, so it is kept here as well.
    """
    if known.issuperset(value) and None not in value.values():
        return {}
    return {name: member for name, member in value.items() if name not in known or member is None}
