"""OpenAI's own SDK and OpenAPI document as the judges of Chat Completions answers, whole and streamed."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx2
import jsonschema
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.wire.recordings import recorded_file

_REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
SPECIFICATION = "specs/openai-openapi-2026-08-21.json"


class _Canned:
    """Answers every request with the same response."""

    def __init__(self) -> None:
        self.response = httpx2.Response(500)

    def __call__(self, _request: httpx2.Request) -> httpx2.Response:
        return self.response


@cache
def _client() -> tuple[openai.OpenAI, _Canned]:
    canned = _Canned()
    http = httpx2.Client(transport=httpx2.MockTransport(canned))
    return openai.OpenAI(api_key="k", base_url="http://made/v1", http_client=http, max_retries=0), canned


def completion_of(body: Any, status: int = 200) -> dict[str, Any]:
    """What the SDK makes of a whole answer; it raises its own error for an error's status."""
    client, canned = _client()
    canned.response = httpx2.Response(status, content=json.dumps(body), headers={"content-type": "application/json"})
    ChatCompletion.model_validate(body, strict=True)
    return client.chat.completions.create(**_REQUEST).model_dump(exclude_unset=True)


def error_of(status: int, headers: list[tuple[str, str]], body: bytes) -> openai.APIStatusError:
    """The error that the SDK raises for an answer."""
    client, canned = _client()
    canned.response = httpx2.Response(status, content=body, headers=headers)
    try:
        client.chat.completions.create(**_REQUEST)
    except openai.APIStatusError as error:
        return error
    raise AssertionError("no error was raised")


def streamed_completion_of(data: bytes) -> dict[str, Any]:
    """What the SDK's helper collects from a stream; it raises its own error for an error frame."""
    client, canned = _client()
    canned.response = httpx2.Response(200, content=data, headers={"content-type": "text/event-stream"})
    with client.chat.completions.stream(**_REQUEST) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion().model_dump(exclude_unset=True)


def chunks_of(data: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream, each checked strictly against the SDK's type. Error frames are not checked."""
    chunks = []
    for frame in data.decode().split("\n\n"):
        if frame.startswith("data: {"):
            chunk = json.loads(frame[6:])
            if "error" not in chunk:
                ChatCompletionChunk.model_validate(chunk, strict=True)
            chunks.append(chunk)
    return chunks


@cache
def _validator(name: str) -> Any:
    document = nullable(json.loads(recorded_file(SPECIFICATION)))
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


def assert_valid(name: str, value: Any) -> None:
    """`value` fits the schema `name` of the specification. Skips when the recordings are absent."""
    _validator(name).validate(value)


def nullable(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` in JSON Schema's words."""
    if isinstance(schema, list):
        return [nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: nullable(value) for name, value in schema.items()}
    if schema.pop("nullable", None) is not True:
        return schema
    return {"anyOf": [schema, {"type": "null"}]}
