"""Prompt-cache breakpoints made fit: where they may stand, how long they last, how many there are."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import Block, CacheMark, Conversation, FormatName, Refusal, Text, Tool, ToolResult
from core.models.resolve import facts_for
from core.translation.cache_marks import fitted_cache_marks
from core.translation.losses import Losses
from core.translation.rules import RULES
from tests.core.translation.cases import call, conversation, said


def marked(text: str) -> Text:
    return Text(text, cache=CacheMark())


@pytest.mark.parametrize(
    ("to", "model", "expected", "warned"),
    [
        ("messages", "claude-opus-5", "T S ..34", 1),
        ("generate_content", "gemini-3-pro", ". . ....", 1),
        ("converse", "llama3-1-8b", ". . ....", 1),
    ],
)
def test_cache_marks(to: str, model: str, expected: str, warned: int) -> None:
    source = conversation(
        said("system", marked("S")),
        said("user", marked("1"), ToolResult("x", cache=CacheMark())),
        said("user", marked("3"), marked("4")),
        tools=[Tool("T", cache=CacheMark()), Tool("U")],
    )
    losses = Losses("messages")
    kept = fitted_cache_marks(source, RULES[to], facts_for(model), losses)
    blocks: list[Any] = [block for message in kept.messages for block in message.content]
    shown = ["T" if kept.tools[0].cache else ".", " ", "S" if blocks[0].cache else ".", " "]
    shown += [str(place) if block.cache else "." for place, block in enumerate(blocks[1:], 1)]
    assert "".join(shown) == expected
    assert len(losses.dropped) == warned


def test_system_text_between_turns_is_no_more_than_a_message() -> None:
    head = [said("system", marked("S1"), marked("S2"))]
    turns = [
        said("user", marked("1")),
        said("system", marked("late")),
        said("assistant", "a"),
        said("user", marked("2")),
    ]
    source = conversation(*head, *turns, tools=[Tool("T", cache=CacheMark())])
    kept = fitted_cache_marks(source, RULES["messages"], facts_for("claude-opus-4-8"), Losses("messages"))
    texts = [
        block.text
        for message in kept.messages
        for block in message.content
        if isinstance(block, Text) and block.cache
    ]
    assert texts == ["S1", "S2", "2"]


def test_few_cache_marks_stay() -> None:
    source = conversation(said("user", marked("1")), cache=CacheMark())
    assert fitted_cache_marks(source, RULES["messages"], facts_for("claude-opus-5"), Losses("messages")) is source
    bare = fitted_cache_marks(source, RULES["converse"], facts_for("llama3-1-8b"), Losses("messages"))
    assert bare.cache is None


def test_automatic_caching_needs_a_block_that_takes_a_mark() -> None:
    source = conversation(said("user", "a"), said("assistant", Refusal("no")), cache=CacheMark("1h"))
    kept = fitted_cache_marks(source, RULES["converse"], facts_for("claude-opus-4-5"), Losses("messages"))
    assert kept.cache == CacheMark("1h")
    empty = conversation(cache=CacheMark())
    assert fitted_cache_marks(empty, RULES["invoke"], facts_for("claude-opus-4-5"), Losses("messages")) is empty
    last = conversation(said("user", Text("a", cache=CacheMark())), cache=CacheMark("1h"))
    moved = fitted_cache_marks(last, RULES["invoke"], facts_for("claude-opus-4-5"), Losses("messages"))
    assert (moved.cache, moved.messages) == (None, last.messages)


NOVA, OLD, NEW = "us.amazon.nova-pro-v1:0", "anthropic.claude-sonnet-4-20250514-v1:0", "claude-opus-5"


def everywhere(client: FormatName, *times: str | None) -> Conversation:
    """A mark on a tool, on system text, on a call, in a result and on it, and on the last words."""
    tool, system, asked, inside, seen, last = [CacheMark(time) for time in times]
    return conversation(
        said("system", Text("S", cache=system)),
        said("assistant", call(cache=asked)),
        said("user", ToolResult("call_1", [Text("in", cache=inside)], cache=seen), Text("last", cache=last)),
        tools=[Tool("T", cache=tool)],
        format=client,
    )


def times_of(fitted: Conversation) -> list[str]:
    """How long each mark of `everywhere` lasts, `-` where it is gone."""
    blocks: list[Any] = [fitted.tools[0]]
    for message in fitted.messages:
        for block in message.content:
            blocks += [*block.content, block] if isinstance(block, ToolResult) else [block]
    return ["-" if block.cache is None else block.cache.ttl or "5m" for block in blocks]


@pytest.mark.parametrize(
    ("client", "to", "model", "times", "expected"),
    [
        ("messages", "converse", NOVA, ["1h", "1h", None, None, None, "5m"], ["-", "5m", "-", "-", "-", "5m"]),
        ("messages", "converse", OLD, ["1h", None, None, None, None, "1h"], ["5m", "5m", "-", "-", "5m", "5m"]),
        ("messages", "invoke", OLD, ["1h", "1h", "1h", None, None, None], ["5m", "5m", "-", "-", "5m", "5m"]),
        ("messages", "messages", OLD, ["1h", "1h", "1h", None, None, None], ["1h", "1h", "-", "-", "5m", "5m"]),
        ("chat_completions", "messages", NEW, ["5m", "12h", None, None, None, "24h"], ["5m", "5m", *"--", "5m", "5m"]),
        ("responses", "converse", NEW, ["12h", "12h", None, None, "5m", "5m"], ["12h", "12h", "-", "-", "5m", "5m"]),
        ("converse", "messages", NEW, [None, "1h", None, None, None, None], ["5m", "1h", "-", "-", "5m", "5m"]),
        ("messages", "responses", "gpt-6", [None, "12h", None, None, None, "1h"], ["5m", "12h", "-", "-", "5m", "1h"]),
    ],
)
def test_marks_everywhere(
    client: FormatName, to: str, model: str, times: list[str | None], expected: list[str]
) -> None:
    losses = Losses("messages")
    assert times_of(fitted_cache_marks(everywhere(client, *times), RULES[to], facts_for(model), losses)) == expected
    assert losses.dropped


def test_a_block_inside_a_result_is_replaced_alone() -> None:
    inner: list[Block] = [Text("long", cache=CacheMark("1h")), Text("plain")]
    message = said("user", Text("short", cache=CacheMark()), ToolResult("x", inner), Refusal("no"))
    source = conversation(message, format="responses")
    kept = fitted_cache_marks(source, RULES["messages"], facts_for(NEW), Losses("messages"))
    result = kept.messages[0].content[1]
    assert isinstance(result, ToolResult) and result.content == [Text("long", cache=CacheMark()), Text("plain")]
    assert result.content[1] is inner[1]


def test_the_automatic_mark_is_fitted_where_it_falls() -> None:
    source = conversation(said("user", "a"), cache=CacheMark("1h"))
    kept = fitted_cache_marks(source, RULES["invoke"], facts_for(OLD), Losses("messages"))
    assert (kept.cache, kept.messages[0].content) == (None, [Text("a", cache=CacheMark())])
