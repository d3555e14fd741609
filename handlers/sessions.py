"""Keeps sessions in the store: one document for the head, one for each message, one for the place in the list.

Folders: `chat:<owner>` has the heads by id, `chat-order:<owner>` their order, `chat:<owner>:<id>:<epoch>` the messages
and, under `prompt`, the session's system prompt.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from core.chat import sessions as rules
from core.chat.asking import Room
from core.chat.messages import Assembler, Said, StoredMessage, documents_of, name_of, said_of, trimmed
from core.chat.sessions import Head, Lease, read_head
from core.errors import ClientFault, NotConfigured
from core.ports import Clock, Log, Random, Store, StoredDocument, StoreFault
from core.slotted import replace, slotted

# So many messages of a history are read at once.
PAGE = 50
# A list is counted up to here.
MOST_COUNTED = 1000
# A search looks through so many sessions, the last used first, before it answers; the cursor goes on.
MOST_SEARCHED = 1000
SEARCHED_AT_ONCE = 200
PROMPT = "prompt"


@slotted
class SessionPorts:
    """What sessions are kept with. `days`: how long one is kept after its last turn."""

    store: Store
    clock: Clock
    random: Random
    log: Log
    days: float


@slotted
class Opening:
    """What a turn says of its session, in case it is new: its title, and the model that is asked. `asked` is how many
    messages it asks with, 0 for one that answers the last question once more."""

    title: str
    model: str
    asked: int
    prompt: str | None = None


class Sessions:
    """The sessions of one owner."""

    def __init__(self, ports: SessionPorts, owner: str) -> None:
        self.ports = ports
        self.heads = f"chat:{owner}"
        self.order = f"chat-order:{owner}"

    async def claim(self, session_id: str | None, opening: Opening) -> Turn:
        """Begins a turn; a session that there is not is made. Raises ClientFault: 409 while another turn is under way,
        404 for an id that the gateway gave to somebody else or to a session that is over, and for a session that is to
        answer again and is not there."""
        now = self.ports.clock.time()
        name = session_id or rules.new_id(self.ports.random.token(24))
        found = await self.ports.store.read(self.heads, name)
        standing = None if found is None else read_head(found)
        fresh = standing is None or not rules.is_alive(standing, now)
        if fresh and session_id is not None and (rules.is_own_id(session_id) or not opening.asked):
            raise rules.no_session(session_id)
        head = self._new_head(name, opening, now) if fresh or standing is None else standing
        lease = Lease(self.ports.random.token(16), opening.asked, now + rules.LEASE_SECONDS)
        crashed = head.lease
        claimed = rules.claimed(head, lease, now)
        if crashed is not None:
            claimed = await self._with_lost_question(claimed, crashed)
        after = claimed.document()
        if not await self.ports.store.replace(self.heads, name, (found, after), claimed.expires):
            raise rules.busy(head)
        return Turn(self, claimed, None if fresh else head, opening)

    def _new_head(self, name: str, opening: Opening, now: float) -> Head:
        expires = now + self.ports.days * rules.DAY
        return Head(name, self.ports.random.token(8), opening.title, opening.model, now, now, expires)

    async def _with_lost_question(self, head: Head, crashed: Lease) -> Head:
        """A turn that died may have kept its question: it counts, and its answer has failed."""
        assert head.lease is not None
        if not crashed.asked:
            return head
        folder = self.messages(head)
        names = [name_of(head.count + index, crashed.turn) for index in range(crashed.asked)]
        found = await asyncio.gather(*(self.ports.store.read(folder, name) for name in (names[0], names[-1])))
        if None in found:
            return head
        asked = replace(head, count=head.count + crashed.asked, last=names[-1])
        answer = Said("assistant", "", status="failed", created=self.ports.clock.time(), id=f"m_{crashed.turn}")
        return (await self.write(asked, head.lease.turn, [answer]))[0]

    def messages(self, head: Head) -> str:
        """The folder of a session's messages."""
        return f"{self.heads}:{head.id}:{head.epoch}"

    async def write(self, head: Head, turn: str, said: Sequence[Said]) -> tuple[Head, list[str]]:
        """Keeps messages of a turn after those of `head`. The head that counts them, and the documents' names."""
        documents: dict[str, dict[str, Any]] = {}
        for each in said:
            name = name_of(head.count, turn)
            documents |= documents_of(name, {**each.document(), "before": head.last})
            head = replace(head, count=head.count + 1, last=name)
        await self.ports.store.write(self.messages(head), documents, self.kept_until())
        return head, list(documents)

    async def write_prompt(self, head: Head, turn: str, text: str) -> Head:
        """Keeps a session's own system prompt. The head that names it."""
        name = f"{PROMPT}-{turn}"
        await self.ports.store.write(self.messages(head), documents_of(name, {"text": text}), self.kept_until())
        return replace(head, prompt=name)

    def kept_until(self) -> float:
        """When messages that are written now may be dropped."""
        return self.ports.clock.time() + rules.KEPT_LONGER * self.ports.days * rules.DAY

    async def find(self, session_id: str) -> Head:
        """The head of a session. Raises ClientFault (404)."""
        return (await self._find(session_id))[1]

    async def _find(self, session_id: str) -> tuple[StoredDocument, Head]:
        found = await self.ports.store.read(self.heads, session_id)
        if found is not None:
            head = read_head(found)
            if head.order and rules.is_alive(head, self.ports.clock.time()):
                return found, head
        raise rules.no_session(session_id)

    async def page(self, cursor: str, limit: int, wanted: str = "") -> tuple[list[Head], str | None]:
        """The last used sessions after `cursor` ("" for the first page), and where the next page begins. `wanted`: only
        those whose title has it, of the next MOST_SEARCHED sessions."""
        after = rules.read_cursor(cursor) if cursor else ""
        heads: list[Head] = []
        looked_at = 0
        while len(heads) <= limit and looked_at < MOST_SEARCHED:
            most = SEARCHED_AT_ONCE if wanted else limit + 1 - len(heads)
            entries = await self.ports.store.read_page(self.order, after, most)
            if not entries:
                return heads, None
            after = list(entries)[-1]
            looked_at += len(entries) if wanted else 0
            likely = {name: entry for name, entry in entries.items() if rules.is_titled(entry.get("title"), wanted)}
            found = await asyncio.gather(*(self._listed(name, entry["id"]) for name, entry in likely.items()))
            heads += [head for head in found if head is not None and rules.is_titled(head.title, wanted)]
        return heads[:limit], rules.cursor_of(heads[limit - 1].order if len(heads) > limit else after)

    async def _listed(self, order: str, session_id: str) -> Head | None:
        """The session of an entry; None where it is gone or has a later entry."""
        try:
            head = await self.find(session_id)
        except ClientFault:
            return None
        return head if head.order == order else None

    async def total(self) -> int | None:
        """How many sessions there are; None for more than MOST_COUNTED."""
        now, after = self.ports.clock.time(), ""
        seen: set[str] = set()
        while len(seen) <= MOST_COUNTED:
            entries = await self.ports.store.read_page(self.order, after, MOST_COUNTED)
            if not entries:
                return len(seen)
            after = list(entries)[-1]
            seen |= {entry["id"] for entry in entries.values() if entry["expires"] > now}
        return None

    async def newest_first(self, head: Head) -> AsyncGenerator[Said]:
        """The messages of a session."""
        async with aclosing(self.kept(head)) as messages:
            async for _, document in messages:
                yield said_of(document)

    async def kept(self, head: Head) -> AsyncGenerator[tuple[str, StoredMessage]]:
        """The names and documents of a session's messages, the newest first. Each names the one before it: what a turn
        wrote that has lost is passed over."""
        assembler, after, wanted = Assembler(), "", head.last
        while wanted:
            page = await self.ports.store.read_page(self.messages(head), after, PAGE)
            for name, document in page.items():
                whole = None if name.startswith(PROMPT) else assembler.feed(name, document)
                if whole is not None and whole[0] == wanted:
                    yield whole
                    wanted = whole[1]["before"]
            if not page:
                return
            after = list(page)[-1]

    async def all_messages(self, head: Head) -> list[Said]:
        """The whole history, the oldest first."""
        found = [said async for said in self.newest_first(head)]
        return found[::-1]

    async def prompt(self, head: Head) -> str | None:
        """The session's own system prompt."""
        if not head.prompt:
            return None
        assembler, name = Assembler(), head.prompt
        first = await self.ports.store.read(self.messages(head), name)
        if first is None:
            return None
        whole = assembler.feed(name, first)
        while whole is None:
            page = await self.ports.store.read_page(self.messages(head), name, PAGE)
            if not page:
                return None
            for name, document in page.items():
                whole = whole or assembler.feed(name, document)
        return str(whole[1]["text"])

    async def rename(self, session_id: str, title: str) -> Head:
        """Gives a session a title. Raises ClientFault: 404, or 409 while a turn is under way."""
        found, head = await self._find(session_id)
        if head.lease is not None and head.lease.until > self.ports.clock.time():
            raise rules.busy(head)
        renamed = replace(head, title=title)
        change = (found, renamed.document())
        if not await self.ports.store.replace(self.heads, session_id, change, head.expires):
            raise rules.busy(head)
        await self.ports.store.write(self.order, {renamed.order: rules.entry_of(renamed)}, renamed.expires)
        return renamed

    async def delete(self, session_id: str) -> None:
        """Forgets a session with all that was said in it. Raises ClientFault (404)."""
        head = await self.find(session_id)
        store = self.ports.store
        await store.delete(self.heads, session_id)
        await store.delete(self.order, head.order)
        await self.forget(head)

    async def forget(self, head: Head) -> None:
        """Drops all messages."""
        folder = self.messages(head)
        while page := await self.ports.store.read_page(folder, "", PAGE):
            await asyncio.gather(*(self.ports.store.delete(folder, name) for name in page))


class Turn:
    """A turn that holds its session. It is committed, or abandoned and then never was."""

    def __init__(self, sessions: Sessions, head: Head, before: Head | None, opening: Opening) -> None:
        assert head.lease is not None
        self._sessions = sessions
        self._ports = sessions.ports
        self.head = head
        self._id = head.lease.turn
        self._before = before
        self._opening = opening
        self._renew_at = self._ports.clock.monotonic() + rules.RENEW_SECONDS
        self._asked = self._earlier = head
        self._written: list[str] = []
        self._replaced = ""

    async def prompt(self) -> str | None:
        """The system prompt of the session: this turn's, or the one that was kept."""
        given = self._opening.prompt
        return await self._sessions.prompt(self.head) if given is None else given

    async def history(self, room: Room) -> tuple[list[Said], int]:
        """What was said before, as much as fits, the oldest first; and how many messages do not."""
        found: list[Said] = []
        left = room.left
        async with aclosing(self._sessions.newest_first(self._earlier)) as messages:
            async for said in messages:
                found.insert(0, said)
                left -= room.tokens(said)
                if left < 0:
                    break
        kept = trimmed(found, room.left, room.tokens)
        return kept, self._earlier.count - len(kept)

    @property
    def has_asked(self) -> bool:
        """Whether the question is kept."""
        return bool(self._written)

    @property
    def replaces(self) -> bool:
        """Whether its answer takes the place of an earlier one."""
        return not self._opening.asked

    async def take_back(self) -> list[Said]:
        """The question that was answered last, with its files. Its answer gives way to this turn's, once there is one.
        Raises ClientFault (400) where nothing was asked."""
        taken: list[tuple[str, StoredMessage]] = []
        async with aclosing(self._sessions.kept(self.head)) as messages:
            async for name, document in messages:
                if taken and taken[-1][1]["role"] == "user" and document["role"] != "user":
                    break
                taken.append((name, document))
        if not taken or taken[-1][1]["role"] != "user":
            raise rules.nothing_asked(self.head)
        self._earlier = replace(self.head, count=self.head.count - len(taken), last=taken[-1][1]["before"])
        name, newest = taken[0]
        if newest["role"] == "assistant":
            self._replaced = name
            self._asked = replace(self.head, count=self.head.count - 1, last=newest["before"])
            del taken[0]
        return [said_of(document) for _, document in reversed(taken)]

    async def ask(self, said: Sequence[Said]) -> None:
        """Keeps the question, so that a process that dies does not take it along."""
        self._asked, self._written = await self._sessions.write(self.head, self._id, said)

    async def keep_alive(self) -> None:
        """Renews the lease when it is time. Raises ClientFault (409) where it was over and somebody came."""
        if self._ports.clock.monotonic() < self._renew_at or self.head.lease is None:
            return
        self._renew_at = self._ports.clock.monotonic() + rules.RENEW_SECONDS
        until = self._ports.clock.time() + rules.LEASE_SECONDS
        try:
            await self._put(replace(self.head, lease=replace(self.head.lease, until=until)))
        except StoreFault as fault:  # it may be back before the lease is over
            store_away(self._ports.log, "renewing a turn's lease", fault)

    async def commit(self, answer: Said) -> None:
        """Keeps the answer and gives the session free. Raises ClientFault (409) where the lease was over."""
        sessions, now = self._sessions, self._ports.clock.time()
        done, _ = await sessions.write(self._asked, self._id, [answer])
        if self._opening.prompt is not None:
            done = await sessions.write_prompt(done, self._id, self._opening.prompt)
        old = done.order
        done = rules.ended(done, self._opening.model, now, self._ports.days)
        if done.kept_until < done.expires:
            done = await self._prolonged(done)
        await self._ports.store.write(sessions.order, {done.order: rules.entry_of(done)}, done.expires)
        await self._put(done)
        if old and old != done.order:
            await self._ports.store.delete(sessions.order, old)
        if self._replaced:
            try:
                await self._forget_replaced()
            except StoreFault as fault:  # its time takes it away too
                store_away(self._ports.log, "dropping a replaced answer", fault)

    async def _forget_replaced(self) -> None:
        """Drops the answer that was replaced, with its pieces. Nothing leads to it any more."""
        folder, store, name = self._sessions.messages(self.head), self._ports.store, self._replaced
        after = name
        await store.delete(folder, name)
        while page := await store.read_page(folder, after, PAGE):
            pieces = [each for each in page if each.startswith(f"{name}.")]
            await asyncio.gather(*(store.delete(folder, piece) for piece in pieces))
            if len(pieces) < len(page):
                return
            after = pieces[-1]

    async def _prolonged(self, head: Head) -> Head:
        """All messages of a session written once more, so that they live as long as it does."""
        folder, after = self._sessions.messages(head), ""
        until = self._sessions.kept_until()
        while page := await self._ports.store.read_page(folder, after, PAGE):
            await self._ports.store.write(folder, page, until)
            after = list(page)[-1]
        return replace(head, kept_until=until)

    async def abandon(self) -> None:
        """Undoes the turn: its question is forgotten, and a session that it made is over at once."""
        folder, store = self._sessions.messages(self.head), self._ports.store
        await asyncio.gather(*(store.delete(folder, name) for name in self._written))
        expires = self.head.expires if self._before is not None else self._ports.clock.time()
        await self._put(replace(self.head, lease=None, expires=expires))

    async def _put(self, head: Head) -> None:
        """Puts `head` in the place of this turn's. Raises ClientFault (409) where it has lost the session."""
        store, folder = self._ports.store, self._sessions.heads
        if not await store.replace(folder, head.id, (self.head.document(), head.document()), head.expires):
            # A write whose answer was lost is this turn's too.
            standing = await store.read(folder, head.id)
            lease = None if standing is None else read_head(standing).lease
            ours = lease is not None and self.head.lease is not None and lease.turn == self.head.lease.turn
            if not ours or not await store.replace(folder, head.id, (standing, head.document()), head.expires):
                raise rules.taken_over(head)
        self.head = head


def store_away(log: Log, during: str, fault: StoreFault) -> NotConfigured:
    """The 503 for a store that cannot be reached; what it said is logged."""
    log.event("warning", "store_fault", during=during, error=str(fault), metric="store_faults")
    return NotConfigured("The gateway cannot reach its store now; try again in a moment.")
