"""Tool declarations and the tool choice, written for a Messages backend.

https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview
"""

from __future__ import annotations

from core.conversation import Conversation, JsonObject, Tool
from core.errors import Unsupported
from core.formats.messages.read_tools import TYPED
from core.formats.messages.surfaces import TOOL_MEMBERS, Surface
from core.formats.messages.write_blocks import write_cache
from core.translation.losses import Losses

WEB_SEARCH_TYPE = "web_search_20250305"

_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}


def write_tools(conversation: Conversation, surface: Surface, losses: Losses) -> list[JsonObject]:
    """The `tools` of `conversation`. Raises Unsupported for a tool that only another vendor runs."""
    same = conversation.format == "messages"
    return [_write_tool(tool, same, surface, losses) for tool in conversation.tools]


def _write_tool(tool: Tool, same: bool, surface: Surface, losses: Losses) -> JsonObject:
    if tool.kind in ("server", "client"):
        return _write_vendor_tool(tool)
    written: JsonObject = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["input_schema"] = _schema(tool)
    if tool.strict or (same and tool.strict is not None):
        written["strict"] = tool.strict
    if tool.cache is not None:
        written["cache_control"] = {**write_cache(tool.cache), **(tool.cache.extra if same else {})}
    if same:
        extra, dropped = surface.split(tool.extra, TOOL_MEMBERS)
        written.update(extra)
        if tool.note == TYPED:
            written.update(TYPED)
        for name in dropped:
            losses.add(f"tools.{name}", f"the beta behind it is not known to {surface.name}")
        return written
    for name, value in tool.extra.items():
        if value is not None:
            losses.add(f"tools.{name}", "Messages' tools have no such member")
    return written


def _schema(tool: Tool) -> JsonObject:
    if tool.kind == "custom":
        # Free text travels as the one member of an object.
        return {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    schema = tool.parameters
    if schema is None:
        return {"type": "object", "properties": {}}
    return schema if "type" in schema else {"type": "object", **schema}


def _write_vendor_tool(tool: Tool) -> JsonObject:
    if tool.format == "messages":
        if "cache_control" not in tool.raw:
            return tool.raw
        kept = {name: value for name, value in tool.raw.items() if name != "cache_control"}
        if tool.cache is not None:
            kept["cache_control"] = {**write_cache(tool.cache), **tool.cache.extra}
        return kept
    if tool.name != "web_search":
        raise Unsupported("tools", f"the tool {tool.name} runs only where it comes from")
    written: JsonObject = {"type": WEB_SEARCH_TYPE, "name": "web_search"}
    filters = tool.raw.get("filters")
    domains = filters.get("allowed_domains") if isinstance(filters, dict) else None
    if domains:
        written["allowed_domains"] = domains
    location = tool.raw.get("user_location")
    if isinstance(location, dict):
        written["user_location"] = {"type": "approximate", **location}
    return written


def write_tool_choice(conversation: Conversation) -> JsonObject | None:
    """The `tool_choice`, None where nothing is to be said.

    An allowed subset has become the list of tools by now; what is left of it is whether one must be called.
    """
    same = conversation.format == "messages"
    choice, parallel = conversation.tool_choice, conversation.parallel_tool_calls
    if not conversation.tools and not same:
        return None  # a choice without tools is a 400
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if parallel is False else None
    kind = _CHOICES.get(choice.mode) or ("any" if choice.required else "auto")
    written: JsonObject = {"type": kind}
    if kind == "tool":
        written["name"] = choice.names[0]
    if kind != "none" and (parallel is False or (same and parallel is not None)):
        written["disable_parallel_tool_use"] = not parallel
    if same:
        written.update(choice.extra)
    return written
