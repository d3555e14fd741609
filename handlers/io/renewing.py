"""A value that expires, fetched once for everyone who asks and renewed before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from core.errors import NotConfigured
from core.ports import Clock

# A value is renewed this long before it expires, in seconds; one that fails to renew is used on.
RENEW_BEFORE = 300.0
# A value without an end is fetched again after this long: files are rewritten by other tools.
REREAD_AFTER = 300.0
# After a renewal that failed, the next one is tried this much later.
RETRY_AFTER = 30.0


class Expiring(Protocol):
    """What is renewed. `expires_at` is in seconds since the epoch, None when there is no end."""

    @property
    def expires_at(self) -> float | None: ...


class Renewing[T: Expiring]:
    """Keeps what `find` gives. One caller at a time fetches; the others wait for it, or go on with what still holds.

    `in_background`: while the value holds, nobody waits for its renewal.
    """

    def __init__(self, find: Callable[[], Awaitable[T]], clock: Clock, *, in_background: bool = False) -> None:
        self._find = find
        self._clock = clock
        self._in_background = in_background
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._value: T | None = None
        self._renew_at = 0.0

    async def current(self) -> T:
        """The value that holds now. Raises NotConfigured when there is none."""
        value = self._value
        if value is not None and self._clock.time() < self._renew_at:
            return value
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # A door may run its next request in another loop, which a lock or a task cannot follow.
            self._loop, self._lock, self._task = loop, asyncio.Lock(), None
        if value is not None and self._holds(value):
            if self._in_background:
                if self._task is None or self._task.done():
                    self._task = loop.create_task(self._quiet_renewal())
                return value
            if self._lock.locked():
                return value
        await self._locked_renewal()
        assert self._value is not None
        return self._value

    async def _locked_renewal(self) -> None:
        async with self._lock:
            if self._value is None or self._clock.time() >= self._renew_at:
                await self._renew()

    async def _quiet_renewal(self) -> None:
        """Nobody waits for this one: a failure is met by the caller who finds that the value has ended."""
        with suppress(NotConfigured):
            await self._locked_renewal()

    async def _renew(self) -> None:
        try:
            found = await self._find()
        except NotConfigured:
            if self._value is None or not self._holds(self._value):
                self._value = None
                raise
            self._renew_at = self._clock.time() + RETRY_AFTER
            return
        now = self._clock.time()
        self._value = found
        if found.expires_at is None:
            self._renew_at = now + REREAD_AFTER
        else:
            self._renew_at = found.expires_at - min(RENEW_BEFORE, (found.expires_at - now) / 2)

    def _holds(self, value: T) -> bool:
        return value.expires_at is None or self._clock.time() < value.expires_at
