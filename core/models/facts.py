"""What one model family accepts and refuses, as a value. The rows are in `core.models.families`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from core.slotted import slotted

if TYPE_CHECKING:  # who only passes through and counts has no use for conversations
    from core.conversation import Effort

type Thinking = Literal["adaptive", "enabled", "disabled", "between_tools"]


@slotted(frozen=True)
class ModelFacts:
    """Facts about a model family. The defaults suit an unknown model: everything plain is allowed.

    `vendor` is whose opaque state (signatures, encrypted reasoning) its models read. `thinking`: the values
    of Anthropic's `thinking.type` that are accepted. `efforts`: accepted effort levels, () for none.
    `sampling`: whether temperature, top_p, top_k and penalties may be sent; `sampling_while_thinking`: the first
    three while it reasons. `forced_tool_choice`: whether a tool may be required or named. `prefill`: whether the
    conversation may end with an assistant turn. `mid_system`: whether a system message may stand later on.
    `chat_tools_with_reasoning`: False where function tools with reasoning need the Responses API.
    `structured_output_beside_tools`: False where a request has a format of its answer or tools, not both.
    `thinking_levels`: Gemini's thinkingLevel (3 and later) instead of thinkingBudget. `budget_minimum` and
    `budget_maximum` bound a reasoning budget in tokens (a minimum above 0 with no `disabled`: cannot be off).
    `signed_calls`: tool calls of the current turn must carry their thought signature (Gemini 3 and later).
    `custom_tools`: free-text tools are native. `tools`: whether tools may be sent at all. `cache_marks`:
    whether explicit prompt-cache breakpoints are accepted; `cache_marks_at_tools` at tools, calls and results too;
    `long_cache_on_bedrock` for an hour too. `unknown`: no row matched the id.
    `max_output` is in tokens; `max_images` per request; `max_image_bytes` and `max_document_bytes` are before
    base64.
    """

    family: str
    vendor: str
    thinking: tuple[Thinking, ...] = ()
    thinking_default: Literal["off", "on", "always"] = "off"
    efforts: tuple[Effort, ...] = ()
    default_effort: Effort | None = None
    disable_thinking_up_to: Effort | None = None
    sampling: bool = True
    sampling_while_thinking: bool = True
    forced_tool_choice: bool = True
    forced_tool_choice_while_thinking: bool = True
    prefill: bool = True
    mid_system: bool = False
    chat_tools_with_reasoning: bool = True
    reasoning_model: bool = False
    thinking_levels: bool = False
    structured_output: bool = True
    structured_output_on_bedrock: bool = True
    structured_output_beside_tools: bool = True
    stop_sequences: bool = True
    images: bool = True
    documents: bool = True
    audio: bool = False
    context_window: int | None = None
    max_output: int | None = None
    max_images: int | None = None
    max_image_bytes: int | None = None
    max_document_bytes: int | None = None
    latest_anthropic_version: str = "2023-06-01"
    budget_minimum: int = 0
    budget_maximum: int | None = None
    signed_calls: bool = False
    custom_tools: bool = False
    tools: bool = True
    cache_marks: bool = True
    cache_marks_at_tools: bool = True
    long_cache_on_bedrock: bool = True
    unknown: bool = False
