"""Which candidate is tried when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import ClientFault, GatewayError, NotConfigured, RawError, Refused, Unsupported, upstream_fault
from core.providers.table import PROVIDERS
from core.routing.health import Health
from core.routing.policy import final_error, plan_attempts
from core.routing.registry import Candidate, Policy, make_backend
from tests.scripted import FixedRandom, VirtualClock

POLICY = Policy()


def candidate(name: str, priority: int = 1, retries: int = 0) -> Candidate:
    return Candidate(make_backend(name, "demo", {"max_retries": retries}), "m", priority)


def health() -> Health:
    return Health(VirtualClock().monotonic, lambda: 0.0)


def walk(
    candidates: list[Candidate], *outcomes: GatewayError | None, policy: Policy = POLICY, known: Health | None = None
) -> list[tuple[str, int, float]]:
    plan = plan_attempts(candidates, policy, known or health(), FixedRandom(0.5))
    attempts = [next(plan)]
    for outcome in outcomes:
        try:
            attempts.append(plan.send(outcome))
        except StopIteration:
            break
    return [(item.candidate.backend.name, item.number, item.delay) for item in attempts]


def tried(
    candidates: list[Candidate], *outcomes: GatewayError | None, policy: Policy = POLICY, known: Health | None = None
) -> list[str]:
    return [item[0] for item in walk(candidates, *outcomes, policy=policy, known=known)]


FAULT = upstream_fault("overloaded", "x", 503)
RETRYING = [candidate("a", 1, retries=2), candidate("b", 2)]


def test_retries_in_place_with_growing_jittered_delays() -> None:
    walked = walk(RETRYING, FAULT, FAULT, FAULT, FAULT)
    assert walked == [("a", 1, 0.0), ("a", 2, 0.125), ("a", 3, 0.25), ("b", 4, 0.0)]


def test_a_named_wait_is_kept_in_place() -> None:
    limited = upstream_fault("rate_limit", "x", 429, retry_after=3.0)
    assert walk(RETRYING, limited)[1] == ("a", 2, 3.0)


def test_a_wait_that_is_too_long_goes_to_the_next() -> None:
    limited = upstream_fault("rate_limit", "x", 429, retry_after=30.0)
    assert tried(RETRYING, limited) == ["a", "b"]
    assert tried(RETRYING, limited, policy=replace(POLICY, longest_wait=40)) == ["a", "a"]


@pytest.mark.parametrize("kind", ["authentication", "permission", "quota", "billing"])
def test_lasting_failures_go_to_the_next_candidate_at_once(kind: str) -> None:
    fault = upstream_fault(kind, "x", 429)  # type: ignore[arg-type]
    assert tried(RETRYING, fault) == ["a", "b"]


@pytest.mark.parametrize("outcome", [Unsupported("audio", "x"), NotConfigured("KEY not set")])
def test_what_only_this_candidate_cannot_moves_on(outcome: GatewayError) -> None:
    assert tried(RETRYING, outcome) == ["a", "b"]


@pytest.mark.parametrize("outcome", [ClientFault("bad_request", "x"), upstream_fault("bad_request", "x", 400)])
def test_the_clients_fault_ends_it(outcome: GatewayError) -> None:
    assert tried([candidate("a", 1), candidate("b", 2)], outcome) == ["a"]


def test_the_policy_moves_on_and_stops_against_the_rule() -> None:
    refused = upstream_fault("content_filter", "x", 400)
    assert tried([*RETRYING[1:], candidate("c")], refused, policy=replace(POLICY, move_on=(400,))) == ["b", "c"]
    assert tried([*RETRYING[1:], candidate("c")], FAULT, policy=replace(POLICY, stop=(503,))) == ["b"]


def test_attempts_bound_the_tries_over_all_candidates() -> None:
    assert tried(RETRYING, FAULT, FAULT, FAULT, policy=replace(POLICY, attempts=2)) == ["a", "a"]


def test_attempts_that_run_out_leave_no_probe_behind() -> None:
    known = health()
    resting = candidate("b")
    known.failed(resting, upstream_fault("rate_limit", "x", 429, retry_after=9))
    assert tried([candidate("a"), resting], FAULT, policy=replace(POLICY, attempts=1), known=known) == ["a"]
    assert known.take(resting, last_resort=True)


def test_a_hedge_is_the_next_candidate_at_once() -> None:
    assert walk(RETRYING, None) == [("a", 1, 0.0), ("b", 2, 0.0)]
    assert tried([candidate("a")], None) == ["a"]


def test_cooling_candidates_come_last_the_soonest_first() -> None:
    known = health()
    a, b, c = candidate("a"), candidate("b"), candidate("c")
    known.failed(a, upstream_fault("rate_limit", "x", 429, retry_after=9))
    known.failed(b, upstream_fault("rate_limit", "x", 429, retry_after=5))
    assert tried([a, b, c], FAULT, FAULT, FAULT, known=known) == ["c", "b", "a"]


def test_when_all_cool_one_probes_and_the_others_are_told_the_soonest_end() -> None:
    known = health()
    a, b = candidate("a"), candidate("b")
    known.failed(a, upstream_fault("rate_limit", "x", 429, retry_after=9))
    known.failed(b, upstream_fault("rate_limit", "x", 429, retry_after=5))
    first, second = (plan_attempts([a, b], POLICY, known, FixedRandom()) for _ in range(2))
    assert next(first).candidate is b
    assert next(second).candidate is a
    with pytest.raises(Refused) as refused:
        next(plan_attempts([a, b], POLICY, known, FixedRandom()))
    assert (refused.value.status, refused.value.retry_after) == (503, pytest.approx(5.0))


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
