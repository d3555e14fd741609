"""Usage records for tests."""

from __future__ import annotations

from typing import Any

from core.usage import Cost, Usage, UsageRecord


def made_record(**changes: Any) -> UsageRecord:
    """A streamed answer that went well at the second attempt."""
    members: dict[str, Any] = {
        "model": "claude", "backend": "b2", "api_model": "m2", "backend_format": "converse", "streamed": True,
        "attempts": 2, "status": 200, "outcome": "complete", "finish": "end_turn",
        "usage": Usage(10, 20, 30, 4, 5, 6), "first_byte_seconds": 0.3, "seconds": 1.5, "dropped": ["top_k"],
        "cost": Cost(input=1_000_000, output=2_500_000),
    }  # fmt: skip
    return UsageRecord("req_1", "generate", "messages", 1_700_000_000.0, **{**members, **changes})
