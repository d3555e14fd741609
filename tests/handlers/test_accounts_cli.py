"""`skybridge keys` and `skybridge usage` over a SQLite file."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.bill import day_of, folder_of, usage_document
from core.keys import Key
from core.ports import StoredDocument
from core.usage import Cost, Usage, UsageRecord
from core.usage_report import Report
from handlers import accounts_cli, cli
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.sqlite_store import SqliteStore
from handlers.key_desk import KeyDesk, KeyEnded
from tests.gateways import RecordingLog


class Terminal:
    """Runs commands in a folder and gives what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        assert cli.main(list(arguments)) == code
        captured = self._capsys.readouterr()
        return captured.err if code else captured.out

    def keys(self) -> Any:
        return json.loads(self("keys", "list", "--json"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SKYBRIDGE_STORE", raising=False)
    return Terminal(capsys)


def test_a_key_is_shown_once_and_kept_as_a_digest(run: Terminal, tmp_path: Path) -> None:
    text = run(
        "keys", "create", "--owner", "team-a", "--label", "env=dev", "--expires", "2099-01-31", "--model", "claude-*",
        "--limit", "usd_per_month=2.5", "--limit", "in_flight=3",
    )  # fmt: skip
    secret = text.split()[0]
    (key,) = run.keys()
    assert secret.startswith(key["prefix"]) and key["id"] in text
    assert (key["owner"], key["labels"], key["models"]) == ("team-a", {"env": "dev"}, ["claude-*"])
    assert key["quota"] == {"usd_per_month": 25 * 10**11, "in_flight": 3}
    files = [path.read_bytes() for path in (tmp_path / ".skybridge").iterdir()]
    assert not any(secret.encode() in data for data in files)
    table = run("keys", "list")
    assert "usd_per_month=2.5" in table and "active" in table and "2099-01-31" in table and "env=dev" in table


def test_what_is_not_named_in_an_update_stays(run: Terminal) -> None:
    run("keys", "create", "--expires", "2099-01-31")
    (key,) = run.keys()
    run("keys", "update", key["prefix"] + "…", "--owner", "b", "--expires", "never", "--limit", "tokens_per_day=9")
    (key,) = run.keys()
    assert (key["owner"], key["expires"], key["quota"], key["models"]) == ("b", None, {"tokens_per_day": 9}, [])
    run("keys", "update", key["id"], "--model", "m")
    assert run.keys()[0]["models"] == ["m"] and run.keys()[0]["owner"] == "b"


def test_names_and_administrators(run: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    run("keys", "create", "--owner", "team-a", "--name", "CI", "--admin")
    (key,) = run.keys()
    assert (key["name"], key["admin"]) == ("CI", True)
    assert "CI (admin)" in run("keys", "list")
    run("keys", "update", key["id"], "--no-admin", "--name", "Build")
    (key,) = run.keys()
    assert (key["name"], key["admin"], key["owner"]) == ("Build", False, "team-a")


def test_changes_are_logged_without_the_key(run: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keys", "create", "--owner", "team-a"]) == 0
    captured = capsys.readouterr()
    line = json.loads(captured.err)
    assert (line["event"], line["by"], line["owner"]) == ("key created", "the command line", "team-a")
    assert captured.out.split()[0] not in captured.err


def test_rotation_keeps_the_id_and_overlaps(run: Terminal) -> None:
    run("keys", "create", "--owner", "team-a", "--limit", "usd_total=5")
    (first,) = run.keys()
    run("keys", "rotate", first["id"], "--overlap-hours", "1")
    old, new = run.keys()
    assert old["id"] == new["id"] and old["prefix"] != new["prefix"] and new["quota"] == old["quota"]
    assert old["expires"] == pytest.approx(new["created"] + 3600) and new["expires"] is None
    assert {old["state"], new["state"]} == {"active"}
    run("keys", "rotate", new["id"])
    assert len(run.keys()) == 3


def test_a_key_that_was_replaced_ends_when_it_was_to(run: Terminal) -> None:
    run("keys", "create", "--owner", "team-a")
    (key,) = run.keys()
    run("keys", "rotate", key["id"], "--overlap-hours", "1")
    end = run.keys()[0]["expires"]
    for date in ("2099-01-31", "never"):
        run("keys", "update", key["id"], "--expires", date, "--limit", "in_flight=2")
        old, new = run.keys()
        assert (old["expires"], old["quota"]) == (end, {"in_flight": 2})
        assert (new["expires"] is None) == (date == "never")


def test_a_key_can_be_revoked_twice_and_not_rotated_any_more(run: Terminal) -> None:
    run("keys", "create")
    (key,) = run.keys()
    for _ in range(2):
        run("keys", "revoke", key["id"])
    assert run.keys()[0]["state"] == "revoked"
    assert "is not active" in run("keys", "rotate", key["id"], code=1)


class Contended(SqliteStore):
    """Somebody else ends the key between what is read and what is written."""

    async def replace(
        self, folder: str, name: str, change: tuple[StoredDocument | None, StoredDocument], expires: float | None = None
    ) -> bool:
        other = SqliteStore(self._path)
        await KeyDesk(other, SystemClock(), SystemRandom(), RecordingLog(), "another").revoke("key_one")
        await other.close()
        return await super().replace(folder, name, change, expires)


async def test_a_revocation_is_not_undone_by_a_change_that_was_under_way(tmp_path: Path) -> None:
    store = Contended(tmp_path / "made.db")
    desk = KeyDesk(store, SystemClock(), SystemRandom(), RecordingLog(), "test")
    for spoil in ("change", "rotate"):
        _, key = await desk.issue(Key("key_one", "", "", "team-a", 1.5, {"b": "1", "a": "2"}, models=("m",)))
        with pytest.raises(KeyEnded, match="by somebody else"):
            await (desk.change([key], [key]) if spoil == "change" else desk.rotate("key_one", 60.0))
        assert {each.state(2e9) for each in await desk.find("key_one")} == {"revoked"}
    await store.close()


async def test_a_key_of_an_older_version_is_changed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "made.db")
    desk = KeyDesk(store, SystemClock(), SystemRandom(), RecordingLog(), "test")
    _, key = await desk.issue(Key("key_one", "", "", "team-a", 1.5))
    older = {name: value for name, value in key.document().items() if name not in ("name", "admin")}
    await store.write("keys", {key.digest: older})
    _, new = await desk.rotate("key_one", 60.0)
    assert [each.digest for each in await desk.find("key_one")] == [key.digest, new.digest]
    await store.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keys", "create", "--limit", "rpm=3"), "--limit.rpm: unknown"),
        (("keys", "create", "--label", "env"), "expected NAME=VALUE"),
        (("keys", "create", "--expires", "soon"), "expected YYYY-MM-DD"),
        (("keys", "revoke", "nobody"), "there is no key nobody"),
        (("keys", "rotate", "nobody", "--overlap-hours", "1e9"), "--overlap-hours: expected at most 2160; got 1e+09"),
        (("usage", "--by", "moon"), "expected some of day, hour, key"),
        (("usage", "--where", "moon=1"), "skybridge: --where: moon is none of day, hour"),
        (("usage", "--where", "model"), "expected NAME=VALUE"),
        (("usage", "--where", "model=a", "--where", "model=b"), "--where: each group may be given once"),
        (("usage", "--days", "0"), "--days: expected a number from 1 on"),
        (("usage", "--store", "redis:x"), "expected sqlite:PATH"),
        (("usage", "--store", "sqlite:"), "expected sqlite:PATH"),
        (("usage", "--store", "azure-table:table"), "expected sqlite:PATH"),
        (("usage", "--store", "sqlite:/proc/nowhere/x.db"), "the SQLite store /proc/nowhere/x.db"),
    ],
)
def test_what_cannot_be_done_is_said(run: Terminal, arguments: tuple[str, ...], words: str) -> None:
    assert words in run(*arguments, code=1)


async def _fill(path: Path) -> None:
    store, now = SqliteStore(path), SystemClock().time()
    for number, key in enumerate(("key a", "key a", "key b")):
        record = UsageRecord(f"req_{number}", "generate", "messages", now, model="m", backend="b1", key=key)
        record.outcome, record.usage, record.cost = "complete", Usage(10, 5), Cost(10**9, 5 * 10**9)
        record.labels, record.attempts = {"env": "dev"}, 1
        await store.write(folder_of(day_of(now)), {record.request_id: usage_document(record, 0)}, now + 60)
    await store.write("usage:old", {"r": {}}, now - 60)
    await store.close()


async def test_usage_is_added_up(run: Terminal, tmp_path: Path) -> None:
    import asyncio

    await _fill(tmp_path / "made.db")
    store = f"sqlite:{tmp_path / 'made.db'}"
    ask = lambda *more: asyncio.to_thread(run, "usage", "--store", store, *more)  # noqa: E731
    rows = json.loads(await ask("--json", "--by", "key,model"))
    assert [(row["key"], row["requests"], row["cost"], row["input_tokens"]) for row in rows] == [
        ("key a", 2, "0.012", 20), ("key b", 1, "0.006", 10),
    ]  # fmt: skip
    table = await ask("--by", "backend", "--purge")
    assert table.split("\n")[0].split()[:3] == ["backend", "requests", "failed"] and "0.018" in table
    header, *lines = csv.reader(io.StringIO(await ask("--csv")))
    assert header[:2] == ["day", "model"] and "cost_usd" in header and lines[0][1] == "m"
    row = dict(zip(header, lines[0], strict=True))
    assert (row["input_cost_usd"], row["cache_read_cost_usd"], row["compute_cost_usd"]) == ("0.003", "0", "0")
    assert (row["ttft_p50_ms"], row["failovers"]) == ("", "0")
    rows = json.loads(await ask("--json", "--by", "hour", "--where", "key=key a"))
    assert [(each["requests"], each["hour"][-4:]) for each in rows] == [(2, ":00Z")]
    assert len(json.loads(await ask("--json", "--days", "99999999999"))) == 1
    reader = SqliteStore(tmp_path / "made.db")
    assert not await reader.read_all("usage:old")
    await reader.close()


async def test_more_groups_than_fit_are_refused_in_words(
    run: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    await _fill(tmp_path / "made.db")
    monkeypatch.setattr(accounts_cli, "Report", partial(Report, most_groups=1))
    store = f"sqlite:{tmp_path / 'made.db'}"
    said = await asyncio.to_thread(run, "usage", "--store", store, "--by", "key", code=1)
    assert said == "skybridge: --by: More than 1 rows: ask for fewer days or fewer groups.\n"


async def test_names_that_clients_made_up_do_no_harm(run: Terminal, tmp_path: Path) -> None:
    import asyncio

    store, now = SqliteStore(tmp_path / "made.db"), SystemClock().time()
    names = ["=1+1", "+1", "-1", "@cf/m", "\x1b[31mred\n", "half\ud800", "é,\"q\""]
    folder = folder_of(day_of(now))
    for number, name in enumerate(names):
        record = UsageRecord(f"req_{number}", "generate", "messages", now, model=name)
        await store.write(folder, {record.request_id: usage_document(record, 0)}, now + 60)
    await store.write(folder, {"damaged": {"model": "m"}, "worse": []}, now + 60)  # type: ignore[dict-item]
    await store.close()

    ask = lambda *more: asyncio.to_thread(run, "usage", "--store", f"sqlite:{tmp_path / 'made.db'}", "--by", "model", *more)  # noqa: E731,E501
    _, *lines = csv.reader(io.StringIO(await ask("--csv"), newline=""))
    assert sorted(line[0] for line in lines) == sorted(
        ["'=1+1", "'+1", "'-1", "'@cf/m", "\x1b[31mred\n", "half\\ud800", "é,\"q\""]
    )
    table = await ask()
    assert "\\x1b[31mred\\n" in table and "half\\ud800" in table and "é" in table and "\x1b" not in table
    assert len(table.splitlines()) == len(names) + 1
    assert sorted(each["model"] for each in json.loads(await ask("--json"))) == sorted(names)
