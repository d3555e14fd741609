"""What the core needs from outside, as Protocols. The doors give the real ones once, at the composition root.

No port knows an event loop's type: waiting is expressed as "at most this many seconds".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from core.http import HeaderList
from core.slotted import field, slotted


@slotted
class BackendRequest:
    """One HTTP request to a backend, ready to send. `url` is absolute; header names are lower case.

    `connect_timeout` bounds name resolution, TCP and TLS together, in seconds. `connect_address` is an IP address
    to connect to instead of resolving the URL's host (which TLS and `host` still name). `parts`: the requests that
    this one stands for, where a backend takes less at once than was asked for.
    """

    method: str
    url: str
    headers: HeaderList
    body: bytes
    connect_timeout: float = 5.0
    connect_address: str | None = None
    parts: list[BackendRequest] | None = None


@slotted
class Head:
    """A backend's status line and headers. Names are lower case, repeated ones joined with ", "."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


class TransportFault(Exception):
    """The backend could not be reached, or its connection broke. `stage`: connect, send, head or body.

    The only exception that a Transport or an Exchange raises (beside cancellation).
    """

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class Exchange(Protocol):
    """One request under way. Used as: head() until it answers, read() until b"", close() always."""

    async def head(self, wait: float) -> Head | None:
        """The response's head, or None when it has not come within `wait` seconds: ask again, or close."""
        ...

    async def read(self, wait: float) -> bytes | None:
        """The body bytes that have come since the last call, b"" at the body's end, None when none came
        within `wait` seconds. Bytes that are already there are given at once, joined."""
        ...

    def close(self) -> None:
        """Gives the connection back when the body was read to its end, drops it otherwise. Idempotent."""
        ...


class Transport(Protocol):
    """Sends requests to backends."""

    async def send(self, request: BackendRequest) -> Exchange:
        """Connects (or takes a pooled connection) and sends. Raises TransportFault."""
        ...


class Clock(Protocol):
    """Time and its passing."""

    def monotonic(self) -> float:
        """Seconds that only grow; for measuring."""
        ...

    def time(self) -> float:
        """Seconds since the epoch; for dates."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Random(Protocol):
    """Randomness, so that tests can fix it."""

    def token(self, length: int) -> str:
        """`length` characters of [A-Za-z0-9], unguessable."""
        ...

    def uniform(self) -> float:
        """A float in [0, 1)."""
        ...


class Authenticator(Protocol):
    """Adds a backend's credential to a request: a key header, a bearer token or a signature."""

    async def authorize(self, request: BackendRequest) -> None:
        """Changes `request.headers` in place. Raises core.errors.NotConfigured when the credential is missing."""
        ...


class Media(Protocol):
    """Fetches what a client's URL points to, for backends that take bytes only."""

    async def fetch(self, url: str) -> tuple[str, bytes]:
        """The media type ("" when the server named none) and the bytes. Raises core.errors.ClientFault for a URL
        that may not be fetched (not https, a private address), cannot be, or is too large."""
        ...


class Log(Protocol):
    """Structured log lines."""

    def event(self, level: str, event: str, /, **fields: object) -> None:
        """One line. `level`: debug, info, warning, error. No secret and no body in `fields`."""
        ...


@slotted(frozen=True)
class Charge:
    """What a request takes from one counter of the store.

    Amounts are whole: requests, tokens, or money in picodollars. With a `limit` the counter may not grow beyond it;
    None only counts. `until` is when the counter's window ends, in epoch seconds; None for one that never does.
    """

    counter: str
    amount: int
    limit: int | None = None
    until: float | None = None


@slotted(frozen=True)
class Hold:
    """A request's charges, all taken or none. Whoever has not settled it by `lease` (epoch seconds) has died: its
    charges are given back. `places` is the store's own note of where it took each (by counter)."""

    id: str
    charges: tuple[Charge, ...]
    lease: float
    places: dict[str, int] = field(default_factory=dict)


# What was used of a hold, by counter; 0 where absent.
type Settlement = tuple[Hold, Mapping[str, int]]


@slotted(frozen=True)
class Shortage:
    """The counter that had no room for a charge, and how much of it was `used`."""

    charge: Charge
    used: int


@slotted(frozen=True)
class Taken:
    """Every charge was taken. `used` is what each counter stands at with it, by the counter's name: what is spent and
    what is reserved."""

    used: Mapping[str, int]


class StoreFault(Exception):
    """The store could not be reached, was throttled for too long, or holds a newer schema. The only exception that a
    Store raises (beside cancellation)."""


type StoredDocument = Mapping[str, Any]


class Store(Protocol):
    """State that outlives a process and is shared by several: documents in folders, and counters that hold.

    Every call takes a bounded time and may be repeated: what was done already is not done twice.
    """

    async def prepare(self) -> None:
        """Makes the tables, or brings them to this version's schema. Raises StoreFault for a newer schema."""
        ...

    async def read(self, folder: str, name: str) -> StoredDocument | None: ...

    async def write(
        self, folder: str, documents: Mapping[str, StoredDocument], expires: float | None = None
    ) -> None:
        """Puts documents in the place of those of the same names. They may be dropped after `expires`."""
        ...

    async def replace(
        self, folder: str, name: str, change: tuple[StoredDocument | None, StoredDocument], expires: float | None = None
    ) -> bool:
        """Puts the second document of `change` in the place of the first (None: there is none yet), in one step: False,
        and nothing is written, where another one stands there. Repeated after it was done, it is done."""
        ...

    async def read_all(self, folder: str) -> Mapping[str, StoredDocument]:
        """Every document of a folder, by name. Not for the request path."""
        ...

    async def read_page(self, folder: str, after: str = "", most: int = 500) -> Mapping[str, StoredDocument]:
        """At most `most` documents of a folder, by name, whose names follow `after` in the store's own order of names;
        maybe fewer than are left, but {} only when none is."""
        ...

    async def delete(self, folder: str, name: str) -> None: ...

    async def purge(self, now: float) -> int:
        """Drops what has expired, where the store does not do so itself; at most some hundreds at once. How many that
        were."""
        ...

    async def reserve(self, hold: Hold, now: float) -> Taken | Shortage:
        """Takes every charge of `hold`, each by one atomic conditional write; with a Shortage, none."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Puts what was used in the place of what was reserved, each once however often it is asked for."""
        ...

    async def totals(self, counters: Sequence[str], now: float) -> Mapping[str, int]:
        """What the counters stand at, without the holds whose lease is over. Unknown ones are 0."""
        ...

    async def close(self) -> None: ...


class KeptResponses(Protocol):
    """Answers of the Responses API that the gateway keeps for the caller `owner`, who alone gets them back: documents
    with `input` and `output` (lists of items) and `response`."""

    async def response(self, owner: str, response_id: str) -> StoredDocument | None:
        """What is kept of one; None where there is nothing. Raises StoreFault."""
        ...

    async def items(self, owner: str, ids: Sequence[str]) -> Mapping[str, Any]:
        """The output items of these ids, as far as they are kept. Raises StoreFault."""
        ...

    def keep(self, owner: str, response_id: str, document: StoredDocument) -> None:
        """Takes a response, to be written at the next flush. Raises nothing."""
        ...

    async def delete(self, owner: str, response_id: str) -> bool:
        """Whether there was one. Raises StoreFault."""
        ...

    async def flush(self) -> None:
        """Writes what was taken. Raises nothing."""
        ...


class Secrets(Protocol):
    """Secrets by reference: `aws-secret://`, `aws-ssm://`, `azure-keyvault://`."""

    async def resolve(self, reference: str) -> str:
        """The value. Raises core.errors.NotConfigured that names the reference."""
        ...
