"""Quotas to charges, and shortages to refusals in each client's dialect."""

from __future__ import annotations

from typing import Any

import pytest

from core.limits import Subject, charges_of, has_budget, left, rate_headers, read_quota, refusal, used
from core.ports import Charge, Shortage

# 2027-01-15T08:00:20Z, a Friday.
NOW = 1_800_000_020.0
KEY = Subject("key", "k1", {"requests_per_minute": 3, "usd_per_month": 5 * 10**12}, "key sk-sky-abcdef…")
ALL = Subject("everyone", "", {"tokens_per_day": 1000, "in_flight": 4, "usd_total": 10**13}, "this gateway")


def test_a_quota_is_read_exactly() -> None:
    section = {"requests_per_minute": 60, "tokens_per_day": "1000", "usd_per_day": 0.1, "usd_total": "2.000000000001"}
    assert read_quota(section, "quotas.keys") == {
        "requests_per_minute": 60, "tokens_per_day": 1000, "usd_per_day": 10**11, "usd_total": 2 * 10**12 + 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (3, "quotas.keys: expected some of requests_per_minute"),
        ({"rpm": 3}, "quotas.keys.rpm: unknown"),
        ({"usd_per_day": "x"}, "quotas.keys.usd_per_day: expected a number"),
        ({"usd_per_day": "1/0"}, "quotas.keys.usd_per_day: expected a number"),
        ({"usd_per_day": "1e999999999"}, "quotas.keys.usd_per_day: expected a number"),
        ({"usd_per_day": float("nan")}, "quotas.keys.usd_per_day: expected a number"),
        ({"tokens_per_day": 10**19}, "quotas.keys.tokens_per_day: larger than"),
        ({"requests_per_minute": 0.5}, "quotas.keys.requests_per_minute: expected a whole number"),
        ({"tokens_per_minute": -1}, "quotas.keys.tokens_per_minute: expected a whole number"),
    ],
)
def test_a_wrong_quota_is_named(section: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_quota(section, "quotas.keys")


@pytest.mark.parametrize("name", ["x" * 129, "\u00e9" * 65, "\ud800" * 999])
def test_a_long_name_is_counted_under_a_digest(name: str) -> None:
    """A client may make one up, and keys of items have bounds."""
    quota = {"in_flight": 1}
    subjects = [Subject("model", name, quota, "model x…"), Subject("model", name + "y", quota, "")]
    one, other = charges_of(subjects, 0, 0, NOW)
    assert one.counter != other.counter and len(one.counter) < 90 and one.counter.isascii()
    assert "1 requests at once of model x…" in refusal(Shortage(one, 1), subjects, "messages", NOW).message
    (short,) = charges_of([Subject("model", "x" * 128, {"in_flight": 1}, "")], 0, 0, NOW)
    assert short.counter == f"in_flight:model:{'x' * 128}:"


def test_charges_name_their_window_and_its_end() -> None:
    charges = charges_of([KEY, ALL], 700, 9, NOW)
    assert charges == (
        Charge("requests_per_minute:key:k1:30000000", 1, 3, 1_800_000_060.0),
        Charge("usd_per_month:key:k1:2027-01", 9, 5 * 10**12, 1_801_440_000.0),
        Charge("tokens_per_day:everyone::2027-01-15", 700, 1000, 1_800_057_600.0),
        Charge("in_flight:everyone::", 1, 4, None),
        Charge("usd_total:everyone::", 9, 10**13, None),
    )
    assert used(charges, 12, 3) == {
        "requests_per_minute:key:k1:30000000": 1, "usd_per_month:key:k1:2027-01": 3,
        "tokens_per_day:everyone::2027-01-15": 12, "in_flight:everyone::": 0, "usd_total:everyone::": 3,
    }  # fmt: skip
    assert set(used(charges, 10**30, 10**30).values()) == {1, 0, 9 * 10**15}, "what every store can add up"
    assert has_budget([KEY, ALL]) and not has_budget([Subject("key", "k1", {"in_flight": 2}, "")])
    assert has_budget([KEY]) and not has_budget([Subject("key", "k", {"in_flight": 1}, "")])


def test_a_month_ends_with_the_year() -> None:
    december = 1_798_700_000.0  # 2026-12-31
    (charge,) = charges_of([Subject("key", "k", {"usd_per_month": 1}, "")], 0, 0, december)
    assert charge.counter.endswith(":2026-12") and charge.until == 1_798_761_600.0  # 2027-01-01


def shortage(index: int, amount: int = 1, spent: int = 3) -> Shortage:
    charge = charges_of([KEY, ALL], amount, amount, NOW)[index]
    return Shortage(charge, spent)


def test_too_many_requests_in_anthropics_dialect() -> None:
    error = refusal(shortage(0), [KEY, ALL], "messages", NOW)
    assert (error.kind, error.status, error.retry_after) == ("rate_limit", 429, 40.0)
    assert error.message == (
        "The limit of 3 requests a minute of key sk-sky-abcdef… is reached: 3 are used. "
        "It resets at 2027-01-15T08:01:00Z."
    )
    assert error.headers == {
        "anthropic-ratelimit-requests-limit": "3",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2027-01-15T08:01:00Z",
    }


def test_too_many_tokens_in_openais_dialect() -> None:
    error = refusal(shortage(2, 700, 400), [KEY, ALL], "chat_completions", NOW)
    assert "this gateway is reached: 400 are used, and this request may take 700." in error.message
    assert error.headers == {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "600",
        "x-ratelimit-reset-tokens": "15h59m40s",
        "x-should-retry": "false",
    }


def test_too_many_at_once() -> None:
    error = refusal(shortage(3), [KEY, ALL], "responses", NOW)
    assert error.retry_after == 1.0 and "resets" not in error.message
    assert error.headers["x-ratelimit-reset-requests"] == "1s"


@pytest.mark.parametrize(("left", "text"), [(40.0, "40s"), (60.0, "1m0s"), (0.2, "1s")])
def test_a_reset_is_told_as_a_duration(left: float, text: str) -> None:
    short = Shortage(Charge("requests_per_minute:key:k1:1", 1, 3, NOW + left), 3)
    assert refusal(short, [], "responses", NOW).headers["x-ratelimit-reset-requests"] == text


def test_a_budget_is_told_apart_from_a_rate() -> None:
    error = refusal(shortage(1, 4 * 10**11, 48 * 10**11), [KEY, ALL], "messages", NOW)
    assert error.kind == "spend_limit"
    assert error.message == (
        "The monthly budget of 5 USD of key sk-sky-abcdef… is used up: 4.8 USD are spent or reserved, and this request "
        "may cost up to 0.4 USD. It resets at 2027-02-01T00:00:00Z."
    )
    assert error.headers == {"x-skybridge-budget-reset": "2027-02-01T00:00:00Z"}


def test_a_total_budget_never_resets() -> None:
    error = refusal(shortage(4), [], "messages", NOW)
    assert error.retry_after is None and error.headers == {}
    assert "of this gateway is used up" in error.message and "does not reset by itself" in error.message


def test_what_is_left() -> None:
    totals = {charge.counter: 1 for charge in charges_of([KEY, ALL], 0, 0, NOW)}
    found = left([KEY, ALL], totals, NOW)
    assert found["requests_per_minute"] == {
        "limit": 3, "used": 1, "remaining": 2, "resets": 1_800_000_060.0, "of": "key sk-sky-abcdef…",
    }  # fmt: skip
    assert found["in_flight"]["resets"] is None and found["tokens_per_day"]["of"] == "this gateway"
    assert found["usd_per_month"]["limit"] == 5.0 and found["usd_total"]["used"] == 1e-12
    assert left([], {}, NOW) == {}


def test_of_two_limits_the_tighter_one_is_told() -> None:
    owner = Subject("owner", "o", {"requests_per_minute": 2}, "owner o")
    for subjects in ([KEY, owner], [owner, KEY]):
        (counter,) = (charge.counter for charge in charges_of([owner], 0, 0, NOW))
        assert left(subjects, {counter: 5}, NOW)["requests_per_minute"]["remaining"] == 0
        assert left(subjects, {}, NOW)["requests_per_minute"]["of"] == "owner o"


MANY = [
    Subject("key", "k1", {"requests_per_minute": 3, "tokens_per_minute": 2000, "in_flight": 1, "usd_total": 9}, ""),
    Subject("owner", "o", {"requests_per_minute": 100, "tokens_per_day": 5000}, ""),
]


@pytest.mark.parametrize(
    ("format_name", "headers"),
    [
        ("messages", {
            "anthropic-ratelimit-requests-limit": "3", "anthropic-ratelimit-requests-remaining": "2",
            "anthropic-ratelimit-requests-reset": "2027-01-15T08:01:00Z", "anthropic-ratelimit-tokens-limit": "5000",
            "anthropic-ratelimit-tokens-remaining": "200", "anthropic-ratelimit-tokens-reset": "2027-01-16T00:00:00Z",
        }),
        ("chat_completions", {
            "x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-requests": "2",
            "x-ratelimit-reset-requests": "40s", "x-ratelimit-limit-tokens": "5000",
            "x-ratelimit-remaining-tokens": "200", "x-ratelimit-reset-tokens": "15h59m40s",
        }),
    ],
)  # fmt: skip
def test_what_is_left_is_told_of_the_tightest_limits(format_name: str, headers: dict[str, str]) -> None:
    charges = charges_of(MANY, 700, 1, NOW)
    used_up = [1, 700, 1, 1, 50, 4800]
    used_by_counter = {charge.counter: amount for charge, amount in zip(charges, used_up, strict=True)}
    assert dict(rate_headers(charges, used_by_counter, format_name, NOW)) == headers


def test_who_has_no_such_limit_is_told_nothing() -> None:
    limited = charges_of([Subject("key", "k", {"in_flight": 1, "usd_total": 9}, "")], 7, 1, NOW)
    charges = (*limited, Charge("tokens_per_day:a::", 5))
    assert rate_headers(charges, {}, "messages", NOW) == []
