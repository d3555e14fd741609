"""Where archived bodies go: a bucket of S3 or a container of Azure Blob Storage. Loaded for the first batch."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from hashlib import sha256
from hmac import digest
from urllib.parse import parse_qs, quote, urlsplit

from core.ports import BackendRequest, Clock
from core.slotted import field, slotted
from handlers.io.authenticators import SigV4
from handlers.io.aws_credentials import environment_credentials
from handlers.io.identities import Outside as IdentityOutside
from handlers.io.key_auth import replace_headers
from handlers.io.shipping import Outside
from handlers.io.storage_token import storage_token

BLOB_VERSION = "2021-12-02"

type Authorize = Callable[[BackendRequest], Awaitable[None]]


@slotted(frozen=True)
class Place:
    """Where objects go: `url` is of the folder, `query` goes behind each name. `digest`: the body's hash is named in a
    header, which S3's signatures need."""

    url: str
    authorize: Authorize
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    digest: bool = False


def s3(reference: str, outside: Outside) -> Place:
    """A bucket, with the environment's AWS credentials."""
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


def blob(reference: str, outside: Outside) -> Place:
    """A container, with a SAS, the account's key or the managed identity."""
    parts, variables = urlsplit(reference), outside.variables
    key = variables.get("AZURE_STORAGE_KEY")
    authorize: Authorize
    if "sig" in parse_qs(parts.query):
        authorize = _as_it_is
    elif key:
        account = parts.path.split("/")[1] if parts.port else parts.netloc.partition(".")[0]
        authorize = BlobKey(account, key, outside.clock).authorize
    else:
        authorize = storage_token(IdentityOutside(variables, outside.transport, outside.clock)).authorize
    headers = (("x-ms-blob-type", "BlockBlob"), ("x-ms-version", BLOB_VERSION))
    query = f"?{parts.query}" if parts.query else ""
    return Place(_folder(f"{parts.scheme}://{parts.netloc}", parts.path), authorize, headers, query)


def _folder(base: str, path: str) -> str:
    folder = quote(path.strip("/"), safe="/-_.~")
    return f"{base}/{folder}/" if folder else f"{base}/"


async def _as_it_is(request: BackendRequest) -> None:
    """A SAS is part of the address."""


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
