"""The last question of a session asked again, over real HTTP: one answer takes another's place, or none does."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.chat.messages import PIECE_BYTES
from tests.backend_server import RESET, BackendServer, Script
from tests.chat_backends import chunk, document, end, events_of, says
from tests.handlers.test_chat_api import PNG
from tests.handlers.test_chat_sessions import CHAT, SESSIONS, say, talking

AGAIN = {"regenerate": True, "model": "m", "session_id": "s"}


async def contents(client: httpx.AsyncClient) -> list[str]:
    kept = (await client.get(f"{SESSIONS}/s")).json()
    assert kept["message_count"] == len(kept["messages"])
    return [each["content"] for each in kept["messages"]]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_takes_the_place_of_the_last_one(tmp_path: Path, streamed: bool) -> None:
    image = {"type": "image", "media_type": "image/png", "data": PNG, "name": "a.png"}
    scripts = [says("one"), says("first"), says("second"), says("third")]
    async with BackendServer(scripts) as backend, talking(tmp_path, document(backend.url)) as (client, gateway):
        await say(client, "a", "s", system_prompt="Be kind.")
        await say(client, "b", "s", attachments=[image])
        answer = await client.post(f"{CHAT}/stream" if streamed else CHAT, json=AGAIN)
        after = await contents(client)
        await say(client, "c", "s")
        kept = await contents(client)
        (listed,) = (await client.get(SESSIONS)).json()["sessions"]
    assert answer.status_code == 200
    body = events_of(answer.content)[-1][1] if streamed else answer.json()
    assert (body["message"]["content"], body["session_id"], body["notices"]) == ("second", "s", [])
    assert after == ["a", "one", "b", "second"] and kept == [*after, "c", "third"] and listed["message_count"] == 6
    assert backend.received[2].json["messages"] == backend.received[1].json["messages"]
    assert len(gateway.records) == 4 and {record.session for record in gateway.records} == {"s"}


async def test_the_replaced_answer_is_gone_from_the_store(tmp_path: Path) -> None:
    scripts = [says("x" * 2 * PIECE_BYTES), says("short")]
    async with BackendServer(scripts) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        await say(client, "a", "s")
        assert (await client.post(CHAT, json=AGAIN)).status_code == 200
        assert await contents(client) == ["a", "short"]
    with closing(sqlite3.connect(tmp_path / "store.db")) as store:
        bodies = [body for (body,) in store.execute("SELECT body FROM documents")]
    assert bodies and not any("xxx" in body for body in bodies)


async def test_of_many_at_once_one_answers(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    scripts = [says("first"), Script([chunk("sec"), go_on, chunk("ond"), end()])]
    async with BackendServer(scripts) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        await say(client, "a", "s")
        turns = [asyncio.create_task(client.post(CHAT, json=AGAIN)) for _ in range(10)]
        lost, running = set[asyncio.Task[httpx.Response]](), set(turns)
        while len(lost) < 9:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            lost |= done
        assert await contents(client) == ["a", "first"]
        go_on.set()
        (winner,) = running
        assert (await winner).json()["message"]["content"] == "second"
        assert await contents(client) == ["a", "second"]
    assert {(await each).status_code for each in lost} == {409}


async def test_the_answer_stays_where_no_other_is_given(tmp_path: Path) -> None:
    scripts = [says("first"), Script(status=500), Script([chunk("sec"), RESET])]
    async with BackendServer(scripts) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        await say(client, "a", "s")
        failed = await client.post(CHAT, json=AGAIN)
        unknown = await client.post(CHAT, json={**AGAIN, "model": "nope"})
        assert (failed.status_code, unknown.status_code) == (503, 404)
        assert await contents(client) == ["a", "first"]
        assert (await client.post(CHAT, json=AGAIN)).status_code == 503
        assert await contents(client) == ["a", "sec"]  # what was begun is kept, as in any turn


async def test_a_question_without_an_answer_is_answered(tmp_path: Path) -> None:
    scripts = [Script(status=500), says("at last"), says("b"), says("c")]
    async with BackendServer(scripts) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        body = {"message": "a", "model": "m", "session_id": "s"}
        assert (await client.post(CHAT, json=body)).status_code == 503
        assert (await client.post(CHAT, json=AGAIN)).json()["message"]["content"] == "at last"
        assert await contents(client) == ["a", "at last"]
        handed = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
        await client.post(CHAT, json={"messages": handed, "model": "m", "session_id": "s"})
        await client.post(CHAT, json=AGAIN)
        assert await contents(client) == ["a", "at last", "x", "y", "c"]
    assert backend.received[3].json["messages"] == backend.received[2].json["messages"]


@pytest.mark.parametrize(
    ("members", "status", "field"),
    [
        ({"session_id": None}, 400, "session_id"),
        ({"message": "x"}, 400, "message"),
        ({"messages": [{"role": "user", "content": "x"}]}, 400, "messages"),
        ({"attachments": [{"type": "image", "media_type": "image/png", "data": PNG}]}, 400, "attachments"),
        ({"session_id": "nowhere"}, 404, "session_id"),
        ({"session_id": "s_" + "a" * 24}, 404, "session_id"),
    ],
)
async def test_what_is_wrong_is_named(tmp_path: Path, members: dict[str, Any], status: int, field: str) -> None:
    async with talking(tmp_path, document()) as (client, _):
        answer = await client.post(CHAT, json={**AGAIN, "model": "demo", **members})
        listed = (await client.get(SESSIONS)).json()
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (status, field)
    assert listed["total"] == 0


async def test_without_a_question_there_is_nothing_to_answer(tmp_path: Path) -> None:
    async with BackendServer([says("x")]) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        said = [{"role": "assistant", "content": "I begin."}]
        await client.post(CHAT, json={"messages": said, "model": "m", "session_id": "s"})
        before = await contents(client)
        answer = await client.post(CHAT, json=AGAIN)
        assert await contents(client) == before
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, "regenerate")
