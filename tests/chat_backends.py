"""Backends that the chat API's tests talk to: Chat Completions streams, word by word."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from core.framing import sse
from tests.backend_server import Received, Script
from tests.served import Served, served


def chunk(text: str, **members: Any) -> bytes:
    """A piece of an answer."""
    delta = {"content": text, **members}
    return _frame({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def end(finish: str = "stop", prompt_tokens: int = 7, completion_tokens: int = 3) -> bytes:
    """The proper end of a stream, with what it took."""
    last = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
             "total_tokens": prompt_tokens + completion_tokens}  # fmt: skip
    return _frame(last) + _frame({"id": "c1", "choices": [], "usage": usage}) + b"data: [DONE]\n\n"


def _frame(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def says(*texts: str) -> Script:
    """An answer in these pieces."""
    return Script([*(chunk(text) for text in texts), end()])


def echoes(received: Received) -> Script:
    """An answer that repeats the last message."""
    content = received.json["messages"][-1]["content"]
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return says(f"re: {text}")


def document(*urls: str, **models: Any) -> dict[str, Any]:
    """A configuration whose model `m` is asked at `urls`, one after the other."""
    backends: dict[str, Any] = {
        f"b{number}": {"type": "openai-compatible", "base_url": f"{url}/v1", "api_key": "upstream"}
        for number, url in enumerate(urls, 1)
    }
    backends["demo"] = {"type": "demo"}
    rows = [{"backend": f"b{number}", "api_model": "m", "priority": number} for number in range(1, len(urls) + 1)]
    known = {"m": {"candidates": rows}} if rows else {}
    return {"backends": backends, "models": {**known, "demo": {"backend": "demo", "api_model": "demo"}, **models}}


def remembering(
    tmp_path: Path, configuration: Mapping[str, Any], **variables: str
) -> AbstractAsyncContextManager[Served]:
    """A gateway with a SQLite store, open to its machine unless `variables` have keys."""
    store = {"SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'store.db'}", "SERVICE_API_KEY": "service-key-1,service-key-2"}
    return served(tmp_path, configuration, {**store, **variables})


def events_of(body: bytes | str) -> list[tuple[str, Any]]:
    """The events of a stream: names and data."""
    encoded = body.encode() if isinstance(body, str) else body
    return [(record.event, json.loads(record.data)) for record in sse.records_of(encoded)]


def text_of(events: Sequence[tuple[str, Any]]) -> str:
    return "".join(data["text"] for name, data in events if name == "delta")
