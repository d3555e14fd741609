"""Reading typed values out of environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.configuration import ConfigurationError

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def flag(variables: Mapping[str, str], name: str) -> bool:
    """Whether the variable is on; absent is off. Raises ConfigurationError for what is neither."""
    value = variables.get(name, "").strip().lower()
    if value not in _TRUE | _FALSE:
        raise ConfigurationError(name, f"expected true or false; got {value!r}")
    return value in _TRUE


def number(variables: Mapping[str, str], name: str, minimum: float = 0.0) -> float | None:
    """The variable as a number over `minimum`, None when it is absent. Raises ConfigurationError."""
    text = variables.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not minimum < value < float("inf"):
        raise ConfigurationError(name, f"expected a number above {minimum:g}; got {text!r}")
    return value


def integer(variables: Mapping[str, str], name: str, minimum: int = 1) -> int | None:
    """The variable as a whole number of at least `minimum`, None when it is absent. Raises ConfigurationError."""
    text = variables.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < minimum:
        raise ConfigurationError(name, f"expected a whole number of at least {minimum}; got {text!r}")
    return int(text)


def first_set(variables: Mapping[str, str], *names: str) -> str:
    """The value of the first of `names` that is set, "" when none is."""
    return next((variables[name] for name in names if variables.get(name)), "")


def without_empty(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` without those that say nothing."""
    return {name: value for name, value in options.items() if value not in (None, "")}
