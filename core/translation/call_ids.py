"""Ids of tool calls that occur once: some servers of Chat Completions number the calls of each answer anew (`call_0`).

Anthropic's and Bedrock's APIs refuse a history in which an id occurs twice, and agents pair results with calls by the
id alone: a repeated one makes them run an old call again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable

from core.conversation import Answer, Block, Message, ToolCall, ToolResult
from core.events import Event, PartEnded, PartStarted
from core.slotted import field, replace, slotted
from core.translation.rebuilt import with_content


def unused(id: str, taken: Container[str], tried: dict[str, int]) -> str:
    """`id`, or where it is taken the first of `id_2`, `id_3`, ... that is not. `tried` remembers by id which number is
    next: a history may have one id thousands of times."""
    found, number = id, tried.get(id, 2)
    while found in taken:
        found, number = f"{id}_{number}", number + 1
    tried[id] = number
    return found


def with_distinct_calls(messages: list[Message]) -> list[Message]:
    """The history with each call under an id of its own, and each result under that of its call: the latest of that id,
    or one after the other where one turn has several. The same history has the same ids on every turn."""
    history = _History()
    return [with_content(message, history.distinct(message.content)) for message in messages]


@slotted
class _History:
    """The ids so far. `waiting`: by the client's id, those that its results are for."""

    taken: set[str] = field(default_factory=set)
    tried: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, deque[str]] = field(default_factory=dict)

    def distinct(self, content: list[Block]) -> list[Block]:
        """The blocks of the next message."""
        here: set[str] = set()
        return [self._distinct(block, here) for block in content]

    def _distinct(self, block: Block, here: set[str]) -> Block:
        if isinstance(block, ToolCall):
            return self._call(block, here)
        return self._result(block) if isinstance(block, ToolResult) else block

    def _call(self, call: ToolCall, here: set[str]) -> ToolCall:
        id = unused(call.id, self.taken, self.tried)
        self.taken.add(id)
        if call.id not in here:
            here.add(call.id)
            self.waiting[call.id] = deque()
        self.waiting[call.id].append(id)
        return call if id == call.id else replace(call, id=id)

    def _result(self, result: ToolResult) -> ToolResult:
        ids = self.waiting.get(result.call_id)
        if ids is None:
            return result
        id = ids.popleft() if len(ids) > 1 else ids[0]
        return result if id == result.call_id else replace(result, call_id=id)


class NewCalls:
    """Gives the calls of an answer ids that the history does not have. One object serves one answer."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._tried: dict[str, int] = {}
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
            id = self._ids[place] = unused(block.id, self._taken, self._tried)
            self._taken.add(id)
        return block if id == block.id else replace(block, id=id)
