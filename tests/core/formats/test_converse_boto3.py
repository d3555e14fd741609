"""boto3 is the judge: it calls a server on loopback that answers with what we write."""

from __future__ import annotations

import threading
from calendar import timegm
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import strptime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from core.auth import sigv4
from core.conversation import Answer, Citation, Image, Origin, Reasoning, Source, Stop, Text, ToolCall
from core.errors import STATUS, GatewayError, Kind, upstream_fault
from core.events import Ping, events_of
from core.formats.contract import Call
from core.formats.converse import StreamEncoder, read_request, wire, write_error, write_response
from core.usage import Usage
from tests.core.formats.converse_cases import reply_to

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO = [{"role": "user", "content": [{"text": "Hello"}]}]
ANSWER = Answer(
    "id",
    "m",
    [
        Reasoning(["hm"], signature="c2ln", origin=Origin("anthropic")),
        Reasoning(redacted="EuAB", origin=Origin("anthropic")),
        Text("Hi"),
        Text("cited", citations=[Citation("https://u", "T", "words")]),
        ToolCall("t1", "f", '{"a": 1}', signature="g", origin=Origin("google")),
        Image(Source("base64", "AAAA", "image/png")),
    ],
    Stop("tool_use"),
    Usage(10, 5, cache_read_tokens=3, cache_write_1h_tokens=2),
    format="messages",
)


class Server(ThreadingHTTPServer):
    """Answers every request with `answer` and remembers the last one."""

    answer: tuple[int, list[tuple[str, str]], bytes]
    seen: tuple[str, list[tuple[str, str]], bytes]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen = (self.path, list(self.headers.items()), body)
        status, headers, answer = self.server.answer
        self.send_response(status)
        for name, value in [*headers, ("content-length", str(len(answer)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    made = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        aws_access_key_id="key-1",
        aws_secret_access_key="s3cret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield made
    made.close()


def stream_of(data: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    return 200, [("content-type", wire.STREAM_CONTENT_TYPE)], data


def encoded(answer: Answer) -> bytes:
    encoder = StreamEncoder(reply_to(MODEL))
    return b"".join(wire.PING + encoder.emit(event) for event in events_of(answer)) + encoder.close()


def test_boto3_reads_a_whole_answer(server: Server, client: Any) -> None:
    body = write_response(ANSWER, reply_to(MODEL))
    server.answer = (200, [("content-type", "application/json")], wire.json.dumps(body).encode())
    answer = client.converse(modelId=MODEL, messages=HELLO)
    content = answer["output"]["message"]["content"]
    assert content[0] == {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}}
    assert content[1] == {"reasoningContent": {"redactedContent": b"EuAB"}}
    assert content[2] == {"text": "Hi"}
    assert content[3]["citationsContent"]["citations"][0]["location"] == {"web": {"url": "https://u"}}
    assert content[5] == {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}}
    assert content[6] == {"image": {"format": "png", "source": {"bytes": b"\0\0\0"}}}
    assert answer["stopReason"] == "tool_use"
    assert answer["usage"] == {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 20,
        "cacheReadInputTokens": 3,
        "cacheWriteInputTokens": 2,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 2}],
    }


def test_boto3_replays_an_answer_and_nothing_is_lost(server: Server, client: Any) -> None:
    test_boto3_reads_a_whole_answer(server, client)
    message = client.converse(modelId=MODEL, messages=HELLO)["output"]["message"]
    client.converse(modelId=MODEL, messages=[*HELLO, message, *HELLO])
    path, _, body = server.seen
    assert path == "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    conversation = read_request(wire.object_of(body), Call(model=MODEL))
    back = conversation.messages[1].content
    assert back[:3] == ANSWER.content[:3]
    assert back[4] == ToolCall("t1", "f", '{"a":1}', signature="g", origin=Origin("google"))


def test_boto3_reads_a_stream_and_passes_over_pings(server: Server, client: Any) -> None:
    server.answer = stream_of(encoded(ANSWER))
    events = list(client.converse_stream(modelId=MODEL, messages=HELLO)["stream"])
    assert events[0] == {"messageStart": {"role": "assistant"}}
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert [delta["contentBlockIndex"] for delta in deltas] == [0, 0, 1, 2, 3, 3, 4, 4, 5, 6]
    assert deltas[2]["delta"] == {"reasoningContent": {"redactedContent": b"EuAB"}}
    assert deltas[3]["delta"] == {"text": "Hi"}
    assert deltas[5]["delta"]["citation"]["title"] == "T"
    assert deltas[6]["delta"] == {"reasoningContent": {"text": ""}}  # a signature alone cannot be sent back
    assert deltas[8]["delta"] == {"toolUse": {"input": '{"a": 1}'}}
    assert deltas[9]["delta"]["image"]["source"] == {"bytes": b"\0\0\0"}
    assert events[-2] == {"messageStop": {"stopReason": "tool_use"}}
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 20
    assert events[-1]["metadata"]["metrics"] == {"latencyMs": 0}


MODELLED = {
    "bad_request": "ValidationException",
    "context_length": "ValidationException",
    "permission": "AccessDeniedException",
    "model_not_found": "ResourceNotFoundException",
    "timeout": "ModelTimeoutException",
    "quota": "ServiceQuotaExceededException",
    "rate_limit": "ThrottlingException",
    "overloaded": "ServiceUnavailableException",
    "upstream": "ModelErrorException",
    "internal": "InternalServerException",
}


@pytest.mark.parametrize("kind", STATUS)
def test_boto3_raises_the_right_exception(server: Server, client: Any, kind: Kind) -> None:
    error = write_error(GatewayError(kind, "the words"), "req-1")
    server.answer = (error.status, error.headers, error.body)
    for call in (client.converse, client.converse_stream):
        with pytest.raises(ClientError) as caught:
            call(modelId=MODEL, messages=HELLO)
        assert "the words" in caught.value.response["Error"]["Message"]
        assert caught.value.response["ResponseMetadata"]["RequestId"] == "req-1"
        if kind in MODELLED:
            assert type(caught.value) is getattr(client.exceptions, MODELLED[kind])


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("rate_limit", "throttlingException"),
        ("overloaded", "serviceUnavailableException"),
        ("upstream", "modelStreamErrorException"),
        ("internal", "internalServerException"),
        ("bad_request", "validationException"),
    ],
)
def test_boto3_raises_errors_in_the_stream(server: Server, client: Any, kind: Kind, code: str) -> None:
    encoder = StreamEncoder(reply_to(MODEL))
    begun = b"".join(encoder.emit(event) for event in list(events_of(ANSWER))[:3])
    server.answer = stream_of(begun + wire.error_event(upstream_fault(kind, "the words", 500), "r"))
    stream = client.converse_stream(modelId=MODEL, messages=HELLO)["stream"]
    seen = []
    with pytest.raises(EventStreamError) as caught:
        seen.extend(stream)
    assert caught.value.response["Error"] == {"Code": code, "Message": "the words"}


def test_boto3s_signature_is_verified(server: Server, client: Any) -> None:
    server.answer = stream_of(encoded(Answer("", "m", [Text("x")])))
    model = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2"
    list(client.converse_stream(modelId=model, messages=HELLO)["stream"])
    path, headers, body = server.seen
    names = {name.lower(): value for name, value in headers}
    claim = sigv4.parse_authorization(names["authorization"])
    assert claim is not None and claim.access_key_id == "key-1"
    now = timegm(strptime(names["x-amz-date"], sigv4.DATE_FORMAT))
    parts = sigv4.SignedParts("POST", path, "", headers, body)
    sigv4.verify(parts, claim, "s3cret", now)
    with pytest.raises(GatewayError, match="does not match"):
        sigv4.verify(parts, claim, "other", now)


def test_a_ping_is_nothing_to_boto3(server: Server, client: Any) -> None:
    encoder = StreamEncoder(reply_to(MODEL))
    server.answer = stream_of(encoder.emit(Ping()) * 3)
    assert list(client.converse_stream(modelId=MODEL, messages=HELLO)["stream"]) == []
