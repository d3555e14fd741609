"""What is asked of a deployed gateway, whatever runs it: each model format streamed, the chat, the console's files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx

from handlers.console_page import CONTENT_SECURITY_POLICY, read_site
from tests.chat_backends import document, events_of
from tests.served import served

KEY = "sk-of-a-deployed-gateway-0123"
HEADERS = {"authorization": f"Bearer {KEY}"}
CONSOLE = Path(__file__).resolve().parents[2] / "handlers" / "console"
QUESTION = {"message": "Remember <script>alert(1)</script>", "model": "demo", "session_id": "cloud"}
BODY = {"model": "demo", "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
# Where each format's stream ends.
ENDS = {"/v1/chat/completions": b"data: [DONE]\n\n", "/v1/messages": b'data: {"type":"message_stop"}\n\n'}
PAGES = {"/": "text/html", "/docs": "text/html", "/openapi.json": "application/json", "/console/base.css": "text/css"}

async def use(client: httpx.AsyncClient, turn: int) -> None:
    """Everything once. `turn` counts the rounds, from 1, and so the questions in the session."""
    await check_models(client)
    async with client.stream("POST", "/api/v1/chat/stream", json=QUESTION, headers=HEADERS) as response:
        assert response.status_code == 200
        check_turn([part async for part in response.aiter_raw()])
    listed = (await client.get("/api/v1/sessions", headers=HEADERS)).json()
    assert [(each["id"], each["message_count"]) for each in listed["sessions"]] == [("cloud", 2 * turn)]
    await check_pages(client)


async def check_models(client: httpx.AsyncClient) -> None:
    for path, end in ENDS.items():
        async with client.stream("POST", path, json=BODY, headers=HEADERS) as response:
            assert response.status_code == 200
            parts = [part async for part in response.aiter_raw()]
        assert len(parts) > 3 and b"".join(parts).endswith(end)
        refused = await client.post(path, json=BODY, headers={"x-api-key": "sk-of-somebody-else"})
        assert refused.status_code == 401


def check_turn(parts: list[bytes]) -> None:
    """A turn came in pieces, and whole."""
    events = events_of(b"".join(parts))
    assert len(parts) > 3 and events[0][0] == "start" and events[-1][0] == "done"
    assert events[-1][1]["session_id"] == "cloud"


async def check_pages(client: httpx.AsyncClient) -> None:
    """The page, the files that it names, and the documentation; by HEAD too, compressed and not."""
    for path, kind in PAGES.items():
        headers = {"accept": "text/html", "accept-encoding": "identity"}
        page = await client.get(path, headers=headers)
        assert page.status_code == 200 and page.headers["content-type"].startswith(kind), path
        assert page.headers["x-content-type-options"] == "nosniff"
        head = await client.head(path, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == page.headers["content-type"]
    page = await client.get("/", headers={"accept": "text/html"})
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    named = set(re.findall(r'(?:src|href)="(console/v-\w+/[^"]+)"', page.text))
    assert len(named) == 4
    for name in sorted(named):
        packed = await client.get(f"/{name}")
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == read_site().files[name.split("/", 2)[2]].plain
    hidden = await client.get("/api/v1/sessions")
    assert hidden.status_code == 401


async def administer(client: httpx.AsyncClient) -> None:
    """The rest of what needs the store: keys with limits and budgets, a session's end, kept responses, the bill."""

    async def ask(method: str, path: str, body: Any = None, key: str = KEY) -> Any:
        response = await client.request(method, path, json=body, headers={"authorization": f"Bearer {key}"})
        assert response.status_code < 300, (method, path, response.text)
        return response.json() if response.content else None

    terms = {"owner": "made", "limits": {"requests_per_minute": 50, "in_flight": 5}, "budgets": {"usd_total": 5}}
    made = await ask("POST", "/api/v1/keys", terms)
    await ask("PATCH", f"/api/v1/keys/{made['id']}", {"name": "renamed"})
    rotated = await ask("POST", f"/api/v1/keys/{made['id']}/rotate", {"overlap_seconds": 60})
    await ask("POST", "/v1/chat/completions", {**BODY, "stream": False}, rotated["key"])
    kept = await ask("POST", "/v1/responses", {"model": "demo", "input": "Hello"}, rotated["key"])
    await ask("GET", f"/v1/responses/{kept['id']}", key=rotated["key"])
    further = {"model": "demo", "input": "On", "previous_response_id": kept["id"]}
    await ask("POST", "/v1/responses", further, rotated["key"])
    await ask("DELETE", f"/v1/responses/{kept['id']}", key=rotated["key"])
    await ask("POST", "/api/v1/chat", {**QUESTION, "session_id": "short"}, rotated["key"])
    await ask("PATCH", "/api/v1/sessions/short", {"title": "Shorter"}, rotated["key"])
    await ask("DELETE", "/api/v1/sessions/short", key=rotated["key"])
    await ask("POST", "/api/v1/compare", {"prompt": "Hello", "models": ["demo", "demo"]}, rotated["key"])
    await ask("GET", "/api/v1/usage?by=model,day")
    assert [row["id"] for row in (await ask("GET", "/api/v1/keys"))["keys"]]
    await ask("DELETE", f"/api/v1/keys/{made['id']}")


async def read_elsewhere(tmp_path: Path, store: dict[str, str], rounds: int) -> None:
    """The session and the bill as another process tells them, which then goes on with the session."""
    async with served(tmp_path, document(), {**store, "SERVICE_API_KEY": KEY}) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url, headers=HEADERS, trust_env=False, timeout=30) as client:
            check_kept((await client.get("/api/v1/sessions/cloud")).json(), rounds)
            used = (await client.get("/api/v1/usage?by=format,source")).json()
            turn = await client.post("/api/v1/chat", json={**QUESTION, "message": "And here?"})
    assert turn.status_code == 200 and f"{2 * rounds + 1} messages" in turn.json()["message"]["content"]
    check_used(used, rounds)


def check_kept(kept: Any, rounds: int) -> None:
    assert [each["role"] for each in kept["messages"]] == ["user", "assistant"] * rounds
    assert kept["messages"][0]["content"] == QUESTION["message"] and kept["messages"][1]["status"] == "complete"
    assert (kept["title"], kept["message_count"]) == (QUESTION["message"], 2 * rounds)


def check_used(used: Any, rounds: int) -> None:
    """Every stream is counted, asked or not."""
    rows = {(row["format"], row["source"]): row for row in used["data"]}
    found = [rows[key] for key in (("chat_completions", ""), ("messages", ""), ("messages", "chat"))]
    assert [row["requests"] for row in found] == [rounds] * 3
    assert all(row["output_tokens"] > 0 for row in found)
