"""Several requests as one (core.ports.Transport): the parts of a batch go out side by side, their answers come back
as a JSON list. The first part that fails is the batch's answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from core.ports import BackendRequest, Exchange, Head, Transport, TransportFault

# How many parts are under way at once.
SIDE_BY_SIDE = 8
_PATIENCE = 60.0


class BatchExchange:
    """core.ports.Exchange over the parts of one batch."""

    def __init__(self, parts: list[BackendRequest], transport: Transport) -> None:
        self._transport = transport
        self._slots = asyncio.Semaphore(SIDE_BY_SIDE)
        self._task = asyncio.ensure_future(self._gather(parts))
        self._body: list[bytes] = []

    async def head(self, wait: float) -> Head | None:
        done, _ = await asyncio.wait({self._task}, timeout=wait)
        if not done:
            return None
        answers = self._task.result()
        head = next((head for head, _ in answers if head.status >= 400), None)
        if head is not None:
            self._body = [next(body for found, body in answers if found is head)]
            return head
        self._body = [b"[" + b",".join(body for _, body in answers) + b"]"]
        return Head(200, {**answers[0][0].headers, "content-type": "application/json"})

    async def read(self, wait: float) -> bytes | None:
        return self._body.pop() if self._body else b""

    def close(self) -> None:
        self._task.cancel()

    async def _gather(self, parts: list[BackendRequest]) -> list[tuple[Head, bytes]]:
        tasks = [asyncio.ensure_future(self._one(part)) for part in parts]
        try:
            return [await task for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError, TransportFault):
                    await task

    async def _one(self, part: BackendRequest) -> tuple[Head, bytes]:
        async with self._slots:
            exchange = await self._transport.send(part)
            try:
                return await _whole(exchange)
            finally:
                exchange.close()


async def _whole(exchange: Exchange) -> tuple[Head, bytes]:
    head = await exchange.head(_PATIENCE)
    if head is None:
        raise TransportFault("head", f"no answer within {_PATIENCE:g} s")
    body: list[bytes] = []
    while True:
        data = await exchange.read(_PATIENCE)
        if data is None:
            raise TransportFault("body", f"no more of the answer within {_PATIENCE:g} s")
        if not data:
            return head, b"".join(body)
        body.append(data)


class BatchTransport:
    """core.ports.Transport of the schemes `batch+http` and `batch+https`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(self, request: BackendRequest) -> BatchExchange:
        return BatchExchange(request.parts or [], self._transport)
