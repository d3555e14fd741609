"""Several models on one question: side by side, and one after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from core.chat import chain
from core.chat.answering import Told, error_of, sum_of, usage_of
from core.chat.asking import Question
from core.chat.messages import Said
from core.errors import GatewayError
from core.slotted import slotted
from core.usage import Usage
from handlers.chat_api import CHAT_FAULTS, STREAM, Client, ClientOf, Limited, at_once, limited_tokens
from handlers.chat_models import ChainIn, ChainOut, CompareIn, CompareOut, Knobs
from handlers.chat_turns import Frames, Running
from handlers.console_ground import Streamed

router = APIRouter(prefix="/api/v1", tags=["chat"])


@slotted
class Outcome:
    """How one model did: what it said, and what it failed with."""

    running: Running
    failure: GatewayError | None = None

    def shown(self) -> dict[str, Any]:
        """The row of an answer."""
        running, answering = self.running, self.running.answering
        row: dict[str, Any] = {"model": running.question.model, "content": answering.content}
        if answering.reasoning:
            row["reasoning"] = answering.reasoning.rstrip("\n")
        row |= _NO_FIGURES if not running.is_recorded else running.figures()
        row["tokens_per_second"] = _speed(row)
        row["error"] = None if self.failure is None else error_of(self.failure)
        row["notices"] = running.notices
        return row


_NO_FIGURES: dict[str, Any] = {
    "usage": usage_of(Usage()), "cost_usd": None, "time_to_first_token_ms": None, "duration_ms": 0,
    "finish_reason": "error", "backend": "", "served_model": "", "attempts": 0,
}  # fmt: skip


def _speed(row: dict[str, Any]) -> float | None:
    """Tokens a second from the first one on."""
    first = row["time_to_first_token_ms"]
    if first is None or row["duration_ms"] <= first or not row["usage"]["output_tokens"]:
        return None
    return round(1000 * int(row["usage"]["output_tokens"]) / float(row["duration_ms"] - first), 1)


def _question(prompt: str, model: str, knobs: Knobs, client: Client) -> tuple[Question, list[str]]:
    chat = client.ground.gateway.configuration.chat
    limit, notices = limited_tokens(knobs.max_tokens, client.ground)
    system = knobs.system_prompt if knobs.system_prompt is not None else chat.system_prompt
    return Question(model, [Said("user", prompt)], system, knobs.temperature, limit), notices


async def _tell(outcome: Outcome, client: Client, source: str) -> AsyncGenerator[Told | None]:
    """What one model says, from `start` on. Its failure is the last event, and is in `outcome`."""
    running = outcome.running
    model = running.question.model
    try:
        route = client.ground.gateway.configuration.registry.resolve(model)
        await running.start(route, client.caller, client.request, source)
        yield "start", {"notices": list(running.notices)}
        async with aclosing(running.tell()) as told:
            async for each in told:
                yield each
        outcome.failure = running.answering.failure
    except GatewayError as error:
        outcome.failure = error
    finally:
        await running.close()
    if outcome.failure is not None:
        yield "error", {"error": error_of(outcome.failure)}


@router.post("/compare", response_class=JSONResponse, responses={200: {"model": CompareOut}, **CHAT_FAULTS})
async def compare(body: CompareIn, client: ClientOf, _: Annotated[None, Limited]) -> JSONResponse:
    """Asks two to four models the same at once. One that fails does not fail the others."""
    client = at_once(client)
    outcomes = _outcomes(body, client)
    async with aclosing(_side_by_side(outcomes, client)) as told:
        async for _each in told:
            pass
    return JSONResponse({"prompt": body.prompt, "results": [outcome.shown() for outcome in outcomes]})


@router.post("/compare/stream", status_code=200, response_class=Streamed, responses={200: STREAM, **CHAT_FAULTS})
async def compare_stream(body: CompareIn, client: ClientOf, _: Annotated[None, Limited]) -> Response:
    """The same, as it comes: the events of `/chat/stream` with `model` and `index`; then one more `done` with
    `results`."""
    outcomes = _outcomes(body, client)
    return Streamed(Frames(_side_by_side(outcomes, client), _nothing))


async def _nothing() -> None:
    """Nothing is open before the first event is asked for."""


def _outcomes(body: CompareIn, client: Client) -> list[Outcome]:
    """One for each model. Raises ClientFault."""
    body.check()
    gateway = client.ground.gateway
    outcomes = []
    for model in body.names():
        question, notices = _question(body.prompt, model, body, client)
        question.effort = body.reasoning_effort
        running = Running(gateway, question)
        running.notices += notices
        outcomes.append(Outcome(running))
    return outcomes


async def _side_by_side(outcomes: Sequence[Outcome], client: Client) -> AsyncGenerator[Told | None]:
    """All at once, their events as they come."""
    queue: asyncio.Queue[Told | int | None] = asyncio.Queue(maxsize=100)

    async def run(index: int, outcome: Outcome) -> None:
        about = {"model": outcome.running.question.model, "index": index}
        told_notices = 0
        async with aclosing(_tell(outcome, client, "compare")) as told:
            async for each in told:
                await queue.put(None if each is None else (each[0], {**about, **each[1]}))
                if each is not None and each[0] == "start":
                    told_notices = len(each[1]["notices"])
        if outcome.failure is None:
            row = outcome.shown()
            row["notices"] = row["notices"][told_notices:]
            await queue.put(("done", {**about, **row}))
        await queue.put(index)

    tasks = [asyncio.create_task(run(index, outcome)) for index, outcome in enumerate(outcomes)]
    try:
        left = len(tasks)
        while left:
            each = await _next(queue, tasks)
            if isinstance(each, int):
                left -= 1
            else:
                yield each
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    yield "done", {"results": [outcome.shown() for outcome in outcomes]}


async def _next(
    queue: asyncio.Queue[Told | int | None], tasks: Sequence[asyncio.Task[None]]
) -> Told | int | None:
    """What comes next. Raises what a task has died of."""
    getting = asyncio.ensure_future(queue.get())
    try:
        await asyncio.wait([getting, *(task for task in tasks if not task.done())], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        return await getting
    finally:
        getting.cancel()


@router.post(
    "/chain", response_class=JSONResponse,
    responses={200: {"model": ChainOut, **STREAM, "description": "The last answer, or events with `stream`."},
               **CHAT_FAULTS},
)  # fmt: skip
async def run_chain(body: ChainIn, client: ClientOf, _: Annotated[None, Limited]) -> Response:
    """Asks models one after another: each sees the message and the answer before. With `stream`, server-sent events
    with `step`; `step` ends one, `done` all."""
    steps = Chain(body, client if body.stream else at_once(client))
    if body.stream:
        return Streamed(Frames(steps.tell(), _nothing))
    async with aclosing(steps.tell()) as told:
        async for _each in told:
            pass
    if steps.failure is not None:
        steps.failure.about["steps"] = steps.rows
        raise steps.failure
    return JSONResponse(steps.answer())


class Chain:
    """The steps of a chain, one after another."""

    def __init__(self, body: ChainIn, client: Client) -> None:
        self._body = body
        self._client = client
        self.rows: list[dict[str, Any]] = []
        self.failure: GatewayError | None = None

    async def tell(self) -> AsyncGenerator[Told | None]:
        """The events of all steps. A step that fails is the last one."""
        previous = ""
        for index, step in enumerate(self._body.steps):
            prompt = chain.step_prompt(step.prompt_template, index, self._body.message, previous)
            question, notices = _question(prompt, step.model, step, self._client)
            running = Running(self._client.ground.gateway, question)
            running.notices += notices
            outcome = Outcome(running)
            about = {"step": index, "model": step.model}
            async with aclosing(_tell(outcome, self._client, "chain")) as told:
                async for each in told:
                    if each is None or each[0] != "error":
                        yield None if each is None else (each[0], {**about, **each[1]})
            row = {"index": index, **outcome.shown()}
            self.rows.append(row)
            yield "step", {**about, **row}
            if outcome.failure is not None:
                self.failure = chain.of_step(outcome.failure, index, step.model)
                yield "error", {**about, "error": error_of(self.failure)}
                return
            previous = running.answering.content
        yield "done", self.answer()

    def answer(self) -> dict[str, Any]:
        """The whole answer: the last step's text, and what all of them took."""
        costs = [row["cost_usd"] for row in self.rows]
        return {
            "message": self.rows[-1]["content"], "steps": self.rows, "usage": sum_of(row["usage"] for row in self.rows),
            "cost_usd": None if None in costs else round(sum(costs), 12),
        }  # fmt: skip

