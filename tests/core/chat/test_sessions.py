"""Heads of sessions: claims, leases, places in the list."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.access import Caller
from core.chat import sessions as rules
from core.chat.sessions import Head, Lease, read_head
from core.errors import ClientFault
from core.slotted import replace

NOW = 1_800_000_000.0
HEAD = Head("s", "e", "Title", "m", NOW - 50, NOW - 10, NOW + 1000, 4, "order", NOW + 2000)


def test_a_head_is_kept_whole() -> None:
    leased = replace(HEAD, lease=Lease("t", 2, NOW + 60), last="l", prompt="p")
    for head in (HEAD, leased):
        assert read_head(json.loads(json.dumps(head.document()))) == head
    assert HEAD.shown() == {
        "id": "s", "title": "Title", "model": "m", "message_count": 4, "created": NOW - 50, "updated": NOW - 10,
        "expires": NOW + 1000,
    }  # fmt: skip


def test_a_session_is_claimed_once_until_the_lease_is_over() -> None:
    lease = Lease("t", 1, NOW + 60)
    claimed = rules.claimed(HEAD, lease, NOW)
    assert claimed.lease == lease and claimed.count == 4
    with pytest.raises(ClientFault) as caught:
        rules.claimed(claimed, Lease("u", 1, NOW + 61), NOW + 1)
    assert caught.value.status == 409 and caught.value.about == {"session_id": "s"} and caught.value.retry_after == 1
    assert rules.claimed(claimed, Lease("u", 1, NOW + 200), NOW + 60).lease == Lease("u", 1, NOW + 200)


def test_the_end_of_a_turn() -> None:
    claimed = rules.claimed(HEAD, Lease("t", 1, NOW + 60), NOW)
    done = rules.ended(claimed, "other", NOW + 5, 30)
    assert (done.count, done.model, done.updated, done.lease) == (4, "other", NOW + 5, None)
    assert done.expires == NOW + 5 + 30 * 86_400 and done.kept_until == NOW + 2000
    assert rules.ended(replace(HEAD, kept_until=0.0), "m", NOW, 30).kept_until == NOW + 45 * 86_400
    behind = rules.ended(claimed, "m", NOW - 100, 30)
    assert behind.updated == HEAD.updated  # a clock that is behind does not move a session back


def test_titles_are_searched_in_capitals_or_not() -> None:
    assert rules.entry_of(HEAD) == {"id": "s", "expires": NOW + 1000, "title": "Title"}
    assert rules.is_titled("Straße", "STRASSE") and rules.is_titled(None, "x") and rules.is_titled("", "")
    assert not rules.is_titled("Title", "titles")
    assert rules.nothing_asked(HEAD).param == "regenerate"


def test_the_last_used_session_is_the_first_in_order() -> None:
    orders = [rules.order_of("s", moment) for moment in (NOW + 2, NOW + 1.5, NOW, 0)]
    assert orders == sorted(orders)


@pytest.mark.parametrize("order", [rules.order_of("my.session-1_a", NOW), rules.order_of("s", 0)])
def test_a_cursor_comes_back(order: str) -> None:
    assert rules.read_cursor(rules.cursor_of(order)) == order


@given(some.text(max_size=40))
def test_another_text_is_no_cursor(text: str) -> None:
    try:
        assert rules.cursor_of(rules.read_cursor(text)) == text.rstrip("=")
    except ClientFault as fault:
        assert fault.param == "cursor" and fault.status == 400


def test_owners_are_told_apart() -> None:
    key, iam = Caller("k", "key"), Caller("k", "iam")
    owners = {rules.owner_of(each) for each in (key, iam, Caller("other", "key"))}
    assert len(owners) == 3 and all(len(owner) == 32 for owner in owners)
    assert rules.owner_of(Caller("x", "anonymous")) == "local" == rules.owner_of(Caller("y", "anonymous"))
    assert rules.owner_of(Caller("arn:aws:iam::1:role/" + "x" * 3000, "iam"))


@pytest.mark.parametrize("session_id", ["", "a b", "../x", "-a", "x" * 101, "é", "a/b", "a\n"])
def test_ids_that_are_none(session_id: str) -> None:
    with pytest.raises(ClientFault) as caught:
        rules.check_id(session_id)
    assert caught.value.param == "session_id"


def test_ids_that_are_some() -> None:
    for session_id in ("a", "My.session-1_x", "x" * 100, rules.new_id("A" * 24)):
        rules.check_id(session_id)
    assert rules.is_own_id(rules.new_id("Az09" * 6)) and not rules.is_own_id("s_short") and not rules.is_own_id("mine")


def test_what_is_alive() -> None:
    assert rules.is_alive(HEAD, NOW) and not rules.is_alive(HEAD, HEAD.expires) and not rules.is_alive(None, NOW)
    assert rules.no_session("x").status == 404 and rules.taken_over(HEAD).status == 409
