"""Gemini requests: they come back as they were, odd input is a clear 400, schemas are cut to size."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conversation import (
    Audio,
    CacheMark,
    Conversation,
    Document,
    FormatName,
    Image,
    Message,
    Opaque,
    Origin,
    OutputFormat,
    Reasoning,
    ReasoningRequest,
    Refusal,
    Sampling,
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
from core.formats.contract import Call
from core.formats.envelope import unseal
from core.formats.generate_content import read_request, write_request
from core.formats.generate_content.parts import read_arguments, write_reasoning
from core.formats.generate_content.schema import SchemaCleaner, from_openapi
from core.formats.generate_content.signatures import canonical, unsealed
from tests.core.formats.generate_content_cases import read, target_of
from tests.wire.fixtures import fixture_json, fixture_parameters

GOOGLE = Origin("google")
HELLO = {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}


def written(conversation: Conversation, model: str = "gemini-3-pro") -> tuple[dict[str, Any], list[str]]:
    result = write_request(conversation, target_of(model))
    json.dumps(result.body, allow_nan=False)
    return result.body, [warning.path for warning in result.dropped]


def foreign(*messages: Message, **members: Any) -> Conversation:
    return Conversation("messages", "asked", list(messages), **members)


@pytest.mark.parametrize("body", fixture_parameters("requests", "generate_content", ".json"))
def test_a_request_comes_back_as_it_was(body: bytes) -> None:
    request = json.loads(body)
    assert written(read(request)) == (request, [])


def test_what_is_read() -> None:
    source = read(fixture_json("requests", "generate_content/made-every-part.json"), stream=True)
    assert source.stream
    system, user, spoken, answered, again, last = source.messages
    assert (system.role, system.slot) == ("system", "systemInstruction")
    assert [type(block) for block in user.content] == [Text, Image, Document, Audio, Video, Image]
    assert user.content[4] == Video(
        Source("url", "https://youtu.be/abc", "video/mp4"), extra={"videoMetadata": {"fps": 1}}
    )
    thought, words, paris, rome = spoken.content[:4]
    signature = "CoYBAdHtims="
    assert thought == Reasoning(["Both cities."], "summary", signature=signature, origin=GOOGLE)
    assert words == Text("Let me look.", signature=signature, origin=GOOGLE)
    assert paris == ToolCall("c1", "weather", '{"city": "Paris", "depth": 1.5}', signature=signature, origin=GOOGLE)
    assert rome == ToolCall("c2", "weather", '{"city": "Rome"}')
    assert answered.content == [
        ToolResult("c1", [Text("sunny")], name="weather"),
        ToolResult("c2", [Text("no such city")], is_error=True, name="weather"),
    ]
    (chart,) = again.content
    assert isinstance(chart, ToolCall)
    result = last.content[0]
    assert isinstance(result, ToolResult)
    assert result.call_id == chart.id
    assert [type(block) for block in result.content] == [Text, Image]
    assert [tool.name for tool in source.tools] == ["weather", "chart", "web_search", "code_execution"]
    assert source.tool_choice == ToolChoice("allowed", ["weather", "chart"], required=True)
    assert source.reasoning == ReasoningRequest("budget", budget=2_048, display="summary")
    assert source.sampling == Sampling(0.5, 0.9, 40, 0.1, 0.2, 7, None, True, 3, 1)
    assert (source.max_tokens, source.stop, source.service_tier, source.store) == (1_000, ["END"], "flex", False)


def test_both_spellings_are_read() -> None:
    """google-genai itself mixes them."""
    body = {
        "system_instruction": "Be brief.",
        "contents": {"parts": {"function_response": {"name": "f", "response": {"output": "1"}}}},
        "tools": {
            "function_declarations": [
                {
                    "name": "f",
                    "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
                }
            ],
            "google_search": {},
            "codeExecution": {},
        },
        "tool_config": {"function_calling_config": {"mode": "validated"}},
        "generation_config": {
            "max_output_tokens": 5.0,
            "thinking_config": {"include_thoughts": True},
            "response_schema": {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "1"},
        },
    }
    source = read(body)
    assert source.messages[0] == Message("system", [Text("Be brief.")], slot="systemInstruction", plain=True)
    assert source.messages[1].content == [ToolResult("call_gemini_1", [Text("1")], name="f")]
    assert source.tools[0].parameters == {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}},
    }
    assert source.tools[1].raw == {"googleSearch": {}}
    assert source.tools[2].strict is None
    assert source.max_tokens == 5
    assert source.reasoning == ReasoningRequest(display="summary")
    assert source.output_format == OutputFormat(
        "json_schema", {"type": "array", "items": {"type": "string"}, "minItems": 1}
    )


def test_calls_and_results_without_ids_find_each_other() -> None:
    def called(name: str, **members: Any) -> dict[str, Any]:
        return {"functionCall": {"name": name, **members}}

    def answered(name: str, **members: Any) -> dict[str, Any]:
        return {"functionResponse": {"name": name, **members}}

    source = read(
        {
            "contents": [
                {"role": "model", "parts": [called("f"), called("f"), called("g", id="own")]},
                {
                    "role": "user",
                    "parts": [
                        answered("f"),
                        answered("g", id="own"),
                        answered("f"),
                        answered("h"),
                        answered("f", id="?"),
                    ],
                },
            ]
        }
    )
    calls = [block.id for block in source.messages[0].content if isinstance(block, ToolCall)]
    results = [block.call_id for block in source.messages[1].content if isinstance(block, ToolResult)]
    assert calls == ["call_gemini_1", "call_gemini_2", "own"]
    assert results == ["call_gemini_1", "own", "call_gemini_2", "call_gemini_3", "?"]


@pytest.mark.parametrize(
    "response",
    [
        {"output": "plain"},
        {"output": '{"a": 1}'},
        {"output": {"a": 1}},
        {"error": "bad"},
        {"error": '{"a": 1}'},
        {"error": {"code": 5}},
        {"result": [1, 2.5, "x"]},
        {"output": ""},
        {"output": "5"},
        {"error": "-"},
        {},
    ],
)
def test_function_responses_keep_their_shape(response: dict[str, Any]) -> None:
    part = {"functionResponse": {"id": "1", "name": "f", "response": response}}
    body = {"contents": [{"role": "user", "parts": [part]}]}
    assert written(read(body))[0] == body


def test_signatures_have_one_spelling() -> None:
    assert canonical("-_8") == canonical("+/8=") == "+/8="
    part = {"functionCall": {"name": "f"}, "thought_signature": "-_8"}
    (message,) = read({"contents": [{"role": "model", "parts": [part]}]}).messages
    assert message.content == [ToolCall("call_gemini_1", "f", signature="+/8=", origin=GOOGLE)]


@pytest.mark.parametrize(
    "foreign_state",
    [
        Reasoning(["hm"], signature="EqoB", origin=Origin("anthropic")),
        Reasoning(redacted="secret", origin=Origin("anthropic")),
        Reasoning(["a", "b"], "summary", encrypted="e", id="rs_1", origin=Origin("openai", "gpt-5")),
    ],
)
def test_foreign_state_travels_in_a_signature(foreign_state: Reasoning) -> None:
    part = write_reasoning(foreign_state)
    base64.b64decode(part["thoughtSignature"], validate=True)
    safe = part["thoughtSignature"].replace("+", "-").replace("/", "_").rstrip("=")
    for body in (part, {**part, "thoughtSignature": safe}, {"thought": True, "thoughtSignature": safe}):
        assert read({"contents": [{"role": "model", "parts": [body]}]}).messages[0].content == [foreign_state]
    beside = {"text": "words", "thoughtSignature": safe}
    assert read({"contents": [{"role": "model", "parts": [beside]}]}).messages[0].content == [
        foreign_state,
        Text("words"),
    ]
    assert unsealed("EqoB") is None and unsealed("!") is None and unseal("EqoB") is None


def test_a_call_in_system_text_is_no_ones() -> None:
    body = {**HELLO, "systemInstruction": {"parts": [{"functionCall": {"name": "f"}}]}}
    assert read(body).messages[0].content == [ToolCall("", "f")]
    assert written(read(body))[0]["systemInstruction"] == {"parts": [{"functionCall": {"name": "f", "args": {}}}]}


def test_thoughts_without_text_or_with_nothing() -> None:
    parts = [{"thought": True, "text": ""}, {"thoughtSignature": "EqoB"}, {}, {"future": 1}]
    assert read({"contents": [{"role": "model", "parts": parts}]}).messages[0].content == [
        Reasoning([], "summary", origin=GOOGLE),
        Reasoning([], "summary", signature="EqoB", origin=GOOGLE),
        Opaque("generate_content", "empty", {}),
        Opaque("generate_content", "future", {"future": 1}, content=True),
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": "hello"}, "contents"),
        ({"contents": [5]}, "contents[0]"),
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"role": 5}]}, "contents[0].role"),
        ({"contents": [{"parts": ["a"]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"text": "a", "thought": 1}]}]}, "contents[0].parts[0].thought"),
        ({"contents": [{"parts": [{"inlineData": {"data": "a"}}]}]}, "contents[0].parts[0].inlineData.mimeType"),
        ({"contents": [{"parts": [{"functionCall": {"args": {}}}]}]}, "contents[0].parts[0].functionCall.name"),
        (
            {"contents": [{"parts": [{"functionCall": {"name": "f", "args": 5}}]}]},
            "contents[0].parts[0].functionCall.args",
        ),
        ({"contents": [{"parts": [{"functionResponse": 5}]}]}, "contents[0].parts[0].functionResponse"),
        ({**HELLO, "systemInstruction": 5}, "systemInstruction"),
        ({**HELLO, "tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({**HELLO, "toolConfig": {"functionCallingConfig": {"mode": "X"}}}, "toolConfig.functionCallingConfig.mode"),
        (
            {**HELLO, "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": [5]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames[0]",
        ),
        ({**HELLO, "generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({**HELLO, "generationConfig": {"temperature": True}}, "generationConfig.temperature"),
        ({**HELLO, "generationConfig": {"maxOutputTokens": 1.5}}, "generationConfig.maxOutputTokens"),
        (
            {**HELLO, "generationConfig": {"thinkingConfig": {"thinkingLevel": "HUGE"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            {**HELLO, "generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 5}}},
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
        ({**HELLO, "generationConfig": {"responseSchema": []}}, "generationConfig.responseSchema"),
        ({**HELLO, "store": "yes"}, "store"),
    ],
)
def test_bad_input_is_the_clients_fault(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ClientFault) as caught:
        read(body)
    assert caught.value.param == param
    assert param in caught.value.message


KEYS = [
    "contents",
    "role",
    "parts",
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "mimeType",
    "data",
    "fileData",
    "fileUri",
    "functionCall",
    "functionResponse",
    "name",
    "id",
    "args",
    "response",
    "systemInstruction",
    "tools",
    "functionDeclarations",
    "parameters",
    "type",
    "properties",
    "items",
    "nullable",
    "parametersJsonSchema",
    "toolConfig",
    "functionCallingConfig",
    "mode",
    "allowedFunctionNames",
    "generationConfig",
    "temperature",
    "maxOutputTokens",
    "thinkingConfig",
    "thinkingBudget",
    "thinkingLevel",
    "responseSchema",
    "responseMimeType",
    "executableCode",
    "codeExecutionResult",
    "output",
    "outcome",
    "code",
    "googleSearch",
    "stopSequences",
    "allOf",
    "const",
    "$defs",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "a", "user", "model", "ANY"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(body=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6), parts=JSON)
def test_any_json_is_read_or_refused(body: dict[str, Any], parts: Any) -> None:
    for candidate in (body, {**body, "contents": [{"parts": parts}]}, {**HELLO, **body}):
        try:
            conversation = read_request(candidate, Call(model="m"))
        except ClientFault:
            continue
        write_request(conversation, target_of())


def test_a_body_that_is_no_object() -> None:
    with pytest.raises(ClientFault):
        read_request([], Call(model="m"))  # type: ignore[arg-type]


# --- writing for conversations of other formats -----------------------------------------------------------


def test_a_foreign_conversation() -> None:
    image = Image(Source("base64", "AAAA", "image/png"))
    source = foreign(
        Message("system", [Text("s")], slot="system"),
        Message("user", [Text("a", extra={"x": 1}), image, Image(Source("url", "gs://b/a"))], extra={"id": 1}),
        Message(
            "assistant",
            [
                Reasoning(["hm"], signature="EqoB", origin=Origin("anthropic")),
                Refusal("no"),
                ToolCall("toolu_1", "f", "not json", signature="c2ln", origin=GOOGLE),
                ToolCall("call_gemini_x_1", "f", "[1]"),
                ServerToolCall("s", "web_search", "{}", "messages", {}),
                Opaque("messages", "fallback", {}),
            ],
        ),
        Message("user", [ToolResult("toolu_1", [Text("1"), Text("2"), image]), ToolResult("?", is_error=True)]),
        Message("system", [Text("later")]),
        tools=[Tool("f", "F.", {"type": "object", "not": {}}, strict=True, extra={"y": 1}), Tool("g")],
        parallel_tool_calls=False,
        sampling=Sampling(logit_bias={"1": 1.0}),
        betas=["b"],
        user="u",
        service_tier="reserved",
        extra={"container": "c"},
        output_format=OutputFormat("json_schema", {"type": "object", "pattern": "x"}),
        reasoning=ReasoningRequest("effort", "high", display="summary"),
    )
    body, dropped = written(source)
    assert body["systemInstruction"] == {"parts": [{"text": "s"}]}
    user, model, results, later = body["contents"]
    assert user["parts"][2] == {"fileData": {"fileUri": "gs://b/a"}}
    assert model["parts"] == [
        {"text": "no"},
        {"functionCall": {"id": "toolu_1", "name": "f", "args": {"_raw": "not json"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {"_raw": "[1]"}}},
    ]
    inline = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    assert results["parts"] == [
        {"functionResponse": {"id": "toolu_1", "name": "f", "response": {"output": "1\n2"}, "parts": [inline]}},
        {"functionResponse": {"id": "?", "name": "unknown", "response": {"error": ""}}},
    ]
    assert later == {"role": "user", "parts": [{"text": "later"}]}
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True},
    }
    assert dropped == [
        "messages[].id",
        "messages[].content[].x",
        "messages[].content[]",
        "messages[].content[]",
        "tools[].y",
        "tools[].parameters.not",
        "tool_choice.disable_parallel_tool_use",
        "logit_bias",
        "output_config.format.schema.pattern",
        "service_tier",
        "metadata.user_id",
        "anthropic-beta",
        "container",
    ]
    older, _ = written(source, "gemini-2.5-pro")
    assert older["contents"][2]["parts"][2] == inline


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", ["f"]), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("allowed", ["f"]), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        (ToolChoice("allowed", ["f"], required=True), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choices(choice: ToolChoice, expected: dict[str, Any]) -> None:
    source = foreign(Message("user", [Text("a")]), tools=[Tool("f")], tool_choice=choice)
    assert written(source)[0]["toolConfig"] == {"functionCallingConfig": expected}
    assert "toolConfig" not in written(foreign(Message("user", [Text("a")]), tool_choice=choice))[0]


@pytest.mark.parametrize(
    ("request_", "model", "expected"),
    [
        (ReasoningRequest("off"), "gemini-2.5-flash", {"thinkingBudget": 0}),
        (
            ReasoningRequest("adaptive", display="full"),
            "gemini-2.5-flash",
            {"thinkingBudget": -1, "includeThoughts": True},
        ),
        (ReasoningRequest("adaptive", display="none"), "gemini-3-pro", {"includeThoughts": False}),
        (ReasoningRequest("budget", budget=5), "gemini-2.5-flash", {"thinkingBudget": 5}),
        (ReasoningRequest("effort", "low"), "gemini-3-pro", {"thinkingLevel": "LOW"}),
        (ReasoningRequest("adaptive"), "gemini-3-pro", None),
    ],
)
def test_thinking(request_: ReasoningRequest, model: str, expected: dict[str, Any] | None) -> None:
    body, _ = written(foreign(Message("user", [Text("a")]), reasoning=request_), model)
    assert body.get("generationConfig", {}).get("thinkingConfig") == expected


def test_documents() -> None:
    text = Document(Source("text", "é", "text/plain"), name="n")
    nested = Document(Source("blocks", blocks=[Text("a"), Text("b")]))
    body, _ = written(foreign(Message("user", [text, nested], extra={})))
    data = base64.b64encode("é".encode()).decode()
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "text/plain", "data": data}},
        {"text": "a"},
        {"text": "b"},
    ]
    bare, _ = written(foreign(Message("user", [Document(Source("base64", "AA"))])))
    assert bare["contents"][0]["parts"][0]["inlineData"]["mimeType"] == "application/octet-stream"


@pytest.mark.parametrize(
    "message",
    [
        Message("user", [Image(Source("file_id", "f"))]),
        Message("user", [Image(Source("s3", "s3://b/k"))]),
        Message("user", [Opaque("messages", "search_result", {}, content=True)]),
    ],
)
def test_content_without_a_part_is_refused(message: Message) -> None:
    with pytest.raises(Unsupported):
        written(foreign(message))


def test_a_foreign_server_tool_is_refused() -> None:
    with pytest.raises(Unsupported):
        written(foreign(Message("user", [Text("a")]), tools=[Tool("x", kind="server", format="messages")]))


def test_system_text_alone_and_marks() -> None:
    body, dropped = written(foreign(Message("system", [Text("s", cache=CacheMark())])))
    assert body == {"systemInstruction": {"parts": [{"text": "s"}]}, "contents": []}
    assert dropped == []


def test_json_object_and_text_formats() -> None:
    hello = Message("user", [Text("a")])
    assert written(foreign(hello, output_format=OutputFormat("json_object")))[0]["generationConfig"] == {
        "responseMimeType": "application/json"
    }
    assert "generationConfig" not in written(foreign(hello, output_format=OutputFormat("text")))[0]
    other = read({**HELLO, "generationConfig": {"responseMimeType": "text/x.enum", "responseJsonSchema": {}}})
    assert other.output_format == OutputFormat("json_schema", {}, extra={"responseMimeType": "text/x.enum"})
    enum = read({**HELLO, "generationConfig": {"responseMimeType": "text/x.enum"}})
    assert enum.extra == {"generationConfig": {"responseMimeType": "text/x.enum"}}


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ("", {}),
        ('{"a": 1}', {"a": 1}),
        ("[1]", {"_raw": "[1]"}),
        ("{", {"_raw": "{"}),
        ('{"a": 1e999}', {"_raw": '{"a": 1e999}'}),
        ("[" * 100_000, {"_raw": "[" * 100_000}),
    ],
)
def test_arguments(arguments: str, value: dict[str, Any]) -> None:
    assert read_arguments(arguments) == value


# --- schemas ----------------------------------------------------------------------------------------------


def test_schemas_are_cut_to_what_is_accepted() -> None:
    schema = {
        "$schema": "x",
        "type": "object",
        "definitions": {"d": {"const": "a"}},
        "properties": {
            "a": {"$ref": "#/definitions/d"},
            "b": {
                "allOf": [
                    {"type": "object", "properties": {"x": {}}, "required": ["x"]},
                    {"properties": {"y": {}}, "required": ["x", "y"]},
                    5,
                ]
            },
            "c": {"type": "string", "pattern": "^a", "default": "a", "minLength": 1},
            "d": {"anyOf": [{"type": "null"}, {"not": {}}], "items": True},
            "e": {"type": "array", "items": {"exclusiveMinimum": 0}, "additionalProperties": {"if": {}}},
            "f": {"type": "array", "items": [{"const": 1}, True], "minItems": 2},
            "g": True,
            "h": {"type": "object", "additionalProperties": True},
        },
        "patternProperties": {},
        "required": ["a"],
    }
    cleaner = SchemaCleaner()
    assert cleaner.clean(schema) == {
        "type": "object",
        "$defs": {"d": {"enum": ["a"]}},
        "properties": {
            "a": {"$ref": "#/$defs/d"},
            "b": {"type": "object", "properties": {"x": {}, "y": {}}, "required": ["x", "y"]},
            "c": {"type": "string"},
            "d": {"anyOf": [{"type": "null"}, {}], "items": {}},
            "e": {"type": "array", "items": {}, "additionalProperties": {}},
            "f": {"type": "array", "prefixItems": [{"enum": [1]}, {}], "minItems": 2},
            "g": {},
            "h": {"type": "object", "additionalProperties": True},
        },
        "required": ["a"],
    }
    assert set(cleaner.lost) == {"pattern", "minLength", "not", "exclusiveMinimum", "if", "patternProperties"}


def test_schemas_have_a_bottom() -> None:
    schema: dict[str, Any] = {}
    for _ in range(200):
        schema = {"items": schema, "type": "ARRAY"}
    cleaner = SchemaCleaner()
    cleaner.clean(schema)
    assert "nesting" in cleaner.lost
    assert from_openapi(schema)["type"] == "array"


def test_properties_stand_in_their_ordering() -> None:
    properties = {name: {"type": "STRING"} for name in "abc"}
    schema = {"type": "OBJECT", "properties": properties, "propertyOrdering": ["c", 5, "z", "a"]}
    assert list(from_openapi(schema)["properties"]) == ["c", "a", "b"]
    assert from_openapi({"propertyOrdering": ["a"]}) == {}


def test_openapi_schemas() -> None:
    schema = {
        "type": "OBJECT",
        "propertyOrdering": ["a"],
        "properties": {"a": {"anyOf": [{"type": "STRING"}, 5], "nullable": True}, "b": 5},
        "additionalProperties": {"type": "NUMBER", "nullable": True},
        "maxItems": "many",
        "minItems": "9" * 5000,
    }
    assert from_openapi(schema) == {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "string"}, 5, {"type": "null"}]}, "b": 5},
        "additionalProperties": {"type": ["number", "null"]},
        "maxItems": "many",
        "minItems": "9" * 5000,
    }


def test_openapi_schemas_in_the_words_of_googles_sdk() -> None:
    schema = {
        "any_of": [
            {"type": "STRING", "enum": ["a"], "nullable": True, "max_length": "3"},
            {"ref": "#/defs/Thing"},
            {"type": "STRING", "enum": ["a", None], "nullable": True},
            {"nullable": True},
        ],
        "property_ordering": ["x"],
        "defs": {"Thing": {"type": "ARRAY", "min_items": "1", "items": {"ref": 5}}},
    }
    assert from_openapi(schema) == {
        "anyOf": [
            {"type": ["string", "null"], "enum": ["a", None], "maxLength": 3},
            {"$ref": "#/$defs/Thing"},
            {"type": ["string", "null"], "enum": ["a", None]},
            {},
        ],
        "$defs": {"Thing": {"type": "array", "minItems": 1, "items": {"$ref": 5}}},
    }


@pytest.mark.parametrize(
    ("said", "neutral"),
    [("FLEX", "flex"), ("standard", "default"), ("PRIORITY", "priority"), ("unspecified", None), ("odd", "odd")],
)
def test_tiers_are_read(said: str, neutral: str | None) -> None:
    assert read({**HELLO, "serviceTier": said}).service_tier == neutral


@pytest.mark.parametrize(
    ("origin", "tier", "written_tier", "lost"),
    [
        ("chat_completions", "default", "standard", []),
        ("messages", "standard_only", "standard", []),
        ("responses", "flex", "flex", []),
        ("converse", "priority", "priority", []),
        ("messages", "auto", None, []),
        ("responses", "scale", None, ["service_tier"]),
        ("converse", "reserved", None, ["serviceTier"]),
        ("generate_content", "default", "standard", []),
        ("generate_content", "odd", "odd", []),
    ],
)
def test_tiers_are_written(origin: FormatName, tier: str, written_tier: str | None, lost: list[str]) -> None:
    source = Conversation(origin, "m", [Message("user", [Text("x")])], service_tier=tier)
    body, dropped = written(source)
    assert (body.get("serviceTier"), dropped) == (written_tier, lost)
