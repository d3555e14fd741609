"""What the demo backend says, when it calls tools, how it keeps to limits, and how its streams are paced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ports import BackendRequest
from core.providers.demo.embeddings import embed
from core.providers.demo.tokens import count_text, cut_text, pieces_of
from core.providers.demo.transport import DemoTransport
from tests.core.providers.demo_bridge import StillClock, ask, ask_json, whole

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"


def chat_tool(name: str, kind: str = "function") -> dict[str, Any]:
    return {"type": kind, kind: {"name": name}}


def chat(text: str, **members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **members}


def message(text: str, **members: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **members}


async def called(text: str, *names: str, **members: Any) -> list[str]:
    """The tools that a Chat request's answer calls."""
    answer = await ask_json(CHAT, chat(text, tools=[chat_tool(name) for name in names], **members))
    return [call["function"]["name"] for call in answer["choices"][0]["message"].get("tool_calls", [])]


@pytest.mark.parametrize(
    ("text", "offered", "expected"),
    [
        ("Use a tool, please", ["one", "two"], ["one"]),
        ("Call the function", ["one", "two"], ["one"]),
        ("Use the Bash tool to read a file", ["Read", "Bash"], ["Bash"]),
        ("Please call bash", ["Read", "Bash"], ["Bash"]),
        ("Run one and two", ["one", "two", "three"], ["one", "two"]),
        ("Use both tools", ["alpha", "beta"], ["alpha", "beta"]),
        ("What's the weather in Paris?", ["get_time", "get_weather"], ["get_weather"]),
        ("How are the stocks?", ["lookupStock"], ["lookupStock"]),
        ("Write a poem", ["Write", "Read"], []),
        ("What's the weather?", [f"get_{letter}" for letter in "abcdefgh"] + ["get_weather"], []),
        ("Hello", ["get_weather"], []),
        ("Tell me about a list", ["get_list"], []),
        ("<system-reminder>use the one tool</system-reminder>Hello", ["one"], []),
    ],
)
async def test_a_tool_is_called_when_it_is_asked_for(text: str, offered: list[str], expected: list[str]) -> None:
    assert await called(text, *offered) == expected


async def test_the_tool_choice_is_kept() -> None:
    assert await called("Use a tool", "one", tool_choice="none") == []
    assert await called("Hello", "one", "two", tool_choice="auto") == []
    assert await called("Hello", "one", "two", tool_choice="required") == ["one"]
    assert await called("Use both tools", "one", "two", parallel_tool_calls=False) == ["one"]
    for mode, expected in (("required", ["two"]), ("auto", [])):
        allowed = {"mode": mode, "tools": [chat_tool("two")]}
        choice = {"type": "allowed_tools", "allowed_tools": allowed}
        assert await called("Hello", "one", "two", tool_choice=choice) == expected


async def test_other_formats_keep_the_tool_choice() -> None:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("one", "two")]
    for choice, expected in (("auto", 0), ("none", 0), ("any", 1)):
        answer = await ask_json(MESSAGES, message("Hello", tools=tools, tool_choice={"type": choice}))
        assert len([block for block in answer["content"] if block["type"] == "tool_use"]) == expected
    single = {"type": "auto", "disable_parallel_tool_use": True}
    answer = await ask_json(MESSAGES, message("Use both tools", tools=tools, tool_choice=single))
    assert [block["name"] for block in answer["content"]] == ["one"]
    vendor = [{"type": "web_search_20250305", "name": "web_search"}, {"type": "mcp_toolset", "mcp_server_name": "x"}]
    answer = await ask_json(MESSAGES, message("Use a tool", tools=vendor))
    assert "`web_search`, `mcp_toolset`" in answer["content"][0]["text"]
    function = [{"type": "function", "name": name, "parameters": None} for name in ("one", "two")]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "two"}]}
    for wanted, names in ((allowed, ["two"]), ({**allowed, "mode": "auto"}, []), ("none", []), ("auto", []),
                          ({"type": "custom", "name": "one"}, ["one"]), ({"type": "web_search"}, [])):
        body = {"model": "m", "input": "Hello", "tools": function, "tool_choice": wanted}
        answer = await ask_json(RESPONSES, body)
        assert [item["name"] for item in answer["output"] if item["type"] == "function_call"] == names


async def test_an_answer_restates_the_request() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}}
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
    said = {"type": "text", "text": "Look " + "at this " * 60}
    turns = [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "Hi", "name": "Ada"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "user", "content": [picture, sound, file, said]},
    ]
    tools = [chat_tool(f"tool_{number}") for number in range(14)]
    body = {"model": "m", "messages": turns, "tools": tools, "made_up": 1, "temperature": 1}
    text = (await ask_json(CHAT, body))["choices"][0]["message"]["content"]
    for part in ("4 messages", "1 system, 2 user, 1 assistant", "7 characters", "https://example.com/cat.png", "wav",
                 "a.pdf", "14 tools", "and 2 more", "passed over `made_up`", "at this…”"):
        assert part in text
    assert "temperature" not in text


async def test_documents_and_results_in_messages() -> None:
    blocks: list[Any] = [
        {"type": "document", "title": "Report", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "search_result", "title": "Found", "source": "s", "content": []},
        {"type": "container_upload", "file_id": "f"},
        {"type": "text", "text": "Read these"},
    ]
    body = message("", system=[{"type": "text", "text": "Kindly"}])
    body["messages"] = [
        {"role": "user", "content": blocks},
        {"role": "assistant", "content": [{"type": "server_tool_use"}, {"type": "text", "text": "ok"}]},
        {"role": "user", "content": "Go on"},
        {"role": "system", "content": [{"type": "text", "text": "Briefly"}]},
    ]
    text = (await ask_json(MESSAGES, body))["content"][0]["text"]
    for part in ("Report", "file", "a.png", "Found", "Go on", "13 characters", "1 system"):
        assert part in text


async def test_tool_results_may_hold_blocks() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "is_error": False,
              "content": [{"type": "text", "text": "A cat"}, image]}
    body = message("Use look")
    body["messages"] += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    body |= {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
    answer = await ask_json(MESSAGES, body)
    assert "A tool has answered" in answer["content"][0]["thinking"]
    assert "`look` gave back: “A cat”" in answer["content"][1]["text"] and "image/png" in answer["content"][1]["text"]


async def test_responses_read_every_kind_of_item() -> None:
    items: list[Any] = [
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "exec"}]},
        {"role": "developer", "content": "Kindly"},
        {"role": "user", "content": [
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            {"type": "input_image", "file_id": "f"},
            {"type": "input_file", "file_id": "f2"}, {"type": "input_text", "text": "Look"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hm"},
                                                             {"type": "refusal", "refusal": "No"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "another vendor's"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "exec", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "a.txt"}]},
        {"type": "compaction", "encrypted_content": "x"},
    ]
    body = {"model": "m", "input": items, "text": {"verbosity": "low", "format": {"type": "text"}},
            "reasoning": {"effort": "none"}}
    answer = await ask_json(RESPONSES, body)
    text = answer["output"][0]["content"][0]["text"]
    for part in ("`exec` gave back: “a.txt”", "image/png", "an image (stored)", "f2", "6 characters", "`exec`"):
        assert part in text


@pytest.mark.parametrize(
    ("members", "reasons"),
    [
        ({"reasoning_effort": "low"}, True), ({"reasoning_effort": "none"}, False), ({}, False),
        ({"reasoning": {"effort": "high"}}, True), ({"reasoning": {"enabled": False}}, False),
        ({"reasoning": {"enabled": True}}, True), ({"reasoning": {"effort": "low", "exclude": True}}, False),
        ({"thinking": {"type": "enabled"}}, True), ({"thinking": {"type": "disabled"}}, False),
    ],
)
async def test_chat_reasons_in_every_dialect(members: dict[str, Any], reasons: bool) -> None:
    whole_answer = (await ask_json(CHAT, chat("Hi", **members)))["choices"][0]["message"]
    assert ("reasoning_content" in whole_answer) is reasons
    _, _, streamed = await ask(CHAT, chat("Hi", stream=True, **members))
    assert (b"reasoning_content" in streamed) is reasons


async def test_thinking_may_be_hidden() -> None:
    thinking = {"type": "adaptive", "display": "omitted"}
    answer = await ask_json(MESSAGES, message("Hi", thinking=thinking, output_config={"effort": "low"}))
    assert answer["content"][0]["thinking"] == "" and answer["content"][0]["signature"]
    assert answer["usage"]["output_tokens_details"]["thinking_tokens"] > 0
    hidden = await ask_json(RESPONSES, {"model": "m", "input": "Hi", "reasoning": {"effort": "high"}})
    assert hidden["output"][0]["summary"] == [] and "encrypted_content" not in hidden["output"][0]
    quiet = await ask_json(MESSAGES, message("Hi", thinking={"type": "disabled"}))
    assert [block["type"] for block in quiet["content"]] == ["text"]


async def test_limits_cut_the_answer() -> None:
    answer = await ask_json(CHAT, chat("Hi", max_tokens=5))
    assert answer["choices"][0]["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 5
    answer = await ask_json(MESSAGES, message("Hi", max_tokens=3, thinking={"type": "adaptive"}))
    assert answer["stop_reason"] == "max_tokens" and [block["type"] for block in answer["content"]] == ["thinking"]
    answer = await ask_json(RESPONSES, {"model": "m", "input": "Hi", "max_output_tokens": 16})
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert answer["output"][-1]["status"] == "incomplete"
    _, _, frames = await ask(RESPONSES, {"model": "m", "input": "Hi", "max_output_tokens": 16, "stream": True})
    assert b"event: response.incomplete" in frames
    answer = await ask_json(CHAT, chat("Use a tool", tools=[chat_tool("look")], max_tokens=1))
    assert "tool_calls" not in answer["choices"][0]["message"]
    assert (answer["choices"][0]["message"]["content"], answer["choices"][0]["finish_reason"]) == ("", "length")


async def test_stop_sequences_end_the_answer() -> None:
    answer = await ask_json(MESSAGES, message("Hi", stop_sequences=["network", "absent"]))
    assert answer["stop_reason"] == "stop_sequence" and answer["stop_sequence"] == "network"
    assert answer["content"][0]["text"].endswith("no ")
    for stop in ("network", ["absent", "network", ""]):
        answer = await ask_json(CHAT, chat("Hi", stop=stop))
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["choices"][0]["message"]["content"].endswith("no ")


async def test_json_without_a_schema() -> None:
    answer = await ask_json(CHAT, chat("Hi", response_format={"type": "json_object"}))
    assert json.loads(answer["choices"][0]["message"]["content"])["user"] == "Hi"
    answer = await ask_json(RESPONSES, {"model": "m", "input": "Hi", "text": {"format": {"type": "json_object"}}})
    assert json.loads(answer["output"][0]["content"][0]["text"])["format"] == "Responses"
    answer = await ask_json(CHAT, chat("Hi", response_format={"type": "text"}))
    assert answer["choices"][0]["message"]["content"].startswith("This is")


async def test_a_schema_with_reasoning() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    answer = await ask_json(MESSAGES, message("Hi", output_config=config, thinking={"type": "adaptive"}))
    assert "must fit a schema" in answer["content"][0]["thinking"]
    assert json.loads(answer["content"][1]["text"]) == {"name": "demo name"}
    described = {"type": "json_schema", "json_schema": {"name": "any"}}
    answer = await ask_json(CHAT, chat("Hi", response_format=described))
    assert json.loads(answer["choices"][0]["message"]["content"]) == {}


async def test_arguments_are_always_an_object() -> None:
    tools = [{"name": "look", "input_schema": {"type": "object", "const": [1]}}]
    answer = await ask_json(MESSAGES, message("Use look", tools=tools, thinking={"type": "adaptive"}))
    assert answer["content"][1]["input"] == {} and "call `look`" in answer["content"][0]["thinking"]
    _, _, frames = await ask(MESSAGES, message("Use look", tools=tools, stream=True))
    assert b'"partial_json":""' in frames
    stream = chat("Use note", tools=[chat_tool("note", "custom")], stream=True)
    assert b'"custom":{"input":"Use"}' in (await ask(CHAT, stream))[2]


async def test_a_prompt_cache_is_told() -> None:
    marked = {"role": "user", "content": [
        {"type": "text", "text": "word " * 400, "cache_control": {"type": "ephemeral"}}]}
    first = (await ask_json(MESSAGES, message("", messages=[marked])))["usage"]
    turns = [marked, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "more"}]
    later = (await ask_json(MESSAGES, message("", messages=turns)))["usage"]
    assert first["cache_creation_input_tokens"] > 300 and first["cache_read_input_tokens"] == 0
    assert later["cache_read_input_tokens"] > 300 and later["cache_creation_input_tokens"] == 0


async def test_half_a_surrogate_pair_does_no_harm() -> None:
    for path, body in ((CHAT, chat("\ud800", stream=True)), (MESSAGES, message("\ud800")),
                       (RESPONSES, {"model": "\ud800", "input": "\ud800", "stream": True})):
        status, _, answer = await ask(path, body)
        assert status == 200 and "“?”" in answer.decode()


async def test_a_legacy_function_message_and_a_refusal() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "refusal": "No"},
             {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
             {"role": "function", "name": "f", "content": "b"},
             {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}]
    assert await ask_json(CHAT, {"model": "m", "messages": turns})


async def test_a_request_may_say_little() -> None:
    answer = await ask_json(CHAT, {"model": "m", "messages": [{"role": "system", "content": "Be kind"}]})
    assert "The last thing" not in answer["choices"][0]["message"]["content"]
    assert await ask_json(RESPONSES, {"model": "m", "input": "Hi", "text": {"verbosity": "low"}})


def test_a_vector_has_a_length_in_any_dimension() -> None:
    for word in range(50):
        assert abs(embed([str(word)], 1)[0]) == 1.0


async def test_ids_differ_and_one_clock_gives_the_same() -> None:
    first, second = await ask_json(CHAT, chat("a")), await ask_json(CHAT, chat("b"))
    assert first["id"] != second["id"]
    assert first == await ask_json(CHAT, chat("a"))


def sent(clock: StillClock, pace: float, body: Any) -> Any:
    request = BackendRequest("POST", "demo://demo" + CHAT, [], json.dumps(body).encode())
    return DemoTransport(clock, pace).send(request)


async def test_a_stream_is_paced_by_the_clock() -> None:
    clock = StillClock()
    exchange = await sent(clock, 1.0, chat("Hi", stream=True))
    head = await exchange.head(0)
    assert head is not None and head.headers["content-type"].startswith("text/event-stream")
    assert (await exchange.read(0)).count(b"data:") == 1
    assert await exchange.read(0.4) is None
    assert clock.slept[-1] == 0.4
    assert (await exchange.read(5)).count(b"data:") == 1
    assert sum(clock.slept) == pytest.approx(1.0)
    clock.now += 3.5
    assert (await exchange.read(0)).count(b"data:") == 3
    assert (await whole(exchange)).endswith(b"data: [DONE]\n\n")
    assert await exchange.read(1) == b""


async def test_a_closed_stream_gives_nothing_more() -> None:
    exchange = await sent(StillClock(), 1.0, chat("Hi", stream=True))
    exchange.close()
    exchange.close()
    assert await exchange.read(1) == b""


@given(st.text(max_size=60))
def test_pieces_are_the_text(text: str) -> None:
    assert "".join(pieces_of(text)) == text
    for budget in range(6):
        cut = cut_text(text, budget)
        assert text.startswith(cut) and count_text(cut) <= max(budget, 0)
