"""Configurations that stand in environment variables alone, without a file.

Which form applies, from first to last:

1. a file that was named (`--config`, MODEL_CONFIG_PATH): no form is looked for
2. one variable: PROXY_BACKEND, or the flags that it replaced (`core.forms.one_variable`)
3. preferred provider: PREFERRED_PROVIDER, BIG_MODEL, SMALL_MODEL (`core.forms.preferred_provider`)
4. chat backend: AZURE_OPENAI_DEPLOYED_MODELS (`core.forms.chat_backend`)
5. a models.yaml or models.json that lies in the working folder or beside the program
6. where that one offers the demo backend only, or there is none: OPENROUTER_API_KEY (one variable's default),
   AZURE_OPENAI_ENDPOINT (chat backend)
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from core.configuration import Configuration

# Variables that choose a form, and the module that reads it; the first row with a variable that is set wins.
_CHOSEN: tuple[tuple[tuple[str, ...], str], ...] = (
    (("PROXY_BACKEND", "DATABRICKS_ENABLED", "BYPASS_LITELLM_ENABLED"), "core.forms.one_variable"),
    (("PREFERRED_PROVIDER", "BIG_MODEL", "SMALL_MODEL"), "core.forms.preferred_provider"),
    (("AZURE_OPENAI_DEPLOYED_MODELS",), "core.forms.chat_backend"),
)
# Variables that say enough where nothing else does.
_IMPLIED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("OPENROUTER_API_KEY",), "core.forms.one_variable"),
    (("AZURE_OPENAI_ENDPOINT",), "core.forms.chat_backend"),
)


def chosen_configuration(variables: Mapping[str, str]) -> Configuration | None:
    """The configuration that `variables` ask for by name; None when they name no form. Raises ConfigurationError."""
    return _first(_CHOSEN, variables)


def implied_configuration(variables: Mapping[str, str]) -> Configuration | None:
    """The configuration that a lone credential stands for, None without one. Raises ConfigurationError."""
    return _first(_IMPLIED, variables)


def offers_demo_only(configuration: Configuration) -> bool:
    """Whether nothing but the built-in demo backend is configured."""
    backends = configuration.registry.backends.values()
    return all(backend.base_url.startswith("demo:") for backend in backends)


def _first(rows: tuple[tuple[tuple[str, ...], str], ...], variables: Mapping[str, str]) -> Configuration | None:
    for names, module in rows:
        if any(variables.get(name) for name in names):
            return cast(Configuration, import_module(module).read(variables))
    return None
