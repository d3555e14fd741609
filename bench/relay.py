"""The least gateway that can be: one ASGI function that relays everything through handlers.io.http_client.

    BENCH_UPSTREAM=http://127.0.0.1:PORT python -m uvicorn bench.relay:app --http httptools --loop uvloop

What it reaches is the upper limit for what is built on the same parts.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core.ports import BackendRequest
from handlers.io.http_client import HttpTransport

type Message = MutableMapping[str, Any]

_UPSTREAM = os.environ.get("BENCH_UPSTREAM", "http://127.0.0.1:1")
_HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}
_transport = HttpTransport()


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Relays one request."""
    if scope["type"] != "http":
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    headers = [(name, value) for name, value in headers if name not in _HOP_BY_HOP]
    url = _UPSTREAM + scope["raw_path"].decode("ascii")
    exchange = await _transport.send(BackendRequest(scope["method"], url, headers, body))
    try:
        head = await exchange.head(30.0)
        assert head is not None
        answer = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in head.headers.items()
            if name != "transfer-encoding"
        ]
        await send({"type": "http.response.start", "status": head.status, "headers": answer})
        while piece := await exchange.read(30.0):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        exchange.close()
