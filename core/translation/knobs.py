"""Tuning knobs: sampling, stop sequences, token limits and the tool choice, cut to what the model accepts."""

from __future__ import annotations

from typing import Any, Final

from core.conversation import Conversation, ReasoningRequest, Sampling, ToolChoice
from core.errors import ClientFault, Unsupported
from core.models.facts import ModelFacts
from core.slotted import replace
from core.translation.forced_calls import forces
from core.translation.losses import Losses
from core.translation.paths import client_path
from core.translation.reasoning_request import is_reasoning, turned_off
from core.translation.rules import FormatRules

# For a model about which nothing is known, where the format insists on a limit.
DEFAULT_MAX_TOKENS: Final = 8_192
_LEAST_BUDGET: Final = 1_024
_SAMPLING: Final = ("temperature", "top_p", "top_k")
_PENALTIES: Final = ("presence_penalty", "frequency_penalty")
_MORE_OF_OPENAI: Final = (*_PENALTIES, "logit_bias", "logprobs", "top_logprobs")


def fitted_sampling(conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses) -> Sampling:
    """The sampling parameters that the model takes in this request. `conversation.reasoning` is final."""
    sampling = conversation.sampling
    if conversation.format != rules.format and _asks_for_no_logprobs(sampling):
        # A number of them alone is refused, and `false` is no wish that could be lost.
        sampling = replace(sampling, logprobs=None, top_logprobs=None)
    reasons = is_reasoning(conversation.reasoning, facts)
    if not (facts.sampling_while_thinking if reasons and facts.sampling else facts.sampling):
        more = _MORE_OF_OPENAI if facts.reasoning_model else () if facts.sampling else _PENALTIES
        refused = [name for name in (*_SAMPLING, *more) if getattr(sampling, name) is not None]
        for name in refused:
            losses.add(name, "the model refuses it" + (" while it reasons" if facts.sampling else ""))
        return replace(sampling, **dict.fromkeys(refused)) if refused else sampling
    if sampling.temperature is not None and sampling.temperature > rules.max_temperature:
        losses.add("temperature", f"the target's highest temperature is {rules.max_temperature:g}")
        sampling = replace(sampling, temperature=rules.max_temperature)
    if facts.vendor == "anthropic" and sampling.temperature is not None and sampling.top_p is not None:
        losses.add("top_p", "Claude takes temperature or top_p, not both")
        sampling = replace(sampling, top_p=None)
    return sampling


def _asks_for_no_logprobs(sampling: Sampling) -> bool:
    """Whether log probabilities are named and not wanted."""
    named = sampling.logprobs is not None or sampling.top_logprobs is not None
    return named and not sampling.top_logprobs and not sampling.logprobs


def fitted_stop(stop: list[str], rules: FormatRules, facts: ModelFacts, losses: Losses) -> list[str]:
    """The stop sequences that the target takes."""
    plain = facts.vendor == "anthropic"
    kept = [sequence for sequence in stop if (sequence.strip() if plain else sequence)]
    if len(kept) < len(stop):
        losses.add("stop", "the target takes no empty stop sequences, or none of white space")
    most = rules.max_stop if facts.stop_sequences else 0
    if most is None or len(kept) <= most:
        return kept
    losses.add("stop", f"the target takes at most {most} stop sequences" if most else "the target takes none")
    return kept[:most]


def fitted_max_tokens(conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses) -> int | None:
    """The token limit: there where the format insists on one, above the reasoning budget, and not above what
    the model can write. `conversation.reasoning` is final but for its budget."""
    limit, request = conversation.max_tokens, conversation.reasoning
    budget = 0 if request is None or not counts_within(rules, facts) else request.budget or 0
    # Bedrock's own limit, where none is asked for, is below most budgets.
    if limit is None and (rules.max_tokens_required or budget):
        limit = facts.max_output or DEFAULT_MAX_TOKENS
    if limit is None:
        return None
    if budget and limit <= budget:
        limit += budget
        limit = min(limit, facts.max_output or limit)
        if conversation.max_tokens is not None and limit > conversation.max_tokens:
            losses.add("max_tokens", f"raised to {limit}: the model's reasoning counts, and has its own budget within")
    if facts.max_output is not None and limit > facts.max_output:
        losses.add("max_tokens", f"the model writes at most {facts.max_output} tokens")
        limit = facts.max_output
    return limit


def counts_within(rules: FormatRules, facts: ModelFacts) -> bool:
    """Whether the model takes a reasoning budget only where it lies within the token limit."""
    return rules.reasoning == "thinking" or facts.vendor == "anthropic"


def fitted_budget(
    request: ReasoningRequest | None, max_tokens: int | None, wanted: int | None
) -> ReasoningRequest | None:
    """The reasoning request with its budget below the token limit, as Anthropic demands. Where the limit was
    raised above the `wanted` tokens, the answer has room beside the budget: a quarter of the limit at most."""
    if request is None or request.budget is None or max_tokens is None:
        return request
    room = min(wanted, max_tokens // 4) if wanted is not None and wanted < max_tokens else 1
    most = max_tokens - room if max_tokens - room >= _LEAST_BUDGET else max_tokens - 1
    return request if request.budget <= most else replace(request, budget=most)


def fitted_choice(
    conversation: Conversation, facts: ModelFacts, losses: Losses
) -> tuple[ToolChoice | None, ReasoningRequest | None]:
    """The tool choice that the model takes, and the reasoning request that goes with it: a call that is
    demanded outweighs thinking."""
    choice, request = conversation.tool_choice, conversation.reasoning
    if not forces(choice):
        return choice, request
    thinks = request is not None and request.mode in ("budget", "adaptive") and bool(facts.thinking)
    if thinks and not facts.forced_tool_choice_while_thinking:
        losses.add("reasoning", "the model cannot think when a tool call is demanded: thinking is off")
        return choice, turned_off(request)
    return choice, request


def filtered_tools(conversation: Conversation, rules: FormatRules) -> Conversation:
    """`allowed` becomes a shorter list of tools where the format has no such choice."""
    choice = conversation.tool_choice
    if choice is None or choice.mode != "allowed" or rules.allowed_tools:
        return conversation
    tools = [tool for tool in conversation.tools if tool.name in choice.names]
    if not tools:
        raise Unsupported(
            client_path(conversation.format, "tool_choice"), "None of the allowed tools is among the tools."
        )
    return replace(conversation, tools=tools, tool_choice=ToolChoice("required" if choice.required else "auto"))


# Members without a neutral field that ask for something only their own format gives. A value that asks for
# nothing (`null`, `false`, `["text"]`, `auto`) passes.
REFUSED_MEMBERS: Final[dict[str, frozenset[str]]] = {
    "chat_completions": frozenset({"audio", "modalities"}),
    "responses": frozenset({"background", "conversation", "prompt"}),
    "messages": frozenset({"container", "mcp_servers", "thread", "fallback_credit_token"}),
    "converse": frozenset({"guardrailConfig", "promptVariables"}),
    "generate_content": frozenset({"cachedContent", "generationConfig.responseModalities"}),
}
_NOTHING: Final[tuple[object, ...]] = (None, False, [], {}, "", ["text"])


def refuse_members(conversation: Conversation, rules: FormatRules) -> None:
    """Raises, naming the parameter, Unsupported for what another format cannot do at all, and ClientFault for what
    no backend can."""
    same = conversation.format == rules.format
    for name in ("n",) if same else ("n", "logprobs", "top_logprobs"):  # a neutral answer is one
        wanted = getattr(conversation.sampling, name)
        if wanted and (name != "n" or wanted > 1):
            path = client_path(conversation.format, name)
            raise Unsupported(path, f"{path} is not supported by this model's backend.")
    if same:
        return
    if forces(conversation.tool_choice) and not conversation.tools:
        path = client_path(conversation.format, "tool_choice")
        raise ClientFault("bad_request", f"{path}: a tool must be called, and there are no tools.", param=path)
    if conversation.previous_response_id is not None:
        raise Unsupported(
            "previous_response_id",
            "previous_response_id needs a backend that stores responses: send the whole conversation instead.",
        )
    for name in sorted(REFUSED_MEMBERS[conversation.format]) if conversation.extra else ():
        if _member(conversation.extra, name) not in _NOTHING:
            raise Unsupported(name, f"{name} is not supported by this model's backend.")


def _member(value: Any, path: str) -> Any:
    """The member at a dotted path, None where there is none."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
