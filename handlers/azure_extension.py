"""Lets the Azure Functions worker forward HTTP to an ASGI application, streaming both ways.

The worker calls this "HTTP V2": it looks for the module in which `WebApp` and `WebServer` of
`azurefunctions.extensions.base` were subclassed, starts that server on a loopback port, tells the port to
the host, and the host forwards every request there. The invocation itself carries nothing but the route: the
function runs the application on the forwarded request (`ForwardedRequest.answer`), and returns when the answer is
over. As long as it lasts, the host takes log lines for the invocation; those that come later it drops.
https://learn.microsoft.com/azure/azure-functions/functions-reference-python#http-streams
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import uvicorn
from azurefunctions.extensions import base

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]
type CatchAll = Callable[["ForwardedRequest"], Awaitable["AsgiAnswer"]]

INVOCATION_HEADER = "x-ms-invocation-id"

# The host sends the invocation right after it has begun to forward, and gives up on the forward after 240 s.
INVOCATION_WAIT = 230.0

# Longer than the idle time after which the host's connection pool drops a connection (60 s in .NET): the side
# that reuses connections should also be the one that closes them, or a request meets a closing connection.
KEEP_ALIVE = 120

logger = logging.getLogger("skybridge.azure")


class ForwardedRequest:
    """One request that the host forwarded: what the worker needs to match it with its invocation."""

    def __init__(self, scope: Scope, receive: Receive | None = None, send: Send | None = None) -> None:
        self.scope = scope
        self._ends = (receive, send)
        self.begun: Callable[[], None] = lambda: None
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self.route_params: dict[str, str] = {}

    @property
    def invocation_id(self) -> str:
        """The host's id of the invocation, "" when the request did not come from the host."""
        return self.headers.get(INVOCATION_HEADER, "")

    async def answer(self, application: Application) -> AsgiAnswer:
        """Runs `application` on this request, in the task of the invocation. Gives what the function is to return."""
        receive, send = self._ends
        assert receive is not None and send is not None
        self.begun()
        await application(self.scope, receive, send)
        return AsgiAnswer()


class RouteParameters(base.RequestSynchronizer):  # type: ignore[misc]  # the base package has no types
    """Copies what the invocation alone knows, the route's parameters, to the forwarded request."""

    def sync_route_params(self, request: ForwardedRequest, path_params: Mapping[str, str] | None) -> None:
        request.route_params = dict(path_params or {})


class AsgiAnswer:
    """What the function returns: the request has been answered."""


class RequestKind(metaclass=base.RequestTrackerMeta):  # type: ignore[metaclass]  # as above
    """Tells the worker which class stands for a request."""

    request_type = ForwardedRequest
    synchronizer = RouteParameters()


class AnswerKind(metaclass=base.ResponseTrackerMeta):  # type: ignore[metaclass]  # as above
    """Tells the worker which class stands for an answer."""

    label = base.ResponseLabels.STANDARD
    response_type = AsgiAnswer


async def outcome_of(step: Awaitable[None]) -> Exception | None:
    """Awaits `step`; a failure is logged and given back. The door's one boundary: nothing stops a worker."""
    try:
        await step
    except Exception as error:  # whatever a request does, the next one is served
        logger.exception("a request failed: %s", type(error).__name__)
        return error
    return None


class _Sender:
    """Passes ASGI messages on and remembers whether the answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)


class WebApp(base.WebApp):  # type: ignore[misc]  # the base package has no types
    """The ASGI application that the worker serves: any method, any path, one route.

    `invocation_wait` is how long a request waits for its invocation, in seconds.
    """

    def __init__(self, invocation_wait: float = INVOCATION_WAIT) -> None:
        self._invocation_wait = invocation_wait
        self._catch_all: CatchAll | None = None
        self._coordinator: object = None

    def route(self, func: CatchAll) -> CatchAll:
        """Takes the worker's one handler: it awaits the invocation and gives what the function returned."""
        self._catch_all = func
        self._coordinator = getattr(sys.modules.get(func.__module__), "http_coordinator", None)
        return func

    def get_app(self) -> Application:
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender = _Sender(send)
        failure = await outcome_of(self._serve(scope, receive, sender))
        if failure is None:
            return
        if sender.started:
            raise failure  # The server then cuts the connection: a broken answer must not look complete.
        await _send_internal_error(scope, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._catch_all is not None
        request = ForwardedRequest(scope, receive, send)
        try:
            async with asyncio.timeout(self._invocation_wait) as limit:
                request.begun = lambda: limit.reschedule(None)  # an answer takes as long as it takes
                await self._catch_all(request)
        finally:
            self._forget(request.invocation_id)

    def _forget(self, invocation_id: str) -> None:
        """Drops the worker's record of an invocation that has been answered: the worker itself keeps every
        one, about 2 KiB a request (azure-functions-runtime 1.3.0)."""
        references = getattr(self._coordinator, "_context_references", None)
        if isinstance(references, dict):
            references.pop(invocation_id, None)


async def _send_internal_error(scope: Scope, send: Send) -> None:
    """A plain 500. It names the invocation, under which the log has the failure."""
    invocation_id = ForwardedRequest(scope).invocation_id
    message = "The function failed; its log names the cause."
    error = {"message": message, "type": "server_error", "param": None, "code": "internal_error"}
    body = json.dumps({"error": error, "request_id": invocation_id}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", invocation_id.encode("latin-1")),
    ]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class WebServer(base.WebServer):  # type: ignore[misc]  # the base package has no types
    """uvicorn on the address that the worker chose. `server` is there once it serves."""

    async def serve(self) -> None:
        config = uvicorn.Config(
            self.web_app,
            host=self.hostname,
            port=self.port,
            interface="asgi3",
            lifespan="off",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self.server = uvicorn.Server(config)
        await self.server.serve()
