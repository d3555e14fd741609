"""RATE_LIMIT: how many requests a minute a user may make of the chat API."""

from __future__ import annotations

from typing import Any

from core import limits
from core.access import Caller
from core.chat.sessions import owner_of
from core.errors import GatewayError
from core.limits import Subject
from core.ports import Charge, Clock, Hold, Log, Random, Shortage, Store, StoreFault
from core.slotted import slotted

MINUTE = 60.0
NAME = "requests_per_minute"


@slotted
class RatePorts:
    """What is counted with; without a store each process counts for itself."""

    store: Store | None
    clock: Clock
    random: Random
    log: Log


class ChatRate:
    """Counts requests by user, in the minutes of the clock. `most` None limits nothing."""

    def __init__(self, ports: RatePorts, most: int | None) -> None:
        self._ports = ports
        self._most = most
        self._minute = 0
        self._counts: dict[str, int] = {}

    async def take(self, caller: Caller) -> None:
        """Counts a request. Raises Refused (429), which says when to come again."""
        if self._most is None:
            return
        now = self._ports.clock.time()
        subjects = self._subjects(caller)
        charges = limits.charges_of(subjects, 0, 0, now)
        used = await self._taken(charges[0], now)
        if used is None:
            return
        refusal = limits.refusal(Shortage(charges[0], used), subjects, "api", now)
        raise self._explained(refusal)

    async def left(self, caller: Caller) -> dict[str, Any] | None:
        """What is left of the limit, None where there is none."""
        if self._most is None:
            return None
        now = self._ports.clock.time()
        charge = limits.charges_of(self._subjects(caller), 0, 0, now)[0]
        used = self._counted(charge.counter, now)
        if self._ports.store is not None:
            try:
                used = (await self._ports.store.totals([charge.counter], now))[charge.counter]
            except StoreFault as fault:
                self._log(fault)
        return {"limit": self._most, "remaining": max(0, self._most - used), "resets": charge.until}

    def _subjects(self, caller: Caller) -> list[Subject]:
        assert self._most is not None
        return [Subject("chat", owner_of(caller), {NAME: self._most}, caller.shown or "this caller")]

    async def _taken(self, charge: Charge, now: float) -> int | None:
        """None when there was room; else how much is used."""
        store = self._ports.store
        if store is not None:
            hold = Hold(self._ports.random.token(24), (charge,), now + MINUTE)
            try:
                outcome = await store.reserve(hold, now)
                if isinstance(outcome, Shortage):
                    return outcome.used
                await store.settle([(hold, {charge.counter: 1})])
                return None
            except StoreFault as fault:
                self._log(fault)
        used = self._counted(charge.counter, now)
        if used >= (charge.limit or 0):
            return used
        self._counts[charge.counter] = used + 1
        return None

    def _counted(self, counter: str, now: float) -> int:
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        return self._counts.get(counter, 0)

    def _log(self, fault: StoreFault) -> None:
        self._ports.log.event("warning", "store_fault", during="the chat's rate limit", error=str(fault))

    def _explained(self, refusal: GatewayError) -> GatewayError:
        refusal.about = {"limit": self._most, "window_seconds": int(MINUTE)}
        return refusal
