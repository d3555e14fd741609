"""Converse answers, whole: read and written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.conversation import (
    Answer,
    Citation,
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
)
from core.errors import UpstreamFault
from core.formats import envelope
from core.formats.contract import Call
from core.formats.converse import read_request, read_response, write_response
from core.usage import Usage
from tests.core.formats.converse_cases import model_of, recorded, reply_to, target_of
from tests.wire.fixtures import fixture_parameters
from tests.wire.recordings import Recorded, parameters

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
WHOLE = [pair for pair in recorded() if pair.status == 200 and not pair.streamed]


def body_of(*content: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
        "metrics": {"latencyMs": 5},
        **members,
    }


def content_of(*blocks: Any, model: str = "alias", own: bool = False) -> list[dict[str, Any]]:
    answer = Answer("id", "m", list(blocks), format="converse" if own else "messages")
    content: list[dict[str, Any]] = write_response(answer, reply_to(model))["output"]["message"]["content"]
    return content


def replayed(content: list[dict[str, Any]], model: str = "alias") -> list[Any]:
    """What comes back when the client sends its answer again."""
    body = {"messages": [{"role": "assistant", "content": json.loads(json.dumps(content))}]}
    (message,) = read_request(body, Call(model=model)).messages
    return message.content


@pytest.mark.parametrize("pair", parameters(WHOLE))
def test_recorded_answers_come_back(pair: Recorded) -> None:
    model = model_of(pair)
    answer = read_response(pair.response_json, target_of(model))
    assert answer.format == "converse"
    assert write_response(answer, reply_to(model)) == pair.response_json


@pytest.mark.parametrize("text", fixture_parameters("responses", "converse", ".json"))
def test_made_answers_come_back(text: bytes) -> None:
    body = json.loads(text)
    answer = read_response(body, target_of(CLAUDE))
    assert write_response(answer, reply_to(CLAUDE)) == body
    assert answer.usage.total_tokens == body["usage"]["totalTokens"]


def test_what_is_read() -> None:
    body = body_of(
        {"text": "hi"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
        serviceTier={"type": "flex"},
        additionalModelResponseFields={"stop_sequence": "END"},
    )
    answer = read_response(body, target_of(CLAUDE))
    assert (answer.model, answer.service_tier) == (CLAUDE, "flex")
    assert answer.content == [Text("hi"), ToolCall("t", "f", "{}")]
    # Calls say more than the reason: some models end with `end_turn` all the same.
    assert (answer.stop.reason, answer.stop.raw, answer.stop.sequence) == ("tool_use", "end_turn", "END")
    assert answer.usage.output_tokens == 2


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"output": 1},
        {"output": {}},
        {"output": {"message": {"content": 1}}},
        body_of({"text": 1}),
        body_of({"toolUse": {}}),
    ],
)
def test_what_is_no_answer_is_the_backends_fault(body: Any) -> None:
    with pytest.raises(UpstreamFault) as caught:
        read_response(body, target_of(CLAUDE))
    assert (caught.value.kind, caught.value.status, caught.value.retryable) == ("upstream", 502, True)


def test_an_answer_of_another_format() -> None:
    answer = Answer(
        "id",
        "m",
        [
            Text("hi"),
            Text(""),
            Refusal("no"),
            Refusal(""),
            ToolCall("t", "f", '{"a":1}'),
            Image(Source("base64", "AAAA", "image/png")),
            Image(Source("url", "https://x", "image/png")),
            Image(Source("base64", "AAAA", "image/tiff")),
            Text("cited", citations=[Citation("https://u", "T", "words"), Citation()]),
            ServerToolCall("s", "web_search", "{}", "messages", {}),
            ServerToolResult("s", "web_search", "", "messages", {}),
            Opaque("messages", "x", {}),
            Reasoning([""]),
        ],
        Stop("refusal"),
        Usage(1, 2),
        format="messages",
        extra={"container": 1},
    )
    assert write_response(answer, reply_to("m")) == {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"text": "hi"},
                    {"text": "no"},
                    {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
                    {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
                    {
                        "citationsContent": {
                            "content": [{"text": "cited"}],
                            "citations": [
                                {
                                    "title": "T",
                                    "sourceContent": [{"text": "words"}],
                                    "source": "https://u",
                                    "location": {"web": {"url": "https://u"}},
                                },
                                {},
                            ],
                        }
                    },
                ],
            }
        },
        "stopReason": "content_filtered",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
        "metrics": {"latencyMs": 0},
    }


def test_own_blocks_come_back() -> None:
    blocks = [
        {"guardContent": {"text": {"text": "g"}}},
        {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [{"title": "t"}]}},
        {"text": ""},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}, "type": "server_tool_use"}},
        {"reasoningContent": {"reasoningText": {"text": "r", "odd": 1}}},
    ]
    body = body_of(*blocks, serviceTier={"type": "flex"})
    assert write_response(read_response(body, target_of(CLAUDE)), reply_to(CLAUDE)) == body


def test_the_stop_sequence_is_told_to_those_who_asked() -> None:
    answer = Answer("", "m", [Text("x")], Stop("stop_sequence", sequence="END"), format="messages")
    asked = {"additionalModelResponseFieldPaths": ["/stop_sequence"]}
    body = write_response(answer, reply_to("m", asked))
    assert body["additionalModelResponseFields"] == {"stop_sequence": "END"}
    assert "additionalModelResponseFields" not in write_response(answer, reply_to("m"))
    assert "additionalModelResponseFields" not in write_response(Answer("", "m"), reply_to("m", asked))


def test_signatures_go_as_they_are_where_the_model_tells_their_vendor() -> None:
    thought = Reasoning(["why"], signature="c2ln", origin=Origin("anthropic"))
    hidden = Reasoning(redacted="EuAB", origin=Origin("anthropic"))
    content = content_of(thought, hidden, model=CLAUDE)
    assert content[0] == {"reasoningContent": {"reasoningText": {"text": "why", "signature": "c2ln"}}}
    assert content[1]["reasoningContent"].keys() == {"redactedContent"}
    assert replayed(content, CLAUDE) == [thought, hidden]


@pytest.mark.parametrize(
    "thought",
    [
        Reasoning(["why"], signature="c2ln", origin=Origin("anthropic")),
        Reasoning(redacted="EuAB", origin=Origin("anthropic")),
        Reasoning(["a", "b"], "summary", encrypted="e", id="rs_1", origin=Origin("openai", "gpt-5")),
        Reasoning(signature="g", origin=Origin("google")),
    ],
)
@pytest.mark.parametrize("model", ["alias", "gpt-5"])
def test_state_comes_back_byte_for_byte_under_any_name(thought: Reasoning, model: str) -> None:
    content = content_of(thought, model=model)
    assert envelope.is_sealed(content[0]["reasoningContent"]["reasoningText"]["signature"])
    assert replayed(content, model) == [thought]


def test_reasoning_without_state_is_text() -> None:
    assert content_of(Reasoning(["a", "b"], "summary")) == [{"reasoningContent": {"reasoningText": {"text": "a\n\nb"}}}]


def test_failure_17_signatures_of_calls_and_texts_travel_beside_them() -> None:
    google = Origin("google")
    blocks = [
        Text("a", signature="s1", origin=google),
        ToolCall("t1", "f", "{}", signature="s2", origin=google),
        ToolCall("t2", "f", "{}"),
    ]
    content = content_of(*blocks)
    assert [next(iter(raw)) for raw in content] == [
        "text",
        "reasoningContent",
        "reasoningContent",
        "toolUse",
        "toolUse",
    ]
    assert replayed(content) == blocks


@pytest.mark.parametrize("word", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_the_model_ended_badly_is_a_fault(word: str) -> None:
    body = {"output": {"message": {"role": "assistant", "content": [{"text": "A"}]}}, "stopReason": word}
    with pytest.raises(UpstreamFault, match=word):
        read_response(body, target_of("us.amazon.nova-pro-v1:0"))
