"""Token counts and stop reasons of the Messages format, both ways.

The format's own convention is the neutral one: `input_tokens` excludes the cache, `output_tokens` includes
thinking. https://docs.anthropic.com/en/api/messages#response-usage
"""

from __future__ import annotations

from typing import Any

from core.json_edit import JsonObject
from core.stop import Stop, StopReason
from core.usage import Usage, token_count

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "stop_sequence": "stop_sequence",
    "max_tokens": "max_tokens",
    "tool_use": "tool_use",
    "pause_turn": "pause_turn",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
    "compaction": "compaction",
}

# The word for each neutral reason. An error never gets this far: it ends a stream as an error event.
STOP_WORDS: dict[StopReason, str] = {
    **{reason: word for word, reason in STOP_REASONS.items()},
    "content_filter": "refusal",
    "error": "end_turn",
}


def read_usage(raw: Any) -> Usage:
    """Usage of a response's `usage` object; counts that are absent or no integers are None."""
    if not isinstance(raw, dict):
        return Usage()
    short, long = _cache_writes(raw)
    details, tier = raw.get("output_tokens_details"), raw.get("service_tier")
    if raw.get("speed") == "fast":  # which has a price of its own, as tiers have
        tier = "fast"
    return Usage(
        input_tokens=token_count(raw.get("input_tokens")),
        output_tokens=token_count(raw.get("output_tokens")),
        cache_read_tokens=token_count(raw.get("cache_read_input_tokens")),
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        reasoning_tokens=token_count(details.get("thinking_tokens")) if isinstance(details, dict) else None,
        raw=raw,
        tier=tier if isinstance(tier, str) else None,
    )


def later_usage(usage: Usage, raw: Any) -> Usage:
    """`usage` after a later event's `usage` object: each report is cumulative and may leave members out.

    The counts are read anew from the merged objects, because a total without its split by time to live must
    not be counted beside an earlier split.
    """
    if not isinstance(raw, dict):
        return usage
    said = {name: value for name, value in raw.items() if value is not None or name not in usage.raw}
    return read_usage({**usage.raw, **said})


def write_usage(usage: Usage) -> JsonObject:
    """The `usage` object that states `usage`: every count that a client may read is there."""
    written: JsonObject = {
        "input_tokens": usage.input_tokens or 0,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens or 0,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens or 0,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens or 0,
        },
        "output_tokens": usage.output_tokens or 0,
    }
    if usage.reasoning_tokens is not None:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return written


def read_stop(reason: Any, sequence: Any = None, details: Any = None) -> Stop | None:
    """The stop of a message's `stop_reason`, `stop_sequence` and `stop_details`; None while there is none.

    A reason that is not known yet ends the turn, with its own word in `raw`.
    """
    if not isinstance(reason, str):
        return None
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return Stop(
        STOP_REASONS.get(reason, "end_turn"),
        raw=reason,
        sequence=sequence if isinstance(sequence, str) else None,
        explanation=explanation if isinstance(explanation, str) else None,
        details=details if isinstance(details, dict) else None,
    )


def settled_stop(stop: Stop, *, called: bool) -> Stop:
    """`stop`, where a turn that is over has calls for the client or has none, whatever its server's word for it is."""
    if stop.reason == ("end_turn" if called else "tool_use"):
        return Stop("tool_use" if called else "end_turn", stop.raw, stop.sequence, stop.explanation, stop.details)
    return stop


def _cache_writes(raw: JsonObject) -> tuple[int | None, int | None]:
    total = token_count(raw.get("cache_creation_input_tokens"))
    split = raw.get("cache_creation")
    if not isinstance(split, dict):
        return total, None
    short = token_count(split.get("ephemeral_5m_input_tokens"))
    long = token_count(split.get("ephemeral_1h_input_tokens"))
    if total is not None and total != (short or 0) + (long or 0):
        return max(total - (long or 0), 0), long
    return short, long
