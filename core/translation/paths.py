"""Where a neutral member stands in each client format: warnings and errors name it in the client's words."""

from __future__ import annotations

from typing import Final

from core.conversation import FormatName

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


def client_path(format_name: FormatName, name: str) -> str:
    """The client's own name for the neutral `name`: `max_tokens` is `max_output_tokens` in Responses."""
    return PATHS[format_name].get(name, name)
