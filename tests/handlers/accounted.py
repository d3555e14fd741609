"""A gateway with accounts over a real SQLite file, and scripted backends on a virtual clock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.access import AccessRules
from core.keys import SHOWN, Key, digest_of
from core.ports import Store
from handlers.accounts import AccountPorts, Accounts
from handlers.callers import KEYS, Callers, KeyCache
from handlers.io.clock import SystemRandom
from handlers.io.sqlite_store import SqliteStore
from handlers.pricing import read_pricing
from handlers.quotas import read_quotas
from tests.gateways import Bench
from tests.scripted import Play

SECRET = "sk-sky-made-for-tests-0123456789"


class AccountedBench(Bench):
    """tests.gateways.Bench whose requests are reserved, settled and recorded in `store`."""

    def __init__(
        self, document: dict[str, Any], plays: Sequence[Play], store: Store, rules: AccessRules | None = None
    ) -> None:
        super().__init__(document, plays)
        self.store = store
        configuration = self.gateway.configuration
        pricing = read_pricing(configuration)
        callers = Callers(KeyCache(store, self.clock, self.log), self.clock)
        ports = AccountPorts(store, self.clock, SystemRandom(), self.log)
        self.accounts = Accounts(ports, callers, read_quotas(configuration.quotas), pricing)
        self.gateway.ports.random = SystemRandom()
        self.gateway.ports.accounts = self.accounts
        self.gateway.ports.price = pricing.record
        self.gateway.ports.metered = True
        self.gateway.ports.record = self._record
        self.gateway.rules = rules or AccessRules(stored=True)

    def _record(self, record: Any) -> None:
        self.records.append(record)
        self.accounts.record(record)

    async def add_key(self, secret: str = SECRET, **members: Any) -> Key:
        """Stores a key with these members."""
        key = Key("key_made", digest_of(secret), secret[:SHOWN], "team-a", self.clock.time())
        for name, value in members.items():
            setattr(key, name, value)
        await self.store.write(KEYS, {key.digest: key.document()})
        return key

    async def documents(self) -> list[Any]:
        """Every usage record of the clock's day, once the accounts were flushed."""
        await self.accounts.flush()
        return list((await self.store.read_all("usage:2023-11-14")).values())


def sqlite(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "made.db")
