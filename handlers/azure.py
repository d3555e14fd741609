"""The Azure Functions door: one function on every path and method, which streams.

`SKYBRIDGE_ASGI_APP` (`module:factory`) names another application than the gateway's. The function asks for no
Functions key: the gateway checks its own keys, the same on every platform.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import cast

import azure.functions as func

from handlers.azure_extension import (
    Application,
    AsgiAnswer,
    ForwardedRequest,
    Receive,
    Scope,
    Send,
    outcome_of,
)
from handlers.io.azure_log import IN_INVOCATION

# Azure's load balancer gives a request 230 s to be answered:
# https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout
# The margin lets the gateway say so in the client's format first.
SECONDS_TO_ANSWER = 230.0
MARGIN = 10.0

DEFAULT_APPLICATION = "handlers.asgi:create_app"


def load_application(reference: str) -> Application:
    """The ASGI application that the factory `reference` (`module:factory`) makes."""
    module, _, factory = reference.partition(":")
    return cast(Application, getattr(import_module(module), factory)())


def door(application: Application) -> Application:
    """`application`, told its platform and deadline, and with its work after the answer done."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        after: list[Callable[[], Awaitable[None]]] = []
        extensions = {
            **(scope.get("extensions") or {}),
            "skybridge.platform": "azure",
            "skybridge.first_byte_deadline": asyncio.get_running_loop().time() + SECONDS_TO_ANSWER - MARGIN,
            "skybridge.after": after,
        }
        try:
            await application({**scope, "extensions": extensions}, receive, send)
        finally:
            for step in after:
                await outcome_of(step())

    return serve


application = door(load_application(os.environ.get("SKYBRIDGE_ASGI_APP", DEFAULT_APPLICATION)))

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="{*path}")
async def gateway(req: ForwardedRequest) -> AsgiAnswer:
    """The one function. It answers the forwarded request, and lasts as long as that takes."""
    IN_INVOCATION.set(True)
    return await req.answer(application)
