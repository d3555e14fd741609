"""A tool loop through every pair of formats: what the backend signed comes back to it, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import Answer, Origin, Reasoning, Text, ToolCall, ToolResult
from core.events import answer_of, events_of
from core.formats import load_format
from core.formats.contract import Call, Reply, Target
from core.models.resolve import facts_for
from core.stop import Stop
from core.translation.pipeline import translate_request
from core.usage import Usage
from tests.core.translation.cases import PROVIDERS

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
BACKENDS = {
    "messages": "claude-opus-4-8",
    "converse": "us.anthropic.claude-opus-4-8",
    "responses": "gpt-5",
    "generate_content": "gemini-3-pro-preview",
}
SIGNATURE = "EqoBCkYIARgCKkDsb9=="
STATE: dict[str, Reasoning] = {
    "messages": Reasoning(["Let me think."], signature=SIGNATURE, origin=Origin("anthropic")),
    "converse": Reasoning(["Let me think."], signature=SIGNATURE, origin=Origin("anthropic")),
    "responses": Reasoning(["Let me think."], "summary", encrypted="gAAAA_-x", id="rs_1", origin=Origin("openai")),
    "generate_content": Reasoning(["Let me think."], "summary", origin=Origin("google")),
}

# How each client's first request looks, and how it plays an answer and a tool's result back.
CLIENTS = ("chat_completions", "responses", "messages", "converse", "generate_content")


def first_request(client: str) -> dict[str, Any]:
    function = {"name": "weather", "description": "Weather.", "parameters": SCHEMA}
    match client:
        case "chat_completions":
            return {
                "model": "asked",
                "messages": [{"role": "user", "content": "Paris?"}],
                "tools": [{"type": "function", "function": function}],
                "reasoning_effort": "high",
            }
        case "responses":
            return {
                "model": "asked",
                "store": False,
                "include": ["reasoning.encrypted_content"],
                "input": [{"type": "message", "role": "user", "content": "Paris?"}],
                "tools": [{"type": "function", "strict": False, **function}],
                "reasoning": {"effort": "high", "summary": "auto"},
            }
        case "messages":
            return {
                "model": "asked",
                "max_tokens": 30_000,
                "messages": [{"role": "user", "content": "Paris?"}],
                "tools": [{"name": "weather", "description": "Weather.", "input_schema": SCHEMA}],
                "thinking": {"type": "adaptive"},
            }
        case "converse":
            spec = {"name": "weather", "description": "Weather.", "inputSchema": {"json": SCHEMA}}
            return {
                "messages": [{"role": "user", "content": [{"text": "Paris?"}]}],
                "toolConfig": {"tools": [{"toolSpec": spec}]},
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
            }
        case _:
            declaration = {"name": "weather", "description": "Weather.", "parametersJsonSchema": SCHEMA}
            return {
                "contents": [{"role": "user", "parts": [{"text": "Paris?"}]}],
                "tools": [{"functionDeclarations": [declaration]}],
                "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
            }


def next_request(client: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    match client:
        case "chat_completions":
            spoken = answer["choices"][0]["message"]
            id = spoken["tool_calls"][0]["id"]
            results = {"role": "tool", "tool_call_id": id, "content": "sunny"}
            return {**body, "messages": [*body["messages"], spoken, results]}
        case "responses":
            items = answer["output"]
            id = next(item["call_id"] for item in items if item["type"] == "function_call")
            results = {"type": "function_call_output", "call_id": id, "output": "sunny"}
            return {**body, "input": [*body["input"], *items, results]}
        case "messages":
            id = next(block["id"] for block in answer["content"] if block["type"] == "tool_use")
            results = {"type": "tool_result", "tool_use_id": id, "content": "sunny"}
            turn = {"role": "assistant", "content": answer["content"]}
            return {**body, "messages": [*body["messages"], turn, {"role": "user", "content": [results]}]}
        case "converse":
            message = answer["output"]["message"]
            id = next(block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block)
            results = {"toolResult": {"toolUseId": id, "content": [{"text": "sunny"}]}}
            return {**body, "messages": [*body["messages"], message, {"role": "user", "content": [results]}]}
        case _:
            content = answer["candidates"][0]["content"]
            call = next(part["functionCall"] for part in content["parts"] if "functionCall" in part)
            response = {"id": call["id"], "name": "weather", "response": {"output": "sunny"}}
            turn = {"role": "user", "parts": [{"functionResponse": response}]}
            return {**body, "contents": [*body["contents"], content, turn]}


def answered(backend: str) -> Answer:
    """What the backend's reader gives for the first turn: thinking, words and a call."""
    call = ToolCall("call_1", "weather", '{"city": "Paris"}')
    if backend == "generate_content":
        call.signature, call.origin = SIGNATURE, Origin("google")
    content = [STATE[backend], Text("I look."), call]
    return Answer("id_1", "m", content, Stop("tool_use"), Usage(1, 2), format=backend)  # type: ignore[arg-type]


def state_in(body: dict[str, Any], backend: str) -> Any:
    """The opaque state in a backend's request, where the backend wants it."""
    match backend:
        case "messages":
            return [
                block["signature"]
                for message in body["messages"]
                if isinstance(message["content"], list)
                for block in message["content"]
                if block["type"] == "thinking"
            ]
        case "converse":
            return [
                block["reasoningContent"]["reasoningText"]["signature"]
                for message in body["messages"]
                for block in message["content"]
                if "reasoningContent" in block
            ]
        case "responses":
            return [item["encrypted_content"] for item in body["input"] if item.get("type") == "reasoning"]
        case _:
            return [
                part["thoughtSignature"]
                for content in body["contents"]
                for part in content["parts"]
                if "functionCall" in part
            ]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_tool_loop_keeps_the_backends_state(client: str, backend: str, streamed: bool) -> None:
    model = BACKENDS[backend]
    target = Target(model, "backend", PROVIDERS[backend], facts_for(model))
    format_ = load_format(client)
    conversation = format_.read_request(first_request(client), Call(model="asked"))
    done = translate_request(conversation, backend, target)
    answer = answered(backend)
    if streamed:
        answer = answer_of(new for event in events_of(answer) for new in done.restore.events(event))
    else:
        answer = done.restore.answer(answer)
    body = format_.write_response(answer, Reply("asked", "x" * 20, 1, conversation))
    later = format_.read_request(next_request(client, first_request(client), body), Call(model="asked"))
    results = [block for message in later.messages for block in message.content if isinstance(block, ToolResult)]
    assert len(results) == 1
    written = translate_request(later, backend, target)
    expected = STATE[backend].encrypted or SIGNATURE
    assert state_in(written.written.body, backend) == [expected]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_state_of_another_vendor_stays_at_home(client: str, backend: str) -> None:
    """The same history on a backend of another vendor: the words, without the state."""
    other = "responses" if backend in ("messages", "converse") else "messages"
    model = BACKENDS[other]
    target = Target(model, "backend", PROVIDERS[other], facts_for(model))
    format_ = load_format(client)
    conversation = format_.read_request(first_request(client), Call(model="asked"))
    first = translate_request(conversation, backend, Target("m", "b", PROVIDERS[backend], facts_for(BACKENDS[backend])))
    answer = first.restore.answer(answered(backend))
    body = format_.write_response(answer, Reply("asked", "x" * 20, 1, conversation))
    later = format_.read_request(next_request(client, first_request(client), body), Call(model="asked"))
    written = translate_request(later, other, target)
    text = str(written.written.body)
    assert SIGNATURE not in text and "gAAAA_-x" not in text and "skybridge1." not in text
    assert "I look." in text and "sunny" in text
    assert state_in(written.written.body, other) == []
