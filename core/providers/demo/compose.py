"""Decides what the demo answers: an Ask becomes a Reply.

It says what it understood of the request; it calls a tool when it must, or when the user asks for it; it uses
what a tool gave back. `max_tokens` and stop sequences hold as they do with a model.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from core.providers.demo.ask import Ask, Offer, Reply, ToolCall
from core.providers.demo.tokens import count_text, cut_text

# What is quoted of a text in the answer, in characters.
_QUOTED_LENGTH = 300

# Up to so many tools, a tool is called when the user speaks of what it is named for: an example with one
# `get_weather` works as its author expects. Agents offer more, and name what they want.
_FEW_TOOLS = 8

_DO = r"\b(?:use|using|call|run|invoke|execute|try)\b"
_ASKS_FOR_A_TOOL = re.compile(_DO + r"[^.?!\n]{0,60}\b(?:tools?|functions?)\b", re.IGNORECASE)
_DOES_SOMETHING = re.compile(_DO, re.IGNORECASE)
_ASKS_FOR_SEVERAL = re.compile(r"\b(?:both|all|two|three|parallel|each)\b", re.IGNORECASE)
_NAME_WORD = re.compile(r"[a-z]+|[A-Z][a-z]+|[A-Z]+(?![a-z])")

# Words of tool names that say what is done and not with what.
_VERBS = frozenset(
    re.findall(
        r"\w+",
        "get set list fetch find read write make create update delete remove add send search lookup look check"
        " run do show tell compute calculate current the a an of for to in my by with tool function call",
    )
)


def compose(ask: Ask) -> Reply:
    """The answer to `ask`."""
    offers = _wanted_offers(ask)
    reply = Reply(reasoning=_reasoning(ask, offers) if ask.effort else "")
    if offers:
        reply.calls = [_call(ask, offer) for offer in offers]
        reply.ended = "tools"
    elif ask.schema is not None:
        reply.text = json.dumps(_sample(ask.schema, ask.user_text), ensure_ascii=False)
    elif ask.json_only:
        reply.text = json.dumps(_told_as_json(ask), ensure_ascii=False)
    else:
        reply.text = " ".join(_sentences(ask))
    _stop_at_sequence(ask, reply)
    _keep_to_limit(ask, reply)
    return reply


def _wanted_offers(ask: Ask) -> list[Offer]:
    """The tools to call now: none, one, or several where the user wants several and they may go in parallel."""
    offers = [offer for offer in ask.offers if not ask.allowed or offer.name in ask.allowed]
    if ask.choice == "none" or not offers or (ask.outputs and ask.choice != "required"):
        return []
    wanted = _offers_spoken_of(ask.user_text, offers)
    if not wanted and (ask.choice == "required" or _ASKS_FOR_A_TOOL.search(ask.user_text)):
        wanted = offers if _ASKS_FOR_SEVERAL.search(ask.user_text) else offers[:1]
    return wanted if ask.parallel else wanted[:1]


def _offers_spoken_of(text: str, offers: list[Offer]) -> list[Offer]:
    """The tools that `text` names, or, where there are few, those whose subject it names."""
    if _DOES_SOMETHING.search(text):
        for flags in (re.NOFLAG, re.IGNORECASE):
            named = [offer for offer in offers if re.search(rf"(?<!\w){re.escape(offer.name)}(?!\w)", text, flags)]
            if named:
                return named
    if len(offers) > _FEW_TOOLS:
        return []
    words = {word.lower().removesuffix("s") for word in re.findall(r"[A-Za-z]+", text)}
    return [offer for offer in offers if (subject := _subject(offer.name)) and subject <= words]


def _subject(name: str) -> set[str]:
    """The words of a tool's name that say what it is about; empty for a one-word name."""
    words = [word.lower() for word in _NAME_WORD.findall(name)]
    return {word.removesuffix("s") for word in words if word not in _VERBS} if len(words) > 1 else set()


def _sample(schema: dict[str, Any], text: str) -> Any:
    from core.providers.demo.samples import sample  # noqa: PLC0415  # plain chats, and most cold starts, need none

    return sample(schema, text)


def _call(ask: Ask, offer: Offer) -> ToolCall:
    if offer.schema is None:
        return ToolCall(offer, ask.user_text or "hello")
    arguments = _sample({"type": "object", **offer.schema}, ask.user_text)
    return ToolCall(offer, json.dumps(arguments if isinstance(arguments, dict) else {}, ensure_ascii=False))


def _quote(text: str) -> str:
    shown = " ".join(text.split())
    return f"“{shown}”" if len(shown) <= _QUOTED_LENGTH else f"“{shown[:_QUOTED_LENGTH].rstrip()}…”"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:12]) + (f" and {len(names) - 12} more" if names[12:] else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _sentences(ask: Ask) -> list[str]:
    """What the demo says, sentence by sentence."""
    said = [f"The tool `{output.name}` gave back: {_quote(output.text)}." for output in ask.outputs]
    said.append(f"This is Skybridge's demo backend answering for `{ask.model}`: no model, no network, no key.")
    said.append(_messages_sentence(ask))
    if ask.user_text:
        said.append(f"The last thing that the user wrote is: {_quote(ask.user_text)}.")
    if ask.attachments:
        said.append(f"With it came {', '.join(ask.attachments)}.")
    said += _tool_sentences(ask)
    if ask.unread:
        said.append(f"The demo passed over {_listed(ask.unread)}.")
    return said


def _messages_sentence(ask: Ask) -> str:
    counts = ", ".join(f"{count} {role}" for role, count in Counter(ask.roles).items())
    sentence = f"It read {_counted(len(ask.roles), 'message')} in the {ask.api} format ({counts})"
    if ask.system_length:
        sentence += f" and instructions of {_counted(ask.system_length, 'character')}"
    return sentence + "."


def _tool_sentences(ask: Ask) -> list[str]:
    said: list[str] = []
    if ask.offers:
        names = _listed([offer.name for offer in ask.offers])
        said.append(f"{_counted(len(ask.offers), 'tool')} on offer: {names}; ask for one by its name.")
    if ask.vendor_tools:
        said.append(f"A demo cannot run {_listed(ask.vendor_tools)}, which the vendor's own servers would run.")
    return said


def _told_as_json(ask: Ask) -> dict[str, object]:
    """What the demo says, for a client that wants a JSON object and gave no schema."""
    return {
        "answer": f"This is Skybridge's demo backend answering for {ask.model}.",
        "format": ask.api,
        "messages": len(ask.roles),
        "user": ask.user_text,
        "tools": [offer.name for offer in ask.offers],
    }


def _reasoning(ask: Ask, offers: list[Offer]) -> str:
    thought = f"The request is in the {ask.api} format, with {_counted(len(ask.roles), 'message')}."
    thought += f" Reasoning was asked for ({ask.effort})."
    if offers:
        return f"{thought} I should call {_listed([offer.name for offer in offers])}."
    if ask.outputs:
        return f"{thought} A tool has answered, so I say what it gave back."
    if ask.schema is not None:
        return f"{thought} The answer must fit a schema, so I fill it in."
    return f"{thought} No tool is asked for, so I answer in words."


def _stop_at_sequence(ask: Ask, reply: Reply) -> None:
    """Ends the text where the first of the stop sequences begins."""
    found = [(at, sequence) for sequence in ask.stop if (at := reply.text.find(sequence)) >= 0]
    if found:
        at, reply.stop_sequence = min(found)
        reply.text = reply.text[:at]
        reply.ended = "stop_sequence"


def _keep_to_limit(ask: Ask, reply: Reply) -> None:
    """Cuts the answer to `max_tokens` in the order in which a model writes it, and counts its tokens.

    A call that does not fit is left out whole: half a call is of no use to anybody.
    """
    limit = ask.max_tokens if ask.max_tokens is not None else 1 << 30
    whole = reply.reasoning, reply.text, len(reply.calls)
    reply.reasoning = cut_text(reply.reasoning, limit)
    reply.reasoning_tokens = count_text(reply.reasoning)
    limit -= reply.reasoning_tokens
    if reply.reasoning != whole[0]:
        limit = 0
    reply.text = cut_text(reply.text, limit)
    used = count_text(reply.text)
    kept: list[ToolCall] = []
    for call in reply.calls:
        cost = count_text(call.offer.name) + count_text(call.arguments)
        if used + cost > limit:
            break
        used += cost
        kept.append(call)
    reply.calls = kept
    reply.output_tokens = reply.reasoning_tokens + used
    if (reply.reasoning, reply.text, len(reply.calls)) != whole:
        reply.ended, reply.stop_sequence = "length", None
