"""Messages as documents, in pieces, and trimmed to a context."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from core.chat.messages import (
    PIECE_BYTES,
    Assembler,
    Attachment,
    Said,
    documents_of,
    for_model,
    name_of,
    said_of,
    trimmed,
)
from core.conversation import Document, Image, Text


def said(role: Any, content: str = "x", **members: Any) -> Said:
    return Said(role, content, **members)


def test_a_message_is_kept_whole() -> None:
    files = [Attachment("image", "image/png", "aGk=", "a.png"), Attachment("document", "application/pdf", "aGk=")]
    message = Said("user", "<script>", files, "complete", 5.5, "m_1", {"model": "m", "usage": {"input_tokens": 1}})
    assert said_of(json.loads(json.dumps(message.document()))) == message
    plain = Said("assistant", "yes", status="partial")
    assert said_of(plain.document()) == plain and "attachments" not in plain.document()


def test_a_model_is_shown_files_before_the_text() -> None:
    files = [Attachment("image", "image/png", "aGk="), Attachment("document", "application/pdf", "aGk=", "a.pdf")]
    image, document, text = Said("user", "look", files).shown().content
    assert isinstance(image, Image) and image.source.media_type == "image/png"
    assert isinstance(document, Document) and document.name == "a.pdf"
    assert text == Text("look")
    assert [type(block) for block in Said("user", "", files[:1]).shown().content] == [Image]


def test_the_newest_message_is_the_first_by_name() -> None:
    names = [name_of(number, turn) for number, turn in ((0, "z"), (1, "a"), (9, "b"), (10, "a"), (12345, "c"))]
    assert names == sorted(names, reverse=True)
    assert name_of(7, "a") != name_of(7, "b")


def test_a_message_of_a_usual_size_is_one_document() -> None:
    for size in (1, 100_000):
        assert documents_of("1", {"content": "x" * size}) == {"1": {"content": "x" * size}}


@pytest.mark.parametrize("letter", ["x", "é", "\u2028", "😀", '"', "\\"])
def test_a_large_message_is_kept_in_pieces(letter: str) -> None:
    document = {"content": letter * 500_000}
    documents = documents_of("00000001", document)
    assert all(len(json.dumps(each)) < PIECE_BYTES + 200 for each in documents.values())
    assert len(documents) > 1 and list(documents) == sorted(documents)
    assembler = Assembler()
    found = [assembler.feed(name, each) for name, each in documents.items()]
    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] == ("00000001", document)


def test_a_message_without_all_its_pieces_is_passed_over() -> None:
    assembler = Assembler()
    torn = documents_of("00000001", {"content": "x" * 800_000})
    torn.pop("00000001.0001")
    rest = {"00000002": {"role": "user"}, "00000003.0000": {"text": "lost"}}
    found = [assembler.feed(name, each) for name, each in {**torn, **rest}.items()]
    assert [each for each in found if each is not None] == [("00000002", {"role": "user"})]


def test_a_message_that_was_cut_does_not_take_the_next_one_along() -> None:
    assembler = Assembler()
    assert assembler.feed("1", {"pieces": 2}) is None
    assert assembler.feed("1.0000", {"text": '{"a"'}) is None
    assert assembler.feed("2", {"b": 1}) == ("2", {"b": 1})


def test_a_model_is_not_shown_what_was_never_answered() -> None:
    asked, answered, failed = said("user", "q"), said("assistant", "a"), said("assistant", "", status="failed")
    partial = said("assistant", "half", status="partial")
    assert for_model([asked, failed, asked, answered]) == [asked, answered]
    assert for_model([asked, answered, asked, asked, failed]) == [asked, answered]
    assert for_model([asked, partial]) == [asked, partial]
    assert for_model([asked, answered, asked]) == [asked, answered]
    assert for_model([failed]) == []


def test_a_history_is_trimmed_by_whole_turns() -> None:
    turns = [said("user", "1"), said("assistant", "22"), said("user", "333"), said("assistant", "4444")]

    def count(each: Said) -> float:
        return len(each.content)

    assert trimmed(turns, 10, count) == turns
    assert trimmed(turns, 9.5, count) == turns[2:]
    assert trimmed(turns, 7, count) == turns[2:]
    assert trimmed(turns, 6, count) == [] == trimmed(turns, -1, count) == trimmed([], 5, count)


@settings(max_examples=60)
@given(some.lists(some.integers(0, 50), max_size=12), some.integers(0, 300))
def test_what_is_kept_fits_and_is_the_end(sizes: list[int], room: int) -> None:
    turns = [said("user" if index % 2 == 0 else "assistant", "x" * size) for index, size in enumerate(sizes)]
    kept = trimmed(turns, room, lambda each: len(each.content))
    assert sum(len(each.content) for each in kept) <= room
    assert kept == turns[len(turns) - len(kept) :]
    assert not kept or kept[0].role == "user"
