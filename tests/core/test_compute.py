"""Compute cost, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.compute import COMPUTE_PRICES, SharedTime, billed_milliseconds, work_cost
from core.usage import in_usd

ARM, X86 = COMPUTE_PRICES["lambda/arm64"], COMPUTE_PRICES["lambda/x86_64"]
FLEX = COMPUTE_PRICES["flex"]


@pytest.mark.parametrize(
    ("name", "megabytes", "milliseconds", "usd"),
    [
        ("lambda/arm64", 1024, 10_000, "0.000133534"),  # 10 s x 1 GB x 0.0000133334 + 0.0000002
        ("lambda/arm64", 512, 10_000, "0.000066867"),
        ("lambda/x86_64", 128, 1000, "0.000002283338"),
        ("lambda/x86_64", 1769, 1, "0.000000228792"),
        ("flex", 2048, 10_000, "0.0005204"),  # 10 s x 2 GB x 0.000026 + 0.0000004
        ("flex", 512, 1000, "0.0000134"),
        ("flex/always-ready", 2048, 1000, "0.0000324"),
    ],
)
def test_a_request(name: str, megabytes: int, milliseconds: int, usd: str) -> None:
    assert in_usd(work_cost(COMPUTE_PRICES[name], megabytes, milliseconds)) == usd


def test_a_million_requests_cost_what_the_documentation_says() -> None:
    assert work_cost(ARM, 1024, 10_000) * 10**6 == (133_334 + 200) * 10**12 // 1000
    assert work_cost(FLEX, 2048, 10_000 / 10) * 10**6 == (52_000 + 400) * 10**12 // 1000


def test_streamed_bytes_beyond_the_first_six_megabytes() -> None:
    plain = work_cost(X86, 128, 1)
    assert work_cost(X86, 128, 1, 6 * 2**20) == plain
    assert work_cost(X86, 128, 1, 6 * 2**20 + 2**30) == plain + 8 * 10**9
    assert work_cost(X86, 128, 1, 6 * 2**20 + 1) == plain + 8
    assert work_cost(FLEX, 512, 1000, 10**9) == work_cost(FLEX, 512, 1000)


@pytest.mark.parametrize(
    ("seconds", "arm", "flex"), [(0.0, 1, 1000), (0.001, 1, 1000), (0.0011, 2, 1000), (1.0, 1000, 1000),
                                 (1.001, 1001, 1100), (2.3, 2300, 2300)],
)  # fmt: skip
def test_billed_time(seconds: float, arm: int, flex: int) -> None:
    assert (billed_milliseconds(seconds, ARM), billed_milliseconds(seconds, FLEX)) == (arm, flex)


def test_one_request_pays_for_its_time_alone() -> None:
    time = SharedTime(ARM)
    assert time.leave(time.enter(100.0), 100.25) == pytest.approx(250)
    assert time.leave(time.enter(500.0), 500.5) == pytest.approx(500)


def test_two_at_once_share() -> None:
    time = SharedTime(ARM)
    first = time.enter(0.0)
    second = time.enter(1.0)
    assert time.leave(first, 3.0) == pytest.approx(2000)  # 1 s alone and half of 2 s
    assert time.leave(second, 4.0) == pytest.approx(2000)


def test_the_last_one_pays_for_the_rounding() -> None:
    time = SharedTime(FLEX)
    first, second = time.enter(0.0), time.enter(0.0)
    assert time.leave(first, 0.2) == pytest.approx(100)
    assert time.leave(second, 0.2) == pytest.approx(900)


EVENTS = st.lists(st.tuples(st.booleans(), st.integers(0, 3000)), max_size=30)


@given(EVENTS)
def test_the_shares_add_up_to_what_is_billed(events: list[tuple[bool, int]]) -> None:
    time, now, billed, shares = SharedTime(FLEX), 0.0, 0, 0.0
    marks: list[float] = []
    began = 0.0
    for enters, pause in [*events, *[(False, 7)] * len(events)]:
        now += pause / 1000
        if enters:
            began = began if marks else now
            marks.append(time.enter(now))
        elif marks:
            shares += time.leave(marks.pop(len(marks) // 2), now)
            billed += 0 if marks else billed_milliseconds(now - began, FLEX)
    assert shares == pytest.approx(billed)
