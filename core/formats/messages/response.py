"""A whole Messages answer, both ways. https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.conversation import Answer, Block, FormatName, JsonObject, Origin, Refusal, Stop, ToolCall
from core.errors import UpstreamFault, upstream_fault
from core.formats.carriers import carrier_of
from core.formats.contract import Reply, Target
from core.formats.messages.answer_blocks import signature_of, write_block
from core.formats.messages.members import Invalid, each, list_of
from core.formats.messages.read_blocks import BlockReader
from core.formats.messages.usage import STOP_WORDS, read_stop, read_usage, settled_stop, write_usage
from core.formats.messages.wire import frame_error
from core.usage import Usage

_KNOWN = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
# Words that say that the turn is over; whether tools are to be run then shows in the content.
_TURN_OVER = frozenset({"end_turn", "tool_use"})


def read_response(body: JsonObject, target: Target) -> Answer:
    """The answer in a Messages backend's body. Raises UpstreamFault when it is an error or cannot be understood."""
    if body.get("type") == "error":
        raise frame_error(body)
    try:
        content = each(list_of(body.get("content"), "content"), "content", block_reader(target).read)
    except Invalid as invalid:
        raise unreadable(f"{'.'.join(invalid.path)}: {invalid.message}") from None
    details = body.get("stop_details")
    extra = {name: value for name, value in body.items() if name not in _KNOWN}
    if details is not None:
        del extra["stop_details"]
    stop = read_stop(body.get("stop_reason"), body.get("stop_sequence"), details)
    usage = body.get("usage")
    return Answer(
        id=text_or_empty(body.get("id")),
        model=text_or_empty(body.get("model")),
        content=content,
        stop=settled_stop(stop or Stop("end_turn"), called=ToolCall in map(type, content)),
        usage=read_usage(usage),
        service_tier=service_tier_of(usage),
        format="messages",
        extra=extra,
    )


def write_response(answer: Answer, reply: Reply) -> JsonObject:
    """The body of `answer` for a Messages client."""
    own = answer.format == "messages"
    written: list[JsonObject] = []
    for block in answer.content:
        told = _write(block, own)
        if told is not None:
            # A signature stands before what it signs: agents take the last block for the answer.
            carrier = carrier_of(block, ahead=True)
            if carrier is not None:
                written.append({"type": "thinking", "thinking": "", "signature": signature_of(carrier)})
            written.append(told)
    return {
        "id": message_id(answer.id, reply),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": written,
        **write_stop(answer.stop, answer.content, answer.format),
        "usage": answer_usage(answer.usage, answer.format),
        **(answer.extra if own else {}),
    }


def _write(block: Block, own: bool) -> JsonObject | None:
    written = write_block(block)
    extra = getattr(block, "extra", None)
    if own and written is not None and extra:
        written.update(extra)
    return written


def write_stop(stop: Stop, content: Iterable[Block], origin: FormatName | None) -> JsonObject:
    """The members `stop_reason`, `stop_sequence` and, where there are any, `stop_details`.

    Whether tools are to be run follows from the content: backends exist that say `stop` beside their calls,
    and a client that reads `end_turn` runs none.
    """
    reason = _stop_word(stop, list(content), origin)
    written: JsonObject = {"stop_reason": reason, "stop_sequence": stop.sequence}
    if stop.details is not None and origin == "messages":
        written["stop_details"] = stop.details
    elif reason == "refusal":
        written["stop_details"] = {"type": "refusal", "category": None, "explanation": stop.explanation}
    return written


def _stop_word(stop: Stop, blocks: list[Block], origin: FormatName | None) -> str:
    own = origin == "messages" and stop.raw is not None
    word = stop.raw if own and stop.raw else STOP_WORDS[stop.reason]
    if word in _TURN_OVER and ToolCall in map(type, blocks):
        return "tool_use"
    if own or word not in _TURN_OVER:
        return word
    if Refusal in map(type, blocks):
        return "refusal"
    return "end_turn" if word == "tool_use" else word


def answer_usage(usage: Usage, origin: FormatName | None) -> JsonObject:
    """The `usage` member: a Messages backend's own object as it came, else one that states every count."""
    if origin == "messages" and usage.raw:
        return usage.raw
    return write_usage(usage)


def early_usage(usage: Usage, origin: FormatName | None) -> JsonObject:
    """The `usage` member of a stream's beginning. The cache's writes by time to live are not there before they are
    known: clients keep the ones of the beginning, and zeros would contradict the sum that they are told in the end."""
    written = answer_usage(usage, origin)
    if origin != "messages" and usage.cache_write_5m_tokens is None and usage.cache_write_1h_tokens is None:
        del written["cache_creation"]
    return written


def message_id(id_: str, reply: Reply) -> str:
    """The id to show: the backend's when it is one of this format's, else a minted one."""
    return id_ if id_.startswith("msg_") else f"msg_{reply.id_suffix}"


def block_reader(target: Target) -> BlockReader:
    """A reader whose signatures are those of the target's vendor."""
    return BlockReader(Origin(target.facts.vendor), sealed=False)


def unreadable(what: str) -> UpstreamFault:
    """The fault for an answer that is not what the format promises."""
    return upstream_fault("upstream", f"The backend's answer cannot be read: {what}", 502)


def service_tier_of(usage: Any) -> str | None:
    """The tier that the answer was given at, as the `usage` object says."""
    tier = usage.get("service_tier") if isinstance(usage, dict) else None
    return tier if isinstance(tier, str) else None


def text_or_empty(value: Any) -> str:
    """`value` where it is a string, "" where it is anything else."""
    return value if isinstance(value, str) else ""
