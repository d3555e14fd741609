"""A warning names the member that the client sent, in its own spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.conversation import FormatName
from core.errors import GatewayError
from core.formats import load_format
from core.formats.contract import Call, Target
from core.models.resolve import facts_for
from core.translation.paths import spelled
from core.translation.pipeline import translate_request

LOSS = Path(__file__).resolve().parents[1] / "wire" / "loss"
MODELS: dict[FormatName, tuple[str, tuple[str, ...]]] = {
    "chat_completions": ("openai", ("gpt-4.1", "gpt-5.4")),
    "responses": ("openai", ("gpt-4.1", "gpt-5.4")),
    "messages": ("anthropic", ("claude-opus-5-5", "claude-sonnet-4-5")),
    "converse": ("bedrock", ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-pro-v1:0")),
    "generate_content": ("gemini", ("gemini-2.5-pro", "gemini-3-pro-preview")),
}
# Said of what a request does not say: Gemini's VALIDATED mode makes every tool a strict one.
IMPLIED = {"strict", "reasoning", "type", "content"}


def names_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(names_in, value.values()))
    return set().union(*map(names_in, value)) if isinstance(value, list) else set()


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = {**base, **more}
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            both[name] = merged(base[name], value)
    return both


def warnings(client: FormatName, body: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for backend, (provider, models) in MODELS.items():
        for model in models if backend != client else ():
            target = Target(model, "there", provider, facts_for(model, provider))
            try:
                conversation = load_format(client).read_request(body, Call("m"))
                dropped = translate_request(conversation, backend, target).written.dropped
            except GatewayError:
                continue
            found |= {spelled(client, item.path, body) for item in dropped}
    return found


@pytest.mark.parametrize("client", MODELS)
def test_every_warning_names_a_member_of_the_request(client: FormatName) -> None:
    rows = json.loads((LOSS / f"features-{client}.json").read_text("utf-8"))
    unknown: set[tuple[str, str]] = set()
    for name, members in rows["features"].items():
        body = merged(rows["base"], members)
        there = names_in(body) | IMPLIED | {"anthropic-beta"}
        for path in warnings(client, body):
            words = {word for word in path.replace("[", ".").replace("]", "").split(".") if word and not word.isdigit()}
            if not words <= there:
                unknown.add((name, path))
    assert unknown == set()


SPELLINGS: list[tuple[FormatName, str, dict[str, Any], str]] = [
    ("chat_completions", "user", {"safety_identifier": "s"}, "safety_identifier"),
    ("chat_completions", "user", {"user": "u", "safety_identifier": "s"}, "user"),
    ("chat_completions", "max_completion_tokens", {"max_tokens": 9}, "max_tokens"),
    ("chat_completions", "reasoning_effort", {"reasoning": {}}, "reasoning"),
    ("chat_completions", "cache", {"messages": [{"content": [{"cache_control": {}}]}]}, "cache_control"),
    ("chat_completions", "cache.scope", {"cache_control": {"scope": "global"}}, "cache_control.scope"),
    ("chat_completions", "seed", {"seed": 1}, "seed"),
    ("generate_content", "messages[0].content[1].detail", {"contents": []}, "contents[].parts[].detail"),
    ("responses", "messages[1].reasoning", {"input": []}, "input[].reasoning"),
    ("messages", "thinking", {"output_config": {"effort": "low"}}, "output_config.effort"),
    ("messages", "thinking", {"output_config": "low"}, "thinking"),
    ("converse", "anthropic-beta", {"additionalModelRequestFields": {"anthropic_beta": []}},
     "additionalModelRequestFields.anthropic_beta"),
    ("generate_content", "generationConfig.responseJsonSchema", {"generationConfig": {"responseMimeType": "x"}},
     "generationConfig.responseMimeType"),
]  # fmt: skip


@pytest.mark.parametrize(("client", "path", "body", "expected"), SPELLINGS)
def test_spellings(client: FormatName, path: str, body: dict[str, Any], expected: str) -> None:
    assert spelled(client, path, body) == expected
