"""Opens connections to backends: names, TCP, TLS and proxies, all within one time limit.

TLS is verified against the system's certificates; SSL_CERT_FILE or REQUESTS_CA_BUNDLE (a file or a folder)
replaces them. `ssl` and the certificates are loaded when the first https URL is met, or when a door asks for it ahead.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from core.ports import TransportFault
from handlers.io.http_connection import HttpConnection
from handlers.io.http_dial import dial
from handlers.io.http_pool import Pool
from handlers.io.http_proxy import Proxy, ProxyTable, open_tunnel
from handlers.io.http_url import Target

if TYPE_CHECKING:
    from ssl import SSLContext

_BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class Connector:
    """Opens connections; its proxies and certificates come from `environment`, or `tls` where it is given."""

    def __init__(self, environment: Mapping[str, str], tls: SSLContext | None) -> None:
        self._proxies = ProxyTable(environment)
        bundles = ((name, environment.get(name)) for name in _BUNDLE_VARIABLES)
        self._bundle = next(((name, path) for name, path in bundles if path), None)
        self._tls = tls
        self._preparation: Thread | None = None

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
                if proxy is not None and target.tunnelled:
                    connection = await self._open_through(proxy, pool, target)
                else:
                    connection = await self._open_directly(proxy, pool, target)
        except TimeoutError as error:
            raise TransportFault("connect", f"no connection to the backend within {timeout:g} s") from error
        except (OSError, ValueError) as error:
            raise TransportFault("connect", f"no connection to the backend: {_describe(error)}") from error

        pool.add(connection)
        return connection

    async def _open_directly(self, proxy: Proxy | None, pool: Pool, target: Target) -> HttpConnection:
        """To the target, or to a proxy that reads the requests itself."""
        host, port = (target.peer, target.port) if proxy is None else (proxy.host, proxy.port)
        tls: dict[str, Any] = {}
        if target.scheme == "https":
            tls = {"ssl": self._context(), "server_hostname": target.host}
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: pool.make(target.key), sock=await dial(host, port), **tls
        )
        return connection

    async def _open_through(self, proxy: Proxy, pool: Pool, target: Target) -> HttpConnection:
        context = self._context() if target.scheme == "https" else None
        transport = await open_tunnel(proxy, target)
        connection = pool.make(target.key)
        if context is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return connection
        secured = await asyncio.get_running_loop().start_tls(
            transport, connection, context, server_hostname=target.host
        )
        if secured is None:
            raise ConnectionResetError("the tunnel was closed")
        connection.connection_made(secured)
        return connection

    def prepare_tls(self) -> None:
        """Makes the TLS context. One that cannot be made is told to the first request that needs it."""
        with suppress(TransportFault):
            self._context()

    def begin_tls(self) -> None:
        """The same in a thread: OpenSSL lets the interpreter go on while it reads certificates."""
        self._preparation = Thread(target=self._try_tls, name="certificates")
        self._preparation.start()

    def _try_tls(self) -> None:
        with suppress(TransportFault):
            self._tls = self._made_context()

    def _context(self) -> SSLContext:
        """The shared TLS context, made on first use: loading certificates takes 20 ms and more."""
        if self._preparation is not None:
            self._preparation.join()
            self._preparation = None
        if self._tls is None:
            self._tls = self._made_context()
        return self._tls

    def _made_context(self) -> SSLContext:
        import ssl  # noqa: PLC0415 - a gateway whose backends are all plain HTTP never loads it

        if self._bundle is None:
            context = ssl.create_default_context()
        else:
            name, path = self._bundle
            file, folder = (None, path) if os.path.isdir(path) else (path, None)
            try:
                context = ssl.create_default_context(cafile=file, capath=folder)
            except OSError as error:
                raise TransportFault("connect", f"{name} names no usable certificates") from error
        context.set_alpn_protocols(["http/1.1"])
        return context


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
            return str(error) or type(error).__name__
        return os.strerror(error.errno) if error.errno > 0 else f"{error.strerror}"
    return str(error)
