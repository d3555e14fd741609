"""A model's answer as the chat API tells it: events while it comes, and the whole of it at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from core.conversation import Reasoning, ToolCall
from core.errors import GatewayError, NotConfigured
from core.events import Event, Failed, Finished, PartDelta, PartEnded
from core.formats.api.wire import error_object
from core.slotted import field, slotted
from core.stop import Stop
from core.usage import Usage, UsageRecord, in_usd

type Told = tuple[str, dict[str, Any]]

# Why answers end, in the words that most clients know.
FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "context_window": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "content_filter": "content_filter",
}

_TEXTS: Final = frozenset({"text", "refusal"})


@slotted
class Answering:
    """What has been told of an answer so far. `failure`: what it broke with."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    stop: Stop | None = None
    usage: Usage = field(default_factory=Usage)
    failure: GatewayError | None = None

    def feed(self, events: Iterable[Event]) -> list[Told]:
        """The events of the chat API for those of a decoder: names and data."""
        told: list[Told] = []
        for event in events:
            match event:
                case PartDelta(kind="reasoning"):
                    self.reasoning += event.value
                    told.append(("reasoning", {"text": event.value}))
                case PartDelta() if event.kind in _TEXTS:
                    self.content += event.value
                    told.append(("delta", {"text": event.value}))
                case PartEnded(block=ToolCall() as call):
                    self.tool_calls.append(shown_call(call))
                    told.append(("tool_call", self.tool_calls[-1]))
                case PartEnded(block=Reasoning()) if self.reasoning and not self.reasoning.endswith("\n\n"):
                    self.reasoning += "\n\n"
                case Finished():
                    self.stop = event.stop
                    self.usage = event.usage
                case Failed():
                    self.failure = event.error
                case _:
                    pass
        return told

    @property
    def said_anything(self) -> bool:
        return bool(self.content or self.reasoning or self.tool_calls)

    def message(self) -> dict[str, Any]:
        """The assistant's message."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            message["reasoning"] = self.reasoning.rstrip("\n")
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return message


def shown_call(call: ToolCall) -> dict[str, Any]:
    """A tool call. Arguments that are no JSON stay the text that the model wrote."""
    try:
        arguments = json.loads(call.arguments) if call.kind == "function" and call.arguments else call.arguments
    except (ValueError, RecursionError):
        arguments = call.arguments
    return {"id": call.id, "name": call.name, "arguments": arguments}


def usage_of(usage: Usage) -> dict[str, int]:
    """Tokens. The prompt's count includes what a cache held of it."""
    return {
        "input_tokens": usage.total_input_tokens,
        "output_tokens": usage.output_tokens or 0,
        "cached_input_tokens": usage.cache_read_tokens or 0,
        "reasoning_tokens": usage.reasoning_tokens or 0,
        "total_tokens": usage.total_tokens,
    }


def sum_of(usages: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """All of them together."""
    total = usage_of(Usage())
    for usage in usages:
        for name in total:
            total[name] += usage[name]
    return total


def figures_of(record: UsageRecord, answering: Answering) -> dict[str, Any]:
    """What an answer took: tokens, cost, and which backend gave it. `record` is complete."""
    usage = record.usage if record.usage.total_tokens else answering.usage
    return {
        "usage": usage_of(usage),
        "cost_usd": None if record.cost is None else float(in_usd(record.cost.total)),
        "finish_reason": finish_of(answering),
        "backend": record.backend,
        "served_model": record.api_model,
        "attempts": record.attempts,
    }


def finish_of(answering: Answering) -> str:
    """The reason in the API's words; `error` where the answer broke."""
    if answering.stop is None or answering.failure is not None:
        return "error"
    return FINISH.get(answering.stop.reason, answering.stop.reason)


def error_of(error: GatewayError, request_id: str = "") -> dict[str, Any]:
    """The `error` of a part of an answer."""
    shown: dict[str, Any] = error_object(error, request_id, error.about)["error"]
    return shown


def unfinished() -> GatewayError:
    """For an answer whose stream ended before it did."""
    return GatewayError("upstream", "The answer broke off before it was complete.")


def no_memory() -> NotConfigured:
    """For sessions without a store."""
    return NotConfigured(
        "Sessions need a store, and none is configured: set SKYBRIDGE_STORE to sqlite:PATH, dynamodb:TABLE or "
        "azure-table:https://ACCOUNT.table.core.windows.net/TABLE. Without `session_id` chat works, unremembered."
    )


NOT_KEPT: Final = "No store is configured (SKYBRIDGE_STORE), so this conversation is not kept."
NO_SESSION: Final = "Without 'session_id' a conversation of 'messages' is not kept."
