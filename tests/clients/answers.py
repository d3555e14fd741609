"""Answers of a scripted model with as many parts as a test wants, written in each backend format by hand, from the
vendors' documentation and without the code under test; only the AWS frames come from it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.framing.eventstream import encode_frame, encode_headers

type Json = dict[str, Any]
type Stop = Literal["end", "tool", "length", "refusal", "pause"]


@dataclass
class Thought:
    """Reasoning, and the state that only this model can read: URL-safe, so that no client writes it another way."""

    text: str
    state: str


@dataclass
class Said:
    """A text for the user."""

    text: str


@dataclass
class Called:
    """A call. `name` and `namespace` as the request offered them; a `custom` tool gets the argument `input` alone."""

    id: str
    name: str
    arguments: Json
    namespace: str | None = None
    custom: bool = False


type Part = Thought | Said | Called


@dataclass
class Used:
    """Tokens: `prompt` with what was read from and written to the cache, `output` with `reasoning`."""

    prompt: int = 1000
    read: int = 600
    written: int = 100
    output: int = 50
    reasoning: int = 20


@dataclass
class Answer:
    """One answer of the model."""

    parts: list[Part]
    stop: Stop = "end"
    used: Used = field(default_factory=Used)
    number: int = 1

    @property
    def calls(self) -> list[Called]:
        return [part for part in self.parts if isinstance(part, Called)]


def _sse(events: Iterator[Json], *, named: bool) -> list[bytes]:
    return [
        ((f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n").encode() for event in events
    ]


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]


# --- Messages, and InvokeModel --------------------------------------------------------------------------------

_MESSAGES_STOPS = {
    "end": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "pause": "pause_turn",
}


def _messages_block(part: Part) -> Json:
    match part:
        case Thought():
            return {"type": "thinking", "thinking": part.text, "signature": part.state}
        case Said():
            return {"type": "text", "text": part.text}
        case Called():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}


def messages_whole(answer: Answer) -> Json:
    used = answer.used
    usage = {
        "input_tokens": used.prompt - used.read - used.written,
        "cache_read_input_tokens": used.read,
        "cache_creation_input_tokens": used.written,
        "cache_creation": {"ephemeral_5m_input_tokens": used.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": used.output,
        "output_tokens_details": {"thinking_tokens": used.reasoning},
        "service_tier": "standard",
    }
    refused = {"type": "refusal", "category": "cyber", "explanation": "It cannot help with this."}
    return {
        "id": f"msg_{answer.number:04}", "type": "message", "role": "assistant", "model": "claude-backend",
        "content": [_messages_block(part) for part in answer.parts], "stop_reason": _MESSAGES_STOPS[answer.stop],
        "stop_sequence": None, "stop_details": refused if answer.stop == "refusal" else None, "usage": usage,
    }  # fmt: skip


def _messages_deltas(block: Json) -> tuple[Json, list[Json]]:
    """A block as it starts, and what fills it."""
    match block["type"]:
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": half} for half in _halves(block["thinking"])]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*thoughts, signature]
        case "tool_use":
            halves = _halves(json.dumps(block["input"])) if block["input"] else []
            first = {"type": "input_json_delta", "partial_json": ""}
            return {**block, "input": {}}, [
                first,
                *({"type": "input_json_delta", "partial_json": half} for half in halves),
            ]
        case _:
            return {**block, "text": ""}, [{"type": "text_delta", "text": half} for half in _halves(block["text"])]


def _messages_events(answer: Answer) -> Iterator[Json]:
    whole = messages_whole(answer)
    early = {**whole["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": early}}
    yield {"type": "ping"}
    for place, block in enumerate(whole["content"]):
        empty, deltas = _messages_deltas(block)
        yield {"type": "content_block_start", "index": place, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": place, "delta": delta}
        yield {"type": "content_block_stop", "index": place}
    ending = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield {"type": "message_delta", "delta": ending, "usage": whole["usage"]}
    yield {"type": "message_stop"}


def messages_stream(answer: Answer) -> list[bytes]:
    return _sse(_messages_events(answer), named=True)


def _frame(kind: str, value: Json) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode_frame(encode_headers(headers), json.dumps(value).encode())


def invoke_stream(answer: Answer) -> list[bytes]:
    events = [event for event in _messages_events(answer) if event["type"] != "ping"]
    return [
        _frame("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "ab"}) for event in events
    ]


# --- Chat Completions -----------------------------------------------------------------------------------------

_CHAT_STOPS = {"end": "stop", "tool": "tool_calls", "length": "length", "refusal": "content_filter", "pause": "length"}


def _chat_call(call: Called) -> Json:
    if call.custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments["input"]}}
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
    }


def _chat_usage(used: Used) -> Json:
    return {
        "prompt_tokens": used.prompt,
        "completion_tokens": used.output,
        "total_tokens": used.prompt + used.output,
        "prompt_tokens_details": {"cached_tokens": used.read, "cache_write_tokens": used.written, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning, "audio_tokens": 0},
    }


def chat_whole(answer: Answer) -> Json:
    text = "".join(part.text for part in answer.parts if isinstance(part, Said))
    message: Json = {"role": "assistant", "content": text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [_chat_call(call) for call in answer.calls]
    choice = {"index": 0, "message": message, "finish_reason": _CHAT_STOPS[answer.stop], "logprobs": None}
    return {
        "id": f"chatcmpl-{answer.number}", "object": "chat.completion", "created": 1, "model": "gpt-backend",
        "choices": [choice], "usage": _chat_usage(answer.used),
    }  # fmt: skip


def chat_stream(answer: Answer) -> list[bytes]:
    head = {"id": f"chatcmpl-{answer.number}", "object": "chat.completion.chunk", "created": 1, "model": "gpt-backend"}

    def chunk(delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**head, "choices": [choice], "usage": None}

    def events() -> Iterator[Json]:
        yield chunk({"role": "assistant", "content": ""})
        for part in answer.parts:
            if isinstance(part, Thought):
                yield from (chunk({"reasoning_content": half}) for half in _halves(part.text))
            elif isinstance(part, Said):
                yield from (chunk({"content": half}) for half in _halves(part.text))
        opened = [_chat_call(call) for call in answer.calls]
        for index, call in enumerate(opened):
            kind, member = call["type"], "input" if call["type"] == "custom" else "arguments"
            yield chunk({"tool_calls": [{"index": index, **call, kind: {**call[kind], member: ""}}]})
            for half in _halves(call[kind][member]):
                yield chunk({"tool_calls": [{"index": index, kind: {member: half}}]})
        yield chunk({}, _CHAT_STOPS[answer.stop])
        yield {**head, "choices": [], "usage": _chat_usage(answer.used)}

    return [*_sse(events(), named=False), b"data: [DONE]\n\n"]


# --- Responses ------------------------------------------------------------------------------------------------


def _responses_item(part: Part, number: str) -> Json:
    match part:
        case Thought():
            summary = [{"type": "summary_text", "text": part.text}]
            return {"type": "reasoning", "id": f"rs_{number}", "summary": summary, "encrypted_content": part.state}
        case Said():
            content = [{"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}]
            head = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
            return {**head, "content": content}
        case Called():
            call: Json = {"call_id": part.id, "status": "completed", "name": part.name}
            if part.namespace:
                call["namespace"] = part.namespace
            if part.custom:
                return {"type": "custom_tool_call", "id": f"ctc_{number}", **call, "input": part.arguments["input"]}
            return {"type": "function_call", "id": f"fc_{number}", **call, "arguments": json.dumps(part.arguments)}


_RESPONSES_STOPS = {"length": "max_output_tokens", "refusal": "content_filter", "pause": "max_output_tokens"}


def responses_whole(answer: Answer) -> Json:
    used = answer.used
    usage = {
        "input_tokens": used.prompt,
        "input_tokens_details": {"cached_tokens": used.read, "cache_write_tokens": used.written},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.prompt + used.output,
    }
    reason = _RESPONSES_STOPS.get(answer.stop)
    items = [_responses_item(part, f"{answer.number}_{place}") for place, part in enumerate(answer.parts)]
    return {
        "id": f"resp_{answer.number}", "object": "response", "created_at": 1, "model": "gpt-backend",
        "status": "incomplete" if reason else "completed", "output": items,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None,
        "incomplete_details": {"reason": reason} if reason else None, "instructions": None, "metadata": {},
        "usage": usage,
    }  # fmt: skip


def _reasoning_events(item: Json, index: int) -> Iterator[Json]:
    place = {"output_index": index, "item_id": item["id"], "summary_index": 0}
    text = item["summary"][0]["text"]
    yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "summary": []}}
    yield {"type": "response.reasoning_summary_part.added", **place, "part": {"type": "summary_text", "text": ""}}
    for half in _halves(text):
        yield {"type": "response.reasoning_summary_text.delta", **place, "delta": half}
    yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
    yield {"type": "response.reasoning_summary_part.done", **place, "part": item["summary"][0]}


def _call_events(item: Json, index: int) -> Iterator[Json]:
    custom = item["type"] == "custom_tool_call"
    member = "input" if custom else "arguments"
    kind = "custom_tool_call_input" if custom else "function_call_arguments"
    place = {"output_index": index, "item_id": item["id"]}
    opened = {**item, member: "", "status": "in_progress"}
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    for half in _halves(item[member]):
        yield {"type": f"response.{kind}.delta", **place, "delta": half}
    yield {"type": f"response.{kind}.done", **place, member: item[member]}


def _text_events(item: Json, index: int) -> Iterator[Json]:
    opened = {**item, "content": [], "status": "in_progress"}
    part = item["content"][0]
    place = {"output_index": index, "item_id": item["id"], "content_index": 0}
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for half in _halves(part["text"]):
        yield {"type": "response.output_text.delta", **place, "delta": half, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


_ITEM_EVENTS: Mapping[str, Callable[[Json, int], Iterator[Json]]] = {
    "reasoning": _reasoning_events,
    "message": _text_events,
    "function_call": _call_events,
    "custom_tool_call": _call_events,
}


def responses_stream(answer: Answer) -> list[bytes]:
    def events() -> Iterator[Json]:
        whole = responses_whole(answer)
        begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        for index, item in enumerate(whole["output"]):
            yield from _ITEM_EVENTS[item["type"]](item, index)
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": f"response.{whole['status']}", "response": whole}

    return _sse(({**event, "sequence_number": number} for number, event in enumerate(events())), named=True)


# --- Converse -------------------------------------------------------------------------------------------------

_CONVERSE_STOPS = {
    "end": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "refusal": "content_filtered",
    "pause": "max_tokens",
}


def _converse_block(part: Part) -> Json:
    match part:
        case Thought():
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.state}}}
        case Said():
            return {"text": part.text}
        case Called():
            return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": part.arguments}}


def _converse_usage(used: Used) -> Json:
    return {
        "inputTokens": used.prompt - used.read - used.written,
        "outputTokens": used.output,
        "totalTokens": used.prompt + used.output,
        "cacheReadInputTokens": used.read,
        "cacheWriteInputTokens": used.written,
    }


def converse_whole(answer: Answer) -> Json:
    message = {"role": "assistant", "content": [_converse_block(part) for part in answer.parts]}
    return {
        "output": {"message": message},
        "stopReason": _CONVERSE_STOPS[answer.stop],
        "usage": _converse_usage(answer.used),
        "metrics": {"latencyMs": 3},
    }


def _converse_deltas(part: Part) -> list[Json]:
    match part:
        case Thought():
            halves: list[Json] = [{"text": half} for half in _halves(part.text)]
            return [{"reasoningContent": delta} for delta in [*halves, {"signature": part.state}]]
        case Said():
            return [{"text": half} for half in _halves(part.text)]
        case Called():
            return [{"toolUse": {"input": half}} for half in _halves(json.dumps(part.arguments))]


def converse_stream(answer: Answer) -> list[bytes]:
    frames = [_frame("messageStart", {"role": "assistant", "p": "abcd"})]
    for index, part in enumerate(answer.parts):
        if isinstance(part, Called):
            start = {"toolUse": {"toolUseId": part.id, "name": part.name}}
            frames.append(_frame("contentBlockStart", {"contentBlockIndex": index, "start": start}))
        for delta in _converse_deltas(part):
            frames.append(_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}))
        frames.append(_frame("contentBlockStop", {"contentBlockIndex": index}))
    frames.append(_frame("messageStop", {"stopReason": _CONVERSE_STOPS[answer.stop]}))
    frames.append(_frame("metadata", {"usage": _converse_usage(answer.used), "metrics": {"latencyMs": 3}}))
    return frames


# --- Gemini ---------------------------------------------------------------------------------------------------

_GEMINI_STOPS = {"end": "STOP", "tool": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY", "pause": "MAX_TOKENS"}


def _gemini_parts(answer: Answer) -> list[Json]:
    """A thought's state is on the first call after it; without a call on the text."""
    parts: list[Json] = []
    state: str | None = None
    for part in answer.parts:
        match part:
            case Thought():
                parts.append({"text": part.text, "thought": True})
                state = part.state
                continue
            case Said():
                parts.append({"text": part.text})
                continue
            case Called():
                parts.append({"functionCall": {"id": part.id, "name": part.name, "args": part.arguments}})
        if state is not None:
            parts[-1]["thoughtSignature"], state = state, None
    if state is not None and parts and not parts[-1].get("thought"):
        parts[-1]["thoughtSignature"] = state
    return parts


def _gemini_body(answer: Answer, parts: list[Json], finish: str | None) -> Json:
    used = answer.used
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": used.prompt,
            "cachedContentTokenCount": used.read,
            "candidatesTokenCount": used.output - used.reasoning,
            "thoughtsTokenCount": used.reasoning,
            "totalTokenCount": used.prompt + used.output,
        },
        "modelVersion": "gemini-backend",
        "responseId": f"r{answer.number}",
    }


def gemini_whole(answer: Answer) -> Json:
    return _gemini_body(answer, _gemini_parts(answer), _GEMINI_STOPS[answer.stop])


def gemini_stream(answer: Answer) -> list[bytes]:
    parts = _gemini_parts(answer) or [{"text": ""}]
    last = len(parts) - 1
    bodies = [
        _gemini_body(answer, [part], _GEMINI_STOPS[answer.stop] if place == last else None)
        for place, part in enumerate(parts)
    ]
    return [f"data: {json.dumps(body)}\r\n\r\n".encode() for body in bodies]


# --------------------------------------------------------------------------------------------------------------

_EVENT_STREAM = {"content-type": "application/vnd.amazon.eventstream"}
_SSE = {"content-type": "text/event-stream"}


@dataclass(frozen=True)
class Writer:
    """How a backend format writes an answer."""

    whole: Callable[[Answer], Json]
    stream: Callable[[Answer], list[bytes]]
    headers: Mapping[str, str]


WRITERS: Mapping[str, Writer] = {
    "messages": Writer(messages_whole, messages_stream, _SSE),
    "invoke": Writer(messages_whole, invoke_stream, _EVENT_STREAM),
    "chat_completions": Writer(chat_whole, chat_stream, _SSE),
    "responses": Writer(responses_whole, responses_stream, _SSE),
    "converse": Writer(converse_whole, converse_stream, _EVENT_STREAM),
    "generate_content": Writer(gemini_whole, gemini_stream, _SSE),
}
