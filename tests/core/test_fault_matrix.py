"""Every fault x every client format x the same and another backend format x streamed or not.

Two candidates: the first has the fault, the second is well. What must hold: the right candidate answers or the right
error arrives, one start event, no byte twice, usage recorded, nothing left open.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from core.attempts import LARGEST_ANSWER
from core.conversation import Answer, Conversation, Message, Stop, Text
from core.errors import upstream_fault
from core.events import Event, Failed, Finished, PartDelta, Started, events_of
from core.formats import load_format, load_wire
from core.formats.contract import Reply, Target
from core.framing.eventstream import FrameBuffer, encode
from core.http import Request, Response
from core.json_edit import dump
from core.models.resolve import facts_for
from core.ports import TransportFault
from core.usage import Usage
from tests.gateways import Bench, body_of
from tests.scripted import Chunk, Play

JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html"}
FORMATS = ("chat_completions", "messages", "responses", "converse", "generate_content")
TYPES = {
    "chat_completions": "openai-compatible", "messages": "anthropic", "responses": "openai", "converse": "bedrock",
    "generate_content": "gemini",
}  # fmt: skip
# For each client format, a backend format that it must be translated to.
OTHERS = {
    "chat_completions": "messages", "messages": "converse", "responses": "chat_completions",
    "converse": "generate_content", "generate_content": "responses",
}  # fmt: skip
PAIRS = [(name, name) for name in FORMATS] + list(OTHERS.items())
WORDS = ["Hel", "lo, ", "world"]
TEXT = "".join(WORDS)
SECOND = "from the second"
FOREVER = 10_000.0


def answer(words: str = TEXT) -> Answer:
    return Answer(
        id="id1", model="m", content=[Text(words)], stop=Stop("end_turn"), usage=Usage(input_tokens=5, output_tokens=2)
    )  # fmt: skip


def reply() -> Reply:
    asked = Conversation("messages", "m", [Message("user", [Text("hi")])], stream=True, include_usage=True)
    return Reply("m", "A" * 20, 1, asked, "req_1")


def split(format_name: str, data: bytes) -> list[bytes]:
    """A stream's frames."""
    if format_name != "converse":
        return [frame + b"\n\n" for frame in data.split(b"\n\n")[:-1]]
    frames: list[bytes] = []
    buffer = FrameBuffer()
    for place in range(len(data)):
        frame = buffer.feed(data[place : place + 1])
        if frame:
            frames.append(frame)
    return frames


def events(words: Sequence[str]) -> list[Event]:
    made: list[Event] = []
    for event in events_of(answer("".join(words))):
        if isinstance(event, PartDelta):
            made.extend(PartDelta(0, "text", word) for word in words)
        else:
            made.append(event)
    return made


def frames_of(format_name: str, words: Sequence[str] = WORDS) -> list[bytes]:
    """A backend's stream, a frame an item."""
    encoder = load_format(format_name).StreamEncoder(reply())
    data = b"".join(encoder.emit(event) for event in events(words)) + encoder.close()
    return split(format_name, data)


FRAMES = {name: frames_of(name) for name in FORMATS}
SECOND_FRAMES = {name: frames_of(name, [SECOND]) for name in FORMATS}


def first_content(format_name: str) -> int:
    """The number of frames up to and with the first words."""
    return next(place for place, frame in enumerate(FRAMES[format_name], 1) if b"Hel" in frame)


def stream_type(format_name: str) -> dict[str, str]:
    return {"content-type": load_wire(format_name).STREAM_CONTENT_TYPE}


def whole(format_name: str, words: str = TEXT) -> bytes:
    return dump(load_format(format_name).write_response(answer(words), reply()))


def error_answer(format_name: str, status: int) -> bytes:
    fault = upstream_fault("overloaded" if status >= 500 else "bad_request", "the backend's words", status)
    return load_wire(format_name).write_error(fault, "r").body


def error_frames(format_name: str) -> list[bytes]:
    """Errors as a backend of the format sends them inside a stream."""
    fault = upstream_fault("overloaded", "the backend's words", 529)
    frames = [load_wire(format_name).error_event(fault, "r")]
    if format_name == "converse":
        for name in ("throttlingException", "modelStreamErrorException", "internalServerException"):
            headers = {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
            frames.append(encode(headers, b'{"message":"the backend\'s words"}'))
    return frames


def play(format_name: str, chunks: Sequence[Chunk], **options: object) -> Play:
    return Play(headers=stream_type(format_name), chunks=chunks, **options)  # type: ignore[arg-type]


type MakePlay = Callable[[str], Play]


def _unreachable(stage: str, message: str) -> MakePlay:
    return lambda name: Play(connect=TransportFault(stage, message))


def _status(status: int) -> MakePlay:
    return lambda name: Play(status, JSON, [error_answer(name, status)])


# Whatever is asked for: the second candidate answers.
EITHER: dict[str, MakePlay] = {
    "refused": _unreachable("connect", "connection refused"),
    "dns": _unreachable("connect", "the name does not resolve"),
    "tls": _unreachable("connect", "certificate verify failed"),
    "connect timeout": _unreachable("connect", "no connection within 5 s"),
    "reset while sending": _unreachable("send", "connection reset"),
    "reset before the head": lambda name: play(name, [], head_fault=TransportFault("head", "reset")),
    "no head": lambda name: play(name, [], head_delay=FOREVER),
    "reset before the body": lambda name: play(name, [TransportFault("body", "reset")]),
    "no body": lambda name: play(name, [FOREVER]),
    "empty": lambda name: play(name, []),
    "no content": lambda name: Play(204, {}, []),
    "redirect": lambda name: Play(302, {"location": "http://elsewhere"}, []),
    "garbage": lambda name: play(name, [b"\x00\xff\xfe{[ garbage \n\n"]),
    "wrong content type": lambda name: Play(200, HTML, [b"<html>It works!</html>"]),
    "JSON that is no answer": lambda name: Play(200, JSON, [b'["nothing"]']),
    "an object that is no answer": lambda name: Play(200, JSON, [b'{"status": "ok"}']),
    "an error inside a 200": lambda name: Play(200, JSON, [error_answer(name, 503)]),
    "an error's body is cut": lambda name: Play(503, JSON, [b'{"err', TransportFault("body", "reset")]),
    "an error of another kind of body": lambda name: Play(502, HTML, [b"<h1>Bad gateway</h1>"]),
    **{f"status {status}": _status(status) for status in
       (401, 403, 407, 408, 409, 424, 429, 500, 501, 502, 503, 504, 520, 522, 524, 529)},
}  # fmt: skip

# Before the first content of a stream: the second candidate answers.
EARLY: dict[str, MakePlay] = {
    "only a comment": lambda name: play(name, [b": hello\n\n"]),
    "half a frame": lambda name: play(name, [FRAMES[name][0][:-3]]),
}


def first_error(format_name: str, number: int, start: bool) -> Play:
    """An error frame first, or after a good start that has no content yet."""
    return play(format_name, [*(FRAMES[format_name][:1] if start else []), error_frames(format_name)[number]])


@dataclass
class Outcome:
    """What the client got: the events of its own format, and what was recorded."""

    bench: Bench
    response: Response
    body: bytes
    events: list[Event]

    @property
    def text(self) -> str:
        return "".join(event.value for event in self.events if isinstance(event, PartDelta))

    def check(self) -> None:
        """What holds after every request."""
        assert self.bench.transport.open == 0
        assert self.bench.gateway.in_flight.total == 0
        (record,) = self.bench.records
        assert record.attempts == len(self.bench.transport.requests)
        assert record.seconds >= 0
        assert sum(isinstance(event, Started) for event in self.events) <= 1
        for marker in (b"event: message_start", b"event: response.created", b"messageStart"):
            assert self.body.count(marker) <= 1, marker


def path_of(client: str, stream: bool) -> tuple[str, str]:
    fixed = {"chat_completions": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
    if client == "converse":
        return "/model/m/converse-stream" if stream else "/model/m/converse", ""
    if client == "generate_content":
        return f"/v1beta/models/m:{'streamG' if stream else 'g'}enerateContent", "alt=sse" if stream else ""
    return fixed[client], ""


def body_for(client: str, stream: bool) -> bytes:
    bodies: dict[str, dict[str, object]] = {
        "chat_completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream},
        "messages": {
            "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": stream,
        },
        "responses": {"model": "m", "input": "hi", "stream": stream},
        "converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
        "generate_content": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    }  # fmt: skip
    return json.dumps(bodies[client]).encode()


async def ask(client: str, backend: str, plays: Sequence[Play], stream: bool = True) -> Outcome:
    """One request in `client` format to candidates that speak `backend` format, one for each play."""
    names = [f"b{number}" for number in range(1, len(plays) + 1)]
    options = {"type": TYPES[backend], "format": backend, "api_key": "k", "timeout": 60, "idle_timeout": 60}
    document = {
        "backends": {name: {**options, "base_url": f"http://{name}"} for name in names},
        "models": {"m": {"candidates": [{"backend": name, "priority": place} for place, name in enumerate(names, 1)]}},
    }
    bench = Bench(document, plays)
    path, query = path_of(client, stream)
    response = await bench.gateway.handle(Request("POST", path, query, {}, body_for(client, stream)))
    body = await body_of(response)
    ping = load_wire(client).PING
    # Gemini's ping is an empty line, which may only be taken away at the start.
    body = body.replace(ping, b"") if len(ping) > 1 else body.lstrip(b"\n")
    outcome = Outcome(bench, response, body, read(client, response, body, stream))
    outcome.check()
    return outcome


def read(client: str, response: Response, body: bytes, stream: bool) -> list[Event]:
    """The answer as the client's own format has it, as events."""
    target = Target("m", "b", "p", facts_for("m"), True)
    if response.status != 200:
        return [Failed(load_wire(client).read_error(response.status, dict(response.headers), body))]
    if stream:
        decoder = load_format(client).StreamDecoder(target)
        return [*decoder.feed(body), *decoder.close()]
    return list(events_of(load_format(client).read_response(json.loads(body), target)))


def second(format_name: str, stream: bool) -> Play:
    if stream:
        return play(format_name, SECOND_FRAMES[format_name])
    return Play(headers=JSON, chunks=[whole(format_name, SECOND)])


def assert_second(outcome: Outcome, client: str, backend: str, stream: bool) -> None:
    """The second candidate has answered, and nothing of the first is in it."""
    assert outcome.response.status == 200
    assert outcome.text == SECOND
    assert isinstance(outcome.events[-1], Finished)
    if client == backend:
        expected = b"".join(SECOND_FRAMES[client]) if stream else whole(client, SECOND)
        assert outcome.body == expected
    (record,) = outcome.bench.records
    assert (record.backend, record.attempts, record.outcome) == ("b2", 2, "complete")
    assert (record.usage.total_input_tokens, record.usage.output_tokens) == (5, 2)
    assert len(record.errors) == 1


def assert_cut(outcome: Outcome, client: str, backend: str, sent: Sequence[bytes]) -> None:
    """The first candidate's answer up to the fault, then the client's error."""
    assert outcome.response.status == 200
    assert isinstance(outcome.events[-1], Failed)
    assert TEXT.startswith(outcome.text) and outcome.text
    assert not any(isinstance(event, Finished) for event in outcome.events)
    if client == backend:
        assert outcome.body.startswith(b"".join(sent))
    (record,) = outcome.bench.records
    assert (record.backend, record.outcome) == ("b1", "cut")
    assert record.errors


@pytest.mark.parametrize(("client", "backend"), PAIRS, ids=[f"{one}>{other}" for one, other in PAIRS])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
class TestBeforeTheCommit:
    @pytest.mark.parametrize("fault", EITHER)
    async def test_the_second_candidate_answers(self, client: str, backend: str, stream: bool, fault: str) -> None:
        outcome = await ask(client, backend, [EITHER[fault](backend), second(backend, stream)], stream)
        assert_second(outcome, client, backend, stream)

    @pytest.mark.parametrize("fault", EITHER)
    async def test_with_no_second_candidate_the_error_arrives(
        self, client: str, backend: str, stream: bool, fault: str
    ) -> None:
        outcome = await ask(client, backend, [EITHER[fault](backend)], stream)
        (failed,) = [event for event in outcome.events if isinstance(event, Failed)]
        assert outcome.text == "" and failed.error.message
        (record,) = outcome.bench.records
        assert record.outcome in ("failed", "cut") and record.errors

    @pytest.mark.parametrize("status", [400, 404, 413, 422])
    async def test_a_refused_request_is_not_tried_elsewhere(
        self, client: str, backend: str, stream: bool, status: int
    ) -> None:
        headers = {**JSON, "x-amzn-errortype": "ValidationException"}
        plays = [Play(status, headers, [error_answer(backend, status)]), second(backend, stream)]
        outcome = await ask(client, backend, plays, stream)
        assert outcome.response.status in ((status,) if client == backend else (400, status))
        assert b"the backend's words" in outcome.body
        assert len(outcome.bench.transport.requests) == 1


@pytest.mark.parametrize(("client", "backend"), PAIRS, ids=[f"{one}>{other}" for one, other in PAIRS])
class TestStreams:
    @pytest.mark.parametrize("fault", EARLY)
    async def test_before_content_the_second_candidate_answers(self, client: str, backend: str, fault: str) -> None:
        outcome = await ask(client, backend, [EARLY[fault](backend), second(backend, True)])
        assert_second(outcome, client, backend, True)

    async def test_an_error_frame_first(self, client: str, backend: str) -> None:
        for number in range(len(error_frames(backend))):
            for start in {False, first_content(backend) > 1}:
                plays = [first_error(backend, number, start), second(backend, True)]
                assert_second(await ask(client, backend, plays), client, backend, True)

    async def test_an_error_frame_in_the_middle(self, client: str, backend: str) -> None:
        sent = FRAMES[backend][: first_content(backend)]
        for frame in error_frames(backend):
            outcome = await ask(client, backend, [play(backend, [*sent, frame]), second(backend, True)])
            assert_cut(outcome, client, backend, sent)

    async def test_an_error_frame_after_the_finish_changes_nothing(self, client: str, backend: str) -> None:
        chunks = [*FRAMES[backend], error_frames(backend)[0]]
        outcome = await ask(client, backend, [play(backend, chunks)])
        assert outcome.text == TEXT
        assert sum(isinstance(event, Finished) for event in outcome.events) == 1

    @pytest.mark.parametrize("tail", [TransportFault("body", "reset"), FOREVER], ids=["reset", "silence"])
    async def test_after_the_finish_the_connection_does_not_matter(
        self, client: str, backend: str, tail: Chunk
    ) -> None:
        outcome = await ask(client, backend, [play(backend, [*FRAMES[backend], tail])])
        assert outcome.text == TEXT and isinstance(outcome.events[-1], Finished)
        assert outcome.bench.records[0].outcome == "complete"

    @pytest.mark.parametrize("how", ["end", "reset", "silence", "half a frame"])
    async def test_truncated_at_every_event(self, client: str, backend: str, how: str) -> None:
        frames = FRAMES[backend]
        commit = first_content(backend)
        for count in range(len(frames)):
            sent = frames[:count]
            tail: dict[str, list[Chunk]] = {
                "end": [], "reset": [TransportFault("body", "reset")], "silence": [FOREVER],
                "half a frame": [frames[count][: len(frames[count]) // 2]],
            }  # fmt: skip
            plays = [play(backend, [*sent, *tail[how]]), second(backend, True)]
            outcome = await ask(client, backend, plays)
            if outcome.bench.records[0].outcome == "complete" and outcome.bench.records[0].backend == "b1":
                # Only what says nothing (a usage, a [DONE]) may be missing; half of it is relayed as it came.
                relayed = client == backend and how == "half a frame"
                assert outcome.text == TEXT and (relayed or isinstance(outcome.events[-1], Finished))
                assert count > commit + 1
            elif outcome.bench.records[0].backend == "b2":
                assert count < commit
                assert_second(outcome, client, backend, True)
            elif outcome.text:
                assert_cut(outcome, client, backend, sent)
            else:
                assert isinstance(outcome.events[-1], Failed) and count < commit

    async def test_garbage_in_the_middle_is_never_a_success(self, client: str, backend: str) -> None:
        sent = FRAMES[backend][: first_content(backend)]
        outcome = await ask(client, backend, [play(backend, [*sent, b"\x00\xff garbage \n\n"])])
        assert isinstance(outcome.events[-1], Failed)
        assert TEXT.startswith(outcome.text)
        assert outcome.bench.records[0].outcome == "cut"

    async def test_leaving_in_the_middle(self, client: str, backend: str) -> None:
        sent = FRAMES[backend][: first_content(backend)]
        bench = (await ask(client, backend, [play(backend, sent)])).bench
        bench.transport._plays.append(play(backend, [*sent, FOREVER]))
        bench.records.clear()
        path, query = path_of(client, True)
        response = await bench.gateway.handle(Request("POST", path, query, {}, body_for(client, True)))
        assert not isinstance(response.body, bytes)
        assert await anext(response.body)
        await response.body.aclose()
        assert bench.transport.open == 0 and bench.gateway.in_flight.total == 0
        assert [record.outcome for record in bench.records] == ["abandoned"]


@pytest.mark.parametrize(("client", "backend"), PAIRS, ids=[f"{one}>{other}" for one, other in PAIRS])
@pytest.mark.parametrize("fault", ["status 500", "JSON that is no answer", "no head", "empty"])
async def test_a_failed_request_is_let_go_at_once(client: str, backend: str, fault: str) -> None:
    """Its body may be of megabytes, and the collector of cycles comes by after hundreds of requests."""
    body = body_for(client, False)
    path, query = path_of(client, False)
    bench = (await ask(client, backend, [second(backend, False)], stream=False)).bench
    bench.transport._plays.extend([EITHER[fault](backend)] * 2)
    gc.collect()
    gc.disable()
    try:
        known = sys.getrefcount(body)
        for _ in range(2):
            response = await bench.gateway.handle(Request("POST", path, query, {}, body))
            assert response.status >= 400
        bench.transport.requests.clear()
        assert sys.getrefcount(body) == known
    finally:
        gc.enable()


async def test_what_comes_before_the_content_of_a_stream_is_bounded() -> None:
    endless = [b": still here", *[b"." * 2**22] * (LARGEST_ANSWER // 2**22)]
    outcome = await ask("messages", "messages", [play("messages", endless), second("messages", True)])
    assert_second(outcome, "messages", "messages", True)
    assert outcome.bench.records[0].errors == ["b1: The backend's stream is too large before any content."]


@pytest.mark.parametrize(("client", "backend"), PAIRS, ids=[f"{one}>{other}" for one, other in PAIRS])
@pytest.mark.parametrize("how", ["end", "reset", "silence"])
async def test_a_whole_answer_that_is_cut(client: str, backend: str, how: str) -> None:
    body = whole(backend)
    tail: dict[str, list[Chunk]] = {"end": [], "reset": [TransportFault("body", "reset")], "silence": [FOREVER]}
    for cut in range(1, len(body) - 1, 37):
        plays = [Play(headers=JSON, chunks=[body[:cut], *tail[how]]), second(backend, False)]
        assert_second(await ask(client, backend, plays, stream=False), client, backend, False)
