"""Responses that wait for a store which does not take them."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from core.ports import StoredDocument, StoreFault
from handlers.io.large_documents import MOST_PIECES, PIECE
from handlers.kept_responses import MOST_WAITING, ResponseKeeper
from tests.gateways import RecordingLog
from tests.scripted import VirtualClock


class AwayStore:
    """A store that cannot be written to until it is `back`."""

    def __init__(self, *, back: bool = False) -> None:
        self.back = back
        self.written: dict[str, StoredDocument] = {}
        self.calls = 0

    async def write(self, folder: str, documents: dict[str, StoredDocument], expires: float | None = None) -> None:
        if not self.back:
            raise StoreFault("away")
        await asyncio.sleep(0)
        self.calls += 1
        self.written |= {f"{folder}/{name}": document for name, document in documents.items()}

    async def read(self, folder: str, name: str) -> StoredDocument | None:
        return self.written.get(f"{folder}/{name}")

    async def delete(self, folder: str, name: str) -> None:
        del self.written[f"{folder}/{name}"]


def document(*output: Any) -> dict[str, Any]:
    return {"input": [], "output": list(output), "response": {}}


async def test_what_a_store_does_not_take_waits() -> None:
    store, log = AwayStore(), RecordingLog()
    keeper = ResponseKeeper(store, VirtualClock(), log, 1)  # type: ignore[arg-type]
    for number in range(MOST_WAITING + 1):
        keeper.keep("a", f"resp_{number}", document({"id": 7}))
    await keeper.flush()
    assert [line[1] for line in log.lines] == ["response_not_kept", "store_fault"]
    store.back = True
    await keeper.flush()
    assert len(store.written) == MOST_WAITING


async def test_answers_that_end_side_by_side_write_each_response_once() -> None:
    store = AwayStore(back=True)
    keeper = ResponseKeeper(store, VirtualClock(), RecordingLog(), 1)  # type: ignore[arg-type]
    for number in range(20):
        keeper.keep("a", f"resp_{number}", document())
    await asyncio.gather(*(keeper.flush() for _ in range(20)))
    assert store.calls == 20 == len(store.written)


async def outputs(keeper: ResponseKeeper, *owners: str) -> list[Any]:
    found = [await keeper.response(owner, "resp_1") for owner in owners]
    return [None if each is None else each["output"][0]["text"] for each in found]


async def test_an_answer_under_the_id_of_one_that_is_being_written() -> None:
    store = AwayStore(back=True)
    keeper = ResponseKeeper(store, VirtualClock(), RecordingLog(), 1)  # type: ignore[arg-type]
    keeper.keep("a", "resp_1", document({"text": "first"}))
    writing = asyncio.create_task(keeper.flush())
    await asyncio.sleep(0)
    keeper.keep("a", "resp_1", document({"text": "second"}))
    keeper.keep("b", "resp_1", document({"text": "another caller's"}))
    await keeper.flush()
    assert await outputs(keeper, "a", "b", "c") == ["second", "another caller's", None]
    await writing
    assert await outputs(keeper, "a", "b", "c") == ["second", "another caller's", None]
    assert store.calls == 3


async def test_what_is_deleted_while_it_is_being_written_is_gone() -> None:
    store = AwayStore(back=True)
    keeper = ResponseKeeper(store, VirtualClock(), RecordingLog(), 1)  # type: ignore[arg-type]
    keeper.keep("a", "resp_1", document({"text": "first"}))
    writing = asyncio.create_task(keeper.flush())
    await asyncio.sleep(0)
    assert await keeper.delete("a", "resp_1")
    await writing
    assert store.written == {}


async def test_what_is_too_large_is_logged() -> None:
    store, log = AwayStore(back=True), RecordingLog()
    keeper = ResponseKeeper(store, VirtualClock(), log, 1)  # type: ignore[arg-type]
    keeper.keep("a", "resp_1", document({"result": random.Random(1).randbytes(PIECE * MOST_PIECES).hex()}))
    keeper.keep("a", "resp_2", document())
    await keeper.flush()
    assert log.lines[0][1] == "response_not_kept"
    assert list(store.written) == ["responses:a/resp_2"]
