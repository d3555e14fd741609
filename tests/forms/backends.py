"""Scripted answers of backends, by the path that a request came to."""

from __future__ import annotations

import json
from typing import Any

from tests.backend_server import JSON, SSE, Received, Script
from tests.samples import answer_body, stream_frames

_FORMATS = (("/messages", "messages"), ("/responses", "responses"), ("/chat/completions", "chat_completions"))


def format_of(received: Received) -> str:
    """The wire format that the path of a request belongs to."""
    path = received.target.partition("?")[0]
    return next(name for end, name in _FORMATS if path.endswith(end))


def answer(received: Received) -> Script:
    """A good answer in the format that was asked in, streamed if that was asked."""
    if received.method == "GET":
        return Script([b"{}"], headers=JSON)
    name, model = format_of(received), received.json["model"]
    if received.json.get("stream"):
        return Script(stream_frames(name, model), headers=SSE)
    return Script([answer_body(name, model)], headers=JSON)


def failing(status: int, **error: Any) -> Script:
    """An error answer in the shape that most backends share."""
    return Script([json.dumps({"error": {"message": "no", **error}}).encode()], status=status, headers=JSON)
