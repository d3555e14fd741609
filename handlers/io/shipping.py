"""Sends what piles up beside requests (archived bodies, spans) in batches, without ever holding one up.

A batch goes when it is large enough, when its first item has waited long enough, and when the process ends; where the
process may be frozen between requests, after each answer. What cannot be sent is kept for a few more tries, in bounded
memory, and is then given up with a line in the log that is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from core.ports import Clock, Log, Random, Transport
from core.slotted import slotted

# A batch that failed is sent once more with what came since, this many times in all.
TRIES = 4
# How long the end of the process may take.
LAST_SECONDS = 5.0


@slotted(frozen=True)
class Outside:
    """What senders are made from."""

    variables: Mapping[str, str]
    transport: Transport
    clock: Clock
    random: Random
    log: Log


@slotted(frozen=True)
class Shipping:
    """`name` begins the log's events (NAME_fault, NAME_lost). Sizes are in whatever unit items are put with.
    `frozen`: the process sleeps between requests, so nothing may wait for later."""

    name: str
    batch: int
    most: int
    seconds: float
    frozen: bool = False


class ShippingFault(Exception):
    """A batch was not taken; `lasting` where another try would not help."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Shipper[Item]:
    """Batches of items on their way to `send`, which raises ShippingFault."""

    def __init__(self, shipping: Shipping, send: Callable[[list[Item]], Awaitable[None]], log: Log) -> None:
        self._shipping = shipping
        self._send = send
        self._log = log
        self._items: list[tuple[Item, int]] = []
        self._size = 0
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def put(self, item: Item, size: int = 1) -> None:
        """Takes an item; must be called in the event loop. Where there is no room it is given up."""
        if self._size + size > self._shipping.most:
            self._lose(1)
            return
        self._items.append((item, size))
        self._size += size
        if self._shipping.frozen:
            return
        if self._size >= self._shipping.batch:
            self._start()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._shipping.seconds, self._start)

    async def after_answer(self) -> None:
        """Sends everything where the process may sleep from now on."""
        if self._shipping.frozen:
            await self.flush()

    async def finish(self) -> None:
        """The process ends: what waits is sent, in a bounded time."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.flush()
        except TimeoutError:
            self._log.event("warning", f"{self._shipping.name}_fault", error="no time was left", waiting=self._size)
        if self._timer is not None:
            self._timer.cancel()
        self._lose(len(self._items))
        self._items, self._size = [], 0

    async def flush(self) -> None:
        """Sends what waits, batch by batch, until nothing does or a batch is not taken. Raises nothing."""
        async with self._turn:
            while self._items and await self._send_one():
                pass

    def _start(self) -> None:
        """Sends in the background."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self.flush())

    async def _send_one(self) -> bool:
        batch: list[tuple[Item, int]] = []
        size = 0
        while self._items and (not batch or size + self._items[0][1] <= self._shipping.batch):
            batch.append(self._items.pop(0))
            size += batch[-1][1]
        try:
            await self._send([item for item, _ in batch])
        except ShippingFault as fault:
            self._keep(batch, size, fault)
            return False
        except BaseException:
            self._items[:0] = batch
            raise
        self._size -= size
        self._tries = 0
        return True

    def _keep(self, batch: list[tuple[Item, int]], size: int, fault: ShippingFault) -> None:
        """For another try with the next batch, or no more."""
        self._tries += 1
        event = f"{self._shipping.name}_fault"
        self._log.event("warning", event, error=str(fault), items=len(batch), tried=self._tries)
        if fault.lasting or self._tries >= TRIES:
            self._tries = 0
            self._size -= size
            self._lose(len(batch))
        else:
            self._items[:0] = batch
        if self._items and not self._shipping.frozen and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._shipping.seconds, self._start)

    def _lose(self, items: int) -> None:
        if items:
            self._log.event("warning", f"{self._shipping.name}_lost", items=items)


def is_frozen(variables: Mapping[str, str]) -> bool:
    """Whether the platform may stop the process between requests: Lambda does, unless it gives several at once."""
    several = variables.get("AWS_LAMBDA_MAX_CONCURRENCY", "")
    return "AWS_LAMBDA_FUNCTION_NAME" in variables and not (several.isdigit() and int(several) > 1)
