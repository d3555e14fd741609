"""Opaque reasoning state: goes back to its issuer and to nobody else; and Gemini's signatures on tool calls.

A signature sits on the call itself in Gemini's own format. A client format without a slot there gets it as a
reasoning block in front of the call (`extra["for_call"]` is the call's id), sealed by that format's writer like all
foreign state; the next request brings it back and `attached_signatures` puts it on the call again.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from core.conversation import Answer, Block, FormatName, Message, Origin, Reasoning, Text, ToolCall, ToolResult
from core.events import Event, PartDelta, PartEnded, PartStarted, deltas_of, empty_copy
from core.models.facts import ModelFacts
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.rebuilt import with_content
from core.translation.rules import RULES, FormatRules

FOR_CALL: Final = "for_call"
# Accepted in the place of a signature for calls that another model made
# (https://ai.google.dev/gemini-api/docs/thought-signatures).
SENTINEL: Final = base64.b64encode(b"skip_thought_signature_validator").decode()
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def attached_signatures(messages: list[Message]) -> list[Message]:
    """Puts signatures that travelled as reasoning blocks back on their calls."""
    return [
        message
        if (content := _attached(message.content)) is message.content
        else with_content(message, content)
        for message in messages
    ]


def _attached(content: list[Block]) -> list[Block]:
    carried = [block for block in content if isinstance(block, Reasoning) and FOR_CALL in block.extra]
    if not carried:
        return content
    by_call = {block.extra[FOR_CALL]: block for block in carried if isinstance(block.extra[FOR_CALL], str)}
    result: list[Block] = []
    for block in content:
        if isinstance(block, Reasoning) and FOR_CALL in block.extra:
            continue
        if isinstance(block, ToolCall) and block.signature is None and block.id in by_call:
            carrier = by_call[block.id]
            block = replace(block, signature=carrier.signature, origin=carrier.origin)
        result.append(block)
    return result


def own_state(messages: list[Message], facts: ModelFacts, rules: FormatRules, losses: Losses) -> list[Message]:
    """The messages with only the reasoning state that a model of `facts.vendor` can read."""
    result: list[Message] = []
    for message in messages:
        content: list[Block] = []
        for block in message.content:
            kept = _own_block(block, facts, rules)
            if kept is None:
                losses.add("messages", "reasoning of another vendor, or without its whole signature, was left out")
            else:
                content.append(kept)
                if getattr(block, "signature", None) and not getattr(kept, "signature", None):
                    losses.add("messages", "a thought signature of another vendor's model was left out")
        if content or not message.content:
            result.append(with_content(message, content))
    return result


def _own_block(block: Block, facts: ModelFacts, rules: FormatRules) -> Block | None:
    match block:
        case Reasoning():
            return block if _is_own(block, facts, rules) else None
        case ToolCall() | Text() if block.signature is not None and not _from(block.origin, facts):
            return replace(block, signature=None, origin=None)
        case _:
            return block


def _from(origin: Origin | None, facts: ModelFacts) -> bool:
    return origin is not None and bool(facts.vendor) and origin.vendor == facts.vendor


def _is_own(block: Reasoning, facts: ModelFacts, rules: FormatRules) -> bool:
    if rules.reasoning == "effort" and block.origin is None:
        # Plain reasoning text, as DeepSeek and others want it back; OpenAI's own models have no slot for it.
        return facts.vendor != "openai" and bool(block.text)
    if not _from(block.origin, facts):
        return False
    if facts.vendor == "anthropic":
        return block.redacted is not None or _is_whole(block.signature)
    return any((block.signature, block.encrypted, block.redacted, block.id, block.text))


def _is_whole(signature: str | None) -> bool:
    """Whether a signature can be a whole one: an aborted stream leaves a part, which is refused on replay."""
    if not signature or not _BASE64.fullmatch(signature):
        return False
    return len(signature.rstrip("=")) % 4 != 1 and (not signature.endswith("=") or len(signature) % 4 == 0)


def with_sentinels(messages: list[Message]) -> list[Message]:
    """For models that insist on signatures: the first call of a message gets the sentinel where it has none. Of
    parallel calls only the first is signed, so the others stay as they are."""
    result: list[Message] = []
    for message in messages:
        calls = [block for block in message.content if isinstance(block, ToolCall)]
        if not calls or calls[0].signature:
            result.append(message)
            continue
        signed = replace(calls[0], signature=SENTINEL, origin=Origin("google"))
        result.append(replace(message, content=[signed if block is calls[0] else block for block in message.content]))
    return result


def open_loop_without_thinking(messages: list[Message]) -> bool:
    """Whether the conversation ends with tool results of a turn that does not begin with thinking: models in
    `enabled` mode refuse that. Of a turn with several calls only the first message must think: without interleaved
    thinking the model thinks once, before its first call
    (https://platform.claude.com/docs/en/build-with-claude/extended-thinking#extended-thinking-with-tool-use)."""
    opened = _open_turn(messages)
    return opened is not None and not isinstance(messages[opened].content[0], Reasoning)


def unthinkable(messages: list[Message]) -> str | None:
    """Why a model in `enabled` mode would refuse to think over `messages`; None where it would not. A final turn of the
    assistant's, which the model is to go on with, must begin with thinking as well."""
    last = messages[-1] if messages else None
    if last is not None and last.role == "assistant" and Reasoning not in map(type, last.content[:1]):
        return "the answer is prefilled, and begins without thinking: it is off for this request"
    if open_loop_without_thinking(messages):
        return "the open tool loop began without thinking: it is off for this request"
    return None


def without_thinking(messages: list[Message], losses: Losses) -> list[Message]:
    """The messages for a request whose thinking the gateway turned off: models refuse thinking blocks in an open turn
    then, and do not read those of earlier ones."""
    result: list[Message] = []
    for message in messages:
        content: list[Block] = [block for block in message.content if not isinstance(block, Reasoning)]
        if len(content) != len(message.content):
            losses.add("messages.thinking", "thinking is off: earlier thinking was left out")
            message = with_content(message, content)
        result.append(message)
    return result


def _open_turn(messages: list[Message]) -> int | None:
    """Where the assistant's turn begins whose tool results end the conversation."""
    if not messages or messages[-1].role == "assistant":
        return None
    opened = None
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if message.role == "assistant":
            opened = place
        elif message.role in ("user", "tool") and not any(isinstance(block, ToolResult) for block in message.content):
            break
    return opened


class SignatureExposer:
    """Makes call signatures visible to a client whose format has no slot for them: a reasoning block before
    the call, or behind it where the signature comes late. One object serves one answer; `feed` shifts the indices
    behind what it inserts."""

    def __init__(self, client_format: FormatName) -> None:
        self._needed = not RULES[client_format].call_signatures
        self._shift = 0
        self._in_call = False
        self._shown = False

    def answer(self, answer: Answer) -> Answer:
        """The answer with a carrier before each signed call."""
        if not self._needed or ToolCall not in map(type, answer.content):
            return answer
        content: list[Block] = []
        for block in answer.content:
            if isinstance(block, ToolCall) and block.signature:
                content.append(_carrier(block))
                block = replace(block, signature=None)
            content.append(block)
        return replace(answer, content=content)

    def feed(self, event: Event) -> list[Event]:
        """The event, after the carrier that it calls for."""
        if not self._needed:
            return [event]
        if type(event) is PartDelta and not self._shift and event.kind != "signature":
            return [event]  # nearly every event of nearly every stream
        match event:
            case PartStarted():
                return self._started(event)
            case PartDelta():
                hidden = self._in_call and event.kind == "signature"
                return [] if hidden else [replace(event, index=event.index + self._shift)]
            case PartEnded():
                return self._ended(event)
            case _:
                return [event]

    def _ended(self, event: PartEnded) -> list[Event]:
        block, index = event.block, event.index + self._shift
        ended = PartEnded(index, _unsigned(block))
        if not isinstance(block, ToolCall) or block.signature is None or self._shown:
            return [ended]
        self._shift += 1
        return [ended, *_whole_part(index + 1, _carrier(block))]

    def _started(self, event: PartStarted) -> list[Event]:
        events: list[Event] = []
        block = event.block
        self._in_call = isinstance(block, ToolCall)
        self._shown = isinstance(block, ToolCall) and block.signature is not None
        if isinstance(block, ToolCall) and self._shown:
            events.extend(_whole_part(event.index + self._shift, _carrier(block)))
            self._shift += 1
        return [*events, PartStarted(event.index + self._shift, _unsigned(block))]


def _unsigned(block: Block) -> Block:
    return replace(block, signature=None) if isinstance(block, ToolCall) else block


def _carrier(call: ToolCall) -> Reasoning:
    return Reasoning(signature=call.signature, origin=call.origin, extra={FOR_CALL: call.id})


def _whole_part(index: int, block: Block) -> list[Event]:
    return [PartStarted(index, empty_copy(block)), *deltas_of(index, block), PartEnded(index, block)]
