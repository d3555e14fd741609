"""A call that is demanded of a model that cannot be made to call: enforced JSON in its place, or a plain request.

A single tool that must be called is a way to ask for structured output. Where the model has that, it is asked for
the tool's arguments as its answer, and the answer becomes the call. Otherwise the model is asked in words, behind
all other system text, where the cached prefix before it stays as it was.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final

from core.conversation import (
    Answer,
    Block,
    Conversation,
    JsonObject,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    leading_system,
)
from core.events import Event, Finished, PartDelta, PartEnded, PartStarted, Started
from core.models.facts import ModelFacts
from core.slotted import replace
from core.stop import Stop
from core.translation.losses import Losses
from core.translation.rules import FormatRules
from core.translation.strict_schemas import StrictLimits, closed_schema, has_strict_limits, is_closed

_OPEN: Final = ('"$ref"', '"additionalProperties": true', '"additionalProperties": {')


def forces(choice: ToolChoice | None) -> bool:
    """Whether `choice` demands a call."""
    if choice is None:
        return False
    return choice.mode in ("required", "named") or (choice.mode == "allowed" and choice.required)


def call_as_output(
    conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses
) -> tuple[Conversation, Tool | None]:
    """The conversation with its one demanded tool as the output format, and that tool; or as it was, and None."""
    tool = conversation.tools[0] if len(conversation.tools) == 1 else None
    if facts.forced_tool_choice or tool is None or not forces(conversation.tool_choice):
        return conversation, None
    if tool.kind != "function" or conversation.output_format is not None or _has_calls(conversation):
        return conversation, None
    if not _enforces(rules, facts) or not _is_enforceable(tool.parameters):
        return conversation, None
    losses.add("tool_choice", "the model cannot be made to call a tool: its answer is held to the tool's schema")
    described = {"description": tool.description} if tool.description else {}
    wanted = OutputFormat("json_schema", {**described, **(tool.parameters or {})})
    return replace(conversation, tools=[], tool_choice=None, output_format=wanted), tool


def _has_calls(conversation: Conversation) -> bool:
    return any(
        isinstance(block, ToolCall | ToolResult) for message in conversation.messages for block in message.content
    )


def _enforces(rules: FormatRules, facts: ModelFacts) -> bool:
    native = facts.structured_output_on_bedrock if rules.bedrock_schemas else facts.structured_output
    return facts.vendor == "anthropic" and rules.reasoning == "thinking" and native


def _is_enforceable(schema: JsonObject | None) -> bool:
    """Whether closing the objects of `schema` takes nothing away from it."""
    if not schema or not schema.get("properties"):
        return False
    text = json.dumps(schema)
    return not any(mark in text for mark in _OPEN)


def asked_to_call(conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses) -> Conversation:
    """The conversation with a demanded call asked for in words, where the model cannot be made to call."""
    choice = conversation.tool_choice
    if choice is None or not forces(choice) or facts.forced_tool_choice:
        return conversation
    losses.add("tool_choice", "the model cannot be made to call a tool: it was asked in words")
    head = leading_system(conversation.messages)
    request = Message("system", [Text(_request(choice))], slot="system")
    allowed = choice.mode == "allowed"
    return replace(
        conversation,
        messages=[*conversation.messages[:head], request, *conversation.messages[head:]],
        tools=[_marked(tool, choice, rules, facts) for tool in conversation.tools],
        tool_choice=ToolChoice("allowed", choice.names) if allowed else ToolChoice("auto"),
    )


def _request(choice: ToolChoice) -> str:
    names = " or ".join(f'"{name}"' for name in choice.names)
    which = f"the tool {names}" if names else "at least one of the tools"
    return f"You must answer with a call of {which}, not with text alone."


def _marked(tool: Tool, choice: ToolChoice, rules: FormatRules, facts: ModelFacts) -> Tool:
    demanded = not choice.names or tool.name in choice.names
    fits = tool.kind == "function" and tool.strict is None and tool.parameters is not None
    schema = tool.parameters or {}
    if demanded and fits and _enforces(rules, facts) and is_closed(schema) and StrictLimits().takes(schema):
        return replace(tool, strict=True)
    return tool


def fitted_strict(conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses) -> list[Tool]:
    """The tools, strict ones within what Anthropic's models enforce."""
    if not has_strict_limits(conversation, rules, facts):
        return conversation.tools
    enforces, limits = _enforces(rules, facts), StrictLimits()
    result: list[Tool] = []
    for tool in conversation.tools:
        if tool.strict:
            closed = closed_schema(tool.parameters or {})
            if enforces and limits.takes(closed):
                tool = replace(tool, parameters=closed if tool.parameters else None)
            else:
                losses.add("tools", "the model does not enforce such a schema, or not so many: the tool is not strict")
                tool = replace(tool, strict=None)
        result.append(tool)
    return result


class CallRestorer:
    """Turns the enforced JSON back into the call that the client demanded. One object serves one answer.

    The model's thinking is left out: it is signed over a conversation without the tool, which the client's next
    request would contradict.
    """

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._id = ""
        self._shift = 0
        self._skips = False
        self._writes = False

    def answer(self, answer: Answer) -> Answer:
        """The answer with its text as the call's arguments."""
        self._id = answer.id
        content = [self._restored(block) for block in answer.content if not isinstance(block, Reasoning)]
        return replace(answer, content=content, stop=self._stop(answer.stop))

    def feed(self, event: Event) -> list[Event]:
        """The event, or what it becomes."""
        match event:
            case Started():
                self._id = event.id
                return [event]
            case PartStarted() | PartDelta() | PartEnded():
                return self._part(event)
            case Finished():
                return [replace(event, stop=self._stop(event.stop))]
            case _:
                return [event]

    def _part(self, event: PartStarted | PartDelta | PartEnded) -> list[Event]:
        if isinstance(event, PartStarted):
            self._skips = isinstance(event.block, Reasoning)
            self._shift -= self._skips
        if self._skips:
            return []
        moved = replace(event, index=event.index + self._shift)
        if isinstance(moved, PartDelta):
            return [replace(moved, kind="arguments")] if moved.kind == "text" else [moved]
        return [replace(moved, block=self._restored(moved.block))]

    def _restored(self, block: Block) -> Block:
        if not isinstance(block, Text):
            return block
        self._writes = True
        digest = sha256(f"{self._id}\0{self._tool.name}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
        return ToolCall(f"call_{digest}", self._tool.name, block.text, namespace=self._tool.namespace)

    def _stop(self, stop: Stop) -> Stop:
        return replace(stop, reason="tool_use") if self._writes and stop.reason == "end_turn" else stop
