"""Tool declarations and the tool choice of a Messages request.

https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview
"""

from __future__ import annotations

import re
from typing import Any, Literal

from core.conversation import JsonObject, Tool, ToolChoice
from core.formats.messages.members import (
    MISSING,
    Invalid,
    object_of,
    optional_flag,
    optional_text,
    required_text,
    rest_of,
)
from core.formats.messages.read_blocks import read_cache

# Tools whose schema only Anthropic knows; the client runs them.
_CLIENT_TYPES = re.compile(r"(?:bash|text_editor|computer|memory|computer_toolset|browser_toolset)_\d+")
_DATE = re.compile(r"_\d{8}$")

_TOOL = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
# `Tool.note`: the type that a tool has anyway was named.
TYPED: JsonObject = {"type": "custom"}
_CHOICE = frozenset({"type", "name", "disable_parallel_tool_use"})
_MODES: dict[str, Literal["auto", "none", "required", "named"]] = {
    "auto": "auto",
    "any": "required",
    "none": "none",
    "tool": "named",
}


def read_tool(value: Any) -> Tool:
    """One tool: a function of the client, or a declaration kept whole in `raw`. Raises Invalid."""
    raw = object_of(value)
    kind = optional_text(raw, "type")
    if kind is None or kind == "custom":
        return _read_function(raw)
    if _CLIENT_TYPES.fullmatch(kind):
        # A toolset has no name of its own.
        name = optional_text(raw, "name") or kind
        return Tool(name, kind="client", format="messages", raw=raw, cache=read_cache(raw))
    return Tool(_neutral_name(kind), kind="server", format="messages", raw=raw, cache=read_cache(raw))


def _read_function(raw: JsonObject) -> Tool:
    if "input_schema" not in raw:
        raise Invalid("input_schema", MISSING)
    return Tool(
        required_text(raw, "name"),
        description=optional_text(raw, "description"),
        parameters=object_of(raw["input_schema"], "input_schema"),
        strict=optional_flag(raw, "strict"),
        format="messages",
        cache=read_cache(raw),
        extra=rest_of(raw, _TOOL),
        note=None if raw.get("type") is None else TYPED,
    )


def _neutral_name(kind: str) -> str:
    """`web_search_20250305` is `web_search`, whatever name it bears: that one is fixed by the type."""
    return _DATE.sub("", kind)


def read_tool_choice(raw: JsonObject) -> tuple[ToolChoice, bool | None]:
    """The choice, and whether calls may be parallel (None where that was not said). Raises Invalid."""
    kind = raw.get("type")
    mode = _MODES.get(kind) if isinstance(kind, str) else None
    if mode is None:
        raise Invalid("type", "Input should be 'auto', 'any', 'tool' or 'none'" if "type" in raw else MISSING)
    names = [required_text(raw, "name")] if mode == "named" else []
    serial = optional_flag(raw, "disable_parallel_tool_use")
    return ToolChoice(mode, names, extra=rest_of(raw, _CHOICE)), None if serial is None else not serial
