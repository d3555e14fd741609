"""The order in which candidates are tried."""

from __future__ import annotations

import pytest

from core.errors import upstream_fault
from core.routing.health import Health
from core.routing.registry import Candidate, Strategy, make_backend
from core.routing.strategy import Choosing, order_candidates
from tests.scripted import FixedRandom, VirtualClock


class Numbers(FixedRandom):
    """Gives the listed numbers in turn."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self._numbers = list(numbers)

    def uniform(self) -> float:
        return self._numbers.pop(0)


def candidate(name: str, priority: int = 1, weight: float = 1.0) -> Candidate:
    return Candidate(make_backend(name, "demo", {}), "m", priority, weight)


def choosing(random: FixedRandom | None = None) -> Choosing:
    random = random or FixedRandom()
    return Choosing(random, Health(VirtualClock().monotonic, random.uniform))


def names(candidates: list[Candidate], strategy: Strategy, by: Choosing) -> list[str]:
    return [item.backend.name for item in order_candidates(candidates, strategy, by)]


@pytest.mark.parametrize("strategy", ["ordered", "weighted", "lowest_latency", "lowest_cost", "cache_aware"])
def test_priority_comes_first_whatever_the_strategy(strategy: Strategy) -> None:
    listed = [candidate("c", 3), candidate("b", 2), candidate("a", 1)]
    assert names(listed, strategy, choosing()) == ["a", "b", "c"]
    assert names(listed[:1], strategy, choosing()) == ["c"]


def test_a_pinned_backend_comes_before_all() -> None:
    by = choosing()
    by.pinned = "b"
    assert names([candidate("a", 1), candidate("b", 2)], "ordered", by) == ["b", "a"]


def test_ordered_keeps_the_configured_order() -> None:
    assert names([candidate("b"), candidate("a")], "ordered", choosing()) == ["b", "a"]


def test_equal_priority_shares_by_weight() -> None:
    heavy = 0
    for step in range(100):
        for other in range(10):
            by = choosing(Numbers((step + 0.5) / 100, (other + 0.5) / 10))
            heavy += names([candidate("heavy", 1, 3), candidate("light", 1, 1)], "weighted", by)[0] == "heavy"
    assert heavy / 1000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("strategy", ["weighted", "cache_aware"])
def test_weight_zero_comes_last(strategy: Strategy) -> None:
    assert names([candidate("never", 1, 0), candidate("a")], strategy, choosing()) == ["a", "never"]


def test_the_fastest_comes_first_and_the_unmeasured_before_it() -> None:
    by = choosing()
    slow, fast, new = candidate("slow"), candidate("fast"), candidate("new")
    by.health.succeeded(slow, 2.0)
    by.health.succeeded(fast, 0.5)
    assert names([slow, fast, new], "lowest_latency", by) == ["new", "fast", "slow"]
    for _ in range(20):
        by.health.succeeded(fast, 4.0)
    assert names([slow, fast], "lowest_latency", by) == ["slow", "fast"]


def test_the_cheapest_comes_first_and_unknown_prices_last() -> None:
    prices = {"dear": 3.0, "cheap": 0.5, "unknown": None}
    by = choosing()
    by.cost = lambda item: prices[item.backend.name]
    assert names([candidate(name) for name in prices], "lowest_cost", by) == ["cheap", "dear", "unknown"]


def test_the_same_prefix_meets_at_the_same_candidate() -> None:
    listed = [candidate(name) for name in "abcd"]
    by = choosing()
    first: dict[bytes, str] = {}
    for number in range(400):
        prefix = b"%d" % number
        by.prefix = lambda prefix=prefix: prefix  # type: ignore[misc]
        first[prefix] = names(listed, "cache_aware", by)[0]
        assert names(listed[::-1], "cache_aware", by)[0] == first[prefix]
    shares = [list(first.values()).count(name) for name in "abcd"]
    assert min(shares) > 60
    for prefix, name in first.items():
        by.prefix = lambda prefix=prefix: prefix  # type: ignore[misc]
        without_d = names(listed[:3], "cache_aware", by)[0]
        assert name in ("d", without_d), "only the share of the candidate that went has moved"


def test_weight_is_the_share_of_prefixes() -> None:
    by = choosing()
    heavy = 0
    for number in range(1000):
        by.prefix = lambda number=number: b"%d" % number  # type: ignore[misc]
        heavy += names([candidate("heavy", 1, 3), candidate("light", 1, 1)], "cache_aware", by)[0] == "heavy"
    assert heavy / 1000 == pytest.approx(0.75, abs=0.05)


def test_an_error_measures_nothing() -> None:
    by = choosing()
    failing = candidate("a")
    by.health.failed(failing, upstream_fault("upstream", "x", 500))
    assert by.health.latency(failing) is None
