"""Keys as values."""

from __future__ import annotations

from typing import Any

import pytest

from core.access import Caller
from core.errors import NotConfigured, Refused
from core.keys import PREFIX, SHOWN, Key, check_model, check_usable, digest_of, is_the_key, new_secret, read_key
from tests.scripted import FixedRandom


def made(**members: object) -> Key:
    key = Key("key_1", digest_of("sk-sky-x"), "sk-sky-x", "team-a", 1000.0)
    for name, value in members.items():
        setattr(key, name, value)
    return key


def test_a_secret_is_long_and_recognisable() -> None:
    secret = new_secret(FixedRandom())
    assert secret.startswith(PREFIX) and len(secret) == len(PREFIX) + 43 and SHOWN < 20


def test_only_a_digest_is_kept() -> None:
    key = made(labels={"env": "dev"}, models=("claude-*",), quota={"in_flight": 3})
    assert "sk-sky-x" not in str({**key.document(), "prefix": ""})
    assert read_key(key.digest, key.document()) == key
    assert is_the_key("sk-sky-x", key) and not is_the_key("sk-sky-y", key)
    assert key.caller() == Caller(
        "key_1", "key", "key sk-sky-x…", "team-a", {"env": "dev"}, ("claude-*",), {"in_flight": 3}
    )


def test_a_key_is_usable_up_to_its_end_or_its_revocation() -> None:
    assert made().state(2000.0) == "active"
    check_usable(made(expires=2001.0), 2000.0)
    with pytest.raises(Refused, match="has expired"):
        check_usable(made(expires=2000.0), 2000.0)
    with pytest.raises(Refused, match="is revoked"):
        check_usable(made(expires=1.0, revoked=1500.0), 2000.0)


def test_a_key_with_patterns_may_use_what_they_match() -> None:
    check_model(Caller("k"), "anything")
    check_model(Caller("k", models=("gpt-*", "claude-sonnet")), "gpt-high")
    with pytest.raises(Refused, match="It may use: gpt-") as caught:
        check_model(Caller("k", models=("gpt-*",)), "claude-sonnet")
    assert caught.value.status == 403


@pytest.mark.parametrize("document", [{}, [], {"id": "k"}, made().document() | {"labels": 3}])
def test_what_somebody_else_wrote_into_the_store_is_no_key(document: Any) -> None:
    with pytest.raises(NotConfigured, match=r"keys/aaaaaaaaaaaa… is not a key"):
        read_key("a" * 64, document)
