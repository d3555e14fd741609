"""Tools and the choice among them, both ways.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-tools
Responses writes a function flat, unlike Chat Completions, and reads an absent `strict` as strict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from core.conversation import JsonObject, Tool, ToolChoice
from core.formats.responses import members

# Neutral names of the tools that OpenAI runs; another type is its own name.
_SERVER_NAMES = {
    "web_search_2025_08_26": "web_search",
    "web_search_preview": "web_search",
    "web_search_preview_2025_03_11": "web_search",
    "code_interpreter": "code_execution",
}

# Tools whose schema only OpenAI knows, run by the client.
_CLIENT_TOOLS = frozenset(
    {"local_shell", "shell", "apply_patch", "computer", "computer_use_preview", "computer-preview"}
)

# What is read of a choice and of the tools that it allows.
_CHOICE = ("type", "name", "mode", "tools")
_MODES: dict[str, Literal["none", "auto", "required"]] = {
    "none": "none",
    "auto": "auto",
    "required": "required",
}


def read_tools(tools: list[JsonObject], path: str) -> list[Tool]:
    """The tools of a `tools` list, those inside a namespace one by one. Raises ClientFault."""
    result: list[Tool] = []
    for place, tool in enumerate(tools):
        here = f"{path}[{place}]"
        kind = members.required_text(tool, "type", here)
        if kind == "namespace":
            result += _read_namespace(tool, here)
        else:
            result.append(_TOOL_READERS.get(kind, _read_hosted)(tool, here))
    return result


def _read_function(tool: JsonObject, path: str) -> Tool:
    handled = ("type", "name", "description", "parameters", "strict")
    return Tool(
        members.required_text(tool, "name", path),
        description=members.text(tool, "description", path),
        parameters=members.json_object(tool, "parameters", path),
        strict=members.boolean(tool, "strict", path),
        format="responses",
        extra=members.rest(tool, handled),
    )


def _read_custom(tool: JsonObject, path: str) -> Tool:
    shape = members.json_object(tool, "format", path)
    grammar = shape if shape is not None and shape.get("type") == "grammar" else None
    handled = ("type", "name", "description", "format") if grammar else ("type", "name", "description")
    return Tool(
        members.required_text(tool, "name", path),
        description=members.text(tool, "description", path),
        kind="custom",
        grammar=grammar,
        format="responses",
        extra=members.rest(tool, handled),
    )


def _read_hosted(tool: JsonObject, path: str) -> Tool:
    kind = members.required_text(tool, "type", path)
    return Tool(
        _SERVER_NAMES.get(kind, kind),
        kind="client" if kind in _CLIENT_TOOLS else "server",
        format="responses",
        raw=tool,
    )


_TOOL_READERS: dict[str, Callable[[JsonObject, str], Tool]] = {
    "function": _read_function,
    "custom": _read_custom,
}


def _read_namespace(tool: JsonObject, path: str) -> list[Tool]:
    """The tools of a namespace. The first carries the namespace's own members in `note["namespace"]`."""
    name = members.required_text(tool, "name", path)
    inner = members.objects(tool, "tools", path) or []
    result = read_tools(inner, members.join(path, "tools"))
    if not result or any(each.namespace is not None or each.raw for each in result):
        return [_read_hosted(tool, path)]  # empty, nested or hosted inside: nothing to pick apart
    for each in result:
        each.namespace = name
    result[0].note = {"namespace": members.rest(tool, ("type", "name", "tools"))}
    return result


def write_tools(tools: Iterable[Tool], *, own: bool) -> list[JsonObject]:
    """The `tools` list. `own`: the tools came from this format. A tool of another vendor's is left out: the
    caller has said so (see `core.formats.responses.write_request`)."""
    result: list[JsonObject] = []
    open_namespace: JsonObject | None = None
    for tool in tools:
        written = _write_tool(tool, own)
        if tool.namespace is None:
            open_namespace = None
            result.append(written)
            continue
        note = (tool.note or {}).get("namespace")
        if open_namespace is None or open_namespace["name"] != tool.namespace or note is not None:
            shell = note or {}
            open_namespace = {"type": "namespace", "name": tool.namespace, **shell, "tools": []}
            result.append(open_namespace)
        open_namespace["tools"].append(written)
    return result


def _write_tool(tool: Tool, own: bool) -> JsonObject:
    if tool.kind in ("server", "client"):
        return tool.raw if tool.format == "responses" else {"type": tool.name}
    extra = tool.extra if own else {}
    if tool.kind == "custom":
        written: JsonObject = {"type": "custom", "name": tool.name, **extra}
        if tool.grammar is not None:
            written["format"] = tool.grammar
    else:
        written = {"type": "function", "name": tool.name, "parameters": tool.parameters, **extra}
        if not own:
            # Elsewhere an absent `strict` is loose; here it would be strict, and schemas that were accepted
            # there would be refused.
            written["strict"] = bool(tool.strict)
        elif tool.strict is not None:
            written["strict"] = tool.strict
    if tool.description is not None:
        written["description"] = tool.description
    return written


def declared_in_input(tool: Tool) -> JsonObject | None:
    """Where an `additional_tools` item among the input declared the tool, None for one of the `tools` list."""
    declaration: JsonObject | None = (tool.note or {}).get("additional_tools")
    return declaration


def read_tool_choice(body: JsonObject) -> ToolChoice | None:
    """`tool_choice`. A form that is not a mode keeps its object in `extra["raw"]`. Raises ClientFault."""
    value = body.get("tool_choice")
    if value is None:
        return None
    if isinstance(value, str):
        choice = _MODES.get(value)
        if choice is not None:
            return ToolChoice(choice)
        expected = ", ".join(f"'{mode}'" for mode in _MODES)
        message = f"Invalid value: '{value}'. Supported values are: {expected}."
        raise members.invalid("tool_choice", message)
    if not isinstance(value, dict):
        raise members.wrong_type("tool_choice", "a string or an object", value)
    kind = members.required_text(value, "type", "tool_choice")
    if kind == "allowed_tools":
        return _read_allowed(value)
    if kind in ("function", "custom"):
        name = members.required_text(value, "name", "tool_choice")
    else:
        name = _SERVER_NAMES.get(kind, kind)
    return ToolChoice("named", [name], extra={"raw": value, **members.rest(value, _CHOICE)})


def _read_allowed(value: JsonObject) -> ToolChoice:
    tools = members.objects(value, "tools", "tool_choice") or []
    names = [_allowed_name(tool, f"tool_choice.tools[{place}]") for place, tool in enumerate(tools)]
    required = members.text(value, "mode", "tool_choice") == "required"
    extra = {"raw": value, **members.rest(value, _CHOICE)}
    for tool in tools:
        extra.update(members.rest(tool, _CHOICE))
    return ToolChoice("allowed", names, required=required, extra=extra)


def _allowed_name(tool: JsonObject, path: str) -> str:
    name = members.text(tool, "name", path)
    kind = members.required_text(tool, "type", path) if name is None else ""
    return name if name is not None else _SERVER_NAMES.get(kind, kind)


def write_tool_choice(choice: ToolChoice, tools: Iterable[Tool], *, own: bool) -> str | JsonObject:
    """`tool_choice`, from its own object where it came from here."""
    raw = choice.extra.get("raw")
    if own and isinstance(raw, dict):
        return raw
    by_name = {tool.name: tool for tool in tools}
    named = [_tool_reference(name, by_name.get(name)) for name in choice.names]
    if choice.mode == "named" and named:
        return named[0]
    if choice.mode == "allowed":
        return {"type": "allowed_tools", "mode": "required" if choice.required else "auto", "tools": named}
    return "required" if choice.mode == "named" else choice.mode


def _tool_reference(name: str, tool: Tool | None) -> JsonObject:
    if tool is not None and tool.kind in ("server", "client"):
        return {"type": tool.raw.get("type", name) if tool.format == "responses" else name}
    return {"type": "custom" if tool is not None and tool.kind == "custom" else "function", "name": name}
