"""Compaction of a conversation for Responses clients on backends that have none: the model writes a summary.

A request whose last item is a `compaction_trigger` is answered with one `compaction` item, which stands for the history
in later requests (https://platform.openai.com/docs/guides/compaction). OpenAI's holds encrypted state; here it holds
the summary in an envelope, which the reader of the next request opens again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from core.conversation import Answer, Conversation, Message, Opaque, Text, ToolChoice
from core.errors import UpstreamFault, upstream_fault
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted
from core.formats.envelope import seal_summary
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.rules import FormatRules

TRIGGER: Final = "compaction_trigger"
PROMPT: Final = """\
This conversation has become too long and goes on from a summary. Write that summary now, as text alone, for a \
colleague who takes over without having seen anything above. Say:
- what the user wants, in the user's own terms, with every limit and preference that was stated;
- what has been done so far and what came of it, with exact names of files, commands, identifiers and values;
- what was decided and why, and what was tried without success;
- what is left to do, the next step first, and every open question.
Leave out what no longer matters. Call no tool and add nothing before or after the summary."""


def asked_for_summary(
    conversation: Conversation, rules: FormatRules, losses: Losses
) -> tuple[Conversation, SummaryRestorer | None]:
    """The conversation with the wish for a compaction in words, and what makes the item of the answer; or as it was,
    and None."""
    if conversation.format != "responses" or rules.format == "responses" or not _is_triggered(conversation):
        return conversation, None
    losses.add("messages", "the target has no compaction: it was asked in words for a summary")
    messages = [*conversation.messages[:-1], Message("user", [Text(PROMPT)])]
    choice = ToolChoice("none") if conversation.tools else None
    asked = replace(conversation, messages=messages, tool_choice=choice, output_format=None)
    return asked, SummaryRestorer()


def _is_triggered(conversation: Conversation) -> bool:
    content = conversation.messages[-1].content if conversation.messages else []
    return bool(content) and isinstance(content[-1], Opaque) and content[-1].kind == TRIGGER


class SummaryRestorer:
    """Makes the one `compaction` item of the model's text. One object serves one answer."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def answer(self, answer: Answer) -> Answer:
        """The answer with the item alone. Raises UpstreamFault where the model wrote no summary."""
        item = _item([block.text for block in answer.content if isinstance(block, Text)])
        if item is None:
            raise _unwritten()
        return replace(answer, content=[item])

    def feed(self, event: Event) -> list[Event]:
        """Nothing until the answer's end, which the item comes before."""
        match event:
            case PartEnded(block=Text() as block):
                self._texts.append(block.text)
                return []
            case PartStarted() | PartDelta() | PartEnded():
                return []
            case Finished():
                item = _item(self._texts)
                return [Failed(_unwritten())] if item is None else [PartStarted(0, item), PartEnded(0, item), event]
            case _:
                return [event]


def _item(texts: list[str]) -> Opaque | None:
    summary = "\n\n".join(texts).strip()
    if not summary:
        return None
    digest = sha256(summary.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    raw = {"type": "compaction", "id": f"cmp_{digest}", "encrypted_content": seal_summary(summary)}
    return Opaque("responses", "compaction", raw)


def _unwritten() -> UpstreamFault:
    return upstream_fault("upstream", "The model wrote no summary of the conversation.", 502)
