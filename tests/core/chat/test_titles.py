"""A session's title, from what was said first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.chat.titles import LONGEST, UNTITLED, title_of


@pytest.mark.parametrize(
    ("text", "names", "title"),
    [
        ("What is a gateway?", (), "What is a gateway?"),
        ("  two\n\tlines \x00 here ", (), "two lines here"),
        ("", (), UNTITLED),
        ("\u2028\n", ("",), UNTITLED),
        ("", ("invoice.pdf", "b.png"), "invoice.pdf"),
        ("word " * 20, (), " ".join(["word"] * 12) + "…"),
        ("x" * 80, (), "x" * 59 + "…"),
        ("ab " + "x" * 80, (), "ab " + "x" * 56 + "…"),
        ("<script>alert(1)</script>", (), "<script>alert(1)</script>"),
    ],
)
def test_a_title_is_the_beginning_of_what_was_said(text: str, names: tuple[str, ...], title: str) -> None:
    assert title_of(text, names) == title


@given(some.text())
def test_a_title_is_one_short_line(text: str) -> None:
    title = title_of(text)
    assert title and len(title) <= LONGEST + 1 and title.isprintable()
