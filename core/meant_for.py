"""Whether a Messages request suits the model that it goes to, where its client had another one in mind.

Claude Code asks each generation of Claude's models in its own way. Where a name of one is served by another, what the
latter refuses is fitted to it, as a translation does, before the backend answers with a 400.
https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
"""

from __future__ import annotations

from typing import Any

from core.generation import Generation
from core.models.facts import ModelFacts
from core.models.resolve import facts_for
from core.native import is_prefilled
from core.routing.registry import Candidate

_FORCED = ("any", "tool")


def is_refused(generation: Generation, candidate: Candidate) -> bool:
    """Whether the candidate's model is known to answer the request with a 400, and is another than was asked for."""
    facts = facts_for(candidate.known_as, candidate.backend.provider.name)
    if facts.vendor != "anthropic" or facts.unknown or facts == facts_for(generation.model):
        return False
    values = generation.document.values
    return _thinks_otherwise(values, facts) or _samples(values, facts) or _forces(values, facts)


def _thinks_otherwise(values: dict[str, Any], facts: ModelFacts) -> bool:
    kind = _member(values, "thinking", "type")
    effort = _member(values, "output_config", "effort")
    return (kind is not None and kind not in facts.thinking) or (effort is not None and effort not in facts.efforts)


def _samples(values: dict[str, Any], facts: ModelFacts) -> bool:
    """A temperature or share of 1 is the default, which every model takes."""
    if facts.sampling:
        return False
    share = [values.get(name) for name in ("temperature", "top_p")]
    return values.get("top_k") is not None or any(value not in (None, 1) for value in share)


def _forces(values: dict[str, Any], facts: ModelFacts) -> bool:
    """A tool that must be called, an answer whose beginning is given, or a system message that comes later on."""
    if not facts.mid_system and _is_instructed_late(values):
        return True
    if not facts.forced_tool_choice and _member(values, "tool_choice", "type") in _FORCED:
        return True
    return not facts.prefill and is_prefilled(values)


def _is_instructed_late(values: dict[str, Any]) -> bool:
    """Whether a system message stands among the others."""
    messages = values.get("messages")
    return isinstance(messages, list) and any(
        isinstance(message, dict) and message.get("role") == "system" for message in messages
    )


def _member(values: dict[str, Any], name: str, inner: str) -> Any:
    outer = values.get(name)
    return outer.get(inner) if isinstance(outer, dict) else None
