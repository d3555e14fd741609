"""Absolute http and https URLs, taken apart for a request line, a Host header and a socket (RFC 3986).

By hand, because urllib.parse costs a cold start more than these few cases do. Refuses what would change the
meaning of a request line: spaces, control characters, anything that is not ASCII in the path.
"""

from __future__ import annotations

import re
from functools import lru_cache

from core.slotted import slotted

type Key = tuple[str, str, int, str]

DEFAULT_PORTS = {"http": 80, "https": 443}

_NOT_IN_PATH = re.compile(r"[^\x21-\x7e]")
_NOT_IN_HOST = re.compile(r"[\x00-\x20\x7f/\\?#@<>^`{|}\[\]%]")


@slotted(frozen=True)
class Target:
    """Where a request goes. `host` has no brackets, `path` has the query, `authority` is the Host header.

    `address` is an IP address to connect to, "" where the host is to be resolved.
    """

    scheme: str
    host: str
    port: int
    authority: str
    path: str
    address: str = ""

    @property
    def key(self) -> Key:
        """What connections are pooled by."""
        return (self.scheme, self.host, self.port, self.address)

    @property
    def peer(self) -> str:
        """The host name or address to connect to."""
        return self.address or self.host

    @property
    def tunnelled(self) -> bool:
        """Whether a proxy is only to pass bytes on: for TLS, and where the proxy may not resolve the name."""
        return self.scheme == "https" or self.address != ""


@lru_cache(maxsize=256)
def read_url(url: str) -> Target:
    """`url` as a Target, without user information and fragment. Raises ValueError saying what is wrong."""
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        raise ValueError("the URL must start with http:// or https://")
    cut = min((position for mark in "/?#" if (position := rest.find(mark)) >= 0), default=len(rest))
    authority, path = rest[:cut], rest[cut:].partition("#")[0]
    if not path.startswith("/"):
        path = "/" + path
    if _NOT_IN_PATH.search(path):
        raise ValueError("the URL has a character that must be percent-encoded")
    host, port = read_authority(authority.rpartition("@")[2], DEFAULT_PORTS[scheme])
    name = f"[{host}]" if ":" in host else host
    return Target(scheme, host, port, name if port == DEFAULT_PORTS[scheme] else f"{name}:{port}", path)


def read_authority(authority: str, default_port: int) -> tuple[str, int]:
    """`host`, `host:port` or `[address]:port` as host and port. Raises ValueError."""
    if authority.startswith("["):
        host, closed, rest = authority[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError("the URL has a malformed IPv6 address")
        port = rest[1:]
    else:
        host, _, port = authority.partition(":")
    host = _ascii_host(host.lower())
    if not host or _NOT_IN_HOST.search(host):
        raise ValueError("the URL has no usable host")
    if not port:
        return host, default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("the URL's port is not a number from 1 to 65535")
    return host, int(port)


def _ascii_host(host: str) -> str:
    """An international host name as DNS has it (IDNA 2003, which is what Python's codec knows)."""
    return host if host.isascii() else host.encode("idna").decode("ascii")
