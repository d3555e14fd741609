"""Members that few clients of Chat Completions send beside the usual ones, as they are read."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from core.conversation import CacheMark, Message, Sampling, Text, Tool, ToolCall, ToolResult
from core.formats.chat_completions.read_request import read_request
from core.formats.contract import Call

MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def messages_of(*messages: dict[str, Any]) -> list[Message]:
    return read_request({"model": "m", "messages": list(messages)}, Call()).messages


def call_of(call: dict[str, Any]) -> Any:
    [message] = messages_of({"role": "assistant", "content": None, "tool_calls": [call]})
    return message.content[0]


@pytest.mark.parametrize(
    ("beside", "inside", "read"),
    [
        ({}, {}, ToolCall("1", "f", "{}")),
        ({"index": 0}, {}, ToolCall("1", "f", "{}")),
        (MARK, {}, ToolCall("1", "f", "{}", cache=CacheMark("1h"))),
        ({"provider_specific_fields": {}}, {"caller": None}, ToolCall("1", "f", "{}")),
        ({"outer": 1}, {"inner": 2}, ToolCall("1", "f", "{}", extra={"inner": 2, "outer": 1})),
        ({"extra_content": {"google": {"thought_signature": ""}}}, {}, ToolCall("1", "f", "{}")),
        ({"extra_content": {"google": 1}}, {}, ToolCall("1", "f", "{}")),
        ({}, {"arguments": {"a": [1]}}, ToolCall("1", "f", '{"a":[1]}')),
        ({}, {"arguments": None}, ToolCall("1", "f", "")),
    ],
)
def test_calls(beside: dict[str, Any], inside: dict[str, Any], read: ToolCall) -> None:
    assert call_of({**CALL, **beside, "function": {"name": "f", "arguments": "{}", **inside}}) == read


def test_the_input_of_anthropics_calls_may_be_text() -> None:
    parts = [{"type": "tool_use", "id": "1", "name": "f", "input": "{}"}]
    assert messages_of({"role": "assistant", "content": parts})[0].content == [ToolCall("1", "f", "{}")]


def test_messages() -> None:
    user, spoken, result = messages_of(
        {"role": "user", "content": "Hi", "name": "Ann", "odd": 1, **MARK},
        {"role": "assistant", "content": "OK", "tool_calls": None, "annotations": []},
        {"role": "tool", "tool_call_id": "1", "content": "x", "is_error": True, "name": "f", "odd": 2, **MARK},
    )
    assert user == Message("user", [Text("Hi", cache=CacheMark("1h"))], plain=True, name="Ann", extra={"odd": 1})
    assert spoken == Message("assistant", [Text("OK")], plain=True)
    held = ToolResult("1", [Text("x")], is_error=True, name="f", plain=True, cache=CacheMark("1h"))
    assert result == Message("tool", [held], extra={"odd": 2})


@pytest.mark.parametrize(
    ("tool", "read"),
    [
        ({"function": {"name": "f"}, "type": "function"}, Tool("f")),
        ({"function": {"name": "f", "odd": 1}, "more": 2, **MARK}, Tool("f", extra={"odd": 1, "more": 2})),
        ({"name": "f", "parameters": {}, "odd": 1}, Tool("f", parameters={}, extra={"odd": 1})),
        ({"name": "f", "input_schema": {"a": 1}}, Tool("f", parameters={"a": 1})),
    ],
)
def test_tools(tool: dict[str, Any], read: Tool) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [tool]}
    [found] = read_request(body, Call()).tools
    read.cache = CacheMark("1h") if "cache_control" in tool else None
    assert found == read


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Sampling)])
def test_a_member_that_is_null_says_nothing(name: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], name: None}
    assert read_request(body, Call()).sampling == Sampling()
