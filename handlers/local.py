"""The local door: uvicorn on the one ASGI application."""

from __future__ import annotations

import uvicorn

from handlers.composition import Composition

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def serve(composition: Composition, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM. The caller has made sure that a gateway without keys stays on loopback."""
    config = uvicorn.Config(
        composition.app,
        host=host,
        port=port,
        interface="asgi3",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=True,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=30,
    )
    uvicorn.Server(config).run()
