"""Percentiles of many measurements in little memory: logarithmic buckets, each a fiftieth wider than the one before."""

from __future__ import annotations

from math import ceil, log
from typing import Final

from core.slotted import field, slotted

_WIDTH: Final = log(1.02)
# Everything from here down is one bucket: a tenth of a millisecond, where values are seconds.
_SMALLEST: Final = 1e-4


@slotted
class Percentiles:
    """Takes values (not negative) and tells their percentiles to within one part in a hundred. What it holds grows
    with the spread of the values, not with their number: some hundred buckets for anything between 1 ms and 1 h."""

    count: int = 0
    _buckets: dict[int, list[float]] = field(default_factory=dict)

    def add(self, value: float) -> None:
        index = round(log(max(value, _SMALLEST)) / _WIDTH)
        bucket = self._buckets.get(index)
        if bucket is None:
            self._buckets[index] = [1, value]
        else:
            bucket[0] += 1
            bucket[1] += value
        self.count += 1

    def at(self, share: float) -> float | None:
        """The value that `share` (0 to 1) of all values do not exceed: the mean of its bucket. None without values."""
        rank = max(1, ceil(share * self.count))
        for _, (count, total) in sorted(self._buckets.items()):
            rank -= int(count)
            if rank <= 0:
                return total / count
        return None
