"""One request on a server's connection, as an ASGI application sees it: `receive` and `send`.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handlers.io.http_server import ServerConnection

type Message = MutableMapping[str, Any]

# Unread bytes of a body at which its client has to wait.
HIGH_WATER = 64 * 1024
# Larger pieces are not copied behind their head.
LARGE = 64 * 1024

_DISCONNECT = {"type": "http.disconnect"}
# Answers without a body, whatever the application says (RFC 9110, 15).
_NO_BODY = frozenset({204, 304})


class ServerExchange:
    """A request and its answer. `keeps_alive`: whether the connection can be used again afterwards; `task`: what
    answers, where it has to wait for something; `unread`: bytes of the body that the application has not asked for."""

    __slots__ = (
        "_chunked", "_complete", "_connection", "_ended", "_expects_continue", "_flowing", "_given", "_gone", "_head",
        "_left", "_parts", "_refused", "_scope", "_started", "_waiter", "_without_body", "keeps_alive", "task",
        "unread",
    )  # fmt: skip

    def __init__(self, connection: ServerConnection, scope: dict[str, Any], *, expects_continue: bool) -> None:
        self._connection = connection
        self._scope = scope
        self._expects_continue = expects_continue
        self.keeps_alive = True
        self.task: asyncio.Task[None] | None = None
        self._parts: list[bytes] = []
        self.unread = 0
        self._complete = self._given = False
        self._gone = False
        self._refused = 0
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._left: int | None = None
        self._started = self._ended = self._chunked = self._flowing = self._without_body = False

    async def run(self) -> None:
        """The application's turn. An answer that it does not bring to its end is ended here."""
        server = self._connection.server
        try:
            await server.app(self._scope, self.receive, self.send)
        finally:
            if not self._ended:
                self._break_off()
            if self.task is not None:
                server.tasks.discard(self.task)
                self.task = None

    # What the connection calls.

    def feed(self, data: bytes) -> None:
        """A piece of the body."""
        if self._ended or self._gone:
            return
        self._parts.append(data)
        self.unread += len(data)
        self._wake()

    def complete(self) -> None:
        """The body is whole."""
        self._complete = True
        self._wake()

    def leave(self) -> None:
        """The client has gone."""
        self._gone, self._flowing = True, False
        self._wake()

    def refuse(self, status: int) -> None:
        """The rest of the request cannot be read: the client is told so, unless its answer has begun."""
        if self._started:
            self._connection.abort()
        self._refused = status
        self.leave()

    # What the application calls.

    async def receive(self) -> Message:
        """The body as far as it has come, then the client's leaving."""
        while True:
            if self._gone or self._ended:
                return dict(_DISCONNECT)
            if self._parts or (self._complete and not self._given):
                return self._request_message()
            if self._expects_continue and not self._started:
                self._expects_continue = False
                self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._connection.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def send(self, message: Message) -> None:
        """Writes a piece of the answer: its head together with the first piece of its body. Waits while the client is
        behind; one that has gone is written nothing. Raises RuntimeError for what is no answer."""
        if self._flowing and message.get("more_body", False):
            # The shortest way, which most pieces of most streams go.
            connection, body = self._connection, message["body"]
            if body:
                connection.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
            if connection.full is not None:
                await connection.drained()
            return
        if message["type"] != "http.response.start":
            await self._send_body(message.get("body", b""), message.get("more_body", False))
        elif self._started:
            raise RuntimeError("the answer has begun already")
        else:
            self._started = True
            self._head = self._write_head(message["status"], message.get("headers", []))

    # Inside.

    async def _send_body(self, body: bytes, more: bool) -> None:
        if not self._started or self._ended:
            raise RuntimeError("a body without its head, or behind its end")
        framed = self._framed(body, more)
        head, self._head = self._head, b""
        if not self._gone:
            self._write(head, framed)
        if not more:
            self._ended, self._flowing = True, False
            self._wake()
            if not self._gone:
                self._connection.ended(self)
            return
        self._flowing = self._chunked and not self._gone
        if self._connection.full is not None:
            await self._connection.drained()

    def _write(self, head: bytes, framed: bytes) -> None:
        transport = self._connection.transport
        if len(framed) > LARGE:
            transport.writelines((head, framed))
            # asyncio's writelines may leave a full buffer unreported (CVE-2024-12254); setting the limits reports it.
            transport.set_write_buffer_limits()
        elif head or framed:
            transport.write(head + framed)

    def _request_message(self) -> Message:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = []
        self.unread = 0
        self._given = self._complete
        return {"type": "http.request", "body": body, "more_body": not self._complete}

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _write_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Status line and headers, with what the application left out: date, framing, connection."""
        fields = dict(headers)
        length = fields.get(b"content-length")
        self._without_body = self._scope["method"] == "HEAD" or status in _NO_BODY
        self._left = None if length is None else int(length)
        if not self._complete or (b"connection" in fields and fields[b"connection"].lower() == b"close"):
            self.keeps_alive = False
        text = _status_line(status) + b"\r\n".join(map(b": ".join, headers)) + (b"\r\n" if headers else b"")
        if not text.count(b"\r") == text.count(b"\n") == len(headers) + 1 or b"\0" in text:
            self._started = False
            raise RuntimeError("a header of the answer has a line end or a NUL in it")
        text += self._connection.server.date()
        if length is None and not self._without_body:
            if self._scope["http_version"] == "1.1":
                self._chunked = True
                text += b"transfer-encoding: chunked\r\n"
            else:
                self.keeps_alive = False  # the connection's end is the body's
        if not self.keeps_alive and b"connection" not in fields:
            text += b"connection: close\r\n"
        return text + b"\r\n"

    def _framed(self, body: bytes, more: bool) -> bytes:
        if self._without_body:
            return b""
        if self._chunked:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return piece if more else piece + b"0\r\n\r\n"
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body is not as long as its content-length says")
        return body

    def _break_off(self) -> None:
        """The application went without an answer: an error where nothing was said, a cut where something was."""
        self._ended = True
        connection = self._connection
        if connection.transport.is_closing():
            return
        if self._started and not self._head:
            connection.abort()
            return
        self.keeps_alive = False
        connection.transport.write(plain_answer(self._refused or 500))
        connection.ended(self)


@cache
def _status_line(status: int) -> bytes:
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    except ValueError:
        return f"HTTP/1.1 {status} \r\n".encode()


def plain_answer(status: int) -> bytes:
    """A whole answer of the server's own, after which the connection ends."""
    text = HTTPStatus(status).phrase.encode()
    head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
    return _status_line(status) + head + text
