"""The search for tools that a Responses client runs itself (Codex with its MCP servers), on backends that have none.

The model calls `tool_search` with an item of its own kind, and the client's `tool_search_output` declares what it
found: from there on the model may call it (https://platform.openai.com/docs/guides/tools-tool-search). Elsewhere the
search is a function, its result names what was found, and the found tools stand behind those on offer.
"""

from __future__ import annotations

import json
from typing import Final

from core.conversation import (
    Answer,
    Block,
    Conversation,
    JsonObject,
    Message,
    Opaque,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from core.events import Event, PartDelta, PartEnded, PartStarted
from core.formats.responses import members
from core.formats.responses.tools import read_tools
from core.models.facts import ModelFacts
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.rules import FormatRules
from core.translation.tool_names import tool_map

TOOL_SEARCH: Final = "tool_search"
CALL: Final = "tool_search_call"
OUTPUT: Final = "tool_search_output"


def with_functions(conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses) -> Conversation:
    """The conversation with the search as a function and the found tools on offer. Raises ClientFault where a found
    tool is none."""
    found = [tool for message in conversation.messages for block in message.content for tool in _found(block)]
    offered = [_as_function(tool) for tool in conversation.tools]
    known = {(tool.namespace, tool.name) for tool in offered}
    for tool in found:
        if (tool.namespace, tool.name) not in known:
            known.add((tool.namespace, tool.name))
            tool.extra.pop("defer_loading", None)
            offered.append(tool)
    searched = replace(conversation, tools=offered)
    names = tool_map(searched, rules, facts)
    messages = conversation.messages
    if found and facts.vendor == "anthropic" and "enabled" not in facts.thinking:
        messages = _unbound(messages, losses)

    def plain(block: Block) -> Block:
        if not isinstance(block, Opaque) or not isinstance(block.raw.get("call_id"), str):
            return block
        if block.kind == CALL:
            return ToolCall(block.raw["call_id"], TOOL_SEARCH, _text_of(block.raw.get("arguments")))
        if block.kind != OUTPUT:
            return block
        called = [names.alias(tool.name, tool.namespace) for tool in _found(block)]
        said = f"These tools can be called now: {', '.join(called)}." if called else "No tool was found."
        return ToolResult(block.raw["call_id"], [Text(said)], plain=True)

    searched.messages = [_with(message, [plain(block) for block in message.content]) for message in messages]
    return searched


def _with(message: Message, content: list[Block]) -> Message:
    if all(new is old for new, old in zip(content, message.content, strict=True)):
        return message
    role = "tool" if isinstance(content[0], ToolResult) else message.role
    return replace(message, role=role, content=content)


def _found(block: Block) -> list[Tool]:
    """The tools that the result of a search declares."""
    if not isinstance(block, Opaque) or block.kind != OUTPUT:
        return []
    return read_tools(members.objects(block.raw, "tools", "input") or [], "input.tools")


def _as_function(tool: Tool) -> Tool:
    if tool.name != TOOL_SEARCH or tool.raw.get("execution") != "client":  # OpenAI's own stays what it is
        return tool
    description = members.text(tool.raw, "description", "tools")
    parameters = members.json_object(tool.raw, "parameters", "tools")
    return Tool(TOOL_SEARCH, description, parameters, note={"type": TOOL_SEARCH})


def _text_of(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)


def _unbound(messages: list[Message], losses: Losses) -> list[Message]:
    """Without thoughts from before the last result: a newer Claude's are bound to the tools that were on offer then."""
    last = max(place for place, message in enumerate(messages) if any(_found(block) for block in message.content))
    kept: list[Message] = []
    for place, message in enumerate(messages):
        content = [block for block in message.content if place > last or not isinstance(block, Reasoning)]
        if len(content) < len(message.content):
            losses.add("messages.content.reasoning", "thoughts are bound to the tools that were on offer then")
        if content:
            kept.append(replace(message, content=content))
    return kept


class SearchRestorer:
    """Makes the item of a call of the search. One object serves one answer."""

    def __init__(self) -> None:
        self._open = False

    def answer(self, answer: Answer) -> Answer:
        """The answer with the client's own item for each search."""
        content = [_item(block) if _is_search(block) else block for block in answer.content]
        return replace(answer, content=content)

    def feed(self, event: Event) -> list[Event]:
        """The event; a search's item comes whole at its end."""
        match event:
            case PartStarted():
                self._open = _is_search(event.block)
                return [] if self._open else [event]
            case PartDelta() if self._open:
                return []
            case PartEnded() if self._open:
                self._open = False
                item = _item(event.block)
                return [PartStarted(event.index, item), PartEnded(event.index, item)]
            case _:
                return [event]


def _is_search(block: Block) -> bool:
    return isinstance(block, ToolCall) and block.name == TOOL_SEARCH and block.namespace is None


def _item(block: Block) -> Block:
    assert isinstance(block, ToolCall)
    try:
        arguments: object = json.loads(block.arguments or "{}")
    except ValueError:
        arguments = block.arguments  # the client says what is wrong with it
    raw: JsonObject = {
        "type": CALL,
        "id": f"tsc_{block.id}",
        "call_id": block.id,
        "status": "completed",
        "execution": "client",
        "arguments": arguments,
    }
    return Opaque("responses", CALL, raw)
