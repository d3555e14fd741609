"""Knobs cut to what model and format accept."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import ReasoningRequest, Sampling, Tool, ToolChoice
from core.errors import Unsupported
from core.models.resolve import facts_for
from core.translation.knobs import (
    filtered_tools,
    fitted_budget,
    fitted_choice,
    fitted_max_tokens,
    fitted_sampling,
    fitted_stop,
    refuse_members,
)
from core.translation.losses import Losses
from core.translation.rules import RULES
from tests.core.translation.cases import conversation


@pytest.mark.parametrize(
    ("model", "format_name", "members", "expected", "warned"),
    [
        ("claude-opus-4-7", "messages", {"temperature": 0.5, "top_k": 3}, {}, ["temperature", "top_k"]),
        ("claude-sonnet-4-5", "messages", {"temperature": 1.7}, {"temperature": 1.0}, ["temperature"]),
        ("claude-sonnet-4-5", "messages", {"temperature": 0.1, "top_p": 0.9}, {"temperature": 0.1}, ["top_p"]),
        ("claude-sonnet-4-5", "messages", {"top_p": 0.9, "top_k": 4}, {"top_p": 0.9, "top_k": 4}, []),
        ("gpt-5", "responses", {"temperature": 1.0, "presence_penalty": 1.0}, {}, ["temperature", "presence_penalty"]),
        ("gpt-5.1", "responses", {"temperature": 1.5}, {"temperature": 1.5}, []),
        ("gpt-4o", "chat_completions", {"temperature": 1.5, "seed": 1}, {"temperature": 1.5, "seed": 1}, []),
        ("gpt-4o", "chat_completions", {"logprobs": False}, {"logprobs": False}, []),
        ("gpt-4o", "responses", {"logprobs": False, "top_logprobs": 0}, {}, []),
        ("gpt-4o", "responses", {"top_logprobs": 2}, {"top_logprobs": 2}, []),
    ],
)
def test_sampling(
    model: str, format_name: str, members: dict[str, Any], expected: dict[str, Any], warned: list[str]
) -> None:
    losses = Losses("chat_completions")
    source = conversation(sampling=Sampling(**members), format="chat_completions")
    assert fitted_sampling(source, RULES[format_name], facts_for(model), losses) == Sampling(**expected)
    assert [warning.path for warning in losses.dropped] == warned


def test_sampling_while_the_model_thinks() -> None:
    losses = Losses("messages")
    source = conversation(sampling=Sampling(temperature=0.5), reasoning=ReasoningRequest("budget", budget=2_048))
    facts = facts_for("claude-sonnet-4-5")
    assert fitted_sampling(source, RULES["messages"], facts, losses) == Sampling()
    assert losses.dropped[0].reason == "the model refuses it while it reasons"
    assert source.sampling.temperature == 0.5


@pytest.mark.parametrize(
    ("stop", "format_name", "model", "expected", "warned"),
    [
        (["a", "b"], "messages", "claude-opus-5", ["a", "b"], False),
        (["a", " \n"], "messages", "claude-opus-5", ["a"], True),
        (list("abcde"), "chat_completions", "gpt-4o", list("abcd"), True),
        (["a"], "chat_completions", "gpt-5", [], True),
        (["a"], "responses", "gpt-4o", [], True),
        ([], "responses", "gpt-4o", [], False),
        (list("abcdef"), "generate_content", "gemini-2.5-pro", list("abcde"), True),
    ],
)
def test_stop(stop: list[str], format_name: str, model: str, expected: list[str], warned: bool) -> None:
    losses = Losses("messages")
    assert fitted_stop(stop, RULES[format_name], facts_for(model), losses) == expected
    assert bool(losses.dropped) is warned


@pytest.mark.parametrize(
    ("asked", "budget", "format_name", "model", "expected", "warned"),
    [
        (None, None, "messages", "claude-opus-4-5", 64_000, False),
        (None, None, "messages", "my-own", 8_192, False),
        (None, None, "converse", "claude-opus-4-5", None, False),
        (1_000, 2_048, "messages", "claude-sonnet-4-5", 3_048, True),
        (None, 2_048, "messages", "claude-sonnet-4-5", 64_000, False),
        (1_000, 2_048, "chat_completions", "claude-sonnet-4-5", 3_048, True),
        (1_000, 2_048, "generate_content", "gemini-2.5-pro", 1_000, False),
        (128_000, None, "chat_completions", "gpt-4o", 16_384, True),
        (128_000, None, "chat_completions", "my-own", 128_000, False),
    ],
)
def test_max_tokens(
    asked: int | None, budget: int | None, format_name: str, model: str, expected: int | None, warned: bool
) -> None:
    losses = Losses("messages")
    reasoning = ReasoningRequest("budget", budget=budget) if budget else None
    source = conversation(max_tokens=asked, reasoning=reasoning)
    assert fitted_max_tokens(source, RULES[format_name], facts_for(model), losses) == expected
    assert bool(losses.dropped) is warned


def test_the_budget_stays_below_the_limit() -> None:
    request = ReasoningRequest("budget", budget=64_000)
    assert fitted_budget(request, 64_000, None) == ReasoningRequest("budget", budget=63_999)
    assert fitted_budget(request, 64_001, None) is request
    assert fitted_budget(request, None, 5) is request
    assert fitted_budget(None, 5, 5) is None


@pytest.mark.parametrize(
    ("limit", "wanted", "budget"), [(64_000, 5_000, 59_000), (64_000, 60_000, 48_000), (1_200, 300, 1_199)]
)
def test_the_budget_leaves_room_for_the_answer(limit: int, wanted: int, budget: int) -> None:
    request = ReasoningRequest("budget", budget=64_000)
    assert fitted_budget(request, limit, wanted) == ReasoningRequest("budget", budget=budget)


REQUIRED = ToolChoice("required")


@pytest.mark.parametrize(
    ("model", "choice", "reasoning", "expected", "mode", "warned"),
    [
        ("claude-opus-5-5", ToolChoice("auto"), None, ToolChoice("auto"), None, []),
        ("claude-sonnet-4-5", REQUIRED, ReasoningRequest("budget", budget=2_048), REQUIRED, "off", ["thinking"]),
        ("claude-sonnet-4-5", REQUIRED, None, REQUIRED, None, []),
        ("claude-opus-4-7", REQUIRED, ReasoningRequest("adaptive"), REQUIRED, "adaptive", []),
        ("gpt-5", None, None, None, None, []),
    ],
)
def test_a_demanded_call(
    model: str,
    choice: ToolChoice | None,
    reasoning: ReasoningRequest | None,
    expected: ToolChoice | None,
    mode: str | None,
    warned: list[str],
) -> None:
    losses = Losses("messages")
    source = conversation(tool_choice=choice, reasoning=reasoning)
    fitted, request = fitted_choice(source, facts_for(model), losses)
    assert fitted == expected
    assert (request and request.mode) == mode
    assert [warning.path for warning in losses.dropped] == warned


def test_allowed_tools() -> None:
    tools = [Tool("a"), Tool("b")]
    source = conversation(tools=tools, tool_choice=ToolChoice("allowed", ["b"], required=True))
    filtered = filtered_tools(source, RULES["messages"])
    assert filtered.tools == [Tool("b")]
    assert filtered.tool_choice == REQUIRED
    assert filtered_tools(source, RULES["responses"]) is source
    source = conversation(tools=tools, tool_choice=ToolChoice("allowed", ["b"]))
    assert filtered_tools(source, RULES["messages"]).tool_choice == ToolChoice("auto")
    with pytest.raises(Unsupported):
        filtered_tools(conversation(tool_choice=ToolChoice("allowed", ["b"])), RULES["messages"])


@pytest.mark.parametrize(
    ("format_name", "members", "param"),
    [
        ("chat_completions", {"sampling": Sampling(logprobs=True)}, "logprobs"),
        ("chat_completions", {"extra": {"modalities": ["text", "audio"]}}, "modalities"),
        ("responses", {"extra": {"background": True}}, "background"),
        ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("messages", {"extra": {"mcp_servers": [{}]}}, "mcp_servers"),
        ("generate_content", {"extra": {"cachedContent": "cachedContents/a"}}, "cachedContent"),
        (
            "generate_content",
            {"extra": {"generationConfig": {"responseModalities": ["IMAGE"]}}},
            "generationConfig.responseModalities",
        ),
    ],
)
def test_what_no_other_format_can_do(format_name: Any, members: dict[str, Any], param: str) -> None:
    source = conversation(format=format_name, **members)
    refuse_members(source, RULES[format_name])
    with pytest.raises(Unsupported) as caught:
        refuse_members(source, RULES["converse"])
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize(
    ("format_name", "param"), [("chat_completions", "n"), ("generate_content", "generationConfig.candidateCount")]
)
@pytest.mark.parametrize("target", ["chat_completions", "converse", "generate_content"])
def test_a_translated_answer_is_one(format_name: Any, param: str, target: str) -> None:
    """To a backend of the client's own format too: what was translated is told from the neutral answer."""
    with pytest.raises(Unsupported) as caught:
        refuse_members(conversation(format=format_name, sampling=Sampling(n=2)), RULES[target])
    assert caught.value.param == param


def test_values_that_ask_for_nothing_pass() -> None:
    source = conversation(
        format="chat_completions",
        sampling=Sampling(n=1, logprobs=False, top_logprobs=0),
        extra={"modalities": ["text"], "audio": None, "other": 1},
    )
    refuse_members(source, RULES["messages"])
