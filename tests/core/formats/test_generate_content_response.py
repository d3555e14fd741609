"""Gemini's answers, whole: read from a backend, written for a client, judged by google-genai."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

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
    Text,
    ToolCall,
)
from core.errors import ClientFault, UpstreamFault
from core.events import Failed, Ping, events_of
from core.formats.contract import Call
from core.formats.generate_content import (
    ArrayStreamEncoder,
    StreamEncoder,
    read_request,
    read_response,
    write_error,
    write_response,
)
from core.formats.generate_content.response import citations_of
from core.stop import Stop
from core.usage import Usage
from tests.core.formats.generate_content_cases import reply, target_of
from tests.wire.fixtures import fixture_json, fixture_parameters

SIGNATURE = "CoYBAdHtims="
GOOGLE = Origin("google")


def answer_in(name: str) -> Answer:
    answer: Answer = read_response(fixture_json("responses", f"generate_content/made-{name}.json"), target_of())
    return answer


def test_calls_thoughts_and_signatures() -> None:
    answer = answer_in("parallel-calls")
    thought, words, paris, again = answer.content
    assert thought == Reasoning(["Both cities."], "summary", origin=GOOGLE)
    assert words == Text("I look.", signature=SIGNATURE, origin=GOOGLE)
    assert isinstance(paris, ToolCall) and isinstance(again, ToolCall)
    assert paris.signature == SIGNATURE and again.signature is None
    assert paris.id != again.id
    assert paris.arguments == '{"city": "Paris"}'
    assert answer.stop == Stop("tool_use", "STOP")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (65, 50)
    assert answer.extra == {"safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}]}


def test_ids_differ_between_answers() -> None:
    body = fixture_json("responses", "generate_content/made-parallel-calls.json")
    first = read_response(body, target_of()).content[2]
    second = read_response({**body, "responseId": "other"}, target_of()).content[2]
    assert first.id != second.id
    assert read_response(body, target_of()).content[2] == first
    unnamed = {name: value for name, value in body.items() if name != "responseId"}
    later = {**unnamed, "usageMetadata": {"promptTokenCount": 99}}
    assert read_response(unnamed, target_of()).content[2].id != read_response(later, target_of()).content[2].id


def test_a_blocked_prompt_and_a_cut_answer() -> None:
    blocked = answer_in("blocked-prompt")
    assert blocked.content == []
    assert blocked.stop == Stop("content_filter", "PROHIBITED_CONTENT", explanation="no")
    cut = answer_in("max-tokens")
    assert cut.stop == Stop("max_tokens", "MAX_TOKENS", explanation="limit")
    assert [type(block) for block in cut.content] == [Text, Image, ServerToolCall, ServerToolResult]


def test_a_grounded_answer_has_citations() -> None:
    (text,) = answer_in("grounded").content
    assert isinstance(text, Text)
    assert text.text == "Größe: 5 m."
    assert text.citations[:2] == [
        Citation("https://a.example/x", "A", "Größe:", 0, 7),
        Citation("https://b.example", "B", "Größe:", 0, 7),
    ]
    assert text.citations[2] == Citation("https://a.example/x", "A", None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"candidates": []},
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "bad"}]},
        {"candidates": [{"finishReason": "OTHER"}]},
        {"candidates": [{"content": {"parts": [{"text": 5}]}, "finishReason": "STOP"}]},
        {"error": {"code": 500, "message": "x"}},
    ],
)
def test_what_is_no_answer(body: dict[str, Any]) -> None:
    with pytest.raises(UpstreamFault) as caught:
        read_response(body, target_of())
    assert caught.value.retryable


def test_odd_grounding_is_passed_over() -> None:
    candidate = {
        "content": {"parts": [{"text": "a"}]},
        "finishReason": "STOP",
        "groundingMetadata": {
            "groundingChunks": [{"web": 5}],
            "groundingSupports": [{"segment": 5, "groundingChunkIndices": [0]}, 5],
        },
    }
    answer = read_response({"candidates": [candidate]}, target_of())
    assert answer.content == [Text("a", citations=[Citation(start=0)], origin=GOOGLE)]
    candidate["groundingMetadata"] = {"groundingChunks": 5}
    assert read_response({"candidates": [candidate]}, target_of()).content == [Text("a", origin=GOOGLE)]
    no_text = {"content": {"parts": []}, "finishReason": "STOP"}
    assert read_response({"candidates": [no_text]}, target_of()).content == []


@pytest.mark.parametrize("body", fixture_parameters("responses", "generate_content", ".json"))
def test_an_answer_comes_back_as_it_was(body: bytes) -> None:
    answer = read_response(json.loads(body), target_of())
    again = read_response(write_response(answer, reply()), target_of())
    answer.usage.raw = again.usage.raw = {}
    answer.usage.output_tokens = answer.usage.output_tokens or 0
    for block in [*answer.content, *again.content]:
        if isinstance(block, ToolCall):
            block.id = ""
        if isinstance(block, Text):
            block.citations = []
    answer.stop = replace(answer.stop, raw=None)
    assert replace(again, stop=replace(again.stop, raw=None), model=answer.model) == answer


FOREIGN = Answer(
    "msg_1",
    "claude",
    [
        Reasoning(["hm"], signature="EqoB", origin=Origin("anthropic")),
        Text("Hello", citations=[Citation("https://a", start=0, end=2), Citation(title="none")]),
        Refusal("no"),
        ToolCall("toolu_1", "look", '{"a":1}'),
        ToolCall("toolu_2", "look", ""),
        ServerToolCall("s", "web_search", "{}", "messages", {}),
        Opaque("messages", "fallback", {}),
        Image(Source("base64", "iVBORw0KGgo=", "image/png")),
        Image(Source("file_id", "f")),
    ],
    Stop("tool_use", "tool_use"),
    Usage(input_tokens=10, output_tokens=20, cache_read_tokens=5, reasoning_tokens=4),
    format="messages",
)


def test_a_foreign_answer() -> None:
    body = write_response(FOREIGN, reply())
    (candidate,) = body["candidates"]
    assert candidate["finishReason"] == "STOP"
    assert candidate["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "https://a"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 0, "endIndex": 2, "text": "He"}, "groundingChunkIndices": [0]}
        ],
    }
    kinds = [next(iter(part)) for part in candidate["content"]["parts"]]
    assert kinds == ["text", "text", "text", "functionCall", "functionCall", "inlineData"]
    assert body["modelVersion"] == "asked"
    bare = write_response(replace(FOREIGN, content=[Text("a")]), reply())
    assert "groundingMetadata" not in bare["candidates"][0]
    assert body["responseId"] == "msg_1"
    assert write_response(replace(FOREIGN, id=""), reply())["responseId"] == "resp_" + "x" * 20


# --- judged by Google's own client -------------------------------------------------------------------------


class Gateway:
    """Answers google-genai with what the format writes, and keeps the requests that it sent."""

    def __init__(self, answer: Answer | None = None, error: ClientFault | None = None) -> None:
        self.answer = answer
        self.error = error
        self.requests: list[dict[str, Any]] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(json.loads(request.content))
        if self.error is not None and "stream" not in str(request.url):
            written = write_error(self.error, "r")
            return httpx.Response(written.status, headers=written.headers, content=written.body)
        assert self.answer is not None
        if "alt=sse" not in str(request.url):
            return httpx.Response(200, json=write_response(self.answer, reply()))
        encoder = StreamEncoder(reply())
        data = encoder.emit(Ping())
        for event in events_of(self.answer):
            data += encoder.emit(event) + encoder.emit(Ping())
        if self.error is not None:
            data += encoder.emit(Failed(UpstreamFault("overloaded", "busy")))
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, content=data + encoder.close())

    def client(self) -> genai.Client:
        http = httpx.Client(transport=httpx.MockTransport(self.handle))
        options = types.HttpOptions(base_url="http://gateway.invalid", httpx_client=http)
        return genai.Client(api_key="key", http_options=options)


def test_googles_client_reads_the_answer_and_sends_the_state_back() -> None:
    gateway = Gateway(FOREIGN)
    client = gateway.client()
    answer = client.models.generate_content(model="asked", contents="Hi")
    assert answer.candidates is not None
    content = answer.candidates[0].content
    assert content is not None and content.parts is not None
    assert [call.id for call in answer.function_calls or []] == ["toolu_1", "toolu_2"]
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count == 15
    assert answer.usage_metadata.thoughts_token_count == 4
    client.models.generate_content(
        model="asked",
        contents=[
            types.Content(role="user", parts=[types.Part(text="Hi")]),
            content,
            types.Content(
                role="user",
                parts=[types.Part.from_function_response(name="look", response={"output": str(n)}) for n in (1, 2)],
            ),
        ],
        config=types.GenerateContentConfig(
            system_instruction="Be brief.",
            tools=[
                types.Tool(
                    function_declarations=[
                        types.FunctionDeclaration(name="look", parameters_json_schema={"type": "object"})
                    ]
                )
            ],
            thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.LOW),
            response_schema={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            response_mime_type="application/json",
        ),
    )
    source = read_request(gateway.requests[1], Call(model="asked"))
    system, _user, spoken, results = source.messages
    assert system.content == [Text("Be brief.")]
    assert spoken.content[0] == FOREIGN.content[0]
    assert [block.id for block in spoken.content if isinstance(block, ToolCall)] == ["toolu_1", "toolu_2"]
    assert [block.call_id for block in results.content] == ["toolu_1", "toolu_2"]
    assert source.reasoning is not None and source.reasoning.effort == "low"
    assert source.reasoning.display == "summary"
    assert source.tools[0].parameters == {"type": "object"}
    assert source.output_format is not None
    assert source.output_format.schema == {"type": "object", "properties": {"a": {"type": "string"}}}


def test_googles_client_reads_the_stream_between_pings() -> None:
    chunks = list(Gateway(FOREIGN).client().models.generate_content_stream(model="asked", contents="Hi"))
    parts = [
        part
        for chunk in chunks
        for part in ((chunk.candidates or [types.Candidate()])[0].content or types.Content()).parts or []
    ]
    assert "".join(part.text or "" for part in parts if not part.thought) == "Hellono"
    assert [part.function_call.id for part in parts if part.function_call] == ["toolu_1", "toolu_2"]
    assert [part.thought_signature is not None for part in parts if part.thought] == [False, True]
    last = chunks[-1]
    assert last.candidates is not None and last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.usage_metadata is not None and last.usage_metadata.total_token_count == 35


def test_googles_client_raises_the_errors() -> None:
    gateway = Gateway(FOREIGN, ClientFault("rate_limit", "slow down", retry_after=3))
    with pytest.raises(errors.ClientError) as caught:
        gateway.client().models.generate_content(model="asked", contents="Hi")
    assert (caught.value.code, caught.value.status, caught.value.message) == (429, "RESOURCE_EXHAUSTED", "slow down")
    with pytest.raises(errors.ServerError) as broken:
        list(gateway.client().models.generate_content_stream(model="asked", contents="Hi"))
    assert broken.value.code == 503


def test_the_array_framing_is_one_json_array() -> None:
    encoder = ArrayStreamEncoder(reply())
    data = encoder.emit(Ping()) + b"".join(encoder.emit(event) + encoder.emit(Ping()) for event in events_of(FOREIGN))
    chunks = json.loads(data + encoder.close())
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert json.loads(ArrayStreamEncoder(reply()).close()) == []


@pytest.mark.parametrize("name", ["citationSources", "citations"])
def test_sources_that_an_answer_repeats_are_citations(name: str) -> None:
    text = "Zürich ist schön."
    sources = [{"startIndex": 0, "endIndex": 7, "uri": "https://a.b", "title": "A"}, {"endIndex": 3}]
    found = citations_of({"citationMetadata": {name: sources}}, text)
    assert found == [Citation(url="https://a.b", title="A", start=0, end=6)]
