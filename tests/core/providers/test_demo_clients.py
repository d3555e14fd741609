"""The demo backend judged by the vendors' SDKs: every answer must satisfy their types, streamed and not."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.core.providers.demo_bridge import anthropic_client, openai_client

CHAT_WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
RESPONSES_WEATHER: Any = {"type": "function", **CHAT_WEATHER["function"]}
MESSAGES_WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": CHAT_WEATHER["function"]["parameters"],
}
QUESTION: Any = {"role": "user", "content": "What is the weather in New York, in fahrenheit?"}
WEATHER = {"city": "New York", "unit": "fahrenheit"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


def strictly(value: BaseModel) -> None:
    """Holds a value against its SDK's type: the SDKs themselves build their objects without checking."""
    type(value).model_validate_json(value.to_json())  # type: ignore[attr-defined]


async def test_chat() -> None:
    client = openai_client()
    done = await client.chat.completions.create(model="gpt-5", messages=[QUESTION])
    strictly(done)
    choice = done.choices[0]
    assert choice.finish_reason == "stop"
    assert choice.message.content is not None
    assert all(word in choice.message.content for word in ("gpt-5", "1 message", "Chat Completions", "New York"))
    assert done.usage is not None and done.usage.completion_tokens > 10 < done.usage.prompt_tokens


async def test_chat_streams_the_same_words() -> None:
    client = openai_client()
    whole = await client.chat.completions.create(model="gpt-5", messages=[QUESTION])
    async with client.chat.completions.stream(
        model="gpt-5", messages=[QUESTION], stream_options={"include_usage": True}
    ) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_completion()
    strictly(final)
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.usage == whole.usage
    assert len([event for event in events if event.type == "content.delta"]) > 20


async def test_chat_chunks() -> None:
    stream = await openai_client().chat.completions.create(model="gpt-5", messages=[QUESTION], stream=True)
    chunks = [chunk async for chunk in stream]
    for chunk in chunks:
        strictly(chunk)
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks)
    assert [chunk.choices[0].finish_reason for chunk in chunks].count("stop") == 1


@pytest.mark.parametrize("choice", [None, "required", {"type": "function", "function": {"name": "get_weather"}}])
async def test_chat_runs_a_tool(choice: Any) -> None:
    client = openai_client()
    options = {} if choice is None else {"tool_choice": choice}
    asked = await client.chat.completions.create(model="m", messages=[QUESTION], tools=[CHAT_WEATHER], **options)
    strictly(asked)
    assert asked.choices[0].finish_reason == "tool_calls"
    message = asked.choices[0].message
    assert message.content is None and message.tool_calls is not None
    call = message.tool_calls[0]
    assert call.type == "function" and json.loads(call.function.arguments) == WEATHER
    output: Any = {"role": "tool", "tool_call_id": call.id, "content": "72 degrees and sunny"}
    turns: list[Any] = [QUESTION, message.to_dict(), output]
    answered = await client.chat.completions.create(model="m", messages=turns, tools=[CHAT_WEATHER])
    assert "72 degrees and sunny" in (answered.choices[0].message.content or "")


async def test_chat_streams_a_tool_call_that_the_sdk_parses() -> None:
    async with openai_client().chat.completions.stream(
        model="m", messages=[QUESTION], tools=[CHAT_WEATHER]
    ) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None and calls[0].function.parsed_arguments == WEATHER
    assert len([event for event in events if event.type == "tool_calls.function.arguments.delta"]) > 2


async def test_chat_fills_a_schema() -> None:
    text: Any = [{"role": "user", "content": "Ada is 36"}]
    done = await openai_client().chat.completions.parse(model="m", messages=text, response_format=Person)
    assert done.choices[0].message.parsed is not None
    assert done.choices[0].message.parsed.age == 36


async def test_chat_reasons_when_asked() -> None:
    client = openai_client()
    done = await client.chat.completions.create(model="m", messages=[QUESTION], reasoning_effort="high")
    assert "high" in done.choices[0].message.to_dict()["reasoning_content"]  # type: ignore[operator]
    assert done.usage is not None and done.usage.completion_tokens_details is not None
    assert (done.usage.completion_tokens_details.reasoning_tokens or 0) > 5
    stream = await client.chat.completions.create(
        model="m", messages=[QUESTION], reasoning_effort="high", stream=True
    )
    deltas = [chunk.choices[0].delta.to_dict() async for chunk in stream]
    assert len([delta for delta in deltas if "reasoning_content" in delta]) > 5


async def test_chat_custom_tool() -> None:
    tool: Any = {"type": "custom", "custom": {"name": "note"}}
    turn: Any = [{"role": "user", "content": "Use the note tool"}]
    done = await openai_client().chat.completions.create(model="m", messages=turn, tools=[tool])
    strictly(done)
    calls = done.choices[0].message.tool_calls
    assert calls is not None and calls[0].type == "custom" and calls[0].custom.input == "Use the note tool"


async def test_responses() -> None:
    done = await openai_client().responses.create(model="gpt-5", input="Hello there", instructions="Be kind")
    strictly(done)
    assert done.status == "completed"
    assert all(word in done.output_text for word in ("gpt-5", "Responses", "Hello there", "7 characters"))
    assert done.usage is not None and done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens


async def test_responses_events() -> None:
    asking: Any = {"model": "m", "input": "Use both tools", "reasoning": {"summary": "auto"}, "stream": True}
    for tools in ([], [RESPONSES_WEATHER, {"type": "custom", "name": "exec"}]):
        stream = await openai_client().responses.create(**asking, tools=tools)
        async for event in stream:
            strictly(event)


async def test_responses_stream() -> None:
    client = openai_client()
    whole = await client.responses.create(
        model="gpt-5", input="Hello", reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
    )
    async with client.responses.stream(
        model="gpt-5", input="Hello", reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
    ) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == whole.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds: list[str] = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert kinds.count("response.output_text.delta") > 20 < kinds.count("response.reasoning_summary_text.delta")
    reasoning = final.output[0]
    assert reasoning.type == "reasoning" and reasoning.encrypted_content
    assert whole.output[0].to_dict()["summary"] == reasoning.to_dict()["summary"]
    again: Any = [*(item.to_dict() for item in final.output), {"role": "user", "content": "And now?"}]
    strictly(await client.responses.create(model="gpt-5", input=again))


@pytest.mark.parametrize("stream", [False, True])
async def test_responses_run_a_tool(stream: bool) -> None:
    client = openai_client()
    asking: Any = {"model": "m", "input": [QUESTION], "tools": [RESPONSES_WEATHER]}
    if stream:
        async with client.responses.stream(**asking) as opened:
            asked: Any = await opened.get_final_response()
    else:
        asked = await client.responses.create(**asking)
    call = asked.output[0]
    assert call.type == "function_call" and json.loads(call.arguments) == WEATHER
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "72 degrees"}
    turns = [QUESTION, {key: value for key, value in call.to_dict().items() if key != "parsed_arguments"}, output]
    answered = await client.responses.create(**{**asking, "input": turns})
    assert "72 degrees" in answered.output_text


async def test_responses_fill_a_schema() -> None:
    done = await openai_client().responses.parse(model="m", input="Ada is 36", text_format=Person)
    assert done.output_parsed is not None and done.output_parsed.age == 36


async def test_responses_namespaces_and_custom_tools_stream() -> None:
    tools: Any = [
        {"type": "namespace", "name": "fs", "description": "Files", "tools": [RESPONSES_WEATHER]},
        {"type": "custom", "name": "exec"},
        {"type": "web_search"},
    ]
    turn = "Call both tools"
    async with openai_client().responses.stream(model="m", input=turn, tools=tools, tool_choice="required") as opened:
        final = await opened.get_final_response()
    function, custom = final.output
    assert function.type == "function_call" and function.namespace == "fs"
    assert custom.type == "custom_tool_call" and custom.input == turn


async def test_messages() -> None:
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    content: Any = [image, {"type": "text", "text": "What is this?"}]
    done = await anthropic_client().messages.create(
        model="claude-sonnet-5", max_tokens=500, messages=[{"role": "user", "content": content}], system="Be kind"
    )
    strictly(done)
    block = done.content[0]
    assert block.type == "text"
    assert all(word in block.text for word in ("claude-sonnet-5", "Messages", "image/png", "What is this?"))
    assert done.stop_reason == "end_turn" and done.usage.output_tokens > 10 < done.usage.input_tokens


async def test_messages_stream_with_thinking() -> None:
    client = anthropic_client()
    asking: Any = {"model": "m", "max_tokens": 4000, "messages": [QUESTION], "thinking": {"type": "adaptive"}}
    whole = await client.messages.create(**asking)
    async with client.messages.stream(**asking) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_message()
    strictly(final)
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert [getattr(block, "text", None) for block in final.content] == [
        getattr(block, "text", None) for block in whole.content
    ]
    thinking, text = final.content
    assert thinking.type == "thinking" and thinking.thinking and thinking.signature and text.type == "text"
    assert len([event for event in events if event.type == "thinking"]) > 5
    assert len([event for event in events if event.type == "text"]) > 20
    turns: list[Any] = [QUESTION, {"role": "assistant", "content": final.content}, {"role": "user", "content": "Ok"}]
    strictly(await client.messages.create(**{**asking, "messages": turns}))


@pytest.mark.parametrize("choice", [None, {"type": "any"}, {"type": "tool", "name": "get_weather"}])
async def test_messages_run_a_tool(choice: Any) -> None:
    client = anthropic_client()
    asking: Any = {"model": "m", "max_tokens": 400, "messages": [QUESTION], "tools": [MESSAGES_WEATHER]}
    forced = {} if choice is None else {"tool_choice": choice}
    async with client.messages.stream(**asking, **forced) as stream:
        final = await stream.get_final_message()
    strictly(final)
    call = final.content[0]
    assert final.stop_reason == "tool_use" and call.type == "tool_use" and call.input == WEATHER
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "72 degrees"}
    turns = [QUESTION, {"role": "assistant", "content": final.content}, {"role": "user", "content": [result]}]
    answered = await client.messages.create(**{**asking, "messages": turns})
    assert "72 degrees" in answered.content[0].text  # type: ignore[union-attr]


async def test_messages_tool_runner() -> None:
    @anthropic.beta_async_tool
    async def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: its name
        """
        return f"sunny in {city}"

    runner = anthropic_client().beta.messages.tool_runner(
        model="m", max_tokens=400, tools=[get_weather], messages=[QUESTION]
    )
    final = await runner.until_done()
    assert "sunny in New York" in final.content[0].text  # type: ignore[union-attr]


async def test_messages_fill_a_schema() -> None:
    done = await anthropic_client().messages.parse(
        model="m", max_tokens=400, messages=[{"role": "user", "content": "Ada is 36"}], output_format=Person
    )
    assert done.parsed_output is not None and done.parsed_output.age == 36


async def test_count_tokens() -> None:
    client = anthropic_client()
    short = await client.messages.count_tokens(model="m", messages=[QUESTION])
    long = await client.messages.count_tokens(model="m", messages=[QUESTION], tools=[MESSAGES_WEATHER], system="Hi")
    strictly(short)
    done = await client.messages.create(model="m", max_tokens=9, messages=[QUESTION])
    assert long.input_tokens > short.input_tokens == done.usage.input_tokens


async def test_embeddings() -> None:
    client = openai_client()
    texts = ["the cat sat on the mat", "a cat sat on a mat", "quarterly revenue grew"]
    made = await client.embeddings.create(model="e", input=texts, dimensions=256)
    strictly(made)
    first, near, far = (each.embedding for each in made.data)
    assert len(first) == 256 and abs(sum(value * value for value in first) - 1) < 1e-6

    def likeness(other: list[float]) -> float:
        return sum(a * b for a, b in zip(first, other, strict=True))

    assert likeness(near) > likeness(far) + 0.2
    again = await client.embeddings.create(model="e", input=texts[0], dimensions=256, encoding_format="float")
    assert again.data[0].embedding == pytest.approx(first, abs=1e-6)
    packed = await client.embeddings.with_raw_response.create(model="e", input=[[1, 2]], encoding_format="base64")
    held = json.loads(packed.content)["data"][0]["embedding"]
    assert len(struct.unpack("<1536f", base64.b64decode(held))) == 1536


async def test_errors_are_the_sdks_own() -> None:
    nothing: Any = []
    with pytest.raises(openai.BadRequestError) as chat:
        await openai_client().chat.completions.create(model="m", messages=nothing)
    assert (chat.value.param, chat.value.code) == ("messages", "empty_array")
    with pytest.raises(anthropic.BadRequestError) as messages:
        await anthropic_client().messages.create(model="m", max_tokens=0, messages=[QUESTION])
    assert "max_tokens" in str(messages.value)
    with pytest.raises(openai.NotFoundError):
        await openai_client().images.generate(prompt="x")
