"""`additionalModelRequestFields`: what a model family takes beside the members that all share, both ways.

https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.conversation import Conversation, Effort, JsonObject, OutputFormat, ReasoningRequest
from core.models.betas import accepted_betas
from core.models.block_binding import BLOCK_BINDING, with_binding
from core.models.facts import ModelFacts
from core.translation.losses import Losses

_EFFORTS: Mapping[str, Effort] = {
    "none": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_DISPLAYS = {"summarized": "summary", "omitted": "none"}
_DISPLAY_WORDS = {"summary": "summarized", "none": "omitted", "full": "summarized"}
_THINKING = frozenset({"type", "budget_tokens", "display"})


def read_model_fields(conversation: Conversation, fields: JsonObject) -> None:
    """Gives `conversation` what `fields` say in words that other formats have too.

    Members of an unknown name or shape stay as they are, in `extra`: the format allows any.
    """
    rest: JsonObject = {}
    for name, value in fields.items():
        reader = _READERS.get(name)
        left = value if reader is None else reader(conversation, value)
        if left is not None:
            rest[name] = left
    if rest:
        conversation.extra["additionalModelRequestFields"] = rest


def _reasoning_of(conversation: Conversation) -> ReasoningRequest:
    if conversation.reasoning is None:
        conversation.reasoning = ReasoningRequest()
    return conversation.reasoning


def _read_thinking(conversation: Conversation, value: Any) -> Any:
    if isinstance(value, str):
        return read_effort(conversation, value)
    kind = value.get("type") if isinstance(value, dict) else None
    budget = value.get("budget_tokens") if isinstance(value, dict) else None
    if kind not in ("adaptive", "enabled", "disabled", "between_tools"):
        return value
    if (kind == "enabled") != (isinstance(budget, int) and not isinstance(budget, bool)):
        return value
    request = _reasoning_of(conversation)
    match kind:
        case "adaptive" | "between_tools":
            request.mode = kind
        case "enabled":
            request.mode, request.budget = "budget", budget
        case _:
            request.mode = "off"
    display = value.get("display")
    if isinstance(display, str):
        request.display = _DISPLAYS.get(display, display)
    request.extra = {name: member for name, member in value.items() if name not in _THINKING}
    return None


def read_effort(conversation: Conversation, value: Any) -> Any:
    """Takes a level of effort over into `conversation`; gives `value` back when it is none."""
    if not isinstance(value, str) or value not in _EFFORTS:
        return value
    request = _reasoning_of(conversation)
    request.effort = _EFFORTS[value]
    if request.mode is None:
        request.mode = "effort"
    return None


def _read_nova_reasoning(conversation: Conversation, value: Any) -> Any:
    if not isinstance(value, dict) or not {"type", "maxReasoningEffort"}.issuperset(value):
        return value
    effort = value.get("maxReasoningEffort")
    if value.get("type") == "disabled" and effort is None:
        _reasoning_of(conversation).mode = "off"
        return None
    if value.get("type") != "enabled" or not isinstance(effort, str) or effort not in _EFFORTS:
        return value
    return read_effort(conversation, effort)


def _read_output_config(conversation: Conversation, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    rest = dict(value)
    if "effort" in rest and read_effort(conversation, rest["effort"]) is None:
        del rest["effort"]
    shape = rest.get("format")
    if isinstance(shape, dict) and shape.keys() == {"type", "schema"} and isinstance(shape["schema"], dict):
        conversation.output_format = OutputFormat("json_schema", shape["schema"])
        del rest["format"]
    return rest or None


def _read_top_k(conversation: Conversation, value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    conversation.sampling.top_k = value
    return None


def _read_nova_sampling(conversation: Conversation, value: Any) -> Any:
    if not isinstance(value, dict) or value.keys() != {"topK"}:
        return value
    return value if _read_top_k(conversation, value["topK"]) is not None else None


def _read_betas(conversation: Conversation, value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(beta, str) for beta in value):
        return value
    conversation.betas = list(value)
    return None


def _read_tool_choice(conversation: Conversation, value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get("disable_parallel_tool_use"), bool):
        return value
    conversation.parallel_tool_calls = not value["disable_parallel_tool_use"]
    return None


_READERS: Mapping[str, Callable[[Conversation, Any], Any]] = {
    "thinking": _read_thinking,
    "reasoning_config": _read_thinking,
    "reasoningConfig": _read_nova_reasoning,
    "reasoning_effort": read_effort,
    "output_config": _read_output_config,
    "top_k": _read_top_k,
    "inferenceConfig": _read_nova_sampling,
    "anthropic_beta": _read_betas,
    "tool_choice": _read_tool_choice,
}


def write_model_fields(conversation: Conversation, facts: ModelFacts, losses: Losses) -> JsonObject:
    """The fields that carry reasoning, top_k, betas and parallel calls to a model of `facts.vendor`."""
    fields: JsonObject = {}
    if conversation.reasoning is not None:
        _REASONING_WRITERS.get(facts.vendor, _no_reasoning)(fields, conversation.reasoning, losses)
    _write_top_k(fields, conversation.sampling.top_k, facts, losses)
    _write_betas(fields, conversation, facts, losses)
    _write_parallel(fields, conversation, facts, losses)
    if conversation.format == "converse":
        extra = conversation.extra.get("additionalModelRequestFields", {})
        for name, value in extra.items():
            own = fields.get(name)
            fields[name] = {**value, **own} if isinstance(own, dict) and isinstance(value, dict) else value
    return fields


def _write_claude_reasoning(fields: JsonObject, request: ReasoningRequest, losses: Losses) -> None:
    kinds = {"adaptive": "adaptive", "between_tools": "between_tools", "off": "disabled", "budget": "enabled"}
    kind = kinds.get(request.mode or "")
    if kind is not None:
        thinking: JsonObject = {"type": kind}
        if request.budget is not None and kind == "enabled":
            thinking["budget_tokens"] = request.budget
        if request.display is not None:
            thinking["display"] = _DISPLAY_WORDS.get(request.display, request.display)
        if BLOCK_BINDING in request.extra:
            thinking[BLOCK_BINDING] = with_binding(request.extra, on_bedrock=True)[BLOCK_BINDING]
        fields["thinking"] = thinking
    if request.effort is not None:
        fields["output_config"] = {"effort": request.effort}
    for name in request.extra:
        if name in fields.get("thinking", ()):
            continue
        losses.add(f"reasoning.{name}", "no model on Bedrock is known to take it")


def _write_effort_as(name: str) -> Callable[[JsonObject, ReasoningRequest, Losses], None]:
    def write(fields: JsonObject, request: ReasoningRequest, losses: Losses) -> None:
        if request.effort is not None:
            fields[name] = request.effort
        elif request.mode != "adaptive":
            losses.add("reasoning", "this model on Bedrock takes a level of effort only")

    return write


def _write_nova_reasoning(fields: JsonObject, request: ReasoningRequest, losses: Losses) -> None:
    if request.mode == "off" or request.effort == "none":
        fields["reasoningConfig"] = {"type": "disabled"}
    elif request.effort is not None:
        fields["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": request.effort}
    elif request.mode != "adaptive":
        losses.add("reasoning", "this model on Bedrock takes a level of effort only")


def _no_reasoning(_fields: JsonObject, request: ReasoningRequest, losses: Losses) -> None:
    if request.mode != "off":
        losses.add("reasoning", "this model on Bedrock has no switch for reasoning")


_REASONING_WRITERS: Mapping[str, Callable[[JsonObject, ReasoningRequest, Losses], None]] = {
    "anthropic": _write_claude_reasoning,
    "openai": _write_effort_as("reasoning_effort"),
    "qwen": _write_effort_as("reasoning_config"),
    "amazon": _write_nova_reasoning,
}


def _write_top_k(fields: JsonObject, top_k: int | None, facts: ModelFacts, losses: Losses) -> None:
    if top_k is None:
        return
    match facts.vendor:
        case "amazon":
            fields["inferenceConfig"] = {"topK": top_k}
        case "anthropic" | "mistral" | "qwen":
            fields["top_k"] = top_k
        case "cohere":
            fields["k"] = top_k
        case _:
            losses.add("top_k", "this model on Bedrock does not take it")


def _write_betas(fields: JsonObject, conversation: Conversation, facts: ModelFacts, losses: Losses) -> None:
    if not conversation.betas:
        return
    dropped: list[str] = []
    if conversation.format == "converse":
        kept = conversation.betas
    elif facts.vendor == "anthropic":
        kept, dropped = accepted_betas("converse", conversation.betas)
    else:
        kept, dropped = [], conversation.betas
    if kept:
        fields["anthropic_beta"] = list(kept)
    for beta in dropped:
        losses.add(f"anthropic-beta.{beta}", "Bedrock's Converse refuses it")


def _write_parallel(fields: JsonObject, conversation: Conversation, facts: ModelFacts, losses: Losses) -> None:
    parallel = conversation.parallel_tool_calls
    if parallel is None or (parallel and conversation.format != "converse") or not conversation.tools:
        return
    if facts.vendor != "anthropic":
        losses.add("parallel_tool_calls", "Converse has no switch for parallel calls")
        return
    fields["tool_choice"] = {**_choice(conversation), "disable_parallel_tool_use": not parallel}


def _choice(conversation: Conversation) -> JsonObject:
    choice = conversation.tool_choice
    if choice is not None and choice.mode == "named":
        return {"type": "tool", "name": choice.names[0]}
    return {"type": "any" if choice is not None and choice.mode == "required" else "auto"}
