"""What each surface of Claude's gets of a request in its own format: versions and betas that it serves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.models.betas import without_refused
from tests.gateways import Bench, body_of
from tests.samples import answer_body
from tests.scripted import Play

JSON = {"content-type": "application/json"}
OLD, NEW = "2023-06-01", "2026-10-21"
BEDROCK_OLD, BEDROCK_NEW = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-opus-5-5"
MESSAGES = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}'


def ground(backend: dict[str, Any], model: str, answer: bytes = b"") -> Bench:
    document = {"backends": {"b": backend}, "models": {"m": {"backend": "b", "api_model": model}}}
    return Bench(document, [Play(headers=JSON, chunks=[answer or answer_body("messages", model)])] * 2)


URL = {"base_url": "https://h", "api_key": "k"}
VERSIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "anthropic"}, "claude-sonnet-4-5", NEW),
    ({"type": "azure-foundry", **URL}, "claude-sonnet-4-5", NEW),
    ({"type": "bedrock"}, BEDROCK_OLD, OLD),
    ({"type": "bedrock"}, BEDROCK_NEW, NEW),
    ({"type": "bedrock-mantle"}, BEDROCK_OLD, OLD),
    ({"type": "databricks", **URL}, "databricks-claude-opus-5-5", OLD),
    ({"type": "openrouter", "api_key": "k"}, "anthropic/claude-opus-5.5", OLD),
    ({"type": "litellm", **URL}, "any", OLD),
    ({"type": "litellm", **URL, "headers": {"anthropic-version": NEW}}, "any", NEW),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "model", "sent"), VERSIONS)
async def test_the_version_is_one_that_the_backend_serves(backend: dict[str, Any], model: str, sent: str) -> None:
    bench = ground(backend, model)
    for version in (NEW, OLD):
        assert (await bench.post("/v1/messages", MESSAGES, anthropic_version=version)).status == 200
    newer, older = (dict(request.headers)["anthropic-version"] for request in bench.transport.requests)
    assert newer == sent
    assert older == (NEW if "headers" in backend else OLD)
    assert [("anthropic-version" in record.edits) for record in bench.records] == [sent == OLD, False]


@pytest.mark.parametrize(("model", "sent"), [(BEDROCK_OLD, "bedrock-2023-05-31"), (BEDROCK_NEW, NEW)])
async def test_the_version_in_a_body_is_one_that_the_model_knows(model: str, sent: str) -> None:
    bench = ground({"type": "bedrock"}, model)
    body = {"anthropic_version": NEW, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    assert (await bench.post("/model/m/invoke", json.dumps(body).encode())).status == 200
    assert json.loads(bench.transport.requests[0].body) == {**body, "anthropic_version": sent}


INVOKE = {
    "anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}],
}  # fmt: skip
REFUSED, TAKEN, UNKNOWN = "skills-2025-10-02", "computer-use-2025-11-24", "made-up-2030-01-01"


@pytest.mark.parametrize(
    ("betas", "kept"),
    [([REFUSED, TAKEN, UNKNOWN], [TAKEN, UNKNOWN]), ([REFUSED], None), ([TAKEN], [TAKEN]), ([3], [3]), (None, None)],
)
async def test_betas_in_a_body_of_bedrocks(betas: Any, kept: Any) -> None:
    """What the surface is known to refuse goes; what no table has is the client's own business."""
    bench = ground({"type": "bedrock"}, BEDROCK_OLD)
    body: dict[str, Any] = {**INVOKE}
    if betas is not None:
        body["anthropic_beta"] = betas
    response = await bench.post("/model/m/invoke", json.dumps(body).encode())
    assert json.loads(bench.transport.requests[0].body).get("anthropic_beta") == kept
    dropped = f"anthropic_beta.{REFUSED}" if betas and REFUSED in betas else None
    assert response.header("x-skybridge-dropped") == dropped

    answer = {"output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}, "stopReason": "end_turn",
              "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}}  # fmt: skip
    bench = ground({"type": "bedrock"}, BEDROCK_OLD, json.dumps(answer).encode())
    fields: dict[str, Any] = {"top_k": 3, **({"anthropic_beta": betas} if betas is not None else {})}
    converse = {"messages": [{"role": "user", "content": [{"text": "x"}]}], "additionalModelRequestFields": fields}
    response = await bench.post("/model/m/converse", json.dumps(converse).encode())
    sent = json.loads(bench.transport.requests[0].body)["additionalModelRequestFields"]
    assert sent == {"top_k": 3, **({"anthropic_beta": kept} if kept is not None else {})}
    assert response.header("x-skybridge-dropped") == (f"additionalModelRequestFields.{dropped}" if dropped else None)


async def test_without_such_members_a_body_of_bedrocks_is_not_touched() -> None:
    bench = ground({"type": "bedrock"}, "us.amazon.nova-pro-v1:0")
    body = b'{"messages": [{"role":"user","content":[{"text":"x"}]}] }'
    await bench.post("/model/m/converse", body)
    assert bench.transport.requests[0].body == body


@pytest.mark.parametrize("surface", ["invoke", "converse", "vertex", "databricks", "foundry", "mantle"])
def test_every_surface_keeps_what_no_table_has(surface: str) -> None:
    by_model = "interleaved-thinking-2025-05-14"  # Claude Code asks Bedrock for it where the model takes it
    kept, dropped = without_refused(surface, [UNKNOWN, TAKEN, by_model, "fast-mode-2026-02-01"])
    assert (kept, dropped) == ([UNKNOWN, TAKEN, by_model], ["fast-mode-2026-02-01"])


EAGER = "tools.eager_input_streaming"
TOOL = {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("betas", "tools", "kept", "dropped"),
    [
        ("", [{**TOOL, "eager_input_streaming": True, "defer_loading": None}, 3], [TOOL, 3], EAGER),
        ("advanced-tool-use-2025-11-20", [{**TOOL, "defer_loading": True}], [{**TOOL, "defer_loading": True}], None),
        ("", [TOOL], [TOOL], None),
        ("", {"a": 1}, {"a": 1}, None),
    ],
)  # fmt: skip
async def test_members_of_tools_go_where_their_beta_goes(betas: str, tools: Any, kept: Any, dropped: Any) -> None:
    bench = ground({"type": "bedrock"}, BEDROCK_NEW)
    body = {**json.loads(MESSAGES), "mcp_servers": None, "container": [], "tools": tools}
    response = await bench.post("/v1/messages", json.dumps(body).encode(), anthropic_beta=betas)
    sent = json.loads(bench.transport.requests[0].body)
    assert sent["tools"] == kept and "mcp_servers" not in sent and "container" not in sent
    assert response.header("x-skybridge-dropped") == dropped


BINDINGS = [("bedrock", "mismatch_behavior"), ("anthropic", "prefix_mismatch_behavior")]


@pytest.mark.parametrize(("backend", "key"), BINDINGS)
async def test_bedrock_has_its_own_key_for_bound_thinking(backend: str, key: str) -> None:
    bench = ground({"type": backend}, BEDROCK_NEW)
    thinking = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    await bench.post("/v1/messages", json.dumps({**json.loads(MESSAGES), "thinking": thinking}).encode())
    sent = json.loads(bench.transport.requests[0].body)
    assert sent["thinking"] == {"type": "adaptive", "block_binding": {key: "drop_block"}}
    assert ("thinking" in bench.records[0].edits) == (backend == "bedrock")


async def test_what_a_request_may_not_lose_is_refused() -> None:
    bench = ground({"type": "bedrock"}, BEDROCK_NEW)
    servers = [{"type": "url", "name": "s", "url": "https://s"}]
    body = json.dumps({**json.loads(MESSAGES), "mcp_servers": servers}).encode()
    response = await bench.post("/v1/messages", body, anthropic_beta=REFUSED)
    assert response.status == 400 and b"mcp_servers" in await body_of(response)


async def test_what_stands_behind_a_refused_beta_goes_with_it() -> None:
    bench = ground({"type": "bedrock"}, BEDROCK_NEW)
    body = json.dumps({**json.loads(MESSAGES), "speed": "fast"}).encode()
    response = await bench.post("/v1/messages", body, anthropic_beta=REFUSED)
    (sent,) = bench.transport.requests
    assert "anthropic-beta" not in dict(sent.headers) and "speed" not in json.loads(sent.body)
    assert response.header("x-skybridge-dropped") == f"anthropic-beta.{REFUSED}, speed"


SCOPED = {"type": "ephemeral", "scope": "global"}
PLAIN = {"type": "ephemeral"}
ADDED = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}}
WORDS = {"type": "text", "text": "The tool f is available now."}
ASKED = {"role": "user", "content": "x"}


def marked(mark: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": "a", "cache_control": mark}


def result(mark: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [marked(mark)]}]}


SCOPE_BETA, TOOLS_BETA, TURN_BETA = (
    "prompt-caching-scope-2026-01-05", "mid-conversation-tool-changes-2026-07-01", "per-turn-control-2026-07-01",
)  # fmt: skip
LATER: dict[str, Any] = {"role": "system", "content": [ADDED], "clear_at": "never"}
DEEP: list[tuple[str, str, dict[str, Any], dict[str, Any], str | None]] = [
    ("bedrock", SCOPE_BETA, {"system": [marked(SCOPED)]}, {"system": [marked(PLAIN)]},
     f"anthropic-beta.{SCOPE_BETA}, cache_control.scope"),
    ("azure-foundry", SCOPE_BETA, {"system": [marked(SCOPED)]}, {}, None),
    ("bedrock", "", {"cache_control": SCOPED}, {"cache_control": PLAIN}, "cache_control.scope"),
    ("bedrock", "", {"tools": [{**TOOL, "cache_control": SCOPED, "defer_loading": True}]},
     {"tools": [TOOL]}, "tools.defer_loading, cache_control.scope"),
    ("bedrock", "", {"messages": [ASKED, result(SCOPED)]}, {"messages": [ASKED, result(PLAIN)]},
     "cache_control.scope"),
    ("bedrock", TURN_BETA, {"messages": [ASKED, LATER]}, {"messages": [ASKED, {**LATER, "content": [WORDS]}]},
     "messages.tool_addition"),
    ("bedrock", "", {"messages": [ASKED, LATER]}, {"messages": [ASKED, {"role": "system", "content": [WORDS]}]},
     "messages.clear_at, messages.tool_addition"),
    ("azure-foundry", f"{TOOLS_BETA},{TURN_BETA}", {"messages": [ASKED, LATER]}, {}, None),
    ("bedrock", "", {"messages": [ASKED, {"role": "system", "content": [{"type": "tool_removal"}, 3]}, 4]}, {}, None),
    ("bedrock", "", {"messages": [{"role": "user", "clear_at": None}]}, {"messages": [{"role": "user"}]}, None),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "betas", "members", "changed", "dropped"), DEEP)
async def test_what_stands_deeper_goes_where_its_beta_goes(
    backend: str, betas: str, members: dict[str, Any], changed: dict[str, Any], dropped: str | None
) -> None:
    bench = ground({"type": backend, **(URL if backend == "azure-foundry" else {})}, BEDROCK_NEW)
    body = {**json.loads(MESSAGES), **members}
    headers = {"anthropic_beta": betas} if betas else {}
    response = await bench.post("/v1/messages", json.dumps(body).encode(), **headers)
    (sent,) = bench.transport.requests
    assert json.loads(sent.body) == {**body, "model": BEDROCK_NEW, **changed}
    assert response.header("x-skybridge-dropped") == dropped
