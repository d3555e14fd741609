"""A generateContent body, read into the neutral conversation.

https://ai.google.dev/api/generate-content. The model and whether to stream stand in the path, not in the body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.conversation import (
    Block,
    Conversation,
    Effort,
    JsonObject,
    Message,
    OutputFormat,
    ReasoningRequest,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from core.formats.arguments import read_arguments
from core.formats.contract import Call
from core.formats.generate_content.fields import Fields, invalid, json_text, snake_case
from core.formats.generate_content.parts import MINTED, read_part
from core.formats.generate_content.schema import from_openapi

_ROLES: Final[dict[str, Role]] = {"user": "user", "model": "assistant", "function": "user"}
_LEVELS: Final[dict[str, Effort]] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
# Google's words for tiers that the other formats call by another.
_TIERS: Final[dict[str, str | None]] = {
    "unspecified": None,
    "standard": "default",
    "flex": "flex",
    "priority": "priority",
}
# Google's own tools, by the member that declares each, under their neutral names.
_SERVER_TOOLS: Final = {
    "googleSearch": "web_search",
    "googleSearchRetrieval": "web_search",
    "codeExecution": "code_execution",
    "urlContext": "web_fetch",
    "googleMaps": "google_maps",
    "computerUse": "computer_use",
    "fileSearch": "file_search",
}


def read_request(body: JsonObject, call: Call) -> Conversation:
    """The conversation that `body` asks for. Raises ClientFault, its `param` in the client's own names."""
    fields = Fields(body, "")
    model = call.model or fields.text("model") or ""
    fields.take("model")
    conversation = Conversation("generate_content", model, stream=bool(call.stream))
    conversation.messages = [*_system(fields), *_contents(fields)]
    conversation.tools = _tools(fields)
    _read_tool_config(fields, conversation)
    config = fields.fields("generationConfig")
    if config is not None:
        _read_config(config, conversation)
    conversation.service_tier = _service_tier(fields)
    conversation.store = fields.boolean("store")
    conversation.extra = {**fields.rest, **conversation.extra}
    return conversation


def _service_tier(fields: Fields) -> str | None:
    """The tier in the words of the other formats. Google's are the same in large and in small letters."""
    tier = fields.text("serviceTier")
    return None if tier is None else _TIERS.get(tier.lower(), tier)


# --- contents --------------------------------------------------------------------------------------------


def _system(fields: Fields) -> list[Message]:
    value = fields.take("systemInstruction")
    if value is None:
        return []
    if isinstance(value, str):
        return [Message("system", [Text(value)], slot="systemInstruction", plain=True)]
    content = Fields(value, "systemInstruction")
    content.take("role")
    parts = content.items("parts")
    blocks = [
        block
        for place, part in enumerate(parts)
        for block in read_part(part, f"systemInstruction.parts[{place}]", _no_calls)
    ]
    return [Message("system", blocks, slot="systemInstruction", extra=content.rest)]


def _no_calls() -> str:
    return ""


def _contents(fields: Fields) -> list[Message]:
    contents = fields.items("contents")
    if not contents:
        raise invalid("contents", "it is required, and at least one content must be there.")
    ids = _CallIds()
    return [_content(value, f"contents[{place}]", ids) for place, value in enumerate(contents)]


def _content(value: Any, path: str, ids: _CallIds) -> Message:
    fields = Fields(value, path)
    parts = fields.items("parts")
    calls = any(isinstance(part, dict) and "functionCall" in part for part in parts)
    name = fields.text("role") or ("model" if calls else "user")  # only a model calls
    role = _ROLES.get(name)
    if role is None:
        raise invalid(fields.at("role"), "Please use a valid role: user, model.")
    blocks: list[Block] = []
    for place, part in enumerate(parts):
        here = f"{path}.parts[{place}]"
        if isinstance(part, dict) and len(part) > 1:
            _check_data(part, here)
        read = [_result(part, here, ids)] if _is_result(part) else read_part(part, here, ids.mint)
        for block in read:
            if isinstance(block, ToolCall):
                ids.called(block)
        blocks.extend(read)
    return Message(role, blocks, extra=fields.rest)


# What a part is made of; exactly one of them (https://ai.google.dev/api/caching#Part). Google's servers take each in
# either spelling.
_DATA: Final = {
    spelling: name
    for name in (
        "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
        "toolCall", "toolResponse",
    )
    for spelling in (name, snake_case(name))
}  # fmt: skip


def _check_data(part: JsonObject, path: str) -> None:
    """Raises ClientFault where `part` holds more than one thing."""
    found = dict.fromkeys(_DATA[name] for name in part if name in _DATA and part[name] is not None)
    if len(found) > 1:
        raise invalid(path, f"a part has one kind of data, this one has {' and '.join(found)}.")


class _CallIds:
    """Ids of calls and results. Gemini's are optional: a call without one gets one from its place, and a result
    without one belongs to the oldest unanswered call of its name."""

    def __init__(self) -> None:
        self._minted = 0
        self._open: dict[str, list[str]] = {}

    def mint(self) -> str:
        self._minted += 1
        return f"{MINTED}{self._minted}"

    def called(self, call: ToolCall) -> None:
        self._open.setdefault(call.name, []).append(call.id)

    def answered(self, name: str, given: str | None) -> str:
        waiting = self._open.get(name, [])
        if given is not None:
            if given in waiting:
                waiting.remove(given)
            return given
        return waiting.pop(0) if waiting else self.mint()


def _is_result(part: Any) -> bool:
    return isinstance(part, dict) and ("functionResponse" in part or "function_response" in part)


def _result(part: Any, path: str, ids: _CallIds) -> ToolResult:
    outer = Fields(part, path)
    fields = Fields(outer.take("functionResponse"), outer.at("functionResponse"))
    name = fields.required_text("name")
    response = fields.object("response") or {}
    content: list[Block] = [_result_text(response, fields.at("response"))]
    for place, inner in enumerate(fields.items("parts")):
        content.extend(read_part(inner, f"{fields.path}.parts[{place}]", ids.mint))
    failed = set(response) == {"error"}
    given = fields.text("id") or None
    outer.take("thoughtSignature")
    return ToolResult(
        ids.answered(name, given),
        content,
        is_error=True if failed else None,
        name=name,
        extra={**fields.rest, **outer.rest},
    )


def _result_text(response: JsonObject, path: str) -> Text:
    """The result as text. `{"output": …}` and `{"error": …}` around a string are taken off; everything else is
    its JSON. A string that is itself an object stays in its wrapping, so that writing it gives the same again."""
    if len(response) == 1:
        name, value = next(iter(response.items()))
        if name in ("output", "error") and isinstance(value, str) and "_raw" in read_arguments(value or "-"):
            return Text(value)
    return Text(json_text(response, path))


# --- tools -----------------------------------------------------------------------------------------------


def _tools(fields: Fields) -> list[Tool]:
    tools: list[Tool] = []
    for place, value in enumerate(fields.items("tools")):
        declared = Fields(value, f"tools[{place}]")
        functions = declared.items("functionDeclarations")
        for index, function in enumerate(functions):
            tools.append(_function(function, f"tools[{place}].functionDeclarations[{index}]"))
        for name, options in declared.rest.items():
            tools.append(_server_tool(name, options))
    return tools


def _function(value: Any, path: str) -> Tool:
    fields = Fields(value, path)
    schema = fields.object("parametersJsonSchema")
    openapi = fields.object("parameters")
    if schema is None and openapi is not None:
        schema = from_openapi(openapi)
    return Tool(
        fields.required_text("name"),
        fields.text("description"),
        schema,
        format="generate_content",
        extra=fields.rest,
    )


def _server_tool(name: str, options: Any) -> Tool:
    head, *tail = name.split("_")
    spelling = head + "".join(word.capitalize() for word in tail)
    neutral = _SERVER_TOOLS.get(spelling, spelling)
    return Tool(neutral, kind="server", format="generate_content", raw={spelling: options})


_MODES: Final[dict[str, Callable[[list[str]], ToolChoice]]] = {
    "AUTO": lambda names: _some_of(names),
    "MODE_UNSPECIFIED": lambda names: _some_of(names),
    "NONE": lambda _: ToolChoice("none"),
    "ANY": lambda names: _any_of(names),
    "VALIDATED": lambda names: _some_of(names),
}


def _some_of(names: list[str]) -> ToolChoice:
    return ToolChoice("allowed", names) if names else ToolChoice("auto")


def _any_of(names: list[str]) -> ToolChoice:
    if not names:
        return ToolChoice("required")
    return ToolChoice("named", names) if len(names) == 1 else ToolChoice("allowed", names, required=True)


def _read_tool_config(fields: Fields, conversation: Conversation) -> None:
    config = fields.fields("toolConfig")
    calling = config.fields("functionCallingConfig") if config is not None else None
    if config is not None and config.rest:
        conversation.extra["toolConfig"] = config.rest
    if calling is None:
        return
    mode = calling.text("mode") or "AUTO"
    names = calling.texts("allowedFunctionNames")
    choice = _MODES.get(mode.upper())
    if choice is None:
        raise invalid(calling.at("mode"), "it is none of AUTO, ANY, NONE, VALIDATED.")
    conversation.tool_choice = choice(names)
    conversation.tool_choice.extra = calling.rest
    if mode.upper() == "VALIDATED":
        for tool in conversation.tools:
            if tool.kind == "function":
                tool.strict = True


# --- generation config -----------------------------------------------------------------------------------


def _read_config(config: Fields, conversation: Conversation) -> None:
    conversation.sampling = Sampling(
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.integer("topK"),
        presence_penalty=config.number("presencePenalty"),
        frequency_penalty=config.number("frequencyPenalty"),
        seed=config.integer("seed"),
        logprobs=config.boolean("responseLogprobs"),
        top_logprobs=config.integer("logprobs"),
        n=config.integer("candidateCount"),
    )
    conversation.max_tokens = config.count("maxOutputTokens")
    conversation.stop = config.texts("stopSequences")
    conversation.reasoning = _reasoning(config)
    conversation.output_format = _output_format(config)
    modalities = config.texts("responseModalities")
    if modalities and [modality.upper() for modality in modalities] != ["TEXT"]:
        config.rest["responseModalities"] = modalities
    if config.rest:
        conversation.extra["generationConfig"] = config.rest


def _reasoning(config: Fields) -> ReasoningRequest | None:
    thinking = config.fields("thinkingConfig")
    if thinking is None:
        return None
    request = ReasoningRequest()
    level, budget = thinking.text("thinkingLevel"), thinking.integer("thinkingBudget")
    shown = thinking.boolean("includeThoughts")
    if level is not None and level.upper() != "THINKING_LEVEL_UNSPECIFIED":
        if level.upper() not in _LEVELS:
            raise invalid(thinking.at("thinkingLevel"), f"it is none of {', '.join(_LEVELS)}.")
        request.mode, request.effort = "effort", _LEVELS[level.upper()]
    if budget is not None:
        if level is not None:
            raise invalid(thinking.at("thinkingBudget"), "set either thinkingBudget or thinkingLevel.")
        request.mode = "off" if budget == 0 else "adaptive" if budget < 0 else "budget"
        request.budget = budget if budget > 0 else None
    if shown is not None:
        request.display = "summary" if shown else "none"
    request.extra = thinking.rest
    return request


def _output_format(config: Fields) -> OutputFormat | None:
    media_type = config.text("responseMimeType")
    schema = config.object("responseJsonSchema")
    openapi = config.object("responseSchema")
    if schema is None and openapi is not None:
        schema = from_openapi(openapi)
    if schema is not None:
        extra = {} if media_type in (None, "application/json") else {"responseMimeType": media_type}
        return OutputFormat("json_schema", schema, extra=extra)
    if media_type == "application/json":
        return OutputFormat("json_object")
    if media_type not in (None, "text/plain"):
        config.rest["responseMimeType"] = media_type
    return None
