"""Puts the vendors' own SDKs in front of the demo backend, in process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import anthropic
import httpx
import httpx2
import openai

from core.ports import BackendRequest, Exchange
from core.providers.demo.transport import DemoTransport


class StillClock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def whole(exchange: Exchange) -> bytes:
    """The rest of an answer's body."""
    parts = []
    while data := await exchange.read(60):
        parts.append(data)
    return b"".join(parts)


async def ask(path: str, body: Any, method: str = "POST") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request. `body` is JSON's value, or bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    exchange = await DemoTransport(StillClock(), pace=0).send(
        BackendRequest(method, "demo://demo" + path, [("content-type", "application/json")], content)
    )
    head = await exchange.head(1)
    assert head is not None
    return head.status, dict(head.headers), await whole(exchange)


async def ask_json(path: str, body: Any) -> Any:
    """The answer to a request that must succeed."""
    status, _, answer = await ask(path, body)
    assert status == 200, answer
    return json.loads(answer)


async def refusal(path: str, body: Any) -> Any:
    """The error object of a request that must be refused with a 400."""
    status, _, answer = await ask(path, body)
    assert status == 400, answer
    return json.loads(answer)["error"]


def client_of(httpx_module: ModuleType) -> Any:
    """An HTTP client whose requests go to the demo: each frame of a stream arrives by itself.

    `httpx_module` is httpx, or httpx2 for the SDKs that use that: the interface is the same.
    """

    class Body(httpx_module.AsyncByteStream):  # type: ignore[name-defined,misc]
        def __init__(self, exchange: Exchange) -> None:
            self._exchange = exchange

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while data := await self._exchange.read(60):
                yield data

    class Bridge(httpx_module.AsyncBaseTransport):  # type: ignore[name-defined,misc]
        async def handle_async_request(self, request: Any) -> Any:
            url = str(request.url.copy_with(scheme="demo"))
            sent = BackendRequest(request.method, url, [], await request.aread())
            exchange = await DemoTransport(StillClock(), pace=0.01).send(sent)
            head = await exchange.head(1)
            assert head is not None
            headers = dict(head.headers)
            return httpx_module.Response(head.status, headers=headers, stream=Body(exchange), request=request)

    return httpx_module.AsyncClient(transport=Bridge())


def openai_client() -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key="made", base_url="http://demo/v1", http_client=client_of(httpx), max_retries=0
    )


def anthropic_client() -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key="made", base_url="http://demo", http_client=client_of(httpx2), max_retries=0
    )
