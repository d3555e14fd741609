"""core.ports.KeptResponses over the store. Imported when a client of the Responses API first needs it.

Answers wait in memory until `flush`, which the doors call after each answer, and can be asked for at once in the
process that gave them. Another process may be asked for one a moment before it is written, so what is not there is
looked for a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from core.json_edit import JsonObject
from core.ports import Clock, Log, Store, StoredDocument, StoreFault
from core.slotted import slotted
from handlers.io.large_documents import TooLarge, delete_large, read_large, write_large

DAY = 86_400.0
# Seconds after which a response that is not there is looked for once more.
SECOND_LOOK = 0.3
# A store that is away for long must not fill the memory.
MOST_WAITING = 100


# The caller whose it is, and its id: servers that count their answers from one give the same ids to all.
type Key = tuple[str, str]


@slotted(frozen=True)
class _Waiting:
    document: StoredDocument
    expires: float


class ResponseKeeper:
    """Keeps responses for `days`. One caller's are in a folder that no other caller's request looks into."""

    def __init__(self, store: Store, clock: Clock, log: Log, days: float) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._days = days
        self._waiting: dict[Key, _Waiting] = {}
        self._written: dict[Key, asyncio.Event] = {}  # of those that are being written

    async def response(self, owner: str, response_id: str) -> StoredDocument | None:
        waiting = self._waiting.get((owner, response_id))
        if waiting is not None:
            return waiting.document
        found = await read_large(self._store, _folder(owner), response_id)
        if found is None:
            await self._clock.sleep(SECOND_LOOK)
            found = await read_large(self._store, _folder(owner), response_id)
        return found

    async def items(self, owner: str, ids: Sequence[str]) -> Mapping[str, JsonObject]:
        found = await asyncio.gather(*(self._item(owner, item_id) for item_id in ids))
        return {item_id: item for item_id, item in zip(ids, found, strict=True) if item is not None}

    async def _item(self, owner: str, item_id: str) -> JsonObject | None:
        for (caller, _), waiting in self._waiting.items():
            if caller == owner:
                for item in waiting.document["output"]:
                    if item.get("id") == item_id:
                        return dict(item)
        stored = await read_large(self._store, _items_folder(owner), item_id)
        return None if stored is None else dict(stored["item"])

    def keep(self, owner: str, response_id: str, document: StoredDocument) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._log.event("error", "response_not_kept", reason="the store is away", response=response_id)
            return
        self._waiting[owner, response_id] = _Waiting(document, self._clock.time() + self._days * DAY)

    async def delete(self, owner: str, response_id: str) -> bool:
        await self.flush()
        if (written := self._written.get((owner, response_id))) is not None:
            await written.wait()
        document = await read_large(self._store, _folder(owner), response_id)
        if document is None:
            return False
        folder = _items_folder(owner)
        await asyncio.gather(*(delete_large(self._store, folder, item_id) for item_id in _item_ids(document)))
        return await delete_large(self._store, _folder(owner), response_id)

    async def flush(self) -> None:
        """Writes what waits. What the store does not take waits on; nothing is raised. Answers end side by side, and
        each of them flushes: what another one writes already is left to it."""
        for key in list(self._waiting):
            if key in self._written:
                continue
            written = self._written[key] = asyncio.Event()
            try:
                await self._write_latest(key)
            except StoreFault as fault:
                self._log.event("warning", "store_fault", during="keeping responses", error=str(fault))
                return
            finally:
                del self._written[key]
                written.set()

    async def _write_latest(self, key: Key) -> None:
        """What waits under `key`, and what took its place in the meantime."""
        while (waiting := self._waiting.get(key)) is not None:
            try:
                await self._write(key, waiting)
            except TooLarge as fault:
                self._log.event("warning", "response_not_kept", reason=f"too large: {fault}", response=key[1])
            if self._waiting.get(key) is waiting:
                del self._waiting[key]

    async def _write(self, key: Key, waiting: _Waiting) -> None:
        """The items first: a response that can be found has all of them. May be done twice without harm."""
        owner, response_id = key
        folder = _items_folder(owner)
        items = {str(item["id"]): item for item in waiting.document["output"] if _item_id(item)}
        writes = (
            write_large(self._store, folder, item_id, {"item": item}, waiting.expires)
            for item_id, item in items.items()
        )
        await asyncio.gather(*writes)
        await write_large(self._store, _folder(owner), response_id, waiting.document, waiting.expires)


def _folder(owner: str) -> str:
    return f"responses:{owner}"


def _items_folder(owner: str) -> str:
    return f"response-items:{owner}"


def _item_ids(document: StoredDocument) -> list[str]:
    return [item_id for item_id in map(_item_id, document["output"]) if item_id]


def _item_id(item: JsonObject) -> str:
    item_id = item.get("id")
    return item_id if isinstance(item_id, str) else ""
