"""Answers as the chat API tells them."""

from __future__ import annotations

from typing import Any

import pytest

from core.chat.answering import (
    Answering,
    error_of,
    figures_of,
    finish_of,
    no_memory,
    shown_call,
    sum_of,
    unfinished,
    usage_of,
)
from core.conversation import Reasoning, Refusal, Stop, Text, ToolCall
from core.errors import ClientFault, upstream_fault
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Ping, Started
from core.usage import Cost, Usage, UsageRecord

CALL = ToolCall("c1", "look", '{"a": 1}')
STREAM: list[Event] = [
    Started("id", "m"), Ping(),
    PartStarted(0, Reasoning()), PartDelta(0, "reasoning", "Hm."), PartDelta(0, "signature", "s"),
    PartEnded(0, Reasoning(["Hm."])), PartEnded(0, Reasoning(["Hm."])),
    PartStarted(1, Text("")), PartDelta(1, "text", "He"), PartDelta(1, "text", "llo"), PartEnded(1, Text("Hello")),
    PartStarted(2, Refusal("")), PartDelta(2, "refusal", "!"), PartEnded(2, Refusal("!")),
    PartStarted(3, CALL), PartDelta(3, "arguments", "{}"), PartEnded(3, CALL),
    Finished(Stop("tool_use"), Usage(3, 4)),
]  # fmt: skip


def test_an_answer_is_told_as_it_comes() -> None:
    answering = Answering()
    call = {"id": "c1", "name": "look", "arguments": {"a": 1}}
    assert not answering.said_anything
    assert answering.feed(STREAM) == [
        ("reasoning", {"text": "Hm."}), ("delta", {"text": "He"}), ("delta", {"text": "llo"}), ("delta", {"text": "!"}),
        ("tool_call", call),
    ]  # fmt: skip
    assert answering.said_anything
    assert answering.message() == {
        "role": "assistant", "content": "Hello!", "reasoning": "Hm.", "tool_calls": [call],
    }  # fmt: skip
    assert finish_of(answering) == "tool_calls" and answering.usage == Usage(3, 4)
    assert Answering().message() == {"role": "assistant", "content": ""}


def test_what_broke_is_told() -> None:
    answering = Answering()
    fault = upstream_fault("overloaded", "busy", 529)
    assert answering.feed([Failed(fault)]) == [] and answering.failure is fault
    assert finish_of(answering) == "error" == finish_of(Answering())
    assert unfinished().status == 502 and no_memory().status == 503


@pytest.mark.parametrize(
    ("reason", "word"),
    [("end_turn", "stop"), ("max_tokens", "length"), ("refusal", "content_filter"), ("pause_turn", "pause_turn")],
)
def test_reasons_in_known_words(reason: Any, word: str) -> None:
    assert finish_of(Answering(stop=Stop(reason))) == word


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (ToolCall("1", "f", "{broken"), "{broken"), (ToolCall("1", "f", ""), ""),
        (ToolCall("1", "f", "free", kind="custom"), "free"), (ToolCall("1", "f", "[1]"), [1]),
    ],
)  # fmt: skip
def test_arguments_that_are_no_json_stay_text(call: ToolCall, arguments: Any) -> None:
    assert shown_call(call)["arguments"] == arguments


def test_figures_come_from_the_record() -> None:
    record = UsageRecord("r", "generate", "messages", 0.0, backend="b", api_model="m", attempts=2)
    record.usage, record.cost = Usage(10, 5, cache_read_tokens=3, reasoning_tokens=2), Cost(2_500_000)
    figures = figures_of(record, Answering(stop=Stop("end_turn")))
    assert figures == {
        "usage": {"input_tokens": 13, "output_tokens": 5, "cached_input_tokens": 3, "reasoning_tokens": 2,
                  "total_tokens": 18},
        "cost_usd": 0.0000025, "finish_reason": "stop", "backend": "b", "served_model": "m", "attempts": 2,
    }  # fmt: skip
    silent = UsageRecord("r", "generate", "messages", 0.0)
    told = figures_of(silent, Answering(usage=Usage(1, 2)))
    assert told["usage"]["total_tokens"] == 3 and told["cost_usd"] is None


def test_sums_and_errors() -> None:
    assert sum_of([usage_of(Usage(1, 2)), usage_of(Usage(3, 4))])["total_tokens"] == 10
    fault = ClientFault("bad_request", "No.", param="model")
    fault.about = {"step": 1}
    assert error_of(fault) == {"code": "BAD_REQUEST", "message": "No.", "details": {"step": 1, "field": "model"}}
