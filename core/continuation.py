"""An answer told by more than one backend: `policy: {continue: true}`.

A stream of plain text that breaks after its commit is taken up by another candidate, which is given what was said so
far as a prefilled answer. The client sees one answer: one start, no word twice, one end.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.conversation import Conversation, Message, Text
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Started
from core.formats.contract import StreamEncoder
from core.models.resolve import facts_for
from core.routing.health import candidate_key
from core.routing.registry import Candidate
from core.slotted import replace
from core.usage import Usage


class Story:
    """What the client has been told, over all streams of one answer."""

    def __init__(self) -> None:
        self.encoder: StreamEncoder | None = None
        self.said = ""
        self._part = ""
        self._plain = True
        self._ended = False
        self._parts = 0
        self._open = False
        self._shift = 0
        self._resumed = False
        self._joining = False
        self._overlap = ""
        self._usage = Usage()
        self._usage_before: list[Usage] = []

    @property
    def can_go_on(self) -> bool:
        """Whether another backend could take it up: text and nothing but text has been said."""
        return self._plain and bool(self.said.strip()) and not self._ended

    def resume(self) -> None:
        """Another stream begins where the last one broke."""
        self._resumed = True
        self._joining = self._open
        self._shift = self._parts - 1 if self._open else self._parts
        # A prefill may not end in white space, so the model may say it once more.
        self._overlap = self.said[len(self.said.rstrip()) :]
        self._usage_before.append(self._usage)
        self._usage = Usage()

    def events(self, event: Event) -> list[Event]:
        """What of a stream's event the client is told."""
        match event:
            case Started():
                self._usage.merge(event.usage)
                return [] if self._resumed else [event]
            case PartStarted():
                return self._started(event)
            case PartDelta():
                return self._delta(event)
            case PartEnded():
                self._open = False
                block = event.block
                whole = replace(block, text=self._part) if isinstance(block, Text) else block
                return [PartEnded(event.index + self._shift, whole)]
            case Finished():
                self._ended = True
                return [replace(event, usage=self._whole_usage(event.usage))]
            case Failed():
                return [] if self.can_go_on else [event]
            case _:
                return [event]

    def _started(self, event: PartStarted) -> list[Event]:
        self._plain = self._plain and isinstance(event.block, Text)
        joins, self._joining = self._joining, False
        if joins and isinstance(event.block, Text):
            return []
        closing: list[Event] = []
        if joins:
            closing.append(PartEnded(self._parts - 1, Text(self._part)))
            self._shift += 1
        self._open = True
        self._part = ""
        self._parts = event.index + self._shift + 1
        return [*closing, PartStarted(event.index + self._shift, event.block)]

    def _delta(self, event: PartDelta) -> list[Event]:
        if event.kind != "text":
            self._plain = False
            return [replace(event, index=event.index + self._shift)]
        text = self._without_overlap(event.value)
        if not text:
            return []
        self.said += text
        self._part += text
        return [PartDelta(event.index + self._shift, "text", text)]

    def _without_overlap(self, text: str) -> str:
        while self._overlap and text:
            if text[0] != self._overlap[0]:
                self._overlap = ""
            else:
                text, self._overlap = text[1:], self._overlap[1:]
        return text

    def _whole_usage(self, last: Usage) -> Usage:
        """The prompt as it was counted first, and the output of all streams as far as it is known. No backend's own
        object says that."""
        if not self._usage_before:
            return last
        whole = Usage()
        whole.merge(last)
        whole.merge(self._usage_before[0])
        whole.output_tokens = sum(usage.output_tokens or 0 for usage in (*self._usage_before, last))
        whole.raw = {}
        return whole


def is_plain(conversation: Conversation) -> bool:
    """Whether the answer can be nothing but text: no tools, no reasoning, no structured output."""
    asked = conversation.reasoning
    reasons = asked is not None and asked.mode not in (None, "off")
    return not (conversation.tools or conversation.output_format or reasons)


def prefilled(conversation: Conversation, said: str) -> Conversation:
    """`conversation` with what was said so far as the beginning of the answer."""
    return replace(conversation, messages=[*conversation.messages, Message("assistant", [Text(said.rstrip())])])


def followers(ordered: Sequence[Candidate], broken: Sequence[Candidate]) -> list[Candidate]:
    """Those of the `ordered` candidates that can take up a story: models that continue a prefilled answer and do
    not reason unasked, and whose stream has not broken already."""
    used = {candidate_key(candidate) for candidate in broken}
    return [
        candidate
        for candidate in ordered
        if candidate_key(candidate) not in used and _takes_prefill(candidate.known_as)
    ]


def _takes_prefill(model: str) -> bool:
    facts = facts_for(model)
    return facts.prefill and facts.thinking_default == "off"
