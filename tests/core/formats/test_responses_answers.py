"""Whole Responses answers, read and written, and judged by OpenAI's published schema."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import jsonschema
import pytest

from core.conversation import (
    Answer,
    Conversation,
    Message,
    OutputFormat,
    Reasoning,
    ReasoningRequest,
    Refusal,
    ServerToolResult,
    Stop,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from core.errors import UpstreamFault
from core.formats import load_format
from core.formats.contract import Call
from core.formats.responses.read_request import read_request
from core.formats.responses.response import read_response, write_response
from core.models.facts import ModelFacts
from core.usage import Usage
from tests.core.formats.responses_cases import SUFFIX, reply, target, without_nulls
from tests.wire.fixtures import fixture_json, fixture_parameters
from tests.wire.recordings import Recorded, needs_recordings, parameters, recorded_file, recorded_pairs

RECORDED = [
    pair
    for pair in recorded_pairs("pydantic-ai-cassettes", "/responses")
    if pair.status == 200 and not pair.streamed and b'"object": "response"' in pair.response_body
]


@pytest.mark.parametrize("pair", parameters(RECORDED))
def test_a_recorded_answer_is_written_as_it_was_read(pair: Recorded) -> None:
    body = pair.response_json
    written = write_response(read_response(body, target()), reply(model=body["model"]))
    required = {"tool_choice": "auto", "tools": []}  # some recordings were shortened by hand
    assert without_nulls(written) == without_nulls({**required, **body})


@pytest.mark.parametrize("data", fixture_parameters("responses", "responses", ".json"))
def test_an_answer_of_this_format_is_written_as_it_was_read(data: bytes) -> None:
    body = json.loads(data)
    assert write_response(read_response(body, target()), reply(model=body["model"])) == body


def test_an_answer_is_read() -> None:
    answer = read_response(fixture_json("responses", "responses/made-every-item.json"), target())
    reasoning, text, call = answer.content[0], answer.content[1], answer.content[-2]
    assert isinstance(reasoning, Reasoning)
    assert reasoning.encrypted == "gAAAA"
    assert reasoning.origin is not None
    assert (reasoning.origin.vendor, reasoning.origin.model) == ("openai", "azure")
    assert isinstance(text, Text)
    assert text.citations[0].url == "https://example.org/a"
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.arguments) == ("call_1", "weather", '{"city":"Bern"}')
    assert answer.stop == Stop("tool_use", "completed")
    assert answer.usage.total_input_tokens == 20
    assert (answer.id, answer.model, answer.created) == ("resp_1", "gpt-5-2025-08-07", 1_700_000_000)


def test_a_backend_of_an_unknown_model_is_openais() -> None:
    unknown = target(facts=ModelFacts(family="mine", vendor="", unknown=True))
    body = {"output": [{"type": "reasoning", "summary": [], "encrypted_content": "g"}]}
    reasoning = read_response(body, unknown).content[0]
    assert isinstance(reasoning, Reasoning)
    assert reasoning.origin is not None
    assert reasoning.origin.vendor == "openai"


FAILURES: list[tuple[dict[str, Any], str]] = [
    ({"error": {"code": "rate_limit_exceeded", "message": "Slow."}}, "rate_limit"),
    ({"status": "failed", "output": []}, "upstream"),
    ({"choices": []}, "upstream"),
    ({"output": [{"type": "message", "role": "assistant", "content": 5}]}, "upstream"),
    ({"output": [{"no": "type"}]}, "upstream"),
]


@pytest.mark.parametrize(("body", "kind"), FAILURES)
def test_what_is_no_answer_is_a_fault(body: dict[str, Any], kind: str) -> None:
    with pytest.raises(UpstreamFault) as caught:
        read_response(body, target())
    assert caught.value.kind == kind


@pytest.mark.parametrize("odd", [True, -1, float("inf"), float("nan"), "1", 2**60])
def test_a_time_that_is_none_is_passed_over(odd: Any) -> None:
    note = {"type": "url_citation", "url": "https://e.x", "title": "t", "start_index": odd, "end_index": None}
    said = {"type": "output_text", "text": "Hi", "annotations": [note]}
    body = {"output": [{"type": "message", "role": "assistant", "content": [said]}], "created_at": odd}
    answer = read_response(body, target())
    assert answer.created is None
    assert answer.content[0].citations[0].start is (odd if type(odd) is int else None)  # type: ignore[union-attr]


def test_an_answer_may_leave_much_out() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": None}
    answer = read_response({"output": [5, item, {"type": "message", "role": "assistant", "content": []}]}, target())
    assert [type(block) for block in answer.content] == [ToolCall]
    assert answer.created is None
    written = write_response(answer, reply())
    assert written["status"] == "completed"
    assert written["usage"] is None
    assert (written["tools"], written["parallel_tool_calls"]) == ([], True)


# --- judged by the schema --------------------------------------------------------------------------------


@cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    document = json.loads(recorded_file("specs/openai-openapi-2026-08-21.json"))
    root = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return jsonschema.Draft202012Validator(root)


ASKED = read_request(fixture_json("requests", "responses/made-every-setting.json"), Call())
CODEX = read_request(fixture_json("requests", "responses/made-codex-unknown-model.json"), Call())
SIMPLE = Conversation("responses", "m", tools=[Tool("f")], tool_choice=ToolChoice("named", ["f"]))
JSON_MODE = Conversation("responses", "m", output_format=OutputFormat("json_object"))
ANSWER = Answer(
    id="msg_1",
    model="claude",
    content=[
        Reasoning(["Think."]),
        Text("Hello"),
        Refusal("No."),
        ToolCall("toolu_1", "f", "{}"),
        ToolCall("toolu_2", "patch", "x", kind="custom"),
        ServerToolResult("s1", "web_search", "found", "messages", {}),
    ],
    usage=Usage(1, 2),
    format="messages",
)


@needs_recordings
@pytest.mark.parametrize("conversation", [ASKED, CODEX, SIMPLE, JSON_MODE], ids=["settings", "codex", "simple", "json"])
def test_a_written_answer_is_valid(conversation: Conversation) -> None:
    # The fixtures hold namespaces that the schema has no room for.
    tools = [tool for tool in conversation.tools if tool.name != "namespace"]
    written = write_response(ANSWER, reply(replace(conversation, tools=tools)))
    errors = [f"{error.json_path}: {error.message[:200]}" for error in _validator("Response").iter_errors(written)]
    assert errors == []


def test_the_request_is_repeated() -> None:
    written = write_response(ANSWER, reply(ASKED))
    assert written["instructions"] == "Be brief."
    assert written["tools"][0] == {
        "type": "function",
        "name": "f",
        "description": None,
        "parameters": {"type": "object"},
        "strict": True,
        "allowed_callers": ["direct"],
    }
    assert written["tool_choice"]["type"] == "allowed_tools"
    assert written["text"]["format"]["name"] == "answer"
    assert written["reasoning"] == {"effort": "none", "summary": "detailed"}
    assert (written["user"], written["safety_identifier"], written["metadata"]) == ("u1", "s1", {"a": "b"})
    assert (written["previous_response_id"], written["truncation"]) == ("resp_1", "auto")


def test_ids_are_minted_by_place() -> None:
    output = write_response(ANSWER, reply())["output"]
    assert [item["id"] for item in output] == [
        f"rs_{SUFFIX}0000",
        f"msg_{SUFFIX}0001",
        f"fc_{SUFFIX}0002",
        f"ctc_{SUFFIX}0003",
    ]


def test_settings_of_a_bare_request() -> None:
    bare = Conversation("responses", "m", [Message("user", [Text("Hi")])], reasoning=ReasoningRequest())
    written = write_response(Answer("x", "m"), reply(bare))
    assert (written["temperature"], written["top_p"], written["store"]) == (1.0, 1.0, True)
    assert written["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert written["usage"]["total_tokens"] == 0


def test_the_format_offers_its_eight_names() -> None:
    responses = load_format("responses")
    for name in ("read_request", "write_request", "read_response", "write_response", "read_error", "write_error"):
        assert callable(getattr(responses, name))
    assert responses.StreamDecoder(target()).close()
    assert responses.StreamEncoder(reply()).close() == b""
