"""Kept requests and answers as gzipped JSON lines in a bucket of S3 or a container of Azure Blob Storage.

`s3://BUCKET/PREFIX` (`?region=` where it is not the function's own) with the environment's AWS credentials, or
`https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX` with the managed identity; a SAS in the address's query, or
AZURE_STORAGE_KEY for an emulator, takes the identity's place. One object holds a batch: 1 MiB of bodies, or what came
within SKYBRIDGE_BODY_ARCHIVE_SECONDS (60), or before the process sleeps or ends.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from importlib import import_module
from time import gmtime, strftime
from typing import TYPE_CHECKING, Protocol, cast

from core.configuration import ConfigurationError
from core.errors import NotConfigured
from core.ports import BackendRequest, TransportFault
from handlers.io.shipping import Outside, Shipper, Shipping, ShippingFault, is_frozen
from handlers.io.short_calls import exchange

if TYPE_CHECKING:
    from handlers.io.archive_places import Place

VARIABLE = "SKYBRIDGE_BODY_ARCHIVE"
FORMS = "s3://BUCKET/PREFIX or https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX"
BATCH_BYTES = 1024 * 1024
MOST_BYTES = 32 * 1024 * 1024
SECONDS_A_PUT = 10.0

# Kinds of places, by scheme; handlers.io.archive_places has the functions.
_KINDS = {"s3": "s3", "https": "blob", "http": "blob"}


class Kept(Protocol):
    """One request and its answer."""

    size: int

    def text(self) -> str:
        """The line, masked, without its end."""
        ...


class BodyArchive:
    """Batches of kept requests on their way to a place, which is looked up for the first batch."""

    def __init__(self, reference: str, kind: str, outside: Outside) -> None:
        self._reference = reference
        self._kind = kind
        self._outside = outside
        self._place: Place | None = None
        seconds = outside.variables.get("SKYBRIDGE_BODY_ARCHIVE_SECONDS") or "60"
        if not seconds.isdecimal() or not int(seconds):
            raise ConfigurationError("SKYBRIDGE_BODY_ARCHIVE_SECONDS", f"expected seconds; got {seconds!r}")
        shipping = Shipping("archive", BATCH_BYTES, MOST_BYTES, int(seconds), is_frozen(outside.variables))
        self.shipper: Shipper[Kept] = Shipper(shipping, self._send, outside.log)

    def put(self, kept: Kept) -> None:
        self.shipper.put(kept, kept.size)

    def place(self) -> Place:
        """Where objects go."""
        if self._place is None:
            places = import_module("handlers.io.archive_places")  # not before the first answer
            self._place = cast("Place", getattr(places, self._kind)(self._reference, self._outside))
        return self._place

    async def _send(self, batch: list[Kept]) -> None:
        body = await asyncio.to_thread(_pack, batch)  # requests go on meanwhile
        try:
            place = self.place()
        except ValueError as fault:  # an address that cannot be read
            raise ShippingFault(str(fault), lasting=True) from fault
        now = self._outside.clock.time()
        name = strftime("%Y/%m/%d/%H/%Y%m%dT%H%M%SZ", gmtime(now))
        url = f"{place.url}{name}-{self._outside.random.token(12)}.jsonl.gz{place.query}"
        headers = [("content-type", "application/x-ndjson"), ("content-encoding", "gzip"), *place.headers]
        if place.digest:
            headers.append(("x-amz-content-sha256", sha256(body).hexdigest()))
        request = BackendRequest("PUT", url, headers, body)
        try:
            await place.authorize(request)
            status, _ = await exchange(self._outside.transport, self._outside.clock, request, SECONDS_A_PUT)
        except (TransportFault, NotConfigured) as fault:
            raise ShippingFault(str(fault)) from fault
        if status not in (200, 201):
            raise ShippingFault(f"status {status}", lasting=400 <= status < 500 and status not in (408, 429))


def _pack(batch: list[Kept]) -> bytes:
    compress = import_module("gzip").compress
    return cast(bytes, compress("".join(kept.text() + "\n" for kept in batch).encode("utf-8", "replace"), 6, mtime=0))


def open_archive(reference: str, outside: Outside) -> BodyArchive:
    """The archive at `reference`; nothing is connected yet. Raises ConfigurationError."""
    scheme, separator, rest = reference.partition("://")
    host, _, folder = rest.partition("?")[0].partition("/")
    if not separator or scheme not in _KINDS or not host or (scheme != "s3" and not folder.strip("/")):
        raise ConfigurationError(VARIABLE, f"expected {FORMS}")
    return BodyArchive(reference, _KINDS[scheme], outside)
