"""REST calls to one Azure table (no SDK on the request path), and what keys and properties may hold.

https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from email.utils import formatdate
from hashlib import sha256
from hmac import digest
from typing import Any
from urllib.parse import quote, urlsplit

from core.http import HeaderList
from core.ports import BackendRequest, Clock, StoreFault
from core.slotted import field, slotted
from handlers.io.key_auth import replace_headers
from handlers.io.store_http import Answer, Call, CloudClient

VERSION = "2019-02-02"
# A property holds 64 KiB of UTF-16: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
PIECE = 30_000
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
class EntityChange:
    """One entity to be put in the place of that of the ETag `tag`, or to be made where that is None."""

    partition: str
    row: str
    entity: Entity
    tag: str | None


@slotted
class AzureTable:
    """The table `name` of the account at `endpoint` (`https://ACCOUNT.table.core.windows.net`)."""

    client: CloudClient
    endpoint: str
    name: str

    async def put(self, change: EntityChange) -> str | None:
        """The entity's new ETag; None where another process was quicker. Raises StoreFault."""
        method, url, headers, body = self._call_of(change)
        answer = await self.send(method, url, headers, body)
        if answer.status in _CONFLICTS:
            return None
        self.check(answer, "writing")
        return answer.headers.get("etag", "")

    async def put_together(self, changes: Sequence[EntityChange]) -> bool:
        """All or none, of one partition: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
        False where another process was quicker. Raises StoreFault."""
        operations = [self._operation(change) for change in changes]
        inner = "".join(f"--changeset_1\r\n{operation}\r\n" for operation in operations) + "--changeset_1--\r\n"
        body = f"--batch_1\r\nContent-Type: multipart/mixed; boundary=changeset_1\r\n\r\n{inner}--batch_1--\r\n"
        headers = [("content-type", "multipart/mixed; boundary=batch_1")]
        answer = await self.send("POST", f"{self.endpoint}/$batch", headers, body.encode())
        self.check(answer, "writing together")
        statuses = [int(part[:3]) for part in answer.body.decode("utf-8", "replace").split("HTTP/1.1 ")[1:]]
        failed = next((status for status in statuses if status >= 300), None)
        if failed in _CONFLICTS:
            return False
        if failed is not None:
            raise self.fault("writing together", Answer(failed, {}, b""))
        return True

    def _operation(self, change: EntityChange) -> str:
        method, url, headers, body = self._call_of(change)
        lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary", "", f"{method} {url} HTTP/1.1"]
        lines += ["Content-Type: application/json", "Accept: application/json;odata=nometadata"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", body.decode()])

    def _call_of(self, change: EntityChange) -> tuple[str, str, HeaderList, bytes]:
        entity = change.entity
        if change.tag is not None:
            url = self.url(key_of(change.partition), key_of(change.row))
            return "PUT", url, [("if-match", change.tag)], json.dumps(entity).encode()
        entity = {**entity, "PartitionKey": key_of(change.partition), "RowKey": key_of(change.row)}
        url = f"{self.endpoint}/{self.name}"
        return "POST", url, [("prefer", "return-no-content")], json.dumps(entity).encode()

    async def query(
        self, condition: str, select: str = "", *, most: int | None = None, metadata: str = "nometadata",
        seconds: float | None = None,
    ) -> list[Entity]:  # fmt: skip
        """All entities, or at least one and at most `most` (up to 1000) where there are any: the service may answer
        with none and say where to go on. With `fullmetadata` they have their ETags, in `odata.etag`. `seconds` bounds
        each page of a query that looks through many partitions."""
        found: list[Entity] = []
        next_keys = ""
        while True:
            query = f"$filter={quote(condition)}" + (f"&$select={select}" if select else "") + next_keys
            query += f"&$top={most}" if most is not None else ""
            headers = [("x-ms-version", VERSION), ("accept", f"application/json;odata={metadata}")]
            answer = await self.client.send(Call("GET", f"{self.endpoint}/{self.name}()?{query}", headers), seconds)
            found += self.json(answer, "listing")["value"]
            partition = answer.headers.get("x-ms-continuation-nextpartitionkey")
            if partition is None or (most is not None and found):
                return found
            row = answer.headers.get("x-ms-continuation-nextrowkey", "")
            next_keys = f"&NextPartitionKey={quote(partition)}&NextRowKey={quote(row)}"

    async def remove(self, url: str) -> None:
        """Deletes an entity, whatever it holds; one that is not there is none."""
        answer = await self.send("DELETE", url, [("if-match", "*")])
        if answer.status != 404:
            self.check(answer, "deleting")

    def entity_url(self, partition: str, row: str) -> str:
        """The entity of these names."""
        return self.url(key_of(partition), key_of(row))

    def url(self, partition_key: str, row_key: str) -> str:
        """The entity of these keys."""
        return f"{self.endpoint}/{self.name}(PartitionKey='{quote(partition_key)}',RowKey='{quote(row_key)}')"

    async def send(self, method: str, url: str, headers: HeaderList | None = None, body: bytes = b"") -> Answer:
        """The answer, whatever its status. Raises StoreFault where there is none."""
        fixed = {"x-ms-version": VERSION, "accept": "application/json;odata=nometadata"}
        if body:
            fixed["content-type"] = "application/json"
        return await self.client.send(Call(method, url, list({**fixed, **dict(headers or [])}.items()), body))

    def json(self, answer: Answer, what: str) -> Any:
        """The body of an answer that is of use. Raises StoreFault."""
        self.check(answer, what)
        return json.loads(answer.body)

    def check(self, answer: Answer, what: str) -> None:
        """Raises StoreFault for an answer that is of no use."""
        if answer.status >= 300:
            raise self.fault(what, answer)

    def fault(self, what: str, answer: Answer) -> StoreFault:
        """What to raise for such an answer."""
        return StoreFault(f"the Azure table {self.name}: {what} was answered with {answer.status}")


# The statuses of a write that another process's was quicker than.
_CONFLICTS = (404, 409, 412)


def key_of(text: str) -> str:
    """A text as PartitionKey or RowKey: what those may not hold is written as ~ and hexadecimal digits."""
    return "".join(letter if letter in _KEY_CHARACTERS else f"~{ord(letter):06x}" for letter in text)


def name_of(key: str) -> str:
    """The text that `key` was made of."""
    first, *rest = key.split("~")
    return first + "".join(chr(int(part[:6], 16)) + part[6:] for part in rest)


def pieces(name: str, text: str) -> Entity:
    """A text of any length as properties."""
    return {f"{name}{start // PIECE}": text[start : start + PIECE] for start in range(0, len(text), PIECE)}


def joined(name: str, entity: Entity) -> str:
    """The text that `pieces` made properties of."""
    found: list[str] = []
    while f"{name}{len(found)}" in entity:
        found.append(entity[f"{name}{len(found)}"])
    return "".join(found)
