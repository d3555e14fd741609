"""What the application does at the ASGI boundary, with the door's side written out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from core.http import Request, Response
from handlers.asgi import make_app
from tests.gateways import Bench, native_bench
from tests.samples import answer_body, request_body, stream_frames
from tests.scripted import Play

JSON = {"content-type": "application/json"}
GONE = {"type": "http.disconnect"}


def scope(**members: Any) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": "/v1/messages", "headers": [], **members}


class Door:
    """Gives `messages` in turn, then nothing more; keeps what is sent."""

    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        self._messages = list(messages)
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])


def whole() -> Bench:
    return native_bench("messages", [Play(headers=JSON, chunks=[answer_body("messages")])])


def pieces(*bodies: bytes) -> list[dict[str, Any]]:
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": n < last} for n, body in enumerate(bodies)]


async def test_a_body_in_pieces_is_one_body() -> None:
    body = request_body("messages")
    bench = whole()
    door = Door(pieces(body[:5], b"", body[5:30], body[30:]))
    await make_app(bench.gateway)(scope(), door.receive, door.send)
    assert door.status == 200 and bench.transport.requests[0].body == body


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_client_that_leaves_before_its_body_was_read_is_no_request(count: int) -> None:
    bench = whole()
    door = Door([*pieces(b"a", b"b", b"c")[:count], GONE])
    await make_app(bench.gateway)(scope(), door.receive, door.send)
    assert door.sent == [] and bench.records == []


@pytest.mark.parametrize("bodies", [[b"x" * 11], [b"x" * 6, b"x" * 6]])
async def test_a_body_over_the_limit_is_not_read_on(bodies: list[bytes]) -> None:
    bench = whole()
    bench.gateway.configuration.limits.max_body_bytes = 10
    door = Door(pieces(*bodies))
    await make_app(bench.gateway)(scope(), door.receive, door.send)
    assert door.status == 413


async def test_a_length_over_the_limit_is_refused_unread() -> None:
    bench = whole()
    bench.gateway.configuration.limits.max_body_bytes = 10
    door = Door([])
    headers = [(b"content-length", b"11")]
    await make_app(bench.gateway)(scope(headers=headers), door.receive, door.send)
    assert door.status == 413


async def test_repeated_headers_are_joined_and_the_raw_path_is_kept() -> None:
    seen: list[Request] = []
    bench = whole()

    class Gateway:
        configuration = bench.gateway.configuration

        async def handle(self, request: Request) -> Response:
            seen.append(request)
            return Response(200, [("x", "y")], b"")

    door = Door(pieces(b""))
    headers = [(b"a", b"1"), (b"a", b"2")]
    extensions = {"skybridge.deadline": 5.0, "skybridge.first_byte_deadline": 3.0}
    there = scope(headers=headers, raw_path=b"/model/a%2Fb?x", query_string=b"q=1", extensions=extensions)
    await make_app(Gateway())(there, door.receive, door.send)  # type: ignore[arg-type]
    (request,) = seen
    assert (request.path, request.query, request.headers) == ("/model/a%2Fb", "q=1", {"a": "1, 2"})
    assert (request.deadline, request.first_byte_deadline) == (5.0, 3.0)


@pytest.mark.parametrize("deferred", [[], None])
async def test_what_comes_after_the_answer(deferred: list[Any] | None) -> None:
    ran: list[bool] = []
    bench = whole()
    door = Door(pieces(request_body("messages")))

    async def after() -> None:
        assert door.sent[-1]["type"] == "http.response.body"
        ran.append(True)

    extensions = {} if deferred is None else {"skybridge.after": deferred}
    await make_app(bench.gateway, after)(scope(extensions=extensions), door.receive, door.send)
    assert (ran, deferred) == (([True], None) if deferred is None else ([], [after]))


@pytest.mark.parametrize(("stream", "taken"), [(False, 0), (False, 1), (True, 0), (True, 1), (True, 2)])
async def test_what_comes_after_an_answer_that_nobody_takes(stream: bool, taken: int) -> None:
    """Lambda's Runtime API may break off: what was used is written, and no defect of ours is logged."""
    play = Play(chunks=stream_frames("messages")) if stream else Play(headers=JSON, chunks=[answer_body("messages")])
    bench = native_bench("messages", [play])
    door = Door(pieces(request_body("messages", stream=stream)))

    async def send(message: Any) -> None:
        if len(door.sent) == taken:
            raise OSError("the door is gone")
        await door.send(message)

    async def after() -> None:
        """Never run: this door defers it."""

    deferred: list[Any] = []
    with pytest.raises(OSError, match="the door is gone"):
        await make_app(bench.gateway, after)(scope(extensions={"skybridge.after": deferred}), door.receive, send)
    assert deferred == [after] and len(door.sent) == taken
    assert [record.outcome for record in bench.records] == ["abandoned" if stream else "complete"]
    assert "defect" not in [line[1] for line in bench.log.lines]
    assert bench.transport.open == 0 and bench.gateway.in_flight.total == 0


async def test_the_lifespan_is_acknowledged() -> None:
    door = Door([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    await make_app(whole().gateway)({"type": "lifespan"}, door.receive, door.send)
    assert [message["type"] for message in door.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_other_protocols_are_left_alone() -> None:
    door = Door([])
    await make_app(whole().gateway)({"type": "websocket"}, door.receive, door.send)
    assert door.sent == []


async def test_odd_messages_while_answering_are_no_leaving() -> None:
    bench = native_bench("messages", [Play(chunks=stream_frames("messages"))])
    door = Door([*pieces(request_body("messages", stream=True)), {"type": "http.request"}])
    await make_app(bench.gateway)(scope(), door.receive, door.send)
    sent = b"".join(message.get("body", b"") for message in door.sent)
    assert sent == b"".join(stream_frames("messages"))


async def test_a_reader_that_takes_something_now_and_then_is_not_let_go_too_soon() -> None:
    bench = native_bench("messages", [Play(chunks=stream_frames("messages"))])
    bench.gateway.configuration.limits.reader_stall_seconds = 0.2
    door = Door(pieces(request_body("messages", stream=True)))
    aborted: list[float] = []
    loop = asyncio.get_running_loop()
    begun: list[float] = []

    async def send(message: Any) -> None:
        begun.append(loop.time())
        await asyncio.sleep(0.1 if len(begun) < 4 else 60)

    extensions = {"skybridge.abort": lambda: aborted.append(loop.time())}
    await make_app(bench.gateway)(scope(extensions=extensions), door.receive, send)
    assert aborted and aborted[0] - begun[-1] >= 0.199, "the stall is counted from the last piece"
    assert [record.outcome for record in bench.records] == ["abandoned"]
