"""How many requests one process takes at once, and whose they may be.

Beyond the limit a request is refused at once. Near it, no caller may hold more than an equal share while others
have requests under way, so that one busy key cannot shut out the rest.
"""

from __future__ import annotations

from core.errors import Refused

# From this share of the limit on, callers are held to equal shares.
CROWDED = 0.75
RETRY_AFTER_SECONDS = 1.0


class InFlight:
    """Counts requests under way, by caller. `limit` None takes every request."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._by_caller: dict[str, int] = {}
        self.total = 0

    def enter(self, caller: str) -> None:
        """One more request of `caller`. Raises Refused (503) when there is no room for it."""
        if self._limit is not None:
            if self.total >= self._limit:
                raise _refused(f"This instance serves {self._limit} requests at once and has no room for more.")
            callers = len(self._by_caller) + (caller not in self._by_caller)
            crowded = self.total >= self._limit * CROWDED
            if crowded and callers > 1 and self._by_caller.get(caller, 0) >= self._limit / callers:
                raise _refused("This instance is busy, and the caller has its share of it under way already.")
        self._by_caller[caller] = self._by_caller.get(caller, 0) + 1
        self.total += 1

    def leave(self, caller: str) -> None:
        """A request of `caller` is over."""
        self.total -= 1
        left = self._by_caller[caller] - 1
        if left:
            self._by_caller[caller] = left
        else:
            del self._by_caller[caller]


def _refused(message: str) -> Refused:
    return Refused("overloaded", message, retry_after=RETRY_AFTER_SECONDS)
