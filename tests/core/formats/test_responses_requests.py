"""Responses requests: what is read is written again the same; other formats' conversations become requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Conversation,
    Document,
    Dropped,
    Image,
    Message,
    Opaque,
    Origin,
    OutputFormat,
    Reasoning,
    ReasoningRequest,
    Refusal,
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
from core.formats.contract import Call, Written
from core.formats.responses.read_request import read_request
from core.formats.responses.write_request import write_request
from core.models.facts import ModelFacts
from tests.core.formats.responses_cases import GPT, PLAIN, target, without_nulls
from tests.wire.fixtures import fixture_json, fixture_parameters
from tests.wire.recordings import Recorded, parameters, recorded_pairs

RECORDED = [
    pair
    for pair in recorded_pairs("pydantic-ai-cassettes", "/responses")
    if pair.url.partition("?")[0].endswith("/responses") and pair.request_body
]
CALL = Call()


def _written(body: Any) -> Written:
    facts = ModelFacts(family="gpt", vendor="openai")
    to = target(stream=bool(body.get("stream")), facts=facts)
    to.model = body["model"]
    return write_request(read_request(body, CALL), to)


@pytest.mark.parametrize("data", fixture_parameters("requests", "responses", ".json"))
def test_a_request_of_this_format_is_written_as_it_was_read(data: bytes) -> None:
    body = json.loads(data)
    written = _written(body)
    assert written.body == body
    assert written.dropped == []


@pytest.mark.parametrize("pair", parameters(RECORDED))
def test_a_recorded_request_is_written_as_it_was_read(pair: Recorded) -> None:
    body = without_nulls(pair.request_json)
    if body.get("stream") is False:
        del body["stream"]
    written = _written(pair.request_json)
    assert without_nulls(written.body) == body
    assert written.dropped == []


def test_codex_declares_its_tools_inside_the_input() -> None:
    conversation = read_request(fixture_json("requests", "responses/made-codex.json"), CALL)
    assert [(tool.namespace, tool.name, tool.kind) for tool in conversation.tools] == [
        ("functions", "exec", "custom"),
        ("functions", "wait", "function"),
        ("clock", "now", "function"),
    ]
    roles = [message.role for message in conversation.messages]
    assert roles == ["developer", "user", "assistant", "tool", "assistant", "tool"]
    turn = conversation.messages[2].content
    assert [type(block) for block in turn] == [Reasoning, Text, ToolCall]
    reasoning, _, call = turn
    assert isinstance(reasoning, Reasoning)
    assert (reasoning.texts, reasoning.encrypted) == (["I should", "list."], "gAAAA1")
    assert reasoning.origin == Origin("openai")
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.namespace, call.arguments) == ("call_1", "exec", "functions", "ls()")
    assert conversation.reasoning == ReasoningRequest(
        "effort", "medium", encrypted=True, extra={"context": "all_turns"}
    )
    assert (conversation.store, conversation.verbosity, conversation.cache_key) == (False, "low", "thread-1")


def test_instructions_are_a_leading_system_message() -> None:
    conversation = read_request({"model": "m", "input": "Hi", "instructions": "Be brief."}, CALL)
    assert conversation.messages[0] == Message(
        "system", [Text("Be brief.")], slot="instructions", plain=True
    )
    assert conversation.messages[1].content == [Text("Hi")]
    assert conversation.messages[1].extra == {}
    assert conversation.messages[1].plain


def test_the_path_may_name_the_model_and_ask_for_a_stream() -> None:
    conversation = read_request({"input": "Hi"}, Call(model="deployed", stream=True))
    assert (conversation.model, conversation.stream) == ("deployed", True)


def test_media_become_blocks() -> None:
    conversation = read_request(fixture_json("requests", "responses/made-every-part.json"), CALL)
    blocks = conversation.messages[0].content
    assert isinstance(blocks[0], Text)
    assert blocks[0].cache == CacheMark("30m", {"mode": "explicit"})
    sources = [block.source for block in blocks if isinstance(block, Image | Document | Audio)]
    assert [(source.kind, source.media_type) for source in sources] == [
        ("url", ""),
        ("base64", "image/jpeg"),
        ("base64", "image/png"),
        ("file_id", ""),
        ("base64", "application/pdf"),
        ("base64", "text/csv"),
        ("url", ""),
        ("file_id", ""),
        ("base64", "audio/wav"),
    ]
    assert isinstance(blocks[-2], Opaque)
    assert blocks[-2].content


def test_sealed_reasoning_is_opened() -> None:
    inside = Reasoning(["Thought."], signature="sig", origin=Origin("anthropic", "claude-opus-5"))
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": envelope.seal(inside)}
    conversation = read_request({"model": "m", "input": [item]}, CALL)
    assert conversation.messages[0].content == [inside]
    written = write_request(conversation, target())
    assert "input" not in written.body
    assert written.dropped == [Dropped("messages", "reasoning that the target's models cannot read")]


def test_a_damaged_envelope_is_nobodys_state() -> None:
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "I thought."}],
        "encrypted_content": envelope.PREFIX + "!",
    }
    conversation = read_request({"model": "m", "input": [item]}, CALL)
    assert conversation.messages[0].content == [Reasoning(["I thought."], form="summary")]


def test_what_other_formats_must_refuse_is_marked() -> None:
    conversation = read_request(fixture_json("requests", "responses/made-every-item.json"), CALL)
    opaque = [block for message in conversation.messages for block in message.content if isinstance(block, Opaque)]
    knobs = [block.kind for block in opaque if not block.content]
    assert knobs == [
        "mcp_list_tools",
        "tool_search_call",
        "configuration_update",
        "additional_tools",
        "item_reference",
    ]
    schema_update = {"type": "configuration_update", "text": {"format": {"type": "text"}}}
    changed = read_request({"model": "m", "input": [schema_update]}, CALL)
    assert changed.messages[0].content == [
        Opaque("responses", "configuration_update", schema_update, content=True)
    ]


MISSING = "missing_required_parameter"


def _with(**members: Any) -> dict[str, Any]:
    return {"model": "m", "input": "x", **members}


def _item(**members: Any) -> dict[str, Any]:
    return {"model": "m", "input": [members]}


def _part(**members: Any) -> dict[str, Any]:
    return _item(role="user", content=[members])


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"input": "x"}, "model", MISSING),
    (_with(model=3), "model", "invalid_type"),
    ({"model": "m"}, "input", MISSING),
    (_with(input=3), "input", "invalid_type"),
    (_with(input=[3]), "input[0]", "invalid_type"),
    (_item(), "input[0].type", MISSING),
    (_item(type=1), "input[0].type", "invalid_type"),
    (_item(role="robot", content="x"), "input[0].role", "invalid_value"),
    (_item(type="message", content="x"), "input[0].role", MISSING),
    (_item(type="message", role="user"), "input[0].content", MISSING),
    (_item(role="user", content=5), "input[0].content", "invalid_type"),
    (_part(), "input[0].content[0].type", MISSING),
    (_part(type="input_text"), "input[0].content[0].text", MISSING),
    (_part(type="input_image"), "input[0].content[0].image_url", MISSING),
    (_part(type="input_image", image_url="data:,x"), "input[0].content[0].image_url", "invalid_value"),
    (_part(type="input_file"), "input[0].content[0].file_data", MISSING),
    (_part(type="input_file", file_data="data:x"), "input[0].content[0].file_data", "invalid_value"),
    (_part(type="input_audio"), "input[0].content[0].input_audio", MISSING),
    (_item(type="function_call", name="f", arguments="{}"), "input[0].call_id", MISSING),
    (_item(type="function_call", call_id="c", name="f", arguments={}), "input[0].arguments", "invalid_type"),
    (_item(type="function_call_output", call_id="c"), "input[0].output", MISSING),
    (_item(type="reasoning", summary="x"), "input[0].summary", "invalid_type"),
    (_item(type="additional_tools", tools=[{}]), "input[0].tools[0].type", MISSING),
    (_with(tools={}), "tools", "invalid_type"),
    (_with(tools=[{"type": "function"}]), "tools[0].name", MISSING),
    (
        _with(tools=[{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]),
        "tools[0].tools[0].name",
        MISSING,
    ),
    (_with(tool_choice=5), "tool_choice", "invalid_type"),
    (_with(tool_choice="any"), "tool_choice", "invalid_value"),
    (_with(tool_choice={"type": "function"}), "tool_choice.name", MISSING),
    (_with(tool_choice={"type": "allowed_tools", "tools": [{}]}), "tool_choice.tools[0].type", MISSING),
    (_with(temperature="hot"), "temperature", "invalid_type"),
    (_with(max_output_tokens=1.5), "max_output_tokens", "invalid_type"),
    (_with(max_output_tokens=True), "max_output_tokens", "invalid_type"),
    (_with(stream="yes"), "stream", "invalid_type"),
    (_with(reasoning="high"), "reasoning", "invalid_type"),
    (_with(reasoning={"effort": "huge"}), "reasoning.effort", "invalid_value"),
    (_with(include="all"), "include", "invalid_type"),
    (_with(include=[1]), "include[0]", "invalid_type"),
    (_with(text={"format": {"type": "yaml"}}), "text.format.type", "invalid_value"),
    (_with(text={"format": {"type": "json_schema"}}), "text.format.schema", MISSING),
]


@pytest.mark.parametrize(("body", "param", "code"), FAULTS, ids=[f"{param}-{code}" for _, param, code in FAULTS])
def test_a_wrong_member_is_named(body: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(ClientFault) as caught:
        read_request(body, CALL)
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, code)
    assert param in caught.value.message or code == "invalid_value"


def test_a_whole_number_may_be_written_with_a_fraction() -> None:
    assert read_request({"model": "m", "input": "x", "max_output_tokens": 16.0}, CALL).max_tokens == 16


def test_an_earlier_answer_may_hold_the_whole_input() -> None:
    assert read_request({"model": "m", "previous_response_id": "resp_1"}, CALL).messages == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FUZZED_BODY = json.dumps(
    {
        **fixture_json("requests", "responses/made-every-setting.json"),
        "input": [
            *fixture_json("requests", "responses/made-every-item.json")["input"],
            *fixture_json("requests", "responses/made-every-part.json")["input"],
            *fixture_json("requests", "responses/made-codex.json")["input"],
        ],
    }
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a JSON value."""
    if isinstance(value, dict):
        inner = [(*path, name) for name in value]
    elif isinstance(value, list):
        inner = [(*path, place) for place in range(len(value))]
    else:
        return [path]
    return [path, *(found for each in inner for found in _places(value[each[-1]], each))]


PLACES = [path for path in _places(json.loads(FUZZED_BODY)) if path]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLACES), JSON | st.just("<removed>"))
def test_an_odd_body_is_read_or_refused_but_never_crashes(path: tuple[Any, ...], value: Any) -> None:
    body = json.loads(FUZZED_BODY)
    owner = body
    for step in path[:-1]:
        owner = owner[step]
    if value == "<removed>":
        del owner[path[-1]]
    else:
        owner[path[-1]] = value
    try:
        conversation = read_request(body, CALL)
    except ClientFault as fault:
        assert fault.status == 400
        assert fault.param
        return
    write_request(conversation, target())


@given(st.dictionaries(st.sampled_from(["model", "input", "tools", "text", "reasoning", "tool_choice"]), JSON))
def test_any_object_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        read_request(body, CALL)
    except ClientFault as fault:
        assert fault.status == 400


# --- conversations of other formats ----------------------------------------------------------------------


def _from_messages(*messages: Message, **more: Any) -> Conversation:
    return Conversation("messages", "claude-alias", list(messages), **more)


def _items(*messages: Message, facts: ModelFacts = GPT) -> tuple[list[Any], list[Dropped]]:
    written = write_request(_from_messages(*messages), target(facts=facts))
    return written.body["input"], written.dropped


def test_another_format_is_stateless_and_gets_its_reasoning_back() -> None:
    written = write_request(_from_messages(Message("user", [Text("Hi")])), target(stream=True))
    assert written.body == {
        "model": "gpt-5",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    }
    assert written.dropped == []


def test_a_model_that_does_not_reason_is_not_asked_for_encrypted_reasoning() -> None:
    asked = _from_messages(reasoning=ReasoningRequest("effort", "high"))
    assert "include" not in write_request(asked, target(facts=PLAIN)).body
    unknown = ModelFacts(family="mine", vendor="", unknown=True)
    assert write_request(asked, target(facts=unknown)).body["include"] == ["reasoning.encrypted_content"]
    off = _from_messages(reasoning=ReasoningRequest("off"))
    assert "include" not in write_request(off, target()).body


def test_a_turn_becomes_items() -> None:
    state = Reasoning(["Sum"], form="summary", encrypted="gAAAA", id="rs_1", origin=Origin("openai"))
    items, dropped = _items(
        Message("system", [Text("Sys")]),
        Message("user", [Text("Q"), Image(Source("base64", "AAAA", "image/png"))]),
        Message(
            "assistant",
            [state, Text("A"), Text("B"), ToolCall("call_1", "f", ""), ToolCall("call_2", "g", "x", "custom")],
        ),
        Message(
            "user",
            [
                ToolResult("call_1", [Text("done")]),
                ToolResult("call_2", [Text("one"), Image(Source("url", "https://e.org/i.png"))]),
                ToolResult("call_3", []),
                Text("And now?"),
            ],
        ),
        Message("assistant", [Text("Bye"), Refusal("No.")]),
    )
    assert items == [
        {"role": "system", "content": [{"type": "input_text", "text": "Sys"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Q"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Sum"}],
            "encrypted_content": "gAAAA",
        },
        {"role": "assistant", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "x"},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
        {
            "type": "custom_tool_call_output",
            "call_id": "call_2",
            "output": [
                {"type": "input_text", "text": "one"},
                {"type": "input_image", "image_url": "https://e.org/i.png", "detail": "auto"},
            ],
        },
        {"type": "function_call_output", "call_id": "call_3", "output": ""},
        {"role": "user", "content": [{"type": "input_text", "text": "And now?"}]},
        {"role": "assistant", "content": "Bye"},
        {
            "type": "message",
            "id": "msg_00000000000000000000000000000001",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "No."}],
        },
    ]
    assert dropped == []


def test_reasoning_without_an_id_is_known_by_its_state() -> None:
    items, dropped = _items(Message("assistant", [Reasoning(encrypted="gAAAA", origin=Origin("openai", "azure"))]))
    assert items == [{"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}]
    assert dropped == []


def test_plain_text_stays_plain() -> None:
    items, _ = _items(Message("user", [Text("Q")], plain=True), Message("assistant", [Text("A")]))
    assert items == [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]


def test_a_failed_tool_call_says_so_in_words() -> None:
    items, _ = _items(
        Message("user", [ToolResult("c", [Text("no file")], is_error=True)]),
        Message("user", [ToolResult("d", [Image(Source("url", "https://e.org/i.png"))], is_error=True)]),
    )
    assert items[0]["output"] == "The tool call failed:\nno file"
    assert items[1]["output"][0] == {"type": "input_text", "text": "The tool call failed:"}


def test_documents() -> None:
    nested: list[Block] = [Text("inner")]
    items, _ = _items(
        Message(
            "user",
            [
                Document(Source("base64", "JVBE", "application/pdf")),
                Document(Source("base64", "AAAA", "application/x-odd"), name="a.odd"),
                Document(Source("base64", "AAAA", "")),
                Document(Source("url", "https://e.org/a.pdf")),
                Document(Source("text", "Body", "text/plain"), name="Title", context="Why"),
                Document(Source("blocks", blocks=nested)),
                Refusal("I said no."),
                Audio(Source("base64", "AAAA", "audio/wav")),
            ],
        )
    )
    assert items[0]["content"] == [
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "document.pdf"},
        {"type": "input_file", "file_data": "data:application/x-odd;base64,AAAA", "filename": "a.odd"},
        {"type": "input_file", "file_data": "data:application/octet-stream;base64,AAAA", "filename": "document.bin"},
        {"type": "input_file", "file_url": "https://e.org/a.pdf"},
        {"type": "input_text", "text": "Title\nWhy"},
        {"type": "input_text", "text": "Body"},
        {"type": "input_text", "text": "inner"},
        {"type": "input_text", "text": "I said no."},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]


def test_citations_become_annotations() -> None:
    cited = [Citation(url="https://e.org", title="E"), Citation(title="no url", raw={"type": "char_location"})]
    items, _ = _items(Message("assistant", [Text("Fact", citations=cited)]))
    assert items[0]["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "https://e.org", "title": "E", "start_index": 0, "end_index": 4}
    ]


REFUSED: list[Message] = [
    Message("user", [Image(Source("file_id", "file_abc"))]),
    Message("user", [Image(Source("s3", "s3://b/k"))]),
    Message("user", [Document(Source("s3", "s3://b/k"))]),
    Message("user", [Audio(Source("s3", "s3://b/k"))]),
    Message("user", [Video(Source("base64", "AAAA", "video/mp4"))]),
    Message("user", [Opaque("messages", "container_upload", {}, content=True)]),
    Message("user", [Reasoning(["x"])]),
    Message("assistant", [Image(Source("base64", "AAAA", "image/png"))]),
]


@pytest.mark.parametrize("message", REFUSED)
def test_content_that_cannot_be_sent_is_refused(message: Message) -> None:
    with pytest.raises(Unsupported):
        write_request(_from_messages(message), target())


def test_openai_file_ids_are_good_between_its_formats() -> None:
    conversation = Conversation("chat_completions", "m", [Message("user", [Image(Source("file_id", "file-1"))])])
    written = write_request(conversation, target())
    assert written.body["input"][0]["content"] == [
        {"type": "input_image", "file_id": "file-1", "detail": "auto"}
    ]


def test_what_is_left_out_is_said_once() -> None:
    search = ServerToolCall("s1", "web_search", "{}", "messages", {})
    result = ServerToolResult("s1", "web_search", "", "messages", {})
    foreign = Reasoning(["x"], signature="s", origin=Origin("anthropic"))
    stateless = Reasoning(["x"], id="rs_1", origin=Origin("openai"))
    elsewhere = Reasoning(encrypted="g", origin=Origin("openai", "other-resource"))
    items, dropped = _items(
        Message("user", [Opaque("messages", "knob", {}), search, Text("Q", extra={"odd": 1})]),
        Message("assistant", [search, result, foreign, stateless, elsewhere, Opaque("messages", "knob", {})]),
        Message("assistant", [ToolResult("c", [Text("odd place")])]),
    )
    assert [item.get("type", item.get("role")) for item in items] == ["user", "function_call_output"]
    assert [warning.reason for warning in dropped] == [
        "the Responses API has no such member",
        "'knob' is known to the messages format only",
        "the history of the messages format's own web_search tool",
        "reasoning that the target's models cannot read",
        "reasoning that was encrypted by another backend",
    ]


def test_cache_marks_go_where_the_model_takes_them() -> None:
    mark = CacheMark("1h")
    message = Message("user", [Text("Q", cache=mark), ToolResult("c", [Text("R")], cache=CacheMark("5m"))])
    answered = Message("assistant", [Text("A", cache=mark)])
    items, dropped = _items(message, answered)
    assert items[0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "12h"}
    assert items[1]["output"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "30m"}
    assert "prompt_cache_breakpoint" not in str(items[2])
    assert dropped == [Dropped("cache", "a cache breakpoint that the target does not take")]
    unmarked, dropped = _items(message, facts=ModelFacts("gpt-5", "openai", cache_marks=False))
    assert "prompt_cache_breakpoint" not in str(unmarked)
    assert len(dropped) == 1


def test_tools_of_another_format_are_loose_unless_they_ask() -> None:
    tools = [
        Tool("f", parameters={"type": "object"}, extra={"eager_input_streaming": True}),
        Tool("g", "Strict.", {"type": "object"}, strict=True),
        Tool("c", kind="custom"),
        Tool("web_search", kind="server", format="messages", raw={"type": "web_search_20250305"}),
        Tool("a", namespace="ns"),
        Tool("b", namespace="ns"),
    ]
    written = write_request(_from_messages(tools=tools, tool_choice=ToolChoice("required")), target())
    assert written.body["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {"type": "function", "name": "g", "description": "Strict.", "parameters": {"type": "object"}, "strict": True},
        {"type": "custom", "name": "c"},
        {"type": "web_search"},
        {
            "type": "namespace",
            "name": "ns",
            "tools": [
                {"type": "function", "name": "a", "parameters": None, "strict": False},
                {"type": "function", "name": "b", "parameters": None, "strict": False},
            ],
        },
    ]
    assert written.body["tool_choice"] == "required"
    assert written.dropped == [Dropped("tools.eager_input_streaming", "the Responses API has no such member")]


def test_another_vendors_own_tool_is_refused() -> None:
    bash = Tool("bash", kind="client", format="messages", raw={"type": "bash_20250124", "name": "bash"})
    with pytest.raises(Unsupported, match="bash"):
        write_request(_from_messages(tools=[bash]), target())


CHOICES: list[tuple[ToolChoice, Any]] = [
    (ToolChoice("auto"), "auto"),
    (ToolChoice("none"), "none"),
    (ToolChoice("named", ["f"]), {"type": "function", "name": "f"}),
    (ToolChoice("named", ["c"]), {"type": "custom", "name": "c"}),
    (ToolChoice("named", ["web_search"]), {"type": "web_search"}),
    (ToolChoice("named", []), "required"),
    (
        ToolChoice("allowed", ["f"], required=True),
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
    ),
    (ToolChoice("allowed", []), {"type": "allowed_tools", "mode": "auto", "tools": []}),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES)
def test_tool_choices_of_another_format(choice: ToolChoice, expected: Any) -> None:
    search = Tool("web_search", kind="server", format="responses", raw={"type": "web_search"})
    tools = [Tool("f"), Tool("c", kind="custom"), search]
    written = write_request(_from_messages(tools=tools, tool_choice=choice), target())
    assert written.body["tool_choice"] == expected


ALLOWED = [{"type": "function", "name": "f"}, {"type": "code_interpreter"}]
READ_CHOICES: list[tuple[Any, ToolChoice]] = [
    ("none", ToolChoice("none")),
    ({"type": "custom", "name": "c"}, ToolChoice("named", ["c"])),
    ({"type": "web_search_preview"}, ToolChoice("named", ["web_search"])),
    ({"type": "mcp", "server_label": "w"}, ToolChoice("named", ["mcp"])),
    (
        {"type": "allowed_tools", "mode": "auto", "tools": ALLOWED},
        ToolChoice("allowed", ["f", "code_execution"]),
    ),
]


@pytest.mark.parametrize(("value", "expected"), READ_CHOICES)
def test_tool_choices_are_read(value: Any, expected: ToolChoice) -> None:
    body = {"model": "m", "input": "x", "tool_choice": value}
    choice = read_request(body, CALL).tool_choice
    assert choice is not None
    assert (choice.mode, choice.names, choice.required) == (expected.mode, expected.names, expected.required)
    assert _written(body).body == body


REASONING: list[tuple[ReasoningRequest, Any]] = [
    (ReasoningRequest("off"), {"effort": "none"}),
    (ReasoningRequest("adaptive"), {"summary": "auto"}),
    (ReasoningRequest("adaptive", display="omitted"), None),
    (ReasoningRequest("budget", budget=1024), {"effort": "low", "summary": "auto"}),
    (ReasoningRequest("budget", budget=4096), {"effort": "medium", "summary": "auto"}),
    (ReasoningRequest("budget", budget=20_000), {"effort": "high", "summary": "auto"}),
    (ReasoningRequest("budget", budget=64_000), {"effort": "xhigh", "summary": "auto"}),
    (ReasoningRequest("effort", "high"), {"effort": "high"}),
    (ReasoningRequest("effort", "high", display="full"), {"effort": "high", "summary": "detailed"}),
    (ReasoningRequest("effort", "high", display="summary"), {"effort": "high", "summary": "auto"}),
    (ReasoningRequest("effort", "low", display="concise"), {"effort": "low", "summary": "concise"}),
    (ReasoningRequest("effort", "low", display="none"), {"effort": "low"}),
]


@pytest.mark.parametrize(("request_", "expected"), REASONING)
def test_reasoning_of_another_format(request_: ReasoningRequest, expected: Any) -> None:
    written = write_request(_from_messages(reasoning=request_), target())
    assert written.body.get("reasoning") == expected


def test_knobs_that_responses_lacks_are_named() -> None:
    conversation = _from_messages(
        max_tokens=1,
        stop=["END"],
        service_tier="reserved",
        user="u" * 65,
        cache=CacheMark(),
        reasoning=ReasoningRequest("effort", "low", extra={"exclude": True}),
        extra={"container": "c", "truncation": "auto"},
    )
    conversation.sampling.top_k = 5
    conversation.sampling.seed = 7
    conversation.sampling.temperature = 0.5
    written = write_request(conversation, target())
    assert [warning.path for warning in written.dropped] == [
        "reasoning.exclude",
        "max_tokens",
        "stop",
        "service_tier",
        "user",
        "cache",
        "top_k",
        "seed",
        "container",
    ]
    assert written.body["max_output_tokens"] == 16
    assert (written.body["truncation"], written.body["temperature"]) == ("auto", 0.5)
    assert write_request(_from_messages(service_tier="standard_only"), target()).body["service_tier"] == "default"


def test_what_asks_for_another_kind_of_answer_is_refused() -> None:
    for name, value in (("n", 2), ("logprobs", True)):
        conversation = _from_messages()
        setattr(conversation.sampling, name, value)
        with pytest.raises(Unsupported) as caught:
            write_request(conversation, target())
        assert caught.value.feature == name


def test_settings_of_another_format_are_translated() -> None:
    conversation = _from_messages(
        output_format=OutputFormat("json_schema", {"type": "object"}),
        verbosity="low",
        service_tier="flex",
        user="u1",
        metadata={"k": "v"},
        store=True,
        parallel_tool_calls=False,
    )
    conversation.sampling.n = 1
    body = write_request(conversation, target()).body
    assert body["text"] == {
        "format": {"type": "json_schema", "name": "response", "schema": {"type": "object"}},
        "verbosity": "low",
    }
    assert (body["service_tier"], body["user"], body["metadata"]) == ("flex", "u1", {"k": "v"})
    assert (body["store"], body["parallel_tool_calls"]) == (True, False)


def test_defaults_of_a_model_row_are_applied_to_any_clients_request() -> None:
    """The registry's reasoning_effort, summary_level, verbosity_level and truncation_strategy."""
    for conversation in (read_request({"model": "gpt-high", "input": "Hi"}, CALL), _from_messages()):
        conversation.reasoning = ReasoningRequest("effort", "high", display="detailed")
        conversation.verbosity = "high"
        conversation.extra["truncation"] = "auto"
        body = write_request(conversation, target()).body
        assert body["reasoning"] == {"effort": "high", "summary": "detailed"}
        assert body["text"] == {"verbosity": "high"}
        assert body["truncation"] == "auto"


def test_a_longer_conversation_begins_with_the_same_bytes() -> None:
    body = fixture_json("requests", "responses/made-codex.json")
    whole = json.dumps(_written(body).body["input"])
    for length in range(1, len(body["input"])):
        shorter = json.dumps(_written({**body, "input": body["input"][:length]}).body["input"])
        assert whole.startswith(shorter[:-1])
