"""The chat API over real HTTP: what is asked, what is answered, what is refused."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend_server import JSON, RESET, BackendServer, Script
from tests.chat_backends import chunk, document, echoes, end, events_of, remembering, says, text_of
from tests.served import Served, served

KEY = {"x-api-key": "service-key-1"}
CHAT = "/api/v1/chat"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 40).decode()
PDF = base64.b64encode(b"%PDF-1.4 x").decode()


@asynccontextmanager
async def talking(
    tmp_path: Path, configuration: dict[str, Any], **variables: str
) -> AsyncIterator[tuple[httpx.AsyncClient, Served]]:
    async with remembering(tmp_path, configuration, **variables) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url, headers=KEY, trust_env=False, timeout=20) as client:
            yield client, gateway


def asked(**members: Any) -> dict[str, Any]:
    return {"message": "Hello", "model": "m", **members}


async def test_a_whole_answer(tmp_path: Path) -> None:
    async with BackendServer([says("**Hi**", " there\n```js\n<script>alert(1)</script>\n```")]) as backend:
        async with talking(tmp_path, document(backend.url)) as (client, gateway):
            answer = await client.post(CHAT, json=asked(temperature=0.5, max_tokens=50))
            body = answer.json()
            (record,) = gateway.records
    assert answer.status_code == 200 and answer.headers["x-skybridge-backend"] == "b1"
    assert body["message"] == {"role": "assistant", "content": "**Hi** there\n```js\n<script>alert(1)</script>\n```"}
    assert body["usage"] == {
        "input_tokens": 7, "output_tokens": 3, "cached_input_tokens": 0, "reasoning_tokens": 0, "total_tokens": 10,
    }  # fmt: skip
    assert (body["model"], body["backend"], body["served_model"], body["attempts"]) == ("m", "b1", "m", 1)
    assert (body["finish_reason"], body["cost_usd"], body["notices"]) == ("stop", None, [])
    assert 0 <= body["time_to_first_token_ms"] <= body["duration_ms"] and body["created"] > 1e9
    assert body["session_id"] and body["id"].startswith("chat_")
    assert (record.source, record.session, record.outcome) == ("chat", body["session_id"], "complete")
    sent = backend.received[0].json
    assert sent["messages"] == [{"role": "user", "content": "Hello"}]
    assert sent["temperature"] == 0.5 and sent["stream"] is True and 50 in sent.values()


async def test_a_streamed_answer_comes_as_it_is_made(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    script = Script([chunk("Hm", reasoning_content="Let me see."), go_on, chunk(" so."), end()])
    async with BackendServer([script]) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        async with client.stream("POST", f"{CHAT}/stream", json=asked()) as answer:
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            received = b""
            async for data in answer.aiter_raw():
                received += data
                if b'"Hm"' in received:
                    go_on.set()
    events = events_of(received)
    assert [name for name, _ in events] == ["start", "reasoning", "delta", "delta", "done"]
    start, done = events[0][1], events[-1][1]
    assert start["model"] == "m" and start["session_id"] == done["session_id"] and start["id"] == done["id"]
    assert done["message"] == {"role": "assistant", "content": "Hm so.", "reasoning": "Let me see."}


async def test_tool_calls_are_told(tmp_path: Path) -> None:
    call = {"index": 0, "id": "c9", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    scripts = [Script([chunk("", tool_calls=[call]), end("tool_calls")])] * 2
    async with BackendServer(scripts) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        body = (await client.post(CHAT, json=asked())).json()
        streamed = events_of((await client.post(f"{CHAT}/stream", json=asked())).content)
    told = {"id": "c9", "name": "look", "arguments": {"at": "sky"}}
    assert body["message"]["tool_calls"] == [told] and body["finish_reason"] == "tool_calls"
    assert ("tool_call", told) in streamed


async def test_a_whole_conversation_needs_no_session(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "One."}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "system", "content": "Two."}, {"role": "user", "content": "c"},
    ]  # fmt: skip
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        body = (await client.post(CHAT, json={"messages": messages, "model": "m", "system_prompt": "Zero."})).json()
        listed = (await client.get("/api/v1/sessions")).json()
    assert body["session_id"] is None and listed == {"sessions": [], "next_cursor": None, "total": 0}
    assert body["notices"] == [
        "System messages were put together at the beginning.",
        "Without 'session_id' a conversation of 'messages' is not kept.",
    ]
    assert backend.received[0].json["messages"] == [
        {"role": "system", "content": "Zero.\n\nOne.\n\nTwo."}, {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
    ]  # fmt: skip


async def test_an_answer_of_another_model_is_handed_on(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "First model analysis: so."}]
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        body = (await client.post(CHAT, json={"messages": messages, "model": "m", "system_prompt": "Judge."})).json()
    system, question = backend.received[0].json["messages"]
    assert system == {"role": "system", "content": "Judge."} and question["role"] == "user"
    assert "Why?" in question["content"] and "First model analysis: so." in question["content"]
    assert any("previous step" in notice for notice in body["notices"])


async def test_files_go_along(tmp_path: Path) -> None:
    files = [
        {"type": "image", "media_type": "image/png", "data": PNG, "name": "a.png"},
        {"type": "document", "media_type": "application/pdf", "data": PDF, "name": "b.pdf"},
    ]
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        body = (await client.post(CHAT, json=asked(message="", attachments=files))).json()
        shown = (await client.get(f"/api/v1/sessions/{body['session_id']}")).json()
        whole = (await client.get(f"/api/v1/sessions/{body['session_id']}?data=true")).json()
        again = await client.post(CHAT, json=asked(message="And now?", session_id=body["session_id"]))
    assert again.status_code == 200 and shown["title"] == "a.png"
    assert [each["data"] for each in shown["messages"][0]["attachments"]] == [None, None]
    assert [each["data"] for each in whole["messages"][0]["attachments"]] == [PNG, PDF]
    for received in backend.received:
        assert PNG in str(received.json["messages"][0]) and PDF in str(received.json["messages"][0])


REFUSED: list[tuple[Any, str]] = [
    ({"model": "m"}, "message"),
    ({"message": "a"}, "model"),
    ({"message": "a", "model": ""}, "model"),
    (asked(message=" "), "message"),
    (asked(messages=[{"role": "user", "content": "a"}]), "message"),
    (asked(message=3), "message"),
    (asked(temperature="hot"), "temperature"),
    (asked(temperature=2.5), "temperature"),
    (asked(max_tokens=0), "max_tokens"),
    (asked(max_tokens=1.5), "max_tokens"),
    (asked(session_id="a b"), "session_id"),
    (asked(reasoning_effort="huge"), "reasoning_effort"),
    (asked(temprature=1), "temprature"),
    (asked(attachments=[{"type": "image", "media_type": "image/png", "data": "?"}]), "attachments[0].data"),
    (asked(attachments=[{"type": "video", "media_type": "x", "data": "AA"}]), "attachments[0].type"),
    (asked(attachments=[{"type": "image"}]), "attachments[0].media_type"),
    ({"model": "m", "messages": []}, "messages"),
    ({"model": "m", "messages": [{"role": "user"}]}, "messages[0].content"),
    ({"model": "m", "messages": [{"role": "tool", "content": "a"}]}, "messages[0].role"),
    ({"model": "m", "messages": [{"role": "system", "content": "a"}]}, "messages"),
]


async def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    async with talking(tmp_path, document("http://127.0.0.1:9")) as (client, gateway):
        for body, field in REFUSED:
            for path in (CHAT, f"{CHAT}/stream"):
                answer = await client.post(path, json=body)
                error = answer.json()["error"]
                assert (answer.status_code, error["code"]) == (400, "BAD_REQUEST"), body
                assert error["details"]["field"] == field and f"'{field}'" in error["message"]
        bodies = ((b"{", "application/json", "not valid JSON"), (b"{}", "text/plain", "content-type"))
        for content, kind, words in bodies:
            answer = await client.post(CHAT, content=content, headers={"content-type": kind})
            assert answer.status_code == 400 and words in answer.json()["error"]["message"]
        assert (await client.post(CHAT, json=[1])).status_code == 400
        assert gateway.records == []


async def test_errors_of_paths_and_keys(tmp_path: Path) -> None:
    async with talking(tmp_path, document("http://127.0.0.1:9")) as (client, _):
        unknown = await client.post(CHAT, json=asked(model="nope"))
        nowhere = await client.get("/api/v1/nothing")
        method = await client.put(CHAT, json={})
        missing = await client.post(CHAT, json=asked(), headers={"x-api-key": "wrong"})
        session = await client.get("/api/v1/sessions/none")
        listed = (await client.get("/api/v1/sessions")).json()
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "MODEL_NOT_FOUND")
    assert unknown.json()["error"]["details"]["field"] == "model" and "demo" in unknown.json()["error"]["message"]
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (method.status_code, method.headers["allow"]) == (405, "POST")
    assert (missing.status_code, missing.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert session.status_code == 404 and listed["total"] == 0
    for answer in (unknown, nowhere, method, missing, session):
        assert set(answer.json()) == {"error"} and answer.json()["error"]["details"]["request_id"]
        assert answer.headers["x-request-id"]


async def test_a_body_over_the_limit(tmp_path: Path) -> None:
    configuration = {**document(), "limits": {"max_body_bytes": 5000}}
    async with talking(tmp_path, configuration) as (client, _):
        answer = await client.post(CHAT, json=asked(message="x" * 6000, model="demo"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_failing_backend_is_a_503_or_an_event(tmp_path: Path) -> None:
    failing = Script([b'{"error": {"message": "boom"}}'], 500, JSON)
    broken = Script([chunk("Half"), RESET])
    async with BackendServer([failing, broken, broken]) as backend:
        async with talking(tmp_path, document(backend.url)) as (client, _):
            whole = await client.post(CHAT, json=asked(session_id="s"))
            cut = await client.post(CHAT, json=asked(session_id="s"))
            streamed = await client.post(f"{CHAT}/stream", json=asked(session_id="s"))
            kept = (await client.get("/api/v1/sessions/s")).json()
    assert whole.status_code == cut.status_code == 503 and streamed.status_code == 200
    assert cut.json()["error"]["code"] == "UPSTREAM_ERROR"
    events = events_of(streamed.content)
    assert [name for name, _ in events] == ["start", "delta", "error"]
    assert events[-1][1]["error"]["code"] == "UPSTREAM_ERROR"
    assert [(each["role"], each["content"], each["status"]) for each in kept["messages"]] == [
        ("user", "Hello", "complete"), ("assistant", "", "failed"),
        ("user", "Hello", "complete"), ("assistant", "Half", "partial"),
        ("user", "Hello", "complete"), ("assistant", "Half", "partial"),
    ]  # fmt: skip
    assert backend.received[1].json["messages"] == [{"role": "user", "content": "Hello"}]
    assert [each["content"] for each in backend.received[2].json["messages"]] == ["Hello", "Half", "Hello"]


async def test_the_next_backend_takes_over(tmp_path: Path) -> None:
    failing = Script([b'{"error": {"message": "boom"}}'], 500, JSON)
    async with BackendServer([failing]) as first, BackendServer([says("Hi")]) as second:
        async with talking(tmp_path, document(first.url, second.url)) as (client, _):
            body = (await client.post(CHAT, json=asked())).json()
    assert (body["backend"], body["attempts"], body["message"]["content"]) == ("b2", 2, "Hi")


async def test_a_request_that_the_backend_refuses_is_the_clients(tmp_path: Path) -> None:
    refusing = Script([b'{"error": {"message": "too hot", "param": "temperature"}}'], 400, JSON)
    async with BackendServer([refusing]) as backend, talking(tmp_path, document(backend.url)) as (client, _):
        answer = await client.post(CHAT, json=asked())
        listed = (await client.get("/api/v1/sessions")).json()
    assert answer.status_code == 400 and "too hot" in answer.json()["error"]["message"]
    assert listed["sessions"] == []


async def test_the_operators_defaults(tmp_path: Path) -> None:
    defaults = {"DEFAULT_SYSTEM_PROMPT": "Be brief.", "MAX_TOKENS": "100"}
    async with BackendServer(echoes) as backend, talking(tmp_path, document(backend.url), **defaults) as (client, _):
        plain = (await client.post(CHAT, json=asked())).json()
        own = (await client.post(CHAT, json=asked(system_prompt="Be long.", max_tokens=500))).json()
        await client.post(CHAT, json=asked(system_prompt="", max_tokens=9))
        await client.post("/api/v1/compare", json={"prompt": "x", "models": ["m", "demo"]})
    bodies = [received.json for received in backend.received]
    limits = [body.get("max_tokens") or body.get("max_completion_tokens") for body in bodies]
    assert limits == [100, 100, 9, 100]
    assert [body["messages"][0]["content"] for body in bodies] == ["Be brief.", "Be long.", "Hello", "Be brief."]
    assert plain["notices"] == [] and "100 tokens" in own["notices"][0]


@pytest.mark.parametrize("store", ["kept", ""])
async def test_a_user_has_so_many_requests_a_minute(tmp_path: Path, store: str) -> None:
    """Three requests are in two minutes at the most, so one of them is over a limit of one."""
    variables = {"RATE_LIMIT": "1", **({} if store else {"SKYBRIDGE_STORE": ""})}
    async with talking(tmp_path, document(), **variables) as (client, _):
        answers = [await client.post(CHAT, json=asked(model="demo")) for _ in range(3)]
        models = (await client.get("/api/v1/models")).json()["models"]
        other = await client.post(CHAT, json=asked(model="demo"), headers={"x-api-key": "service-key-2"})
    assert answers[0].status_code == 200 == other.status_code
    refused = next(answer for answer in answers if answer.status_code != 200)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (429, "TOO_MANY_REQUESTS")
    assert error["details"]["limit"] == 1 and error["details"]["window_seconds"] == 60
    assert 1 <= error["details"]["retry_after"] <= 60
    assert refused.headers["retry-after"] == str(error["details"]["retry_after"])
    assert models[0]["quota"]["chat_requests_per_minute"]["limit"] == 1


async def test_without_a_store_there_is_chat_but_no_memory(tmp_path: Path) -> None:
    async with served(tmp_path, document()) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
        body = (await client.post(CHAT, json=asked(model="demo"))).json()
        named = await client.post(CHAT, json=asked(model="demo", session_id="s"))
        pages = [await client.get("/api/v1/sessions"), await client.delete("/api/v1/sessions/s")]
    assert body["session_id"] is None and "SKYBRIDGE_STORE" in body["notices"][0]
    for answer in (named, *pages):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "NOT_CONFIGURED") and "SKYBRIDGE_STORE" in error["message"]


async def test_models_are_listed_with_what_they_take_cost_and_whether_they_answer(tmp_path: Path) -> None:
    claude = {"backend": "claude", "api_model": "claude-sonnet-4-5"}
    configuration = document("http://127.0.0.1:9", claude=claude)
    configuration["backends"]["claude"] = {"type": "anthropic"}
    async with talking(tmp_path, configuration) as (client, _):
        body = (await client.get("/api/v1/models")).json()
    rows = {row["id"]: row for row in body["models"]}
    assert set(rows) == {"m", "demo", "claude"} and body["default"] == "m"
    assert rows["claude"]["capabilities"]["images"] and rows["claude"]["limits"]["context_tokens"] == 200_000
    assert rows["claude"]["price"]["input"] == 3.0 and rows["claude"]["status"] == "unavailable"
    assert rows["claude"]["backends"][0]["state"] == "not_configured"
    assert rows["m"]["backends"][0]["backend"] == "b1" and rows["m"]["quota"] is None


async def test_patterns_of_models_are_listed_after_the_names(tmp_path: Path) -> None:
    served_too = {"claude-*haiku*": {"backend": "demo"}, "gpt-?": {"backend": "demo"}}
    async with talking(tmp_path, document(**served_too)) as (client, _):
        body = (await client.get("/api/v1/models")).json()
        terms = {"owner": "ann", "models": ["claude-*"]}
        ann = {"x-api-key": (await client.post("/api/v1/keys", json=terms)).json()["key"]}
        own = (await client.get("/api/v1/models", headers=ann)).json()
        typed = await client.post(CHAT, json=asked(model="claude-3-haiku"), headers=ann)
    assert body["models"][1:] == [{"id": "claude-*haiku*", "pattern": True}, {"id": "gpt-?", "pattern": True}]
    assert own == {"models": [{"id": "claude-*haiku*", "pattern": True}], "default": None}
    assert typed.status_code == 200 and typed.json()["served_model"] == "claude-3-haiku"


async def test_reasoning_is_asked_for(tmp_path: Path) -> None:
    async with talking(tmp_path, document()) as (client, _):
        events = events_of(
            (await client.post(f"{CHAT}/stream", json=asked(model="demo", reasoning_effort="high"))).content
        )
    assert any(name == "reasoning" for name, _ in events) and text_of(events)
    assert events[-1][1]["message"]["reasoning"] and events[-1][1]["usage"]["reasoning_tokens"]


async def test_a_knob_that_the_model_does_not_take_is_told(tmp_path: Path) -> None:
    configuration = document(gpt={"backend": "b1", "api_model": "gpt-5"})
    configuration["backends"]["b1"] = {"type": "openai-compatible", "base_url": "http://127.0.0.1:9/v1", "api_key": "k"}
    async with BackendServer(echoes) as backend:
        configuration["backends"]["b1"]["base_url"] = f"{backend.url}/v1"
        async with talking(tmp_path, configuration) as (client, _):
            body = (await client.post(CHAT, json=asked(model="gpt", temperature=0.3))).json()
    assert any("'temperature'" in notice for notice in body["notices"])
    assert "temperature" not in backend.received[0].json


async def test_a_key_has_its_own_models_limits_and_sessions(tmp_path: Path) -> None:
    async with talking(tmp_path, document(other={"backend": "demo", "api_model": "demo"})) as (client, gateway):
        terms = {"owner": "ann", "models": ["demo"], "limits": {"requests_per_minute": 2}}
        made = (await client.post("/api/v1/keys", json=terms)).json()
        ann = {"x-api-key": made["key"]}
        turn = await client.post(CHAT, json=asked(model="demo"), headers=ann)
        refused = await client.post(CHAT, json=asked(model="other"), headers=ann)
        compared = await client.post("/api/v1/compare", json={"prompt": "x", "models": ["other", "nope"]}, headers=ann)
        models = (await client.get("/api/v1/models", headers=ann)).json()["models"]
        own = (await client.get("/api/v1/sessions", headers=ann)).json()
        others = (await client.get("/api/v1/sessions")).json()
        rotated = (await client.post(f"/api/v1/keys/{made['id']}/rotate", json={})).json()
        later = (await client.get("/api/v1/sessions", headers={"x-api-key": rotated["key"]})).json()
        statuses = [(await client.post(CHAT, json=asked(model="demo"), headers=ann)).status_code for _ in range(5)]
    assert turn.status_code == 200 and gateway.records[0].owner == "ann"
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert refused.json()["error"]["details"]["field"] == "model"
    assert [row["error"]["code"] for row in compared.json()["results"]] == ["FORBIDDEN", "MODEL_NOT_FOUND"]
    assert [row["id"] for row in models] == ["demo"] and models[0]["quota"]["requests_per_minute"]["limit"] == 2
    assert own["total"] == 1 == later["total"] and others["total"] == 0
    assert 429 in statuses
