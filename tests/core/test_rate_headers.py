"""A backend's rate limits in the words of another vendor's clients."""

from __future__ import annotations

import json

import pytest

from core.errors import GatewayError
from core.rate_headers import rate_headers_for
from tests.gateways import Bench
from tests.samples import answer_body
from tests.scripted import Play
from tests.translation.pairs import document_of

NOW = 1_700_001_000.0  # 2023-11-14T22:30:00Z
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2023-11-14T22:30:20Z",
    "anthropic-ratelimit-input-tokens-limit": "1000",
    "anthropic-ratelimit-input-tokens-remaining": "900",
    "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:36:00Z",
    "anthropic-ratelimit-output-tokens-limit": "500",
    "anthropic-ratelimit-output-tokens-remaining": "100",
    "anthropic-ratelimit-output-tokens-reset": "2023-11-14T22:31:20Z",
}
OPENAI = {
    "x-ratelimit-limit-requests": "50",
    "x-ratelimit-remaining-requests": "49",
    "x-ratelimit-reset-requests": "20s",
    "x-ratelimit-limit-tokens": "500",
    "x-ratelimit-remaining-tokens": "100",
    "x-ratelimit-reset-tokens": "1m20s",
}


@pytest.mark.parametrize("client", ["chat_completions", "responses"])
def test_anthropics_limits_for_openais_clients(client: str) -> None:
    assert dict(rate_headers_for(client, ANTHROPIC, NOW)) == OPENAI


def test_openais_limits_for_anthropics_clients() -> None:
    assert dict(rate_headers_for("messages", OPENAI, NOW)) == {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2023-11-14T22:30:20Z",
        "anthropic-ratelimit-tokens-limit": "500",
        "anthropic-ratelimit-tokens-remaining": "100",
        "anthropic-ratelimit-tokens-reset": "2023-11-14T22:31:20Z",
    }


def test_a_limit_of_all_tokens_is_that_of_tokens() -> None:
    whole = {f"anthropic-ratelimit-tokens-{part}": "7" for part in ("limit", "remaining")}
    assert rate_headers_for("responses", whole, NOW) == [
        ("x-ratelimit-limit-tokens", "7"),
        ("x-ratelimit-remaining-tokens", "7"),
    ]


@pytest.mark.parametrize(
    ("reset", "written"),
    [
        ("6m0s", "6m0s"),
        ("20ms", "1s"),
        ("1h2m3.5s", "1h2m4s"),
        ("2023-11-14T22:29:00Z", "1s"),
        ("2023-11-14T22:30:20", "20s"),
        ("2023-11-14T23:30:20+01:00", "20s"),
        ("soon", None),
        ("5m later", None),
        ("", None),
    ],
)
def test_how_long_a_limit_lasts(reset: str, written: str | None) -> None:
    told = {**OPENAI, "x-ratelimit-reset-tokens": reset}
    assert dict(rate_headers_for("responses", told, NOW)).get("x-ratelimit-reset-tokens") == written


@pytest.mark.parametrize("odd", ["", "-1", "many", "1.5", "9" * 400, "²"])
def test_what_is_no_count_is_not_told(odd: str) -> None:
    told = {name: odd for name in OPENAI}
    assert rate_headers_for("messages", told, NOW) == []


def test_formats_without_such_headers_get_none() -> None:
    assert rate_headers_for("converse", OPENAI, NOW) == rate_headers_for("generate_content", ANTHROPIC, NOW) == []


async def test_a_translated_answer_tells_the_backends_limits_and_id() -> None:
    headers = {**ANTHROPIC, "content-type": "application/json", "request-id": "req_there"}
    bench = Bench(document_of("messages"), [Play(headers=headers, chunks=[answer_body("messages")])])
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    response = await bench.post("/v1/chat/completions", json.dumps(body).encode())
    told = dict(response.headers)
    assert {name: value for name, value in told.items() if name.startswith("x-ratelimit-")} == OPENAI
    assert told["x-skybridge-backend-request-id"] == "req_there"
    assert "request-id" not in told


async def test_a_translated_refusal_tells_them_too() -> None:
    headers = {**ANTHROPIC, "content-type": "application/json", "request-id": "req_there", "retry-after": "7"}
    refusal = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}'
    bench = Bench(document_of("messages"), [Play(429, headers, [refusal])])
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    response = await bench.post("/v1/chat/completions", json.dumps(body).encode())
    told = dict(response.headers)
    assert {name: value for name, value in told.items() if name.startswith("x-ratelimit-")} == OPENAI
    assert (response.status, told["retry-after"], told["x-skybridge-backend-request-id"]) == (429, "7", "req_there")


async def test_a_refusal_tells_the_gateways_own_limits_alone() -> None:
    bench = Bench(document_of("messages"), [])
    error = GatewayError("rate_limit", "slow")
    error.headers.update({**OPENAI, "x-ratelimit-limit-requests": "9"})
    own = [("x-request-id", "r"), ("x-ratelimit-limit-requests", "3")]
    response = bench.gateway.error_response(error, "chat_completions", "r", own)
    told = [value for name, value in response.headers if name == "x-ratelimit-limit-requests"]
    assert told == ["3"]
