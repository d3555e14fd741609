"""Shapes the message list for a target: system text, roles, tool results behind their calls, nothing empty.

Every step looks only at what stands before a message, or directly behind it within the same turn, so a longer
conversation begins with the translation of the shorter one. What is inserted stands where it does not move; the
one exception is the request to continue a prefilled answer, which the client's next turn takes away again.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from core.conversation import (
    SYSTEM_ROLES,
    Audio,
    Block,
    Document,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Video,
    leading_system,
)
from core.models.facts import ModelFacts
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.rebuilt import result_with_content, with_content, with_role
from core.translation.rules import FormatRules

# What Claude Code itself writes where a message has nothing to say.
PLACEHOLDER: Final = "(no content)"
MISSING_RESULT: Final = "The result of this tool call was not recorded."
CONTINUE: Final = (
    "Continue your last reply exactly where it stops. Do not repeat any of it and do not comment on this request."
)
IMAGE_FOLLOWS: Final = "[The image is in the next user message.]"
MEDIA_FOLLOW: Final = "[What stood here is in the next user message.]"
MEDIA_OF_ANSWER: Final = "[From your last answer:]"
_MEDIA: Final = (Image, Document, Audio, Video)
BILLING_HEADER: Final = "x-anthropic-billing-header"
_STRIP_BILLING_HEADER: Final = frozenset({"anthropic"})


def without_billing_header(messages: list[Message], provider: str, losses: Losses) -> list[Message]:
    """Claude Code's first system block changes with every version and breaks the prompt cache of a backend
    that does not take it out itself; only Anthropic's own does."""
    if provider in _STRIP_BILLING_HEADER:
        return messages
    result: list[Message] = []
    head = leading_system(messages)
    for message in messages[:head]:
        kept = [block for block in message.content if not _is_billing(block)]
        if len(kept) == len(message.content):
            result.append(message)
            continue
        losses.add("system", "the volatile billing line at its head was removed: it would break the prompt cache")
        if kept:
            result.append(replace(message, content=kept))
    return [*result, *messages[head:]]


def _is_billing(block: Block) -> bool:
    return isinstance(block, Text) and block.text.startswith(BILLING_HEADER)


def placed_system(
    messages: list[Message], rules: FormatRules, facts: ModelFacts, losses: Losses | None = None
) -> list[Message]:
    """System text behind the leading run: left where the target takes it there, else folded into a user turn
    as a reminder, without the members that go with a system message only. Developer messages become system
    messages for models that know no developer."""
    head = leading_system(messages)
    keeps_developer = rules.developer_role and facts.vendor == "openai"
    result: list[Message] = []
    for index, message in enumerate(messages):
        if message.role == "developer" and not keeps_developer:
            message = replace(message, role="system")
        if index >= head and message.role == "system" and not _may_stand(messages, index, rules, facts):
            message = _reminder(message, losses)
        result.append(message)
    return result


def _may_stand(messages: list[Message], index: int, rules: FormatRules, facts: ModelFacts) -> bool:
    """Whether a system message may stay at `index`: behind a user turn and before the assistant's
    (https://platform.claude.com/docs/en/api/messages)."""
    if rules.mid_system == "in_place":
        return True
    if rules.mid_system == "never" or not facts.mid_system:
        return False
    before = next((message.role for message in reversed(messages[:index]) if message.role not in SYSTEM_ROLES), "")
    behind = next((message.role for message in messages[index + 1 :] if message.role not in SYSTEM_ROLES), "assistant")
    return before in ("user", "tool") and behind == "assistant"


def _reminder(message: Message, losses: Losses | None) -> Message:
    if losses is not None:
        for name in message.extra:
            losses.add(f"messages.{name}", "the target has no system message here: it became a reminder")
    content: list[Block] = []
    for block in message.content:
        if isinstance(block, Opaque) and block.text is not None:
            if losses is not None:
                losses.add("messages", f"a {block.kind!r} block became text")
            block = Text(block.text)
        if isinstance(block, Text):
            text = f"<system-reminder>\n{block.text}\n</system-reminder>"
            content.append(Text(text, cache=block.cache))
        else:
            content.append(block)
    return Message("user", content)


def without_drawn_media(messages: list[Message]) -> list[Message]:
    """The messages for targets whose assistant has words only: what another one drew or spoke moves to the user's next
    turn, where its model sees it all the same."""
    result: list[Message] = []
    media: list[Block] = []
    for message in messages:
        if message.role == "assistant":
            content: list[Block] = []
            for block in message.content:
                if isinstance(block, _MEDIA):
                    media += [block] if media else [Text(MEDIA_OF_ANSWER), block]
                    block = Text(MEDIA_FOLLOW)
                content.append(block)
            message = with_content(message, content)
        elif media:
            result.append(Message("user", media))
            media = []
        result.append(message)
    return [*result, Message("user", media)] if media else result


def answered_calls(messages: list[Message], rules: FormatRules) -> list[Message]:
    """Puts every tool result directly behind its call. A call without a result gets one that says so; a
    result without a call becomes text."""
    result: list[Message] = []
    calls: list[ToolCall] = []
    for spoken, group in groupby(messages, _is_assistant):
        run = list(group)
        if spoken:
            result += _joined(run)
            content = result[-1].content
            if ToolCall in map(type, content):
                calls = [block for block in content if isinstance(block, ToolCall)]
        else:
            result += _results_first(calls, run, rules)
            calls = []
    if calls:
        result += _results_first(calls, [], rules)
    return result


def _is_assistant(message: Message) -> bool:
    return message.role == "assistant"


def _joined(run: list[Message]) -> list[Message]:
    """One assistant message: results must stand directly behind the message that has their calls."""
    if len(run) == 1:
        return run
    content = [block for message in run for block in message.content]
    extra = {key: value for message in run for key, value in message.extra.items()}
    return [replace(run[0], content=content, plain=False, extra=extra)]


def _results_first(calls: list[ToolCall], run: list[Message], rules: FormatRules) -> list[Message]:
    """The run with one message of results at its head, in the order of the calls."""
    found: dict[str, ToolResult] = {}
    others: list[Message] = []
    wanted = {call.id for call in calls}
    for message in run:
        kept: Message | None = message
        if ToolResult in map(type, message.content):
            kept = _without_results(message, wanted, found)
        if kept is not None:
            others.append(with_role(kept, "user") if kept.role == "tool" else kept)
    if not calls:
        return others
    results = [found.get(call.id) or _missing(call) for call in _first_of_each(calls)]
    if rules.images_in_results:
        return [*[Message("tool", [result]) for result in results], *others]
    texts, images = _without_images(results)
    images_behind = [Message("user", images)] if images else []
    return [*[Message("tool", [text]) for text in texts], *images_behind, *others]


def _without_results(message: Message, wanted: set[str], found: dict[str, ToolResult]) -> Message | None:
    """The message without the results that are `wanted`, which are put into `found`; None where nothing is left."""
    content: list[Block] = []
    for block in message.content:
        if not isinstance(block, ToolResult):
            content.append(block)
        elif block.call_id in wanted and block.call_id not in found:
            found[block.call_id] = block
        else:
            content.extend(_as_text(block))
    return with_content(message, content) if content else None


def _first_of_each(calls: Iterable[ToolCall]) -> list[ToolCall]:
    return list({call.id: call for call in calls}.values())


def _missing(call: ToolCall) -> ToolResult:
    return ToolResult(call.id, [Text(MISSING_RESULT)], is_error=True, name=call.name, kind=call.kind)


def _as_text(result: ToolResult) -> list[Block]:
    return [Text(f"[Result of the tool call {result.call_id}]"), *result.content]


def _without_images(results: list[ToolResult]) -> tuple[list[Block], list[Block]]:
    """Results whose images moved out, and those images, each behind a line that says whose it is."""
    texts: list[Block] = []
    images: list[Block] = []
    for result in results:
        if Image not in map(type, result.content):
            texts.append(result)
            continue
        content: list[Block] = []
        for block in result.content:
            if isinstance(block, Image):
                content.append(Text(IMAGE_FOLLOWS))
                images.extend((Text(f"[Image of the tool call {result.call_id}]"), block))
            else:
                content.append(block)
        texts.append(replace(result, content=content))
    return texts, images


def merged_turns(messages: list[Message], rules: FormatRules) -> list[Message]:
    """One message per turn for targets whose roles alternate; the user begins. Where nothing but instructions is left,
    one that says so: no target takes a conversation without a message."""
    if not rules.merged_turns:
        if messages and messages[-1].slot is None:
            return messages
        return [*messages, Message("user", [Text(PLACEHOLDER)])]
    head = leading_system(messages)
    result = messages[:head]
    merged: Message | None = None  # a copy of our own
    before = "assistant"
    if len(messages) == head or messages[head].role == "assistant":
        result.append(Message("user", [Text(PLACEHOLDER)]))
        before = "user"
    for message in messages[head:]:
        if message.role == "tool":
            message = with_role(message, "user")
        if message.role != before:
            result.append(message)
            before = message.role
            continue
        last = result[-1]
        if last is not merged:
            last = merged = replace(last, content=[*last.content], plain=False, extra={**last.extra})
            result[-1] = merged
        last.content += message.content
        last.extra.update(message.extra)
    return result


def without_empty_text(messages: list[Message]) -> list[Message]:
    """No blank text blocks and no message without content: backends refuse both."""
    result: list[Message] = []
    for message in messages:
        content = [_filled_result(block) for block in message.content if not _is_blank(block)]
        if not content and message.role in SYSTEM_ROLES:
            continue
        # Anthropic refuses a message that ends with thinking.
        if not content or (message.role == "assistant" and isinstance(content[-1], Reasoning)):
            content.append(Text(PLACEHOLDER))
        result.append(with_content(message, content))
    return result


def _is_blank(block: Block) -> bool:
    return isinstance(block, Text) and not block.text.strip() and block.signature is None


def _filled_result(block: Block) -> Block:
    if not isinstance(block, ToolResult):
        return block
    return result_with_content(block, [inner for inner in block.content if not _is_blank(inner)])


def without_bare_ending(messages: list[Message], losses: Losses) -> list[Message]:
    """The messages without an ending of reasoning alone. A client replays that after a stream that broke before the
    first word (Codex does): the answer is to be made anew, not to go on from a placeholder."""
    end = len(messages)
    while end and messages[end - 1].role == "assistant" and all(_is_bare(block) for block in messages[end - 1].content):
        end -= 1
    if any(isinstance(block, Reasoning) for message in messages[end:] for block in message.content):
        losses.add("messages", "reasoning without an answer, at the end of the conversation, was left out")
    return messages[:end]


def _is_bare(block: Block) -> bool:
    return isinstance(block, Reasoning) or _is_blank(block)


def without_prefill(
    messages: list[Message], facts: ModelFacts, losses: Losses, output: OutputFormat | None = None
) -> list[Message]:
    """A conversation that ends with the assistant's words asks for their continuation. Where the model
    refuses that, beside the `output` format that was asked for or at all, the wish is put in words behind them."""
    if not messages or messages[-1].role != "assistant":
        return messages
    # Anthropic's models take no prefilled answer beside a schema that is enforced.
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs#feature-compatibility
    enforced = facts.vendor == "anthropic" and output is not None and output.kind == "json_schema"
    if enforced or not facts.prefill:
        losses.add("messages", "the model takes no prefilled answer: it was asked in words to continue it")
        return [*messages, Message("user", [Text(CONTINUE)])]
    last = messages[-1]
    content = list(last.content)
    if content and isinstance(content[-1], Text):
        # Anthropic refuses a prefill that ends with white space.
        content[-1] = replace(content[-1], text=content[-1].text.rstrip())
    return [*messages[:-1], replace(last, content=content)]
