"""Cooldowns that all instances know of, by way of the store: a rate limit that one met is not met by the next.

They are written after the answer that met them and read in the same place, so no request waits for the store. Each
instance adds its own jitter, and each sends one probe at a time: the end of a cooldown is not a herd.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.ports import Clock, Log, Store, StoredDocument, StoreFault
from core.routing.health import Health

FOLDER = "cooldowns"
# How old what is known of the other instances' cooldowns may be.
READ_SECONDS = 5.0


class SharedCooldowns:
    """Carries cooldowns between `health` and the store. `flush` is called after each answer."""

    def __init__(self, store: Store, health: Health, clock: Clock, log: Log) -> None:
        self._store = store
        self._health = health
        self._clock = clock
        self._log = log
        self._read_at = 0.0
        self._busy = False

    async def flush(self) -> None:
        """Writes what is new, and reads what the others wrote when it is time. A store that is away is logged."""
        if self._busy:
            return
        self._busy = True
        try:
            await self._write()
            await self._read()
        except StoreFault as fault:
            self._log.event("warning", "store_fault", during="cooldowns", error=str(fault), metric="store_faults")
        finally:
            self._busy = False

    async def _write(self) -> None:
        news = self._health.take_news()
        if not news:
            return
        now = self._clock.time()
        documents = {"|".join(key): _document(key, now + seconds) for key, seconds in news.items()}
        await self._store.write(FOLDER, documents, now + max(news.values()))

    async def _read(self) -> None:
        now = self._clock.time()
        if now < self._read_at:
            return
        self._read_at = now + READ_SECONDS
        for document in (await self._store.read_all(FOLDER)).values():
            try:
                left = float(document["until"]) - now
                key = (str(document["backend"]), str(document["region"]), str(document["model"]))
            except (KeyError, TypeError, ValueError):  # somebody else wrote it
                continue
            if left > 0:
                self._health.learn(key, left)


def _document(key: tuple[str, str, str], until: float) -> StoredDocument:
    backend, region, model = key
    return {"backend": backend, "region": region, "model": model, "until": until}


type After = Callable[[], Awaitable[None]]


def after_all(*steps: After) -> After:
    """One call for what a door runs after each answer."""

    async def run() -> None:
        for step in steps:
            await step()

    return run
