"""What people are told of the backends."""

from __future__ import annotations

from typing import Any

import pytest

from core.backend_report import backend_rows, redacted, shown_url, state_of
from core.configuration import Configuration, read_configuration
from core.errors import upstream_fault
from core.routing.health import BREAKER_FAILURES, Health
from tests.scripted import VirtualClock

DOCUMENT: dict[str, Any] = {
    "backends": {
        "claude": {"type": "anthropic", "base_url": "https://user:secret@h/v1?key=secret"},
        "gpt": {"type": "openai"},
        "spread": {"type": "bedrock", "regions": ["us-east-1", "eu-west-1"]},
        "idle": {"type": "demo"},
    },
    "models": {
        "sonnet": {"candidates": [
            {"backend": "claude", "api_model": "claude-sonnet-4-5"}, {"backend": "claude", "api_model": "other"},
        ]},
        "nova": {"backend": "spread", "api_model": "amazon.nova-pro-v1:0"},
        "gpt-*": {"backend": "gpt"},
    },
}  # fmt: skip
NOW = 1_800_000_000.0


class Ground:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.health = Health(self.clock.monotonic, lambda: 0.0)
        self.configuration: Configuration = read_configuration(DOCUMENT, {"ANTHROPIC_API_KEY": "k"})
        self.sonnet, self.other = self.configuration.registry.resolve("sonnet").candidates

    def rows(self, *, private: bool = True) -> dict[str, dict[str, Any]]:
        rows = backend_rows(self.configuration, self.health, NOW, private=private)
        return {row["name"]: row for row in rows}


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_every_backend_is_there_before_it_is_asked(ground: Ground) -> None:
    rows = ground.rows()
    assert list(rows) == ["claude", "gpt", "idle", "spread@us-east-1", "spread@eu-west-1"]
    claude = rows["claude"]
    assert (claude["state"], claude["base_url"], claude["models"]) == ("unknown", "https://h/v1", ["sonnet"])
    assert (claude["requests"], claude["latency_p50_ms"], claude["last_error"]) == (0, None, None)
    assert (rows["gpt"]["state"], rows["gpt"]["models"]) == ("not_configured", ["gpt-*"])
    assert "OPENAI_API_KEY" in rows["gpt"]["reason"]
    assert rows["spread@eu-west-1"]["region"] == "eu-west-1" and rows["claude"]["region"] is None
    assert rows["idle"]["models"] == []


def test_counts_and_percentiles(ground: Ground) -> None:
    for number in range(1, 101):
        ground.health.succeeded(ground.sonnet if number % 2 else ground.other, number / 1000)
    ground.health.failed(ground.other, upstream_fault("upstream", "broke", 502))
    row = ground.rows()["claude"]
    assert (row["state"], row["requests"], row["errors"]) == ("ok", 101, 1)
    assert (row["latency_p50_ms"], row["latency_p95_ms"]) == (50.0, 95.0)
    assert [(each["api_model"], each["requests"]) for each in row["targets"]] == [
        ("claude-sonnet-4-5", 50), ("other", 51),
    ]  # fmt: skip


def test_a_rate_limit_and_a_run_of_failures(ground: Ground) -> None:
    ground.health.failed(ground.sonnet, upstream_fault("rate_limit", "slow down", 429, retry_after=30))
    row = ground.rows()["claude"]
    assert (row["state"], row["cooling_until"], row["last_error"]["status"]) == ("cooling", NOW + 30, 429)
    assert state_of(ground.sonnet, ground.health) == "cooling" and state_of(ground.other, ground.health) == "ok"
    for _ in range(BREAKER_FAILURES):
        ground.clock.now += 1
        ground.health.failed(ground.other, upstream_fault("upstream", "away", 503))
    row = ground.rows()["claude"]
    assert (row["state"], row["consecutive_failures"], row["last_error"]) == (
        "down", BREAKER_FAILURES, {"status": 503, "message": "away", "at": NOW},
    )  # fmt: skip
    assert row["reason"] == "other failed several times in a row"
    ground.clock.now += 6
    row = ground.rows()["claude"]
    assert row["reason"].endswith("the next request tries it") and row["cooling_until"] is None
    assert state_of(ground.configuration.registry.resolve("gpt-5").candidates[0], ground.health) == "not_configured"


def test_who_is_no_administrator_sees_no_addresses_and_no_words(ground: Ground) -> None:
    ground.health.failed(ground.sonnet, upstream_fault("upstream", "at 10.0.0.7", 502))
    row = ground.rows(private=False)["claude"]
    assert row["base_url"] is None and row["last_error"] == {"status": 502, "message": None, "at": NOW}


def test_errors_are_shown_short_and_without_credentials() -> None:
    text = redacted("arn:aws:iam::123456789012:role/x refused sk-ant-0123456789abcdefgh")
    assert text == "arn:aws:iam::***:role/x refused ***"
    assert len(redacted("x" * 5000)) == 501


@pytest.mark.parametrize(
    ("url", "shown"),
    [("http://h", "http://h"), ("https://u@h:1/a@b?c=d", "https://h:1/a@b"), ("demo:", "demo:"), ("", "")],
)
def test_addresses_are_shown_without_who_asks_and_what_for(url: str, shown: str) -> None:
    assert shown_url(url) == shown
