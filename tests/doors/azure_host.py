"""A stand-in for the Azure Functions host, in front of the real worker and the shipped function app.

What it does as the host does: reads host.json, initialises the worker, asks for the functions, loads them,
routes by their bindings, forwards HTTP to the worker's own server (`HttpUri` + path + query, bodies streamed
both ways, no redirects, 240 s of silence at most, up to 10 tries to connect), and sends the invocation with
nothing but the route's parameters. A client that goes away cancels the forward.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn

WORKER = Path(__file__).with_name("azure_worker.py")
ACTIVITY_TIMEOUT = 240.0
CONNECTION_TRIES = 10
# Hop-by-hop headers (RFC 9110, 7.6.1): each connection has its own.
HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade"}


class StartFailed(Exception):
    """The worker refused to start; the message is its own."""


@dataclass
class Function:
    """One HTTP function as its bindings describe it."""

    id: str
    route: re.Pattern[str]
    trigger: str
    methods: list[str]

    @classmethod
    def of(cls, metadata: dict[str, Any], prefix: str) -> Self:
        bindings = [json.loads(binding) for binding in metadata["raw_bindings"]]
        trigger = next(binding for binding in bindings if binding["type"] == "httpTrigger")
        assert trigger["authLevel"].lower() == "anonymous", "the stand-in knows no function keys"
        template = f"{prefix}/{trigger.get('route') or metadata['name']}".strip("/")
        pattern = re.sub(r"\\\{\\\*(\w+)\\\}", r"(?P<\1>.*)", re.escape(template))
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
        methods = trigger.get("methods") or []
        return cls(metadata["function_id"], re.compile(pattern), trigger["name"], methods)


@dataclass
class Worker:
    """The worker process and the line protocol to it."""

    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    pending: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    count: int = 0

    @classmethod
    async def start(cls, python: list[str], root: Path, environment: dict[str, str]) -> Self:
        ours, theirs = socket.socketpair()
        variables = {**environment, "AzureWebJobsScriptRoot": str(root)}
        command = [*python, str(WORKER), str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=variables, cwd=root)
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 24)
        return cls(process, reader, writer)

    async def listen(self) -> None:
        """Takes the worker's responses until it is gone."""
        while line := await self.reader.readline():
            message = json.loads(line)
            self.pending.pop(message["id"]).set_result(message["response"])
        for waiting in self.pending.values():
            waiting.set_exception(StartFailed(f"the worker exited: {self.process.poll()}"))

    async def ask(self, name: str, **request: Any) -> Any:
        """One request of the worker protocol and its response."""
        self.count += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.pending[self.count] = answer
        self.writer.write(json.dumps({"id": self.count, "name": name, "request": request}).encode() + b"\n")
        return await answer

    def stop(self) -> None:
        self.writer.close()
        self.process.terminate()
        self.process.wait(10)


class AzureHost:
    """The host, in a thread. Use as a context manager; `url` is where clients go.

    `root` is the function app's folder, `python` the worker's interpreter with its options, `environment` the
    app settings.
    """

    def __init__(
        self, root: Path, environment: dict[str, str] | None = None, python: list[str] | None = None
    ) -> None:
        self.root = root
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(environment or {})}
        self.python = python or [sys.executable]
        self.url = ""
        self.invocations: list[dict[str, Any]] = []
        self.capabilities: dict[str, str] = {}
        self._ready: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.url = self._ready.result(30)
        except BaseException:
            self._thread.join(15)
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(15)

    def inspect(self) -> dict[str, Any]:
        """What the worker holds now."""
        asked = asyncio.run_coroutine_threadsafe(self._worker.ask("inspect"), self._loop)
        found: dict[str, Any] = asked.result(10)
        return found

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = await Worker.start(self.python, self.root, self.environment)
        listening = asyncio.create_task(self._worker.listen())
        try:
            await self._initialise()
            await self._serve()
        except StartFailed as error:
            self._ready.set_exception(error)
        finally:
            self._worker.stop()
            await listening

    async def _initialise(self) -> None:
        settings = json.loads((self.root / "host.json").read_text())
        assert settings["version"] == "2.0"
        prefix = settings.get("extensions", {}).get("http", {}).get("routePrefix", "api")
        init = await self._worker.ask(
            "worker_init_request", capabilities={}, function_app_directory=str(self.root)
        )
        if init["result"]["status"] != 1:
            raise StartFailed(init["result"]["exception"]["message"])
        self.capabilities = init["capabilities"]
        if "HttpUri" not in self.capabilities:
            raise StartFailed("the function app does not stream: no HttpUri in its capabilities")
        found = await self._worker.ask("functions_metadata_request", function_app_directory=str(self.root))
        self._functions = [Function.of(metadata, prefix) for metadata in found["function_metadata_results"]]
        for function in self._functions:
            loaded = await self._worker.ask("function_load_request", function_id=function.id)
            assert loaded["result"]["status"] == 1

    async def _serve(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        timeout = httpx.Timeout(ACTIVITY_TIMEOUT, connect=5)
        # asyncio turns Nagle's algorithm off only where the socket names its protocol.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()  # who is told the address may connect at once, before the server accepts
            config = uvicorn.Config(
                self._application,
                interface="asgi3",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
            self._server = uvicorn.Server(config)
            async with httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as self._client:
                self._client.headers.clear()
                self._ready.set_result(f"http://127.0.0.1:{listener.getsockname()[1]}")
                await self._server._serve([listener])

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].strip("/")
        for function in self._functions:
            match = function.route.fullmatch(path)
            if match and (not function.methods or scope["method"] in function.methods):
                await self._forward(function, match.groupdict(), (scope, receive, send))
                return
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})

    async def _forward(self, function: Function, params: dict[str, str], call: tuple[Any, Any, Any]) -> None:
        scope, receive, send = call
        invocation_id = str(uuid.uuid4())
        sent = asyncio.Event()
        forward = asyncio.create_task(self._exchange(scope, self._body(receive, sent), send, invocation_id))
        invoked = asyncio.create_task(
            self._worker.ask(
                "invocation_request",
                invocation_id=invocation_id,
                function_id=function.id,
                trigger=function.trigger,
                params=params,
            )
        )
        gone = asyncio.create_task(self._departure(receive, sent))
        await asyncio.wait([forward, gone], return_when=asyncio.FIRST_COMPLETED)
        forward.cancel()
        gone.cancel()
        await asyncio.gather(forward, gone, return_exceptions=True)
        self.invocations.append(await invoked)
        if not forward.cancelled() and (error := forward.exception()):
            raise error

    async def _body(self, receive: Any, sent: asyncio.Event) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            more = message.get("more_body", False)
            yield message.get("body", b"")
        sent.set()

    async def _departure(self, receive: Any, sent: asyncio.Event) -> None:
        await sent.wait()
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _exchange(self, scope: Any, body: AsyncIterator[bytes], send: Any, invocation_id: str) -> None:
        base = httpx.URL(self.capabilities["HttpUri"])
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        headers = [pair for pair in scope["headers"] if pair[0] not in HOP_BY_HOP]
        request = self._client.build_request(
            scope["method"],
            base.copy_with(raw_path=scope["raw_path"] + query),
            headers=[*headers, (b"x-ms-invocation-id", invocation_id.encode())],
            content=body,
        )
        response = await self._connect(request)
        try:
            named = [(name.lower(), value) for name, value in response.headers.raw]
            kept = [pair for pair in named if pair[0] not in HOP_BY_HOP]
            await send({"type": "http.response.start", "status": response.status_code, "headers": kept})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            await response.aclose()

    async def _connect(self, request: httpx.Request) -> httpx.Response:
        # The worker's server is not listening yet when the worker says that it has started.
        for _ in range(CONNECTION_TRIES - 1):
            try:
                return await self._client.send(request, stream=True, follow_redirects=False)
            except httpx.ConnectError:
                await asyncio.sleep(random.uniform(0.05, 0.25))
        return await self._client.send(request, stream=True, follow_redirects=False)
