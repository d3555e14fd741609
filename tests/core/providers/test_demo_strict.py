"""What the demo backend refuses, in each vendor's words, and that no body breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.providers.demo_bridge import ask, ask_json, refusal
from tests.wire.recordings import needs_recordings, recorded_pairs

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
HELLO: Any = {"role": "user", "content": "Hello"}
FUNCTION = {"name": "look", "parameters": {"type": "object", "properties": {}}}
CHAT_TOOL = {"type": "function", "function": FUNCTION}
MESSAGES_TOOL = {"name": "look", "input_schema": FUNCTION["parameters"]}
CHAT_CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CHAT_ASKED = {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]}
TOOL_USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]}
CALL_ITEM = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


CHAT_REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no model": ({"model": None}, "model", "expected a string, but got null"),
    "empty model": ({"model": ""}, "model", "empty string"),
    "model of another type": ({"model": 5}, "model", "got an integer"),
    "no messages": ({"messages": None}, "messages", "expected an array"),
    "messages as a string": ({"messages": "hi"}, "messages", "got a string"),
    "a message as a string": ({"messages": ["hi"]}, "messages[0]", "expected an object"),
    "no message": ({"messages": []}, "messages", "empty array"),
    "an unknown role": ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "'developer'"),
    "no role": ({"messages": [{"content": "x"}]}, "messages[0].role", "Missing required parameter"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content", "Missing required parameter"),
    "nothing said": ({"messages": [{"role": "assistant"}]}, "messages[0].content", "got null"),
    "an unknown part": ({"messages": [user({"type": "video"})]}, "messages[0].content[0].type", "Invalid value"),
    "an image that is no URL": (
        {"messages": [user({"type": "image_url", "image_url": {"url": "ftp://x"}})]},
        "messages[0].content[0].image_url.url", "expected a URL",
    ),
    "a tool's output alone": (
        {"messages": [HELLO, {"role": "tool", "tool_call_id": "c1", "content": "x"}]},
        "messages[1].tool_call_id", "must be a response to a preceding message",
    ),
    "a call without its output": ({"messages": [HELLO, CHAT_ASKED, HELLO]}, "messages[2].role", "c1"),
    "a last call without its output": ({"messages": [HELLO, CHAT_ASKED]}, "messages[1].role", "c1"),
    "stream as a string": ({"stream": "yes"}, "stream", "expected a boolean"),
    "stream_options without a stream": ({"stream_options": {}}, "stream_options", "only allowed when 'stream'"),
    "several choices": ({"n": 2}, "n", "Unsupported parameter"),
    "audio": ({"modalities": ["text", "audio"]}, "modalities", "Unsupported parameter"),
    "hot": ({"temperature": 2.1}, "temperature", "between 0 and 2"),
    "no tokens": ({"max_tokens": 0}, "max_tokens", ">= 1"),
    "half a token": ({"max_completion_tokens": 1.5}, "max_completion_tokens", "expected an integer"),
    "many stops": ({"stop": list("abcde")}, "stop", "at most 4"),
    "a stop of another type": ({"stop": ["a", 1]}, "stop[1]", "expected a string"),
    "no tool": ({"tools": []}, "tools", "empty array"),
    "an unnamed tool": ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "Missing"),
    "a misnamed tool": (
        {"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", "pattern",
    ),
    "a schema of a list": (
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}]},
        "tools[0].function.parameters", "must be of type 'object'",
    ),
    "a choice without tools": ({"tool_choice": "auto"}, "tool_choice", "only allowed when 'tools'"),
    "an unknown choice": ({"tools": [CHAT_TOOL], "tool_choice": "any"}, "tool_choice", "'required'"),
    "an unknown tool chosen": (
        {"tools": [CHAT_TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
        "tool_choice.function.name", "not found in 'tools'",
    ),
    "an unknown effort": ({"reasoning_effort": "huge"}, "reasoning_effort", "'xhigh'"),
    "an unknown format": ({"response_format": {"type": "xml"}}, "response_format.type", "'json_schema'"),
    "a schema without a name": (
        {"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name", "Missing",
    ),
}


@pytest.mark.parametrize("name", CHAT_REFUSED)
async def test_chat_refuses(name: str) -> None:
    changes, param, words = CHAT_REFUSED[name]
    error = await refusal(CHAT, {"model": "m", "messages": [HELLO]} | changes)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert words in error["message"]


RESPONSES_REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no input": ({"input": None}, "input", "expected an array, but got null"),
    "no item": ({"input": []}, "input", "empty array"),
    "an unknown role": ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", "'developer'"),
    "no content": ({"input": [{"role": "user"}]}, "input[0].content", "Missing"),
    "an unknown part": ({"input": [user({"type": "text", "text": "x"})]}, "input[0].content[0].type", "'input_text'"),
    "a file without a source": (
        {"input": [user({"type": "input_file", "filename": "x"})]}, "input[0].content[0].file_id", "Missing",
    ),
    "an output alone": (
        {"input": [{"type": "function_call_output", "call_id": "c1", "output": "x"}]}, "input", "No tool call found",
    ),
    "a call without its output": ({"input": [CALL_ITEM, HELLO]}, "input", "No tool output found for function call c1"),
    "an earlier answer": ({"previous_response_id": "resp_1"}, "previous_response_id", "not found"),
    "a stored conversation": ({"conversation": "conv_1"}, "conversation", "Unsupported parameter"),
    "in the background": ({"background": True}, "background", "Unsupported parameter"),
    "few tokens": ({"max_output_tokens": 1}, "max_output_tokens", ">= 16"),
    "an unnamed tool": ({"tools": [{"type": "function"}]}, "tools[0].name", "Missing"),
    "an unknown tool chosen": ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice", "not found"),
    "an unknown choice": ({"tool_choice": "any"}, "tool_choice", "'required'"),
    "an unknown summary": ({"reasoning": {"summary": "long"}}, "reasoning.summary", "'detailed'"),
    "an unknown verbosity": ({"text": {"verbosity": "max"}}, "text.verbosity", "'low'"),
    "a format without a schema": (
        {"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema", "Missing",
    ),
    "damaged reasoning": (
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "skydemo_AAAA"}, HELLO]},
        "input[0].encrypted_content", "could not be verified",
    ),
    "reasoning that is not base64": (
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "skydemo_A"}, HELLO]},
        "input[0].encrypted_content", "could not be verified",
    ),
}


@pytest.mark.parametrize("name", RESPONSES_REFUSED)
async def test_responses_refuse(name: str) -> None:
    changes, param, words = RESPONSES_REFUSED[name]
    error = await refusal(RESPONSES, {"model": "m", "input": "Hello"} | changes)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert words in error["message"]


async def test_a_reference_to_a_stored_item_is_unknown() -> None:
    item = {"type": "item_reference", "id": "msg_1"}
    status, _, body = await ask(RESPONSES, {"model": "m", "input": [item, HELLO]})
    assert status == 404 and b"msg_1" in body
    assert await ask_json(RESPONSES, {"model": "m", "input": [{"id": "rs_1"}, HELLO]})


MESSAGES_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": None}, "model: Input should be a valid string"),
    "no limit": ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "messages as a string": ({"messages": "hi"}, "messages: Input should be a valid list"),
    "no message": ({"messages": []}, "at least one message is required"),
    "an unknown role": ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: Input should be 'user'"),
    "the system first": ({"messages": [{"role": "system", "content": "x"}]}, 'must use the "user" role'),
    "no content": ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    "an empty content": ({"messages": [{"role": "user", "content": ""}]}, "must be non-empty"),
    "an empty text": ({"messages": [user({"type": "text", "text": ""})]}, "messages.0.content.0.text"),
    "an unknown block": ({"messages": [user({"type": "video"})]}, "messages.0.content.0.type: Input should be"),
    "an image without a source": (
        {"messages": [user({"type": "image"})]}, "messages.0.content.0.source: Field required",
    ),
    "a result alone": (
        {"messages": [user({"type": "tool_result", "tool_use_id": "t1"})]},
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t1",
    ),
    "a call without its result": (
        {"messages": [HELLO, TOOL_USE, HELLO]},
        "`tool_use` ids were found without `tool_result` blocks immediately after: t1",
    ),
    "a last call without its result": ({"messages": [HELLO, TOOL_USE]}, "without `tool_result` blocks"),
    "a blank stop": ({"stop_sequences": [" "]}, "non-whitespace"),
    "hot": ({"temperature": 1.5}, "between 0 and 1"),
    "a misnamed tool": ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "pattern"),
    "a tool without a schema": ({"tools": [{"name": "a"}]}, "tools.0.input_schema: Field required"),
    "a choice without tools": ({"tool_choice": {"type": "any"}}, "while providing tools"),
    "an unknown tool chosen": (
        {"tools": [MESSAGES_TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "'x' not found",
    ),
    "thinking of no kind": ({"thinking": {"type": "deep"}}, "thinking.type: Input should be 'adaptive'"),
    "thinking without a budget": ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: Field required"),
    "thinking on a small budget": ({"thinking": {"type": "enabled", "budget_tokens": 5}}, ">= 1024"),
    "thinking over the limit": ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater than"),
    "thinking with a forced tool": (
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000, "tools": [MESSAGES_TOOL],
         "tool_choice": {"type": "any"}}, "Thinking may not be enabled when tool_choice forces tool use",
    ),
    "an unknown effort": ({"output_config": {"effort": "huge"}}, "output_config.effort"),
    "an unknown format": ({"output_config": {"format": {"type": "json_object"}}}, "output_config.format.type"),
    "a thread": ({"thread": {"type": "create"}}, "keeps no threads"),
}


@pytest.mark.parametrize("name", MESSAGES_REFUSED)
async def test_messages_refuse(name: str) -> None:
    changes, words = MESSAGES_REFUSED[name]
    error = await refusal(MESSAGES, {"model": "m", "max_tokens": 100, "messages": [HELLO]} | changes)
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]


async def test_a_changed_thinking_text_is_refused_and_a_foreign_one_is_not() -> None:
    asking = {"model": "m", "max_tokens": 900, "messages": [HELLO], "thinking": {"type": "adaptive"}}
    block = (await ask_json(MESSAGES, asking))["content"][0]

    def replayed(**changes: Any) -> dict[str, Any]:
        turn = {"role": "assistant", "content": [{**block, **changes}]}
        return {**asking, "messages": [HELLO, turn, HELLO]}

    assert "Invalid `signature`" in (await refusal(MESSAGES, replayed(thinking="changed")))["message"]
    for changes in ({}, {"thinking": ""}, {"signature": "bm90IG91cnM="}, {"signature": "not base64"}):
        await ask_json(MESSAGES, replayed(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": None}, "Missing required"), ({"input": ""}, "must be a string that is not empty"),
        ({"input": []}, "a list of 1 to"), ({"input": 5}, "a list of 1 to"), ({"input": ["a", 5]}, "not empty"),
        ({"input": [[1, "a"]]}, "not empty"), ({"dimensions": 0}, "between 1 and"),
        ({"encoding_format": "hex"}, "'base64'"), ({"model": 1}, "expected a string"),
    ],
)
async def test_embeddings_refuse(changes: dict[str, Any], words: str) -> None:
    body = {key: value for key, value in ({"model": "e", "input": "a"} | changes).items() if value is not None}
    assert words in (await refusal("/v1/embeddings", body))["message"]


async def test_count_tokens_is_as_strict() -> None:
    error = await refusal("/v1/messages/count_tokens", {"model": "m", "messages": []})
    assert "at least one message" in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"model": NaN}', b"\xff", b"[" * 200_000])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_bodies_that_are_no_object(path: str, body: bytes) -> None:
    assert "JSON body" in (await refusal(path, body))["message"]


async def test_a_body_nested_deeply() -> None:
    deep = b'{"model": "m", "input": "hi", "metadata": ' + b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"}"
    status, _, body = await ask(RESPONSES, deep)
    assert status == 200 and json.loads(body)


async def test_unknown_paths_and_methods() -> None:
    status, headers, body = await ask("/v1/audio/speech", {})
    assert status == 404 and json.loads(body)["error"]["message"]
    status, headers, body = await ask(MESSAGES, {}, method="GET")
    assert status == 405 and json.loads(body)["type"] == "error"
    assert headers["request-id"] == json.loads(body)["request_id"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["user", "assistant", "tool", "text", "function", "tool_use", "tool_result", "auto", "image",
                       "input_text", "message", "function_call", "thinking", "json_schema", "base64", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["type", "role", "content", "text", "name", "function", "input", "id", "tool_use_id", "source",
                         "call_id", "arguments", "output", "schema", "url", "image_url", "format", "parameters", "data",
                         "media_type", "tool_calls", "input_schema", "budget_tokens", "effort", "display", "tools"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)
MEMBERS = (
    "messages tools tool_choice stream stream_options system thinking output_config output_format response_format stop"
    " stop_sequences max_tokens max_completion_tokens max_output_tokens reasoning reasoning_effort text input include"
    " instructions n temperature top_p parallel_tool_calls metadata previous_response_id dimensions encoding_format"
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([CHAT, MESSAGES, RESPONSES, "/v1/embeddings"]),
    st.dictionaries(st.sampled_from(MEMBERS.split()), VALUES, max_size=4),
)
async def test_no_body_breaks_it(path: str, changes: dict[str, Any]) -> None:
    valid = {"model": "m", "max_tokens": 50, "messages": [HELLO], "input": "Hello"}
    status, _, body = await ask(path, valid | changes)
    assert status in (200, 400, 404)
    assert body


# What the demo cannot do, though the vendor can: it keeps nothing and works at nothing behind a client's back.
STATEFUL = ("background", "conversation", "previous_response_id")
VENDORS = {
    "https://api.openai.com/v1/chat/completions": CHAT,
    "https://api.openai.com/v1/responses": RESPONSES,
    "https://api.anthropic.com/v1/messages": MESSAGES,
    "https://api.anthropic.com/v1/messages/count_tokens": "/v1/messages/count_tokens",
}


@needs_recordings
@pytest.mark.parametrize("folder", ["pydantic-ai-cassettes", "openllmetry-anthropic"])
async def test_what_the_vendors_accepted_is_accepted(folder: str) -> None:
    accepted = 0
    for pair in recorded_pairs(folder):
        path = VENDORS.get(pair.url.partition("?")[0])
        if path is None or pair.status != 200 or not pair.request_body:
            continue
        status, _, body = await ask(path, pair.request_body)
        if status == 200:
            accepted += 1
        else:
            assert json.loads(body)["error"]["param"] in STATEFUL, (pair.name, body)
    assert accepted > 5
