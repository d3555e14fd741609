"""A message with other content. Every step of a translation makes these, so they are made without the generic
`replace`, and not at all where nothing changed."""

from __future__ import annotations

from operator import is_

from core.conversation import Block, Message, Role, ToolResult


def with_content(message: Message, content: list[Block]) -> Message:
    """`message` itself when its blocks are the very same, else a copy with `content`."""
    if _same(message.content, content):
        return message
    return Message(message.role, content, message.slot, message.plain, message.name, message.extra)


def with_role(message: Message, role: Role) -> Message:
    """A copy with `role`."""
    return Message(role, message.content, message.slot, message.plain, message.name, message.extra, message.note)


def result_with_content(result: ToolResult, content: list[Block]) -> ToolResult:
    """`result` itself when its blocks are the very same, else a copy with `content`."""
    if _same(result.content, content):
        return result
    return ToolResult(
        result.call_id, content, result.is_error, result.name, result.kind, result.plain, result.cache, result.extra
    )


def _same(one: list[Block], other: list[Block]) -> bool:
    return len(one) == len(other) and all(map(is_, one, other))
