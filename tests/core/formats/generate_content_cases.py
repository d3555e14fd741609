"""What the tests of the generate_content format share."""

from __future__ import annotations

from typing import Any

from core.conversation import Conversation, FormatName, Message, Text
from core.formats.contract import Call, Reply, Target
from core.formats.generate_content import read_request
from core.models.resolve import facts_for


def target_of(model: str = "gemini-3-pro", *, stream: bool = False) -> Target:
    return Target(model, "gemini", "gemini", facts_for(model), stream)


def read(body: dict[str, Any], *, stream: bool = False) -> Conversation:
    conversation: Conversation = read_request(body, Call(model="gemini-3-pro", stream=stream))
    return conversation


def reply(client: FormatName = "generate_content") -> Reply:
    source = Conversation(client, "asked", [Message("user", [Text("Hi")])])
    return Reply("asked", "x" * 20, 1_700_000_000, source, "req-1")
