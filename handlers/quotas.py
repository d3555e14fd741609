"""A configuration's `quotas:` section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core import limits
from core.configuration import ConfigurationError
from core.limits import Quota
from core.slotted import field, slotted
from handlers.upkeep import NOTE_SECONDS

# No request lives longer: Lambda's longest invocation, and a minute for what follows it.
LEASE_SECONDS = 960.0
MOST_SECONDS = 86_400
# Over so many items a counter is spread that is found to be hot; and over how many it may be (handlers.io.shards).
DEFAULT_SHARDS = 8
MOST_SHARDS = 16

_MEMBERS = frozenset(
    {"keys", "owners", "models", "everyone", "on_store_fault", "lease_seconds", "note_seconds", "shards"}
)


@slotted
class Quotas:
    """What each key (without limits of its own), owner, model, and all together may take. "*" stands for each one that
    is not named. `shards`: see handlers.io.shards; `note_seconds`: see handlers.upkeep."""

    keys: Quota = field(default_factory=dict)
    owners: Mapping[str, Quota] = field(default_factory=dict)
    models: Mapping[str, Quota] = field(default_factory=dict)
    everyone: Quota = field(default_factory=dict)
    on_store_fault: str = "open"
    lease_seconds: float = LEASE_SECONDS
    note_seconds: float = NOTE_SECONDS
    shards: int = DEFAULT_SHARDS


def read_quotas(section: Mapping[str, Any]) -> Quotas:
    """Raises ConfigurationError that names the member."""
    try:
        unknown = set(section) - _MEMBERS
        if unknown:
            raise ValueError(f"quotas.{min(unknown)}: unknown key; expected one of {', '.join(sorted(_MEMBERS))}")
        stance = section.get("on_store_fault", "open")
        if stance not in ("open", "closed"):
            raise ValueError(f"quotas.on_store_fault: expected `open` or `closed`; got {stance!r}")
        shards = section.get("shards", DEFAULT_SHARDS)
        if not isinstance(shards, int) or not 1 <= shards <= MOST_SHARDS:
            raise ValueError(f"quotas.shards: expected a number from 1 to {MOST_SHARDS}; got {shards!r}")
        named = {
            group: {
                str(name): limits.read_quota(row, f"quotas.{group}.{name}")
                for name, row in (section.get(group) or {}).items()
            }
            for group in ("owners", "models")
        }
        return Quotas(
            limits.read_quota(section.get("keys") or {}, "quotas.keys"), named["owners"], named["models"],
            limits.read_quota(section.get("everyone") or {}, "quotas.everyone"), stance,
            _seconds(section, "lease_seconds", LEASE_SECONDS, least=1),
            _seconds(section, "note_seconds", NOTE_SECONDS), shards,
        )  # fmt: skip
    except (ValueError, TypeError, AttributeError) as error:
        key, _, message = str(error).partition(": ")
        raise ConfigurationError(key, message) from error


def _seconds(section: Mapping[str, Any], name: str, default: float, least: int = 0) -> float:
    value = section.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= MOST_SECONDS:
        raise ValueError(f"quotas.{name}: expected a number of seconds from {least} to {MOST_SECONDS}; got {value!r}")
    return float(value)
