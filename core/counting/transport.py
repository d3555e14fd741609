"""The estimate as a backend: core.ports.Transport that answers each request with its own body."""

from __future__ import annotations

from core.ports import BackendRequest, Head


class EstimateExchange:
    """core.ports.Exchange of one estimate."""

    def __init__(self, body: bytes) -> None:
        self._parts = [body]

    async def head(self, wait: float) -> Head | None:
        return Head(200, {"content-type": "application/json", "x-skybridge-token-count": "estimated"})

    async def read(self, wait: float) -> bytes | None:
        return self._parts.pop() if self._parts else b""

    def close(self) -> None:
        return None


class EstimateTransport:
    """core.ports.Transport of the scheme `estimate`."""

    async def send(self, request: BackendRequest) -> EstimateExchange:
        return EstimateExchange(request.body)
