"""Kept requests and answers as gzipped JSON lines in a bucket of S3 or a container of Azure Blob Storage.

`s3://BUCKET/PREFIX` (`?region=` where it is not the function's own) with the environment's AWS credentials, or
`https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX` with the managed identity; a SAS in the address's query, or
AZURE_STORAGE_KEY for an emulator, takes the identity's place. One object holds a batch: 1 MiB of bodies, or what came
within SKYBRIDGE_BODY_ARCHIVE_SECONDS (60), or before the process sleeps or ends.
"""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from hashlib import sha256
from hmac import digest
from time import gmtime, strftime
from typing import Protocol
from urllib.parse import parse_qs, quote, urlsplit

from core.auth.tokens import Token
from core.configuration import ConfigurationError
from core.errors import NotConfigured
from core.ports import BackendRequest, Clock, TransportFault
from core.slotted import field, slotted
from handlers.io.authenticators import SigV4
from handlers.io.aws_credentials import environment_credentials
from handlers.io.identities import Outside as IdentityOutside
from handlers.io.identities import managed_identity
from handlers.io.key_auth import replace_headers
from handlers.io.renewing import Renewing
from handlers.io.shipping import Outside, Shipper, Shipping, ShippingFault, is_frozen
from handlers.io.short_calls import exchange

VARIABLE = "SKYBRIDGE_BODY_ARCHIVE"
FORMS = "s3://BUCKET/PREFIX or https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX"
BATCH_BYTES = 1024 * 1024
MOST_BYTES = 32 * 1024 * 1024
SECONDS_A_PUT = 10.0
BLOB_VERSION = "2021-12-02"
STORAGE_AUDIENCE = "https://storage.azure.com/"

type Authorize = Callable[[BackendRequest], Awaitable[None]]


class Kept(Protocol):
    """One request and its answer."""

    size: int

    def text(self) -> str:
        """The line, masked, without its end."""
        ...


@slotted(frozen=True)
class Place:
    """Where objects go: `url` is of the folder, `query` goes behind each name. `digest`: the body's hash is named in a
    header, which S3's signatures need."""

    url: str
    authorize: Authorize
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    digest: bool = False


class BodyArchive:
    """Batches of kept requests on their way to a place."""

    def __init__(self, place: Place, outside: Outside) -> None:
        self._place = place
        self._outside = outside
        seconds = outside.variables.get("SKYBRIDGE_BODY_ARCHIVE_SECONDS") or "60"
        if not seconds.isdigit() or not int(seconds):
            raise ConfigurationError("SKYBRIDGE_BODY_ARCHIVE_SECONDS", f"expected seconds; got {seconds!r}")
        shipping = Shipping("archive", BATCH_BYTES, MOST_BYTES, int(seconds), is_frozen(outside.variables))
        self.shipper: Shipper[Kept] = Shipper(shipping, self._send, outside.log)

    def put(self, kept: Kept) -> None:
        self.shipper.put(kept, kept.size)

    async def _send(self, batch: list[Kept]) -> None:
        body = await asyncio.to_thread(_pack, batch)  # requests go on meanwhile
        place = self._place
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
    return gzip.compress("".join(kept.text() + "\n" for kept in batch).encode("utf-8", "replace"), 6, mtime=0)


def open_archive(reference: str, outside: Outside) -> BodyArchive:
    """The archive at `reference`; nothing is connected yet. Raises ConfigurationError."""
    parts = urlsplit(reference)
    folder = parts.path.strip("/")
    make = _KINDS.get(parts.scheme)
    if make is None or not parts.hostname or (parts.scheme != "s3" and not folder):
        raise ConfigurationError(VARIABLE, f"expected {FORMS}")
    return BodyArchive(make(reference, outside), outside)


def _s3(reference: str, outside: Outside) -> Place:
    parts, variables = urlsplit(reference), outside.variables
    region = parse_qs(parts.query).get("region", [""])[0]
    region = region or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or "us-east-1"
    endpoint = variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL")
    bucket = parts.netloc
    if endpoint:
        base = f"{endpoint.rstrip('/')}/{bucket}"
    elif "." in bucket:  # no certificate covers it as a host
        base = f"https://s3.{region}.amazonaws.com/{bucket}"
    else:
        base = f"https://{bucket}.s3.{region}.amazonaws.com"
    signer = SigV4(environment_credentials(variables, outside.transport, outside.clock), region, "s3", outside.clock)
    return Place(_folder(base, parts.path), signer.authorize, digest=True)


def _blob(reference: str, outside: Outside) -> Place:
    parts, variables = urlsplit(reference), outside.variables
    key = variables.get("AZURE_STORAGE_KEY")
    authorize: Authorize
    if "sig" in parse_qs(parts.query):
        authorize = _as_it_is
    elif key:
        account = parts.path.split("/")[1] if parts.port else parts.netloc.partition(".")[0]
        authorize = BlobKey(account, key, outside.clock).authorize
    else:
        identity = IdentityOutside(variables, outside.transport, outside.clock)
        fetch = managed_identity(identity, STORAGE_AUDIENCE, variables.get("AZURE_CLIENT_ID", ""))
        authorize = BlobToken(Renewing(fetch, outside.clock), outside.clock).authorize
    headers = (("x-ms-blob-type", "BlockBlob"), ("x-ms-version", BLOB_VERSION))
    query = f"?{parts.query}" if parts.query else ""
    return Place(_folder(f"{parts.scheme}://{parts.netloc}", parts.path), authorize, headers, query)


def _folder(base: str, path: str) -> str:
    folder = quote(path.strip("/"), safe="/-_.~")
    return f"{base}/{folder}/" if folder else f"{base}/"


async def _as_it_is(request: BackendRequest) -> None:
    """A SAS is part of the address."""


@slotted(frozen=True)
class BlobToken:
    """A managed identity's token."""

    tokens: Renewing[Token]
    clock: Clock

    async def authorize(self, request: BackendRequest) -> None:
        token = await self.tokens.current()
        date = formatdate(self.clock.time(), usegmt=True)
        replace_headers(request.headers, [("x-ms-date", date), ("authorization", f"Bearer {token.value}")])


@slotted(frozen=True)
class BlobKey:
    """The account's key, for Azurite and for accounts that still allow it.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """

    account: str
    key: str = field(repr=False)
    clock: Clock

    async def authorize(self, request: BackendRequest) -> None:
        replace_headers(request.headers, [("x-ms-date", formatdate(self.clock.time(), usegmt=True))])
        headers, target = dict(request.headers), urlsplit(request.url)
        named = sorted((name, value) for name, value in headers.items() if name.startswith("x-ms-"))
        lines = [
            request.method, headers.get("content-encoding", ""), "", str(len(request.body) or ""), "",
            headers.get("content-type", ""), "", "", "", "", "", "",
            *(f"{name}:{value}" for name, value in named),
            f"/{self.account}{target.path}",
            *(f"{name.lower()}:{','.join(sorted(values))}" for name, values in sorted(parse_qs(target.query).items())),
        ]  # fmt: skip
        signature = b64encode(digest(b64decode(self.key), "\n".join(lines).encode(), sha256)).decode()
        replace_headers(request.headers, [("authorization", f"SharedKey {self.account}:{signature}")])


_KINDS: dict[str, Callable[[str, Outside], Place]] = {"s3": _s3, "https": _blob, "http": _blob}
