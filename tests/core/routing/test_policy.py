"""Which candidate is tried when."""

from __future__ import annotations

import pytest

from core.errors import ClientFault, GatewayError, NotConfigured, RawError, Unsupported, upstream_fault
from core.providers.table import PROVIDERS
from core.routing.policy import final_error, order_candidates, plan_attempts
from core.routing.registry import Candidate, make_backend
from tests.scripted import FixedRandom


class Sequence(FixedRandom):
    """Gives the listed numbers in turn."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self._numbers = list(numbers)

    def uniform(self) -> float:
        return self._numbers.pop(0)


def candidate(name: str, priority: int = 1, weight: float = 1.0, retries: int = 0) -> Candidate:
    return Candidate(make_backend(name, "demo", {"max_retries": retries}), "m", priority, weight)


def names(candidates: list[Candidate]) -> list[str]:
    return [item.backend.name for item in candidates]


def test_priority_comes_first() -> None:
    assert names(order_candidates([candidate("b", 2), candidate("a", 1)], FixedRandom())) == ["a", "b"]


def test_equal_priority_shares_by_weight() -> None:
    counts = {"heavy": 0, "light": 0}
    for step in range(100):
        for other in range(10):
            random = Sequence((step + 0.5) / 100, (other + 0.5) / 10)
            first = order_candidates([candidate("heavy", 1, 3), candidate("light", 1, 1)], random)[0]
            counts[first.backend.name] += 1
    assert counts["heavy"] / 1000 == pytest.approx(0.75, abs=0.03)


def test_weight_zero_comes_last() -> None:
    assert names(order_candidates([candidate("never", 1, 0), candidate("a")], FixedRandom())) == ["a", "never"]


def walk(candidates: list[Candidate], *outcomes: GatewayError) -> list[tuple[str, int, float]]:
    plan = plan_attempts(candidates, FixedRandom(0.5))
    attempts = [next(plan)]
    for outcome in outcomes:
        try:
            attempts.append(plan.send(outcome))
        except StopIteration:
            break
    return [(item.candidate.backend.name, item.number, item.delay) for item in attempts]


def test_retries_in_place_with_growing_jittered_delays() -> None:
    fault = upstream_fault("overloaded", "x", 503)
    walked = walk([candidate("a", 1, retries=2), candidate("b", 2)], fault, fault, fault, fault)
    assert walked == [("a", 1, 0.0), ("a", 2, 0.125), ("a", 3, 0.25), ("b", 4, 0.0)]


@pytest.mark.parametrize("kind", ["authentication", "permission", "quota", "billing"])
def test_lasting_failures_go_to_the_next_candidate_at_once(kind: str) -> None:
    fault = upstream_fault(kind, "x", 429)  # type: ignore[arg-type]
    assert [item[0] for item in walk([candidate("a", 1, retries=2), candidate("b", 2)], fault)] == ["a", "b"]


@pytest.mark.parametrize("outcome", [Unsupported("audio", "x"), NotConfigured("KEY not set")])
def test_what_only_this_candidate_cannot_moves_on(outcome: GatewayError) -> None:
    assert [item[0] for item in walk([candidate("a", 1, retries=2), candidate("b", 2)], outcome)] == ["a", "b"]


@pytest.mark.parametrize("outcome", [ClientFault("bad_request", "x"), upstream_fault("bad_request", "x", 400)])
def test_the_clients_fault_ends_it(outcome: GatewayError) -> None:
    assert len(walk([candidate("a", 1), candidate("b", 2)], outcome)) == 1


def test_the_most_helpful_failure_is_told() -> None:
    limited = upstream_fault("rate_limit", "slow", 429, retry_after=9)
    later = upstream_fault("rate_limit", "slow", 429, retry_after=3)
    answered = upstream_fault("upstream", "bad", 500)
    answered.raw = RawError(500, {}, b"")
    unreachable = upstream_fault("upstream", "none", 502)
    missing = NotConfigured("x")
    assert final_error([missing, unreachable, answered, limited, later]) is limited
    assert limited.retry_after == 3
    assert final_error([missing, unreachable, answered]) is answered
    assert final_error([missing, unreachable]) is unreachable
    assert final_error([missing]) is missing


def test_every_provider_row_is_complete() -> None:
    for name, row in PROVIDERS.items():
        assert row.name == name
        assert row.formats
        assert row.auth in {"bearer", "api-key", "iam", "none"}
        assert row.base_url or row.url_variable or name == "openai-compatible"
