"""Every asynchronous test here runs on asyncio's own loop and on uvloop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from handlers.io.http_client import HttpTransport
from tests.handlers.io.raw_server import RawServer


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A server on loopback that plays the scripts it is given, one connection after the other."""
    server = RawServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    """A client with an empty environment; that nothing is left open is checked at the end."""
    transport = HttpTransport(environment={})
    yield transport
    await transport.aclose()
    assert transport.open_connections == 0
    assert transport.idle_connections == 0
