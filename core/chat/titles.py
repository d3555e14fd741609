"""A session's title, from what was said first in it."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 60
UNTITLED: Final = "New conversation"


def title_of(text: str, names: tuple[str, ...] = ()) -> str:
    """The beginning of `text`, cut at a word; the first file's name where nothing was said."""
    words = "".join(letter if letter.isprintable() else " " for letter in text[: 20 * LONGEST]).split()
    title = " ".join(words)
    if not title:
        return names[0][:LONGEST] if names and names[0] else UNTITLED
    if len(title) <= LONGEST:
        return title
    cut = title[:LONGEST]
    at_word = cut.rpartition(" ")[0]
    return (at_word if len(at_word) > LONGEST // 2 else cut[: LONGEST - 1]) + "…"
