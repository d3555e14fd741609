"""A tool's input: an object on this wire, the model's own text in the neutral conversation."""

from __future__ import annotations

import json
from typing import Any

from core.conversation import JsonObject
from core.formats.arguments import spaced_text

dump_input = spaced_text


def read_input(text: str) -> JsonObject:
    """The `input` object of a server tool's call; what is no JSON object is wrapped, so that it is not lost."""
    if not text.strip():
        return {}
    try:
        value: Any = json.loads(text)
        json.dumps(value, allow_nan=False)  # numbers that no JSON can say
    except (ValueError, RecursionError):
        return {"_raw": text}
    return value if isinstance(value, dict) else {"_raw": text}
