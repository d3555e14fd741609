"""The estimate against what backends charged: never more than a tenth below the truth."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

import pytest

from core.conversation import Audio, Document, Opaque, Refusal, ServerToolCall, ServerToolResult, Source, Text
from core.counting.estimate import _Counter, text_tokens
from core.counting.estimate import estimate_tokens as estimated
from core.formats import load_format, load_wire
from core.formats.contract import Call
from core.models.facts import ModelFacts
from core.models.resolve import facts_for
from tests.wire.recordings import Recorded, parameters, recorded_pairs

SURFACES = (
    ("/v1/messages", "messages"), ("/chat/completions", "chat_completions"), ("/responses", "responses"),
    ("/converse", "converse"),
)  # fmt: skip
FOLDERS = ("pydantic-ai-cassettes", "otel-botocore-bedrock", "openllmetry-anthropic", "openllmetry-bedrock")
# Members by which a request stands for more than its text: what a vendor keeps, fetches or runs is in its count only.
ELSEWHERE = (
    b'"previous_response_id"', b'"mcp_servers"', b'"conversation"', b'"compaction"', b'"pro"', b'"file_id"',
    b'"compact_20', b'"context_management"', b'"type": "item_reference"',
)  # fmt: skip


def truth_of(pair: Recorded, format_name: str) -> int:
    wire = load_wire(format_name)
    if "count_tokens" in pair.url:
        return int(pair.response_json["input_tokens"])
    if pair.streamed:
        observer = wire.StreamObserver()
        observer.feed(pair.response_body)
        return observer.observation.usage.total_input_tokens
    return wire.observe_response(pair.response_body).usage.total_input_tokens


def judged() -> list[Recorded]:
    """Recordings whose whole prompt is in their request, and whose answer says what it was charged as."""
    pairs = [pair for folder in FOLDERS for pair in recorded_pairs(folder) if pair.status == 200]
    return [
        pair
        for pair in pairs
        if any(end in urlsplit(pair.url).path for end, _ in SURFACES) and pair.request_body.startswith(b"{")
        and not any(member in pair.request_body for member in ELSEWHERE) and "/compact" not in pair.url
        and readable(pair.request_body)
    ]  # fmt: skip


def readable(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("pair", parameters(judged()))
def test_never_far_below_the_truth(pair: Recorded) -> None:
    path = urlsplit(pair.url).path
    format_name = next(name for end, name in SURFACES if end in path)
    body = pair.request_json
    model = body.get("model") or unquote(path.split("/model/")[-1].split("/")[0])
    conversation = load_format(format_name).read_request(body, Call(model, False, pair.request_headers))
    if any(tool.kind == "server" for tool in conversation.tools):
        pytest.skip("a tool that the vendor runs: what it finds is charged too")
    truth = truth_of(pair, format_name)
    if truth:
        assert estimated(conversation, facts_for(model)) >= 0.9 * truth


def test_kinds_of_characters() -> None:
    assert text_tokens("") == 0
    assert text_tokens("word") == 1
    assert text_tokens("internationalization") == 4
    assert text_tokens("12345") == 3
    assert text_tokens("{}") == pytest.approx(1.8)
    assert text_tokens("a\n\n\nb") == 3
    assert text_tokens("日本語") == pytest.approx(3.3)


def test_kinds_of_blocks() -> None:
    counter = _Counter(ModelFacts("x", "anthropic"))
    pdf = Source("base64", "JVBERi0xLjQgL1R5cGUgL1BhZ2UgL1R5cGUgL1BhZ2Ug", "application/pdf")
    assert counter._of_blocks([Document(pdf)]) == 6_060
    assert counter._of_blocks([Document(Source("base64", "aGVsbG8=", "text/plain"))]) == pytest.approx(61.62)
    assert counter._of_blocks([Document(Source("base64", "A", "application/pdf"))]) == 3_060
    assert counter._of_blocks([Document(Source("url", "https://h/x.pdf"))]) == 3_060
    assert counter._of_blocks([Document(Source("text", "hello"), name="n")]) == pytest.approx(62.4)
    assert counter._of_blocks([Document(Source("blocks", blocks=[Text("hello")]))]) == pytest.approx(61.2)
    assert counter._of_blocks([Audio(Source("base64", "A" * 1000))]) == 2_000
    assert counter._of_blocks([Refusal("no"), Opaque("messages", "x", {"a": 1})]) > 2
    call = ServerToolCall("i", "t", "{}", "messages", {"a": 1})
    result = ServerToolResult("i", "t", "x", "messages", {"a": 1})
    assert counter._of_blocks([call, result]) > 4
