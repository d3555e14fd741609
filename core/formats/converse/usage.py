"""Token counts and stop reasons of the Converse format, both ways.

The counts follow the neutral convention: `inputTokens` excludes the cache.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
"""

from __future__ import annotations

from typing import Any

from core.json_edit import JsonObject
from core.stop import Stop, StopReason
from core.usage import Usage, token_count

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
    "model_context_window_exceeded": "context_window",
}

# The format's word for each neutral reason. An answer that pauses is unfinished, which `max_tokens` alone says.
STOP_WORDS: dict[StopReason, str] = {
    "end_turn": "end_turn",
    "stop_sequence": "stop_sequence",
    "max_tokens": "max_tokens",
    "context_window": "model_context_window_exceeded",
    "tool_use": "tool_use",
    "refusal": "content_filtered",
    "content_filter": "content_filtered",
    "pause_turn": "max_tokens",
    "compaction": "max_tokens",
    "error": "malformed_model_output",
}


def read_usage(raw: Any) -> Usage:
    """Usage of a `usage` object; counts that are absent or no integers are None."""
    if not isinstance(raw, dict):
        return Usage()
    written = token_count(raw.get("cacheWriteInputTokens"))
    short, long = _writes_by_ttl(raw.get("cacheDetails"), written)
    return Usage(
        input_tokens=token_count(raw.get("inputTokens")),
        output_tokens=token_count(raw.get("outputTokens")),
        cache_read_tokens=token_count(raw.get("cacheReadInputTokens")),
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        raw=raw,
    )


def write_usage(usage: Usage, *, same_format: bool) -> JsonObject:
    """The `usage` object that states `usage`. `same_format`: `usage.raw` is one of this format, so what it
    says beside the counts is kept."""
    written: JsonObject = {
        "inputTokens": usage.input_tokens or 0,
        "outputTokens": usage.output_tokens or 0,
        "totalTokens": usage.total_tokens,
    }
    if usage.cache_read_tokens is not None:
        written["cacheReadInputTokens"] = usage.cache_read_tokens
    if usage.cache_write_5m_tokens is not None or usage.cache_write_1h_tokens is not None:
        written["cacheWriteInputTokens"] = usage.cache_write_tokens
        details = _details(usage)
        if details and not same_format:
            written["cacheDetails"] = details
    if same_format:
        written.update(usage.raw)
    return written


def _writes_by_ttl(details: Any, total: int | None) -> tuple[int | None, int | None]:
    """Tokens written for five minutes and for an hour. What the details leave out counts as the default."""
    if not isinstance(details, list):
        return total, None
    long = sum(
        token_count(entry.get("inputTokens")) or 0
        for entry in details
        if isinstance(entry, dict) and entry.get("ttl") == "1h"
    )
    if total is None:
        return None, long or None
    return max(total - long, 0), long or None


def _details(usage: Usage) -> list[JsonObject]:
    counts = (("5m", usage.cache_write_5m_tokens), ("1h", usage.cache_write_1h_tokens))
    return [{"ttl": ttl, "inputTokens": count} for ttl, count in counts if count]


def read_stop(reason: Any, fields: Any = None, *, called: bool = False) -> Stop:
    """The stop of a `stopReason` and the `additionalModelResponseFields` beside it.

    `called`: the answer holds a call for the client, which some models end with `end_turn`. A reason that is
    not known yet ends the turn, with its own word in `raw`.
    """
    word = reason if isinstance(reason, str) else None
    neutral = STOP_REASONS.get(word or "", "end_turn")
    if called and neutral == "end_turn":
        neutral = "tool_use"
    sequence = fields.get("stop_sequence") if isinstance(fields, dict) else None
    return Stop(neutral, raw=word, sequence=sequence if isinstance(sequence, str) else None)


def write_stop(stop: Stop, *, same_format: bool) -> str:
    """The `stopReason` for `stop`: the format's own word where it came with one."""
    if same_format and stop.raw:
        return stop.raw
    return STOP_WORDS[stop.reason]
