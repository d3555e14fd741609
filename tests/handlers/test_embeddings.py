"""OpenAI's embeddings endpoint, asked by OpenAI's SDK, answered by each kind of backend."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from pathlib import Path
from typing import Any

import openai
import pytest

from core.ports import BackendRequest, TransportFault
from handlers.io.batches import BatchTransport
from tests.backend_server import JSON, BackendServer, Received, Script
from tests.forms.backends import failing
from tests.scripted import Play, ScriptedTransport, VirtualClock
from tests.served import served

AWS = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cret"}
MODELS = {
    "titan": ("aws", "amazon.titan-embed-text-v2:0"),
    "cohere": ("aws", "cohere.embed-english-v3"),
    "gemini": ("google", "gemini-embedding-001"),
    "openai": ("gpt", "text-embedding-3-small"),
    "azure": ("azure", "my-embeddings"),
    "compatible": ("local", "bge"),
    "classic": ("classic", "my-embeddings"),
    "databricks": ("databricks", "databricks-bge-large-en"),
    "openrouter": ("openrouter", "openai/text-embedding-3-small"),
    "litellm": ("litellm", "any"),
}
# Where those that have a path of their own are asked.
PATHS = {
    "azure": "/openai/v1/embeddings", "databricks": "/serving-endpoints/databricks-bge-large-en/invocations",
    "classic": "/openai/deployments/my-embeddings/embeddings?api-version=2024-10-21",
    "openrouter": "/api/v1/embeddings", "litellm": "/v1/embeddings",
}  # fmt: skip


def vector_of(text: str) -> list[float]:
    return [float(len(text)), 0.5]


def play(received: Received) -> Script:
    """Each backend's own answer: a text's vector begins with its length."""
    body = received.json
    return Script([json.dumps(_answer(received.target, body)).encode()], headers=JSON)


def _answer(target: str, body: dict[str, Any]) -> dict[str, Any]:
    if "titan" in target:
        return {"embedding": vector_of(body["inputText"]), "inputTextTokenCount": 3}
    if "cohere" in target:
        return {"embeddings": {"float": [vector_of(text) for text in body["texts"]]}, "id": "x"}
    if "batchEmbedContents" in target:
        texts = [item["content"]["parts"][0]["text"] for item in body["requests"]]
        return {"embeddings": [{"values": vector_of(text)} for text in texts]}
    given = body["input"] if isinstance(body["input"], list) else [body["input"]]
    rows: list[Any] = [vector_of(text) for text in given]
    if body.get("encoding_format") == "base64":
        rows = [base64.b64encode(struct.pack("<2f", *row)).decode() for row in rows]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    usage = {"prompt_tokens": len(given), "total_tokens": len(given)}
    return {"object": "list", "model": body["model"], "data": data, "usage": usage}


def document(url: str) -> dict[str, Any]:
    backends = {
        "aws": {"type": "bedrock", "base_url": url}, "google": {"type": "gemini", "base_url": url, "api_key": "g"},
        "gpt": {"type": "openai", "base_url": f"{url}/v1", "api_key": "o"},
        "azure": {"type": "azure-openai", "base_url": url, "api_key": "a"},
        "local": {"type": "openai-compatible", "base_url": f"{url}/v1"},
        "classic": {"type": "azure-openai", "base_url": url, "api_key": "a", "api_version": "2024-10-21"},
        "databricks": {"type": "databricks", "base_url": url, "api_key": "d"},
        "openrouter": {"type": "openrouter", "base_url": f"{url}/api/v1", "api_key": "r"},
        "litellm": {"type": "litellm", "base_url": url},
    }  # fmt: skip
    return {
        "backends": {**backends, "claude": {"type": "anthropic", "api_key": "c"}},
        "models": {
            **{name: {"backend": backend, "api_model": model} for name, (backend, model) in MODELS.items()},
            "none": {"backend": "claude"},
            "other": {"backend": "aws", "api_model": "amazon.nova-pro-v1:0"},
        },
    }


REQUESTS = {"titan": 250, "cohere": 3, "gemini": 3}


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("model", MODELS)
async def test_embeddings(tmp_path: Path, model: str, encoding: Any) -> None:
    """A large batch is split to what the backend takes, and comes back in the client's order and encoding."""
    texts = ["x" * (index + 1) for index in range(250)]
    async with (
        BackendServer(play) as backend,
        served(tmp_path, document(backend.url), AWS) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client,
    ):
        raw = await client.embeddings.with_raw_response.create(model=model, input=texts, encoding_format=encoding)
        plain = await client.embeddings.create(model=model, input="abc")
        answer = json.loads(raw.content)
        rows = [item["embedding"] for item in answer["data"]]
        if encoding == "base64":
            rows = [list(struct.unpack("<2f", base64.b64decode(row))) for row in rows]
        assert rows == [vector_of(text) for text in texts]
        assert [item["index"] for item in answer["data"]] == list(range(250))
        assert plain.data[0].embedding == vector_of("abc")
        assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0
        assert len(backend.received) == REQUESTS.get(model, 1) + 1
        assert backend.received[0].target == PATHS.get(model, backend.received[0].target)
        assert gateway.records[0].usage.input_tokens == answer["usage"]["prompt_tokens"]


async def test_dimensions_and_a_list_beyond_openais_limit(tmp_path: Path) -> None:
    async with (
        BackendServer(play) as backend,
        served(tmp_path, document(backend.url), AWS) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client,
    ):
        for model in ("titan", "cohere", "gemini"):
            await client.embeddings.create(model=model, input="abc", dimensions=256, user="u")
        found = await client.embeddings.create(model="openai", input=["a"] * 2050, encoding_format="float")
        sent = [received.json for received in backend.received]
        assert sent[0]["dimensions"] == sent[1]["output_dimension"] == 256
        assert sent[2]["requests"][0]["outputDimensionality"] == 256
        assert len(found.data) == 2050 and found.usage.prompt_tokens == 2050
        assert sorted(len(body["input"]) for body in sent[3:]) == [2, 2048]
        assert "AWS4-HMAC-SHA256" in backend.received[0].headers["authorization"]


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        ("titan", [1, 2], "takes texts, not tokens"),
        ("titan", [], "string or a list of strings"),
        ("titan", ["a", ""], "non-empty strings"),
        ("none", "a", "has no embeddings"),
        ("other", "a", "has no embeddings"),
    ],
)
async def test_what_cannot_be_embedded(tmp_path: Path, model: str, given: Any, said: str) -> None:
    async with (
        served(tmp_path, document("http://127.0.0.1:9"), AWS) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client,
    ):
        with pytest.raises(openai.BadRequestError, match=said):
            await client.embeddings.create(model=model, input=given)
        with pytest.raises(openai.BadRequestError):
            await client.embeddings.create(model="titan", input="a", dimensions=0)


async def test_a_part_that_fails_fails_the_batch(tmp_path: Path) -> None:
    def sometimes(received: Received) -> Script:
        return failing(429) if received.json["inputText"] == "xx" else play(received)

    async with (
        BackendServer(sometimes) as backend,
        served(tmp_path, document(backend.url), AWS) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client,
    ):
        with pytest.raises(openai.RateLimitError):
            await client.embeddings.create(model="titan", input=["x", "xx", "xxx"])


async def test_an_answer_that_cannot_be_read(tmp_path: Path) -> None:
    async with (
        BackendServer(lambda received: Script([b'{"no":1}'], headers=JSON)) as backend,
        served(tmp_path, document(backend.url), AWS) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client,
    ):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.embeddings.create(model="titan", input="x")
        assert caught.value.status_code == 502


async def batch_head(*plays: Play) -> Any:
    parts = [BackendRequest("POST", "http://h", [], b"") for _ in plays]
    transport = ScriptedTransport(plays, VirtualClock())
    exchange = await BatchTransport(transport).send(BackendRequest("POST", "batch+http://h", [], b"", parts=parts))
    try:
        return await exchange.head(5.0)
    finally:
        exchange.close()
        await asyncio.sleep(0)
        assert transport.open == 0


async def test_a_batch_that_stalls_or_breaks() -> None:
    with pytest.raises(TransportFault, match="no answer within"):
        await batch_head(Play(head_delay=100.0), Play(chunks=[b"{}"]))
    with pytest.raises(TransportFault, match="no more of the answer"):
        await batch_head(Play(chunks=[100.0]), Play(chunks=[b"{}"]))


async def test_a_batch_is_waited_for_in_pieces() -> None:
    never = asyncio.Event()

    class Silent:
        async def send(self, request: BackendRequest) -> Any:
            await never.wait()

    part = BackendRequest("POST", "http://h", [], b"")
    exchange = await BatchTransport(Silent()).send(BackendRequest("POST", "b", [], b"", parts=[part]))
    assert await exchange.head(0.0) is None
    exchange.close()
    await asyncio.sleep(0)


async def test_the_demo_takes_large_lists_too(tmp_path: Path) -> None:
    demo = {"backends": {"d": {"type": "demo"}}, "models": {"m": {"backend": "d"}}}
    async with (
        served(tmp_path, demo) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client,
    ):
        found = await client.embeddings.create(model="m", input=["a"] * 2049)
    assert [item.index for item in found.data] == list(range(2049))
