"""Documents larger than a store takes at once, in every store; and the responses kept in them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from core.ports import Store, StoreFault
from handlers.io.clock import SystemClock
from handlers.io.large_documents import MOST_PIECES, PIECE, TooLarge, delete_large, read_large, write_large
from handlers.kept_responses import ResponseKeeper
from tests.gateways import RecordingLog
from tests.scripted import VirtualClock

CHAOS = random.Random(7)
# What does not compress: two pieces and a bit.
LARGE = {"input": [{"image": CHAOS.randbytes(PIECE).hex()}]}


async def test_a_large_document_comes_back_whole(store: Store) -> None:
    assert await read_large(store, "f", "large") is None
    await write_large(store, "f", "large", LARGE)
    assert await read_large(store, "f", "large") == LARGE
    small = {"text": "äöü" * 10}
    await write_large(store, "f", "small", small, 4_000_000_000.0)
    assert await read_large(store, "f", "small") == small
    assert len(await store.read_all("f")) > 3
    assert await delete_large(store, "f", "large")
    assert not await delete_large(store, "f", "large")
    assert list(await store.read_all("f")) == ["small"]
    assert await delete_large(store, "f", "small")


async def test_a_lost_piece_is_a_fault(store: Store) -> None:
    await write_large(store, "f", "large", LARGE)
    pieces = [name for name in await store.read_all("f") if name != "large"]
    await store.delete("f", pieces[0])
    with pytest.raises(StoreFault, match="a piece of f/large is gone"):
        await read_large(store, "f", "large")


async def test_there_is_a_largest_document(store: Store) -> None:
    with pytest.raises(TooLarge):
        await write_large(store, "f", "n", {"image": CHAOS.randbytes(PIECE * MOST_PIECES).hex()})
    assert await store.read_all("f") == {}


def kept(text: str = "Hi") -> dict[str, Any]:
    output = [{"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": text}]}, {"type": "x"}]
    return {"input": [{"role": "user", "content": "Hello"}], "output": output, "response": {"id": "resp_1"}}


async def test_a_response_is_kept_for_its_caller(store: Store) -> None:
    keeper = ResponseKeeper(store, SystemClock(), RecordingLog(), 30)
    other = ResponseKeeper(store, VirtualClock(), RecordingLog(), 30)
    keeper.keep("key/a b", "resp_1", kept())
    for _ in range(2):  # before it is written, and after
        assert await keeper.response("key/a b", "resp_1") == kept()
        assert await keeper.response("key_b", "resp_1") is None
        assert await keeper.items("key/a b", ["msg_1", "msg_2"]) == {"msg_1": kept()["output"][0]}
        assert await keeper.items("key_b", ["msg_1"]) == {}
        await keeper.flush()
    assert await other.response("key/a b", "resp_1") == kept()
    assert not await keeper.delete("key_b", "resp_1")
    assert await keeper.delete("key/a b", "resp_1")
    assert await other.response("key/a b", "resp_1") is None
    assert await other.items("key/a b", ["msg_1"]) == {}
