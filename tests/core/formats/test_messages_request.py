"""Requests in the Messages format, read and written."""

from __future__ import annotations

import base64
import contextlib
import copy
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
    JsonObject,
    Message,
    Opaque,
    Origin,
    OutputFormat,
    Reasoning,
    ReasoningRequest,
    Refusal,
    Sampling,
    ServerToolCall,
    ServerToolResult,
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
from core.formats.contract import Call, Target, Written
from core.formats.messages import read_request, write_request
from core.models.facts import ModelFacts
from tests.wire.fixtures import fixture_json, fixture_parameters
from tests.wire.recordings import Recorded, parameters, recorded_pairs

RECORDED = [
    pair
    for folder in ("pydantic-ai-cassettes", "openllmetry-anthropic")
    for pair in recorded_pairs(folder, "api.anthropic.com/v1/messages")
]
OLD, NEW = "2023-06-01", "2026-10-21"


def target(model: str = "m", *, provider: str = "anthropic", stream: bool = False, **facts: Any) -> Target:
    return Target(model, "b", provider, ModelFacts("claude", "anthropic", **facts), stream)


def body_of(*blocks: Any, role: str = "user", **members: Any) -> JsonObject:
    return {"model": "m", "max_tokens": 5, "messages": [{"role": role, "content": list(blocks)}], **members}


def read(body: Any, **headers: str) -> Conversation:
    return read_request(body, Call(headers={name.replace("_", "-"): value for name, value in headers.items()}))


def canonical(body: JsonObject) -> JsonObject:
    """`body` with its two members that say the same in two ways in the way that the writer says it."""
    body = copy.deepcopy(body)
    if body.get("stream") is False:
        del body["stream"]
    if "output_format" in body:
        body["output_config"] = {"format": body.pop("output_format")}
    return body


def round_trip(body: JsonObject, headers: dict[str, str] | None = None) -> Written:
    conversation = read_request(body, Call(headers=headers or {}))
    return write_request(conversation, target(body["model"], stream=conversation.stream))


@pytest.mark.parametrize("pair", parameters(RECORDED))
def test_recorded_requests_survive(pair: Recorded) -> None:
    body = pair.request_json
    written = round_trip(body, pair.request_headers)
    body.setdefault("max_tokens", 8192)  # count_tokens has none
    assert written.body == canonical(body)
    assert written.dropped == []
    assert written.headers.get("anthropic-beta") == pair.request_headers.get("anthropic-beta")


@pytest.mark.parametrize("data", fixture_parameters("requests", "messages", ".json"))
def test_made_requests_survive(data: bytes) -> None:
    body = json.loads(data)
    written = round_trip(body)
    assert written.body == body
    assert written.dropped == []
    assert round_trip(body).body == written.body


def test_every_block_has_its_neutral_place() -> None:
    conversation = read(fixture_json("requests", "messages/made-every-block.json"))
    system, asked, answered, results, later, last = conversation.messages
    assert (system.role, system.slot, len(system.content)) == ("system", "system", 2)
    assert (asked.plain, asked.content) == (True, [Text("Compare these.")])
    kinds = [type(block).__name__ for block in answered.content]
    assert kinds == [
        "Reasoning",
        "Reasoning",
        "Text",
        "ServerToolCall",
        "ServerToolResult",
        "ServerToolCall",
        "ServerToolResult",
        "Opaque",
        "Opaque",
        "ToolCall",
        "ToolCall",
    ]
    assert answered.content[0] == Reasoning(["Let me look."], signature="c2lnbmF0dXJl", origin=Origin("anthropic"))
    search, found = answered.content[3:5]
    assert isinstance(search, ServerToolCall)
    assert (search.tool, search.arguments) == ("web_search", '{"query": "grass"}')
    assert isinstance(found, ServerToolResult)
    assert (found.tool, found.call_id, found.text) == ("web_search", "srvtoolu_1", "Grass\nhttps://example.com")
    call = answered.content[9]
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"city": "Zürich", "days": [1, 2.5]}'
    first, second = results.content[:2]
    assert isinstance(first, ToolResult)
    assert (first.plain, first.is_error, first.content) == (True, False, [Text("21 degrees")])
    assert isinstance(second, ToolResult)
    assert second.cache == CacheMark()
    assert (later.role, later.extra) == ("system", {"output_config": {"effort": "low"}})
    assert last.plain
    assert conversation.sampling == Sampling(temperature=0.5, top_p=0.9, top_k=5)
    assert conversation.reasoning is not None
    assert (conversation.reasoning.mode, conversation.reasoning.budget) == ("budget", 1024)
    assert (conversation.reasoning.effort, conversation.reasoning.display) == ("high", "summary")
    assert conversation.output_format is not None
    assert (conversation.user, conversation.service_tier, conversation.stream) == ("u-1", "auto", True)
    assert conversation.parallel_tool_calls is False
    assert [tool.kind for tool in conversation.tools] == [
        "function",
        "function",
        "client",
        "client",
        "server",
        "server",
    ]
    assert [tool.name for tool in conversation.tools][2:] == [
        "bash",
        "computer_toolset_20260801",
        "web_search",
        "mcp_toolset",
    ]


def test_documents_have_their_neutral_place() -> None:
    blocks = [
        {"type": "document", "source": {"type": "content", "content": "bare"}, "title": "T", "context": "C"},
        {"type": "search_result", "source": "s", "title": "B", "content": [{"type": "text", "text": "b"}]},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpg", "data": "aQ=="}},
    ]
    bare, found, image = read(body_of(*blocks)).messages[0].content
    assert isinstance(bare, Document)
    assert (bare.source.kind, bare.source.data, bare.name, bare.context) == ("text", "bare", "T", "C")
    assert isinstance(found, Document)
    assert (found.source.kind, found.source.blocks, found.name) == ("blocks", [Text("b")], "B")
    assert isinstance(image, Image)
    assert image.source.media_type == "image/jpeg"


TEXT = {"type": "text", "text": "a"}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.com/i.png"}}
TOOL = {"name": "t", "input_schema": {"type": "object"}}
INVALID: list[tuple[Any, str | None, str]] = [
    ([], None, "Input should be a valid dictionary"),
    ({}, "model", "Field required"),
    ({"model": 3, "messages": []}, "model", "Input should be a valid string"),
    ({"model": "m"}, "messages", "Field required"),
    ({"model": "m", "messages": []}, "messages", "at least one message is required"),
    ({"model": "m", "messages": "x"}, "messages", "Input should be a valid list"),
    ({"model": "m", "messages": ["x"]}, "messages.0", "Input should be a valid dictionary"),
    ({"model": "m", "messages": [{"content": "x"}]}, "messages.0.role", "Field required"),
    (
        {"model": "m", "messages": [{"role": "tool", "content": "x"}]},
        "messages.0.role",
        "Input should be 'user', 'assistant' or 'system'",
    ),
    (
        {"model": "m", "messages": [{"role": [], "content": "x"}]},
        "messages.0.role",
        "Input should be 'user', 'assistant' or 'system'",
    ),
    ({"model": "m", "messages": [{"role": "user"}]}, "messages.0.content", "Field required"),
    (
        {"model": "m", "messages": [{"role": "user", "content": None}]},
        "messages.0.content",
        "Input should be a valid string or a list of content blocks",
    ),
    (body_of(TEXT, {"text": "b"}), "messages.0.content.1.type", "Field required"),
    (body_of({"type": 1}), "messages.0.content.0.type", "Input should be a valid string"),
    (body_of({"type": "text"}), "messages.0.content.0.text", "Field required"),
    (body_of({"type": "text", "text": 1}), "messages.0.content.0.text", "Input should be a valid string"),
    (body_of({**TEXT, "citations": [1]}), "messages.0.content.0.citations.0", "Input should be a valid dictionary"),
    (
        body_of({**TEXT, "cache_control": "x"}),
        "messages.0.content.0.cache_control",
        "Input should be a valid dictionary",
    ),
    (
        body_of({**TEXT, "cache_control": {"type": "ephemeral", "ttl": 5}}),
        "messages.0.content.0.cache_control.ttl",
        "Input should be a valid string",
    ),
    (body_of(IMAGE, role="assistant"), "messages.0.content.0", "`image` blocks can only be in `user` messages"),
    (
        body_of({"type": "tool_use", "id": "a", "name": "b", "input": {}}),
        "messages.0.content.0",
        "`tool_use` blocks can only be in `assistant` messages",
    ),
    (body_of({"type": "image"}), "messages.0.content.0.source", "Input should be a valid dictionary"),
    (
        body_of({"type": "image", "source": {"type": "ftp"}}),
        "messages.0.content.0.source.type",
        "Input should be 'base64', 'url' or 'file'",
    ),
    (
        body_of({"type": "image", "source": {"type": []}}),
        "messages.0.content.0.source.type",
        "Input should be 'base64', 'url' or 'file'",
    ),
    (
        body_of({"type": "image", "source": {"type": "base64", "data": ""}}),
        "messages.0.content.0.source.media_type",
        "Field required",
    ),
    (
        body_of({"type": "document", "source": {"type": "content", "content": 1}}),
        "messages.0.content.0.source.content",
        "Input should be a valid list",
    ),
    (
        body_of({"type": "document", "source": {"type": "content", "content": [{"type": "text"}]}}),
        "messages.0.content.0.source.content.0.text",
        "Field required",
    ),
    (
        body_of({"type": "document", "source": {"type": "text", "data": "x"}, "citations": 1}),
        "messages.0.content.0.citations",
        "Input should be a valid dictionary",
    ),
    (
        body_of({"type": "tool_result", "tool_use_id": "a", "content": 1}),
        "messages.0.content.0.content",
        "Input should be a valid list",
    ),
    (
        body_of({"type": "tool_result", "tool_use_id": "a", "content": [{}]}),
        "messages.0.content.0.content.0.type",
        "Field required",
    ),
    (
        body_of({"type": "tool_result", "tool_use_id": "a", "is_error": "no"}),
        "messages.0.content.0.is_error",
        "Input should be a valid boolean",
    ),
    (body_of({"type": "tool_result"}), "messages.0.content.0.tool_use_id", "Field required"),
    (
        body_of({"type": "search_result", "source": "s", "title": "t"}),
        "messages.0.content.0.content",
        "Input should be a valid list",
    ),
    (
        body_of({"type": "tool_use", "id": "a", "name": "b"}, role="assistant"),
        "messages.0.content.0.input",
        "Field required",
    ),
    (
        body_of({"type": "tool_use", "id": "a", "name": "b", "input": []}, role="assistant"),
        "messages.0.content.0.input",
        "Input should be a valid dictionary",
    ),
    (
        body_of({"type": "thinking", "signature": ""}, role="assistant"),
        "messages.0.content.0.thinking",
        "Field required",
    ),
    (body_of({"type": "redacted_thinking"}, role="assistant"), "messages.0.content.0.data", "Field required"),
    (body_of(TEXT, system=3), "system", "Input should be a valid string or a list of content blocks"),
    (body_of(TEXT, system=[IMAGE]), "system.0", "`image` blocks can only be in `user` messages"),
    (body_of(TEXT, max_tokens="5"), "max_tokens", "Input should be a valid integer"),
    (body_of(TEXT, max_tokens=True), "max_tokens", "Input should be a valid integer"),
    (body_of(TEXT, max_tokens=0), "max_tokens", "Input should be greater than or equal to 1"),
    (body_of(TEXT, temperature="hot"), "temperature", "Input should be a valid number"),
    (body_of(TEXT, temperature=1.5), "temperature", "Input should be between 0 and 1, not 1.5"),
    (body_of(TEXT, top_k=-1), "top_k", "Input should be greater than or equal to 0"),
    (body_of(TEXT, stream="yes"), "stream", "Input should be a valid boolean"),
    (body_of(TEXT, stop_sequences="x"), "stop_sequences", "Input should be a valid list"),
    (body_of(TEXT, stop_sequences=["a", 1]), "stop_sequences.1", "Input should be a valid string"),
    (body_of(TEXT, tools={}), "tools", "Input should be a valid list"),
    (body_of(TEXT, tools=[TOOL, {"name": "u"}]), "tools.1.input_schema", "Field required"),
    (body_of(TEXT, tools=[{"input_schema": {}}]), "tools.0.name", "Field required"),
    (body_of(TEXT, tools=[{**TOOL, "input_schema": 1}]), "tools.0.input_schema", "Input should be a valid dictionary"),
    (body_of(TEXT, tool_choice={}), "tool_choice.type", "Field required"),
    (
        body_of(TEXT, tool_choice={"type": "some"}),
        "tool_choice.type",
        "Input should be 'auto', 'any', 'tool' or 'none'",
    ),
    (body_of(TEXT, tool_choice={"type": "tool"}), "tool_choice.name", "Field required"),
    (body_of(TEXT, tool_choice="auto"), "tool_choice", "Input should be a valid dictionary"),
    (body_of(TEXT, metadata=[]), "metadata", "Input should be a valid dictionary"),
    (body_of(TEXT, metadata={"user_id": 3}), "metadata.user_id", "Input should be a valid string"),
    (
        body_of(TEXT, thinking={"type": "on"}),
        "thinking.type",
        "Input should be 'adaptive', 'enabled', 'disabled' or 'between_tools'",
    ),
    (body_of(TEXT, thinking={"type": "enabled"}), "thinking.budget_tokens", "Field required"),
    (
        body_of(TEXT, thinking={"type": "enabled", "budget_tokens": 3}),
        "thinking.budget_tokens",
        "Input should be greater than or equal to 1024",
    ),
    (
        body_of(TEXT, output_config={"effort": "extreme"}),
        "output_config.effort",
        "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
    ),
    (
        body_of(TEXT, output_config={"format": {"type": "xml"}}),
        "output_config.format.type",
        "Input should be 'json_schema'",
    ),
    (body_of(TEXT, output_config={"format": {"type": "json_schema"}}), "output_config.format.schema", "Field required"),
    (
        body_of(TEXT, output_format={"type": "json_schema", "schema": 1}),
        "output_format.schema",
        "Input should be a valid dictionary",
    ),
]


@pytest.mark.parametrize(("body", "param", "message"), INVALID)
def test_wrong_bodies_are_refused_in_anthropics_words(body: Any, param: str | None, message: str) -> None:
    with pytest.raises(ClientFault) as caught:
        read(body)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert caught.value.message == (f"{param}: {message}" if param else message)


STRICT_CASES: list[tuple[JsonObject, str]] = [
    (body_of(TEXT, temperature=1.0), "temperature"),
    (body_of(TEXT, top_p=1), "top_p"),
    (body_of(TEXT, top_k=5), "top_k"),
    (body_of({**TEXT, "citations": [{"type": "char_location"}]}, system="s"), "messages.0.content.0.citations"),
    (body_of({"type": "document", "source": {"type": "url", "url": "u"}}, role="assistant"), "messages.0.content.0"),
]


@pytest.mark.parametrize(("body", "param"), STRICT_CASES)
def test_the_newer_version_refuses_what_the_older_one_takes(body: JsonObject, param: str) -> None:
    with pytest.raises(ClientFault) as caught:
        read(body, anthropic_version=NEW)
    assert caught.value.param == param
    assert param not in ("temperature", "top_p", "top_k") or caught.value.message.endswith(
        "Extra inputs are not permitted"
    )
    assert read(body, anthropic_version=OLD).messages
    assert write_request(read(body), target(latest_anthropic_version=NEW)).headers["anthropic-version"] == OLD


def test_the_newest_version_is_sent_where_nothing_needs_the_older_one() -> None:
    body = body_of(TEXT, {"type": "document", "source": {"type": "url", "url": "u"}})
    assert write_request(read(body, anthropic_version=NEW), target()).headers == {"anthropic-version": OLD}
    headers = write_request(read(body), target(latest_anthropic_version=NEW)).headers
    assert headers == {"anthropic-version": NEW}


def test_what_stands_outside_the_body_is_read() -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4.0, "betas": ["b-2"], "stream": False}
    conversation = read_request(body, Call("from-path", True, {"anthropic-beta": " b-1, b-2 ,,"}))
    assert (conversation.model, conversation.stream, conversation.max_tokens) == ("from-path", True, 4)
    assert conversation.betas == ["b-1", "b-2"]
    assert write_request(conversation, target()).headers["anthropic-beta"] == "b-1,b-2"


def test_an_envelope_gives_its_reasoning_back() -> None:
    foreign = Reasoning(["a", "b"], "summary", encrypted="xyz", id="rs_1", origin=Origin("openai"))
    sealed = envelope.seal(foreign)
    blocks = [
        {"type": "thinking", "thinking": "a\n\nb", "signature": sealed},
        {"type": "redacted_thinking", "data": sealed},
        {"type": "thinking", "thinking": "damaged", "signature": sealed[:-3] + "%%%"},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
    ]
    first, second, damaged, unsigned = read(body_of(*blocks, role="assistant")).messages[0].content
    assert first == second == foreign
    assert damaged == Reasoning(["damaged"])
    assert unsigned == Reasoning(["unsigned"], origin=Origin("anthropic"))


def test_a_texts_signature_comes_back_from_its_carrier() -> None:
    carrier = envelope.seal(Reasoning(signature="Z2Vt", origin=Origin("google"), extra={"signs_text": True}))
    thinking = {"type": "thinking", "thinking": "", "signature": carrier}
    content = read(body_of(TEXT, thinking, role="assistant")).messages[0].content
    assert content == [Text("a", signature="Z2Vt", origin=Origin("google"))]
    assert read(body_of(thinking, role="assistant")).messages[0].content == []


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["text", "image", "tool_result", "thinking", "user", "system", "ephemeral", "skybridge1.e30"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "source", "content", "id", "name", "input", "data", "signature", "thinking"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)

EVERYTHING = fixture_json("requests", "messages/made-every-block.json")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


ALL_PATHS = _paths(EVERYTHING)


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    result = copy.copy(value)
    result[path[0]] = _replaced(value[path[0]], path[1:], by)
    return result


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ALL_PATHS), json_values)
def test_no_value_anywhere_breaks_the_reader(path: tuple[Any, ...], value: Any) -> None:
    body = _replaced(EVERYTHING, path, value)
    try:
        conversation = read(body, anthropic_version=OLD)
    except ClientFault as fault:
        assert fault.status == 400
        return
    with contextlib.suppress(Unsupported):
        write_request(conversation, target())
    conversation.format = "responses"
    with contextlib.suppress(Unsupported):
        json.dumps(write_request(conversation, target()).body, allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_no_body_breaks_the_reader(body: Any) -> None:
    with contextlib.suppress(ClientFault):
        read(body)


def test_deep_nesting_is_a_clear_refusal() -> None:
    value: Any = {}
    for _ in range(100_000):
        value = {"a": value}
    block = {"type": "tool_use", "id": "a", "name": "b", "input": value}
    with pytest.raises(ClientFault, match="nested too deeply"):
        read(body_of(block, role="assistant"))


# --- other formats' conversations -------------------------------------------------------------------------


def foreign(*blocks: Any, role: Any = "user", **members: Any) -> Conversation:
    return Conversation("chat_completions", "m", [Message(role, list(blocks))], **members)


def written_blocks(*blocks: Any, role: Any = "user") -> Any:
    return write_request(foreign(*blocks, role=role), target()).body["messages"][0]["content"]


FOREIGN_BLOCKS: list[tuple[Any, Any]] = [
    (
        Text("a", cache=CacheMark("12h", {"mode": "explicit"})),
        {**TEXT, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ),
    (Image(Source("url", "https://example.com/i.png"), detail="high"), IMAGE),
    (
        Image(Source("base64", "aQ==", "image/webp")),
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "aQ=="}},
    ),
    (
        Document(Source("base64", "JVBERg=="), name="a.pdf"),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
        },
    ),
    (
        Document(Source("base64", base64.b64encode(b"a,b").decode(), "text/csv")),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
    ),
    (
        Document(Source("url", "https://example.com/d")),
        {"type": "document", "source": {"type": "url", "url": "https://example.com/d"}},
    ),
    (
        Document(Source("blocks", blocks=[Text("a")]), context="c", citations=True),
        {
            "type": "document",
            "source": {"type": "content", "content": [TEXT]},
            "context": "c",
            "citations": {"enabled": True},
        },
    ),
    (
        Reasoning(["t"], signature="c2ln", origin=Origin("anthropic")),
        {"type": "thinking", "thinking": "t", "signature": "c2ln"},
    ),
    (Reasoning(redacted="cmVk", origin=Origin("anthropic")), {"type": "redacted_thinking", "data": "cmVk"}),
    (ToolCall("i", "f", ""), {"type": "tool_use", "id": "i", "name": "f", "input": {}}),
    (ToolCall("i", "f", '{"a": 1'), {"type": "tool_use", "id": "i", "name": "f", "input": {"_raw": '{"a": 1'}}),
    (ToolCall("i", "f", "[1]"), {"type": "tool_use", "id": "i", "name": "f", "input": {"_raw": "[1]"}}),
    (
        ToolCall("i", "f", '{"a": 1e999}'),
        {"type": "tool_use", "id": "i", "name": "f", "input": {"_raw": '{"a": 1e999}'}},
    ),
    (ToolCall("i", "f", '{"a": NaN}'), {"type": "tool_use", "id": "i", "name": "f", "input": {"_raw": '{"a": NaN}'}}),
    (ToolCall("i", "f", '{"a": 1.5}'), {"type": "tool_use", "id": "i", "name": "f", "input": {"a": 1.5}}),
    (
        ToolCall("i", "f", "free", kind="custom"),
        {"type": "tool_use", "id": "i", "name": "f", "input": {"input": "free"}},
    ),
    (
        ToolResult("i", [Text("a"), Text(" ")], is_error=True),
        {"type": "tool_result", "tool_use_id": "i", "content": [TEXT], "is_error": True},
    ),
    (ToolResult("i", [Text("")], plain=True), {"type": "tool_result", "tool_use_id": "i", "content": ""}),
    (Refusal("a"), TEXT),
    (ServerToolResult("i", "code", "a", "responses", {}), TEXT),
    (Text("a", citations=[Citation(url="u", raw={"type": "url_citation"})]), TEXT),
]


@pytest.mark.parametrize(("block", "written"), FOREIGN_BLOCKS)
def test_blocks_of_other_formats_are_translated(block: Any, written: Any) -> None:
    assert written_blocks(block, role="assistant") == [written]


LEFT_OUT: list[Any] = [
    Reasoning(["t"]),
    Reasoning(["t"], signature="x", origin=Origin("google")),
    Reasoning(["t"], origin=Origin("anthropic")),
    ServerToolCall("i", "web_search", "{}", "responses", {}),
    Opaque("responses", "item", {}),
    Text("  \n"),
]


@pytest.mark.parametrize("block", LEFT_OUT)
def test_blocks_without_a_place_are_left_out(block: Any) -> None:
    written = write_request(foreign(block, Text("a"), role="assistant"), target())
    assert written.body["messages"][0]["content"] == [TEXT]
    assert bool(written.dropped) is not isinstance(block, Text)
    assert written_blocks(block, role="assistant") == "(no content)"


REFUSED: list[Any] = [
    Audio(Source("base64", "aQ==", "audio/wav")),
    Video(Source("url", "u")),
    Opaque("responses", "item", {}, content=True),
    Image(Source("base64", "aQ==", "image/tiff")),
    Image(Source("base64", "aQ==")),
    Image(Source("file_id", "file_1")),
    Image(Source("s3", "s3://b/k", "image/png")),
    Document(Source("base64", "aQ==", "application/msword")),
    Document(Source("base64", "aQ==")),
    Document(Source("base64", "/w==", "text/plain")),
    ToolResult("i", [Audio(Source("url", "u"))]),
]


@pytest.mark.parametrize("block", REFUSED)
def test_content_without_a_place_is_refused(block: Any) -> None:
    with pytest.raises(Unsupported):
        written_blocks(block)


def test_documents_have_more_sources_than_images() -> None:
    with pytest.raises(ClientFault, match="'base64', 'url', 'file', 'text' or 'content'"):
        read(body_of({"type": "document", "source": {"type": "ftp"}}))


ODD: list[tuple[str, Any]] = [
    ("user", {**TEXT, "citations": []}),
    ("user", {**TEXT, "cache_control": {"type": "persistent", "scope": "org"}}),
    ("assistant", {"type": "thinking", "thinking": "a", "signature": "c2ln", "estimated_tokens": 3}),
]


@pytest.mark.parametrize(("role", "block"), ODD)
def test_members_without_a_neutral_place_are_passed_on(role: str, block: Any) -> None:
    assert round_trip(body_of(block, role=role)).body["messages"][0]["content"] == [block]


def test_a_message_that_is_no_longer_bare_is_a_list() -> None:
    plain = Message("user", [Text("a", cache=CacheMark())], plain=True)
    written = write_request(Conversation("messages", "m", [plain]), target())
    assert isinstance(written.body["messages"][0]["content"], list)


def test_a_result_is_digested_only_so_deep() -> None:
    content: Any = [{"text": "deep"}]
    for _ in range(10):
        content = {"content": content}
    block = {"type": "x_tool_result", "tool_use_id": "i", "content": [{"text": "a"}, content, 3]}
    [result] = read(body_of(block, role="assistant")).messages[0].content
    assert isinstance(result, ServerToolResult)
    assert (result.tool, result.text) == ("x", "a")


def test_the_clients_own_odd_types_are_passed_on() -> None:
    block = {"type": "document", "source": {"type": "base64", "media_type": "application/msword", "data": "aQ=="}}
    assert round_trip(body_of(block)).body["messages"][0]["content"] == [block]


def test_a_web_citation_that_was_translated_for_the_client_does_not_go_back() -> None:
    made = {"type": "web_search_result_location", "url": "u", "title": "t", "encrypted_index": "", "cited_text": ""}
    own = {**made, "encrypted_index": "aQ=="}
    written = round_trip(body_of({**TEXT, "citations": [made, own]}, role="assistant"))
    assert written.body["messages"][0]["content"] == [{**TEXT, "citations": [own]}]
    assert [warning.path for warning in written.dropped] == ["messages.content.citations"]


def test_leading_system_messages_become_system() -> None:
    messages = [
        Message("system", [Text("a")], plain=True),
        Message("developer", [Text("b", cache=CacheMark())]),
        Message("user", [Text("c")], plain=True, name="Ann"),
        Message("developer", [Text("d")]),
        Message("tool", [Text("e"), ToolResult("i", [Text("f")], plain=True)]),
        Message("user", [Text(" ")], plain=True),
    ]
    written = write_request(Conversation("chat_completions", "m", messages), target())
    assert written.body["system"] == [TEXT, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]
    assert written.body["messages"] == [
        {"role": "user", "content": "c"},
        {"role": "system", "content": [{"type": "text", "text": "d"}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "i", "content": "f"},
                {"type": "text", "text": "e"},
            ],
        },
        {"role": "user", "content": "(no content)"},
    ]
    assert written.dropped == []


def test_a_system_message_in_the_list_stays_there() -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "system", "content": "x"}]}
    assert round_trip(body).body == body
    assert "system" not in round_trip({**body_of(TEXT), "system": ""}).body
    assert "system" not in write_request(foreign(Text(" "), role="system"), target()).body


KNOBS = foreign(
    Text("a"),
    sampling=Sampling(1, 0.5, presence_penalty=0.1, frequency_penalty=0.1, seed=1, logit_bias={"1": 2}),
    verbosity="low",
    metadata={"a": "b"},
    cache_key="k",
    store=True,
    service_tier="flex",
    stop=["END", " "],
    max_tokens=99,
    extra={"prediction": {}, "nothing": None},
    user="u",
    cache=CacheMark("30m"),
)


def test_knobs_without_a_place_are_warned_of_in_the_clients_words() -> None:
    written = write_request(KNOBS, target(max_output=50))
    assert written.body == {
        "model": "m",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": [TEXT]}],
        "temperature": 1,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "cache_control": {"type": "ephemeral", "ttl": "5m"},
    }
    assert sorted(warning.path for warning in written.dropped) == [
        "frequency_penalty",
        "logit_bias",
        "max_completion_tokens",
        "metadata",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "seed",
        "service_tier",
        "stop",
        "store",
        "top_p",
        "verbosity",
    ]


def test_models_without_sampling_get_none() -> None:
    written = write_request(KNOBS, target(sampling=False, latest_anthropic_version=NEW))
    assert "temperature" not in written.body
    assert written.headers["anthropic-version"] == NEW


@pytest.mark.parametrize(("tier", "written"), [("default", "standard_only"), ("auto", "auto")])
def test_service_tiers_are_translated(tier: str, written: str) -> None:
    assert write_request(foreign(Text("a"), service_tier=tier), target()).body["service_tier"] == written


def test_max_tokens_is_always_there() -> None:
    assert write_request(foreign(Text("a")), target(max_output=64000)).body["max_tokens"] == 64000
    assert write_request(foreign(Text("a")), target()).body["max_tokens"] == 8192
    assert write_request(foreign(Text("a"), max_tokens=7), target(max_output=64000)).body["max_tokens"] == 7


@pytest.mark.parametrize(
    "members",
    [
        {"sampling": Sampling(n=2)},
        {"sampling": Sampling(logprobs=True)},
        {"sampling": Sampling(top_logprobs=2)},
        {"previous_response_id": "r"},
        {"output_format": OutputFormat("json_object")},
        {"tools": [Tool("image_generation", kind="server", format="responses")]},
    ],
)
def test_what_changes_the_answers_meaning_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        write_request(foreign(Text("a"), **members), target())


SCHEMA = {
    "type": "object",
    "properties": {"type": {"enum": [{"type": "object"}]}, "b": {"items": [{"type": "object"}]}},
}


def test_schemas_are_enforced_or_refused() -> None:
    wanted = OutputFormat("json_schema", SCHEMA, "n", description="d", strict=False, extra={"x": 1, "y": None})
    written = write_request(foreign(Text("a"), output_format=wanted), target())
    assert written.body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "type": {"enum": [{"type": "object"}]},
                "b": {"items": [{"type": "object", "additionalProperties": False}]},
            },
            "additionalProperties": False,
        },
    }
    assert [warning.path for warning in written.dropped] == [
        "response_format.description",
        "response_format.strict",
        "response_format.x",
    ]
    for unable in (
        target(structured_output=False),
        target(provider="bedrock", structured_output_on_bedrock=False),
    ):
        with pytest.raises(Unsupported, match="response_format"):
            write_request(foreign(Text("a"), output_format=wanted), unable)
    assert "output_config" not in write_request(foreign(Text("a"), output_format=OutputFormat("text")), target()).body


REASONING: list[tuple[ReasoningRequest, JsonObject]] = [
    (ReasoningRequest("off"), {"thinking": {"type": "disabled"}}),
    (ReasoningRequest("effort", "minimal"), {"output_config": {"effort": "low"}}),
    (ReasoningRequest("effort", "none"), {}),
    (
        ReasoningRequest("adaptive", "high", display="detailed"),
        {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
    ),
    (
        ReasoningRequest("budget", budget=2048, display="none"),
        {"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}},
    ),
    (
        ReasoningRequest("adaptive", display="updates", extra={"context": "all"}),
        {"thinking": {"type": "adaptive", "display": "updates"}},
    ),
    (ReasoningRequest(display="summary"), {}),
]


@pytest.mark.parametrize(("request_", "members"), REASONING)
def test_reasoning_is_asked_for(request_: ReasoningRequest, members: JsonObject) -> None:
    written = write_request(foreign(Text("a"), reasoning=request_), target())
    assert {name: written.body[name] for name in ("thinking", "output_config") if name in written.body} == members
    assert bool(written.dropped) is bool(request_.extra)


FUNCTION = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
TOOLS: list[tuple[Tool, JsonObject]] = [
    (Tool("f"), FUNCTION),
    (
        Tool("f", "d", {"properties": {}}, strict=True, cache=CacheMark()),
        {**FUNCTION, "description": "d", "strict": True, "cache_control": {"type": "ephemeral"}},
    ),
    (Tool("f", strict=False, extra={"x": 1, "y": None}), FUNCTION),
    (
        Tool("f", kind="custom"),
        {
            "name": "f",
            "input_schema": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
        },
    ),
    (Tool("web_search", kind="server", format="responses"), {"type": "web_search_20250305", "name": "web_search"}),
    (
        Tool(
            "web_search",
            kind="server",
            format="responses",
            raw={"filters": {"allowed_domains": ["a.org"]}, "user_location": {"city": "Rome"}},
        ),
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "allowed_domains": ["a.org"],
            "user_location": {"type": "approximate", "city": "Rome"},
        },
    ),
]


@pytest.mark.parametrize(("tool", "written"), TOOLS)
def test_tools_of_other_formats_are_translated(tool: Tool, written: JsonObject) -> None:
    assert write_request(foreign(Text("a"), tools=[tool]), target()).body["tools"] == [written]


CHOICES: list[tuple[ToolChoice | None, bool | None, JsonObject | None]] = [
    (None, None, None),
    (None, True, None),
    (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    (ToolChoice("required"), True, {"type": "any"}),
    (ToolChoice("named", ["f"]), False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
    (ToolChoice("none"), False, {"type": "none"}),
    (ToolChoice("allowed", ["f"], required=True), None, {"type": "any"}),
    (ToolChoice("allowed", ["f"]), None, {"type": "auto"}),
]


@pytest.mark.parametrize(("choice", "parallel", "written"), CHOICES)
def test_tool_choices_are_translated(
    choice: ToolChoice | None, parallel: bool | None, written: JsonObject | None
) -> None:
    conversation = foreign(Text("a"), tools=[Tool("f")], tool_choice=choice, parallel_tool_calls=parallel)
    assert write_request(conversation, target()).body.get("tool_choice") == written
    conversation.tools = []
    assert "tool_choice" not in write_request(conversation, target()).body


# --- surfaces ---------------------------------------------------------------------------------------------


def test_members_behind_betas_go_only_where_the_betas_do() -> None:
    body = fixture_json("requests", "messages/made-claude-code.json")
    betas = "claude-code-20250219,context-management-2025-06-27,per-turn-control-2026-07-01,fast-mode-2026-02-01"
    body["speed"] = "fast"
    conversation = read(body, anthropic_beta=betas)
    assert write_request(conversation, target("claude-sonnet-5-5", stream=True)).body == body
    written = write_request(conversation, target(provider="bedrock"))
    assert written.headers["anthropic-beta"] == betas.removesuffix(",fast-mode-2026-02-01")
    assert "context_management" in written.body
    assert written.body["messages"][1]["output_config"] == {"effort": "high"}
    assert {warning.path for warning in written.dropped} == {"speed", "tools.defer_loading", "anthropic-beta"}
    written = write_request(read(body), target(provider="bedrock"))
    assert {warning.path for warning in written.dropped} == {
        "speed",
        "tools.defer_loading",
        "context_management",
        "messages.output_config",
    }


@pytest.mark.parametrize("members", [{"mcp_servers": [{"type": "url"}]}, {"thread": {"type": "create"}}])
def test_what_may_not_be_lost_is_refused_where_it_cannot_go(members: dict[str, Any]) -> None:
    with pytest.raises(Unsupported) as caught:
        write_request(read(body_of(TEXT, **members)), target(provider="bedrock"))
    assert caught.value.param == next(iter(members))


def test_members_that_no_beta_opens_elsewhere_are_left_out() -> None:
    body = body_of(TEXT, inference_geo="eu", unknown_member=1)
    written = write_request(read(body), target(provider="azure-foundry"))
    assert "inference_geo" not in written.body
    assert written.body["unknown_member"] == 1
