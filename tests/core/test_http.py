"""Headers that hold a list."""

from __future__ import annotations

from core.http import listed


def test_a_short_list_is_as_it_is() -> None:
    assert listed(["top_k", "tools[3].strict"]) == "top_k, tools[3].strict"
    assert listed([]) == ""


def test_a_long_list_loses_its_numbers_and_a_longer_one_its_end() -> None:
    many = [f"tools[{number}].cache_control" for number in range(300)]
    assert listed(["top_k", *many]) == "top_k, tools[].cache_control"
    names = [f"member_number_{number}" for number in range(300)]
    text = listed(names)
    assert len(text) < 2_030 and text.endswith(" more") and text.startswith("member_number_0, ")
    assert text.count(",") + int(text.split()[-2]) == 300
