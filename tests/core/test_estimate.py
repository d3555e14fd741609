"""The worst case that is reserved is never less than the truth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.estimate import UNKNOWN_MAX_OUTPUT, input_tokens, output_tokens
from core.generation import read_generation
from core.http import Request
from core.routes import match
from core.routing.registry import Candidate, make_backend


def generation(path: str, **members: Any) -> Any:
    body = json.dumps({"model": "m", **members}).encode()
    endpoint = match("POST", path, {})
    return read_generation(Request("POST", path, "", {}, body), endpoint)


def candidate(model: str = "gpt-5", **defaults: Any) -> Candidate:
    return Candidate(make_backend("b", "openai", {"api_key": "k"}), model, defaults=defaults)


CHAT = ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]})
GEMINI = ("/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]})
CONVERSE = ("/model/m/converse", {"messages": [{"role": "user", "content": [{"text": "hi"}]}]})


@pytest.mark.parametrize(
    ("request_of", "members", "most"),
    [
        (CHAT, {"max_completion_tokens": 50}, 50),
        (CHAT, {"max_tokens": 70, "n": 3}, 210),
        (CHAT, {"max_tokens": True}, 128_000),
        (GEMINI, {"generationConfig": {"maxOutputTokens": 30, "candidateCount": 2}}, 60),
        (GEMINI, {"generationConfig": 3}, 128_000),
        (CONVERSE, {"inferenceConfig": {"maxTokens": 9}}, 9),
    ],
)
def test_how_long_an_answer_may_be(request_of: Any, members: dict[str, Any], most: int) -> None:
    assert output_tokens(generation(request_of[0], **request_of[1], **members), candidate()) == most


RESPONSES = ("/v1/responses", {"input": "hi"})
MESSAGES = ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}]})


@pytest.mark.parametrize(
    ("request_of", "members", "most"),
    [
        (CHAT, {"max_output_tokens": 5}, 128_000),
        (RESPONSES, {"max_tokens": 5}, 128_000),
        (RESPONSES, {"max_output_tokens": 6}, 6),
        (("/v1/chat/completions", RESPONSES[1]), {"max_output_tokens": 7}, 7),
        (MESSAGES, {"max_tokens": 8, "generationConfig": {"maxOutputTokens": 9}}, 8),
        (GEMINI, {"max_tokens": 5}, 128_000),
        (CONVERSE, {"max_tokens": 5, "inferenceConfig": {}}, 128_000),
    ],
)
def test_another_formats_limit_is_none(request_of: Any, members: dict[str, Any], most: int) -> None:
    """Backends pay no heed to it, and a budget must hold all the same."""
    assert output_tokens(generation(request_of[0], **request_of[1], **members), candidate()) == most


@pytest.mark.parametrize(
    ("request_of", "members", "most"),
    [
        (CHAT, {"max_tokens": 100, "reasoning_effort": "high"}, 100 + 16_384),
        (CHAT, {"max_tokens": 100, "reasoning": {"max_tokens": 2000}}, 2100),
        (CHAT, {"max_tokens": 100, "reasoning_effort": "extreme"}, 100),
        (CHAT, {"max_tokens": 100_000, "reasoning_effort": "high"}, 100_000),
        (RESPONSES, {"max_output_tokens": 100, "reasoning": {"effort": "Medium"}}, 100 + 8192),
        (GEMINI, {"generationConfig": {"maxOutputTokens": 30, "thinkingConfig": {"thinkingBudget": 4000}}}, 4030),
        (MESSAGES, {"max_tokens": 100, "thinking": {"type": "enabled", "budget_tokens": 2000}}, 100),
    ],
)
def test_reasoning_that_a_translation_puts_on_top(request_of: Any, members: dict[str, Any], most: int) -> None:
    claude = Candidate(make_backend("b", "anthropic", {"api_key": "k"}), "claude-sonnet-4-5")
    asked = generation(request_of[0], **request_of[1], **members)
    assert output_tokens(asked, claude) == most
    if request_of is CHAT:
        gpt = Candidate(make_backend("b", "openai", {"api_key": "k", "format": "responses"}), "gpt-5")
        assert output_tokens(asked, gpt) == members["max_tokens"], "there it counts within the limit"
    claude.defaults = {"reasoning_effort": "max"}
    assert output_tokens(asked, claude) >= (100 if request_of is MESSAGES else 64_000)


def test_defaults_and_unknown_models() -> None:
    asked = generation(CHAT[0], **CHAT[1])
    assert output_tokens(asked, candidate(max_tokens=11)) == 11
    assert output_tokens(asked, candidate("nobody-knows-this")) == UNKNOWN_MAX_OUTPUT
    assert output_tokens(generation("/v1/embeddings", input="hi"), candidate()) == 0


def test_a_prompt_is_estimated_from_its_bytes() -> None:
    assert input_tokens(b"x" * 4001) == 3001
