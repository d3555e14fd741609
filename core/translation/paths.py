"""Where a neutral member stands in each client format: warnings and errors name it in the client's words."""

from __future__ import annotations

import re
from typing import Any, Final

from core.conversation import FormatName, JsonObject

_CHAT: Final[dict[str, str]] = {
    "max_tokens": "max_completion_tokens",
    "reasoning": "reasoning_effort",
    "output_format": "response_format",
    "cache_key": "prompt_cache_key",
}
_RESPONSES: Final[dict[str, str]] = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "reasoning": "reasoning",
    "output_format": "text.format",
    "verbosity": "text.verbosity",
    "cache_key": "prompt_cache_key",
}
_MESSAGES: Final[dict[str, str]] = {
    "stop": "stop_sequences",
    "reasoning": "thinking",
    "output_format": "output_config.format",
    "cache": "cache_control",
    "betas": "anthropic-beta",
    "user": "metadata.user_id",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
_CONVERSE: Final[dict[str, str]] = {
    "max_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "top_k": "additionalModelRequestFields.top_k",
    "stop": "inferenceConfig.stopSequences",
    "tools": "toolConfig.tools",
    "tool_choice": "toolConfig.toolChoice",
    "reasoning": "additionalModelRequestFields.thinking",
    "output_format": "outputConfig.textFormat",
    "cache": "cachePoint",
    "betas": "additionalModelRequestFields.anthropic_beta",
    "service_tier": "serviceTier",
    "metadata": "requestMetadata",
}
_GENERATE_CONTENT: Final[dict[str, str]] = {
    "messages": "contents",
    "system": "systemInstruction",
    "max_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "seed": "generationConfig.seed",
    "n": "generationConfig.candidateCount",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "stop": "generationConfig.stopSequences",
    "tool_choice": "toolConfig.functionCallingConfig",
    "reasoning": "generationConfig.thinkingConfig",
    "output_format": "generationConfig.responseJsonSchema",
    "service_tier": "serviceTier",
}
PATHS: Final[dict[FormatName, dict[str, str]]] = {
    "chat_completions": _CHAT,
    "responses": _RESPONSES,
    "messages": _MESSAGES,
    "converse": _CONVERSE,
    "generate_content": _GENERATE_CONTENT,
}


# Formats in which other members of what asks for reasoning stand in the object that is named for it.
_OWN_REASONING: Final = frozenset({"messages", "converse", "generate_content"})


def client_path(format_name: FormatName, name: str) -> str:
    """The client's own name for the neutral `name`: `max_tokens` is `max_output_tokens` in Responses."""
    if name.startswith("reasoning.") and format_name in _OWN_REASONING:
        return PATHS[format_name]["reasoning"] + name.removeprefix("reasoning")
    return PATHS[format_name].get(name, name)


def refused_path(format_name: FormatName, path: str) -> str:
    """The client's own name for what a writer refused: `messages[0].content` is `contents[0].parts` in Gemini."""
    if path.startswith("messages["):
        path = client_path(format_name, "messages") + path.removeprefix("messages")
        return path.replace("].content", "].parts", 1) if format_name == "generate_content" else path
    return client_path(format_name, "messages" if path in _MEDIA else path)


# What writers call content of which they do not know the place.
_MEDIA: Final = ("image", "document")


# Other words for the same wish, by the one that warnings use: the first that stands in the request is named.
_SPELLINGS: Final[dict[FormatName, dict[str, tuple[str, ...]]]] = {
    "chat_completions": {
        "user": ("user", "safety_identifier"),
        "max_completion_tokens": ("max_completion_tokens", "max_tokens"),
        "reasoning_effort": ("reasoning_effort", "reasoning", "thinking", "include_reasoning"),
        "response_format": ("response_format",),
        "tool_choice": ("tool_choice", "function_call"),
        "tools": ("tools", "functions"),
        "parallel_tool_calls": ("parallel_tool_calls", "functions"),
        "cache": ("prompt_cache_breakpoint", "cache_control"),
        "messages[].content[].name": ("filename",),
    },
    "responses": {
        "user": ("user", "safety_identifier"),
        "cache": ("prompt_cache_breakpoint",),
        "input[].content[].name": ("filename",),
    },
    "messages": {
        "thinking": ("thinking", "output_config.effort"),
        "output_config.format": ("output_config.format", "output_format"),
        "messages[].content[].name": ("title",),
    },
    "converse": {
        "anthropic-beta": ("additionalModelRequestFields.anthropic_beta",),
        "additionalModelRequestFields.thinking": (
            "additionalModelRequestFields.thinking",
            "outputConfig.effort",
            "additionalModelRequestFields.output_config",
            "additionalModelRequestFields.reasoning_effort",
            "additionalModelRequestFields.reasoningConfig",
            "additionalModelRequestFields.reasoning_config",
        ),
        "additionalModelRequestFields.top_k": (
            "additionalModelRequestFields.top_k",
            "additionalModelRequestFields.inferenceConfig.topK",
        ),
    },
    "generate_content": {
        "generationConfig.responseJsonSchema": (
            "generationConfig.responseJsonSchema",
            "generationConfig.responseSchema",
            "generationConfig.responseMimeType",
        ),
    },
}
_MESSAGE: Final = re.compile(r"messages(?:\[\d*\])?")
_CONTENT: Final = re.compile(r"\.content\b(?:\[\d*\])?")  # of a message: `parts` in Gemini


def spelled(format_name: FormatName, path: str, body: JsonObject) -> str:
    """`path` as the request `body` has it: a client that sent `safety_identifier` is not told of `user`."""
    turns = PATHS[format_name].get("messages")
    if turns is not None:
        path = _MESSAGE.sub(f"{turns}[]", path, count=1)
        if format_name == "generate_content":
            path = _CONTENT.sub(".parts[]", path, count=1)
    for name in _SPELLINGS[format_name].get(path, ()):
        if _stands_at(body, name.split(".")) or ("." not in name and stands_in(body, name)):
            return name
    head, _, tail = path.rpartition(".")
    return f"{spelled(format_name, head, body)}.{tail}" if head in _SPELLINGS[format_name] else path


def _stands_at(value: Any, names: list[str]) -> bool:
    for name in names:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def stands_in(value: Any, name: str) -> bool:
    """Whether a member of this name is anywhere in `value`."""
    if isinstance(value, dict):
        return name in value or any(stands_in(item, name) for item in value.values())
    return isinstance(value, list) and any(stands_in(item, name) for item in value)
