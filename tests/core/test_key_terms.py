"""What the management API takes and shows of keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ClientFault
from core.key_terms import LONGEST_OVERLAP, ending, read_overlap, read_terms, shown_keys, with_secret
from core.keys import Key, digest_of

NOW = 1_800_000_000.0
DAY = 86_400.0


def key(**members: Any) -> Key:
    made = Key("key_1", "d1", "sk-sky-abcdef", "team-a", NOW - DAY)
    for name, value in members.items():
        setattr(made, name, value)
    return made


def test_terms_are_read() -> None:
    read = read_terms(
        {
            "owner": " team-b ", "name": "CI", "labels": {"env": "dev"}, "expires": NOW + 60, "models": ["claude-*"],
            "limits": {"requests_per_minute": 5, "in_flight": 2}, "budgets": {"usd_per_month": 2.5}, "admin": True,
        },
        key(), NOW,
    )  # fmt: skip
    assert (read.owner, read.name, read.labels, read.admin) == ("team-b", "CI", {"env": "dev"}, True)
    assert (read.expires, read.models) == (NOW + 60, ("claude-*",))
    assert read.quota == {"requests_per_minute": 5, "in_flight": 2, "usd_per_month": 25 * 10**11}
    assert read.id == "key_1" and read.prefix == "sk-sky-abcdef"


def test_what_is_not_stated_stays_and_null_takes_away() -> None:
    before = key(
        labels={"env": "dev", "team": "x"}, quota={"in_flight": 3, "usd_total": 10**12, "usd_per_day": 10**11},
        expires=NOW + 9, models=("m",), name="old",
    )  # fmt: skip
    assert read_terms({}, before, NOW) == before
    changed = read_terms(
        {"labels": {"env": None}, "budget": {"usd_total": None, "usd_per_day": 0.5}, "expires": None, "models": None,
         "name": None}, before, NOW,
    )  # fmt: skip
    assert changed.labels == {"team": "x"} and changed.quota == {"in_flight": 3, "usd_per_day": 5 * 10**11}
    assert (changed.expires, changed.models, changed.name) == (None, (), "")
    assert read_terms({"limits": None, "labels": None}, before, NOW).quota == {
        "usd_total": 10**12, "usd_per_day": 10**11,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-02-01", 1_801_440_000.0), ("2027-02-01T12:00Z", 1_801_483_200.0),
        ("2027-02-01T12:00:01Z", 1_801_483_201.0),
    ],
)
def test_an_end_may_be_a_date(text: str, moment: float) -> None:
    assert read_terms({"expires": text}, key(), NOW).expires == moment


WRONG: list[tuple[Any, str]] = [
    (None, "body"),
    ([], "body"),
    ({"colour": 1}, "colour"),
    ({"owner": ""}, "owner"),
    ({"owner": " "}, "owner"),
    ({"owner": None}, "owner"),
    ({"owner": 5}, "owner"),
    ({"owner": "a\n"}, "owner"),
    ({"owner": "x" * 201}, "owner"),
    ({"name": {}}, "name"),
    ({"labels": []}, "labels"),
    ({"labels": {"a": 1}}, "labels.a"),
    ({"labels": {"": "x"}}, "labels."),
    ({"labels": {str(number): "x" for number in range(51)}}, "labels"),
    ({"expires": NOW}, "expires"),
    ({"expires": "2020-01-01"}, "expires"),
    ({"expires": "soon"}, "expires"),
    ({"expires": True}, "expires"),
    ({"expires": float("nan")}, "expires"),
    ({"expires": 10**400}, "expires"),
    ({"models": "m"}, "models"),
    ({"models": [""]}, "models[0]"),
    ({"models": ["m", 3]}, "models[1]"),
    ({"models": ["m"] * 51}, "models"),
    ({"limits": 3}, "limits"),
    ({"limits": {"rpm": 3}}, "limits.rpm"),
    ({"limits": {"usd_total": 3}}, "limits.usd_total"),
    ({"limits": {"in_flight": 1.5}}, "limits.in_flight"),
    ({"limits": {"in_flight": -1}}, "limits.in_flight"),
    ({"limits": {"in_flight": True}}, "limits.in_flight"),
    ({"limits": {"in_flight": "3"}}, "limits.in_flight"),
    ({"budgets": {"usd_total": 1e300}}, "budgets.usd_total"),
    ({"budgets": {"usd_total": float("inf")}}, "budgets.usd_total"),
    ({"budgets": {"in_flight": 1}}, "budgets.in_flight"),
    ({"admin": 1}, "admin"),
]


@pytest.mark.parametrize(("document", "param"), WRONG)
def test_what_is_wrong_is_named(document: Any, param: str) -> None:
    with pytest.raises(ClientFault) as caught:
        read_terms(document, key(), NOW)
    assert caught.value.param == param and caught.value.status == 400


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = st.sampled_from(["owner", "name", "labels", "expires", "models", "limits", "budgets", "admin"])


@given(st.dictionaries(MEMBERS, ANYTHING, max_size=3))
def test_no_body_is_a_defect(document: dict[str, Any]) -> None:
    try:
        read = read_terms(document, key(), NOW)
    except ClientFault as fault:
        assert fault.param
    else:
        json.dumps(read.document())


def test_how_long_two_keys_overlap() -> None:
    assert read_overlap({}) == DAY and read_overlap({"overlap_seconds": 0}) == 0.0
    for document, param in (
        (3, "body"), ({"hours": 1}, "hours"), ({"overlap_seconds": True}, "overlap_seconds"),
        ({"overlap_seconds": LONGEST_OVERLAP + 1}, "overlap_seconds"), ({"overlap_seconds": "1"}, "overlap_seconds"),
    ):  # fmt: skip
        with pytest.raises(ClientFault) as caught:
            read_overlap(document)
        assert caught.value.param == param


def test_a_key_that_is_replaced_ends() -> None:
    assert ending(key(), NOW, 60.0).expires == NOW + 60
    assert ending(key(expires=NOW + 5), NOW, 60.0).expires == NOW + 5


def test_records_for_people() -> None:
    secret = "sk-sky-0123456789abcdef"
    new = with_secret(key(created=NOW, quota={"in_flight": 3, "usd_total": 25 * 10**11}, admin=True), secret)
    assert new.digest == digest_of(secret)
    old = key(prefix="sk-sky-old", expires=NOW + 60)
    ended = key(prefix="sk-sky-ended", expires=NOW - 60)
    other = key(id="key_2", created=NOW - 9 * DAY, revoked=NOW - 1)
    first, second = shown_keys([old, other, ended, new], NOW)
    assert (first["id"], first["prefix"], first["state"], first["admin"]) == ("key_1", "sk-sky-012345", "active", True)
    assert (first["limits"], first["budget"]) == ({"in_flight": 3}, {"usd_total": 2.5})
    assert first["replaces"] == [{"prefix": "sk-sky-old", "expires": NOW + 60}]
    assert (second["id"], second["state"]) == ("key_2", "revoked")
    assert secret not in json.dumps([first, second]) and new.digest not in json.dumps([first, second])
