"""Neutral tools, tool choice and output format to Chat Completions."""

from __future__ import annotations

from core.conversation import Conversation, JsonObject, OutputFormat, Tool, ToolChoice
from core.errors import Unsupported
from core.formats.chat_completions.write_content import Writing
from core.translation.strict_schemas import is_strict


def put_tools(body: JsonObject, conversation: Conversation, writing: Writing) -> None:
    """Sets `tools`, `tool_choice`, `parallel_tool_calls` and web search. Raises Unsupported.

    Without tools the choice has nothing to choose from, and OpenAI refuses it: it is left out.
    """
    tools = []
    for index, tool in enumerate(conversation.tools):
        written = _tool(tool, body, writing, f"tools[{index}]")
        if written is not None:
            tools.append(written)
    if not tools:
        return
    body["tools"] = tools
    if conversation.tool_choice is not None:
        body["tool_choice"] = _choice(conversation.tool_choice, conversation.tools, writing)
    if conversation.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = conversation.parallel_tool_calls


def _tool(tool: Tool, body: JsonObject, writing: Writing, path: str) -> JsonObject | None:
    if tool.kind == "server":
        return _server_tool(tool, body, writing, path)
    if tool.kind == "client":
        raise Unsupported(path, f"{path}: the tool {tool.name!r} has no schema that this backend knows.")
    name = tool.name if tool.namespace is None else f"{tool.namespace}__{tool.name}"
    inner: JsonObject = {"name": name}
    if tool.description is not None:
        inner["description"] = tool.description
    if tool.kind == "custom":
        written = _custom(tool, inner, writing, path)
    else:
        if tool.parameters is not None:
            inner["parameters"] = tool.parameters
        if tool.strict is not None:
            inner["strict"] = tool.strict
        written = {"type": "function", "function": inner}
    writing.put_cache(written, tool.cache, path)
    writing.put_extra(inner, tool.extra, path)
    return written


def _custom(tool: Tool, inner: JsonObject, writing: Writing, path: str) -> JsonObject:
    if not (writing.dialect.custom_tools or writing.same_format):
        raise Unsupported(path, f"{path}: this backend knows no free-text tools.")
    if tool.grammar is not None:
        grammar = {name: tool.grammar[name] for name in ("syntax", "definition") if name in tool.grammar}
        inner["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": "custom", "custom": inner}


def _server_tool(tool: Tool, body: JsonObject, writing: Writing, path: str) -> JsonObject | None:
    if tool.format == "chat_completions":
        if "web_search_options" not in tool.raw:
            return tool.raw
        body["web_search_options"] = tool.raw["web_search_options"]
    elif tool.name == "web_search" and writing.dialect.web_search == "plugins":
        body["plugins"] = [{"id": "web"}]
    elif tool.name == "web_search" and (
        writing.dialect.web_search == "web_search_options" or "search" in writing.target.model
    ):
        body["web_search_options"] = {}
    else:
        raise Unsupported(path, f"{path}: this backend does not run the tool {tool.name!r}.")
    return None


def _choice(choice: ToolChoice, tools: list[Tool], writing: Writing) -> str | JsonObject:
    custom = {tool.name for tool in tools if tool.kind == "custom"}
    if choice.mode == "named":
        return _reference(choice.names[0], custom)
    if choice.mode != "allowed":
        return choice.mode
    mode = "required" if choice.required else "auto"
    if not (writing.dialect.allowed_tools or writing.same_format):
        writing.drop("tool_choice", "this backend cannot be held to some of the tools: all are allowed")
        return mode
    references = [_reference(name, custom) for name in choice.names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": references}}


def _reference(name: str, custom: set[str]) -> JsonObject:
    kind = "custom" if name in custom else "function"
    return {"type": kind, kind: {"name": name}}


def write_output_format(output: OutputFormat, writing: Writing) -> JsonObject:
    """`response_format`."""
    if output.kind != "json_schema":
        written: JsonObject = {"type": output.kind}
        writing.put_extra(written, output.extra, "response_format")
        return written
    inner: JsonObject = {"name": output.name or "answer"}
    if output.description is not None:
        inner["description"] = output.description
    if output.schema is not None:
        inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    elif not writing.same_format and output.schema is not None and is_strict(output.schema):
        inner["strict"] = True  # the other formats enforce a schema always; OpenAI refuses to where it is open
    writing.put_extra(inner, output.extra, "response_format.json_schema")
    return {"type": "json_schema", "json_schema": inner}
