"""A tool call's arguments between text and object: some formats have the one, some the other.

The text is the model's own. As an object its numbers keep their digits (`1.50`, `1e5`, more than a float holds):
each that a float would not repeat is a text that stands for it, and core.json_edit.dump writes the number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isinf
from typing import Any

from core.conversation import JsonObject
from core.json_edit import NUMBER, Exact, compact_encoder, refuse, with_numbers

_compact = compact_encoder(refuse)
_spaced = compact_encoder(refuse, " ")
# What holds nothing that had to be looked at.
_PLAIN = frozenset({str, int, float, bool, type(None)})


def read_arguments(arguments: str) -> JsonObject:
    """The object for a call's arguments: `{}` for none; what is no JSON object is wrapped in `_raw`, so that it is not
    lost."""
    text = arguments if arguments[:1] == "{" else arguments.lstrip(" \t\n\r")
    if text[:1] != "{":
        return {"_raw": arguments} if text.strip() else {}
    # A whole number is exact as it is, but for the sign of nothing.
    scan, decoder = (_SCAN_SIGNED, _SIGNED) if "-0" in text else (_SCAN_EXACT, _EXACT)
    try:
        value, end = scan(text, 0)
        if end != len(text):
            value = decoder.decode(text)  # which passes over white space, and refuses anything else
    except (StopIteration, ValueError, RecursionError):
        return {"_raw": arguments}
    return value


def _number(text: str) -> Any:
    value = float(text)
    if isinf(value):
        raise ValueError(text)  # most servers refuse what no float can hold
    return value if repr(value) == text else NUMBER + text


def _integer(text: str) -> Any:
    return NUMBER + text if text == "-0" else int(text)


def _refuse(name: str) -> Any:
    raise ValueError(name)


_EXACT = json.JSONDecoder(parse_float=_number, parse_constant=_refuse)
_SIGNED = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_refuse)
_SCAN_EXACT: Callable[[str, int], tuple[JsonObject, int]] = _EXACT.scan_once  # type: ignore[attr-defined]  # missing in typeshed
_SCAN_SIGNED: Callable[[str, int], tuple[JsonObject, int]] = _SIGNED.scan_once  # type: ignore[attr-defined]


def compact_text(value: Any) -> str:
    """`value` as compact JSON. Raises RecursionError."""
    return _text(value, _compact)


def spaced_text(value: Any) -> str:
    """`value` as JSON with a blank after each comma and colon. Raises RecursionError."""
    return _text(value, _spaced)


def _text(value: Any, encode: Callable[[Any], str]) -> str:
    marked = _marked(value)
    return encode(value) if marked is None else with_numbers(encode(marked))


def _marked(value: Any) -> Any:
    """`value` with a text for each number that a float would not repeat; None where there is none."""
    if isinstance(value, Exact):
        return NUMBER + value.text
    if isinstance(value, dict):
        if _PLAIN.issuperset(map(type, value.values())):
            return None
        members = {name: found for name, item in value.items() if (found := _marked(item)) is not None}
        return {**value, **members} if members else None
    if isinstance(value, list):
        items = [_marked(item) for item in value]
        if any(item is not None for item in items):
            return [old if new is None else new for old, new in zip(value, items, strict=True)]
    return None
