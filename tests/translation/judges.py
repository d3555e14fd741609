"""The official SDKs as judges: each reads a whole answer or a stream of its format into a Reading.

`strict` turns on what an SDK can check beyond reading: OpenAI's and google-genai's types take no unknown shapes.
It is meant for what the gateway writes; recordings come from several vendors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
import httpx
import httpx2
import jsonschema
import openai
from botocore.eventstream import EventStream
from botocore.parsers import create_parser
from google import genai
from google.genai import types
from openai.types.responses import Response as OpenAIResponse

from tests.translation.reading import Ending, Reading
from tests.wire.anthropic_judge import message_of, streamed_message_of
from tests.wire.openai_judge import SPECIFICATION, assert_valid, chunks_of, completion_of, nullable
from tests.wire.recordings import recorded_file


@dataclass(frozen=True)
class Judge:
    """How one format's SDK reads: a whole body, or the bytes of a stream."""

    whole: Callable[[bytes, bool], Reading]
    stream: Callable[[bytes, bool], Reading]


# --- Messages --------------------------------------------------------------------------------------------

_MESSAGES_ENDINGS: dict[str | None, Ending] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "paused",
    "compaction": "paused",
}


def _message(message: dict[str, Any]) -> Reading:
    reading = Reading(ending=_MESSAGES_ENDINGS[message["stop_reason"]])
    for block in message["content"]:
        match block["type"]:
            case "text":
                reading.text += block["text"]
            case "thinking":
                reading.thinking += block["thinking"]
            case "tool_use":
                reading.call(block["name"], block["input"])
    usage = message["usage"]
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    reading.prompt = (usage.get("input_tokens") or 0) + (read or 0) + (written or 0)
    reading.cache_read, reading.cache_write = read, written
    reading.output = usage["output_tokens"]
    reading.reasoning = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    reading.explanation = (message.get("stop_details") or {}).get("explanation") or ""
    return reading


def _messages_whole(body: bytes, _strict: bool) -> Reading:
    return _message(message_of(json.loads(body)))


def _messages_stream(data: bytes, _strict: bool) -> Reading:
    return _message(streamed_message_of(data))


# --- InvokeModel: Messages in Bedrock's frames, as botocore takes them apart ----------------------------------


def _invoke_stream(data: bytes, strict: bool) -> Reading:
    frames = []
    for event in botocore_events("InvokeModelWithResponseStream", data):
        value = json.loads(event["chunk"]["bytes"])
        frames.append(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n")
    return _messages_stream("".join(frames).encode(), strict)


# --- Converse ------------------------------------------------------------------------------------------------

_CONVERSE_ENDINGS: dict[str, Ending] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
}


@cache
def bedrock_model() -> Any:
    """botocore's own model of the Bedrock runtime."""
    session = botocore.session.Session()
    return session.get_service_model("bedrock-runtime")


@cache
def parser() -> Any:
    return create_parser("rest-json")


class _Raw:
    """What botocore reads a stream from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data

    def close(self) -> None:
        pass


def botocore_events(operation: str, data: bytes) -> list[dict[str, Any]]:
    shape = bedrock_model().operation_model(operation).output_shape.members
    member = shape["stream"] if "stream" in shape else shape["body"]
    return list(EventStream(_Raw(data), member, _event_parser(), operation))


@cache
def _event_parser() -> Any:
    return parser()._event_stream_parser


def _converse_usage(reading: Reading, usage: dict[str, Any]) -> Reading:
    read, written = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    reading.prompt = usage["inputTokens"] + (read or 0) + (written or 0)
    reading.cache_read, reading.cache_write = read, written
    reading.output = usage["outputTokens"]
    return reading


def _converse_block(reading: Reading, block: dict[str, Any]) -> None:
    if "text" in block:
        reading.text += block["text"]
    elif "citationsContent" in block:
        reading.text += "".join(part["text"] for part in block["citationsContent"]["content"])
    elif "reasoningContent" in block:
        reading.thinking += block["reasoningContent"].get("reasoningText", {}).get("text", "")
    elif "toolUse" in block and block["toolUse"].get("type") != "server_tool_use":
        reading.call(block["toolUse"]["name"], block["toolUse"]["input"])


def _converse_whole(body: bytes, _strict: bool) -> Reading:
    shape = bedrock_model().operation_model("Converse").output_shape
    parsed = parser().parse({"status_code": 200, "headers": {}, "body": body}, shape)
    reading = Reading(ending=_CONVERSE_ENDINGS[parsed["stopReason"]])
    for block in parsed["output"]["message"]["content"]:
        _converse_block(reading, block)
    return _converse_usage(reading, parsed["usage"])


def _converse_stream(data: bytes, _strict: bool) -> Reading:
    reading = Reading()
    blocks: dict[int, dict[str, Any]] = {}
    for event in botocore_events("ConverseStream", data):
        [(kind, value)] = event.items()
        if kind == "contentBlockStart":
            start = value["start"]
            if "toolUse" in start:
                blocks[value["contentBlockIndex"]] = {"toolUse": {**start["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            _converse_delta(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
        elif kind == "messageStop":
            reading.ending = _CONVERSE_ENDINGS[value["stopReason"]]
        elif kind == "metadata":
            _converse_usage(reading, value["usage"])
    for index in sorted(blocks):
        _converse_block(reading, blocks[index])
    return reading


def _converse_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "reasoningContent" in delta:
        inner = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
        inner["text"] += delta["reasoningContent"].get("text", "")


# --- Chat Completions ----------------------------------------------------------------------------------------

_CHAT_ENDINGS: dict[str | None, Ending] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "refusal",
}


@cache
def _openai() -> tuple[openai.OpenAI, list[httpx2.Response]]:
    canned: list[httpx2.Response] = []
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: canned[-1]))
    return openai.OpenAI(api_key="k", base_url="http://made/v1", http_client=http, max_retries=0), canned


def _sse(data: bytes) -> httpx2.Response:
    return httpx2.Response(200, content=data, headers={"content-type": "text/event-stream"})


def _chat_message(message: dict[str, Any], finish: str | None, usage: dict[str, Any] | None) -> Reading:
    reading = Reading(text=_chat_text(message.get("content")), refusal=message.get("refusal") or "")
    reading.ending = "refusal" if reading.refusal else _CHAT_ENDINGS[finish]
    reading.thinking = message.get("reasoning_content") or message.get("reasoning") or _detailed(message)
    for call in message.get("tool_calls") or []:
        inner = call.get("function") or call.get("custom")
        reading.call(inner["name"], inner.get("arguments", inner.get("input")))
    if usage:
        details = usage.get("prompt_tokens_details") or {}
        reading.prompt = usage["prompt_tokens"]
        # Gemini's own Chat endpoint counts thoughts in the total alone.
        reading.output = max(usage["completion_tokens"], usage["total_tokens"] - usage["prompt_tokens"])
        reading.cache_read = details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens")
        reading.cache_write = details.get("cache_write_tokens")
        reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
        reading.reasoning = reasoning or reading.output - usage["completion_tokens"]
    return reading


def _detailed(message: dict[str, Any]) -> str:
    details = message.get("reasoning_details") or []
    return "".join(detail.get("text") or detail.get("summary") or "" for detail in details)


def _chat_text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def _chat_whole(body: bytes, strict: bool) -> Reading:
    value = json.loads(body)
    if strict:
        assert_valid("CreateChatCompletionResponse", _specified(value))
        value = completion_of(value)
    else:
        client, canned = _openai()
        canned[:] = [httpx2.Response(200, json=value)]
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        value = answer.model_dump(exclude_unset=True, warnings=False)
    choice = value["choices"][0]
    return _chat_message(choice["message"], choice["finish_reason"], value.get("usage"))


def _specified(value: dict[str, Any]) -> dict[str, Any]:
    """`value` without the members that vendors add to the specified ones."""
    choices = []
    for choice in value["choices"]:
        message = {
            name: item
            for name, item in choice["message"].items()
            if name not in ("reasoning_content", "reasoning_details", "thinking_blocks")
        }
        choices.append({**choice, "message": message})
    return {**value, "choices": choices}


def _chat_stream(data: bytes, strict: bool) -> Reading:
    client, canned = _openai()
    if strict:
        assert data.endswith(b"data: [DONE]\n\n")
        for chunk in chunks_of(data):
            specified("CreateChatCompletionStreamResponse").validate(chunk)
        _helped(data)
    canned[:] = [_sse(data)]
    grown = _Grown()
    messages: Any = [{"role": "user", "content": "x"}]
    for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
        grown.take(chunk.model_dump(exclude_unset=True, warnings=False))
    return _chat_message(grown.message, grown.finish, grown.usage)


def _helped(data: bytes) -> None:
    """The SDK's own collector takes the stream. It raises for an answer that was cut or refused: it is complete."""
    client, canned = _openai()
    canned[:] = [_sse(data)]
    with (
        suppress(openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError),
        client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}]) as stream,
    ):
        for _ in stream:
            pass


class _Grown:
    """A message that grows by the deltas of its first choice."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {}
        self.finish: str | None = None
        self.usage: dict[str, Any] | None = None
        self._calls: dict[int, dict[str, Any]] = {}

    def take(self, chunk: dict[str, Any]) -> None:
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk["choices"]:
            if choice.get("index", 0) == 0:
                self._grow(choice.get("delta") or {})
                self.finish = choice.get("finish_reason") or self.finish

    def _grow(self, delta: dict[str, Any]) -> None:
        for name in ("content", "refusal", "reasoning_content", "reasoning"):
            if delta.get(name):
                self.message[name] = self.message.get(name, "") + _chat_text(delta[name])
        self.message.setdefault("reasoning_details", []).extend(delta.get("reasoning_details") or [])
        for place, call in enumerate(delta.get("tool_calls") or []):
            self._grow_call(call, place)
        self.message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]

    def _grow_call(self, call: dict[str, Any], place: int) -> None:
        grown = self._calls.setdefault(call.get("index", place), {"function": {"name": "", "arguments": ""}})
        inner = call.get("function") or {}
        grown["function"]["name"] = grown["function"]["name"] or inner.get("name") or ""
        grown["function"]["arguments"] += inner.get("arguments") or ""


# --- Responses -----------------------------------------------------------------------------------------------


def _response(value: dict[str, Any]) -> Reading:
    reading = Reading()
    for item in value["output"]:
        match item["type"]:
            case "message":
                for part in item["content"]:
                    reading.text += part.get("text", "")
                    reading.refusal += part.get("refusal", "")
            case "reasoning":
                texts = item.get("summary") or item.get("content") or []
                reading.thinking += "\n\n".join(part["text"] for part in texts)
            case "function_call":
                reading.call(item["name"], item["arguments"])
            case "custom_tool_call":
                reading.call(item["name"], item["input"])
    reading.ending = _response_ending(value, reading)
    usage = value.get("usage")
    if usage:
        details = usage["input_tokens_details"]
        reading.prompt, reading.output = usage["input_tokens"], usage["output_tokens"]
        reading.cache_read, reading.cache_write = details.get("cached_tokens"), details.get("cache_write_tokens")
        reading.reasoning = usage["output_tokens_details"].get("reasoning_tokens")
    return reading


def _response_ending(value: dict[str, Any], reading: Reading) -> Ending:
    if value["status"] == "incomplete":
        reason = value["incomplete_details"]["reason"]
        return {"max_output_tokens": "length", "content_filter": "refusal"}.get(reason, "paused")  # type: ignore[return-value]
    assert value["status"] in ("completed", "complete"), value["status"]  # Azure was recorded to say `complete`
    if reading.calls:
        return "tool_calls"
    return "refusal" if reading.refusal else "stop"


@cache
def specified(name: str) -> Any:
    """A validator for one schema of OpenAI's document. Its `oneOf` is taken as `anyOf`: many of its own examples fit
    several members at once."""
    document = _any_of(nullable(json.loads(recorded_file(SPECIFICATION))))
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


def _any_of(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_any_of(item) for item in schema]
    if isinstance(schema, dict):
        return {"anyOf" if name == "oneOf" else name: _any_of(value) for name, value in schema.items()}
    return schema


_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def _responses_whole(body: bytes, strict: bool) -> Reading:
    value = json.loads(body)
    if strict:
        OpenAIResponse.model_validate(value, strict=True)
        specified("Response").validate(value)
    return _response(response_of(value))


def response_of(value: Any) -> dict[str, Any]:
    """The response that the SDK makes of a whole body, as plain values."""
    client, canned = _openai()
    canned[:] = [httpx2.Response(200, json=value)]
    return client.responses.create(model="m", input="x").model_dump(exclude_unset=True, warnings=False)


def streamed_response_of(data: bytes) -> dict[str, Any]:
    """The response that the SDK finds at the end of a stream."""
    client, canned = _openai()
    canned[:] = [_sse(data)]
    for event in client.responses.create(model="m", input="x", stream=True):
        if event.type in _TERMINAL:
            last: dict[str, Any] = event.response.model_dump(exclude_unset=True, warnings=False)
            return last
    raise AssertionError("no terminal event")


def _responses_stream(data: bytes, strict: bool) -> Reading:
    if not strict:
        return _response(streamed_response_of(data))
    client, canned = _openai()
    canned[:] = [_sse(data)]
    collected = _Collected()
    with client.responses.stream(model="m", input="x") as stream:
        for place, event in enumerate(stream):
            assert event.sequence_number == place
            collected.take(event)
    assert collected.last is not None
    reading = _response(collected.last)
    assert collected.text == reading.text, "the deltas are not the whole"
    assert collected.arguments == [arguments for _, arguments in reading.calls]
    return reading


class _Collected:
    """What the deltas of a Responses stream add up to."""

    def __init__(self) -> None:
        self.text = ""
        self.last: dict[str, Any] | None = None
        self._arguments: dict[int, str] = {}

    def take(self, event: Any) -> None:
        if event.type in _TERMINAL:
            self.last = event.response.model_dump(exclude_unset=True, warnings=False)
        if event.type == "response.output_text.delta":
            self.text += event.delta
        elif event.type == "response.output_item.added" and event.item.type in ("function_call", "custom_tool_call"):
            self._arguments[event.output_index] = ""
        elif event.type in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            self._arguments[event.output_index] += event.delta

    @property
    def arguments(self) -> list[Any]:
        reading = Reading()
        for index in sorted(self._arguments):
            reading.call("", self._arguments[index])
        return [arguments for _, arguments in reading.calls]


# --- Gemini --------------------------------------------------------------------------------------------------

_GEMINI_ENDINGS: dict[str, Ending] = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "paused"}


@cache
def _gemini() -> tuple[genai.Client, list[httpx.Response]]:
    canned: list[httpx.Response] = []
    http = httpx.Client(transport=httpx.MockTransport(lambda _: canned[-1]))
    options = types.HttpOptions(base_url="http://made.invalid", httpx_client=http)
    return genai.Client(api_key="k", http_options=options), canned


def _gemini_reading(chunks: list[types.GenerateContentResponse]) -> Reading:
    reading = Reading()
    finish = None
    said = ""
    for chunk in chunks:
        for candidate in chunk.candidates or []:
            finish = candidate.finish_reason or finish
            said = candidate.finish_message or said
            for part in (candidate.content.parts if candidate.content else None) or []:
                if part.text is not None:
                    if part.thought:
                        reading.thinking += part.text
                    else:
                        reading.text += part.text
                elif part.function_call is not None:
                    reading.call(part.function_call.name or "", part.function_call.args or {})
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason is not None:
            reading.ending = "refusal"
            said = chunk.prompt_feedback.block_reason_message or said
        if chunk.usage_metadata is not None:
            _gemini_usage(reading, chunk.usage_metadata)
    if finish is not None:
        reading.ending = _GEMINI_ENDINGS.get(finish.value, "refusal")
        if reading.calls and reading.ending == "stop":
            reading.ending = "tool_calls"
    if reading.ending == "refusal":
        reading.explanation = said
    return reading


def _gemini_usage(reading: Reading, usage: types.GenerateContentResponseUsageMetadata) -> None:
    reading.prompt = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
    reading.cache_read = usage.cached_content_token_count
    reading.output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    reading.reasoning = usage.thoughts_token_count


def gemini_chunks(body: bytes, *, streamed: bool) -> list[types.GenerateContentResponse]:
    """What the SDK gives, one by one."""
    client, canned = _gemini()
    kind = "text/event-stream" if streamed else "application/json"
    canned[:] = [httpx.Response(200, content=body, headers={"content-type": kind})]
    if streamed:
        return list(client.models.generate_content_stream(model="m", contents="x"))
    return [client.models.generate_content(model="m", contents="x")]


def _gemini_whole(body: bytes, _strict: bool) -> Reading:
    return _gemini_reading(gemini_chunks(body, streamed=False))


def _gemini_stream(data: bytes, _strict: bool) -> Reading:
    return _gemini_reading(gemini_chunks(data, streamed=True))


JUDGES: dict[str, Judge] = {
    "chat_completions": Judge(_chat_whole, _chat_stream),
    "responses": Judge(_responses_whole, _responses_stream),
    "messages": Judge(_messages_whole, _messages_stream),
    "invoke": Judge(_messages_whole, _invoke_stream),
    "converse": Judge(_converse_whole, _converse_stream),
    "generate_content": Judge(_gemini_whole, _gemini_stream),
}
