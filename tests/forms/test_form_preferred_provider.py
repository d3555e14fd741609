"""The form of a preferred provider, asked as Claude Code does, by Anthropic's SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest

from core.configuration import ConfigurationError
from core.forms import chosen_configuration
from core.routing.registry import Candidate
from tests.backend_server import BackendServer
from tests.forms.backends import answer, failing
from tests.served import Served, served

HELLO: dict[str, Any] = {"max_tokens": 32, "messages": [{"role": "user", "content": "Hello"}]}


def client(gateway: Served) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any", max_retries=0)


def candidates(model: str, **variables: str) -> list[tuple[str, str]]:
    found = chosen_configuration(variables)
    assert found is not None
    named: list[Candidate] = list(found.registry.resolve(model).candidates)
    return [(item.backend.name, item.api_model) for item in named]


async def test_form_preferred_provider(tmp_path: Path) -> None:
    """opus and sonnet go to BIG_MODEL, haiku to SMALL_MODEL, in the provider's own format; tools and streams too."""
    async with BackendServer(answer) as backend:
        variables = {
            "PREFERRED_PROVIDER": "openai", "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{backend.url}/v1",
            "BIG_MODEL": "gpt-5", "SMALL_MODEL": "gpt-5-mini",
        }  # fmt: skip
        async with served(tmp_path, None, variables) as gateway, client(gateway) as asking:
            for model in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"):
                message = await asking.messages.create(model=model, **HELLO)
                assert message.model == model
            async with asking.messages.stream(model="claude-haiku-5-5", **HELLO) as stream:
                final = await stream.get_final_message()
            assert final.usage.output_tokens == 2
            counted = [received.json["model"] for received in backend.received]
        assert counted == ["gpt-5", "gpt-5", "gpt-5-mini", "gpt-5-mini"]


async def test_form_preferred_provider_falls_back_to_openai(tmp_path: Path) -> None:
    """When the preferred provider fails, and when it has no key at all."""
    async with BackendServer(answer) as openai, BackendServer(lambda received: failing(500)) as gemini:
        variables = {
            "PREFERRED_PROVIDER": "google", "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{openai.url}/v1",
            "GEMINI_API_KEY": "g", "GEMINI_BASE_URL": gemini.url,
        }  # fmt: skip
        async with served(tmp_path, None, variables) as gateway, client(gateway) as asking:
            message = await asking.messages.create(model="claude-opus-5-5", **HELLO)
            assert message.usage.output_tokens == 2
        assert gemini.received[0].target == "/v1beta/models/gemini-2.5-pro:generateContent"
        assert openai.received[0].json["model"] == "gpt-4.1"
        del variables["GEMINI_API_KEY"]
        async with served(tmp_path, None, variables) as gateway, client(gateway) as asking:
            await asking.messages.create(model="claude-haiku-5-5", **HELLO)
            assert any("google is not usable" in text for text in gateway.composition.gateway.configuration.warnings)
        assert openai.received[1].json["model"] == "gpt-4.1-mini"


CASES = [
    ("claude-3-opus", {"PREFERRED_PROVIDER": "google"}, [("gemini", "gemini-2.5-pro")]),
    ("claude-3-haiku", {"PREFERRED_PROVIDER": "google", "SMALL_MODEL": "gemini-9"}, [("gemini", "gemini-9")]),
    ("haiku", {"BIG_MODEL": "x"}, [("openai", "gpt-4.1-mini")]),
    ("sonnet", {"BIG_MODEL": "x"}, [("openai", "x")]),
    ("claude-sonnet-4", {"PREFERRED_PROVIDER": "anthropic"}, [("anthropic", "claude-sonnet-4")]),
    ("claude-sonnet-4", {"PREFERRED_PROVIDER": "azure"}, [("azure", "gpt-4.1")]),
    ("claude-haiku-4", {"PREFERRED_PROVIDER": "azure", "AZURE_DEPLOYMENT": "mine"}, [("azure", "mine")]),
    ("claude-sonnet-4", {"PREFERRED_PROVIDER": "bedrock"},
     [("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")]),
    ("claude-sonnet-4", {"PREFERRED_PROVIDER": "bedrock", "OPENAI_API_KEY": "k", "AWS_REGION": "eu-west-3"},
     [("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"), ("openai", "gpt-4.1")]),
    ("claude-sonnet-4", {"PREFERRED_PROVIDER": "openai", "BIG_MODEL": "gemini/gemini-3"}, [("gemini", "gemini-3")]),
    ("openai/claude-haiku-x", {"PREFERRED_PROVIDER": "google"}, [("openai", "claude-haiku-x")]),
    ("gemini/g", {"PREFERRED_PROVIDER": "openai"}, [("gemini", "g")]),
    ("azure/dep", {"PREFERRED_PROVIDER": "openai"}, [("azure", "dep")]),
    ("anthropic/claude-sonnet-4", {"PREFERRED_PROVIDER": "openai"}, [("anthropic", "claude-sonnet-4")]),
    ("bedrock/us.amazon.nova-pro-v1:0", {"PREFERRED_PROVIDER": "openai"}, [("bedrock", "us.amazon.nova-pro-v1:0")]),
    ("gpt-4o", {"PREFERRED_PROVIDER": "google"}, [("openai", "gpt-4o")]),
    ("gemini-3-pro", {"PREFERRED_PROVIDER": "openai"}, [("gemini", "gemini-3-pro")]),
    ("other", {"PREFERRED_PROVIDER": "google"}, [("gemini", "other")]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "variables", "expected"), CASES)
def test_form_preferred_provider_names(
    model: str, variables: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert candidates(model, **variables) == expected


def test_form_preferred_provider_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ConfigurationError, match=r"Invalid PREFERRED_PROVIDER value: x\. Must be one of: \['openai'"):
        chosen_configuration({"PREFERRED_PROVIDER": "x"})
