"""Signatures of tool calls and texts (Gemini signs them) in formats that sign reasoning only.

Such a signature travels in a reasoning block of its own, beside what it signs, inside an envelope that says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.conversation import Block, Reasoning, Text, ToolCall

# Members of the carrier's `extra`: the id of the call that it signs; that it signs the text before it, or the one
# after it (_NEXT).
SIGNS_CALL = "signs_call"
SIGNS_TEXT = "signs_text"
_NEXT = "next"


def carrier_of(block: Block, *, ahead: bool = False) -> Reasoning | None:
    """The reasoning to seal for the signature on `block`, None when it has none.

    It is written before a call, and after a text (`ahead`: before it).
    """
    if isinstance(block, ToolCall) and block.signature:
        return Reasoning(signature=block.signature, origin=block.origin, extra={SIGNS_CALL: block.id})
    if isinstance(block, Text) and block.signature:
        return Reasoning(signature=block.signature, origin=block.origin, extra={SIGNS_TEXT: _NEXT if ahead else True})
    return None


def open_carriers(blocks: list[Block]) -> list[Block]:
    """`blocks` with the signatures of carriers put back where they belong, and without the carriers."""
    if Reasoning not in map(type, blocks):
        return blocks
    kept: list[Block] = []
    for place, block in enumerate(blocks):
        if not (isinstance(block, Reasoning) and _is_carrier(block)):
            kept.append(block)
            continue
        signed = _signed_by(block, blocks, place)
        if signed is not None:
            signed.signature, signed.origin = block.signature, block.origin
    return kept


def _is_carrier(block: Reasoning) -> bool:
    return SIGNS_CALL in block.extra or SIGNS_TEXT in block.extra


def _signed_by(carrier: Reasoning, blocks: Sequence[Block], place: int) -> ToolCall | Text | None:
    call_id = carrier.extra.get(SIGNS_CALL)
    if call_id is not None:
        return next((block for block in blocks if isinstance(block, ToolCall) and block.id == call_id), None)
    signed = place + 1 if carrier.extra[SIGNS_TEXT] == _NEXT else place - 1
    beside = blocks[signed] if 0 <= signed < len(blocks) else None
    return beside if isinstance(beside, Text) else None
