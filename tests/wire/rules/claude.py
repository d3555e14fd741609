"""Claude's rules for a Messages body: https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

type Json = dict[str, Any]

_TOP = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "thinking",
        "output_config",
        "cache_control",
        "metadata",
        "service_tier",
        "speed",
        "inference_geo",
        "container",
        "tools",
        "tool_choice",
        "stream",
        "diagnostics",
    }
)
# A member of a beta, and what the header `anthropic-beta` names for it.
_BETAS = {
    "context_management": "context-management-2025-06-27",
    "mcp_servers": "mcp-client",
    "safeguards": "dangerous-tool-use",
    "fallbacks": "",
    "compaction": "compact",
}
_BLOCKS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    # What may stand in it (beside `type`), and who may say it.
    "text": (frozenset({"text", "cache_control", "citations"}), frozenset({"user", "assistant", "system"})),
    "image": (frozenset({"source", "cache_control", "transformations"}), frozenset({"user"})),
    "document": (frozenset({"source", "title", "context", "citations", "cache_control"}), frozenset({"user"})),
    "search_result": (frozenset({"source", "title", "content", "citations", "cache_control"}), frozenset({"user"})),
    "thinking": (frozenset({"thinking", "signature"}), frozenset({"assistant"})),
    "redacted_thinking": (frozenset({"data"}), frozenset({"assistant"})),
    "tool_use": (
        frozenset({"id", "name", "input", "caller", "toolset_name", "cache_control"}),
        frozenset({"assistant"}),
    ),
    "tool_result": (
        frozenset({"tool_use_id", "content", "is_error", "toolset_name", "cache_control"}),
        frozenset({"user"}),
    ),
    "server_tool_use": (frozenset({"id", "name", "input", "caller", "cache_control"}), frozenset({"assistant"})),
    "web_search_tool_result": (
        frozenset({"tool_use_id", "content", "caller", "cache_control"}),
        frozenset({"assistant"}),
    ),
    "tool_addition": (frozenset({"tool", "tools", "cache_control"}), frozenset({"system"})),
    "tool_removal": (frozenset({"name", "tool", "tools", "cache_control"}), frozenset({"system"})),
}
_TOOL = frozenset(
    {
        "name",
        "description",
        "input_schema",
        "type",
        "strict",
        "cache_control",
        "input_examples",
        "defer_loading",
        "eager_input_streaming",
        "allowed_callers",
    }
)
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_IMAGES = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG", "image/gif": b"GIF8", "image/webp": b"RIFF"}
_MID_SYSTEM = re.compile(r"claude-(opus-4-8|opus-5|sonnet-5-5|fable-5|mythos-5)")
_NEWEST = re.compile(r"claude-(opus-5-5|sonnet-5-5|fable-5-[1-9]|mythos-5-[1-9])")
_ADAPTIVE_ONLY = re.compile(r"claude-(opus-4-[78]|(opus|sonnet|haiku|fable|mythos)-5)")
_BUDGET_ONLY = re.compile(r"claude-((sonnet|haiku|opus)-4-5|opus-4-1|opus-4$|sonnet-4$|3)")
_NO_EFFORT = re.compile(r"claude-((sonnet|haiku)-4-5|sonnet-4|opus-4-1|3)")


def messages(model: str, body: Json, headers: Mapping[str, str]) -> list[str]:
    """The rules that the body breaks. `model`: the bare id, which says what thinking it takes."""
    betas = headers.get("anthropic-beta", "")
    return [
        *_members(body, betas),
        *_thinking(model, body),
        *_tools(model, body),
        *_turns(model, body),
        *_blocks(body),
        *_marks(body),
        *(["a key must come"] if not (headers.get("x-api-key") or headers.get("authorization")) else []),
        *(["anthropic-version: header is required"] if not headers.get("anthropic-version") else []),
    ]


def _members(body: Json, betas: str) -> Iterator[str]:
    for name in body.keys() - _TOP:
        if name not in _BETAS or _BETAS[name] not in betas:
            yield f"{name}: Extra inputs are not permitted"
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        yield "max_tokens: must be a positive integer"
    if set(body.get("metadata") or {}) - {"user_id"}:
        yield "metadata: Extra inputs are not permitted"
    if set(body.get("output_config") or {}) - {"effort", "format", "task_budget"}:
        yield "output_config: Extra inputs are not permitted"
    for text in body.get("stop_sequences") or []:
        if not text.strip():
            yield "stop_sequences: each stop sequence must contain non-whitespace"
    edits = (body.get("context_management") or {}).get("edits", [])
    thinks = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive", "between_tools")
    if not thinks and any(edit["type"].startswith("clear_thinking") for edit in edits):
        yield "context_management: `clear_thinking` strategy requires `thinking` to be enabled or adaptive"


def _thinking(model: str, body: Json) -> Iterator[str]:
    thinking = body.get("thinking") or {"type": None}
    kind = thinking["type"]
    if kind == "enabled":
        if _ADAPTIVE_ONLY.match(model):
            yield '"thinking.type.enabled" is not supported for this model'
        if thinking.get("budget_tokens", 0) < 1024:
            yield "thinking.enabled.budget_tokens: must be at least 1024"
        if thinking.get("budget_tokens", 0) >= body.get("max_tokens", 0):
            yield "`max_tokens` must be greater than `thinking.budget_tokens`"
        if body.get("temperature", 1) != 1 or "top_k" in body:
            yield "`temperature` may only be set to 1 when thinking is enabled"
        if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
            yield "Thinking may not be enabled when tool_choice forces tool use"
        yield from _starts_with_thinking(body)
    if kind == "adaptive":
        if _BUDGET_ONLY.match(model):
            yield "adaptive thinking is not supported on this model"
        if "budget_tokens" in thinking:
            yield "thinking.adaptive.budget_tokens: Extra inputs are not permitted"
    if kind == "disabled" and re.match(r"claude-(opus-5-5|sonnet-5-5|fable|mythos)", model):
        yield '"thinking.type.disabled" is not supported for this model'
    if _ADAPTIVE_ONLY.match(model) and {"temperature", "top_p", "top_k"} & body.keys():
        yield "`temperature`, `top_p` and `top_k` are not supported for this model"
    effort = (body.get("output_config") or {}).get("effort")
    if effort is not None and (_NO_EFFORT.match(model) or effort not in ("low", "medium", "high", "xhigh", "max")):
        yield "This model does not support the effort parameter"


def _starts_with_thinking(body: Json) -> Iterator[str]:
    """With a budget, the turn that is open (a tool's result comes last) must have begun with a thought."""
    turns = [message for message in body["messages"] if message["role"] != "system"]
    begun = None
    for message in reversed(turns):
        if message["role"] == "assistant":
            begun = message
        elif not any(block["type"] == "tool_result" for block in _content(message)):
            break
    if begun is not None and _content(begun)[0]["type"] not in ("thinking", "redacted_thinking"):
        yield "Expected `thinking` or `redacted_thinking`, but found `tool_use`"


def _tools(model: str, body: Json) -> Iterator[str]:
    tools = body.get("tools") or []
    names = [tool["name"] for tool in tools if "name" in tool]
    if len(set(names)) != len(names):
        yield "tools: Tool names must be unique."
    for tool in tools:
        if "input_schema" not in tool:
            continue
        if not _NAME.fullmatch(tool["name"]):
            yield f"tools: name should match pattern: {tool['name']}"
        if tool.keys() - _TOOL:
            yield f"tools: Extra inputs are not permitted: {tool.keys() - _TOOL}"
        schema = tool["input_schema"]
        if schema.get("type") != "object" or {"oneOf", "anyOf", "allOf"} & schema.keys():
            yield f"tools: input_schema of {tool['name']} must be an object without oneOf, allOf or anyOf at its top"
        if tool.get("defer_loading") and tool.get("cache_control"):
            yield "tools: defer_loading excludes cache_control"
    if tools and all(tool.get("defer_loading") for tool in tools):
        yield "At least one tool must not have defer_loading"
    choice = body.get("tool_choice") or {}
    if choice and not tools:
        yield "tool_choice may only be specified while providing tools"
    if choice.get("type") in ("any", "tool") and _NEWEST.match(model):
        yield f'tool_choice: type "{choice["type"]}" is not supported for this model'
    if choice.get("type") == "tool" and choice["name"] not in names:
        yield "Tool not found in provided tools"


def _content(message: Json) -> list[Json]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _turns(model: str, body: Json) -> Iterator[str]:
    turns: list[Json] = body.get("messages") or []
    if not turns or turns[0]["role"] != "user":
        yield "messages: first message must use the user role"
    yield from _systems(model, turns)
    merged: list[tuple[str, list[Json]]] = []
    for message in (turn for turn in turns if turn["role"] != "system"):
        if set(message) - {"role", "content"}:
            yield "messages: Extra inputs are not permitted"
        if merged and merged[-1][0] == message["role"]:
            merged[-1][1].extend(_content(message))
        else:
            merged.append((message["role"], list(_content(message))))
    seen: set[str] = set()
    waiting: list[str] = []
    for place, (role, blocks) in enumerate(merged):
        if not blocks and (role == "user" or place < len(merged) - 1):
            yield f"messages.{place}: must have non-empty content"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if role == "user":
            yield from _results(place, blocks, results, waiting)
            waiting = []
            continue
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        for call in waiting:
            if call in seen:
                yield "messages: `tool_use` ids must be unique"
            if not _ID.fullmatch(call):
                yield f"messages.{place}: tool_use.id should match pattern: {call}"
            seen.add(call)
        if blocks and blocks[-1]["type"] in ("thinking", "redacted_thinking"):
            yield f"messages.{place}: The final block in an assistant message cannot be `thinking`."
    if waiting:
        yield f"`tool_use` ids were found without `tool_result` blocks: {waiting}"
    if merged and merged[-1][0] == "assistant" and not re.match(r"claude-(3|.*4-5|(opus|sonnet)-4$|opus-4-1)", model):
        yield "This model does not support assistant message prefill"
    if merged and merged[-1][0] == "assistant" and merged[-1][1][-1].get("text", "x")[-1:].isspace():
        yield "messages: final assistant content cannot end with trailing whitespace"


def _systems(model: str, turns: list[Json]) -> Iterator[str]:
    for place, message in enumerate(turns):
        if message["role"] != "system":
            continue
        if not _MID_SYSTEM.match(model):
            yield "role 'system' is not supported on this model"
        if place == 0 or turns[place - 1]["role"] == "assistant":
            yield f"messages.{place}: a system message must follow a user turn"
        if place + 1 < len(turns) and turns[place + 1]["role"] == "user":
            yield f"messages.{place}: a system message must be last or followed by an assistant turn"


def _results(place: int, blocks: list[Json], results: list[str], waiting: list[str]) -> Iterator[str]:
    if len(set(results)) != len(results):
        yield f"messages.{place}: each tool_use must have a single result"
    for missing in set(waiting) - set(results):
        yield f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}"
    for orphan in set(results) - set(waiting):
        yield f"messages.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {orphan}"
    if waiting and [block["type"] for block in blocks[: len(results)]] != ["tool_result"] * len(results):
        yield f"messages.{place}: `tool_result` blocks must come first"


def _said(body: Json) -> Iterator[tuple[str, Json]]:
    """Every block of the conversation, with who says it; those in tool results too."""
    for message in body["messages"]:
        for block in _content(message):
            yield message["role"], block
            inner = block.get("content")
            if block["type"] == "tool_result" and isinstance(inner, list):
                yield from (("user", part) for part in inner)


def _blocks(body: Json) -> Iterator[str]:
    system = body.get("system") or []
    texts = [{"type": "text", "text": system}] if isinstance(system, str) else system
    for role, block in [*(("system", block) for block in texts), *_said(body)]:
        kind = block["type"]
        if kind == "tool_reference":
            continue
        if kind not in _BLOCKS:
            yield f"messages: Input tag '{kind}' found"
            continue
        members, roles = _BLOCKS[kind]
        if block.keys() - members - {"type"}:
            yield f"{kind}: Extra inputs are not permitted: {block.keys() - members}"
        if role not in roles:
            yield f"{kind} blocks are not permitted for role {role}"
        yield from _values(kind, block)


def _values(kind: str, block: Json) -> Iterator[str]:
    if kind == "text" and not block["text"].strip():
        yield "messages: text content blocks must contain non-whitespace text"
    if kind == "tool_use" and not isinstance(block["input"], dict):
        yield "tool_use.input: Input should be a valid dictionary"
    if kind == "thinking" and not block.get("signature"):
        yield "thinking.signature: Field required"
    if kind == "image":
        yield from _image(block["source"])
    if kind == "tool_result" and block.get("is_error") and not block.get("content"):
        yield "tool_result: content cannot be empty if `is_error` is true"


def _image(source: Json) -> Iterator[str]:
    if source["type"] != "base64":
        return
    try:
        data = base64.b64decode(source["data"], validate=True)
    except binascii.Error:
        yield "image: invalid base64 data"
        return
    start = _IMAGES.get(source["media_type"])
    if start is None or not data.startswith(start):
        yield f"image: media type {source['media_type']} is not what the data are"


def _marks(body: Json) -> Iterator[str]:
    """At most four cache breakpoints, the longer ones first, none on what cannot be cached."""
    system = body.get("system")
    marked = [*(body.get("tools") or []), *(system if isinstance(system, list) else [])]
    marked += [block for _, block in _said(body)]
    marks = [block["cache_control"] for block in marked if block.get("cache_control")]
    if len(marks) + ("cache_control" in body) > 4:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}."
    lifetimes = [mark.get("ttl", "5m") for mark in marks]
    if lifetimes != sorted(lifetimes):
        yield "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block"
    if any(mark.keys() - {"type", "ttl", "scope"} for mark in marks):
        yield "cache_control: Extra inputs are not permitted"
