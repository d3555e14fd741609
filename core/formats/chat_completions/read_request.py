"""A client's Chat Completions request to the neutral conversation.

https://platform.openai.com/docs/api-reference/chat/create, and what OpenRouter, LiteLLM and clients such as
Cursor add to it. Whatever is wrong with the body becomes a ClientFault that names the member.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, get_args

from core.conversation import (
    Conversation,
    Effort,
    JsonObject,
    Message,
    ReasoningRequest,
    Sampling,
)
from core.formats import load_format
from core.formats.chat_completions.fields import Fields, missing, wrong_type, wrong_value
from core.formats.chat_completions.read_content import read_cache, read_content, read_stop
from core.formats.chat_completions.read_messages import read_messages
from core.formats.chat_completions.read_tools import (
    answers_with_function,
    read_logit_bias,
    read_metadata,
    read_output_format,
    read_tool_choice,
    read_tools,
)
from core.formats.contract import Call

_EFFORTS: tuple[str, ...] = get_args(Effort.__value__)


def read_request(body: JsonObject, call: Call) -> Conversation:
    """The conversation that `body` asks for. `call.model` stands in for a `model` that only the path names
    (Azure's deployments). Raises ClientFault."""
    if "messages" not in body and "input" in body:
        return _from_responses(body, call)
    fields = Fields(body, "")
    conversation = Conversation("chat_completions", _model(fields, call))
    conversation.messages = _messages(fields)
    _read_tools(fields, conversation)
    conversation.output_format = read_output_format(fields.take("response_format"))
    conversation.reasoning = _reasoning(fields)
    conversation.sampling = _sampling(fields)
    tokens = fields.count("max_completion_tokens")
    older = fields.count("max_tokens")
    conversation.max_tokens = older if tokens is None else tokens
    conversation.stop = read_stop(fields.take("stop"))
    _read_stream(fields, conversation)
    _read_the_rest(fields, conversation)
    return conversation


def _from_responses(body: JsonObject, call: Call) -> Conversation:
    """Cursor sends bodies of the Responses format here, and reads Chat chunks. What such a body says is of that
    format, so the conversation is too."""
    fields = Fields(body, "")
    conversation = Conversation("responses", "")
    _read_stream_options(fields, conversation)
    include_usage = conversation.include_usage
    conversation = load_format("responses").read_request(fields.rest, call)
    conversation.include_usage = include_usage
    return conversation


def _model(fields: Fields, call: Call) -> str:
    model = fields.text("model") or call.model
    if not model:
        raise missing("model")
    return model


def _messages(fields: Fields) -> list[Message]:
    messages = fields.array("messages")
    if messages is None:
        raise missing("messages")
    if not messages:
        raise wrong_value("messages", "it is empty; at least one message is needed.")
    system = fields.take("system")  # Anthropic's member, sent here by clients that mix the formats
    leading = []
    if system is not None:
        leading = [Message("system", read_content(system, "system"), plain=isinstance(system, str))]
    return leading + read_messages(messages)


def _read_tools(fields: Fields, conversation: Conversation) -> None:
    conversation.tools = read_tools(fields)
    conversation.tool_choice = read_tool_choice(fields.take("tool_choice"))
    legacy = read_tool_choice(fields.take("function_call"), "function_call")
    conversation.tool_choice = conversation.tool_choice or legacy
    conversation.parallel_tool_calls = fields.boolean("parallel_tool_calls")
    if answers_with_function(conversation):
        conversation.parallel_tool_calls = False  # the answer has room for one function_call


# Members of the same name in both formats, and how each is read.
_SAMPLING: dict[str, Callable[[Fields, str], Any]] = {
    "temperature": Fields.number,
    "top_p": Fields.number,
    "top_k": Fields.integer,
    "presence_penalty": Fields.number,
    "frequency_penalty": Fields.number,
    "seed": Fields.integer,
    "logit_bias": lambda fields, name: read_logit_bias(fields.object(name)),
    "logprobs": Fields.boolean,
    "top_logprobs": Fields.integer,
    "n": Fields.integer,
}


def _sampling(fields: Fields) -> Sampling:
    return Sampling(**{name: read(fields, name) for name, read in _SAMPLING.items() if name in fields.rest})


def _read_stream(fields: Fields, conversation: Conversation) -> None:
    conversation.stream = fields.boolean("stream") or False
    _read_stream_options(fields, conversation)


def _read_stream_options(fields: Fields, conversation: Conversation) -> None:
    options = fields.fields("stream_options")
    if options is not None:
        conversation.include_usage = options.boolean("include_usage") or False
        if options.rest:
            fields.rest["stream_options"] = options.rest


def _read_the_rest(fields: Fields, conversation: Conversation) -> None:
    conversation.extra = fields.rest
    if not fields.rest:
        return
    conversation.verbosity = fields.text("verbosity")
    conversation.service_tier = fields.text("service_tier")
    conversation.metadata = read_metadata(fields.object("metadata"))
    conversation.cache_key = fields.text("prompt_cache_key")
    conversation.store = fields.boolean("store")
    conversation.cache = read_cache(fields)  # OpenRouter takes it at the top, as Anthropic does
    identifier = fields.text("safety_identifier")
    conversation.user = fields.text("user") or identifier
    if identifier is not None:
        fields.rest["safety_identifier"] = identifier


_REASONING = frozenset({"thinking", "reasoning", "reasoning_effort", "include_reasoning"})


def _reasoning(fields: Fields) -> ReasoningRequest | None:
    """OpenAI's `reasoning_effort`, OpenRouter's `reasoning` and `include_reasoning`, `thinking` of LiteLLM and
    DeepSeek."""
    if _REASONING.isdisjoint(fields.rest):
        return None
    request = ReasoningRequest()
    thinking = fields.fields("thinking")
    if thinking is not None:
        _read_thinking(thinking, request)
    router = fields.take("reasoning")
    if router is not None:
        _read_router_reasoning(Fields(router, "reasoning"), request)
    effort = fields.text("reasoning_effort")
    if effort is not None:
        _read_effort(effort, "reasoning_effort", request)
    if fields.boolean("include_reasoning") is False:
        request.display = "none"
    return None if request == ReasoningRequest() else request


def _read_effort(word: str, path: str, request: ReasoningRequest) -> None:
    if word not in _EFFORTS:
        raise wrong_value(path, f"{word!r} is none of {', '.join(map(repr, _EFFORTS))}.")
    request.effort = cast(Effort, word)
    if word == "none":
        request.mode = "off"
    elif request.mode is None:
        request.mode = "effort"


def _read_router_reasoning(fields: Fields, request: ReasoningRequest) -> None:
    effort, budget = fields.text("effort"), fields.integer("max_tokens")
    enabled, summary = fields.boolean("enabled"), fields.text("summary")
    if enabled:
        request.mode = "adaptive"
    if budget is not None:
        request.mode, request.budget = "budget", budget
    if effort is not None:
        _read_effort(effort, fields.at("effort"), request)
    if enabled is False:
        request.mode = "off"
    if fields.boolean("exclude"):
        request.display = "none"
    elif summary is not None:
        request.display = summary
    request.extra = {**request.extra, **fields.rest}


def _read_thinking(fields: Fields, request: ReasoningRequest) -> None:
    kind = fields.required_text("type")
    request.budget = fields.integer("budget_tokens")
    request.display = fields.text("display")
    match kind:
        case "enabled":
            request.mode = "adaptive" if request.budget is None else "budget"
        case "disabled":
            request.mode = "off"
        case "adaptive" | "auto":
            request.mode = "adaptive"
        case "between_tools":
            request.mode = "between_tools"
        case _:
            raise wrong_type(fields.at("type"), "one of 'enabled', 'disabled', 'adaptive'", kind)
    request.extra = fields.rest
