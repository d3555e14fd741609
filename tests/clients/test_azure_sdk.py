"""OpenAI's SDK with its Azure class: deployments in the path, `api-version` in the query, a key or an Entra token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.leaks import secret
from tests.served import served

pytestmark = pytest.mark.clients

DOCUMENT: dict[str, Any] = {"backends": {"d": {"type": "demo"}}, "models": {"dep": {"backend": "d"}}}
QUESTION: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("version", ["2024-10-21", "2025-04-01-preview", "preview"])
@pytest.mark.parametrize("credential", ["api_key", "azure_ad_token"])
async def test_every_surface_that_the_class_has(tmp_path: Path, version: str, credential: str) -> None:
    """The gateway's key may come as either: in `api-key`, or as the bearer token."""
    async with served(tmp_path, DOCUMENT, {"SERVICE_API_KEY": secret("service")}) as gateway:
        given: dict[str, Any] = {credential: secret("service")}
        async with openai.AsyncAzureOpenAI(
            azure_endpoint=gateway.url, api_version=version, max_retries=0, **given
        ) as client:
            whole = await client.chat.completions.create(model="dep", messages=QUESTION)
            assert whole.choices[0].message.content and whole.model == "dep"
            stream = await client.chat.completions.create(model="dep", messages=QUESTION, stream=True)
            assert "".join([part.choices[0].delta.content or "" async for part in stream if part.choices])
            assert (await client.responses.create(model="dep", input="Hello", store=False)).output_text
            assert len((await client.embeddings.create(model="dep", input=["a", "b"])).data) == 2
            assert [model.id async for model in client.models.list()] == ["dep"]
            with pytest.raises(openai.NotFoundError) as caught:
                await client.chat.completions.create(model="absent", messages=QUESTION)
            assert caught.value.code == "model_not_found"
        async with openai.AsyncAzureOpenAI(
            azure_endpoint=gateway.url, api_version=version, max_retries=0, **{credential: secret("wrong")}
        ) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.chat.completions.create(model="dep", messages=QUESTION)


async def test_a_client_of_one_deployment(tmp_path: Path) -> None:
    """`azure_deployment` puts the deployment before every path."""
    async with served(tmp_path, DOCUMENT) as gateway:
        async with openai.AsyncAzureOpenAI(
            azure_endpoint=gateway.url, azure_deployment="dep", api_version="2024-10-21", api_key="any", max_retries=0
        ) as client:
            whole = await client.chat.completions.create(model="anything", messages=QUESTION)
            assert whole.choices[0].message.content
