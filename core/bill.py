"""Usage records as a store keeps them. `core.usage_report` adds them up."""

from __future__ import annotations

from collections.abc import Mapping
from time import gmtime, strftime
from typing import Any, Final

from core.usage import CLIENT_LEFT, Cost, UsageRecord

RETENTION_DAYS: Final = 90
TOKENS: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "reasoning_tokens",
)  # fmt: skip

# What clients and backends made up is cut off: with it, escapes and all, a record must fit into an item of DynamoDB's,
# 400 KB, or nothing that waits with it could be written.
LONGEST_TEXT: Final = 300
MOST_TEXTS: Final = 30

type Document = Mapping[str, Any]


def day_of(epoch: float) -> str:
    """The UTC day, YYYY-MM-DD."""
    return strftime("%Y-%m-%d", gmtime(epoch))


def folder_of(day: str) -> str:
    """Where a day's records are kept, by request id: a record that is written twice is there once."""
    return f"usage:{day}"


def usage_document(record: UsageRecord, wasted_cost: int, compute_cost: int | None = None) -> Document:
    """The record of a request as JSON. Money is in picodollars; `cost` is None where no price is known, and
    `wasted_cost` is what attempts cost that nobody got an answer from, `compute_cost` what the platform asks for."""
    usage, cost = record.usage, record.cost
    return {
        "id": record.request_id, "started": record.started, "operation": record.operation,
        "key": record.caller, "shown": record.key, "owner": record.owner, "labels": dict(record.labels),
        "user_agent": _cut(record.user_agent), "session": _cut(record.session), "agent": _cut(record.agent),
        "model": _cut(record.model), "api_model": _cut(record.api_model), "backend": record.backend,
        "region": record.region, "tier": _cut(record.tier), "client_format": record.client_format,
        "backend_format": record.backend_format, "streamed": record.streamed, "attempts": record.attempts,
        "status": record.status, "outcome": record.outcome, "finish": record.finish,
        "dropped": _few(record.dropped), "edits": _few(record.edits), "errors": _few(record.errors),
        "first_byte_seconds": record.first_byte_seconds, "seconds": record.seconds,
        **{name: getattr(usage, name) for name in TOKENS},
        "cost": None if cost is None else cost.total,
        "cost_parts": None if cost is None else _parts(cost),
        "wasted_tokens": sum(wasted.usage.total_tokens for wasted in record.wasted), "wasted_cost": wasted_cost,
        "compute_cost": compute_cost, "source": record.source,
    }  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _few(texts: list[str]) -> list[str]:
    more = [f"and {len(texts) - MOST_TEXTS} more"] if len(texts) > MOST_TEXTS else []
    return [*map(_cut, texts[:MOST_TEXTS]), *more] if texts else texts


def _parts(cost: Cost) -> Mapping[str, int]:
    parts = {
        "input": cost.input, "output": cost.output, "cache_read": cost.cache_read,
        "cache_write_5m": cost.cache_write_5m, "cache_write_1h": cost.cache_write_1h,
    }  # fmt: skip
    return {name: amount for name, amount in parts.items() if amount}


def is_unsettled(record: UsageRecord) -> bool:
    """Whether a backend was at work without ever saying what it counted: its answer was left or broke early, or it does
    not count."""
    usage = record.usage
    if record.outcome == "complete":
        stated = usage.input_tokens is not None or usage.output_tokens is not None
        return record.operation == "generate" and not stated
    asked = record.status == 200 or (
        # The backend was at work: each attempt that had failed is among the errors.
        record.status == CLIENT_LEFT and record.operation != "count_tokens" and record.attempts > len(record.errors)
    )
    return asked and usage.total_tokens == 0
