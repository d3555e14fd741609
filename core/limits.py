"""What a request may take: quotas to charges on counters, and a counter without room to the client's refusal.

Pure: counters live in a store, whose atomic conditional writes decide. Windows are those of the calendar in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from math import ceil
from time import gmtime, strftime
from typing import Any, Final, Literal

from core.errors import Refused
from core.http import HeaderList
from core.ports import Charge, Shortage
from core.slotted import slotted
from core.usage import in_usd

type Unit = Literal["requests", "tokens", "in_flight", "usd"]
# Limits by name; money in picodollars.
type Quota = Mapping[str, int]
# A limit that is counted now: its counter, what that counts, up to where, and when its window ends.
type Counted = tuple[str, Unit, int, float | None]

PICO: Final = 10**12
# What every store counts up to with room to spare (SQLite's integers have 64 bits): nine million USD.
LARGEST: Final = 9 * 10**18
# No request uses more, whatever its backend says: what a store cannot add up, it could not settle ever.
_MOST_USED: Final = 9 * 10**15
# Longer names of owners and models are counted under a digest: keys of items have bounds (512 characters in Azure's
# tables, escapes and all), and clients make names up.
_LONGEST_NAME: Final = 128


@slotted(frozen=True)
class _Limit:
    """What a limit counts, in which window (None: until it is given back), and how it is called."""

    unit: Unit
    window: Literal["minute", "day", "month", "total"] | None
    words: str


LIMITS: Final[Mapping[str, _Limit]] = {
    "requests_per_minute": _Limit("requests", "minute", "requests a minute"),
    "tokens_per_minute": _Limit("tokens", "minute", "tokens a minute"),
    "tokens_per_day": _Limit("tokens", "day", "tokens a day"),
    "in_flight": _Limit("in_flight", None, "requests at once"),
    "usd_per_day": _Limit("usd", "day", "daily budget"),
    "usd_per_month": _Limit("usd", "month", "monthly budget"),
    "usd_total": _Limit("usd", "total", "total budget"),
}


@slotted(frozen=True)
class Subject:
    """Whose limits: `kind` is key, owner, model or everyone; `shown` is how a message calls it."""

    kind: str
    name: str
    quota: Quota
    shown: str


def read_quota(section: Any, place: str) -> Quota:
    """A quota of a configuration or a key. Money is in USD there. Raises ValueError that names the member."""
    if not isinstance(section, Mapping):
        raise ValueError(f"{place}: expected some of {', '.join(LIMITS)}")
    quota = {}
    for name, value in section.items():
        limit = LIMITS.get(name)
        if limit is None:
            raise ValueError(f"{place}.{name}: unknown; expected one of {', '.join(LIMITS)}")
        if not isinstance(value, int | float) and not str(value).replace(".", "", 1).isdigit():
            raise ValueError(f"{place}.{name}: expected a number")
        try:
            amount, rest = _scaled(str(value), PICO if limit.unit == "usd" else 1)
        except ValueError:
            raise ValueError(f"{place}.{name}: expected a number") from None
        if amount + bool(rest) > LARGEST:
            raise ValueError(f"{place}.{name}: larger than this gateway can count")
        if amount < 0 or rest:
            raise ValueError(f"{place}.{name}: expected a whole number of what it counts, not negative")
        quota[name] = amount
    return quota


def _scaled(text: str, scale: int) -> tuple[int, int]:
    """A decimal number (`1.5`, `1e-07`) times `scale`, exact: what of it is whole, and a rest that is 0 where all is.
    Raises ValueError. (By hand, because `fractions` is a tenth of what a cold start with accounts takes.)"""
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, places = mantissa.partition(".")
    power = int(exponent or 0) - len(places)
    up: int = 10 ** max(power, 0)
    down: int = 10 ** max(-power, 0)
    return divmod(int(whole + places) * scale * up, down)


def has_budget(subjects: Iterable[Subject]) -> bool:
    """Whether money is limited: then a price must be known, and nothing may pass unseen."""
    return any(LIMITS[name].unit == "usd" for subject in subjects for name in subject.quota)


def charges_of(subjects: Sequence[Subject], tokens: int, cost: int, now: float) -> tuple[Charge, ...]:
    """What a request that takes at most `tokens` and `cost` (picodollars) reserves at `now` (epoch seconds)."""
    return charges_on(counted(subjects, int(now // 60)), tokens, cost)


def counted(subjects: Sequence[Subject], minute: int) -> tuple[Counted, ...]:
    """What all requests of `subjects` are counted on in a minute (since the epoch)."""
    found = []
    for subject in subjects:
        whose = _whose(subject.kind, subject.name)
        for name, most in subject.quota.items():
            limit = LIMITS[name]
            label, until = _window(limit.window, minute)
            found.append((f"{name}:{whose}{label}", limit.unit, most, until))
    return tuple(found)


def _whose(kind: str, name: str) -> str:
    """The part of a counter's name that is the same in all windows."""
    encoded = name.encode("utf-8", "surrogatepass")
    return f"{kind}:{name if len(encoded) <= _LONGEST_NAME else sha256(encoded).hexdigest()}:"


def charges_on(counters: Iterable[Counted], tokens: int, cost: int) -> tuple[Charge, ...]:
    """What a request that takes at most `tokens` and `cost` (picodollars) takes from `counters`."""
    amounts: Mapping[Unit, int] = {"requests": 1, "tokens": tokens, "in_flight": 1, "usd": cost}
    return tuple([Charge(counter, amounts[unit], most, until) for counter, unit, most, until in counters])


def used(charges: Sequence[Charge], tokens: int, cost: int) -> Mapping[str, int]:
    """What the counters of `charges` keep once the request is over."""
    tokens, cost = min(tokens, _MOST_USED), min(cost, _MOST_USED)
    amounts: Mapping[Unit, int] = {"requests": 1, "tokens": tokens, "in_flight": 0, "usd": cost}
    return {charge.counter: amounts[_limit_of(charge.counter).unit] for charge in charges}


def is_given_back(charge: Charge) -> bool:
    """Whether a request that is over may have used less than it had reserved."""
    return _limit_of(charge.counter).unit != "requests"


@lru_cache(maxsize=256)
def _limit_of(counter: str) -> _Limit:
    return LIMITS[counter.partition(":")[0]]


@lru_cache(maxsize=16)
def _window(window: str | None, minute: int) -> tuple[str, float | None]:
    """The name of the window that a minute (since the epoch) is in, and when it ends."""
    if window is None or window == "total":
        return "", None
    if window == "minute":
        return str(minute), (minute + 1) * 60.0
    moment = gmtime(minute * 60)
    day = minute // 1440
    if window == "day":
        return strftime("%Y-%m-%d", moment), (day + 1) * 86_400.0
    first = day - moment.tm_mday + 1
    # 31 days from the first of a month are in the next one, of whose first days they are as many as this one lacks.
    return strftime("%Y-%m", moment), (first + 32 - gmtime((first + 31) * 86_400).tm_mday) * 86_400.0


def left(subjects: Sequence[Subject], totals: Mapping[str, int], now: float) -> dict[str, dict[str, Any]]:
    """What is left of each limit, where `totals` are what the counters of `charges_of` stand at. Of limits of one name
    (a key's, its owner's, everyone's) the one with the least room is told: it is the one that will refuse.

    `resets` is in epoch seconds, None for what does not; money is in USD.
    """
    found: dict[str, dict[str, Any]] = {}
    for charge in charges_of(subjects, 0, 0, now):
        name, limit = charge.counter.partition(":")[0], _limit_of(charge.counter)
        used = totals.get(charge.counter, 0)
        most = charge.limit or 0
        room = max(0, most - used)
        scale = PICO if limit.unit == "usd" else 1
        if name in found and found[name]["remaining"] <= room / scale:
            continue
        found[name] = {
            "limit": most if scale == 1 else most / scale, "used": used if scale == 1 else used / scale,
            "remaining": room if scale == 1 else room / scale, "resets": charge.until,
            "of": _shown(charge.counter, subjects),
        }  # fmt: skip
    return found


def refusal(shortage: Shortage, subjects: Sequence[Subject], format_name: str, now: float) -> Refused:
    """The 429 for a request that a counter had no room for, with the headers that the client's SDK reads.

    A budget is a `spend_limit`, which clients tell from a rate: waiting a moment does not help.
    """
    charge = shortage.charge
    limit = _limit_of(charge.counter)
    shown = _shown(charge.counter, subjects)
    most = charge.limit or 0
    if limit.unit == "usd":
        message = (
            f"The {limit.words} of {in_usd(most)} USD of {shown} is used up: {in_usd(shortage.used)} USD are spent or "
            f"reserved, and this request may cost up to {in_usd(charge.amount)} USD."
        )
    else:
        message = f"The limit of {most} {limit.words} of {shown} is reached: {shortage.used} are used"
        message += f", and this request may take {charge.amount}." if limit.unit == "tokens" else "."
    wait = None if charge.until is None else max(1.0, charge.until - now)
    if limit.window == "total":
        message += " It does not reset by itself; the gateway's operator can raise it."
    elif charge.until is not None:
        message += f" It resets at {moment(charge.until)}."
    error = Refused(
        "spend_limit" if limit.unit == "usd" else "rate_limit",
        message,
        retry_after=1.0 if limit.unit == "in_flight" else wait,
    )
    if limit.unit != "usd" and limit.window == "day":
        error.headers["x-should-retry"] = "false"  # Anthropic's SDK would sleep until tomorrow
    if limit.unit != "usd":
        room = max(0, most - shortage.used)
        error.headers.update(_room_headers(limit.unit, most, room, charge.until, (format_name, now)))
    elif charge.until is not None:
        error.headers["x-skybridge-budget-reset"] = moment(charge.until)
    return error


def rate_headers(charges: Sequence[Charge], used: Mapping[str, int], format_name: str, now: float) -> HeaderList:
    """What is left of the limits of requests and of tokens once `charges` are taken, and the counters stand at `used`,
    in the words of the client's vendor. Of several limits it is the one with the least left, as vendors tell it; a
    limit on requests at once is none of these.

    https://platform.claude.com/docs/en/api/rate-limits#response-headers
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    tightest: dict[Unit, tuple[int, Charge]] = {}
    for charge in charges:
        unit = _limit_of(charge.counter).unit
        if unit not in ("requests", "tokens") or charge.limit is None:
            continue
        room = max(0, charge.limit - used.get(charge.counter, 0))
        if unit not in tightest or room < tightest[unit][0]:
            tightest[unit] = room, charge
    headers: HeaderList = []
    for unit, (room, charge) in tightest.items():
        headers += _room_headers(unit, charge.limit or 0, room, charge.until, (format_name, now))
    return headers


def _shown(counter: str, subjects: Sequence[Subject]) -> str:
    for subject in subjects:
        if counter.partition(":")[2].startswith(_whose(subject.kind, subject.name)):
            return subject.shown
    return "this gateway"


@lru_cache(maxsize=64)
def moment(epoch: float) -> str:
    """As RFC 3339 writes it."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(epoch))


def _room_headers(unit: Unit, most: int, left: int, until: float | None, dialect: tuple[str, float]) -> HeaderList:
    """`anthropic-ratelimit-*` with a time, or `x-ratelimit-*` with a duration, for requests and tokens."""
    format_name, now = dialect
    reset = now + 1 if until is None else until
    vendor = "anthropic" if format_name == "messages" else "openai"
    limit, remaining, resets = _HEADER_NAMES[vendor, "tokens" if unit == "tokens" else "requests"]
    at = moment(reset) if vendor == "anthropic" else duration(reset - now)
    return [(limit, str(most)), (remaining, str(left)), (resets, at)]


_HEADER_NAMES: Final = {
    ("anthropic", "requests"): (
        "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    ("anthropic", "tokens"): (
        "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset",
    ),
    ("openai", "requests"): (
        "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
    ),
    ("openai", "tokens"): ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
}  # fmt: skip


def duration(seconds: float) -> str:
    """As Go writes it: `6m0s`, `1s`."""
    return _duration_of(max(1, ceil(seconds)))


@lru_cache(maxsize=256)
def _duration_of(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
