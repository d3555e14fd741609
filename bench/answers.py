"""What the fake backend answers: one short text in each wire format, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.framing.eventstream import encode

SSE = b"text/event-stream"
EVENTSTREAM = b"application/vnd.amazon.eventstream"


@dataclass(frozen=True)
class Knobs:
    """How much is answered: `chunks` pieces of `size` characters, `delay` milliseconds apart."""

    chunks: int
    delay: int
    size: int


def data(value: object) -> bytes:
    """One SSE frame without an event name."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def event(value: dict[str, object]) -> bytes:
    """One SSE frame whose event name is the value's type."""
    return b"event: " + str(value["type"]).encode() + b"\n" + data(value)


# Chat Completions: https://platform.openai.com/docs/api-reference/chat

_USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


def chat_whole(knobs: Knobs) -> bytes:
    message = {"role": "assistant", "content": "x" * (knobs.size * knobs.chunks), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps({"id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "bench",
                       "choices": [choice], "usage": _USAGE}).encode()  # fmt: skip


def chat_stream(knobs: Knobs) -> Iterator[bytes]:
    def chunk(delta: dict[str, object], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return data({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench",
                     "choices": [choice]})  # fmt: skip

    piece = chunk({"content": "x" * knobs.size}, None)
    yield chunk({"role": "assistant", "content": ""}, None)
    for _ in range(knobs.chunks):
        yield piece
    yield chunk({}, "stop")
    yield data({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench",
                "choices": [], "usage": _USAGE})  # fmt: skip
    yield b"data: [DONE]\n\n"


# Messages: https://docs.anthropic.com/en/api/messages


def messages_whole(knobs: Knobs) -> bytes:
    return json.dumps({"id": "msg_bench", "type": "message", "role": "assistant", "model": "bench",
                       "content": [{"type": "text", "text": "x" * (knobs.size * knobs.chunks)}],
                       "stop_reason": "end_turn", "stop_sequence": None,
                       "usage": {"input_tokens": 9, "output_tokens": 12}}).encode()  # fmt: skip


def messages_stream(knobs: Knobs) -> Iterator[bytes]:
    yield event({"type": "message_start", "message": {
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "bench", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}})  # fmt: skip
    yield event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    piece = event({"type": "content_block_delta", "index": 0,
                   "delta": {"type": "text_delta", "text": "x" * knobs.size}})  # fmt: skip
    for _ in range(knobs.chunks):
        yield piece
    yield event({"type": "content_block_stop", "index": 0})
    yield event({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                 "usage": {"output_tokens": 12}})  # fmt: skip
    yield event({"type": "message_stop"})


# Responses: https://platform.openai.com/docs/api-reference/responses


def _response(status: str, text: str | None) -> dict[str, object]:
    content = [] if text is None else [{"type": "output_text", "text": text, "annotations": []}]
    item = {"id": "msg_bench", "type": "message", "role": "assistant", "status": status, "content": content}
    usage = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 12,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 21}  # fmt: skip
    return {"id": "resp_bench", "object": "response", "created_at": 1, "model": "bench", "status": status,
            "error": None, "output": [] if text is None else [item],
            "usage": None if text is None else usage}  # fmt: skip


def responses_whole(knobs: Knobs) -> bytes:
    return json.dumps(_response("completed", "x" * (knobs.size * knobs.chunks))).encode()


def responses_stream(knobs: Knobs) -> Iterator[bytes]:
    text = "x" * (knobs.size * knobs.chunks)
    done = _response("completed", text)
    item = {"id": "msg_bench", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    place = {"item_id": "msg_bench", "output_index": 0, "content_index": 0}
    steps: list[dict[str, object]] = [
        {"type": "response.created", "response": _response("in_progress", None)},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
    ]
    steps += [{"type": "response.output_text.delta", **place, "delta": "x" * knobs.size}] * knobs.chunks
    steps += [
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.content_part.done", **place, "part": {**part, "text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]},  # type: ignore[index]
        {"type": "response.completed", "response": done},
    ]
    for number, step in enumerate(steps):
        yield event({**step, "sequence_number": number})


# Converse: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html

_CONVERSE_USAGE = {"inputTokens": 9, "outputTokens": 12, "totalTokens": 21}


def converse_whole(knobs: Knobs) -> bytes:
    message = {"role": "assistant", "content": [{"text": "x" * (knobs.size * knobs.chunks)}]}
    return json.dumps({"output": {"message": message}, "stopReason": "end_turn", "usage": _CONVERSE_USAGE,
                       "metrics": {"latencyMs": 1}}).encode()  # fmt: skip


def converse_stream(knobs: Knobs) -> Iterator[bytes]:
    def frame(kind: str, value: dict[str, object]) -> bytes:
        names = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        return encode(names, json.dumps(value).encode())

    yield frame("messageStart", {"role": "assistant"})
    piece = frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x" * knobs.size}})
    for _ in range(knobs.chunks):
        yield piece
    yield frame("contentBlockStop", {"contentBlockIndex": 0})
    yield frame("messageStop", {"stopReason": "end_turn"})
    yield frame("metadata", {"usage": _CONVERSE_USAGE, "metrics": {"latencyMs": 1}})


# Gemini: https://ai.google.dev/api/generate-content


def _candidates(text: str, **more: object) -> dict[str, object]:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 12, "totalTokenCount": 21},
            "modelVersion": "bench", "responseId": "bench"}  # fmt: skip


def gemini_whole(knobs: Knobs) -> bytes:
    return json.dumps(_candidates("x" * (knobs.size * knobs.chunks), finishReason="STOP")).encode()


def gemini_stream(knobs: Knobs) -> Iterator[bytes]:
    piece = data(_candidates("x" * knobs.size))
    for _ in range(knobs.chunks):
        yield piece
    yield data(_candidates("", finishReason="STOP"))


def embeddings_whole(knobs: Knobs) -> bytes:
    vector = {"object": "embedding", "index": 0, "embedding": [0.1] * (knobs.size * knobs.chunks)}
    return json.dumps({"object": "list", "data": [vector], "model": "bench",
                       "usage": {"prompt_tokens": 9, "total_tokens": 9}}).encode()  # fmt: skip


@dataclass(frozen=True)
class Format:
    """How the endpoints whose paths end in `path` answer. `stream` is None where they never stream; `opening` frames
    precede a stream's content. `always` is set where the path says whether it streams."""

    path: bytes
    whole: Callable[[Knobs], bytes]
    stream: Callable[[Knobs], Iterator[bytes]] | None
    opening: int = 0
    always: bool | None = None
    content_type: bytes = SSE


FORMATS = (
    Format(b"/chat/completions", chat_whole, chat_stream, 1),
    Format(b"/messages", messages_whole, messages_stream, 2),
    Format(b"/responses", responses_whole, responses_stream, 3),
    Format(b"/embeddings", embeddings_whole, None),
    Format(b"/converse", converse_whole, None),
    Format(b"/converse-stream", converse_whole, converse_stream, 1, True, EVENTSTREAM),
    Format(b":generateContent", gemini_whole, None),
    Format(b":streamGenerateContent", gemini_whole, gemini_stream, 0, True),
)
