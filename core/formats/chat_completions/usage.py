"""Token counts and finish reasons of Chat Completions, read and written."""

from __future__ import annotations

from typing import Any

from core.stop import Stop, StopReason
from core.usage import Usage

# Servers use more words than OpenAI's five; lower case. `abort` and its like are failures, not endings.
_STOP_REASONS: dict[str, StopReason] = {
    "stop": "end_turn",
    "eos": "end_turn",
    "eos_token": "end_turn",
    "end": "end_turn",
    "end_turn": "end_turn",
    "completed": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "model_length": "max_tokens",
    "model_context_window_exceeded": "context_window",
    "tool_calls": "tool_use",
    "tool_call": "tool_use",
    "tool_use": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "refusal": "refusal",
    "pause_turn": "pause_turn",
    "compaction": "compaction",
    "error": "error",
    "abort": "error",
    "aborted": "error",
    "cancelled": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
    "malformed_function_call": "error",
}

_FINISH_REASONS: dict[StopReason, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "context_window": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "content_filter": "content_filter",
    "pause_turn": "length",
    "compaction": "length",
    "error": "stop",
}


_OPENAI_WORDS = frozenset({"stop", "length", "content_filter"})


def read_stop(word: str, *, called: bool = False) -> Stop:
    """The neutral reason for `finish_reason`. `called`: the answer holds tool calls, which settles what some
    servers blur: they say `stop` (or nothing) after calls, or `tool_calls` without any."""
    reason = _STOP_REASONS.get(word.lower(), "end_turn")
    if called and reason == "end_turn":
        reason = "tool_use"
    elif not called and reason == "tool_use":
        reason = "end_turn"
    return Stop(reason, word or None)


def finish_reason(stop: Stop, *, same_format: bool = False) -> str:
    """`finish_reason` for a neutral reason; one of OpenAI's five. `same_format`: the answer came in this format,
    and its own word stays unless it says nothing of the calls."""
    if same_format and stop.raw in _OPENAI_WORDS and stop.reason != "tool_use":
        return stop.raw
    return _FINISH_REASONS[stop.reason]


def _count(value: object) -> int | None:
    if type(value) not in (int, float) or not 0 <= value < 2**53:  # type: ignore[operator]  # the types say so
        return None
    return int(value)  # type: ignore[call-overload,no-any-return]


def _first_count(*values: object) -> int | None:
    for value in values:
        if value is not None and (count := _count(value)) is not None:
            return count
    return None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def read_usage(usage: object) -> Usage:
    """Counts from a `usage` object (tokens). OpenAI's `prompt_tokens` includes what was read from and written
    to the cache; `cached_tokens` are reads only. Anything that is not an object gives an empty Usage."""
    if not isinstance(usage, dict):
        return Usage()
    details = _object(usage.get("prompt_tokens_details"))
    output_details = _object(usage.get("completion_tokens_details"))
    cached = _first_count(
        details.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("cache_read_input_tokens"),  # Databricks, LiteLLM
    )
    written = _first_count(
        details.get("cache_write_tokens"),
        details.get("cache_creation_tokens"),  # LiteLLM
        usage.get("cache_creation_input_tokens"),  # Databricks, LiteLLM
    )
    by_age = _object(details.get("cache_creation_token_details"))  # LiteLLM
    hourly = _count(by_age.get("ephemeral_1h_input_tokens"))
    prompt = _count(usage.get("prompt_tokens"))
    reasoning = _first_count(output_details.get("reasoning_tokens"), usage.get("reasoning_tokens"))
    completion = _count(usage.get("completion_tokens"))
    cache = (cached or 0) + (written or 0)
    hidden = _hidden(_count(usage.get("total_tokens")), prompt, completion)
    fresh = None if prompt is None else max(prompt - cache, 0)
    if hidden and hidden == cache:
        # The total says that this prompt count leaves the cache out.
        fresh = prompt
    elif hidden and completion is not None:
        # xAI and Gemini's OpenAI-shaped endpoint count reasoning beside the completion.
        completion, reasoning = completion + hidden, reasoning or hidden
    return Usage(
        input_tokens=fresh,
        output_tokens=completion,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written if written is None or hourly is None else max(written - hourly, 0),
        cache_write_1h_tokens=hourly,
        reasoning_tokens=reasoning,
        raw=usage,
    )


def _hidden(total: int | None, prompt: int | None, completion: int | None) -> int:
    """Tokens of the total that are in neither of the two counts."""
    if total is None or prompt is None or completion is None:
        return 0
    return max(total - prompt - completion, 0)


def write_usage(usage: Usage) -> dict[str, Any] | None:
    """OpenAI's `usage` object, None when nothing is known. Writes to the cache for an hour, which have another price,
    are told as LiteLLM tells them; OpenAI has no word for them."""
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    output = usage.output_tokens or 0
    prompt_details: dict[str, Any] = {"cached_tokens": usage.cache_read_tokens or 0}
    if usage.cache_write_tokens:
        prompt_details["cache_write_tokens"] = usage.cache_write_tokens
    if usage.cache_write_1h_tokens:
        prompt_details["cache_creation_token_details"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens or 0,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        }
    return {
        "prompt_tokens": usage.total_input_tokens,
        "completion_tokens": output,
        "total_tokens": usage.total_input_tokens + output,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }
