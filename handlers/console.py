"""The console: the FastAPI application behind `/api/v1`, `/docs`, `/openapi.json` and the web page.

Imported when a request first needs it, so no other request loads FastAPI or pydantic. The gateway has found out who
calls before a request comes here; routers take `CallerOf` and `GroundOf` (handlers.console_ground) as parameters.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast
from urllib.parse import unquote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse
from starlette.types import Message, Scope

from core.access import Caller
from core.errors import ClientFault, GatewayError
from core.formats.api import wire
from core.gateway import Gateway
from core.http import HeaderList, Request, Response
from handlers import admin_api, chat_api, compare_api, console_page, openapi_document
from handlers.accounts import Accounts
from handlers.console_ground import CALLER, REQUEST, REQUEST_ID, STREAMS, Ground

DESCRIPTION = "An LLM gateway with no servers: any client format in, any backend out."


# Of every answer that does not say otherwise: it is somebody's own, and it is what its type says.
_FIXED_HEADERS = (("x-content-type-options", "nosniff"), ("cache-control", "no-store"))
_PARTS = (chat_api, compare_api, admin_api, openapi_document, console_page)


class Console:
    """The application, called in-process: a Request in, a Response out."""

    def __init__(self, ground: Ground) -> None:
        handlers = {
            GatewayError: _answer_fault, HTTPException: _answer_http_exception,
            RequestValidationError: _answer_invalid,
        }  # fmt: skip
        self.app = FastAPI(
            title="Skybridge", description=DESCRIPTION, docs_url=None, redoc_url=None, openapi_url=None,
            redirect_slashes=False, exception_handlers=cast(Any, handlers),
        )
        self.app.state.ground = ground
        for part in _PARTS:
            self.app.include_router(part.router)

    async def handle(self, request: Request, caller: Caller | None, request_id: str) -> Response:
        """Answers `request` of `caller` (None on the open pages). Faults are answered; a defect of ours is raised."""
        scope = _scope_of(request)
        streams: list[AsyncGenerator[bytes]] = []
        scope.update({CALLER: caller, REQUEST: request, REQUEST_ID: request_id, STREAMS: streams})
        answer = _Answer(request.body)
        await self.app(scope, answer.receive, answer.send)
        names = {name for name, _ in answer.headers}
        fixed = (("x-request-id", request_id), *_FIXED_HEADERS)
        answer.headers += [header for header in fixed if header[0] not in names]
        return Response(answer.status, answer.headers, streams[0] if streams else answer.body)


# What the API calls the stores that SKYBRIDGE_STORE names by these words.
_STORE_KINDS = {"sqlite": "sqlite", "dynamodb": "dynamodb", "azure-table": "tables"}


def make_console(gateway: Gateway, accounts: Accounts | None, reference: str) -> Console:
    """The console of a gateway; `reference` is where its store is, as SKYBRIDGE_STORE says it."""
    store = None if accounts is None else accounts.store
    kind = "none" if store is None else _STORE_KINDS[reference.partition(":")[0]]
    return Console(Ground(gateway, store, kind, accounts))


class _Answer:
    """The two sides of an ASGI call whose body is read and whose answer is kept whole."""

    def __init__(self, body: bytes) -> None:
        self._incoming = body
        self.status = 500
        self.headers: HeaderList = []
        self.body = b""

    async def receive(self) -> Message:
        """The whole body. Nothing else is ever asked for: the door watches for the client's leaving."""
        return {"type": "http.request", "body": self._incoming, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"])
            self.headers = [item for item in headers if item[0] != "content-length"]
        else:
            self.body += message.get("body", b"")


def _scope_of(request: Request) -> Scope:
    path = request.path if request.path == "/" else request.path.rstrip("/")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET" if request.method == "HEAD" else request.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": request.query.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in request.headers.items()
        ],
    }  # fmt: skip


async def _answer_fault(request: WebRequest, error: GatewayError) -> WebResponse:
    request_id = request.scope[REQUEST_ID]
    answer = wire.write_error(error, request_id)
    return WebResponse(answer.body, answer.status, {**dict(answer.headers), **error.headers})


async def _answer_http_exception(request: WebRequest, error: HTTPException) -> WebResponse:
    path = request.scope["path"]
    if error.status_code == 405:
        fault = ClientFault("method_not_allowed", f"{request.method} is not allowed on {path}.")
        fault.headers["allow"] = ", ".join(_allowed(path))
    elif error.status_code == 404:
        fault = ClientFault("not_found", f"There is no {request.method} {path} on this gateway; /docs lists its paths.")
    else:
        fault = ClientFault("bad_request", str(error.detail))
    return await _answer_fault(request, fault)


def _allowed(path: str) -> list[str]:
    """The methods of a path: one operation of it each has its own route."""
    routes = [route for part in _PARTS for route in part.router.routes if isinstance(route, APIRoute)]
    return sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})


async def _answer_invalid(request: WebRequest, error: RequestValidationError) -> WebResponse:
    """One fault for the first field that is wrong; the details list all of them."""
    if error.errors()[0]["type"] == "json_invalid" or not _says_json(request):
        return await _answer_fault(request, _no_json(request))
    rows = [{"field": _field_of(row["loc"]), "problem": str(row["msg"])} for row in error.errors()]
    first = rows[0]
    named = f"The field '{first['field']}' is not valid" if first["field"] else "The request body is not valid"
    fault = ClientFault("bad_request", f"{named}: {first['problem']}.", param=first["field"] or None)
    fault.about = {"problems": rows[:20]}
    return await _answer_fault(request, fault)


def _says_json(request: WebRequest) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method == "GET" or kind == "application/json" or kind.endswith("+json")


def _no_json(request: WebRequest) -> ClientFault:
    """A body of another type is not read as JSON: a web page elsewhere could send it without being asked for leave."""
    if _says_json(request):
        return ClientFault("bad_request", "The request body is not valid JSON.")
    return ClientFault("bad_request", "Send JSON, with the header `content-type: application/json`.")


# What pydantic puts behind a field that may have one of several types: the type that was tried.
_TYPES = frozenset({"int", "float", "bool", "str"})


def _field_of(location: tuple[Any, ...]) -> str:
    """`("body", "messages", 0, "role")` as `messages[0].role`."""
    text = ""
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    for part in parts[:-1] if len(parts) > 1 and parts[-1] in _TYPES else parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
