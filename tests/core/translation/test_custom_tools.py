"""Free text in and out of its JSON wrapping, at any split."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.conversation import Tool
from core.translation.custom_tools import Unwrapper, unwrapped_arguments, wrapped_arguments, wrapped_tool

GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}


def fed(pieces: list[str]) -> str:
    unwrapper = Unwrapper()
    return "".join(map(unwrapper.feed, pieces)) + unwrapper.close()


@given(st.text(), st.booleans(), st.data())
def test_any_text_at_any_split(text: str, ascii_only: bool, data: st.DataObject) -> None:
    wrapped = json.dumps({"input": text}, ensure_ascii=ascii_only)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wrapped)), max_size=8)))
    pieces = [wrapped[start:end] for start, end in zip([0, *cuts], [*cuts, len(wrapped)], strict=True)]
    assert fed(pieces) == text
    assert unwrapped_arguments(wrapped_arguments(text)) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input": "a\\nb\\t\\"c\\" \\\\ \\/ \\b\\f\\r"}', 'a\nb\t"c" \\ / \b\f\r'),
        ('{"input": "\\ud83d\\ude00"}', "\U0001f600"),
        ('{"input": "\\ud83d"}', "\ufffd"),
        ('{"input": "\\ud83dx"}', "\ufffdx"),
        ('{"input": "\\ud83d\\n"}', "\ufffd\n"),
        ('{"input": "\\ud83d\\ud83d\\ude00"}', "\ufffd\U0001f600"),
        ('{"input": "\\ud83d\\u0041"}', "\ufffdA"),
        ('{"input": "\\ude00"}', "\ufffd"),
        ('{"input": "\\uzzzz"}', "\ufffd"),
        ('{"input": "\\x"}', "x"),
        ('{"input": "cut \\u00', "cut "),
        ('{"input": "cut \\', "cut "),
        ('{"input": "cut \\ud83d', "cut \ufffd"),
        (' { "input" : "spaced" } ', "spaced"),
        ('{"other": 1, "input": "later"}', "later"),
        ('{"other": 1, "input": "\\ud83d"}', "\ufffd"),
        ('{"input": 5}', '{"input": 5}'),
        ('["list"]', '["list"]'),
        ("*** Begin Patch", "*** Begin Patch"),
        ('{"inp', '{"inp'),
        ("", ""),
    ],
)
def test_odd_shapes(arguments: str, text: str) -> None:
    assert fed([arguments]) == text
    assert fed(list(arguments)) == text


def test_text_comes_out_while_it_is_written() -> None:
    unwrapper = Unwrapper()
    assert [unwrapper.feed(piece) for piece in ('{"in', 'put":"ab', "c\\", 'nd"', "}")] == [
        "",
        "ab",
        "c",
        "\nd",
        "",
    ]
    assert unwrapper.close() == ""


def test_the_wrapping_function() -> None:
    tool = wrapped_tool(Tool("apply_patch", "Edits files.", kind="custom", grammar=GRAMMAR))
    assert tool.kind == "function"
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]
    assert tool.description == ("Edits files.\n\nThe input must match this lark grammar:\nstart: /.+/")
    bare = wrapped_tool(Tool("t", kind="custom", grammar=GRAMMAR))
    assert bare.description is not None and bare.description.startswith("The input")
    assert wrapped_tool(Tool("t", kind="custom")).description is None
