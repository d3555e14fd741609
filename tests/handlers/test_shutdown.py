"""SIGTERM on the local door: a real process, a real signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.backend_server import BackendServer, Script
from tests.samples import PATHS, TYPES, request_body, stream_frames

ROOT = Path(__file__).parents[2]


class Door:
    """`skybridge serve` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def end(self) -> list[dict[str, object]]:
        """Waits for a proper exit and gives the usage lines of the log."""
        out, _ = await self.process.communicate()
        assert self.process.returncode == 0, out.decode()
        assert b"Traceback" not in out, out.decode()
        lines = [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]
        return [line for line in lines if "outcome" in line]


@asynccontextmanager
async def serving(tmp_path: Path, backend: str, format_name: str, grace: float) -> AsyncIterator[Door]:
    options = {"type": TYPES[format_name], "base_url": backend, "api_key": "k"}
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"backends": {"b": options}, "models": {"m": {"backend": "b"}}}), "utf-8")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    arguments = ["serve", "--port", "0", "--config", str(path), "--grace", str(grace)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "handlers.cli", *arguments, cwd=tmp_path, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        while b'"listening"' not in (line := await process.stdout.readline()):
            assert line, "the server did not start"
        yield Door(process, f"http://127.0.0.1:{json.loads(line)['port']}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("format_name", sorted(PATHS))
async def test_a_stream_within_the_grace_is_finished(tmp_path: Path, format_name: str) -> None:
    frames = stream_frames(format_name)
    gate = asyncio.Event()
    async with BackendServer([Script([*frames[:-3], gate, *frames[-3:]])]) as backend:
        async with serving(tmp_path, backend.url, format_name, 20) as door, httpx.AsyncClient() as client:
            body = request_body(format_name, stream=True)
            async with client.stream("POST", door.url + PATHS[format_name], content=body) as response:
                got = b""
                async for data in response.aiter_raw():
                    got += data
                    if got == b"".join(frames[:-3]):
                        door.terminate()
                        await refuses(door)
                        gate.set()
                assert got == b"".join(frames)
            (usage,) = await door.end()
            assert usage["outcome"] == "complete"


@pytest.mark.parametrize("format_name", sorted(PATHS))
async def test_a_stream_beyond_the_grace_ends_with_an_error_event(tmp_path: Path, format_name: str) -> None:
    frames = stream_frames(format_name)
    async with BackendServer([Script([*frames[:-4], asyncio.Event()])]) as backend:
        async with serving(tmp_path, backend.url, format_name, 0.3) as door, httpx.AsyncClient() as client:
            body = request_body(format_name, stream=True)
            async with client.stream("POST", door.url + PATHS[format_name], content=body) as response:
                got = b""
                async for data in response.aiter_raw():
                    got += data
                    if got == b"".join(frames[:-4]):
                        door.terminate()
                assert got.startswith(b"".join(frames[:-4]))
                assert b"time for this request is over" in got
            (usage,) = await door.end()
            assert usage["outcome"] == "cut"


async def test_a_whole_answer_beyond_the_grace_is_an_error_answer(tmp_path: Path) -> None:
    async with BackendServer([Script([asyncio.Event()])]) as backend:
        async with serving(tmp_path, backend.url, "messages", 0.3) as door, httpx.AsyncClient(timeout=20) as client:
            asking = asyncio.create_task(client.post(door.url + "/v1/messages", content=request_body("messages")))
            while not backend.received:
                await asyncio.sleep(0.01)
            door.terminate()
            response = await asking
            assert response.status_code == 504
            assert response.json()["error"]["type"] == "timeout_error"
            (usage,) = await door.end()
            assert usage["outcome"] == "failed"


async def refuses(door: Door) -> None:
    """Until nobody listens any more: SIGTERM has been seen."""
    host, port = door.url.removeprefix("http://").split(":")
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.02)
