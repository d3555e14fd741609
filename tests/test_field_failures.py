"""The failures that users of gateways reported: numbers 1 to 32, what a translation may break, one test each.

Numbers 33 to 40 are in test_field_failures_elsewhere.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.conversation import Answer, Text
from core.errors import Unsupported
from core.events import answer_of, events_of
from core.formats import load_format
from core.formats.contract import Call, Reply, Target
from core.formats.envelope import is_sealed
from core.models.resolve import facts_for
from core.stop import Stop
from core.translation.pipeline import translate_request
from core.usage import Usage
from tests.gateways import Bench, body_of
from tests.scripted import Play
from tests.translation.judges import JUDGES
from tests.translation.makers import (
    assistant,
    call,
    messages,
    results,
    sse,
    tool_result,
    tool_use,
    translated,
    translated_with_drops,
)
from tests.translation.pairs import answered, bench_of, document_of, request_of
from tests.translation.recorded import Exchange
from tests.wire.anthropic_judge import streamed_message_of
from tests.wire.fixtures import fixture

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
USER = {"role": "user", "content": "Hi"}
PNG = "iVBORw0KGgo="
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


USAGE = {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}}


async def claude_code_reads(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A Chat stream as a Messages client gets it: the SDK's message, and the events, whose order is checked."""
    answer = await answered("messages", Exchange("made", "chat_completions", "gpt-4.1", True, data))
    events = [json.loads(line[6:]) for line in answer.decode().splitlines() if line.startswith("data: ")]
    _assert_order(events)
    return streamed_message_of(answer), events


DELTAS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}


def _assert_order(events: list[dict[str, Any]]) -> None:
    """One start of the message, blocks one after another, each delta of its block's kind and never empty."""
    assert [event["type"] for event in events].count("message_start") == 1
    assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop"
    expected, kind = 0, ""
    for event in events:
        if event["type"] == "content_block_start":
            assert (event["index"], kind) == (expected, ""), "a block starts while another is open"
            kind = event["content_block"]["type"]
        elif event["type"] == "content_block_delta":
            assert (event["index"], DELTAS[event["delta"]["type"]]) == (expected, kind)
            assert all(event["delta"].values()), "an empty delta"
        elif event["type"] == "content_block_stop":
            assert event["index"] == expected and kind
            expected, kind = expected + 1, ""
    assert kind == "", "a block is left open"


# --- A. Anthropic-shaped streams built from other formats --------------------------------------------------


async def test_field_failure_01_parallel_calls_back_to_back_are_blocks_of_their_own() -> None:
    data = sse(call(0, "a", "f", '{"x":1}'), call(1, "b", "f", '{"x":2}'), call(2, "c", "g", "{}"), "tool_calls")
    message, _ = await claude_code_reads(data)
    calls = [(block["id"], block["name"], block["input"]) for block in message["content"]]
    assert calls == [("a", "f", {"x": 1}), ("b", "f", {"x": 2}), ("c", "g", {})]


async def test_field_failure_02_name_and_arguments_in_one_chunk() -> None:
    message, _ = await claude_code_reads(sse({"content": "I look."}, call(0, "a", "f", '{"x":1}'), "tool_calls"))
    assert message["content"][1]["input"] == {"x": 1}


async def test_field_failure_03_the_first_delta_of_every_block_is_there() -> None:
    data = sse(
        {"reasoning_content": "one "}, {"reasoning_content": "two"}, {"content": "three "}, {"content": "four"},
        {"reasoning_content": "five "}, {"reasoning_content": "six"}, {"content": "seven"}, "stop",
    )  # fmt: skip
    message, _ = await claude_code_reads(data)
    said = [block.get("text") or block.get("thinking") for block in message["content"]]
    assert said == ["one two", "three four", "five six", "seven"]


async def test_field_failure_04_no_block_is_opened_before_it_has_content() -> None:
    data = sse({"role": "assistant", "content": ""}, call(0, "a", "f"), call(0, arguments='{"x":1}'), "tool_calls")
    message, events = await claude_code_reads(data)
    assert [block["type"] for block in message["content"]] == ["tool_use"]
    assert [event["index"] for event in events if event["type"] == "content_block_start"] == [0]


async def test_field_failure_05_interleaved_arguments_find_their_calls() -> None:
    data = sse(
        call(0, "a", "f", '{"x":'), call(1, "b", "g", '{"y":'), call(0, arguments="1}"), call(1, arguments="2}"),
        "tool_calls",
    )  # fmt: skip
    message, _ = await claude_code_reads(data)
    assert [block["input"] for block in message["content"]] == [{"x": 1}, {"y": 2}]


async def test_field_failure_06_every_delta_fits_its_open_block() -> None:
    data = sse(
        {"reasoning_content": "a"}, {"content": "b"}, call(0, "a", "f", "{}"), {"reasoning_content": "c"},
        {"content": "d"}, call(1, "b", "f", "{}"), "tool_calls",
    )  # fmt: skip
    message, _ = await claude_code_reads(data)
    kinds = [block["type"] for block in message["content"]]
    assert kinds.count("thinking") == 2 and kinds.count("tool_use") == 2


@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
async def test_field_failure_07_a_call_without_arguments(finish: str) -> None:
    message, _ = await claude_code_reads(sse(call(0, "a", "f"), call(1, "b", "g"), finish))
    assert [block["input"] for block in message["content"]] == [{}, {}]
    assert message["stop_reason"] == "tool_use"


async def test_field_failure_08_usage_that_comes_last_reaches_the_client() -> None:
    details = {"cached_tokens": 8, "cache_write_tokens": 2}
    usage = {**USAGE["usage"], "prompt_tokens_details": details}  # type: ignore[dict-item]
    message, events = await claude_code_reads(sse({"content": "Hi"}, "stop", {"choices": [], "usage": usage}))
    counted = {"input_tokens": 10, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 2, "output_tokens": 5}
    assert {name: message["usage"][name] for name in counted} == counted
    [final] = [event for event in events if event["type"] == "message_delta"]
    assert {name: final["usage"][name] for name in counted} == counted
    bench = bench_of("chat_completions", Play(chunks=[sse({"content": "Hi"}, "stop", USAGE)]))
    path, body = request_of("messages", True)
    await body_of(await bench.post(path, body))
    assert json.loads(bench.transport.requests[0].body)["stream_options"] == {"include_usage": True}


async def test_field_failure_09_one_message_start_with_an_id_of_its_own() -> None:
    message, _ = await claude_code_reads(sse({"choices": []}, {"content": "Hi"}, {"choices": []}, "stop", USAGE))
    assert message["id"].startswith("msg_")
    twice = Exchange("made", "messages", "claude", True, fixture("streams", "messages/made-duplicate-start.sse"))
    answer = await answered("converse", twice)
    assert answer.count(b"messageStart") == 1


# --- B. Reasoning state ------------------------------------------------------------------------------------


def claude_answer(*blocks: Any) -> Exchange:
    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": list(blocks),
        "stop_reason": "tool_use", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    return Exchange("made", "messages", "claude-sonnet-4-5", False, json.dumps(body).encode())


THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl"}
REDACTED = {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="}


async def test_field_failure_10_thinking_survives_a_chat_client() -> None:
    exchange = claude_answer(THINKING, REDACTED, tool_use("toolu_1", city="Bern"))
    said = json.loads(await answered("chat_completions", exchange))["choices"][0]["message"]
    tools = [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]
    history = [USER, said, {"role": "tool", "tool_call_id": "toolu_1", "content": "4"}]
    request = {"model": "m", "messages": history, "tools": tools, "reasoning_effort": "high"}
    replayed = translated("chat_completions", request, "messages")
    assert replayed["messages"][1]["content"] == [THINKING, REDACTED, tool_use("toolu_1", city="Bern")]
    assert replayed["thinking"]["type"] == "enabled"
    # A client that drops what it does not know still has a conversation: without thinking, not with a 400.
    kept = {name: said[name] for name in ("role", "content", "tool_calls")}
    bare = translated("chat_completions", {**request, "messages": [USER, kept, history[2]]}, "messages")
    assert bare["messages"][1]["content"] == [tool_use("toolu_1", city="Bern")]
    assert bare.get("thinking", {"type": "disabled"}) == {"type": "disabled"}


async def test_field_failure_11_the_signature_is_a_delta_before_the_blocks_end() -> None:
    answer = Answer("a", "m", stop=Stop("end_turn"), format="converse")
    source = load_format("converse")
    conversation = source.read_request({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, Call(SONNET))
    reasoning = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}}
    body = {
        "output": {"message": {"role": "assistant", "content": [reasoning, {"text": "Hello"}]}},
        "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    }  # fmt: skip
    target = Target(SONNET, "there", "bedrock", facts_for(SONNET))
    answer = source.read_response(body, target)
    reply = Reply("m", "x" * 20, 1, conversation)
    encoder = load_format("messages").StreamEncoder(reply)
    data = b"".join(encoder.emit(event) for event in events_of(answer)) + encoder.close()
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]
    kinds = [
        event["delta"]["type"] if "delta" in event and "type" in event["delta"] else event["type"] for event in events
    ]
    assert kinds[1:5] == ["content_block_start", "thinking_delta", "signature_delta", "content_block_stop"]
    assert events[3]["delta"]["signature"] == "c2ln"
    whole = load_format("messages").write_response(answer, reply)
    assert whole["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "c2ln"}


async def test_field_failure_12_interleaved_thinking_and_calls_keep_their_order() -> None:
    turn = assistant(THINKING, tool_use("t1"), {**THINKING, "signature": "bmV4dA=="}, tool_use("t2"))
    request = messages(
        USER, turn, results(tool_result("t1"), tool_result("t2")), tools=[{"name": "f", "input_schema": SCHEMA}]
    )
    content = translated("messages", request, "converse", SONNET)["messages"][1]["content"]
    assert [next(iter(block)) for block in content] == ["reasoningContent", "toolUse"] * 2
    bench = bench_of("messages", Play(headers={"content-type": "application/json"}, chunks=[b"{}"]), "m")
    sent = json.dumps(request).encode()
    await bench.post("/v1/messages", sent)
    assert bench.transport.requests[0].body == sent


async def test_field_failure_13_foreign_thinking_is_not_sent_to_claude() -> None:
    body = {"model": "gpt", "object": "chat.completion", "id": "x", "created": 1}
    message = {"role": "assistant", "content": "Hello", "reasoning_content": "secret thoughts"}
    answer = {**body, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    exchange = Exchange("made", "chat_completions", "deepseek-r1", False, json.dumps(answer).encode())
    said = json.loads(await answered("messages", exchange))["content"]
    assert said[0]["type"] == "thinking"
    request, dropped = translated_with_drops("messages", messages(USER, assistant(*said), USER), "converse", SONNET)
    assert "secret" not in json.dumps(request)
    assert dropped == ["messages"]


@pytest.mark.parametrize("client", ["messages", "converse", "generate_content", "chat_completions"])
async def test_field_failure_14_replayed_thinking_never_becomes_visible_text(client: str) -> None:
    requests: dict[str, dict[str, Any]] = {
        "messages": messages(USER, assistant(THINKING, {"type": "text", "text": "Hello"}), USER),
        "converse": {
            "messages": [
                {"role": "user", "content": [{"text": "Hi"}]},
                assistant(
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}}, {"text": "Hello"}
                ),
                {"role": "user", "content": [{"text": "Hi"}]},
            ]
        },
        "generate_content": {
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "Hello"}]},
                {"role": "user", "parts": [{"text": "Hi"}]},
            ]
        },
        "chat_completions": {
            "model": "m",
            "messages": [USER, {"role": "assistant", "content": "Hello", "reasoning_content": "hm"}, USER],
        },
    }
    written = translated(client, requests[client], "responses")
    visible = [item for item in written["input"] if item.get("type") != "reasoning"]
    assert "hm" not in json.dumps(visible) and "Hello" in json.dumps(visible)


async def test_field_failure_15_encrypted_reasoning_goes_back_to_its_own_endpoint_only() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    text = {"type": "output_text", "text": "Hello", "annotations": []}
    body = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5",
        "output": [item, {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}],
    }  # fmt: skip
    exchange = Exchange("made", "responses", "gpt-5", False, json.dumps(body).encode())
    said = json.loads(await answered("messages", exchange))["content"]
    assert is_sealed(said[0]["signature"])
    request = messages(USER, assistant(*said), USER)
    same = translated("messages", request, "responses", name="there")
    assert item in same["input"]
    other, dropped = translated_with_drops("messages", request, "responses", name="elsewhere")
    assert "gAAAA" not in json.dumps(other) and dropped


def test_field_failure_16_partial_signatures_and_forced_tools() -> None:
    partial = {"type": "thinking", "thinking": "hm", "signature": ""}
    turn = assistant(partial, {"type": "text", "text": "Hello"})
    request = translated("messages", messages(USER, turn, USER), "converse", SONNET)
    assert request["messages"][1]["content"] == [{"text": "Hello"}]
    forced = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}
    body = {"model": "m", "messages": [USER], "reasoning_effort": "high", **forced}
    written = translated("chat_completions", body, "messages")
    assert written["tool_choice"]["type"] == "any"
    assert written.get("thinking", {"type": "disabled"}) == {"type": "disabled"}


async def test_field_failure_17_geminis_signature_comes_back_on_its_part() -> None:
    part = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2lnbmF0dXJl"}
    body = {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}
    exchange = Exchange("made", "generate_content", "gemini-3-pro", False, json.dumps(body).encode())
    said = json.loads(await answered("messages", exchange))["content"]
    called = said[-1]["id"]
    request = messages(
        USER, assistant(*said), results(tool_result(called)), tools=[{"name": "f", "input_schema": SCHEMA}]
    )
    contents = translated("messages", request, "generate_content", "gemini-3-pro")["contents"]
    assert contents[1]["parts"][-1]["thoughtSignature"] == "c2lnbmF0dXJl"
    foreign = messages(USER, assistant(tool_use("t1")), results(tool_result("t1")), tools=request["tools"])
    contents = translated("messages", foreign, "generate_content", "gemini-3-pro")["contents"]
    assert contents[1]["parts"][0]["thoughtSignature"], "calls of other models get the sentinel"


# --- C. Content, tools, schema -----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["chat_completions", "responses", "converse", "generate_content"])
def test_field_failure_18_images_are_carried(backend: str) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    turn = results(tool_result("t1", [image]), tool_result("t2", "words"))
    tools = [{"name": "f", "input_schema": SCHEMA}]
    request = messages(results(image), assistant(tool_use("t1"), tool_use("t2")), turn, tools=tools)
    written = translated("messages", request, backend, SONNET if backend == "converse" else "")
    assert json.dumps(written).count(PNG) == 2
    if backend == "chat_completions":
        roles = [message["role"] for message in written["messages"]]
        assert roles == ["user", "assistant", "tool", "tool", "user"]


async def test_field_failure_19_custom_tools_are_wrapped_and_unwrapped() -> None:
    tool = {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}
    request = {"model": "m", "input": [USER], "tools": [tool], "store": False}
    sent = translated("responses", request, "messages")["tools"][0]
    assert sent["input_schema"]["properties"]["input"]["type"] == "string"
    events = [
        {"type": "message_start", "message": json.loads(claude_answer().body)},
        {"type": "content_block_start", "index": 0, "content_block": tool_use("t1", "apply_patch")},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in ('{"inp', 'ut": "*** Begin\\n', "*** End", '"}')
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    data = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    answer = await answered("responses", Exchange("made", "messages", "claude", True, data), request)
    read = [json.loads(line[6:]) for line in answer.decode().splitlines() if line.startswith("data: ")]
    deltas = [event["delta"] for event in read if event["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == "*** Begin\n*** End"
    [item] = [event["item"] for event in read if event["type"] == "response.output_item.done"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", "*** Begin\n*** End")


@pytest.mark.parametrize("backend", ["chat_completions", "messages", "converse", "generate_content"])
@pytest.mark.parametrize("kind", ["tool_search_call", "compaction", "program", "from_the_future"])
async def test_field_failure_20_unknown_items_are_never_a_crash(backend: str, kind: str) -> None:
    item = {"type": kind, "id": "x_1", "encrypted_content": "e", "status": "completed", "call_id": "c"}
    request = {"model": "m", "input": [USER, item], "store": False}
    bench = bench_of("responses", Play(headers={"content-type": "application/json"}, chunks=[b"{}"]), "m")
    sent = json.dumps(request).encode()
    await bench.post("/v1/responses", sent)
    assert bench.transport.requests[0].body == sent
    elsewhere = await bench_of(backend, Play(status=500, headers={})).post("/v1/responses", sent)
    assert elsewhere.status in (400, 500, 502)
    error = json.loads(await body_of(elsewhere))["error"]
    assert elsewhere.status != 400 or error["param"] or error["message"]


@pytest.mark.parametrize("model", [SONNET, "us.amazon.nova-pro-v1:0"])
def test_field_failure_21_a_schema_is_enforced_or_refused(model: str) -> None:
    shape = {
        "type": "json_schema",
        "json_schema": {"name": "place", "schema": {**SCHEMA, "additionalProperties": False}},
    }
    body = {"model": "m", "messages": [USER], "response_format": shape}
    written = translated("chat_completions", body, "converse", model)
    choice = written.get("toolConfig", {}).get("toolChoice", {})
    assert "outputConfig" in written or "tool" in choice
    tools = [{"type": "function", "function": {"name": "f"}}]
    if "outputConfig" not in written:
        with pytest.raises(Unsupported):
            translated("chat_completions", {**body, "tools": tools}, "converse", model)


async def test_field_failure_22_tool_names_are_aliased_and_restored() -> None:
    names = ["mcp.files/" + "x" * 70, "mcp.files/" + "x" * 71, "mcp_files_" + "x" * 54]
    declared = [{"functionDeclarations": [{"name": name, "description": "d"} for name in names]}]
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [names[0]]}}
    spoken = {"role": "model", "parts": [{"functionCall": {"name": names[1], "args": {}}}]}
    given_back = {"role": "user", "parts": [{"functionResponse": {"name": names[1], "response": {"output": "x"}}}]}
    user = {"role": "user", "parts": [{"text": "Hi"}]}
    request = {"contents": [user, spoken, given_back], "tools": declared, "toolConfig": config}
    written = translated("generate_content", request, "converse")
    called = written["messages"][1]["content"][0]["toolUse"]["name"]
    for tool in written["toolConfig"]["tools"]:
        name = tool["toolSpec"]["name"]
        assert len(name) <= 64 and name.replace("_", "").replace("-", "").isalnum()
    del request["toolConfig"]
    written = translated("generate_content", request, "converse")
    aliases = [tool["toolSpec"]["name"] for tool in written["toolConfig"]["tools"]]
    assert len(set(aliases)) == 3 and aliases[1] == called
    block = {"toolUse": {"toolUseId": "t", "name": aliases[0], "input": {}}}
    body = {"output": {"message": {"role": "assistant", "content": [block]}}, "stopReason": "tool_use"}
    body["usage"] = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
    exchange = Exchange("made", "converse", "us.amazon.nova-pro-v1:0", False, json.dumps(body).encode())
    assert JUDGES["generate_content"].whole(await answered("generate_content", exchange, request), True).calls == [
        (names[0], {})
    ]


def test_field_failure_23_tool_history_without_tools() -> None:
    request = messages(USER, assistant(tool_use("t1")), results(tool_result("t1")))
    written = translated("messages", request, "converse")
    assert written["toolConfig"]["tools"]


@pytest.mark.parametrize("content", ["[1, 2]", "3", '"words"', "null"])
def test_field_failure_24_results_that_are_no_objects_are_text(content: str) -> None:
    request = messages(USER, assistant(tool_use("t1")), results(tool_result("t1", content)))
    result = translated("messages", request, "converse")["messages"][2]["content"][0]["toolResult"]
    assert result["content"] == [{"text": content}]


def test_field_failure_25_document_names_are_plain_unique_and_stable() -> None:
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PNG}}
    named = [{**document, "title": title} for title in ("a/b.pdf", "a/b.pdf", "x" * 300, "  ", "ümläut_[1].pdf")]
    request = messages(results(*named, document, {"type": "text", "text": "Look"}))
    written = translated("messages", request, "converse")
    names = [block["document"]["name"] for block in written["messages"][0]["content"] if "document" in block]
    assert len(set(names)) == 6
    for name in names:
        assert 1 <= len(name) <= 200 and "  " not in name
        assert all((c.isascii() and c.isalnum()) or c in " -()[]" for c in name), name
    assert written == translated("messages", request, "converse")


@pytest.mark.parametrize("backend", ["messages", "converse"])
def test_field_failure_26_blank_texts_are_not_sent(backend: str) -> None:
    blank = {"type": "text", "text": "  \n"}
    history = [
        {"role": "user", "content": [blank, {"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": ""},
    ]
    body = {"model": "m", "messages": [*history, {"role": "user", "content": [blank]}]}
    written = translated("chat_completions", body, backend)
    for message in written["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else [{"text": message["content"]}]
        assert blocks and all(block["text"].strip() for block in blocks)


@pytest.mark.parametrize("backend", ["chat_completions", "responses", "converse", "generate_content"])
def test_field_failure_27_system_messages_in_mid_conversation(backend: str) -> None:
    request = messages(
        USER, {"role": "system", "content": "Be brief."}, assistant({"type": "text", "text": "ok"}), USER
    )
    written = json.dumps(translated("messages", request, backend))
    assert "Be brief." in written
    native = translated("messages", request, "invoke", "us.anthropic.claude-opus-5-5")
    assert native["messages"][1]["role"] == "system"


@pytest.mark.parametrize("backend", ["converse", "invoke"])
def test_field_failure_28_betas_and_fields_that_bedrock_refuses(backend: str) -> None:
    tool = {"name": "f", "input_schema": SCHEMA, "eager_input_streaming": True, "defer_loading": True}
    request = messages(USER, tools=[tool], context_management={"edits": []}, speed="fast")
    conversation = load_format("messages").read_request(
        request,
        Call("m", False, {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m-2025-08-07,made-up-1"}),
    )
    target = Target(SONNET, "there", "bedrock", facts_for(SONNET))
    written = translate_request(conversation, backend, target).written
    text = json.dumps(written.body)
    assert "made-up" not in text and "speed" not in text and "context-1m" in text
    if backend == "converse":
        assert "eager_input" not in text and "defer_loading" not in text
    assert any("made-up-1" in item.path or "made-up-1" in item.reason for item in written.dropped)


@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (4096, "medium"), (16000, "high"), (31999, "xhigh")])
def test_field_failure_29_budgets_become_efforts_where_budgets_are_refused(budget: int, effort: str) -> None:
    thinking = {"type": "enabled", "budget_tokens": budget}
    request = {**messages(USER, thinking=thinking), "max_tokens": 64000}
    written = translated("messages", request, "converse", "us.anthropic.claude-opus-4-7")
    fields = written["additionalModelRequestFields"]
    assert fields["thinking"]["type"] == "adaptive"
    assert fields["output_config"]["effort"] == effort


@pytest.mark.parametrize("name", ["azure-no-done", "azure-content-filter"])
async def test_field_failure_30_azures_streams(name: str) -> None:
    data = fixture("streams", f"chat_completions/made-{name}.sse")
    answer = await answered("messages", Exchange(name, "chat_completions", "gpt-4.1", True, data))
    message = streamed_message_of(answer)
    assert message["stop_reason"] == ("refusal" if "filter" in name else "end_turn")


async def test_field_failure_30_a_blocked_prompt_is_no_reason_to_try_another() -> None:
    error = {"error": {"code": "content_filter", "message": "blocked", "param": "prompt", "type": None}}
    blocked = Play(status=400, headers={"content-type": "application/json"}, chunks=[json.dumps(error).encode()])
    document = document_of("chat_completions")
    document["models"]["m"] = {
        "candidates": [{"backend": "there", "api_model": "gpt-4.1", "priority": p} for p in (1, 2)]
    }
    bench = Bench(document, [blocked])
    path, body = request_of("messages", False)
    assert (await bench.post(path, body)).status == 400
    assert len(bench.transport.requests) == 1


# --- D. Money and tokens -----------------------------------------------------------------------------------

_COUNTS = st.integers(0, 10**6)


@given(_COUNTS, _COUNTS, _COUNTS, _COUNTS, st.sampled_from(["chat_completions", "responses", "messages", "converse"]))
def test_field_failure_31_cache_tokens_are_counted_once(
    plain: int, read: int, written: int, out: int, name: str
) -> None:
    form = load_format(name)
    conversation = form.read_request(json.loads(request_of(name, False)[1]), Call("m", False, {}))
    reply = Reply("m", "x" * 20, 1, conversation)
    usage = Usage(plain, out, read, written)
    answer = Answer("a", "m", [Text("Hi")], Stop("end_turn"), usage)
    target = Target("m", "there", "there", facts_for("m"))
    whole = form.read_response(json.loads(json.dumps(form.write_response(answer, reply))), target).usage
    conversation.include_usage = True
    encoder, decoder = form.StreamEncoder(reply), form.StreamDecoder(target)
    data = b"".join(encoder.emit(event) for event in events_of(answer)) + encoder.close()
    streamed = answer_of([*decoder.feed(data), *decoder.close()]).usage
    for counted in (whole, streamed):
        assert counted.total_input_tokens == plain + read + written
        assert (counted.input_tokens, counted.cache_read_tokens or 0) == (plain, read)
        assert (counted.cache_write_tokens, counted.output_tokens) == (written, out)


def test_field_failure_32_cache_marks_survive_and_the_prefix_holds() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cch=ab12;"},
        {"type": "text", "text": "S", **mark},
    ]
    turn = {"role": "user", "content": [{"type": "text", "text": "Hi", **mark}]}
    tools = [
        {"name": name, "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}} for name in ("z", "a")
    ]
    profile = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    written = translated("messages", messages(turn, system=system, tools=tools), "converse", profile)
    assert written["system"] == [{"text": "S"}, {"cachePoint": {"type": "default"}}]
    assert written["messages"][0]["content"] == [{"text": "Hi"}, {"cachePoint": {"type": "default"}}]
    specs = [tool["toolSpec"] for tool in written["toolConfig"]["tools"] if "toolSpec" in tool]
    assert [spec["name"] for spec in specs] == ["z", "a"]
    assert list(specs[0]["inputSchema"]["json"]["properties"]) == ["z", "a"]


def test_field_failure_32_a_mark_that_a_tool_cannot_have_is_named() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    request = messages(USER, tools=[{"name": "f", "input_schema": SCHEMA, **mark}])
    _, dropped = translated_with_drops("messages", request, "responses", "gpt-5.6")
    assert any("cache_control" in path for path in dropped)
