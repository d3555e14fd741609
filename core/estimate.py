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

# Where each format says how long an answer may be: another format's word is none that its backends heed. Cursor sends
# the Responses format on the Chat path.
_MAXIMA: Final[Mapping[str, tuple[str, ...]]] = {
    "chat_completions": ("max_completion_tokens", "max_tokens"), "messages": ("max_tokens",),
    "responses": ("max_output_tokens",), "cursor": ("max_output_tokens", "max_completion_tokens", "max_tokens"),
    "converse": ("inferenceConfig.maxTokens",), "generate_content": ("generationConfig.maxOutputTokens",),
    "invoke": ("max_tokens", "inferenceConfig.maxTokens"),
}  # fmt: skip
# Vendors whose limit holds for the reasoning too.
_COUNT_WITHIN: Final = frozenset({"openai", "google"})
# Where clients ask for reasoning: by a level, or so many tokens. A translation may put them on top of the answer's
# (core.translation.knobs).
_EFFORTS: Final = (
    "reasoning_effort", "reasoning.effort", "output_config.effort", "generationConfig.thinkingConfig.thinkingLevel",
)  # fmt: skip
_BUDGETS: Final = (
    "reasoning.max_tokens", "thinking.budget_tokens", "generationConfig.thinkingConfig.thinkingBudget",
    "additionalModelRequestFields.thinking.budget_tokens",
)  # fmt: skip


def input_tokens(body: bytes) -> int:
    """No fewer than the prompt's tokens."""
    return ceil(len(body) / BYTES_PER_TOKEN) + OVERHEAD_TOKENS


def output_tokens(generation: Generation, candidate: Candidate) -> int:
    """No fewer than the answer's tokens: what the client or the candidate's defaults allow, else what the model can
    do; as often as answers were asked for."""
    if generation.endpoint.operation != "generate":
        return 0
    values = generation.document.values
    format_name = generation.native_format
    if format_name == "chat_completions" and "messages" not in values:
        format_name = "cursor"
    asked = _most(values, _MAXIMA[format_name]) or _whole(candidate.defaults.get("max_tokens"))
    known = candidate.known_as, candidate.backend.provider.name
    most = asked or _known(*known)[0]
    if asked and not candidate.backend.speaks(generation.native_format, candidate.api_model) and _known(*known)[1]:
        budget = max(_budget(values), _budget(candidate.defaults))
        most += budget if asked <= budget else 0
    return most * max(1, _answers(values))


@lru_cache(maxsize=256)
def _known(model: str, provider: str) -> tuple[int, bool]:
    """How long the model's answers may be, and whether reasoning that is asked for may come on top of a limit."""
    from core.models.resolve import facts_for  # noqa: PLC0415  # those without limits need it not

    facts = facts_for(model, provider)
    return facts.max_output or UNKNOWN_MAX_OUTPUT, facts.vendor not in _COUNT_WITHIN


def _budget(values: Mapping[str, Any]) -> int:
    """The reasoning that is asked for, in tokens."""
    efforts = [effort for path in _EFFORTS if isinstance(effort := _member(values, path), str)]
    if not efforts:
        return _most(values, _BUDGETS)
    from core.translation.efforts import ANTHROPIC_BUDGETS  # noqa: PLC0415  # few pass-through clients need it

    levels = [budget for level, budget in ANTHROPIC_BUDGETS.items() if level in map(str.lower, efforts)]
    return max(_most(values, _BUDGETS), *levels, 0)


def _most(values: Mapping[str, Any], paths: tuple[str, ...]) -> int:
    most = 0
    for path in paths:
        most = max(most, _whole(values.get(path) if "." not in path else _member(values, path)))
    return most


def _member(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _answers(values: Mapping[str, Any]) -> int:
    config = values.get("generationConfig")
    candidates = config.get("candidateCount") if isinstance(config, dict) else None
    return max(_whole(values.get("n")), _whole(candidates))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
