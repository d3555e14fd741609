"""The message list, shaped step by step."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import CacheMark, Image, Message, Opaque, OutputFormat, Reasoning, Source, Text, ToolResult
from core.models.facts import ModelFacts
from core.models.resolve import facts_for
from core.translation.losses import Losses
from core.translation.rules import CHAT_COMPLETIONS, CONVERSE, MESSAGES, RESPONSES, FormatRules
from core.translation.turns import (
    CONTINUE,
    IMAGE_FOLLOWS,
    MEDIA_FOLLOW,
    MEDIA_OF_ANSWER,
    MISSING_RESULT,
    PLACEHOLDER,
    answered_calls,
    leading_system,
    merged_turns,
    placed_system,
    without_bare_ending,
    without_billing_header,
    without_drawn_media,
    without_empty_text,
    without_prefill,
)
from tests.core.translation.cases import call, result, said, shape

OPUS = facts_for("claude-opus-5")
SONNET = facts_for("claude-sonnet-4-5")
GPT = facts_for("gpt-5")
BILLING = "x-anthropic-billing-header: cc_version=2.1.329; cch=abc"


def test_the_leading_run_of_system_text() -> None:
    assert leading_system([said("system", "a"), said("developer", "b"), said("user", "c")]) == 2
    assert leading_system([said("system", "a")]) == 1
    assert leading_system([]) == 0


def test_the_billing_line_goes_everywhere_but_to_anthropic() -> None:
    messages = [said("system", BILLING, "You are"), said("user", BILLING), said("system", BILLING)]
    losses = Losses("messages")
    assert without_billing_header(messages, "anthropic", losses) is messages
    assert losses.dropped == []
    kept = without_billing_header(messages, "bedrock", losses)
    assert shape(kept) == [("system", ["You are"]), ("user", [BILLING]), ("system", [BILLING])]
    assert [warning.path for warning in losses.dropped] == ["system"]
    assert without_billing_header([said("system", BILLING)], "bedrock", losses) == []


REMIND = "<system-reminder>\nmind\n</system-reminder>"


@pytest.mark.parametrize(
    ("rules", "facts", "behind", "expected"),
    [
        (MESSAGES, OPUS, "assistant", ("system", ["mind"])),
        (MESSAGES, OPUS, None, ("system", ["mind"])),
        (MESSAGES, OPUS, "user", ("user", [REMIND])),
        (MESSAGES, SONNET, "assistant", ("user", [REMIND])),
        (CONVERSE, OPUS, "assistant", ("user", [REMIND])),
        (CHAT_COMPLETIONS, GPT, "assistant", ("system", ["mind"])),
    ],
)
def test_system_text_between_turns(
    rules: FormatRules, facts: ModelFacts, behind: str | None, expected: tuple[str, list[str]]
) -> None:
    messages = [said("system", "first"), said("user", "hello"), said("system", "mind")]
    if behind == "assistant":
        messages.append(said("assistant", "yes"))
    elif behind == "user":
        messages.append(said("user", "again"))
    placed = shape(placed_system(messages, rules, facts))
    assert placed[0] == ("system", ["first"])
    assert placed[2] == expected


def test_system_text_behind_the_assistant_is_folded() -> None:
    messages = [said("user", "a"), said("assistant", "b"), said("system", "mind"), said("assistant", "c")]
    assert shape(placed_system(messages, MESSAGES, OPUS))[2] == ("user", [REMIND])


def test_a_folded_reminder_keeps_its_cache_mark_and_other_blocks() -> None:
    image = Image(Source("url", "https://x/y.png"))
    marked = Message("system", [Text("mind", cache=CacheMark("1h")), image])
    folded = placed_system([said("user", "a"), marked], CONVERSE, OPUS)[1]
    assert folded.content == [Text(REMIND, cache=CacheMark("1h")), image]


def test_a_folded_block_says_its_words() -> None:
    late = Message("system", [Opaque("messages", "tool_addition", {}, text="Late.")], extra={"clear_at": "never"})
    for losses in (None, Losses("messages")):
        folded = placed_system([said("user", "a"), late], CONVERSE, OPUS, losses)[1]
        assert folded.content == [Text("<system-reminder>\nLate.\n</system-reminder>")]
    assert losses is not None and [item.path for item in losses.dropped] == ["messages.clear_at", "messages"]


def test_developers_exist_for_openai_only() -> None:
    messages = [said("developer", "a"), said("user", "b"), said("developer", "c")]
    assert [message.role for message in placed_system(messages, RESPONSES, GPT)] == ["developer", "user", "developer"]
    llama = facts_for("llama-3")
    assert [message.role for message in placed_system(messages, CHAT_COMPLETIONS, llama)] == [
        "system",
        "user",
        "system",
    ]


def test_results_stand_behind_their_calls_in_their_order() -> None:
    messages = [
        said("user", "go"),
        said("assistant", call("1")),
        said("assistant", call("2")),
        said("system", "mind"),
        said("tool", result("2", "two")),
        said("user", "text", result("1", "one")),
    ]
    assert shape(answered_calls(messages, CHAT_COMPLETIONS)) == [
        ("user", ["go"]),
        ("assistant", ["call look 1", "call look 2"]),
        ("tool", ["result 1: one"]),
        ("tool", ["result 2: two"]),
        ("system", ["mind"]),
        ("user", ["text"]),
    ]


def test_a_call_without_a_result_gets_one_and_a_late_result_becomes_text() -> None:
    messages = [
        said("assistant", call("1"), call("1")),
        said("assistant", "and"),
        said("user", "well"),
        said("assistant", "so"),
        said("tool", result("1", "late"), result("other", "lost")),
        said("assistant", call("9")),
    ]
    assert shape(answered_calls(messages, MESSAGES)) == [
        ("assistant", ["call look 1", "call look 1", "and"]),
        ("tool", [f"result 1: {MISSING_RESULT}"]),
        ("user", ["well"]),
        ("assistant", ["so"]),
        ("user", ["[Result of the tool call 1]", "late", "[Result of the tool call other]", "lost"]),
        ("assistant", ["call look 9"]),
        ("tool", [f"result 9: {MISSING_RESULT}"]),
    ]


def test_images_of_results_follow_in_a_user_message() -> None:
    image = Image(Source("base64", "AAAA", "image/png"))
    messages = [said("assistant", call("1")), said("user", ToolResult("1", [Text("see"), image]), "next")]
    assert shape(answered_calls(messages, CHAT_COMPLETIONS))[1:] == [
        ("tool", [f"result 1: see {IMAGE_FOLLOWS}"]),
        ("user", ["[Image of the tool call 1]", "Image"]),
        ("user", ["next"]),
    ]
    assert shape(answered_calls(messages, RESPONSES))[1:] == [("tool", ["result 1: see Image"]), ("user", ["next"])]
    plain = [said("assistant", call("1")), said("tool", result("1"))]
    assert len(answered_calls(plain, CHAT_COMPLETIONS)) == 2


def test_what_the_assistant_drew_follows_in_a_user_message() -> None:
    one, two = Image(Source("url", "https://e/1")), Image(Source("url", "https://e/2"))
    messages = [
        said("user", "draw"), said("assistant", "first", one, call()), said("assistant", two), said("tool", result()),
        said("user", "more"), said("assistant", one),
    ]  # fmt: skip
    moved = without_drawn_media(messages)
    assert [message.role for message in moved] == ["user", "assistant", "assistant", "user", "tool", "user",
                                                   "assistant", "user"]  # fmt: skip
    assert moved[1].content == [Text("first"), Text(MEDIA_FOLLOW), call()]
    assert moved[3].content == [Text(MEDIA_OF_ANSWER), one, two]
    assert moved[7].content == [Text(MEDIA_OF_ANSWER), one]
    placed = answered_calls(moved, MESSAGES)
    assert [message.role for message in placed] == ["user", "assistant", "tool", "user", "user", "assistant", "user"]
    assert without_drawn_media(messages[:1]) == messages[:1]


def test_turns_are_merged_for_formats_whose_roles_alternate() -> None:
    messages = [
        said("system", "s"),
        said("assistant", "hello"),
        said("tool", result()),
        said("user", "a"),
        said("user", "b"),
    ]
    merged = merged_turns(messages, CONVERSE)
    assert shape(merged) == [
        ("system", ["s"]),
        ("user", [PLACEHOLDER]),
        ("assistant", ["hello"]),
        ("user", ["result call_1: seen", "a", "b"]),
    ]
    assert shape(messages)[2:] == [("tool", ["result call_1: seen"]), ("user", ["a"]), ("user", ["b"])]
    assert merged_turns(messages, CHAT_COMPLETIONS) is messages
    assert merged_turns([said("system", "Be a potato.")], CONVERSE) == [
        said("system", "Be a potato."),
        said("user", "(no content)"),
    ]


def test_blank_text_and_empty_messages() -> None:
    messages = [
        said("system", " "),
        said("user", "", "a", "\n"),
        said("assistant", "  "),
        said("user", ToolResult("1", [Text(""), Text("x")]), Text("", signature="sig")),
        said("assistant", Reasoning(["hm"], signature="c2ln")),
    ]
    assert shape(without_empty_text(messages)) == [
        ("user", ["a"]),
        ("assistant", [PLACEHOLDER]),
        ("user", ["result 1: x", ""]),
        ("assistant", ["Reasoning", PLACEHOLDER]),
    ]


def test_reasoning_that_led_to_no_answer_does_not_end_a_conversation() -> None:
    losses = Losses("messages")
    asked = [said("user", "a"), said("assistant", "b"), said("user", "c")]
    assert without_bare_ending(asked, losses) == asked
    assert without_bare_ending([*asked, said("assistant", " ")], losses) == asked
    assert without_bare_ending([], losses) == losses.dropped == []
    thought = said("assistant", Reasoning(["hm"], signature="c2ln"))
    assert without_bare_ending([*asked, thought, said("assistant", "")], losses) == asked
    assert [warning.path for warning in losses.dropped] == ["messages"]
    begun = [*asked, thought, said("assistant", "Once")]
    assert without_bare_ending(begun, losses) == begun


def test_a_prefill() -> None:
    losses = Losses("messages")
    messages = [said("user", "a"), said("assistant", "Once upon ")]
    assert without_prefill([], SONNET, losses) == []
    assert without_prefill(messages[:1], SONNET, losses) == messages[:1]
    assert shape(without_prefill(messages, SONNET, losses))[-1] == ("assistant", ["Once upon"])
    assert losses.dropped == []
    image = [said("assistant", Image(Source("url", "u")))]
    assert without_prefill(image, SONNET, losses) == image
    assert shape(without_prefill(messages, OPUS, losses))[-2:] == [
        ("assistant", ["Once upon "]),
        ("user", [CONTINUE]),
    ]
    assert [warning.path for warning in losses.dropped] == ["messages"]


@pytest.mark.parametrize(
    ("model", "kind", "begins"),
    [
        ("claude-sonnet-4-5", "text", True),
        ("claude-sonnet-4-5", "json_object", True),
        ("claude-sonnet-4-5", "json_schema", False),
        ("mistral-large", "json_schema", True),
    ],
)
def test_a_prefill_beside_an_output_format(model: str, kind: Any, begins: bool) -> None:
    messages = [said("user", "a"), said("assistant", "Once")]
    found = without_prefill(messages, facts_for(model), Losses("messages"), OutputFormat(kind, schema={}))
    assert (found == messages) is begins
