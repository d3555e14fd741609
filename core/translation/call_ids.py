"""Ids of tool calls that occur once: some servers of Chat Completions number the calls of each answer anew (`call_0`).

Anthropic's and Bedrock's APIs refuse a history in which an id occurs twice, and agents pair results with calls by the
id alone: a repeated one makes them run an old call again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from core.conversation import Answer, Block, Message, ToolCall, ToolResult
from core.events import Event, PartEnded, PartStarted
from core.slotted import replace
from core.translation.rebuilt import with_content


def unused(id: str, taken: Container[str]) -> str:
    """`id`, or where it is taken the first of `id_2`, `id_3`, ... that is not."""
    found, number = id, 2
    while found in taken:
        found, number = f"{id}_{number}", number + 1
    return found


def with_distinct_calls(messages: list[Message]) -> list[Message]:
    """The history with each call under an id of its own, and each result under that of its call: the latest of that id,
    or one after the other where one turn has several. The same history has the same ids on every turn."""
    taken: set[str] = set()
    waiting: dict[str, list[str]] = {}
    result: list[Message] = []
    for message in messages:
        here: set[str] = set()
        result.append(with_content(message, [_distinct(block, taken, waiting, here) for block in message.content]))
    return result


def _distinct(block: Block, taken: set[str], waiting: dict[str, list[str]], here: set[str]) -> Block:
    if isinstance(block, ToolResult):
        ids = waiting.get(block.call_id, [block.call_id])
        id = ids.pop(0) if len(ids) > 1 else ids[0]
        return block if id == block.call_id else replace(block, call_id=id)
    if not isinstance(block, ToolCall):
        return block
    id = unused(block.id, taken)
    taken.add(id)
    waiting[block.id] = [*waiting[block.id], id] if block.id in here else [id]
    here.add(block.id)
    return block if id == block.id else replace(block, id=id)


class NewCalls:
    """Gives the calls of an answer ids that the history does not have. One object serves one answer."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._ids: dict[int, str] = {}

    def answer(self, answer: Answer) -> Answer:
        """The answer, its calls under ids of their own."""
        content = [self._renamed(block, place) for place, block in enumerate(answer.content)]
        return replace(answer, content=content)

    def feed(self, event: Event) -> list[Event]:
        """The event; a call's beginning and end tell its id."""
        if isinstance(event, PartStarted | PartEnded) and isinstance(event.block, ToolCall):
            return [replace(event, block=self._renamed(event.block, event.index))]
        return [event]

    def _renamed(self, block: Block, place: int) -> Block:
        if not isinstance(block, ToolCall):
            return block
        id = self._ids.get(place)
        if id is None:
            id = self._ids[place] = unused(block.id, self._taken)
            self._taken.add(id)
        return block if id == block.id else replace(block, id=id)
