"""A scripted model for coding agents, in each backend format: it calls one of the client's own tools, and then
says what the tool gave back.

Written by hand from the vendors' documentation, without the code under test; only the AWS frames come from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from core.framing.eventstream import encode_frame, encode_headers
from tests.backend_server import JSON, Received, Script

# What only the model's own vendor can read, and wants back with the tool's result. URL-safe, so that no client can
# write it in another way.
STATE = "c3RhdGUtb2YtdGhlLW1vZGVs"
EVENT_STREAM = {"content-type": "application/vnd.amazon.eventstream"}


@dataclass
class ToolUse:
    """A call that the model makes: of the tool `name`, where the client offers it, with `arguments`. A tool that
    takes free text (where the backend's format has such tools) gets the argument `input` alone."""

    name: str
    arguments: dict[str, Any]


@dataclass
class Offered:
    """A tool that a request offers."""

    name: str
    namespace: str | None = None
    custom: bool = False


@dataclass
class Turn:
    """One answer: a text, or a call of `tool`."""

    text: str = ""
    tool: Offered | None = None
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """The called tool's name."""
        assert self.tool is not None
        return self.tool.name


@dataclass
class Dialect:
    """What a backend format needs: the tools that a request offers, the tool results in it, and an answer's bytes."""

    tools: Callable[[Any], list[Offered]]
    results: Callable[[Any], list[str]]
    stream: Callable[[Turn], list[bytes]]
    whole: Callable[[Turn], dict[str, Any]]
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})


class Agent:
    """The model behind a backend: thinks and calls `wanted`, then answers with the tool's result. Requests that offer
    no such tool (titles, summaries) get a short text. `results` and `states` say what came with each result."""

    def __init__(self, format_name: str, wanted: ToolUse) -> None:
        self._dialect = DIALECTS[format_name]
        self._wanted = wanted
        self.results: list[str] = []
        self.states: list[bool] = []

    def __call__(self, received: Received) -> Script:
        dialect = self._dialect
        body = received.json
        results = dialect.results(body)
        if results:
            self.states.append(STATE.encode() in received.body)
        turn = self.answer(received.body.decode()) or self._turn(dialect.tools(body), results)
        if _is_streamed(received, body):
            return Script(dialect.stream(turn), headers=dialect.headers)
        return Script([json.dumps(dialect.whole(turn)).encode()], headers=JSON)

    def answer(self, body: str) -> Turn | None:
        """The answer to a request that is none of the usual ones, None for those."""
        return None

    def _turn(self, tools: list[Offered], results: list[str]) -> Turn:
        if results:
            self.results.append(results[-1])
            return Turn(text=f"The tool said: {'|'.join(results[-1].split())}")
        tool = next((tool for tool in tools if _is(tool.name, self._wanted.name)), None)
        if tool is None:
            return Turn(text="A short title")
        return Turn(tool=tool, arguments=self._wanted.arguments)


def _is(name: str, wanted: str) -> bool:
    return name == wanted or name.endswith((f"__{wanted}", f".{wanted}"))


def _is_streamed(received: Received, body: Any) -> bool:
    path = received.target
    return bool(body.get("stream")) or "stream" in path.rsplit("/", 1)[-1].lower()


def _sse(events: Iterator[dict[str, Any]], *, named: bool) -> list[bytes]:
    return [
        ((f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n").encode() for event in events
    ]


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [] if isinstance(part, dict))


# --- Messages --------------------------------------------------------------------------------------------


def _messages_results(body: Any) -> list[str]:
    contents = [message["content"] for message in body["messages"]]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return [_text_of(block.get("content")) for block in blocks if block["type"] == "tool_result"]


def _messages_block(turn: Turn) -> dict[str, Any]:
    if turn.tool:
        return {"type": "tool_use", "id": "toolu_01A", "name": turn.called, "input": turn.arguments}
    return {"type": "text", "text": turn.text}


def _messages_content(turn: Turn) -> list[dict[str, Any]]:
    thinking = {"type": "thinking", "thinking": "I look.", "signature": STATE}
    return [*([thinking] if turn.tool else []), _messages_block(turn)]


def _messages_whole(turn: Turn) -> dict[str, Any]:
    return {
        "id": "msg_01A", "type": "message", "role": "assistant", "model": "claude-backend",
        "content": _messages_content(turn), "stop_reason": "tool_use" if turn.tool else "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 7},
    }  # fmt: skip


def _messages_deltas(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it starts, and what fills it."""
    match block["type"]:
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
            return {**block, "thinking": "", "signature": ""}, deltas
        case "tool_use":
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        case _:
            return {**block, "text": ""}, [{"type": "text_delta", "text": block["text"]}]


def _messages_stream(turn: Turn) -> list[bytes]:
    def events() -> Iterator[dict[str, Any]]:
        whole = _messages_whole(turn)
        yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
        for place, block in enumerate(whole["content"]):
            empty, deltas = _messages_deltas(block)
            yield {"type": "content_block_start", "index": place, "content_block": empty}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": place, "delta": delta}
            yield {"type": "content_block_stop", "index": place}
        ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 7}}
        yield {"type": "message_stop"}

    return _sse(events(), named=True)


# --- Chat Completions ------------------------------------------------------------------------------------


def _chat_call(turn: Turn) -> dict[str, Any]:
    if turn.tool and turn.tool.custom:
        custom = {"name": turn.called, "input": turn.arguments["input"]}
        return {"id": "call_01A", "type": "custom", "custom": custom}
    function = {"name": turn.called, "arguments": json.dumps(turn.arguments)}
    return {"id": "call_01A", "type": "function", "function": function}


def _chat_whole(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if turn.tool:
        message["tool_calls"] = [_chat_call(turn)]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if turn.tool else "stop"}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-backend", "choices": [choice],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }  # fmt: skip


def _chat_stream(turn: Turn) -> list[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **members: Any) -> dict[str, Any]:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-backend"}
        return {**head, "choices": choices, **members}

    def events() -> Iterator[dict[str, Any]]:
        yield chunk({"role": "assistant", "content": ""})
        if turn.tool:
            yield chunk({"reasoning_content": "I look."})
        if turn.tool:
            call = _chat_call(turn)
            kind, member = call["type"], "input" if turn.tool.custom else "arguments"
            yield chunk({"tool_calls": [{**call, "index": 0, kind: {**call[kind], member: ""}}]})
            yield chunk({"tool_calls": [{"index": 0, kind: {member: call[kind][member]}}]})
        else:
            for word in turn.text.split(" "):
                yield chunk({"content": f"{word} "})
        yield chunk({}, "tool_calls" if turn.tool else "stop")
        yield {**chunk({}), "choices": [], "usage": _chat_whole(turn)["usage"]}

    return [*_sse(events(), named=False), b"data: [DONE]\n\n"]


def _chat_tools(body: Any) -> list[Offered]:
    return [Offered(tool[tool["type"]]["name"], None, tool["type"] == "custom") for tool in body.get("tools", [])]


def _chat_results(body: Any) -> list[str]:
    return [_text_of(message["content"]) for message in body["messages"] if message["role"] == "tool"]


# --- Responses -------------------------------------------------------------------------------------------


def _responses_item(turn: Turn) -> dict[str, Any]:
    if turn.tool:
        call: dict[str, Any] = {"call_id": "call_01A", "status": "completed", "name": turn.called}
        if turn.tool.namespace:
            call["namespace"] = turn.tool.namespace
        if turn.tool.custom:
            return {"type": "custom_tool_call", "id": "ctc_1", **call, "input": turn.arguments["input"]}
        return {"type": "function_call", "id": "fc_1", **call, "arguments": json.dumps(turn.arguments)}
    part = {"type": "output_text", "text": turn.text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def _responses_thoughts(turn: Turn) -> list[dict[str, Any]]:
    summary = [{"type": "summary_text", "text": "I look."}]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": STATE}
    return [reasoning] if turn.tool else []


def _responses_whole(turn: Turn) -> dict[str, Any]:
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-backend",
        "output": [*_responses_thoughts(turn), _responses_item(turn)],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
        "usage": {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18, **details},
    }  # fmt: skip


def _responses_stream(turn: Turn) -> list[bytes]:
    def events() -> Iterator[dict[str, Any]]:
        whole = _responses_whole(turn)
        *thoughts, item = whole["output"]
        yield {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}
        for thought in thoughts:
            yield {"type": "response.output_item.added", "output_index": 0, "item": {**thought, "summary": []}}
            yield {"type": "response.output_item.done", "output_index": 0, "item": thought}
        index = len(thoughts)
        place = {"output_index": index, "item_id": item["id"]}
        if turn.tool:
            member = "input" if turn.tool.custom else "arguments"
            kind = "custom_tool_call_input" if turn.tool.custom else "function_call_arguments"
            opened = {**item, member: "", "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": index, "item": opened}
            yield {"type": f"response.{kind}.delta", **place, "delta": item[member]}
            yield {"type": f"response.{kind}.done", **place, member: item[member]}
        else:
            opened = {**item, "content": [], "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": index, "item": opened}
            text = {**place, "content_index": 0}
            part = item["content"][0]
            yield {"type": "response.content_part.added", **text, "part": {**part, "text": ""}}
            yield {"type": "response.output_text.delta", **text, "delta": turn.text, "logprobs": []}
            yield {"type": "response.output_text.done", **text, "text": turn.text, "logprobs": []}
            yield {"type": "response.content_part.done", **text, "part": part}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": "response.completed", "response": whole}

    numbered = ({**event, "sequence_number": number} for number, event in enumerate(events()))
    return _sse(numbered, named=True)


def _responses_tools(body: Any) -> list[Offered]:
    offered = []
    declared = [tool for item in _items(body) if item.get("type") == "additional_tools" for tool in item["tools"]]
    for tool in [*body.get("tools", []), *declared]:
        inner = tool["tools"] if tool["type"] == "namespace" else [tool]
        namespace = tool["name"] if tool["type"] == "namespace" else None
        offered += [Offered(one["name"], namespace, one["type"] == "custom") for one in inner if "name" in one]
    return offered


def _items(body: Any) -> list[dict[str, Any]]:
    return body["input"] if isinstance(body["input"], list) else []


def _responses_results(body: Any) -> list[str]:
    return [_text_of(item["output"]) for item in _items(body) if str(item.get("type")).endswith("_call_output")]


# --- Converse --------------------------------------------------------------------------------------------


def _converse_block(turn: Turn) -> dict[str, Any]:
    if turn.tool:
        return {"toolUse": {"toolUseId": "tooluse_01A", "name": turn.called, "input": turn.arguments}}
    return {"text": turn.text}


_CONVERSE_THOUGHT = {"text": "I look.", "signature": STATE}
_CONVERSE_USAGE = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}


def _converse_whole(turn: Turn) -> dict[str, Any]:
    thoughts = [{"reasoningContent": {"reasoningText": _CONVERSE_THOUGHT}}] if turn.tool else []
    message = {"role": "assistant", "content": [*thoughts, _converse_block(turn)]}
    reason = "tool_use" if turn.tool else "end_turn"
    return {
        "output": {"message": message},
        "stopReason": reason,
        "usage": _CONVERSE_USAGE,
        "metrics": {"latencyMs": 3},
    }


def _converse_stream(turn: Turn) -> list[bytes]:
    def frame(kind: str, value: dict[str, Any]) -> bytes:
        headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        return encode_frame(encode_headers(headers), json.dumps(value).encode())

    frames = [frame("messageStart", {"role": "assistant"})]
    index = 0
    if turn.tool:
        for delta in ({"text": "I look."}, {"signature": STATE}):
            frames.append(frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": delta}}))
        frames.append(frame("contentBlockStop", {"contentBlockIndex": 0}))
        index = 1
        start = {"toolUse": {"toolUseId": "tooluse_01A", "name": turn.called}}
        frames.append(frame("contentBlockStart", {"contentBlockIndex": index, "start": start}))
        said: dict[str, Any] = {"toolUse": {"input": json.dumps(turn.arguments)}}
    else:
        said = {"text": turn.text}
    frames.append(frame("contentBlockDelta", {"contentBlockIndex": index, "delta": said}))
    frames.append(frame("contentBlockStop", {"contentBlockIndex": index}))
    frames.append(frame("messageStop", {"stopReason": "tool_use" if turn.tool else "end_turn"}))
    frames.append(frame("metadata", {"usage": _CONVERSE_USAGE, "metrics": {"latencyMs": 3}}))
    return frames


def _converse_tools(body: Any) -> list[Offered]:
    tools = body.get("toolConfig", {}).get("tools", [])
    return [Offered(tool["toolSpec"]["name"]) for tool in tools if "toolSpec" in tool]


def _converse_results(body: Any) -> list[str]:
    blocks = [block for message in body["messages"] for block in message["content"]]
    return [_text_of(block["toolResult"]["content"]) for block in blocks if "toolResult" in block]


# --- Gemini ----------------------------------------------------------------------------------------------


def _gemini_whole(turn: Turn) -> dict[str, Any]:
    part: dict[str, Any] = {"text": turn.text}
    if turn.tool:
        part = {"functionCall": {"name": turn.called, "args": turn.arguments}, "thoughtSignature": STATE}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
        "modelVersion": "gemini-backend",
        "responseId": "r1",
    }


def _gemini_stream(turn: Turn) -> list[bytes]:
    return [f"data: {json.dumps(_gemini_whole(turn))}\r\n\r\n".encode()]


def _gemini_tools(body: Any) -> list[Offered]:
    return [Offered(one["name"]) for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])]


def _gemini_results(body: Any) -> list[str]:
    parts = [part for content in body["contents"] for part in content["parts"]]
    responses = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    return [str(response.get("output", response.get("error", response))) for response in responses]


DIALECTS: dict[str, Dialect] = {
    "messages": Dialect(
        lambda body: [Offered(tool["name"]) for tool in body.get("tools", []) if "name" in tool],
        _messages_results,
        _messages_stream,
        _messages_whole,
    ),
    "chat_completions": Dialect(_chat_tools, _chat_results, _chat_stream, _chat_whole),
    "responses": Dialect(_responses_tools, _responses_results, _responses_stream, _responses_whole),
    "converse": Dialect(_converse_tools, _converse_results, _converse_stream, _converse_whole, EVENT_STREAM),
    "generate_content": Dialect(_gemini_tools, _gemini_results, _gemini_stream, _gemini_whole),
}
