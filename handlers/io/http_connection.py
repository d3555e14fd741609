"""One HTTP/1.1 connection to a backend: an asyncio protocol around httptools' response parser (RFC 9112).

Bytes are buffered as they come and taken whole; one future per wait, one timer that is moved lazily, and
reading is paused while the consumer is behind. What the connection does when it breaks is written down as a
stage and a reason; the exception is made where it is raised, so that no traceback keeps the connection alive.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from itertools import chain
from math import inf

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from core.http import joined
from core.ports import Head, TransportFault
from handlers.io.http_url import Key

# Bytes of status line, headers, interim responses, chunk extensions or trailers in a row without any content.
MAX_OVERHEAD = 64 * 1024
# Unread content at which the backend is made to wait. One more socket read may come on top.
HIGH_WATER = 32 * 1024
# How much one socket read takes at most.
READ_SIZE = 32 * 1024
# Bodies up to this size are copied behind the head: one small copy is cheaper than a vectored write.
SMALL_BODY = 16 * 1024
# No single wait is longer, whatever the caller says: event loops dislike infinite timers.
LONGEST_WAIT = 86_400.0

_NO_BODY = frozenset({204, 304})


class HttpConnection(asyncio.BufferedProtocol):
    """A connection, and the state of the one response that is under way on it.

    `buffer` takes what is read from the socket; all connections of a loop may share one.

    `reused` holds from the second request on, `answered` from the response's first byte on; `chunks` is the content
    that nobody has taken yet. `failed`: the response under way can no longer end well; `lasted` is the seconds from
    sending to that. `idle_since` is when the last exchange ended, on both clocks, and `idle_seconds` how long the
    connection may be kept from then on.
    """

    __slots__ = (
        "_buffer",
        "_deadline",
        "_expects_body",
        "_fault",
        "_headers",
        "_loop",
        "_lost",
        "_news",
        "_overhead",
        "_parser",
        "_paused",
        "_poll",
        "_sending",
        "_sent_at",
        "_size",
        "_timer",
        "_timer_at",
        "_transport",
        "_until_eof",
        "_waiter",
        "answered",
        "busy",
        "chunks",
        "complete",
        "failed",
        "head",
        "idle_seconds",
        "idle_since",
        "keep_alive",
        "key",
        "lasted",
        "reused",
    )

    def __init__(self, key: Key, buffer: memoryview, lost: Callable[[HttpConnection], None]) -> None:
        self.key = key
        self._buffer = buffer
        self.idle_since = (0.0, 0.0)
        self.idle_seconds = 0.0
        self.reused = False
        self.busy = False
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._deadline = 0.0
        self._sending = self._paused = False
        self._reset(expects_body=True)

    def _reset(self, *, expects_body: bool) -> None:
        self.head: Head | None = None
        self.answered = False
        self.complete = self.failed = self.keep_alive = False
        self.lasted = 0.0
        self._sent_at = 0.0
        self._expects_body = expects_body
        self._until_eof = False
        self._fault: tuple[str, str, BaseException | None] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self._size = self._overhead = 0
        self._news = False

    # What the exchange calls.

    def start(self, head: bytes, body: bytes, *, expects_body: bool) -> None:
        """Sends one request. `expects_body` is false for HEAD, whose response has none (RFC 9110, 9.3.2)."""
        self._reset(expects_body=expects_body)
        self.busy = True
        self._sent_at = self._loop.time()
        transport = self._transport
        if transport is None:
            self._fail("the connection was closed before it was used")
        elif len(body) <= SMALL_BODY:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
            # asyncio's writelines may leave a full buffer unreported (CVE-2024-12254); setting the limits
            # reports it.
            transport.set_write_buffer_limits()

    async def wait(self, seconds: float) -> bool:
        """Until something new has come (True), or at most `seconds` (False)."""
        if seconds <= 0:
            return False
        loop = self._loop
        self._deadline = deadline = loop.time() + (seconds if seconds < LONGEST_WAIT else LONGEST_WAIT)
        if self._timer_at > deadline:
            self._arm(deadline)
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        return await waiter

    def take(self) -> bytes:
        """The content that has come since the last call, b"" when none has."""
        chunks = self.chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    @property
    def connected(self) -> bool:
        """Whether there is a socket, be it one that is about to close."""
        return self._transport is not None

    def fault(self) -> TransportFault:
        """Why it failed, as an exception to raise."""
        assert self._fault is not None
        stage, reason, cause = self._fault
        fault = TransportFault(stage, reason)
        fault.__cause__ = cause
        return fault

    def release(self) -> bool:
        """Ends the exchange. True when the connection may carry another one; otherwise it is dropped."""
        transport = self._transport
        self.busy = False
        self.chunks.clear()
        self._wake()
        if (
            self.complete
            and self.keep_alive
            and transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0
        ):
            if self._paused:
                self._paused = False
                transport.resume_reading()
            return True
        self.abort()
        return False

    def quiet(self) -> bool:
        """Whether the idle connection is open and nothing waits in its socket.

        What waits there is the server's goodbye, which the loop has not read yet, or bytes nobody asked for.
        """
        return self.usable and (self._poll is None or not self._poll.poll(0))

    @property
    def usable(self) -> bool:
        """Whether the connection is open as far as the event loop knows."""
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Drops the connection at once, without a goodbye."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open (for TLS: after the handshake)."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport can read and write
        socket = transport.get_extra_info("socket")
        if socket is not None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(socket.fileno(), select.POLLIN)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop puts what it reads next. It is parsed before anything else is read."""
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        """Parses what came."""
        self.feed(self._buffer[:count])

    def feed(self, data: bytes | memoryview) -> None:
        """Parses `data`, which came next."""
        expected = self.busy and not self.complete
        if not expected:
            # Bytes that belong to no request: whatever they are, they must not become the next answer.
            self.keep_alive = False
            self.abort()
            return
        self.answered = True
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.keep_alive = False
            if self.complete:
                self._wake()
            else:
                self._fail(_unreadable(error), error)
            return
        if self._overhead > MAX_OVERHEAD and not self.complete:
            self._fail(f"the backend's headers or trailers are larger than {MAX_OVERHEAD} bytes")
        elif self._size > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._news:
            self._wake()

    def eof_received(self) -> None:
        """The backend will send no more: the end of a body that is delimited so, else a fault."""
        if self.busy and not self.complete:
            if self._until_eof:
                self.complete = True
                self._wake()
            else:
                self._fail("the backend closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed, by whichever side."""
        if self.busy and not self.complete:
            self._fail("the connection to the backend broke" if error else "the connection was closed", error)
        self._disarm()
        self._transport = self._poll = None
        self._wake()
        self._lost(self)

    def pause_writing(self) -> None:
        """The request does not fit into the socket at once."""
        self._sending = True

    def resume_writing(self) -> None:
        """The rest of the request is nearly out."""
        self._sending = False

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Stops the parser when a second response follows one that is complete."""
        if self.complete:
            raise ValueError("surplus bytes after the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header; trailers come here too, and are dropped later."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Makes the Head, unless the response is an interim one (RFC 9110, 15.2)."""
        status = self._parser.get_status_code()
        headers = _read_headers(self._headers)
        self._headers = []
        if status < 200:
            if status < 100:
                raise ValueError(f"status {status}")
            return
        coding = headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise ValueError(f"transfer-encoding {coding!r}")
        self._until_eof = coding is None and "content-length" not in headers and status not in _NO_BODY
        self.keep_alive = self._parser.should_keep_alive()
        self.head = Head(status, headers)
        self._news = True
        if not self._expects_body:
            # The parser cannot be told that no body follows: the connection is not used again.
            self.complete, self.keep_alive = True, False

    def on_body(self, data: bytes) -> None:
        """Collects content."""
        if self.complete:
            return
        self.chunks.append(data)
        self._size += len(data)
        self._overhead = 0
        self._news = True

    def on_message_complete(self) -> None:
        """Notes the end, unless it is an interim response's."""
        if self.head is not None:
            self.complete = self._news = True

    # Inside.

    def _fail(self, reason: str, cause: BaseException | None = None) -> None:
        if self._fault is None:
            stage = "body" if self.head else "send" if self._sending and not self.answered else "head"
            self._fault = (stage, reason, cause)
            self.failed = True
            self.lasted = self._loop.time() - self._sent_at
        self.abort()
        self._wake()

    def _wake(self) -> None:
        self._news = False
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    def _arm(self, deadline: float) -> None:
        self._disarm()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = inf

    def _on_timer(self) -> None:
        """Ends the wait that is due; where a later wait has begun since, comes back for that one."""
        self._timer = None
        self._timer_at = inf
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._arm(self._deadline)
        else:
            waiter.set_result(False)


def _read_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case names; repeated ones are joined with ", " (RFC 9110, 5.3). Raises ValueError if too big."""
    # All of them are decoded at once; the names and values lie in turn between NULs, which no header has in it.
    text = b"\0".join(chain.from_iterable(headers)).decode("latin-1")
    if len(text) > MAX_OVERHEAD:
        raise ValueError(f"headers larger than {MAX_OVERHEAD} bytes")
    texts = text.split("\0")
    result = dict(zip(map(str.lower, texts[::2]), map(str.strip, texts[1::2]), strict=False))
    if len(result) == len(headers) and len(texts) == 2 * len(headers):
        return result
    return joined((name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in headers)


def _unreadable(error: Exception) -> str:
    """What to say of bytes that are not the HTTP that was expected."""
    if isinstance(error, HttpParserUpgrade):
        return "the backend switched to another protocol"
    context = error.__context__
    return f"the backend's answer is not valid HTTP: {context if isinstance(context, ValueError) else error}"
