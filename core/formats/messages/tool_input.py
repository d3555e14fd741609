"""A tool's input: an object on this wire, the model's own text in the neutral conversation."""

from __future__ import annotations

import json
import math
from typing import Any

from core.conversation import JsonObject
from core.formats.arguments import spaced_text

dump_input = spaced_text


def read_input(arguments: str) -> JsonObject:
    """The `input` object for a call's arguments; what is no JSON object is wrapped, so that it is not lost."""
    if not arguments.strip():
        return {}
    try:
        value = json.loads(arguments, parse_float=_finite, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return {"_raw": arguments}
    return value if isinstance(value, dict) else {"_raw": arguments}


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)
