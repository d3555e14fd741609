"""From model ids to facts."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from core.models import families
from core.models.ids import bare_id
from core.models.resolve import facts_for

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-6-v1"


@pytest.mark.parametrize(
    ("model_id", "name", "vendor"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5", ""),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", "anthropic"),
        ("global.anthropic.claude-opus-5-5", "claude-opus-5-5", "anthropic"),
        ("us-gov.anthropic.claude-sonnet-5", "claude-sonnet-5", "anthropic"),
        (ARN, "claude-opus-4-6", "anthropic"),
        ("anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet", "anthropic"),
        ("openrouter/anthropic/claude-sonnet-4.5", "claude-sonnet-4-5", "anthropic"),
        ("databricks-claude-sonnet-4", "claude-sonnet-4", ""),
        ("system.ai.claude-opus-5", "claude-opus-5", ""),
        ("claude-opus-4-1@20250805", "claude-opus-4-1", ""),
        ("anthropic.claude-v2:1", "claude-v2", "anthropic"),
        ("models/gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash", ""),
        ("publishers/google/models/gemini-3-pro-preview", "gemini-3-pro-preview", "google"),
        ("ft:gpt-4o-2024-08-06", "gpt-4o", ""),
        ("us.openai.gpt-5.6-sol", "gpt-5.6-sol", "openai"),
        ("amazon.nova-pro-v1:0:300k", "nova-pro", "amazon"),
        ("GPT-5", "gpt-5", ""),
        ("", "", ""),
    ],
)
def test_the_bare_id(model_id: str, name: str, vendor: str) -> None:
    assert bare_id(model_id) == (name, vendor)


@pytest.mark.parametrize(
    ("model_id", "family", "vendor"),
    [
        ("claude-3-opus-20240229", "claude-3", "anthropic"),
        ("claude-3-5-haiku-20241022", "claude-3-5", "anthropic"),
        ("claude-3.7-sonnet", "claude-3-7-sonnet", "anthropic"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4", "anthropic"),
        ("claude-opus-4-20250514", "claude-opus-4", "anthropic"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1", "anthropic"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5", "anthropic"),
        ("claude-opus-4-5", "claude-opus-4-5", "anthropic"),
        ("claude-opus-4-6", "claude-opus-4-6", "anthropic"),
        ("claude-opus-4-7-20260416", "claude-opus-4-7", "anthropic"),
        ("claude-opus-4-8", "claude-opus-4-8", "anthropic"),
        ("claude-sonnet-5", "claude-sonnet-5", "anthropic"),
        ("claude-sonnet-5-20260301", "claude-sonnet-5", "anthropic"),
        ("claude-sonnet-5-5", "claude-sonnet-5-5", "anthropic"),
        ("claude-opus-5", "claude-opus-5", "anthropic"),
        ("claude-opus-5-5", "claude-opus-5-5", "anthropic"),
        ("claude-haiku-5-5", "claude-haiku-5-5", "anthropic"),
        ("claude-fable-5", "claude-fable-5", "anthropic"),
        ("claude-fable-5-20260201", "claude-fable-5", "anthropic"),
        ("claude-fable-5-2", "claude-fable-5-1", "anthropic"),
        ("claude-mythos-preview", "claude-mythos-5", "anthropic"),
        ("claude-mythos-5-1", "claude-mythos-5-1", "anthropic"),
        ("claude-next-thing", "claude", "anthropic"),
        ("anthropic.claude-v2:1", "claude-2", "anthropic"),
        ("gpt-4o-mini", "gpt-4o", "openai"),
        ("gpt-4.1-nano", "gpt-4.1", "openai"),
        ("gpt-4-turbo", "gpt-4", "openai"),
        ("o3-mini", "o-series", "openai"),
        ("o4-mini-2025-04-16", "o-series", "openai"),
        ("gpt-5-mini", "gpt-5", "openai"),
        ("gpt-5-chat-latest", "gpt-5-chat", "openai"),
        ("gpt-5.1-codex-max", "gpt-5.1-codex-max", "openai"),
        ("gpt-5.4-pro", "gpt-5-pro", "openai"),
        ("gpt-5.5", "gpt-5.4", "openai"),
        ("gpt-5.6-luna", "gpt-5.6", "openai"),
        ("gpt-6-luna", "gpt-6", "openai"),
        ("gpt-6.1-sol", "gpt-6.1-sol", "openai"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss", "openai"),
        ("gemini-2.0-flash", "gemini-2.0", "google"),
        ("gemini-2.5-pro", "gemini-2.5-pro", "google"),
        ("gemini-3.1-pro-preview", "gemini-3-pro", "google"),
        ("gemini-3-flash-preview", "gemini-3", "google"),
        ("gemini-3.8-flash", "gemini-3.7", "google"),
        ("gemini-4-pro", "gemini-next", "google"),
        ("us.amazon.nova-pro-v1:0", "nova", "amazon"),
        ("amazon.nova-2-lite-v1:0", "nova-2", "amazon"),
        ("amazon.titan-text-express-v1", "titan", "amazon"),
        ("us.meta.llama3-3-70b-instruct-v1:0", "llama", "meta"),
        ("meta.llama3-2-90b-instruct-v1:0", "llama-3.2-vision", "meta"),
        ("mistral.mistral-large-2407-v1:0", "mistral", "mistral"),
        ("mistral.pixtral-large-2502-v1:0", "pixtral", "mistral"),
        ("us.deepseek.r1-v1:0", "deepseek-r1", "deepseek"),
        ("deepseek.v3-v1:0", "deepseek", "deepseek"),
        ("qwen.qwen3-vl-235b-a22b", "qwen-vl", "qwen"),
        ("cohere.command-r-plus-v1:0", "command", "cohere"),
        ("x-ai/grok-4", "grok", "xai"),
        ("google/some-new-thing", "some-new-thing", "google"),
        ("my-own-deployment", "my-own-deployment", ""),
    ],
)
def test_an_id_tells_the_family_and_the_vendor(model_id: str, family: str, vendor: str) -> None:
    facts = facts_for(model_id)
    assert (facts.family, facts.vendor) == (family, vendor)


def test_an_unknown_model_may_do_everything_plain() -> None:
    facts = facts_for("my-own-deployment")
    assert facts.sampling
    assert facts.forced_tool_choice
    assert facts.prefill
    assert facts.efforts == ()


@pytest.mark.parametrize(
    ("provider", "vendor"),
    [("azure-openai", "openai"), ("azure-foundry", "anthropic"), ("gemini", "google"), ("bedrock", ""), ("", "")],
)
def test_a_deployment_name_takes_its_vendor_from_the_backend(provider: str, vendor: str) -> None:
    facts = facts_for("my-own-deployment", provider)
    assert (facts.vendor, facts.unknown, facts.family) == (vendor, True, "my-own-deployment")
    assert facts_for("claude-opus-5", provider).vendor == "anthropic"


def test_every_row_can_be_reached() -> None:
    """A row that an earlier, wider one hides would be dead data."""
    for index, (pattern, facts) in enumerate(families.FAMILIES):
        sample = pattern.replace("[sx]", "x").replace("*", "")
        for bracket in ("[1-9]", "[12]", "[134]", "[2-9]", "[4-9]", "[6-9]", "[45]", "[23]", "[69]", "[78]"):
            sample = sample.replace(bracket, bracket[1] if bracket != "[4-9]" else "4")
        sample = sample.replace("[19][10]b", "11b")
        first = next(row for row in families.FAMILIES if fnmatchcase(sample, row[0]))
        assert first == families.FAMILIES[index] or first[1] == facts, pattern


# What the table of Anthropic's documentation says, line by line.
@pytest.mark.parametrize(
    ("model_id", "thinking", "default", "sampling", "forced", "effort", "prefill", "mid_system"),
    [
        ("claude-haiku-4-5", ("enabled", "disabled"), "off", True, True, None, True, False),
        ("claude-opus-4-5", ("enabled", "disabled"), "off", True, True, "high", True, False),
        ("claude-sonnet-4-6", ("adaptive", "enabled", "disabled"), "off", True, True, "high", False, False),
        ("claude-opus-4-7", ("adaptive", "disabled"), "off", False, True, "high", False, False),
        ("claude-opus-4-8", ("adaptive", "disabled"), "off", False, True, "high", False, True),
        ("claude-sonnet-5", ("adaptive", "disabled"), "on", False, True, "high", False, False),
        ("claude-opus-5", ("adaptive", "disabled"), "on", False, True, "high", False, True),
        ("claude-fable-5", ("adaptive",), "always", False, True, "high", False, True),
        ("claude-opus-5-5", ("adaptive",), "always", False, False, "medium", False, True),
        ("claude-sonnet-5-5", ("adaptive", "between_tools"), "on", False, False, "high", False, True),
        ("claude-haiku-5-5", ("adaptive", "disabled"), "on", False, True, "high", False, False),
        ("claude-fable-5-1", ("adaptive",), "always", False, False, "high", False, True),
    ],
)
def test_the_claude_table(
    model_id: str,
    thinking: tuple[str, ...],
    default: str,
    sampling: bool,
    forced: bool,
    effort: str | None,
    prefill: bool,
    mid_system: bool,
) -> None:
    facts = facts_for(model_id)
    assert facts.thinking == thinking
    assert facts.thinking_default == default
    assert facts.sampling is sampling
    assert facts.forced_tool_choice is forced
    assert facts.default_effort == effort
    assert facts.prefill is prefill
    assert facts.mid_system is mid_system


@pytest.mark.parametrize(
    ("model_id", "efforts", "chat_tools"),
    [
        ("gpt-5", ("minimal", "low", "medium", "high"), True),
        ("gpt-5.1", ("none", "low", "medium", "high"), True),
        ("gpt-5.4", ("none", "low", "medium", "high", "xhigh"), False),
        ("gpt-6-sol", ("none", "low", "medium", "high", "xhigh", "max"), False),
        ("gpt-6.1-sol", ("low", "medium", "high", "xhigh", "max"), False),
        ("o3", ("low", "medium", "high"), True),
    ],
)
def test_the_gpt_table(model_id: str, efforts: tuple[str, ...], chat_tools: bool) -> None:
    facts = facts_for(model_id)
    assert facts.efforts == efforts
    assert facts.chat_tools_with_reasoning is chat_tools
