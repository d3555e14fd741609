"""Prompt-cache breakpoints made fit for a target: where they may stand, how long they may last, and how many.

https://platform.claude.com/docs/en/build-with-claude/prompt-caching and
https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Conversation,
    Document,
    Image,
    Text,
    ToolCall,
    ToolResult,
    Video,
    leading_system,
)
from core.models.facts import ModelFacts
from core.slotted import replace, slotted
from core.translation.losses import Losses
from core.translation.rebuilt import with_content
from core.translation.rules import RULES, FormatRules

_MARKABLE: Final = (Text, Image, Document, Audio, Video, ToolCall, ToolResult)
# What OpenAI and Anthropic call a long time; both have one that is shorter.
_LONG: Final = frozenset({"1h", "12h", "24h"})
# A member of a mark whose beta Bedrock does not know.
_SCOPE: Final = "scope"
# The first to go where there are too many marks: those on tools and system text cover what never changes.
_RANKS: Final[dict[str, int]] = {"message": 0, "system": 1, "tool": 2, "end": 3}


@slotted
class _Found:
    """One mark of a conversation, in the order of the prompt. `mark` is what is left of it; `end` the automatic one."""

    mark: CacheMark | None
    place: Literal["tool", "system", "message", "end"]
    at_call: bool = False


def fitted_cache_marks(
    conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses
) -> Conversation:
    """The conversation with no mark but those that the target takes. Each depends on those before it only, so that a
    longer conversation begins with the marks of the shorter one, up to the point where there are too many: then the
    oldest ones in messages go first, because the newest cover the longest prefix."""
    conversation = _with_explicit_cache(conversation, rules)
    found = list(_found(conversation))
    before = [item.mark for item in found]
    most = rules.max_cache_marks if facts.cache_marks else 0
    if most and rules.bedrock_schemas:
        _fit_for_bedrock(found, facts, losses)
    if most and rules.falling_cache_times and not RULES[conversation.format].falling_cache_times:
        _shorten_later(found, losses)
    _limit(found, most, losses)
    if all(item.mark is mark for item, mark in zip(found, before, strict=True)):
        return conversation
    return _with_marks(conversation, iter([item.mark for item in found]))


def _found(conversation: Conversation) -> Iterator[_Found]:
    for tool in conversation.tools:
        if tool.cache is not None:
            yield _Found(tool.cache, "tool", at_call=True)
    head = leading_system(conversation.messages)
    for index, message in enumerate(conversation.messages):
        for block in message.content:
            if isinstance(block, ToolResult):
                for inner in block.content:
                    if (mark := _cache_of(inner)) is not None:
                        yield _Found(mark, "message", at_call=True)
            if (mark := _cache_of(block)) is not None:
                place: Literal["system", "message"] = "system" if index < head else "message"
                yield _Found(mark, place, isinstance(block, ToolCall | ToolResult))
    # The automatic mark falls on the last block: it is one more only where that has none of its own.
    if conversation.cache is not None and not _ends_marked(conversation):
        yield _Found(conversation.cache, "end")


def _ends_marked(conversation: Conversation) -> bool:
    last = conversation.messages[-1].content if conversation.messages else []
    return bool(last) and _cache_of(last[-1]) is not None


def _fit_for_bedrock(found: list[_Found], facts: ModelFacts, losses: Losses) -> None:
    """Amazon's own models refuse marks at tools, calls and results; they and older Claude models have one time only.
    `cache_control.ephemeral.scope: Extra inputs are not permitted` there."""
    for item in found:
        if item.at_call and not facts.cache_marks_at_tools:
            losses.add("cache", "the model takes no cache marks at tools, their calls and results")
            item.mark = None
        elif _is_long(item.mark) and not facts.long_cache_on_bedrock:
            losses.add("cache", "the model keeps caches for five minutes only on Bedrock")
            item.mark = _shortened(item.mark)
        if item.mark is not None and _SCOPE in item.mark.extra:
            losses.add("cache", "Bedrock's caches have no scope")
            rest = {name: value for name, value in item.mark.extra.items() if name != _SCOPE}
            item.mark = replace(item.mark, extra=rest)


def _shorten_later(found: list[_Found], losses: Losses) -> None:
    """What lasts long must stand before what does not, which OpenAI's clients need not know."""
    is_short = False
    for item in found:
        if is_short and _is_long(item.mark):
            losses.add("cache", "a cache mark may not last longer than one before it")
            item.mark = _shortened(item.mark)
        is_short = is_short or (item.mark is not None and not _is_long(item.mark))


def _is_long(mark: CacheMark | None) -> bool:
    return mark is not None and mark.ttl in _LONG


def _shortened(mark: CacheMark | None) -> CacheMark | None:
    return None if mark is None else replace(mark, ttl=None)


def _limit(found: list[_Found], most: int, losses: Losses) -> None:
    kept = [item for item in found if item.mark is not None]
    excess = len(kept) - most
    if excess <= 0:
        return
    if most:
        losses.add("cache", f"the target takes at most {most} cache marks: the oldest were left out")
    else:
        losses.add("cache", "the target takes no cache marks")
    for item in sorted(kept, key=lambda item: _RANKS[item.place])[:excess]:
        item.mark = None


def _with_explicit_cache(conversation: Conversation, rules: FormatRules) -> Conversation:
    """Bedrock knows no automatic caching: its mark is set where it would fall, on the last block."""
    last = conversation.messages[-1] if conversation.messages else None
    if conversation.cache is None or not rules.bedrock_schemas or last is None or not last.content:
        return conversation
    block = last.content[-1]
    if not isinstance(block, _MARKABLE):
        return conversation
    if block.cache is None:
        last = with_content(last, [*last.content[:-1], replace(block, cache=conversation.cache)])
    return replace(conversation, messages=[*conversation.messages[:-1], last], cache=None)


def _with_marks(conversation: Conversation, marks: Iterator[CacheMark | None]) -> Conversation:
    """The conversation with `marks` in the places of those that `_found` gives, in the same order."""
    tools = [tool if tool.cache is None else replace(tool, cache=next(marks)) for tool in conversation.tools]
    messages = [with_content(message, _remarked(message.content, marks)) for message in conversation.messages]
    return replace(conversation, tools=tools, messages=messages, cache=next(marks, None))


def _remarked(content: Iterable[Block], marks: Iterator[CacheMark | None]) -> list[Block]:
    result: list[Block] = []
    for block in content:
        if isinstance(block, ToolResult):
            inner = _remarked(block.content, marks)
            if any(new is not old for new, old in zip(inner, block.content, strict=True)):
                block = replace(block, content=inner)
        if (mark := _cache_of(block)) is not None and (new_mark := next(marks)) is not mark:
            changed: Any = block  # one that takes a mark
            block = replace(changed, cache=new_mark)
        result.append(block)
    return result


def _cache_of(block: Block) -> CacheMark | None:
    return block.cache if isinstance(block, _MARKABLE) else None
