"""The watch for credentials finds them, and a backend's quote of its key does not get through."""

from __future__ import annotations

from typing import Any

import pytest

from core.redaction import without_credentials
from tests.leaks import MARK, LeakGuard


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.start", "status": 200, "headers": [(b"x-a", f"sk-{MARK}-1".encode())]}],
        [{"type": "http.response.body", "body": f"a {MARK}".encode()}],
        [{"body": MARK[:4].encode()}, {"body": MARK[4:].encode()}],
    ],
)  # fmt: skip
async def test_the_watch_finds_credentials(messages: list[dict[str, Any]]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: Any) -> None:
        return None

    guard = LeakGuard(app)
    await guard({}, None, send)
    assert guard.leaks


def test_credentials_are_taken_out_of_what_a_backend_says() -> None:
    headers = [("authorization", "Bearer sk-0123456789"), ("x-api-key", "short"), ("accept", "application/json")]
    said = b'{"message":"wrong key sk-0123456789, in short: application/json"}'
    assert without_credentials(said, headers) == b'{"message":"wrong key ***, in short: application/json"}'
