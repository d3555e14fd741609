"""The version of a store's layout: checked once a process beside its first call, brought forward where it is old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from core.ports import StoreFault

type Step = Callable[[], Awaitable[None]]


class Schema:
    """A store's layout. `steps` bring it from the version of their index to the next; each may be run again, and by
    several processes at once. `read` gives the version of what is stored (0 for none), `write` sets it."""

    def __init__(
        self,
        store: str,
        steps: Sequence[Step],
        read: Callable[[], Awaitable[int]],
        write: Callable[[int], Awaitable[None]],
    ) -> None:
        self._store = store
        self._steps = steps
        self._read = read
        self._write = write
        self._checked = False

    async def beside[Result](self, call: Callable[[], Awaitable[Result]]) -> Result:
        """What `call` gives. The first calls of a process go out beside the check, so it costs no round trip of its
        own; where the layout was old, a call is made again after it was brought forward. Raises StoreFault for a newer
        layout: nothing of it is believed."""
        if self._checked:
            return await call()
        checked, outcome = await asyncio.gather(self.check(), call(), return_exceptions=True)
        if isinstance(checked, BaseException):
            raise checked
        if checked:
            return await call()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def check(self) -> bool:
        """Whether the layout was old; it is not any more. Raises StoreFault for a newer one."""
        version, latest = await self._read(), len(self._steps)
        if version > latest:
            raise StoreFault(f"{self._store} has schema {version}; this version reads {latest}")
        for number in range(version, latest):
            await self._steps[number]()
            await self._write(number + 1)
        self._checked = True
        return version < latest


async def nothing_to_change() -> None:
    """The step of a version that only says what is there."""
