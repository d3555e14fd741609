"""Blocks of tools that Anthropic runs itself: kept whole, with a neutral name and a readable digest.

https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/server-tools
"""

from __future__ import annotations

import json
from typing import Any

from core.conversation import JsonObject, ServerToolCall, ServerToolResult

RESULT_SUFFIX = "_tool_result"

# Members of a result, or of an item in it, that a reader of another format can make sense of; best first.
_READABLE = ("stdout", "stderr", "text", "title", "url", "tool_name", "error_code", "error_message")
_NESTED = ("content", "tool_references")
_MAX_DEPTH = 6


def is_result(kind: str) -> bool:
    """Whether a block of type `kind` is what a server tool gave back."""
    return kind.endswith(RESULT_SUFFIX)


def read_call(raw: JsonObject) -> ServerToolCall:
    """The call in a `server_tool_use` or `mcp_tool_use` block."""
    return ServerToolCall(
        id=_text(raw.get("id")),
        tool=_text(raw.get("name")),
        arguments=json.dumps(raw.get("input") or {}, ensure_ascii=False),
        format="messages",
        raw=raw,
    )


def read_result(raw: JsonObject) -> ServerToolResult:
    """The result in a `*_tool_result` block."""
    return ServerToolResult(
        call_id=_text(raw.get("tool_use_id")),
        tool=_text(raw.get("type")).removesuffix(RESULT_SUFFIX),
        text="\n".join(_lines(raw.get("content"), _MAX_DEPTH)),
        format="messages",
        raw=raw,
    )


def _lines(content: Any, depth: int) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    if depth == 0:
        return []
    if isinstance(content, list):
        return [line for item in content for line in _lines(item, depth - 1)]
    if not isinstance(content, dict):
        return []
    lines = [content[name] for name in _READABLE if isinstance(content.get(name), str) and content[name]]
    return lines + [line for name in _NESTED for line in _lines(content.get(name), depth - 1)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
