"""Cooldowns, probes and measurements of candidates."""

from __future__ import annotations

import pytest

from core.errors import ClientFault, UpstreamFault, upstream_fault
from core.routing.health import BREAKER_FAILURES, PROBE_LEASE, Health
from core.routing.registry import Candidate, make_backend
from tests.scripted import VirtualClock


class Ground:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.health = Health(self.clock.monotonic, lambda: 0.0)
        self.a = Candidate(make_backend("a", "demo", {}), "m")

    def fail(self, error: UpstreamFault | None = None, times: int = 1) -> None:
        for _ in range(times):
            self.health.failed(self.a, error or upstream_fault("upstream", "x", 502))


@pytest.fixture
def ground() -> Ground:
    return Ground()


def limited(seconds: float | None = None) -> UpstreamFault:
    return upstream_fault("rate_limit", "x", 429, retry_after=seconds)


def test_an_unknown_candidate_is_well(ground: Ground) -> None:
    assert ground.health.take(ground.a) and ground.health.cooling(ground.a) == 0.0
    assert ground.health.report(ground.a) == {
        "state": "closed", "failures": 0, "cooling_seconds": 0.0, "first_byte_seconds": None,
    }  # fmt: skip
    ground.health.given_up(ground.a)


def test_failures_in_a_row_open_the_breaker(ground: Ground) -> None:
    ground.fail(times=BREAKER_FAILURES - 1)
    assert ground.health.take(ground.a)
    ground.fail()
    assert not ground.health.take(ground.a)
    assert ground.health.cooling(ground.a) == pytest.approx(5.0)
    assert ground.health.report(ground.a)["state"] == "cooling"


def test_each_further_failure_doubles_the_cooldown_up_to_a_bound(ground: Ground) -> None:
    lengths = []
    ground.fail(times=BREAKER_FAILURES - 1)
    for _ in range(6):
        ground.fail()
        lengths.append(ground.health.cooling(ground.a))
        ground.clock.now += 100
    assert lengths == pytest.approx([5.0, 10.0, 20.0, 40.0, 60.0, 60.0])


def test_a_success_in_between_starts_the_count_again(ground: Ground) -> None:
    ground.fail(times=BREAKER_FAILURES - 1)
    ground.health.succeeded(ground.a, 0.1)
    ground.fail(times=BREAKER_FAILURES - 1)
    assert ground.health.take(ground.a)


def test_a_rate_limit_cools_for_as_long_as_it_says(ground: Ground) -> None:
    ground.fail(limited(7.0))
    assert ground.health.cooling(ground.a) == pytest.approx(7.0)
    ground.fail(limited(3.0))
    assert ground.health.cooling(ground.a) == pytest.approx(7.0), "a later, shorter wait does not end the longer one"
    ground.fail(limited(100_000.0))
    assert ground.health.cooling(ground.a) == pytest.approx(600.0)


def test_an_overload_with_a_wait_cools_like_a_rate_limit(ground: Ground) -> None:
    ground.fail(upstream_fault("overloaded", "x", 503, retry_after=4.0))
    assert ground.health.cooling(ground.a) == pytest.approx(4.0)


def test_rate_limits_without_a_wait_back_off(ground: Ground) -> None:
    lengths = []
    for _ in range(8):
        ground.fail(limited())
        lengths.append(ground.health.cooling(ground.a))
        ground.clock.now += 200
    assert lengths == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])


@pytest.mark.parametrize("error", [upstream_fault("bad_request", "x", 400), ClientFault("bad_request", "x")])
def test_a_refused_request_says_nothing_about_health(ground: Ground, error: UpstreamFault) -> None:
    for _ in range(20):
        ground.health.failed(ground.a, error)
    assert ground.health.take(ground.a)


def test_one_probe_at_a_time_after_a_cooldown(ground: Ground) -> None:
    ground.fail(limited(5.0))
    ground.clock.now += 5.1
    assert ground.health.report(ground.a)["state"] == "probing"
    assert ground.health.take(ground.a)
    assert not ground.health.take(ground.a), "the others wait for the first one's result"
    assert 0.0 < ground.health.cooling(ground.a) <= 1.0
    ground.health.succeeded(ground.a, 0.1)
    assert ground.health.take(ground.a) and ground.health.take(ground.a)


def test_a_probe_that_fails_starts_the_next_cooldown(ground: Ground) -> None:
    ground.fail(limited())
    ground.clock.now += 1.1
    assert ground.health.take(ground.a)
    ground.fail(limited())
    assert ground.health.cooling(ground.a) == pytest.approx(2.0)


def test_a_probe_that_says_nothing_lets_the_next_one_go(ground: Ground) -> None:
    ground.fail(limited(1.0))
    ground.clock.now += 1.1
    assert ground.health.take(ground.a)
    ground.health.given_up(ground.a)
    assert ground.health.take(ground.a)
    ground.clock.now += PROBE_LEASE + 0.1
    assert ground.health.take(ground.a), "one that never reported back is forgotten"


def test_the_last_resort_probes_a_cooling_candidate_once(ground: Ground) -> None:
    ground.fail(limited(50.0))
    assert ground.health.take(ground.a, last_resort=True)
    assert not ground.health.take(ground.a, last_resort=True)


def test_latency_is_a_moving_average(ground: Ground) -> None:
    assert ground.health.latency(ground.a) is None
    ground.health.succeeded(ground.a, 1.0)
    ground.health.succeeded(ground.a, 2.0)
    assert ground.health.latency(ground.a) == pytest.approx(1.2)


def test_state_is_per_backend_region_and_model(ground: Ground) -> None:
    ground.fail(limited(50.0))
    assert ground.health.take(Candidate(ground.a.backend, "other"))
    assert ground.health.take(Candidate(make_backend("a", "demo", {"region": "eu-west-1"}), "m"))
    assert not ground.health.take(Candidate(make_backend("a", "demo", {}), "m"))


def test_the_end_of_a_cooldown_is_spread(ground: Ground) -> None:
    ground.health = Health(ground.clock.monotonic, lambda: 1.0)
    ground.fail(limited(10.0))
    assert ground.health.cooling(ground.a) == pytest.approx(11.0)


def test_what_was_seen_is_told(ground: Ground) -> None:
    health = ground.health
    assert health.observed() == {} and health.age() == 0.0
    health.succeeded(ground.a, 0.5)
    health.failed(ground.a, upstream_fault("bad_request", "wrong", 400))
    ground.fail(upstream_fault("upstream", "broken", 503))
    ground.clock.now += 4
    ((key, seen),) = health.observed().items()
    assert key == ("a", "us-east-1", "m") and health.age() == 4.0
    assert (seen["answers"], seen["errors"], seen["times"]) == (2, 1, [0.5])
    assert seen["last_error"] == (4.0, 503, "broken")
    assert (seen["cooling"], seen["probing"], seen["breaker"]) == (0.0, False, False)
    ground.fail(times=BREAKER_FAILURES - 1)
    assert health.observed()[key]["breaker"] and health.observed()[key]["cooling"] == pytest.approx(5.0)
    ground.clock.now += 6
    assert health.observed()[key]["probing"] and not health.observed()[key]["cooling"]
