"""The envelope that carries one vendor's reasoning state through another format's slot."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.conversation import Origin, Reasoning
from core.formats.envelope import PREFIX, is_sealed, seal, unseal

texts = st.text(max_size=10)
reasonings = st.builds(
    Reasoning,
    st.lists(texts, max_size=3),
    st.sampled_from(["summary", "raw"]),
    *[st.none() | st.text(min_size=1, max_size=10)] * 4,
    st.builds(Origin, texts, texts),
    st.dictionaries(texts, texts, max_size=2),
)


@given(reasonings)
def test_what_was_sealed_comes_out_again(reasoning: Reasoning) -> None:
    sealed = seal(reasoning)
    assert is_sealed(sealed)
    assert unseal(sealed) == reasoning
    assert seal(reasoning) == sealed


def _envelope(members: Any) -> str:
    return PREFIX + base64.urlsafe_b64encode(json.dumps(members).encode()).decode()


FORGED: list[Any] = [
    [],
    {"texts": 3},
    {"texts": [3]},
    {"signature": 3},
    {"vendor": None},
    {"form": "other"},
    {"form": []},
    {"extra": []},
]


@pytest.mark.parametrize("members", FORGED)
def test_a_forged_envelope_is_none(members: Any) -> None:
    assert unseal(_envelope(members)) is None


@pytest.mark.parametrize(
    "value", ["", "c2ln", PREFIX + "%", PREFIX + "ü", PREFIX + base64.b64encode(b"[" * 9000).decode()]
)
def test_what_is_no_envelope_is_none(value: str) -> None:
    assert unseal(value) is None


def test_no_origin_is_an_empty_one() -> None:
    assert unseal(seal(Reasoning(["a"]))) == Reasoning(["a"], origin=Origin(""))
