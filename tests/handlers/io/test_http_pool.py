"""How long, and how many, connections are kept: on a clock that the test sets."""

import asyncio

import pytest

from handlers.io.http_client import HttpTransport
from handlers.io.http_connection import HttpConnection
from handlers.io.http_pool import Pool
from tests.handlers.io.raw_server import RawServer, eventually
from tests.handlers.io.test_http_client import HELLO, ask
from tests.handlers.io.test_http_connection import OK, NotingTransport

KEY = ("http", "h", 80, "")


class TwoClocks:
    """core.ports.Clock whose two readings are set apart from each other."""

    def __init__(self) -> None:
        self.monotonic_now = 100.0
        self.wall_now = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.monotonic_now

    def time(self) -> float:
        return self.wall_now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


def make_idle(pool: Pool) -> HttpConnection:
    """A connection that has carried one exchange and is given back."""
    connection = pool.make(KEY)
    connection.connection_made(NotingTransport())
    pool.add(connection)
    connection.start(b"GET / HTTP/1.1\r\n\r\n", b"", expects_body=True)
    connection.feed(OK + b"content-length: 0\r\n\r\n")
    pool.give(connection)
    return connection


@pytest.mark.parametrize(("attribute", "kept"), [("monotonic_now", False), ("wall_now", False), (None, True)])
async def test_an_old_connection_is_not_used_whichever_clock_says_so(
    server: RawServer, attribute: str | None, kept: bool
) -> None:
    clock = TwoClocks()
    server.answers(HELLO)
    transport = HttpTransport(environment={}, clock=clock)
    await ask(transport, server.request())
    if attribute is not None:
        setattr(clock, attribute, getattr(clock, attribute) + 15.0)
    await ask(transport, server.request())
    assert server.connections == (1 if kept else 2)
    await eventually(lambda: transport.open_connections == 1)
    await transport.aclose()


async def test_only_so_many_are_kept_for_one_host() -> None:
    pool = Pool(TwoClocks(), idle_seconds=15.0, max_idle=2)
    connections = [make_idle(pool) for _ in range(3)]
    assert pool.idle_count == 2
    assert [connection.quiet() for connection in connections] == [True, True, False]
    assert pool.take(KEY) is connections[1]
    pool.drop()


async def test_no_idle_time_keeps_nothing() -> None:
    pool = Pool(TwoClocks(), idle_seconds=0.0, max_idle=2)
    assert not make_idle(pool).quiet()
    assert pool.idle_count == 0


async def test_sweeping_closes_the_old_and_comes_back_for_the_young() -> None:
    clock = TwoClocks()
    pool = Pool(clock, idle_seconds=0.005, max_idle=5)
    old = make_idle(pool)
    clock.monotonic_now += 0.004
    young = make_idle(pool)
    clock.monotonic_now += 0.004
    await eventually(lambda: not old.quiet())
    assert young.quiet()
    assert pool.idle_count == 1
    clock.monotonic_now += 0.004
    await eventually(lambda: pool.idle_count == 0)
    assert not young.quiet()


async def test_waiting_for_the_last_connection_to_go() -> None:
    pool = Pool(TwoClocks(), idle_seconds=15.0, max_idle=5)
    first, second = make_idle(pool), make_idle(pool)
    waiting = asyncio.create_task(pool.drained())
    await asyncio.sleep(0)
    first.connection_lost(None)
    await asyncio.sleep(0)
    assert not waiting.done()
    second.connection_lost(None)
    await waiting
    assert (pool.open_count, pool.idle_count) == (0, 0)
    pool.drop()
    await pool.drained()


async def test_a_connection_that_was_lost_while_it_opened_is_not_counted() -> None:
    pool = Pool(TwoClocks(), idle_seconds=15.0, max_idle=5)
    connection = pool.make(KEY)
    connection.connection_made(NotingTransport())
    connection.connection_lost(None)
    pool.add(connection)
    assert pool.open_count == 0
