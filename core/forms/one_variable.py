"""The form of one variable: PROXY_BACKEND names where every request goes.

Model names are mapped per backend: the four of the table (`claude-sonnet-4`, `claude-3.7-sonnet`, `big`, `small`),
Claude's other names by rule, anything else as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from core.configuration import Configuration, ConfigurationError, read_configuration
from core.forms.claude_names import (
    Spelling,
    anthropic_name,
    bedrock_name,
    client_names,
    databricks_name,
    litellm_name,
    openrouter_name,
    spelled,
)
from core.forms.variables import first_set, flag, integer, number, without_empty
from core.slotted import field, slotted

type Variables = Mapping[str, str]

BIG, SMALL = "claude-sonnet-4", "claude-3-7-sonnet"
_MAIN_ENDPOINT = "/v1/messages"
_BARE_WORKSPACE = re.compile(r"[A-Za-z0-9-]+(?:\.\d+)?")


@slotted(frozen=True)
class Choice:
    """A value of PROXY_BACKEND. `backend` gives the backend's options, `models` its model rows (name to model id);
    `required` is what a request is told when a credential is absent."""

    value: str
    title: str
    required: str
    backend: Callable[[Variables], dict[str, Any]]
    models: Callable[[Variables], dict[str, str]]
    name: str
    notices: Callable[[Variables], list[tuple[str, dict[str, Any]]]] = field(default=lambda variables: [])


def _claude_models(spelling: Spelling) -> dict[str, str]:
    table = {"claude-sonnet-4": spelled(BIG, spelling), "claude-3.7-sonnet": spelled(SMALL, spelling)}
    table.update({"big": spelled(BIG, spelling), "small": spelled(SMALL, spelling)})
    return {**table, **dict(client_names(spelling))}


def _tier_models(big: str, small: str) -> dict[str, str]:
    """Rows for a backend without Claude: by the tier that a Claude name belongs to."""
    return {
        "claude-sonnet-4": big, "claude-3.7-sonnet": small, "big": big, "small": small,
        "claude-*haiku*": small, "claude-3?7-sonnet*": small, "claude-*": big,
    }  # fmt: skip


def databricks_options(variables: Variables) -> dict[str, Any]:
    """The Databricks backend of DATABRICKS_HOST, DATABRICKS_TOKEN, DATABRICKS_TIMEOUT, DATABRICKS_MAX_RETRIES."""
    return {
        "type": "databricks",
        "base_url": _workspace_url(variables.get("DATABRICKS_HOST", "")),
        "timeout": number(variables, "DATABRICKS_TIMEOUT"),
        "max_retries": integer(variables, "DATABRICKS_MAX_RETRIES", 0),
    }


def databricks_models(variables: Variables) -> dict[str, str]:
    """The model rows of a Databricks backend."""
    return _claude_models(databricks_name)


def _workspace_url(host: str) -> str:
    """A workspace instance (`adb-1234567890123456.7`) is a host in Azure's domain; anything longer is a host itself."""
    host = host.strip()
    return f"https://{host}.azuredatabricks.net" if _BARE_WORKSPACE.fullmatch(host) else host


def _databricks_notices(variables: Variables) -> list[tuple[str, dict[str, Any]]]:
    workspace = variables.get("DATABRICKS_HOST", "").partition("://")[2] or variables.get("DATABRICKS_HOST", "")
    fields = {"main_endpoint": _MAIN_ENDPOINT, "workspace": workspace.strip("/")}
    return [("Azure Databricks main routing active", fields)]


def _openrouter(variables: Variables) -> dict[str, Any]:
    return {"type": "openrouter", "base_url": variables.get("OPENROUTER_API_BASE", "")}


def _litellm_chat(variables: Variables) -> dict[str, Any]:
    """LiteLLM asks OpenRouter in Chat Completions. Where a LiteLLM server is named the request goes through it,
    otherwise straight to OpenRouter in that format."""
    timeout = number(variables, "LITELLM_TIMEOUT")
    if variables.get("LITELLM_BASE_URL"):
        return {**_litellm(variables), "format": "chat_completions"}
    return {**_openrouter(variables), "format": "chat_completions", "timeout": timeout}


def _litellm_chat_models(variables: Variables) -> dict[str, str]:
    return _claude_models(litellm_name if variables.get("LITELLM_BASE_URL") else openrouter_name)


def _litellm(variables: Variables) -> dict[str, Any]:
    key = first_set(variables, "LITELLM_API_KEY", "LITELLM_MASTER_KEY", "OPENROUTER_API_KEY")
    return {
        "type": "litellm",
        "base_url": variables.get("LITELLM_BASE_URL", ""),
        "api_key": key or "${OPENROUTER_API_KEY}",
        "timeout": number(variables, "LITELLM_TIMEOUT"),
    }


def _bedrock_models(variables: Variables) -> dict[str, str]:
    return _claude_models(bedrock_name(variables.get("AWS_REGION") or "us-east-1"))


def azure_options(variables: Variables) -> dict[str, Any]:
    """Azure OpenAI by either set of names that its variables go by."""
    return {
        "type": "azure-openai",
        "base_url": first_set(variables, "AZURE_BASE_URL", "AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE"),
        "api_key": first_set(variables, "AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        "api_version": first_set(variables, "AZURE_API_VERSION", "AZURE_OPENAI_API_VERSION"),
    }


def _azure_models(variables: Variables) -> dict[str, str]:
    deployment = variables.get("AZURE_DEPLOYMENT")
    return _tier_models(deployment or "gpt-5", deployment or "gpt-5-mini")


CHOICES: dict[str, Choice] = {
    choice.value: choice
    for choice in (
        Choice(
            "AZURE_DATABRICKS", "Azure Databricks", "Azure Databricks host and token must be configured",
            databricks_options, databricks_models, "databricks", _databricks_notices,
        ),
        Choice(
            "OPENROUTER", "OpenRouter", "OpenRouter API key must be configured",
            _openrouter, lambda variables: _claude_models(openrouter_name), "openrouter",
        ),
        Choice(
            "LITELLM_OPENROUTER", "LiteLLM", "OpenRouter API key must be configured for LiteLLM",
            _litellm_chat, _litellm_chat_models, "litellm",
        ),
        Choice(
            "LITELLM_MESSAGES", "LiteLLM Messages", "OpenRouter API key must be configured for LiteLLM",
            lambda variables: {**_litellm(variables), "base_url": variables.get("LITELLM_BASE_URL") or _LITELLM_URL},
            lambda variables: _claude_models(litellm_name), "litellm",
        ),
        Choice(
            "AWS_BEDROCK", "AWS Bedrock", "AWS credentials must be configured",
            lambda variables: {"type": "bedrock"}, _bedrock_models, "bedrock",
        ),
        Choice(
            "AZURE_OPENAI", "Azure OpenAI", "Azure OpenAI endpoint and key must be configured",
            azure_options, _azure_models, "azure",
        ),
        Choice(
            "ANTHROPIC_DIRECT", "Anthropic", "Anthropic API key must be configured",
            lambda variables: {"type": "anthropic"}, lambda variables: _claude_models(anthropic_name), "anthropic",
        ),
        Choice(
            "GOOGLE_GEMINI", "Google Gemini", "Gemini API key must be configured",
            lambda variables: {"type": "gemini"},
            lambda variables: _tier_models("gemini-2.5-pro", "gemini-2.5-flash"), "gemini",
        ),
    )
}  # fmt: skip

_LITELLM_URL = "http://localhost:4001"


def read(variables: Variables) -> Configuration:
    """The configuration of PROXY_BACKEND or of the flags that it replaced; OPENROUTER without any of them.

    Raises ConfigurationError that lists the valid values.
    """
    value, warnings = _chosen_value(variables)
    choice = CHOICES.get(value)
    if choice is None:
        raise ConfigurationError("", f"Invalid PROXY_BACKEND value: {value}. Must be one of: {list(CHOICES)}")
    backends = {choice.name: without_empty(choice.backend(variables))}
    rows: dict[str, list[dict[str, Any]]] = {
        name: [{"backend": choice.name, "api_model": model}] for name, model in choice.models(variables).items()
    }
    rows["*"] = [{"backend": choice.name}]
    if flag(variables, "BYPASS_FALLBACK_ENABLED") and choice.name != "openrouter":
        warnings.extend(_add_fallback(variables, backends, rows))
    if choice.name != "databricks" and first_set(variables, "DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        backends["databricks"] = without_empty(databricks_options(variables))  # its dedicated endpoints stay open
    models = {name: {"candidates": candidates} for name, candidates in rows.items()}
    configuration = read_configuration({"backends": backends, "models": models}, variables)
    backend = configuration.registry.backends[choice.name]
    if backend.missing:
        backend.missing = f"{choice.required}: {backend.missing}"
        warnings.append(f"{choice.title} backend selected but missing configuration ({backend.missing})")
    configuration.warnings.extend(warnings)
    configuration.active, configuration.active_title = choice.value, choice.title
    fields = {"backend": choice.value, "endpoint": _MAIN_ENDPOINT}
    configuration.notices.append(("Active proxy backend configured", fields))
    configuration.notices.extend(choice.notices(variables))
    return configuration


def _chosen_value(variables: Variables) -> tuple[str, list[str]]:
    """The value that is asked for, and a warning for each flag that PROXY_BACKEND has replaced."""
    old = [name for name in ("DATABRICKS_ENABLED", "BYPASS_LITELLM_ENABLED") if variables.get(name)]
    named = variables.get("PROXY_BACKEND", "").strip()
    value = named.upper() or _value_of_flags(variables)
    remedy = "is ignored beside PROXY_BACKEND" if named else f"use PROXY_BACKEND={value} instead"
    return value, [f"{name} is deprecated: {remedy}" for name in old]


def _value_of_flags(variables: Variables) -> str:
    if flag(variables, "DATABRICKS_ENABLED"):
        return "AZURE_DATABRICKS"
    if variables.get("BYPASS_LITELLM_ENABLED") and not flag(variables, "BYPASS_LITELLM_ENABLED"):
        return "LITELLM_OPENROUTER"
    return "OPENROUTER"


def _add_fallback(
    variables: Variables, backends: dict[str, dict[str, Any]], rows: dict[str, list[dict[str, Any]]]
) -> list[str]:
    """OpenRouter after the chosen backend, under its own names. Gives a warning where its key is absent."""
    if not variables.get("OPENROUTER_API_KEY"):
        return ["BYPASS_FALLBACK_ENABLED has no effect: OPENROUTER_API_KEY not set in environment"]
    backends["openrouter"] = without_empty(_openrouter(variables))
    names = _claude_models(openrouter_name)
    for name, candidates in rows.items():
        candidates.append({"backend": "openrouter", "priority": 2, **without_empty({"api_model": names.get(name)})})
    return []
