"""Responses items to neutral messages and blocks: the input of a request, and the output of an answer.

The items of one assistant turn (reasoning, message, calls) become one assistant message. Where a message item
began is kept in `note["item"]` of its first block: `members` are the item's own members beside its content,
`plain` says that the content was a bare string, `empty` that there was none. So a writer finds the boundaries
again. Other notes hold `members` that only identify an item.
https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from core.conversation import (
    Audio,
    Block,
    Document,
    Image,
    JsonObject,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Role,
    ServerToolCall,
    Text,
    ToolCall,
    ToolResult,
)
from core.formats import envelope
from core.formats.responses import members
from core.formats.responses.content import read_content

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
}

# Tools that OpenAI runs itself; the item holds the call and, where there is one, the result.
SERVER_TOOLS: dict[str, str] = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_execution",
    "image_generation_call": "image_generation",
    "mcp_call": "mcp",
}

# Other items of the model's own; all that is unknown counts as the user's.
_OF_THE_ASSISTANT = frozenset(
    {
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "tool_search_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "program",
        "compaction",
    }
)

_MEDIA = (Image, Document, Audio)
_IDENTITY = ("id", "status")
# Which of a call's arguments OpenAI encrypted for another agent: none where another vendor's model made it.
_CALL_IDENTITY = (*_IDENTITY, "encrypted_function_args")
# The members of items that have neutral ones, or are noted.
_INPUT_MESSAGE = frozenset({"type", "role", "content", *_IDENTITY})
_FUNCTION_CALL = frozenset({"type", "call_id", "name", "arguments", "namespace", *_CALL_IDENTITY})
_CUSTOM_CALL = frozenset({"type", "call_id", "name", "input", "namespace", *_IDENTITY})
_CALL_OUTPUT = frozenset({"type", "call_id", "output", "name", *_IDENTITY})

# Stands before the summary of a conversation that goes on after it.
_SUMMARY_HEAD = "[The conversation up to here was compacted. What matters of it for going on:]"

# How the text that OpenAI encrypts for another agent begins.
_CIPHERTEXT = "gAAAA"

# Items that another format may go without: no user's or model's words are lost with them.
_NO_CONTENT = frozenset({"mcp_list_tools", "tool_search_call", "additional_tools"})


def read_items(items: Iterable[tuple[str, JsonObject]]) -> list[Message]:
    """The messages that `items`, each with its path (`input[0]`), are. Unknown items are carried whole.

    Raises ClientFault, its `param` below the item's path.
    """
    messages: list[Message] = []
    turn: Message | None = None
    for here, item in items:
        kind = item_type(item, here)
        blocks = assistant_blocks(kind, item, here)
        if blocks is None:
            turn = None
            messages.append(_other_message(kind, item, here))
            continue
        if not blocks:
            blocks = [Text("", note={"item": {"members": members.rest(item, ("content",)), "empty": True}})]
        if turn is None:
            turn = Message("assistant")
            messages.append(turn)
        turn.content += blocks
        turn.plain = len(turn.content) == 1 and isinstance(item.get("content"), str)
    return messages


def item_type(item: JsonObject, path: str) -> str:
    """The item's type. A message may omit it, and so may a reference, which has nothing but an id."""
    kind = members.text(item, "type", path)
    if kind in _BLOCK_READERS or kind in _RESULT_KINDS:
        return kind
    if isinstance(item.get("role"), str) and "content" in item:
        return "message"
    if kind is None:
        if set(item) == {"id"}:
            return "item_reference"
        raise members.missing(members.join(path, "type"))
    return kind


def assistant_blocks(kind: str, item: JsonObject, path: str) -> list[Block] | None:
    """The blocks of an item of the assistant's, None when the item, of type `kind`, is somebody else's."""
    if kind == "message" and item.get("role") != "assistant":
        return None
    reader = _BLOCK_READERS.get(kind)
    if reader is not None:
        return reader(item, path)
    if kind in _OF_THE_ASSISTANT and _summary_of(item, path) is None:
        return [Opaque("responses", kind, item, content=kind not in _NO_CONTENT)]
    return None


def read_reasoning(item: JsonObject, path: str) -> Reasoning:
    """A reasoning item. An envelope in `encrypted_content` is what it holds: another vendor's reasoning."""
    encrypted = members.text(item, "encrypted_content", path)
    if encrypted is not None and envelope.is_sealed(encrypted):
        sealed = envelope.unseal(encrypted)
        # A damaged envelope is nobody's state: its text stays, and no backend is sent the rest.
        return sealed or Reasoning(texts=_texts_of(item, "summary", path), form="summary")
    handled = ["type", "id", "encrypted_content", "summary", "content"]
    summary, content = _texts_of(item, "summary", path), _texts_of(item, "content", path)
    if content and summary:
        handled.remove("content")
    raw = bool(content) and not summary
    reasoning = Reasoning(
        texts=content if raw else summary,
        form="raw" if raw else "summary",
        encrypted=encrypted,
        id=members.text(item, "id", path),
        origin=Origin("openai"),
        extra=members.rest(item, handled),
    )
    if item.get("content") == []:
        reasoning.extra["content"] = []
    return reasoning


def read_tool_call(item: JsonObject, path: str) -> ToolCall:
    """A function_call or custom_tool_call item. `call_id` is what the result will name; an item without one is
    known by its own id."""
    custom = item.get("type") == "custom_tool_call"
    payload = "input" if custom else "arguments"
    call_id = members.text(item, "call_id", path) or members.text(item, "id", path)
    if call_id is None:
        raise members.missing(members.join(path, "call_id"))
    return ToolCall(
        id=call_id,
        name=members.required_text(item, "name", path),
        arguments=members.required_text(item, payload, path),
        kind="custom" if custom else "function",
        namespace=members.text(item, "namespace", path),
        extra=members.rest(item, _CUSTOM_CALL if custom else _FUNCTION_CALL),
        note=_identity(item, _CALL_IDENTITY),
    )


def _read_message(item: JsonObject, path: str) -> list[Block]:
    blocks, plain = read_content(item, "content", path, assistant=True)
    if not blocks:
        return []
    if not isinstance(blocks[0], Text | Refusal) or (
        len(blocks) > 1 and any(isinstance(block, _MEDIA) for block in blocks)
    ):
        # No model of OpenAI's says such a thing; should one come to, it goes back to it as it is.
        return [Opaque("responses", "message", item, content=True)]
    shell: JsonObject = {"members": members.rest(item, ("content",))}
    if plain:
        shell["plain"] = True
    blocks[0].note = {**(blocks[0].note or {}), "item": shell}
    return blocks


def item_note(block: Block) -> JsonObject | None:
    """The note on a block with which a message item began, None for any other block."""
    if isinstance(block, Text | Refusal) and block.note is not None:
        note: JsonObject | None = block.note.get("item")
        return note
    return None


def _identity(item: JsonObject, names: Iterable[str] = _IDENTITY) -> JsonObject | None:
    """The note about members that only say which item it is."""
    identity = {name: item[name] for name in names if item.get(name) is not None}
    return {"members": identity} if identity else None


def _read_server_tool(item: JsonObject, path: str) -> list[Block]:
    tool = SERVER_TOOLS[str(item["type"])]
    return [ServerToolCall(members.text(item, "id", path) or "", tool, _arguments_of(item), "responses", item)]


def _arguments_of(item: JsonObject) -> str:
    """What the tool was asked, as JSON text, in the members that are common between vendors."""
    arguments = item.get("arguments")
    if isinstance(arguments, str):
        return arguments
    action = item.get("action")
    query = action.get("query") if isinstance(action, dict) else None
    asked: dict[str, Any] = {"query": query, "queries": item.get("queries"), "code": item.get("code")}
    return json.dumps({name: value for name, value in asked.items() if value is not None}, ensure_ascii=False)


def _texts_of(item: JsonObject, name: str, path: str) -> list[str]:
    parts = members.objects(item, name, path) or []
    here = members.join(path, name)
    return [members.required_text(part, "text", f"{here}[{place}]") for place, part in enumerate(parts)]


_BLOCK_READERS: dict[str, Callable[[JsonObject, str], list[Block]]] = {
    "message": _read_message,
    "reasoning": lambda item, path: [read_reasoning(item, path)],
    "function_call": lambda item, path: [read_tool_call(item, path)],
    "custom_tool_call": lambda item, path: [read_tool_call(item, path)],
    **dict.fromkeys(SERVER_TOOLS, _read_server_tool),
}

_RESULT_KINDS = frozenset({"function_call_output", "custom_tool_call_output"})


def _other_message(kind: str, item: JsonObject, path: str) -> Message:
    """The message of an item that is not the assistant's: an input message, a tool's result, or any other."""
    if kind == "message":
        return _input_message(item, path)
    if kind in _RESULT_KINDS:
        return Message("tool", [_read_result(item, path)])
    summary = _summary_of(item, path)
    if summary is not None:
        return Message("user", [Text(f"{_SUMMARY_HEAD}\n\n{summary}")])
    text = _agents_message(item, path) if kind == "agent_message" else None
    return Message("user", [Opaque("responses", kind, item, content=_is_content(kind, item), text=text)])


def _agents_message(item: JsonObject, path: str) -> str | None:
    """What one agent of Codex's tells another, None where a part of it is OpenAI's ciphertext. What a model of another
    vendor says stands there as it is. https://github.com/openai/codex/pull/26210"""
    texts: list[str] = []
    for place, part in enumerate(members.objects(item, "content", path) or []):
        here = f"{members.join(path, 'content')}[{place}]"
        member = "encrypted_content" if part.get("type") == "encrypted_content" else "text"
        text = members.text(part, member, here)
        if text is None or (member == "encrypted_content" and text.startswith(_CIPHERTEXT)):
            return None
        texts.append(text)
    return "".join(texts) or None


def _summary_of(item: JsonObject, path: str) -> str | None:
    """The text of a compaction that this gateway had made by a model of another format; None for any other item."""
    sealed = members.text(item, "encrypted_content", path) if item.get("type") == "compaction" else None
    return None if sealed is None else envelope.unseal_summary(sealed)


def _input_message(item: JsonObject, path: str) -> Message:
    role = members.required_text(item, "role", path)
    if role not in _ROLES:
        expected = "'assistant', 'system', 'developer', and 'user'"
        where = members.join(path, "role")
        raise members.invalid(where, f"Invalid value: '{role}'. Supported values are: {expected}.")
    content, plain = read_content(item, "content", path, assistant=False)
    note: JsonObject = _identity(item) or {"members": {}}
    if "type" in item:
        note["members"]["type"] = item["type"]
    extra = members.rest(item, _INPUT_MESSAGE)
    return Message(_ROLES[role], content, plain=plain, extra=extra, note=note if note["members"] else None)


def _read_result(item: JsonObject, path: str) -> ToolResult:
    content, plain = read_content(item, "output", path, assistant=False)
    return ToolResult(
        call_id=members.text(item, "call_id", path) or "",
        content=content,
        name=members.text(item, "name", path),
        kind="custom" if item["type"] == "custom_tool_call_output" else "function",
        plain=plain,
        extra=members.rest(item, _CALL_OUTPUT),
        note=_identity(item),
    )


def _is_content(kind: str, item: JsonObject) -> bool:
    """Whether another format that cannot carry the item must refuse the request. A reference to reasoning only
    costs the model its earlier thoughts; a changed effort is a knob, a changed schema is not."""
    if kind == "item_reference":
        return not str(item.get("id")).startswith("rs_")
    if kind == "configuration_update":
        return bool(item.get("text"))
    return kind not in _NO_CONTENT
