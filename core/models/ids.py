"""A model's own name in an id, however a backend spells it."""

from __future__ import annotations

import re
from typing import Final

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
GEOGRAPHIES: Final = frozenset({"us-gov", "us", "eu", "jp", "apac", "au", "ca", "sa", "me", "in", "global"})
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
    geography, dot, rest = name.partition(".")
    if dot and geography in GEOGRAPHIES:
        name = rest
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
