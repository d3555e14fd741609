"""The protocol alone, on a transport that only notes: every split of every response, without a socket."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from core.ports import TransportFault
from handlers.io.http_connection import HIGH_WATER, MAX_OVERHEAD, HttpConnection

KEY = ("http", "h", 80, "")


class NotingTransport(asyncio.Transport):
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False
        self.reading = True
        self.unsent = 0

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@dataclass
class Bench:
    """One connection on one such transport."""

    transport: NotingTransport = field(default_factory=NotingTransport)
    lost: list[HttpConnection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = HttpConnection(KEY, memoryview(bytearray(64)), self.lost.append)
        self.connection.connection_made(self.transport)

    def start(self, *, expects_body: bool = True, body: bytes = b"") -> None:
        self.connection.start(b"POST / HTTP/1.1\r\n\r\n", body, expects_body=expects_body)

    def feed(self, pieces: Sequence[bytes], *, end: bool = False) -> None:
        for piece in pieces:
            self.connection.feed(piece)
        if end:
            self.connection.eof_received()


def splits(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two at every place."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    for i in range(1, len(data)):
        yield [data[:i], data[i:]]


OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Case:
    """A response as it is on the wire, and what is to be read from it. `end`: the backend closes after it."""

    wire: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    kept: bool = True
    end: bool = False


CASES = {
    "length": Case(OK + b"Content-Length: 2\r\nX-A:  b \r\n\r\nhi", headers={"x-a": "b"}, body=b"hi"),
    "empty": Case(OK + b"content-length: 0\r\n\r\n"),
    "chunked": Case(
        OK + b"transfer-encoding: Chunked\r\n\r\n2\r\nhi\r\n3;a=b;c=\"d\"\r\n ho\r\n0\r\n\r\n", body=b"hi ho"
    ),
    "trailers": Case(
        OK + b"transfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n1\r\na\r\n0\r\nx-t: 1\r\nx-u: 2\r\n\r\n", body=b"a"
    ),
    "chunked-empty": Case(OK + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "interim": Case(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK + b"content-length: 1\r\n\r\na",
        headers={"content-length": "1"},
        body=b"a",
    ),
    "204": Case(b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    "304": Case(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", status=304),
    "no reason": Case(b"HTTP/1.1 529\r\ncontent-length: 1\r\n\r\na", status=529, body=b"a"),
    "1.0": Case(b"HTTP/1.0 200 OK\r\n\r\nabc", body=b"abc", kept=False, end=True),
    "1.0 kept": Case(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na", body=b"a"),
    "close": Case(OK + b"connection: close\r\ncontent-length: 1\r\n\r\na", body=b"a", kept=False),
    "close, no length": Case(OK + b"connection: close\r\n\r\nabc", body=b"abc", kept=False, end=True),
    "to the end": Case(OK + b"x: \r\n\r\nabc", headers={"x": ""}, body=b"abc", kept=False, end=True),
    "to the end, empty": Case(OK + b"\r\n", kept=False, end=True),
    "repeated": Case(
        OK + b"Set-Cookie: a=1\r\ncontent-length: 0\r\nset-cookie: b=\xfc\r\n\r\n", headers={"set-cookie": "a=1, b=ü"}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_responses_are_read_at_every_split(case: Case) -> None:
    for pieces in splits(case.wire):
        bench = Bench()
        connection = bench.connection
        bench.start()
        bench.feed(pieces, end=case.end)
        assert connection.complete, pieces
        assert connection.head is not None
        assert connection.head.status == case.status
        assert case.headers.items() <= connection.head.headers.items()
        assert connection.take() == case.body
        assert connection.take() == b""
        assert not connection.failed
        assert connection.release() is case.kept
        assert bench.transport.aborted is not case.kept


async def test_one_connection_carries_one_response_after_the_other() -> None:
    bench = Bench()
    for case in CASES.values():
        if case.kept:
            bench.start()
            bench.feed([case.wire])
            assert bench.connection.take() == case.body
            assert bench.connection.release()


FAULTS = {
    "nothing": (b"", "head", "closed the connection"),
    "part of a head": (OK + b"content-le", "head", "closed the connection"),
    "after an interim response": (b"HTTP/1.1 100 Continue\r\n\r\n", "head", "closed the connection"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "head", "not valid HTTP"),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", "head", "not valid HTTP"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x28", "head", "not valid HTTP"),
    "status": (b"HTTP/1.1 099 ?\r\n\r\n", "head", "status 99"),
    "folded": (OK + b"a: b\r\n c\r\n\r\n", "head", "not valid HTTP"),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 1\n\na", "head", "not valid HTTP"),
    "two lengths": (OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", "head", "not valid HTTP"),
    "length and chunked": (OK + b"transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n", "head", "not valid"),
    "coding": (OK + b"transfer-encoding: gzip, chunked\r\n\r\n", "head", "transfer-encoding 'gzip, chunked'"),
    "upgrade": (b"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", "head", "another protocol"),
    "upgrade, bare": (b"HTTP/1.1 101 S\r\n\r\n", "head", "not valid HTTP"),
    "short body": (OK + b"content-length: 3\r\n\r\nab", "body", "closed the connection"),
    "no last chunk": (OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n", "body", "closed the connection"),
    "no end of trailers": (OK + b"transfer-encoding: chunked\r\n\r\n0\r\na: b\r\n", "body", "closed the connection"),
    "chunk size": (OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", "body", "not valid HTTP"),
}


@pytest.mark.parametrize(("wire", "stage", "reason"), FAULTS.values(), ids=FAULTS)
async def test_broken_responses_are_faults_at_every_split(wire: bytes, stage: str, reason: str) -> None:
    for pieces in splits(wire):
        bench = Bench()
        bench.start()
        for piece in pieces:
            if not bench.connection.failed:
                bench.feed([piece])
        if not bench.connection.failed:
            bench.feed([], end=True)
        fault = bench.connection.fault()
        assert isinstance(fault, TransportFault)
        assert (fault.stage, reason in str(fault)) == (stage, True), (pieces, fault)
        assert bench.transport.aborted
        assert not bench.connection.release()


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"x: " + b"a" * MAX_OVERHEAD,
        OK + b"x: y\r\n" * (MAX_OVERHEAD // 4),
        OK + b"x: y\r\n" * (MAX_OVERHEAD // 2) + b"content-length: 1\r\n\r\na",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_OVERHEAD // 20),
        OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: " + b"a" * 3 * MAX_OVERHEAD,
        OK + b"transfer-encoding: chunked\r\n\r\n1;" + b"a" * 3 * MAX_OVERHEAD,
    ],
    ids=["value", "many", "many, whole", "interim", "trailers", "extension"],
)
async def test_endless_overhead_is_refused(wire: bytes) -> None:
    for size in (1000, 60_000):
        bench = Bench()
        bench.start()
        for place in range(0, len(wire), size):
            if not bench.connection.failed:
                bench.feed([wire[place : place + size]])
        assert "larger than 65536 bytes" in str(bench.connection.fault())


async def test_a_large_head_is_refused_even_when_it_comes_whole() -> None:
    bench = Bench()
    bench.start()
    bench.feed([OK + b"x: y\r\n" * (MAX_OVERHEAD // 2) + b"content-length: 1\r\n\r\na"])
    assert "larger than 65536 bytes" in str(bench.connection.fault())


async def test_the_answer_to_head_has_no_body() -> None:
    bench = Bench()
    bench.start(expects_body=False)
    bench.feed([OK + b"content-length: 2\r\n\r\n"])
    assert bench.connection.complete
    assert not bench.connection.release()


@pytest.mark.parametrize("kept", [b"", b"connection: close\r\n"])
@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"])
async def test_bytes_after_the_response_are_never_another_one(surplus: bytes, kept: bytes) -> None:
    wire = OK + kept + b"content-length: 2\r\n\r\nhi"
    for pieces in ([wire + surplus], [wire, surplus]):
        bench = Bench()
        bench.start()
        bench.feed(pieces)
        bench.connection.connection_lost(None)
        assert bench.connection.complete
        assert bench.connection.take() == b"hi"
        assert not bench.connection.failed
        assert not bench.connection.release()


async def test_surplus_after_the_answer_to_head_is_dropped() -> None:
    bench = Bench()
    bench.start(expects_body=False)
    bench.feed([OK + b"content-length: 2\r\n\r\nhi"])
    assert bench.connection.take() == b""


async def test_bytes_on_an_idle_connection_close_it() -> None:
    bench = Bench()
    bench.feed([b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
    assert bench.transport.aborted
    bench.connection.eof_received()
    assert not bench.connection.failed


async def test_a_lost_connection_is_a_fault_with_its_cause() -> None:
    bench = Bench()
    bench.start()
    error = ConnectionResetError(104, "reset")
    bench.connection.connection_lost(error)
    fault = bench.connection.fault()
    assert fault.stage == "head"
    assert fault.__cause__ is error
    assert bench.lost == [bench.connection]
    assert not bench.connection.quiet()
    assert not bench.connection.release()


async def test_a_reset_ends_no_body_well() -> None:
    bench = Bench()
    bench.start()
    bench.feed([OK + b"\r\nabc"])
    bench.connection.connection_lost(ConnectionResetError())
    assert bench.connection.take() == b"abc"
    assert bench.connection.fault().stage == "body"


async def test_the_first_reason_is_kept() -> None:
    bench = Bench()
    bench.start()
    bench.connection.eof_received()
    bench.connection.connection_lost(ConnectionResetError())
    assert "closed" in str(bench.connection.fault())


async def test_a_request_that_could_not_be_written_failed_while_sending() -> None:
    for answered, stage in ((b"", "send"), (b"HTTP/1.1 4", "head")):
        bench = Bench()
        bench.start(body=b"x" * 100_000)
        bench.connection.pause_writing()
        bench.feed([answered] if answered else [])
        bench.connection.connection_lost(BrokenPipeError())
        assert bench.connection.fault().stage == stage
    bench = Bench()
    bench.start(body=b"x" * 100_000)
    bench.connection.pause_writing()
    bench.connection.resume_writing()
    bench.connection.connection_lost(BrokenPipeError())
    assert bench.connection.fault().stage == "head"


async def test_a_connection_that_closed_before_its_first_request_is_a_fault() -> None:
    bench = Bench()
    bench.connection.connection_lost(None)
    bench.start()
    assert bench.connection.fault().stage == "head"
    assert not bench.connection.connected


async def test_a_connection_with_unsent_bytes_is_not_used_again() -> None:
    bench = Bench()
    bench.start()
    bench.feed([OK + b"content-length: 0\r\n\r\n"])
    bench.transport.unsent = 1
    assert not bench.connection.release()


async def test_a_small_request_is_one_write() -> None:
    bench = Bench()
    bench.start(body=b"{}")
    assert bench.transport.written == [b"POST / HTTP/1.1\r\n\r\n{}"]


async def test_reading_stops_while_the_consumer_is_behind() -> None:
    bench = Bench()
    bench.start()
    bench.feed([OK + b"transfer-encoding: chunked\r\n\r\n"])
    piece = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    for _ in range(HIGH_WATER // 0x4000):
        bench.feed([piece])
        assert bench.transport.reading
    bench.feed([piece])
    assert not bench.transport.reading
    bench.feed([piece])
    assert len(bench.connection.take()) == HIGH_WATER + 0x8000
    assert bench.transport.reading
    bench.feed([piece] * 5)
    assert not bench.transport.reading
    bench.feed([b"0\r\n\r\n"])
    assert bench.connection.release()
    assert bench.transport.reading


async def test_a_dead_connection_is_read_to_its_end_without_being_resumed() -> None:
    bench = Bench()
    bench.start()
    bench.feed([OK + b"\r\n" + b"x" * (HIGH_WATER + 1)])
    bench.transport.aborted = True
    assert len(bench.connection.take()) == HIGH_WATER + 1
    assert not bench.transport.reading


class TestWaiting:
    async def test_a_wait_ends_with_news(self) -> None:
        bench = Bench()
        bench.start()
        waiting = asyncio.create_task(bench.connection.wait(60))
        await asyncio.sleep(0)
        bench.feed([OK[:5]])
        await asyncio.sleep(0)
        assert not waiting.done()
        bench.feed([OK[5:] + b"content-length: 1\r\n\r\n"])
        assert await waiting
        bench.connection.connection_lost(None)

    async def test_a_wait_ends_in_time(self) -> None:
        bench = Bench()
        bench.start()
        assert not await bench.connection.wait(0)
        assert not await bench.connection.wait(-1)
        assert not await bench.connection.wait(0.001)

    async def test_one_timer_serves_later_waits_and_sooner_ones(self) -> None:
        bench = Bench()
        bench.start()
        for seconds in (0.02, 60.0, 0.03, float("inf")):
            waiting = asyncio.create_task(bench.connection.wait(seconds))
            await asyncio.sleep(0)
            bench.feed([OK + b"\r\n" if bench.connection.head is None else b"x"])
            assert await waiting
        # The first wait's timer was left, found a later wait and came back for it; this one is sooner than that.
        assert not await bench.connection.wait(0.01)
        assert not await bench.connection.wait(0.01)

    async def test_a_timer_that_fires_too_early_comes_back(self) -> None:
        bench = Bench()
        bench.start()
        first = asyncio.create_task(bench.connection.wait(0.005))
        await asyncio.sleep(0)
        bench.feed([OK + b"\r\n"])
        assert await first
        assert not await bench.connection.wait(0.05)

    async def test_a_timer_with_nobody_waiting_is_quiet(self) -> None:
        bench = Bench()
        bench.start()
        first = asyncio.create_task(bench.connection.wait(0.001))
        await asyncio.sleep(0)
        bench.feed([OK + b"\r\n"])
        assert await first
        await asyncio.sleep(0.005)

    async def test_a_lost_connection_wakes(self) -> None:
        bench = Bench()
        bench.start()
        waiting = asyncio.create_task(bench.connection.wait(60))
        await asyncio.sleep(0)
        bench.connection.connection_lost(None)
        assert await waiting

    async def test_releasing_wakes(self) -> None:
        bench = Bench()
        bench.start()
        waiting = asyncio.create_task(bench.connection.wait(60))
        await asyncio.sleep(0)
        bench.connection.release()
        assert await waiting
        bench.connection.connection_lost(None)

    async def test_a_wait_can_be_cancelled(self) -> None:
        bench = Bench()
        bench.start()
        waiting = asyncio.create_task(bench.connection.wait(60))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        bench.feed([OK + b"content-length: 0\r\n\r\n"])
        assert bench.connection.complete
        bench.connection.connection_lost(None)
