"""Pass-through: what the client sent is what the backend got, and the other way round, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.http import Request
from core.passthrough import default_members, unsaid_defaults
from core.ports import TransportFault
from tests.gateways import TYPES, Bench, body_of, native_bench, path_of
from tests.samples import PATHS, answer_body, error_body, error_frame, request_body, stream_frames
from tests.scripted import Play, refused

FORMATS = sorted(PATHS)
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("format_name", FORMATS)
async def test_whole_answer_is_untouched(format_name: str) -> None:
    bench = native_bench(format_name, [Play(headers=JSON, chunks=[answer_body(format_name)])])
    response = await bench.post(path_of(format_name), request_body(format_name))
    assert response.status == 200
    assert response.body == answer_body(format_name)
    assert bench.transport.requests[0].body == request_body(format_name)
    assert response.header("x-skybridge-backend") == "b1"
    assert response.header("x-skybridge-model") == "m"
    assert response.header("x-skybridge-attempts") == "1"
    assert response.header("x-skybridge-translation") == "none"
    assert response.header("x-request-id")
    (record,) = bench.records
    assert (record.outcome, record.usage.input_tokens, record.usage.output_tokens) == ("complete", 5, 2)
    assert record.finish == "end_turn"
    assert bench.transport.open == 0


@pytest.mark.parametrize("format_name", FORMATS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
async def test_stream_is_untouched_at_every_chunking(format_name: str, data: st.DataObject) -> None:
    stream = b"".join(stream_frames(format_name))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    bench = native_bench(format_name, [Play(chunks=chunks)])
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert await body_of(response) == stream
    assert bench.transport.requests[0].body == request_body(format_name, stream=True)
    (record,) = bench.records
    assert (record.outcome, record.usage.input_tokens, record.usage.output_tokens) == ("complete", 5, 2)
    assert bench.transport.open == 0


@pytest.mark.parametrize("format_name", FORMATS)
async def test_stream_byte_by_byte_and_with_crlf(format_name: str) -> None:
    for stream in (
        b"".join(stream_frames(format_name)),
        b"".join(stream_frames(format_name)).replace(b"\n", b"\r\n"),
        b": a comment first\n\n" + b"".join(stream_frames(format_name)),
    ):
        chunks = [stream[index : index + 1] for index in range(len(stream))]
        bench = native_bench(format_name, [Play(chunks=chunks)])
        response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
        assert await body_of(response) == stream


@pytest.mark.parametrize("format_name", FORMATS)
async def test_a_stream_without_its_last_empty_line_is_complete(format_name: str) -> None:
    stream = b"".join(stream_frames(format_name)).removesuffix(b"\n")
    bench = native_bench(format_name, [Play(chunks=[stream])])
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert await body_of(response) == stream
    assert bench.records[0].outcome == "complete"


@pytest.mark.parametrize("format_name", FORMATS)
async def test_only_the_model_is_spliced_both_ways(format_name: str) -> None:
    bench = native_bench(
        format_name, [Play(headers=JSON, chunks=[answer_body(format_name, "served-1")])], api_model="served-1"
    )
    response = await bench.post(path_of(format_name), request_body(format_name))
    sent = request_body(format_name).replace(b'"model":"m"', b'"model":"served-1"')
    assert bench.transport.requests[0].body == sent
    assert response.body == answer_body(format_name, "served-1").replace(b'"served-1"', b'"m"')
    assert bench.records[0].edits == ["model"]


@pytest.mark.parametrize("format_name", FORMATS)
async def test_the_model_is_spliced_back_in_streams(format_name: str) -> None:
    frames = stream_frames(format_name, "served-2026")
    bench = native_bench(format_name, [Play(chunks=frames)], api_model="served")
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert await body_of(response) == b"".join(frames).replace(b'"served-2026"', b'"m"')


@pytest.mark.parametrize("format_name", FORMATS)
async def test_answer_model_served_leaves_the_answer_alone(format_name: str) -> None:
    bench = native_bench(format_name, [Play(headers=JSON, chunks=[answer_body(format_name, "x")])], api_model="x")
    bench.gateway.configuration.registry.routes["m"].answer_model = "served"
    response = await bench.post(path_of(format_name), request_body(format_name))
    assert response.body == answer_body(format_name, "x")


FAULTS = [
    Play(connect=refused()),
    Play(head_fault=TransportFault("head", "reset")),
    Play(head_delay=10_000.0),
    *(Play(status=status, headers=JSON, chunks=[b"{}"]) for status in (401, 403, 408, 409, 429, 500, 502, 503, 529)),
    Play(chunks=[]),
    Play(chunks=[b": only a comment\n\n"]),
    Play(chunks=[TransportFault("body", "reset")]),
    Play(chunks=[b"\x00garbage\xff"]),
    Play(headers={"content-type": "text/html"}, chunks=[b"<html>oops</html>"]),
    Play(headers=JSON, chunks=[error_body("chat_completions")]),
]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("fault", range(len(FAULTS)))
async def test_a_fault_before_content_goes_to_the_next_candidate(format_name: str, fault: int) -> None:
    frames = stream_frames(format_name)
    bench = native_bench(format_name, [FAULTS[fault], Play(chunks=frames)])
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    body = await body_of(response)
    assert body.replace(_ping(format_name), b"") == b"".join(frames)
    assert bench.transport.open == 0
    (record,) = bench.records
    assert (record.backend, record.attempts, record.outcome) == ("b2", 2, "complete")
    assert len(record.errors) == 1


def _ping(format_name: str) -> bytes:
    from core.formats import load_wire

    return load_wire(format_name).PING


@pytest.mark.parametrize("format_name", FORMATS)
async def test_an_error_as_first_frame_goes_to_the_next_candidate(format_name: str) -> None:
    frames = stream_frames(format_name)
    for first in ([error_frame(format_name)], [frames[0], error_frame(format_name)]):
        bench = native_bench(format_name, [Play(chunks=first), Play(chunks=frames)])
        response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
        assert await body_of(response) == b"".join(frames)
        assert response.header("x-skybridge-backend") == "b2"


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("status", [401, 403, 408, 409, 429, 500, 503, 529])
async def test_whole_answers_fall_through_too(format_name: str, status: int) -> None:
    plays = [Play(status, JSON, [error_body(format_name)]), Play(200, JSON, [answer_body(format_name)])]
    bench = native_bench(format_name, plays)
    response = await bench.post(path_of(format_name), request_body(format_name))
    assert response.body == answer_body(format_name)
    assert response.header("x-skybridge-attempts") == "2"


@pytest.mark.parametrize("format_name", FORMATS)
async def test_a_bad_request_is_not_tried_elsewhere(format_name: str) -> None:
    bench = native_bench(format_name, [Play(400, JSON, [error_body(format_name, "bad tool")])])
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert response.status == 400
    assert b"bad tool" in (await body_of(response))
    assert len(bench.transport.requests) == 1


@pytest.mark.parametrize("format_name", FORMATS)
async def test_every_truncation_ends_in_an_error_event(format_name: str) -> None:
    """Cut at each byte: before the commit the client gets an error status, after it an error event; what it got
    before that is whole frames of the backend's, and never a success."""
    frames = stream_frames(format_name)
    stream = b"".join(frames)
    complete = len(stream) - len(frames[-1]) if format_name != "chat_completions" else stream.index(b'"stop"') + 4
    for cut in range(0, complete, 7):
        bench = native_bench(format_name, [Play(chunks=[stream[:cut]])], candidates=1)
        response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
        body = await body_of(response)
        if response.status != 200:
            assert response.status == 502
            assert json.loads(body)["error"]["message"]
            continue
        assert b"error" in body
        relayed = body[: body.rindex(b"event: error" if b"event: error" in body else b"data: ")]
        assert stream.startswith(relayed)
        assert relayed.endswith(b"\n\n")
        assert bench.records[0].outcome == "cut"
        assert bench.transport.open == 0


@pytest.mark.parametrize("format_name", FORMATS)
async def test_a_reset_after_the_commit_ends_in_an_error_event(format_name: str) -> None:
    frames = stream_frames(format_name)
    chunks = [*frames[:-4], TransportFault("body", "reset by peer")]
    bench = native_bench(format_name, [Play(chunks=chunks), Play(chunks=frames)])
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    body = await body_of(response)
    assert body.startswith(b"".join(frames[:-4]))
    assert b"broke in mid-stream" in body
    assert len(bench.transport.requests) == 1


@pytest.mark.parametrize("format_name", FORMATS)
async def test_the_backends_own_error_event_is_the_end(format_name: str) -> None:
    frames = stream_frames(format_name)
    chunks = [*frames[:-4], error_frame(format_name, "overloaded in the middle")]
    bench = native_bench(format_name, [Play(chunks=chunks)], candidates=1)
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert await body_of(response) == b"".join(chunks)
    assert bench.records[0].outcome == "cut"


@pytest.mark.parametrize("format_name", FORMATS)
async def test_pings_from_before_the_first_byte_and_in_the_middle(format_name: str) -> None:
    frames = stream_frames(format_name)
    ping = _ping(format_name)
    chunks = [*frames[:-2], 31.0, *frames[-2:]]
    if format_name == "chat_completions":
        chunks = [*frames[:2], 31.0, *frames[2:]]
    bench = native_bench(format_name, [Play(head_delay=40.0, chunks=chunks)], candidates=1)
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert response.status == 200
    body = await body_of(response)
    assert body.startswith(ping * 2)
    assert body.count(ping) == 4
    assert body.replace(ping, b"") == b"".join(frames)


@pytest.mark.parametrize("format_name", FORMATS)
async def test_a_failure_after_a_ping_is_an_event(format_name: str) -> None:
    plays = [Play(head_delay=20.0, status=503, headers=JSON, chunks=[error_body(format_name)])] * 2
    bench = native_bench(format_name, plays)
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert response.status == 200
    body = await body_of(response)
    assert body.startswith(_ping(format_name))
    assert b"busy" in body and b"error" in body


@pytest.mark.parametrize("format_name", FORMATS)
async def test_a_candidate_may_still_win_after_a_ping(format_name: str) -> None:
    frames = stream_frames(format_name)
    plays = [Play(head_delay=20.0, status=503, headers=JSON, chunks=[b"{}"]), Play(chunks=frames)]
    bench = native_bench(format_name, plays)
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert (await body_of(response)).replace(_ping(format_name), b"") == b"".join(frames)


async def test_a_good_start_is_committed_after_the_grace() -> None:
    frames = stream_frames("messages")
    bench = native_bench("messages", [Play(chunks=[frames[0], 8.0, *frames[1:]])])
    before = bench.clock.now
    response = await bench.post(path_of("messages"), request_body("messages", stream=True))
    assert bench.clock.now - before == pytest.approx(5.0)
    assert await body_of(response) == b"".join(frames)


@pytest.mark.parametrize("format_name", FORMATS)
async def test_a_stream_that_falls_silent_is_ended(format_name: str) -> None:
    frames = stream_frames(format_name)
    bench = native_bench(format_name, [Play(chunks=[*frames[:-4], 1_000.0])], candidates=1, idle_timeout=60)
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert b"fell silent" in await body_of(response)
    assert bench.transport.open == 0


@pytest.mark.parametrize("format_name", FORMATS)
async def test_the_first_byte_timeout_tries_the_next(format_name: str) -> None:
    plays = [Play(head_delay=9.0, chunks=[]), Play(chunks=stream_frames(format_name))]
    bench = native_bench(format_name, plays, first_byte_timeout=2)
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert response.header("x-skybridge-backend") == "b2"
    await body_of(response)


@pytest.mark.parametrize("format_name", FORMATS)
async def test_the_deadline_ends_the_stream_properly(format_name: str) -> None:
    frames = stream_frames(format_name)
    bench = native_bench(format_name, [Play(chunks=[*frames[:-4], 10.0, *frames[-4:]])], candidates=1)
    request = Request("POST", path_of(format_name), "", {}, request_body(format_name, stream=True))
    request.deadline = bench.clock.now + 6
    response = await bench.gateway.handle(request)
    body = await body_of(response)
    assert b"time for this request is over" in body
    assert bench.clock.now == request.deadline


async def test_the_deadline_before_the_commit_is_a_504() -> None:
    bench = native_bench("messages", [Play(head_delay=10.0)], candidates=1)
    request = Request("POST", "/v1/messages", "", {}, request_body("messages"))
    request.deadline = bench.clock.now + 6
    response = await bench.gateway.handle(request)
    assert response.status == 504
    assert json.loads(await body_of(response))["error"]["type"] == "timeout_error"


@pytest.mark.parametrize("format_name", FORMATS)
async def test_leaving_closes_the_backend_and_keeps_the_usage(format_name: str) -> None:
    frames = stream_frames(format_name)
    bench = native_bench(format_name, [Play(chunks=[b"".join(frames[:-3]), 5.0])])
    response = await bench.post(path_of(format_name), request_body(format_name, stream=True))
    assert not isinstance(response.body, bytes)
    assert await anext(response.body)
    assert bench.transport.open == 1
    await response.body.aclose()
    assert bench.transport.open == 0
    assert bench.records[0].outcome == "abandoned"


async def test_after_the_proper_end_a_broken_connection_does_no_harm() -> None:
    frames = stream_frames("messages")
    for tail in ([TransportFault("body", "reset")], [100.0]):
        bench = native_bench("messages", [Play(chunks=[*frames, *tail])])
        response = await bench.post(path_of("messages"), request_body("messages", stream=True))
        assert await body_of(response) == b"".join(frames)
        assert bench.records[0].outcome == "complete"


async def test_all_candidates_failing_tells_the_most_helpful_failure() -> None:
    plays = [
        Play(429, {**JSON, "retry-after": "7"}, [error_body("messages", "slow down")]),
        Play(connect=refused()),
    ]
    bench = native_bench("messages", plays)
    response = await bench.post("/v1/messages", request_body("messages"))
    assert response.status == 429
    assert response.header("retry-after") == "7"


async def test_a_backends_401_is_the_gateways_fault() -> None:
    body = json.dumps({"error": {"message": "Incorrect API key provided: sk-secret", "code": "invalid_api_key"}})
    for status in (401, 403):
        bench = native_bench("chat_completions", [Play(status, JSON, [body.encode()])], candidates=1)
        response = await bench.post("/v1/chat/completions", request_body("chat_completions"))
        assert response.status == 502
        assert b"sk-secret" not in await body_of(response)


async def test_retries_in_place_come_before_the_next_candidate() -> None:
    plays = [Play(503, JSON, [b"{}"]), Play(503, JSON, [b"{}"]), Play(200, JSON, [answer_body("messages")])]
    bench = native_bench("messages", plays, max_retries=1)
    response = await bench.post("/v1/messages", request_body("messages"))
    assert response.header("x-skybridge-attempts") == "3"
    assert [request.url.split("/")[2] for request in bench.transport.requests] == ["b1", "b1", "b2"]


async def test_headers_that_mean_something_go_on_and_credentials_stay() -> None:
    bench = native_bench("messages", [Play(headers={**JSON, "request-id": "r1", "x-internal": "no"},
                                           chunks=[answer_body("messages")])])
    response = await bench.post(
        "/v1/messages", request_body("messages"), anthropic_version="2026-10-21", anthropic_beta="a,b",
        x_api_key="client-secret", authorization="Bearer client-secret", cookie="c", host="evil",
    )
    sent = dict(bench.transport.requests[0].headers)
    assert sent["anthropic-version"] == "2026-10-21"
    assert sent["anthropic-beta"] == "a,b"
    assert "client-secret" not in str(sent) and "cookie" not in sent and "host" not in sent
    assert response.header("request-id") == "r1"
    assert response.header("x-internal") is None


async def test_embeddings_and_count_tokens_are_plain_pass_through() -> None:
    chat = native_bench("chat_completions", [Play(headers=JSON, chunks=[b'{"object":"list","data":[]}'])])
    body = b'{"model":"m","input":["a"]}'
    response = await chat.post("/v1/embeddings", body)
    assert response.body == b'{"object":"list","data":[]}'
    assert chat.transport.requests[0].url == "http://b1/v1/embeddings"
    counting = native_bench("messages", [Play(headers=JSON, chunks=[b'{"input_tokens": 12}'])])
    response = await counting.post("/v1/messages/count_tokens", request_body("messages"))
    assert response.body == b'{"input_tokens": 12}'


async def test_the_query_goes_on_to_anthropic_only() -> None:
    bench = native_bench("messages", [Play(headers=JSON, chunks=[answer_body("messages")])])
    request = Request("POST", "/v1/messages", "beta=true", {}, request_body("messages"))
    await bench.gateway.handle(request)
    assert bench.transport.requests[0].url.endswith("/v1/messages?beta=true")


async def test_a_missing_credential_is_a_503_that_names_it() -> None:
    bench = Bench({"backends": {"x": {"type": "azure-openai"}}, "models": {"m": {"backend": "x"}}}, [])
    response = await bench.post("/v1/chat/completions", request_body("chat_completions"))
    assert response.status == 503
    error = json.loads(await body_of(response))["error"]
    assert error["type"] == "configuration_error"
    assert "AZURE_API_KEY" in error["message"]


async def test_anothers_sealed_reasoning_is_taken_out_by_a_translation() -> None:
    """What a backend of another vendor left in the history is no signature to this one: it would be refused."""
    from core.conversation import Origin, Reasoning
    from core.formats.envelope import PREFIX, seal
    from core.run import ENVELOPE

    assert PREFIX.encode() == ENVELOPE
    sealed = seal(Reasoning(texts=["hm"], encrypted="gAAA", origin=Origin("openai", "azure")))
    thinking = {"type": "thinking", "thinking": "hm", "signature": sealed}
    history = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "b"}]},
        {"role": "user", "content": "c"},
    ]
    bench = native_bench("messages", [Play(headers=JSON, chunks=[answer_body("messages")])])
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": history}).encode()
    response = await bench.post("/v1/messages", body)
    assert response.status == 200
    assert response.header("x-skybridge-translation") == "messages>messages"
    sent = json.loads(bench.transport.requests[0].body)["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert "skybridge1" not in str(sent) and "b" in str(sent[1]["content"])


async def test_anothers_sealed_reasoning_is_found_in_base64() -> None:
    """Gemini's signatures are base64, so the envelope that stands in one is not seen as it is."""
    from core.conversation import Origin, Reasoning
    from core.formats.generate_content.signatures import sealed

    signature = sealed(Reasoning(texts=["hm"], signature="c2ln", origin=Origin("anthropic")))
    parts = [{"text": "hm", "thought": True, "thoughtSignature": signature}, {"text": "b"}]
    contents = [
        {"role": "user", "parts": [{"text": "a"}]},
        {"role": "model", "parts": parts},
        {"role": "user", "parts": [{"text": "c"}]},
    ]
    answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "d"}]}, "finishReason": "STOP"}]}
    backend = {"type": "gemini", "base_url": "http://b1", "api_key": "k"}
    document = {"backends": {"b1": backend}, "models": {"m": {"backend": "b1", "api_model": "gemini-2.5-flash"}}}
    bench = Bench(document, [Play(headers=JSON, chunks=[json.dumps(answer).encode()])])
    response = await bench.post("/v1beta/models/m:generateContent", json.dumps({"contents": contents}).encode())
    assert response.status == 200
    sent = json.loads(bench.transport.requests[0].body)["contents"]
    assert sent == [contents[0], {"role": "model", "parts": [{"text": "b"}]}, contents[2]]


async def test_an_error_inside_a_200_goes_to_the_next_candidate() -> None:
    wrong = b'{"error": {"code": 502, "message": "provider is down"}}'
    plays = [Play(200, JSON, [wrong]), Play(200, JSON, [answer_body("chat_completions")])]
    bench = native_bench("chat_completions", plays)
    response = await bench.post("/v1/chat/completions", request_body("chat_completions"))
    assert response.header("x-skybridge-attempts") == "2"
    assert response.body == answer_body("chat_completions")


async def test_a_responses_body_on_the_chat_path_is_translated() -> None:
    bench = native_bench("chat_completions", [Play(headers=JSON, chunks=[answer_body("chat_completions")])])
    bench.gateway.configuration.registry.backends["b1"].format = "chat_completions"
    response = await bench.post("/v1/chat/completions", b'{"model":"m","input":"Hello"}')
    assert response.status == 200
    assert json.loads(bench.transport.requests[0].body)["messages"][-1]["content"] == "Hello"
    assert json.loads(await body_of(response))["choices"][0]["message"]["content"] == "Hi"


FLAT = {"type": "function", "name": "f", "parameters": {"type": "object"}}


@pytest.mark.parametrize("tool", [{"name": "f", "input_schema": {"type": "object"}}, FLAT])
async def test_anthropics_tools_and_blocks_on_the_chat_path_are_translated(tool: dict[str, Any]) -> None:
    bench = native_bench("chat_completions", [Play(headers=JSON, chunks=[answer_body("chat_completions")])])
    bench.gateway.configuration.registry.backends["b1"].format = "chat_completions"
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "r"}
    asked = [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    body = {"model": "m", "messages": asked, "tools": [tool]}
    response = await bench.post("/v1/chat/completions", json.dumps(body).encode())
    assert response.status == 200
    sent = json.loads(bench.transport.requests[0].body)
    assert sent["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert [message["role"] for message in sent["messages"]] == ["assistant", "tool"]
    assert sent["messages"][0]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


@pytest.mark.parametrize(
    ("model", "members", "options", "path"),
    [
        ("gpt-5.4", {"tools": TOOLS, "reasoning_effort": "low"}, {}, "/responses"),
        ("gpt-5.4", {"tools": TOOLS, "reasoning_effort": "none"}, {}, "/chat/completions"),
        ("gpt-5.4", {"tools": TOOLS}, {}, "/chat/completions"),
        ("gpt-5.4", {"tools": [], "reasoning_effort": "low"}, {}, "/chat/completions"),
        ("gpt-5.2", {"tools": TOOLS, "reasoning_effort": "low"}, {}, "/chat/completions"),
        ("gpt-5.4", {"tools": TOOLS, "reasoning_effort": "low"}, {"format": "chat_completions"}, "/chat/completions"),
    ],
)
async def test_tools_beside_reasoning_go_where_openai_takes_them(
    model: str, members: dict[str, Any], options: dict[str, str], path: str
) -> None:
    native = path == "/chat/completions"
    play = Play(headers=JSON, chunks=[answer_body("chat_completions" if native else "responses")])
    row = {"backend": "there", "api_model": model}
    bench = Bench({"backends": {"there": {"type": "openai", **options}}, "models": {"m": row}}, [play])
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **members}
    response = await bench.post("/v1/chat/completions", json.dumps(body).encode())
    assert response.status == 200
    sent = bench.transport.requests[0]
    assert sent.url.endswith(path)
    assert response.header("x-skybridge-translation") == ("none" if native else "chat_completions>responses")
    assert json.loads(await body_of(response))["choices"][0]["message"]["content"] == "Hi"


async def test_a_route_that_never_translates_leaves_tools_beside_reasoning_as_they_are() -> None:
    play = Play(headers=JSON, chunks=[answer_body("chat_completions")])
    row = {"backend": "there", "api_model": "gpt-5.4"}
    bench = Bench({"backends": {"there": {"type": "openai"}}, "models": {"m": row}}, [play])
    bench.gateway.configuration.registry.routes["m"].translate = False
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": TOOLS, "reasoning_effort": "low"}
    await bench.post("/v1/chat/completions", json.dumps(body).encode())
    assert bench.transport.requests[0].url.endswith("/chat/completions")


OLD, NEW = "claude-sonnet-4-5", "claude-opus-5-5"
BEGUN = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "Once"}]
INSTRUCTED = [{"role": "user", "content": "x"}, {"role": "system", "content": "Be brief."}]  # as Claude Code does
ADAPTIVE = {"thinking": {"type": "adaptive"}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("asked", "served", "members", "passes"),
    [
        ("m", OLD, {}, True),
        ("m", OLD, {"thinking": {"type": "disabled"}, "temperature": 0.5, "top_k": 3}, True),
        ("m", OLD, {"thinking": 7, "output_config": {"effort": None}, "messages": [7]}, True),
        ("m", OLD, {"messages": BEGUN}, True),
        ("m", OLD, ADAPTIVE, False),
        (NEW, OLD, ADAPTIVE, False),
        (OLD, OLD, ADAPTIVE, True),
        ("claude-sonnet-4-5-20250929", OLD, ADAPTIVE, True),
        ("m", "some-model", ADAPTIVE, True),
        ("m", "claude-of-tomorrow", ADAPTIVE, True),
        ("m", OLD, {"output_config": {"effort": "high"}}, False),
        (OLD, NEW, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, False),
        ("m", NEW, {"temperature": 1, "top_p": 1}, True),
        ("m", NEW, {"temperature": 0.5}, False),
        ("m", NEW, {"top_k": 3}, False),
        ("m", NEW, {"tool_choice": {"type": "auto"}}, True),
        ("m", NEW, {"tool_choice": {"type": "any"}, "tools": [TOOL]}, False),
        ("m", NEW, {"messages": BEGUN}, False),
        ("m", OLD, {"messages": INSTRUCTED}, False),
        ("m", "claude-sonnet-5", {"messages": INSTRUCTED, **ADAPTIVE}, False),
        (OLD, OLD, {"messages": INSTRUCTED}, True),
        ("m", NEW, {"messages": INSTRUCTED, **ADAPTIVE}, True),
    ],
)
async def test_what_was_meant_for_another_of_claudes_models_is_fitted_to_the_one_that_answers(
    asked: str, served: str, members: dict[str, Any], passes: bool
) -> None:
    row = {"backend": "there", "api_model": served}
    bench = Bench(
        {"backends": {"there": {"type": "anthropic"}}, "models": {asked: row}},
        [Play(headers=JSON, chunks=[answer_body("messages")])],
    )
    question = [{"role": "user", "content": "x"}]
    body = json.dumps({"model": asked, "max_tokens": 9000, "messages": question, **members}).encode()
    response = await bench.post("/v1/messages", body)
    assert response.status == 200
    assert response.header("x-skybridge-translation") == ("none" if passes else "messages>messages")
    sent = bench.transport.requests[0].body
    assert (sent == body.replace(f'"{asked}"'.encode(), f'"{served}"'.encode())) is passes


GEMINI_PATH = "/v1beta/models/m:streamGenerateContent"
GEMINI_BODY = b'{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}'


async def gemini(plays: list[Play], query: str = "") -> tuple[int, str | None, bytes]:
    bench = native_bench("messages", plays, candidates=1)
    response = await bench.gateway.handle(Request("POST", GEMINI_PATH, query, {}, GEMINI_BODY))
    return response.status, response.header("content-type"), await body_of(response)


async def test_gemini_streams_as_events_or_as_one_array() -> None:
    frames = stream_frames("messages")
    _, content_type, body = await gemini([Play(chunks=frames)], "alt=sse")
    assert content_type == "text/event-stream"
    assert body.startswith(b"data: ")
    _, content_type, body = await gemini([Play(chunks=frames)])
    assert content_type == "application/json"
    parts = [part["text"] for chunk in json.loads(body) for part in chunk["candidates"][0]["content"].get("parts", [])]
    assert "".join(parts) == "Hi"


async def test_a_broken_array_is_still_an_array() -> None:
    frames = stream_frames("messages")
    _, _, body = await gemini([Play(chunks=[*frames[:4], TransportFault("body", "reset")])])
    assert "reset" in json.loads(body)[-1]["error"]["message"]
    _, _, body = await gemini([Play(chunks=[*frames[:4], error_frame("messages")])])
    assert json.loads(body)[-1]["error"]["code"]
    _, _, body = await gemini([Play(head_delay=20.0, status=500, headers=JSON, chunks=[b"{}"])])
    assert json.loads(body)[-1]["error"]["code"]


async def test_nested_defaults_fill_what_the_client_left_open() -> None:
    document = {
        "backends": {"b": {"type": "openai", "base_url": "http://b/v1", "api_key": "k"}},
        "models": {
            "m": {"backend": "b", "reasoning_effort": "high", "summary_level": "auto", "verbosity_level": "low"}
        },
    }
    said: dict[str, object] = {"model": "m", "input": "x"}
    said |= {"reasoning": {"effort": "low"}, "text": {"verbosity": "high"}}
    bench = Bench(document, [Play(headers=JSON, chunks=[answer_body("responses")])] * 2)
    await bench.post("/v1/responses", json.dumps(said).encode())
    sent = json.loads(bench.transport.requests[0].body)
    assert sent["reasoning"] == {"effort": "low", "summary": "auto"}
    assert sent["text"] == {"verbosity": "high"}
    await bench.post("/v1/responses", b'{"model":"m","input":"x","max_output_tokens":5}')
    sent = json.loads(bench.transport.requests[1].body)
    assert sent["reasoning"] == {"effort": "high", "summary": "auto"}
    assert sent["text"] == {"verbosity": "low"}


KNOBS = {
    "max_tokens": 77, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "service_tier": "flex", "reasoning_effort": "low",
    "summary_level": "auto", "verbosity_level": "low", "truncation_strategy": "auto",
}  # fmt: skip
SAID: dict[str, tuple[dict[str, object], list[str]]] = {
    "chat_completions": (
        {"max_completion_tokens": 77, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "service_tier": "flex",
         "reasoning_effort": "low", "verbosity": "low"},
        ["summary_level", "truncation_strategy"],
    ),
    "responses": (
        {"max_output_tokens": 77, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "service_tier": "flex",
         "reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"}, "truncation": "auto"},
        [],
    ),
    "messages": (
        {"max_tokens": 77, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "service_tier": "flex",
         "output_config": {"effort": "low"}},
        ["summary_level", "verbosity_level", "truncation_strategy"],
    ),
    "converse": (
        {"inferenceConfig": {"maxTokens": 77, "temperature": 0.5, "topP": 0.9}, "serviceTier": {"type": "flex"}},
        ["top_k", "reasoning_effort", "summary_level", "verbosity_level", "truncation_strategy"],
    ),
    "generate_content": (
        {"generationConfig": {"maxOutputTokens": 77, "temperature": 0.5, "topP": 0.9, "topK": 40},
         "serviceTier": "flex"},
        ["reasoning_effort", "summary_level", "verbosity_level", "truncation_strategy"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("format_name", sorted(SAID))
def test_defaults_are_said_in_the_words_of_the_format(format_name: str) -> None:
    """A knob under a name that the format does not have would be the vendor's 400 to every request."""
    said, unsaid = SAID[format_name]
    assert default_members(format_name, KNOBS, {}) == said
    assert unsaid_defaults(format_name, KNOBS) == unsaid


@pytest.mark.parametrize("format_name", ["chat_completions", "messages", "responses"])
async def test_defaults_without_a_word_in_the_format_are_named(format_name: str) -> None:
    backend = {"type": TYPES[format_name], "base_url": "http://b/v1", "api_key": "k", "format": format_name}
    document = {"backends": {"b": backend}, "models": {"m": {"backend": "b", **KNOBS}}}
    bench = Bench(document, [Play(headers=JSON, chunks=[answer_body(format_name)])])
    response = await bench.post(path_of(format_name), request_body(format_name))
    assert not set(SAID[format_name][1]) & set(json.loads(bench.transport.requests[0].body))
    assert response.header("x-skybridge-dropped") == (", ".join(SAID[format_name][1]) or None)


async def test_turns_of_one_conversation_go_to_the_same_candidate() -> None:
    """cache_aware: what the turns share decides, so the prompt cache is warm where they arrive."""
    names = ("b1", "b2", "b3", "b4")
    backends = {name: {"type": "anthropic", "base_url": f"http://{name}", "api_key": "k"} for name in names}
    model = {"candidates": [{"backend": name} for name in backends], "policy": {"strategy": "cache_aware"}}
    plays = [Play(headers=JSON, chunks=[answer_body("messages")])] * 60
    bench = Bench({"backends": backends, "models": {"m": model}}, plays)
    chosen = []
    for conversation in range(20):
        history: list[dict[str, str]] = []
        hosts = set()
        for turn in range(3):
            history += [{"role": "user", "content": f"{conversation} {turn}"}, {"role": "assistant", "content": "ok"}]
            messages = [*history, {"role": "user", "content": "x"}]
            body = {"model": "m", "max_tokens": 9, "system": "s", "messages": messages}
            await bench.post("/v1/messages", json.dumps(body).encode())
            hosts.add(bench.transport.requests[-1].url.split("/")[2])
        assert len(hosts) == 1
        chosen.append(hosts.pop())
    assert len(set(chosen)) == 4
