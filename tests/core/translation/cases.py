"""What the tests of the translation share: targets, and short ways to write a conversation."""

from __future__ import annotations

from typing import Any

from core.conversation import (
    Block,
    Conversation,
    FormatName,
    Message,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from core.formats.contract import Target
from core.models.resolve import facts_for
from core.translation.prepare import Prepared, prepare
from core.translation.rules import rules_for

PROVIDERS = {
    "chat_completions": "openai",
    "responses": "openai",
    "messages": "anthropic",
    "converse": "bedrock",
    "generate_content": "gemini",
}


def target(model: str, provider: str = "openai-compatible") -> Target:
    return Target(model, "backend", provider, facts_for(model))


def prepared(conversation: Conversation, format_name: str, model: str, provider: str = "") -> Prepared:
    where = target(model, provider or PROVIDERS[format_name])
    return prepare(conversation, where, rules_for(format_name, where))


def said(role: Role, *content: Block | str, slot: str | None = None) -> Message:
    blocks: list[Block] = [Text(block) if isinstance(block, str) else block for block in content]
    return Message(role, blocks, slot=slot)


def conversation(*messages: Message, format: FormatName = "messages", **members: Any) -> Conversation:
    return Conversation(format, "asked", list(messages), **members)


def call(id: str = "call_1", name: str = "look", arguments: str = "{}", **members: Any) -> ToolCall:
    return ToolCall(id, name, arguments, **members)


def result(id: str = "call_1", text: str = "seen", **members: Any) -> ToolResult:
    return ToolResult(id, [Text(text)], **members)


def shape(messages: list[Message]) -> list[tuple[str, list[str]]]:
    """Roles, and of each block its text or its kind: enough to see an order."""
    return [(message.role, [_shown(block) for block in message.content]) for message in messages]


def _shown(block: Block) -> str:
    match block:
        case Text():
            return block.text
        case ToolCall():
            return f"call {block.name} {block.id}"
        case ToolResult():
            return f"result {block.call_id}: " + " ".join(_shown(inner) for inner in block.content)
        case _:
            return type(block).__name__
