"""What a backend tells of its rate limits, in the words of a client of another vendor. Imported when one tells some.

https://platform.claude.com/docs/en/api/rate-limits#response-headers
https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Final

from core.http import HeaderList
from core.limits import duration, moment
from core.slotted import slotted

_OPENAI: Final = frozenset({"chat_completions", "responses"})
_UNITS: Final = ("requests", "tokens")
# Anthropic may count what goes in and what comes out apart: the one with less left stands for both.
_ANTHROPIC_UNITS: Final[dict[str, tuple[str, ...]]] = {
    "requests": ("requests",),
    "tokens": ("tokens", "input-tokens", "output-tokens"),
}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LONGEST: Final = 366 * 86_400.0


@slotted(frozen=True)
class _Room:
    """What is left of one limit: how much may be used, how much is left, in how many seconds it is full again."""

    limit: int
    remaining: int
    reset: float | None


def rate_headers_for(client_format: str, headers: Mapping[str, str], now: float) -> HeaderList:
    """The rate headers for a client of `client_format` that say what the backend's `headers` (lower case) do; `now` in
    epoch seconds. None for formats that have no such headers, and for what cannot be read."""
    found: HeaderList = []
    for unit in _UNITS:
        room = _room_of(unit, headers, now)
        if room is not None:
            found += _written(client_format, unit, room, now)
    return found


def _room_of(unit: str, headers: Mapping[str, str], now: float) -> _Room | None:
    names = [f"anthropic-ratelimit-{each}-{{}}" for each in _ANTHROPIC_UNITS[unit]]
    rooms = [_read(headers, name, now) for name in (*names, f"x-ratelimit-{{}}-{unit}")]
    return min((room for room in rooms if room is not None), key=lambda room: room.remaining, default=None)


def _read(headers: Mapping[str, str], name: str, now: float) -> _Room | None:
    limit, remaining = (headers.get(name.format(part), "") for part in ("limit", "remaining"))
    if not (limit.isdecimal() and remaining.isdecimal() and max(len(limit), len(remaining)) < 16):
        return None
    return _Room(int(limit), int(remaining), _seconds(headers.get(name.format("reset"), ""), now))


def _seconds(reset: str, now: float) -> float | None:
    """How long a span (`6m0s`) lasts, or how far a moment is from `now`; None for anything else."""
    spans = _SPAN.findall(reset)
    if spans and "".join(number + unit for number, unit in spans) == reset:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in spans)
    else:
        try:
            told = datetime.fromisoformat(reset)
        except ValueError:
            return None
        seconds = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), _LONGEST)


def _written(client_format: str, unit: str, room: _Room, now: float) -> HeaderList:
    if client_format == "messages":
        names = [f"anthropic-ratelimit-{unit}-{part}" for part in ("limit", "remaining", "reset")]
        reset = None if room.reset is None else moment(now + ceil(room.reset))
    elif client_format in _OPENAI:
        names = [f"x-ratelimit-{part}-{unit}" for part in ("limit", "remaining", "reset")]
        reset = None if room.reset is None else duration(room.reset)
    else:
        return []
    values = (str(room.limit), str(room.remaining), reset)
    return [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
