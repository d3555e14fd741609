"""A conversation in any format made fit for one target, step by step; and the way back for its answer.

Every step is a pure function of the conversation, the format's rules and the model's facts: no clock, no
randomness, nothing remembered from the last request. So the same history is the same bytes on every turn, and
prompt caches and signatures hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Final, Protocol

from core.conversation import Answer, Conversation, Dropped, Message, Opaque, Tool, ToolCall, ToolResult
from core.errors import Unsupported
from core.events import Event
from core.formats.contract import Target
from core.models.facts import ModelFacts
from core.slotted import replace, slotted
from core.translation import turns
from core.translation.cache_marks import fitted_cache_marks
from core.translation.compaction import asked_for_summary
from core.translation.content import ContentFitter
from core.translation.forced_calls import CallRestorer, asked_to_call, call_as_output, fitted_strict
from core.translation.knobs import (
    counts_within,
    filtered_tools,
    fitted_budget,
    fitted_choice,
    fitted_max_tokens,
    fitted_sampling,
    fitted_stop,
    refuse_members,
)
from core.translation.losses import Losses, phase_of
from core.translation.output_root import enforceable_output
from core.translation.paths import client_path
from core.translation.reasoning_request import asks_to_think, reasoning_for, turned_off
from core.translation.reasoning_state import (
    SignatureExposer,
    attached_signatures,
    own_state,
    unthinkable,
    with_sentinels,
    without_thinking,
)
from core.translation.rules import FormatRules
from core.translation.single_call import CallLimiter, keeps_one_call
from core.translation.strict_schemas import argument_schemas, strict_tools
from core.translation.structured_output import OutputRestorer, with_structured_output
from core.translation.survey import Survey, survey_of
from core.translation.tool_names import (
    ToolMap,
    ToolRestorer,
    mapped_choice,
    mapped_messages,
    mapped_tools,
    tool_map,
)
from core.translation.vendor_tools import fitted_vendor_tools

INERT_TOOL = Tool(
    "unavailable",
    "Stands for tools of earlier turns. It does nothing: never call it.",
    {"type": "object", "properties": {}},
)
# On the function that stands for the client's own search for tools.
_SEARCHED: Final = {"type": "tool_search"}


class _Step(Protocol):
    """One change of the way back, on one object per answer."""

    def answer(self, answer: Answer) -> Answer: ...
    def feed(self, event: Event) -> list[Event]: ...


class Restore:
    """The way back for one answer: the client's own tools, its output format, signatures where it can see them.

    Use `answer` for a whole answer or `events` for each event of a stream, on one object per request.
    """

    def __init__(self, steps: Sequence[_Step]) -> None:
        self._steps = steps

    def answer(self, answer: Answer) -> Answer:
        """A backend's answer in the client's terms."""
        for step in self._steps:
            answer = step.answer(answer)
        return answer

    def events(self, event: Event) -> list[Event]:
        """What the client's encoder gets for one event of the backend's stream."""
        events = self._steps[0].feed(event) if self._steps else [event]
        for step in self._steps[1:]:
            events = [new for old in events for new in step.feed(old)]
        return events


@slotted
class Prepared:
    """A conversation that the target's writer can write as it stands, the warnings, and the way back."""

    conversation: Conversation
    dropped: list[Dropped]
    restore: Restore


def prepare(
    conversation: Conversation, target: Target, rules: FormatRules, survey: Survey | None = None
) -> Prepared:
    """Makes `conversation` fit for `target`, whose format's row is `rules`. The original stays untouched. `survey` is
    of its messages; it is made where the caller has none.

    Raises Unsupported, naming the feature, for content, tools and schemas that the target cannot carry.
    """
    facts, losses = target.facts, Losses(conversation.format)
    refuse_members(conversation, rules)
    conversation, summary = asked_for_summary(conversation, rules, losses)
    searched = _with_tool_search(conversation, rules, facts, losses)
    if survey is None or summary is not None or searched is not conversation:
        survey = survey_of(searched.messages)
    conversation = searched
    prepared = replace(conversation, tools=fitted_vendor_tools(conversation, rules, facts, losses))
    prepared, root = enforceable_output(prepared, rules, losses)
    prepared, output_as_call = with_structured_output(prepared, rules, facts, losses)
    prepared = filtered_tools(prepared, rules)
    prepared, call_as_text = call_as_output(prepared, rules, facts, losses)
    # From here on `prepared` is a copy of our own.
    prepared.tools = fitted_strict(prepared, rules, facts, losses)
    if conversation.format != rules.format:
        prepared.tools = argument_schemas(strict_tools(prepared, rules, facts, losses), rules)
    _check_tools(prepared, facts)
    _lose_members(conversation, rules, survey, losses)
    mapping = tool_map(prepared, rules, facts)
    prepared.messages = _readable(prepared.messages, target, rules, survey, losses)
    if survey.has_calls():
        prepared.messages = mapped_messages(prepared.messages, mapping)
    prepared.tool_choice = mapped_choice(prepared.tool_choice, prepared, mapping)
    prepared.tools = mapped_tools(prepared.tools, mapping, losses)
    prepared = asked_to_call(prepared, rules, facts, losses)
    prepared.messages = _shaped(prepared, target, rules, survey, losses)
    if survey.marked or _is_marked(prepared) or not survey.is_plain():
        prepared = fitted_cache_marks(prepared, rules, facts, losses)
    _add_tools_for_history(prepared, rules, losses)
    _set_knobs(prepared, rules, facts, losses)
    # Only what changes something stands in the way of a stream's deltas.
    steps: list[_Step] = [] if summary is None else [summary]
    if keeps_one_call(conversation, rules, facts):
        steps.append(CallLimiter())
    if output_as_call:
        steps.append(OutputRestorer())
    if root is not None:
        steps.append(root)
    if call_as_text is not None:
        steps.append(CallRestorer(call_as_text))
    steps += _call_steps(conversation, rules, mapping)
    return Prepared(prepared, losses.dropped, Restore(steps))


def _with_tool_search(
    conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses
) -> Conversation:
    """The conversation, its client's own search for tools as a function. The module is loaded for Codex alone."""
    if conversation.format != "responses" or rules.format == "responses" or not _searches_tools(conversation):
        return conversation
    changed: Conversation = import_module("core.translation.tool_search").with_functions(
        conversation, rules, facts, losses
    )
    return changed


def _searches_tools(conversation: Conversation) -> bool:
    return any([tool.raw.get("execution") == "client" for tool in conversation.tools]) or any(
        isinstance(block, Opaque) and block.kind == "tool_search_output" and block.raw.get("call_id") is not None
        for message in conversation.messages
        for block in message.content
    )


def _call_steps(conversation: Conversation, rules: FormatRules, mapping: ToolMap) -> list[_Step]:
    """The way back for calls: their tools' names, their ids, their signatures."""
    steps: list[_Step] = [] if mapping.is_identity() else [ToolRestorer(mapping)]
    if rules.format == "chat_completions" and conversation.tools:
        # Only there do servers give out an id twice: the module is loaded for nobody else.
        new_calls: Callable[[Iterable[str]], _Step] = import_module("core.translation.call_ids").NewCalls
        steps.append(new_calls(mapping.calls))
    steps.append(SignatureExposer(conversation.format))
    if conversation.format == "responses" and any([tool.note == _SEARCHED for tool in conversation.tools]):
        restorer: _Step = import_module("core.translation.tool_search").SearchRestorer()
        steps.append(restorer)
    return steps


def _lose_members(conversation: Conversation, rules: FormatRules, survey: Survey, losses: Losses) -> None:
    """Members that one format alone has and that no writer of another one looks at."""
    if conversation.format == rules.format:
        return
    choice = conversation.tool_choice
    for name, value in choice.extra.items() if choice is not None else ():
        if name != "raw" and value not in (None, False):  # `raw`: the whole choice, of the Responses API
            losses.add(f"{client_path(conversation.format, 'tool_choice')}.{name}", "the target has no such member")
    for message in conversation.messages if survey.named or survey.noted else ():
        if message.name is not None and rules.format != "chat_completions":
            losses.add("messages.name", "the target has no names of participants")
        for block in message.content:
            note = getattr(block, "note", None)
            if note and phase_of(note):
                losses.add("messages.phase", "the target has no phases of an answer")


def _check_tools(conversation: Conversation, facts: ModelFacts) -> None:
    if conversation.tools and not facts.tools:
        raise Unsupported(client_path(conversation.format, "tools"), "The model does not take tools.")


def _is_marked(conversation: Conversation) -> bool:
    """Whether a cache mark stands outside the messages."""
    return conversation.cache is not None or any([tool.cache is not None for tool in conversation.tools])


def _readable(
    messages: list[Message], target: Target, rules: FormatRules, survey: Survey, losses: Losses
) -> list[Message]:
    """The messages with what the target's model can read of their state."""
    messages = turns.without_billing_header(messages, target.provider, losses)
    if survey.signed or survey.has_reasoning():
        messages = own_state(attached_signatures(messages), target.facts, rules, losses)
    return messages


def _shaped(
    conversation: Conversation, target: Target, rules: FormatRules, survey: Survey, losses: Losses
) -> list[Message]:
    facts, messages = target.facts, conversation.messages
    if survey.late_system:
        messages = turns.placed_system(messages, rules, facts, losses)
    is_plain = survey.is_plain()
    if survey.cited or not is_plain:
        messages = ContentFitter(conversation, rules, facts, losses).fitted(messages)
    if not (is_plain or rules.assistant_media or conversation.format == rules.format):
        messages = turns.without_drawn_media(messages)
    messages = turns.answered_calls(messages, rules)
    messages = turns.without_bare_ending(messages, losses)
    if survey.blank or survey.has_reasoning() or not is_plain:
        messages = turns.without_empty_text(messages)
    messages = turns.merged_turns(messages, rules)
    if facts.signed_calls and rules.call_sentinels:
        messages = with_sentinels(messages)
    return turns.without_prefill(messages, facts, losses, conversation.output_format)


def _add_tools_for_history(prepared: Conversation, rules: FormatRules, losses: Losses) -> None:
    """Formats that want tools declared whenever the history has tool blocks, or that cannot say `none`."""
    choice = prepared.tool_choice
    if choice is not None and choice.mode == "none" and not rules.tool_choice_none:
        losses.add("tool_choice", "the target cannot be told to call no tool: no tool was offered")
        prepared.tools, prepared.tool_choice = [], None
    if rules.tools_with_history and not prepared.tools and _has_calls(prepared.messages):
        prepared.tools = [INERT_TOOL]


def _has_calls(messages: list[Message]) -> bool:
    return any(isinstance(block, ToolCall | ToolResult) for message in messages for block in message.content)


def _set_knobs(prepared: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses) -> None:
    """The knobs, each of which depends on the one before: reasoning, tool choice, limits, sampling."""
    wanted = prepared.max_tokens
    prepared.reasoning = reasoning_for(prepared, rules, facts, losses)
    choice, reasoning = fitted_choice(prepared, facts, losses)
    budget = reasoning is not None and reasoning.mode == "budget" and facts.vendor == "anthropic"
    hindrance = unthinkable(prepared.messages) if budget else None
    if hindrance is not None:
        losses.add("reasoning", hindrance)
        reasoning = turned_off(reasoning)
    if asks_to_think(prepared.reasoning) and not asks_to_think(reasoning):
        prepared.messages = without_thinking(prepared.messages, losses)
    prepared.tool_choice, prepared.reasoning = choice, reasoning
    limit = fitted_max_tokens(prepared, rules, facts, losses)
    if counts_within(rules, facts):
        prepared.reasoning = fitted_budget(reasoning, limit, wanted)
    prepared.max_tokens = limit
    prepared.sampling = fitted_sampling(prepared, rules, facts, losses)
    prepared.stop = fitted_stop(prepared.stop, rules, facts, losses)
