"""The client against a real socket whose other side plays a script."""

import asyncio
import gzip
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from core.ports import BackendRequest, TransportFault
from handlers.io.http_client import HttpExchange, HttpTransport
from handlers.io.http_pool import FRESH_SECONDS
from tests.handlers.io.raw_server import WAIT, Peer, RawServer, eventually

OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = b"keep-alive: timeout=" + b"9" * 5000 + b"\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"


async def read_whole(exchange: HttpExchange) -> bytes:
    body = b""
    while True:
        piece = await exchange.read(WAIT)
        assert piece is not None
        if not piece:
            return body
        body += piece


async def ask(transport: HttpTransport, request: BackendRequest) -> tuple[int, bytes]:
    """One whole exchange."""
    exchange = await transport.send(request)
    try:
        head = await exchange.head(WAIT)
        assert head is not None
        assert await exchange.head(0) is head
        return head.status, await read_whole(exchange)
    finally:
        exchange.close()
        exchange.close()


async def fault_of(transport: HttpTransport, request: BackendRequest) -> TransportFault:
    with pytest.raises(TransportFault) as caught:
        await ask(transport, request)
    return caught.value


class TestRequests:
    @pytest.mark.parametrize(
        ("method", "headers", "body", "written"),
        [
            ("POST", [("x-a", "1"), ("x-a", "2")], b"{}",
             b"POST /v1/x?y=1 HTTP/1.1\r\nhost: HOST\r\nx-a: 1\r\nx-a: 2\r\naccept-encoding: identity\r\n"
             b"content-length: 2\r\n\r\n"),
            ("POST", [], b"",
             b"POST /v1/x?y=1 HTTP/1.1\r\nhost: HOST\r\naccept-encoding: identity\r\ncontent-length: 0\r\n\r\n"),
            ("GET", [("accept-encoding", "gzip")], b"",
             b"GET /v1/x?y=1 HTTP/1.1\r\nhost: HOST\r\naccept-encoding: gzip\r\n\r\n"),
            ("DELETE", [("host", "other")], b"x",
             b"DELETE /v1/x?y=1 HTTP/1.1\r\nhost: other\r\naccept-encoding: identity\r\ncontent-length: 1\r\n\r\n"),
            ("PUT", [("content-length", "7"), ("transfer-encoding", "chunked")], b"x",
             b"PUT /v1/x?y=1 HTTP/1.1\r\nhost: HOST\r\naccept-encoding: identity\r\ncontent-length: 1\r\n\r\n"),
            ("POST", [("x-a", "\xfc")], b"",
             b"POST /v1/x?y=1 HTTP/1.1\r\nhost: HOST\r\nx-a: \xfc\r\naccept-encoding: identity\r\n"
             b"content-length: 0\r\n\r\n"),
        ],
    )  # fmt: skip
    async def test_are_written_like_this(
        self, server: RawServer, transport: HttpTransport, method: str, headers: list[tuple[str, str]],
        body: bytes, written: bytes,
    ) -> None:  # fmt: skip
        seen = []

        async def script(peer: Peer) -> None:
            seen.append(await peer.request())
            peer.send(HELLO)
            await peer.gone()

        server.plays(script)
        request = server.request(method, body)
        request.headers = headers
        assert await ask(transport, request) == (200, b"hello")
        assert seen == [(written.replace(b"HOST", b"localhost:%d" % server.port), body)]

    @pytest.mark.parametrize(
        "header",
        [("a", "b\r\nc: d"), ("a", "b\nc"), ("a", "b\rc"), ("a\r\nb", "c"), ("a", "\0"), ("a", "\u20ac")],
    )
    async def test_that_would_break_the_message_are_refused(
        self, server: RawServer, transport: HttpTransport, header: tuple[str, str]
    ) -> None:
        request = server.request()
        request.headers = [header]
        assert (await fault_of(transport, request)).stage == "send"

    async def test_with_an_odd_method_are_refused(self, server: RawServer, transport: HttpTransport) -> None:
        assert (await fault_of(transport, server.request("GET /\r\nx: "))).stage == "send"

    @pytest.mark.parametrize("url", ["", "ftp://h/", "http:///x", "http://h:99999/", "http://h/a b"])
    async def test_need_a_usable_url(self, transport: HttpTransport, url: str) -> None:
        assert (await fault_of(transport, BackendRequest("GET", url, [], b""))).stage == "connect"

    async def test_may_be_large(self, server: RawServer, transport: HttpTransport) -> None:
        body = bytes(range(256)) * 20_000

        async def script(peer: Peer) -> None:
            _, received = await peer.request()
            peer.send(OK, b"transfer-encoding: chunked\r\n\r\n")
            for place in range(0, len(received), 100_000):
                piece = received[place : place + 100_000]
                peer.send(b"%x\r\n" % len(piece), piece, b"\r\n")
                await peer.drain()
            peer.send(b"0\r\n\r\n")
            await peer.gone()

        server.plays(script)
        assert await ask(transport, server.request(body=body)) == (200, body)
        assert transport.idle_connections == 1


class TestReuse:
    async def test_one_connection_serves_one_request_after_the_other(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        server.answers(HELLO)
        for _ in range(5):
            assert await ask(transport, server.request()) == (200, b"hello")
        assert (server.connections, transport.open_connections, transport.idle_connections) == (1, 1, 1)

    async def test_the_youngest_connection_is_used_first(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        server.answers(HELLO)
        exchanges = [await transport.send(server.request()) for _ in range(3)]
        assert transport.open_connections == 3
        for exchange in exchanges:
            await exchange.head(WAIT)
            await read_whole(exchange)
            exchange.close()
        youngest = exchanges[-1]
        again = await transport.send(server.request())
        assert transport.idle_connections == 2
        await again.head(WAIT)
        again.close()
        youngest.close()
        assert transport.idle_connections == 3

    async def test_a_complete_answer_need_not_be_read(self, server: RawServer, transport: HttpTransport) -> None:
        server.answers(HELLO)
        exchange = await transport.send(server.request())
        await exchange.head(WAIT)
        exchange.close()
        assert transport.idle_connections == 1
        assert await ask(transport, server.request()) == (200, b"hello")
        assert server.connections == 1

    async def test_different_hosts_share_nothing(self, server: RawServer, transport: HttpTransport) -> None:
        server.answers(HELLO)
        await ask(transport, server.request())
        request = server.request()
        request.url = request.url.replace("localhost", "127.0.0.1")
        await ask(transport, request)
        assert (server.connections, transport.idle_connections) == (2, 2)

    @pytest.mark.parametrize("last", [b"connection: close\r\n", b"keep-alive: max=5, timeout=1\r\n"])
    async def test_the_server_may_refuse(self, server: RawServer, transport: HttpTransport, last: bytes) -> None:
        server.answers(OK, last, b"content-length: 0\r\n\r\n")
        await ask(transport, server.request())
        assert transport.idle_connections == 0
        await eventually(lambda: transport.open_connections == 0)

    @pytest.mark.parametrize("hint", [b"keep-alive: timeout=60\r\n", b"keep-alive: x\r\n", ENDLESS])
    async def test_the_servers_hint_may_be_generous(
        self, server: RawServer, transport: HttpTransport, hint: bytes
    ) -> None:
        server.answers(OK, hint, b"content-length: 0\r\n\r\n")
        await ask(transport, server.request())
        assert transport.idle_connections == 1

    async def test_idle_connections_are_closed_in_time(self, server: RawServer) -> None:
        closed = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(HELLO)
            await peer.gone()
            closed.set()

        server.plays(script)
        transport = HttpTransport(environment={}, idle_seconds=0.02)
        await ask(transport, server.request())
        assert transport.idle_connections == 1
        async with asyncio.timeout(WAIT):
            await closed.wait()
        assert (transport.idle_connections, transport.open_connections) == (0, 0)
        await transport.aclose()

    async def test_an_idle_connection_that_the_server_closes_is_forgotten(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(HELLO)
            peer.close()

        server.plays(script)
        await ask(transport, server.request())
        await eventually(lambda: transport.open_connections == 0)
        assert transport.idle_connections == 0

    async def test_a_goodbye_that_waits_in_the_socket_is_seen(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        server.answers(HELLO)
        await ask(transport, server.request())
        # While this loop is held up, the server's goodbye arrives, and the loop has not read it yet.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            request = server.request()
            request.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            exchange = await transport.send(request)
            accepted, _ = listener.accept()
            accepted.sendall(HELLO)
            await exchange.head(WAIT)
            await read_whole(exchange)
            exchange.close()
            assert transport.idle_connections == 2
            accepted.close()
            time.sleep(FRESH_SECONDS)  # the loop is held up
            sending = asyncio.create_task(transport.send(request))
            again, _ = await asyncio.get_running_loop().run_in_executor(None, listener.accept)
            (await sending).close()
            again.close()
        assert transport.idle_connections == 1

    async def test_surplus_bytes_close_the_connection(self, server: RawServer, transport: HttpTransport) -> None:
        server.answers(HELLO, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")
        for _ in range(3):
            assert await ask(transport, server.request()) == (200, b"hello")
        assert server.connections == 3


async def served_once(peer: Peer) -> None:
    """Answers one request; reads another one and leaves without a word."""
    await peer.request()
    peer.send(HELLO)
    await peer.request()


class TestStaleConnections:
    @pytest.mark.parametrize("leave", [Peer.close, Peer.reset])
    async def test_the_request_is_sent_again_on_a_fresh_one(
        self, server: RawServer, transport: HttpTransport, leave: Callable[[Peer], None]
    ) -> None:
        async def stale(peer: Peer) -> None:
            await served_once(peer)
            leave(peer)

        async def fresh(peer: Peer) -> None:
            assert (await peer.request())[1] == b'{"n": 2}'
            peer.send(HELLO)
            await peer.gone()

        server.plays(stale, fresh)
        await ask(transport, server.request())
        assert await ask(transport, server.request(body=b'{"n": 2}')) == (200, b"hello")
        assert server.connections == 2

    async def test_but_only_once(self, server: RawServer, transport: HttpTransport) -> None:
        async def silent(peer: Peer) -> None:
            await peer.request()

        server.plays(served_once, silent)
        await ask(transport, server.request())
        assert (await fault_of(transport, server.request())).stage == "head"
        assert server.connections == 2

    async def test_and_not_on_a_connections_first_request(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        async def silent(peer: Peer) -> None:
            await peer.request()

        server.plays(silent)
        assert (await fault_of(transport, server.request())).stage == "head"
        assert server.connections == 1

    async def test_and_not_once_a_byte_was_answered(self, server: RawServer, transport: HttpTransport) -> None:
        async def stale(peer: Peer) -> None:
            await served_once(peer)
            peer.send(b"H")

        server.plays(stale)
        await ask(transport, server.request())
        assert (await fault_of(transport, server.request())).stage == "head"
        assert server.connections == 1

    async def test_and_not_when_the_server_had_the_time_to_work_on_it(self, server: RawServer) -> None:
        server.plays(served_once)
        transport = HttpTransport(environment={}, resend_window=-1.0)
        await ask(transport, server.request())
        assert (await fault_of(transport, server.request())).stage == "head"
        assert server.connections == 1
        await transport.aclose()

    async def test_a_fresh_one_that_cannot_be_had_is_a_fault(self, transport: HttpTransport) -> None:
        server = RawServer()
        await server.start()
        server.plays(served_once)
        await ask(transport, server.request())
        exchange = await transport.send(server.request())
        await server.stop()
        with pytest.raises(TransportFault) as caught:
            await exchange.head(WAIT)
        assert caught.value.stage == "connect"
        exchange.close()


class SlowConnect(HttpTransport):
    """Its second connection, and those after it, wait for `go`."""

    def __init__(self) -> None:
        super().__init__(environment={})
        self.go = asyncio.Event()
        self.connects = 0

    async def connect(self, *arguments: object) -> object:  # type: ignore[override]
        self.connects += 1
        if self.connects > 1:
            await self.go.wait()
        return await super().connect(*arguments)  # type: ignore[arg-type]


class TestSlowReconnects:
    async def test_waiting_for_one_can_be_taken_up_again(self, server: RawServer) -> None:
        async def fresh(peer: Peer) -> None:
            await peer.request()
            peer.send(HELLO)
            await peer.gone()

        server.plays(served_once, fresh)
        transport = SlowConnect()
        await ask(transport, server.request())
        exchange = await transport.send(server.request())
        while transport.connects == 1:
            assert await exchange.head(0.001) is None
        assert await exchange.head(0.001) is None
        transport.go.set()
        head = await exchange.head(WAIT)
        assert head is not None
        assert await read_whole(exchange) == b"hello"
        exchange.close()
        assert transport.idle_connections == 1
        await transport.aclose()

    @pytest.mark.parametrize("late", [False, True])
    async def test_closing_leaves_nothing_behind(self, server: RawServer, late: bool) -> None:
        server.plays(served_once, Peer.gone)
        transport = SlowConnect()
        await ask(transport, server.request())
        exchange = await transport.send(server.request())
        while transport.connects == 1:
            assert await exchange.head(0.001) is None
        if late:
            # The connection comes, and nobody asks for it any more.
            transport.go.set()
            await eventually(lambda: server.connections == 2 and transport.open_connections == 1)
        exchange.close()
        await eventually(lambda: transport.open_connections == 0)
        with pytest.raises(TransportFault, match="closed"):
            await exchange.head(0)
        await transport.aclose()
        await eventually(lambda: not any("SlowConnect" in repr(task) for task in asyncio.all_tasks()))

    async def test_a_failure_that_nobody_waits_for_is_quiet(self) -> None:
        server = RawServer()
        await server.start()
        server.plays(served_once)
        transport = SlowConnect()
        await ask(transport, server.request())
        exchange = await transport.send(server.request())
        while transport.connects == 1:
            assert await exchange.head(0.001) is None
        await server.stop()
        transport.go.set()
        await asyncio.sleep(0.01)
        exchange.close()
        await transport.aclose()


class TestAnswers:
    @pytest.mark.parametrize(
        ("wire", "status", "body"),
        [
            (b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, 200, b"hello"),
            (OK + b"transfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nx-t: 1\r\n\r\n", 200, b"hello"),
            (OK + b"\r\nhello", 200, b"hello"),
            (b"HTTP/1.0 404 Not Found\r\n\r\nhello", 404, b"hello"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            (b"HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n", 302, b""),
        ],
    )
    async def test_are_read_byte_by_byte(
        self, server: RawServer, transport: HttpTransport, wire: bytes, status: int, body: bytes
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            for place in range(len(wire)):
                peer.send(wire[place : place + 1])
                await asyncio.sleep(0)
            peer.end()
            await peer.gone()

        server.plays(script)
        assert await ask(transport, server.request()) == (status, body)

    async def test_to_head_have_no_body(self, server: RawServer, transport: HttpTransport) -> None:
        server.answers(OK, b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\n")
        assert await ask(transport, server.request("HEAD", b"")) == (200, b"")

    async def test_are_waited_for(self, server: RawServer, transport: HttpTransport) -> None:
        go = asyncio.Queue[None]()

        async def script(peer: Peer) -> None:
            await peer.request()
            for piece in (OK, b"transfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n"):
                await go.get()
                peer.send(piece)
            await peer.gone()

        server.plays(script)
        exchange = await transport.send(server.request())
        assert await exchange.head(0.001) is None
        go.put_nowait(None)
        assert await exchange.head(0.001) is None
        go.put_nowait(None)
        assert await exchange.head(WAIT) is not None
        assert await exchange.read(0.001) is None
        go.put_nowait(None)
        assert await exchange.read(WAIT) == b"a"
        assert await exchange.read(0) is None
        go.put_nowait(None)
        assert await exchange.read(WAIT) == b"b"
        go.put_nowait(None)
        assert await exchange.read(WAIT) == b""
        assert await exchange.read(WAIT) == b""
        exchange.close()
        assert transport.idle_connections == 1

    async def test_that_come_early_are_read(self, server: RawServer, transport: HttpTransport) -> None:
        refused = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig"

        async def script(peer: Peer) -> None:
            await peer.read(10)
            peer.send(refused)
            await peer.drain()

        server.plays(script)
        assert await ask(transport, server.request(body=bytes(20_000_000))) == (413, b"big")
        assert transport.idle_connections == 0

    async def test_that_come_early_end_the_connection_even_if_it_stays_open(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.read(10)
            peer.send(HELLO)
            await asyncio.sleep(WAIT)

        server.plays(script)
        assert await ask(transport, server.request(body=bytes(20_000_000))) == (200, b"hello")
        assert transport.idle_connections == 0

    @pytest.mark.parametrize("coding", [b"gzip", b"GZIP"])
    async def test_that_are_compressed_unasked_are_unpacked(
        self, server: RawServer, transport: HttpTransport, coding: bytes
    ) -> None:
        packed = gzip.compress(b"data: {}\n\n" * 100)
        server.answers(OK, b"content-encoding: %s\r\nx-a: b\r\ncontent-length: %d\r\n\r\n" % (coding, len(packed)),
                       packed)  # fmt: skip
        exchange = await transport.send(server.request())
        head = await exchange.head(WAIT)
        assert head is not None
        assert head.headers == {"x-a": "b"}
        assert await read_whole(exchange) == b"data: {}\n\n" * 100
        exchange.close()
        assert transport.idle_connections == 1

    async def test_that_unpack_to_much_come_in_pieces(self, server: RawServer, transport: HttpTransport) -> None:
        packed = gzip.compress(bytes(3_000_000))
        server.answers(OK, b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed)
        assert await ask(transport, server.request()) == (200, bytes(3_000_000))

    async def test_that_are_compressed_are_waited_for(self, server: RawServer, transport: HttpTransport) -> None:
        packed = gzip.compress(b"hello")

        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(OK, b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed[:10])
            await peer.read(1)

        server.plays(script)
        exchange = await transport.send(server.request())
        await exchange.head(WAIT)
        assert await exchange.read(0.01) is None
        exchange.close()

    async def test_that_are_compressed_may_break(self, server: RawServer, transport: HttpTransport) -> None:
        packed = gzip.compress(b"hello")

        async def cut(peer: Peer) -> None:
            await peer.request()
            peer.send(OK, b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed[:-1])

        async def short(peer: Peer) -> None:
            await peer.request()
            peer.send(OK, b"content-encoding: gzip\r\n\r\n", packed[:-1])

        server.plays(cut, short)
        assert "closed the connection" in str(await fault_of(transport, server.request()))
        assert "too early" in str(await fault_of(transport, server.request()))

    async def test_that_are_not_compressed_may_say_so(self, server: RawServer, transport: HttpTransport) -> None:
        server.answers(OK, b"content-encoding: identity\r\ncontent-length: 1\r\n\r\na")
        assert await ask(transport, server.request()) == (200, b"a")

    async def test_in_a_coding_that_is_not_known_are_faults(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        server.answers(OK, b"content-encoding: br\r\ncontent-length: 1\r\n\r\na")
        fault = await fault_of(transport, server.request())
        assert fault.stage == "head"
        assert "'br'" in str(fault)


class TestFaults:
    @pytest.mark.parametrize("leave", [Peer.close, Peer.reset])
    @pytest.mark.parametrize(
        ("wire", "stage"),
        [
            (b"", "head"),
            (b"HTTP/1.1 200", "head"),
            (OK + b"content-length: 5\r\n\r\n", "body"),
            (OK + b"content-length: 5\r\n\r\nhe", "body"),
            (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "body"),
        ],
    )
    async def test_a_backend_that_leaves(
        self, server: RawServer, transport: HttpTransport, wire: bytes, stage: str, leave: Callable[[Peer], None]
    ) -> None:
        sent = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(wire)
            await sent.wait()
            leave(peer)

        server.plays(script)
        exchange = await transport.send(server.request())
        if stage == "body":
            assert await exchange.head(WAIT) is not None
        sent.set()
        with pytest.raises(TransportFault) as caught:
            await exchange.head(WAIT)
            await read_whole(exchange)
        assert caught.value.stage == stage
        exchange.close()

    async def test_what_came_before_the_fault_is_read_first(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(OK, b"content-length: 5\r\n\r\nhe")

        server.plays(script)
        exchange = await transport.send(server.request())
        await exchange.head(WAIT)
        await eventually(lambda: transport.open_connections == 0)
        assert await exchange.read(WAIT) == b"he"
        with pytest.raises(TransportFault, match="closed the connection"):
            await exchange.read(WAIT)
        exchange.close()

    async def test_garbage(self, server: RawServer, transport: HttpTransport) -> None:
        server.answers(b"220 mail.example ESMTP\r\n")
        fault = await fault_of(transport, server.request())
        assert fault.stage == "head"
        assert "not valid HTTP" in str(fault)

    async def test_a_reset_while_a_large_request_is_sent(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.read(1000)
            peer.reset()

        server.plays(script)
        assert (await fault_of(transport, server.request(body=bytes(20_000_000)))).stage == "send"

    async def test_nobody_listens(self, transport: HttpTransport) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            fault = await fault_of(transport, BackendRequest("POST", f"http://{host}:{port}/", [], b""))
            assert fault.stage == "connect"
            assert "127.0.0.1" not in str(fault)
            assert isinstance(fault.__cause__, OSError)

    async def test_a_name_that_is_none(self, transport: HttpTransport) -> None:
        request = BackendRequest("POST", "http://no-such-host.invalid/", [], b"", connect_timeout=WAIT)
        assert (await fault_of(transport, request)).stage == "connect"
        request.url = f"http://{'a' * 70}.invalid/"
        assert (await fault_of(transport, request)).stage == "connect"

    async def test_a_connection_that_takes_too_long(self, transport: HttpTransport) -> None:
        # A listener whose queue is full: the kernel answers no further connection attempt.
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            fault = await fault_of(transport, BackendRequest("POST", url, [], b"", connect_timeout=0.05))
            for filler in fillers:
                filler.close()
        assert fault.stage == "connect"
        assert "within 0.05 s" in str(fault)


class TestLeaving:
    async def test_closing_a_stream_drops_its_connection_at_once(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        gone = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(OK, b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n")
            await peer.gone()
            gone.set()

        server.plays(script)
        exchange = await transport.send(server.request())
        await exchange.head(WAIT)
        assert await exchange.read(WAIT) == b"a"
        exchange.close()
        async with asyncio.timeout(WAIT):
            await gone.wait()
        assert transport.open_connections == 0
        with pytest.raises(TransportFault, match="closed"):
            await exchange.read(0)

    @pytest.mark.parametrize("wire", [b"", OK + b"content-length: 5\r\n\r\n",
                                      OK + b"content-encoding: gzip\r\n\r\n"])  # fmt: skip
    async def test_cancelling_leaks_nothing(
        self, server: RawServer, transport: HttpTransport, wire: bytes
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(wire)
            await peer.gone()

        server.plays(script)
        asking = asyncio.create_task(ask(transport, server.request()))
        await eventually(lambda: transport.open_connections == 1)
        await asyncio.sleep(0.005)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: transport.open_connections == 0)

    async def test_cancelling_at_any_moment_leaks_nothing(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        server.answers(HELLO)
        for turns in range(30):
            asking = asyncio.create_task(ask(transport, server.request()))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await eventually(lambda: transport.open_connections == transport.idle_connections)

    @pytest.mark.parametrize("coding", [b"", b"content-encoding: gzip\r\n"])
    async def test_closing_under_a_reader_ends_the_reading(
        self, server: RawServer, transport: HttpTransport, coding: bytes
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(OK, coding, b"content-length: 5\r\n\r\n")
            await peer.gone()

        server.plays(script)
        exchange = await transport.send(server.request())
        await exchange.head(WAIT)
        reading = asyncio.create_task(exchange.read(60))
        await asyncio.sleep(0)
        exchange.close()
        with pytest.raises(TransportFault, match="closed"):
            await reading

    async def test_a_slow_reader_makes_the_backend_wait(
        self, server: RawServer, transport: HttpTransport
    ) -> None:
        size = 40_000_000
        sent = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(OK, b"content-length: %d\r\n\r\n" % size)
            for _ in range(size // 1_000_000):
                peer.send(bytes(1_000_000))
                await peer.drain()
            sent.set()
            await peer.gone()

        server.plays(script)
        exchange = await transport.send(server.request())
        await exchange.head(WAIT)
        await asyncio.sleep(0.05)
        assert not sent.is_set()
        largest = total = 0
        while piece := await exchange.read(WAIT):
            largest, total = max(largest, len(piece)), total + len(piece)
        assert total == size
        assert largest <= 1024 * 1024
        exchange.close()
        assert transport.idle_connections == 1

    async def test_a_closed_transport_sends_nothing(self, server: RawServer) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(HELLO)
            await peer.request()
            await peer.gone()

        server.plays(script)
        transport = HttpTransport(environment={})
        await ask(transport, server.request())
        busy = await transport.send(server.request())
        await transport.aclose()
        assert transport.open_connections == 0
        with pytest.raises(TransportFault):
            await busy.head(WAIT)
        busy.close()
        assert (await fault_of(transport, server.request())).stage == "connect"
        await transport.aclose()


def test_each_loop_has_connections_of_its_own() -> None:
    transport = HttpTransport(environment={})
    server = RawServer()

    async def begin() -> None:
        await server.start()
        server.answers(HELLO)
        assert await ask(transport, server.request()) == (200, b"hello")

    async def go_elsewhere() -> None:
        other = RawServer()
        await other.start()
        other.answers(HELLO)
        assert await ask(transport, other.request()) == (200, b"hello")
        assert transport.open_connections == 1
        await transport.aclose()
        await other.stop()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(begin())
        second.run(go_elsewhere())
        first.run(server.stop())


def test_importing_the_client_loads_nothing_heavy() -> None:
    program = (
        "import asyncio, sys; before = set(sys.modules); import handlers.io.http_client;"
        "print(*sorted(name for name in set(sys.modules) - before if '.' not in name))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"email", "http", "urllib", "zlib", "h11", "idna", "certifi", "json"} & set(loaded.split())
