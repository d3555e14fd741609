"""An answer's blocks as output items, and the Response object around them.

https://platform.openai.com/docs/api-reference/responses/object
Ids that have to be minted follow from the reply's random suffix and the item's place, so that every event of a
stream names the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TypeGuard

from core.conversation import (
    Block,
    Conversation,
    Image,
    JsonObject,
    Opaque,
    Reasoning,
    Refusal,
    ServerToolCall,
    Stop,
    Text,
    ToolCall,
)
from core.formats import envelope
from core.formats.contract import Reply
from core.formats.responses.content import PART, write_refusal, write_text
from core.formats.responses.read_items import item_note
from core.formats.responses.tools import declared_in_input, write_tool_choice, write_tools
from core.formats.responses.write_items import write_reasoning, write_tool_call

type Spoken = Text | Refusal | Opaque


class OutputWriter:
    """Writes the output items of one answer. `own`: a Responses backend gave it, so ids, statuses and citations
    go back as they were."""

    def __init__(self, reply: Reply, *, own: bool) -> None:
        self._reply = reply
        self._own = own
        conversation = reply.conversation
        asked = conversation.reasoning is not None and conversation.reasoning.encrypted
        self._seals = asked or reply.kept or conversation.store is False

    def items(self, blocks: Iterable[Block]) -> list[JsonObject]:
        """The items of a whole answer. Blocks that Responses has no item for are left out."""
        result: list[JsonObject] = []
        spoken: list[Spoken] = []
        for block in blocks:
            if is_spoken(block):
                if spoken and begins_item(block):
                    result.append(self.message(spoken, len(result)))
                    spoken = []
                spoken.append(block)
                continue
            if spoken:
                result.append(self.message(spoken, len(result)))
                spoken = []
            item = self.item(block, len(result))
            if item is not None:
                result.append(item)
        if spoken:
            result.append(self.message(spoken, len(result)))
        return result

    def message(self, spoken: list[Spoken], index: int) -> JsonObject:
        """The message item at output index `index` with these parts."""
        return {**self.shell(spoken[0], index), "content": [self.part(block) for block in spoken]}

    def shell(self, first: Spoken, index: int) -> JsonObject:
        """A message item without its content, finished."""
        note = item_note(first) if self._own else None
        members = {} if note is None else note["members"]
        return {
            "id": self._minted("msg", index),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            **members,
        }

    def part(self, block: Spoken) -> JsonObject:
        """A content part."""
        if isinstance(block, Text):
            part = write_text(block, assistant=True, own=self._own)
            return part if self._own else {**part, "logprobs": []}
        return write_refusal(block, own=self._own) if isinstance(block, Refusal) else block.raw

    def item(self, block: Block, index: int) -> JsonObject | None:
        """The finished item for a block that is no part of a message; None where there is nothing to show."""
        match block:
            case Reasoning():
                return self._reasoning(block, index)
            case ToolCall():
                return self.call(block, index)
            case Image() if block.source.kind == "base64":
                return self._image(block, index)
            case ServerToolCall() if block.format != "responses":
                return self._search(block, index)
            case ServerToolCall() | Opaque() if block.format == "responses":
                return block.raw
            case _:
                return None

    def call(self, block: ToolCall, index: int) -> JsonObject:
        """A function_call or custom_tool_call item, finished."""
        minted = {
            "id": self._minted("ctc" if block.kind == "custom" else "fc", index),
            "status": "completed",
        }
        item = {**minted, **write_tool_call(block, own=self._own)}
        if not self._own and self._is_for_an_agent(block):
            item["encrypted_function_args"] = []  # so Codex takes them for the plain text that they are
        return item

    def _is_for_an_agent(self, call: ToolCall) -> bool:
        """Whether OpenAI would have encrypted an argument. https://github.com/openai/codex/pull/35845"""
        for tool in self._reply.conversation.tools:
            if (tool.name, tool.namespace) == (call.name, call.namespace):
                properties = (tool.parameters or {}).get("properties")
                shapes = properties.values() if isinstance(properties, dict) else ()
                return any(isinstance(shape, dict) and shape.get("encrypted") is True for shape in shapes)
        return False

    def reasoning_id(self, block: Reasoning, index: int) -> str:
        """The id of a reasoning item. A foreign block's own id means nothing here."""
        return block.id if block.id is not None and self._own else self._minted("rs", index)

    def _reasoning(self, block: Reasoning, index: int) -> JsonObject | None:
        """Thoughts as a summary, and the state to replay them with: OpenAI's as it is, others' in an envelope."""
        if self._own:
            item = write_reasoning(block, block.encrypted if _is_openai(block) else self._sealed(block))
            return {**item, "id": self.reasoning_id(block, index)}
        sealed = self._sealed(block)
        texts = [text for text in block.texts if text]
        if not texts and sealed is None:
            return None
        summary = [{"type": "summary_text", "text": text} for text in texts]
        item = {"id": self.reasoning_id(block, index), "type": "reasoning", "summary": summary}
        return item if sealed is None else {**item, "encrypted_content": sealed}

    def _sealed(self, block: Reasoning) -> str | None:
        if not self._seals or block.origin is None:
            return None
        if _is_openai(block) and (block.id is None or not block.encrypted):
            return block.encrypted
        return envelope.seal(block)  # with its id, too: OpenAI reads its state under the id that it gave only

    def _search(self, block: ServerToolCall, index: int) -> JsonObject | None:
        """Another vendor's web search reads as OpenAI's; its other tools have no item here."""
        if block.tool != "web_search":
            return None
        try:
            arguments = json.loads(block.arguments or "{}")
        except ValueError:
            arguments = {}
        query = arguments.get("query") if isinstance(arguments, dict) else None
        action = {"type": "search", "query": query if isinstance(query, str) else ""}
        return {
            "id": self._minted("ws", index),
            "type": "web_search_call",
            "status": "completed",
            "action": action,
        }

    def _image(self, block: Image, index: int) -> JsonObject:
        """An image that the model made itself reads as one of OpenAI's image tool."""
        return {
            "id": self._minted("ig", index),
            "type": "image_generation_call",
            "status": "completed",
            "result": block.source.data,
        }

    def _minted(self, prefix: str, index: int) -> str:
        return f"{prefix}_{self._reply.id_suffix}{index:04d}"


def unsaid_refusal(stop: Stop, *, refused: bool) -> Refusal | None:
    """The refusal part for an explanation that came beside the answer; `refused`: the answer says it itself."""
    return None if refused or stop.refusal is None else Refusal(stop.refusal)


def is_spoken(block: Block) -> TypeGuard[Spoken]:
    """Whether the block is a part of a message item."""
    return isinstance(block, Text | Refusal) or (isinstance(block, Opaque) and block.kind.startswith(PART))


def begins_item(block: Block) -> bool:
    """Whether the reader noted that a message item begins with this block."""
    return item_note(block) is not None


def _is_openai(block: Reasoning) -> bool:
    return block.origin is not None and block.origin.vendor == "openai"


def answer_id(given: str, reply: Reply) -> str:
    """The Response's id: the backend's where it is one of this format, else minted."""
    return given if given.startswith("resp_") else f"resp_{reply.id_suffix}"


def settings(conversation: Conversation) -> JsonObject:
    """The request's settings as a Response repeats them, defaults filled in."""
    first = conversation.messages[0] if conversation.messages else None
    instructions = None
    if first is not None and first.slot == "instructions":
        instructions = "".join(block.text for block in first.content if isinstance(block, Text))
    sampling, reasoning = conversation.sampling, conversation.reasoning
    choice = conversation.tool_choice
    effort = None if reasoning is None else reasoning.effort
    summary = None if reasoning is None else reasoning.display
    written: JsonObject = {
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": instructions,
        "max_output_tokens": conversation.max_tokens,
        "max_tool_calls": None,
        "metadata": conversation.metadata or {},
        "parallel_tool_calls": conversation.parallel_tool_calls is not False,
        "previous_response_id": conversation.previous_response_id,
        "prompt_cache_key": conversation.cache_key,
        "reasoning": {"effort": effort, "summary": summary},
        "safety_identifier": conversation.extra.get("safety_identifier"),
        "store": conversation.store is not False,
        "temperature": 1.0 if sampling.temperature is None else sampling.temperature,
        "text": _text_settings(conversation),
        "tool_choice": "auto" if choice is None else write_tool_choice(choice, conversation.tools, own=True),
        "tools": _tool_settings(conversation),
        "top_logprobs": sampling.top_logprobs or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "truncation": conversation.extra.get("truncation") or "disabled",
    }
    return written if conversation.user == written["safety_identifier"] else {**written, "user": conversation.user}


def _text_settings(conversation: Conversation) -> JsonObject:
    shape = conversation.output_format
    if shape is None or shape.kind != "json_schema":
        written: JsonObject = {"type": "text" if shape is None else shape.kind}
    else:
        written = {
            "type": "json_schema",
            "name": shape.name or "response",
            "description": shape.description,
            "schema": shape.schema or {},
            "strict": bool(shape.strict),
        }
    return {"format": written, "verbosity": conversation.verbosity or "medium"}


def _tool_settings(conversation: Conversation) -> list[JsonObject]:
    offered = [tool for tool in conversation.tools if declared_in_input(tool) is None]
    return [_filled(tool) for tool in write_tools(offered, own=True)]


def _filled(tool: JsonObject) -> JsonObject:
    """A function as OpenAI repeats it: no member is left out."""
    if tool["type"] != "function":
        return tool
    return {"description": None, "parameters": None, "strict": True, **tool}
