"""Structured output for models that have none: a tool that must be called with the answer, unpacked again.

Only possible where no other tool is on offer and the model can be made to call one; otherwise the request is refused,
because prose in the place of JSON would be a silent loss. "Any JSON object" without a schema is asked for in words
where the format has no word for it.
"""

from __future__ import annotations

from typing import Final, TypeIs

from core.conversation import Answer, Block, Conversation, Message, Text, Tool, ToolCall, ToolChoice, leading_system
from core.errors import Unsupported
from core.events import Event, Finished, PartDelta, PartEnded, PartStarted
from core.models.facts import ModelFacts
from core.slotted import replace
from core.stop import Stop
from core.translation.losses import Losses
from core.translation.paths import client_path
from core.translation.rules import FormatRules
from core.translation.strict_schemas import StrictLimits, closed_schema, has_strict_limits

TOOL_NAME: Final = "structured_output"
JSON_ONLY: Final = "Answer with one valid JSON object and nothing else: no prose, no code fence."


def with_structured_output(
    conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses
) -> tuple[Conversation, bool]:
    """The conversation with its output format in a form that the target takes, and whether the answer comes as
    a call of `TOOL_NAME`. Raises Unsupported."""
    wanted = conversation.output_format
    if wanted is None or wanted.kind == "text":
        return conversation, False
    beside = not conversation.tools or facts.structured_output_beside_tools or conversation.format == rules.format
    if wanted.kind == "json_object":
        if rules.json_object and beside:
            return conversation, False
        losses.add("output_format", "the target has no JSON mode: it was asked in words for one JSON object")
        return _asked_in_words(conversation), False
    native = facts.structured_output_on_bedrock if rules.bedrock_schemas else facts.structured_output
    if native and beside and _is_enforced(conversation, rules, facts):
        return conversation, False
    path = client_path(conversation.format, "output_format")
    lacks = "enforces no schema like this one" if native and beside else "has no structured output"
    if conversation.tools:
        raise Unsupported(path, f"The model {lacks} beside tools.")
    if not (facts.tools and facts.forced_tool_choice):
        raise Unsupported(path, f"The model {lacks}.")
    schema = wanted.schema if wanted.schema is not None else {"type": "object"}
    description = wanted.description or "Takes the answer, in the form that was asked for."
    tool = Tool(TOOL_NAME, description, schema)
    choice = ToolChoice("named", [TOOL_NAME])
    return replace(conversation, tools=[tool], tool_choice=choice, output_format=None), True


def _is_enforced(conversation: Conversation, rules: FormatRules, facts: ModelFacts) -> bool:
    """Whether the schema is none that Anthropic refuses."""
    wanted = conversation.output_format
    if wanted is None or wanted.schema is None or not has_strict_limits(conversation, rules, facts):
        return True
    return StrictLimits().takes(closed_schema(wanted.schema))


def _asked_in_words(conversation: Conversation) -> Conversation:
    head = leading_system(conversation.messages)
    messages = [
        *conversation.messages[:head],
        Message("system", [Text(JSON_ONLY)], slot="system"),
        *conversation.messages[head:],
    ]
    return replace(conversation, messages=messages, output_format=None)


class OutputRestorer:
    """Turns the call of `TOOL_NAME` back into text, whole or streamed. One object serves one answer."""

    def __init__(self) -> None:
        self._inside = False

    def answer(self, answer: Answer) -> Answer:
        """The answer with the call's arguments as its text."""
        content: list[Block] = []
        for block in answer.content:
            content.append(Text(block.arguments) if _is_output(block) else block)
        return replace(answer, content=content, stop=_stop(answer.stop))

    def feed(self, event: Event) -> list[Event]:
        """The event, or the text event that it becomes."""
        match event:
            case PartStarted(block=block):
                self._inside = _is_output(block)
                return [PartStarted(event.index, Text(""))] if self._inside else [event]
            case PartDelta(kind="arguments") if self._inside:
                return [replace(event, kind="text")]
            case PartEnded(block=ToolCall() as call) if self._inside:
                return [PartEnded(event.index, Text(call.arguments))]
            case Finished():
                return [replace(event, stop=_stop(event.stop))]
            case _:
                return [event]


def _is_output(block: object) -> TypeIs[ToolCall]:
    return isinstance(block, ToolCall) and block.name == TOOL_NAME


def _stop(stop: Stop) -> Stop:
    return replace(stop, reason="end_turn") if stop.reason == "tool_use" else stop
