"""What a cloud's functions cost beside the models: data and arithmetic, in whole picodollars (1e-12 USD).

List prices without free grants and without volume tiers, us-east-1 and East US; other regions may ask more.
https://aws.amazon.com/lambda/pricing/
https://azure.microsoft.com/pricing/details/functions/
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final

from core.slotted import slotted

MEGABYTES_OF_A_GIGABYTE: Final = 1024
GIGABYTE: Final = 2**30


@slotted(frozen=True)
class ComputePrice:
    """Picodollars for a gigabyte of memory and a second of work, for a request, and for a gigabyte that is streamed
    beyond the free first bytes of an answer. A period of work counts in whole `step`s, and for `shortest` at least:
    milliseconds."""

    gigabyte_second: int
    request: int
    streamed_gigabyte: int = 0
    free_bytes: int = 0
    step: int = 1
    shortest: int = 1


# By platform, and how it is bought. Lambda's answers are free up to 6 MB each; Flex Consumption counts a period of work
# as a second at least, and from there in tenths.
COMPUTE_PRICES: Final[Mapping[str, ComputePrice]] = {
    "lambda/arm64": ComputePrice(13_333_400, 200_000, 8_000_000_000, 6 * 2**20),
    "lambda/x86_64": ComputePrice(16_666_700, 200_000, 8_000_000_000, 6 * 2**20),
    "flex": ComputePrice(26_000_000, 400_000, step=100, shortest=1000),
    "flex/always-ready": ComputePrice(16_000_000, 400_000, step=100, shortest=1000),
}


def billed_milliseconds(seconds: float, price: ComputePrice) -> int:
    """A period of work as it is billed."""
    # Binary fractions of a second are a little more or less than the milliseconds that were meant.
    whole = max(ceil(round(seconds * 1000, 3)), price.shortest)
    return -(-whole // price.step) * price.step


def work_cost(price: ComputePrice, megabytes: int, milliseconds: float, streamed: int = 0) -> int:
    """One request: its milliseconds of an instance with so much memory, and the bytes of its answer."""
    time = round(price.gigabyte_second * megabytes * milliseconds / (MEGABYTES_OF_A_GIGABYTE * 1000))
    beyond = max(0, streamed - price.free_bytes)
    return time + price.request + -(-beyond * price.streamed_gigabyte // GIGABYTE)


class SharedTime:
    """Divides the time of one instance among the requests that it works on at once: while there are n, each is given
    an n-th. What rounding adds to a period of work belongs to the request that ends it."""

    def __init__(self, price: ComputePrice) -> None:
        self._price = price
        self._at_once = 0
        self._each = 0.0
        self._last = 0.0
        self._began = 0.0

    def enter(self, now: float) -> float:
        """A request begins at `now` (seconds). What it gives is for `leave`."""
        self._advance(now)
        if not self._at_once:
            self._began = now
        self._at_once += 1
        return self._each

    def leave(self, mark: float, now: float) -> float:
        """The request of `mark` is over: its share in milliseconds."""
        self._advance(now)
        self._at_once -= 1
        share = (self._each - mark) * 1000
        if self._at_once:
            return share
        period = now - self._began
        return share + billed_milliseconds(period, self._price) - period * 1000

    def _advance(self, now: float) -> None:
        if self._at_once:
            self._each += (now - self._last) / self._at_once
        self._last = now
