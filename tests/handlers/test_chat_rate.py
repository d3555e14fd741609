"""RATE_LIMIT, minute by minute."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.access import Caller
from core.errors import Refused
from core.ports import Store, StoreFault
from handlers.chat_rate import ChatRate, RatePorts
from handlers.io.sqlite_store import SqliteStore
from tests.gateways import RecordingLog
from tests.scripted import VirtualClock
from tests.stores.test_sessions import Tokens

ANN, BOB = Caller("ann", "key", "key a"), Caller("bob", "key", "key b")


class AwayStore(SqliteStore):
    """A store that cannot be reached."""

    async def reserve(self, *_: object) -> None:  # type: ignore[override]
        raise StoreFault("away")

    async def totals(self, *_: object) -> None:  # type: ignore[override]
        raise StoreFault("away")


@pytest.fixture(params=["sqlite", "none", "away"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store | None]:
    kinds = {"sqlite": SqliteStore, "away": AwayStore}
    made = kinds[request.param](tmp_path / "s.db") if request.param in kinds else None
    yield made
    if made is not None:
        await made.close()


async def test_each_user_has_so_many_requests_a_minute(store: Store | None) -> None:
    clock, log = VirtualClock(), RecordingLog()
    clock.now += 60 - clock.time() % 60
    rate = ChatRate(RatePorts(store, clock, Tokens(), log), 2)
    for remaining in (1, 0):
        await rate.take(ANN)
        left = await rate.left(ANN)
        assert left is not None and (left["limit"], left["remaining"]) == (2, remaining)
    with pytest.raises(Refused) as caught:
        await rate.take(ANN)
    assert caught.value.about == {"limit": 2, "window_seconds": 60} and caught.value.retry_after == 60
    await rate.take(BOB)
    clock.now += 60
    await rate.take(ANN)
    left = await rate.left(ANN)
    assert left is not None and left["remaining"] == 1
    assert bool(log.lines) == isinstance(store, AwayStore)


async def test_without_a_limit_nothing_is_counted() -> None:
    rate = ChatRate(RatePorts(None, VirtualClock(), Tokens(), RecordingLog()), None)
    for _ in range(5):
        await rate.take(ANN)
    assert await rate.left(ANN) is None
