"""What the tests of the Responses format share."""

from __future__ import annotations

from typing import Any

from core.conversation import Conversation
from core.formats.contract import Reply, Target
from core.models.facts import ModelFacts

SUFFIX = "abcdefghijklmnopqrst"
GPT = ModelFacts(family="gpt", vendor="openai", reasoning_model=True, efforts=("low", "high"))
PLAIN = ModelFacts(family="gpt-4o", vendor="openai")


def target(*, stream: bool = False, facts: ModelFacts = GPT, backend: str = "azure") -> Target:
    """A Responses backend."""
    return Target(model="gpt-5", backend=backend, provider="azure-openai", facts=facts, stream=stream)


def reply(conversation: Conversation | None = None, model: str = "asked-for") -> Reply:
    """A reply to `conversation`, by default to an empty one of this format."""
    asked = conversation or Conversation("responses", model)
    return Reply(model=model, id_suffix=SUFFIX, created=1_700_000_000, conversation=asked, request_id="req_1")


def without_nulls(value: Any) -> Any:
    """JSON without null members: they say no more than absent ones."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(element) for element in value]
    return value
