"""JSON text as the demo's writers send it."""

from __future__ import annotations

import json


def to_json(value: object) -> str:
    """Compact JSON that encodes as UTF-8: half of a surrogate pair, which JSON may hold, becomes "?"."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()
