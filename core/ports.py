"""What the core needs from outside, as Protocols. The doors give the real ones once, at the composition root.

No port knows an event loop's type: waiting is expressed as "at most this many seconds".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from core.http import HeaderList


@dataclass(slots=True)
class BackendRequest:
    """One HTTP request to a backend, ready to send. `url` is absolute; header names are lower case.

    `connect_timeout` bounds name resolution, TCP and TLS together, in seconds. `connect_address` is an IP address
    to connect to instead of resolving the URL's host (which TLS and `host` still name).
    """

    method: str
    url: str
    headers: HeaderList
    body: bytes
    connect_timeout: float = 5.0
    connect_address: str | None = None


@dataclass(slots=True)
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
