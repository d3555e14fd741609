"""The terms of a key as the management API reads and shows them: JSON to values, values to JSON."""

from __future__ import annotations

from calendar import timegm
from collections.abc import Callable, Mapping, Sequence
from time import strptime
from typing import Any, Final

from core.errors import ClientFault
from core.keys import SHOWN, Key, digest_of
from core.limits import LIMITS, PICO, Quota, read_quota
from core.slotted import replace

# A rotated key goes on working for this long, so that its holders can change over.
OVERLAP_SECONDS: Final = 86_400.0
LONGEST_OVERLAP: Final = 90 * 86_400.0
_LONGEST_TEXT: Final = 200
_MOST_ENTRIES: Final = 50
_DATES: Final = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")


def read_terms(document: Any, key: Key, now: float) -> Key:
    """`key` with the terms that a request's body states; what it leaves out stays.

    `labels`, `limits` and `budgets` are merged, and null takes a member away (RFC 7396). Money is in USD, times are
    epoch seconds or dates. Raises ClientFault that names the member.
    """
    if not isinstance(document, Mapping):
        raise ClientFault("bad_request", "The body is no JSON object.", param="body")
    changed = key
    for member, value in document.items():
        reader = _READERS.get(member)
        if reader is None:
            raise _fault(str(member), f"unknown; expected one of {', '.join(_READERS)}")
        changed = reader(changed, member, value, now)
    if not changed.owner:
        raise _fault("owner", "a key belongs to somebody: expected a name")
    return changed


def read_overlap(document: Any) -> float:
    """How many seconds a rotated key goes on working. Raises ClientFault."""
    if not isinstance(document, Mapping):
        raise ClientFault("bad_request", "The body is no JSON object.", param="body")
    unknown = next((str(member) for member in document if member != "overlap_seconds"), None)
    if unknown is not None:
        raise _fault(unknown, "unknown; expected overlap_seconds")
    value = document.get("overlap_seconds", OVERLAP_SECONDS)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_OVERLAP:
        raise _fault("overlap_seconds", f"expected a number of seconds from 0 to {LONGEST_OVERLAP:.0f}")
    return float(value)


def with_secret(key: Key, secret: str) -> Key:
    """The record of a key whose text is `secret`."""
    return replace(key, digest=digest_of(secret), prefix=secret[:SHOWN])


def ending(key: Key, now: float, overlap: float) -> Key:
    """A key that is being replaced: it works for `overlap` seconds more, at most."""
    until = now + overlap
    return replace(key, expires=until if key.expires is None else min(key.expires, until))


def shown_keys(keys: Sequence[Key], now: float) -> list[dict[str, Any]]:
    """The records for people, the newest first: one for each id, with those that it replaces beneath it."""
    by_id: dict[str, list[Key]] = {}
    for key in sorted(keys, key=lambda key: (key.created, key.prefix), reverse=True):
        by_id.setdefault(key.id, []).append(key)
    return [shown_key(newest, now, older) for newest, *older in by_id.values()]


def shown_key(key: Key, now: float, older: Sequence[Key] = ()) -> dict[str, Any]:
    """A key's record for people. `older`: keys of the same id, of which those that still work are told."""
    return {
        "id": key.id, "prefix": key.prefix, "name": key.name, "owner": key.owner, "labels": dict(key.labels),
        "created": key.created, "expires": key.expires, "revoked": key.revoked, "state": key.state(now),
        "models": list(key.models), "admin": key.admin,
        "limits": {name: value for name, value in key.quota.items() if LIMITS[name].unit != "usd"},
        "budget": {name: value / PICO for name, value in key.quota.items() if LIMITS[name].unit == "usd"},
        "replaces": [
            {"prefix": each.prefix, "expires": each.expires} for each in older if each.state(now) == "active"
        ],
    }  # fmt: skip


def _owner(key: Key, member: str, value: Any, now: float) -> Key:
    return replace(key, owner=_text(member, value))


def _name(key: Key, member: str, value: Any, now: float) -> Key:
    return replace(key, name=_text(member, "" if value is None else value))


def _text(member: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise _fault(member, f"expected a text of at most {_LONGEST_TEXT} printable characters")
    return value.strip()


def _labels(key: Key, member: str, value: Any, now: float) -> Key:
    labels = _merged(member, value, key.labels)
    for name, text in labels.items():
        if not name or len(name) > _LONGEST_TEXT or not isinstance(text, str) or len(text) > _LONGEST_TEXT:
            raise _fault(f"{member}.{name[:_LONGEST_TEXT]}", f"expected a text of at most {_LONGEST_TEXT} characters")
    return replace(key, labels=labels)


def _expires(key: Key, member: str, value: Any, now: float) -> Key:
    moment = _moment(value)
    if value is not None and (moment is None or not now < moment < 1e11):
        raise _fault(member, "expected a time to come, as epoch seconds or as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
    return replace(key, expires=moment)


def _moment(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if -1e11 < value < 1e11 else None
    for form in _DATES if isinstance(value, str) else ():
        try:
            return float(timegm(strptime(value, form)))
        except ValueError:
            continue
    return None


def _models(key: Key, member: str, value: Any, now: float) -> Key:
    names = () if value is None else value
    if not isinstance(names, list | tuple) or len(names) > _MOST_ENTRIES:
        raise _fault(member, f"expected a list of at most {_MOST_ENTRIES} names or patterns; an empty one allows all")
    for index, name in enumerate(names):
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_TEXT:
            raise _fault(f"{member}[{index}]", f"expected a name or pattern of at most {_LONGEST_TEXT} characters")
    return replace(key, models=tuple(names))


def _quota(key: Key, member: str, value: Any, now: float) -> Key:
    money = member != "limits"
    kinds = [name for name, limit in LIMITS.items() if (limit.unit == "usd") == money]
    stated = _merged(member, value, {})
    for name, amount in stated.items():
        if name not in kinds or isinstance(amount, bool) or not isinstance(amount, int | float):
            raise _fault(f"{member}.{name}", f"expected a number for one of {', '.join(kinds)}")
    try:
        read = read_quota(stated, member)
    except ValueError as error:
        field, _, message = str(error).partition(": ")
        raise _fault(field, message) from None
    gone = set(kinds) if value is None else {name for name, amount in value.items() if amount is None}
    kept: Quota = {name: amount for name, amount in key.quota.items() if name not in gone}
    return replace(key, quota={**kept, **read})


def _flag(key: Key, member: str, value: Any, now: float) -> Key:
    if not isinstance(value, bool):
        raise _fault(member, "expected true or false")
    return replace(key, admin=value)


def _merged(member: str, value: Any, before: Mapping[str, Any]) -> dict[str, Any]:
    """`before` with what `value` states; null, for a member or for all, takes away."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > _MOST_ENTRIES:
        raise _fault(member, f"expected an object of at most {_MOST_ENTRIES} members")
    merged = {**before, **value}
    return {str(name): item for name, item in merged.items() if item is not None}


_READERS: Final[Mapping[str, Callable[[Key, str, Any, float], Key]]] = {
    "owner": _owner, "name": _name, "labels": _labels, "expires": _expires, "models": _models, "limits": _quota,
    "budgets": _quota, "budget": _quota, "admin": _flag,
}  # fmt: skip


def _fault(field: str, message: str) -> ClientFault:
    return ClientFault("bad_request", f"{field}: {message}", param=field)
