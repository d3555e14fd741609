"""Whole answers in the Messages format, read and written; Anthropic's own SDK is the judge of what is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.conversation import (
    Answer,
    Audio,
    Citation,
    Conversation,
    Document,
    Image,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Source,
    Stop,
    Text,
    ToolCall,
    Video,
)
from core.errors import UpstreamFault
from core.formats import envelope
from core.formats.contract import Call, Reply, Target
from core.formats.messages import read_request, read_response, write_response
from core.models.facts import ModelFacts
from core.usage import Usage
from tests.wire.anthropic_judge import message_of
from tests.wire.fixtures import fixture_json, fixture_parameters
from tests.wire.recordings import Recorded, parameters, recorded_pairs

RECORDED = [
    pair
    for folder in ("pydantic-ai-cassettes", "openllmetry-anthropic")
    for pair in recorded_pairs(folder, "api.anthropic.com/v1/messages")
    if pair.status == 200 and not pair.streamed and "count_tokens" not in pair.url
]
TARGET = Target("m", "b", "anthropic", ModelFacts("claude", "anthropic"))


def reply(model: str = "m") -> Reply:
    return Reply(model, "0123456789abcdefghij", 0, Conversation("messages", model), "req_1")


@pytest.mark.parametrize("pair", parameters(RECORDED))
def test_recorded_answers_survive(pair: Recorded) -> None:
    body = pair.response_json
    assert write_response(read_response(body, TARGET), reply(body["model"])) == body


@pytest.mark.parametrize("data", fixture_parameters("responses", "messages", ".json"))
def test_made_answers_survive(data: bytes) -> None:
    body = json.loads(data)
    written = write_response(read_response(body, TARGET), reply(body["model"]))
    assert written == body
    assert message_of(written) == message_of(body)


def test_an_answer_is_read() -> None:
    body = fixture_json("responses", "messages/made-every-block.json")
    answer = read_response(body, TARGET)
    assert (answer.id, answer.model, answer.format, answer.service_tier) == (
        "msg_01",
        "claude-sonnet-4-5",
        "messages",
        "standard",
    )
    assert answer.stop == Stop("tool_use", "tool_use")
    assert answer.usage == Usage(10, 7, 5, 10, 20, 3, raw=body["usage"], tier="standard")
    assert answer.content[0] == Reasoning(["Hm."], signature="c2ln", origin=Origin("anthropic"))
    refused = read_response(fixture_json("responses", "messages/made-refusal.json"), TARGET)
    assert (refused.stop.reason, refused.stop.explanation) == ("refusal", "No.")


def test_signatures_belong_to_the_targets_vendor() -> None:
    body = {"content": [{"type": "thinking", "thinking": "a", "signature": "skybridge1.x"}]}
    target = Target("m", "b", "openai-compatible", ModelFacts("kimi", "moonshot"))
    [block] = read_response(body, target).content
    assert block == Reasoning(["a"], signature="skybridge1.x", origin=Origin("moonshot"))


BROKEN: list[tuple[Any, str]] = [
    ({}, "content: Input should be a valid list"),
    ({"content": [1]}, "content.0: Input should be a valid dictionary"),
    ({"content": [{"type": "text"}]}, "content.0.text: Field required"),
]


@pytest.mark.parametrize(("body", "message"), BROKEN)
def test_an_unreadable_answer_is_the_backends_fault(body: Any, message: str) -> None:
    with pytest.raises(UpstreamFault) as caught:
        read_response(body, TARGET)
    assert (caught.value.status, caught.value.retryable) == (502, True)
    assert message in caught.value.message


def test_odd_members_of_an_answer_are_passed_over() -> None:
    answer = read_response({"content": [], "id": 1, "model": None, "usage": [], "stop_details": "x"}, TARGET)
    assert (answer.id, answer.model, answer.usage, answer.stop) == ("", "", Usage(), Stop("end_turn"))


def written(*blocks: Any, stop: Stop | None = None, **members: Any) -> Any:
    answer = Answer("chatcmpl-1", "gpt", list(blocks), stop or Stop("end_turn", "stop"), **members)
    body = write_response(answer, reply())
    message_of(body)
    return body


def test_an_answer_of_another_format_is_anthropics_in_every_member() -> None:
    usage = Usage(10, 7, 5, 2, 3, 4, raw={"prompt_tokens": 20})
    assert written(Text("Hi"), usage=usage, extra={"system_fingerprint": "f"}, format="chat_completions") == {
        "id": "msg_0123456789abcdefghij",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 4},
        },
    }


CALL = {"type": "tool_use", "id": "i", "name": "f", "input": {}}
CITED = {"type": "web_search_result_location", "url": "u", "title": "t", "encrypted_index": "", "cited_text": ""}
BLOCKS: list[tuple[Any, list[Any]]] = [
    (Text(""), []),
    (Text("a", citations=[Citation("u", "t", raw={"type": "url_citation"}), Citation()]), [CITED]),
    (ToolCall("i", "f"), [CALL]),
    (ToolCall("i", "f", '{"a": 1}'), [{**CALL, "input": {"a": 1}}]),
    (ToolCall("i", "f", "x", kind="custom"), [{**CALL, "input": {"input": "x"}}]),
    (Refusal("No."), [{"type": "text", "text": "No."}]),
    (ServerToolCall("i", "web_search", "{}", "responses", {}), []),
    (ServerToolResult("i", "code", "4", "responses", {}), []),
    (Opaque("responses", "x", {}), []),
    (Reasoning(redacted="cmVk", origin=Origin("anthropic")), [{"type": "redacted_thinking", "data": "cmVk"}]),
    (
        Reasoning(["a"], signature="c2ln", origin=Origin("anthropic")),
        [{"type": "thinking", "thinking": "a", "signature": "c2ln"}],
    ),
    (
        Reasoning(["a"], origin=Origin("anthropic")),
        [{"type": "thinking", "thinking": "a", "signature": ""}],
    ),
]


@pytest.mark.parametrize(("block", "content"), BLOCKS)
def test_blocks_are_written(block: Any, content: list[Any]) -> None:
    if content == [CITED]:
        content = [{"type": "text", "text": "a", "citations": content}]
    assert written(block)["content"] == content


@pytest.mark.parametrize("block", [kind(Source("url", "u")) for kind in (Image, Document, Audio, Video)])
def test_media_leave_a_visible_mark(block: Any) -> None:
    [text] = written(block)["content"]
    assert "omitted" in text["text"]


FOREIGN: list[Any] = [
    Reasoning(["a", "b"], "summary", encrypted="xyz", id="rs_1", origin=Origin("openai", "gpt-5")),
    Reasoning([], redacted="cmVk", origin=Origin("amazon")),
    Reasoning(["a"]),
    Reasoning(signature="Z2Vt", origin=Origin("google"), extra={"for_call": "i"}),
    Text("signed", signature="Z2Vt", origin=Origin("google")),
    ToolCall("i", "f", "{}", signature="Z2Vt", origin=Origin("google")),
]


@pytest.mark.parametrize("block", FOREIGN)
def test_foreign_state_comes_back_as_it_was(block: Any) -> None:
    body = written(block)
    message = {"role": "assistant", "content": body["content"]}
    back = read_request({"model": "m", "messages": [message]}, Call()).messages[0].content
    if isinstance(block, Reasoning) and block.origin is None:
        block.origin = Origin("")
    assert back == [block]
    carrier = body["content"][0]
    assert carrier["type"] == "thinking"
    assert envelope.is_sealed(carrier["signature"])


STOPS: list[tuple[Stop, list[Any], str | None, str]] = [
    (Stop("end_turn", "stop"), [], "chat_completions", "end_turn"),
    (Stop("end_turn", "stop"), [ToolCall("i", "f")], "chat_completions", "tool_use"),
    (Stop("tool_use", "tool_calls"), [], "chat_completions", "end_turn"),
    (Stop("max_tokens", "length"), [ToolCall("i", "f")], "chat_completions", "max_tokens"),
    (Stop("context_window", "x"), [], "converse", "model_context_window_exceeded"),
    (Stop("content_filter", "content_filter"), [], "chat_completions", "refusal"),
    (Stop("end_turn", "stop"), [Refusal("No.")], "chat_completions", "refusal"),
    (Stop("pause_turn"), [], None, "pause_turn"),
    (Stop("error", "x"), [], None, "end_turn"),
    (Stop("end_turn", "end_turn"), [ToolCall("i", "f")], "messages", "tool_use"),
    (Stop("end_turn", "new_reason"), [], "messages", "new_reason"),
    (Stop("tool_use", "tool_use"), [], "messages", "tool_use"),
]


@pytest.mark.parametrize(("stop", "content", "origin", "word"), STOPS)
def test_the_stop_reason_says_whether_tools_are_to_be_run(stop: Stop, content: Any, origin: Any, word: str) -> None:
    body = written(*content, stop=stop, format=origin)
    assert body["stop_reason"] == word
    assert ("stop_details" in body) is (word == "refusal")


def test_a_stop_sequence_is_told() -> None:
    assert written(Text("a"), stop=Stop("stop_sequence", "x", "END"))["stop_sequence"] == "END"
