"""Who calls, backends, keys and usage, over HTTP and a SQLite file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.version import VERSION
from handlers.io.clock import SystemClock
from tests.served import Served, served

DEMO: dict[str, Any] = {
    "backends": {"demo": {"type": "demo"}, "gpt": {"type": "openai"}},
    "models": {"demo": {"backend": "demo"}, "gpt": {"backend": "gpt", "api_model": "gpt-5"}},
    "prices": {"demo": {"input": 1000, "output": 2000}},
}
SERVICE = {"authorization": "Bearer the-service-key"}


class Ground:
    """A served gateway whose requests are accounted, and a client."""

    def __init__(self, gateway: Served, client: httpx.AsyncClient, lines: list[tuple[str, dict[str, Any]]]) -> None:
        self.gateway = gateway
        self.client = client
        self.lines = lines

    async def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = SERVICE) -> Any:
        """Status and JSON of an answer."""
        answer = await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)
        return answer.status_code, answer.json() if answer.content else None

    async def settled(self, requests: int) -> None:
        """Waits until so many requests are recorded, which is after their answers."""
        for _ in range(500):
            if (await self.call("GET", "/usage"))[1]["records"] >= requests:
                return
            await asyncio.sleep(0.01)

    async def chat(self, key: str, model: str = "demo") -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
        headers = {"authorization": f"Bearer {key}", "user-agent": "made-client/1.0 (x)"}
        answer = await self.client.post("/v1/chat/completions", json=body, headers=headers)
        return answer.status_code


@asynccontextmanager
async def ground(tmp_path: Path, **variables: str) -> AsyncIterator[Ground]:
    lines: list[tuple[str, dict[str, Any]]] = []
    async with served(tmp_path, DEMO, variables) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
        accounts, ports = gateway.composition.accounts, gateway.composition.gateway.ports
        if accounts is not None:
            ports.record = accounts.record

        class Lines:
            def event(self, level: str, event: str, /, **fields: Any) -> None:
                lines.append((event, fields))

        ports.log = Lines()
        yield Ground(gateway, client, lines)
        if accounts is not None and accounts.store is not None:
            await accounts.flush()
            await accounts.store.close()


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Ground]:
    variables = {"SERVICE_API_KEY": "the-service-key", "SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'made.db'}"}
    async with ground(tmp_path, **variables) as made:
        yield made


def bearer(key: str) -> dict[str, str]:
    return {"x-api-key": key}


async def test_who_am_i(made: Ground) -> None:
    status, service = await made.call("GET", "/me")
    assert (status, service) == (200, {
        "key": None, "name": "the service key", "owner": "", "admin": True, "authenticated_by": "service_key",
        "store": "sqlite", "version": VERSION,
    })  # fmt: skip
    _, created = await made.call("POST", "/keys", {"owner": "team-a"})
    _, mine = await made.call("GET", "/me", headers=bearer(created["key"]))
    assert (mine["key"], mine["owner"], mine["admin"]) == (created["id"], "team-a", False)
    assert mine["authenticated_by"] == "key" and created["prefix"] in mine["name"]
    status, refused = await made.call("GET", "/me", headers={})
    assert status == 401 and refused["error"]["code"] == "UNAUTHORIZED"


async def test_everybody_manages_an_open_loopback_gateway(tmp_path: Path) -> None:
    async with ground(tmp_path) as made:
        _, mine = await made.call("GET", "/me", headers={})
        assert (mine["name"], mine["admin"], mine["authenticated_by"], mine["store"]) == ("local", True, "none", "none")
        status, refused = await made.call("GET", "/keys", headers={})
        assert status == 503 and "SKYBRIDGE_STORE" in refused["error"]["message"]
        _, page = await made.call("GET", "/backends", headers={})
        assert page["shared_cooldowns"] is None


async def test_a_keys_life(made: Ground) -> None:
    terms = {
        "owner": "team-a", "name": "CI", "labels": {"env": "dev"}, "models": ["demo"], "expires": "2099-01-31",
        "limits": {"requests_per_minute": 1000}, "budgets": {"usd_per_month": 2500.5},
    }  # fmt: skip
    status, created = await made.call("POST", "/keys", terms)
    secret = created.pop("key")
    assert status == 201 and secret.startswith(created["prefix"])
    assert await made.chat(secret) == 200
    await made.settled(1)
    status, listed = await made.call("GET", "/keys")
    (row,) = listed["keys"]
    assert {name: row[name] for name in ("id", "name", "owner", "labels", "models", "budget", "limits", "state")} == {
        "id": created["id"], "name": "CI", "owner": "team-a", "labels": {"env": "dev"}, "models": ["demo"],
        "budget": {"usd_per_month": 2500.5}, "limits": {"requests_per_minute": 1000}, "state": "active",
    }  # fmt: skip
    assert row["quota"]["requests_per_minute"]["used"] == 1 and 0 < row["spent_usd"] < 2500
    status, changed = await made.call(
        "PATCH", f"/keys/{created['id']}", {"name": "Build", "budgets": {"usd_per_month": None}, "expires": None}
    )
    assert (status, changed["name"], changed["budget"], changed["expires"]) == (200, "Build", {}, None)
    assert changed["spent_usd"] is None and changed["limits"] == {"requests_per_minute": 1000}
    status, rotated = await made.call("POST", f"/keys/{created['id']}/rotate", {"overlap_seconds": 60})
    assert status == 201 and rotated["id"] == created["id"] and rotated["key"] != secret
    assert [await made.chat(key) for key in (secret, rotated["key"])] == [200, 200]
    (row,) = (await made.call("GET", "/keys"))[1]["keys"]
    assert row["prefix"] == rotated["prefix"] and [old["prefix"] for old in row["replaces"]] == [created["prefix"]]
    ends = row["replaces"][0]["expires"]
    _, changed = await made.call("PATCH", f"/keys/{created['id']}", {"expires": "2098-01-01", "admin": True})
    assert changed["admin"] and changed["replaces"][0]["expires"] == ends
    assert await made.call("DELETE", f"/keys/{created['id']}") == (204, None)
    assert await made.call("DELETE", f"/keys/{created['id']}") == (204, None)
    status, refused = await made.call("POST", f"/keys/{created['id']}/rotate")
    assert status == 409 and refused["error"]["code"] == "CONFLICT"
    assert (await made.call("GET", "/keys"))[1]["keys"][0]["state"] == "revoked"


async def test_the_process_that_changes_a_key_sees_it_at_once(made: Ground) -> None:
    _, created = await made.call("POST", "/keys", {"owner": "team-a"})
    assert await made.chat(created["key"]) == 200
    await made.call("PATCH", f"/keys/{created['id']}", {"models": ["gpt"]})
    assert await made.chat(created["key"]) == 403
    _, rotated = await made.call("POST", f"/keys/{created['id']}/rotate", {"overlap_seconds": 0})
    assert [await made.chat(key, "gpt") for key in (created["key"], rotated["key"])] == [401, 503]
    await made.call("DELETE", f"/keys/{created['id']}")
    assert await made.chat(rotated["key"], "gpt") == 401


async def test_changes_are_logged_without_the_key(made: Ground) -> None:
    _, created = await made.call("POST", "/keys", {"owner": "team-a", "admin": True})
    admin = bearer(created["key"])
    await made.call("PATCH", f"/keys/{created['id']}", {"owner": "team-b"}, admin)
    _, rotated = await made.call("POST", f"/keys/{created['id']}/rotate", headers=admin)
    await made.call("DELETE", f"/keys/{created['id']}", headers=admin)
    told = [(event, fields) for event, fields in made.lines if event.startswith("key ")]
    events = ["key created", "key changed", "key rotated", "key revoked", "key revoked"]
    assert [event for event, _ in told] == events
    assert told[0][1]["by"].startswith("the service key") and created["id"] in told[1][1]["by"]
    assert told[1][1]["members"] == ["owner"] and told[1][1]["owner"] == "team-b"
    assert created["key"] not in json.dumps(told) and rotated["key"] not in json.dumps(told)


async def test_keys_are_for_administrators(made: Ground) -> None:
    _, created = await made.call("POST", "/keys", {"owner": "team-a"})
    mine, path = bearer(created["key"]), f"/keys/{created['id']}"
    for method, where, body in (
        ("GET", "/keys", None), ("POST", "/keys", {"owner": "x"}), ("PATCH", path, {"admin": True}),
        ("POST", f"{path}/rotate", {}), ("DELETE", path, None),
    ):  # fmt: skip
        status, refused = await made.call(method, where, body, mine)
        assert status == 403 and refused["error"]["code"] == "FORBIDDEN"
        assert (await made.call(method, where, body, {}))[0] == 401
    assert len((await made.call("GET", "/keys"))[1]["keys"]) == 1


WRONG: list[tuple[Any, str]] = [
    ({}, "owner"),
    ([], ""),
    ({"owner": ""}, "owner"),
    ({"owner": 3}, "owner"),
    ({"owner": "a", "colour": 1}, "colour"),
    ({"owner": "a", "limits": {"rpm": 3}}, "limits.rpm"),
    ({"owner": "a", "limits": {"in_flight": "many"}}, "limits.in_flight"),
    ({"owner": "a", "budgets": {"usd_total": -1}}, "budgets.usd_total"),
    ({"owner": "a", "expires": "2020-01-01"}, "expires"),
    ({"owner": "a", "models": [1]}, "models[0]"),
    ({"owner": "a", "admin": "yes"}, "admin"),
]


@pytest.mark.parametrize(("body", "field"), WRONG)
async def test_a_wrong_member_is_named(made: Ground, body: Any, field: str) -> None:
    status, refused = await made.call("POST", "/keys", body)
    assert (status, refused["error"]["code"]) == (400, "BAD_REQUEST")
    assert refused["error"]["details"].get("field", "") == field
    assert (await made.call("GET", "/keys"))[1]["keys"] == []


async def test_a_key_that_is_not_there(made: Ground) -> None:
    for method, path, body in (("PATCH", "/keys/x", {}), ("POST", "/keys/x/rotate", {}), ("DELETE", "/keys/x", None)):
        status, refused = await made.call(method, path, body)
        assert status == 404 and "there is no key x" in refused["error"]["message"]
    status, refused = await made.call("POST", "/keys/x/rotate", {"overlap_seconds": -1})
    assert status == 400 and refused["error"]["details"]["field"] == "overlap_seconds"


async def test_many_keys_are_listed_with_what_a_store_can_count(made: Ground) -> None:
    for number in range(3):
        quota = {"requests_per_minute": 5} if number else {}
        assert (await made.call("POST", "/keys", {"owner": f"o{number}", "limits": quota}))[0] == 201
    _, listed = await made.call("GET", "/keys")
    assert {row["owner"]: row["quota"] is None for row in listed["keys"]} == {"o0": True, "o1": False, "o2": False}


async def test_backends_are_told_as_this_process_and_the_others_see_them(made: Ground) -> None:
    _, created = await made.call("POST", "/keys", {"owner": "team-a"})
    assert await made.chat(created["key"]) == 200
    health = made.gateway.composition.gateway.health
    store = made.gateway.composition.accounts
    assert store is not None and store.store is not None
    now = SystemClock().time()
    await store.store.write("cooldowns", {
        "demo||demo": {"backend": "demo", "region": "us-east-1", "model": "demo", "until": now + 60},
        "old": {"backend": "demo", "region": "", "model": "m", "until": now - 60},
    })  # fmt: skip
    status, page = await made.call("GET", "/backends")
    assert status == 200 and page["scope"] == "process" and now - 60 < page["since"] <= now
    assert [row["backend"] for row in page["shared_cooldowns"]] == ["demo"]
    rows = {row["name"]: row for row in page["backends"]}
    assert rows["gpt"]["state"] == "not_configured" and rows["gpt"]["base_url"].startswith("https://")
    assert (rows["demo"]["state"], rows["demo"]["requests"], rows["demo"]["errors"]) == ("cooling", 1, 0)
    assert rows["demo"]["latency_p50_ms"] >= 0 and rows["demo"]["models"] == ["demo"]
    assert health.observed()[("demo", "us-east-1", "demo")]["cooling"] > 0
    _, page = await made.call("GET", "/backends", headers=bearer(created["key"]))
    assert all(row["base_url"] is None for row in page["backends"])


async def test_usage_is_grouped_and_filtered(made: Ground) -> None:
    keys = [(await made.call("POST", "/keys", {"owner": owner, "labels": {"team": owner}}))[1] for owner in "ab"]
    for key in (keys[0], keys[0], keys[1]):
        assert await made.chat(key["key"]) == 200
    assert await made.chat(keys[1]["key"], "gpt") == 503
    await made.settled(4)
    _, page = await made.call("GET", "/usage?by=owner,label:team,client,format&days=2")
    assert page["complete"] and page["records"] == 4 and page["by"] == ["owner", "label:team", "client", "format"]
    first, second = page["data"]
    assert (first["owner"], first["label:team"], first["client"], first["format"]) == (
        "a", "a", "made-client", "chat_completions",
    )  # fmt: skip
    assert (first["requests"], first["errors"], second["requests"], second["errors"]) == (2, 0, 2, 1)
    assert first["ttft_p95_ms"] >= first["ttft_p50_ms"] >= 0 and first["duration_p50_ms"] >= 0
    assert float(first["cost"]) == pytest.approx(sum(map(float, first["cost_parts"].values())))
    _, filtered = await made.call("GET", "/usage?by=hour&outcome=failed")
    assert [row["requests"] for row in filtered["data"]] == [1]
    _, own = await made.call("GET", "/usage?by=owner", headers=bearer(keys[0]["key"]))
    assert [(row["owner"], row["requests"]) for row in own["data"]] == [("a", 2)] and own["records"] == 2
    status, refused = await made.call("GET", "/usage?by=moon")
    assert status == 400 and refused["error"]["details"]["field"] == "by"


async def test_a_store_that_is_away(tmp_path: Path) -> None:
    async with ground(tmp_path, SERVICE_API_KEY="the-service-key", SKYBRIDGE_STORE="sqlite:/proc/nowhere/x.db") as made:
        for path in ("/keys", "/usage"):
            status, refused = await made.call("GET", path)
            assert status == 503 and refused["error"]["code"] == "NOT_CONFIGURED"
        assert (await made.call("GET", "/backends"))[1]["shared_cooldowns"] is None
