"""How many requests one process takes, and whose."""

from __future__ import annotations

import pytest

from core.errors import Refused
from core.overload import InFlight


def test_without_a_limit_everyone_comes_in() -> None:
    in_flight = InFlight(None)
    for _ in range(1000):
        in_flight.enter("a")
    assert in_flight.total == 1000


def test_beyond_the_limit_is_a_503_with_a_wait() -> None:
    in_flight = InFlight(2)
    in_flight.enter("a")
    in_flight.enter("a")
    with pytest.raises(Refused) as refused:
        in_flight.enter("a")
    assert (refused.value.status, refused.value.retry_after) == (503, 1.0)
    in_flight.leave("a")
    in_flight.enter("b")
    assert in_flight.total == 2


def test_alone_a_caller_may_use_the_whole_limit() -> None:
    in_flight = InFlight(8)
    for _ in range(8):
        in_flight.enter("a")
    assert in_flight.total == 8


def test_a_busy_caller_leaves_room_for_the_others() -> None:
    in_flight = InFlight(8)
    in_flight.enter("quiet")
    for _ in range(5):
        in_flight.enter("busy")
    with pytest.raises(Refused, match="its share"):
        in_flight.enter("busy")
    in_flight.enter("quiet")
    in_flight.enter("third")
    assert in_flight.total == 8


def test_those_who_have_left_do_not_count() -> None:
    in_flight = InFlight(4)
    in_flight.enter("gone")
    in_flight.leave("gone")
    for _ in range(4):
        in_flight.enter("a")
    assert in_flight.total == 4
