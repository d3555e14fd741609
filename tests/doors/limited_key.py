"""A key of a store with limits and a budget, for first requests with accounts on."""

from __future__ import annotations

from core.keys import Key, digest_of
from core.limits import read_quota
from core.ports import Store
from handlers.callers import KEYS


async def write_limited_key(store: Store, secret: str) -> None:
    """Makes the store's layout and puts the key there."""
    await store.prepare()
    quota = dict(read_quota({"requests_per_minute": 10, "tokens_per_day": 10**6, "usd_per_month": 5}, "made"))
    key = Key("made", digest_of(secret), secret[:13], "made", 1.0, quota=quota)
    await store.write(KEYS, {key.digest: key.document()})
