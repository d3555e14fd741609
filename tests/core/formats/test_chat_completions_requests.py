"""Chat Completions requests, read and written: recordings, fixtures, other formats' content, and bad input."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conversation import (
    Audio,
    CacheMark,
    Citation,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    OutputFormat,
    Reasoning,
    ReasoningRequest,
    Refusal,
    ServerToolCall,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Video,
)
from core.errors import ClientFault, Unsupported
from core.formats import envelope
from core.formats.chat_completions.read_request import read_request
from core.formats.chat_completions.write_request import write_request
from core.formats.contract import Call, Target
from core.models.resolve import facts_for
from tests.core.formats.chat_completions_cases import target
from tests.wire.fixtures import fixture_json, fixture_parameters
from tests.wire.recordings import Recorded, parameters, recorded_pairs

RECORDED = recorded_pairs("pydantic-ai-cassettes", "chat/completions")
PROVIDERS = ["openai", "azure-openai", "openrouter", "litellm", "databricks", "openai-compatible"]


def read(body: dict[str, Any]) -> Conversation:
    return read_request(body, Call())


def with_messages(*messages: Any, **members: Any) -> dict[str, Any]:
    return {"model": "made-1", "messages": list(messages) or [{"role": "user", "content": "Hi"}], **members}


def settled(value: Any) -> Any:
    """A request without what says nothing: null members, and the spellings of some SDKs."""
    if isinstance(value, list):
        return [settled(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: settled(item) for name, item in value.items() if item is not None}


def spelt_out(body: dict[str, Any]) -> dict[str, Any]:
    """A recorded request as OpenAI spells it: Mistral's and Hugging Face's SDKs leave out `type`."""
    body = settled(body)
    if body.get("stream") is False:
        del body["stream"]
    if body.get("tool_choice") == "any":
        body["tool_choice"] = "required"
    elif isinstance(body.get("tool_choice"), dict):
        body["tool_choice"].setdefault("type", "function")
    for tool in body.get("tools", []):
        tool.setdefault("type", "function")
    for message in body["messages"]:
        if message.get("content") == []:
            del message["content"]
        for call in message.get("tool_calls", []):
            call.pop("index", None)
    return body


@pytest.mark.parametrize("pair", parameters(RECORDED))
def test_recorded_requests_come_out_as_they_went_in(pair: Recorded) -> None:
    body = pair.request_json
    conversation = read(body)
    provider = "openai" if "api.openai.com" in pair.url else "openai-compatible"
    model = body["model"]
    written = write_request(conversation, Target(model, "made", provider, facts_for(model), body["stream"] or False))
    assert settled(written.body) == spelt_out(body)
    assert written.dropped == []


@pytest.mark.parametrize("raw", fixture_parameters("requests", "chat_completions", ".json"))
def test_made_requests_come_out_as_they_went_in(raw: bytes) -> None:
    body = json.loads(raw)
    written = write_request(
        read(body), target("openai", model=body["model"], stream=body.get("stream", False), reasoning_model=True)
    )
    assert settled(written.body) == settled(body)
    assert written.dropped == []


@pytest.mark.parametrize(
    "case", fixture_json("requests", "chat_completions/bad-requests.json"), ids=lambda c: c["param"]
)
def test_bad_requests_name_the_member(case: dict[str, Any]) -> None:
    with pytest.raises(ClientFault) as caught:
        read(case["body"])
    assert caught.value.param == case["param"]
    assert caught.value.status == 400
    assert caught.value.code in ("invalid_type", "invalid_value", "missing_required_parameter")


# Member names and part types from which odd requests are built.
_WORDS = fixture_json("requests", "chat_completions/words.json")
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "x", "auto", "function", "text", "user", "assistant", "tool", "data:,x", "data:image/png;base64,AA=="]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_WORDS["members"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def _typed(kinds: list[str], key: str) -> st.SearchStrategy[Any]:
    return st.tuples(st.sampled_from(kinds), _JSON).map(
        lambda pair: {**(pair[1] if isinstance(pair[1], dict) else {"content": pair[1]}), key: pair[0]}
    )


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(_WORDS["top_level"]), _JSON, max_size=6))
def test_odd_members_are_client_faults_or_fine(body: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **body}
    _survives(body)


@settings(max_examples=200)
@given(st.lists(_typed(["user", "assistant", "tool", "system", "function", "developer"], "role"), max_size=3))
def test_odd_messages_are_client_faults_or_fine(messages: list[Any]) -> None:
    _survives({"model": "m", "messages": messages})


@settings(max_examples=200)
@given(st.lists(_typed(_WORDS["kinds"], "type"), max_size=3))
def test_odd_parts_are_client_faults_or_fine(parts: list[Any]) -> None:
    _survives(with_messages({"role": "user", "content": parts}))
    _survives(with_messages({"role": "assistant", "content": parts, "tool_calls": parts}))


def _survives(body: dict[str, Any]) -> None:
    try:
        conversation = read(body)
    except ClientFault:
        return
    for provider in PROVIDERS:
        with contextlib.suppress(Unsupported):
            json.dumps(write_request(conversation, target(provider)).body)


def test_a_deep_nesting_is_a_client_fault() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ClientFault):
        read(with_messages({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": deep}}]}))


def test_the_model_may_stand_in_the_path() -> None:
    body = {"messages": [{"role": "user", "content": "x"}]}
    assert read_request(body, Call(model="gpt-4o")).model == "gpt-4o"
    with pytest.raises(ClientFault, match="model"):
        read(body)


# --- what clients send beside OpenAI's own form -------------------------------------------------------------


def test_anthropic_blocks_and_flat_tools_are_understood() -> None:
    conversation = read(
        with_messages(
            {"role": "user", "content": [{"type": "input_text", "text": "Look"}, "at this"]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
                    {"type": "text", "text": "OK", "citations": []},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "is_error": True,
                        "content": [
                            {
                                "type": "image",
                                "source": {"type": "base64", "media_type": "image/jpg", "data": "QQ=="},
                            }
                        ],
                    },
                    {"type": "document", "title": "T", "source": {"type": "text", "data": "words"}},
                ],
            },
            system="Be brief",
            tools=[
                {"type": "function", "name": "f", "parameters": {"type": "object"}},
                {"name": "g", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
                {"type": "custom", "name": "h", "input_schema": {}},
                {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "d"}},
                {"type": "web_search_preview"},
            ],
            tool_choice={"type": "any"},
        )
    )
    system, user, assistant, results = conversation.messages
    assert (system.role, system.plain, system.content) == ("system", True, [Text("Be brief")])
    assert user.content == [Text("Look"), Text("at this")]
    assert assistant.content == [
        Reasoning(["Hm"], signature="c2ln", origin=Origin("anthropic")),
        Text("OK"),
        ToolCall("t1", "f", '{"a":1}'),
    ]
    assert results.content == [
        ToolResult("t1", [Image(Source("base64", "QQ==", "image/jpeg"))], is_error=True),
        Document(Source("text", "words"), "T"),
    ]
    assert [(tool.name, tool.kind) for tool in conversation.tools] == [
        ("f", "function"),
        ("g", "function"),
        ("h", "function"),
        ("p", "custom"),
        ("web_search", "server"),
    ]
    assert conversation.tools[1].cache == CacheMark()
    assert conversation.tools[3].grammar == {"type": "grammar", "syntax": "lark", "definition": "d"}
    assert conversation.tool_choice == ToolChoice("required")


def test_a_responses_body_is_read_and_answered_in_chunks() -> None:
    body = {"model": "m", "input": "Hi", "stream": True, "stream_options": {"include_usage": True}}
    conversation = read(body)
    assert (conversation.format, conversation.include_usage) == ("responses", True)
    assert body["stream_options"] == {"include_usage": True}
    assert conversation.messages[-1].content == [Text("Hi")]


def test_legacy_functions() -> None:
    conversation = read(
        with_messages(
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
            {"role": "function", "name": "f", "content": "2"},
            functions=[{"name": "f", "parameters": {"type": "object"}}],
            function_call={"name": "f"},
        )
    )
    calls = [m.content[0].id for m in conversation.messages if m.role == "assistant"]
    results = [m.content[0].call_id for m in conversation.messages if m.role == "tool"]
    assert calls == results == ["call_function_1", "call_function_2"]
    assert conversation.tool_choice == ToolChoice("named", ["f"])
    written = write_request(conversation, target()).body
    assert written["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert written["messages"][2]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("members", "request_"),
    [
        ({"reasoning": {"max_tokens": 9, "effort": "low"}}, ReasoningRequest("budget", "low", 9)),
        ({"reasoning_effort": "none"}, ReasoningRequest("off", "none")),
        ({"reasoning_effort": "high"}, ReasoningRequest("effort", "high")),
        ({"reasoning": {"effort": "low", "exclude": True}}, ReasoningRequest("effort", "low", display="none")),
        ({"reasoning": {"max_tokens": 2000}}, ReasoningRequest("budget", budget=2000)),
        ({"reasoning": {"enabled": False}}, ReasoningRequest("off")),
        ({"reasoning": {"enabled": True, "summary": "auto"}}, ReasoningRequest("adaptive", display="auto")),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, ReasoningRequest("budget", budget=1024)),
        ({"thinking": {"type": "enabled"}}, ReasoningRequest("adaptive")),
        ({"thinking": {"type": "disabled"}}, ReasoningRequest("off")),
        ({"thinking": {"type": "between_tools"}}, ReasoningRequest("between_tools")),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}},
            ReasoningRequest("adaptive", display="summarized"),
        ),
        ({"include_reasoning": False}, ReasoningRequest(display="none")),
        ({"include_reasoning": True}, None),
    ],
)
def test_requests_for_reasoning(members: dict[str, Any], request_: ReasoningRequest | None) -> None:
    assert read(with_messages(**members)).reasoning == request_


OPAQUE = Reasoning(["secret"], "summary", encrypted="gAAA", id="rs_1", origin=Origin("openai", "azure-east"))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"reasoning_content": "Hm"}, [Reasoning(["Hm"])]),
        ({"reasoning": "Hm"}, [Reasoning(["Hm"])]),
        (
            {
                "reasoning_content": "Hm",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "cmVk"},
                ],
            },
            [
                Reasoning(["Hm"], signature="c2ln", origin=Origin("anthropic")),
                Reasoning(redacted="cmVk", origin=Origin("anthropic")),
            ],
        ),
        (
            {
                "reasoning_content": "a b",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "a", "format": "anthropic-claude-v1", "index": 0},
                    {"type": "reasoning.text", "text": " b", "index": 0},
                    {"type": "reasoning.text", "signature": "c2ln", "index": 0},
                    {"type": "reasoning.encrypted", "data": "cmVk", "format": "anthropic-claude-v1", "index": 1},
                ],
            },
            [
                Reasoning(["a b"], signature="c2ln", origin=Origin("anthropic")),
                Reasoning(redacted="cmVk", origin=Origin("anthropic")),
            ],
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.summary", "summary": "one", "format": "openai-responses-v1", "index": 0},
                    {"type": "reasoning.summary", "summary": "two", "format": "openai-responses-v1", "index": 1},
                    {"type": "reasoning.encrypted", "data": "gA", "format": "openai-responses-v1", "id": "rs_1"},
                    {"type": "reasoning.encrypted", "data": "gB", "format": "azure-openai-responses-v1"},
                ],
            },
            [
                Reasoning(["one", "two"], "summary", encrypted="gA", id="rs_1", origin=Origin("openai")),
                Reasoning([], "summary", encrypted="gB", origin=Origin("openai", "azure-openai-responses-v1")),
            ],
        ),
        (
            {
                "reasoning": "shown",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "R0", "format": "google-gemini-v1"}],
            },
            [Reasoning(["shown"], signature="R0", origin=Origin("google"))],
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.summary", "summary": "secret", "format": "unknown", "index": 0},
                    {"type": "reasoning.encrypted", "data": envelope.seal(OPAQUE), "index": 1},
                ],
            },
            [OPAQUE],
        ),
        (
            {"thinking_blocks": [{"type": "thinking", "thinking": "x", "signature": envelope.seal(OPAQUE)}]},
            [OPAQUE],
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.summary", "summary": "on", "format": "xai-responses-v1", "index": 0},
                    {"type": "reasoning.summary", "summary": "e", "index": 0},
                    {"type": "reasoning.summary", "summary": ""},
                ],
            },
            [Reasoning(["one"], "summary", origin=Origin("xai"))],
        ),
        (
            {
                "reasoning_content": "shown",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "gA", "format": "meta-responses-v1"}],
            },
            [Reasoning(["shown"], "summary", encrypted="gA", origin=Origin("meta"))],
        ),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": envelope.seal(OPAQUE)}]}, [OPAQUE]),
        ({"reasoning_details": "x", "thinking_blocks": [7, {}], "reasoning": 7}, []),
        ({"reasoning_details": [7, {"type": "other"}, {"type": "reasoning.encrypted"}]}, []),
    ],
)
def test_reasoning_comes_back_from_every_slot(message: dict[str, Any], expected: list[Reasoning]) -> None:
    conversation = read(with_messages({"role": "assistant", "content": "Hi", **message}))
    assert conversation.messages[0].content == [*expected, Text("Hi")]
    assert conversation.messages[0].extra == {}


def test_a_format_that_a_library_joined_to_itself_is_known() -> None:
    details = [{"type": "reasoning.text", "text": "a", "format": "anthropic-claude-v1" * 3, "signature": "cw=="}]
    message = read(with_messages({"role": "assistant", "content": "x", "reasoning_details": details})).messages[0]
    assert message.content[0] == Reasoning(["a"], signature="cw==", origin=Origin("anthropic"))


def test_thought_signatures_come_back() -> None:
    extra = {"google": {"thought_signature": "U0"}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    on_call, on_message, on_text = read(
        with_messages(
            {"role": "assistant", "tool_calls": [{**call, "extra_content": extra}]},
            {"role": "assistant", "tool_calls": [call], "extra_content": extra},
            {"role": "assistant", "content": "x", "extra_content": extra},
        )
    ).messages
    for message in (on_call, on_message, on_text):
        assert (message.content[0].signature, message.content[0].origin) == ("U0", Origin("google"))
    body = write_request(Conversation("chat_completions", "m", [on_call]), target("openai-compatible", "google")).body
    assert body["messages"][0]["tool_calls"][0]["extra_content"] == extra
    foreign = write_request(Conversation("chat_completions", "m", [on_call]), target())
    assert "extra_content" not in foreign.body["messages"][0]["tool_calls"][0]
    assert foreign.dropped[0].path == "messages[0].tool_calls[0].signature"


# --- writing for each server --------------------------------------------------------------------------------


def foreign(*messages: Message, **members: Any) -> Conversation:
    """A conversation that came in Anthropic's format."""
    return Conversation("messages", "m", list(messages), **members)


IMAGE = Image(Source("base64", "QQ==", "image/png"))


def test_tool_results_stand_behind_their_calls_and_their_images_follow() -> None:
    written = write_request(
        foreign(
            Message("assistant", [Text("I look"), ToolCall("a", "f", ""), ToolCall("b", "g", '{"x":1}')]),
            Message(
                "user",
                [
                    ToolResult("a", [Text("seen"), IMAGE]),
                    ToolResult("b", [Text("bad")], is_error=True),
                    Text("go on"),
                ],
            ),
            Message("assistant", [Text("done")]),
        ),
        target(),
    )
    assert written.body["messages"] == [
        {
            "role": "assistant",
            "content": "I look",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": '{"x":1}'}},
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "a",
            "content": [
                {"type": "text", "text": "seen"},
                {"type": "text", "text": "[The image is in the next user message.]"},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "Error: bad"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "From the result of tool call a:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
            ],
        },
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": "done"},
    ]


@pytest.mark.parametrize(
    ("result", "content"),
    [
        (ToolResult("a"), ""),
        (ToolResult("a", is_error=True), [{"type": "text", "text": "Error: "}]),
        (ToolResult("a", [Text("Error: no")], is_error=True), "Error: no"),
        (ToolResult("a", [Text("x")], cache=CacheMark("1h")), "x"),
    ],
)
def test_contents_of_tool_results(result: ToolResult, content: Any) -> None:
    written = write_request(foreign(Message("user", [result])), target("openai-compatible"))
    found = written.body["messages"][0]["content"]
    assert found == (content if not isinstance(content, list) else content[0]["text"])


def test_cache_marks_in_each_servers_words() -> None:
    conversation = foreign(
        Message("user", [Text("a", cache=CacheMark("1h")), Text("b")]),
        Message("user", [ToolResult("t", [Text("r")], cache=CacheMark())]),
    )
    router = write_request(conversation, target("openrouter", "anthropic")).body["messages"]
    assert router[0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert router[1]["content"] == [{"type": "text", "text": "r", "cache_control": {"type": "ephemeral"}}]
    openai = write_request(conversation, target("openai")).body["messages"]
    assert openai[0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "12h"}
    plain_server = write_request(conversation, target("openai-compatible"))
    assert plain_server.body["messages"][0]["content"][0] == {"type": "text", "text": "a"}
    assert [d.path for d in plain_server.dropped] == [
        "messages[0].content[0].cache_control",
        "messages[1].cache_control",
    ]


def thoughts() -> list[Any]:
    return [
        Reasoning(["Hm"], signature="c2ln", origin=Origin("anthropic")),
        Reasoning(redacted="cmVk", origin=Origin("anthropic")),
        Text("Hi"),
    ]


def test_the_mark_of_the_whole_request() -> None:
    conversation = read(with_messages(cache_control={"type": "ephemeral"}))
    assert write_request(conversation, target("openrouter")).body["cache_control"] == {"type": "ephemeral"}
    dropped = write_request(conversation, target("openai-compatible")).dropped
    assert [warning.path for warning in dropped] == ["cache_control"]


def test_openrouters_signatures_have_the_ids_of_their_calls() -> None:
    google = Origin("google")
    signed = ToolCall("tool_0_f", "f", "{}", signature="c2ln", origin=google)
    said = Message("assistant", [Reasoning(["hm"], origin=google), signed, ToolCall("tool_1_f", "f", "{}")])
    [written] = write_request(foreign(said), target("openrouter", "google")).body["messages"]
    assert written["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "format": "google-gemini-v1", "index": 0},
        {
            "type": "reasoning.encrypted",
            "data": "c2ln",
            "id": "tool_0_f",
            "format": "google-gemini-v1",
            "index": 1,
        },
    ]
    assert "extra_content" not in written["tool_calls"][0]
    assert read(with_messages(written)).messages[0].content == said.content
    unsigned = Message("assistant", [ToolCall("tool_1_f", "f", "{}")])
    [bare] = write_request(foreign(unsigned), target("openrouter", "google")).body["messages"]
    assert "reasoning_details" not in bare


def test_claudes_reasoning_in_each_servers_slot() -> None:
    conversation = foreign(Message("assistant", thoughts()))

    def message(provider: str) -> dict[str, Any]:
        return write_request(conversation, target(provider, "anthropic")).body["messages"][0]

    assert message("openrouter")["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm", "format": "anthropic-claude-v1", "index": 0, "signature": "c2ln"},
        {"type": "reasoning.encrypted", "data": "cmVk", "format": "anthropic-claude-v1", "index": 1},
    ]
    assert message("litellm")["thinking_blocks"] == [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "cmVk"},
    ]
    assert message("databricks")["content"] == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm", "signature": "c2ln"}]},
        {"type": "reasoning", "summary": [{"type": "summary_encrypted_text", "data": "cmVk"}]},
        {"type": "text", "text": "Hi"},
    ]
    again = read({"model": "m", "messages": [message("databricks")]}).messages[0].content
    assert again == thoughts()


@pytest.mark.parametrize(
    ("provider", "vendor", "block"),
    [
        ("openai", "openai", Reasoning(["Hm"])),
        ("openrouter", "anthropic", Reasoning(["Hm"])),
        ("openrouter", "openai", thoughts()[0]),
        ("litellm", "anthropic", Reasoning(["x"], encrypted="gA", origin=Origin("openai"))),
        ("openai-compatible", "meta", Reasoning(["Hm"], origin=Origin("deepseek"))),
        ("openai-compatible", "meta", Reasoning(["Hm"])),
    ],
)
def test_reasoning_that_nobody_could_read_is_dropped(provider: str, vendor: str, block: Reasoning) -> None:
    written = write_request(foreign(Message("assistant", [block, Text("Hi")])), target(provider, vendor))
    assert written.body["messages"] == [{"role": "assistant", "content": "Hi"}]
    assert [d.path for d in written.dropped] == ["messages[0].reasoning"]


def test_deepseek_gets_its_reasoning_back_as_text() -> None:
    block = Reasoning(["a", "b"], origin=Origin("deepseek"))
    written = write_request(
        foreign(Message("assistant", [block, ToolCall("c", "f", "{}")])), target("openai-compatible", "deepseek")
    )
    assert written.body["messages"][0]["reasoning_content"] == "a\n\nb"
    assert written.body["messages"][0]["content"] is None


@pytest.mark.parametrize(
    ("provider", "reasoning_model", "name"),
    [
        ("openai", False, "max_completion_tokens"),
        ("azure-openai", True, "max_completion_tokens"),
        ("azure-openai", False, "max_tokens"),
        ("openrouter", True, "max_tokens"),
        ("openai-compatible", True, "max_tokens"),
    ],
)
def test_the_limits_name(provider: str, reasoning_model: bool, name: str) -> None:
    body = write_request(foreign(max_tokens=9), target(provider, reasoning_model=reasoning_model)).body
    assert body[name] == 9
    assert sum(key in body for key in ("max_tokens", "max_completion_tokens")) == 1


def test_a_stream_always_asks_for_usage() -> None:
    conversation = read(with_messages(stream=True, stream_options={"include_obfuscation": False}))
    body = write_request(conversation, target(stream=True)).body
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert "stream_options" not in write_request(conversation, target()).body


@pytest.mark.parametrize(
    ("provider", "facts", "request_", "expected"),
    [
        ("openai", {"efforts": ("low", "high")}, ReasoningRequest("effort", "high"), {"reasoning_effort": "high"}),
        ("openai", {"efforts": ("low", "high")}, ReasoningRequest("effort", "medium"), {"reasoning_effort": "low"}),
        ("openai", {"efforts": ("minimal", "low")}, ReasoningRequest("off"), {"reasoning_effort": "minimal"}),
        ("openai", {"efforts": ("none", "low")}, ReasoningRequest("off"), {"reasoning_effort": "none"}),
        (
            "openai",
            {"efforts": ("low", "high")},
            ReasoningRequest("budget", budget=20_000),
            {"reasoning_effort": "high"},
        ),
        (
            "openai",
            {"efforts": ("low", "xhigh")},
            ReasoningRequest("budget", budget=50_000),
            {"reasoning_effort": "xhigh"},
        ),
        ("openai", {"efforts": ("low",)}, ReasoningRequest("adaptive"), {}),
        ("openai", {}, ReasoningRequest("effort", "high"), {}),
        ("openai-compatible", {"unknown": True}, ReasoningRequest("effort", "high"), {"reasoning_effort": "high"}),
        ("openai", {}, ReasoningRequest("off"), {}),
        # Claude's names for it: without a level it would not think, and its lowest level thinks.
        (
            "openai-compatible",
            {"vendor": "anthropic", "efforts": ("low", "high"), "thinking": ("adaptive", "disabled")},
            ReasoningRequest("adaptive"),
            {"reasoning_effort": "high"},
        ),
        (
            "openai-compatible",
            {"vendor": "anthropic", "efforts": ("low", "high"), "thinking": ("adaptive", "disabled")},
            ReasoningRequest("off"),
            {},
        ),
        ("openrouter", {}, ReasoningRequest("budget", budget=5), {"reasoning": {"max_tokens": 5}}),
        ("openrouter", {}, ReasoningRequest("off"), {"reasoning": {"enabled": False}}),
        ("openrouter", {}, ReasoningRequest("adaptive"), {"reasoning": {"enabled": True}}),
        (
            "openrouter",
            {},
            ReasoningRequest("effort", "low", display="none"),
            {"reasoning": {"effort": "low", "exclude": True}},
        ),
        ("openrouter", {}, ReasoningRequest(), {}),
        (
            "litellm",
            {"vendor": "anthropic", "thinking": ("enabled", "disabled")},
            ReasoningRequest("off"),
            {"thinking": {"type": "disabled"}},
        ),
        ("litellm", {"vendor": "anthropic"}, ReasoningRequest("off"), {}),
        (
            "databricks",
            {"vendor": "anthropic", "budget_minimum": 1024},
            ReasoningRequest("budget", budget=5),
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        ),
        (
            "databricks",
            {"vendor": "anthropic"},
            ReasoningRequest("effort", "low"),
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
        (
            "litellm",
            {"vendor": "anthropic", "thinking": ("adaptive",)},
            ReasoningRequest("effort", "low"),
            {"thinking": {"type": "adaptive"}, "reasoning_effort": "low"},
        ),
        (
            "litellm",
            {"vendor": "anthropic", "thinking": ("adaptive",)},
            ReasoningRequest("adaptive"),
            {"thinking": {"type": "adaptive"}},
        ),
    ],
)
def test_reasoning_is_asked_for_in_each_servers_words(
    provider: str, facts: dict[str, Any], request_: ReasoningRequest, expected: dict[str, Any]
) -> None:
    written = write_request(foreign(reasoning=request_), target(provider, **facts)).body
    assert {
        name: written[name] for name in ("reasoning_effort", "reasoning", "thinking") if name in written
    } == expected


def test_tools_with_reasoning_go_elsewhere_where_chat_refuses_them() -> None:
    tools = [Tool("f")]
    refusing = target(chat_tools_with_reasoning=False, thinking_default="on", efforts=("none", "low"))
    low = ReasoningRequest("effort", "low")
    for reasoning in (low, ReasoningRequest("budget", budget=9000), ReasoningRequest(extra={"context": "all"}), None):
        without = write_request(foreign(tools=tools, reasoning=reasoning), refusing)
        assert without.body["reasoning_effort"] == "none"
        lost = ["reasoning", *(["reasoning.context"] if reasoning is not None and reasoning.extra else [])]
        assert [d.path for d in without.dropped] == lost
    own = foreign(tools=tools, reasoning=low)
    own.format = "chat_completions"
    with pytest.raises(Unsupported, match="Responses"):
        write_request(own, refusing)
    always = target(chat_tools_with_reasoning=False, thinking_default="always", efforts=("low",))
    with pytest.raises(Unsupported, match="Responses"):
        write_request(foreign(tools=tools), always)
    assert write_request(foreign(tools=tools, reasoning=ReasoningRequest("effort", "none")), refusing).body["tools"]
    assert write_request(foreign(tools=tools, reasoning=ReasoningRequest("off")), refusing).body["tools"]
    assert write_request(foreign(), refusing).body
    off = target(chat_tools_with_reasoning=False, thinking_default="off")
    assert write_request(foreign(tools=tools), off).body["tools"]


def test_metadata_goes_with_what_is_stored() -> None:
    for stored, kept, lost in ((True, {"a": "b"}, []), (False, None, ["metadata"]), (None, None, ["metadata"])):
        result = write_request(foreign(metadata={"a": "b"}, store=stored), target())
        assert (result.body.get("metadata"), [item.path for item in result.dropped]) == (kept, lost)
    assert write_request(foreign(metadata={}), target()).dropped == []


def test_tiers_of_other_formats() -> None:
    assert write_request(foreign(service_tier="standard_only"), target()).body["service_tier"] == "default"
    reserved = write_request(foreign(service_tier="reserved"), target())
    assert "service_tier" not in reserved.body and [item.path for item in reserved.dropped] == ["service_tier"]


def test_tools_and_choices() -> None:
    tools = [
        Tool("f", "d", {"type": "object"}, True, extra={"eager": True}, cache=CacheMark()),
        Tool("p", kind="custom", grammar={"type": "grammar", "syntax": "lark", "definition": "x"}),
        Tool("n", namespace="mcp"),
    ]
    written = write_request(
        foreign(tools=tools, tool_choice=ToolChoice("named", ["p"]), parallel_tool_calls=False), target()
    )
    assert written.body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        },
        {
            "type": "custom",
            "custom": {"name": "p", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}},
        },
        {"type": "function", "function": {"name": "mcp__n"}},
    ]
    assert written.body["tool_choice"] == {"type": "custom", "custom": {"name": "p"}}
    assert written.body["parallel_tool_calls"] is False
    assert [d.path for d in written.dropped] == ["tools[0].cache_control", "tools[0].eager"]
    choice = ToolChoice("allowed", ["f"], required=True)
    openai = write_request(foreign(tools=tools, tool_choice=choice), target()).body["tool_choice"]
    assert openai["allowed_tools"] == {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}
    other = write_request(foreign(tools=tools[:1], tool_choice=choice), target("openrouter"))
    assert other.body["tool_choice"] == "required" and "tool_choice" in [d.path for d in other.dropped]
    assert "tool_choice" not in write_request(foreign(tool_choice=ToolChoice("none")), target()).body


@pytest.mark.parametrize(
    ("provider", "tool"),
    [
        ("openai-compatible", Tool("p", kind="custom")),
        ("openai", Tool("bash", kind="client", format="messages", raw={"type": "bash_20250124"})),
        ("openai", Tool("code_execution", kind="server", format="messages")),
        ("openai", Tool("web_search", kind="server", format="messages")),
    ],
)
def test_tools_that_a_server_has_not_are_refused(provider: str, tool: Tool) -> None:
    with pytest.raises(Unsupported) as caught:
        write_request(foreign(tools=[tool]), target(provider))
    assert caught.value.feature == "tools[0]"


def test_web_search_in_each_servers_words() -> None:
    tools = [Tool("web_search", kind="server", format="messages")]
    assert write_request(foreign(tools=tools), target("openrouter")).body["plugins"] == [{"id": "web"}]
    assert write_request(foreign(tools=tools), target("litellm")).body["web_search_options"] == {}
    search = target("openai", model="gpt-4o-search-preview")
    assert write_request(foreign(tools=tools), search).body["web_search_options"] == {}
    own = read(with_messages(tools=[{"type": "openrouter:web_search", "x": 1}], web_search_options={"y": 2}))
    body = write_request(own, target("openrouter")).body
    assert body["tools"] == [{"type": "openrouter:web_search", "x": 1}] and body["web_search_options"] == {"y": 2}


@pytest.mark.parametrize(
    ("provider", "block"),
    [
        ("openai", Video(Source("url", "https://e/x.mp4"))),
        ("openai", Document(Source("url", "https://e/x.pdf"))),
        ("openai", Document(Source("blocks", blocks=[IMAGE]))),
        ("openai", Image(Source("file_id", "file_1"))),
        ("openai", Image(Source("s3", "s3://b/k"))),
        ("openai", Audio(Source("url", "https://e/x.wav"))),
        ("openai", Opaque("messages", "search_result", {}, content=True)),
    ],
)
def test_content_without_a_place_is_refused(provider: str, block: Any) -> None:
    with pytest.raises(Unsupported) as caught:
        write_request(foreign(Message("user", [block])), target(provider))
    assert caught.value.feature == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("provider", "block", "part"),
    [
        (
            "openai",
            Image(Source("url", "https://e/x.png"), "low"),
            {"type": "image_url", "image_url": {"url": "https://e/x.png", "detail": "low"}},
        ),
        (
            "openai",
            Audio(Source("base64", "QQ", "audio/mpeg")),
            {"type": "input_audio", "input_audio": {"data": "QQ", "format": "mp3"}},
        ),
        (
            "openai",
            Audio(Source("base64", "QQ", "audio/flac")),
            {"type": "input_audio", "input_audio": {"data": "QQ", "format": "flac"}},
        ),
        (
            "openai",
            Document(Source("base64", "QQ", "application/pdf")),
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,QQ"}},
        ),
        (
            "openai",
            Document(Source("file_id", "file_1"), "n"),
            {"type": "file", "file": {"file_id": "file_1", "filename": "n"}},
        ),
        (
            "openai",
            Document(Source("text", "words"), "n"),
            {"type": "text", "text": '<document title="n">\nwords\n</document>'},
        ),
        (
            "openai",
            Document(Source("blocks", blocks=[Text("a"), Text("b")])),
            {"type": "text", "text": "<document>\na\n\nb\n</document>"},
        ),
        (
            "openrouter",
            Document(Source("url", "https://e/x.pdf"), "n"),
            {"type": "file", "file": {"filename": "n", "file_data": "https://e/x.pdf"}},
        ),
        (
            "openrouter",
            Video(Source("url", "https://e/x.mp4")),
            {"type": "video_url", "video_url": {"url": "https://e/x.mp4"}},
        ),
    ],
)
def test_content_parts(provider: str, block: Any, part: dict[str, Any]) -> None:
    body = write_request(foreign(Message("user", [Text(""), Text("x"), block])), target(provider)).body
    assert body["messages"][0]["content"][1] == part


def test_what_has_no_place_is_dropped_with_a_warning() -> None:
    conversation = foreign(
        Message("developer", [Text("s")], name="n", extra={"x": 1}),
        Message(
            "assistant",
            [
                Text("a", citations=[Citation(url="https://e")]),
                ServerToolCall("s", "web_search", "{}", "messages", {}),
                Opaque("messages", "container", {}),
                Refusal("no"),
            ],
        ),
        Message("user", [Document(Source("text", "w"), context="c", citations=True), Opaque("messages", "x", {})]),
        extra={"container": "c"},
        betas=["b"],
        stop=["1", "2", "3", "4", "5"],
        reasoning=ReasoningRequest("off", extra={"odd": 1}),
        store=True,
        verbosity="low",
        metadata={"a": "b"},
        service_tier="standard_only",
        cache_key="k",
        user="u" * 65,
    )
    conversation.sampling.temperature, conversation.sampling.top_k, conversation.sampling.seed = 1.0, 5, 7
    written = write_request(conversation, target("databricks", sampling=False))
    assert {dropped.path for dropped in written.dropped} == {
        "messages[0].name",
        "messages[0].x",
        "messages[1].content[0].citations",
        "messages[1].content[1]",
        "messages[1].content[2]",
        "messages[2].content[0].context",
        "messages[2].content[0].citations",
        "messages[2].content[1]",
        "container",
        "betas",
        "stop",
        "reasoning.odd",
        "store",
        "verbosity",
        "metadata",
        "service_tier",
        "prompt_cache_key",
        "user",
        "temperature",
    }
    assert written.body["stop"] == ["1", "2", "3", "4"] and written.body["seed"] == 7 and written.body["top_k"] == 5
    assert written.body["messages"][0]["role"] == "system"
    assert written.body["messages"][1]["refusal"] == "no"
    openai = write_request(conversation, target("openai")).body
    assert len(openai["user"]) == 64 and openai["service_tier"] == "default" and "top_k" not in openai
    assert "stop" not in write_request(foreign(stop=["x"]), target(stop_sequences=False)).body


def test_an_earlier_answer_cannot_be_referred_to() -> None:
    with pytest.raises(Unsupported):
        write_request(foreign(previous_response_id="resp_1"), target())


def test_output_formats() -> None:
    schema = {"type": "object", "additionalProperties": False}
    body = write_request(foreign(output_format=OutputFormat("json_schema", schema)), target()).body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }
    body = write_request(foreign(output_format=OutputFormat("json_object")), target()).body
    assert body["response_format"] == {"type": "json_object"}


def test_the_translated_prefix_stays_the_same_bytes() -> None:
    turns = [
        Message("user", [Text("a"), IMAGE]),
        Message("assistant", [*thoughts(), ToolCall("c", "f", "{}")]),
        Message("user", [ToolResult("c", [IMAGE])]),
        Message("assistant", [Text("b")]),
        Message("user", [Text("c")]),
    ]
    for provider in PROVIDERS:
        where = target(provider, "anthropic")
        long = write_request(foreign(*turns), where).body["messages"]
        for length in range(1, len(turns)):
            short = write_request(foreign(*turns[:length]), where).body["messages"]
            assert json.dumps(long).startswith(json.dumps(short)[:-1])


def test_what_a_server_cannot_be_asked_for_is_dropped() -> None:
    wish = ReasoningRequest("adaptive", display="summarized", encrypted=True, extra={"odd": 1})
    dropped = write_request(foreign(reasoning=wish), target()).dropped
    assert [warning.path for warning in dropped] == ["reasoning.odd", "include", "reasoning"]
    own = read(with_messages(reasoning={"effort": "low", "odd": 1}))
    assert write_request(own, target("openrouter")).body["reasoning"] == {"effort": "low", "odd": 1}
    assert write_request(foreign(reasoning=ReasoningRequest("off", "none")), target()).dropped == []


def part(value: dict[str, Any]) -> Any:
    return read(with_messages({"role": "user", "content": [value]})).messages[0].content[0]


@pytest.mark.parametrize(
    ("value", "block"),
    [
        (
            {"type": "input_image", "image_url": "https://e/x.png", "detail": "low"},
            Image(Source("url", "https://e/x.png"), "low"),
        ),
        ({"type": "input_image", "file_id": "file_1"}, Image(Source("file_id", "file_1"))),
        (
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg%2F%3E"}},
            Image(Source("base64", "PHN2Zy8+", "image/svg+xml")),
        ),
        ({"type": "image_url", "image_url": {"url": "data:,\ud83d"}}, Image(Source("base64", "7aC9", ""))),
        (
            {"type": "input_audio", "input_audio": {"data": "data:audio/x-wav;base64,UklGRg=="}},
            Audio(Source("base64", "UklGRg==", "audio/wav")),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "data:audio/x;base64,QQ==", "format": "mp3"}},
            Audio(Source("base64", "QQ==", "audio/mpeg")),
        ),
        (
            {"type": "input_file", "filename": "a.PDF", "file_data": "JVBERi0="},
            Document(Source("base64", "JVBERi0=", "application/pdf"), "a.PDF"),
        ),
        ({"type": "file", "file": {"file_data": "QQ=="}}, Document(Source("base64", "QQ=="))),
        ({"type": "input_file", "file_url": "https://e/a.pdf"}, Document(Source("url", "https://e/a.pdf"))),
        ({"type": "video_url", "video_url": "https://e/a.mp4"}, Video(Source("url", "https://e/a.mp4"))),
        (
            {"type": "image", "source": {"type": "url", "url": "https://e/x.png"}},
            Image(Source("url", "https://e/x.png")),
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "f"}, "context": "c"},
            Document(Source("file_id", "f"), context="c"),
        ),
        (
            {"type": "text", "text": "x", "citations": [{"a": 1}], "annotations": []},
            Text("x", extra={"citations": [{"a": 1}]}),
        ),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        (
            {"type": "reasoning", "summary": [7, {"type": "summary_text", "text": "Hm", "signature": "c2ln"}]},
            Reasoning(["Hm"], signature="c2ln", origin=Origin("anthropic")),
        ),
        (
            {"type": "unheard_of", "x": 1},
            Opaque("chat_completions", "unheard_of", {"type": "unheard_of", "x": 1}, content=True),
        ),
    ],
)
def test_content_parts_of_all_kinds_are_read(value: dict[str, Any], block: Any) -> None:
    assert part(value) == block


def test_parts_that_hold_nothing_are_left_out() -> None:
    parts = [{"type": "thinking", "thinking": ""}, {"type": "reasoning", "summary": 7}]
    assert read(with_messages({"role": "assistant", "content": parts})).messages[0].content == []


def test_marks_on_messages_stand_on_their_last_block() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    user, spoken, refusing = read(
        with_messages(
            {"role": "user", "content": "Hi", **mark},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
                **mark,
            },
            {"role": "assistant", "content": None, "refusal": "no", **mark},
        )
    ).messages
    assert user.content == [Text("Hi", cache=CacheMark("1h"))]
    assert spoken.content == [Text("a", cache=CacheMark())]
    assert refusing.content == [Refusal("no")]


def test_members_of_the_end_user() -> None:
    assert read(with_messages(safety_identifier="s")).user == "s"
    both = read(with_messages(user="u", safety_identifier="s"))
    assert (both.user, both.extra) == ("u", {"safety_identifier": "s"})


def test_whole_numbers_may_be_written_as_decimals() -> None:
    assert read(with_messages(max_tokens=4.0, stop="x")).max_tokens == 4


def test_plain_text_in_a_tool_message() -> None:
    written = write_request(foreign(Message("tool", [Text("orphan")], name="n", extra={"y": 1})), target())
    assert written.body["messages"] == [{"role": "user", "content": "orphan", "name": "n"}]


def test_databricks_gets_reasoning_before_calls_and_parts() -> None:
    conversation = foreign(
        Message("assistant", [thoughts()[0], ToolCall("c", "f", "{}")]),
        Message("assistant", [thoughts()[0], Text("a"), Text("b")], name="n"),
    )
    written = write_request(conversation, target("databricks", "anthropic"))
    first, second = written.body["messages"]
    assert [entry["type"] for entry in first["content"]] == ["reasoning"]
    assert [entry["type"] for entry in second["content"]] == ["reasoning", "text", "text"]
    assert [warning.path for warning in written.dropped] == ["messages[1].name"]


def test_state_without_any_text_needs_no_member() -> None:
    block = Reasoning([], origin=Origin("deepseek"))
    written = write_request(foreign(Message("assistant", [block, Text("Hi")])), target("openai-compatible", "deepseek"))
    assert written.body["messages"] == [{"role": "assistant", "content": "Hi"}]


def test_a_schema_may_be_absent() -> None:
    own = read(with_messages(response_format={"type": "json_schema", "json_schema": {"name": "n"}}))
    assert write_request(own, target()).body["response_format"] == {"type": "json_schema", "json_schema": {"name": "n"}}


def test_envelopes_in_stream_fragments_and_in_text_entries() -> None:
    sealed = envelope.seal(OPAQUE)
    details = [
        {"type": "reasoning.text", "text": "secret", "index": 0},
        {"type": "reasoning.text", "signature": sealed, "index": 0},
        {"type": "reasoning.text", "text": "", "signature": sealed, "index": 1},
    ]
    message = {"role": "assistant", "content": "Hi", "reasoning_details": details}
    assert read(with_messages(message)).messages[0].content == [OPAQUE, OPAQUE, Text("Hi")]
