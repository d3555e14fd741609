"""Finds credentials in what the suite emits: response heads and bodies, log lines, anything a test printed.

A credential of a test holds the word of `MARK`, or has been planted: `tests.served` plants whatever a configuration or
an environment gives a gateway for one. Nothing that is served or logged may hold either.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any

MARK = "hush-hush"

# Shorter ones ("k") are words of other things.
_SHORTEST = 8
_NAMES = re.compile(r"(?i)(key|token|secret|password|identity_header)$")
_planted: set[str] = {MARK}

type App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


def secret(name: str) -> str:
    """A credential for a test, which must not be seen anywhere but at the backend."""
    return f"sk-{MARK}-{name}-0123456789abcdef"


def plant(values: Mapping[str, Any]) -> None:
    """Watches for every credential in a configuration or an environment: what has the name of one."""
    _planted.update(_credentials(values))


def forget() -> None:
    """Watches for the mark only: a test has ended, and its words may mean something else in another."""
    _planted.clear()
    _planted.add(MARK)


def leak_in(text: str) -> str | None:
    """The credential that `text` holds, if it holds one."""
    return next((credential for credential in _planted if credential in text), None)


def _credentials(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _credentials(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _credentials(item, name)
    elif isinstance(value, str) and _NAMES.search(name) and _is_one(value):
        yield value


def _is_one(value: str) -> bool:
    """Not too short, and not the name of where one is kept."""
    return len(value) >= _SHORTEST and "://" not in value and not value.startswith("${")


class LeakGuard:
    """The application of a test, watched: what it sends is looked through for credentials."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.leaks: list[str] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        rest = ""

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal rest
            seen = repr(message.get("headers", "")) + rest + message.get("body", b"").decode("utf-8", "replace")
            if leak_in(seen):
                self.leaks.append(seen)
            rest = seen[-max(map(len, _planted)) :]
            await send(message)

        await self._app(scope, receive, watched)
