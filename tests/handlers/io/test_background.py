"""Requests that connect in the background."""

from __future__ import annotations

import asyncio

import pytest

from core.ports import BackendRequest, Exchange, TransportFault
from handlers.io.background import BackgroundTransport
from tests.scripted import Play, ScriptedTransport, VirtualClock

REQUEST = BackendRequest("POST", "http://b", [], b"")


class Gated:
    """A transport that connects when it is let."""

    def __init__(self, play: Play) -> None:
        self.gate = asyncio.Event()
        self.inner = ScriptedTransport([play], VirtualClock())

    async def send(self, request: BackendRequest) -> Exchange:
        await self.gate.wait()
        return await self.inner.send(request)


async def test_send_returns_before_there_is_a_connection() -> None:
    gated = Gated(Play(chunks=[b"x"]))
    exchange = await BackgroundTransport(gated).send(REQUEST)
    assert await exchange.head(0.001) is None
    gated.gate.set()
    head = await exchange.head(5)
    assert head is not None and head.status == 200
    assert await exchange.read(5) == b"x"
    assert await exchange.head(0) == head
    exchange.close()
    await asyncio.sleep(0)
    assert gated.inner.open == 0


async def test_a_connection_that_fails_is_told_by_head() -> None:
    gated = Gated(Play(connect=TransportFault("connect", "refused")))
    gated.gate.set()
    exchange = await BackgroundTransport(gated).send(REQUEST)
    with pytest.raises(TransportFault, match="refused"):
        await exchange.head(5)
    exchange.close()
    await asyncio.sleep(0)


async def test_one_that_is_not_waited_for_any_more_is_given_up() -> None:
    gated = Gated(Play())
    exchange = await BackgroundTransport(gated).send(REQUEST)
    assert await exchange.head(0.001) is None
    exchange.close()
    await asyncio.sleep(0.001)
    gated.gate.set()
    await asyncio.sleep(0.001)
    assert gated.inner.requests == []
