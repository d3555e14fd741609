"""Answers of each backend format whose usage states every kind of token that the format has a word for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from core.framing.eventstream import encode
from core.usage import Usage

# Every kind of token, in numbers that no sum of others makes.
TRUTH = Usage(1000, 207, 3011, 401, 59, 97)
TEXT = "Hi there"


def told_by(format_name: str, truth: Usage = TRUTH) -> Usage:
    """What a backend of that format can say: OpenAI has no word for hourly writes, Bedrock none for reasoning, Google
    none for writes at all. What it cannot name is in its other counts."""
    written = truth.cache_write_tokens
    if format_name == "generate_content":
        prompt = (truth.input_tokens or 0) + written
        return Usage(prompt, truth.output_tokens, truth.cache_read_tokens, reasoning_tokens=truth.reasoning_tokens)
    if format_name == "responses":
        return Usage(truth.input_tokens, truth.output_tokens, truth.cache_read_tokens, written, None,
                     truth.reasoning_tokens)  # fmt: skip
    if format_name == "converse":
        return Usage(truth.input_tokens, truth.output_tokens, truth.cache_read_tokens, truth.cache_write_5m_tokens,
                     truth.cache_write_1h_tokens)  # fmt: skip
    return truth


def _chat_usage() -> dict[str, Any]:
    prompt = TRUTH.total_input_tokens
    return {
        "prompt_tokens": prompt, "completion_tokens": 207, "total_tokens": prompt + 207,
        "prompt_tokens_details": {
            "cached_tokens": 3011, "cache_write_tokens": 460,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 401, "ephemeral_1h_input_tokens": 59},
        },
        "completion_tokens_details": {"reasoning_tokens": 97},
    }  # fmt: skip


def _chat(tier: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": TEXT}
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m", "service_tier": tier,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": _chat_usage(),
    }  # fmt: skip


def _chat_stream(tier: str) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "service_tier": tier}
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": TEXT}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": _chat_usage()},
    ]
    frames = [f"data: {json.dumps({**head, **chunk})}\n\n" for chunk in chunks]
    return "".join([*frames, "data: [DONE]\n\n"]).encode()


def _response(tier: str) -> dict[str, Any]:
    prompt = TRUTH.total_input_tokens
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
        "service_tier": tier, "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": {
            "input_tokens": prompt, "input_tokens_details": {"cached_tokens": 3011, "cache_write_tokens": 460},
            "output_tokens": 207, "output_tokens_details": {"reasoning_tokens": 97}, "total_tokens": prompt + 207,
        },
    }  # fmt: skip


def _response_stream(tier: str) -> bytes:
    whole = _response(tier)
    item = whole["output"][0]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**item["content"][0], "text": ""}},
        {"type": "response.output_text.delta", **place, "delta": TEXT, "logprobs": []},
        {"type": "response.output_text.done", **place, "text": TEXT, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in numbered).encode()


def _message_usage(tier: str) -> dict[str, Any]:
    return {
        "input_tokens": 1000, "output_tokens": 207, "cache_read_input_tokens": 3011,
        "cache_creation_input_tokens": 460, "service_tier": tier,
        "cache_creation": {"ephemeral_5m_input_tokens": 401, "ephemeral_1h_input_tokens": 59},
        "output_tokens_details": {"thinking_tokens": 97},
    }  # fmt: skip


def _message(tier: str) -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": TEXT}], "usage": _message_usage(tier),
    }  # fmt: skip


def _message_events(tier: str) -> list[dict[str, Any]]:
    early = {**_message_usage(tier), "output_tokens": 1}
    del early["output_tokens_details"]
    late = {"output_tokens": 207, "output_tokens_details": {"thinking_tokens": 97}}
    return [
        {"type": "message_start", "message": {**_message(tier), "content": [], "stop_reason": None, "usage": early}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": late},
        {"type": "message_stop"},
    ]


def _message_stream(tier: str) -> bytes:
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in _message_events(tier)).encode()


def _converse_tail(tier: str) -> dict[str, Any]:
    details = [{"ttl": "5m", "inputTokens": 401}, {"ttl": "1h", "inputTokens": 59}]
    usage = {
        "inputTokens": 1000, "outputTokens": 207, "totalTokens": TRUTH.total_tokens, "cacheReadInputTokens": 3011,
        "cacheWriteInputTokens": 460, "cacheDetails": details,
    }  # fmt: skip
    return {"usage": usage, "metrics": {"latencyMs": 1}, "serviceTier": {"type": tier}}


def _converse(tier: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": [{"text": TEXT}]}
    return {"output": {"message": message}, "stopReason": "end_turn", **_converse_tail(tier)}


def _aws(kind: str, payload: dict[str, Any]) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps(payload).encode())


def _converse_stream(tier: str) -> bytes:
    return b"".join([
        _aws("messageStart", {"role": "assistant"}),
        _aws("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": TEXT}}),
        _aws("contentBlockStop", {"contentBlockIndex": 0}),
        _aws("messageStop", {"stopReason": "end_turn"}),
        _aws("metadata", _converse_tail(tier)),
    ])  # fmt: skip


def _gemini(tier: str) -> dict[str, Any]:
    prompt = TRUTH.total_input_tokens
    content = {"role": "model", "parts": [{"text": TEXT}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "modelVersion": "m",
        "responseId": "r1",
        "usageMetadata": {
            "promptTokenCount": prompt, "candidatesTokenCount": 110, "thoughtsTokenCount": 97,
            "cachedContentTokenCount": 3011, "totalTokenCount": prompt + 207,
        },
    }  # fmt: skip


def _gemini_stream(tier: str) -> bytes:
    first, last = _gemini(tier), _gemini(tier)
    del first["candidates"][0]["finishReason"]
    first["usageMetadata"] = {"promptTokenCount": TRUTH.total_input_tokens, "totalTokenCount": TRUTH.total_input_tokens}
    last["candidates"][0]["content"]["parts"] = [{"text": ""}]
    return "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in (first, last)).encode()


WHOLE: dict[str, Callable[[str], dict[str, Any]]] = {
    "chat_completions": _chat, "responses": _response, "messages": _message, "converse": _converse,
    "generate_content": _gemini,
}  # fmt: skip
STREAMS: dict[str, Callable[[str], bytes]] = {
    "chat_completions": _chat_stream, "responses": _response_stream, "messages": _message_stream,
    "converse": _converse_stream, "generate_content": _gemini_stream,
}  # fmt: skip


def answer_of(format_name: str, streamed: bool, tier: str) -> bytes:
    """A backend's answer, given at the service tier `tier`."""
    return STREAMS[format_name](tier) if streamed else json.dumps(WHOLE[format_name](tier)).encode()
