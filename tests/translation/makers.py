"""Requests and streams in few words, for tests that make their own."""

from __future__ import annotations

import json
from typing import Any

from core.formats import load_format
from core.formats.contract import Call, Target
from core.models.resolve import facts_for
from core.translation.pipeline import translate_request
from tests.translation.pairs import BACKENDS


def sse(*chunks: Any) -> bytes:
    """Chat Completions chunks as a stream; a dict without `choices` is a delta, a string a finish reason."""
    lines = []
    for chunk in chunks:
        if isinstance(chunk, str):
            chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": chunk}]}
        elif "choices" not in chunk:
            chunk = {"choices": [{"index": 0, "delta": chunk, "finish_reason": None}]}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
        lines.append(f"data: {json.dumps({**head, **chunk})}\n\n")
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def call(index: int, call_id: str | None = None, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    """A piece of a tool call in a delta."""
    opening = {"id": call_id, "type": "function"} if call_id else {}
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"tool_calls": [{"index": index, **opening, "function": function}]}


def translated(client: str, body: dict[str, Any], backend: str, model: str = "", name: str = "there") -> dict[str, Any]:
    """The body that a backend of `backend` gets for a client's request."""
    written, _ = translated_with_drops(client, body, backend, model, name)
    return written


def translated_with_drops(
    client: str, body: dict[str, Any], backend: str, model: str = "", name: str = "there"
) -> tuple[dict[str, Any], list[str]]:
    options, usual = BACKENDS[backend]
    target = Target(model or usual, name, options["type"], facts_for(model or usual))
    conversation = load_format(client).read_request(
        json.loads(json.dumps(body)), Call("m", False, {"anthropic-version": "2023-06-01"})
    )
    written = translate_request(conversation, backend, target).written
    return written.body, [item.path for item in written.dropped]


def messages(*turns: Any, **members: Any) -> dict[str, Any]:
    """A Messages request."""
    return {"model": "m", "max_tokens": 9000, "messages": list(turns), **members}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def tool_use(call_id: str, name: str = "f", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def tool_result(call_id: str, content: Any = "ok") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def results(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}
