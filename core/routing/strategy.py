"""The order in which candidates of one priority are tried, by the model's `strategy`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

from core.ports import Random
from core.routing.health import Health, candidate_key
from core.routing.registry import Candidate, Strategy
from core.slotted import slotted


@slotted
class Choosing:
    """What a strategy may look at. `prefix` is a digest of what requests with the same prompt share; `cost`
    gives a candidate's price, None when unknown; `pinned` the backend that alone can read the request's state."""

    random: Random
    health: Health
    prefix: Callable[[], bytes] = lambda: b""
    cost: Callable[[Candidate], float | None] = lambda candidate: None
    pinned: str | None = None


def order_candidates(candidates: Sequence[Candidate], strategy: Strategy, choosing: Choosing) -> list[Candidate]:
    """By priority (1 first), and inside one priority as `strategy` says. A pinned backend goes before all."""
    if len(candidates) == 1:
        return list(candidates)
    score = _STRATEGIES[strategy](choosing)
    return sorted(
        candidates,
        key=lambda candidate: (candidate.backend.name != choosing.pinned, candidate.priority, score(candidate)),
    )


type Score = Callable[[Candidate], float]


def _ordered(choosing: Choosing) -> Score:
    """In the configured order; the sort is stable."""
    return lambda candidate: 0.0


def _weighted(choosing: Choosing) -> Score:
    """A random order in which a candidate's chance to come first is its weight's share (Efraimidis and
    Spirakis' weighted sampling)."""

    def score(candidate: Candidate) -> float:
        draw = choosing.random.uniform()
        return -(draw ** (1.0 / candidate.weight)) if candidate.weight > 0 else 1.0

    return score


def _lowest_latency(choosing: Choosing) -> Score:
    """The fastest first; one that was never measured goes before them all, once."""
    return lambda candidate: choosing.health.latency(candidate) or 0.0


def _lowest_cost(choosing: Choosing) -> Score:
    """The cheapest first; unknown prices last."""

    def score(candidate: Candidate) -> float:
        cost = choosing.cost(candidate)
        return math.inf if cost is None else cost

    return score


def _cache_aware(choosing: Choosing) -> Score:
    """Weighted rendezvous hashing: requests that share a prompt prefix meet at the same candidate, whose prompt
    cache is warm, and only a candidate's own share moves when it goes."""
    prefix = choosing.prefix()

    def score(candidate: Candidate) -> float:
        if candidate.weight <= 0:
            return math.inf
        digest = hashlib.blake2b("\0".join(candidate_key(candidate)).encode() + b"\0" + prefix, digest_size=8).digest()
        uniform = (int.from_bytes(digest) + 1) / (2**64 + 1)
        return -math.log(uniform) / candidate.weight

    return score


_STRATEGIES: dict[Strategy, Callable[[Choosing], Score]] = {
    "ordered": _ordered,
    "weighted": _weighted,
    "lowest_latency": _lowest_latency,
    "lowest_cost": _lowest_cost,
    "cache_aware": _cache_aware,
}
