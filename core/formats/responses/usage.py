"""A Response's usage and its end: token counts, `status` and `incomplete_details`, read and written.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import Any

from core.json_edit import JsonObject
from core.stop import Stop, StopReason
from core.usage import Usage, token_count

# The reasons of `incomplete_details`; `steered` and `max_messages` end a turn that could go on.
_INCOMPLETE: dict[str, StopReason] = {
    "max_output_tokens": "max_tokens",
    "content_filter": "content_filter",
    "max_messages": "pause_turn",
    "steered": "pause_turn",
}

# Items that wait for the client to do something, so the answer ended for them.
CLIENT_CALLS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "mcp_approval_request",
    }
)

_INCOMPLETE_REASON: dict[StopReason, str] = {
    "max_tokens": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause_turn": "max_output_tokens",
    "compaction": "max_output_tokens",
}


def read_usage(usage: Any) -> Usage:
    """Counts from a `usage` object; anything but an object gives an empty Usage.

    OpenAI's `input_tokens` includes what was read from and written to the cache; the neutral one does not.
    """
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("input_tokens_details")
    details = details if isinstance(details, dict) else {}
    output_details = usage.get("output_tokens_details")
    output_details = output_details if isinstance(output_details, dict) else {}
    whole = token_count(usage.get("input_tokens"))
    read = token_count(details.get("cached_tokens"))
    written = token_count(details.get("cache_write_tokens"))
    return Usage(
        input_tokens=None if whole is None else max(whole - (read or 0) - (written or 0), 0),
        output_tokens=token_count(usage.get("output_tokens")),
        cache_read_tokens=read,
        # OpenAI keeps a written prefix for 30 minutes at least; the nearest price class is the short one.
        cache_write_5m_tokens=written,
        reasoning_tokens=token_count(output_details.get("reasoning_tokens")),
        raw=usage,
    )


def write_usage(usage: Usage) -> JsonObject:
    """The `usage` object; every member that OpenAI's SDK requires is there, 0 where the count is unknown."""
    whole = usage.total_input_tokens
    output = usage.output_tokens or 0
    return {
        "input_tokens": whole,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": whole + output,
    }


def read_stop(response: JsonObject) -> Stop:
    """Why a Response ended. There is no finish reason: calls and refusals in `output` say it."""
    status = response.get("status")
    raw = status if isinstance(status, str) else None
    if status == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if isinstance(reason, str):
            return Stop(_INCOMPLETE.get(reason, "max_tokens"), reason)
        return Stop("max_tokens", raw)
    if status in ("failed", "cancelled"):
        return Stop("error", raw)
    output = response.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    if any(str(item.get("type")) in CLIENT_CALLS for item in items):
        return Stop("tool_use", raw)
    refusal = next((text for item in items for text in _refusals(item)), None)
    if refusal is not None:
        return Stop("refusal", raw, explanation=refusal)
    return Stop("end_turn", raw)


def write_stop(stop: Stop, *, refused: bool) -> tuple[str, JsonObject | None]:
    """`status` and `incomplete_details`. `refused`: the output holds a refusal part, which says it all."""
    if stop.reason == "error":
        return "failed", None
    if stop.reason == "refusal" and refused:
        return "completed", None
    reason = _INCOMPLETE_REASON.get(stop.reason)
    if reason is None:
        return "completed", None
    if stop.raw in _INCOMPLETE and _INCOMPLETE[stop.raw] == stop.reason:
        reason = stop.raw
    return "incomplete", {"reason": reason}


def _refusals(item: JsonObject) -> list[str]:
    content = item.get("content") if item.get("type") == "message" else None
    if not isinstance(content, list):
        return []
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "refusal"]
    return [part["refusal"] for part in parts if isinstance(part.get("refusal"), str)]
