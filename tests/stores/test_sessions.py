"""Sessions of the chat API, on the three real stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from core.chat import sessions as rules
from core.chat.asking import Question, Room
from core.chat.messages import PIECE_BYTES, Attachment, Said
from core.configuration import read_configuration
from core.errors import ClientFault, NotConfigured
from core.ports import Store, StoreFault
from handlers.sessions import Opening, SessionPorts, Sessions, store_away
from tests.gateways import RecordingLog
from tests.scripted import VirtualClock

DAYS = 30.0
ROUTE = read_configuration(
    {"backends": {"o": {"type": "openai"}}, "models": {"m": {"backend": "o", "api_model": "gpt-4"}}}, {}
).registry.resolve("m")


class Tokens:
    """core.ports.Random whose tokens are all different."""

    def __init__(self) -> None:
        self._numbers = count()

    def token(self, length: int) -> str:
        return f"{next(self._numbers):0{length}d}"

    def uniform(self) -> float:
        return 0.5


class Ground:
    """A clock, and sessions of any owner at any instance."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.random = Tokens()
        self.log = RecordingLog()

    def sessions(self, store: Store, owner: str = "ann") -> Sessions:
        return Sessions(SessionPorts(store, self.clock, self.random, self.log, DAYS), owner)


@pytest.fixture
def ground() -> Ground:
    return Ground()


def opening(title: str = "Title", **members: Any) -> Opening:
    return Opening(title, "m", members.pop("asked", 1), **members)


def said(text: str, **members: Any) -> Said:
    return Said("user", text, id=f"m_{text[:20]}", **members)


def answer(text: str, **members: Any) -> Said:
    return Said("assistant", text, id=f"a_{text[:20]}", **members)


async def talk(sessions: Sessions, session_id: str | None, text: str, **members: Any) -> str:
    """One turn: its session's id."""
    turn = await sessions.claim(session_id, opening(text, **members))
    await turn.ask([said(text)])
    await turn.commit(answer(f"re: {text}"))
    return turn.head.id


async def texts(sessions: Sessions, session_id: str) -> list[str]:
    return [each.content for each in await sessions.all_messages(await sessions.find(session_id))]


def fault_of(caught: pytest.ExceptionInfo[ClientFault]) -> int:
    return caught.value.status


async def test_a_session_lives_and_is_forgotten(store: Store, open_store: Callable[[], Store], ground: Ground) -> None:
    sessions = ground.sessions(store)
    session_id = await talk(sessions, None, "first", prompt="Be brief.")
    ground.clock.now += 5
    assert await talk(sessions, session_id, "second") == session_id
    elsewhere = open_store()
    other = ground.sessions(elsewhere)
    assert await texts(other, session_id) == ["first", "re: first", "second", "re: second"]
    head = await other.find(session_id)
    assert (head.title, head.model, head.count, head.lease) == ("first", "m", 4, None)
    assert await other.prompt(head) == "Be brief."
    assert (await other.rename(session_id, "<b>New</b>")).title == "<b>New</b>"
    assert [each.title for each in (await sessions.page("", 10))[0]] == ["<b>New</b>"] and await sessions.total() == 1
    stranger = ground.sessions(store, "bob")
    for refused in (stranger.find(session_id), stranger.delete(session_id), stranger.rename(session_id, "x")):
        with pytest.raises(ClientFault) as caught:
            await refused
        assert fault_of(caught) == 404
    with pytest.raises(ClientFault) as caught:
        await stranger.claim(session_id, opening())
    assert fault_of(caught) == 404
    assert await stranger.page("", 10) == ([], None)
    await other.delete(session_id)
    with pytest.raises(ClientFault):
        await sessions.find(session_id)
    assert await store.read_all(sessions.messages(head)) == {} == await store.read_all(sessions.order)
    await elsewhere.close()


async def test_fifty_turns_at_once(store: Store, open_store: Callable[[], Store], ground: Ground) -> None:
    """Of turns that overlap one goes on; what was said stands in order, and nothing of the others."""
    stores = [store, *(open_store() for _ in range(3))]
    session_id = await talk(ground.sessions(store), "shared", "begin")

    async def turn(number: int) -> str | None:
        sessions = ground.sessions(stores[number % len(stores)])
        try:
            mine = await sessions.claim(session_id, opening())
        except ClientFault as fault:
            assert fault.kind == "conflict"
            return None
        await mine.ask([said(f"q{number}")])
        await asyncio.sleep(0)
        await mine.commit(answer(f"re: q{number}"))
        return f"q{number}"

    won = [each for each in await asyncio.gather(*(turn(number) for number in range(50))) if each is not None]
    assert won
    found = await texts(ground.sessions(store), session_id)
    questions = found[0::2]
    assert found[1::2] == [f"re: {each}" for each in questions]
    assert questions[0] == "begin" and sorted(questions[1:]) == sorted(won)
    assert (await ground.sessions(store).find(session_id)).count == 2 + 2 * len(won)
    for other in stores[1:]:
        await other.close()


async def test_of_many_first_turns_one_makes_the_session(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    tries = await asyncio.gather(*(sessions.claim("new", opening()) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(each, ClientFault) for each in tries) == 7


async def test_a_turn_that_died_gives_the_session_free(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    session_id = await talk(sessions, None, "first")
    dead = await sessions.claim(session_id, opening(asked=2))
    await dead.ask([said("lost"), said("and found")])
    ground.clock.now += rules.LEASE_SECONDS - 1
    with pytest.raises(ClientFault) as caught:
        await sessions.claim(session_id, opening())
    assert fault_of(caught) == 409
    with pytest.raises(ClientFault):
        await sessions.rename(session_id, "x")
    ground.clock.now += 2
    await talk(sessions, session_id, "next")
    assert await texts(sessions, session_id) == ["first", "re: first", "lost", "and found", "", "next", "re: next"]
    assert (await sessions.all_messages(await sessions.find(session_id)))[4].status == "failed"
    with pytest.raises(ClientFault) as caught:
        await dead.commit(answer("too late"))
    assert fault_of(caught) == 409
    assert "too late" not in await texts(sessions, session_id)


async def test_a_turn_that_died_before_its_question_leaves_nothing(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    session_id = await talk(sessions, None, "first")
    await sessions.claim(session_id, opening())
    ground.clock.now += rules.LEASE_SECONDS + 1
    await talk(sessions, session_id, "next")
    assert await texts(sessions, session_id) == ["first", "re: first", "next", "re: next"]


async def test_a_turn_that_lives_keeps_its_session(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    turn = await sessions.claim("s", opening())
    await turn.ask([said("slow")])
    for _ in range(5):
        ground.clock.now += rules.RENEW_SECONDS + 1
        await turn.keep_alive()
        await turn.keep_alive()
        with pytest.raises(ClientFault):
            await sessions.claim("s", opening())
    await turn.commit(answer("done"))
    assert await texts(sessions, "s") == ["slow", "done"]


async def test_a_turn_that_slept_too_long_has_lost(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    turn = await sessions.claim("s", opening())
    ground.clock.now += rules.LEASE_SECONDS + 1
    await talk(sessions, "s", "other")
    with pytest.raises(ClientFault) as caught:
        await turn.keep_alive()
    assert fault_of(caught) == 409


async def test_an_abandoned_turn_never_was(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    first = await sessions.claim("s", opening(prompt="Be brief."))
    await first.ask([said("never")])
    await first.abandon()
    assert await store.read_all(sessions.messages(first.head)) == {}
    assert await sessions.page("", 10) == ([], None)
    await talk(sessions, "s", "kept", prompt="Be kind.")
    again = await sessions.claim("s", opening(prompt="Be rude."))
    assert await again.prompt() == "Be rude."
    await again.ask([said("never")])
    await again.abandon()
    assert await texts(sessions, "s") == ["kept", "re: kept"]
    assert await sessions.prompt(await sessions.find("s")) == "Be kind."
    await talk(sessions, "s", "more")
    assert await texts(sessions, "s") == ["kept", "re: kept", "more", "re: more"]


async def test_large_messages_and_prompts_are_kept(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    image = Attachment("image", "image/png", "A" * (2 * PIECE_BYTES), "a.png")
    prompt = "é" * PIECE_BYTES
    turn = await sessions.claim("s", opening(prompt=prompt))
    await turn.ask([said("small"), said("😀" * 100_000, attachments=[image])])
    await turn.commit(answer('"' * PIECE_BYTES))
    head = await sessions.find("s")
    small, large, reply = await sessions.all_messages(head)
    assert small.content == "small" and large.content == "😀" * 100_000 and large.attachments == [image]
    assert reply.content == '"' * PIECE_BYTES
    assert await sessions.prompt(head) == prompt
    await sessions.delete("s")
    assert await store.read_all(sessions.messages(head)) == {}


async def test_a_history_is_trimmed_to_the_models_context(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    for number in range(6):
        await talk(sessions, "s", f"{number} " + "word " * 900)
    turn = await sessions.claim("s", opening())
    room = Room(ROUTE, Question("m", [said("next")]))
    kept, left_out = await turn.history(room)
    assert 0 < len(kept) < 12 and len(kept) % 2 == 0 and left_out == 12 - len(kept)
    assert kept[-1].content.startswith("re: 5") and kept[0].role == "user"
    assert sum(room.tokens(each) for each in kept) <= room.left


async def test_what_is_over_is_gone(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    own = await talk(sessions, None, "own")
    await talk(sessions, "named", "old", prompt="Be old.")
    ground.clock.now += DAYS * rules.DAY + 1
    with pytest.raises(ClientFault):
        await sessions.find("named")
    assert await sessions.page("", 10) == ([], None) and await sessions.total() == 0
    with pytest.raises(ClientFault) as caught:
        await sessions.claim(own, opening())
    assert fault_of(caught) == 404
    await talk(sessions, "named", "new")
    assert await texts(sessions, "named") == ["new", "re: new"]
    assert await sessions.prompt(await sessions.find("named")) is None


async def test_messages_live_as_long_as_their_session(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    await talk(sessions, "s", "first", prompt="Be brief.")
    for number in range(3):
        ground.clock.now += (DAYS - 1) * rules.DAY
        await store.purge(ground.clock.time())
        await talk(sessions, "s", str(number))
    await store.purge(ground.clock.time())
    head = await sessions.find("s")
    assert head.kept_until >= head.expires
    assert await texts(sessions, "s") == ["first", "re: first", "0", "re: 0", "1", "re: 1", "2", "re: 2"]
    assert await sessions.prompt(head) == "Be brief."


async def test_sessions_are_listed_in_pages_the_last_used_first(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    for number in range(7):
        ground.clock.now += 1
        await talk(sessions, f"s{number}", str(number))
    ground.clock.now += 1
    await talk(sessions, "s2", "again")
    found: list[str] = []
    cursor: str | None = ""
    sizes = []
    while cursor is not None:
        page, cursor = await sessions.page(cursor, 3)
        found += [head.id for head in page]
        sizes.append(len(page))
    assert found == ["s2", "s6", "s5", "s4", "s3", "s1", "s0"] and sizes == [3, 3, 1]
    assert await sessions.total() == 7
    # An entry that a turn has left behind when it died is no session.
    await store.write(sessions.order, {rules.order_of("s0", ground.clock.time() + 9): {"id": "s0", "expires": 9e9}})
    await store.write(sessions.order, {rules.order_of("gone", ground.clock.time() + 9): {"id": "gone", "expires": 9e9}})
    assert [head.id for head in (await sessions.page("", 2))[0]] == ["s2", "s6"]
    assert await sessions.page("", 7) == ((await sessions.page("", 100))[0], None)


async def test_a_search_looks_through_so_many_sessions_and_goes_on(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    await talk(sessions, "wanted", "First")
    entry = {"expires": 1e11, "title": "Another"}
    later = {f"{number:014d}-s{number}": {"id": f"s{number}", **entry} for number in range(1, 1003)}
    for start in range(0, len(later), 100):
        await store.write(sessions.order, dict(list(later.items())[start : start + 100]), 1e11)
    found, cursor = await sessions.page("", 10, "first")
    assert found == [] and cursor is not None
    found, following = await sessions.page(cursor, 10, "first")
    assert [head.id for head in found] == ["wanted"] and following is None
    untitled = {found[0].order: {"id": "wanted", "expires": 1e11}}
    await store.write(sessions.order, untitled, 1e11)
    assert (await sessions.page(cursor, 10, "FIRST"))[0] == found
    assert await sessions.page(cursor, 10, "else") == ([], None)


async def test_a_prompt_without_its_pieces_is_none(store: Store, ground: Ground) -> None:
    sessions = ground.sessions(store)
    await talk(sessions, "s", "first", prompt="x" * (2 * PIECE_BYTES))
    head = await sessions.find("s")
    folder = sessions.messages(head)
    for name in [name for name in await store.read_all(folder) if name.startswith("prompt-") and "." in name]:
        await store.delete(folder, name)
    assert await sessions.prompt(head) is None
    await store.delete(folder, head.prompt)
    assert await sessions.prompt(head) is None


async def test_a_store_that_is_away_is_told(ground: Ground) -> None:
    error = store_away(ground.log, "x", StoreFault("gone"))
    assert isinstance(error, NotConfigured) and ground.log.lines[0][1] == "store_fault"
