"""The most that a request can take, before anybody has counted: what is reserved until the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import ceil
from typing import Any, Final

from core.generation import Generation
from core.routing.registry import Candidate

# Tokenizers make a token of two bytes of text or more, but for digits and rare scripts; beside the request's text
# there are a system prompt for tools and separators. Images and files are far more bytes than tokens.
BYTES_PER_TOKEN: Final = 2
OVERHEAD_TOKENS: Final = 1000
UNKNOWN_MAX_OUTPUT: Final = 128_000

# Where each format says how long an answer may be.
_MAXIMA: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_NESTED_MAXIMA: Final = (("inferenceConfig", "maxTokens"), ("generationConfig", "maxOutputTokens"))


def input_tokens(body: bytes) -> int:
    """No fewer than the prompt's tokens."""
    return ceil(len(body) / BYTES_PER_TOKEN) + OVERHEAD_TOKENS


def output_tokens(generation: Generation, candidate: Candidate) -> int:
    """No fewer than the answer's tokens: what the client or the candidate's defaults allow, else what the model can
    do; as often as answers were asked for."""
    if generation.endpoint.operation != "generate":
        return 0
    values = generation.document.values
    asked = _asked(values) or _whole(candidate.defaults.get("max_tokens"))
    most = asked or _most_output(candidate.known_as, candidate.backend.provider.name)
    return most * max(1, _answers(values))


@lru_cache(maxsize=256)
def _most_output(model: str, provider: str) -> int:
    from core.models.resolve import facts_for  # noqa: PLC0415  # many clients say how long an answer may be

    return facts_for(model, provider).max_output or UNKNOWN_MAX_OUTPUT


def _asked(values: Mapping[str, Any]) -> int:
    most = 0
    for name in _MAXIMA:
        if name in values:
            most = max(most, _whole(values[name]))
    for section, name in _NESTED_MAXIMA:
        members = values.get(section)
        if isinstance(members, dict):
            most = max(most, _whole(members.get(name)))
    return most


def _answers(values: Mapping[str, Any]) -> int:
    config = values.get("generationConfig")
    candidates = config.get("candidateCount") if isinstance(config, dict) else None
    return max(_whole(values.get("n")), _whole(candidates))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
