"""HTTP's dates (RFC 9110, 5.6.7), read without the standard library's mail parser: it costs a cold start too much."""

from __future__ import annotations

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# IMF-fixdate, and the two obsolete forms that a recipient must accept: RFC 850's and asctime's. Few answers have one,
# so they are compiled when one does.
_FORMS = (
    r"\w{3}, (?P<day>\d\d) (?P<month>\w{3}) (?P<year>\d{4}) (?P<time>\d\d:\d\d:\d\d) GMT",
    r"\w{6,9}, (?P<day>\d\d)-(?P<month>\w{3})-(?P<year>\d\d) (?P<time>\d\d:\d\d:\d\d) GMT",
    r"\w{3} (?P<month>\w{3}) (?P<day>[ \d]\d) (?P<time>\d\d:\d\d:\d\d) (?P<year>\d{4})",
)
_YEAR_SECONDS = 365.2425 * 86_400


def seconds_until(value: str, now: float) -> float | None:
    """Seconds from `now` (since the epoch) to the HTTP date `value`, 0 for one in the past; None when it is none."""
    value = value.strip()
    for form in _FORMS:
        found = re.fullmatch(form, value, re.ASCII)
        if found is not None:
            moment = _moment(found, now)
            return None if moment is None else max(0.0, moment - now)
    return None


def _moment(found: re.Match[str], now: float) -> float | None:
    month = found["month"].lower()
    day, year = int(found["day"]), int(found["year"])
    hour, minute, second = (int(part) for part in found["time"].split(":"))
    if month not in _MONTHS or not 1 <= day <= 31 or hour > 23 or minute > 59 or second > 60:
        return None
    if len(found["year"]) == 2:
        year = _century(year, now)
    seconds = hour * 3600 + minute * 60 + second
    return _days(year, _MONTHS.index(month) + 1, day) * 86_400.0 + seconds


def _century(year: int, now: float) -> int:
    """A two-digit year that seems more than 50 years ahead is the latest year in the past with those digits."""
    this_year = 1970 + int(now / _YEAR_SECONDS)
    full = this_year - this_year % 100 + year
    return full - 100 if full > this_year + 50 else full


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that a leap day is the
    last of its year."""
    shifted = year - (month <= 2)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + of_year - 719_468
