"""Whole answers and streams of events, one from the other."""

from __future__ import annotations

import pytest

from core.conversation import Answer, Citation, Image, Reasoning, Refusal, Source, Stop, Text, ToolCall
from core.errors import UpstreamFault, upstream_fault
from core.events import Failed, PartDelta, Ping, Started, answer_of, apply_delta, deltas_of, empty_copy, events_of

BLOCKS = [
    Text("Hi", citations=[Citation(url="https://h")], signature="s"),
    Text(""),
    Reasoning(["a", "", "b"], signature="sig"),
    Reasoning(["unsigned"]),
    Reasoning(redacted="opaque"),
    ToolCall("c1", "weather", '{"city":"Rome"}'),
    ToolCall("c2", "now"),
    Refusal("No"),
    Refusal(""),
    Image(Source("url", "https://h/p.png")),
]


@pytest.mark.parametrize("block", BLOCKS)
def test_deltas_fill_a_skeleton_up_to_the_block(block: object) -> None:
    copy = empty_copy(block)  # type: ignore[arg-type]
    for delta in deltas_of(0, block):  # type: ignore[arg-type]
        apply_delta(copy, delta)
    assert copy == block


def test_a_whole_answer_as_a_stream_and_back() -> None:
    answer = Answer("id", "m", list(BLOCKS), Stop("tool_use"), created=7)  # type: ignore[arg-type]
    assert answer_of([*events_of(answer), Ping()]) == answer


def test_a_failure_is_raised() -> None:
    with pytest.raises(UpstreamFault, match="broke"):
        answer_of([Started("id"), Failed(upstream_fault("upstream", "broke", 502))])


def test_a_delta_that_a_block_cannot_take_is_a_defect() -> None:
    with pytest.raises(ValueError, match="a Text takes no arguments delta"):
        apply_delta(Text("x"), PartDelta(0, "arguments", "{}"))
