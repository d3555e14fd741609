"""Keeps the neutral stream's order for a decoder: one part open at a time, none empty, indices counted."""

from __future__ import annotations

from core.conversation import Block, Citation, Origin, Reasoning, Refusal, Text, ToolCall
from core.events import DeltaKind, Event, PartDelta, PartEnded, PartStarted, deltas_of, empty_copy
from core.slotted import replace


class PartStream:
    """Opens, fills and closes parts; `events` gathers what that gives, and is taken by its owner.

    The open part's text is kept in pieces and joined once, when it closes.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.block: Block | None = None
        self.count = 0
        self.piece = 0
        self._pieces: list[str] = []
        self._texts: list[str] = []

    def open(self, block: Block) -> None:
        """Closes the open part and opens one with the skeleton `block`."""
        self.close()
        self.block = block
        self.events.append(PartStarted(self.count, replace(block)))

    def whole(self, block: Block) -> None:
        """A block that comes in one piece."""
        self.close()
        self.events.append(PartStarted(self.count, empty_copy(block)))
        self.events += deltas_of(self.count, block)
        self.events.append(PartEnded(self.count, block))
        self.count += 1

    def text(self, kind: DeltaKind, value: str) -> None:
        """More text of the open part; `value` is not empty."""
        self._pieces.append(value)
        self.events.append(PartDelta(self.count, kind, value, self.piece))

    def next_piece(self) -> None:
        """The open reasoning goes on with its next text."""
        self._texts.append("".join(self._pieces))
        self._pieces = []
        self.piece += 1

    def citation(self, citation: Citation) -> None:
        """A citation of the open text."""
        assert isinstance(self.block, Text)
        self.block.citations = [*self.block.citations, citation]
        self.events.append(PartDelta(self.count, "citation", citation))

    def sign(self, signature: str, origin: Origin | None) -> None:
        """The open part's signature."""
        block = self.block
        assert isinstance(block, Text | Reasoning | ToolCall)
        block.signature = signature
        block.origin = block.origin or origin
        self.events.append(PartDelta(self.count, "signature", signature))

    def close(self) -> None:
        """Ends the open part, if one is."""
        block = self.block
        if block is None:
            return
        match block:
            case Text() | Refusal():
                block.text = "".join(self._pieces)
            case ToolCall():
                block.arguments = "".join(self._pieces)
            case Reasoning():
                if self._pieces:
                    self.next_piece()
                block.texts = self._texts
            case _:  # pragma: no cover - no other kind of block is opened
                pass
        self.events.append(PartEnded(self.count, block))
        self.count += 1
        self.block, self.piece, self._pieces, self._texts = None, 0, [], []
