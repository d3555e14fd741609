"""The one ASGI application, without a framework.

A door may put into `scope["extensions"]`: `skybridge.deadline` (a reading of time.monotonic() by which the answer
must have ended), `skybridge.principal` (the IAM principal that the platform has authenticated), `skybridge.sent`
(called for the bytes of the answer that have gone out, where the platform asks for money for them),
`skybridge.first_byte_deadline` (by which it must have begun: whole answers are held to it),
`skybridge.after` (a list; what is appended is run by the door after the last byte) and `skybridge.abort` (called to
drop the connection of a client that has stopped reading).

A slow reader is back-pressured: the door's `send` returns when there is room again, and until then nothing more is
read from the backend. One that has taken nothing for `reader_stall_seconds` is taken for gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from itertools import chain
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from core.errors import ClientFault, GatewayError
from core.http import Request, Response, joined

if TYPE_CHECKING:  # handlers.composition says when it is loaded
    from core.gateway import Gateway

type Message = MutableMapping[str, Any]
type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

DEFAULT_BODY_LIMIT = 20 * 1024 * 1024


# A client is not watched for its leaving before this many seconds: most answers are over by then, and each watch
# costs a task.
WATCH_AFTER = 0.1


class BodyTooLarge(Exception):
    """The request's body is over the limit; the rest of it was not read."""


class ClientGone(Exception):
    """The client left before its request was complete."""


def make_app(gateway: Gateway, after_answer: Callable[[], Awaitable[None]] | None = None) -> AsgiApp:
    """The application over `gateway`. `after_answer` is run after each answer, by the door where it offers that."""
    limit = gateway.configuration.limits.max_body_bytes or DEFAULT_BODY_LIMIT

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await _lifespan(receive, send)
            return
        extensions = scope.get("extensions") or {}
        request = _request_of(scope, extensions)
        try:
            request.body = await _read_body(request, receive, limit)
        except ClientGone:
            return
        except BodyTooLarge:
            fault = ClientFault("too_large", f"The request body is larger than the limit of {limit} bytes.")
            await _send_whole(gateway.refuse(request, fault), request.method, send)
            return
        reader = _Reader(receive, send, extensions.get("skybridge.abort"))
        try:
            await _answer(gateway, request, reader)
        finally:  # what was used is written too where nobody takes the answer, or the door has ended it
            if after_answer is not None:
                deferred = extensions.get("skybridge.after")
                if deferred is not None:
                    deferred.append(after_answer)
                else:
                    await after_answer()

    return app


def _request_of(scope: Scope, extensions: MutableMapping[str, Any]) -> Request:
    raw_headers = scope["headers"]
    # All of them are decoded at once, which the few that have a NUL in them or are there twice do not survive.
    texts = b"\0".join(chain.from_iterable(raw_headers)).decode("latin-1").split("\0")
    headers = dict(zip(texts[::2], texts[1::2], strict=False))
    if len(texts) != 2 * len(raw_headers) or len(headers) < len(raw_headers):
        headers = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw_headers)
    raw_path = scope.get("raw_path")
    path = raw_path.decode("latin-1") if raw_path else scope["path"]
    return Request(
        scope["method"], path.partition("?")[0], scope.get("query_string", b"").decode("latin-1"), headers, b"",
        extensions.get("skybridge.deadline"), extensions.get("skybridge.first_byte_deadline"),
        extensions.get("skybridge.principal", ""), extensions.get("skybridge.sent"),
    )


async def _read_body(request: Request, receive: Receive, limit: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise BodyTooLarge
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise BodyTooLarge
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge
    return b"".join(parts)


class _Reader:
    """The client's side of one answer. While it is watched, its leaving and its stalling cancel the task."""

    def __init__(self, receive: Receive, send: Send, abort: Callable[[], None] | None) -> None:
        self._receive = receive
        self._abort = abort
        self._loop = asyncio.get_running_loop()
        self.send = send
        self.now = self._loop.time
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self.sending_since: float | None = None
        self._stall_seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.gone = False

    def watch(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._timer = self._loop.call_later(min(WATCH_AFTER, stall_seconds), self._begin)

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._wait_for_leaving())
        self._timer = self._loop.call_later(self._stall_seconds, self._check)

    def unwatch(self) -> None:
        """The answer is over. A client that leaves now disturbs nothing any more."""
        assert self._timer is not None
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self.gone:
            self._task.uncancel()

    async def _wait_for_leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        if not self.gone:
            self.gone = True
            self._task.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        since = now if self.sending_since is None else self.sending_since
        if now - since < self._stall_seconds:
            self._timer = self._loop.call_at(since + self._stall_seconds, self._check)
            return
        self._leave()
        if self._abort is not None:
            self._abort()


async def _answer(gateway: Gateway, request: Request, reader: _Reader) -> None:
    """Runs the gateway while the client is there: its leaving cancels whatever is under way."""
    reader.watch(gateway.configuration.limits.reader_stall_seconds)
    try:
        try:
            response = await gateway.handle(request)
        except Exception as defect:  # noqa: BLE001  # the boundary: a defect of ours is an error in the client's format
            response = gateway.refuse(request, _internal(gateway, defect))
        if isinstance(response.body, bytes):
            reader.sending_since = reader.now()
            await _send_whole(response, request.method, reader.send)
        else:
            await _send_stream(response, reader, partial(_broken_event, gateway, request))
    except asyncio.CancelledError:
        if not reader.gone:
            raise
        await asyncio.sleep(0)  # the server gets to know that the connection is gone
    finally:
        reader.unwatch()


def _broken_event(gateway: Gateway, request: Request, defect: Exception) -> bytes:
    return gateway.error_event(request, _internal(gateway, defect))


def _internal(gateway: Gateway, defect: Exception) -> GatewayError:
    """What a client is told of a defect, which is logged."""
    trace = "".join(format_exception(defect))
    gateway.ports.log.event("error", "defect", error=repr(defect), trace=trace)
    return GatewayError("internal", "The gateway failed on this request; its operator finds the reason in the log.")


def _encoded(response: Response) -> list[tuple[bytes, bytes]]:
    headers = response.headers
    # All at once again. A NUL, which the server refuses, would make them more.
    texts = "\0".join(chain.from_iterable(headers)).encode("latin-1").split(b"\0")
    if len(texts) != 2 * len(headers):
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return list(zip(texts[::2], texts[1::2], strict=True))


async def _send_whole(response: Response, method: str, send: Send) -> None:
    assert isinstance(response.body, bytes)
    headers = _encoded(response)
    headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})


async def _send_stream(response: Response, reader: _Reader, broken_event: Callable[[Exception], bytes]) -> None:
    body, send, now = response.body, reader.send, reader.now
    assert not isinstance(body, bytes)
    try:
        reader.sending_since = now()
        await send({"type": "http.response.start", "status": response.status, "headers": _encoded(response)})
        reader.sending_since = None
        try:
            async for data in body:
                reader.sending_since = now()
                await send({"type": "http.response.body", "body": data, "more_body": True})
                reader.sending_since = None
        except Exception as defect:  # the boundary, once the stream has begun
            if reader.sending_since is not None:
                raise  # it was the door that failed: nobody takes this answer
            reader.sending_since = now()
            await send({"type": "http.response.body", "body": broken_event(defect), "more_body": True})
        reader.sending_since = now()
        await send({"type": "http.response.body", "body": b""})
    finally:
        reader.sending_since = None
        await body.aclose()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def create_app() -> AsgiApp:
    """The application as the environment configures it. Raises core.errors.NotConfigured or ConfigurationError."""
    from handlers.composition import compose  # noqa: PLC0415  # the doors import this module before its settings

    composition = compose(ahead=True)
    composition.app.warm = composition.warm  # type: ignore[attr-defined]  # the Lambda door looks for both
    composition.app.finish = composition.finish  # type: ignore[attr-defined]
    return composition.app
