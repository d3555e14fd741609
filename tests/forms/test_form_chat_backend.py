"""The chat backend's variables: the deployed models of an Azure OpenAI resource, Bedrock beside them."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest

from core.configuration import ConfigurationError
from core.forms import chosen_configuration, implied_configuration
from handlers.composition import log_level
from tests.backend_server import BackendServer
from tests.forms.backends import answer
from tests.served import served

VARIABLES = {
    "AZURE_OPENAI_API_KEY": "azure-key",
    "AZURE_OPENAI_DEPLOYED_MODELS": "gpt-4, gpt-35-turbo,",
    "AWS_REGION": "us-west-2",
    "MAX_TOKENS": "500",
    "DEFAULT_SYSTEM_PROMPT": "Be brief.",
    "RATE_LIMIT": "20",
}


async def test_form_chat_backend(tmp_path: Path) -> None:
    async with BackendServer(answer) as backend:
        variables = {**VARIABLES, "AZURE_OPENAI_ENDPOINT": backend.url}
        async with served(tmp_path, None, variables) as gateway:
            client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0)
            async with client as asking:
                listed = [model.id async for model in asking.models.list()]
                assert listed[:2] == ["gpt-4", "gpt-35-turbo"] and "claude-v2" in listed
                chat = await asking.chat.completions.create(
                    model="gpt-4", messages=[{"role": "user", "content": "Hi"}]
                )
                assert chat.choices[0].message.content == "Hi"
                stream = await asking.chat.completions.create(
                    model="gpt-35-turbo", messages=[{"role": "user", "content": "Hi"}], stream=True
                )
                text = "".join([part.choices[0].delta.content or "" async for part in stream if part.choices])
                assert text.startswith("Hi")
            chat_defaults = gateway.composition.gateway.configuration.chat
        first, second = backend.received
        assert first.target == "/openai/deployments/gpt-4/chat/completions?api-version=2023-05-15"
        assert second.target == "/openai/deployments/gpt-35-turbo/chat/completions?api-version=2023-05-15"
        assert first.headers["api-key"] == "azure-key"
        assert first.json["max_tokens"] == 500  # the version of the form's default knows no other name
    assert (chat_defaults.system_prompt, chat_defaults.max_tokens, chat_defaults.rate_limit) == ("Be brief.", 500, 20)


@pytest.mark.parametrize(
    ("model", "served_model"),
    [
        ("claude-v2", "anthropic.claude-v2"),
        ("llama2-70b-chat", "meta.llama2-70b-chat-v1"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
    ],
)
def test_form_chat_backend_reaches_bedrock(model: str, served_model: str) -> None:
    found = chosen_configuration(VARIABLES)
    assert found is not None
    (candidate,) = found.registry.resolve(model).candidates
    assert (candidate.backend.region, candidate.api_model) == ("us-west-2", served_model)
    assert any("AZURE_OPENAI_ENDPOINT" in text for text in found.warnings)
    plain = implied_configuration({"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"})
    assert plain is not None
    assert plain.registry.backends["bedrock"].region == "us-east-1"


def test_form_chat_backend_names_a_wrong_value() -> None:
    with pytest.raises(ConfigurationError, match="RATE_LIMIT: expected a whole number"):
        chosen_configuration({**VARIABLES, "RATE_LIMIT": "many"})


def test_form_chat_backend_log_level() -> None:
    assert [log_level({}), log_level({"DEBUG": "True"}), log_level({"DEBUG": "1", "LOG_LEVEL": "ERROR"})] == [
        "info", "debug", "ERROR",
    ]  # fmt: skip
