"""Percentiles in bounded memory, against the exact ones."""

from __future__ import annotations

import pytest

from core.percentiles import Percentiles


def of(values: list[float]) -> Percentiles:
    found = Percentiles()
    for value in values:
        found.add(value)
    return found


def test_nothing_has_no_percentile() -> None:
    assert Percentiles().at(0.5) is None


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.25, 3.7, 4000.0])
def test_a_single_value_is_told_exactly(value: float) -> None:
    assert of([value]).at(0.5) == of([value]).at(0.95) == value


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.95, 0.99, 1.0])
def test_within_one_part_in_a_hundred(share: float) -> None:
    values = [0.001 * 1.003**number for number in range(5000)]
    exact = sorted(values)[max(0, round(share * len(values)) - 1)]
    assert of(values[::-1]).at(share) == pytest.approx(exact, rel=0.021)


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    found = of([0.1 + 0.9 * (number % 1000) / 1000 for number in range(20_000)])
    assert found.count == 20_000 and len(found._buckets) < 130
