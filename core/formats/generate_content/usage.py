"""Token counts and finish reasons of generateContent, both ways.

The format's prompt count includes cached tokens and its candidates count excludes thoughts: the neutral counts do
the opposite. https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

from typing import Any, Final

from core.json_edit import JsonObject
from core.stop import Stop, StopReason
from core.usage import Usage, token_count

FINISH_REASONS: Final[dict[str, StopReason]] = {
    "STOP": "end_turn",
    "FINISH_REASON_UNSPECIFIED": "end_turn",
    "MAX_TOKENS": "max_tokens",
    "CONTINUATION": "pause_turn",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "ESCALATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "OTHER": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "IMAGE_OTHER": "error",
    "NO_IMAGE": "error",
}
FINISH_WORDS: Final[dict[StopReason, str]] = {
    "end_turn": "STOP",
    "stop_sequence": "STOP",
    "tool_use": "STOP",
    "compaction": "STOP",
    "max_tokens": "MAX_TOKENS",
    "context_window": "MAX_TOKENS",
    "pause_turn": "CONTINUATION",
    "refusal": "SAFETY",
    "content_filter": "SAFETY",
    "error": "OTHER",
}


def read_usage(raw: Any) -> Usage:
    """The counts of a `usageMetadata` object; what is absent is None."""
    if not isinstance(raw, dict):
        return Usage()
    prompt, tools = token_count(raw.get("promptTokenCount")), token_count(raw.get("toolUsePromptTokenCount"))
    cached, thoughts = token_count(raw.get("cachedContentTokenCount")), token_count(raw.get("thoughtsTokenCount"))
    written = token_count(raw.get("candidatesTokenCount"))
    usage = Usage(cache_read_tokens=cached, reasoning_tokens=thoughts, raw=raw)
    if prompt is not None or tools is not None:
        usage.input_tokens = max(0, (prompt or 0) + (tools or 0) - (cached or 0))
    if written is not None or thoughts is not None:
        usage.output_tokens = (written or 0) + (thoughts or 0)
    return usage


def write_usage(usage: Usage) -> JsonObject:
    """The `usageMetadata` object that states `usage`."""
    thoughts = usage.reasoning_tokens or 0
    written: JsonObject = {
        "promptTokenCount": usage.total_input_tokens,
        "candidatesTokenCount": max(0, (usage.output_tokens or 0) - thoughts),
        "totalTokenCount": usage.total_tokens,
    }
    if usage.cache_read_tokens:
        written["cachedContentTokenCount"] = usage.cache_read_tokens
    if thoughts:
        written["thoughtsTokenCount"] = thoughts
    return written


def read_stop(candidate: JsonObject, *, has_calls: bool) -> Stop | None:
    """Why a candidate ended, None while it has no `finishReason`. A reason that is not known ends the turn."""
    word = candidate.get("finishReason")
    if not isinstance(word, str):
        return None
    reason = FINISH_REASONS.get(word, "end_turn")
    if reason == "end_turn" and has_calls:
        reason = "tool_use"
    message = candidate.get("finishMessage")
    return Stop(reason, raw=word, explanation=message if isinstance(message, str) else None)


def read_block(body: JsonObject) -> Stop | None:
    """The stop of a prompt that was blocked: an answer without candidates."""
    feedback = body.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if not isinstance(feedback, dict) or not isinstance(reason, str):
        return None
    message = feedback.get("blockReasonMessage")
    return Stop("content_filter", reason, explanation=message if isinstance(message, str) else None)


def write_stop(stop: Stop, *, own: bool) -> JsonObject:
    """`finishReason` and, where there is something to say, `finishMessage`. `own`: the stop came from here."""
    word = stop.raw if own and stop.raw in FINISH_REASONS else FINISH_WORDS[stop.reason]
    written: JsonObject = {"finishReason": word}
    if stop.explanation:
        written["finishMessage"] = stop.explanation
    return written
