"""What the tests of Chat Completions share: targets, replies, and events in a form that golden files can hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from core.conversation import Conversation, ReasoningRequest
from core.errors import GatewayError
from core.events import Event
from core.formats.contract import Reply, Target
from core.models.facts import ModelFacts


def target(provider: str = "openai", vendor: str = "openai", **facts: Any) -> Target:
    """A backend; `stream` and any model fact may be given."""
    stream = facts.pop("stream", False)
    model = facts.pop("model", "made-1")
    return Target(model, "made", provider, ModelFacts("made", vendor, **facts), stream)


def reply(conversation: Conversation | None = None, **members: Any) -> Reply:
    """What a writer is told of the request; members of the conversation may be given."""
    if conversation is None:
        conversation = Conversation("chat_completions", "asked", **members)
    return Reply("asked", "abcdefghijklmnopqrst", 1_760_000_000, conversation, "req_1")


def hidden_reasoning() -> ReasoningRequest:
    """A request for reasoning that is not to be shown."""
    return ReasoningRequest(mode="effort", effort="low", display="none")


def plain(value: Any) -> Any:
    """A value as JSON: dataclasses by name with the fields that differ from their defaults."""
    if isinstance(value, GatewayError):
        return {"is": type(value).__name__, "kind": value.kind, "status": value.status, "message": value.message}
    if is_dataclass(value) and not isinstance(value, type):
        shown = {"is": type(value).__name__}
        for field in fields(value):
            member = getattr(value, field.name)
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            if member != default:
                shown[field.name] = plain(member)
        return shown
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def plain_events(events: Iterable[Event]) -> list[Any]:
    """Events as JSON."""
    return [plain(event) for event in events]
