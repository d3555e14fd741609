"""What backends answer, by wire format: a text, a tool call, an error, a stream that breaks; made by us."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from core.framing.eventstream import encode
from tests.backend_server import JSON, RESET, SSE, Script

EVENTS = {"content-type": "application/vnd.amazon.eventstream"}
CITY = {"city": "Oslo"}


def frame(data: dict[str, Any], named: bool = True) -> bytes:
    event = f"event: {data['type']}\n" if named else ""
    return f"{event}data: {json.dumps(data)}\n\n".encode()


def aws(event: str, payload: dict[str, Any], kind: str = "event") -> bytes:
    headers = {f":{kind}-type": event, ":content-type": "application/json", ":message-type": kind}
    return encode(headers, json.dumps(payload).encode())


# --- Messages ---------------------------------------------------------------------------------------------------------


def messages_whole(model: str, tool: bool) -> dict[str, Any]:
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": CITY}
    block: dict[str, Any] = call if tool else {"type": "text", "text": "Hi"}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [block],
        "stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 2},
    }  # fmt: skip


def messages_events(model: str, tool: bool) -> list[dict[str, Any]]:
    whole = messages_whole(model, tool)
    start = {**whole, "content": [], "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 1}}
    block = {**whole["content"][0], **({"input": {}} if tool else {"text": ""})}
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(CITY)} if tool else {"type": "text_delta", "text": "Hi"}
    )
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta", "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]  # fmt: skip


def _messages_stream(model: str, tool: bool) -> list[bytes]:
    return [frame(event) for event in messages_events(model, tool)]


def _invoke_stream(model: str, tool: bool) -> list[bytes]:
    """InvokeModel's stream: each Messages event in base64 in a frame of its own."""
    events = [json.dumps(event).encode() for event in messages_events(model, tool)]
    return [aws("chunk", {"bytes": base64.b64encode(event).decode(), "p": "ab"}) for event in events]


# --- Chat Completions -------------------------------------------------------------------------------------------------


def _chat_call() -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps(CITY)}
    return {"id": "call_1", "type": "function", "function": function}


def chat_whole(model: str, tool: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"content": None, "tool_calls": [_chat_call()]} if tool else {"content": "Hi"}
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "tool_calls" if tool else "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
    return {**head, "choices": [choice], "usage": usage}


def _chat_stream(model: str, tool: bool) -> list[bytes]:
    whole = chat_whole(model, tool)
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return frame({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, named=False)

    said = {"tool_calls": [{"index": 0, **_chat_call()}]} if tool else {"content": "Hi"}
    return [
        # Azure's first frame may have no choices.
        frame({**head, "id": "", "model": "", "choices": [], "prompt_filter_results": []}, named=False),
        chunk({"role": "assistant", "content": None if tool else ""}),
        chunk(said),
        chunk({}, whole["choices"][0]["finish_reason"]),
        frame({**head, "choices": [], "usage": whole["usage"]}, named=False),
        b"data: [DONE]\n\n",
    ]


# --- Responses --------------------------------------------------------------------------------------------------------


def _item(tool: bool) -> dict[str, Any]:
    if tool:
        return {
            "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather",
            "arguments": json.dumps(CITY), "status": "completed",
        }  # fmt: skip
    content = [{"type": "output_text", "text": "Hi", "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def responses_whole(model: str, tool: bool) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": model,
        "output": [_item(tool)], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7,
                  "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    }  # fmt: skip


def _responses_stream(model: str, tool: bool) -> list[bytes]:
    whole, item = responses_whole(model, tool), _item(tool)
    started = {**whole, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": item["id"], "output_index": 0}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": started}]
    begun = {**item, "status": "in_progress", **({"arguments": ""} if tool else {"content": []})}
    events.append({"type": "response.output_item.added", "output_index": 0, "item": begun})
    if tool:
        events += [
            {"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]},
            {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]},
        ]  # fmt: skip
    else:
        text, part = {**place, "content_index": 0}, item["content"][0]
        events += [
            {"type": "response.content_part.added", **text, "part": {**part, "text": ""}},
            {"type": "response.output_text.delta", **text, "delta": "Hi", "logprobs": []},
            {"type": "response.output_text.done", **text, "text": "Hi", "logprobs": []},
            {"type": "response.content_part.done", **text, "part": part},
        ]  # fmt: skip
    events += [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return [frame({**event, "sequence_number": number}) for number, event in enumerate(events)]


# --- Converse ---------------------------------------------------------------------------------------------------------


def converse_whole(model: str, tool: bool) -> dict[str, Any]:
    block = {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": CITY}} if tool else {"text": "Hi"}
    return {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": "tool_use" if tool else "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}, "metrics": {"latencyMs": 1},
    }  # fmt: skip


def _converse_stream(model: str, tool: bool) -> list[bytes]:
    call = {"toolUse": {"toolUseId": "tooluse_1", "name": "weather"}}
    start = [aws("contentBlockStart", {"contentBlockIndex": 0, "start": call})]
    usage = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}
    delta = {"toolUse": {"input": json.dumps(CITY)}} if tool else {"text": "Hi"}
    return [
        aws("messageStart", {"role": "assistant"}),
        *(start if tool else []),
        aws("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}),
        aws("contentBlockStop", {"contentBlockIndex": 0}),
        aws("messageStop", {"stopReason": "tool_use" if tool else "end_turn"}),
        aws("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ]


# --- Gemini -----------------------------------------------------------------------------------------------------------


def gemini_whole(model: str, tool: bool) -> dict[str, Any]:
    part = {"functionCall": {"name": "weather", "args": CITY}, "thoughtSignature": "c2ln"} if tool else {"text": "Hi"}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
        "modelVersion": model, "responseId": "r1",
    }  # fmt: skip


def _gemini_stream(model: str, tool: bool) -> list[bytes]:
    whole = gemini_whole(model, tool)
    first = {**whole, "candidates": [{"content": whole["candidates"][0]["content"], "index": 0}]}
    end = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}
    last = {**whole, "candidates": [end]}
    return [frame(first, named=False), frame(last, named=False)]


_WHOLE = {
    "messages": messages_whole, "invoke": messages_whole, "chat_completions": chat_whole, "responses": responses_whole,
    "converse": converse_whole, "generate_content": gemini_whole,
}  # fmt: skip
_STREAMS = {
    "messages": _messages_stream, "invoke": _invoke_stream, "chat_completions": _chat_stream,
    "responses": _responses_stream, "converse": _converse_stream, "generate_content": _gemini_stream,
}  # fmt: skip
_AWS_FORMATS = ("converse", "invoke")


def answer(format_name: str, model: str, *, stream: bool, tool: bool) -> Script:
    """A good answer."""
    if stream:
        kind = EVENTS if format_name in _AWS_FORMATS else SSE
        return Script(_STREAMS[format_name](model, tool), headers=kind)
    return Script([json.dumps(_WHOLE[format_name](model, tool)).encode()], headers=JSON)


_AWS_ERRORS = {400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException",
               408: "ModelTimeoutException", 429: "ThrottlingException", 500: "InternalServerException",
               503: "ServiceUnavailableException"}  # fmt: skip
_ANTHROPIC_ERRORS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
                     404: "not_found_error", 408: "timeout_error", 413: "request_too_large", 429: "rate_limit_error",
                     529: "overloaded_error"}  # fmt: skip
_GEMINI_ERRORS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
                  429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip


def error(format_name: str, status: int, message: str) -> Script:
    """An error answer as the format's vendor writes it; those that may pass say when to come back."""
    headers = dict(JSON)
    if status in (429, 503, 529):
        headers["retry-after"] = "7"
    if format_name in _AWS_FORMATS:
        if status in _AWS_ERRORS:
            headers["x-amzn-errortype"] = _AWS_ERRORS[status]
        body: dict[str, Any] = {"message": message}
    elif format_name == "messages":
        kind = _ANTHROPIC_ERRORS.get(status, "api_error")
        body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_up"}
    elif format_name == "generate_content":
        body = {"error": {"code": status, "message": message, "status": _GEMINI_ERRORS.get(status, "UNKNOWN")}}
    else:
        body = {"error": {"message": message, "type": "some_error", "param": None, "code": None}}
    return Script([json.dumps(body).encode()], status=status, headers=headers)


def broken(format_name: str, model: str, how: str, said: str = "the model fell over") -> Script:
    """A stream that fails after its first words: with an error frame that says `said`, or with its connection."""
    good = answer(format_name, model, stream=True, tool=False)
    words = {"messages": 3, "invoke": 3, "chat_completions": 3, "responses": 4, "converse": 2, "generate_content": 1}
    begun: list[Any] = list(good.chunks)[: words[format_name]]
    return Script([*begun, *([RESET] if how == "reset" else _error_frames(format_name, said))], headers=good.headers)


def _error_frames(format_name: str, said: str) -> Sequence[bytes]:
    if format_name in _AWS_FORMATS:
        return [aws("internalServerException", {"message": said}, "exception")]
    if format_name == "messages":
        return [frame({"type": "error", "error": {"type": "api_error", "message": said}})]
    if format_name == "responses":
        return [frame({"type": "error", "code": "server_error", "message": said, "param": None, "sequence_number": 9})]
    if format_name == "generate_content":
        return [frame({"error": {"code": 500, "message": said, "status": "INTERNAL"}}, named=False)]
    return [frame({"error": {"message": said, "type": "server_error", "code": None}}, named=False)]
