"""The vendors' SDKs as clients of a gateway: each asks one question and reads the answer with its own types.

`ask` gives the text, and the tool calls as (name, arguments). `refusal` reads what an error was to the SDK's user.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import anthropic
import boto3
import httpx
import openai
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from tests.leaks import secret

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TEXT = "What is the weather in Oslo?"
QUESTION: list[Any] = [{"role": "user", "content": TEXT}]

type Said = tuple[str, list[tuple[str, Any]]]


@dataclass
class Refusal:
    """An error answer: status, headers (names in lower case), all of its text, the vendor's word for its kind."""

    status: int
    headers: Mapping[str, str]
    text: str
    kind: str


class Client(Protocol):
    """One SDK on one endpoint. `errors`: what it raises for a failure; `dialect`: whose errors it reads."""

    errors: Any
    dialect: str

    def __init__(self, url: str) -> None: ...
    async def ask(self, stream: bool, tool: bool) -> Said: ...
    def refusal(self, caught: Any) -> Refusal: ...
    async def close(self) -> None: ...


class _OpenAI:
    errors: Any = openai.APIError
    dialect = "openai"

    def __init__(self, url: str) -> None:
        self.sdk: Any = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret("service"), max_retries=0)

    def refusal(self, caught: Any) -> Refusal:
        assert isinstance(caught, openai.APIStatusError), repr(caught)
        return Refusal(caught.response.status_code, caught.response.headers, caught.response.text, str(caught.type))

    async def close(self) -> None:
        await self.sdk.close()


class Chat(_OpenAI):
    """OpenAI's SDK, Chat Completions."""

    async def ask(self, stream: bool, tool: bool) -> Said:
        function = {"name": "weather", "parameters": SCHEMA}
        tools: dict[str, Any] = {"tools": [{"type": "function", "function": function}]} if tool else {}
        if not stream:
            final = await self.sdk.chat.completions.create(model="m", messages=QUESTION, **tools)
        else:
            usage = {"include_usage": True}
            async with self.sdk.chat.completions.stream(
                model="m", messages=QUESTION, stream_options=usage, **tools
            ) as events:
                async for _ in events:
                    pass
                final = await events.get_final_completion()
        message = final.choices[0].message
        assert final.usage.total_tokens == 7
        assert final.choices[0].finish_reason == ("tool_calls" if tool else "stop")
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
        return message.content or "", calls


class AzureDeployments(Chat):
    """OpenAI's SDK as Azure's users have it: the model in the path, the version in the query, the key in `api-key`."""

    def __init__(self, url: str) -> None:
        self.sdk = openai.AsyncAzureOpenAI(
            azure_endpoint=url, api_key=secret("service"), api_version="2024-10-21", max_retries=0
        )


class Responses(_OpenAI):
    """OpenAI's SDK, Responses."""

    async def ask(self, stream: bool, tool: bool) -> Said:
        function = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
        tools: dict[str, Any] = {"tools": [function]} if tool else {}
        asked = {"model": "m", "input": TEXT, "store": False, **tools}
        if not stream:
            final = await self.sdk.responses.create(**asked)
        else:
            failed = ""
            async with self.sdk.responses.stream(**asked) as events:
                async for event in events:
                    if event.type in ("error", "response.failed"):
                        failed = event.to_json()
                if failed:
                    raise openai.APIError(failed, httpx.Request("POST", "http://gateway"), body=None)
                final = await events.get_final_response()
        assert final.usage.total_tokens == 7
        calls = [(item.name, json.loads(item.arguments)) for item in final.output if item.type == "function_call"]
        return final.output_text, calls


class Messages:
    """Anthropic's SDK."""

    errors: Any = anthropic.APIError
    dialect = "anthropic"

    def __init__(self, url: str) -> None:
        self.sdk: Any = anthropic.AsyncAnthropic(base_url=url, api_key=secret("service"), max_retries=0)

    async def ask(self, stream: bool, tool: bool) -> Said:
        tools: dict[str, Any] = {"tools": [{"name": "weather", "input_schema": SCHEMA}]} if tool else {}
        asked = {"model": "m", "max_tokens": 50, "messages": QUESTION, **tools}
        if not stream:
            final = await self.sdk.messages.create(**asked)
        else:
            async with self.sdk.messages.stream(**asked) as events:
                final = await events.get_final_message()
        assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 2)
        assert final.stop_reason == ("tool_use" if tool else "end_turn")
        text = "".join(block.text for block in final.content if block.type == "text")
        return text, [(block.name, block.input) for block in final.content if block.type == "tool_use"]

    def refusal(self, caught: Any) -> Refusal:
        assert isinstance(caught, anthropic.APIStatusError), repr(caught)
        body = json.loads(caught.response.text)
        return Refusal(
            caught.response.status_code, caught.response.headers, caught.response.text, body["error"]["type"]
        )

    async def close(self) -> None:
        await self.sdk.close()


@cache
def _session() -> Any:
    """Its loader has read the service's model once for all clients."""
    return boto3.Session(
        aws_access_key_id="skybridge", aws_secret_access_key=secret("service"), region_name="us-east-1"
    )


class _Boto3:
    errors: Any = (ClientError, EventStreamError)
    dialect = "aws"

    def __init__(self, url: str) -> None:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=20)
        self.sdk: Any = _session().client("bedrock-runtime", endpoint_url=url, config=config)

    async def ask(self, stream: bool, tool: bool) -> Said:
        return await asyncio.to_thread(self._ask, stream, tool)

    def _ask(self, stream: bool, tool: bool) -> Said:
        raise NotImplementedError

    def refusal(self, caught: Any) -> Refusal:
        assert isinstance(caught, ClientError) and not isinstance(caught, EventStreamError), repr(caught)
        metadata, error = caught.response["ResponseMetadata"], caught.response["Error"]
        return Refusal(metadata["HTTPStatusCode"], metadata["HTTPHeaders"], str(caught), error["Code"])

    async def close(self) -> None:
        self.sdk.close()


class Converse(_Boto3):
    """boto3, Converse and ConverseStream; requests are signed with the gateway's key."""

    def _ask(self, stream: bool, tool: bool) -> Said:
        spec = {"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}
        asked: dict[str, Any] = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": TEXT}]}]}
        if tool:
            asked["toolConfig"] = {"tools": [spec]}
        if stream:
            with closing(self.sdk.converse_stream(**asked)["stream"]) as events:
                content, stop, usage = _of_converse_events(list(events))
        else:
            answer = self.sdk.converse(**asked)
            content, stop, usage = answer["output"]["message"]["content"], answer["stopReason"], answer["usage"]
        assert (usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]) == (5, 2, 7)
        assert stop == ("tool_use" if tool else "end_turn")
        calls = [(block["toolUse"]["name"], block["toolUse"]["input"]) for block in content if "toolUse" in block]
        return "".join(block.get("text", "") for block in content), calls


def _of_converse_events(events: list[Any]) -> tuple[list[Any], str, Any]:
    """The content, the stop reason and the usage of a stream."""
    blocks: dict[int, Any] = {}
    stop, usage = "", None
    for event in events:
        [(kind, value)] = event.items()
        if kind == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            block, delta = blocks.setdefault(value["contentBlockIndex"], {}), value["delta"]
            if "text" in delta:
                block["text"] = block.get("text", "") + delta["text"]
            elif "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
        elif kind == "messageStop":
            stop = value["stopReason"]
        elif kind == "metadata":
            usage = value["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return list(blocks.values()), stop, usage


class Invoke(_Boto3):
    """boto3, InvokeModel and its stream, with Claude's body."""

    def _ask(self, stream: bool, tool: bool) -> Said:
        body: dict[str, Any] = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": QUESTION}
        if tool:
            body["tools"] = [{"name": "weather", "input_schema": SCHEMA}]
        if stream:
            answer = self.sdk.invoke_model_with_response_stream(modelId="m", body=json.dumps(body))
            with closing(answer["body"]) as events:
                final = _of_message_events([json.loads(event["chunk"]["bytes"]) for event in events])
        else:
            final = json.loads(self.sdk.invoke_model(modelId="m", body=json.dumps(body))["body"].read())
        assert (final["usage"]["input_tokens"], final["usage"]["output_tokens"]) == (5, 2)
        assert final["stop_reason"] == ("tool_use" if tool else "end_turn")
        text = "".join(block["text"] for block in final["content"] if block["type"] == "text")
        return text, [(block["name"], block["input"]) for block in final["content"] if block["type"] == "tool_use"]


def _of_message_events(events: list[Any]) -> Any:
    """The message that a stream of Messages events makes."""
    final: Any = {}
    pieces: dict[int, str] = {}
    for event in events:
        if event["type"] == "message_start":
            final = {**event["message"], "content": []}
        elif event["type"] == "content_block_start":
            final["content"].append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta, place = event["delta"], event["index"]
            pieces[place] = pieces.get(place, "") + (delta.get("text") or delta.get("partial_json", ""))
        elif event["type"] == "message_delta":
            final["stop_reason"] = event["delta"]["stop_reason"]
            final["usage"].update(event["usage"])
    assert events[-1]["type"] == "message_stop"
    for place, piece in pieces.items():
        block = final["content"][place]
        if block["type"] == "text":
            block["text"] = piece
        elif block["type"] == "tool_use":
            block["input"] = json.loads(piece)
    return final


class Gemini:
    """google-genai."""

    errors: Any = (genai_errors.APIError, httpx.HTTPError)
    dialect = "google"

    def __init__(self, url: str) -> None:
        options = types.HttpOptions(base_url=url)
        self.sdk: Any = genai.Client(api_key=secret("service"), http_options=options)

    async def ask(self, stream: bool, tool: bool) -> Said:
        declared = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declared])] if tool else None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        asked: dict[str, Any] = {"model": "m", "contents": TEXT, "config": config}
        if stream:
            answers = [item async for item in await self.sdk.aio.models.generate_content_stream(**asked)]
        else:
            answers = [await self.sdk.aio.models.generate_content(**asked)]
        usage, last = answers[-1].usage_metadata, answers[-1].candidates[0]
        assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (5, 2, 7)
        assert last.finish_reason == types.FinishReason.STOP
        contents = [answer.candidates[0].content for answer in answers if answer.candidates]
        parts = [part for content in contents if content is not None for part in content.parts or []]
        calls = [(part.function_call.name, part.function_call.args) for part in parts if part.function_call]
        return "".join(part.text or "" for part in parts), calls

    def refusal(self, caught: Any) -> Refusal:
        assert isinstance(caught, genai_errors.APIError), repr(caught)
        return Refusal(caught.code, caught.response.headers, str(caught), str(caught.status))

    async def close(self) -> None:
        await self.sdk.aio.aclose()
        self.sdk.close()


CLIENTS: dict[str, type[Client]] = {
    "chat": Chat,
    "responses": Responses,
    "messages": Messages,
    "azure-deployments": AzureDeployments,
    "converse": Converse,
    "invoke": Invoke,
    "gemini": Gemini,
}
