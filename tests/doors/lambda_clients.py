"""What the tests of the Lambda doors hold in their hands: a gate for apps, a runtime in this process, a client."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from handlers.aws_invocation import App
from handlers.aws_streaming import Runtime
from tests.doors.lambda_emulator import LambdaEmulator

APPS = (sys.executable, "-m", "tests.doors.lambda_apps")
PATIENCE = 10


class Gate:
    """Where an app in another process tells the test a word, and waits until the test lets it go on."""

    def __init__(self) -> None:
        self._arrivals: asyncio.Queue[tuple[str, asyncio.StreamWriter]] = asyncio.Queue()

    async def __aenter__(self) -> Gate:
        self._server = await asyncio.start_server(self._arrive, "127.0.0.1", 0)
        self.headers = {"x-gate": str(self._server.sockets[0].getsockname()[1])}
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._server.close_clients()

    async def _arrive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._arrivals.put_nowait(((await reader.readline()).decode().strip(), writer))

    async def arrival(self) -> tuple[str, Callable[[], None]]:
        """The next word, and what opens the gate for the one who said it."""
        async with asyncio.timeout(PATIENCE):
            word, writer = await self._arrivals.get()

        def let_go() -> None:
            writer.write(b"go\n")
            writer.close()

        return word, let_go


@contextlib.asynccontextmanager
async def spawned(
    name: str, *arguments: str, environment: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[LambdaEmulator]:
    """The app `name` of lambda_apps in the streaming loop, in a process of its own."""
    emulator = LambdaEmulator(**options)
    async with emulator.run(*APPS, name, *arguments, **(environment or {})):
        yield emulator


@contextlib.asynccontextmanager
async def hosted(
    create_app: Callable[[], App], environment: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[LambdaEmulator]:
    """The streaming loop in this process, so that app and test share their events."""
    emulator = LambdaEmulator(**options)
    given = dict(environment or {})
    if emulator.snap_start:
        given["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
    if emulator.concurrency > 1:
        given["AWS_LAMBDA_MAX_CONCURRENCY"] = str(emulator.concurrency)

    async def serve(address: str) -> int:
        given["AWS_LAMBDA_RUNTIME_API"] = address
        emulator.runtime = Runtime(create_app, given)
        code: int = await emulator.runtime.serve()
        return code

    async with emulator.host(serve):
        yield emulator


@contextlib.asynccontextmanager
async def url_client(emulator: LambdaEmulator) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the function URL."""
    address = f"http://127.0.0.1:{emulator.front_port}"
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, trust_env=False) as client:
        yield client
