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


def test_defaults_and_unknown_models() -> None:
    asked = generation(CHAT[0], **CHAT[1])
    assert output_tokens(asked, candidate(max_tokens=11)) == 11
    assert output_tokens(asked, candidate("nobody-knows-this")) == UNKNOWN_MAX_OUTPUT
    assert output_tokens(generation("/v1/embeddings", input="hi"), candidate()) == 0


def test_a_prompt_is_estimated_from_its_bytes() -> None:
    assert input_tokens(b"x" * 4001) == 3001
