"""Keys of the store, made, changed, rotated and ended: for the management API and for the command line.

Every change is logged with who made it and what it was about, never with a key. A changed or ended key is believed
elsewhere for as long as it was looked up before: 30 seconds (handlers.callers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.key_terms import ending, with_secret
from core.keys import Key, new_secret, read_key
from core.ports import Clock, Log, Random, Store
from core.slotted import replace, slotted
from handlers.callers import KEYS


class NoSuchKey(LookupError):
    """There is no key of that name."""


class KeyEnded(Exception):
    """The key has expired or was revoked, or was changed by somebody else in this moment."""


@slotted(frozen=True)
class KeyDesk:
    """The keys of `store`. `by` is who asks, as the log calls them; `changed` is called after each change. Every call
    may raise StoreFault."""

    store: Store
    clock: Clock
    random: Random
    log: Log
    by: str
    changed: Callable[[], None] = lambda: None

    async def all(self) -> list[Key]:
        """Every key, the oldest first."""
        documents = await self.store.read_all(KEYS)
        found = [read_key(digest, document) for digest, document in documents.items()]
        return sorted(found, key=lambda key: (key.created, key.prefix))

    async def find(self, name: str) -> list[Key]:
        """The keys of that id (two while one replaces the other), or the one that begins so. Raises NoSuchKey."""
        keys = await self.all()
        found = [key for key in keys if key.id == name] or [key for key in keys if key.prefix == name.rstrip("…")]
        if not found:
            raise NoSuchKey(f"there is no key {name}")
        return found

    def blank(self) -> Key:
        """A key that nothing is known of but its id and its time."""
        return Key("key_" + self.random.token(12), "", "", "", self.clock.time())

    async def issue(self, key: Key, *, action: str = "created") -> tuple[str, Key]:
        """The text of a new key with the terms of `key`, and its record. Nobody keeps the text."""
        secret = new_secret(self.random)
        issued = with_secret(key, secret)
        await self.store.write(KEYS, {issued.digest: issued.document()})
        self._tell(action, issued)
        return secret, issued

    async def change(self, before: Sequence[Key], after: Sequence[Key]) -> list[Key]:
        """Puts `after` in the place of `before`, which are the same keys with other terms, the newest last. Those that
        it replaces end when they were to. Gives what was written. Raises KeyEnded where somebody was quicker."""
        ended = [replace(new, expires=old.expires) for old, new in zip(before[:-1], after, strict=False)]
        changed = [*ended, after[-1]]
        await self._put(before, changed)
        for old, new in zip(before, changed, strict=True):
            was, now = old.document(), new.document()
            self._tell("changed", new, members=[name for name in now if now[name] != was[name]])
        return changed

    async def rotate(self, name: str, overlap: float) -> tuple[str, Key]:
        """A new key with the id and the terms of the one called `name`, so that limits and budgets are one for both;
        the old one goes on working for `overlap` seconds. Raises NoSuchKey, and KeyEnded where none is active."""
        now = self.clock.time()
        old = [key for key in await self.find(name) if key.state(now) == "active"]
        if not old:
            raise KeyEnded(f"{name} is not active any more: make a new key")
        secret, issued = await self.issue(replace(old[-1], created=now), action="rotated")
        ended = [ending(key, now, overlap) for key in old]
        try:
            await self._put(old, ended)
        except KeyEnded:
            await self.store.delete(KEYS, issued.digest)
            raise
        finally:
            self.changed()
        return secret, issued

    async def _put(self, before: Sequence[Key], after: Sequence[Key]) -> None:
        """In the place of what was read: a revocation that came in between stands."""
        for old, new in zip(before, after, strict=True):
            if await self.store.replace(KEYS, new.digest, (old.document(), new.document())):
                continue
            standing = await self.store.read(KEYS, new.digest)
            if standing is None or read_key(new.digest, standing).document() != old.document():
                raise KeyEnded(f"{old.id} was changed by somebody else in this moment: look at it and try again")
            # An older version wrote it, with fewer members.
            await self.store.write(KEYS, {new.digest: new.document()})

    async def revoke(self, name: str) -> None:
        """Ends every key that is called `name`. Doing it again changes nothing. Raises NoSuchKey."""
        now = self.clock.time()
        # Until none is left: one may just be replaced.
        while ended := [replace(key, revoked=now) for key in await self.find(name) if key.revoked is None]:
            await self.store.write(KEYS, {key.digest: key.document() for key in ended})
            for key in ended:
                self._tell("revoked", key)

    def _tell(self, action: str, key: Key, **fields: object) -> None:
        self.log.event(
            "info", f"key {action}", by=self.by, key_id=key.id, prefix=key.prefix, owner=key.owner, admin=key.admin,
            **fields,
        )
        self.changed()
