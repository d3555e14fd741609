"""core.ports.Store in one Azure table, spoken to by REST (no SDK on the request path).

Entities: documents with PartitionKey "d-<folder>" and RowKey the name, their JSON in `body0`, `body1`, ...; counters
with PartitionKey "c-<counter>" (handlers.io.table_counters). Days are folders, and windows are parts of counters'
names: what is read together is in one partition, and what is over is partitions of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import batched

from core.ports import Hold, Settlement, Shortage, StoredDocument, Taken
from handlers.io.azure_table import AzureTable, Entity, EntityChange, joined, key_of, name_of, pieces
from handlers.io.schema import Schema, nothing_to_change
from handlers.io.shards import Spread, settle_all
from handlers.io.store_http import CloudClient
from handlers.io.table_counters import TableCounters

# So many entities are dropped by one purge, and so many of them at once.
PURGE_AT_ONCE = 500
_SIDE_BY_SIDE = 20
# The service looks through a table for up to 5 s before it answers with a page, which may be empty.
_PURGE_SECONDS = 15.0


class TableStore:
    """The store in `table` of the account at `endpoint` (`https://ACCOUNT.table.core.windows.net`). `spread` says where
    counters that are hot are charged; without it each has one entity."""

    def __init__(self, client: CloudClient, endpoint: str, table: str, spread: Spread | None = None) -> None:
        self._table = AzureTable(client, endpoint.rstrip("/"), table)
        self._counters = TableCounters(self._table, spread or Spread(1, client.random))
        self._schema = Schema(f"the Azure table {table}", (nothing_to_change,), self._version, self._set_version)

    async def prepare(self) -> None:
        body = json.dumps({"TableName": self._table.name}).encode()
        url = f"{self._table.endpoint}/Tables"
        answer = await self._table.send("POST", url, [("prefer", "return-no-content")], body)
        if answer.status not in (201, 204, 409):
            raise self._table.fault("creating it", answer)
        await self._schema.check()

    async def read(self, folder: str, name: str) -> StoredDocument | None:
        return await self._schema.beside(lambda: self._read(folder, name))

    async def _read(self, folder: str, name: str) -> StoredDocument | None:
        answer = await self._table.send("GET", self._table.entity_url(f"d-{folder}", name))
        if answer.status == 404:
            return None
        return _document(self._table.json(answer, "reading"))

    async def write(
        self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None = None
    ) -> None:
        await self._schema.beside(lambda: self._write(folder, documents, expires))

    async def _write(self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None) -> None:
        async def put(name: str, document: StoredDocument) -> None:
            entity = json.dumps(_entity_of(document, expires)).encode()
            answer = await self._table.send("PUT", self._table.entity_url(f"d-{folder}", name), [], entity)
            self._table.check(answer, "writing")

        await asyncio.gather(*(put(name, document) for name, document in documents.items()))

    async def replace(
        self, folder: str, name: str, change: tuple[StoredDocument | None, StoredDocument], expires: float | None = None
    ) -> bool:
        before, after = change
        found = await self._table.send("GET", self._table.entity_url(f"d-{folder}", name))
        standing = None if found.status == 404 else _document(self._table.json(found, "reading"))
        if standing != before:
            return standing == after  # an earlier try got through
        tag = None if before is None else found.headers.get("etag", "")
        if await self._table.put(EntityChange(f"d-{folder}", name, _entity_of(after, expires), tag)) is not None:
            return True
        return await self._read(folder, name) == after

    async def read_all(self, folder: str) -> Mapping[str, StoredDocument]:
        entities = await self._table.query(f"PartitionKey eq '{key_of(f'd-{folder}')}'")
        return {name_of(entity["RowKey"]): _document(entity) for entity in entities}

    async def read_page(self, folder: str, after: str = "", most: int = 500) -> Mapping[str, StoredDocument]:
        condition = f"PartitionKey eq '{key_of(f'd-{folder}')}'"
        condition += f" and RowKey gt '{key_of(after)}'" if after else ""
        entities = await self._table.query(condition, most=most)
        return {name_of(entity["RowKey"]): _document(entity) for entity in entities}

    async def delete(self, folder: str, name: str) -> None:
        await self._table.remove(self._table.entity_url(f"d-{folder}", name))

    async def purge(self, now: float) -> int:
        entities = await self._table.query(
            f"expires lt {float(now)!r}", "PartitionKey,RowKey", most=PURGE_AT_ONCE, seconds=_PURGE_SECONDS
        )
        for some in batched(entities, _SIDE_BY_SIDE, strict=False):
            keys = ((entity["PartitionKey"], entity["RowKey"]) for entity in some)
            await asyncio.gather(*(self._table.remove(self._table.url(*each)) for each in keys))
        return len(entities)

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        return await self._schema.beside(lambda: self._counters.reserve(hold, now))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        await settle_all(settlements, self._counters.settle)

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        return await self._counters.totals(counters, now)

    async def close(self) -> None:
        await self._counters.close()

    async def _version(self) -> int:
        found = await self._read("meta", "schema")
        return int(found["version"]) if found is not None else 0

    async def _set_version(self, version: int) -> None:
        await self._write("meta", {"schema": {"version": version}}, None)


def _entity_of(document: StoredDocument, expires: float | None) -> Entity:
    entity = pieces("body", json.dumps(document))
    if expires is not None:
        entity |= {"expires": float(expires), "expires@odata.type": "Edm.Double"}
    return entity


def _document(entity: Entity) -> StoredDocument:
    document: StoredDocument = json.loads(joined("body", entity))
    return document
