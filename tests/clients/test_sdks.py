"""The official SDKs hold a conversation with a tool in it, over sockets, on a backend of every format."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from google import genai
from google.genai import types

from tests.backend_server import BackendServer
from tests.clients.agent_backend import DIALECTS, Agent, ToolUse
from tests.clients.backends import document_for
from tests.served import served

pytestmark = pytest.mark.clients

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION = "What is the weather in Bern?"
RESULT = "4 degrees"
SAID = "The tool said: 4|degrees"
CALL = ("weather", {"city": "Bern"})


def openai_chat(url: str, stream: bool) -> tuple[Any, str]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
        messages: list[Any] = [{"role": "user", "content": QUESTION}]

        def turn() -> Any:
            if not stream:
                return client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0].message
            with client.chat.completions.stream(model="m", messages=messages, tools=tools) as events:
                for _ in events:
                    pass
                return events.get_final_completion().choices[0].message

        asked = turn()
        [call] = asked.tool_calls
        messages += [asked.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": RESULT}]

        return (call.function.name, json.loads(call.function.arguments)), turn().content


def openai_responses(url: str, stream: bool) -> tuple[Any, str]:

    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        tools: Any = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
        items: list[Any] = [{"role": "user", "content": QUESTION}]

        def turn() -> Any:
            if not stream:
                return client.responses.create(model="m", input=items, tools=tools, store=False)
            with client.responses.stream(model="m", input=items, tools=tools, store=False) as events:
                for _ in events:
                    pass
                return events.get_final_response()

        asked = turn()
        calls = [item for item in asked.output if item.type == "function_call"]
        items += [item.to_dict() for item in asked.output]
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": RESULT} for call in calls]
        return (calls[0].name, json.loads(calls[0].arguments)), turn().output_text


def anthropic_messages(url: str, stream: bool) -> tuple[Any, str]:
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        tools: Any = [{"name": "weather", "input_schema": SCHEMA}]
        messages: list[Any] = [{"role": "user", "content": QUESTION}]

        def turn() -> Any:
            request = {"model": "m", "max_tokens": 500, "messages": messages, "tools": tools}
            if not stream:
                return client.messages.create(**request)
            with client.messages.stream(**request) as events:
                return events.get_final_message()

        asked = turn()
        [call] = [block for block in asked.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": RESULT}
        messages += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
        return (call.name, call.input), turn().content[0].text


def boto3_converse(url: str, stream: bool) -> tuple[Any, str]:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )
    tools = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}]}
    messages: list[Any] = [{"role": "user", "content": [{"text": QUESTION}]}]

    def turn() -> Any:
        if not stream:
            return client.converse(modelId="m", messages=messages, toolConfig=tools)["output"]["message"]
        return _collected(client.converse_stream(modelId="m", messages=messages, toolConfig=tools)["stream"])

    asked = turn()
    [call] = [block["toolUse"] for block in asked["content"] if "toolUse" in block]
    result = {"toolUseId": call["toolUseId"], "content": [{"text": RESULT}]}
    messages += [asked, {"role": "user", "content": [{"toolResult": result}]}]
    answer = (call["name"], call["input"]), turn()["content"][0]["text"]
    client.close()
    return answer


def _collected(events: Any) -> Any:

    blocks: dict[int, Any] = {}
    for event in events:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            blocks[start["contentBlockIndex"]] = {"toolUse": {**start["start"]["toolUse"], "input": ""}}
        elif "contentBlockDelta" in event:
            place, delta = event["contentBlockDelta"]["contentBlockIndex"], event["contentBlockDelta"]["delta"]
            block = blocks.setdefault(place, {})
            if "text" in delta:
                block["text"] = block.get("text", "") + delta["text"]
            elif "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
            else:
                inner = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
                inner.update(delta["reasoningContent"])
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return {"role": "assistant", "content": [blocks[place] for place in sorted(blocks)]}


def google_genai(url: str, stream: bool) -> tuple[Any, str]:
    client = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=url))
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=QUESTION)])]

    def turn() -> list[types.Part]:
        if not stream:
            answers = [client.models.generate_content(model="m", contents=contents, config=config)]
        else:
            answers = list(client.models.generate_content_stream(model="m", contents=contents, config=config))
        found = [candidate.content for answer in answers for candidate in answer.candidates or []]
        return [part for content in found if content is not None for part in content.parts or []]

    asked = turn()
    [call] = [part.function_call for part in asked if part.function_call is not None]
    response = types.FunctionResponse(id=call.id, name=call.name, response={"output": RESULT})
    contents += [
        types.Content(role="model", parts=asked),
        types.Content(role="user", parts=[types.Part(function_response=response)]),
    ]
    said = "".join(part.text or "" for part in turn())
    client.close()
    return (call.name, call.args), said


SDKS: dict[str, Callable[[str, bool], tuple[Any, str]]] = {
    "openai-chat": openai_chat,
    "openai-responses": openai_responses,
    "anthropic": anthropic_messages,
    "boto3": boto3_converse,
    "google-genai": google_genai,
}


@pytest.mark.parametrize("backend_format", list(DIALECTS))
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_every_sdk_runs_a_tool(backend_format: str, stream: bool, tmp_path: Path) -> None:
    agent = Agent(backend_format, ToolUse("weather", {"city": "Bern"}))
    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for(backend_format, backend.url)) as gateway,
    ):
        for name, converse in SDKS.items():
            call, said = await asyncio.to_thread(converse, gateway.url, stream)
            assert (call, said.strip()) == (CALL, SAID), name
    assert agent.results == [RESULT] * len(SDKS)
    if backend_format != "chat_completions":  # which has no state of the model's
        assert agent.states == [True] * len(SDKS), "the model gets its own reasoning back"
    assert [record.outcome for record in gateway.records] == ["complete"] * 2 * len(SDKS)


def anthropic_tool_runner(url: str) -> str:
    """Asks for a thread on the server first, and does without one where there is none."""

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        assert city == "Bern"
        return RESULT

    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model="m", max_tokens=2_000, messages=[{"role": "user", "content": "Weather?"}], tools=[weather]
        )
        return "".join(block.text for block in runner.until_done().content if block.type == "text")


@pytest.mark.parametrize("backend_format", list(DIALECTS))
async def test_anthropics_tool_runner_ends_its_loop(backend_format: str, tmp_path: Path) -> None:
    agent = Agent(backend_format, ToolUse("weather", {"city": "Bern"}))
    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for(backend_format, backend.url)) as gateway,
    ):
        said = await asyncio.to_thread(anthropic_tool_runner, gateway.url)
    assert said.strip() == SAID
    assert agent.results == [RESULT]


@pytest.mark.parametrize("backend_format", [name for name in DIALECTS if name != "responses"])
async def test_openais_client_compacts_a_conversation(backend_format: str, tmp_path: Path) -> None:
    agent = Agent(backend_format, ToolUse("weather", {"city": "Bern"}))

    def compact(url: str) -> list[str]:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            short = client.responses.compact(model="m", input=QUESTION)
            items: Any = [item.to_dict(warnings=False) for item in short.output]
            items.append({"role": "user", "content": "Go on."})
            said = client.responses.create(model="m", input=items, store=False).output_text
            return [short.object, *(item.type for item in short.output), said]

    async with (
        BackendServer(agent) as backend,
        served(tmp_path, document_for(backend_format, backend.url)) as gateway,
    ):
        found = await asyncio.to_thread(compact, gateway.url)
    assert found[:3] == ["response.compaction", "message", "compaction"] and found[3]
