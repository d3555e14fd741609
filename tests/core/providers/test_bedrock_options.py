"""Bedrock's own settings, regions as candidates, and the betas that a surface takes in a pass-through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.configuration import read_configuration
from tests.gateways import Bench, body_of
from tests.samples import answer_body
from tests.scripted import Play

JSON = {"content-type": "application/json"}
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-pro-v1:0"
OPTIONS: dict[str, Any] = {
    "guardrail": {"identifier": "gr1", "version": 2, "trace": True},
    "bedrock_service_tier": "priority",
    "performance": "optimized",
    "request_metadata": {"team": "a"},
}
CONVERSE_MEMBERS = {
    "guardrailConfig": {"guardrailIdentifier": "gr1", "guardrailVersion": "2", "trace": "enabled"},
    "serviceTier": {"type": "priority"},
    "performanceConfig": {"latency": "optimized"},
    "requestMetadata": {"team": "a"},
}
HEADERS = {
    "x-amzn-bedrock-guardrailidentifier": "gr1", "x-amzn-bedrock-guardrailversion": "2",
    "x-amzn-bedrock-trace": "ENABLED", "x-amzn-bedrock-service-tier": "priority",
    "x-amzn-bedrock-performanceconfig-latency": "optimized", "x-amzn-bedrock-request-metadata": '{"team": "a"}',
}  # fmt: skip
CONVERSE_ANSWER = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}, "metrics": {"latencyMs": 1},
    }
).encode()  # fmt: skip


def bench(model: str, answer: bytes, candidate: dict[str, Any] | None = None, **backend: Any) -> Bench:
    document = {
        "backends": {"aws": {"type": "bedrock", "base_url": "http://b", **backend}},
        "models": {"m": {"backend": "aws", "api_model": model, **(candidate or {})}},
    }
    return Bench(document, [Play(headers=JSON, chunks=[answer])])


@pytest.mark.parametrize("where", ["backend", "candidate"])
async def test_options_stand_in_headers_of_messages(where: str) -> None:
    rows = {"backend": (None, OPTIONS), "candidate": (OPTIONS, {})}[where]
    ground = bench(CLAUDE, answer_body("messages", CLAUDE), rows[0], **rows[1])
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}'
    response = await ground.post("/v1/messages", body, x_amzn_bedrock_guardrailidentifier="the client's own")
    assert response.status == 200
    (request,) = ground.transport.requests
    assert HEADERS.items() <= dict(request.headers).items()
    assert json.loads(request.body).keys() == {"model", "max_tokens", "messages"}


async def test_options_stand_in_the_body_of_converse_native() -> None:
    ground = bench(NOVA, CONVERSE_ANSWER, **OPTIONS)
    messages = [{"role": "user", "content": [{"text": "x"}]}]
    body = {"messages": messages, "guardrailConfig": {"guardrailIdentifier": "own"}}
    response = await ground.post("/model/m/converse", json.dumps(body).encode())
    assert response.status == 200
    (request,) = ground.transport.requests
    sent = json.loads(request.body)
    assert {name: sent[name] for name in CONVERSE_MEMBERS} == CONVERSE_MEMBERS
    assert not any(name.startswith("x-amzn-bedrock") for name, _ in request.headers)
    assert set(ground.records[0].edits) == CONVERSE_MEMBERS.keys()


async def test_options_stand_in_the_body_of_converse_translated() -> None:
    ground = bench(NOVA, CONVERSE_ANSWER, **OPTIONS)
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}'
    response = await ground.post("/v1/messages", body)
    assert response.status == 200
    sent = json.loads(ground.transport.requests[0].body)
    assert {name: sent[name] for name in CONVERSE_MEMBERS} == CONVERSE_MEMBERS


async def test_a_guardrail_alone() -> None:
    ground = bench(NOVA, CONVERSE_ANSWER, guardrail={"identifier": "g"})
    await ground.post("/model/m/converse", b'{"messages":[{"role":"user","content":[{"text":"x"}]}]}')
    sent = json.loads(ground.transport.requests[0].body)
    assert sent["guardrailConfig"] == {"guardrailIdentifier": "g", "guardrailVersion": "DRAFT"}
    ground = bench(CLAUDE, answer_body("messages", CLAUDE), guardrail={"identifier": "g"})
    await ground.post("/v1/messages", b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}')
    assert "x-amzn-bedrock-trace" not in dict(ground.transport.requests[0].headers)


def test_regions_are_candidates_in_their_order() -> None:
    document = {
        "backends": {
            "aws": {"type": "bedrock", "regions": ["us-east-1", "us-west-2"], "auth": "iam"},
            "claude": {"type": "anthropic"},
        },
        "models": {
            "m": {
                "candidates": [
                    {"backend": "aws", "api_model": CLAUDE, "priority": 1},
                    {"backend": "claude", "api_model": "claude-sonnet-4-5", "priority": 2},
                ]
            },
            "one": {"backend": "aws", "api_model": CLAUDE, "guardrail": {"identifier": "${GUARDRAIL}"}},
        },
    }
    registry = read_configuration(document, {"ANTHROPIC_API_KEY": "k", "GUARDRAIL": "gr"}).registry
    found = [(item.backend.name, item.backend.base_url, item.priority) for item in registry.resolve("m").candidates]
    assert found == [
        ("aws@us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com", 100),
        ("aws@us-west-2", "https://bedrock-runtime.us-west-2.amazonaws.com", 101),
        ("claude", "https://api.anthropic.com", 200),
    ]
    one = registry.resolve("one").candidates[1].backend
    assert (one.region, one.options["guardrail"]) == ("us-west-2", {"identifier": "gr"})


@pytest.mark.parametrize(
    ("options", "service"),
    [
        ({"type": "bedrock"}, "bedrock"),
        ({"type": "bedrock", "base_url": "https://bedrock-mantle.us-east-1.api.aws"}, "bedrock-mantle"),
        ({"type": "bedrock-mantle", "region": "eu-west-1"}, "bedrock-mantle"),
        ({"type": "anthropic", "base_url": "https://aws-external-anthropic.us-east-1.api.aws", "auth": "iam"},
         "aws-external-anthropic"),
    ],
)  # fmt: skip
def test_the_signing_service_follows_the_host(options: dict[str, Any], service: str) -> None:
    backend = read_configuration({"backends": {"b": options}}, {}).registry.backends["b"]
    assert backend.signing_service == service


async def test_betas_are_filtered_where_a_surface_refuses_them() -> None:
    ground = bench(CLAUDE, answer_body("messages", CLAUDE))
    body = b"""{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"container":{"skills":[]},
                "context_management":{"edits":[]}}"""
    betas = "claude-code-20250219, context-management-2025-06-27,skills-2025-10-02,not-known-2030-01-01"
    response = await ground.post("/v1/messages", body, anthropic_beta=betas)
    (request,) = ground.transport.requests
    assert dict(request.headers)["anthropic-beta"] == "claude-code-20250219,context-management-2025-06-27"
    assert json.loads(request.body).keys() == {"model", "max_tokens", "messages", "context_management"}
    dropped = "anthropic-beta.skills-2025-10-02, anthropic-beta.not-known-2030-01-01, container"
    assert response.header("x-skybridge-dropped") == dropped
    assert ground.records[0].edits == ["model", "-container"]


async def test_a_surface_that_takes_none_gets_no_header() -> None:
    ground = bench(CLAUDE, answer_body("messages", CLAUDE))
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}'
    await ground.post("/v1/messages", body, anthropic_beta="skills-2025-10-02")
    assert "anthropic-beta" not in dict(ground.transport.requests[0].headers)


async def test_tools_are_not_lost_with_their_beta() -> None:
    ground = bench(CLAUDE, b"")
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"mcp_servers":[{}]}'
    response = await ground.post("/v1/messages", body)
    assert response.status == 400
    assert b"MCP" in await body_of(response)
    ground = bench(CLAUDE, b"")
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"thread":{"type":"create"}}'
    response = await ground.post("/v1/messages", body, anthropic_beta="message-threads-2026-08-12")
    assert response.status == 400
    assert b"thread_unsupported_request" in await body_of(response)


async def test_anthropic_itself_gets_every_beta() -> None:
    document = {"backends": {"a": {"type": "anthropic"}}, "models": {"m": {"backend": "a"}}}
    ground = Bench(document, [Play(headers=JSON, chunks=[answer_body("messages")])])
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"container":{}}'
    response = await ground.post("/v1/messages", body, anthropic_beta="anything-1, other-2")
    assert ground.transport.requests[0].body == body
    assert dict(ground.transport.requests[0].headers)["anthropic-beta"] == "anything-1, other-2"
    assert response.header("x-skybridge-dropped") is None
