"""Answers that anybody gets, and all of the console and its API, say that they are what their type says; what is
somebody's own is kept by nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from handlers.console_page import CONTENT_SECURITY_POLICY
from tests.chat_backends import document
from tests.served import served

KEY = {"authorization": "Bearer sk-of-this-test-0123"}
QUESTION = {"message": "Hello", "model": "demo"}
# Method, path, with a key, body; the answer's status.
ANSWERS: list[tuple[str, str, bool, Any, int]] = [
    ("GET", "/", False, None, 200),
    ("GET", "/health", False, None, 200),
    ("GET", "/docs", False, None, 200),
    ("DELETE", "/docs", False, None, 405),
    ("GET", "/openapi.json", False, None, 200),
    ("GET", "/console/base.css", False, None, 200),
    ("GET", "/console/none.css", False, None, 404),
    ("GET", "/nothing", False, None, 404),
    ("GET", "/v1/models", False, None, 401),
    ("POST", "/v1/messages", False, {}, 401),
    ("POST", "/v1/messages", True, {}, 400),
    ("GET", "/api/v1/me", False, None, 401),
    ("GET", "/api/v1/me", True, None, 200),
    ("GET", "/api/v1/models", True, None, 200),
    ("GET", "/api/v1/backends", True, None, 200),
    ("GET", "/api/v1/keys", True, None, 200),
    ("POST", "/api/v1/keys", True, {"owner": "made"}, 201),
    ("POST", "/api/v1/keys", True, {"owner": 1}, 400),
    ("GET", "/api/v1/sessions", True, None, 200),
    ("GET", "/api/v1/sessions/none", True, None, 404),
    ("POST", "/api/v1/chat", True, QUESTION, 200),
    ("POST", "/api/v1/chat/stream", True, QUESTION, 200),
    ("GET", "/api/v1/nothing", True, None, 404),
]


@pytest.mark.parametrize("accepts", ["text/html", "*/*"])
async def test_every_answer_has_them(accepts: str, tmp_path: Path) -> None:
    variables = {"SERVICE_API_KEY": "sk-of-this-test-0123", "SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'store.db'}"}
    async with served(tmp_path, document(), variables) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, headers={"accept": accepts}) as client:
            for method, path, known, body, status in ANSWERS:
                answer = await client.request(method, path, json=body, headers=KEY if known else {})
                where = f"{method} {path}: {answer.status_code}"
                assert answer.status_code == status, where
                assert answer.headers["x-content-type-options"] == "nosniff", where
                assert "server" not in answer.headers and "set-cookie" not in answer.headers, where
                assert "access-control-allow-origin" not in answer.headers, where
                if path.startswith("/api/") and known:
                    kept = "no-cache" if path.endswith("/stream") else "no-store"
                    assert answer.headers["cache-control"] == kept, where
                if answer.headers["content-type"].startswith("text/html"):
                    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY, where
                    assert answer.headers["x-frame-options"] == "DENY", where
