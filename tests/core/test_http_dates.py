"""HTTP's dates."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.http_dates import seconds_until

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "value",
    ["Sun, 01 Mar 2026 12:01:30 GMT", "Sunday, 01-Mar-26 12:01:30 GMT", "Sun Mar  1 12:01:30 2026"],
)
def test_all_three_forms_are_read(value: str) -> None:
    assert seconds_until(value, NOW) == 90.0


def test_the_past_is_now() -> None:
    assert seconds_until("Sun, 06 Nov 1994 08:49:37 GMT", NOW) == 0.0
    assert seconds_until("Sunday, 06-Nov-94 08:49:37 GMT", NOW) == 0.0


@pytest.mark.parametrize(
    "value",
    [
        "", "soon", "12", "Sun, 01 Mar 2026 12:01:30", "Sun, 01 Mar 2026 24:01:30 GMT", "Sun, 32 Mar 2026 12:01:30 GMT",
        "Sun, 00 Mar 2026 12:01:30 GMT", "Sun, 01 Foo 2026 12:01:30 GMT", "Sun, 01 Mar 2026 12:60:30 GMT",
        "Sun, 01 Mar 2026 12:01:61 GMT", "Sun, ٠١ Mar 2026 12:01:30 GMT",
    ],
)  # fmt: skip
def test_what_is_no_date_is_none(value: str) -> None:
    assert seconds_until(value, NOW) is None


@given(st.datetimes(datetime(2026, 3, 1, 12), datetime(2399, 12, 31), timezones=st.just(UTC)))
def test_it_reads_what_the_standard_library_writes(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    assert seconds_until(format_datetime(whole, usegmt=True), NOW) == whole.timestamp() - NOW


def test_two_digits_of_a_year_are_at_most_fifty_ahead() -> None:
    near = seconds_until("Sunday, 01-Mar-75 12:00:00 GMT", NOW)
    assert near == datetime(2075, 3, 1, 12, tzinfo=UTC).timestamp() - NOW
    assert seconds_until("Sunday, 01-Mar-77 12:00:00 GMT", NOW) == 0.0
