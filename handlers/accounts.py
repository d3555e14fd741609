"""Keeps the accounts: reserves before a request, settles and records after its answer, in one store.

What a request costs its client is one call to the store, and none at all where nothing limits it. Records wait in
memory until `flush`, which the doors call after each answer and before the process ends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from core import bill, limits
from core.access import AccessRules, Caller, is_admin
from core.errors import NotConfigured
from core.estimate import input_tokens, output_tokens
from core.generation import Generation
from core.http import HeaderList, Request
from core.keys import check_model
from core.limits import Counted, Quota, Subject
from core.ports import Clock, Hold, Log, Random, Settlement, Shortage, Store, StoreFault
from core.slotted import slotted
from core.usage import UsageRecord
from handlers.callers import Callers
from handlers.pricing import Pricing
from handlers.quotas import Quotas
from handlers.upkeep import Upkeep

if TYPE_CHECKING:
    from core.usage_report import UsageQuery
    from handlers.usage_reading import UsageReading

# A store that is away for long must not fill the memory.
MOST_WAITING = 20_000
# Of so many callers and models it is remembered what they are counted on.
MOST_KNOWN = 2_000
# Clients make up names for patterns of the configuration: those that fill the memory are not remembered.
LONGEST_KNOWN = 500
# So long a store that has not answered is not asked for limits: each question may take two seconds.
AWAY_SECONDS = 5.0


@slotted
class AccountPorts:
    """What accounts need from outside."""

    store: Store | None
    clock: Clock
    random: Random
    log: Log


@slotted
class _Limited:
    """Whose limits hold for a caller and a model, and what they are counted on in the minute `minute`."""

    caller: Caller
    minute: int
    subjects: Sequence[Subject]
    counters: Sequence[Counted]
    budgeted: bool


class Accounts:
    """core.run.Accounts over a store. Without one, callers are told apart and nothing is kept."""

    def __init__(self, ports: AccountPorts, callers: Callers, quotas: Quotas, pricing: Pricing) -> None:
        self._store = ports.store
        self._clock = ports.clock
        self._log = ports.log
        self._callers = callers
        self._quotas = quotas
        self._pricing = pricing
        self._known: dict[tuple[str, str], _Limited] = {}
        self._waiting: list[UsageRecord] = []
        self._upkeep = None if ports.store is None else Upkeep(
            ports.store, ports.clock, ports.random, ports.log, quotas.note_seconds
        )  # fmt: skip
        self._away_until = 0.0
        self._writing = self._asked_again = False
        # Who waits until all that waits now is written; and who writes it, where no door does.
        self._askers: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None
        # What a request costs on the platform, where it asks for anything (handlers.compute).
        self.compute: Callable[[UsageRecord], int] | None = None

    @property
    def store(self) -> Store | None:
        """Where records go, None where nothing is kept."""
        return self._store

    def forget_keys(self) -> None:
        """Keys of the store have changed by way of this process."""
        self._callers.forget_keys()

    async def identify(self, request: Request, rules: AccessRules) -> Caller:
        return await self._callers.identify(request, rules)

    async def admit(self, caller: Caller, generation: Generation, record: UsageRecord) -> HeaderList:
        """Notes in `record` what it holds, and gives the answer's headers about what is left. Raises Refused: 403 for a
        model that the caller may not use, 429 for a limit that is reached."""
        check_model(caller, generation.model)
        now = self._clock.time()
        limited = self._limited(caller, generation.model, int(now // 60))
        if not limited.subjects or self._store is None:
            return []
        tokens, cost = self._estimate(generation, limited.budgeted)
        charges = limits.charges_on(limited.counters, tokens, cost)
        hold = Hold(record.request_id, charges, now + self._quotas.lease_seconds)
        must_hold = limited.budgeted or self._quotas.on_store_fault == "closed"
        if now < self._away_until and not must_hold:
            return []
        record.hold = hold  # already: what a call may have taken that failed, or whose client left, is settled too
        try:
            outcome = await self._store.reserve(hold, now)
            if isinstance(outcome, Shortage) and limits.is_given_back(outcome.charge) and await self._settle():
                outcome = await self._store.reserve(hold, now)
        except StoreFault as fault:
            self._away_until = now + AWAY_SECONDS
            self._log.event("warning", "store_fault", during="admission", error=str(fault), metric="store_faults")
            if must_hold:
                raise NotConfigured(UNCHECKED) from fault
            return []
        if isinstance(outcome, Shortage):
            record.hold = None
            raise limits.refusal(outcome, limited.subjects, record.client_format, now)
        assert self._upkeep is not None
        self._upkeep.begin(record, hold)
        return limits.rate_headers(charges, outcome.used, record.client_format, now)

    async def quotas_left(self, caller: Caller, models: Sequence[str]) -> Mapping[str, Mapping[str, Any] | None]:
        """For each of `models` what `caller` may still take of it: limits and budgets by name, each with `limit`,
        `used`, `remaining` and `resets` (see core.limits.left). None where nothing is limited, or nobody can say."""
        now = self._clock.time()
        subjects = {model: self._subjects(caller, model) for model in models}
        counters = {charge.counter for each in subjects.values() for charge in limits.charges_of(each, 0, 0, now)}
        if self._store is None or not counters:
            return dict.fromkeys(models)
        try:
            totals = await self._store.totals(sorted(counters), now)
        except StoreFault as fault:
            self._log.event("warning", "store_fault", during="quotas", error=str(fault), metric="store_faults")
            return dict.fromkeys(models)
        return {model: limits.left(each, totals, now) or None for model, each in subjects.items()}

    def _limited(self, caller: Caller, model: str, minute: int) -> _Limited:
        """What a caller who asks for a model is counted on in a minute since the epoch."""
        known = self._known.get((caller.id, model))
        if known is not None and known.caller is caller and known.minute == minute:
            return known
        subjects = self._subjects(caller, model)
        counters = limits.counted(subjects, minute)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        known = _Limited(caller, minute, subjects, counters, limits.has_budget(subjects))
        if len(model) <= LONGEST_KNOWN:
            self._known[caller.id, model] = known
        return known

    def _subjects(self, caller: Caller, model: str) -> list[Subject]:
        quotas, subjects = self._quotas, []
        if of_key := caller.quota or quotas.keys:
            subjects.append(Subject("key", caller.id, of_key, caller.shown or "this caller"))
        if of_owner := _named(quotas.owners, caller.owner):
            subjects.append(Subject("owner", caller.owner, of_owner, f"owner {caller.owner}"))
        if of_model := _named(quotas.models, model):
            subjects.append(Subject("model", model, of_model, f"model {model}"))
        if quotas.everyone:
            subjects.append(Subject("everyone", "", quotas.everyone, "this gateway"))
        return subjects

    def _estimate(self, generation: Generation, priced: bool) -> tuple[int, int]:
        """The most tokens and picodollars, over all candidates. A hedged stream may be answered twice, one that is
        taken up where it broke by each candidate in turn."""
        if generation.endpoint.operation == "count_tokens":
            return 0, 0  # no vendor counts or bills it
        route = generation.route
        assert route is not None
        incoming = input_tokens(generation.request.body)
        fast = generation.document.values.get("speed") == "fast"
        tier = "fast" if fast else generation.service_tier
        times = 1
        if generation.stream:
            times = len(route.candidates) if route.policy.continue_ else 1
            times = max(times, 2) if route.policy.hedge_after is not None else times
        tokens = cost = 0
        for candidate in route.candidates:
            outgoing = output_tokens(generation, candidate)
            tokens = max(tokens, incoming + outgoing)
            if priced:
                worst = self._pricing.worst(candidate, (incoming, outgoing), tier)
                if worst is None:
                    raise NotConfigured(
                        f"No price is known for '{candidate.api_model}' at backend '{candidate.backend.name}', so a "
                        f"budget cannot hold: set prices.{candidate.api_model} in the configuration."
                    )
                cost = max(cost, worst)
        return tokens * times, cost * times

    def record(self, record: UsageRecord) -> None:
        """Takes a record, to be written at the next flush."""
        if self._upkeep is None:
            return
        self._upkeep.end(record)
        if bill.is_unsettled(record):
            # The backend never said; the prompt at least was read. Four bytes a token is near for most text.
            record.usage.input_tokens, record.cost = record.request_bytes // 4, None
            record.errors.append("usage estimated: the backend's counts never came")
        if record.cost is None:
            record.cost = self._pricing.record(record)
        if "iterations" in record.usage.raw:  # of Anthropic's answers, few
            record.wasted = [*record.wasted, *import_module("core.formats.messages.iterations").beside(record)]
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(record)
        else:
            self._log.event("error", "usage_lost", request_id=record.request_id)

    async def flush(self) -> None:
        """Writes what waits. What a store does not take waits on; nothing is raised."""
        if self._upkeep is not None and await self._flush():
            await self._upkeep.tend()  # which may take long, and holds no record up

    async def _settle(self) -> bool:
        """Whether there were requests that are over and still held something: now they do not. A client whose answer
        has ended may ask again before what follows the answer is done."""
        if not (self._waiting or self._writing):
            return False
        self._asked_again = True
        asker = asyncio.get_running_loop().create_future()
        self._askers.append(asker)
        if not self._writing and self._writer is None:
            self._writer = asyncio.create_task(self._flush_beside())
        await asker
        return True

    async def _flush_beside(self) -> None:
        """Beside the request that needs it, whose client may leave: others rely on it."""
        try:
            if not self._writing:
                await self._flush()
        finally:
            self._writer = None

    async def _flush(self) -> bool:
        """Whether what waited is written by this call; not where another one writes, or the store is away."""
        if self._store is None or self._upkeep is None:
            return False
        self._asked_again = True  # what has come since is for the one that writes
        if self._writing:
            if self._writer is not None:
                await asyncio.wait((self._writer,))  # no door would wait for it
            return False
        self._writing = True
        try:
            while (self._waiting or self._askers) and self._asked_again:
                self._asked_again = False
                askers, self._askers = self._askers, []
                try:
                    if not await self._write_waiting(self._store, self._upkeep):
                        return False
                finally:
                    _tell(askers)
        finally:
            self._writing = False
            _tell(self._askers)
        return True

    async def _write_waiting(self, store: Store, upkeep: Upkeep) -> bool:
        """Whether the store has taken what waited."""
        batch, self._waiting = self._waiting, []
        try:
            await self._write(store, batch)
            await upkeep.forget(batch)
        except StoreFault as fault:
            self._waiting[:0] = batch
            about = {"error": str(fault), "waiting": len(self._waiting), "metric": "store_faults"}
            self._log.event("warning", "store_fault", during="recording", **about)
            return False
        except BaseException:
            self._waiting[:0] = batch
            raise
        return True

    async def usage(self, caller: Caller, query: str) -> bytes:
        """`GET /api/v1/usage?by=day,model&days=7` (core.usage_report): the sums, USD exact. Who is no administrator
        sees what they have used themselves. Raises ClientFault, or NotConfigured (503) where the store cannot be
        asked."""
        if self._store is None:
            raise NotConfigured("No store is configured, so no usage is kept: set SKYBRIDGE_STORE.")
        reports, reader = import_module("core.usage_report"), import_module("handlers.usage_reading")  # few ask
        asked: UsageQuery = reports.read_query(query)
        only = None if is_admin(caller) else caller.id
        await self.flush()
        try:
            found: UsageReading = await reader.read_usage(
                self._store, reports.Report(asked, only), self._clock.time(), most=reader.MOST_RECORDS
            )
        except StoreFault as fault:
            raise NotConfigured("The gateway cannot read usage now; try again in a moment.") from fault
        page = {
            "object": "list", "days": asked.days, "by": asked.by, "data": found.report.rows(),
            "records": found.report.counted, "complete": found.complete, "damaged": found.report.damaged,
        }  # fmt: skip
        return json.dumps(page).encode()

    async def _write(self, store: Store, batch: Sequence[UsageRecord]) -> None:
        """Settles and records. Both may be done twice without harm."""
        days: dict[str, dict[str, bill.Document]] = {}
        settlements: list[Settlement] = []
        for record in batch:
            wasted = self._wasted_cost(record)
            if record.hold is not None:
                tokens = record.usage.total_tokens + sum(each.usage.total_tokens for each in record.wasted)
                cost = (record.cost.total if record.cost is not None else 0) + wasted
                settlements.append((record.hold, limits.used(record.hold.charges, tokens, cost)))
            folder = bill.folder_of(bill.day_of(record.started))
            days.setdefault(folder, {})[record.request_id] = bill.usage_document(
                record, wasted, self.compute(record) if self.compute is not None else None
            )
        expires = self._clock.time() + bill.RETENTION_DAYS * 86_400
        calls = [store.write(folder, documents, expires) for folder, documents in days.items()]
        if settlements:
            calls.append(store.settle(settlements))
        await asyncio.gather(*calls)

    def _wasted_cost(self, record: UsageRecord) -> int:
        costs = (
            self._pricing.of(each.backend, each.api_model, each.usage, each.usage.tier or record.tier)
            for each in record.wasted
        )
        return sum(cost.total for cost in costs if cost is not None)


UNCHECKED = "The gateway cannot check limits and budgets now; try again in a moment."


def _tell(askers: list[asyncio.Future[None]]) -> None:
    """They need wait no longer."""
    while askers:
        asker = askers.pop()
        if not asker.done():  # whose client has gone
            asker.set_result(None)


def _named(quotas: Mapping[str, Quota], name: str) -> Quota:
    return quotas[name] if name in quotas else quotas.get("*", {})
