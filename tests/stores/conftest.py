"""One store of each kind, fresh for each test. The servers behind them start once, when first needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import cycle
from pathlib import Path
from uuid import uuid4

import pytest

from core.ports import Store
from handlers.io.http_client import HttpTransport
from handlers.io.shards import Spread
from handlers.io.sqlite_store import SqliteStore
from tests.scripted import FixedRandom
from tests.stores import real_stores


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    with real_stores.moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def azurite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_stores.azurite(tmp_path_factory.mktemp("azurite")) as endpoint:
        yield endpoint


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(environment={})
    yield transport
    await transport.aclose()


SHARDS = 4


KINDS = ("sqlite", "dynamodb", "tables")


@pytest.fixture(params=KINDS)
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, transport: HttpTransport
) -> Callable[[], Store]:
    """Opens the store of this test, as often as a test wants to: each is another process's view of it. Kinds
    with `-shards` (which a test asks for) take from another shard of each counter each time."""
    name = f"t{uuid4().hex}"
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "skybridge.db")
    kind, _, shared = request.param.partition("-")
    homes = cycle((1, 3, 0, 2))

    def spread() -> Spread | None:
        return Spread(SHARDS, FixedRandom(next(homes) / SHARDS), always=True) if shared else None

    if kind == "dynamodb":
        endpoint = request.getfixturevalue("moto_server")
        return lambda: real_stores.dynamo_store(transport, endpoint, name, spread())
    endpoint = request.getfixturevalue("azurite_server")
    return lambda: real_stores.azure_store(transport, endpoint, name, spread())


@pytest.fixture
async def store(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    store = open_store()
    await store.prepare()
    yield store
    await store.close()
