"""A neutral conversation to a Responses request body, for OpenAI, Azure OpenAI and other servers of that API.

https://platform.openai.com/docs/api-reference/responses/create
A conversation of another format is stateless: nothing is stored, and reasoning comes back encrypted so that the
next turn can replay it.
"""

from __future__ import annotations

from core.conversation import (
    Conversation,
    Dropped,
    Effort,
    JsonObject,
    Message,
    OutputFormat,
    ReasoningRequest,
    Text,
    Tool,
)
from core.errors import Unsupported
from core.formats.contract import Target, Written
from core.formats.responses.limits import SERVICE_TIERS, SHARED_MEMBERS
from core.formats.responses.read_request import ENCRYPTED_CONTENT
from core.formats.responses.tools import declared_in_input, write_tool_choice, write_tools
from core.formats.responses.write_items import ItemWriter
from core.translation.losses import said
from core.translation.strict_schemas import is_strict

# Less is a 400: "integer below minimum value". Clients probe an account with max_tokens 1.
_LEAST_OUTPUT_TOKENS = 16
_LONGEST_USER = 64

_SUMMARIES = frozenset({"auto", "concise", "detailed"})
_HIDDEN = frozenset({"none", "omitted"})


# Formats whose clients see a model's thoughts without asking for a summary, once it thinks.
_SHOWN_BY_DEFAULT = frozenset({"messages", "converse"})
_THINKING_MODES = frozenset({"adaptive", "budget", "between_tools"})

# A budget of reasoning tokens, in levels: the first whose bound is above it.
_BUDGET_LEVELS: tuple[tuple[int, Effort], ...] = ((2_000, "low"), (12_000, "medium"), (28_000, "high"))


def write_request(conversation: Conversation, target: Target) -> Written:
    """The body that asks `target` to continue `conversation`, and what it could not take along.

    Raises Unsupported for content or demands that the format has no way to express.
    """
    return _RequestWriter(conversation, target).written()


class _RequestWriter:
    """One request being written; `_own` when the client spoke this format too."""

    def __init__(self, conversation: Conversation, target: Target) -> None:
        self._conversation = conversation
        self._target = target
        self._own = conversation.format == "responses"
        self._items = ItemWriter(conversation.format, target)
        self._dropped: list[Dropped] = []
        self._body: JsonObject = {"model": target.model}

    def written(self) -> Written:
        self._input()
        self._tools()
        self._reasoning()
        self._text()
        self._knobs()
        self._sampling()
        self._state()
        self._extra()
        return Written(self._body, dropped=self._items.dropped + self._dropped)

    def _put(self, name: str, value: object) -> None:
        if value is not None:
            self._body[name] = value

    def _drop(self, path: str, reason: str) -> None:
        self._dropped.append(Dropped(path, reason))

    def _input(self) -> None:
        messages = self._conversation.messages
        if messages and self._are_instructions(messages[0]):
            self._body["instructions"] = _text_of(messages[0])
            messages = messages[1:]
        items = self._items.items(messages)
        self._put_tool_items(items)
        if len(items) == len(messages) == 1 and (messages[0].note or {}).get("input") == "text":
            self._body["input"] = items[0]["content"]
        elif items or not self._own:
            self._body["input"] = items

    def _are_instructions(self, message: Message) -> bool:
        """Whether `message` is system text from outside another format's message list, and nothing but text:
        a cache breakpoint needs a part to stand on."""
        if message.slot == "instructions":
            return True
        return message.slot is not None and all(
            isinstance(block, Text) and block.cache is None for block in message.content
        )

    def _put_tool_items(self, items: list[JsonObject]) -> None:
        """Puts `additional_tools` items back where they stood among the others."""
        by_place: dict[int, tuple[JsonObject, list[Tool]]] = {}
        for tool in self._conversation.tools:
            declared = declared_in_input(tool)
            if declared is not None:
                by_place.setdefault(declared["position"], (declared["item"], []))[1].append(tool)
        for place, (item, tools) in sorted(by_place.items()):
            items.insert(place, {**item, "tools": write_tools(tools, own=True)})

    def _tools(self) -> None:
        conversation = self._conversation
        offered = [tool for tool in conversation.tools if declared_in_input(tool) is None]
        tools = [tool for tool in offered if self._is_known(tool)]
        if tools:
            self._body["tools"] = write_tools(tools, own=self._own)
        if conversation.tool_choice is not None and (tools or self._own):
            choice = write_tool_choice(conversation.tool_choice, conversation.tools, own=self._own)
            self._body["tool_choice"] = choice
        self._put("parallel_tool_calls", conversation.parallel_tool_calls)

    def _is_known(self, tool: Tool) -> bool:
        """Whether the tool can be offered here: any that the client runs, OpenAI's own, and web search."""
        if self._own or tool.kind in ("function", "custom") or tool.format == "responses":
            if tool.cache is not None:
                self._drop("tools.cache_control", "the Responses API takes no cache breakpoint on a tool")
            for name in () if self._own else said(tool.extra):
                self._drop(f"tools.{name}", "the Responses API has no such member")
            return True
        if tool.kind == "server" and tool.name == "web_search":
            return True
        raise Unsupported("tools", f"The Responses API has no tool '{tool.name}'.")

    def _reasoning(self) -> None:
        request = self._conversation.reasoning
        include = list(self._conversation.extra.get("include", [])) if self._own else []
        if self._wants_encrypted(request) and ENCRYPTED_CONTENT not in include:
            include.append(ENCRYPTED_CONTENT)
        if include:
            self._body["include"] = include
        if request is None:
            return
        reasoning: JsonObject = dict(request.extra) if self._own else {}
        effort = request.effort if self._own else _effort_of(request)
        if effort is not None:
            reasoning["effort"] = effort
        summary = self._summary(request)
        if summary is not None:
            reasoning["summary"] = summary
        if reasoning:
            self._body["reasoning"] = reasoning
        for name in () if self._own else request.extra:
            self._drop(f"reasoning.{name}", "the Responses API has no such member")

    def _wants_encrypted(self, request: ReasoningRequest | None) -> bool:
        """Models that do not reason answer 400 to the wish for encrypted reasoning."""
        if request is not None and request.encrypted:
            return True
        if self._own or (request is not None and request.mode == "off"):
            return False
        facts = self._target.facts
        return facts.reasoning_model or (facts.unknown and request is not None)

    def _summary(self, request: ReasoningRequest) -> str | None:
        if request.display in _SUMMARIES or (self._own and request.display):
            return request.display
        if request.display is None:
            shown = self._conversation.format in _SHOWN_BY_DEFAULT and request.mode in _THINKING_MODES
        else:
            shown = request.display not in _HIDDEN and request.mode != "off"
        if not shown:
            return None
        return "detailed" if request.display == "full" else "auto"

    def _text(self) -> None:
        conversation = self._conversation
        text: JsonObject = dict(conversation.extra.get("text", {})) if self._own else {}
        if conversation.output_format is not None:
            text["format"] = _write_format(conversation.output_format, own=self._own)
        if conversation.verbosity is not None:
            text["verbosity"] = conversation.verbosity
        if text:
            self._body["text"] = text

    def _knobs(self) -> None:
        conversation = self._conversation
        limit = conversation.max_tokens
        if limit is not None and limit < _LEAST_OUTPUT_TOKENS and not self._own:
            limit = _LEAST_OUTPUT_TOKENS
            self._drop("max_tokens", f"raised to {limit}, the least that the Responses API takes")
        self._put("max_output_tokens", limit)
        if conversation.stop:
            self._drop("stop", "the Responses API has no stop sequences")
        tier = "default" if conversation.service_tier == "standard_only" else conversation.service_tier
        if tier is not None and (self._own or tier in SERVICE_TIERS):
            self._body["service_tier"] = tier
        elif tier is not None:
            self._drop("service_tier", f"the Responses API has no tier '{tier}'")
        self._user()
        self._put("metadata", conversation.metadata)
        self._put("prompt_cache_key", conversation.cache_key)
        if conversation.cache is not None:
            self._drop("cache", "the Responses API caches by itself")

    def _user(self) -> None:
        user = self._conversation.user
        if user == self._conversation.extra.get("safety_identifier"):
            return  # which says it
        if user is not None and len(user) > _LONGEST_USER and not self._own:
            self._drop("user", f"longer than the {_LONGEST_USER} characters that the Responses API takes")
            return
        self._put("user", user)

    def _sampling(self) -> None:
        sampling = self._conversation.sampling
        if sampling.n is not None and sampling.n > 1:
            raise Unsupported("n", "The Responses API gives one answer per request.")
        if sampling.logprobs:
            raise Unsupported("logprobs", "Log probabilities cannot be carried over from the Responses API.")
        self._put("temperature", sampling.temperature)
        self._put("top_p", sampling.top_p)
        if self._own:
            self._put("top_logprobs", sampling.top_logprobs)
        for name in ("top_k", "presence_penalty", "frequency_penalty", "seed", "logit_bias"):
            if getattr(sampling, name) is not None:
                self._drop(name, "the Responses API has no such parameter")

    def _state(self) -> None:
        conversation = self._conversation
        if self._target.stream:
            self._body["stream"] = True
        self._put("previous_response_id", conversation.previous_response_id)
        self._put("store", conversation.store)
        if not self._own:
            self._body["store"] = bool(conversation.store)

    def _extra(self) -> None:
        for name, value in self._conversation.extra.items():
            if name in ("include", "text") and self._own:
                continue
            if self._own or name in SHARED_MEMBERS:
                self._body[name] = value
            else:
                self._drop(name, "the Responses API has no such member")
        if self._conversation.betas:
            self._drop("betas", "betas are Anthropic's own")


def _effort_of(request: ReasoningRequest) -> Effort | None:
    """The level that another format's request for reasoning stands for; None leaves it to the model."""
    if request.mode == "off":
        return "none"
    if request.effort is not None or request.budget is None:
        return request.effort
    return next((level for bound, level in _BUDGET_LEVELS if request.budget < bound), "xhigh")


def _write_format(output_format: OutputFormat, *, own: bool) -> JsonObject:
    """`text.format`: flat, unlike Chat Completions' `response_format`. Formats that cannot say `strict` enforce
    a schema always; OpenAI does where the schema is closed."""
    if output_format.kind != "json_schema":
        return {"type": output_format.kind, **output_format.extra}
    written: JsonObject = {
        "type": "json_schema",
        "name": output_format.name or "response",
        "schema": output_format.schema or {},
    }
    if output_format.description is not None:
        written["description"] = output_format.description
    if output_format.strict is not None:
        written["strict"] = output_format.strict
    elif not own and output_format.schema is not None and is_strict(output_format.schema):
        written["strict"] = True
    return {**written, **output_format.extra}


def _text_of(message: Message) -> str:
    return "\n\n".join(getattr(block, "text", "") for block in message.content)
