"""Backends' answers that are of no format at all, or of another than they say: what the client is told, in its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.access import Caller
from core.errors import GatewayError, UpstreamFault, words_of
from core.formats import load_wire
from core.formats.openai_errors import read_openai_error
from core.framing import frame_buffer
from core.http import Request
from core.passthrough import is_error_of
from core.relay import LARGEST_HELD_FRAME, PassThroughPipe
from tests.core.test_fault_matrix import (
    FORMATS,
    FRAMES,
    JSON,
    TEXT,
    ask,
    body_for,
    error_answer,
    error_frames,
    first_content,
    play,
    stream_type,
)
from tests.gateways import Bench
from tests.scripted import Play

DETAIL = b'{"detail": [{"msg": "field required"}]}'

# Status, body, and what of it the client is told.
ODD_ERRORS: list[tuple[int, bytes, str]] = [
    (422, DETAIL, "field required"),
    (400, b'"nope!"', "nope!"),
    (400, b'["nope"]', "nope"),
    (400, b"null", "status 400"),
    (400, b"{}", "status 400"),
    (500, b'{"error": {"message": {"a": 1}}}', "status 500"),
    (400, b'{"error": {"mess', "status 400"),
    (999, b"{}", "status 999"),
]


def message_of(format_name: str, body: bytes) -> str:
    error: Any = json.loads(body)
    return str(error["message"] if format_name == "converse" else error["error"]["message"])


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(("status", "body", "told"), ODD_ERRORS)
async def test_an_error_of_no_format_is_told_in_the_clients(
    format_name: str, status: int, body: bytes, told: str
) -> None:
    outcome = await ask(format_name, format_name, [Play(status, JSON, [body])], stream=False)
    assert 400 <= outcome.response.status < 600
    assert told in message_of(format_name, outcome.body)


@pytest.mark.parametrize("format_name", FORMATS)
async def test_an_error_of_the_format_is_passed_on_as_it_came(format_name: str) -> None:
    body = error_answer(format_name, 400)
    headers = {**JSON, "x-amzn-errortype": "ValidationException"}
    outcome = await ask(format_name, format_name, [Play(400, headers, [body])], stream=False)
    assert (outcome.response.status, outcome.body) == (400, body)


def test_googles_errors_of_streams_stand_in_a_list() -> None:
    assert is_error_of("generate_content", {}, b'[{"error": {"code": 400, "message": "m"}}]')
    assert not is_error_of("generate_content", {}, b"[]")
    assert not is_error_of("messages", {}, b'{"error": {"message": "m"}}')


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b" plain words ", "plain words"),
        (b"", "The backend answered with status 418."),
        (b"<html>", "The backend answered with status 418."),
        (b"[]", "The backend answered with status 418."),
        (b'{"a": 1}', 'The backend answered with status 418: {"a": 1}'),
        (b"x" * 100_000, "x" * 2000),
    ],
)
def test_what_is_told_of_a_body_without_a_message(body: bytes, words: str) -> None:
    assert words_of(418, body) == words


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (503, {"type": "server_error"}, "overloaded"),
        (429, {"type": "server_error"}, "rate_limit"),
        (500, {"type": "server_error"}, "upstream"),
        (503, {"type": "server_error", "code": "overloaded"}, "overloaded"),
    ],
)
def test_a_status_says_more_than_server_error(status: int, error: dict[str, str], kind: str) -> None:
    body = json.dumps({"error": {"message": "m", **error}}).encode()
    assert read_openai_error(status, {}, body).kind == kind


@pytest.mark.parametrize("stream", [False, True])
async def test_a_redirect_is_the_configurations_fault(stream: bool) -> None:
    outcome = await ask("messages", "messages", [Play(307, {"location": "https://other/"}, [])], stream)
    assert outcome.response.status == 502
    assert "Backend b1 redirects (status 307); its base_url" in message_of("messages", outcome.body)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_proxys_refusal_is_no_mistake_of_the_client(stream: bool) -> None:
    outcome = await ask("messages", "messages", [Play(407, {}, [b"Log in first"])], stream)
    assert outcome.response.status == 502
    assert "The proxy before the backend refuses the gateway" in message_of("messages", outcome.body)


@pytest.mark.parametrize("format_name", [name for name in FORMATS if name != "converse"])
async def test_a_stream_under_the_content_type_of_json(format_name: str) -> None:
    outcome = await ask(format_name, format_name, [Play(headers=JSON, chunks=FRAMES[format_name])])
    assert outcome.body == b"".join(FRAMES[format_name])


async def test_the_words_of_an_error_inside_a_200_are_kept() -> None:
    plays = [Play(headers=JSON, chunks=[error_answer("messages", 503)])]
    outcome = await ask("chat_completions", "messages", plays, stream=False)
    assert outcome.response.status == 503
    assert message_of("chat_completions", outcome.body) == "the backend's words"


@pytest.mark.parametrize(("code", "status"), [("rate_limit_exceeded", 429), ("context_length_exceeded", 400)])
async def test_an_error_inside_a_200_to_a_stream_has_the_status_of_what_it_is(code: str, status: int) -> None:
    body = json.dumps({"error": {"message": "m", "type": None, "param": None, "code": code, "metadata": {}}}).encode()
    outcome = await ask("chat_completions", "chat_completions", [Play(headers=JSON, chunks=[body])])
    assert (outcome.response.status, outcome.body) == (status, body)


@pytest.mark.parametrize("format_name", ["chat_completions", "converse"])
async def test_half_a_frame_after_the_finish_is_kept_back(format_name: str) -> None:
    """A reader may fail on it, and the answer is complete without."""
    frames = FRAMES[format_name]
    told = frames[: next(place for place, frame in enumerate(frames) if b"usage" in frame and b"okens" in frame)]
    outcome = await ask(format_name, format_name, [play(format_name, [*told, frames[len(told)][:-20]])])
    assert outcome.body == b"".join(told) and outcome.text == TEXT
    assert outcome.bench.records[0].outcome == "complete"


async def test_usage_in_a_last_frame_without_its_empty_line_counts() -> None:
    frames = FRAMES["chat_completions"][:-1]
    sent = b"".join(frames).removesuffix(b"\n\n")
    outcome = await ask("chat_completions", "chat_completions", [play("chat_completions", [sent])])
    assert outcome.body == sent
    assert outcome.bench.records[0].usage.total_input_tokens == 5


@pytest.mark.parametrize("format_name", [name for name in FORMATS if name != "converse"])
async def test_an_error_without_its_empty_line_ends_a_stream_that_has_begun(format_name: str) -> None:
    sent = FRAMES[format_name][: first_content(format_name)]
    error = error_frames(format_name)[0]
    outcome = await ask(format_name, format_name, [play(format_name, [*sent, error.rstrip(b"\n")])])
    assert outcome.body == b"".join(sent) + error
    assert outcome.bench.records[0].outcome == "cut"


def test_an_error_behind_a_piece_of_a_frame_is_a_frame_of_its_own() -> None:
    wire = load_wire("messages")
    pipe = PassThroughPipe(wire, frame_buffer(stream_type("messages")["content-type"]))
    pipe.feed(b"data: " + b"x" * LARGEST_HELD_FRAME)
    assert pipe.fail(GatewayError("upstream", "m"), "r").startswith(b"\n\nevent: error\n")
    assert pipe.feed(b"more") == pipe.close() == b""


@pytest.mark.parametrize("client", ["chat_completions", "messages"])
async def test_an_end_of_nothing_is_no_answer(client: str) -> None:
    outcome = await ask(client, "chat_completions", [play("chat_completions", [b"data: [DONE]\n\n"])])
    assert outcome.response.status == 502
    assert outcome.bench.records[0].outcome == "failed"


@pytest.mark.parametrize("format_name", [name for name in FORMATS if name != "converse"])
async def test_events_without_data_are_passed_over(format_name: str) -> None:
    chunks = [part for frame in FRAMES[format_name] for part in (b"data:\n\n", b"event: x\ndata: \n\n", frame)]
    for client in FORMATS:
        outcome = await ask(client, format_name, [play(format_name, chunks)])
        assert outcome.text == TEXT and outcome.bench.records[0].outcome == "complete"


@pytest.mark.parametrize(("client", "status", "told"), [("chat_completions", 401, 502), ("converse", 500, 424)])
async def test_the_record_has_the_status_that_the_client_got(client: str, status: int, told: int) -> None:
    outcome = await ask(client, "messages", [Play(status, JSON, [b"{}"])], stream=False)
    assert outcome.response.status == outcome.bench.records[0].status == told


async def test_json_that_is_no_stream_is_told_with_the_backends_status() -> None:
    outcome = await ask("messages", "messages", [Play(headers=JSON, chunks=[b'{"detail": "later"}'])])
    assert message_of("messages", outcome.body) == "later"
    outcome = await ask("messages", "messages", [Play(headers=JSON, chunks=[b'{"a": 1}'])])
    assert message_of("messages", outcome.body) == 'The backend answered with status 200: {"a": 1}'


async def test_what_the_console_asks_and_fails_has_a_status_too() -> None:
    document = {"backends": {"b": {"type": "anthropic", "api_key": "k"}}, "models": {"m": {"backend": "b"}}}
    bench = Bench(document, [Play(503, JSON, [b"{}"])])
    request = Request("POST", "/v1/messages", "", {}, body_for("messages", stream=False))
    with pytest.raises(UpstreamFault):
        await bench.gateway.answer_for(Caller("anonymous"), request, "chat")
    assert bench.records[0].status == 503


async def test_a_stalled_error_is_not_waited_for_beyond_the_requests_time() -> None:
    document = {"backends": {"b": {"type": "anthropic", "api_key": "k"}}, "models": {"m": {"backend": "b"}}}
    bench = Bench(document, [Play(503, JSON, [b'{"err', 60.0])])
    begun = bench.clock.monotonic()
    request = Request("POST", "/v1/messages", "", {}, body_for("messages", stream=True), begun + 4.0)
    response = await bench.gateway.handle(request)
    assert response.status == 529
    assert bench.clock.monotonic() - begun <= 4.0
