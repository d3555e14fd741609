"""Members of a client's nodes that no step of a translation and no writer has spoken of: each is named as dropped.

A writer speaks of what it looks at. What stood on a node that was rebuilt, folded into another or flattened to text on
the way (`core.translation.content`, `core.translation.turns`) is told of here, so that nothing is lost in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from core.conversation import Block, CacheMark, Conversation, Document, Dropped, JsonObject, Tool, ToolResult
from core.formats.contract import Written
from core.translation.losses import Losses, said
from core.translation.paths import client_path
from core.translation.survey import Survey

_CONTENT: Final = "messages.content"
# A warning of one of these says nothing of the others.
_MANY: Final = frozenset({"messages", "tools"})
# What readers keep beside a client's own members, what only tells one item from another, and what another member says.
_UNMISSED: Final = frozenset(
    {"type", "id", "role", "status", "phase", "source", "raw", "signs_call", "signs_text", "responseMimeType"}
)
_GRAMMAR: Final = frozenset({"type", "syntax", "definition"})
# Of a namespace: `core.translation.tool_names` speaks of it.
_DESCRIPTION: Final = "description"


def unspoken(conversation: Conversation, survey: Survey, written: Written) -> list[Dropped]:
    """A warning for each member of a node of `conversation` that is neither in the body nor among the warnings.
    `survey` is of its messages."""
    history = survey.extra or survey.noted
    tools = [tool for tool in conversation.tools if tool.extra or tool.note or tool.cache or tool.grammar]
    if not (history or tools or conversation.cache or conversation.reasoning or conversation.output_format):
        return []
    losses = Losses(conversation.format)
    paths = {item.path for item in written.dropped}
    spoken = {path.rsplit(".", 1)[-1] for path in paths} | _UNMISSED
    # By name, what the body has of it: a history may have one member in every block.
    carried: dict[str, set[str]] = {}
    for where, extra in _extras(conversation, tools, history):
        if not extra or (where in paths and where not in _MANY):
            continue
        for name in said(extra):
            if name in spoken:
                continue
            if name not in carried:
                carried[name] = {_shown(value) for value in _members_named(written.body, name)}
            if _shown(extra[name]) not in carried[name]:
                losses.add(f"{where}.{name}", "the target has no such member")
    return losses.dropped


def _extras(conversation: Conversation, tools: list[Tool], history: bool) -> Iterator[tuple[str, JsonObject]]:
    """The members without a neutral field, with the place of their node."""
    if history:
        yield from _of_messages(conversation)
    for tool in tools:
        yield from _of_tool(tool, client_path(conversation.format, "cache"))
    mark, reasoning, output = conversation.cache, conversation.reasoning, conversation.output_format
    if mark is not None:
        yield client_path(conversation.format, "cache"), _of_mark(mark)
    if reasoning is not None:
        yield "reasoning", reasoning.extra
    if output is not None:
        yield client_path(conversation.format, "output_format"), output.extra


def _of_messages(conversation: Conversation) -> Iterator[tuple[str, JsonObject]]:
    mark_path = client_path(conversation.format, "cache")
    blocks: list[Block] = []
    for message in conversation.messages:
        blocks += message.content
        if message.extra:
            yield "messages", message.extra
    for block in blocks:
        if isinstance(block, ToolResult):
            blocks += block.content  # which this loop comes to at its end
        elif isinstance(block, Document):
            blocks += block.source.blocks
        yield from _of_block(block, mark_path)


def _of_block(block: Block, mark_path: str) -> Iterator[tuple[str, JsonObject]]:
    yield _CONTENT, getattr(block, "extra", {})
    note = getattr(block, "note", None) or {}
    yield "messages", note.get("item", {}).get("members", {})
    source = getattr(block, "source", None)
    if source is not None:
        yield f"{_CONTENT}.source", source.extra
    mark = getattr(block, "cache", None)
    if mark is not None:
        yield mark_path, _of_mark(mark)


def _of_tool(tool: Tool, mark_path: str) -> Iterator[tuple[str, JsonObject]]:
    yield "tools", tool.extra
    if tool.cache is not None:
        yield mark_path, _of_mark(tool.cache)
    grammar = tool.grammar or {}
    yield "tools.format", {name: value for name, value in grammar.items() if name not in _GRAMMAR}
    note = tool.note or {}
    shell = note.get("namespace") or {}
    yield "tools", {name: value for name, value in shell.items() if name != _DESCRIPTION}
    yield "messages", note.get("additional_tools", {}).get("item", {})


def _of_mark(mark: CacheMark) -> JsonObject:
    """Every mark is one that is set: only OpenAI's say so."""
    return {name: value for name, value in mark.extra.items() if name != "mode"}


def _members_named(body: JsonObject, name: str) -> Iterator[Any]:
    """What the members of this name are, anywhere in `body`."""
    inner: list[Any] = [body]
    for each in inner:  # which grows
        if isinstance(each, dict):
            if name in each:
                yield each[name]
            inner += each.values()
        elif isinstance(each, list):
            inner += each


def _shown(value: Any) -> str:
    """By what a member is known again. What an object holds may be said in other words."""
    return "{}" if isinstance(value, dict) else repr(value)
