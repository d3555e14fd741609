"""Checked access to a client's JSON: a wrong type becomes a 400 that names the member by its path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.conversation import JsonObject
from core.formats.arguments import compact_text
from core.formats.invalid import Invalid as Invalid


def object_of(value: Any, name: str = "") -> JsonObject:
    """`value`, which must be an object."""
    if not isinstance(value, dict):
        raise Invalid(name, "must be an object")
    return value


def list_of(value: Any, name: str = "") -> list[Any]:
    """`value`, which must be an array."""
    if not isinstance(value, list):
        raise Invalid(name, "must be an array")
    return value


def only_member(value: Any, what: str) -> tuple[str, Any]:
    """The one member of a union: name and value. Null members are absent ones."""
    members = [(name, member) for name, member in object_of(value).items() if member is not None]
    if len(members) != 1:
        raise Invalid("", f"{what} must have exactly one member, not {len(members)}")
    return members[0]


def required_text(value: JsonObject, name: str) -> str:
    """The string member `name`."""
    member = value.get(name)
    if isinstance(member, str):
        return member
    raise Invalid(name, "must be a string" if name in value else "is required")


def optional_text(value: JsonObject, name: str) -> str | None:
    """The string member `name`, None where it is absent or null."""
    member = value.get(name)
    if member is None or isinstance(member, str):
        return member
    raise Invalid(name, "must be a string")


def optional_flag(value: JsonObject, name: str) -> bool | None:
    """The boolean member `name`, None where it is absent or null."""
    member = value.get(name)
    if member is None or isinstance(member, bool):
        return member
    raise Invalid(name, "must be true or false")


def optional_object(value: JsonObject, name: str) -> JsonObject:
    """The object member `name`, an empty one where it is absent or null."""
    member = value.get(name)
    return {} if member is None else object_of(member, name)


def optional_list(value: JsonObject, name: str) -> list[Any]:
    """The array member `name`, an empty one where it is absent or null."""
    member = value.get(name)
    return [] if member is None else list_of(member, name)


def optional_count(value: JsonObject, name: str, minimum: int) -> int | None:
    """The integer member `name`, at least `minimum`; `4.0` is one, as JavaScript clients may write it."""
    member = value.get(name)
    if member is None:
        return None
    if isinstance(member, float) and member.is_integer():
        member = int(member)
    if isinstance(member, bool) or not isinstance(member, int):
        raise Invalid(name, "must be an integer")
    if member < minimum:
        raise Invalid(name, f"must be at least {minimum}")
    return member


def optional_fraction(value: JsonObject, name: str) -> float | None:
    """The number member `name`, from 0 to 1."""
    member = value.get(name)
    if member is None:
        return None
    if isinstance(member, bool) or not isinstance(member, int | float):
        raise Invalid(name, "must be a number")
    if not 0 <= member <= 1:
        raise Invalid(name, "must be between 0 and 1")
    return member


def each[Read](values: list[Any], name: str, read: Callable[[Any], Read]) -> list[Read]:
    """`read` of every one of `values`, which stand in the member `name`; a fault in one says which."""
    results: list[Read] = []
    try:
        for value in values:
            results.append(read(value))
    except Invalid as fault:
        # All before the faulty one were read, so their number is its place.
        raise fault.inside(f"{name}[{len(results)}]") from None
    return results


def within[Read](name: str, read: Callable[[Any], Read], value: Any) -> Read:
    """`read(value)`; a fault in it stands below `name`."""
    try:
        return read(value)
    except Invalid as fault:
        raise fault.inside(name) from None


def rest_of(value: JsonObject, known: frozenset[str]) -> JsonObject:
    """The members beside `known` ones: what the neutral node carries in `extra`."""
    if known.issuperset(value):
        return {}
    return {name: member for name, member in value.items() if name not in known and member is not None}


def json_text(value: Any, name: str) -> str:
    """`value` as compact JSON text."""
    try:
        return compact_text(value)
    except RecursionError:
        raise Invalid(name, "is nested too deeply") from None
