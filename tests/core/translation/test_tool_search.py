"""A client's own search for tools (Codex's) on backends that have no such tool: a function, and what it finds."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import Answer, Opaque, Text, ToolCall
from core.errors import GatewayError
from core.events import Event, PartEnded, PartStarted, events_of
from core.formats import load_format
from core.formats.contract import Call, Reply, Target
from core.models.resolve import facts_for
from core.stop import Stop
from core.translation.pipeline import translate_request
from core.translation.tool_search import SearchRestorer
from tests.translation.makers import translated_with_drops

SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
SEARCH = {"type": "tool_search", "execution": "client", "description": "Searches.", "parameters": SCHEMA}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
FOUND = [
    {
        "type": "namespace",
        "name": "mcp__weather",
        "description": "Weather",
        "tools": [{**FUNCTION, "name": "today", "defer_loading": True}, {**FUNCTION, "name": "later"}],
    },
    FUNCTION,
]
ASKED = {"role": "user", "content": "Is it raining?"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
CALL = {"type": "tool_search_call", "call_id": "c1", "execution": "client", "arguments": {"query": "weather"}}
OUTPUT = {"type": "tool_search_output", "call_id": "c1", "execution": "client", "status": "completed", "tools": FOUND}
HISTORY = [ASKED, CALL, OUTPUT]


def request(*items: Any, tools: Any = (SEARCH, FUNCTION)) -> dict[str, Any]:
    return {"model": "m", "input": list(items), "store": False, "tools": list(tools)}


def test_the_search_is_a_function_and_what_it_found_is_on_offer() -> None:
    body, dropped = translated_with_drops("responses", request(*HISTORY), "messages")
    names = ["tool_search", "f", "mcp__weather__today", "mcp__weather__later"]
    assert [tool["name"] for tool in body["tools"]] == names
    assert (body["tools"][0]["description"], body["tools"][0]["input_schema"]) == ("Searches.", SCHEMA)
    _, call, result = body["messages"]
    assert call["content"] == [{"type": "tool_use", "id": "c1", "name": "tool_search", "input": {"query": "weather"}}]
    said = "These tools can be called now: mcp__weather__today, mcp__weather__later, f."
    assert result["content"] == [{"type": "tool_result", "tool_use_id": "c1", "content": said}]
    assert dropped == ["tools"]  # a namespace's description


@pytest.mark.parametrize("backend", ["chat_completions", "converse", "generate_content", "messages"])
def test_the_history_alone_may_know_of_it(backend: str) -> None:
    """Another model's turn: Codex offers the search to some models only."""
    bare = {**CALL, "arguments": '{"query": 1}'}
    body, _ = translated_with_drops("responses", request(ASKED, bare, {**OUTPUT, "tools": []}, tools=()), backend)
    assert "No tool was found." in str(body)


def test_a_newer_claudes_thoughts_are_bound_to_the_tools_of_their_time() -> None:
    model, done = "claude-opus-5-5", [ASKED, THOUGHT, {"role": "assistant", "content": "No."}, ASKED]
    bound = "messages.content.reasoning"
    _, dropped = translated_with_drops("responses", request(ASKED, THOUGHT, CALL, OUTPUT, *done), "messages", model)
    assert dropped.count(bound) == 1
    _, dropped = translated_with_drops("responses", request(ASKED, THOUGHT, ASKED, CALL, OUTPUT), "messages", model)
    assert bound in dropped
    older, _ = translated_with_drops("responses", request(*HISTORY, *done), "messages", "claude-sonnet-4-5")
    newer, dropped = translated_with_drops("responses", request(*HISTORY, *done), "messages", model)
    assert bound not in dropped and older["messages"][1:3] == newer["messages"][1:3]


def test_openais_own_search_stays_with_openai() -> None:
    with pytest.raises(GatewayError, match="tool_search"):
        translated_with_drops("responses", request(*HISTORY, tools=[SEARCH, {"type": "tool_search"}]), "messages")
    found = [{**CALL, "call_id": None}, {**OUTPUT, "call_id": None}]
    for items in (found, [{"type": "shell_call", "call_id": "c9", "action": {}}]):
        with pytest.raises(GatewayError):
            translated_with_drops("responses", request(ASKED, *items), "messages")


def test_the_same_api_gets_the_items_as_they_are() -> None:
    body, _ = translated_with_drops("responses", request(*HISTORY), "responses")
    assert body["input"][1:] == HISTORY[1:] and body["tools"][0] == SEARCH


ITEM = {
    "type": "tool_search_call",
    "id": "tsc_c7",
    "call_id": "c7",
    "status": "completed",
    "execution": "client",
    "arguments": {"query": "weather"},
}


@pytest.mark.parametrize(
    ("written", "arguments"), [('{"query":"weather"}', {"query": "weather"}), ("", {}), ("{oh", "{oh")]
)
def test_the_models_call_is_the_clients_item(written: str, arguments: Any) -> None:
    calls = [Text("I look."), ToolCall("c7", "tool_search", written), ToolCall("c8", "f", "{}")]
    answer = Answer("a", "m", content=calls, stop=Stop("tool_use"))
    item = Opaque("responses", "tool_search_call", {**ITEM, "arguments": arguments})
    restored = SearchRestorer().answer(answer).content
    assert restored == [calls[0], item, calls[2]]
    restorer, events = SearchRestorer(), list[Event]()
    for event in events_of(answer):
        events += restorer.feed(event)
    assert [event.block for event in events if isinstance(event, PartEnded)] == restored
    assert len([event for event in events if isinstance(event, PartStarted)]) == 3


def test_a_stream_tells_codex_of_the_search() -> None:
    conversation = load_format("responses").read_request(request(ASKED), Call("m", True, {}))
    target = Target("claude-sonnet-4-5", "there", "anthropic", facts_for("claude-sonnet-4-5"))
    restore = translate_request(conversation, "messages", target).restore
    answer = Answer("a", "m", content=[ToolCall("c7", "tool_search", '{"query":"weather"}')], stop=Stop("tool_use"))
    encoder = load_format("responses").StreamEncoder(Reply("m", "r", 1, conversation))
    frames = b"".join(
        encoder.emit(new)
        for event in events_of(answer)
        for new in restore.events(event)
    )
    assert frames.count(b'"type":"tool_search_call","id":"tsc_c7","call_id":"c7"') == 3  # added, done, completed
    assert b"function_call" not in frames
