"""core.ports.Store in one DynamoDB table, spoken to by signed JSON calls (no SDK on the request path).

Items: documents under `pk` "d:<folder>", `sk` the name, the document in `body`; counters under "c:<counter>", `sk` "-",
with the sum in `total` and each hold in an attribute of its own, `h:<id>` = {a: amount, l: lease}. `expires` is the
table's TTL attribute. A charge is one UpdateItem with a condition, which DynamoDB runs one after the other per item.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import batched
from math import ceil
from typing import Any

from core.ports import Charge, Hold, Shortage, StoredDocument, StoreFault
from core.slotted import slotted
from handlers.io.store_http import Answer, Call, CloudClient

SCHEMA = 1
# A lapsed hold is remembered this long, so that a settlement that comes late still counts, once.
LAPSED_SECONDS = 86_400.0
# TTL deletes some time after the second that an item names; counters stay readable for this long after their window.
COUNTER_GRACE = 86_400.0
# An update expression has a bound (4 KB); so many lapsed holds are given back at once.
LAPSED_AT_ONCE = 15
BATCH_WRITE = 25
BATCH_READ = 100
_TRIES = 20

_THROTTLES = ("ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded")

type Item = dict[str, Any]


def is_throttled(answer: Answer) -> bool:
    """Whether DynamoDB asks to come again: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"""
    return answer.status == 400 and any(name in _error_type(answer) for name in _THROTTLES)


def _error_type(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body).get("__type", ""))
    except ValueError:
        return ""


@slotted
class DynamoStore:
    """The store in `table`, behind `endpoint` (the region's, or an emulator's)."""

    client: CloudClient
    endpoint: str
    table: str

    async def prepare(self) -> None:
        await self._make_table()
        found = await self.read("meta", "schema")
        version = int(found["version"]) if found is not None else 0
        if version > SCHEMA:
            raise StoreFault(f"the DynamoDB table {self.table} has schema {version}; this version reads {SCHEMA}")
        for step in range(version, SCHEMA):
            await _MIGRATIONS[step](self)
            await self.write("meta", {"schema": {"version": step + 1}})

    async def read(self, folder: str, name: str) -> StoredDocument | None:
        key = {"pk": {"S": f"d:{folder}"}, "sk": {"S": name}}
        answer = await self._call("GetItem", Key=key, ConsistentRead=True)
        return _document(answer["Item"]) if "Item" in answer else None

    async def write(
        self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None = None
    ) -> None:
        items = [_item(folder, name, document, expires) for name, document in documents.items()]
        for batch in batched(items, BATCH_WRITE, strict=False):
            left = {self.table: [{"PutRequest": {"Item": item}} for item in batch]}
            for _ in range(_TRIES):
                answer = await self._call("BatchWriteItem", table=False, RequestItems=left)
                left = answer.get("UnprocessedItems") or {}
                if not left:
                    break
                await self.client.clock.sleep(0.05)
            else:
                raise StoreFault(f"the DynamoDB table {self.table} does not take writes")

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
        answer = await self._send(
            "PutItem", TableName=self.table, ReturnValuesOnConditionCheckFailure="ALL_OLD", **put
        )
        if answer.status == 200:
            return True
        if "ConditionalCheckFailed" in _error_type(answer):
            item = json.loads(answer.body).get("Item")
            return item is not None and _document(item) == after  # an earlier try got through
        raise self._fault("PutItem", answer)

    async def read_all(self, folder: str) -> Mapping[str, StoredDocument]:
        found: dict[str, StoredDocument] = {}
        page: dict[str, Any] = {}
        while True:
            answer = await self._call(
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
        answer = await self._call(
            "Query", KeyConditionExpression=condition, ExpressionAttributeValues=values, ConsistentRead=True, Limit=most
        )
        return {item["sk"]["S"]: _document(item) for item in answer.get("Items", ())}

    async def delete(self, folder: str, name: str) -> None:
        await self._call("DeleteItem", Key={"pk": {"S": f"d:{folder}"}, "sk": {"S": name}})

    async def purge(self, now: float) -> int:
        """Nothing: the table's TTL does it."""
        return 0

    async def reserve(self, hold: Hold, now: float) -> Shortage | None:
        """The charges go out together, so they cost one round trip. Those beside a short one are given back, which
        may refuse others for a moment but never lets one too many pass."""
        taking = (self._take(hold, charge, now) for charge in hold.charges)
        taken = await asyncio.gather(*taking, return_exceptions=True)
        faults = [outcome for outcome in taken if isinstance(outcome, BaseException)]
        shortages = [outcome for outcome in taken if isinstance(outcome, Shortage)]
        if faults or shortages:
            given = [charge for charge, outcome in zip(hold.charges, taken, strict=True) if outcome is None]
            await asyncio.gather(*(self._settle(hold, charge, 0) for charge in given), return_exceptions=True)
        if faults:
            raise faults[0]
        return shortages[0] if shortages else None

    async def settle(self, hold: Hold, actual: Mapping[str, int], now: float) -> None:
        await asyncio.gather(*(self._settle(hold, each, actual.get(each.counter, 0)) for each in hold.charges))

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        found = dict.fromkeys(counters, 0)
        for batch in batched(found, BATCH_READ, strict=False):
            keys = {"Keys": [_counter_key(counter) for counter in batch], "ConsistentRead": True}
            answer = await self._call("BatchGetItem", table=False, RequestItems={self.table: keys})
            for item in answer.get("Responses", {}).get(self.table, ()):
                lapsed = sum(amount for _, amount in _lapsed(item, now))
                found[item["pk"]["S"][2:]] = int(item["total"]["N"]) - lapsed
        return found

    async def close(self) -> None:
        return None

    async def _take(self, hold: Hold, charge: Charge, now: float) -> Shortage | None:
        """Raises one counter. A refusal shows the item: its lapsed holds are given back and it is tried again."""
        if charge.limit is not None and charge.amount > charge.limit:
            return Shortage(charge, (await self.totals([charge.counter], now))[charge.counter])
        for _ in range(_TRIES):
            item = await self._update(charge.counter, _taking(hold, charge))
            if item is None or f"h:{hold.id}" in item:
                return None  # taken, or an earlier try of the same request got through
            lapsed = _lapsed(item, now)
            if not lapsed:
                return Shortage(charge, int(item["total"]["N"]))
            await self._give_back(charge.counter, lapsed[:LAPSED_AT_ONCE], now)
        raise StoreFault(f"the counter {charge.counter} is too contended")

    async def _give_back(self, counter: str, lapsed: Sequence[tuple[str, int]], now: float) -> None:
        names = {"#t": "total"}
        values: Item = {":sum": {"N": str(-sum(amount for _, amount in lapsed))}, ":zero": {"N": "0"}}
        values[":later"] = {"N": repr(now + LAPSED_SECONDS)}
        sets, conditions = [], []
        for index, (name, amount) in enumerate(lapsed):
            names[f"#h{index}"] = name
            values[f":a{index}"] = {"N": str(amount)}
            sets.append(f"#h{index}.a = :zero, #h{index}.l = :later")
            conditions.append(f"#h{index}.a = :a{index}")
        update = f"SET {', '.join(sets)} ADD #t :sum"
        await self._update(counter, _Update(update, " AND ".join(conditions), names, values))

    async def _settle(self, hold: Hold, charge: Charge, actual: int) -> None:
        """First for the hold as it was made; then, where its lease was over and it was given back, for nothing held.
        Where there is no hold any more it was settled before."""
        held = charge.amount
        for _ in range(2):
            names = {"#t": "total", "#h": f"h:{hold.id}"}
            values = {":delta": {"N": str(actual - held)}, ":held": {"N": str(held)}}
            update = _Update("REMOVE #h ADD #t :delta", "#h.a = :held", names, values)
            item = await self._update(charge.counter, update)
            if item is None or f"h:{hold.id}" not in item:
                return
            held = int(item[f"h:{hold.id}"]["M"]["a"]["N"])

    async def _update(self, counter: str, update: _Update) -> Item | None:
        """None when done; the item as it stands when the condition does not hold."""
        answer = await self._send(
            "UpdateItem", TableName=self.table, Key=_counter_key(counter), UpdateExpression=update.expression,
            ConditionExpression=update.condition, ExpressionAttributeNames=update.names,
            ExpressionAttributeValues=update.values, ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        if answer.status == 200:
            return None
        if "ConditionalCheckFailed" in _error_type(answer):
            item: Item = json.loads(answer.body).get("Item", {})
            return item
        raise self._fault("UpdateItem", answer)

    async def _make_table(self) -> None:
        answer = await self._send("DescribeTable", TableName=self.table)
        if answer.status == 200:
            return
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
        types = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
        answer = await self._send(
            "CreateTable", TableName=self.table, KeySchema=keys, AttributeDefinitions=types,
            BillingMode="PAY_PER_REQUEST",
        )
        if answer.status != 200 and "ResourceInUse" not in _error_type(answer):
            raise self._fault("CreateTable", answer)
        for _ in range(_TRIES):
            described = await self._call("DescribeTable")
            if described["Table"]["TableStatus"] == "ACTIVE":
                return
            await self.client.clock.sleep(1.0)
        raise StoreFault(f"the DynamoDB table {self.table} does not become active")

    async def expire_items(self) -> None:
        """Turns the table's TTL on; it may be on already, which DynamoDB calls a ValidationException."""
        specification = {"AttributeName": "expires", "Enabled": True}
        answer = await self._send("UpdateTimeToLive", TableName=self.table, TimeToLiveSpecification=specification)
        if answer.status != 200 and "ValidationException" not in _error_type(answer):
            raise self._fault("UpdateTimeToLive", answer)

    async def _call(self, operation: str, *, table: bool = True, **members: Any) -> Any:
        named = {"TableName": self.table, **members} if table else members
        answer = await self._send(operation, **named)
        if answer.status != 200:
            raise self._fault(operation, answer)
        return json.loads(answer.body)

    async def _send(self, operation: str, **members: Any) -> Answer:
        headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", f"DynamoDB_20120810.{operation}"),
        ]
        return await self.client.send(Call("POST", f"{self.endpoint}/", headers, json.dumps(members).encode()))

    def _fault(self, operation: str, answer: Answer) -> StoreFault:
        reason = _error_type(answer).rpartition("#")[2] or f"status {answer.status}"
        return StoreFault(f"the DynamoDB table {self.table}: {operation} answered {reason}")


_MIGRATIONS = (DynamoStore.expire_items,)


@slotted(frozen=True)
class _Update:
    expression: str
    condition: str
    names: Mapping[str, str]
    values: Mapping[str, Any]


def _taking(hold: Hold, charge: Charge) -> _Update:
    names = {"#t": "total", "#h": f"h:{hold.id}"}
    values: Item = {
        ":amount": {"N": str(charge.amount)},
        ":hold": {"M": {"a": {"N": str(charge.amount)}, "l": {"N": repr(hold.lease)}}},
    }
    sets = "#h = :hold"
    if charge.until is not None:
        names["#e"], values[":e"] = "expires", {"N": str(ceil(charge.until + COUNTER_GRACE))}
        sets += ", #e = :e"
    condition = "attribute_not_exists(#h)"
    if charge.limit is not None:
        values[":room"] = {"N": str(charge.limit - charge.amount)}
        condition += " AND (attribute_not_exists(#t) OR #t <= :room)"
    return _Update(f"SET {sets} ADD #t :amount", condition, names, values)


def _lapsed(item: Mapping[str, Any], now: float) -> list[tuple[str, int]]:
    """The holds of a counter that are over and not given back: attribute names and amounts."""
    holds = [(name, value["M"]) for name, value in item.items() if name.startswith("h:")]
    return [
        (name, int(hold["a"]["N"])) for name, hold in holds if int(hold["a"]["N"]) and float(hold["l"]["N"]) < now
    ]


def _counter_key(counter: str) -> Item:
    return {"pk": {"S": f"c:{counter}"}, "sk": {"S": "-"}}


def _item(folder: str, name: str, document: StoredDocument, expires: float | None) -> Item:
    item: Item = {"pk": {"S": f"d:{folder}"}, "sk": {"S": name}, "body": {"S": json.dumps(document)}}
    if expires is not None:
        item["expires"] = {"N": str(ceil(expires))}
    return item


def _document(item: Item) -> StoredDocument:
    document: StoredDocument = json.loads(item["body"]["S"])
    return document
