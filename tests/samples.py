"""Small requests, answers and streams of the three pass-through formats, made by us."""

from __future__ import annotations

import json
from typing import Any

PATHS = {"chat_completions": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}

# A backend type that speaks each format natively.
TYPES = {"chat_completions": "openai", "messages": "anthropic", "responses": "openai"}


def request_body(format_name: str, model: str = "m", stream: bool = False) -> bytes:
    """A request, in an order and spacing of its own that a re-encoding would not keep."""
    content = {
        "chat_completions": '"messages" : [{"role":"user","content":"h\\u00e9llo"}]',
        "messages": '"max_tokens":  64, "messages":[{"role":"user","content":"h\\u00e9llo"}]',
        "responses": '"input": "h\\u00e9llo"',
    }[format_name]
    return f'{{ "model":"{model}",  {content}, "stream":{"true" if stream else "false"} }}'.encode()


def answer_body(format_name: str, model: str = "m") -> bytes:
    bodies: dict[str, dict[str, Any]] = {
        "chat_completions": {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        },
        "messages": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 5, "output_tokens": 2},
        },
        "responses": {
            "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": model,
            "output": [
                {
                    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
                }
            ],
            "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7,
                      "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
        },
    }  # fmt: skip
    return json.dumps(bodies[format_name]).encode()


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def stream_frames(format_name: str, model: str = "m") -> list[bytes]:
    """A stream, a frame an item: start, two deltas, end."""
    return {"chat_completions": _chat_frames, "messages": _message_frames, "responses": _response_frames}[format_name](
        model
    )


def _chat_frames(model: str) -> list[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        body = {
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }  # fmt: skip
        return f"data: {json.dumps(body)}\n\n".encode()

    usage = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }  # fmt: skip
    return [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "H"}),
        chunk({"content": "i \u2028"}),
        chunk({}, "stop"),
        f"data: {json.dumps(usage)}\n\n".encode(),
        b"data: [DONE]\n\n",
    ]


def _message_frames(model: str) -> list[bytes]:
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1},
    }  # fmt: skip
    return [
        _event({"type": "message_start", "message": message}),
        _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "H"}}),
        _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "i"}}),
        _event({"type": "content_block_stop", "index": 0}),
        _event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        _event({"type": "message_stop"}),
    ]


def _response_frames(model: str) -> list[bytes]:
    whole = json.loads(answer_body("responses", model))
    started = {**whole, "status": "in_progress", "output": [], "usage": None}
    item = {**whole["output"][0], "content": [], "status": "in_progress"}
    empty = {"type": "output_text", "text": "", "annotations": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": empty},
        {"type": "response.output_text.delta", **place, "delta": "H", "logprobs": []},
        {"type": "response.output_text.delta", **place, "delta": "i", "logprobs": []},
        {"type": "response.output_text.done", **place, "text": "Hi", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": whole["output"][0]["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": whole["output"][0]},
        {"type": "response.completed", "response": whole},
    ]
    return [_event({**event, "sequence_number": number}) for number, event in enumerate(events)]


def error_body(format_name: str, message: str = "busy") -> bytes:
    if format_name == "messages":
        return json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": message}}).encode()
    return json.dumps({"error": {"message": message, "type": "server_error", "code": None, "param": None}}).encode()


def error_frame(format_name: str, message: str = "broke") -> bytes:
    """An error as a backend sends it inside a stream."""
    if format_name == "messages":
        return _event({"type": "error", "error": {"type": "overloaded_error", "message": message}})
    if format_name == "responses":
        return _event({"type": "error", "code": "server_error", "message": message, "param": None})
    return f"data: {json.dumps({'error': {'message': message, 'type': 'server_error'}})}\n\n".encode()
