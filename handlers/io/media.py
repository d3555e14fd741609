"""Fetches the images and documents behind a client's URLs, and nothing that the outside may not see.

Only https on public addresses: the name is resolved here, every address is checked, and the connection goes to
the address that was checked, so that a name that changes its mind in between reaches nothing (SSRF).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urljoin, urlsplit

from core.errors import ClientFault
from core.ports import BackendRequest, Clock, Exchange, Head, Transport, TransportFault

MOST_BYTES = 20 * 1024 * 1024
MOST_SECONDS = 20.0
MOST_REDIRECTS = 3

type Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolve_name(host: str, port: int) -> list[str]:
    """The addresses of `host`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(item[4][0]) for item in found]


class MediaFetcher:
    """core.ports.Media over the HTTP transport."""

    def __init__(self, transport: Transport, clock: Clock, resolve: Resolve = resolve_name) -> None:
        self._transport = transport
        self._clock = clock
        self._resolve = resolve

    async def fetch(self, url: str) -> tuple[str, bytes]:
        deadline = self._clock.monotonic() + MOST_SECONDS
        try:
            for _ in range(MOST_REDIRECTS + 1):
                address = await self._checked_address(url)
                request = BackendRequest("GET", url, [("accept", "*/*")], b"", connect_address=address)
                exchange = await self._transport.send(request)
                try:
                    head = await self._head(exchange, url, deadline)
                    location = head.headers.get("location")
                    if 300 <= head.status < 400 and location:
                        url = urljoin(url, location)
                        continue
                    if head.status != 200:
                        raise _refused(url, f"the server answered {head.status}")
                    media_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
                    return media_type, await self._body(exchange, url, deadline)
                finally:
                    exchange.close()
        except TransportFault as fault:
            raise _refused(url, str(fault)) from fault
        raise _refused(url, "too many redirects")

    async def _checked_address(self, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise _refused(url, "only plain https addresses are fetched")
        try:
            port = parts.port or 443
            addresses = await self._resolve(parts.hostname, port)
        except (OSError, ValueError) as error:
            raise _refused(url, "the name cannot be resolved") from error
        if not addresses or not all(ipaddress.ip_address(item.partition("%")[0]).is_global for item in addresses):
            raise _refused(url, "the address is not a public one")
        return addresses[0]

    async def _head(self, exchange: Exchange, url: str, deadline: float) -> Head:
        head = await exchange.head(max(0.0, deadline - self._clock.monotonic()))
        if head is None:
            raise _refused(url, f"no answer within {MOST_SECONDS:.0f} seconds")
        return head

    async def _body(self, exchange: Exchange, url: str, deadline: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            data = await exchange.read(max(0.0, deadline - self._clock.monotonic()))
            if data is None:
                raise _refused(url, f"not complete within {MOST_SECONDS:.0f} seconds")
            if not data:
                return b"".join(parts)
            parts.append(data)
            size += len(data)
            if size > MOST_BYTES:
                raise _refused(url, f"larger than {MOST_BYTES // 1024 // 1024} MB")


def _refused(url: str, why: str) -> ClientFault:
    # What stands before the host or behind the path may be a credential, and errors are logged.
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    shown = f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
    shown = shown if len(shown) <= 200 else shown[:200] + "..."
    return ClientFault("bad_request", f"The URL {shown} cannot be fetched for this backend: {why}.")
