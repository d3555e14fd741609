"""Turns whose store fails, whose session is taken over, and whose backend is silent for long."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.access import Caller
from core.chat.answering import Told
from core.http import Request, Response
from core.ports import StoreFault
from handlers.chat_turns import Frames
from handlers.console import Console
from handlers.console_ground import Ground
from handlers.io.sqlite_store import SqliteStore
from tests.chat_backends import chunk, end, events_of
from tests.gateways import Bench, body_of
from tests.scripted import Play
from tests.stores.test_sessions import Tokens

DOCUMENT = {
    "backends": {"b": {"type": "openai-compatible", "base_url": "http://b/v1", "api_key": "k"}},
    "models": {"m": {"backend": "b"}},
}  # fmt: skip
ANSWER = Play(chunks=(chunk("Hel"), chunk("lo"), end()))


class FaultyStore(SqliteStore):
    """A store of which calls fail, or are done without an answer, counted from 0 for each method."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, busy_seconds=60.0)  # machines are slow at times
        self.failing: dict[str, set[int]] = {}
        self.lost: set[int] = set()
        self._calls: dict[str, int] = {}

    def _next(self, method: str) -> int:
        number = self._calls.get(method, 0)
        self._calls[method] = number + 1
        if number in self.failing.get(method, ()):
            raise StoreFault("away")
        return number

    async def read(self, *arguments: Any) -> Any:
        self._next("read")
        return await super().read(*arguments)

    async def write(self, *arguments: Any, **members: Any) -> None:
        self._next("write")
        await super().write(*arguments, **members)

    async def delete(self, *arguments: Any) -> None:
        self._next("delete")
        await super().delete(*arguments)

    async def replace(self, *arguments: Any, **members: Any) -> bool:
        number = self._next("replace")
        done = await super().replace(*arguments, **members)
        if number in self.lost:
            raise StoreFault("no answer")
        return done


class Desk:
    """A console over a scripted backend and a store that may fail."""

    def __init__(self, path: Path, plays: Sequence[Play]) -> None:
        self.bench = Bench(DOCUMENT, plays)
        self.bench.gateway.ports.random = Tokens()
        self.store = FaultyStore(path / "s.db")
        self.console = Console(Ground(self.bench.gateway, self.store, "sqlite"))

    async def ask(
        self, path: str = "chat", deadline: float | None = None, first_byte_deadline: float | None = None,
        **members: Any,
    ) -> Response:
        body = json.dumps({"message": "Hi", "model": "m", "session_id": "s", **members}).encode()
        headers = {"content-type": "application/json"}
        request = Request("POST", f"/api/v1/{path}", "", headers, body, deadline, first_byte_deadline)
        return await self._call(request)

    async def messages(self) -> list[tuple[str, str]]:
        answer = await body_of(await self._call(Request("GET", "/api/v1/sessions/s")))
        return [(each["content"], each["status"]) for each in json.loads(answer)["messages"]]

    async def _call(self, request: Request) -> Response:
        return await self.console.handle(request, Caller("c"), "req_1")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path, [ANSWER] * 3)
    yield made
    await made.store.close()


def fault_of(answer: bytes) -> tuple[str, str]:
    error = json.loads(answer)["error"]
    return error["code"], error["message"]


async def test_a_store_that_goes_away_costs_the_memory_not_the_answer(desk: Desk) -> None:
    desk.store.failing["write"] = {1}  # the answer; the question is there
    answer = json.loads(await body_of(await desk.ask()))
    assert answer["message"]["content"] == "Hello" and "not kept" in answer["notices"][0]
    assert any(line[1] == "store_fault" for line in desk.bench.log.lines)


@pytest.mark.parametrize("failing", [{"read": {0}}, {"replace": {0}}, {"write": {0}}, {"write": {0}, "replace": {1}}])
async def test_a_turn_that_cannot_begin_is_a_503(desk: Desk, failing: dict[str, set[int]]) -> None:
    desk.store.failing = failing
    answer = await desk.ask()
    assert answer.status == 503 and fault_of(await body_of(answer))[0] == "NOT_CONFIGURED"
    assert desk.bench.transport.requests == []
    desk.bench.clock.now += 61  # where the turn could not be undone, its lease must be over
    assert (await desk.ask()).status == 200
    assert await desk.messages() == [("Hi", "complete"), ("Hello", "complete")]


async def test_a_session_that_was_taken_over_is_told(desk: Desk) -> None:
    assert (await desk.ask()).status == 200
    streamed = await desk.ask("chat/stream")
    assert not isinstance(streamed.body, bytes)
    parts = [await anext(streamed.body)]
    desk.bench.clock.now += 61
    assert (await desk.ask()).status == 200
    parts += [part async for part in streamed.body]
    events = events_of(b"".join(parts))
    assert events[-1][0] == "error" and events[-1][1]["error"]["code"] == "CONFLICT"
    assert [text for text, _ in await desk.messages()] == ["Hi", "Hello", "Hi", "", "Hi", "Hello"]


async def test_a_turn_that_is_left_after_it_lost_its_session(desk: Desk) -> None:
    assert (await desk.ask()).status == 200
    streamed = await desk.ask("chat/stream")
    assert not isinstance(streamed.body, bytes)
    await anext(streamed.body)
    desk.bench.clock.now += 61
    assert (await desk.ask()).status == 200
    await streamed.body.aclose()
    assert any(line[1] == "turn_lost" for line in desk.bench.log.lines)


async def test_a_process_that_dies_leaves_the_answer(desk: Desk) -> None:
    assert (await desk.ask()).status == 200
    streamed = await desk.ask("chat/stream", message=None, regenerate=True)
    assert not isinstance(streamed.body, bytes)
    assert b"start" in await anext(streamed.body)
    desk.bench.clock.now += 61  # its lease is over
    assert (await desk.ask()).status == 200
    assert [text for text, _ in await desk.messages()] == ["Hi", "Hello", "Hi", "Hello"]
    await streamed.body.aclose()


async def test_a_store_that_cannot_drop_the_replaced_answer(desk: Desk) -> None:
    assert (await desk.ask()).status == 200
    desk.store.failing["delete"] = {0}
    again = await desk.ask(message=None, regenerate=True)
    assert again.status == 200 and b"not kept" not in await body_of(again)
    assert [text for text, _ in await desk.messages()] == ["Hi", "Hello"]
    assert any(line[1] == "store_fault" for line in desk.bench.log.lines)


async def test_a_stream_that_nobody_began_to_read_is_kept(desk: Desk) -> None:
    streamed = await desk.ask("chat/stream")
    assert not isinstance(streamed.body, bytes)
    await streamed.body.aclose()
    assert await desk.messages() == [("Hi", "complete"), ("", "partial")]
    assert [record.outcome for record in desk.bench.records] == ["abandoned"]


@pytest.mark.parametrize("fault", ["failing", "lost"])
async def test_a_silent_backend_has_pings_and_keeps_its_session(tmp_path: Path, fault: str) -> None:
    desk = Desk(tmp_path, [Play(chunks=(chunk("Hel"), 100.0, chunk("lo"), end()))])
    if fault == "failing":
        desk.store.failing["replace"] = {1}  # one renewal fails; the next ones do not
    else:
        desk.store.lost = {1}  # one was done, but nobody said so: it is the turn's own all the same
    streamed = await desk.ask("chat/stream")
    assert not isinstance(streamed.body, bytes)
    parts = [part async for part in streamed.body]
    assert parts.count(b": ping\n\n") >= 5
    assert await desk.messages() == [("Hi", "complete"), ("Hello", "complete")]
    await desk.store.close()


async def test_a_whole_answer_ends_by_when_it_must_have_begun(tmp_path: Path) -> None:
    for path, body in (("chat", {}), ("chat", {"messages": [{"role": "user", "content": "Hi"}], "message": None})):
        desk = Desk(tmp_path, [Play(chunks=(chunk("Hel"), 100.0, chunk("lo"), end()))])
        now = desk.bench.clock.monotonic()
        answer = await desk.ask(path, first_byte_deadline=now + 30, deadline=now + 500, **body)
        assert answer.status == 503 and fault_of(await body_of(answer))[0] == "TIMEOUT"
        assert desk.bench.clock.monotonic() <= now + 31
        await desk.store.close()


async def test_the_parameters_of_a_generator() -> None:
    closed = []

    async def told() -> AsyncGenerator[Told | None]:
        yield None
        yield "delta", {"text": "é\u2028"}

    async def close() -> None:
        closed.append(True)

    frames = Frames(told(), close)
    assert await frames.asend(None) == b": ping\n\n"
    assert (await anext(frames)).startswith(b"event: delta\ndata: ")
    with pytest.raises(ZeroDivisionError):
        await frames.athrow(ZeroDivisionError)
    await frames.aclose()
    assert closed == [True]
