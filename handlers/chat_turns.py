"""Asks models for the chat API, by way of the gateway, and keeps what was said."""

from __future__ import annotations

import json
from asyncio import CancelledError
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from core.access import Caller
from core.chat import chain
from core.chat.answering import Answering, Told, error_of, figures_of, unfinished
from core.chat.asking import Question, Room, ask
from core.chat.messages import Said, Status, for_model
from core.errors import ClientFault, GatewayError, UpstreamFault
from core.events import Ping
from core.formats.api import wire
from core.gateway import Gateway
from core.http import Request
from core.ports import StoreFault
from core.routing.registry import Route
from core.slotted import replace
from core.usage import UsageRecord
from handlers.sessions import Turn, store_away

# Of the gateway's own headers, what an answer of the API passes on.
_TOLD_HEADERS = ("x-request-id", "x-skybridge-")


class Running:
    """One question under way at the gateway. `tell` it to its end, then `figures` has the rest."""

    def __init__(self, gateway: Gateway, question: Question) -> None:
        self._gateway = gateway
        self.question = question
        self.answering = Answering()
        self.record: UsageRecord
        self.notices: list[str] = []
        self.headers: dict[str, str] = {}
        self.is_recorded = False
        self._body: AsyncGenerator[bytes] | None = None
        self._began = self._ended = 0.0
        self._first: float | None = None

    def hand_on(self) -> None:
        """Makes one question of an answer that stands last and what it answered."""
        messages, handed = chain.handed_on(self.question.messages)
        if handed:
            self.question = replace(self.question, messages=messages)
            self.notices.append(chain.HANDED_ON)

    async def start(self, route: Route, caller: Caller, client: Request, source: str) -> None:
        """Asks, and returns when the answer has begun. Raises GatewayError."""
        self._began = self._gateway.ports.clock.monotonic()
        asked = ask(self.question, route, client)
        self.notices += [f"The model does not take '{name}': it was left out." for name in asked.dropped]
        self._decoder = asked.decoder
        response, self.record = await self._gateway.answer_for(caller, asked.request, source)
        self.is_recorded = True
        assert not isinstance(response.body, bytes)  # a stream was asked for
        self._body = response.body
        self.headers = {name: value for name, value in response.headers if name.startswith(_TOLD_HEADERS)}

    async def tell(self) -> AsyncGenerator[Told | None]:
        """The answer's events as they come, None for a keep-alive. What it broke with is in `answering.failure`."""
        clock, answering = self._gateway.ports.clock, self.answering
        assert self._body is not None
        try:
            async for data in self._body:
                events = self._decoder.feed(data)
                told = answering.feed(events)
                if told and self._first is None:
                    self._first = clock.monotonic()
                for each in told:
                    yield each
                if not told and (not events or isinstance(events[-1], Ping)):
                    yield None
            answering.feed(self._decoder.close())
            if answering.stop is None and answering.failure is None:
                answering.failure = unfinished()
        finally:
            await self.close()

    async def close(self) -> None:
        """Lets the backend go and completes the record, once."""
        body, self._body = self._body, None
        if body is None:
            return
        await body.aclose()
        self._ended = self._gateway.ports.clock.monotonic()
        record, price = self.record, self._gateway.ports.price
        if record.cost is None and price is not None:
            record.cost = price(record)
        dropped = [name for name in record.dropped if not any(f"'{name}'" in notice for notice in self.notices)]
        self.notices += [f"The backend does not take '{name}': it was left out." for name in dropped]

    def figures(self) -> dict[str, Any]:
        """Tokens, cost, times and the backend, once the answer is over."""
        first = None if self._first is None else round((self._first - self._began) * 1000)
        seconds = max(0.0, self._ended - self._began)
        times = {"time_to_first_token_ms": first, "duration_ms": round(seconds * 1000)}
        return {**figures_of(self.record, self.answering), **times}


class ChatTurn:
    """One turn of a chat: with a session it is kept, whatever becomes of it."""

    def __init__(self, gateway: Gateway, running: Running, turn: Turn | None) -> None:
        self._gateway = gateway
        self._turn = turn
        self._id = f"chat_{gateway.ports.random.token(24)}"
        self._kept = turn is None
        self.running = running
        self.failure: GatewayError | None = None

    @property
    def session_id(self) -> str | None:
        return None if self._turn is None else self._turn.head.id

    async def start(self, route: Route, caller: Caller, client: Request) -> None:
        """Keeps the question and asks it. Raises GatewayError; then the session is as it was, unless it is the backend
        that has failed: that is kept. So is the question of a client that does not wait for the answer."""
        try:
            if self._turn is not None:
                await self._remember(self._turn, route)
            self.running.hand_on()
            await self.running.start(route, caller, client, "chat")
        except BaseException as failure:
            await self._end(failure)
            if isinstance(failure, StoreFault):
                raise store_away(self._gateway.ports.log, "beginning a turn", failure) from failure
            raise

    async def _end(self, failure: BaseException) -> None:
        """What becomes of a turn that has not begun to be answered."""
        if isinstance(failure, UpstreamFault) and wire.status_of(failure) >= 500:
            await self._keep_quietly("failed")
        elif isinstance(failure, CancelledError) and self._turn is not None and self._turn.has_asked:
            await self._keep_quietly("partial")
        else:
            await self._abandon()

    async def _remember(self, turn: Turn, route: Route) -> None:
        """Puts what was said before in front of the question, as much as the model takes, and keeps the question."""
        running, question = self.running, self.running.question
        system = await turn.prompt()
        asked = await turn.take_back() if turn.replaces else question.messages
        system = system if system is not None else question.system
        question = replace(question, messages=asked, system=system, session=turn.head.id)
        history, left_out = await turn.history(Room(route, question))
        if not turn.replaces:
            await turn.ask(question.messages)
        if left_out:
            running.notices.append(
                f"The history is longer than the model's context: its first {left_out} messages were left out of this "
                "turn."
            )
        running.question = replace(question, messages=[*for_model(history), *question.messages])

    async def tell(self) -> AsyncGenerator[Told | None]:
        """The events of the whole turn: start, what the model says, and done or error at the end."""
        running = self.running
        head = {"id": self._id, "session_id": self.session_id, "model": running.question.model}
        try:
            yield "start", {**head, "notices": list(running.notices)}
            async with aclosing(running.tell()) as told:
                async for each in told:
                    if self._turn is not None:
                        await self._turn.keep_alive()
                    yield each
            self.failure = running.answering.failure
            if self.failure is None:
                await self._keep("complete")
                yield "done", self.answer()
                return
            await self._keep("partial" if running.answering.said_anything else "failed")
        except GatewayError as error:  # the session is somebody else's by now
            self._kept = True
            self.failure = error
        finally:
            await self.close()
        yield "error", {"error": error_of(self.failure, running.record.request_id)}

    def answer(self) -> dict[str, Any]:
        """The whole answer."""
        running = self.running
        return {
            "id": self._id, "session_id": self.session_id, "model": running.question.model,
            "message": running.answering.message(), **running.figures(), "notices": running.notices,
            "created": self._gateway.ports.clock.time(),
        }  # fmt: skip

    async def close(self) -> None:
        """Ends a turn that was left: the backend is let go, and what it said until then is kept."""
        await self.running.close()
        await self._keep_quietly("partial")

    async def _keep_quietly(self, status: Status) -> None:
        try:
            await self._keep(status)
        except ClientFault as fault:  # the session is somebody else's by now, and nobody is there to be told
            self._gateway.ports.log.event("warning", "turn_lost", error=fault.message)

    async def _keep(self, status: Status) -> None:
        """Keeps the answer as it stands, once. A store that is away costs the memory, not the answer."""
        if self._kept or self._turn is None:
            return
        if self._turn.replaces and status != "complete" and not self.running.answering.said_anything:
            await self._abandon()  # there is nothing that could take the place of the answer that there is
            return
        self._kept = True
        try:
            await self._turn.commit(self._said(status))
        except StoreFault as fault:
            store_away(self._gateway.ports.log, "keeping an answer", fault)
            self.running.notices.append("The store could not be reached: this answer is not kept in the session.")

    def _said(self, status: Status) -> Said:
        running = self.running
        answering, clock = running.answering, self._gateway.ports.clock
        about: dict[str, Any] = {"model": running.question.model}
        message = answering.message()
        about.update({name: message[name] for name in ("reasoning", "tool_calls") if name in message})
        if running.is_recorded:
            figures = running.figures()
            about |= {"usage": figures["usage"], "cost_usd": figures["cost_usd"]}
        return Said("assistant", answering.content, [], status, clock.time(), self._id, about)

    async def _abandon(self) -> None:
        if self._kept or self._turn is None:
            return
        self._kept = True
        try:
            await self._turn.abandon()
        except (StoreFault, ClientFault) as fault:
            self._gateway.ports.log.event("warning", "store_fault", during="undoing a turn", error=str(fault))


async def whole(turn: ChatTurn) -> dict[str, Any]:
    """The answer of a turn at once. Raises GatewayError for one that failed."""
    async with aclosing(turn.tell()) as events:
        async for _ in events:
            pass
    if turn.failure is not None:
        raise turn.failure
    return turn.answer()


class Frames(AsyncGenerator[bytes]):
    """Events as a stream's body. `close` is called when it is closed, begun or not."""

    def __init__(self, told: AsyncGenerator[Told | None], close: Callable[[], Awaitable[None]]) -> None:
        self._told = told
        self._close = close

    async def __anext__(self) -> bytes:
        return _frame(await anext(self._told))

    async def asend(self, value: None) -> bytes:
        return _frame(await self._told.asend(value))

    async def athrow(self, *exception: Any) -> bytes:
        return _frame(await self._told.athrow(*exception))

    async def aclose(self) -> None:
        try:
            await self._told.aclose()
        finally:
            await self._close()


def _frame(told: Told | None) -> bytes:
    """Server-sent events: `event:` the name, `data:` JSON."""
    if told is None:
        return wire.PING
    name, data = told
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")


def asked_with(messages: Sequence[Said], created: float, token: str) -> list[Said]:
    """The messages of a request, each with an id and the time."""
    return [replace(said, id=f"m_{token}{index or ''}", created=created) for index, said in enumerate(messages)]
