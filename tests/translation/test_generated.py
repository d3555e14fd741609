"""read(write(c)) == c, per format, on generated conversations.

What a format cannot tell apart (a bare string and one text part) is settled by its first reading: from there on the
conversation must come back equal, and on the first way nothing said may be lost or added.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.conversation import (
    Block,
    Conversation,
    Document,
    FormatName,
    Image,
    Message,
    Origin,
    Reasoning,
    Sampling,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from core.formats import load_format
from core.formats.contract import Call, Target
from core.models.resolve import facts_for
from tests.translation.essence import lost
from tests.translation.test_loss import FORMATS, MODELS

OPENAI = ("chat_completions", "responses")
VENDORS = {"chat_completions": "openai", "responses": "openai", "generate_content": "google"}
STATE = "c3RhdGUtb2YtdGhlLW1vZGVs"

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    str.strip
)
names = st.from_regex(r"[a-z][a-zA-Z0-9_-]{0,20}", fullmatch=True)
arguments = st.dictionaries(names, st.one_of(st.integers(), texts, st.booleans(), st.none()), max_size=3).map(
    json.dumps
)
images = st.just(Image(Source("base64", "iVBORw0KGgo=", "image/png")))
documents = st.builds(Document, st.just(Source("base64", "JVBERi0xLjQK", "application/pdf")), names)
said = st.one_of(st.builds(Text, texts), images, documents)


@st.composite
def turns(draw: st.DrawFn, client: FormatName) -> list[Message]:
    """Questions, answers, and calls with their results, as `client` has them."""
    messages = [Message("system", [Text(draw(texts))], slot=_SLOTS.get(client))] if draw(st.booleans()) else []
    calls = 0
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message("user", [Text(draw(texts)), *draw(st.lists(said, max_size=2))]))
        thoughts: list[Block] = [_thought(client, len(messages))] if draw(st.booleans()) else []
        called = draw(st.lists(st.builds(ToolCall, st.just(""), names, arguments), max_size=3))
        for call in called:
            calls += 1
            call.id = f"call_{calls}"
        words: list[Block] = [Text(draw(texts))] if not called or draw(st.booleans()) else []
        messages.append(Message("assistant", [*thoughts, *words, *called]))
        results = [_result(draw, client, call) for call in called]
        if client in OPENAI:
            messages += [Message("tool", [result]) for result in results]
        elif results:
            messages.append(Message("user", list(results)))
    return messages


_SLOTS = {"messages": "system", "converse": "system", "generate_content": "systemInstruction"}


def _thought(client: FormatName, place: int) -> Reasoning:
    vendor = VENDORS.get(client, "anthropic")
    if client == "responses":
        return Reasoning(["hm"], "summary", encrypted=STATE, id=f"rs_{place}", origin=Origin(vendor))
    return Reasoning(["hm"], signature=STATE, origin=Origin(vendor))


def _result(draw: st.DrawFn, client: FormatName, call: ToolCall) -> ToolResult:
    content: list[Block] = [Text(draw(texts))]
    if client != "chat_completions":
        content += draw(st.lists(images, max_size=1))
    failed = draw(st.booleans()) if client not in OPENAI else None
    return ToolResult(call.id, content, is_error=failed, name=call.name if client == "generate_content" else None)


@st.composite
def conversations(draw: st.DrawFn, client: FormatName) -> Conversation:
    tools = [
        Tool(name, draw(texts), {"type": "object", "properties": {"a": {"type": "string"}}})
        for name in draw(st.lists(names, min_size=1, max_size=3, unique=True))
    ]
    choices = [None, ToolChoice("auto"), ToolChoice("required"), ToolChoice("named", [tools[0].name])]
    conversation = Conversation(client, "m", draw(turns(client)), tools=tools, max_tokens=draw(st.integers(1, 9999)))
    conversation.tool_choice = draw(st.sampled_from(choices))
    conversation.sampling = Sampling(
        temperature=draw(st.sampled_from([None, 0.5])), top_p=draw(st.sampled_from([None, 1]))
    )
    if client != "responses":
        conversation.stop = draw(st.lists(texts, max_size=2))
    return conversation


def _there_and_back(conversation: Conversation, client: FormatName) -> Conversation:
    target = Target(MODELS[client], "own", "own", facts_for(MODELS[client]))
    body = load_format(client).write_request(conversation, target).body
    call = Call("m", False, {"anthropic-version": "2023-06-01"})
    return load_format(client).read_request(json.loads(json.dumps(body)), call)


@pytest.mark.parametrize("client", FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_written_is_read_again(client: FormatName, data: st.DataObject) -> None:
    generated = data.draw(conversations(client))
    first = _there_and_back(generated, client)
    assert not lost(generated, first) and not lost(first, generated)
    assert [tool.name for tool in first.tools] == [tool.name for tool in generated.tools]
    assert [tool.parameters for tool in first.tools] == [tool.parameters for tool in generated.tools]
    assert (first.max_tokens, first.stop) == (generated.max_tokens, generated.stop)
    assert first.sampling == generated.sampling
    if generated.tool_choice is not None and generated.tool_choice.mode != "auto":
        assert first.tool_choice is not None
        assert (first.tool_choice.mode, first.tool_choice.names) == (
            generated.tool_choice.mode,
            generated.tool_choice.names,
        )
    first.model = generated.model
    second = _there_and_back(first, client)
    second.model = first.model
    assert second == first
