"""core.ports.Store in one DynamoDB table, spoken to by signed JSON calls (no SDK on the request path).

Items: documents under `pk` "d:<folder>", `sk` the name, the document in `body`; counters under "c:<counter>"
(handlers.io.dynamodb_counters). `expires` is the table's TTL attribute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import batched
from math import ceil
from typing import Any

from core.ports import Hold, Settlement, Shortage, StoredDocument, StoreFault, Taken
from handlers.io.dynamodb_counters import DynamoCounters
from handlers.io.dynamodb_table import DynamoTable, Item, error_type, is_throttled
from handlers.io.schema import Schema, nothing_to_change
from handlers.io.shards import Spread, settle_all
from handlers.io.store_http import CloudClient

__all__ = ["DynamoStore", "is_throttled"]

BATCH_WRITE = 25
_TRIES = 20


class DynamoStore:
    """The store in `table`, behind `endpoint` (the region's, or an emulator's). `spread` says where counters that are
    hot are charged; without it each has one item."""

    def __init__(self, client: CloudClient, endpoint: str, table: str, spread: Spread | None = None) -> None:
        self._table = DynamoTable(client, endpoint, table)
        self._counters = DynamoCounters(self._table, spread or Spread(1, client.random))
        steps = (nothing_to_change,)
        self._schema = Schema(f"the DynamoDB table {table}", steps, self._version, self._set_version)

    async def prepare(self) -> None:
        await self._make_table()
        await self._expire_items()
        await self._schema.check()

    async def read(self, folder: str, name: str) -> StoredDocument | None:
        return await self._schema.beside(lambda: self._read(folder, name))

    async def _read(self, folder: str, name: str) -> StoredDocument | None:
        key = {"pk": {"S": f"d:{folder}"}, "sk": {"S": name}}
        answer = await self._table.call("GetItem", Key=key, ConsistentRead=True)
        return _document(answer["Item"]) if "Item" in answer else None

    async def write(
        self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None = None
    ) -> None:
        await self._schema.beside(lambda: self._write(folder, documents, expires))

    async def _write(self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None) -> None:
        items = [_item(folder, name, document, expires) for name, document in documents.items()]
        for batch in batched(items, BATCH_WRITE, strict=False):
            left = {self._table.name: [{"PutRequest": {"Item": item}} for item in batch]}
            for _ in range(_TRIES):
                answer = await self._table.call("BatchWriteItem", named=False, RequestItems=left)
                left = answer.get("UnprocessedItems") or {}
                if not left:
                    break
                await self._table.client.clock.sleep(0.05)
            else:
                raise StoreFault(f"the DynamoDB table {self._table.name} does not take writes")

    async def replace(
        self, folder: str, name: str, change: tuple[StoredDocument | None, StoredDocument], expires: float | None = None
    ) -> bool:
        before, after = change
        put: dict[str, Any] = {"Item": _item(folder, name, after, expires)}
        if before is None:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            # The text that a document was written as is the text that it is written as again.
            put |= {"ConditionExpression": "body = :b", "ExpressionAttributeValues": {":b": {"S": json.dumps(before)}}}
        answer = await self._table.send(
            "PutItem", TableName=self._table.name, ReturnValuesOnConditionCheckFailure="ALL_OLD", **put
        )
        if answer.status == 200:
            return True
        if "ConditionalCheckFailed" in error_type(answer):
            item = json.loads(answer.body).get("Item")
            return item is not None and _document(item) == after  # an earlier try got through
        raise self._table.fault("PutItem", answer)

    async def read_all(self, folder: str) -> Mapping[str, StoredDocument]:
        found: dict[str, StoredDocument] = {}
        page: dict[str, Any] = {}
        while True:
            answer = await self._table.call(
                "Query", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": f"d:{folder}"}},
                ConsistentRead=True, **page,
            )
            found |= {item["sk"]["S"]: _document(item) for item in answer.get("Items", ())}
            if "LastEvaluatedKey" not in answer:
                return found
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def read_page(self, folder: str, after: str = "", most: int = 500) -> Mapping[str, StoredDocument]:
        condition, values = "pk = :pk", {":pk": {"S": f"d:{folder}"}}
        if after:  # an empty text is no key
            condition, values[":after"] = f"{condition} AND sk > :after", {"S": after}
        answer = await self._table.call(
            "Query", KeyConditionExpression=condition, ExpressionAttributeValues=values, ConsistentRead=True, Limit=most
        )
        return {item["sk"]["S"]: _document(item) for item in answer.get("Items", ())}

    async def delete(self, folder: str, name: str) -> None:
        await self._table.call("DeleteItem", Key={"pk": {"S": f"d:{folder}"}, "sk": {"S": name}})

    async def purge(self, now: float) -> int:
        """Nothing: the table's TTL does it."""
        return 0

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        return await self._schema.beside(lambda: self._counters.reserve(hold, now))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        await settle_all(settlements, self._counters.settle)

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        return await self._counters.totals(counters, now)

    async def close(self) -> None:
        return None

    async def _make_table(self) -> None:
        answer = await self._table.send("DescribeTable", TableName=self._table.name)
        if answer.status == 200:
            return
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
        types = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
        answer = await self._table.send(
            "CreateTable", TableName=self._table.name, KeySchema=keys, AttributeDefinitions=types,
            BillingMode="PAY_PER_REQUEST",
        )
        if answer.status != 200 and "ResourceInUse" not in error_type(answer):
            raise self._table.fault("CreateTable", answer)
        for _ in range(_TRIES):
            described = await self._table.call("DescribeTable")
            if described["Table"]["TableStatus"] == "ACTIVE":
                return
            await self._table.client.clock.sleep(1.0)
        raise StoreFault(f"the DynamoDB table {self._table.name} does not become active")

    async def _expire_items(self) -> None:
        """Turns the table's TTL on; it may be on already, which DynamoDB calls a ValidationException."""
        specification = {"AttributeName": "expires", "Enabled": True}
        answer = await self._table.send(
            "UpdateTimeToLive", TableName=self._table.name, TimeToLiveSpecification=specification
        )
        if answer.status != 200 and "ValidationException" not in error_type(answer):
            raise self._table.fault("UpdateTimeToLive", answer)

    async def _version(self) -> int:
        found = await self._read("meta", "schema")
        return int(found["version"]) if found is not None else 0

    async def _set_version(self, version: int) -> None:
        await self._write("meta", {"schema": {"version": version}}, None)


def _item(folder: str, name: str, document: StoredDocument, expires: float | None) -> Item:
    item: Item = {"pk": {"S": f"d:{folder}"}, "sk": {"S": name}, "body": {"S": json.dumps(document)}}
    if expires is not None:
        item["expires"] = {"N": str(ceil(expires))}
    return item


def _document(item: Item) -> StoredDocument:
    document: StoredDocument = json.loads(item["body"]["S"])
    return document
