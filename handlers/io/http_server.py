"""A server's side of HTTP/1.1 connections, for one ASGI application: an asyncio protocol around httptools' request
parser (RFC 9112).

It does what the local door needs and no more: no WebSockets, no HTTP/2, no TLS. A connection is kept alive and may be
pipelined; one request at a time is answered. What a client may take its time for is bounded: heads and bodies that
trickle in, idle connections. Reading stops while the application is behind, and `send` waits while the client is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from math import inf
from operator import itemgetter
from time import gmtime, strftime
from typing import Any
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url

from core.ports import Clock
from core.slotted import field, slotted
from handlers.io.http_server_exchange import HIGH_WATER, ServerExchange, plain_answer

type Message = MutableMapping[str, Any]
type AsgiApp = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

# A head that is not complete with this many bytes is refused; what one socket read brings may come on top.
MAX_HEAD = 64 * 1024
MAX_HEADERS = 256
# Requests that a client may send ahead of their turn, and how many of them nothing more is read behind: its leaving is
# not seen from then on.
MAX_PIPELINE = 64
DEEP_PIPELINE = 16


@slotted
class ServerTimes:
    """Seconds that a client may take: for a head from its first byte on, between two pieces of a body, between two
    requests, and to stop sending once it has been refused."""

    head: float = 30.0
    body: float = 60.0
    idle: float = 75.0
    linger: float = 2.0


@slotted
class HttpServer:
    """What the connections of one server share. `empty` is set while there are none."""

    app: AsgiApp
    clock: Clock
    # For the scope of each request, beside the server's own.
    extensions: Mapping[str, Any] = field(default_factory=dict)
    times: ServerTimes = field(default_factory=ServerTimes)
    connections: set[ServerConnection] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    _second: int = 0
    _date: bytes = b""

    def connect(self) -> ServerConnection:
        """The protocol of a new connection."""
        return ServerConnection(self)

    def date(self) -> bytes:
        """The `date` header's line (RFC 9110, 6.6.1), made once a second."""
        second = int(self.clock.time())
        if second != self._second:
            self._second = second
            self._date = strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime(second)).encode()
        return self._date

    def shut_down(self) -> None:
        """Connections end with the request that they are answering, idle ones at once."""
        for connection in list(self.connections):
            connection.shut_down()
        if not self.connections:
            self.empty.set()

    def abort(self) -> None:
        """Cuts everything off."""
        for connection in list(self.connections):
            connection.abort()


_NAME, _VALUE = itemgetter(0), itemgetter(1)


def _drop(header: tuple[bytes, bytes]) -> None:
    """What is done with a trailer."""


class Refused(Exception):
    """A request that is not to be answered by the application."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ServerConnection(asyncio.Protocol):
    """One client's connection: its requests are read here, and answered one after the other."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.transport: asyncio.Transport
        # There is one while the client is behind, done when it is not any more.
        self.full: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(self)
        self._peers: tuple[Any, Any] = (None, None)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._add_header: Callable[[tuple[bytes, bytes]], None] = self._headers.append
        self._in_head = False
        # Bytes of the head so far; behind it, of framing since there was content, -1 where that was just now.
        self._head_size = 0
        self._upgrading = False
        self._fresh: ServerExchange | None = None  # complete up to its head, not begun yet
        self._reading: ServerExchange | None = None  # whose body is coming
        self._answering: ServerExchange | None = None
        self._pipeline: deque[ServerExchange] = deque()
        self._closing = False  # no further request is taken
        self._deaf = False  # nothing more is read
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = inf

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self.transport = transport  # type: ignore[assignment]  # a stream's transport can read and write
        self._peers = (_address(transport, "sockname"), _address(transport, "peername"))
        self.server.connections.add(self)
        self.server.empty.clear()
        self._expect(self.server.times.idle)

    def data_received(self, data: bytes) -> None:
        """Reads what came, and begins the request that is complete up to its head."""
        if self._deaf:
            return  # the rest of a request that was refused
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except HttpParserError as error:
            self._refuse(_status_of(error))
        if self._in_head:
            self._bound_head(len(data))
        elif self._reading is not None and not self._paused and not self._deaf:
            self._expect(self.server.times.body)
            self._bound_framing(len(data))
        fresh, self._fresh = self._fresh, None
        if fresh is not None:
            self._begin(fresh)
        if self._reading is not None and self._reading.unread > HIGH_WATER and not self._deaf:
            self.pause_reading()

    def pause_writing(self) -> None:
        """The client is behind."""
        self.full = self._loop.create_future()

    def resume_writing(self) -> None:
        """The client has taken what was written."""
        full, self.full = self.full, None
        if full is not None and not full.done():
            full.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """The client has gone, or the connection was closed here."""
        self.server.connections.discard(self)
        if not self.server.connections:
            self.server.empty.set()
        if self._timer is not None:
            self._timer.cancel()
        self._deaf = True
        self._pipeline.clear()
        self.resume_writing()
        if self._answering is not None:
            self._answering.leave()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        if not self._upgrading:
            self._url, self._headers = b"", []
            self._add_header = self._headers.append
            self._in_head, self._head_size = True, 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers come here too, and are dropped. Called a dozen times a request."""
        self._add_header((name, value))

    def on_headers_complete(self) -> None:
        """The head is there: the application can begin, while the body is still on its way."""
        if self._upgrading:
            self._upgrading = False  # it is the one that has been read already
            return
        self._add_header = _drop
        raw = self._headers
        headers = self._headers = list(zip(map(bytes.lower, map(_NAME, raw)), map(_VALUE, raw), strict=True))
        version = self._parser.get_http_version()
        fields = dict(headers)
        _check_head(version, headers, fields)
        self._in_head = False
        self._deadline = inf
        exchange = ServerExchange(self, self._scope(version), expects_continue=b"expect" in fields and version == "1.1")
        if version != "1.1" or self._closing or not self._parser.should_keep_alive():
            exchange.keeps_alive = False
        self._upgrading = self._parser.should_upgrade()
        self._reading = exchange
        if self._answering is None:
            self._answering = self._fresh = exchange
        elif len(self._pipeline) < MAX_PIPELINE:
            self._pipeline.append(exchange)
            if len(self._pipeline) >= DEEP_PIPELINE:
                self.pause_reading()
        else:
            raise Refused(503)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        assert self._reading is not None
        self._head_size = -1
        self._reading.feed(data)

    def on_message_complete(self) -> None:
        """The request is whole, unless it only seems so (see _decline_upgrade)."""
        if self._upgrading:
            return
        exchange, self._reading = self._reading, None
        assert exchange is not None
        self._deadline = inf
        exchange.complete()

    # What an exchange calls.

    def pause_reading(self) -> None:
        """The application has enough to do."""
        if not self._paused:
            self._paused = True
            self._deadline = inf
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The application wants more of the body."""
        if self._paused and not self._pipeline:
            self._paused = False
            self.transport.resume_reading()
            if self._reading is not None:
                self._expect(self.server.times.body)

    async def drained(self) -> None:
        """Until the client has taken what was written, or has gone."""
        while self.full is not None:
            await asyncio.shield(self.full)

    def ended(self, exchange: ServerExchange) -> None:
        """The answer is out: the next request's turn, or nobody's."""
        if self._reading is exchange:
            self._linger()
        elif not exchange.keeps_alive:
            self.transport.close()
        elif self._pipeline:
            self._answering = self._pipeline.popleft()
            self._loop.call_soon(self._begin, self._answering)
            self.resume_reading()
        else:
            self._answering = None
            self.resume_reading()
            if not self._in_head:
                self._expect(self.server.times.idle)

    def abort(self) -> None:
        """Drops the connection at once."""
        self.transport.abort()

    def shut_down(self) -> None:
        """No further request is taken."""
        self._closing = True
        self._pipeline.clear()
        if self._answering is None:
            self.transport.close()
        else:
            self._answering.keeps_alive = False

    # Inside.

    def _scope(self, version: str) -> dict[str, Any]:
        """https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope"""
        path, query = _split(self._url)
        text = path.decode("latin-1")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self._parser.get_method().decode("latin-1"),
            "scheme": "http",
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "server": self._peers[0],
            "client": self._peers[1],
            "extensions": {"skybridge.abort": self.transport.abort, **self.server.extensions},
        }

    def _begin(self, exchange: ServerExchange) -> None:
        """Runs the application up to its first wait at once: a turn of the loop less before the backend is asked."""
        if self.transport.is_closing():
            return
        task = asyncio.Task(exchange.run(), loop=self._loop, eager_start=True)
        if not task.done():
            exchange.task = task
            self.server.tasks.add(task)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Reads on in HTTP/1.1 where a client offered another protocol, as Java's client does with each request
        (RFC 9110, 7.8). The parser takes what follows such a head for the other protocol: a new one is given the head's
        framing alone, and then the body."""
        framing = [item for item in self._headers if item[0] in (b"content-length", b"transfer-encoding")]
        head = b"".join(b"%b: %b\r\n" % item for item in framing)
        self._parser = HttpRequestParser(self)
        try:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + head + b"\r\n" + rest)
        except HttpParserError as error:
            self._refuse(_status_of(error))

    def _bound_head(self, more: int) -> None:
        """The head is not complete with these bytes: it may take neither for ever nor any size."""
        if self._deaf:
            return
        if not self._head_size:
            self._expect(self.server.times.head)
        self._head_size += more
        if self._head_size > MAX_HEAD:
            self._refuse(431)

    def _bound_framing(self, more: int) -> None:
        """The body is not complete with these bytes: extensions of chunks and trailers are no way to send for ever."""
        self._head_size = 0 if self._head_size < 0 else self._head_size + more
        if self._head_size > MAX_HEAD:
            self._refuse(431)

    def _refuse(self, status: int) -> None:
        """Answers what cannot be read. Where an answer is under way, nothing can be said but that it was the last."""
        self._deaf = True
        exchange = self._answering
        unseen = exchange is self._fresh and exchange is self._reading
        if exchange is None or unseen:  # unseen by the application
            self._answering = self._fresh = None
            self.transport.write(plain_answer(status))
            self._linger()
            return
        exchange.keeps_alive = False
        if self._reading is exchange:
            exchange.refuse(status)

    def _linger(self) -> None:
        """Closes behind an answer to a request that has not come whole. At once, the client's kernel might throw the
        answer away for the bytes that it could not deliver (RFC 9112, 9.6)."""
        self._deaf = True
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._expect(self.server.times.linger)

    def _expect(self, seconds: float) -> None:
        """The client has so long for its next step. The timer is moved lazily: most deadlines are never met."""
        self._deadline = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer_at <= self._deadline:
                return
            self._timer.cancel()
        self._arm()

    def _arm(self) -> None:
        self._timer_at = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._loop.time() < self._deadline:
            if self._deadline != inf:
                self._arm()
        elif self._deaf:
            self.abort()
        elif self._in_head or self._reading is not None:
            self._refuse(408)
        else:
            self.transport.close()


def _status_of(error: HttpParserError) -> int:
    reason = error.__context__
    return reason.status if isinstance(reason, Refused) else 400


def _check_head(version: str, headers: list[tuple[bytes, bytes]], fields: dict[bytes, bytes]) -> None:
    """Raises Refused for what the parser lets pass and RFC 9112 does not."""
    if version not in ("1.1", "1.0"):
        raise Refused(505)
    if len(headers) > MAX_HEADERS:
        raise Refused(431)
    if version == "1.1" and b"host" not in fields:
        raise Refused(400)
    if len(fields) < len(headers):
        names = [name for name, _ in headers]
        if names.count(b"host") > 1 or names.count(b"transfer-encoding") > 1:
            raise Refused(400)
    if b"expect" in fields and fields[b"expect"].lower() != b"100-continue":
        raise Refused(417)
    if b"transfer-encoding" in fields and fields[b"transfer-encoding"].lower() != b"chunked":
        raise Refused(501)


def _split(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target. Raises Refused for one that is no URL."""
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    if url == b"*":
        return url, b""
    try:
        parsed = parse_url(url)
    except HttpParserError as error:
        raise Refused(400) from error
    return parsed.path or b"/", parsed.query or b""


def _address(transport: asyncio.BaseTransport, name: str) -> tuple[str, int] | None:
    address = transport.get_extra_info(name)
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
