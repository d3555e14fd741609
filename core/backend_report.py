"""The backends for people: what is configured, what this process has seen of it, and whether it is tried now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, Final

from core.configuration import Configuration
from core.masking import MASK, masked
from core.routing.health import Health, candidate_key
from core.routing.registry import Backend, Candidate, Route

type Seen = Mapping[str, Any]

# AWS's account numbers: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
_ACCOUNT: Final = re.compile(r"(?<=:)\d{12}(?=:)")
_LONGEST_MESSAGE: Final = 500
_UNSEEN: Final[Seen] = {
    "cooling": 0.0, "probing": False, "breaker": False, "failures": 0, "answers": 0, "errors": 0, "last_error": None,
    "times": (),
}  # fmt: skip


def state_of(candidate: Candidate, health: Health) -> str:
    """`ok`, `cooling` (a rate limit), `down` (failures in a row) or `not_configured`."""
    if candidate.backend.missing is not None:
        return "not_configured"
    seen = health.observed().get(candidate_key(candidate), _UNSEEN)
    return _state(seen) or "ok"


def backend_rows(configuration: Configuration, health: Health, now: float, *, private: bool) -> list[dict[str, Any]]:
    """One row for each backend; `now` is in epoch seconds. Without `private` neither addresses nor what a backend said
    is told. Counts and times are of this process."""
    observed: dict[str, list[tuple[tuple[str, str, str], Seen]]] = {}
    for key, seen in health.observed().items():
        observed.setdefault(key[0], []).append((key, seen))
    served = _served(configuration)
    rows = []
    for name, backend in _backends(configuration).items():
        row = _row(backend, observed.get(name, []), now)
        row["models"] = served.get(name, [])
        if not private:
            row["base_url"] = None
            if row["last_error"] is not None:
                row["last_error"]["message"] = None
        rows.append(row)
    return rows


def _routes(configuration: Configuration) -> Iterator[tuple[str, Route]]:
    registry = configuration.registry
    yield from registry.routes.items()
    yield from ((name, route) for name, _, route in registry.patterns)


def _backends(configuration: Configuration) -> dict[str, Backend]:
    """The configured ones, each of several regions in the place of the one that it is of."""
    used = {
        candidate.backend.name: candidate.backend
        for _, route in _routes(configuration)
        for candidate in route.candidates
    }
    configured = configuration.registry.backends
    spread = {name.partition("@")[0] for name in used if name not in configured}
    return {**{name: backend for name, backend in configured.items() if name in used or name not in spread}, **used}


def _served(configuration: Configuration) -> dict[str, list[str]]:
    """The model names that each backend is a candidate for."""
    served: dict[str, list[str]] = {}
    for name, route in _routes(configuration):
        for candidate in route.candidates:
            names = served.setdefault(candidate.backend.name, [])
            if name not in names:
                names.append(name)
    return served


def _row(backend: Backend, observed: Sequence[tuple[tuple[str, str, str], Seen]], now: float) -> dict[str, Any]:
    all_seen = [seen for _, seen in observed]
    state, reason, cooling = _worst(backend, observed)
    times = sorted(time for seen in all_seen for time in seen["times"])
    errors = [seen["last_error"] for seen in all_seen if seen["last_error"] is not None]
    return {
        "name": backend.name, "type": backend.provider.name, "base_url": shown_url(backend.base_url),
        "region": backend.region if backend.provider.regional else None,
        "format": backend.format or next(iter(backend.provider.formats)),
        "state": state, "reason": reason, "cooling_until": now + cooling if cooling else None,
        "consecutive_failures": max((seen["failures"] for seen in all_seen), default=0),
        "last_error": _shown_error(min(errors), now) if errors else None,
        "requests": sum(seen["answers"] + seen["errors"] for seen in all_seen),
        "errors": sum(seen["errors"] for seen in all_seen),
        "latency_p50_ms": _percentile(times, 0.5), "latency_p95_ms": _percentile(times, 0.95),
        "targets": [_target(key, seen, now) for key, seen in observed],
    }  # fmt: skip


def _target(key: tuple[str, str, str], seen: Seen, now: float) -> dict[str, Any]:
    """One model at a backend: quotas, and so cooldowns, are per model."""
    return {
        "api_model": key[2], "region": key[1], "state": _state(seen) or "ok",
        "cooling_until": now + seen["cooling"] if seen["cooling"] else None,
        "requests": seen["answers"] + seen["errors"], "errors": seen["errors"],
    }  # fmt: skip


def _state(seen: Seen) -> str | None:
    if not (seen["cooling"] or seen["probing"]):
        return None
    return "down" if seen["breaker"] else "cooling"


_ORDER: Final = ("down", "cooling")
_WORDS: Final = {"down": "failed several times in a row", "cooling": "asked to be left alone for a while"}


def _worst(backend: Backend, observed: Sequence[tuple[tuple[str, str, str], Seen]]) -> tuple[str, str | None, float]:
    """The state of a backend is that of the model that fares worst; the reason names the model."""
    if backend.missing is not None:
        return "not_configured", backend.missing, 0.0
    for wanted in _ORDER:
        for key, seen in observed:
            if _state(seen) == wanted:
                tried = "" if seen["cooling"] else "; the next request tries it"
                return wanted, f"{key[2]} {_WORDS[wanted]}{tried}", seen["cooling"]
    return ("ok" if any(seen["answers"] for _, seen in observed) else "unknown"), None, 0.0


def _shown_error(error: tuple[float, int, str], now: float) -> dict[str, Any]:
    ago, status, message = error
    return {"status": status, "message": redacted(message), "at": now - ago}


def redacted(message: str) -> str:
    """A backend's words without credentials and account numbers, and not too many of them."""
    text = _ACCOUNT.sub(MASK, str(masked(message)))
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…"


def shown_url(url: str) -> str:
    """An address without what may be a secret: a user's name and password, and the query."""
    scheme, separator, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _percentile(times: Sequence[float], share: float) -> float | None:
    """The nearest rank, in milliseconds."""
    return round(times[max(1, ceil(share * len(times))) - 1] * 1000, 1) if times else None
