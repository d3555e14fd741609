"""How much the model shall reason, in the words of each Chat Completions server."""

from __future__ import annotations

from typing import get_args

from core.conversation import Conversation, Effort, JsonObject, ReasoningRequest
from core.errors import Unsupported
from core.formats.chat_completions.write_content import Writing
from core.models.facts import ModelFacts
from core.slotted import replace

_LEVELS: tuple[Effort, ...] = get_args(Effort.__value__)
# A budget in tokens as a level: the first whose limit is above it.
_LEVELS_BY_BUDGET: tuple[tuple[int, Effort], ...] = ((2_000, "low"), (12_000, "medium"), (28_000, "high"))
_BUDGETS: dict[Effort, int] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 64_000,
}


def reasoning_beside_tools(conversation: Conversation, writing: Writing) -> ReasoningRequest | None:
    """The reasoning request. Where the model takes function tools with reasoning on the Responses API only, reasoning
    is off, with a warning; Unsupported where it cannot be, or where the client speaks this very format."""
    facts = writing.target.facts
    request = conversation.reasoning
    if facts.chat_tools_with_reasoning or not any(tool.kind != "server" for tool in conversation.tools):
        return request
    asked = None if request is None else request.mode
    by_default = asked is None and facts.thinking_default != "off"
    if not by_default and (request is None or asked in (None, "off") or request.effort == "none"):
        return request
    if "none" in facts.efforts and not writing.same_format:
        writing.drop("reasoning", "the model takes tools in Chat Completions without reasoning only: it is off")
        return replace(request or ReasoningRequest(), mode="effort", effort="none", budget=None)
    raise Unsupported(
        "reasoning_effort",
        f"Function tools with reasoning_effort are not supported for {writing.target.model} in Chat "
        "Completions. Use the Responses format for this backend, or set reasoning_effort to 'none'.",
    )


def put_reasoning(body: JsonObject, request: ReasoningRequest | None, writing: Writing) -> None:
    """Sets the members that ask for (or forbid) reasoning."""
    if request is None:
        return
    dialect, facts = writing.dialect, writing.target.facts
    if dialect.reasoning == "router":
        _put_router(body, request, writing)
        return
    for name in request.extra:
        writing.drop(f"reasoning.{name}", "this backend knows no such wish for reasoning")
    if request.encrypted:
        writing.drop("include", "this backend gives out no encrypted reasoning")
    if dialect.slot == "none" and request.display not in (None, "none") and not writing.same_format:
        writing.drop("reasoning", "this backend shows no reasoning in Chat Completions")
    if dialect.reasoning == "thinking" and facts.vendor == "anthropic":
        _put_thinking(body, request, facts)
    else:
        _put_effort(body, request, writing)


def level_of(request: ReasoningRequest) -> Effort | None:
    """The request as a level; None where the model is to decide."""
    if request.mode == "off":
        return "none"
    if request.effort is not None:
        return request.effort
    if request.budget is None:
        return None
    return next((level for limit, level in _LEVELS_BY_BUDGET if request.budget < limit), "xhigh")


def _put_effort(body: JsonObject, request: ReasoningRequest, writing: Writing) -> None:
    level = level_of(request)
    facts = writing.target.facts
    if level is None and request.mode == "adaptive" and facts.vendor == "anthropic":
        level = facts.default_effort or "high"  # what Claude takes for itself; without a level it does not think
    if level is None or (level == "none" and facts.vendor == "anthropic" and facts.thinking_default == "off"):
        return
    if not facts.efforts:
        if writing.same_format or facts.unknown:
            body["reasoning_effort"] = level
        elif level != "none":
            writing.drop("reasoning", "this model takes no reasoning effort")
        return
    nearest = _nearest(level, facts.efforts)
    if nearest != level:
        writing.drop("reasoning", f"effort {level} is not offered here: {nearest} is used")
    body["reasoning_effort"] = nearest


def _nearest(level: Effort, offered: tuple[Effort, ...]) -> Effort:
    """The offered level closest to `level`, the lower of two."""
    place = _LEVELS.index(level)
    return min(offered, key=lambda other: (abs(_LEVELS.index(other) - place), _LEVELS.index(other)))


def _put_router(body: JsonObject, request: ReasoningRequest, writing: Writing) -> None:
    """https://openrouter.ai/docs/use-cases/reasoning-tokens"""
    written: JsonObject = {}
    if request.mode == "off":
        written["enabled"] = False
    elif request.budget is not None:
        written["max_tokens"] = request.budget
    elif request.effort is not None:
        written["effort"] = request.effort
    elif request.mode is not None:
        written["enabled"] = True
    if request.display == "none":
        written["exclude"] = True
    writing.put_extra(written, request.extra, "reasoning")
    if written:
        body["reasoning"] = written


def _put_thinking(body: JsonObject, request: ReasoningRequest, facts: ModelFacts) -> None:
    """Claude behind LiteLLM or Databricks: Anthropic's own object."""
    if request.mode == "off":
        if "disabled" in facts.thinking:
            body["thinking"] = {"type": "disabled"}
        return
    if "adaptive" in facts.thinking and request.budget is None:
        body["thinking"] = {"type": "adaptive"}
        if request.effort is not None:
            body["reasoning_effort"] = request.effort
        return
    budget = request.budget or _BUDGETS[request.effort or "medium"]
    body["thinking"] = {"type": "enabled", "budget_tokens": max(budget, facts.budget_minimum)}
