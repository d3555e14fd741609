"""Small ASGI apps for the doors to serve: `python -m tests.doors.lambda_apps NAME` runs one in the Lambda loop.

An app that has to wait does so on the test's word: it reads a line from the address in the request's `x-gate`
header, so that a test proves the order of things without a clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from handlers import aws_streaming
from handlers.aws_invocation import App, Receive, Scope, Send


async def read_body(receive: Receive) -> bytes:
    message = await receive()
    return bytes(message["body"])


async def start(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def body(send: Send, data: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def gate(scope: Scope, word: bytes) -> bytes:
    """Tells the test `word` and waits for its line."""
    port = dict(scope["headers"])[b"x-gate"].decode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(word + b"\n")
    line = await reader.readline()
    writer.close()
    return line


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """What the app was given, as JSON."""
    data = await read_body(receive)
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        "body": data.decode("latin-1"),
        "client": scope["client"],
        "platform": scope["extensions"]["skybridge.platform"],
        "seconds": scope["extensions"]["skybridge.deadline"] - asyncio.get_running_loop().time(),
        "request_id": scope["extensions"].get("skybridge.request_id"),
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }
    headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2; Path=/")]
    await start(send, 201, *headers, (b"x-many", b"one"), (b"x-many", b"two"), (b"connection", b"close"))
    await body(send, json.dumps(seen).encode())


async def gated(scope: Scope, receive: Receive, send: Send) -> None:
    """Two parts; the second only when the test says so."""
    await read_body(receive)
    await start(send, 200, (b"content-type", b"text/event-stream"))
    await body(send, b"data: first\n\n", more=True)
    await gate(scope, b"sent")
    await body(send, b"data: last\n\n")


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    """Fails: at once, after the start, in the middle, or by saying nothing at all."""
    where = scope["path"]
    if where == "/silent":
        return
    if where != "/at-once":
        await start(send, 200, (b"content-type", b"text/plain"))
    if where == "/middle":
        await body(send, b"some ", more=True)
    if where == "/exit":
        await body(send, b"some ", more=True)
        await gate(scope, b"sent")
        os._exit(3)
    if where == "/hang":
        await body(send, b"some ", more=True)
        await asyncio.Event().wait()
    raise KeyError("broken on purpose")


async def leftover(scope: Scope, receive: Receive, send: Send) -> None:
    """Leaves work behind: one that waits for the test, one that fails, one that answers."""

    async def wait() -> None:
        await gate(scope, b"after")

    async def fail() -> None:
        raise ValueError("left over and broken")

    async def tell() -> None:
        await gate(scope, b"told")

    async def hang() -> None:
        await asyncio.Event().wait()

    work = {"/hang": [hang]}.get(scope["path"], [wait, fail, tell])
    scope["extensions"]["skybridge.after"].extend(work)
    await start(send, 200, (b"content-type", b"text/plain"))
    await body(send, b"answered")


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """What the path says: a status, and a body of so many bytes: /204/0, /200/70000."""
    await read_body(receive)
    _, status, size = scope["path"].split("/")
    await start(send, int(status), (b"content-type", b"text/plain"), (b"content-length", size.encode()))
    await body(send, b"x" * int(size))


async def binary(scope: Scope, receive: Receive, send: Send) -> None:
    """The request's body back, as the type that the query names."""
    data = await read_body(receive)
    await start(send, 200, (b"content-type", scope["query_string"]))
    await body(send, data)


async def disconnected(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells after the answer what receive() says then, and that send() raises."""
    await read_body(receive)
    await start(send)
    await body(send, b"over")

    async def tell() -> None:
        word = (await receive())["type"]
        try:
            await body(send, b"more")
        except OSError as fault:
            word += f" {fault}"
        await gate(scope, word.encode())

    scope["extensions"]["skybridge.after"].append(tell)


async def modules(scope: Scope, receive: Receive, send: Send) -> None:
    """The modules that the process has imported."""
    await start(send)
    await body(send, json.dumps(sorted(sys.modules)).encode())


class Warm:
    """An app with something to do while it waits, and when it ends."""

    finish: Callable[[], Awaitable[None]] | None = None

    def __init__(self) -> None:
        self.warmed = 0

    def warm(self) -> None:
        self.warmed += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, str(self.warmed).encode())


def no_configuration() -> App:
    raise RuntimeError("SKYBRIDGE_KEYS is not set")


def no_module() -> App:
    import not_in_the_package  # type: ignore[import-not-found]

    return not_in_the_package  # type: ignore[no-any-return]


class Restored:
    """Counts how often it was made: SnapStart makes it anew."""

    made = 0

    def __init__(self) -> None:
        Restored.made += 1
        if Restored.made > 1 and "--fail-restored" in sys.argv:
            raise RuntimeError("no network after the restore")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, str(Restored.made).encode())


APPS: dict[str, Any] = {
    "binary": lambda: binary,
    "breaks": lambda: breaks,
    "disconnected": lambda: disconnected,
    "echo": lambda: echo,
    "gated": lambda: gated,
    "leftover": lambda: leftover,
    "modules": lambda: modules,
    "no-configuration": no_configuration,
    "no-module": no_module,
    "plain": lambda: plain,
    "restored": Restored,
    "warm": Warm,
}

if __name__ == "__main__":
    sys.exit(aws_streaming.run(APPS[sys.argv[1]], os.environ))
