"""What a client asks for, in each model's words."""

from __future__ import annotations

import pytest

from core.conversation import Effort, FormatName, ReasoningRequest
from core.models.resolve import facts_for
from core.translation.efforts import ANTHROPIC_BUDGETS, GEMINI_BUDGETS, ORDER, effort_of, nearest
from core.translation.losses import Losses
from core.translation.reasoning_request import is_reasoning, reasoning_for, turned_off
from core.translation.rules import RULES
from tests.core.translation.cases import conversation

type Ask = tuple[str | None, Effort | None, int | None]


def wrote(ask: Ask, format_name: str, model: str, client: FormatName = "responses") -> tuple[Ask | None, list[str]]:
    mode, effort, budget = ask
    source = conversation(format=client, reasoning=ReasoningRequest(mode, effort, budget))  # type: ignore[arg-type]
    losses = Losses(client)
    written = reasoning_for(source, RULES[format_name], facts_for(model), losses)
    result = None if written is None else (written.mode, written.effort, written.budget)
    return result, [warning.path for warning in losses.dropped]


# mode, effort, budget as asked -> format, model -> mode, effort, budget as written, and whether with a warning
TABLE: list[tuple[Ask, str, str, Ask | None, bool]] = [
    # Anthropic, adaptive
    (("effort", "high", None), "messages", "claude-opus-4-7", ("adaptive", "high", None), False),
    (("effort", "minimal", None), "messages", "claude-opus-4-7", ("adaptive", "low", None), False),
    (("effort", "xhigh", None), "messages", "claude-sonnet-4-6", ("adaptive", "high", None), False),
    (("effort", "none", None), "messages", "claude-opus-4-7", ("off", None, None), False),
    (("off", "none", None), "messages", "claude-opus-5", ("off", None, None), False),
    (("off", "max", None), "messages", "claude-opus-5", ("off", "high", None), False),
    (("off", None, None), "messages", "claude-sonnet-5-5", ("between_tools", None, None), True),
    (("off", None, None), "messages", "claude-opus-5-5", ("effort", "low", None), True),
    (("off", None, None), "messages", "claude-3-5-haiku", None, False),
    (("budget", None, 8_192), "messages", "claude-opus-5-5", ("adaptive", "medium", None), False),
    (("budget", None, 31_999), "messages", "claude-opus-4-7", ("adaptive", "xhigh", None), False),
    (("adaptive", None, None), "messages", "claude-opus-5", ("adaptive", None, None), False),
    (("adaptive", "max", None), "converse", "claude-opus-5", ("adaptive", "max", None), False),
    (("between_tools", "max", None), "messages", "claude-sonnet-5-5", ("between_tools", "high", None), False),
    (("between_tools", None, None), "messages", "claude-opus-4-7", ("off", None, None), False),
    (("budget", None, 2_000), "messages", "claude-sonnet-4-6", ("budget", None, 2_000), False),
    # Anthropic, budgets
    (("effort", "high", None), "messages", "claude-sonnet-4-5", ("budget", None, 16_384), False),
    (("effort", "high", None), "converse", "claude-opus-4-5", ("budget", "high", 16_384), False),
    (("adaptive", None, None), "messages", "claude-sonnet-4-5", ("budget", None, 16_384), False),
    (("budget", None, 10), "messages", "claude-sonnet-4-5", ("budget", None, 1_024), False),
    (("budget", "high", 2_048), "messages", "claude-sonnet-4-5", ("budget", None, 2_048), True),
    (("budget", None, 2_048), "messages", "claude-3-haiku", None, True),
    (("adaptive", None, None), "messages", "claude-3-haiku", None, True),
    (("off", None, None), "messages", "claude-sonnet-4-5", ("off", None, None), False),
    # OpenAI
    (("budget", None, 10_000), "responses", "gpt-5", ("effort", "medium", None), False),
    (("adaptive", None, None), "responses", "gpt-5", (None, None, None), False),
    (("adaptive", "max", None), "chat_completions", "gpt-5", ("effort", "high", None), False),
    (("off", None, None), "responses", "gpt-5", ("effort", "minimal", None), True),
    (("off", None, None), "responses", "gpt-5.1", ("effort", "none", None), False),
    (("between_tools", None, None), "responses", "gpt-5.4", ("effort", "none", None), False),
    (("effort", "high", None), "chat_completions", "gpt-4o", None, True),
    (("off", None, None), "chat_completions", "gpt-4o", None, False),
    (("adaptive", None, None), "chat_completions", "gpt-4o", None, True),
    (("effort", "high", None), "chat_completions", "my-own", ("effort", "high", None), False),
    (("effort", "high", None), "chat_completions", "claude-sonnet-4-5", ("budget", "high", 16_384), False),
    (("budget", None, 10), "chat_completions", "claude-sonnet-4-5", ("budget", "low", 1_024), False),
    (("off", None, None), "chat_completions", "claude-sonnet-4-5", ("off", None, None), False),
    (("adaptive", None, None), "chat_completions", "claude-sonnet-4-5", ("budget", "high", 16_384), False),
    (("budget", None, 5_000), "chat_completions", "claude-opus-4-5", ("budget", "medium", 5_000), False),
    (("budget", None, 5_000), "chat_completions", "claude-opus-4-6", ("adaptive", "medium", None), False),
    (("adaptive", None, None), "chat_completions", "claude-opus-4-6", ("adaptive", None, None), False),
    (("adaptive", None, None), "chat_completions", "claude-3-haiku", None, True),
    (("off", None, None), "chat_completions", "claude-opus-4-6", ("off", None, None), False),
    (("off", None, None), "chat_completions", "claude-opus-5-5", ("effort", "low", None), True),
    (("effort", "high", None), "converse", "nova-2-lite", ("effort", "high", None), False),
    # Gemini
    (("effort", "max", None), "generate_content", "gemini-3-pro", ("effort", "high", None), False),
    (("off", None, None), "generate_content", "gemini-3-flash", ("effort", "minimal", None), True),
    (("adaptive", None, None), "generate_content", "gemini-3-pro", ("adaptive", None, None), False),
    (("budget", None, 1_024), "generate_content", "gemini-3-pro", ("effort", "low", None), False),
    (("effort", "high", None), "generate_content", "gemini-2.5-flash", ("budget", None, 24_576), False),
    (("effort", "max", None), "generate_content", "gemini-2.5-flash", ("budget", None, 24_576), False),
    (("off", None, None), "generate_content", "gemini-2.5-flash", ("off", None, None), False),
    (("off", None, None), "generate_content", "gemini-2.5-pro", ("budget", None, 128), True),
    (("adaptive", None, None), "generate_content", "gemini-2.5-pro", ("adaptive", None, None), False),
    (("budget", None, 100_000), "generate_content", "gemini-2.5-pro", ("budget", None, 32_768), False),
    (("effort", "low", None), "generate_content", "gemini-2.0-flash", None, True),
    (("off", None, None), "generate_content", "gemini-2.0-flash", None, False),
    (("budget", None, 100), "generate_content", "some-model", ("budget", None, 100), False),
    (("effort", "low", None), "generate_content", "gpt-4o", None, True),
]


@pytest.mark.parametrize(("ask", "format_name", "model", "expected", "warned"), TABLE)
def test_what_a_wish_becomes_at_each_model(
    ask: Ask, format_name: str, model: str, expected: Ask | None, warned: bool
) -> None:
    written, warnings = wrote(ask, format_name, model)
    assert written == expected
    assert bool(warnings) is warned


def test_nothing_asked_nothing_written() -> None:
    assert reasoning_for(conversation(), RULES["messages"], facts_for("claude-opus-5"), Losses("messages")) is None


def test_anthropics_effort_alone_does_not_turn_thinking_on() -> None:
    ask: Ask = ("effort", "high", None)
    assert wrote(ask, "converse", "claude-opus-4-6", "messages") == (("effort", "high", None), [])
    assert wrote(ask, "converse", "claude-sonnet-4-5", "messages") == (None, ["thinking"])
    assert wrote((None, None, None), "converse", "claude-opus-4-6", "messages") == (None, [])


def test_chat_clients_are_shown_the_reasoning() -> None:
    source = conversation(format="chat_completions", reasoning=ReasoningRequest("effort", "low"))
    written = reasoning_for(source, RULES["messages"], facts_for("claude-opus-5"), Losses("chat_completions"))
    assert written is not None and written.display == "summary"


@pytest.mark.parametrize(
    ("request_", "model", "expected"),
    [
        (None, "claude-opus-4-7", False),
        (None, "claude-opus-5", True),
        (None, "gpt-5", True),
        (None, "gpt-5.1", False),
        (ReasoningRequest("effort", "none"), "gpt-5.1", False),
        (ReasoningRequest("effort", "low"), "gpt-5.1", True),
        (ReasoningRequest("off"), "claude-opus-5", False),
        (ReasoningRequest("effort", "low"), "claude-opus-4-7", False),
        (ReasoningRequest("adaptive"), "claude-opus-4-7", True),
        (ReasoningRequest(display="summary"), "gpt-5.1", False),
    ],
)
def test_whether_the_model_will_reason(request_: ReasoningRequest | None, model: str, expected: bool) -> None:
    assert is_reasoning(request_, facts_for(model)) is expected


def test_turned_off() -> None:
    assert turned_off(None) == ReasoningRequest("off")
    assert turned_off(ReasoningRequest("budget", "low", 5, "summary")) == ReasoningRequest("off")


def test_budgets_read_back_give_their_level_again() -> None:
    for level in ("low", "medium", "high", "xhigh"):
        assert effort_of(ANTHROPIC_BUDGETS[level]) == level
    for level in ("low", "medium", "high"):
        assert effort_of(GEMINI_BUDGETS[level]) == level  # type: ignore[index]


def test_the_nearest_level() -> None:
    assert nearest("max", ("none", "low", "high")) == "high"
    assert nearest("low", ("none",)) == "none"
    assert nearest("low", ("medium", "high")) == "medium"
    assert all(nearest(level, ORDER) == level for level in ORDER)
