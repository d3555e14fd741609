"""A reader of a Lambda stream that stalls: nobody tells the function, so it ends the lease itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from handlers.asgi import make_app
from handlers.aws_invocation import Handler
from handlers.aws_runtime_api import Answer, Invocation, RuntimeApi
from tests.gateways import native_bench
from tests.samples import request_body, stream_frames
from tests.scripted import Play

FRAMES = stream_frames("messages")
BIG = FRAMES[2].replace(b'"H"', b'"' + b"x" * 1_000_000 + b'"')
EVENT = json.loads((Path(__file__).parent / "events" / "made-function-url.json").read_text("utf-8"))


@pytest.mark.parametrize("mode", ["streaming", "buffered"])
async def test_a_stalled_reader_ends_the_stream_and_the_backend(mode: str) -> None:
    accepted: list[asyncio.StreamWriter] = []

    async def read_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        accepted.append(writer)

    bench = native_bench("messages", [Play(chunks=[*FRAMES[:2], *[BIG] * 30, *FRAMES[4:]])])
    bench.gateway.configuration.limits.reader_stall_seconds = 0.2
    server = await asyncio.start_server(read_nothing, "127.0.0.1", 0)
    api = RuntimeApi(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", lambda: 1000.0)
    lines: list[Any] = []
    handler = Handler(make_app(bench.gateway), mode, lambda *line, **fields: lines.append((line, fields)))
    body = request_body("messages", stream=True).decode()
    event = {**EVENT, "rawPath": "/v1/messages", "body": body, "isBase64Encoded": False}
    event["requestContext"]["http"] = {**EVENT["requestContext"]["http"], "method": "POST", "path": "/v1/messages"}
    answer = Answer(200, {"lambda-runtime-aws-request-id": "i1"}, json.dumps(event).encode())
    async with asyncio.timeout(10):
        await handler.handle(api, Invocation(answer, asyncio.get_running_loop().time() + 60))
    assert bench.transport.open == 0 and bench.gateway.in_flight.total == 0
    assert len(bench.records) == 1
    if mode == "streaming":
        assert bench.records[0].outcome == "abandoned" and lines == []
    for writer in accepted:
        writer.transport.abort()
    server.close()
    await server.wait_closed()
