"""Claude's names as clients write them, and as each kind of backend knows them.

https://docs.anthropic.com/en/docs/about-claude/models/overview
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# The name without its date, the date (models up to 4.5 have one) and what Bedrock puts after the id.
CLAUDE_MODELS: tuple[tuple[str, str, str], ...] = (
    ("claude-3-5-haiku", "20241022", "-v1:0"),
    ("claude-3-5-sonnet", "20241022", "-v2:0"),
    ("claude-3-7-sonnet", "20250219", "-v1:0"),
    ("claude-sonnet-4", "20250514", "-v1:0"),
    ("claude-opus-4", "20250514", "-v1:0"),
    ("claude-opus-4-1", "20250805", "-v1:0"),
    ("claude-sonnet-4-5", "20250929", "-v1:0"),
    ("claude-haiku-4-5", "20251001", "-v1:0"),
    ("claude-opus-4-5", "20251101", "-v1:0"),
    ("claude-opus-4-6", "", "-v1"),
    ("claude-sonnet-4-6", "", ""),
    ("claude-opus-4-7", "", ""),
    ("claude-opus-4-8", "", ""),
    ("claude-sonnet-5", "", ""),
    ("claude-opus-5", "", ""),
    ("claude-haiku-5-5", "", ""),
    ("claude-sonnet-5-5", "", ""),
    ("claude-opus-5-5", "", ""),
)

type Spelling = Callable[[str, str, str], str]

_VERSION = re.compile(r"(\d)-(\d)")
_PROFILE_REGIONS = {"us": "us.", "eu": "eu.", "ap": "apac.", "ca": "us.", "sa": "us."}


def databricks_name(name: str, date: str, suffix: str) -> str:
    """`databricks-claude-3-7-sonnet`."""
    return f"databricks-{name}"


def openrouter_name(name: str, date: str, suffix: str) -> str:
    """`anthropic/claude-3.7-sonnet`."""
    return "anthropic/" + _VERSION.sub(r"\1.\2", name)


def litellm_name(name: str, date: str, suffix: str) -> str:
    """`openrouter/anthropic/claude-3.7-sonnet`: LiteLLM's name for OpenRouter's model."""
    return "openrouter/" + openrouter_name(name, date, suffix)


def anthropic_name(name: str, date: str, suffix: str) -> str:
    """`claude-3-7-sonnet-20250219`."""
    return f"{name}-{date}" if date else name


def bedrock_name(region: str) -> Spelling:
    """`us.anthropic.claude-3-7-sonnet-20250219-v1:0`: the inference profile of `region`'s part of the world."""
    profile = _PROFILE_REGIONS.get(region.partition("-")[0], "")

    def spell(name: str, date: str, suffix: str) -> str:
        return f"{profile}anthropic.{anthropic_name(name, date, suffix)}{suffix}"

    return spell


def spelled(name: str, spelling: Spelling) -> str:
    """The backend's name of the model `name` (without a date)."""
    return next(spelling(*row) for row in CLAUDE_MODELS if row[0] == name)


def client_names(spelling: Spelling) -> Iterator[tuple[str, str]]:
    """Pairs of a name (or pattern) that clients send and the backend's name for it."""
    for row in CLAUDE_MODELS:
        name, served = row[0], spelling(*row)
        yield name, served
        dotted = _VERSION.sub(r"\1.\2", name)
        if dotted != name:
            yield dotted, served
        for pattern in (f"{name}-20*", f"{name}-latest*", f"{name}-0*"):
            yield pattern, served
