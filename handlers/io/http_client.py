"""core.ports.Transport over HTTP/1.1: a pooled client of our own on asyncio and httptools (RFC 9112).

It does what a gateway needs and no more: no redirects, no cookies, no HTTP/2. Every failure is a
TransportFault.

A request is sent again, once and on a fresh connection, when all of this holds: the connection had carried a
request before; it broke without one byte of an answer; and it did so within a second of the request's last
write. That is what a request looks like that met the server's idle timeout on the wire: the server's kernel
refuses it at once, unread. A server that read it and then died looks the same, and no client can tell.
Chromium, Firefox and curl send again in that case whatever the method; libraries for arbitrary APIs (Go's
net/http, aiohttp) do not for POST (RFC 9110, 9.2.2). Here a repeated request costs tokens at worst, changes
nothing at the backend that a client relies on, and the gateway would try the next candidate anyway; the time
limit keeps it to the moment when the race is the likely reason.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.http import HeaderList
from core.ports import BackendRequest, Clock, Head, TransportFault
from core.slotted import replace
from handlers.io.clock import SystemClock
from handlers.io.http_connect import Connector
from handlers.io.http_connection import HttpConnection
from handlers.io.http_content import ContentDecoder, make_decoder
from handlers.io.http_pool import Pool
from handlers.io.http_url import Target, read_url

if TYPE_CHECKING:
    from ssl import SSLContext

# Below what common servers wait (60 s and more); shorter ones either say so (`keep-alive: timeout=5`) or
# close, which the pool sees.
IDLE_SECONDS = 15.0
MAX_IDLE_PER_HOST = 128
# How soon after sending a reused connection must break for the request to be sent again.
RESEND_WINDOW = 1.0

# The client frames the message itself; a second opinion in the headers would be request smuggling.
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_METHODS_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})


class HttpTransport:
    """core.ports.Transport. Belongs to the event loop that used it last: connections stay with their loop.

    `environment` (default: the process's) gives proxies and certificates; it is read once. `tls` replaces the
    verifying default context. `idle_seconds` is how long a connection is kept without a request.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        tls: SSLContext | None = None,
        idle_seconds: float = IDLE_SECONDS,
        resend_window: float = RESEND_WINDOW,
    ) -> None:
        self._clock = clock or SystemClock()
        self._idle_seconds = idle_seconds
        self.resend_window = resend_window
        self._connector = Connector(os.environ if environment is None else environment, tls)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool = self._new_pool()
        self._closed = False

    @property
    def idle_connections(self) -> int:
        """How many connections wait for a request."""
        return self._pool.idle_count

    @property
    def open_connections(self) -> int:
        """How many connections are open, idle or not."""
        return self._pool.open_count

    async def send(self, request: BackendRequest) -> HttpExchange:
        """Connects (or takes a pooled connection) and sends. Raises TransportFault (stages connect, send)."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._pool = self._new_pool()
        try:
            target = read_url(request.url)
        except ValueError as error:
            raise TransportFault("connect", str(error)) from error
        if request.connect_address is not None:
            target = replace(target, address=request.connect_address)
        head = self._write_head(request, target)
        exchange = HttpExchange(self, self._pool, request, target, head)
        connection = self._pool.take(target.key)
        if connection is None:
            connection = await self.connect(self._pool, target, request.connect_timeout)
        exchange.start(connection)
        return exchange

    async def connect(self, pool: Pool, target: Target, timeout: float) -> HttpConnection:
        """A fresh connection. Raises TransportFault (stage connect)."""
        if self._closed:
            raise TransportFault("connect", "the transport is closed")
        return await self._connector.open(pool, target, timeout)

    def prepare_tls(self) -> None:
        """Loads the certificates now, which takes some 20 ms, so that no request has to wait for it."""
        self._connector.prepare_tls()

    def begin_tls(self) -> None:
        """Has a thread load the certificates, beside whatever else a start takes; who needs them first waits for it."""
        self._connector.begin_tls()

    async def aclose(self) -> None:
        """Drops every connection, and waits until they are gone. The transport is of no use afterwards."""
        self._closed = True
        self._pool.drop()
        await self._pool.drained()

    def _new_pool(self) -> Pool:
        return Pool(self._clock, idle_seconds=self._idle_seconds, max_idle=MAX_IDLE_PER_HOST)

    def _write_head(self, request: BackendRequest, target: Target) -> bytes:
        proxy = self._connector.proxy_for(target)
        if proxy is None or target.tunnelled:
            return write_head(request, target, target.path)
        # To a proxy the whole URL is the request's target (RFC 9112, 3.2.2).
        added = [("proxy-authorization", proxy.authorization)] if proxy.authorization else []
        return write_head(request, target, f"http://{target.authority}{target.path}", added)


class HttpExchange:
    """core.ports.Exchange."""

    __slots__ = (
        "_connection",
        "_decoder",
        "_head",
        "_head_bytes",
        "_pool",
        "_request",
        "_resending",
        "_target",
        "_transport",
    )

    def __init__(
        self, transport: HttpTransport, pool: Pool, request: BackendRequest, target: Target, head: bytes
    ) -> None:
        self._transport = transport
        self._pool = pool
        self._request = request
        self._target = target
        self._head_bytes = head
        self._head: Head | None = None
        self._connection: HttpConnection | None = None
        self._decoder: ContentDecoder | None = None
        self._resending: asyncio.Task[HttpConnection] | None = None

    def start(self, connection: HttpConnection) -> None:
        """Sends the request on `connection`, which is the exchange's own from here on."""
        self._connection = connection
        connection.start(self._head_bytes, self._request.body, expects_body=self._request.method != "HEAD")

    async def head(self, wait: float) -> Head | None:
        """The response's head, None when it has not come within `wait` seconds. Raises TransportFault."""
        if self._head is not None:
            return self._head
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            if self._resending is not None and not await self._resent(deadline - loop.time()):
                return None
            connection = self._connection or self._live()
            if connection.head is not None:
                self._head = self._open(connection.head)
                return self._head
            if connection.failed:
                if not self._met_idle_timeout(connection):
                    raise connection.fault()
                self._resending = asyncio.create_task(
                    self._transport.connect(self._pool, self._target, self._request.connect_timeout)
                )
            elif not await connection.wait(deadline - loop.time()):
                return None

    async def read(self, wait: float) -> bytes | None:
        """Content that has come, b"" at its end, None when none came within `wait` s.

        Raises TransportFault.
        """
        connection = self._connection or self._live()
        if self._decoder is not None:
            return await self._read_decoded(connection, self._decoder, wait)
        while not connection.chunks:
            if connection.complete:
                return b""
            if connection.failed:
                raise connection.fault()
            if not await connection.wait(wait):
                return None
            if self._connection is None:
                self._live()  # it was closed meanwhile
        return connection.take()

    def close(self) -> None:
        """Gives the connection back when the response has come whole, drops it otherwise. Idempotent."""
        if self._resending is not None:
            self._resending.add_done_callback(_drop_result)
            self._resending.cancel()
            self._resending = None
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give(connection)

    def _met_idle_timeout(self, connection: HttpConnection) -> bool:
        """Whether the request may be sent again: see the head of this file."""
        in_time = connection.lasted <= self._transport.resend_window
        return connection.reused and not connection.answered and in_time

    async def _resent(self, wait: float) -> bool:
        """Whether the request has gone out again; False when no connection came within `wait` seconds."""
        task = self._resending
        assert task is not None
        done, _ = await asyncio.wait((task,), timeout=wait)
        if not done:
            return False
        self._resending = None
        self.start(task.result())
        return True

    async def _read_decoded(
        self, connection: HttpConnection, decoder: ContentDecoder, wait: float
    ) -> bytes | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            plain = decoder.feed(connection.take())
            if plain:
                return plain
            if decoder.pending:
                continue
            if connection.complete:
                decoder.finish()
                return b""
            if connection.failed:
                raise connection.fault()
            if not await connection.wait(deadline - loop.time()):
                return None
            self._live()

    def _live(self) -> HttpConnection:
        if self._connection is None:
            raise TransportFault("body", "the exchange is closed")
        return self._connection

    def _open(self, head: Head) -> Head:
        """The head as the caller sees it: without a content coding, which is undone on the way."""
        if "content-encoding" not in head.headers or self._request.method == "HEAD":
            return head
        self._decoder = make_decoder(head.headers["content-encoding"])
        if self._decoder is None:
            return head
        hidden = ("content-encoding", "content-length")
        return Head(head.status, {name: value for name, value in head.headers.items() if name not in hidden})


def write_head(request: BackendRequest, target: Target, where: str, added: HeaderList | None = None) -> bytes:
    """Request line and headers, with what the caller left out: host, accept-encoding, content-length.

    `where` is the request target as it is written. Raises TransportFault (stage send) for what would break
    the message: a line end inside a value, or a character beyond Latin-1.
    """
    names = dict(request.headers)
    lines = [f"{request.method} {where} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"host: {target.authority}")
    headers = request.headers
    if not _FRAMING.isdisjoint(names):
        headers = [item for item in headers if item[0] not in _FRAMING]
    lines += map(": ".join, headers)
    if "accept-encoding" not in names:
        lines.append("accept-encoding: identity")
    if request.body or request.method in _METHODS_WITH_CONTENT:
        lines.append(f"content-length: {len(request.body)}")
    if added:
        lines += map(": ".join, added)
    text = "\r\n".join(lines)
    if not text.count("\r") == text.count("\n") == len(lines) - 1 or "\0" in text:
        raise TransportFault("send", "a header of the request has a line end or a NUL in it")
    try:
        return text.encode("latin-1") + b"\r\n\r\n"
    except UnicodeEncodeError as error:
        raise TransportFault("send", "a header of the request has a character beyond Latin-1") from error


def _drop_result(task: asyncio.Task[HttpConnection]) -> None:
    """For a connection that came after all, when nobody waits for it any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().abort()
