"""The local door's HTTP server. What h11 writes it must read, and what it writes h11 must read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import h11
import pytest
import uvloop

from handlers.io.clock import SystemClock
from handlers.io.http_server import MAX_HEAD, MAX_HEADERS, MAX_PIPELINE, HttpServer, ServerTimes
from handlers.io.http_server_exchange import HIGH_WATER, LARGE


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> Any:
    return request.param


def run(factory: Callable[[], asyncio.AbstractEventLoop], work: Any) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work())


class Echo:
    """Answers with what it was asked, and keeps it."""

    def __init__(self, *, length: bool = False, pieces: int = 1, status: int = 200) -> None:
        self.asked: list[tuple[str, bytes, bytes, bytes]] = []
        self.scopes: list[dict[str, Any]] = []
        self.left = 0
        self._length = length
        self._pieces = pieces
        self._status = status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.scopes.append(scope)
        self.asked.append((scope["method"], scope["raw_path"], scope["query_string"], body))
        headers = [(b"x-length", b"%d" % len(body))]
        if self._length:
            headers.append((b"content-length", b"%d" % (len(body) * self._pieces)))
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        for number in range(self._pieces):
            await send({"type": "http.response.body", "body": body, "more_body": number + 1 < self._pieces})


@asynccontextmanager
async def serving(app: Any, **times: float) -> AsyncIterator[tuple[HttpServer, int]]:
    server = HttpServer(app, SystemClock(), times=ServerTimes(**times))
    listening = await asyncio.get_running_loop().create_server(server.connect, "127.0.0.1", 0)
    try:
        yield server, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        server.shut_down()
        server.abort()
        async with asyncio.timeout(5):
            await server.empty.wait()
        for task in list(server.tasks):
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


class Client:
    """h11 over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.connection = h11.Connection(h11.CLIENT)

    async def ask(self, request: h11.Request, body: Sequence[bytes] = (), cut: int = 1 << 20) -> Any:
        """Sends in pieces of `cut` bytes; gives head and body of the answer."""
        self.send(request, body, cut)
        return await self.answer()

    def send(self, request: h11.Request, body: Sequence[bytes], cut: int) -> None:
        wire = self.connection.send(request) or b""
        wire += b"".join(self.connection.send(h11.Data(data=piece)) or b"" for piece in body)
        wire += self.connection.send(h11.EndOfMessage()) or b""
        for at in range(0, len(wire), cut):
            self.writer.write(wire[at : at + cut])

    async def answer(self) -> Any:
        head, body = None, b""
        while True:
            event = self.connection.next_event()
            if event is h11.NEED_DATA:
                self.connection.receive_data(await self.reader.read(65_536))
            elif isinstance(event, h11.InformationalResponse):
                continue
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                assert isinstance(event, h11.EndOfMessage)
                return head, body

    def next(self) -> None:
        self.connection.start_next_cycle()


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def request(method: str = "POST", target: str = "/a?b=c", **headers: str) -> h11.Request:
    return h11.Request(method=method, target=target, headers=[("host", "x"), *headers.items()])


async def raw(port: int, wire: bytes, *, end: bool = False) -> bytes:
    """What comes back for these bytes, up to the connection's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wire)
    if end:
        writer.write_eof()
    got = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(5):
            got = await reader.read()
    writer.close()
    return got


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
def test_h11_and_this_server_understand_each_other(loop_factory: Any, length: bool, pieces: int) -> None:
    """Bodies of all kinds, at random cuts, one after the other on one connection."""

    async def work() -> None:
        app = Echo(length=length, pieces=pieces)
        rng = random.Random(7)
        async with serving(app) as (server, port), client(port) as peer:
            for size in (0, 1, 300, HIGH_WATER * 3, LARGE + 1):
                body = rng.randbytes(size)
                cut = rng.randrange(1000, 40_000) if size > 1000 else rng.randrange(1, 60)
                parts = [body[:1], body[1:]] if body else []
                framing = {"content-length": str(size)} if size % 2 else {"transfer-encoding": "chunked"}
                head, got = await peer.ask(request(**framing), parts, cut)
                assert head.status_code == 200 and got == body * pieces
                assert app.asked[-1] == ("POST", b"/a", b"b=c", body)
                peer.next()
            assert len(server.connections) == 1

    run(loop_factory, work)


def test_the_scope_is_what_asgi_says(loop_factory: Any) -> None:
    async def work() -> None:
        app = Echo()
        async with serving(app) as (_, port), client(port) as peer:
            await peer.ask(request("GET", "/a%20b/%C3%A9?q=%20", **{"X-Name": "V alue"}))
            (scope,) = app.scopes
            assert scope["path"] == "/a b/é" and scope["raw_path"] == b"/a%20b/%C3%A9"
            assert scope["query_string"] == b"q=%20" and (b"x-name", b"V alue") in scope["headers"]
            assert scope["server"] == ("127.0.0.1", port) and scope["client"][0] == "127.0.0.1"
            assert scope["http_version"] == "1.1" and callable(scope["extensions"]["skybridge.abort"])

    run(loop_factory, work)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://x/a?b", b"/a", b"b"),
        (b"http://x", b"/", b""),
        (b"/a#c", b"/a", b""),
        (b"*", b"*", b""),
        (b"/a?b?c", b"/a", b"b?c"),
    ],
)
def test_targets_of_any_form(loop_factory: Any, target: bytes, path: bytes, query: bytes) -> None:
    async def work() -> None:
        app = Echo()
        async with serving(app) as (_, port):
            await raw(port, b"OPTIONS " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert app.asked == [("OPTIONS", path, query, b"")]

    run(loop_factory, work)


def test_pipelined_requests_are_answered_in_their_order(loop_factory: Any) -> None:
    async def work() -> None:
        app = Echo(length=True)
        one = b"POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nab%d"
        wire = b"".join(one % (number, number) for number in range(5))
        last = b"POST /5 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nab5"
        async with serving(app) as (_, port):
            got = await raw(port, wire + last)
        assert [body for _, _, _, body in app.asked] == [b"ab%d" % number for number in range(6)]
        bodies = [piece.rpartition(b"\r\n\r\n")[2] for piece in got.split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == [b"ab%d" % number for number in range(6)]

    run(loop_factory, work)


def test_a_client_that_sends_too_far_ahead_loses_its_connection(loop_factory: Any) -> None:
    gate = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def work() -> None:
        async with serving(app) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((HEAD + b"content-length: 0\r\n\r\n") * (MAX_PIPELINE + 2))
            while not server.tasks:
                await asyncio.sleep(0.005)
            gate.set()
            got = await asyncio.wait_for(reader.read(), 5)
            assert got.count(b"HTTP/1.1 200") == 1
            writer.close()

    run(loop_factory, work)


def test_a_pipelined_body_that_comes_later_is_waited_for(loop_factory: Any) -> None:
    async def work() -> None:
        app = Echo(length=True)
        one = b"POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na"
        two = b"POST /2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nab"
        async with serving(app) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(one + two)
            await reader.readuntil(b"\r\n\r\na")
            writer.write(b"cd")
            assert (await reader.read()).endswith(b"\r\n\r\nabcd")
            writer.close()

    run(loop_factory, work)


def test_head_and_statuses_without_a_body_have_none(loop_factory: Any) -> None:
    async def work() -> None:
        async with serving(Echo(length=True, pieces=2)) as (_, port), client(port) as peer:
            head, body = await peer.ask(request("HEAD"))
            assert head.status_code == 200 and body == b""
            peer.next()
            head, body = await peer.ask(request("HEAD"))  # the connection lives
            assert body == b""
        async with serving(Echo(status=204)) as (_, port), client(port) as peer:
            head, body = await peer.ask(request("GET"))
            assert head.status_code == 204 and body == b""
            assert not {name for name, _ in head.headers} & {b"transfer-encoding", b"content-length"}

    run(loop_factory, work)


def test_a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection(loop_factory: Any) -> None:
    async def work() -> None:
        async with serving(Echo(pieces=2)) as (_, port):
            got = await raw(port, b"POST / HTTP/1.0\r\ncontent-length: 2\r\n\r\nab")
        head, _, body = got.partition(b"\r\n\r\n")
        assert body == b"abab" and b"connection: close" in head and b"transfer-encoding" not in head

    run(loop_factory, work)


def test_continue_is_said_once_the_body_is_asked_for(loop_factory: Any) -> None:
    async def work() -> None:
        async with serving(Echo()) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-Continue\r\ncontent-length: 2\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"ab")
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    run(loop_factory, work)


def test_a_client_of_http_1_0_is_not_told_to_continue(loop_factory: Any) -> None:
    """RFC 9110, 10.1.1."""

    async def work() -> None:
        async with serving(Echo()) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\na")
            await asyncio.sleep(0)
            writer.write(b"b")
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    run(loop_factory, work)


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
MALFORMED = {
    "no HTTP": (b"hello\r\n\r\n", 400),
    "a version from the future": (b"GET / HTTP/2.0\r\nhost: x\r\n\r\n", 505),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400),
    "two lengths": (HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
    "length and coding": (HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a negative length": (HEAD + b"content-length: -1\r\n\r\n", 400),
    "two codings": (HEAD + b"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a coding that is not known": (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "a broken chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    "a folded header": (HEAD + b"a: b\r\n c\r\n\r\n", 400),
    "a blank in a name": (HEAD + b"a b: c\r\n\r\n", 400),
    "a NUL in a value": (HEAD + b"a: b\0c\r\n\r\n", 400),
    "an expectation that is not known": (HEAD + b"expect: tea\r\n\r\n", 417),
    "a target that is no URL": (b"GET http:// HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a head without end": (HEAD + b"a: " + b"b" * (MAX_HEAD + 300_000), 431),
    "too many headers": (HEAD + b"a: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_request_is_refused(loop_factory: Any, name: str) -> None:
    wire, status = MALFORMED[name]

    async def work() -> None:
        app = Echo()
        async with serving(app, linger=0.2) as (server, port):
            got = await raw(port, wire)
            assert got.startswith(b"HTTP/1.1 %d " % status) and b"connection: close" in got
            assert not app.asked
            await asyncio.wait_for(server.empty.wait(), 5)

    run(loop_factory, work)


def test_rubbish_behind_a_good_request_ends_the_connection_after_its_answer(loop_factory: Any) -> None:
    async def work() -> None:
        async with serving(Echo(length=True)) as (_, port):
            got = await raw(port, HEAD + b"content-length: 2\r\n\r\nab" + b"rubbish\r\n\r\n")
            assert got.count(b"HTTP/1.1 ") == 1 and got.endswith(b"\r\n\r\nab")

    run(loop_factory, work)


FRAMING = {
    "an extension of a chunk": b"2;a=" + b"b" * 500_000,
    "a trailer": b"0\r\na: " + b"b" * 500_000,
    "trailers": b"0\r\n" + b"a: b\r\n" * 80_000,
}


@pytest.mark.parametrize("name", FRAMING)
def test_what_is_said_around_a_body_is_bounded(loop_factory: Any, name: str) -> None:
    async def work() -> None:
        app = Echo()
        async with serving(app, linger=0.2) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
            sent = FRAMING[name]
            for place in range(0, len(sent), 60_000):
                writer.write(sent[place : place + 60_000])
                await writer.drain()
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 431 ")
            writer.close()

    run(loop_factory, work)


def test_a_body_of_small_chunks_may_be_of_any_size(loop_factory: Any) -> None:
    async def work() -> None:
        async with serving(Echo(length=True)) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            for _ in range(100):
                writer.write((b"1;" + b"a" * 2000 + b"\r\nx\r\n") * 10)
                await writer.drain()
            writer.write(b"0\r\na: b\r\n\r\n")
            assert b"content-length: 1000" in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    run(loop_factory, work)


def test_a_body_that_breaks_off_under_way_is_refused(loop_factory: Any) -> None:
    async def work() -> None:
        app = Echo()
        async with serving(app, linger=0.2) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
            while not server.tasks:
                await asyncio.sleep(0.005)
            writer.write(b"zz\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
        assert app.left == 1

    run(loop_factory, work)


@pytest.mark.parametrize(
    "framed", [b"content-length: 2\r\n\r\nab", b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("cut", [False, True])
def test_another_protocol_is_not_spoken_but_the_request_is_answered(
    loop_factory: Any, framed: bytes, cut: bool
) -> None:
    """Java's HTTP client offers h2c with each of its requests."""
    wire = HEAD + b"connection: upgrade\r\nupgrade: h2c\r\n" + framed

    async def work() -> None:
        async with serving(Echo(length=True)) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(2):
                for at in range(0, len(wire), 1 if cut else len(wire)):
                    writer.write(wire[at : at + (1 if cut else len(wire))])
                    await asyncio.sleep(0)
                assert (await reader.readuntil(b"\r\n\r\nab")).startswith(b"HTTP/1.1 200 OK")
            writer.write(wire.replace(b"length: 2", b"length: x").replace(b"2\r\nab", b"z"))
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()

    run(loop_factory, work)


@pytest.mark.parametrize(
    ("wire", "times", "status"),
    [
        (b"POST / HT", {"head": 0.05}, b"408"),
        (HEAD + b"content-length: 9\r\n\r\nab", {"body": 0.05}, b"408"),
        (b"", {"idle": 0.05}, b""),
        (HEAD + b"content-length: 0\r\n\r\n", {"idle": 0.05}, b"200"),
    ],
    ids=["head", "body", "new", "idle"],
)
def test_slow_clients_are_let_go(loop_factory: Any, wire: bytes, times: dict[str, float], status: bytes) -> None:
    async def work() -> None:
        async with serving(Echo(length=True), linger=0.05, **times) as (server, port):
            got = await raw(port, wire)
            assert got[9:12] == status
            await asyncio.wait_for(server.empty.wait(), 5)

    run(loop_factory, work)


def test_an_answer_before_the_body_is_whole_ends_the_connection(loop_factory: Any) -> None:
    """The client, which still sends, gets the whole of it."""

    async def early(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"Much"})

    async def work() -> None:
        async with serving(early, linger=0.2) as (_, port):
            got = await raw(port, HEAD + b"content-length: 9000000\r\n\r\n" + b"x" * 200_000)
            assert got.startswith(b"HTTP/1.1 413 ") and got.endswith(b"Much") and b"connection: close" in got

    run(loop_factory, work)


@pytest.mark.parametrize("ahead", [0, 1, 15])
def test_leaving_is_told_and_what_is_sent_then_goes_nowhere(loop_factory: Any, ahead: int) -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        told.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        told.append("sent")

    async def work() -> None:
        async with serving(app) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((HEAD + b"content-length: 0\r\n\r\n") * (1 + ahead))
            await writer.drain()
            writer.close()
            while len(told) < 2:
                await asyncio.sleep(0.005)
            assert told == ["http.disconnect", "sent"]
            await asyncio.wait_for(server.empty.wait(), 5)

    run(loop_factory, work)


def test_a_client_that_does_not_read_holds_the_application_back(loop_factory: Any) -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 262_144, "more_body": True})
            sent += 1

    async def work() -> None:
        async with serving(app) as (_, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(HEAD + b"content-length: 0\r\n\r\n")
            before = -1
            while sent != before or not sent:
                before = sent
                await asyncio.sleep(0.1)
            assert sent < 100
            writer.transport.abort()

    run(loop_factory, work)


def test_a_body_that_nobody_reads_is_not_read_on(loop_factory: Any) -> None:
    async def sleeps(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        async with serving(sleeps) as (_, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"content-length: 100000000\r\n\r\n")
            writer.write(b"x" * 100_000_000)
            await asyncio.sleep(0.2)
            assert writer.transport.get_write_buffer_size() > 50_000_000
            writer.transport.abort()

    run(loop_factory, work)


def broken(kind: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]}
        if kind == "header":
            start["headers"] = [(b"a", b"b\r\nc: d")]
        if kind != "silent":
            await send(start)
        if kind == "twice":
            await send(start)
        if kind == "headless":
            await send({"type": "http.response.body", "body": b"abc"})
            await send({"type": "http.response.body", "body": b"abc"})
        if kind in ("long", "short"):
            await send({"type": "http.response.body", "body": b"abcd" if kind == "long" else b"ab"})

    return app


@pytest.mark.parametrize("kind", ["silent", "header", "twice", "long", "short", "unfinished"])
def test_an_application_that_breaks_the_rules_is_an_internal_error(loop_factory: Any, kind: str) -> None:
    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        async with serving(broken(kind)) as (_, port):
            got = await raw(port, HEAD + b"content-length: 0\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 500 ") or got == b""
            assert b"c: d" not in got
            assert not got.count(b"HTTP/1.1 ") > 1

    run(loop_factory, work)


def test_what_has_begun_is_cut_when_the_application_breaks(loop_factory: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})

    async def work() -> None:
        async with serving(app) as (_, port):
            got = await raw(port, HEAD + b"content-length: 0\r\n\r\n")
            assert b"500" not in got and not got.endswith(b"0\r\n\r\n")

    run(loop_factory, work)


def test_nothing_follows_the_end_of_an_answer(loop_factory: Any) -> None:
    faults: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 599, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"abc"})
        assert (await receive())["type"] == "http.disconnect"
        try:
            await send({"type": "http.response.body", "body": b"abc"})
        except RuntimeError as fault:
            faults.append(str(fault))

    async def work() -> None:
        async with serving(app) as (_, port):
            got = await raw(port, HEAD + b"content-length: 0\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 599 \r\n") and got.count(b"abc") == 1

    run(loop_factory, work)
    assert len(faults) == 1


def test_shutting_down_lets_answers_end_and_idle_connections_go(loop_factory: Any) -> None:
    gate = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def work() -> None:
        async with serving(app) as (server, port), client(port) as idle:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"content-length: 0\r\n\r\n")
            while not server.tasks:
                await asyncio.sleep(0.005)
            server.shut_down()
            assert await idle.reader.read() == b""
            assert not server.empty.is_set()
            gate.set()
            got = await reader.read()
            assert got.endswith(b"ok") and b"connection: close" in got
            await asyncio.wait_for(server.empty.wait(), 5)
            writer.close()

    run(loop_factory, work)


def test_the_date_is_made_once_a_second() -> None:
    class Clock:
        now = 784111777.2

        def time(self) -> float:
            return self.now

    clock = Clock()
    server = HttpServer(Echo(), clock)  # type: ignore[arg-type]
    assert server.date() == b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    assert server.date() is server.date()
    clock.now += 1
    assert b"08:49:38" in server.date()


class Pausing(asyncio.Transport):
    """A client's end that keeps what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        self.done.append("write")

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.done.append("write_eof")

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")

    def abort(self) -> None:
        self.done.append("abort")


async def take(scope: Any, receive: Any, send: Any) -> None:
    """An application that takes the body as it comes."""
    while (await receive())["more_body"]:
        pass
    await refuse(scope, receive, send)


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """An application that does not look at the body."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("app", "missing", "done"),
    [
        (take, 0, ["write"]),
        (take, 1, []),
        (refuse, 1, ["write", "write_eof"]),
    ],
    ids=["whole", "begun", "unwanted"],
)
async def test_a_large_body_pauses_reading_only_while_it_waits(app: Any, missing: int, done: list[str]) -> None:
    """It comes at once, or all but its last byte; the application takes what is there at once, or nothing of it."""
    server = HttpServer(app, SystemClock())
    connection, transport = server.connect(), Pausing()
    connection.connection_made(transport)
    body = bytes(HIGH_WATER * 2)
    head = b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
    connection.data_received(head + body[missing:])
    assert transport.done == done
    connection.data_received(body[:missing])
    await asyncio.gather(*server.tasks)
    assert transport.done == (done or ["write"])
    connection.connection_lost(None)
