"""Which candidate is tried when: a generator that yields attempts and is sent their outcomes.

It holds no connection and waits for nothing: `plan_attempts` says what to do next, the gateway does it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence

from core.errors import GatewayError, Refused, Unsupported, UpstreamFault
from core.ports import Random
from core.routing.health import Health
from core.routing.registry import Candidate, Policy
from core.slotted import slotted

# In-place retries wait a random part of this many seconds, doubled each time (full jitter).
BASE_DELAY = 0.25
LONGEST_DELAY = 8.0

# Failures that the same backend would repeat at once.
_LASTING = frozenset({"authentication", "permission", "quota", "billing"})


@slotted
class Attempt:
    """Try `candidate` after waiting `delay` seconds. `number` counts from 1 over the whole request."""

    candidate: Candidate
    number: int
    delay: float = 0.0


type Plan = Generator[Attempt, GatewayError | None]


def plan_attempts(ordered: Sequence[Candidate], policy: Policy, health: Health, random: Random) -> Plan:
    """Yields each candidate in turn, a backend's own `max_retries` in place first; cooling ones come last.

    Send it the failure of an attempt, or None for one more beside those under way (a hedge). It returns when
    nothing is left to try, or when the failure is one that every candidate would repeat. Raises Refused when all
    candidates cool down and each is being probed already.
    """
    number = 0
    named_wait: float | None = None
    most = math.inf if policy.attempts is None else policy.attempts
    for candidate in _awake_first(ordered, health):
        for retry in range(candidate.backend.max_retries + 1):
            number += 1
            delay = max(_backoff(retry, random), named_wait or 0.0) if retry else 0.0
            outcome = yield Attempt(candidate, number, delay)
            if number >= most:
                return
            if outcome is None:
                break
            if not moves_on(outcome, policy):
                return
            named_wait = outcome.retry_after
            if not retries_in_place(outcome, policy):
                break


def _backoff(retry: int, random: Random) -> float:
    return min(LONGEST_DELAY, BASE_DELAY * 2.0 ** (retry - 1)) * random.uniform()


def _awake_first(ordered: Sequence[Candidate], health: Health) -> Generator[Candidate]:
    """The candidates that may be tried; where all cool, those that nobody probes, the soonest to end first."""
    tried: set[int] = set()
    for candidate in ordered:
        if health.take(candidate):
            tried.add(id(candidate))
            yield candidate
    resting = [candidate for candidate in ordered if id(candidate) not in tried]
    for candidate in sorted(resting, key=health.cooling):
        if health.take(candidate, last_resort=True):
            tried.add(id(candidate))
            yield candidate
    if not tried and ordered:
        wait = min(health.cooling(candidate) for candidate in ordered)
        message = "Every backend of this model is cooling down after failures."
        raise Refused("overloaded", message, retry_after=max(1.0, wait))


def moves_on(outcome: GatewayError, policy: Policy) -> bool:
    """Whether another candidate may do better."""
    if isinstance(outcome, UpstreamFault):
        if outcome.status in policy.stop:
            return False
        return outcome.retryable or outcome.status in policy.move_on
    return isinstance(outcome, Unsupported) or outcome.kind == "configuration"


def retries_in_place(outcome: GatewayError, policy: Policy) -> bool:
    """Whether the same candidate may do better soon: not after a wrong credential, a spent quota or a wait that
    is longer than the policy allows."""
    if not isinstance(outcome, UpstreamFault) or outcome.kind in _LASTING:
        return False
    return outcome.retry_after is None or outcome.retry_after <= policy.longest_wait


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
