"""Azure's own: content filters in every form, and waits in milliseconds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.backends.answers import chat_whole, frame
from tests.gateways import Bench, body_of
from tests.scripted import Play

JSON = {"content-type": "application/json"}
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering content management policy.", "type": None,
        "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
    }
}  # fmt: skip
DOCUMENT: dict[str, Any] = {
    "backends": {
        "azure": {
            "type": "azure-openai", "base_url": "https://r.openai.azure.com", "api_key": "k",
            "format": "chat_completions",
        }
    },
    "models": {"m": {"backend": "azure", "api_model": "dep"}},
}
ASKED = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
    "/v1/responses": {"model": "m", "input": "x", "store": False},
}


async def ask(path: str, play: Play, **extra: Any) -> tuple[int, str, dict[str, str]]:
    bench = Bench(DOCUMENT, [play])
    response = await bench.post(path, json.dumps({**ASKED[path], **extra}).encode())
    return response.status, (await body_of(response)).decode(), dict(response.headers)


@pytest.mark.parametrize("path", ASKED)
async def test_a_blocked_prompt_is_a_400_that_says_so(path: str) -> None:
    status, body, _ = await ask(path, Play(status=400, headers=JSON, chunks=[json.dumps(FILTERED).encode()]))
    assert status == 400
    assert "content management policy" in body


STOPPED = {"/v1/chat/completions": "content_filter", "/v1/messages": "refusal", "/v1/responses": "content_filter"}


@pytest.mark.parametrize("path", ASKED)
async def test_a_filtered_answer_ends_in_the_clients_words(path: str) -> None:
    whole = chat_whole("dep", tool=False)
    whole["choices"][0]["finish_reason"] = "content_filter"
    status, body, _ = await ask(path, Play(headers=JSON, chunks=[json.dumps(whole).encode()]))
    assert status == 200
    assert STOPPED[path] in body


@pytest.mark.parametrize("path", ASKED)
async def test_frames_without_choices_or_delta(path: str) -> None:
    """The prompt's results come before the first choice, the asynchronous filter's after the text."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "dep"}
    frames = [
        frame({**head, "id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, named=False),
        frame({**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]}, named=False),
        frame({**head, "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {},
                                    "content_filter_offsets": {"check_offset": 1}}]}, named=False),
        frame({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, named=False),
        b"data: [DONE]\n\n",
    ]  # fmt: skip
    status, body, _ = await ask(path, Play(chunks=frames), stream=True)
    assert status == 200
    assert "Hi" in body and "error" not in body.replace('"error":null', "").replace('"error": null', "")


@pytest.mark.parametrize("path", ASKED)
async def test_waits_in_milliseconds_are_kept(path: str) -> None:
    headers = {**JSON, "retry-after-ms": "2500"}
    error = json.dumps({"error": {"code": "429", "message": "Rate limit is exceeded."}}).encode()
    status, _, answered = await ask(path, Play(status=429, headers=headers, chunks=[error]))
    assert status == 429
    assert answered["retry-after"] == "3"


# The api-version, the deployment, the client's path, where it is asked, and how it is told the configured limit.
VERSIONS = [
    ("2023-05-15", "gpt-4", "/v1/responses", "/openai/deployments/gpt-4/chat/completions", "max_tokens"),
    ("2023-05-15", "gpt-4", "/v1/chat/completions", "/openai/deployments/gpt-4/chat/completions", "max_tokens"),
    ("2025-01-01-preview", "gpt-5", "/v1/responses", "/openai/deployments/gpt-5/chat/completions",
     "max_completion_tokens"),
    ("2025-01-01-preview", "gpt-5", "/v1/chat/completions", "/openai/deployments/gpt-5/chat/completions",
     "max_completion_tokens"),
    ("2025-04-01-preview", "gpt-5", "/v1/responses", "/openai/responses", "max_output_tokens"),
    ("2025-04-01-preview", "gpt-5", "/v1/messages", "/openai/responses", "max_output_tokens"),
]  # fmt: skip


@pytest.mark.parametrize(("version", "deployment", "path", "asked_at", "limit"), VERSIONS)
async def test_an_older_version_is_asked_what_it_knows(
    version: str, deployment: str, path: str, asked_at: str, limit: str
) -> None:
    """Without the Responses API before it was there, and in the words that the deployment's model takes."""
    backend = {"type": "azure-openai", "base_url": "https://r.openai.azure.com", "api_key": "k", "api_version": version}
    row = {"backend": "azure", "api_model": deployment, "max_tokens": 77}
    bench = Bench({"backends": {"azure": backend}, "models": {"m": row}}, [Play(status=400, headers=JSON)])
    asked = {name: value for name, value in ASKED[path].items() if name != "max_tokens"}
    if path == "/v1/messages":
        asked["max_tokens"] = 77
    await bench.post(path, json.dumps(asked).encode())
    [request] = bench.transport.requests
    assert request.url == f"https://r.openai.azure.com{asked_at}?api-version={version}"
    assert json.loads(request.body)[limit] == 77


async def test_a_configured_limit_in_the_words_of_a_compatible_server() -> None:
    backend = {"type": "openai-compatible", "base_url": "http://h/v1"}
    bench = Bench({"backends": {"b": backend}, "models": {"m": {"backend": "b", "max_tokens": 77}}}, [Play(status=400)])
    await bench.post("/v1/chat/completions", json.dumps(ASKED["/v1/chat/completions"]).encode())
    assert json.loads(bench.transport.requests[0].body)["max_tokens"] == 77
