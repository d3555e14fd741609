"""The arguments of a tool call as text: exactly what the model wrote, else compact JSON."""

from __future__ import annotations

from core.formats.arguments import compact_text
from core.formats.chat_completions.fields import wrong_value


def arguments_text(value: object, path: str) -> str:
    """`value` as it stands when it is text; an object (as some servers and clients send) as its JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return compact_text(value)
    except RecursionError:
        raise wrong_value(path, "it is nested too deeply.") from None
