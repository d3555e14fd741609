"""Nothing of an answer disappears on its way to a client of another format without a warning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from core.conversation import (
    Answer,
    Audio,
    Block,
    Citation,
    Conversation,
    Document,
    FormatName,
    Image,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Source,
    Stop,
    Text,
    ToolCall,
    Video,
)
from core.events import events_of
from core.formats import load_format
from core.formats.contract import Reply, Target
from core.http import Request
from core.models.resolve import facts_for
from core.translation.answer_losses import AnswerLosses
from tests.gateways import body_of
from tests.scripted import Play
from tests.translation import recorded
from tests.translation.pairs import bench_of, request_of

FORMATS: tuple[FormatName, ...] = ("chat_completions", "responses", "messages", "converse", "generate_content")
DATA = Source("base64", "QUJD", "image/png")
BLOCKS: dict[str, tuple[Block, FormatName]] = {
    "text": (Text("more"), "messages"),
    "refusal": (Refusal("no"), "responses"),
    "thought": (Reasoning(["why"]), "messages"),
    "call": (ToolCall("c1", "f", "{}"), "messages"),
    "image": (Image(DATA), "converse"),
    "image at a URL": (Image(Source("url", "https://a.b/c.png", "image/png")), "generate_content"),
    "odd image": (Image(Source("base64", "QUJD", "image/tiff")), "generate_content"),
    "audio": (Audio(Source("base64", "QUJD", "audio/wav")), "generate_content"),
    "video": (Video(Source("base64", "QUJD", "video/mp4")), "generate_content"),
    "document": (Document(Source("base64", "QUJD", "application/pdf")), "generate_content"),
    "web search": (
        ServerToolCall("s1", "web_search", '{"query":"q"}', "messages", {"type": "server_tool_use", "id": "s1"}),
        "messages",
    ),
    "results": (
        ServerToolResult("s1", "web_search", "t", "messages", {"type": "web_search_tool_result", "content": []}),
        "messages",
    ),
    "code": (
        ServerToolCall("s2", "code_execution", "{}", "generate_content", {"executableCode": {}}), "generate_content",
    ),
    "output": (
        ServerToolResult("", "code_execution", "4", "generate_content", {"codeExecutionResult": {}}),
        "generate_content",
    ),
    "MCP": (ServerToolCall("m1", "mcp", "{}", "responses", {"type": "mcp_call", "id": "m1"}), "responses"),
    "container file": (Opaque("messages", "container_upload", {"type": "container_upload"}), "messages"),
    "Converse's own": (Opaque("converse", "video", {"video": {}}, content=True), "converse"),
    "Chat's audio": (Opaque("chat_completions", "audio", {"id": "a"}, content=True), "chat_completions"),
    "Converse's citation": (Text("cited", [Citation(cited_text="x", raw={"location": {}})]), "converse"),
    "citation of a page": (Text("cited", [Citation(url="https://a.b", cited_text="x")]), "generate_content"),
    "citation of a document": (
        Text("cited", [Citation(cited_text="x", raw={"type": "char_location", "cited_text": "x"})]), "messages",
    ),
}  # fmt: skip
PAIRS = [(client, name) for client in FORMATS for name, (_, origin) in BLOCKS.items() if client != origin]


def reply_to(client: FormatName) -> Reply:
    conversation = Conversation(client, "m", [Message("user", [Text("x")])], store=False)
    return Reply("m", "A" * 20, 1, conversation)


def shown(client: FormatName, *blocks: Block, origin: FormatName) -> Any:
    answer = Answer("id", "m", [Text("Hi"), *blocks], Stop("end_turn"), format=origin)
    return load_format(client).write_response(answer, reply_to(client))


def streamed(client: FormatName, *blocks: Block, origin: FormatName) -> bytes:
    encoder = load_format(client).StreamEncoder(reply_to(client))
    answer = Answer("id", "m", [Text("Hi"), *blocks], Stop("end_turn"), format=origin)
    return b"".join(encoder.emit(event) for event in events_of(answer)) + encoder.close()


@pytest.mark.parametrize(("client", "name"), PAIRS)
def test_each_block_is_shown_or_warned_of(client: FormatName, name: str) -> None:
    block, origin = BLOCKS[name]
    dropped: list[str] = []
    AnswerLosses(client, dropped).whole(Answer("id", "m", [block], format=origin))
    plain = [Text(block.text)] if isinstance(block, Text) and block.citations else []
    is_shown = shown(client, block, origin=origin) != shown(client, *plain, origin=origin)
    in_stream = streamed(client, block, origin=origin) != streamed(client, *plain, origin=origin)
    assert is_shown == in_stream
    marked = client == "messages" and isinstance(block, Image | Audio | Video | Document)
    assert is_shown is not bool(dropped) or marked
    assert not marked or dropped


@pytest.mark.parametrize(("client", "told"), [("responses", []), ("chat_completions", ["answer.phase"])])
def test_the_phase_of_a_message_is_shown_or_warned_of(client: FormatName, told: list[str]) -> None:
    dropped: list[str] = []
    block = Text("Let me look.", note={"item": {"members": {"phase": "commentary"}}})
    AnswerLosses(client, dropped).whole(Answer("id", "m", [block], format="responses"))
    assert dropped == told


# What says how an answer was made or is framed, and not what it says; and state in an envelope, which other tests open.
_FRAME = re.compile(
    r"""(^|\.)(
        id|object|type|role|model|status|finish_?[rR]eason|stop_?[rR]eason|native_finish_reason|system_fingerprint|service_tier
        |serviceTier.*|modelVersion|responseId|provider|finishMessage|modality|inference_geo|category|probability|phase
        |thought_signature|thoughtSignature|signature|encrypted_content|data|redactedContent|latency|format|blockReason
    )(\[\])?$
    |^(x_groq|usage|metadata|safetyRatings|stop_details\.type|performanceConfig|promptFeedback|system|billing)\b
    |safetyRatings|content_filter|caller|\.logprobs""",
    re.VERBOSE,
)
# A Responses object repeats its request's settings.
_CONTENT = {"responses": re.compile(r"^output\[\]")}
_QUIET = 4


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string in `value` that is long enough to be told from others."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    elif isinstance(value, str) and len(value.strip()) >= _QUIET:
        yield path, value.strip()


def said(value: Any) -> str:
    """All texts of an answer; JSON inside of a text is opened too."""
    texts = [text for _, text in leaves(value)]
    for text in list(texts):
        if text[:1] in "{[":
            try:
                texts += [inner for _, inner in leaves(json.loads(text))]
            except ValueError:
                continue
    return "\n".join(texts)


def says_it(text: str, everything: str) -> bool:
    if text in everything:
        return True
    if text[:1] not in "{[":
        return all(line.strip() in everything for line in text.split("\n\n"))
    try:
        return all(inner in everything for _, inner in leaves(json.loads(text)))
    except ValueError:
        return False


@pytest.mark.parametrize("backend", FORMATS)
def test_every_recorded_answer_is_carried_or_warned_of(backend: FormatName) -> None:
    lost: dict[str, str] = {}
    for exchange in recorded.exchanges(backend):
        if exchange.streamed:
            continue
        target = Target(exchange.model, "there", "any", facts_for(exchange.model))
        raw = json.loads(exchange.body)
        answer = load_format(backend).read_response(raw, target)
        for client in FORMATS:
            if client == backend:
                continue
            dropped: list[str] = []
            AnswerLosses(client, dropped).whole(answer)
            everything = said(load_format(client).write_response(answer, reply_to(client)))
            for path, text in leaves(raw):
                is_content = backend not in _CONTENT or _CONTENT[backend].search(path)
                if is_content and not (dropped or _FRAME.search(path) or says_it(text, everything)):
                    lost[f"{backend} > {client}: {path}"] = f"{exchange.name}: {text[:60]}"
    assert lost == {}


SEARCHED = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
    "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Bern"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "Bern is a city."},
    ],
    "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}, "container": {"id": "c_1"},
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_warning_reaches_the_header_or_the_record(stream: bool) -> None:
    body = json.dumps(SEARCHED).encode()
    if stream:
        target = Target("claude-sonnet-4-5", "there", "any", facts_for("claude-sonnet-4-5"))
        answer = load_format("messages").read_response(SEARCHED, target)
        encoder = load_format("messages").StreamEncoder(reply_to("messages"))
        body = b"".join(encoder.emit(event) for event in events_of(answer)) + encoder.close()
    kind = "text/event-stream" if stream else "application/json"
    bench = bench_of("messages", Play(headers={"content-type": kind}, chunks=[body]))
    path, asked = request_of("chat_completions", stream)
    response = await bench.gateway.handle(Request("POST", path, "", {}, asked))
    await body_of(response)
    expected = {"answer.server_tool_use", "answer.web_search_tool_result"}
    if not stream:
        header = response.header("x-skybridge-dropped") or ""
        assert {*expected, "answer.container"} <= set(header.split(", "))
    assert expected <= set(bench.records[-1].dropped)


def test_nothing_is_lost_between_surfaces_of_one_format() -> None:
    dropped: list[str] = []
    block, origin = BLOCKS["results"]
    AnswerLosses(origin, dropped).whole(Answer("id", "m", [block], format=origin, extra={"container": {"id": "c"}}))
    assert dropped == []


def test_converse_has_no_place_for_the_reason_of_a_refusal() -> None:
    dropped: list[str] = []
    answer = Answer("id", "m", [], Stop("refusal", explanation="It is forbidden."), format="messages")
    AnswerLosses("converse", dropped).whole(answer)
    assert dropped == ["answer.explanation"]


def test_a_signature_on_a_text_has_no_place_in_responses() -> None:
    dropped: list[str] = []
    text = Text("Hi", signature="U0lH", origin=Origin("google"))
    AnswerLosses("responses", dropped).whole(Answer("id", "m", [text], format="generate_content"))
    assert dropped == ["answer.signature"]
