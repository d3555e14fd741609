"""From a model id, however a backend spells it, to the facts of its family."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from core.models.facts import ModelFacts
from core.models.families import FAMILIES, GENERIC
from core.slotted import replace

# Whose model an id's prefix names: Bedrock's `vendor.model`, OpenRouter's and LiteLLM's `vendor/model`.
VENDOR_PREFIXES: Final[dict[str, str]] = {
    "anthropic": "anthropic",
    "openai": "openai",
    "azure": "openai",
    "google": "google",
    "gemini": "google",
    "vertex_ai": "google",
    "amazon": "amazon",
    "meta": "meta",
    "meta-llama": "meta",
    "mistral": "mistral",
    "mistralai": "mistral",
    "deepseek": "deepseek",
    "deepseek-ai": "deepseek",
    "qwen": "qwen",
    "cohere": "cohere",
    "ai21": "ai21",
    "writer": "writer",
    "x-ai": "xai",
    "xai": "xai",
    "moonshot": "moonshot",
    "moonshotai": "moonshot",
    "minimax": "minimax",
    "zai": "zai",
    "nvidia": "nvidia",
}

# Bedrock's inference-profile regions
# (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html).
_REGION = re.compile(r"^(?:us-gov|us|eu|jp|apac|au|ca|sa|me|in|global)\.")
_SYSTEM_CATALOG = re.compile(r"^(?:system\.ai\.|databricks-)")
# `-v1:0`, `-v1`, `:0:200k`; in `claude-v2:1` the v2 is the name.
_BEDROCK_VERSION = re.compile(r"(?:(?<!claude)-v\d+)?(?::\d+[a-z0-9]*)+$|(?<!claude)-v\d+$")
_DATE = re.compile(r"[-@]\d{8}$|-\d{4}-\d{2}-\d{2}$|-preview-\d{2}-(?:\d{4}|\d{2})$")
_VARIANT = re.compile(r":[a-z][a-z0-9-]*$")  # OpenRouter's `:free`, `:thinking`


def bare_id(model_id: str) -> tuple[str, str]:
    """The model's own name in lower case, and the vendor that the id names ("" when it names none).

    `arn:aws:bedrock:…:inference-profile/us.anthropic.claude-opus-4-6-v1` gives
    `("claude-opus-4-6", "anthropic")`.
    """
    name = model_id.strip().lower()
    vendor = ""
    if name.startswith("arn:"):
        name = name.rsplit("/", 1)[-1]
    name = name.removeprefix("ft:")
    while "/" in name:
        prefix, name = name.split("/", 1)
        vendor = VENDOR_PREFIXES.get(prefix, vendor)
    name = _SYSTEM_CATALOG.sub("", name)
    name = _REGION.sub("", name)
    prefix, dot, rest = name.partition(".")
    if dot and prefix in VENDOR_PREFIXES and rest:
        vendor, name = VENDOR_PREFIXES[prefix], rest
    name = _VARIANT.sub("", name)
    name = _BEDROCK_VERSION.sub("", name)
    name = _DATE.sub("", name)
    return _dashed(name), vendor


def _dashed(name: str) -> str:
    # OpenRouter and Databricks write Claude's versions with a dot where Anthropic has a dash.
    return name.replace(".", "-") if name.startswith("claude-") else name


# Whose models a backend of each type serves, where that is one vendor's.
PROVIDER_VENDORS: Final[dict[str, str]] = {
    "openai": "openai",
    "azure-openai": "openai",
    "azure-openai-classic": "openai",
    "anthropic": "anthropic",
    "azure-foundry": "anthropic",
    "gemini": "google",
}


@cache
def facts_for(model_id: str, provider: str = "") -> ModelFacts:
    """The facts about `model_id`. Where no row matches, what holds for any model of the vendor that the id or
    the backend's type `provider` names, with `unknown` set; else permissive defaults."""
    name, vendor = bare_id(model_id)
    # Bedrock's `deepseek.v3` has the family in the vendor's place.
    for candidate in (name, f"{vendor}-{name}"):
        for pattern, facts in FAMILIES:
            if fnmatchcase(candidate, pattern):
                return facts
    vendor = vendor or PROVIDER_VENDORS.get(provider, "")
    generic = GENERIC.get(vendor, ModelFacts(family="", vendor=vendor))
    return replace(generic, family=name, unknown=True)
