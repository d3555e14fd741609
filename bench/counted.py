"""What `make bench-check` counts: requests, their answers, and the settings that they meet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bench.answers import (
    Knobs,
    chat_stream,
    chat_whole,
    converse_stream,
    converse_whole,
    messages_stream,
    messages_whole,
    responses_stream,
    responses_whole,
)
from bench.in_process import KEY

DELTAS = 64
WHOLE = Knobs(chunks=8, delay=0, size=16)
# About this many bytes have an agent's tool results; with its tools and the rest it makes 100 KB.
AGENT = 90_000
# What one tool result holds.
PIECE = 6000

PATHS = {"chat_completions": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
# A backend for each format, and the model that it serves.
BACKENDS = {
    "chat_completions": ({"type": "openai-compatible", "base_url": "http://127.0.0.1:9/v1"}, "gpt-4.1"),
    "messages": ({"type": "anthropic", "base_url": "http://127.0.0.1:9"}, "claude-sonnet-4-5"),
    "converse": (
        {"type": "bedrock", "base_url": "http://127.0.0.1:9", "format": "converse"},
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
}
_ANSWERS = {
    "chat_completions": (chat_whole, chat_stream),
    "messages": (messages_whole, messages_stream),
    "responses": (responses_whole, responses_stream),
    "converse": (converse_whole, converse_stream),
}
_QUESTION = "What is the capital of France? Answer in one word. "


@dataclass(frozen=True)
class Scenario:
    """One kind of request. `agent`: of 100 KB, with tools and a history. `accounted`: with keys, limits, and usage in
    SQLite."""

    name: str
    client: str
    backend: str
    stream: bool = False
    agent: bool = False
    accounted: bool = False

    def body(self) -> bytes:
        """The client's request."""
        request: dict[str, Any] = {"model": "m", "stream": self.stream}
        if self.client == "messages":
            request["max_tokens"] = 1024
        if self.agent:
            request.update(_messages_agent() if self.client == "messages" else _chat_agent())
        elif self.client == "responses":
            request["input"] = _QUESTION
        else:
            request["messages"] = [{"role": "user", "content": _QUESTION}]
        return json.dumps(request).encode()

    def pieces(self, deltas: int = DELTAS) -> list[bytes]:
        """The backend's answer as it arrives."""
        whole, stream = _ANSWERS[self.backend]
        if not self.stream:
            body = whole(WHOLE)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            return [head + body]
        kind = b"application/vnd.amazon.eventstream" if self.backend == "converse" else b"text/event-stream"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ntransfer-encoding: chunked\r\n\r\n"
        return [head, *(b"%x\r\n%s\r\n" % (len(frame), frame) for frame in stream(Knobs(deltas, 0, 16))), b"0\r\n\r\n"]

    def document(self) -> dict[str, Any]:
        """models.yaml, as JSON."""
        backend, model = BACKENDS[self.backend]
        document: dict[str, Any] = {
            "backends": {"b": {**backend, "api_key": "k"}},
            "models": {"m": {"backend": "b", "api_model": model}},
        }
        if self.accounted:
            limits = {"requests_per_minute": 10_000_000, "tokens_per_minute": 10_000_000_000}
            document["quotas"] = {"everyone": limits}
        return document

    def variables(self, folder: str) -> dict[str, str]:
        """The gateway's environment."""
        variables = {"SERVICE_API_KEY": KEY}
        if self.accounted:
            variables["SKYBRIDGE_STORE"] = f"sqlite:{folder}/bench.db"
        return variables


_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_DESCRIPTION = "Reads one file of the working folder. " * 8


def _pieces() -> list[str]:
    text = _QUESTION * (AGENT // len(_QUESTION))
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def _messages_agent() -> dict[str, Any]:
    tools = [
        {"name": f"read_{number}", "description": _DESCRIPTION, "input_schema": _SCHEMA} for number in range(12)
    ]
    turns: list[dict[str, Any]] = []
    for number, piece in enumerate(_pieces()):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "read_1", "input": {"path": f"file{number}.py"}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": piece}
        turns += [
            {"role": "user", "content": [{"type": "text", "text": "Read the next file."}]},
            {"role": "assistant", "content": [{"type": "text", "text": "I read it."}, call]},
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": [{"type": "text", "text": "I have read it."}]},
        ]
    turns.append({"role": "user", "content": "Go on."})
    return {"system": "You help.", "tools": tools, "messages": turns}


def _chat_agent() -> dict[str, Any]:
    functions = [
        {"type": "function", "function": {"name": f"read_{n}", "description": _DESCRIPTION, "parameters": _SCHEMA}}
        for n in range(12)
    ]
    turns: list[dict[str, Any]] = []
    for number, piece in enumerate(_pieces()):
        function = {"name": "read_1", "arguments": json.dumps({"path": f"file{number}.py"})}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        turns += [
            {"role": "user", "content": "Read the next file."},
            {"role": "assistant", "content": "I read it.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{number}", "content": piece},
            {"role": "assistant", "content": "I have read it."},
        ]
    turns.append({"role": "user", "content": "Go on."})
    return {"tools": functions, "messages": turns}


def _translations(client: str, backend: str, *, agent: bool = True) -> list[Scenario]:
    name = f"{client}>{backend}"
    found = [Scenario(name, client, backend), Scenario(f"{name}, streamed", client, backend, stream=True)]
    return [*found, Scenario(f"{name}, 100 KB", client, backend, agent=True)] if agent else found


_CHAT = "chat_completions"
SCENARIOS = (
    Scenario("pass-through", _CHAT, _CHAT),
    Scenario("pass-through, streamed", _CHAT, _CHAT, stream=True),
    Scenario("pass-through, 100 KB", "messages", "messages", agent=True),
    Scenario("pass-through, accounted", _CHAT, _CHAT, accounted=True),
    Scenario("pass-through, accounted, streamed", _CHAT, _CHAT, stream=True, accounted=True),
    *_translations("messages", "converse"),
    *_translations("messages", _CHAT),
    *_translations(_CHAT, "messages"),
    *_translations("responses", _CHAT, agent=False),
)
