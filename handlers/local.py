"""The local door: uvicorn on the one ASGI application."""

from __future__ import annotations

import gc
import math
import signal
from socket import socket
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from core.gateway import Gateway
from handlers.asgi import AsgiApp
from handlers.composition import Composition

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# How long streams may go on after SIGTERM. Container platforms kill after 30 s.
GRACE_SECONDS = 25.0
# For error events to be written after the grace, before connections are cut.
LAST_WORDS_SECONDS = 3.0


class AbortableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose connection the application can drop: a plain close waits until a reader that has
    stalled has taken what is buffered for it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"skybridge.abort": self.transport.abort}  # type: ignore[dict-item]


class Server(uvicorn.Server):
    """Leaves properly on SIGTERM and SIGINT: no new requests, a grace for streams, exit code 0. A second SIGINT
    cuts everything off."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, grace: float) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._grace = grace

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Opens the door and says where it is: with port 0 the system chooses."""
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                self._gateway.ports.log.event("info", "listening", host=host, port=port)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Ends what is under way, and writes the last usage records and whatever else waits in memory."""
        await super().shutdown(sockets)
        ports = self._gateway.ports
        if ports.accounts is not None:
            await ports.accounts.flush()
        if ports.finish is not None:
            await ports.finish()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = self.force_exit or sig == signal.SIGINT
            return
        self._gateway.drain(self._grace)
        self.should_exit = True


def server_config(app: AsgiApp, host: str, port: int, grace: float = GRACE_SECONDS) -> uvicorn.Config:
    """How uvicorn serves the application here."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        interface="asgi3",
        http=AbortableProtocol,
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=True,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=math.ceil(grace + LAST_WORDS_SECONDS),
    )


# Objects that are made before a collection of the youngest generation. A request makes few cycles; the default
# of 2,000 looks at what is alive dozens of times a second for nothing.
COLLECT_AFTER = 20_000


def _settle() -> None:
    """What was loaded up to now lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


def serve(composition: Composition, host: str, port: int, grace: float = GRACE_SECONDS) -> None:
    """Serves until SIGINT or SIGTERM; streams then have `grace` seconds to finish. The caller has made sure that a
    gateway without keys stays on loopback."""
    config = server_config(composition.app, host, port, grace)
    _settle()
    Server(config, composition.gateway, grace).run()
