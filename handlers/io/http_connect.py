"""Opens connections to backends: names, TCP, TLS and proxies, all within one time limit.

TLS is verified against the system's certificates; SSL_CERT_FILE or REQUESTS_CA_BUNDLE (a file or a folder)
replaces them. `ssl` and the certificates are loaded when the first https URL is met, not before.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.ports import TransportFault
from handlers.io.http_connection import HttpConnection
from handlers.io.http_pool import Pool
from handlers.io.http_proxy import Proxy, ProxyTable, open_tunnel
from handlers.io.http_url import Target

if TYPE_CHECKING:
    from ssl import SSLContext

# The wait before the next address of a host is tried beside the first (RFC 8305, 5).
_HAPPY_EYEBALLS_DELAY = 0.25
_BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class Connector:
    """Opens connections; its proxies and certificates come from `environment`, or `tls` where it is given."""

    def __init__(self, environment: Mapping[str, str], tls: SSLContext | None) -> None:
        self._proxies = ProxyTable(environment)
        bundles = ((name, environment.get(name)) for name in _BUNDLE_VARIABLES)
        self._bundle = next(((name, path) for name, path in bundles if path), None)
        self._tls = tls

    def proxy_for(self, target: Target) -> Proxy | None:
        """The proxy that a request to `target` goes through. Raises TransportFault (stage connect)."""
        try:
            return self._proxies.choose(target)
        except ValueError as error:
            raise TransportFault("connect", f"the proxy in the environment is not usable: {error}") from error

    async def open(self, pool: Pool, target: Target, timeout: float) -> HttpConnection:
        """A connection to `target` that is ready for a request. Raises TransportFault (stage connect)."""
        proxy = self.proxy_for(target)
        try:
            async with asyncio.timeout(timeout):
                if proxy is not None and target.scheme == "https":
                    return await self._open_through(proxy, pool, target)
                host, port = (target.host, target.port) if proxy is None else (proxy.host, proxy.port)
                options = self._options(target)
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: pool.make(target.key), host, port, **options
                )
                return connection
        except TimeoutError as error:
            raise TransportFault("connect", f"no connection to the backend within {timeout:g} s") from error
        except (OSError, ValueError) as error:
            raise TransportFault("connect", f"no connection to the backend: {_describe(error)}") from error

    def _options(self, target: Target) -> dict[str, Any]:
        """What create_connection is told beside host and port."""
        options: dict[str, Any] = {}
        if target.scheme == "https":
            options.update(ssl=self._context(), server_hostname=target.host)
        if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            # uvloop has no such option: it tries the addresses one after the other.
            options["happy_eyeballs_delay"] = _HAPPY_EYEBALLS_DELAY
        return options

    async def _open_through(self, proxy: Proxy, pool: Pool, target: Target) -> HttpConnection:
        context = self._context()
        raw = await open_tunnel(proxy, target)
        connection = pool.make(target.key)
        secured = await asyncio.get_running_loop().start_tls(
            raw, connection, context, server_hostname=target.host
        )
        if secured is None:
            raise ConnectionResetError("the tunnel was closed")
        connection.connection_made(secured)
        return connection

    def _context(self) -> SSLContext:
        """The shared TLS context, made on first use: loading certificates takes milliseconds."""
        if self._tls is None:
            import ssl  # noqa: PLC0415 - a gateway whose backends are all plain HTTP never loads it

            if self._bundle is None:
                self._tls = ssl.create_default_context()
            else:
                name, path = self._bundle
                file, folder = (None, path) if os.path.isdir(path) else (path, None)
                try:
                    self._tls = ssl.create_default_context(cafile=file, capath=folder)
                except OSError as error:
                    raise TransportFault("connect", f"{name} names no usable certificates") from error
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _describe(error: Exception) -> str:
    """The reason without addresses, which are nobody's business outside; the cause has them for the log."""
    verify_message = getattr(error, "verify_message", None)
    if verify_message:
        return f"the certificate was not accepted: {verify_message}"
    reason = getattr(error, "reason", None)
    if isinstance(reason, str):
        return f"TLS: {reason.replace('_', ' ').lower()}"
    if isinstance(error, OSError):
        if error.errno is None:
            return "none of the host's addresses could be reached" if error.args else type(error).__name__
        return os.strerror(error.errno) if error.errno > 0 else f"{error.strerror}"
    return str(error)
