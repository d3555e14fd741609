"""The form of a preferred provider: Claude's tiers become a big and a small model of another vendor.

PREFERRED_PROVIDER (openai by default), BIG_MODEL, SMALL_MODEL. Names with `opus` or `sonnet` go to the big model,
names with `haiku` to the small one; `openai/`, `gemini/`, `azure/`, `anthropic/` and `bedrock/` before a name force
a backend. When the preferred provider fails, OpenAI is tried, if it has a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.configuration import Configuration, ConfigurationError, read_configuration
from core.forms.claude_names import bedrock_name, spelled
from core.forms.one_variable import azure_options
from core.forms.variables import first_set, without_empty
from core.slotted import slotted

type Variables = Mapping[str, str]

_OPENAI_BIG, _OPENAI_SMALL = "gpt-4.1", "gpt-4.1-mini"


@slotted(frozen=True)
class Preference:
    """A value of PREFERRED_PROVIDER: the backend's name (and prefix), and its models; "" keeps the asked name."""

    backend: str
    big: str
    small: str


def _preferences(variables: Variables) -> dict[str, Preference]:
    deployment = variables.get("AZURE_DEPLOYMENT", "")
    bedrock = bedrock_name(variables.get("AWS_REGION") or "us-east-1")
    big, small = spelled("claude-sonnet-4-5", bedrock), spelled("claude-haiku-4-5", bedrock)
    return {
        "openai": Preference("openai", _OPENAI_BIG, _OPENAI_SMALL),
        "google": Preference("gemini", "gemini-2.5-pro", "gemini-2.5-flash"),
        "anthropic": Preference("anthropic", "", ""),
        "azure": Preference("azure", deployment or _OPENAI_BIG, deployment or _OPENAI_SMALL),
        "bedrock": Preference("bedrock", big, small),
    }


def _backends(variables: Variables) -> dict[str, dict[str, Any]]:
    """All five, whatever is preferred: a prefix reaches each. Those without a credential answer 503."""
    return {
        "openai": {"type": "openai"},
        "gemini": {"type": "gemini", "api_key": first_set(variables, "GEMINI_API_KEY", "GOOGLE_API_KEY")},
        "azure": azure_options(variables),
        "anthropic": {"type": "anthropic"},
        "bedrock": {"type": "bedrock"},
    }


def read(variables: Variables) -> Configuration:
    """The configuration of PREFERRED_PROVIDER. Raises ConfigurationError that lists the valid values."""
    asked = variables.get("PREFERRED_PROVIDER", "").strip().lower() or "openai"
    preferences = _preferences(variables)
    preference = preferences.get(asked)
    if preference is None:
        raise ConfigurationError("", f"Invalid PREFERRED_PROVIDER value: {asked}. Must be one of: {list(preferences)}")
    backends = {name: without_empty(options) for name, options in _backends(variables).items()}
    tiers = {
        "big": _candidates(variables, preference, variables.get("BIG_MODEL") or preference.big, _OPENAI_BIG),
        "small": _candidates(variables, preference, variables.get("SMALL_MODEL") or preference.small, _OPENAI_SMALL),
    }
    models: dict[str, Any] = {name: {"candidates": tiers[tier]} for name, tier in _NAMES.items()}
    models.update({name: {"backend": backend} for name, backend in _OWN_NAMES.items()})
    models["*"] = {"backend": preference.backend}
    document = {"backends": backends, "models": models, "allow_direct": True}
    configuration = read_configuration(document, variables)
    configuration.active = configuration.active_title = preference.backend
    configuration.notices.append(("Preferred provider configured", _described(asked, tiers)))
    missing = configuration.registry.backends[preference.backend].missing
    if missing:
        configuration.warnings.append(f"The preferred provider {asked} is not usable: {missing}")
    return configuration


# What clients ask for, and the tier that answers. The exact names are the ones that a list of models shows.
_NAMES = {
    "claude-opus-5-5": "big", "claude-sonnet-5-5": "big", "claude-haiku-5-5": "small",
    "*haiku*": "small", "*sonnet*": "big", "*opus*": "big",
}  # fmt: skip
# Names that say themselves whose they are.
_OWN_NAMES = {"gpt-*": "openai", "o[1-9]*": "openai", "gemini-*": "gemini"}


def _candidates(variables: Variables, preference: Preference, model: str, fallback: str) -> list[dict[str, Any]]:
    """The tier's model, which may name its backend by prefix, and OpenAI's after it."""
    prefix, slash, rest = model.partition("/")
    backend, name = (prefix, rest) if slash and prefix in _backends(variables) else (preference.backend, model)
    candidates = [without_empty({"backend": backend, "api_model": name})]
    if backend != "openai" and variables.get("OPENAI_API_KEY"):
        candidates.append({"backend": "openai", "api_model": fallback, "priority": 2})
    return candidates


def _described(asked: str, tiers: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    shown = {f"{tier}_model": rows[0].get("api_model", "as asked") for tier, rows in tiers.items()}
    return {"provider": asked, **shown, "fallback": "openai" if len(tiers["big"]) > 1 else None}
