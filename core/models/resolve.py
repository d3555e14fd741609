"""From a model id, however a backend spells it, to the facts of its family."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from core.models.facts import ModelFacts
from core.models.families import FAMILIES, GENERIC
from core.models.ids import bare_id
from core.slotted import replace

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
