"""Converse requests, read: recordings come back as they were, odd input is a clear 400."""

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
    Image,
    Opaque,
    Origin,
    Reasoning,
    ReasoningRequest,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Video,
)
from core.errors import ClientFault
from core.formats import envelope
from core.formats.carriers import SIGNS_CALL, SIGNS_TEXT
from core.formats.contract import Call
from core.formats.converse import read_request, write_request
from tests.core.formats.converse_cases import model_of, recorded, target_of, without_nothing
from tests.wire.fixtures import fixture_json, fixture_parameters
from tests.wire.recordings import Recorded, parameters

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def read(body: dict[str, Any], model: str = CLAUDE) -> Conversation:
    return read_request(body, Call(model=model, stream=True))


def said(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}]}


def block(raw: dict[str, Any], role: str = "user", model: str = CLAUDE) -> Any:
    (message,) = read(said(raw, role=role), model).messages
    (only,) = message.content
    return only


@pytest.mark.parametrize("pair", parameters(recorded()))
def test_recorded_requests_come_back(pair: Recorded) -> None:
    model = model_of(pair)
    conversation = read_request(pair.request_json, Call(model=model, stream=pair.streamed))
    written = write_request(conversation, target_of(model))
    wanted = without_nothing(pair.request_json)
    wanted.pop("additionalModelRequestFields", None)
    body = without_nothing(written.body)
    fields = body.pop("additionalModelRequestFields", {})
    assert body == wanted
    assert fields == pair.request_json.get("additionalModelRequestFields", {})
    assert written.dropped == []


EVERYTHING: dict[str, Any] = fixture_json("requests", "converse/made-everything.json")


@pytest.mark.parametrize("text", fixture_parameters("requests", "converse", ".json"))
def test_made_requests_come_back(text: bytes) -> None:
    body = json.loads(text)
    written = write_request(read(body), target_of(CLAUDE))
    assert written.body == body
    assert written.dropped == []


def test_what_is_read() -> None:
    conversation = read(EVERYTHING)
    assert (conversation.model, conversation.stream, conversation.format) == (CLAUDE, True, "converse")
    system, user, assistant, results = conversation.messages
    assert (system.role, system.slot) == ("system", "system")
    assert user.content[0] == Text("Look", cache=CacheMark("1h"))
    assert user.content[1] == Image(Source("base64", "iVBORw0KGgo=", "image/png"))
    assert user.content[2] == Image(Source("s3", "s3://b/k", "image/jpeg", extra={"bucketOwner": "1"}))
    assert isinstance(user.content[4], Document) and user.content[4].source.kind == "text"
    assert isinstance(user.content[6], Video) and user.content[6].source.media_type == "video/3gpp"
    assert isinstance(user.content[9], Audio) and user.content[9].source.media_type == "audio/mpeg"
    assert isinstance(user.content[10], Text) and user.content[10].text == "guard"
    assert user.content[13] == Opaque("converse", "newBlock", {"newBlock": {"a": 1}}, content=True)
    claude = Origin("anthropic")
    assert assistant.content[0] == Reasoning(["hm"], signature="c2ln", origin=claude)
    assert assistant.content[1] == Reasoning(redacted="EuAB", origin=claude)
    cited = assistant.content[3]
    assert isinstance(cited, Text) and cited.citations[0].url == "https://u"
    assert assistant.content[5] == ToolCall("t1", "f", '{"a":1}')
    assert isinstance(assistant.content[6], ServerToolCall)
    result = assistant.content[7]
    assert isinstance(result, ServerToolResult) and (result.tool, result.text) == ("g", '{"out":1}\ndone')
    (answer, orphan) = results.content
    assert isinstance(answer, ToolResult) and answer.is_error and answer.cache == CacheMark()
    assert isinstance(orphan, Opaque) and orphan.kind == "cachePoint"
    assert conversation.tool_choice == ToolChoice("named", ["f"])
    assert conversation.reasoning == ReasoningRequest("budget", "low", 2048, "none")
    assert conversation.parallel_tool_calls is False
    assert conversation.service_tier == "priority"
    assert conversation.extra.keys() == {
        "inferenceConfig",
        "additionalModelRequestFields",
        "guardrailConfig",
        "performanceConfig",
        "requestMetadata",
        "promptVariables",
        "additionalModelResponseFieldPaths",
    }


def test_members_that_are_not_known_yet_go_back() -> None:
    answer = [
        {"reasoningContent": {"reasoningText": {"text": "a", "new": 1}}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}, "new": 1}},
    ]
    blocks = [
        {"image": {"format": "png", "source": {"bytes": "AAAA"}, "new": 1}},
        {"guardContent": {"image": {"format": "png", "source": {"bytes": "AAAA"}, "new": 1}}},
        {"searchResult": {"source": "s", "title": "t", "content": [], "new": 1}},
        {"toolResult": {"toolUseId": "t", "content": [{"newPart": {}}], "new": 1}},
        {"citationsContent": {"content": [], "new": 1}},
        {"cachePoint": {"type": "default", "new": 1}},
    ]
    body = {
        "messages": [{"role": "assistant", "content": answer}, {"role": "user", "content": blocks, "new": 1}],
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}, "new": 1}}],
            "toolChoice": {"any": {"new": 1}},
            "new": 1,
        },
    }
    written = write_request(read(body), target_of(CLAUDE)).body
    blocks[4]["citationsContent"]["citations"] = []
    assert written == body


def test_signatures_belong_to_the_vendor_that_the_model_names() -> None:
    raw = {"reasoningContent": {"reasoningText": {"text": "a", "signature": "s"}}}
    assert block(raw, "assistant", "us.deepseek.r1-v1:0").origin == Origin("deepseek")
    assert block(raw, "assistant", "my-alias").origin == Origin("")


def test_envelopes_are_opened_wherever_they_travel() -> None:
    foreign = Reasoning(["why"], signature="g", encrypted="e", origin=Origin("openai"), id="rs_1")
    sealed = envelope.seal(foreign)
    text = {"reasoningContent": {"reasoningText": {"text": "why", "signature": sealed}}}
    assert block(text, "assistant") == foreign
    hidden = {"reasoningContent": {"redactedContent": base64.b64encode(sealed.encode()).decode()}}
    assert block(hidden, "assistant") == foreign
    damaged = {"reasoningContent": {"reasoningText": {"text": "why", "signature": sealed[:20]}}}
    assert block(damaged, "assistant") == Reasoning(["why"])


def carrier(extra: dict[str, Any]) -> dict[str, Any]:
    sealed = envelope.seal(Reasoning(signature="tsig", origin=Origin("google"), extra=extra))
    return {"reasoningContent": {"reasoningText": {"text": "", "signature": sealed}}}


def test_signatures_of_calls_and_texts_come_out_of_their_carriers() -> None:
    call = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}
    blocks = [carrier({SIGNS_CALL: "t1"}), call, {"text": "a"}, carrier({SIGNS_TEXT: True})]
    orphans = [carrier({SIGNS_CALL: "t9"})]
    (message,) = read(said(*blocks, *orphans, role="assistant")).messages
    google = Origin("google")
    assert message.content == [
        ToolCall("t1", "f", "{}", signature="tsig", origin=google),
        Text("a", signature="tsig", origin=google),
    ]
    (message,) = read(said(carrier({SIGNS_TEXT: True}), role="assistant")).messages
    assert message.content == []


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ({"thinking": {"type": "adaptive"}}, ReasoningRequest("adaptive")),
        ({"thinking": {"type": "disabled"}}, ReasoningRequest("off")),
        ({"thinking": {"type": "between_tools", "x": 1}}, ReasoningRequest("between_tools", extra={"x": 1})),
        ({"reasoning_config": {"type": "enabled", "budget_tokens": 9}}, ReasoningRequest("budget", budget=9)),
        ({"reasoning_config": "high"}, ReasoningRequest("effort", "high")),
        ({"reasoning_effort": "medium"}, ReasoningRequest("effort", "medium")),
        ({"reasoningConfig": {"type": "disabled"}}, ReasoningRequest("off")),
        (
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            ReasoningRequest("effort", "low"),
        ),
    ],
)
def test_reasoning_in_every_vendors_words(fields: dict[str, Any], request_: ReasoningRequest) -> None:
    conversation = read({**said({"text": "a"}), "additionalModelRequestFields": fields})
    assert conversation.reasoning == request_
    assert conversation.extra == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "enabled"}},
        {"thinking": {"type": "adaptive", "budget_tokens": 5}},
        {"thinking": {"type": "new"}},
        {"thinking": 5},
        {"thinking": "extreme"},
        {"reasoning_effort": 5},
        {"reasoningConfig": {"type": "enabled"}},
        {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "odd"}},
        {"reasoningConfig": {"type": "disabled", "maxReasoningEffort": "low"}},
        {"reasoningConfig": "x"},
        {"output_config": 1},
        {"output_config": {"effort": "odd"}},
        {"output_config": {"format": {"type": "json_schema"}}},
        {"top_k": True},
        {"inferenceConfig": {"topK": "x"}},
        {"inferenceConfig": {"topK": 1, "other": 2}},
        {"anthropic_beta": "x"},
        {"tool_choice": {"type": "auto"}},
        {"tool_choice": None},
    ],
)
def test_fields_of_an_unknown_shape_go_back_as_they_are(fields: dict[str, Any]) -> None:
    conversation = read({**said({"text": "a"}), "additionalModelRequestFields": fields})
    written = write_request(conversation, target_of(CLAUDE))
    wanted = {name: value for name, value in fields.items() if value is not None}
    assert written.body.get("additionalModelRequestFields", {}) == wanted


def test_structured_output_in_the_models_own_fields() -> None:
    shape = {"type": "json_schema", "schema": {"type": "object"}}
    fields = {"output_config": {"format": shape}}
    conversation = read({**said({"text": "a"}), "additionalModelRequestFields": fields})
    assert conversation.output_format is not None
    assert conversation.output_format.schema == {"type": "object"}


def test_the_top_level_effort() -> None:
    conversation = read({**said({"text": "a"}), "outputConfig": {"effort": "high"}})
    assert conversation.reasoning == ReasoningRequest("effort", "high")
    odd = read({**said({"text": "a"}), "outputConfig": {"effort": "most", "new": 1}})
    assert odd.extra == {"outputConfig": {"effort": "most", "new": 1}}
    assert write_request(odd, target_of(CLAUDE)).body["outputConfig"] == {"effort": "most", "new": 1}


def tool(**changes: Any) -> dict[str, Any]:
    spec = {"name": "f", "inputSchema": {"json": {"type": "object"}}, **changes}
    return {**said({"text": "a"}), "toolConfig": {"tools": [{"toolSpec": spec}]}}


def shaped(structure: Any, kind: str = "json_schema") -> dict[str, Any]:
    return {**said({"text": "a"}), "outputConfig": {"textFormat": {"type": kind, "structure": structure}}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({"messages": "x"}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"content": []}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": []}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        (said({"text": 5}), "messages[0].content[0].text"),
        (said({}), "messages[0].content[0]"),
        (said({"text": "a", "image": {}}), "messages[0].content[0]"),
        (said({"image": {"format": "tiff"}}), "messages[0].content[0].image.format"),
        (said({"image": {"format": "png"}}), "messages[0].content[0].image.source"),
        (said({"image": {"format": "png", "source": {"url": "x"}}}), "messages[0].content[0].image.source"),
        (said({"image": {"format": "png", "source": {"bytes": ""}}}), "messages[0].content[0].image.source.bytes"),
        (
            said({"image": {"format": "png", "source": {"s3Location": {}}}}),
            "messages[0].content[0].image.source.s3Location.uri",
        ),
        (said({"document": {"source": {"text": 1}, "name": "n"}}), "messages[0].content[0].document.source.text"),
        (said({"document": {"source": {"text": "t"}}}), "messages[0].content[0].document.name"),
        (
            said({"document": {"source": {"content": [{}]}, "name": "n"}}),
            "messages[0].content[0].document.source.content[0].text",
        ),
        (
            said({"document": {"source": {"text": "t"}, "name": "n", "citations": {"enabled": 1}}}),
            "messages[0].content[0].document.citations.enabled",
        ),
        (said({"toolUse": {"toolUseId": "a", "name": "f"}}), "messages[0].content[0].toolUse.input"),
        (said({"toolUse": {"name": "f", "input": {}}}), "messages[0].content[0].toolUse.toolUseId"),
        (said({"toolResult": {"toolUseId": "a"}}), "messages[0].content[0].toolResult.content"),
        (
            said({"toolResult": {"toolUseId": "a", "content": [], "status": "odd"}}),
            "messages[0].content[0].toolResult.status",
        ),
        (said({"guardContent": {"audio": {}}}), "messages[0].content[0].guardContent"),
        (said({"guardContent": {"text": {}}}), "messages[0].content[0].guardContent.text.text"),
        (said({"reasoningContent": {"other": 1}}), "messages[0].content[0].reasoningContent"),
        (
            said({"reasoningContent": {"redactedContent": "%"}}),
            "messages[0].content[0].reasoningContent.redactedContent",
        ),
        (
            said({"reasoningContent": {"redactedContent": "\u00e9"}}),
            "messages[0].content[0].reasoningContent.redactedContent",
        ),
        (said({"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}), "messages[0].content"),
        (said({"reasoningContent": {"reasoningText": {"text": "a"}}}), "messages[0].content"),
        (said({"toolResult": {"toolUseId": "t", "content": []}}, role="assistant"), "messages[0].content"),
        (
            said({"reasoningContent": {"redactedContent": 5}}),
            "messages[0].content[0].reasoningContent.redactedContent",
        ),
        (said({"cachePoint": {"type": "odd"}}), "messages[0].content[0].cachePoint.type"),
        (said({"citationsContent": {"citations": [1]}}), "messages[0].content[0].citationsContent.citations[0]"),
        ({"system": {}}, "system"),
        ({"inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
        ({"inferenceConfig": {"maxTokens": True}}, "inferenceConfig.maxTokens"),
        ({"inferenceConfig": {"temperature": 2}}, "inferenceConfig.temperature"),
        ({"inferenceConfig": {"topP": "1"}}, "inferenceConfig.topP"),
        ({"inferenceConfig": {"stopSequences": [1]}}, "inferenceConfig.stopSequences[0]"),
        ({"toolConfig": {"tools": [{"cachePoint": {"type": "default"}}]}}, "toolConfig.tools[0].cachePoint"),
        ({"toolConfig": {"tools": [{"other": {}}]}}, "toolConfig.tools[0]"),
        (tool(name=None), "toolConfig.tools[0].toolSpec.name"),
        (tool(inputSchema={"json": []}), "toolConfig.tools[0].toolSpec.inputSchema"),
        (tool(inputSchema=None), "toolConfig.tools[0].toolSpec.inputSchema"),
        (tool(strict="yes"), "toolConfig.tools[0].toolSpec.strict"),
        (tool(description=1), "toolConfig.tools[0].toolSpec.description"),
        ({"toolConfig": {"toolChoice": {"none": {}}}}, "toolConfig.toolChoice"),
        ({"toolConfig": {"toolChoice": {"tool": {}}}}, "toolConfig.toolChoice.tool.name"),
        ({"additionalModelRequestFields": []}, "additionalModelRequestFields"),
        ({"serviceTier": {"type": 1}}, "serviceTier.type"),
        (shaped({}), "outputConfig.textFormat.structure"),
        (shaped({"other": 1}), "outputConfig.textFormat.structure"),
        (shaped({}, "text"), "outputConfig.textFormat.type"),
        (shaped({"jsonSchema": {"schema": "{"}}), "outputConfig.textFormat.structure.jsonSchema.schema"),
        (shaped({"jsonSchema": {"schema": "[]"}}), "outputConfig.textFormat.structure.jsonSchema.schema"),
    ],
)
def test_bad_input_is_a_400_that_names_the_member(body: Any, param: str | None) -> None:
    with pytest.raises(ClientFault) as caught:
        read(body)
    assert (caught.value.param, caught.value.status) == (param, 400)


def test_javascripts_whole_numbers_are_integers() -> None:
    assert read({"inferenceConfig": {"maxTokens": 4.0}}).max_tokens == 4


def test_a_missing_model_is_no_failure_here() -> None:
    assert read_request({}, Call()).model == ""


def test_deep_nesting_is_refused() -> None:
    deep: Any = {}
    for _ in range(200_000):
        deep = {"a": deep}
    with pytest.raises(ClientFault):
        read(said({"toolUse": {"toolUseId": "a", "name": "f", "input": deep}}, role="assistant"))
    while deep:
        deep = deep.pop("a")


def names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(names(member) for member in value.values()))
    return set().union(*(names(member) for member in value)) if isinstance(value, list) else set()


SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3)
MEMBERS = st.sampled_from(sorted(names(EVERYTHING) | {"type", "text"}))
ODD = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=3),
    max_leaves=12,
)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_json_is_read_or_refused(data: st.DataObject) -> None:
    """A sound request with one member replaced by anything at all."""
    body = json.loads(json.dumps(EVERYTHING))
    node: Any = body
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        child = node[key]
        if isinstance(child, dict | list) and child and data.draw(st.integers(0, 4)):
            node = child
            continue
        node[key] = data.draw(ODD)
        break
    try:
        conversation = read(body)
    except ClientFault as fault:
        assert fault.message
        return
    write_request(conversation, target_of(CLAUDE))
