"""The chat backend: chat with memory, and its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath
from starlette.requests import Request as WebRequest
from starlette.responses import JSONResponse, Response

from core.access import Caller
from core.chat.answering import NO_SESSION, NOT_KEPT, no_memory
from core.chat.asking import Question
from core.chat.attachments import read_attachment
from core.chat.messages import Attachment, Said
from core.chat.sessions import check_id, owner_of
from core.chat.titles import title_of
from core.errors import Refused
from core.http import Request
from core.keys import check_model
from core.model_rows import facts_row
from core.ports import StoreFault
from core.slotted import replace, slotted
from handlers.api_faults import faults
from handlers.chat_models import ChatIn, ChatOut, ModelsOut, SessionOut, SessionsOut, TitleIn, WholeSession
from handlers.chat_rate import ChatRate, RatePorts
from handlers.chat_turns import ChatTurn, Frames, Running, asked_with, whole
from handlers.console_ground import CallerOf, Ground, GroundOf, RequestOf, Streamed
from handlers.openapi_schemas import EVENT
from handlers.sessions import Opening, SessionPorts, Sessions, Turn, store_away

router = APIRouter(prefix="/api/v1", tags=["chat"])

STREAM = {"content": {"text/event-stream": {"schema": EVENT}}, "description": "Server-sent events; data is JSON."}

type SessionId = Annotated[str, InPath(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


@contextmanager
def kept_in_store(ground: Ground, during: str) -> Iterator[None]:
    """A store that is away is a 503."""
    try:
        yield
    except StoreFault as fault:
        raise store_away(ground.gateway.ports.log, during, fault) from fault


def sessions_of(caller: Caller, ground: Ground) -> Sessions:
    """The sessions of `caller`. Raises NotConfigured (503) without a store."""
    if ground.store is None:
        raise no_memory()
    ports, days = ground.gateway.ports, ground.gateway.configuration.limits.sessions_days
    return Sessions(SessionPorts(ground.store, ports.clock, ports.random, ports.log, days), owner_of(caller))


def rate_of(request: WebRequest, ground: Ground) -> ChatRate:
    """The one count of this process."""
    rate: ChatRate | None = getattr(request.app.state, "chat_rate", None)
    if rate is None:
        ports = ground.gateway.ports
        counted = RatePorts(ground.store, ports.clock, ports.random, ports.log)
        rate = request.app.state.chat_rate = ChatRate(counted, ground.gateway.configuration.chat.rate_limit)
    return rate


async def _within_rate(request: WebRequest, caller: CallerOf, ground: GroundOf) -> None:
    await rate_of(request, ground).take(caller)


# For operations that ask models.
Limited = Depends(_within_rate)


@slotted
class Client:
    """Who asks, of what, and with which request."""

    caller: Caller
    ground: Ground
    request: Request


def _client(caller: CallerOf, ground: GroundOf, request: RequestOf) -> Client:
    return Client(caller, ground, request)


type ClientOf = Annotated[Client, Depends(_client)]


def at_once(client: Client) -> Client:
    """The client of an answer that is given whole: it ends by when it must have begun."""
    request = client.request
    if request.first_byte_deadline is None:
        return client
    deadline = min(request.first_byte_deadline, request.deadline or request.first_byte_deadline)
    return Client(client.caller, client.ground, replace(request, deadline=deadline))

CHAT_FAULTS = faults(403, 404, 409, 413, 429, 500, 503)


@router.post("/chat", response_class=JSONResponse, responses={200: {"model": ChatOut}, **CHAT_FAULTS})
async def chat(body: ChatIn, client: ClientOf, _: Annotated[None, Limited]) -> JSONResponse:
    """Says something to a model, in a session or without, and gives its whole answer."""
    turn = await _begin(body, at_once(client))
    answer = await whole(turn)
    return JSONResponse(answer, headers=turn.running.headers)


@router.post("/chat/stream", status_code=200, response_class=Streamed, responses={200: STREAM, **CHAT_FAULTS})
async def chat_stream(body: ChatIn, client: ClientOf, _: Annotated[None, Limited]) -> Response:
    """The same, as it comes: the events `start`, `reasoning`, `delta`, `tool_call`, and `done` or `error`."""
    turn = await _begin(body, client)
    return Streamed(Frames(turn.tell(), turn.close), turn.running.headers)


async def _begin(body: ChatIn, client: Client) -> ChatTurn:
    """The turn, of which the answer has begun. Raises GatewayError."""
    body.check()
    gateway = client.ground.gateway
    route = gateway.configuration.registry.resolve(body.model)
    said, system, notices = _said(body)
    limits = limited_tokens(body.max_tokens, client.ground)
    said = asked_with(said, gateway.ports.clock.time(), gateway.ports.random.token(20))
    default = gateway.configuration.chat.system_prompt
    question = Question(
        body.model, said, system if system is not None else default, body.temperature, limits[0], body.reasoning_effort
    )
    running = Running(gateway, question)
    running.notices += notices + limits[1]
    session: Turn | None = None
    if body.session_id is not None or body.messages is None:
        with kept_in_store(client.ground, "beginning a turn"):
            session = await _claim(body, said, system, client)
    if session is None:
        running.notices.append(NOT_KEPT if client.ground.store is None else NO_SESSION)
    turn = ChatTurn(gateway, running, session)
    await turn.start(route, client.caller, client.request)
    return turn


def _said(body: ChatIn) -> tuple[list[Said], str | None, list[str]]:
    """What is said, the system prompt that is given, and what to tell of them. Raises ClientFault."""
    attached = _attachments(body)
    if body.regenerate:
        return [], body.system_prompt, []
    if body.messages is None:
        return [Said("user", body.message or "", attached)], body.system_prompt, []
    said = [Said(each.role, each.content) for each in body.messages if each.role != "system"]
    said[-1].attachments = attached
    prompts = [body.system_prompt or "", *(each.content for each in body.messages if each.role == "system")]
    texts = [text for text in prompts if text]
    moved = any(each.role == "system" for each in body.messages[1:])
    notices = ["System messages were put together at the beginning."] if moved else []
    return said, "\n\n".join(texts) if texts or body.system_prompt is not None else None, notices


def _attachments(body: ChatIn) -> list[Attachment]:
    return [
        read_attachment(each.type, each.media_type, each.data, (each.name, f"attachments[{index}]"))
        for index, each in enumerate(body.attachments)
    ]


def limited_tokens(asked: int | None, ground: Ground) -> tuple[int | None, list[str]]:
    """MAX_TOKENS is what holds where a request says nothing, and the most that one may ask for."""
    most = ground.gateway.configuration.chat.max_tokens
    if most is None or (asked is not None and asked <= most):
        return asked, []
    return most, [f"This gateway gives at most {most} tokens: 'max_tokens' was lowered."] if asked is not None else []


async def _claim(body: ChatIn, said: list[Said], system: str | None, client: Client) -> Turn | None:
    if client.ground.store is None and body.session_id is None:
        return None
    names = tuple(each.name for each in said[-1].attachments) if said else ()
    title = title_of(said[0].content, names) if said else ""
    opening = Opening(title, body.model, len(said), system)
    if body.session_id is not None:
        check_id(body.session_id)
    return await sessions_of(client.caller, client.ground).claim(body.session_id, opening)


@router.get(
    "/sessions", response_class=JSONResponse, responses={200: {"model": SessionsOut}, **faults(500, 503)},
    tags=["sessions"],
)  # fmt: skip
async def list_sessions(
    client: ClientOf, limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str, Query(max_length=500)] = "",
    q: Annotated[str, Query(max_length=200, description="Only sessions whose title has this text.")] = "",
) -> JSONResponse:
    """Your sessions, the last used first. `cursor` is the `next_cursor` of the page before. A search looks through a
    thousand sessions at a time: a page of it may be short, or empty, and still have a `next_cursor`."""
    sessions = sessions_of(client.caller, client.ground)
    with kept_in_store(client.ground, "listing sessions"):
        heads, following = await sessions.page(cursor, limit, q)
        total = None if q else await sessions.total()
    return JSONResponse({"sessions": [head.shown() for head in heads], "next_cursor": following, "total": total})


@router.get(
    "/sessions/{session_id}", response_class=JSONResponse, tags=["sessions"],
    responses={200: {"model": WholeSession}, **faults(404, 500, 503)},
)  # fmt: skip
async def show_session(session_id: SessionId, client: ClientOf, data: bool = False) -> JSONResponse:
    """A session with all that was said in it. `data=true` gives the attached files too."""
    sessions = sessions_of(client.caller, client.ground)
    with kept_in_store(client.ground, "reading a session"):
        head = await sessions.find(session_id)
        messages = await sessions.all_messages(head)
        prompt = await sessions.prompt(head)
    shown = [_shown(said, data) for said in messages]
    return JSONResponse({**head.shown(), "system_prompt": prompt, "messages": shown})


def _shown(said: Said, data: bool) -> dict[str, Any]:
    document = said.document()
    for attachment in document.get("attachments", ()):
        if not data:
            attachment["data"] = None
    return document


@router.patch(
    "/sessions/{session_id}", response_class=JSONResponse, tags=["sessions"],
    responses={200: {"model": SessionOut}, **faults(404, 409, 500, 503)},
)  # fmt: skip
async def rename_session(session_id: SessionId, change: TitleIn, client: ClientOf) -> JSONResponse:
    """Gives a session a title of yours."""
    sessions = sessions_of(client.caller, client.ground)
    with kept_in_store(client.ground, "naming a session"):
        head = await sessions.rename(session_id, change.title)
    return JSONResponse(head.shown())


@router.delete(
    "/sessions/{session_id}", status_code=204, response_class=Response, tags=["sessions"],
    responses=faults(404, 500, 503),
)  # fmt: skip
async def delete_session(session_id: SessionId, client: ClientOf) -> Response:
    """Forgets a session and all that was said in it."""
    sessions = sessions_of(client.caller, client.ground)
    with kept_in_store(client.ground, "deleting a session"):
        await sessions.delete(session_id)
    return Response(status_code=204)


@router.get("/models", response_class=JSONResponse, responses={200: {"model": ModelsOut}, **faults(500, 503)})
async def list_models(client: ClientOf, request: WebRequest) -> JSONResponse:
    """The models that you may ask: what they can do, what they cost, how they are, and what is left of your limits.
    Patterns of the configuration come last: any name that matches may be asked too."""
    gateway, registry = client.ground.gateway, client.ground.gateway.configuration.registry
    names = [name for name in registry.routes if _may_ask(client.caller, name)]
    rows = [facts_row(name, gateway.configuration, gateway.health) for name in names]
    quotas = {} if client.ground.accounts is None else await client.ground.accounts.quotas_left(client.caller, names)
    rate = await rate_of(request, client.ground).left(client.caller)
    own = {} if rate is None else {"chat_requests_per_minute": rate}
    for row in rows:
        row["quota"] = {**(quotas.get(row["id"]) or {}), **own} or None
    usable = [row["id"] for row in rows if row["status"] != "unavailable"]
    patterns = [{"id": name, "pattern": True} for name, _, _ in registry.patterns if _may_ask(client.caller, name)]
    return JSONResponse({"models": [*rows, *patterns], "default": (usable or names or [None])[0]})


def _may_ask(caller: Caller, model: str) -> bool:
    try:
        check_model(caller, model)
    except Refused:
        return False
    return True
