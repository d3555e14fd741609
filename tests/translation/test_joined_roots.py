"""Schemas that are combined at their top become one object: the cases of joined-roots.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.conversation import Tool
from core.translation.joined_roots import joined_tool
from core.translation.losses import Losses

CASES = json.loads(Path(__file__).with_name("joined-roots.json").read_text("utf-8"))
COMBINED = {"allOf", "anyOf", "oneOf", "not", "enum", "$ref"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("strict", [True, False, None])
def test_one_object_stands_at_the_top(case: dict[str, Any], strict: bool | None) -> None:
    losses = Losses("chat_completions")
    tool = joined_tool(Tool("f", parameters=case["schema"], strict=strict), losses)
    assert tool.parameters is not None
    assert not COMBINED & tool.parameters.keys()
    assert tool.parameters.get("properties") == case["properties"]
    assert tool.parameters.get("required") == case["required"]
    described = str(tool.parameters.get("description", ""))
    assert described.startswith(case["schema"].get("description", ""))
    assert ("{" in described) == case["advice"]
    assert bool(losses.dropped) == (case["advice"] or strict is True)
    assert tool.strict == (False if strict is False else None)


def test_other_tools_stay_the_same() -> None:
    losses = Losses("chat_completions")
    for tool in (Tool("f"), Tool("f", parameters={"type": "object"}, strict=True)):
        assert joined_tool(tool, losses) is tool
    assert not losses.dropped
