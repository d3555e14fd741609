"""Anthropic's own SDK as the judge of Messages answers, whole and streamed."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import anthropic
import httpx2

_REQUEST: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}


class _Canned:
    """Answers every request with the same response."""

    def __init__(self) -> None:
        self.response = httpx2.Response(500)

    def __call__(self, _request: httpx2.Request) -> httpx2.Response:
        return self.response


@cache
def _client() -> tuple[anthropic.Anthropic, _Canned]:
    canned = _Canned()
    http = httpx2.Client(transport=httpx2.MockTransport(canned))
    return anthropic.Anthropic(api_key="k", http_client=http, max_retries=0), canned


def message_of(body: Any) -> dict[str, Any]:
    """The message that the SDK makes of a whole body, as plain values."""
    client, canned = _client()
    canned.response = httpx2.Response(200, content=json.dumps(body), headers={"content-type": "application/json"})
    return client.beta.messages.create(**_REQUEST).model_dump(exclude_unset=True, warnings=False)


def streamed_message_of(data: bytes) -> dict[str, Any]:
    """The message that the SDK collects from a stream; it raises its own error for an error event."""
    client, canned = _client()
    canned.response = httpx2.Response(200, content=data, headers={"content-type": "text/event-stream"})
    with client.beta.messages.stream(**_REQUEST) as stream:
        return stream.get_final_message().model_dump(exclude_unset=True, warnings=False)
