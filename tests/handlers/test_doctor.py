"""`skybridge doctor`: what it finds, and what it tells the operator to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handlers import cli
from handlers.doctor import Finding, examine_all, table
from tests.backend_server import JSON, RESET, BackendServer, Received, Script
from tests.backends.answers import answer, broken, error
from tests.leaks import secret


class Terminal:
    """A progress output that is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        return None

    def isatty(self) -> bool:
        return True


def document(url: str, **options: Any) -> dict[str, Any]:
    return {
        "backends": {
            "b": {"type": "openai-compatible", "base_url": f"{url}/v1", "api_key": secret("doctor"), **options},
            "spare": {"type": "demo"},
        },
        "models": {"m": {"backend": "b", "api_model": "gpt-x"}, "p-*": {"backend": "b"},
                   "e": {"backend": "b", "api_model": "text-embed"}},
    }  # fmt: skip


async def examined(tmp_path: Path, found: dict[str, Any], **variables: str) -> tuple[list[Finding], str]:
    path = tmp_path / "models.json"
    path.write_text(json.dumps(found), "utf-8")
    terminal = Terminal()
    return await examine_all({"LOG_LEVEL": "error", **variables}, str(path), terminal), terminal.text


def good(received: Received) -> Script:
    body = received.json
    if received.target.endswith("/embeddings"):
        row = {"object": "embedding", "index": 0, "embedding": [0.5]}
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        found = {"object": "list", "data": [row], "model": "text-embed", "usage": usage}
        return Script([json.dumps(found).encode()], headers=JSON)
    return answer("chat_completions", "m", stream=bool(body.get("stream")), tool="tools" in body)


async def test_all_is_well(tmp_path: Path) -> None:
    async with BackendServer(good) as backend:
        findings, shown = await examined(tmp_path, document(backend.url))
    assert [(item.backend, item.model, item.ok) for item in findings] == [
        ("b", "gpt-x", True), ("b", "text-embed", True), ("b", "(any)", True), ("spare", "(any)", True),
    ]  # fmt: skip
    assert set(findings[0].checks.values()) == {"ok"}
    assert findings[1].checks["answer"] == "ok" and findings[1].checks["tools"] == "skipped"
    assert findings[1].checks["stream"] == findings[2].checks["stream"] == findings[3].checks["name"] == "skipped"
    assert "[........................] 0/4 b gpt-x" in shown and shown.endswith("\n") and "4/4" in shown
    assert "FAILED" not in table(findings)


FAILURES = [
    (401, "answer", "credential"), (404, "answer", "check api_model"), (429, "answer", "quota"),
    (400, "answer", "does not take this"), (413, "answer", "does not take this"), (503, "answer", "overloaded"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "check", "remedy"), FAILURES)
async def test_what_a_backend_refuses(tmp_path: Path, status: int, check: str, remedy: str) -> None:
    async with BackendServer(lambda received: error("chat_completions", status, "no such thing")) as backend:
        findings, _ = await examined(tmp_path, document(backend.url))
    finding = findings[0]
    assert not finding.ok and finding.checks["credential"] == "ok" and finding.checks["tools"] == "-"
    assert remedy in finding.remedy
    shown = table(findings)
    assert "FAILED" in shown and finding.remedy in shown and secret("doctor") not in shown


async def test_a_stream_that_breaks(tmp_path: Path) -> None:
    def play(received: Received) -> Script:
        return broken("chat_completions", "m", "frame") if received.json.get("stream") else good(received)

    async with BackendServer(play) as backend:
        findings, _ = await examined(tmp_path, document(backend.url))
    assert findings[0].checks["answer"] == "ok" and "did not end well" in findings[0].checks["stream"]


async def test_before_anything_is_sent(tmp_path: Path) -> None:
    found = {
        "backends": {
            "keyless": {"type": "openai"},
            "lost": {"type": "openai", "base_url": "https://no-such-host.invalid/v1", "api_key": "k"},
            "v6": {"type": "openai", "base_url": "http://[::1]", "api_key": "k", "auth": "federated"},
        },
        "models": {name: {"backend": name, "api_model": "m"} for name in ("keyless", "lost", "v6")},
    }
    findings, _ = await examined(tmp_path, found)
    keyless, lost, federated = findings
    assert "OPENAI_API_KEY" in keyless.checks["configuration"] and "names" in keyless.remedy
    assert "does not resolve" in lost.checks["name"] and "base_url" in lost.remedy
    assert "identity_provider_id" in federated.checks["credential"] and "auth option" in federated.remedy


def test_the_command_fails_where_a_backend_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODEL_CONFIG_PATH", raising=False)
    Path("models.yaml").write_text("backends:\n  d: { type: demo }\nmodels:\n  m: { backend: d }\n", "utf-8")
    monkeypatch.setenv("SKYBRIDGE_DEMO_PACE", "0")
    assert cli.main(["doctor"]) == 0
    assert "ok" in capsys.readouterr().out
    Path("models.yaml").write_text("models:\n  m: { backend: gemini, api_model: g }\n", "utf-8")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    assert cli.main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"] and "GEMINI_API_KEY" in found["findings"][0]["checks"]["configuration"]


async def test_the_operator_is_told_the_backends_own_words(tmp_path: Path) -> None:
    """Clients are not: a refused credential is none of theirs."""
    said = "User: arn:aws:iam::123456789012:user/x is not authorized to perform bedrock:InvokeModel"
    async with BackendServer(lambda received: error("chat_completions", 403, said)) as backend:
        [finding, *_] = (await examined(tmp_path, document(backend.url)))[0]
    assert "is not authorized to perform bedrock:InvokeModel" in finding.checks["answer"]
    assert "123456789012" not in finding.checks["answer"]
    assert "what the identity may do there" in finding.remedy


async def test_nobody_who_answers(tmp_path: Path) -> None:
    async with BackendServer(lambda received: Script([RESET])) as backend:
        [finding, *_] = (await examined(tmp_path, document(backend.url)))[0]
    assert "check host and port" in finding.remedy


async def test_an_embedding_model_where_there_are_none(tmp_path: Path) -> None:
    found = {"backends": {"a": {"type": "anthropic", "base_url": "http://127.0.0.1", "api_key": "k"}},
             "models": {"e": {"backend": "a", "api_model": "some-embed"}}}  # fmt: skip
    [finding] = (await examined(tmp_path, found))[0]
    assert finding.ok and finding.checks["answer"] == "skipped"


async def test_with_a_store_no_key_is_asked_for_and_variables_name_a_few_models(tmp_path: Path) -> None:
    def play(received: Received) -> Script:
        return answer("chat_completions", "m", stream=bool(received.json.get("stream")), tool="tools" in received.json)

    async with BackendServer(play) as backend:
        variables = {
            "PROXY_BACKEND": "AZURE_DATABRICKS", "DATABRICKS_HOST": backend.url, "DATABRICKS_TOKEN": secret("d"),
            "SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'store.db'}",
        }  # fmt: skip
        findings = await examine_all({"LOG_LEVEL": "error", **variables}, None, Terminal())
    assert [(item.model, item.ok) for item in findings] == [  # as many as the form's table has
        ("databricks-claude-sonnet-4", True), ("databricks-claude-3-7-sonnet", True),
    ]  # fmt: skip


async def test_a_store_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_text("no database")
    config = tmp_path / "models.json"
    config.write_text(json.dumps({"backends": {}, "models": {}}))
    variables = {"LOG_LEVEL": "error", "SKYBRIDGE_STORE": f"sqlite:{file}"}
    [finding] = await examine_all(variables, str(config), Terminal())
    assert (finding.backend, finding.ok) == ("store", False)
    assert "file is not a database" in finding.checks["configuration"]
    assert "FAILED" in table([finding]) and "-> Check SKYBRIDGE_STORE" in table([finding])


async def test_a_routers_names_are_asked_of_the_vendors_that_they_are_of(tmp_path: Path) -> None:
    """Its mapping does not say whose a name is, so each stands at the providers of both types."""

    def whose(received: Received) -> Script:
        named = "messages" if received.target.endswith("/messages") else "chat_completions"
        return answer(named, "m", stream=bool(received.json.get("stream")), tool="tools" in received.json)

    async with BackendServer(whose) as backend:
        providers = [
            {"name": "gpt", "type": "openai", "api_key": "k", "base_url": f"{backend.url}/v1"},
            {"name": "claude", "type": "anthropic", "api_key": "k", "base_url": backend.url},
        ]
        mapping = {"a": ["gpt-4.1"], "b": ["claude-opus-4-5"], "c": ["own-name"]}
        findings, _ = await examined(tmp_path, {"model_mapping": mapping, "providers": providers})
        alone, _ = await examined(tmp_path, {"model_mapping": {"b": ["claude-opus-4-5"]}, "providers": providers[:1]})
    pairs = [(each.backend, each.model) for each in findings]
    assert pairs == [("gpt", "gpt-4.1"), ("claude", "claude-opus-4-5"), ("gpt", "own-name"), ("claude", "own-name")]
    assert all(each.ok for each in findings) and [each.model for each in alone] == ["claude-opus-4-5"]
