"""Finds credentials in what the suite emits: response heads and bodies, log lines, anything a test printed.

A credential of a test holds the word of `MARK`; nothing else that is served or logged does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MARK = "hush-hush"

type App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


def secret(name: str) -> str:
    """A credential for a test, which must not be seen anywhere but at the backend."""
    return f"sk-{MARK}-{name}-0123456789abcdef"


class LeakGuard:
    """The application of a test, watched: what it sends is looked through for credentials."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.leaks: list[str] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        rest = b""

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal rest
            seen = repr(message.get("headers", "")).encode() + rest + message.get("body", b"")
            if MARK.encode() in seen:
                self.leaks.append(seen.decode("utf-8", "replace"))
            rest = seen[-len(MARK) :]
            await send(message)

        await self._app(scope, receive, watched)
