"""The chat backend's variables: the deployed models of one Azure OpenAI resource, and Bedrock beside them.

AZURE_OPENAI_API_KEY, AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_VERSION (2023-05-15), AZURE_OPENAI_DEPLOYED_MODELS
(names separated by commas), AWS_REGION (us-east-1), MAX_TOKENS, DEFAULT_SYSTEM_PROMPT, RATE_LIMIT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.configuration import ChatDefaults, Configuration, read_configuration
from core.forms.variables import integer, without_empty

DEFAULT_API_VERSION = "2023-05-15"

# Bedrock's models under the short names that this form's clients use.
_BEDROCK_NAMES = {
    "claude-v2": "anthropic.claude-v2",
    "claude-instant-v1": "anthropic.claude-instant-v1",
    "llama2-13b-chat": "meta.llama2-13b-chat-v1",
    "llama2-70b-chat": "meta.llama2-70b-chat-v1",
}
# Bedrock's own ids name their vendor, or the part of the world of an inference profile, before a dot.
_BEDROCK_PREFIXES = (
    "anthropic", "amazon", "meta", "mistral", "cohere", "ai21", "deepseek", "openai", "qwen", "us", "eu", "apac",
    "jp", "au", "global",
)  # fmt: skip


def chat_defaults(variables: Mapping[str, str]) -> ChatDefaults:
    """What the variables say about chats, in any form of configuration. Raises ConfigurationError."""
    return ChatDefaults(
        system_prompt=variables.get("DEFAULT_SYSTEM_PROMPT") or None,
        max_tokens=integer(variables, "MAX_TOKENS"),
        rate_limit=integer(variables, "RATE_LIMIT"),
    )


def read(variables: Mapping[str, str]) -> Configuration:
    """The configuration of the chat backend's variables. Raises ConfigurationError."""
    chat = chat_defaults(variables)
    azure = {
        "type": "azure-openai",
        "base_url": variables.get("AZURE_OPENAI_ENDPOINT") or "${AZURE_OPENAI_ENDPOINT}",
        "api_key": variables.get("AZURE_OPENAI_API_KEY") or "${AZURE_OPENAI_API_KEY}",
        "api_version": variables.get("AZURE_OPENAI_API_VERSION") or DEFAULT_API_VERSION,
    }
    deployed = [name.strip() for name in variables.get("AZURE_OPENAI_DEPLOYED_MODELS", "").split(",") if name.strip()]
    defaults = without_empty({"max_tokens": chat.max_tokens})
    models: dict[str, Any] = {name: {"backend": "azure", "api_model": name, **defaults} for name in deployed}
    for name, model in _BEDROCK_NAMES.items():
        models.setdefault(name, {"backend": "bedrock", "api_model": model, **defaults})
    models.update({f"{prefix}.*": {"backend": "bedrock", **defaults} for prefix in _BEDROCK_PREFIXES})
    configuration = read_configuration({"backends": {"azure": azure, "bedrock": _BEDROCK}, "models": models}, variables)
    for backend in configuration.registry.backends.values():
        if backend.missing:
            configuration.warnings.append(f"Backend {backend.name} is not usable: {backend.missing}")
    configuration.chat = chat
    configuration.notices.append(("Chat backend configured", {"deployed_models": deployed}))
    return configuration


_BEDROCK = {"type": "bedrock"}
