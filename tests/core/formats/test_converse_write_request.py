"""Converse requests, written for conversations of other formats. botocore's validator is the judge."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conversation import (
    Audio,
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
from core.errors import Unsupported
from core.formats.contract import Call
from core.formats.converse import read_request, write_request
from core.translation.pipeline import translate_request
from tests.core.formats.converse_cases import target_of
from tests.wire.recordings import FOLDER

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
LLAMA = "meta.llama3-2-1b-instruct-v1:0"
PNG = Source("base64", "iVBORw0KGgo=", "image/png")
CLAUDES = Origin("anthropic")


def service_model() -> ServiceModel:
    newer = FOLDER / "specs" / "bedrock-runtime-service-2-botocore-1.44.5.json.gz"
    if newer.exists():
        return ServiceModel(json.loads(gzip.decompress(newer.read_bytes())))
    return botocore.session.get_session().get_service_model("bedrock-runtime")


CONVERSE_INPUT = service_model().operation_model("Converse").input_shape


def conversation(*messages: Message, **members: Any) -> Conversation:
    return Conversation(members.pop("format", "messages"), "m", list(messages), **members)


def user(*blocks: Any) -> Message:
    return Message("user", list(blocks))


def assistant(*blocks: Any) -> Message:
    return Message("assistant", list(blocks))


def write(asked: Conversation, model: str = CLAUDE) -> tuple[dict[str, Any], list[Dropped]]:
    written = write_request(asked, target_of(model))
    report = ParamValidator().validate({"modelId": "m", **written.body}, CONVERSE_INPUT)
    assert not report.has_errors(), report.generate_report()
    return written.body, written.dropped


def content_of(*blocks: Any, model: str = CLAUDE) -> list[dict[str, Any]]:
    body, dropped = write(conversation(user(*blocks)), model)
    assert dropped == []
    content: list[dict[str, Any]] = body["messages"][0]["content"]
    return content


def losses(asked: Conversation, model: str = CLAUDE) -> list[str]:
    return [loss.path for loss in write(asked, model)[1]]


def test_a_whole_agents_request() -> None:
    asked = conversation(
        Message("system", [Text("Be kind", cache=CacheMark("5m"))], slot="system"),
        user(Text("Look"), Image(PNG), Text("  ")),
        assistant(
            Reasoning(["hm"], signature="c2ln", origin=CLAUDES),
            Reasoning(redacted="EuAB", origin=CLAUDES),
            Text("I look"),
            ToolCall("t1", "see", '{"a": 1}'),
            ToolCall("t2", "zero", ""),
            ToolCall("t3", "odd", '{"a": '),
            ToolCall("t4", "list", "[1]"),
        ),
        Message(
            "tool",
            [
                ToolResult("t1", [Text("seen", cache=CacheMark("1h")), Image(PNG)], is_error=False),
                ToolResult("t2", [], is_error=True),
                ToolResult("t3", [Text(" "), Text("x")]),
                ToolResult("t4", [Text("y")], cache=CacheMark("12h")),
            ],
        ),
        user(Text("And now?")),
        tools=[
            Tool("see", "Sees", {"type": "object", "properties": {"a": {"type": "integer"}}}, strict=True),
            Tool("zero", " ", cache=CacheMark()),
        ],
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        reasoning=ReasoningRequest("budget", budget=2048, display="summary"),
        sampling=Sampling(temperature=0.5, top_p=0.9, top_k=5),
        max_tokens=100,
        stop=["END"],
        betas=["context-1m-2025-08-07", "files-api-2025-04-14"],
        service_tier="standard_only",
    )
    body, dropped = write(asked)
    assert body == {
        "system": [{"text": "Be kind"}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"text": "Look"}, {"image": {"format": "png", "source": {"bytes": PNG.data}}}],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
                    {"reasoningContent": {"redactedContent": base64.b64encode(b"EuAB").decode()}},
                    {"text": "I look"},
                    {"toolUse": {"toolUseId": "t1", "name": "see", "input": {"a": 1}}},
                    {"toolUse": {"toolUseId": "t2", "name": "zero", "input": {}}},
                    {"toolUse": {"toolUseId": "t3", "name": "odd", "input": {"_raw": '{"a": '}}},
                    {"toolUse": {"toolUseId": "t4", "name": "list", "input": {"_raw": "[1]"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "t1",
                            "content": [
                                {"text": "seen"},
                                {"image": {"format": "png", "source": {"bytes": PNG.data}}},
                            ],
                            "status": "success",
                        }
                    },
                    {"cachePoint": {"type": "default", "ttl": "1h"}},
                    {"toolResult": {"toolUseId": "t2", "content": [{"text": "(no content)"}], "status": "error"}},
                    {"toolResult": {"toolUseId": "t3", "content": [{"text": "x"}]}},
                    {"toolResult": {"toolUseId": "t4", "content": [{"text": "y"}]}},
                    {"cachePoint": {"type": "default", "ttl": "1h"}},
                    {"text": "And now?"},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "see",
                        "description": "Sees",
                        "inputSchema": {"json": {"type": "object", "properties": {"a": {"type": "integer"}}}},
                        "strict": True,
                    }
                },
                {"toolSpec": {"name": "zero", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
                {"cachePoint": {"type": "default"}},
            ],
            "toolChoice": {"any": {}},
        },
        "serviceTier": {"type": "default"},
        "additionalModelRequestFields": {
            "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "summarized"},
            "top_k": 5,
            "anthropic_beta": ["context-1m-2025-08-07"],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        },
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    }
    assert [loss.path for loss in dropped] == ["anthropic-beta.files-api-2025-04-14"]


def test_failure_24_results_that_are_no_objects_are_text() -> None:
    for text in ("[1]", "5", '"x"', '{"a": 1}'):
        (result,) = content_of(ToolResult("t", [Text(text)]))
        assert result["toolResult"]["content"] == [{"text": text}]
    own = conversation(user(ToolResult("t", [Text("[1]", note={"json": True})])), format="converse")
    assert write_request(own, target_of(CLAUDE)).body["messages"][0]["content"][0]["toolResult"]["content"] == [
        {"text": "[1]"}
    ]
    broken = conversation(user(ToolResult("t", [Text("{", note={"json": True})])), format="converse")
    body = write_request(broken, target_of(CLAUDE)).body
    assert body["messages"][0]["content"][0]["toolResult"]["content"] == [{"text": "{"}]


def test_failure_26_blank_text_is_never_sent() -> None:
    body, _ = write(conversation(user(Text(""), Text(" \n"), Text("x")), assistant(Refusal(" "))))
    assert body["messages"] == [{"role": "user", "content": [{"text": "x"}]}]
    refused, _ = write(conversation(user(Text("x")), assistant(Refusal("I will not"))))
    assert refused["messages"][1]["content"] == [{"text": "I will not"}]


def test_failure_25_documents() -> None:
    pdf = Source("base64", "JVBERg==", "application/pdf")
    blocks = [
        Document(pdf, name="Report (1)", context="c", citations=True),
        Document(Source("text", "héllo", "text/plain")),
        Document(Source("text", "{}", "application/json"), name="n"),
        Document(Source("base64", "AAAA", "text/x-python"), name="code"),
        Document(Source("blocks", blocks=[Text("part")]), name="parts"),
        Document(Source("s3", "s3://b/k", "text/markdown; charset=utf-8"), name="md"),
    ]
    assert [raw["document"] for raw in content_of(*blocks)] == [
        {
            "name": "Report (1)",
            "format": "pdf",
            "source": {"bytes": "JVBERg=="},
            "context": "c",
            "citations": {"enabled": True},
        },
        {
            "name": "document-2",
            "format": "txt",
            "source": {"bytes": base64.b64encode("héllo".encode()).decode()},
        },
        {"name": "n", "format": "txt", "source": {"bytes": base64.b64encode(b"{}").decode()}},
        {"name": "code", "format": "txt", "source": {"bytes": "AAAA"}},
        {"name": "parts", "source": {"content": [{"text": "part"}]}},
        {"name": "md", "format": "md", "source": {"s3Location": {"uri": "s3://b/k"}}},
    ]


def test_search_results() -> None:
    found = Document(
        Source("blocks", blocks=[Text("found")]),
        name="X",
        citations=True,
        extra={"type": "search_result", "source": "https://x"},
    )
    whole = {"source": "https://x", "title": "X", "content": [{"text": "found"}], "citations": {"enabled": True}}
    assert content_of(found) == [{"searchResult": whole}]
    plain = Document(Source("text", "t"), extra={"type": "search_result"})
    assert content_of(plain) == [{"searchResult": {"source": "", "title": "", "content": [{"text": "t"}]}}]


def test_sound_and_film() -> None:
    content = content_of(
        Audio(Source("base64", "AAAA", "audio/mp3")),
        Audio(Source("base64", "AAAA", "audio/x-wav")),
        Video(Source("base64", "AAAA", "video/mp4")),
    )
    assert [next(iter(raw.values()))["format"] for raw in content] == ["mp3", "wav", "mp4"]


@pytest.mark.parametrize(
    ("block", "model", "feature"),
    [
        (Image(Source("url", "https://x/y.png", "image/png")), CLAUDE, "messages[0].content[0]"),
        (Image(Source("base64", "AAAA", "image/tiff")), CLAUDE, "messages[0].content[0]"),
        (Image(Source("base64", "AAAA")), CLAUDE, "messages[0].content[0]"),
        (Document(Source("file_id", "f"), name="n"), CLAUDE, "messages[0].content[0]"),
        (Document(Source("base64", "AA", "application/zip"), name="n"), CLAUDE, "messages[0].content[0]"),
        (Document(Source("blocks", blocks=[Image(PNG)]), name="n"), CLAUDE, "messages[0].content[0]"),
        (Opaque("messages", "container_upload", {}, content=True), CLAUDE, "messages[0].content[0]"),
        (ToolResult("t", [Text("a"), Reasoning(["a"])]), CLAUDE, "messages[0].content[0].content[1]"),
    ],
)
def test_content_without_a_place_is_refused(block: Any, model: str, feature: str) -> None:
    with pytest.raises(Unsupported) as caught:
        write(conversation(user(block)), model)
    assert caught.value.feature == feature


@pytest.mark.parametrize(
    ("members", "feature"),
    [
        ({"tools": [Tool("web_search", kind="server", format="messages")]}, "tools[0]"),
        ({"tools": [Tool("patch", kind="custom")]}, "tools[0]"),
        ({"output_format": OutputFormat("json_object")}, "output_format"),
    ],
)
def test_requests_without_a_place_are_refused(members: dict[str, Any], feature: str) -> None:
    with pytest.raises(Unsupported) as caught:
        write(conversation(user(Text("x")), **members))
    assert caught.value.feature == feature


def test_a_late_system_message_is_refused() -> None:
    with pytest.raises(Unsupported, match="system text"):
        write(conversation(user(Text("x")), Message("system", [Text("y")])))


def test_own_system_messages_stay_where_they_stood() -> None:
    body = {
        "messages": [
            {"role": "system", "content": [{"text": "s"}]},
            {"role": "user", "content": [{"text": "u"}]},
            {"role": "system", "content": []},
        ]
    }
    assert write_request(read_request(body, Call(model="m")), target_of(CLAUDE)).body == body


def test_system_text_of_several_messages() -> None:
    body, _ = write(conversation(Message("system", [Text("a")]), Message("developer", [Text("b")]), user(Text("x"))))
    assert body["system"] == [{"text": "a"}, {"text": "b"}]


def test_failure_21_a_schema_is_enforced_or_refused() -> None:
    shape = OutputFormat("json_schema", {"type": "object"}, name="n", description="d")
    body, _ = write(conversation(user(Text("x")), output_format=shape))
    definition = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert definition == {"schema": '{"type":"object","additionalProperties":false}', "name": "n", "description": "d"}
    bare, _ = write(conversation(user(Text("x")), output_format=OutputFormat("json_schema", {})))
    assert bare["outputConfig"]["textFormat"]["structure"]["jsonSchema"] == {"schema": "{}"}
    with pytest.raises(Unsupported):
        write(conversation(user(Text("x")), output_format=shape), NOVA)
    plain, dropped = write(conversation(user(Text("x")), output_format=OutputFormat("text")))
    assert "outputConfig" not in plain and dropped == []


@pytest.mark.parametrize(
    ("choice", "raw"),
    [
        (ToolChoice("auto"), {"auto": {}}),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("named", ["f"]), {"tool": {"name": "f"}}),
        (None, None),
    ],
)
def test_tool_choices(choice: ToolChoice | None, raw: dict[str, Any] | None) -> None:
    body, dropped = write(conversation(user(Text("x")), tools=[Tool("f"), Tool("g")], tool_choice=choice))
    assert body["toolConfig"].get("toolChoice") == raw
    assert dropped == []


def test_choices_that_converse_cannot_say() -> None:
    for choice in (ToolChoice("none"), ToolChoice("allowed", ["f"], required=True)):
        asked = conversation(user(Text("x")), tools=[Tool("f")], tool_choice=choice, parallel_tool_calls=False)
        body, dropped = write(asked)
        assert body["toolConfig"].keys() == {"tools"}
        assert [loss.path for loss in dropped] == ["tool_choice"]


def test_parallel_calls() -> None:
    asked = conversation(
        user(Text("x")), tools=[Tool("f")], tool_choice=ToolChoice("named", ["f"]), parallel_tool_calls=False
    )
    body, _ = write(asked)
    assert body["additionalModelRequestFields"]["tool_choice"] == {
        "type": "tool",
        "name": "f",
        "disable_parallel_tool_use": True,
    }
    assert losses(asked, NOVA) == ["tool_choice.disable_parallel_tool_use"]
    for without in (True, None):
        asked.parallel_tool_calls = without
        assert "additionalModelRequestFields" not in write(asked)[0]


@pytest.mark.parametrize(
    ("model", "request_", "fields", "lost"),
    [
        (CLAUDE, ReasoningRequest("adaptive"), {"thinking": {"type": "adaptive"}}, []),
        (CLAUDE, ReasoningRequest("off", display="none"), {"thinking": {"type": "disabled", "display": "omitted"}}, []),
        (CLAUDE, ReasoningRequest("effort", "high"), {"output_config": {"effort": "high"}}, []),
        (
            CLAUDE,
            ReasoningRequest("between_tools", extra={"x": 1}),
            {"thinking": {"type": "between_tools"}},
            ["thinking.x"],
        ),
        ("openai.gpt-oss-120b-1:0", ReasoningRequest("effort", "high"), {"reasoning_effort": "high"}, []),
        ("openai.gpt-oss-120b-1:0", ReasoningRequest("adaptive"), None, []),
        ("openai.gpt-oss-120b-1:0", ReasoningRequest("off"), None, ["thinking"]),
        ("qwen.qwen3-32b-v1:0", ReasoningRequest("effort", "low"), {"reasoning_config": "low"}, []),
        (
            "us.amazon.nova-2-lite-v1:0",
            ReasoningRequest("effort", "low"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            [],
        ),
        ("us.amazon.nova-2-lite-v1:0", ReasoningRequest("off"), {"reasoningConfig": {"type": "disabled"}}, []),
        ("us.amazon.nova-2-lite-v1:0", ReasoningRequest("adaptive"), None, []),
        ("us.amazon.nova-2-lite-v1:0", ReasoningRequest("budget", budget=5), None, ["thinking"]),
        (LLAMA, ReasoningRequest("effort", "low"), None, ["thinking"]),
        (LLAMA, ReasoningRequest("off"), None, []),
    ],
)
def test_reasoning_in_each_vendors_words(
    model: str, request_: ReasoningRequest, fields: dict[str, Any] | None, lost: list[str]
) -> None:
    body, dropped = write(conversation(user(Text("x")), reasoning=request_), model)
    assert body.get("additionalModelRequestFields") == fields
    assert [loss.path for loss in dropped] == lost


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (CLAUDE, {"top_k": 5}),
        (NOVA, {"inferenceConfig": {"topK": 5}}),
        ("cohere.command-r-v1:0", {"k": 5}),
        ("mistral.mistral-large-2407-v1:0", {"top_k": 5}),
        (LLAMA, None),
    ],
)
def test_top_k_in_each_vendors_words(model: str, fields: dict[str, Any] | None) -> None:
    body, dropped = write(conversation(user(Text("x")), sampling=Sampling(top_k=5)), model)
    assert body.get("additionalModelRequestFields") == fields
    assert [loss.path for loss in dropped] == ([] if fields else ["top_k"])


def test_failure_28_betas_that_bedrock_refuses_are_left_out() -> None:
    asked = conversation(user(Text("x")), betas=["claude-code-20250219", "computer-use-2025-11-24"])
    body, dropped = write(asked)
    assert body["additionalModelRequestFields"] == {"anthropic_beta": ["computer-use-2025-11-24"]}
    assert [loss.path for loss in dropped] == ["anthropic-beta.claude-code-20250219"]
    assert len(losses(asked, NOVA)) == 2


def test_knobs_without_a_place_are_reported() -> None:
    asked = conversation(
        Message("user", [Text("x", extra={"odd": 1})], extra={"index": 1}),
        format="chat_completions",
        sampling=Sampling(temperature=0.5, presence_penalty=0.1, frequency_penalty=0.1, seed=1, logit_bias={"1": 2}),
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        cache_key="k",
        store=True,
        service_tier="scale",
        tools=[Tool("f", strict=True, extra={"defer_loading": True})],
        extra={"prediction": {}},
    )
    body, _ = write(asked, NOVA)
    assert body["inferenceConfig"] == {"temperature": 0.5}
    assert set(losses(asked, NOVA)) == {
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "logit_bias",
        "verbosity",
        "user",
        "metadata",
        "prompt_cache_key",
        "store",
        "service_tier",
        "tools[0].strict",
        "tools[0].defer_loading",
        "messages[0].index",
        "messages[0].content[0].odd",
        "prediction",
    }
    nothing = Sampling(presence_penalty=0, frequency_penalty=0.0, logit_bias={})
    assert losses(conversation(user(Text("x")), store=False, service_tier="auto", sampling=nothing)) == []
    assert losses(conversation(user(Text("x")), sampling=Sampling(seed=0))) == ["seed"]


def test_blocks_without_a_place_are_reported() -> None:
    asked = conversation(
        user(Text("q"), Image(PNG, detail="high")),
        assistant(
            Text("a", citations=[Citation(url="https://u")], signature="s"),
            ToolCall("t", "f", "{}", signature="s"),
            Reasoning(["r"], signature="s", origin=Origin("google")),
            Reasoning(["r"], origin=CLAUDES),
            Reasoning(["r"]),
            ServerToolCall("s", "web_search", "{}", "messages", {}),
            ServerToolResult("s", "web_search", "text", "messages", {}),
            Opaque("messages", "fallback", {}),
        ),
    )
    body, dropped = write(asked)
    assert body["messages"][1]["content"] == [
        {"text": "a"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
    ]
    assert [loss.path for loss in dropped] == [
        "messages[0].content[1].detail",
        "messages[1].content[0].citations",
        "messages[1].content[0].signature",
        "messages[1].content[1].signature",
        "messages[1].content[2]",
        "messages[1].content[3]",
        "messages[1].content[4]",
        "messages[1].content[5]",
        "messages[1].content[6]",
        "messages[1].content[7]",
    ]


def test_cache_marks() -> None:
    asked = conversation(user(Text("x", cache=CacheMark("30m"))), assistant(Text("y")), cache=CacheMark("1h"))
    body, dropped = write(asked)
    assert body["messages"][0]["content"] == [{"text": "x"}, {"cachePoint": {"type": "default"}}]
    assert body["messages"][1]["content"] == [{"text": "y"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert dropped == []
    assert losses(asked, LLAMA) == ["messages[0].content[0].cache", "cache_control"]
    marked = conversation(user(Text("x", cache=CacheMark())), cache=CacheMark())
    assert len(write(marked)[0]["messages"][0]["content"]) == 2
    assert losses(conversation(user(Text(" ", cache=CacheMark()), Text("x")))) == []


def test_failure_32_the_prefix_is_the_same_bytes_on_every_turn() -> None:
    first = conversation(user(Text("x"), Document(Source("text", "t"))), tools=[Tool("f"), Tool("g")])
    later = conversation(*first.messages, assistant(Text("y")), user(Text("z")), tools=first.tools)
    one, two = write(first)[0], write(later)[0]
    assert json.dumps(two["toolConfig"]) == json.dumps(one["toolConfig"])
    assert json.dumps(two["messages"][:1]) == json.dumps(one["messages"])


def translated(asked: Conversation, model: str = CLAUDE) -> dict[str, Any]:
    """The body of a request that has gone through the whole of the translation."""
    body = translate_request(asked, "converse", target_of(model)).written.body
    report = ParamValidator().validate({"modelId": "m", **body}, CONVERSE_INPUT)
    assert not report.has_errors(), report.generate_report()
    return body


def test_a_translated_conversation_is_one_that_bedrock_takes() -> None:
    pdf = Source("base64", "JVBERg==", "application/pdf")
    asked = conversation(
        Message("system", [Text("a")]),
        user(Document(pdf, name="r?port.pdf"), Document(pdf, name="r!port.pdf")),
        assistant(ToolCall("a" * 80, "a tool with spaces", "")),
        Message("tool", [ToolResult("a" * 80, [])]),
        Message("system", [Text("b")]),
        user(Text(" ")),
        user(Text("c")),
        format="chat_completions",
        sampling=Sampling(temperature=2),
    )
    body = translated(asked)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    names = [raw["document"]["name"] for raw in body["messages"][0]["content"] if "document" in raw]
    assert len(set(names)) == 2
    assert "text" in body["messages"][0]["content"][-1]
    # Failure 23: the history has a call, so some tool is declared; failure 22: its name and id fit.
    assert body["toolConfig"]["tools"]
    assert json.dumps(translated(asked)) == json.dumps(body)


def test_a_translated_subset_of_the_tools() -> None:
    choice = ToolChoice("allowed", ["g"], required=True)
    asked = conversation(user(Text("x")), tools=[Tool("f"), Tool("g")], tool_choice=choice, format="responses")
    body = translated(asked)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["g"]
    assert body["toolConfig"]["toolChoice"] == {"any": {}}


WORDS = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() == text)
MARKS = st.none() | st.builds(CacheMark, st.sampled_from([None, "5m", "1h"]))
SOURCES = st.builds(Source, st.just("base64"), st.just("AAAA"), st.just("image/png"))
TEXTS = st.builds(Text, WORDS, cache=MARKS)
IMAGES = st.builds(Image, SOURCES, cache=MARKS)
CALLS = st.builds(ToolCall, WORDS, WORDS, st.sampled_from(["{}", '{"a":1}']), cache=MARKS)
RESULT_PARTS = st.lists(st.builds(Text, WORDS) | st.builds(Image, SOURCES), max_size=2)
RESULTS = st.builds(ToolResult, WORDS, RESULT_PARTS, st.sampled_from([None, True, False]), cache=MARKS)
THOUGHTS = st.builds(Reasoning, st.lists(WORDS, min_size=1, max_size=1), signature=WORDS, origin=st.just(CLAUDES))
MESSAGES = st.builds(Message, st.just("user"), st.lists(TEXTS | IMAGES | RESULTS, min_size=1, max_size=3)) | st.builds(
    Message, st.just("assistant"), st.lists(TEXTS | CALLS | THOUGHTS, min_size=1, max_size=3)
)
TOOLS = st.builds(Tool, WORDS, WORDS, st.just({"type": "object"}), cache=MARKS)
CONVERSATIONS = st.builds(
    Conversation,
    st.just("converse"),
    st.just(CLAUDE),
    st.lists(MESSAGES, min_size=1, max_size=4),
    st.lists(TOOLS, max_size=2),
    max_tokens=st.none() | st.integers(1, 9),
    stop=st.lists(WORDS, max_size=2),
)


@given(CONVERSATIONS)
@settings(max_examples=150, deadline=None)
def test_what_is_written_reads_back(asked: Conversation) -> None:
    body = write_request(asked, target_of(CLAUDE)).body
    assert read_request(json.loads(json.dumps(body)), Call(model=CLAUDE)) == asked
