"""Which candidate is tried when: a generator that yields attempts and is sent their outcomes.

It holds no connection and no clock: `plan_attempts` says what to do next, the gateway does it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from core.errors import GatewayError, Unsupported, UpstreamFault
from core.ports import Random
from core.routing.registry import Candidate


@dataclass(slots=True)
class Attempt:
    """Try `candidate` after waiting `delay` seconds. `number` counts from 1 over the whole request."""

    candidate: Candidate
    number: int
    delay: float = 0.0


type Outcome = GatewayError
type Plan = Generator[Attempt, Outcome]

# Failures that the same backend would repeat at once.
_LASTING = frozenset({"authentication", "permission", "quota", "billing"})

# In-place retries wait a random part of this many seconds, doubled each time (full jitter).
BASE_DELAY = 0.25
LONGEST_DELAY = 8.0


def order_candidates(candidates: Sequence[Candidate], random: Random) -> list[Candidate]:
    """By priority; inside one priority, a random order in which a candidate's chance to come first is its
    weight's share (Efraimidis and Spirakis' weighted sampling)."""
    if len({candidate.priority for candidate in candidates}) == len(candidates):
        return sorted(candidates, key=lambda candidate: candidate.priority)

    def draw(candidate: Candidate) -> tuple[int, float]:
        if candidate.weight <= 0:
            return candidate.priority, 1.0
        return candidate.priority, -(random.uniform() ** (1.0 / candidate.weight))

    return sorted(candidates, key=draw)


def plan_attempts(candidates: Sequence[Candidate], random: Random) -> Plan:
    """Yields each candidate in turn, a backend's own `max_retries` in place first.

    Send it the failure of the attempt that it yielded last. It returns when nothing is left to try, or when the
    failure is one that every candidate would repeat.
    """
    number = 0
    for candidate in order_candidates(candidates, random):
        for retry in range(candidate.backend.max_retries + 1):
            number += 1
            delay = min(LONGEST_DELAY, BASE_DELAY * 2 ** (retry - 1)) * random.uniform() if retry else 0.0
            outcome = yield Attempt(candidate, number, delay)
            if not moves_on(outcome):
                return
            if not retries_in_place(outcome):
                break


def moves_on(outcome: Outcome) -> bool:
    """Whether another candidate may do better."""
    if isinstance(outcome, UpstreamFault):
        return outcome.retryable
    return isinstance(outcome, Unsupported) or outcome.kind == "configuration"


def retries_in_place(outcome: Outcome) -> bool:
    """Whether the same candidate may do better at once: not after a wrong credential or a spent quota."""
    return isinstance(outcome, UpstreamFault) and outcome.kind not in _LASTING


def final_error(failures: Sequence[GatewayError]) -> GatewayError:
    """What the client is told when nothing worked: the failure that helps it most.

    A rate limit or overload (it may come back, after the shortest wait that was named) before a backend's other
    answers, those before what could not be reached at all.
    """

    def rank(failure: GatewayError) -> int:
        if failure.kind in ("rate_limit", "overloaded"):
            return 0
        if isinstance(failure, UpstreamFault):
            return 1 if failure.raw is not None else 2
        return 3

    best = min(failures, key=rank)
    waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
    if rank(best) == 0 and waits:
        best.retry_after = min(waits)
    return best
