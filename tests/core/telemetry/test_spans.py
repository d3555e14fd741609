"""One server span a request, one client span an attempt, by the conventions, and the trace carried on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from core.configuration import read_configuration
from core.errors import ClientFault
from core.http import Request
from core.ports import BackendRequest
from core.routes import Endpoint, match
from core.routing.policy import Attempt
from core.telemetry.otlp import trace_request
from core.telemetry.sampling import read_sampler
from core.telemetry.spans import (
    CLIENT,
    SERVER,
    RequestTrace,
    Span,
    TracePorts,
    answer_attributes,
    begin,
    route_of,
    server_of,
)
from core.usage import Usage
from tests.core import test_continuation as continuation
from tests.core.telemetry.collector import attributes_of, parsed, spans_of
from tests.core.telemetry.records import made_record
from tests.core.telemetry.test_context import SPAN, TRACE, XRAY, XRAY_TRACE
from tests.gateways import Bench, body_of, native_bench
from tests.samples import PATHS, answer_body, request_body, stream_frames
from tests.scripted import Play

JSON = {"content-type": "application/json"}


class Traced:
    """A gateway whose spans are kept here."""

    def __init__(self, bench: Bench, sampler: str = "", platform: str = "") -> None:
        self.bench = bench
        self.spans: list[Span] = []
        self._ids = 0
        self.ports = TracePorts(
            lambda: int(bench.clock.time() * 1e9), self._id, lambda: platform, read_sampler(sampler, ""),
            self.spans.extend,
        )  # fmt: skip
        bench.gateway.ports.trace = lambda request, endpoint: begin(self.ports, request, endpoint)

    def _id(self, size: int) -> str:
        self._ids += 1
        return f"{self._ids:0{size * 2}x}"


def traced(plays: Sequence[Play], format_name: str = "messages", sampler: str = "", platform: str = "") -> Traced:
    return Traced(native_bench(format_name, plays), sampler, platform)


def sent_headers(bench: Bench) -> list[dict[str, str]]:
    return [dict(request.headers) for request in bench.transport.requests]


@pytest.mark.parametrize("format_name", sorted(PATHS))
async def test_a_whole_answer_after_a_failover(format_name: str) -> None:
    failing = Play(529, JSON, [b'{"error":{"message":"sk-made-abcdefghijklmnop is busy"}}'])
    it = traced([failing, Play(headers=JSON, chunks=[answer_body(format_name)])], format_name)
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "v=1", "user-agent": "made"}
    response = await it.bench.gateway.handle(
        Request("POST", PATHS[format_name], "", headers, request_body(format_name))
    )
    assert response.status == 200
    server, failed, answered = it.spans
    assert (server.kind, server.parent_id, server.trace_id, server.state) == (SERVER, SPAN, TRACE, "v=1")
    assert [span.parent_id for span in (failed, answered)] == [server.span_id] * 2
    assert {span.trace_id for span in it.spans} == {TRACE} and failed.kind == answered.kind == CLIENT
    assert failed.error is not None and "sk-made" not in failed.error
    assert failed.attributes["error.type"] == "529" and failed.attributes["http.response.status_code"] == 529
    assert answered.error is None and server.error is None
    assert answered.name == f"{answered.attributes['gen_ai.operation.name']} m"
    assert answered.attributes["gen_ai.request.model"] == "m" and answered.attributes["server.address"] == "b2"
    assert answered.attributes["server.port"] == 80 and answered.attributes["http.request.resend_count"] == 1
    assert answered.attributes["gen_ai.usage.input_tokens"] == 5
    assert answered.attributes["gen_ai.usage.output_tokens"] == 2
    assert server.attributes["skybridge.attempts"] == 2 and server.attributes["user_agent.original"] == "made"
    for sent, span in zip(sent_headers(it.bench), (failed, answered), strict=True):
        assert sent["traceparent"] == f"00-{TRACE}-{span.span_id}-01" and sent["tracestate"] == "v=1"
    assert all(span.start <= span.end for span in it.spans)


async def test_a_stream_that_breaks_and_one_that_nobody_reads() -> None:
    frames = stream_frames("messages")
    it = traced([Play(chunks=[*frames[:-2], OSError_()]), Play(chunks=frames)])
    broken = await it.bench.post(PATHS["messages"], request_body("messages", stream=True))
    await body_of(broken)
    server, answered = it.spans
    assert answered.attributes["error.type"] == "stream_broken" and answered.attributes["gen_ai.request.stream"] is True
    assert server.error is not None and server.attributes["error.type"] == "cut"
    it.spans.clear()
    left = await it.bench.post(PATHS["messages"], request_body("messages", stream=True))
    assert not isinstance(left.body, bytes)
    await left.body.aclose()
    server, answered = it.spans
    assert (answered.attributes["error.type"], server.error) == ("cancelled", None)
    assert "gen_ai.response.time_to_first_chunk" not in answered.attributes


def OSError_() -> Exception:
    from core.ports import TransportFault

    return TransportFault("body", "reset")


async def test_nothing_answers() -> None:
    it = traced([Play(500, JSON, [b"{}"]), Play(connect=OSError_())])
    assert (await it.bench.post(PATHS["messages"], request_body("messages"))).status >= 500
    server, first, second = it.spans
    assert [first.attributes["error.type"], second.attributes["error.type"]] == ["500", "upstream"]
    assert server.error is not None and str(server.attributes["error.type"]).startswith("5")


async def test_a_client_fault_is_no_error_of_the_server() -> None:
    it = traced([])
    assert (await it.bench.post(PATHS["messages"], b"{}")).status == 400
    (server,) = it.spans
    assert server.error is None and server.attributes["http.response.status_code"] == 400


async def test_a_hedge_gives_one_attempt_up() -> None:
    document = {
        "backends": {name: {"type": "anthropic", "base_url": f"http://{name}", "api_key": "k"} for name in ("a", "b")},
        "models": {"m": {"candidates": [{"backend": "a", "api_model": "m"}, {"backend": "b", "api_model": "m"}],
                         "policy": {"hedge_after": 1.0, "strategy": "ordered"}}},
    }  # fmt: skip
    frames = stream_frames("messages")
    it = Traced(Bench(document, [Play(head_delay=60.0), Play(chunks=frames)]))
    response = await it.bench.post(PATHS["messages"], request_body("messages", stream=True))
    await body_of(response)
    outcomes = [span.attributes.get("error.type") for span in it.spans]
    assert sorted(map(str, outcomes)) == ["None", "None", "cancelled"]


async def test_a_stream_that_another_attempt_takes_up() -> None:
    rest = continuation.play("messages", continuation.stream("messages", ["x"]))
    it = Traced(continuation.bench([continuation.broken(["One ", "two "]), rest], ["messages", "messages"]))
    await continuation.ask(it.bench)
    server, broke, took_up = it.spans
    assert broke.attributes["error.type"] == "upstream" and took_up.error is None and server.error is None
    assert [span.attributes.get("gen_ai.usage.output_tokens") for span in (broke, took_up)] == [None, 2]


async def test_what_is_not_sampled_leaves_no_span_but_is_carried_on() -> None:
    it = traced([Play(headers=JSON, chunks=[answer_body("messages")])], sampler="always_off", platform=XRAY)
    assert (await it.bench.post(PATHS["messages"], request_body("messages"))).status == 200
    assert it.spans == []
    (sent,) = sent_headers(it.bench)
    assert sent["traceparent"].startswith(f"00-{XRAY_TRACE}-") and sent["traceparent"].endswith("-00")
    assert "tracestate" not in sent


@pytest.mark.parametrize("backend", ["anthropic", "openai"], ids=["native", "translated"])
async def test_without_traces_the_clients_headers_go_through(backend: str) -> None:
    document = {
        "backends": {"b": {"type": backend, "base_url": "http://b/v1", "api_key": "k", "format": "chat_completions"}},
        "models": {"m": {"backend": "b", "api_model": "m"}},
    }  # fmt: skip
    if backend == "anthropic":
        document["backends"]["b"].pop("format")
    bench = Bench(document, [Play(500, JSON, [b"{}"])])
    mine = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "v=1"}
    await bench.post(PATHS["messages"], request_body("messages"), **mine)
    (sent,) = sent_headers(bench)
    assert {name: sent[name] for name in mine} == mine


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/messages", "/v1/messages"),
        ("/model/us.anthropic.claude%3A0/converse-stream", "/model/{model}/converse-stream"),
        ("/openai/deployments/gpt/chat/completions", "/openai/deployments/{model}/chat/completions"),
        ("/v1beta/models/gemini-pro:streamGenerateContent", "/v1beta/models/{model}:streamGenerateContent"),
        ("/v1/databricks/messages/claude", "/v1/databricks/messages/{model}"),
    ],
)
def test_one_route_has_one_name(path: str, route: str) -> None:
    endpoint = match("POST", path, {})
    assert isinstance(endpoint, Endpoint)
    assert route_of(path, endpoint) == route


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://api.openai.com/v1/responses", ("api.openai.com", 443)),
        ("http://user:pass@h:81?x=/y", ("h", 81)),
        ("batch+http://[::1]:8080/v1", ("::1", 8080)),
        ("http://[::1]/v1", ("::1", 80)),
        ("demo://demo", ("", 0)),
    ],
)
def test_servers(url: str, server: tuple[str, int]) -> None:
    assert server_of(url) == server


def test_the_payload_is_otlp() -> None:
    it = traced([])
    request = Request("POST", "/v1/messages", "", {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "v=1"}, b"{}")
    trace = begin(it.ports, request, Endpoint("generate", "messages"))
    trace.stream = True
    backends = {"aws": {"type": "bedrock", "region": "eu-west-1", "api_key": "k"}, "d": {"type": "demo"}}
    registry = read_configuration({"backends": backends, "models": {"m": {"backend": "d"}}}, {}).registry
    attempts = [_attempt(registry.backends[name], number) for number, name in enumerate(backends, 1)]
    trace.begun(attempts[0], BackendRequest("POST", "https://h/x", [("traceparent", "old")], b""))
    trace.won(attempts[0])
    trace.broken(ClientFault("timeout", "over"))
    trace.broken(ClientFault("timeout", "nothing is open now"))
    trace.begun(attempts[1], BackendRequest("POST", "demo:", [], b""))
    trace.given_up(attempts[0])
    trace.failed(attempts[0], ClientFault("timeout", "over"))
    trace.won(attempts[1])
    _left_open(trace, attempts[0])
    trace.ended(made_record(session="s-1", outcome="cut", errors=[]))
    body = json.dumps(trace_request({"service.name": "made", "n": 1.5}, "1.2", it.spans)).encode()
    message = parsed(body)
    assert attributes_of(message.resource_spans[0].resource) == {"service.name": "made", "n": 1.5}
    assert message.resource_spans[0].scope_spans[0].scope.version == "1.2"
    server, first, second, left = spans_of(body)
    assert server.kind == 2 and first.kind == 3 and server.parent_span_id.hex() == SPAN and first.status.code == 2
    assert server.trace_state == "v=1" and attributes_of(first)["gen_ai.request.stream"] is True
    root = Span(TRACE, SPAN, "", "root", SERVER, 1, {}, 2)
    (alone,) = spans_of(json.dumps(trace_request({}, "", [root])).encode())
    assert not alone.parent_span_id and (alone.start_time_unix_nano, alone.end_time_unix_nano) == (1, 2)
    assert attributes_of(first)["cloud.region"] == "eu-west-1"
    assert attributes_of(first)["gen_ai.provider.name"] == "aws.bedrock"
    assert attributes_of(second)["gen_ai.conversation.id"] == "s-1" and "server.address" not in attributes_of(second)
    assert attributes_of(second)["gen_ai.response.finish_reasons"] == ["end_turn"]
    assert attributes_of(second)["gen_ai.usage.cache_creation.input_tokens"] == 9
    assert attributes_of(second)["gen_ai.usage.input_tokens"] == 49
    assert attributes_of(server)["skybridge.cost_usd"] == 0.0000035
    assert attributes_of(left)["error.type"] == "cancelled" and server.status.message == "cut"


def _attempt(backend: Any, number: int) -> Attempt:
    from core.routing.registry import Candidate

    return Attempt(Candidate(backend, "m"), number)


def _left_open(trace: RequestTrace, attempt: Attempt) -> None:
    """An attempt that is cut off without a word, as by a cancellation in mid-connect."""
    trace.begun(attempt, BackendRequest("POST", "http://h:81/x", [], b"", parts=[BackendRequest("POST", "u", [], b"")]))


def test_counts_that_nobody_told_are_no_attributes() -> None:
    told = answer_attributes(made_record(usage=Usage(output_tokens=3)))
    assert {name for name in told if name.startswith("gen_ai.usage")} == {"gen_ai.usage.output_tokens"}
