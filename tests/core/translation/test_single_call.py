"""Parallel calls are off, and the backend has no switch for them."""

from __future__ import annotations

import pytest

from core.conversation import Answer, Text
from core.events import Event, PartDelta, PartEnded, PartStarted, Started
from core.models.resolve import facts_for
from core.translation.rules import RULES
from core.translation.single_call import CallLimiter, keeps_one_call
from tests.core.translation.cases import call, conversation, prepared, said


@pytest.mark.parametrize(
    ("format_name", "model", "parallel", "limited"),
    [
        ("generate_content", "gemini-2.5-flash", False, True),
        ("generate_content", "gemini-2.5-flash", None, False),
        ("converse", "us.amazon.nova-pro-v1:0", False, True),
        ("converse", "us.anthropic.claude-opus-5-5", False, False),
        ("responses", "gpt-5", False, False),
    ],
)
def test_where_the_gateway_keeps_one_call(format_name: str, model: str, parallel: bool | None, limited: bool) -> None:
    source = conversation(parallel_tool_calls=parallel)
    assert keeps_one_call(source, RULES[format_name], facts_for(model)) is limited


def test_the_first_call_stays() -> None:
    source = conversation(said("user", "x"), parallel_tool_calls=False)
    restore = prepared(source, "generate_content", "gemini-2.5-flash").restore
    answer = restore.answer(Answer("r", "m", [Text("a"), call("1"), call("2"), Text("b")]))
    assert answer.content == [Text("a"), call("1"), Text("b")]


def test_a_stream_has_no_gap() -> None:
    events: list[Event] = [
        Started("r", "m"),
        PartStarted(0, call("1")),
        PartDelta(0, "arguments", "{}"),
        PartEnded(0, call("1")),
        PartStarted(1, call("2")),
        PartDelta(1, "arguments", "{}"),
        PartEnded(1, call("2")),
        PartStarted(2, Text("")),
        PartDelta(2, "text", "b"),
        PartEnded(2, Text("b")),
    ]
    limiter = CallLimiter()
    kept = [new for event in events for new in limiter.feed(event)]
    assert [event.index for event in kept[1:]] == [0, 0, 0, 1, 1, 1]  # type: ignore[union-attr]
