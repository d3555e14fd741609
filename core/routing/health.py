"""What is known of each candidate's state: cooling down, being probed, how fast it answers.

A candidate cools down after a rate limit (for as long as it says) or after several failures in a row. While it
does, other candidates go first. When all of them cool, one request at a time may probe: a cooldown's end is never a
herd, and a backend that has recovered is noticed by the first who asks. State is of this process; what it finds may
be shared with others (`take_news`, `learn`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from core.errors import GatewayError, UpstreamFault
from core.routing.registry import Candidate
from core.slotted import field, slotted

# Cooldowns without a named time, in seconds: doubled with each further failure, up to the longest.
RATE_LIMIT_COOLDOWN = 1.0
BREAKER_COOLDOWN = 5.0
LONGEST_COOLDOWN = 60.0
# A wait that a backend names is believed up to here.
LONGEST_NAMED_COOLDOWN = 600.0
# Failures in a row that open the breaker.
BREAKER_FAILURES = 5
# A probe that never reported back is forgotten after this long.
PROBE_LEASE = 30.0
# Ends of cooldowns that are this close are the same one, seen by another process's clock.
SAME_MOMENT = 0.5
# Weight of the newest measurement in the moving average of the time to the first byte.
LATENCY_WEIGHT = 0.2
# So many of the newest times to the first byte are kept for percentiles.
KEPT_TIMES = 512

# What counts against a candidate. A refused request (400, 413) says nothing about its health.
_FAILURES = frozenset({"upstream", "timeout", "internal", "overloaded"})
# What is wrong with a request itself: the candidate has answered it.
_CLIENTS_OWN = frozenset({"bad_request", "context_length", "content_filter", "too_large"})


def candidate_key(candidate: Candidate) -> tuple[str, str, str]:
    """Health is per backend, region and model: quotas are."""
    return candidate.backend.name, candidate.backend.region, candidate.api_model


@slotted
class _State:
    failures: int = 0
    limits: int = 0
    cooling_until: float = 0.0
    probe_until: float = 0.0
    known_until: float = 0.0
    latency: float | None = None
    answers: int = 0
    errors: int = 0
    last_error: tuple[float, int, str] | None = None
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_TIMES))


class Health:
    """The states of all candidates. `now` is Clock.monotonic, `uniform` Random.uniform."""

    def __init__(self, now: Callable[[], float], uniform: Callable[[], float]) -> None:
        self._now = now
        self._uniform = uniform
        self._started = now()
        self._states: dict[tuple[str, str, str], _State] = {}
        self._news: dict[tuple[str, str, str], float] = {}

    def _state(self, candidate: Candidate) -> _State:
        key = candidate_key(candidate)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _State()
        return state

    def cooling(self, candidate: Candidate) -> float:
        """Seconds until the candidate's cooldown ends; 0 when it may be tried."""
        state = self._states.get(candidate_key(candidate))
        if state is None or not state.cooling_until:
            return 0.0
        left = max(0.0, state.cooling_until - self._now())
        # After the end, others wait until the first request has come back.
        return max(left, min(1.0, state.probe_until - self._now())) if state.probe_until else left

    def take(self, candidate: Candidate, *, last_resort: bool = False) -> bool:
        """Whether a request may go to the candidate now. A cooling one, or one whose cooldown has just ended,
        takes one request at a time."""
        state = self._states.get(candidate_key(candidate))
        if state is None or not state.cooling_until:
            return True
        now = self._now()
        if state.cooling_until > now and not last_resort:
            return False
        if state.probe_until > now:
            return False
        state.probe_until = now + PROBE_LEASE
        return True

    def succeeded(self, candidate: Candidate, first_byte_seconds: float) -> None:
        """The candidate answered: its cooldown is over."""
        state = self._state(candidate)
        state.failures = state.limits = 0
        state.cooling_until = state.probe_until = 0.0
        state.answers += 1
        state.times.append(first_byte_seconds)
        known = state.latency
        state.latency = (
            first_byte_seconds if known is None else known + LATENCY_WEIGHT * (first_byte_seconds - known)
        )

    def failed(self, candidate: Candidate, error: GatewayError) -> None:
        """The candidate failed: it may have to cool down."""
        if not isinstance(error, UpstreamFault):
            self.given_up(candidate)
            return
        state = self._state(candidate)
        state.probe_until = 0.0
        if error.kind in _CLIENTS_OWN:
            state.answers += 1
        else:
            state.errors += 1
            state.last_error = (self._now(), error.status, error.message)
        if error.kind == "rate_limit" or error.retry_after is not None:
            state.limits += 1
            if error.retry_after is not None:
                self._cool(candidate, min(error.retry_after, LONGEST_NAMED_COOLDOWN))
            else:
                self._cool(candidate, min(RATE_LIMIT_COOLDOWN * 2 ** min(state.limits - 1, 8), LONGEST_COOLDOWN))
        elif error.kind in _FAILURES:
            state.failures += 1
            over = state.failures - BREAKER_FAILURES
            if over >= 0:
                self._cool(candidate, min(BREAKER_COOLDOWN * 2 ** min(over, 8), LONGEST_COOLDOWN))

    def given_up(self, candidate: Candidate) -> None:
        """The attempt ended without saying anything about the candidate (the client left, another was faster)."""
        state = self._states.get(candidate_key(candidate))
        if state is not None:
            state.probe_until = 0.0

    def _cool(self, candidate: Candidate, seconds: float) -> None:
        """Up to a tenth is added at random, so that the processes that share a quota do not return together."""
        key, until = candidate_key(candidate), self._now() + seconds
        state = self._state(candidate)
        state.known_until = max(state.known_until, until)
        state.cooling_until = max(state.cooling_until, until + 0.1 * seconds * self._uniform())
        self._news[key] = until

    def learn(self, key: tuple[str, str, str], seconds: float) -> None:
        """Another process has found that the candidate of `key` (see candidate_key) cools down for `seconds`. Told
        once more, it changes nothing: a probe may have ended that cooldown here."""
        state = self._states.setdefault(key, _State())
        until = self._now() + seconds
        if until > state.known_until + SAME_MOMENT:
            state.known_until = until
            state.cooling_until = max(state.cooling_until, until + 0.1 * seconds * self._uniform())

    def take_news(self) -> dict[tuple[str, str, str], float]:
        """The cooldowns that this process has begun since the last call: seconds that are left, by candidate_key."""
        now = self._now()
        news = {key: until - now for key, until in self._news.items() if until > now}
        self._news = {}
        return news

    def latency(self, candidate: Candidate) -> float | None:
        """The moving average of seconds to the first byte, None before the first answer."""
        state = self._states.get(candidate_key(candidate))
        return state.latency if state is not None else None

    def report(self, candidate: Candidate) -> dict[str, object]:
        """The state for people: `state` is `closed`, `cooling` or `probing`."""
        state = self._states.get(candidate_key(candidate)) or _State()
        now = self._now()
        name = "closed"
        if state.cooling_until:
            name = "cooling" if state.cooling_until > now else "probing"
        return {
            "state": name,
            "failures": state.failures,
            "cooling_seconds": round(max(0.0, state.cooling_until - now), 1) if state.cooling_until else 0.0,
            "first_byte_seconds": state.latency,
        }

    def observed(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """What this process has seen of every candidate that was tried, by candidate_key. `cooling` is in
        seconds; `breaker` tells a run of failures from a rate limit; `last_error` is how long ago, status and message;
        `times` are the newest times to a first byte."""
        now = self._now()
        return {
            key: {
                "cooling": max(0.0, state.cooling_until - now),
                "probing": 0 < state.cooling_until <= now,
                "breaker": state.failures >= BREAKER_FAILURES,
                "failures": state.failures,
                "answers": state.answers,
                "errors": state.errors,
                "last_error": state.last_error and (now - state.last_error[0], *state.last_error[1:]),
                "times": list(state.times),
            }
            for key, state in self._states.items()
        }

    def age(self) -> float:
        """Seconds since this process began to look."""
        return self._now() - self._started
