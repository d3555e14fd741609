"""The list of models: OpenAI's, Anthropic's and Gemini's shape, read by their SDKs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from core.errors import ClientFault, upstream_fault
from core.http import Request
from core.model_rows import facts_row, row_of
from tests.gateways import Bench, body_of
from tests.served import served

DOCUMENT: dict[str, Any] = {
    "backends": {
        "claude": {"type": "anthropic"}, "gpt": {"type": "openai"},
        "own": {"type": "openai-compatible", "base_url": "http://h"},
    },
    "models": {
        "claude-sonnet": {
            "candidates": [
                {"backend": "gpt", "api_model": "gpt-5", "priority": 2},
                {"backend": "claude", "api_model": "claude-sonnet-4-5", "priority": 1},
            ]
        },
        "gpt": {"backend": "gpt", "api_model": "gpt-5"},
        "mystery": {"backend": "own", "api_model": "nobody-knows-it"},
    },
    "prices": {"own/nobody-knows-it": {"input": 1, "output": 2}},
}  # fmt: skip


async def listed(query: str = "", path: str = "/v1/models", **headers: str) -> Any:
    bench = Bench(DOCUMENT, [])
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await bench.gateway.handle(Request("GET", path, query, names))
    return json.loads(await body_of(response))


async def test_openais_shape() -> None:
    claude, gpt, mystery = (await listed())["data"]
    assert (claude["owned_by"], claude["context_window"]) == ("claude", 200_000)
    assert claude["pricing"]["input_per_million"] == 3.0 and claude["pricing"]["output_per_million"] == 15.0
    assert claude["capabilities"] == {
        "tools": True, "images": True, "documents": True, "audio": False, "structured_output": True, "reasoning": True,
    }  # fmt: skip
    assert gpt["max_output_tokens"] > 0 and gpt["capabilities"]["reasoning"]
    assert mystery.keys() == {"id", "object", "created", "owned_by", "pricing"}
    assert mystery["pricing"]["output_per_million"] == 2.0


async def test_anthropics_shape() -> None:
    page = await listed(anthropic_version="2023-06-01")
    claude, _, mystery = page["data"]
    assert (claude["max_input_tokens"], claude["max_tokens"]) == (200_000, 64_000)
    assert claude["capabilities"]["thinking"]["types"]["enabled"] == {"supported": True}
    assert claude["capabilities"]["effort"]["supported"] is False
    assert (mystery["capabilities"], mystery["max_tokens"]) == (None, None)
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("claude-sonnet", "mystery", False)


PAGES = [
    ("limit=1", ["claude-sonnet"], True),
    ("limit=1000", ["claude-sonnet", "gpt", "mystery"], False),
    ("limit=1&after_id=claude-sonnet", ["gpt"], True),
    ("after_id=gpt", ["mystery"], False),
    ("limit=1&before_id=mystery", ["gpt"], True),
    ("before_id=gpt", ["claude-sonnet"], False),
    ("after_id=mystery", [], False),
]


@pytest.mark.parametrize(("query", "names", "more"), PAGES)
async def test_anthropics_pages(query: str, names: list[str], more: bool) -> None:
    page = await listed(query, anthropic_version="2023-06-01")
    assert ([row["id"] for row in page["data"]], page["has_more"]) == (names, more)


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "9" * 5000])
async def test_a_limit_that_is_none(limit: str) -> None:
    answer = await listed(f"limit={limit}", anthropic_version="2023-06-01")
    assert answer["error"]["type"] == "invalid_request_error"


async def test_geminis_shape() -> None:
    claude, _, mystery = (await listed(path="/v1beta/models"))["models"]
    assert (claude["inputTokenLimit"], claude["outputTokenLimit"]) == (200_000, 64_000)
    assert "countTokens" in claude["supportedGenerationMethods"] and "inputTokenLimit" not in mystery


async def test_the_vendors_sdks_read_it(tmp_path: Path) -> None:
    variables = {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}
    async with (
        served(tmp_path, DOCUMENT, variables) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any") as gpt,
        anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any") as claude,
    ):
        assert [model.id async for model in gpt.models.list()] == list(DOCUMENT["models"])
        models = [model async for model in claude.models.list(limit=1)]
        assert [model.id for model in models] == list(DOCUMENT["models"])
        assert models[0].capabilities is not None and models[0].capabilities.image_input.supported
        one = await claude.models.retrieve("gpt")
        assert one.max_input_tokens
        google = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=gateway.url)).aio
        names = [model.name async for model in await google.models.list()]
        assert names == [f"models/{name}" for name in DOCUMENT["models"]]
        assert (await google.models.get(model="gpt")).input_token_limit
        await google.aclose()


def test_a_name_that_nobody_serves() -> None:
    configuration = Bench(DOCUMENT, []).gateway.configuration
    with pytest.raises(ClientFault):
        configuration.registry.resolve("nope")
    assert row_of("chat_completions", "nope", configuration)["owned_by"] == "skybridge"


def test_the_facts_of_a_model() -> None:
    gateway = Bench(DOCUMENT, []).gateway
    row = facts_row("claude-sonnet", gateway.configuration, gateway.health)
    assert row["capabilities"] == {
        "streaming": True, "tools": True, "images": True, "documents": True, "audio": False,
        "structured_output": True, "reasoning": True,
    }  # fmt: skip
    assert row["limits"] == {"context_tokens": 200_000, "max_output_tokens": 64_000}
    assert row["price"] == {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75}
    assert [(each["backend"], each["priority"], each["state"]) for each in row["backends"]] == [
        ("claude", 1, "ok"), ("gpt", 2, "ok"),
    ]  # fmt: skip
    assert row["status"] == "available"
    mystery = facts_row("mystery", gateway.configuration, gateway.health)
    assert mystery["capabilities"] is None and mystery["limits"]["context_tokens"] is None
    with pytest.raises(ClientFault):
        facts_row("nope", gateway.configuration, gateway.health)


def test_the_status_of_a_model_is_that_of_its_candidates() -> None:
    gateway = Bench(DOCUMENT, []).gateway
    gpt, claude = gateway.configuration.registry.resolve("claude-sonnet").candidates
    for candidate, status in ((claude, "degraded"), (gpt, "unavailable")):
        gateway.health.failed(candidate, upstream_fault("rate_limit", "x", 429, retry_after=9))
        assert facts_row("claude-sonnet", gateway.configuration, gateway.health)["status"] == status
    assert facts_row("gpt", gateway.configuration, gateway.health)["backends"][0]["state"] == "cooling"
