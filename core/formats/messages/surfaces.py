"""Where the Messages format is served, and what each place takes of its betas and of the members behind them.

A beta that a surface does not know is a 400 there, and so is a member whose beta was not sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from core.conversation import JsonObject
from core.models.betas import NOT_LOST, TOP_MEMBERS, accepted_betas
from core.models.facts import ModelFacts
from core.translation.losses import said

__all__ = [
    "BEDROCK_SURFACES", "MESSAGE_MEMBERS", "NOT_LOST", "OLDEST_VERSION", "TOOL_MEMBERS", "TOP_MEMBERS", "Surface",
    "outbound_version",
]  # fmt: skip

# A backend's type -> its surface in core.models.betas. What is not here is taken for the first party's API.
_SURFACES = {"azure-foundry": "foundry", "bedrock": "mantle", "bedrock-mantle": "mantle", "databricks": "databricks"}

OLDEST_VERSION = "2023-06-01"
# Where a newer `anthropic-version` is served: for every model, or for the models that know it. Elsewhere only the
# oldest one is sure to be. https://platform.claude.com/docs/en/api/versioning
_NEWER_FOR_ALL = frozenset({"anthropic", "azure-foundry", "demo"})
_NEWER_BY_MODEL = frozenset({"bedrock", "bedrock-mantle"})

# The surfaces that Bedrock serves: models may lack abilities there.
BEDROCK_SURFACES = frozenset({"mantle", "invoke"})

# member -> the betas, by prefix, of which one must have been sent with it; top-level ones are in core.models.betas.
TOOL_MEMBERS: dict[str, tuple[str, ...]] = {
    "defer_loading": ("tool-search-tool-", "advanced-tool-use-"),
    "input_examples": ("tool-examples-", "advanced-tool-use-"),
    "allowed_callers": ("code-execution-", "advanced-tool-use-"),
    "eager_input_streaming": ("fine-grained-tool-streaming-",),
}
MESSAGE_MEMBERS: dict[str, tuple[str, ...]] = {
    "output_config": ("mid-conversation-output-config-", "per-turn-control-"),
    "clear_at": ("per-turn-control-",),
}


def outbound_version(provider: str, wanted: str, facts: ModelFacts) -> str:
    """The `anthropic-version` for a backend of type `provider`: `wanted` where it is served."""
    if provider in _NEWER_FOR_ALL:
        return wanted
    if provider in _NEWER_BY_MODEL:
        return min(wanted, facts.latest_anthropic_version)
    return OLDEST_VERSION


class Surface:
    """One backend's surface, and the betas of one request that it accepts."""

    def __init__(self, provider: str, betas: Iterable[str], name: str | None = None) -> None:
        """`name` overrides the surface that goes with `provider`: InvokeModel is one of Bedrock's."""
        self.name = name or _SURFACES.get(provider, "anthropic")
        self.betas, self.refused = accepted_betas(self.name, betas)

    def takes(self, member: str, table: dict[str, tuple[str, ...]]) -> bool:
        """Whether `member`, which `table` may bind to betas, can be sent."""
        prefixes = table.get(member)
        if prefixes is None or self.name == "anthropic":
            return True
        return any(beta.startswith(prefixes) for beta in self.betas) if prefixes else False

    def split(self, extra: JsonObject, table: dict[str, tuple[str, ...]]) -> tuple[JsonObject, list[str]]:
        """The members of `extra` that can be sent, and the names of those others that ask for something."""
        if self.name == "anthropic":
            return extra, []
        kept = {member: value for member, value in extra.items() if self.takes(member, table)}
        return kept, [member for member in said(extra) if member not in kept]
