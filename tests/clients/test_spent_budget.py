"""What real clients do when a budget is used up: they stop, and do not ask again and again."""

from __future__ import annotations

from pathlib import Path

import anthropic
import openai
import pytest

from tests.backend_server import BackendServer
from tests.clients.backends import document_for
from tests.clients.programs import needs, run
from tests.served import Served, served

# Less than any request may cost: the first one is refused.
QUOTAS = {"everyone": {"usd_per_month": "0.000001"}}


def document(url: str) -> dict[str, object]:
    return {**document_for("messages", url), "quotas": QUOTAS}


def variables(folder: Path) -> dict[str, str]:
    return {"SERVICE_API_KEY": "made-service-key", "SKYBRIDGE_STORE": f"sqlite:{folder / 'made.db'}"}


@pytest.mark.clients
@needs("claude")
async def test_claude_code_stops_at_a_budget(tmp_path: Path) -> None:
    async with (
        BackendServer([]) as backend,
        served(tmp_path, document(backend.url), variables(tmp_path)) as gateway,
    ):
        ran = await run(
            "claude",
            ["-p", "Say hello.", "--model", "claude-sonnet-4-5"],
            tmp_path,
            {
                "ANTHROPIC_BASE_URL": gateway.url,
                "ANTHROPIC_API_KEY": "made-service-key",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "IS_SANDBOX": "1",
            },
        )
    assert ran.code != 0
    assert "monthly budget" in ran.output + ran.errors, (ran.output, ran.errors)
    asked = [record for record in gateway.records if record.operation == "generate"]
    assert len(asked) == 1, [record.errors for record in gateway.records]


async def refused_once(gateway: Served) -> None:
    assert [record.status for record in gateway.records] == [429]


async def test_sdks_stop_at_a_budget(tmp_path: Path) -> None:
    async with (
        BackendServer([]) as backend,
        served(tmp_path, document(backend.url), variables(tmp_path)) as gateway,
    ):
        claude = anthropic.AsyncAnthropic(base_url=gateway.url, api_key="made-service-key", max_retries=5)
        with pytest.raises(anthropic.RateLimitError, match="monthly budget"):
            await claude.messages.create(
                model="m", max_tokens=50, messages=[{"role": "user", "content": "Hello"}]
            )
        await refused_once(gateway)
        gateway.records.clear()
        client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="made-service-key", max_retries=5)
        with pytest.raises(openai.RateLimitError, match="monthly budget") as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
        assert caught.value.code == "insufficient_quota"
        await refused_once(gateway)
        await claude.close()
        await client.close()
