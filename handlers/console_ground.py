"""What the console's routers stand on: the gateway, the store, and who calls, as FastAPI's dependencies."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse
from starlette.types import Receive, Scope, Send

from core.access import Caller
from core.errors import NotConfigured
from core.formats.api.wire import STREAM_CONTENT_TYPE
from core.gateway import Gateway
from core.http import Request
from core.ports import Store
from core.slotted import slotted
from handlers.accounts import Accounts

# Where the scope of a request keeps what the gateway knows of it.
CALLER = "skybridge.caller"
REQUEST = "skybridge.request"
REQUEST_ID = "skybridge.request_id"
STREAMS = "skybridge.streams"

NO_STORE = (
    "No store is configured, so nothing can be kept: set SKYBRIDGE_STORE to sqlite:PATH, dynamodb:TABLE or "
    "azure-table:https://ACCOUNT.table.core.windows.net/TABLE."
)


@slotted
class Ground:
    """What all routers share. `store_kind` is sqlite, dynamodb, tables or none."""

    gateway: Gateway
    store: Store | None
    store_kind: str
    accounts: Accounts | None = None

    def need_store(self) -> Store:
        """The store. Raises NotConfigured (503) that says how to have one."""
        if self.store is None:
            raise NotConfigured(NO_STORE)
        return self.store


class Streamed(WebResponse):
    """Server-sent events. The door takes the generator itself: it closes it when the client leaves."""

    def __init__(self, body: AsyncGenerator[bytes], headers: dict[str, str] | None = None) -> None:
        fixed = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(None, 200, {**fixed, **(headers or {})}, STREAM_CONTENT_TYPE)
        self._generator = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the head; the body goes to whoever called the application."""
        scope[STREAMS].append(self._generator)
        headers = [item for item in self.raw_headers if item[0] != b"content-length"]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _ground(request: WebRequest) -> Ground:
    return cast(Ground, request.app.state.ground)


def _caller(request: WebRequest) -> Caller:
    caller = request.scope[CALLER]
    assert caller is not None  # every /api/v1 request has one
    return cast(Caller, caller)


def _request(request: WebRequest) -> Request:
    return cast(Request, request.scope[REQUEST])


def _request_id(request: WebRequest) -> str:
    return cast(str, request.scope[REQUEST_ID])


# A router's parameters: `caller: CallerOf, ground: GroundOf`.
type GroundOf = Annotated[Ground, Depends(_ground)]
type CallerOf = Annotated[Caller, Depends(_caller)]
type RequestOf = Annotated[Request, Depends(_request)]
type RequestIdOf = Annotated[str, Depends(_request_id)]
