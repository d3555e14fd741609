"""Sessions over real HTTP: remembered, owned, ordered, kept when a client leaves and a gateway restarts."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.configuration import ConfigurationError
from core.http import Request
from handlers.composition import compose
from tests.backend_server import JSON, BackendServer, Received, Script
from tests.chat_backends import chunk, document, echoes, end, events_of, remembering, says
from tests.core.auth.test_jwt import jwk, token
from tests.gateways import body_of
from tests.served import Served

KEY = {"x-api-key": "service-key-1"}
OTHER = {"authorization": "Bearer service-key-2"}
CHAT = "/api/v1/chat"
SESSIONS = "/api/v1/sessions"


@asynccontextmanager
async def talking(
    tmp_path: Path, configuration: dict[str, Any], **variables: str
) -> AsyncIterator[tuple[httpx.AsyncClient, Served]]:
    async with remembering(tmp_path, configuration, **variables) as gateway:
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(base_url=gateway.url, headers=KEY, trust_env=False, limits=limits) as client:
            yield client, gateway


async def say(client: httpx.AsyncClient, text: str, session_id: str | None = None, **members: Any) -> dict[str, Any]:
    body = {"message": text, "model": "m", "session_id": session_id, **members}
    answer = await client.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_what_was_said_is_remembered(tmp_path: Path) -> None:
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        session_id = (await say(client, "My name is Ada.", system_prompt="Be kind."))["session_id"]
        await say(client, "What is it?", session_id)
        kept = (await client.get(f"{SESSIONS}/{session_id}")).json()
    assert backend.received[1].json["messages"] == [
        {"role": "system", "content": "Be kind."}, {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "re: My name is Ada."}, {"role": "user", "content": "What is it?"},
    ]  # fmt: skip
    assert (kept["title"], kept["message_count"], kept["system_prompt"]) == ("My name is Ada.", 4, "Be kind.")
    assert kept["expires"] - kept["updated"] == pytest.approx(30 * 86_400)
    answer = kept["messages"][1]
    assert (answer["model"], answer["usage"]["total_tokens"], answer["status"]) == ("m", 10, "complete")
    assert len({each["id"] for each in kept["messages"]}) == 4


async def test_sessions_are_their_owners(tmp_path: Path) -> None:
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        session_id = (await say(client, "Mine"))["session_id"]
        for method in ("GET", "DELETE", "PATCH"):
            body = {"title": "x"} if method == "PATCH" else None
            place = f"{SESSIONS}/{session_id}"
            refused = await client.request(method, place, json=body, headers={"x-api-key": "", **OTHER})
            assert refused.status_code == 404
        stranger = {"x-api-key": "service-key-2"}
        assert (await client.get(SESSIONS, headers=stranger)).json()["sessions"] == []
        body = {"message": "x", "model": "m", "session_id": session_id}
        joined = await client.post(CHAT, json=body, headers=stranger)
        assert joined.status_code == 404
        own = await client.post(CHAT, json={**body, "session_id": "shared"}, headers=stranger)
        assert own.status_code == 200
        await say(client, "Not the same", "shared")
        assert (await client.get(f"{SESSIONS}/shared", headers=stranger)).json()["title"] == "x"
        assert (await client.get(f"{SESSIONS}/{session_id}")).json()["message_count"] == 2


async def test_sessions_are_listed_named_and_deleted(tmp_path: Path) -> None:
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        for number in range(5):
            await say(client, f"Question {number}", f"s{number}")
        first = (await client.get(f"{SESSIONS}?limit=3")).json()
        second = (await client.get(f"{SESSIONS}?limit=3&cursor={first['next_cursor']}")).json()
        named = await client.patch(f"{SESSIONS}/s1", json={"title": "<script>alert(1)</script>"})
        gone = await client.delete(f"{SESSIONS}/s0")
        wrong = [
            await client.get(f"{SESSIONS}?limit=0"), await client.get(f"{SESSIONS}?limit=x"),
            await client.get(f"{SESSIONS}?cursor=nonsense"), await client.patch(f"{SESSIONS}/s1", json={"title": ""}),
            await client.get(f"{SESSIONS}/a%20b"),
        ]  # fmt: skip
        left = (await client.get(SESSIONS)).json()
        assert (await client.get(f"{SESSIONS}/s0")).status_code == 404
    assert [each["id"] for each in first["sessions"]] == ["s4", "s3", "s2"] and first["total"] == 5
    assert [each["id"] for each in second["sessions"]] == ["s1", "s0"] and second["next_cursor"] is None
    assert named.json()["title"] == "<script>alert(1)</script>" and "messages" not in named.json()
    assert named.headers["content-type"] == "application/json"
    assert gone.status_code == 204 and gone.content == b"" and left["total"] == 4
    fields = [answer.json()["error"]["details"]["field"] for answer in wrong]
    assert fields == ["limit", "limit", "cursor", "title", "session_id"]
    assert {answer.status_code for answer in wrong} == {400}


async def test_sessions_are_found_by_their_titles(tmp_path: Path) -> None:
    async with talking(tmp_path, document()) as (client, _):
        for number in range(7):
            await say(client, f"{'Über' if number % 2 else 'Under'} {number}", f"s{number}", model="demo")
        await client.patch(f"{SESSIONS}/s0", json={"title": "über everything"})

        async def find(**query: Any) -> tuple[list[str], str | None]:
            found = (await client.get(SESSIONS, params=query)).json()
            assert found["total"] is None
            return [each["id"] for each in found["sessions"]], found["next_cursor"]

        assert await find(q="ÜBER") == (["s5", "s3", "s1", "s0"], None)
        assert await find(q="nothing") == ([], None)
        first, cursor = await find(q="über", limit=3)
        assert first == ["s5", "s3", "s1"]
        assert await find(q="über", limit=3, cursor=cursor) == (["s0"], None)
        too_long = await client.get(SESSIONS, params={"q": "x" * 201})
    assert too_long.json()["error"]["details"]["field"] == "q"


async def test_fifty_turns_at_once_on_one_session(tmp_path: Path) -> None:
    """Each turn is answered with 200 and is in the history, or with 409 and is not. Nothing is interleaved."""
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        await say(client, "begin", "s")

        async def turn(number: int) -> tuple[int, dict[str, Any]]:
            body = {"message": f"q{number}", "model": "m", "session_id": "s"}
            answer = await client.post(CHAT if number % 2 else f"{CHAT}/stream", json=body)
            return answer.status_code, {} if answer.status_code == 200 else answer.json()["error"]

        outcomes = await asyncio.gather(*(turn(number) for number in range(50)))
        won = [f"q{number}" for number, (status, _) in enumerate(outcomes) if status == 200]
        # A turn that comes after them finds all that was said.
        await say(client, "after", "s")
        kept = (await client.get(f"{SESSIONS}/s")).json()
    assert {status for status, _ in outcomes} <= {200, 409} and won
    lost = [error for status, error in outcomes if status == 409]
    assert lost and all(error["code"] == "CONFLICT" and "under way" in error["message"] for error in lost)
    contents = [each["content"] for each in kept["messages"]]
    assert contents[1::2] == [f"re: {each}" for each in contents[0::2]]
    assert sorted(contents[0::2][1:-1]) == sorted(won) and contents[0::2][-1] == "after"
    assert kept["message_count"] == len(contents) == 2 * (len(won) + 2)
    roles = [each["role"] for each in backend.received[-1].json["messages"]]
    assert roles == ["user", "assistant"] * (len(won) + 1) + ["user"]


async def test_a_turn_under_way_excludes_others(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    scripts = [Script([chunk("One"), go_on, chunk(" two"), end()])]
    async with BackendServer(scripts) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        body = {"message": "first", "model": "m", "session_id": "s"}
        async with client.stream("POST", f"{CHAT}/stream", json=body) as answer:
            received = b""
            async for data in answer.aiter_raw():
                received += data
                if b"One" in received and not go_on.is_set():
                    refused = await client.post(CHAT, json={**body, "message": "second"})
                    go_on.set()
        kept = (await client.get(f"{SESSIONS}/s")).json()
    assert refused.status_code == 409 and refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["details"]["session_id"] == "s"
    assert [each["content"] for each in kept["messages"]] == ["first", "One two"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_client_that_leaves_lets_the_backend_go(tmp_path: Path, streamed: bool) -> None:
    scripts = [Script([chunk("Half of"), 60.0]), says("Whole")]
    async with BackendServer(scripts) as backend, talking(tmp_path, document(backend.url)) as (client, gateway):
        body = {"message": "first", "model": "m", "session_id": "s"}
        if streamed:
            async with client.stream("POST", f"{CHAT}/stream", json=body) as answer:
                async for data in answer.aiter_raw():
                    if b"Half of" in data:
                        break
        else:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(CHAT, json=body, timeout=0.5)
        left = time.monotonic()
        await asyncio.wait_for(backend.closed.wait(), 5)
        assert time.monotonic() - left < 1
        while (again := await client.post(CHAT, json={**body, "message": "next"})).status_code == 409:
            await asyncio.sleep(0.02)
        kept = (await client.get(f"{SESSIONS}/s")).json()
    assert again.status_code == 200
    assert [(each["content"], each["status"]) for each in kept["messages"]] == [
        ("first", "complete"), ("Half of", "partial"), ("next", "complete"), ("Whole", "complete"),
    ]  # fmt: skip
    assert gateway.records[0].outcome == "abandoned" and gateway.records[0].session == "s"


async def test_the_question_of_a_client_that_does_not_wait_is_kept(tmp_path: Path) -> None:
    async with BackendServer([Script([60.0]), says("Whole")]) as backend:
        async with talking(tmp_path, document(backend.url)) as (client, _):
            body = {"message": "first", "model": "m", "session_id": "s"}
            with pytest.raises(httpx.ReadTimeout):
                await client.post(f"{CHAT}/stream", json=body, timeout=0.5)
            await asyncio.wait_for(backend.closed.wait(), 5)
            while (again := await client.post(CHAT, json={**body, "message": "next"})).status_code == 409:
                await asyncio.sleep(0.02)
            kept = (await client.get(f"{SESSIONS}/s")).json()
    assert again.status_code == 200
    assert [(each["content"], each["status"]) for each in kept["messages"]] == [
        ("first", "complete"), ("", "partial"), ("next", "complete"), ("Whole", "complete"),
    ]  # fmt: skip
    assert [each["content"] for each in backend.received[1].json["messages"]] == ["next"]


async def test_sessions_outlive_the_gateway(tmp_path: Path) -> None:
    async with BackendServer(echoes) as backend:
        async with talking(tmp_path, document(backend.url)) as (client, _):
            session_id = (await say(client, "Remember me"))["session_id"]
        async with talking(tmp_path, document(backend.url)) as (client, _):
            kept = (await client.get(f"{SESSIONS}/{session_id}")).json()
            await say(client, "And?", session_id)
    assert [each["content"] for each in kept["messages"]] == ["Remember me", "re: Remember me"]
    assert len(backend.received[1].json["messages"]) == 3


async def test_a_long_history_is_trimmed_and_told(tmp_path: Path) -> None:
    old = {"backend": "b1", "api_model": "gpt-4"}
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url, old=old)) as (client, _):
        for number in range(4):
            answer = await say(client, f"{number} " + "word " * 900, "s", model="old")
        streamed = await client.post(f"{CHAT}/stream", json={"message": "x", "model": "old", "session_id": "s"})
        kept = (await client.get(f"{SESSIONS}/s")).json()
    notice = "first 2 messages were left out"
    assert any(notice in each for each in answer["notices"]) or any("left out" in each for each in answer["notices"])
    assert any("left out" in each for each in events_of(streamed.content)[0][1]["notices"])
    sent = backend.received[-1].json["messages"]
    assert sent[0]["role"] == "user" and len(sent) % 2 == 1 and len(sent) < 9
    assert kept["message_count"] == 10


async def test_a_session_takes_a_conversation_too(tmp_path: Path) -> None:
    said = [("user", "a"), ("assistant", "b"), ("user", "c")]
    messages = [{"role": role, "content": content} for role, content in said]
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        answer = await client.post(CHAT, json={"messages": messages, "model": "m", "session_id": "s"})
        await say(client, "d", "s")
        kept = (await client.get(f"{SESSIONS}/s")).json()
    assert answer.json()["session_id"] == "s" and kept["title"] == "a"
    assert [each["content"] for each in kept["messages"]] == ["a", "b", "c", "re: c", "d", "re: d"]
    assert len(backend.received[1].json["messages"]) == 5


async def test_a_store_that_cannot_be_reached(tmp_path: Path) -> None:
    store = {"SKYBRIDGE_STORE": "dynamodb:t", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9",
             "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}  # fmt: skip
    async with talking(tmp_path, document(), **store) as (client, _):
        answer = await client.post(CHAT, json={"message": "x", "model": "demo"}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "NOT_CONFIGURED")


async def test_days_of_a_session_are_configured(tmp_path: Path) -> None:
    configuration = {**document(), "limits": {"sessions_days": 2}}
    async with talking(tmp_path, configuration) as (client, _):
        body = (await client.post(CHAT, json={"message": "x", "model": "demo"})).json()
        kept = (await client.get(f"{SESSIONS}/{body['session_id']}")).json()
    assert kept["expires"] - kept["updated"] == pytest.approx(2 * 86_400)


def test_a_wrong_rate_limit_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="RATE_LIMIT"):
        compose({"RATE_LIMIT": "many"}, local=True)


def vouched_for(name: str) -> dict[str, str]:
    """The header in which App Service says who has signed in."""
    claims = [{"typ": "oid", "val": f"id-of-{name}"}, {"typ": "preferred_username", "val": name}]
    return {"x-ms-client-principal": base64.b64encode(json.dumps({"claims": claims}).encode()).decode()}


async def test_iam_principals_have_their_sessions(tmp_path: Path) -> None:
    models = tmp_path / "models.json"
    models.write_text(json.dumps(document()))
    roles = {name: f"arn:aws:sts::123456789012:assumed-role/{name}/session" for name in ("ann", "bob", "operator")}
    variables = {"SKYBRIDGE_AUTH": "platform", "SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'store.db'}",
                 "SKYBRIDGE_ADMINS": "x, *:assumed-role/operator/*", "LOG_LEVEL": "error"}  # fmt: skip
    composition = compose(variables, str(models))
    assert composition.accounts is not None and composition.accounts.store is not None

    async def call(name: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, "", {"content-type": "application/json"}, data, principal=roles[name])
        answer = await composition.gateway.handle(request)
        return answer.status, json.loads(await body_of(answer))

    turn = {"message": "Mine", "model": "demo", "session_id": "s"}
    assert (await call("ann", "POST", CHAT, turn))[0] == 200
    assert [(await call(name, "GET", f"{SESSIONS}/s"))[0] for name in roles] == [200, 404, 404]
    assert [(await call(name, "GET", SESSIONS))[1]["total"] for name in roles] == [1, 0, 0]
    assert (await call("bob", "POST", CHAT, {**turn, "message": "Bob's"}))[0] == 200
    assert (await call("ann", "GET", f"{SESSIONS}/s"))[1]["message_count"] == 2
    assert [(await call(name, "GET", "/api/v1/me"))[1]["admin"] for name in roles] == [False, False, True]
    assert [(await call(name, "GET", "/api/v1/keys"))[0] for name in roles] == [403, 403, 200]
    await composition.accounts.store.close()
    await composition.http.aclose()


async def test_holders_of_tokens_have_their_sessions(tmp_path: Path) -> None:
    def publishes(received: Received) -> Script:
        kept = {"keys": [jwk()]} if received.target == "/keys" else {"jwks_uri": f"{issuer.url}/keys"}
        return Script([json.dumps(kept).encode()], headers=JSON)

    async with BackendServer(publishes) as issuer:
        variables = {"SKYBRIDGE_OIDC_ISSUER": issuer.url, "SKYBRIDGE_OIDC_AUDIENCE": "skybridge",
                     "SERVICE_API_KEY": "", "SKYBRIDGE_ADMINS": "root"}  # fmt: skip
        claims = {"iss": issuer.url, "aud": "skybridge", "exp": time.time() + 300}
        tokens = {name: token({**claims, "sub": name}) for name in ("ann", "bob", "root")}
        signed = {name: {"authorization": f"Bearer {text}"} for name, text in tokens.items()}
        async with talking(tmp_path, document(), **variables) as (client, _):
            client.headers.pop("x-api-key")
            turn = {"message": "Mine", "model": "demo", "session_id": "s"}
            assert (await client.post(CHAT, json=turn)).status_code == 401
            assert (await client.post(CHAT, json=turn, headers=signed["ann"])).status_code == 200
            read = [(await client.get(f"{SESSIONS}/s", headers=each)).status_code for each in signed.values()]
            listed = [(await client.get(SESSIONS, headers=each)).json()["total"] for each in signed.values()]
            who = [(await client.get("/api/v1/me", headers=each)).json() for each in signed.values()]
    assert read == [200, 404, 404] and listed == [1, 0, 0]
    assert {each["authenticated_by"] for each in who} == {"jwt"}
    assert [each["admin"] for each in who] == [False, False, True]


async def test_identities_of_the_platform_have_their_sessions(tmp_path: Path) -> None:
    variables = {"SKYBRIDGE_AUTH": "platform", "SERVICE_API_KEY": ""}
    async with talking(tmp_path, document(), **variables) as (client, gateway):
        client.headers.pop("x-api-key")
        body = {"message": "Mine", "model": "demo", "session_id": "s"}
        answer = await client.post(CHAT, json=body, headers=vouched_for("ann"))
        found = [(await client.get(f"{SESSIONS}/s", headers=vouched_for(name))).status_code for name in ("ann", "bob")]
    assert answer.status_code == 200 and found == [200, 404]
    assert gateway.records[0].owner == "ann"
