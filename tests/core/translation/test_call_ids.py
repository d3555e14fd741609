"""Each call has an id of its own: in the history, and in what a backend answers to it."""

from __future__ import annotations

import json

from core.conversation import Answer, Block, Message, Text, ToolCall, ToolResult
from core.events import PartDelta, answer_of, events_of
from core.stop import Stop
from core.translation.call_ids import NewCalls, unused, with_distinct_calls
from tests.translation.makers import translated


def ids(messages: list[Message]) -> list[list[str]]:
    return [[_id(block) for block in message.content if not isinstance(block, Text)] for message in messages]


def _id(block: Block) -> str:
    assert isinstance(block, ToolCall | ToolResult)
    return block.id if isinstance(block, ToolCall) else block.call_id


def called(*names: str) -> Message:
    return Message("assistant", [Text("a"), *(ToolCall(name, "f") for name in names)])


def given(*names: str) -> Message:
    return Message("tool", [ToolResult(name) for name in names])


def test_a_call_of_a_later_turn_and_its_result_get_an_id_of_their_own() -> None:
    history = [called("c"), given("c"), called("c"), given("c"), called("c", "d"), given("d", "c")]
    assert ids(with_distinct_calls(history)) == [["c"], ["c"], ["c_2"], ["c_2"], ["c_3", "d"], ["d", "c_3"]]
    assert ids(history)[2] == ["c"]


def test_calls_of_one_turn_take_the_results_in_turn() -> None:
    history = [called("c", "c"), given("c"), given("c"), given("c"), given("unknown")]
    assert ids(with_distinct_calls(history)) == [["c", "c_2"], ["c"], ["c_2"], ["c_2"], ["unknown"]]


def test_an_id_that_looks_like_a_new_one_stays_another() -> None:
    assert ids(with_distinct_calls([called("c", "c_2"), called("c")])) == [["c", "c_2"], ["c_3"]]
    assert unused("a", {"b"}, {}) == "a"


def test_thousands_of_calls_under_one_id_are_looked_for_once_each() -> None:
    class Counted(set[str]):
        asked = 0

        def __contains__(self, id: object) -> bool:
            self.asked += 1
            return super().__contains__(id)

    taken, tried = Counted(), dict[str, int]()
    for _ in range(1000):
        taken.add(unused("c", taken, tried))
    assert len(taken) == 1000 and taken.asked < 3000


def test_an_answers_calls_are_new_whole_and_streamed() -> None:
    content: list[Block] = [Text("a"), ToolCall("call_0", "f", "{}"), ToolCall("call_0", "g", "{}")]
    answer = Answer("id", "m", content, Stop("tool_use"))
    whole = NewCalls({"call_0": "f"}).answer(answer)
    assert [_id(block) for block in whole.content[1:]] == ["call_0_2", "call_0_3"]
    step = NewCalls({"call_0": "f"})
    events = [new for event in events_of(answer) for new in step.feed(event)]
    assert [_id(block) for block in answer_of(events).content[1:]] == ["call_0_2", "call_0_3"]
    assert any(isinstance(event, PartDelta) for event in events)


def test_the_history_of_a_server_that_counts_anew_is_one_that_anthropic_takes() -> None:
    turns = [
        {"role": "user", "content": "x"},
        *(
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ]} if place % 2 else {"role": "tool", "tool_call_id": "call_0", "content": f"r{place}"}
            for place in range(1, 5)
        ),
    ]  # fmt: skip
    body = translated("chat_completions", {"model": "m", "messages": turns}, "messages")
    blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
    told = [(block["type"], block.get("id") or block["tool_use_id"]) for block in blocks]
    assert told == [
        ("tool_use", "call_0"), ("tool_result", "call_0"), ("tool_use", "call_0_2"), ("tool_result", "call_0_2"),
    ]  # fmt: skip
    assert '"r4"' in json.dumps(blocks[-1])
