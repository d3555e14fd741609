"""Tools, tool choice and output format of a Chat Completions request."""

from __future__ import annotations

from core.conversation import Conversation, JsonObject, OutputFormat, Tool, ToolChoice
from core.formats.chat_completions.fields import Fields, missing, text_at, wrong_type, wrong_value
from core.formats.chat_completions.read_content import read_cache

_LEGACY = {"member": "functions"}
_MODES = {"auto": "auto", "none": "none", "required": "required", "any": "required", "validated": "auto"}


def read_tools(fields: Fields) -> list[Tool]:
    """The members `tools`, `functions` (legacy) and `web_search_options`. Raises ClientFault."""
    tools = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(fields.array("tools") or ())]
    for index, function in enumerate(fields.array("functions") or ()):
        tool = _function(Fields(function, f"functions[{index}]"))
        tool.note = _LEGACY  # says to the writer: answer with function_call
        tools.append(tool)
    options = fields.object("web_search_options")
    if options is not None:
        raw = {"web_search_options": options}
        tools.append(Tool("web_search", kind="server", format="chat_completions", raw=raw))
    return tools


def answers_with_function(conversation: Conversation) -> bool:
    """Whether the client speaks the format of 2023: `functions`, answered with `function_call`."""
    return any(tool.note == _LEGACY for tool in conversation.tools)


def _tool(value: object, path: str) -> Tool:
    fields = Fields(value, path)
    assert isinstance(value, dict)
    kind = fields.text("type") or "function"
    if kind == "function":
        inner = fields.fields("function")
        tool = _function(inner if inner is not None else fields)
        if inner is not None and fields.rest:
            tool.cache = tool.cache or read_cache(fields)
            tool.extra = {**tool.extra, **fields.rest}
        return tool
    if kind == "custom":
        return _custom_or_anthropic(fields)
    name = "web_search" if "web_search" in kind else kind
    return Tool(name, kind="server", format="chat_completions", raw=value)


def _function(fields: Fields) -> Tool:
    """A function's declaration: OpenAI's, or Anthropic's with its `input_schema`."""
    tool = Tool(
        fields.required_text("name"),
        fields.text("description"),
        fields.object("parameters"),
        fields.boolean("strict"),
    )
    if fields.rest:
        if tool.parameters is None:
            tool.parameters = fields.object("input_schema")
        tool.cache = read_cache(fields)
        tool.extra = fields.rest
    return tool


def _custom_or_anthropic(fields: Fields) -> Tool:
    """`custom`: OpenAI's free-text tool, nested or (as in Responses) flat; for Anthropic, any function."""
    if "input_schema" in fields.rest:
        return _function(fields)
    inner = fields.fields("custom")
    custom = inner if inner is not None else fields
    tool = Tool(custom.required_text("name"), custom.text("description"), kind="custom")
    format_ = custom.fields("format")
    tool.extra = custom.rest
    if format_ is not None and format_.text("type") == "grammar":
        # Nested here, flat in Responses; the neutral form is the flat one.
        grammar = format_.fields("grammar")
        source = grammar if grammar is not None else format_
        tool.grammar = {
            "type": "grammar",
            "syntax": source.required_text("syntax"),
            "definition": source.required_text("definition"),
        }
        tool.extra = {**custom.rest, **format_.rest, **source.rest}
    if inner is not None:
        tool.cache = read_cache(fields)
        tool.extra = {**tool.extra, **fields.rest}
    return tool


def read_tool_choice(value: object, path: str = "tool_choice") -> ToolChoice | None:
    """`tool_choice` in all its forms, Anthropic's and the legacy `function_call` too."""
    if value is None:
        return None
    if isinstance(value, str):
        return _mode(value, path)
    if not isinstance(value, dict):
        raise wrong_type(path, "a string or an object", value)
    fields = Fields(value, path)
    kind = fields.text("type")
    if kind == "allowed_tools":
        return _allowed(fields)
    if kind in _MODES:  # Anthropic's {"type": "auto"}
        choice = _mode(kind, path)
        choice.extra = fields.rest
        return choice
    inner = fields.fields("function") or fields.fields("custom") or fields
    return ToolChoice("named", [inner.required_text("name")], extra={**inner.rest, **fields.rest})


def _mode(word: str, path: str) -> ToolChoice:
    match _MODES.get(word):
        case "auto":
            return ToolChoice("auto")
        case "none":
            return ToolChoice("none")
        case "required":
            return ToolChoice("required")
        case _:
            raise wrong_value(path, f"{word!r} is none of 'none', 'auto', 'required'.")


def _allowed(fields: Fields) -> ToolChoice:
    inner = fields.fields("allowed_tools") or fields
    tools = inner.array("tools")
    if tools is None:
        raise missing(inner.at("tools"))
    names, extra = [], {}
    for index, entry in enumerate(tools):
        tool = Fields(entry, f"{inner.at('tools')}[{index}]")
        named = tool.fields("function") or tool.fields("custom") or tool
        names.append(named.required_text("name"))
        tool.take("type")
        extra.update({**named.rest, **tool.rest})
    required = inner.text("mode") == "required"
    return ToolChoice("allowed", names, required=required, extra={**extra, **inner.rest, **fields.rest})


def read_output_format(value: object) -> OutputFormat | None:
    """`response_format`."""
    if value is None:
        return None
    fields = Fields(value, "response_format")
    kind = fields.required_text("type")
    if kind == "text":
        return OutputFormat("text", extra=fields.rest)
    if kind == "json_object":
        return OutputFormat("json_object", extra=fields.rest)
    if kind != "json_schema":
        raise wrong_value(fields.at("type"), f"{kind!r} is none of 'text', 'json_object', 'json_schema'.")
    inner = fields.fields("json_schema")
    if inner is None:
        raise missing(fields.at("json_schema"))
    return OutputFormat(
        "json_schema",
        schema=inner.object("schema"),
        name=inner.text("name"),
        description=inner.text("description"),
        strict=inner.boolean("strict"),
        extra={**inner.rest, **fields.rest},
    )


def read_logit_bias(value: JsonObject | None) -> dict[str, float] | None:
    """`logit_bias`: token id to a number."""
    if value is None:
        return None
    for token, bias in value.items():
        if isinstance(bias, bool) or not isinstance(bias, int | float):
            raise wrong_type(f"logit_bias.{token}", "a number", bias)
    return value


def read_metadata(value: JsonObject | None) -> JsonObject | None:
    """`metadata`: text to text."""
    for name, entry in (value or {}).items():
        text_at(entry, f"metadata.{name}")
    return value
