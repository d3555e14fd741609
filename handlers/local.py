"""The local door: the one ASGI application behind a server of our own."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from os import strerror
from socket import socket
from typing import Any

from core.configuration import ConfigurationError
from core.gateway import Gateway
from handlers.asgi import AsgiApp
from handlers.composition import Composition
from handlers.io.http_server import HttpServer

type After = Callable[[], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# How long streams may go on after SIGTERM. Container platforms kill after 30 s.
GRACE_SECONDS = 25.0
# For error events to be written after the grace, before connections are cut.
LAST_WORDS_SECONDS = 3.0
# Connections that wait to be accepted.
BACKLOG = 2048


# What follows answers waits so long for those that end soon after.
AFTER_SECONDS = 0.005


class Afterwards:
    """What follows answers (`skybridge.after`, see handlers.asgi), run once for all that end within AFTER_SECONDS: a
    store writes their records together, and no answer's end delays the next request."""

    def __init__(self) -> None:
        self._steps: dict[After, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    def append(self, step: After) -> None:
        """To be run soon. It raises nothing."""
        if not self._steps:
            self._timer = asyncio.get_running_loop().call_later(AFTER_SECONDS, self._begin)
        self._steps[step] = None

    async def finish(self) -> None:
        """Returns when all that was appended has been done."""
        if self._timer is not None:
            self._timer.cancel()
        self._begin()
        await asyncio.wait(self._under_way)

    def _begin(self) -> None:
        steps, self._steps = list(self._steps), {}
        task = asyncio.create_task(_run(steps))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


async def _run(steps: Sequence[After]) -> None:
    for step in steps:
        await step()


class Server:
    """Serves `app`. Leaves properly on the first signal: no new requests, a grace for streams, exit code 0. A second
    SIGINT cuts everything off."""

    def __init__(self, app: AsgiApp, gateway: Gateway, grace: float) -> None:
        self._gateway = gateway
        self._grace = grace
        self.afterwards = Afterwards()
        self._http = HttpServer(app, gateway.ports.clock, {"skybridge.after": self.afterwards})
        self._leaving = asyncio.Event()
        self._cut_off = asyncio.Event()
        self.started = asyncio.Event()

    async def run(self, host: str, port: int) -> None:
        """Serves on `host` and `port` until SIGINT or SIGTERM. With port 0 the system chooses, and the log says.
        Raises ConfigurationError where that address cannot be had."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.signalled, number)
        try:
            listening = await loop.create_server(self._http.connect, host, port, backlog=BACKLOG)
        except OSError as error:
            # Errors of names have numbers of their own, below 0 (socket.gaierror).
            reason = strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
            problem = f"cannot listen on {host}, port {port}: {reason}. Choose others with --host and --port"
            raise ConfigurationError("", f"{problem} (`make run PORT=8001`).") from error
        await self._serve([listening])

    async def serve(self, listener: socket) -> None:
        """Serves on a socket until `signalled` is called."""
        loop = asyncio.get_running_loop()
        await self._serve([await loop.create_server(self._http.connect, sock=listener, backlog=BACKLOG)])

    def signalled(self, number: int) -> None:
        """What a signal means: to leave, and if it comes again to do so at once."""
        if self._leaving.is_set():
            if number == signal.SIGINT:
                self._cut_off.set()
            return
        self._gateway.drain(self._grace)
        self._leaving.set()

    @property
    def cut_off(self) -> bool:
        """Whether nothing is waited for any more."""
        return self._cut_off.is_set()

    async def _serve(self, listening: Sequence[asyncio.Server]) -> None:
        for server in listening:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                self._gateway.ports.log.event("info", "listening", host=host, port=port)
        self.started.set()
        await self._leaving.wait()
        for server in listening:
            server.close()
        self._http.shut_down()
        await self._let_go()
        await self.afterwards.finish()
        ports = self._gateway.ports
        if ports.accounts is not None:
            await ports.accounts.flush()
        if ports.finish is not None:
            await ports.finish()

    async def _let_go(self) -> None:
        """Waits for what is under way, up to the grace and some last words; then cuts it off."""
        ends = [asyncio.ensure_future(self._http.empty.wait()), asyncio.ensure_future(self._cut_off.wait())]
        await asyncio.wait(ends, timeout=self._grace + LAST_WORDS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        self._http.abort()
        tasks = list(self._http.tasks)
        if not self._http.empty.is_set():
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# Objects that are made before a collection of the youngest generation. A request makes few cycles; the default
# of 2,000 looks at what is alive dozens of times a second for nothing.
COLLECT_AFTER = 20_000


def _settle() -> None:
    """What was loaded up to now lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where it is installed: it has no wheels for every system."""
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    uvloop: Any = import_module("uvloop")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def serve(composition: Composition, host: str, port: int, grace: float = GRACE_SECONDS) -> None:
    """Serves until SIGINT or SIGTERM; streams then have `grace` seconds to finish. The caller has made sure that a
    gateway without keys stays on loopback."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        server = Server(composition.app, composition.gateway, grace)
        _settle()
        runner.run(server.run(host, port))
