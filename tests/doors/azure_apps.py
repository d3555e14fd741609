"""ASGI applications that show what the Azure door does to any application."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any


class Probe:
    """Its path says what it does: `/gate/NAME` streams one piece, waits for `/open/NAME`, streams the rest;
    `/hold/NAME` streams until the client goes; `/upload/NAME` reads piece by piece; `/seen/NAME` waits for
    what NAME has noted; `/fail/...` raises; everything else is told back."""

    def __init__(self) -> None:
        self.opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.notes: defaultdict[str, asyncio.Queue[str]] = defaultdict(asyncio.Queue)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        kind, _, name = scope["path"].strip("/").partition("/")
        action = getattr(self, f"_{kind}", self._echo)
        await action(name, scope, receive, send)

    async def _gate(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"]["skybridge.after"].append(lambda: self.notes[name].put("after"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.opened[name].wait()
        await send({"type": "http.response.body", "body": b"last"})

    async def _open(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        self.opened[name].set()
        await answer(send, {})

    async def _hold(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.notes[name].put((await receive())["type"])

    async def _seen(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, {"note": await self.notes[name].get()})

    async def _fail(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        if name == "late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        if name == "after":
            scope["extensions"]["skybridge.after"].append(self._broken)
            await answer(send, {"after": "fails"})
            return
        raise RuntimeError("made to fail")

    async def _broken(self) -> None:
        raise RuntimeError("made to fail after the answer")

    async def _upload(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        """Reads the body piece by piece and says after the first one that it has come."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        total, more = 0, True
        while more:
            message = await receive()
            total, more = total + len(message.get("body", b"")), message.get("more_body", False)
            if total and not self.notes[name].qsize():
                await self.notes[name].put("body")
        await send({"type": "http.response.body", "body": str(total).encode()})

    async def _echo(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        extensions = scope["extensions"]
        told = {
            "method": scope["method"],
            "path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
            "length": len(body),
            "text": body[:100].decode(errors="replace"),
            "platform": extensions["skybridge.platform"],
            "seconds": extensions["skybridge.first_byte_deadline"] - asyncio.get_running_loop().time(),
        }
        await answer(send, told)


async def answer(send: Any, value: object) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def create_probe() -> Probe:
    return Probe()
