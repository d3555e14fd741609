"""HTTP proxies as the environment names them, and the tunnels through them.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in lower case too (lower case wins). As Go's net/http does,
and for the same reason, the machine's own loopback is never asked of a proxy. NO_PROXY takes names (which
cover their subdomains), addresses, `host:port` and `*`; no address ranges. Only proxies that are spoken to in
plain HTTP are known; any other kind is refused when it would be used.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping

from core.ports import TransportFault
from core.slotted import slotted
from handlers.io.http_dial import dial
from handlers.io.http_url import Target, read_authority

# A proxy's answer to CONNECT may be this long, headers and all.
_MAX_ANSWER = 16 * 1024
_STATUS = re.compile(rb"[1-9][0-9]{2}")


@slotted(frozen=True)
class Proxy:
    """Where a proxy listens. `authorization` is the value of `proxy-authorization`, "" for none."""

    host: str
    port: int
    authorization: str


class ProxyTable:
    """Which proxy serves which target, read once from `environment`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        def named(name: str) -> str:
            if name == "http_proxy" and "REQUEST_METHOD" in environment:
                # Under CGI, HTTP_PROXY is the client's `Proxy:` header (CVE-2016-5385).
                return environment.get(name, "")
            return environment.get(name) or environment.get(name.upper(), "")

        fallback = named("all_proxy")
        self._proxies = {"http": named("http_proxy") or fallback, "https": named("https_proxy") or fallback}
        self._exceptions = [entry.strip().lower() for entry in named("no_proxy").split(",") if entry.strip()]

    def choose(self, target: Target) -> Proxy | None:
        """The proxy for `target`, None for a direct connection. Raises ValueError for an unusable one."""
        url = self._proxies[target.scheme]
        if not url or _is_loopback(target.host) or any(_covers(entry, target) for entry in self._exceptions):
            return None
        return _read_proxy(url)


async def open_tunnel(proxy: Proxy, target: Target) -> asyncio.Transport:
    """A connection to `target` through `proxy` (RFC 9110, 9.3.6). Raises OSError, TransportFault."""
    loop = asyncio.get_running_loop()
    transport, tunnel = await loop.create_connection(_Tunnel, sock=await dial(proxy.host, proxy.port))
    try:
        host = f"[{target.peer}]" if ":" in target.peer else target.peer
        lines = [f"CONNECT {host}:{target.port} HTTP/1.1", f"host: {host}:{target.port}"]
        if proxy.authorization:
            lines.append(f"proxy-authorization: {proxy.authorization}")
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        status = await tunnel.answer
        if not 200 <= status < 300:
            raise TransportFault("connect", f"the proxy answered CONNECT with status {status}")
    except BaseException:
        transport.abort()
        raise
    return transport


class _Tunnel(asyncio.Protocol):
    """Reads the proxy's answer, and nothing behind it: `answer` gives the status."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, surplus = self._data.partition(b"\r\n\r\n")
        if self.answer.done():
            return
        if not end:
            if len(head) > _MAX_ANSWER:
                self._fail("the proxy's answer to CONNECT is too long")
            return
        words = head.split(b"\r\n")[0].split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not _STATUS.fullmatch(words[1]):
            self._fail("the proxy's answer to CONNECT is not HTTP")
        elif surplus and words[1].startswith(b"2"):
            self._fail("the proxy sent bytes before the tunnel was used")
        else:
            self.answer.set_result(int(words[1]))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self._fail("the proxy closed the connection")

    def _fail(self, reason: str) -> None:
        self.answer.set_exception(TransportFault("connect", reason))
        # Read or not: the caller may have been cancelled, and nobody is to be told of it then.
        self.answer.exception()


def _read_proxy(url: str) -> Proxy:
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    if scheme.lower() != "http":
        raise ValueError(f"a proxy of the kind {scheme}:// is not supported, only http://")
    user, _, authority = rest.partition("/")[0].rpartition("@")
    host, port = read_authority(authority, 80)
    return Proxy(host, port, _basic(user) if user else "")


def _basic(user: str) -> str:
    """User information of a URL as a `basic` credential (RFC 7617)."""
    pieces = user.split("%")
    raw = pieces[0].encode()
    for piece in pieces[1:]:
        raw += bytes.fromhex(piece[:2]) + piece[2:].encode()
    if b":" not in raw:
        raw += b":"
    return "Basic " + base64.b64encode(raw).decode("ascii")


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or _is_loopback_address(host)


def _is_loopback_address(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() for part in parts)


def _covers(entry: str, target: Target) -> bool:
    """Whether the NO_PROXY `entry` speaks of `target`."""
    if entry == "*":
        return True
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        if int(port) != target.port:
            return False
        entry = host
    entry = entry.strip("[]").removeprefix("*").removeprefix(".")
    return bool(entry) and (target.host == entry or target.host.endswith("." + entry))
