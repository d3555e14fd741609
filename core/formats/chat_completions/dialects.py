"""How the servers that speak Chat Completions differ, as data: one row per backend type."""

from __future__ import annotations

from typing import Final, Literal

from core.slotted import slotted


@slotted(frozen=True)
class Dialect:
    """One server's words.

    `max_tokens`: its name for the output limit, `reasoning_max_tokens` the same for reasoning models.
    `reasoning`: how reasoning is asked for: `effort` (reasoning_effort), `router` (OpenRouter's `reasoning`),
    `thinking` (Anthropic's object, for Claude). `slot`: where a model's reasoning is sent back.
    `cache`: how a cache breakpoint is written, None where there is none. `web_search`: the neutral tool of that
    name can be asked for. `document_urls`, `video`: content that OpenAI itself refuses.
    `knobs`: which of the members that only some servers take it accepts.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    reasoning_max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    reasoning: Literal["effort", "router", "thinking"] = "effort"
    slot: Literal["details", "thinking_blocks", "content", "reasoning_content", "none"] = "reasoning_content"
    cache: Literal["breakpoint", "cache_control"] | None = None
    web_search: Literal["plugins", "web_search_options"] | None = None
    document_urls: bool = False
    video: bool = False
    names: bool = True
    developer_role: bool = False
    custom_tools: bool = False
    allowed_tools: bool = False
    knobs: frozenset[str] = frozenset({"top_k", "user"})


# The tiers that OpenAI's requests may ask for and its answers may name.
SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})

# Members that OpenAI's two formats share, without a neutral field.
SHARED_MEMBERS: Final = frozenset(
    {"safety_identifier", "prompt_cache_options", "prompt_cache_retention", "moderation"}
)
_OPENAI_KNOBS: Final = SHARED_MEMBERS | {
    "store", "metadata", "service_tier", "verbosity", "prompt_cache_key", "user",
}  # fmt: skip

_OPENAI: Final = Dialect(
    max_tokens="max_completion_tokens",
    reasoning_max_tokens="max_completion_tokens",
    slot="none",
    cache="breakpoint",
    developer_role=True,
    custom_tools=True,
    allowed_tools=True,
    knobs=_OPENAI_KNOBS,
)

_COMPATIBLE: Final = Dialect()

DIALECTS: Final[dict[str, Dialect]] = {
    "openai": _OPENAI,
    # Azure's older api-versions know max_tokens alone, its reasoning models refuse it.
    "azure-openai": Dialect(
        max_tokens="max_tokens",
        reasoning_max_tokens="max_completion_tokens",
        slot="none",
        cache="breakpoint",
        developer_role=True,
        custom_tools=True,
        allowed_tools=True,
        knobs=_OPENAI_KNOBS,
    ),
    "openrouter": Dialect(
        reasoning="router",
        slot="details",
        cache="cache_control",
        web_search="plugins",
        document_urls=True,
        video=True,
        knobs=_OPENAI_KNOBS | {"top_k"},
    ),
    "litellm": Dialect(
        reasoning="thinking",
        slot="thinking_blocks",
        cache="cache_control",
        web_search="web_search_options",
        knobs=_OPENAI_KNOBS | {"top_k"},
    ),
    "databricks": Dialect(
        reasoning="thinking",
        slot="content",
        cache="cache_control",
        names=False,
        knobs=frozenset({"top_k"}),
    ),
}

DIALECTS["azure-openai-classic"] = DIALECTS["azure-openai"]

# Vendors whose models want the text of their reasoning back, in `reasoning_content`.
REASONING_TEXT_VENDORS: Final = frozenset({"deepseek", "moonshot", "zai", "minimax", "qwen"})

# Anthropic's ages of a cache entry and OpenAI's, one for the other.
CACHE_BREAKPOINT_TTLS: Final[dict[str, str]] = {"5m": "30m", "1h": "12h"}
CACHE_CONTROL_TTLS: Final[dict[str, str]] = {"30m": "5m", "12h": "1h"}


def dialect_of(provider: str) -> Dialect:
    """The row of a backend type; the plain one for a server about which nothing is known."""
    return DIALECTS.get(provider, _COMPATIBLE)
