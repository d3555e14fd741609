"""A load generator for one core: requests/s and latencies, chunks/s, time to first byte.

    python -m bench.load URL --connections 8 --seconds 3 --body-file body.json
    python -m bench.load URL --streams --connections 100 --seconds 3 --body-file body.json

Every connection sends its next request when the answer to the last one is complete. Prints one JSON object:
`requests`, `seconds`, `per_second`, `p50_ms`, `p99_ms`, `first_byte_p50_ms`, `first_byte_p99_ms`, `chunks`,
`chunks_per_second`, `errors`. A chunk is an SSE frame. The first byte is the first of the body.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding:[ \t]*chunked")
_LAST_CHUNK = b"0\r\n\r\n"


class Tally:
    """What all connections have seen since `reset`."""

    def __init__(self) -> None:
        self.reset()
        self.running = True

    def reset(self) -> None:
        self.latencies: list[float] = []
        self.first_bytes: list[float] = []
        self.chunks = 0
        self.errors: dict[str, int] = {}
        self.began = time.perf_counter()

    def fail(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1


class Connection(asyncio.Protocol):
    """Sends `request` over and over, and measures. `first_delay` seconds pass before the first one."""

    def __init__(self, tally: Tally, request: bytes, first_delay: float) -> None:
        self._tally = tally
        self._request = request
        self._first_delay = first_delay
        self._transport: asyncio.Transport
        self._clear()

    def _clear(self) -> None:
        self._head = b""
        self._in_body = False
        self._remaining = -1
        self._tail = b""
        self._got_byte = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        asyncio.get_running_loop().call_later(self._first_delay, self._send)

    def _send(self) -> None:
        if not self._tally.running or self._transport.is_closing():
            self._transport.close()
            return
        self._clear()
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._in_body = True
            if head[9:12] != b"200":
                self._tally.fail(head.split(b"\r\n")[0].decode("latin-1"))
            length = _LENGTH.search(head)
            self._remaining = int(length[1]) if length else -1
            if length is None and not _CHUNKED.search(head):
                self._tally.fail("a body without framing")
        if data:
            self._body(data)

    def _body(self, data: bytes) -> None:
        if not self._got_byte:
            self._got_byte = True
            self._tally.first_bytes.append(time.perf_counter() - self._began)
        if self._remaining >= 0:
            self._remaining -= len(data)
            if self._remaining <= 0:
                self._done()
            return
        joined = self._tail + data
        # A frame's end may lie across two reads; the tail of the last one is not counted twice.
        self._tally.chunks += joined.count(b"\n\n") - self._tail.count(b"\n\n")
        self._tail = joined[-5:]
        if self._tail == _LAST_CHUNK:
            self._done()

    def _done(self) -> None:
        self._tally.latencies.append(time.perf_counter() - self._began)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if self._tally.running:
            self._tally.fail("connection lost")


def percentile(values: Sequence[float], share: float) -> float | None:
    """In milliseconds; None of nothing."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3) if ordered else None


async def run(url: str, body: bytes, headers: Sequence[str], options: argparse.Namespace) -> dict[str, object]:
    """Warms up, measures, reports."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"POST {path} HTTP/1.1", f"host: {parts.netloc}", "content-type: application/json",
             f"content-length: {len(body)}", *headers]  # fmt: skip
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    tally = Tally()
    loop = asyncio.get_running_loop()
    for index in range(options.connections):
        # Paced streams that all begin at once would measure their own queue.
        delay = options.spread * index / options.connections
        await loop.create_connection(
            lambda delay=delay: Connection(tally, request, delay),  # type: ignore[misc]
            parts.hostname,
            parts.port,
        )
    await asyncio.sleep(options.warmup + options.spread)
    print("measuring", flush=True)
    tally.reset()
    await asyncio.sleep(options.seconds)
    seconds = time.perf_counter() - tally.began
    tally.running = False
    return {
        "requests": len(tally.latencies),
        "seconds": round(seconds, 3),
        "per_second": round(len(tally.latencies) / seconds, 1),
        "p50_ms": percentile(tally.latencies, 0.5),
        "p99_ms": percentile(tally.latencies, 0.99),
        "first_byte_p50_ms": percentile(tally.first_bytes, 0.5),
        "first_byte_p99_ms": percentile(tally.first_bytes, 0.99),
        "chunks": tally.chunks,
        "chunks_per_second": round(tally.chunks / seconds),
        "errors": tally.errors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--spread", type=float, default=0.0, help="seconds over which the first requests are spread")
    parser.add_argument("--body-file", type=Path, required=True)
    parser.add_argument("--header", action="append", default=[])
    options = parser.parse_args()
    body = options.body_file.read_bytes()
    gc.freeze()
    job = run(options.url, body, options.header, options)
    try:
        import uvloop

        result = uvloop.run(job)
    except ImportError:
        result = asyncio.run(job)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
