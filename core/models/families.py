"""The rows: which model ids belong to which family, and the family's facts.

A pattern is a shell glob over the bare model id (`core.models.resolve` strips prefixes, versions and dates).
The first match wins, so a narrower pattern stands above a wider one.

Sources: https://platform.claude.com/docs/en/build-with-claude/extended-thinking,
https://platform.openai.com/docs/guides/reasoning, https://ai.google.dev/gemini-api/docs/thinking,
https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.models.facts import ModelFacts
from core.slotted import replace

if TYPE_CHECKING:
    from core.conversation import Effort

type Row = tuple[str, ModelFacts]

_LOW_TO_HIGH: Final[tuple[Effort, ...]] = ("low", "medium", "high")
_CLAUDE_EFFORTS: Final[tuple[Effort, ...]] = ("low", "medium", "high", "xhigh", "max")
_NONE_TO_XHIGH: Final[tuple[Effort, ...]] = ("none", "low", "medium", "high", "xhigh")
_MEGABYTE = 1024 * 1024

# --- Anthropic -------------------------------------------------------------------------------------------

_CLAUDE_3 = ModelFacts(
    family="claude-3",
    vendor="anthropic",
    structured_output=False,
    structured_output_on_bedrock=False,
    long_cache_on_bedrock=False,
    context_window=200_000,
    max_output=4_096,
    max_images=100,
    max_image_bytes=5 * _MEGABYTE,
    max_document_bytes=32 * _MEGABYTE,
)
_CLAUDE_3_5 = replace(_CLAUDE_3, family="claude-3-5", max_output=8_192)
_CLAUDE_4 = replace(
    _CLAUDE_3,
    family="claude-sonnet-4",
    thinking=("enabled", "disabled"),
    sampling_while_thinking=False,
    forced_tool_choice_while_thinking=False,
    budget_minimum=1_024,
    max_output=64_000,
)
_CLAUDE_3_7 = replace(_CLAUDE_4, family="claude-3-7-sonnet")
_CLAUDE_OPUS_4 = replace(_CLAUDE_4, family="claude-opus-4", max_output=32_000)
_CLAUDE_4_5 = replace(
    _CLAUDE_4,
    family="claude-sonnet-4-5",
    structured_output=True,
    structured_output_on_bedrock=True,
    long_cache_on_bedrock=True,
)
_CLAUDE_OPUS_4_5 = replace(
    _CLAUDE_4_5,
    family="claude-opus-4-5",
    efforts=_LOW_TO_HIGH,
    default_effort="high",
    sampling_while_thinking=True,
)
_CLAUDE_4_6 = replace(
    _CLAUDE_4_5,
    family="claude-4-6",
    thinking=("adaptive", "enabled", "disabled"),
    efforts=("low", "medium", "high", "max"),
    default_effort="high",
    prefill=False,
    context_window=1_000_000,
    max_output=128_000,
)
_CLAUDE_4_7 = replace(
    _CLAUDE_4_6,
    family="claude-opus-4-7",
    thinking=("adaptive", "disabled"),
    efforts=_CLAUDE_EFFORTS,
    sampling=False,
    sampling_while_thinking=False,
    forced_tool_choice_while_thinking=True,
    structured_output_on_bedrock=False,
    latest_anthropic_version="2026-10-21",
)
_CLAUDE_4_8 = replace(_CLAUDE_4_7, family="claude-opus-4-8", mid_system=True)
_CLAUDE_SONNET_5 = replace(_CLAUDE_4_7, family="claude-sonnet-5", thinking_default="on")
_CLAUDE_OPUS_5 = replace(_CLAUDE_SONNET_5, family="claude-opus-5", disable_thinking_up_to="high", mid_system=True)
_CLAUDE_FABLE_5 = replace(
    _CLAUDE_OPUS_5,
    family="claude-fable-5",
    thinking=("adaptive",),
    thinking_default="always",
    disable_thinking_up_to=None,
)
_CLAUDE_OPUS_5_5 = replace(
    _CLAUDE_FABLE_5,
    family="claude-opus-5-5",
    default_effort="medium",
    forced_tool_choice=False,
    forced_tool_choice_while_thinking=False,
)
_CLAUDE_SONNET_5_5 = replace(
    _CLAUDE_OPUS_5_5,
    family="claude-sonnet-5-5",
    thinking=("adaptive", "between_tools"),
    thinking_default="on",
    default_effort="high",
    disable_thinking_up_to="high",
)
_CLAUDE_HAIKU_5_5 = replace(_CLAUDE_OPUS_5, family="claude-haiku-5-5", mid_system=False)
_CLAUDE_FABLE_5_1 = replace(_CLAUDE_OPUS_5_5, family="claude-fable-5-1", default_effort="high")
_CLAUDE = replace(_CLAUDE_4_6, family="claude", sampling_while_thinking=False)

ANTHROPIC: Final[tuple[Row, ...]] = (
    ("claude-haiku-5-5*", _CLAUDE_HAIKU_5_5),
    ("claude-sonnet-5-5*", _CLAUDE_SONNET_5_5),
    ("claude-opus-5-5*", _CLAUDE_OPUS_5_5),
    ("claude-fable-5-[1-9]*", _CLAUDE_FABLE_5_1),
    ("claude-mythos-5-[1-9]*", replace(_CLAUDE_FABLE_5_1, family="claude-mythos-5-1")),
    ("claude-fable-5*", _CLAUDE_FABLE_5),
    ("claude-mythos*", replace(_CLAUDE_FABLE_5, family="claude-mythos-5")),
    ("claude-opus-5*", _CLAUDE_OPUS_5),
    ("claude-sonnet-5*", _CLAUDE_SONNET_5),
    ("claude-opus-4-8*", _CLAUDE_4_8),
    ("claude-opus-4-7*", _CLAUDE_4_7),
    ("claude-opus-4-6*", replace(_CLAUDE_4_6, family="claude-opus-4-6")),
    ("claude-sonnet-4-6*", replace(_CLAUDE_4_6, family="claude-sonnet-4-6", max_output=64_000)),
    ("claude-opus-4-5*", _CLAUDE_OPUS_4_5),
    ("claude-sonnet-4-5*", _CLAUDE_4_5),
    ("claude-haiku-4-5*", replace(_CLAUDE_4_5, family="claude-haiku-4-5")),
    ("claude-opus-4-1*", replace(_CLAUDE_OPUS_4, family="claude-opus-4-1")),
    ("claude-opus-4*", _CLAUDE_OPUS_4),
    ("claude-sonnet-4*", _CLAUDE_4),
    ("claude-4-sonnet*", _CLAUDE_4),
    ("claude-4-opus*", _CLAUDE_OPUS_4),
    ("claude-3-7-sonnet*", _CLAUDE_3_7),
    ("claude-3-5-*", _CLAUDE_3_5),
    ("claude-3-*", _CLAUDE_3),
    ("claude-instant*", replace(_CLAUDE_3, family="claude-2", tools=False, images=False, cache_marks=False)),
    ("claude-v[12]*", replace(_CLAUDE_3, family="claude-2", tools=False, images=False, cache_marks=False)),
    ("claude-2*", replace(_CLAUDE_3, family="claude-2", tools=False, images=False, cache_marks=False)),
    # Unknown aliases are treated as a recent model that everything plain works on.
    ("claude*", _CLAUDE),
)

# --- OpenAI ----------------------------------------------------------------------------------------------

_GPT_4O = ModelFacts(
    family="gpt-4o",
    vendor="openai",
    prefill=False,
    mid_system=True,
    cache_marks=False,
    context_window=128_000,
    max_output=16_384,
)
_GPT_4_1 = replace(_GPT_4O, family="gpt-4.1", context_window=1_047_576, max_output=32_768)
_GPT_OLD = replace(_GPT_4O, family="gpt-4", structured_output=False, images=False, documents=False, max_output=4_096)
_O_SERIES = replace(
    _GPT_4O,
    family="o-series",
    efforts=_LOW_TO_HIGH,
    default_effort="medium",
    sampling=False,
    sampling_while_thinking=False,
    reasoning_model=True,
    stop_sequences=False,
    thinking_default="always",
    context_window=200_000,
    max_output=100_000,
)
_GPT_5 = replace(
    _O_SERIES,
    family="gpt-5",
    efforts=("minimal", "low", "medium", "high"),
    custom_tools=True,
    context_window=400_000,
    max_output=128_000,
)
_GPT_5_PRO = replace(_GPT_5, family="gpt-5-pro", efforts=("high",), default_effort="high")
_GPT_5_CODEX = replace(_GPT_5, family="gpt-5-codex", efforts=_LOW_TO_HIGH)
_GPT_5_1 = replace(
    _GPT_5,
    family="gpt-5.1",
    efforts=("none", "low", "medium", "high"),
    default_effort="none",
    sampling=True,
    thinking_default="off",
)
_GPT_5_2 = replace(_GPT_5_1, family="gpt-5.2", efforts=_NONE_TO_XHIGH)
_GPT_5_4 = replace(_GPT_5_2, family="gpt-5.4", chat_tools_with_reasoning=False, context_window=1_050_000)
_GPT_5_6 = replace(_GPT_5_4, family="gpt-5.6", default_effort="medium", thinking_default="on", cache_marks=True)
_GPT_6 = replace(_GPT_5_6, family="gpt-6", efforts=(*_NONE_TO_XHIGH, "max"))
_GPT_6_ALWAYS = replace(
    _GPT_6, family="gpt-6-always", efforts=_CLAUDE_EFFORTS, sampling=False, thinking_default="always"
)
_CHAT_LATEST = replace(_GPT_4O, family="gpt-5-chat")
_GPT_OSS = replace(
    _O_SERIES,
    family="gpt-oss",
    sampling=True,
    sampling_while_thinking=True,
    stop_sequences=True,
    images=False,
    documents=False,
    context_window=131_072,
    max_output=None,
)

OPENAI: Final[tuple[Row, ...]] = (
    ("gpt-oss*", _GPT_OSS),
    ("gpt-6.1-sol*", replace(_GPT_6_ALWAYS, family="gpt-6.1-sol")),
    ("gpt-6-astra*", replace(_GPT_6_ALWAYS, family="gpt-6-astra")),
    ("gpt-6-rosalind*", replace(_GPT_6_ALWAYS, family="gpt-6-rosalind")),
    ("gpt-6*", _GPT_6),
    ("gpt-5*-chat*", _CHAT_LATEST),
    (
        "gpt-5.[2-9]-pro*",
        replace(
            _GPT_5_4,
            family="gpt-5-pro",
            efforts=("medium", "high", "xhigh"),
            default_effort="high",
            sampling=False,
            thinking_default="always",
        ),
    ),
    ("gpt-5.[6-9]*", _GPT_5_6),
    ("gpt-5.[45]*", _GPT_5_4),
    (
        "gpt-5.1-codex-max*",
        replace(_GPT_5_CODEX, family="gpt-5.1-codex-max", efforts=(*_LOW_TO_HIGH, "xhigh")),
    ),
    ("gpt-5.[23]-codex*", replace(_GPT_5_CODEX, family="gpt-5.2-codex", efforts=(*_LOW_TO_HIGH, "xhigh"))),
    ("gpt-5*-codex*", _GPT_5_CODEX),
    ("gpt-5.[23]*", _GPT_5_2),
    ("gpt-5.1*", _GPT_5_1),
    ("gpt-5-pro*", _GPT_5_PRO),
    ("gpt-5*", _GPT_5),
    ("gpt-4.1*", _GPT_4_1),
    ("gpt-4o-audio*", replace(_GPT_4O, family="gpt-4o-audio", audio=True, images=False)),
    ("gpt-audio*", replace(_GPT_4O, family="gpt-audio", audio=True, images=False)),
    ("gpt-4o*", _GPT_4O),
    ("chatgpt-4o*", _GPT_4O),
    ("gpt-4-32k*", replace(_GPT_OLD, context_window=32_768)),
    ("gpt-4-0314*", replace(_GPT_OLD, context_window=8_192)),
    ("gpt-4-0613*", replace(_GPT_OLD, context_window=8_192)),
    ("gpt-4-*", _GPT_OLD),
    ("gpt-4.5*", _GPT_OLD),
    ("gpt-4*", replace(_GPT_OLD, context_window=8_192)),
    ("gpt-3.5*", replace(_GPT_OLD, family="gpt-3.5", context_window=16_385)),
    ("gpt-35*", replace(_GPT_OLD, family="gpt-3.5", context_window=16_385)),
    ("o[134]-pro*", replace(_O_SERIES, family="o-pro")),
    ("o1-mini*", replace(_O_SERIES, family="o1-mini", efforts=(), tools=False)),
    ("o[1-9]*", _O_SERIES),
    ("codex-*", _GPT_5_CODEX),
)

# --- Google ----------------------------------------------------------------------------------------------

_GEMINI_2 = ModelFacts(
    family="gemini-2.0",
    vendor="google",
    structured_output_beside_tools=False,
    cache_marks=False,
    audio=True,
    context_window=1_048_576,
    max_output=8_192,
    max_images=3_000,
)
_GEMINI_2_5 = replace(
    _GEMINI_2,
    family="gemini-2.5",
    thinking=("adaptive", "enabled", "disabled"),
    thinking_default="on",
    budget_maximum=24_576,
    max_output=65_536,
)
_GEMINI_2_5_PRO = replace(
    _GEMINI_2_5,
    family="gemini-2.5-pro",
    thinking=("adaptive", "enabled"),
    thinking_default="always",
    budget_minimum=128,
    budget_maximum=32_768,
)
_GEMINI_3 = replace(
    _GEMINI_2_5,
    family="gemini-3",
    thinking=("adaptive",),
    thinking_default="always",
    thinking_levels=True,
    signed_calls=True,
    structured_output_beside_tools=True,
    efforts=("minimal", "low", "medium", "high"),
    default_effort="high",
    budget_maximum=None,
)
_GEMINI_3_PRO = replace(_GEMINI_3, family="gemini-3-pro", efforts=_LOW_TO_HIGH)
# From 3.5 Flash Lite and 3.6 on, sampling parameters and an ending with the model's turn are refused
# (https://ai.google.dev/gemini-api/docs/generate-content/whats-new-gemini-3.6).
_GEMINI_3_FIXED = replace(_GEMINI_3, family="gemini-3.6", sampling=False, sampling_while_thinking=False, prefill=False)

GOOGLE: Final[tuple[Row, ...]] = (
    ("gemini-3.5-flash-lite*", replace(_GEMINI_3_FIXED, family="gemini-3.5-flash-lite")),
    # The Gemini API hands this one's requests to 3.6 Flash.
    ("gemini-3.5-flash*", replace(_GEMINI_3, family="gemini-3.5-flash", prefill=False)),
    ("gemini-3.[78]*", replace(_GEMINI_3_FIXED, family="gemini-3.7", efforts=_LOW_TO_HIGH)),
    ("gemini-3.[69]*", _GEMINI_3_FIXED),
    ("gemini-3*-pro*", _GEMINI_3_PRO),
    ("gemini-3*", _GEMINI_3),
    ("gemini-2.5-pro*", _GEMINI_2_5_PRO),
    ("gemini-2.5-flash-lite*", replace(_GEMINI_2_5, family="gemini-2.5-flash-lite", thinking_default="off")),
    ("gemini-2.5*", _GEMINI_2_5),
    ("gemini-[12]*", _GEMINI_2),
    ("gemini-[4-9]*", replace(_GEMINI_3_FIXED, family="gemini-next", efforts=_LOW_TO_HIGH)),
    # Aliases of the latest: what all of them take.
    ("gemini*", replace(_GEMINI_3, family="gemini", efforts=_LOW_TO_HIGH, prefill=False)),
    ("gemma*", replace(_GEMINI_2, family="gemma", vendor="google", audio=False, documents=False)),
)

# --- Amazon ----------------------------------------------------------------------------------------------

_NOVA = ModelFacts(
    family="nova",
    vendor="amazon",
    cache_marks_at_tools=False,
    long_cache_on_bedrock=False,
    structured_output=False,
    structured_output_on_bedrock=False,
    context_window=300_000,
    max_output=10_000,
    max_image_bytes=25 * _MEGABYTE,
)
_NOVA_2 = replace(
    _NOVA,
    family="nova-2",
    thinking=("enabled", "disabled"),
    efforts=_LOW_TO_HIGH,
    sampling_while_thinking=False,
    context_window=1_000_000,
    max_output=64_000,
)
_TITAN = ModelFacts(
    family="titan",
    vendor="amazon",
    tools=False,
    images=False,
    cache_marks=False,
    structured_output=False,
    structured_output_on_bedrock=False,
    context_window=42_000,
    max_output=8_000,
)

AMAZON: Final[tuple[Row, ...]] = (
    ("nova-2*", _NOVA_2),
    (
        "nova-micro*",
        replace(_NOVA, family="nova-micro", images=False, documents=False, context_window=128_000),
    ),
    ("nova-premier*", replace(_NOVA, family="nova-premier", context_window=1_000_000)),
    ("nova*", _NOVA),
    ("titan-text-premier*", replace(_TITAN, family="titan-premier", max_output=32_000)),
    ("titan*", _TITAN),
)

# --- Others ----------------------------------------------------------------------------------------------

_OPEN_MODEL = ModelFacts(
    family="open", vendor="", cache_marks=False, structured_output_on_bedrock=False, documents=False
)
_TEXT_ONLY = replace(_OPEN_MODEL, images=False)
_LLAMA = replace(_TEXT_ONLY, family="llama", vendor="meta", forced_tool_choice=False, context_window=128_000)
_MISTRAL = replace(_TEXT_ONLY, family="mistral", vendor="mistral")
_DEEPSEEK = replace(_TEXT_ONLY, family="deepseek", vendor="deepseek", structured_output_on_bedrock=True)
_QWEN = replace(_TEXT_ONLY, family="qwen", vendor="qwen", structured_output_on_bedrock=True)
_COHERE = replace(_TEXT_ONLY, family="command", vendor="cohere")
_GROK = replace(
    _OPEN_MODEL,
    family="grok",
    vendor="xai",
    reasoning_model=True,
    efforts=_LOW_TO_HIGH,
    stop_sequences=False,
)

OTHERS: Final[tuple[Row, ...]] = (
    ("llama-4*", replace(_LLAMA, family="llama-4", images=True)),
    ("llama4*", replace(_LLAMA, family="llama-4", images=True)),
    ("llama3-2-[19][10]b*", replace(_LLAMA, family="llama-3.2-vision", images=True)),
    ("llama2*", replace(_LLAMA, family="llama-2", tools=False, context_window=4_096)),
    ("llama3-[78]*b-*", replace(_LLAMA, family="llama-3", tools=False, context_window=8_192)),
    ("llama*", _LLAMA),
    ("meta-llama*", _LLAMA),
    ("pixtral*", replace(_MISTRAL, family="pixtral", images=True)),
    ("magistral*", replace(_MISTRAL, family="magistral", images=True)),
    ("voxtral*", replace(_MISTRAL, family="voxtral", audio=True)),
    ("ministral*", replace(_MISTRAL, family="ministral", images=True)),
    ("mistral-large-3*", replace(_MISTRAL, family="mistral-large-3", images=True)),
    ("mistral-medium*", replace(_MISTRAL, family="mistral-medium", images=True)),
    ("mistral-7b*", replace(_MISTRAL, family="mistral-7b", tools=False)),
    ("mixtral-8x7b*", replace(_MISTRAL, family="mixtral", tools=False)),
    ("mi[sx]tral*", _MISTRAL),
    ("codestral*", _MISTRAL),
    ("devstral*", _MISTRAL),
    ("deepseek-r1*", replace(_DEEPSEEK, family="deepseek-r1", reasoning_model=True, tools=False)),
    ("r1*", replace(_DEEPSEEK, family="deepseek-r1", reasoning_model=True, tools=False)),
    ("deepseek-reasoner*", replace(_DEEPSEEK, family="deepseek-reasoner", reasoning_model=True)),
    ("deepseek*", _DEEPSEEK),
    ("qwen*-vl*", replace(_QWEN, family="qwen-vl", images=True)),
    ("qwen*", _QWEN),
    ("qwq*", replace(_QWEN, family="qwq", reasoning_model=True)),
    ("command-text*", replace(_COHERE, family="command-text", tools=False)),
    ("command-light*", replace(_COHERE, family="command-light", tools=False)),
    ("command-a-vision*", replace(_COHERE, family="command-vision", images=True, tools=False)),
    ("command*", _COHERE),
    ("grok-[12]*", replace(_GROK, family="grok-2", reasoning_model=False, efforts=(), stop_sequences=True)),
    ("grok-3-mini*", replace(_GROK, family="grok-3-mini", efforts=("low", "high"))),
    ("grok-3*", replace(_GROK, family="grok-3", reasoning_model=False, efforts=(), stop_sequences=True)),
    ("grok*", _GROK),
    ("jamba*", replace(_TEXT_ONLY, family="jamba", vendor="ai21")),
    ("palmyra*", replace(_TEXT_ONLY, family="palmyra", vendor="writer")),
    ("kimi*", replace(_OPEN_MODEL, family="kimi", vendor="moonshot")),
    ("minimax*", replace(_TEXT_ONLY, family="minimax", vendor="minimax")),
    ("glm*", replace(_TEXT_ONLY, family="glm", vendor="zai")),
    ("nemotron*", replace(_TEXT_ONLY, family="nemotron", vendor="nvidia")),
)

FAMILIES: Final[tuple[Row, ...]] = (*ANTHROPIC, *OPENAI, *GOOGLE, *AMAZON, *OTHERS)

# What holds for any model of a vendor, for ids that say nothing: deployment names, profile ARNs.
GENERIC: Final[dict[str, ModelFacts]] = {
    "anthropic": _CLAUDE,
    "openai": replace(_GPT_4O, family="openai", context_window=None, max_output=None),
    "google": replace(_GEMINI_2_5, family="google", max_output=None),
}
