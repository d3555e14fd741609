"""Chat Completions answers, whole and streamed, judged by OpenAI's SDK and OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from core.conversation import (
    Answer,
    Block,
    Citation,
    Conversation,
    Image,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    ServerToolCall,
    Source,
    Stop,
    Text,
    Tool,
    ToolCall,
)
from core.errors import UpstreamFault, upstream_fault
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Ping, Started, events_of
from core.formats import envelope, load_format
from core.formats.chat_completions.read_request import read_request
from core.formats.chat_completions.response import read_response, write_response
from core.formats.chat_completions.stream_decoder import StreamDecoder
from core.formats.chat_completions.stream_encoder import StreamEncoder
from core.formats.chat_completions.wire import PING
from core.formats.contract import Call, Reply
from core.usage import Usage
from tests.core.formats.chat_completions_cases import hidden_reasoning, reply, target
from tests.wire import openai_judge
from tests.wire.fixtures import fixture_json
from tests.wire.recordings import Recorded, parameters, recorded_pairs
from tests.wire.stream_checks import decode

ANSWERS = [
    pair
    for pair in recorded_pairs("pydantic-ai-cassettes", "chat/completions")
    if not pair.streamed and b'"choices"' in pair.response_body
]
# Servers whose answers differ from OpenAI's in ways that are put right: ids, empty content, reasoning's name.
SLOPPY = ("mistral", "huggingface", "without_id", "harmony")


def stream(answer: Answer, told: Reply | None = None) -> bytes:
    """`answer` as it is streamed."""
    encoder = StreamEncoder(told or reply(include_usage=True))
    return b"".join(encoder.emit(event) for event in events_of(answer)) + encoder.close()


def answer(*blocks: Block, stop: str = "end_turn", **members: Any) -> Answer:
    reason: Any = stop
    return Answer("msg_1", "claude", list(blocks), Stop(reason), Usage(3, 4), format="messages", **members)


def settled(value: Any) -> Any:
    """An answer without what says nothing."""
    if isinstance(value, list):
        return [settled(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: settled(item) for name, item in value.items() if item is not None and item != []}


@pytest.mark.parametrize("pair", parameters(ANSWERS))
def test_recorded_answers_come_out_as_they_went_in(pair: Recorded) -> None:
    body = pair.response_json
    read = read_response(body, target())
    written = write_response(read, Reply(body["model"], "x" * 20, 1, read_request(pair.request_json, Call())))
    openai_judge.completion_of({k: v for k, v in written.items() if v != "on_demand"})  # Groq's own tier
    if not any(word in pair.name for word in SLOPPY):
        assert settled(written) == settled(body)


@pytest.mark.parametrize(
    "case", fixture_json("responses", "chat_completions/made-answers.json"), ids=lambda c: c["name"]
)
def test_answers_of_many_servers(case: dict[str, Any]) -> None:
    read = read_response(case["body"], target(vendor="deepseek"))
    written = write_response(read, reply())
    assert settled(written["choices"][0]["message"]) == case["message"]
    assert written["choices"][0]["finish_reason"] == case["finish_reason"]
    openai_judge.completion_of(written)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"code": 429, "message": "slow"}}, "rate_limit", 429),
        ({"error": {"message": "x"}, "choices": []}, "upstream", 502),
        ({}, "upstream", 502),
        ({"choices": []}, "upstream", 502),
        ({"choices": [7]}, "upstream", 502),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "error"}]}, "upstream", 502),
        ({"choices": [{"message": {"tool_calls": [{"id": "x"}]}, "finish_reason": "stop"}]}, "upstream", 502),
    ],
)
def test_what_is_no_answer_is_an_upstream_fault(body: dict[str, Any], kind: str, status: int) -> None:
    with pytest.raises(UpstreamFault) as caught:
        read_response(body, target())
    assert (caught.value.kind, caught.value.status) == (kind, status)


def test_odd_members_of_an_answer_are_passed_over() -> None:
    body = {"id": 7, "model": 7, "created": True, "choices": [{"message": 7, "finish_reason": None}], "usage": 7}
    assert read_response(body, target()) == Answer("", "", format="chat_completions", stop=Stop("end_turn"))


EVERYTHING = [
    Reasoning(["Let me ", "think"], signature="c2ln", origin=Origin("anthropic")),
    Reasoning(redacted="cmVk", origin=Origin("anthropic")),
    Text("See “it”", [Citation(url="https://example.com/", title="E", start=0, end=3), Citation(title="no url")]),
    ServerToolCall("s", "web_search", "{}", "messages", {}),
    Text(" here", [Citation(url="https://example.com/b")]),
    ToolCall("call_a", "f", '{"x":1}'),
    ToolCall("call_b", "g", ""),
]


def test_a_whole_answer_in_openais_form() -> None:
    whole = answer(*EVERYTHING, stop="tool_use")
    whole.usage = Usage(10, 20, 30, 5, 6, 7)
    written = write_response(whole, reply())
    assert written == {
        "id": "chatcmpl-abcdefghijklmnopqrst",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "asked",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "See “it” here",
                    "refusal": None,
                    "annotations": [
                        _annotation(0, 3, "https://example.com/", "E"),
                        _annotation(8, 13, "https://example.com/b", "https://example.com/b"),
                    ],
                    "reasoning_content": "Let me \n\nthink",
                    "reasoning_details": [
                        {
                            "type": "reasoning.text",
                            "text": "Let me \n\nthink",
                            "format": "anthropic-claude-v1",
                            "index": 0,
                            "signature": "c2ln",
                        },
                        {"type": "reasoning.encrypted", "data": "cmVk", "format": "anthropic-claude-v1", "index": 1},
                    ],
                    "tool_calls": [
                        {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                        {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 51,
            "completion_tokens": 20,
            "total_tokens": 71,
            "prompt_tokens_details": {
                "cached_tokens": 30, "cache_write_tokens": 11,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 6},
            },
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
    }
    openai_judge.completion_of(written)
    openai_judge.assert_valid("CreateChatCompletionResponse", written)


def _annotation(start: int, end: int, url: str, title: str) -> dict[str, Any]:
    inner = {"start_index": start, "end_index": end, "url": url, "title": title}
    return {"type": "url_citation", "url_citation": inner}


VARIANTS = {
    "everything": answer(*EVERYTHING, stop="tool_use"),
    "text": answer(Text("Hi \u2028 \U0001f642")),
    "nothing": answer(),
    "refusal": answer(Refusal("I cannot."), stop="refusal"),
    "calls": answer(ToolCall("a", "f", '{"a":'), ToolCall("b", "g", "{}"), stop="tool_use"),
    "openai reasoning": answer(
        Reasoning(["one", "two"], "summary", encrypted="gA", id="rs_1", origin=Origin("openai")),
        Reasoning([], "summary", encrypted="gB", id="rs_2", origin=Origin("openai")),
        Text("Hi"),
    ),
    "pinned reasoning": answer(
        Reasoning(["one", "two"], "summary", encrypted="gA", id="rs_1", origin=Origin("openai", "azure-east")),
        Text("Hi"),
    ),
    "amazon reasoning": answer(
        Reasoning(["hm"], signature="c2ln", origin=Origin("amazon")), Reasoning(["plain"]), Text("Hi")
    ),
    "gemini": answer(
        Reasoning(["hm"], "summary", signature="R0", origin=Origin("google")),
        Text("a", signature="R1", origin=Origin("google")),
        ToolCall("c", "f", "{}", signature="R2", origin=Origin("google")),
        stop="tool_use",
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_sdk_reads_what_is_streamed(name: str) -> None:
    whole = VARIANTS[name]
    data = stream(whole)
    assert data.endswith(b"data: [DONE]\n\n")
    chunks = openai_judge.chunks_of(data)
    for chunk in chunks:
        openai_judge.assert_valid("CreateChatCompletionStreamResponse", chunk)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert [chunk["usage"] is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    if any(call.arguments == '{"a":' for call in whole.content if isinstance(call, ToolCall)):
        return  # the helper parses arguments
    # The helper raises for content_filter, whatever the server.
    data = data.replace(b'"finish_reason":"content_filter"', b'"finish_reason":"stop"')
    message = openai_judge.streamed_completion_of(data)["choices"][0]["message"]
    expected = write_response(whole, reply())["choices"][0]["message"]
    assert (message["content"] or "") == (expected["content"] or "")
    assert message.get("refusal") == expected["refusal"]
    assert message.get("reasoning_content") == expected.get("reasoning_content")
    calls = [
        {name: value for name, value in call.items() if name != "index"} for call in message.get("tool_calls") or []
    ]
    for call in calls:
        call["function"].pop("parsed_arguments", None)
    assert calls == expected.get("tool_calls", [])
    assert message.get("annotations") == expected.get("annotations")
    assert message.get("reasoning_details") == expected.get("reasoning_details")


@pytest.mark.parametrize("name", VARIANTS)
def test_whole_answers_are_valid_too(name: str) -> None:
    written = write_response(VARIANTS[name], reply())
    openai_judge.completion_of(written)
    openai_judge.assert_valid("CreateChatCompletionResponse", written)


@pytest.mark.parametrize("name", VARIANTS)
def test_state_survives_the_client(name: str) -> None:
    """What a client keeps of an answer and sends back holds the same reasoning, calls and text."""
    whole = VARIANTS[name]
    kept = openai_judge.completion_of(write_response(whole, reply()))["choices"][0]["message"]
    back = read_request({"model": "m", "messages": [kept]}, Call()).messages[0].content
    reasoning = [block for block in whole.content if isinstance(block, Reasoning)]
    found = [block for block in back if isinstance(block, Reasoning)]
    assert [_state(block) for block in found] == [_state(block) for block in reasoning]
    calls = [block for block in whole.content if isinstance(block, ToolCall)]
    assert [(c.id, c.signature) for c in back if isinstance(c, ToolCall)] == [(c.id, c.signature) for c in calls]


def _state(block: Reasoning) -> tuple[Any, ...]:
    return block.text, block.signature, block.redacted, block.encrypted, block.origin


@pytest.mark.parametrize("name", VARIANTS)
def test_the_decoder_reads_what_the_encoder_writes(name: str) -> None:
    whole = VARIANTS[name]
    events = decode(StreamDecoder(target(vendor="made")), [stream(whole)])
    blocks = [event.block for event in events if isinstance(event, PartEnded)]
    reasoning = [block for block in whole.content if isinstance(block, Reasoning)]
    expected = [(_state(block)[:4]) for block in reasoning]
    assert [_state(block)[:4] for block in blocks if isinstance(block, Reasoning)] == expected
    text = "".join(block.text for block in blocks if isinstance(block, Text))
    assert text == "".join(block.text for block in whole.content if isinstance(block, Text))


@pytest.mark.parametrize(
    "frames", [[], [Started("msg_1", "claude"), PartStarted(0, Text("")), PartDelta(0, "text", "Hi")]]
)
def test_a_failure_is_raised_by_the_sdk(frames: list[Event]) -> None:
    encoder = StreamEncoder(reply())
    data = b"".join(encoder.emit(event) for event in frames)
    data += encoder.emit(Failed(upstream_fault("overloaded", "Too busy", 529))) + encoder.close()
    assert b"[DONE]" not in data
    with pytest.raises(openai.APIError, match="Too busy"):
        openai_judge.streamed_completion_of(data)


def test_errors_as_the_sdk_sees_them() -> None:
    written = load_format("chat_completions").write_error(upstream_fault("rate_limit", "Slow", 429, retry_after=3), "r")
    error = openai_judge.error_of(written.status, written.headers, written.body)
    assert isinstance(error, openai.RateLimitError)
    assert (error.code, error.response.headers["retry-after"]) == ("rate_limit_exceeded", "3")
    openai_judge.assert_valid("ErrorResponse", json.loads(written.body))


def test_without_include_usage_no_chunk_speaks_of_usage() -> None:
    assert b"usage" not in stream(answer(Text("Hi")), reply())


def test_usage_that_is_unknown_is_left_out() -> None:
    whole = answer(Text("Hi"))
    whole.usage = Usage()
    assert stream(whole).count(b'"usage":') == stream(whole).count(b'"usage":null')
    assert "usage" not in write_response(whole, reply())


def test_half_a_surrogate_pair_is_escaped() -> None:
    encoder = StreamEncoder(reply())
    encoder.emit(Started("a", "m"))
    for kind in ("text", "refusal"):
        half: Any = kind
        frame = encoder.emit(PartDelta(0, half, "\ud83d"))
        assert b"\\ud83d" in frame
        frame.decode()


def test_pings_are_comments() -> None:
    assert StreamEncoder(reply()).emit(Ping()) == PING


def test_a_stream_that_was_left_has_no_end() -> None:
    encoder = StreamEncoder(reply())
    encoder.emit(Started("a", "m"))
    assert encoder.close() == b""


@pytest.mark.parametrize("whole", [True, False])
def test_reasoning_is_not_shown_to_who_asked_for_none(whole: bool) -> None:
    told = reply(reasoning=hidden_reasoning())
    written = (
        json.dumps(write_response(VARIANTS["everything"], told))
        if whole
        else stream(VARIANTS["everything"], told).decode()
    )
    assert "reasoning_content" not in written and "c2ln" not in written


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        (Stop("end_turn"), "stop"),
        (Stop("stop_sequence", sequence="x"), "stop"),
        (Stop("max_tokens"), "length"),
        (Stop("context_window"), "length"),
        (Stop("content_filter"), "content_filter"),
        (Stop("pause_turn"), "length"),
    ],
)
def test_stop_reasons(stop: Stop, word: str) -> None:
    whole = answer(Text("x"))
    whole.stop = stop
    assert write_response(whole, reply())["choices"][0]["finish_reason"] == word
    assert f'"finish_reason":"{word}"'.encode() in stream(whole)


def test_a_refusal_is_explained() -> None:
    whole = answer()
    whole.stop = Stop("refusal", explanation="Not that.")
    choice = write_response(whole, reply())["choices"][0]
    assert (choice["message"]["refusal"], choice["finish_reason"]) == ("Not that.", "content_filter")
    streamed = openai_judge.streamed_completion_of(stream(whole).replace(b'"content_filter"', b'"stop"'))
    assert streamed["choices"][0]["message"]["refusal"] == "Not that."


def test_clients_of_2023_get_function_calls() -> None:
    conversation = read_request(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "functions": [{"name": "f"}]}, Call()
    )
    whole = answer(ToolCall("a", "f", '{"x":1}'), stop="tool_use")
    choice = write_response(whole, reply(conversation))["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert choice["finish_reason"] == "function_call" and "tool_calls" not in choice["message"]
    streamed = [chunk["choices"][0] for chunk in openai_judge.chunks_of(stream(whole, reply(conversation)))]
    calls = [choice["delta"]["function_call"] for choice in streamed if "function_call" in choice["delta"]]
    assert calls == [{"name": "f", "arguments": ""}, {"arguments": '{"x":1}'}]
    assert streamed[-1]["finish_reason"] == "function_call"


def test_custom_calls() -> None:
    whole = answer(ToolCall("a", "patch", "*** Begin", "custom"), ToolCall("b", "empty", "", "custom"), stop="tool_use")
    calls = write_response(whole, reply())["choices"][0]["message"]["tool_calls"]
    assert calls[0] == {"id": "a", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    events = decode(StreamDecoder(target()), [stream(whole)])
    assert [event.block for event in events if isinstance(event, PartEnded)] == whole.content


def test_audio_goes_back_to_clients_of_this_format() -> None:
    audio = {"id": "audio_1", "data": "QQ==", "transcript": "a", "expires_at": 1}
    body = {
        "id": "x",
        "model": "m",
        "choices": [{"message": {"content": None, "audio": audio}, "finish_reason": "stop"}],
    }
    read = read_response(body, target())
    assert read.content == [Opaque("chat_completions", "audio", audio, content=True)]
    assert write_response(read, reply())["choices"][0]["message"]["audio"] == audio
    assert b'"audio":{"id":"audio_1"' in stream(read)
    written = load_format("chat_completions").write_request(
        Conversation("chat_completions", "m", [Message("assistant", read.content)]), target()
    )
    assert written.body["messages"][0]["audio"] == audio


def test_a_signature_that_comes_late_has_its_chunk() -> None:
    encoder = StreamEncoder(reply())
    encoder.emit(Started("a", "m"))
    encoder.emit(PartStarted(0, ToolCall("c", "f")))
    frame = encoder.emit(PartDelta(0, "signature", "R2"))
    slot = {"google": {"thought_signature": "R2"}}
    assert json.loads(frame[6:])["choices"][0]["delta"] == {"tool_calls": [{"index": 0, "extra_content": slot}]}
    encoder.emit(PartStarted(1, Reasoning()))
    assert encoder.emit(PartDelta(1, "signature", "c2ln")) == b""


def test_an_answer_that_ended_in_an_error_is_one() -> None:
    whole = answer(Text("x"), stop="error")
    with pytest.raises(UpstreamFault):
        write_response(whole, reply())
    assert stream(whole).endswith(b"}}\n\n") and b"[DONE]" not in stream(whole)
    with pytest.raises(openai.APIError, match="finish_reason"):
        openai_judge.streamed_completion_of(stream(whole))


def test_images_that_the_model_made() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}, "index": 0}
    message = {"content": "Here.", "images": [image, {"image_url": 7}]}
    read = read_response({"choices": [{"message": message, "finish_reason": "stop"}]}, target("openrouter"))
    assert read.content == [Text("Here."), Image(Source("base64", "QQ==", "image/png"))]
    read.content.append(Image(Source("url", "https://example.com/a.png")))
    second = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "index": 1}
    assert write_response(read, reply())["choices"][0]["message"]["images"] == [image, second]
    assert openai_judge.streamed_completion_of(stream(read))["choices"][0]["message"]["images"] == [image, second]


def test_service_tiers_that_openai_knows_are_told() -> None:
    assert write_response(answer(service_tier="flex"), reply())["service_tier"] == "flex"
    assert "service_tier" not in write_response(answer(service_tier="standard"), reply())


def test_pinned_state_is_sealed() -> None:
    details = write_response(VARIANTS["pinned reasoning"], reply())["choices"][0]["message"]["reasoning_details"]
    assert [detail["type"] for detail in details] == ["reasoning.summary", "reasoning.summary", "reasoning.encrypted"]
    assert envelope.is_sealed(details[-1]["data"])


def test_a_tool_of_another_kind_changes_nothing() -> None:
    told = reply(tools=[Tool("web_search", kind="server", raw={"type": "web_search"})])
    assert "tool_calls" in write_response(answer(ToolCall("a", "f", "{}")), told)["choices"][0]["message"]


def test_a_stream_that_finishes_without_parts() -> None:
    encoder = StreamEncoder(reply())
    data = encoder.emit(Started("a", "m")) + encoder.emit(Finished(Stop("end_turn"), Usage())) + encoder.close()
    assert openai_judge.streamed_completion_of(data)["choices"][0]["finish_reason"] == "stop"


def test_annotations_of_this_format_stay_as_they_are() -> None:
    annotation = {**_annotation(0, 2, "https://e/", "E"), "odd": 1}
    body = {"choices": [{"message": {"content": "Hi", "annotations": [annotation]}, "finish_reason": "stop"}]}
    assert write_response(read_response(body, target()), reply())["choices"][0]["message"]["annotations"] == [
        annotation
    ]


def test_empty_text_says_nothing() -> None:
    body = {"choices": [{"message": {"content": [{"type": "thinking", "thinking": [{"text": ""}]}]}}]}
    assert read_response(body, target()).content == []
    assert write_response(answer(Reasoning()), reply())["choices"][0]["message"]["content"] == ""


def test_details_whose_signature_is_sealed() -> None:
    sealed = envelope.seal(Reasoning(["hm"], signature="c2ln", origin=Origin("amazon")))
    entry = {"type": "reasoning.text", "text": "hm", "signature": sealed, "index": 0}
    message = {"content": "Hi", "reasoning_details": [entry]}
    read = read_response({"choices": [{"message": message, "finish_reason": "stop"}]}, target(vendor="anthropic"))
    assert isinstance(read.content[0], Reasoning)
    assert (read.content[0].texts, read.content[0].signature) == (["hm"], "c2ln")


def test_a_summary_with_state_of_unknown_form() -> None:
    odd = answer(Reasoning(["a"], "summary", signature="c2ln", origin=Origin("openai")), Text("Hi"))
    details = write_response(odd, reply())["choices"][0]["message"]["reasoning_details"]
    assert [(entry["type"], entry.get("signature")) for entry in details] == [
        ("reasoning.summary", None),
        ("reasoning.text", "c2ln"),
    ]
    openai_judge.streamed_completion_of(stream(odd))
