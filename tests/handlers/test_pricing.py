"""Prices of what a configuration's backends serve."""

from __future__ import annotations

from typing import Any

import pytest

from core.configuration import ConfigurationError, read_configuration
from core.usage import Usage, UsageRecord
from handlers.pricing import Pricing, read_pricing

PRICES = {"m": {"input": 1, "output": 2, "tiers": {"flex": "0.5", "priority": 2}}}


def pricing(row: dict[str, Any] | None = None, **options: Any) -> tuple[Pricing, Any]:
    document = {
        "backends": {"b": {"type": "bedrock", **options}},
        "models": {"m": {"backend": "b", "api_model": "m", **(row or {})}},
        "prices": PRICES,
    }  # fmt: skip
    configuration = read_configuration(document, {})
    return read_pricing(configuration), configuration.registry.resolve("m").candidates[0]


@pytest.mark.parametrize(
    ("row", "options", "tier", "factor"),
    [
        ({}, {}, "", 1), ({}, {}, "flex", 1), ({}, {}, "priority", 2), ({"service_tier": "priority"}, {}, "", 2),
        ({"service_tier": "priority"}, {}, "flex", 1), ({}, {"bedrock_service_tier": "priority"}, "", 2),
        ({}, {"bedrock_service_tier": "flex"}, "priority", 2), ({}, {}, "fast", 2), ({"speed": "fast"}, {}, "", 2),
    ],
)  # fmt: skip
def test_the_worst_case_knows_every_tier(
    row: dict[str, Any], options: dict[str, Any], tier: str, factor: int
) -> None:
    under_test, candidate = pricing(row, **options)
    assert under_test.worst(candidate, (10, 5), tier) == factor * 20 * 10**6


def test_the_tier_that_was_served_is_paid() -> None:
    under_test, _ = pricing()
    record = UsageRecord("r", "generate", "messages", 0.0, backend="b", api_model="m", tier="priority")
    for served, cost in ((None, 40), ("default", 20), ("flex", 10)):
        record.usage = Usage(10, 5, tier=served)
        found = under_test.record(record)
        assert found is not None and found.total == cost * 10**6


def test_what_nobody_priced() -> None:
    under_test, candidate = pricing()
    candidate.api_model = "other"
    assert under_test.worst(candidate, (1, 1), "") is None
    assert under_test.of("nowhere", "m", Usage(1), "") is None


def test_a_price_that_cannot_be_read() -> None:
    configuration = read_configuration({"prices": {"m": 3}}, {})
    with pytest.raises(ConfigurationError, match="expected `input` and `output`"):
        read_pricing(configuration)
