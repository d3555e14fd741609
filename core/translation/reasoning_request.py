"""How much the model shall reason, in the words that the target's model understands.

Three strategies, by the format's row and the model's vendor: Anthropic's `thinking` (adaptive, or a budget), an
effort level, and Gemini's level or budget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.conversation import Conversation, Effort, FormatName, ReasoningRequest
from core.models.facts import ModelFacts
from core.slotted import replace, slotted
from core.translation.efforts import ANTHROPIC_BUDGETS, GEMINI_BUDGETS, effort_of, nearest
from core.translation.losses import Losses
from core.translation.rules import FormatRules


@slotted
class _Wish:
    """A reasoning request on its way to the target, with what it depends on."""

    request: ReasoningRequest
    facts: ModelFacts
    losses: Losses

    def lose(self, reason: str) -> None:
        self.losses.add("reasoning", reason)


def reasoning_for(
    conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses
) -> ReasoningRequest | None:
    """The conversation's reasoning request in the target's words, None when there is nothing to say."""
    request = conversation.reasoning
    if request is None:
        return None
    wish = _Wish(replace(request, display=_display(request, conversation.format, facts)), facts, losses)
    if rules.reasoning == "thinking" and facts.vendor == "anthropic":
        written = _thinking(wish, conversation.format)
    elif rules.reasoning == "gemini":
        written = _levels(wish) if facts.thinking_levels else _gemini_budget(wish)
    elif facts.unknown:
        written = request
    else:
        written = _effort(wish)
    if written is not None and (written.mode == "off" or written.effort == "none") and written.display:
        return replace(written, display=None)  # nothing to show, and Anthropic refuses the wish
    return written


def _display(request: ReasoningRequest, client_format: FormatName, facts: ModelFacts) -> str | None:
    """What the client wants to see of the reasoning, said where its own format leaves it unsaid."""
    if request.display is not None:
        return request.display if facts.vendor != "anthropic" else _SUMMARIES.get(request.display, request.display)
    if client_format == "chat_completions":
        # Chat clients that show reasoning have no member to ask for it; who wants none shows none.
        return None if request.mode == "off" else "summary"
    if client_format in ("messages", "converse"):
        # Claude models that take a budget show their thoughts unasked; others must be asked to.
        if facts.vendor == "anthropic":
            return "summary" if request.mode == "budget" and "enabled" not in facts.thinking else None
        return "summary" if request.mode in ("budget", "adaptive") else None
    return None


# OpenAI's words for a summary; Anthropic's models give one kind.
_SUMMARIES: Final = {"auto": "summary", "concise": "summary", "detailed": "summary"}


def is_reasoning(request: ReasoningRequest | None, facts: ModelFacts) -> bool:
    """Whether the model will reason under `request`."""
    if request is not None:
        if request.mode == "off" or request.effort == "none":
            return False
        if request.mode is not None and (request.mode != "effort" or facts.vendor != "anthropic"):
            return True
    return facts.thinking_default != "off"


def turned_off(request: ReasoningRequest | None) -> ReasoningRequest:
    """The request with reasoning off."""
    return replace(request or ReasoningRequest(), mode="off", effort=None, budget=None, display=None)


def asks_to_think(request: ReasoningRequest | None) -> bool:
    """Whether the request turns thinking on, at a model that can be told not to think."""
    return request is not None and request.mode in ("budget", "adaptive")


# --- Anthropic -------------------------------------------------------------------------------------------


def _thinking(wish: _Wish, client_format: FormatName) -> ReasoningRequest | None:
    request = wish.request
    mode = request.mode
    if request.effort == "none":
        wish.request = replace(request, effort=None)
        mode = "off"
    elif mode == "effort" and client_format in ("messages", "converse"):
        # Anthropic's effort alone does not turn thinking on; OpenAI's does.
        mode = None
    return _THINKING[mode](wish)


def _thinking_off(wish: _Wish) -> ReasoningRequest | None:
    facts, request = wish.facts, wish.request
    if not facts.thinking:
        return None
    for mode, accepted in (("off", "disabled"), ("between_tools", "between_tools")):
        if accepted in facts.thinking:
            if mode != "off":
                wish.lose("the model cannot turn its thinking off: it thinks between tools only")
            effort = _limited(wish, facts.disable_thinking_up_to)
            return replace(request, mode="off" if mode == "off" else "between_tools", effort=effort, budget=None)
    wish.lose("the model cannot turn its thinking off: asked for low effort instead")
    return replace(request, mode="effort", effort="low", budget=None)


def _limited(wish: _Wish, limit: Effort | None) -> Effort | None:
    """The effort, not above the level up to which thinking may be off."""
    effort = _accepted_effort(wish)
    if effort is None or limit is None:
        return effort
    allowed = [level for level in wish.facts.efforts if ANTHROPIC_BUDGETS[level] <= ANTHROPIC_BUDGETS[limit]]
    return nearest(effort, allowed)


def _accepted_effort(wish: _Wish) -> Effort | None:
    effort = wish.request.effort
    if effort is None:
        return None
    if not wish.facts.efforts:
        wish.lose("the model has no effort levels")
        return None
    return nearest(effort, wish.facts.efforts)


def _thinking_budget(wish: _Wish) -> ReasoningRequest | None:
    facts, request = wish.facts, wish.request
    budget = max(request.budget or 0, facts.budget_minimum, 1_024)
    if "enabled" in facts.thinking:
        effort = _accepted_effort(wish) if request.effort else None
        return replace(request, mode="budget", budget=budget, effort=effort)
    if "adaptive" in facts.thinking:
        effort = nearest(request.effort or effort_of(budget), facts.efforts)
        return replace(request, mode="adaptive", effort=effort, budget=None)
    wish.lose("the model does not reason")
    return None


def _thinking_adaptive(wish: _Wish) -> ReasoningRequest | None:
    facts, request = wish.facts, wish.request
    if "adaptive" in facts.thinking:
        return replace(request, mode="adaptive", effort=_accepted_effort(wish), budget=None)
    if "enabled" in facts.thinking:
        level = request.effort or facts.default_effort or "high"
        effort = nearest(level, facts.efforts) if facts.efforts and request.effort else None
        return replace(request, mode="budget", effort=effort, budget=ANTHROPIC_BUDGETS[level])
    wish.lose("the model does not reason")
    return None


def _thinking_between_tools(wish: _Wish) -> ReasoningRequest | None:
    if "between_tools" in wish.facts.thinking:
        effort = _limited(wish, wish.facts.disable_thinking_up_to)
        return replace(wish.request, mode="between_tools", effort=effort, budget=None, display=None)
    return _thinking_off(wish)


def _thinking_unsaid(wish: _Wish) -> ReasoningRequest | None:
    effort = _accepted_effort(wish)
    rest = wish.request
    facts = wish.facts
    if rest.display not in (None, "none") and facts.thinking_default != "off" and "adaptive" in facts.thinking:
        # It thinks anyway; to show it, the model must be asked to.
        return replace(rest, mode="adaptive", effort=effort)
    if effort is None and not rest.extra:
        return None
    return replace(rest, mode="effort" if effort else None, effort=effort)


_THINKING: Final[dict[str | None, Callable[[_Wish], ReasoningRequest | None]]] = {
    "off": _thinking_off,
    "budget": _thinking_budget,
    "adaptive": _thinking_adaptive,
    "effort": _thinking_adaptive,
    "between_tools": _thinking_between_tools,
    None: _thinking_unsaid,
}

# --- effort levels ---------------------------------------------------------------------------------------


def _level_of(request: ReasoningRequest) -> Effort | None:
    """The level that the request stands for; None where it leaves it to the model."""
    if request.effort is not None:
        return request.effort
    if request.mode in ("off", "between_tools"):
        return "none"
    return effort_of(request.budget) if request.budget is not None else None


def _effort(wish: _Wish) -> ReasoningRequest | None:
    facts, request = wish.facts, wish.request
    level = "none" if request.mode == "off" else _level_of(request)
    if facts.vendor == "anthropic" and level != "none" and (level or request.mode == "adaptive"):
        return _claude(wish, level)
    if level is None:
        if facts.efforts:
            return replace(request, mode=None, budget=None)
        if request.mode == "adaptive" and not facts.thinking:
            wish.lose("the model does not reason")
        return None
    if not facts.efforts or (level == "none" and "none" not in facts.efforts and "disabled" in facts.thinking):
        return _without_levels(wish, level)
    accepted = nearest(level, facts.efforts)
    if level == "none" and accepted != "none":
        wish.lose("the model cannot turn its reasoning off: asked for its lowest effort instead")
    return replace(request, mode="effort", effort=accepted, budget=None)


def _claude(wish: _Wish, level: Effort | None) -> ReasoningRequest | None:
    """Claude behind a format of effort levels, where a level turns its thinking on."""
    facts, request = wish.facts, wish.request
    if "adaptive" in facts.thinking:
        effort = nearest(level, facts.efforts) if level else None
        return replace(request, mode="adaptive", effort=effort, budget=None)
    return _without_levels(wish, level or facts.default_effort or "high")


def _without_levels(wish: _Wish, level: Effort) -> ReasoningRequest | None:
    """For models that reason by budget behind a format of effort levels."""
    if level == "none":
        return turned_off(wish.request) if "disabled" in wish.facts.thinking else None
    if "enabled" in wish.facts.thinking:
        budget = wish.request.budget or ANTHROPIC_BUDGETS[level]
        return replace(wish.request, mode="budget", effort=level, budget=max(budget, wish.facts.budget_minimum))
    wish.lose("the model takes no reasoning effort")
    return None


# --- Gemini ----------------------------------------------------------------------------------------------


def _levels(wish: _Wish) -> ReasoningRequest | None:
    facts, request = wish.facts, wish.request
    level = "none" if request.mode == "off" else _level_of(request)
    if level is None:
        return replace(request, mode="adaptive", budget=None)
    accepted = nearest(level, facts.efforts) if facts.efforts else None
    if level == "none":
        wish.lose("the model cannot turn its thinking off: asked for its lowest level instead")
    return replace(request, mode="effort", effort=accepted, budget=None)


def _gemini_budget(wish: _Wish) -> ReasoningRequest | None:
    facts, request = wish.facts, wish.request
    level = "none" if request.mode == "off" else _level_of(request)
    if not facts.thinking and not facts.unknown:
        if level != "none":
            wish.lose("the model does not reason")
        return None
    if level is None:
        return replace(request, mode="adaptive", budget=None)
    if level == "none" and "disabled" in facts.thinking:
        return turned_off(request)
    if level == "none":
        wish.lose("the model cannot turn its thinking off: gave it the smallest budget instead")
    budget = request.budget if request.budget is not None else GEMINI_BUDGETS[level]
    most = facts.budget_maximum if facts.budget_maximum is not None else budget
    return replace(request, mode="budget", effort=None, budget=min(max(budget, facts.budget_minimum), most))
