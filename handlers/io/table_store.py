"""core.ports.Store in one Azure table, spoken to by REST (no SDK on the request path).

Entities: documents with PartitionKey "d-<folder>" and RowKey the name, their JSON in `body0`, `body1`, ...; counters
with PartitionKey "c-<counter>" and RowKey "-", their sum in `total` and their holds as JSON in `holds0`, ...
A counter is changed by reading it and writing it back under its ETag, all changes that wait in this process in one
write: a conflict (412, 409) with another process is tried again.
https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import formatdate
from hashlib import sha256
from hmac import digest
from typing import Any
from urllib.parse import quote, urlsplit

from core.http import HeaderList
from core.ports import BackendRequest, Charge, Clock, Hold, Shortage, StoredDocument, StoreFault
from core.slotted import field, slotted
from handlers.io.key_auth import replace_headers
from handlers.io.store_http import Answer, Call, CloudClient

SCHEMA = 1
VERSION = "2019-02-02"
# A lapsed hold is remembered this long, so that a settlement that comes late still counts, once.
LAPSED_SECONDS = 86_400.0
# A property holds 64 KiB of UTF-16: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
PIECE = 30_000
_CONFLICTS = 60
_KEY_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@ "

type Entity = dict[str, Any]


def is_throttled(answer: Answer) -> bool:
    """Whether the service asks to come again (503 is a fault of any service already)."""
    return answer.status == 429


@slotted(frozen=True)
class SharedKey:
    """Signs with the account's key (SharedKeyLite), for Azurite and for accounts that still allow it.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """

    account: str
    key: str = field(repr=False)
    clock: Clock

    async def authorize(self, request: BackendRequest) -> None:
        date = formatdate(self.clock.time(), usegmt=True)
        text = f"{date}\n/{self.account}{urlsplit(request.url).path}"
        signature = b64encode(digest(b64decode(self.key), text.encode(), sha256)).decode()
        added = [("x-ms-date", date), ("authorization", f"SharedKeyLite {self.account}:{signature}")]
        replace_headers(request.headers, added)


@slotted(frozen=True)
class TokenKey:
    """A token of a cloud identity. `token` gives one for the audience https://storage.azure.com/ that holds now."""

    token: Callable[[], Awaitable[str]]
    clock: Clock

    async def authorize(self, request: BackendRequest) -> None:
        date = formatdate(self.clock.time(), usegmt=True)
        replace_headers(request.headers, [("x-ms-date", date), ("authorization", f"Bearer {await self.token()}")])


@slotted
class _Counter:
    """A counter as read: its sum, its holds (id to amount and lease), and the ETag to write it back under."""

    total: int = 0
    holds: dict[str, list[float]] = field(default_factory=dict)
    until: float | None = None
    etag: str | None = None


type _Change = Callable[[_Counter], Shortage | None]


class TableStore:
    """The store in `table` of the account at `endpoint` (`https://ACCOUNT.table.core.windows.net`)."""

    def __init__(self, client: CloudClient, endpoint: str, table: str) -> None:
        self._client = client
        self._endpoint = endpoint.rstrip("/")
        self._table = table
        self._waiting: dict[str, list[tuple[_Change, asyncio.Future[Shortage | None]]]] = {}
        self._writers: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        body = json.dumps({"TableName": self._table}).encode()
        answer = await self._send("POST", f"{self._endpoint}/Tables", [("prefer", "return-no-content")], body)
        if answer.status not in (201, 204, 409):
            raise self._fault("creating it", answer)
        found = await self.read("meta", "schema")
        version = int(found["version"]) if found is not None else 0
        if version > SCHEMA:
            raise StoreFault(f"the Azure table {self._table} has schema {version}; this version reads {SCHEMA}")
        if version < SCHEMA:
            await self.write("meta", {"schema": {"version": SCHEMA}})

    async def read(self, folder: str, name: str) -> StoredDocument | None:
        answer = await self._send("GET", self._entity(f"d-{folder}", name))
        if answer.status == 404:
            return None
        return _document(self._json(answer, "reading"))

    async def write(
        self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None = None
    ) -> None:
        async def put(name: str, document: StoredDocument) -> None:
            entity = json.dumps(_entity_of(document, expires)).encode()
            answer = await self._send("PUT", self._entity(f"d-{folder}", name), [], entity)
            self._check(answer, "writing")

        await asyncio.gather(*(put(name, document) for name, document in documents.items()))

    async def replace(
        self, folder: str, name: str, change: tuple[StoredDocument | None, StoredDocument], expires: float | None = None
    ) -> bool:
        before, after = change
        found = await self._send("GET", self._entity(f"d-{folder}", name))
        standing = None if found.status == 404 else _document(self._json(found, "reading"))
        if standing != before:
            return standing == after  # an earlier try got through
        entity = _entity_of(after, expires)
        if before is None:
            entity |= {"PartitionKey": _key(f"d-{folder}"), "RowKey": _key(name)}
            headers = [("prefer", "return-no-content")]
            answer = await self._send("POST", f"{self._endpoint}/{self._table}", headers, json.dumps(entity).encode())
        else:
            headers = [("if-match", found.headers.get("etag", ""))]
            answer = await self._send("PUT", self._entity(f"d-{folder}", name), headers, json.dumps(entity).encode())
        if answer.status in (404, 409, 412):
            return await self.read(folder, name) == after
        self._check(answer, "replacing")
        return True

    async def read_all(self, folder: str) -> Mapping[str, StoredDocument]:
        entities = await self._query(f"PartitionKey eq '{_key(f'd-{folder}')}'")
        return {_name(entity["RowKey"]): _document(entity) for entity in entities}

    async def read_page(self, folder: str, after: str = "", most: int = 500) -> Mapping[str, StoredDocument]:
        condition = f"PartitionKey eq '{_key(f'd-{folder}')}'"
        condition += f" and RowKey gt '{_key(after)}'" if after else ""
        entities = await self._query(condition, most=most)
        return {_name(entity["RowKey"]): _document(entity) for entity in entities}

    async def delete(self, folder: str, name: str) -> None:
        await self._delete(self._entity(f"d-{folder}", name))

    async def purge(self, now: float) -> int:
        entities = await self._query(f"expires lt {float(now)!r}", "PartitionKey,RowKey")
        for entity in entities:
            await self._delete(self._url(entity["PartitionKey"], entity["RowKey"]))
        return sum(entity["PartitionKey"].startswith("d-") for entity in entities)

    async def reserve(self, hold: Hold, now: float) -> Shortage | None:
        """The charges go out together. Those beside a short one are given back, which may refuse others for a moment
        but never lets one too many pass."""
        taking = (self._change(each.counter, _taking(hold, each, now)) for each in hold.charges)
        taken = await asyncio.gather(*taking, return_exceptions=True)
        faults = [outcome for outcome in taken if isinstance(outcome, BaseException)]
        shortages = [outcome for outcome in taken if isinstance(outcome, Shortage)]
        if faults or shortages:
            given = [each for each, outcome in zip(hold.charges, taken, strict=True) if outcome is None]
            giving = (self._change(each.counter, _settling(hold.id, 0)) for each in given)
            await asyncio.gather(*giving, return_exceptions=True)
        if faults:
            raise faults[0]
        return shortages[0] if shortages else None

    async def settle(self, hold: Hold, actual: Mapping[str, int], now: float) -> None:
        used = ((charge.counter, actual.get(charge.counter, 0)) for charge in hold.charges)
        await asyncio.gather(*(self._change(counter, _settling(hold.id, amount)) for counter, amount in used))

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        found = await asyncio.gather(*(self._read_counter(counter) for counter in counters))
        return {
            counter: each.total - sum(int(amount) for amount, lease in each.holds.values() if lease < now)
            for counter, each in zip(counters, found, strict=True)
        }

    async def close(self) -> None:
        if self._writers:
            await asyncio.wait(self._writers)

    async def _change(self, counter: str, change: _Change) -> Shortage | None:
        """Puts a change in the counter's queue. Whoever finds the queue empty starts its writer."""
        outcome: asyncio.Future[Shortage | None] = asyncio.get_running_loop().create_future()
        queue = self._waiting.get(counter)
        if queue is not None:
            queue.append((change, outcome))
        else:
            self._waiting[counter] = [(change, outcome)]
            writer = asyncio.create_task(self._write_counter(counter))
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        return await outcome

    async def _write_counter(self, counter: str) -> None:
        """Writes a counter until nothing waits for it."""
        while self._waiting[counter]:
            batch, self._waiting[counter] = self._waiting[counter], []
            try:
                outcomes = await self._apply(counter, [change for change, _ in batch])
            except StoreFault as fault:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(fault)
                continue
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)
        del self._waiting[counter]

    async def _apply(self, counter: str, changes: Sequence[_Change]) -> list[Shortage | None]:
        """Makes the changes in one write. Raises StoreFault."""
        pause = 0.005
        for _ in range(_CONFLICTS):
            current = await self._read_counter(counter)
            before = json.dumps([current.total, current.holds])
            outcomes = [change(current) for change in changes]
            if json.dumps([current.total, current.holds]) == before or await self._put_counter(counter, current):
                return outcomes
            await self._client.clock.sleep(pause * (0.5 + self._client.random.uniform()))
            pause = min(pause * 1.5, 0.1)
        raise StoreFault(f"the counter {counter} is too contended")

    async def _read_counter(self, counter: str) -> _Counter:
        answer = await self._send("GET", self._entity(f"c-{counter}", "-"))
        if answer.status == 404:
            return _Counter()
        entity = self._json(answer, "reading a counter")
        holds = json.loads(_joined("holds", entity))
        return _Counter(int(entity["total"]), holds, entity.get("until"), answer.headers.get("etag"))

    async def _put_counter(self, counter: str, current: _Counter) -> bool:
        """False when another process was quicker."""
        entity = {**_pieces("holds", json.dumps(current.holds)), "total": str(current.total)}
        entity["total@odata.type"] = "Edm.Int64"
        if current.until is not None:
            entity |= {"until": current.until, "until@odata.type": "Edm.Double"}
            entity |= {"expires": current.until + LAPSED_SECONDS, "expires@odata.type": "Edm.Double"}
        if current.etag is None:
            entity |= {"PartitionKey": _key(f"c-{counter}"), "RowKey": "-"}
            headers = [("prefer", "return-no-content")]
            answer = await self._send("POST", f"{self._endpoint}/{self._table}", headers, json.dumps(entity).encode())
        else:
            headers = [("if-match", current.etag)]
            answer = await self._send("PUT", self._entity(f"c-{counter}", "-"), headers, json.dumps(entity).encode())
        if answer.status in (404, 409, 412):
            return False
        self._check(answer, "writing a counter")
        return True

    async def _query(self, condition: str, select: str = "", most: int | None = None) -> list[Entity]:
        """All entities, or at least one and at most `most` (up to 1000) where there are any: the service may answer
        with none and say where to go on."""
        found: list[Entity] = []
        next_keys = ""
        while True:
            query = f"$filter={quote(condition)}" + (f"&$select={select}" if select else "") + next_keys
            query += f"&$top={most}" if most is not None else ""
            answer = await self._send("GET", f"{self._endpoint}/{self._table}()?{query}")
            found += self._json(answer, "listing")["value"]
            partition = answer.headers.get("x-ms-continuation-nextpartitionkey")
            if partition is None or (most is not None and found):
                return found
            row = answer.headers.get("x-ms-continuation-nextrowkey", "")
            next_keys = f"&NextPartitionKey={quote(partition)}&NextRowKey={quote(row)}"

    async def _delete(self, url: str) -> None:
        answer = await self._send("DELETE", url, [("if-match", "*")])
        if answer.status != 404:
            self._check(answer, "deleting")

    def _entity(self, partition: str, row: str) -> str:
        return self._url(_key(partition), _key(row))

    def _url(self, partition_key: str, row_key: str) -> str:
        return f"{self._endpoint}/{self._table}(PartitionKey='{quote(partition_key)}',RowKey='{quote(row_key)}')"

    async def _send(self, method: str, url: str, headers: HeaderList | None = None, body: bytes = b"") -> Answer:
        fixed = [("x-ms-version", VERSION), ("accept", "application/json;odata=nometadata")]
        if body:
            fixed.append(("content-type", "application/json"))
        return await self._client.send(Call(method, url, [*fixed, *(headers or [])], body))

    def _json(self, answer: Answer, what: str) -> Any:
        self._check(answer, what)
        return json.loads(answer.body)

    def _check(self, answer: Answer, what: str) -> None:
        if answer.status >= 300:
            raise self._fault(what, answer)

    def _fault(self, what: str, answer: Answer) -> StoreFault:
        return StoreFault(f"the Azure table {self._table}: {what} was answered with {answer.status}")


def _taking(hold: Hold, charge: Charge, now: float) -> _Change:
    def change(counter: _Counter) -> Shortage | None:
        if hold.id in counter.holds:
            return None  # an earlier try of the same request got through
        _give_back(counter, now)
        if charge.limit is not None and counter.total + charge.amount > charge.limit:
            return Shortage(charge, counter.total)
        counter.total += charge.amount
        counter.until = charge.until
        counter.holds[hold.id] = [charge.amount, hold.lease]
        return None

    return change


def _settling(hold_id: str, actual: int) -> _Change:
    def change(counter: _Counter) -> Shortage | None:
        held = counter.holds.pop(hold_id, None)
        if held is not None:
            counter.total += actual - int(held[0])
        return None

    return change


def _give_back(counter: _Counter, now: float) -> None:
    """Lapsed holds stand for nothing any more; after a day they are forgotten."""
    for name, (amount, lease) in list(counter.holds.items()):
        if lease >= now:
            continue
        if not amount:
            del counter.holds[name]
            continue
        counter.total -= int(amount)
        counter.holds[name] = [0, now + LAPSED_SECONDS]


def _key(text: str) -> str:
    """A text as PartitionKey or RowKey: what those may not hold is written as ~ and hexadecimal digits."""
    return "".join(letter if letter in _KEY_CHARACTERS else f"~{ord(letter):06x}" for letter in text)


def _name(key: str) -> str:
    first, *rest = key.split("~")
    return first + "".join(chr(int(part[:6], 16)) + part[6:] for part in rest)


def _entity_of(document: StoredDocument, expires: float | None) -> Entity:
    entity = _pieces("body", json.dumps(document))
    if expires is not None:
        entity |= {"expires": float(expires), "expires@odata.type": "Edm.Double"}
    return entity


def _pieces(name: str, text: str) -> Entity:
    return {f"{name}{start // PIECE}": text[start : start + PIECE] for start in range(0, len(text), PIECE)}


def _joined(name: str, entity: Entity) -> str:
    pieces: list[str] = []
    while f"{name}{len(pieces)}" in entity:
        pieces.append(entity[f"{name}{len(pieces)}"])
    return "".join(pieces)


def _document(entity: Entity) -> StoredDocument:
    document: StoredDocument = json.loads(_joined("body", entity))
    return document
