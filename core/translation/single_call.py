"""One tool call at a time where the backend cannot be told so: the calls after the first are left out."""

from __future__ import annotations

from core.conversation import Answer, Block, Conversation, ToolCall
from core.events import Event, PartDelta, PartEnded, PartStarted
from core.models.facts import ModelFacts
from core.slotted import replace
from core.translation.rules import FormatRules


def keeps_one_call(conversation: Conversation, rules: FormatRules, facts: ModelFacts) -> bool:
    """Whether the client wants no parallel calls and the target has no switch for them: Gemini, and models behind
    Converse other than Claude."""
    if conversation.parallel_tool_calls is not False:
        return False
    return rules.reasoning == "gemini" or (rules.format == "converse" and facts.vendor != "anthropic")


class CallLimiter:
    """Leaves out every call but the first. The model asks for the others again once it has its result. One object
    serves one answer; `feed` shifts the indices behind what it leaves out."""

    def __init__(self) -> None:
        self._called = False
        self._skips = False
        self._shift = 0

    def answer(self, answer: Answer) -> Answer:
        """The answer with its first call only."""
        content = [block for block in answer.content if not self._is_excess(block)]
        return replace(answer, content=content)

    def feed(self, event: Event) -> list[Event]:
        """The event, or nothing for a call too many."""
        if not isinstance(event, PartStarted | PartDelta | PartEnded):
            return [event]
        if isinstance(event, PartStarted):
            self._skips = self._is_excess(event.block)
            self._shift += self._skips
        return [] if self._skips else [replace(event, index=event.index - self._shift)]

    def _is_excess(self, block: Block) -> bool:
        if not isinstance(block, ToolCall):
            return False
        excess, self._called = self._called, True
        return excess
