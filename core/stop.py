"""Why an answer ended."""

from __future__ import annotations

from typing import Literal

from core.json_edit import JsonObject
from core.slotted import slotted

type StopReason = Literal[
    "end_turn",
    "stop_sequence",
    "max_tokens",
    "context_window",
    "tool_use",
    "refusal",
    "content_filter",
    "pause_turn",
    "compaction",
    "error",
]


@slotted
class Stop:
    """Why the answer ended: the neutral reason, and the origin's own word in `raw`."""

    reason: StopReason
    raw: str | None = None
    sequence: str | None = None
    explanation: str | None = None
    details: JsonObject | None = None

    @property
    def refusal(self) -> str | None:
        """The words for which the model, or a filter behind it, ended the answer; None for other reasons."""
        return self.explanation or None if self.reason in ("refusal", "content_filter") else None
