"""Stores of other versions: an older one is brought forward by the first call, a newer one is not touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from core.ports import Charge, Hold, Store, StoreFault, Taken
from handlers.io.schema import Schema, Step

CLOUDS = pytest.mark.parametrize("open_store", ["dynamodb", "tables"], indirect=True)
HOLD = Hold("r1", (Charge("usd", 3, 5, None),), 4e9)


@CLOUDS
@pytest.mark.parametrize("first", ["read", "reserve", "write"])
async def test_a_store_without_a_version_is_brought_forward_by_the_first_call(
    open_store: Callable[[], Store], store: Store, first: str
) -> None:
    """As a template makes it, and as versions without a schema filled it."""
    await store.write("keys", {"a": {"n": 1}})
    await store.delete("meta", "schema")
    serving = open_store()
    if first == "read":
        assert await serving.read("keys", "a") == {"n": 1}
    elif first == "reserve":
        assert isinstance(await serving.reserve(HOLD, 1.0), Taken)
    else:
        await serving.write("keys", {"b": {"n": 2}})
    assert await store.read("meta", "schema") == {"version": 1}
    assert await serving.read("keys", "a") == {"n": 1}


@CLOUDS
async def test_a_newer_store_is_refused(open_store: Callable[[], Store], store: Store) -> None:
    await store.write("meta", {"schema": {"version": 99}})
    serving = open_store()
    calls = (
        lambda: serving.read("keys", "a"), lambda: serving.reserve(HOLD, 1.0), lambda: serving.write("keys", {"a": {}}),
        serving.prepare,
    )  # fmt: skip
    for call in calls:
        with pytest.raises(StoreFault, match="has schema 99; this version reads 1"):
            await call()


class MadeStore:
    """A layout of version 1 of 3, whose steps rename what is there."""

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.name = "one"
        self.done: list[str] = []
        steps: tuple[Step, ...] = (self.unused, self.two, self.three)
        self.schema = Schema("the made store", steps, self.read, self.write)

    async def unused(self) -> None:
        raise AssertionError("version 1 is there already")

    async def two(self) -> None:
        self.done.append("two")
        self.name = "two"

    async def three(self) -> None:
        self.done.append("three")
        self.name = "three"

    async def read(self) -> int:
        await asyncio.sleep(0)
        return self.version

    async def write(self, version: int) -> None:
        self.version = version

    async def call(self) -> str:
        self.done.append("call")
        return self.name


async def test_every_step_is_made_in_its_order_and_the_call_again() -> None:
    store = MadeStore()
    assert await store.schema.beside(store.call) == "three"
    assert store.done == ["call", "two", "three", "call"] and store.version == 3
    assert await store.schema.beside(store.call) == "three"
    assert store.done[4:] == ["call"], "it is not asked for again"


async def test_a_step_that_fails_is_made_again() -> None:
    store = MadeStore()
    good = store.two

    async def bad() -> None:
        raise StoreFault("away")

    store.schema = Schema("the made store", (store.unused, bad, store.three), store.read, store.write)
    with pytest.raises(StoreFault, match="away"):
        await store.schema.beside(store.call)
    assert store.version == 1
    store.schema = Schema("the made store", (store.unused, good, store.three), store.read, store.write)
    assert await store.schema.beside(store.call) == "three"


async def test_the_calls_own_fault_is_told_and_the_layout_known() -> None:
    store = MadeStore(3)

    async def failing() -> str:
        raise StoreFault("throttled")

    with pytest.raises(StoreFault, match="throttled"):
        await store.schema.beside(failing)
    assert await store.schema.beside(store.call) == "one"
