"""Effort levels and token budgets, both ways.

The table is the field's convention; no vendor publishes one. A budget read back gives its level again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.conversation import Effort

ORDER: Final[tuple[Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
ANTHROPIC_BUDGETS: Final[dict[Effort, int]] = {
    "none": 0,
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 64_000,
}
GEMINI_BUDGETS: Final[dict[Effort, int]] = {
    "none": 0,
    "minimal": 512,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}
_LEVELS: Final[tuple[tuple[int, Effort], ...]] = ((2_049, "low"), (12_288, "medium"), (28_672, "high"))


def effort_of(budget: int) -> Effort:
    """The level that a budget of reasoning tokens stands for."""
    for limit, level in _LEVELS:
        if budget < limit:
            return level
    return "xhigh"


def nearest(effort: Effort, accepted: Sequence[Effort]) -> Effort:
    """`effort` where it is accepted, else the next lower level that is, else the lowest. `none` is never
    taken for a level that asks for reasoning. `accepted` must not be empty."""
    if effort in accepted:
        return effort
    wanted = ORDER.index(effort)
    levels: list[Effort] = [level for level in accepted if level != "none"]
    levels = levels or list(accepted)
    lower = [level for level in levels if ORDER.index(level) < wanted]
    pick = max if lower else min
    return pick(lower or levels, key=ORDER.index)
