"""The whole gateway behind the local door on a loopback port, in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from core.usage import UsageRecord
from handlers.composition import Composition, compose
from handlers.local import Server
from tests.leaks import LeakGuard, plant


class Served:
    """A running gateway: where it listens, what it recorded."""

    def __init__(self, url: str, server: Server, composition: Composition, records: list[UsageRecord]) -> None:
        self.url = url
        # Returns when what follows the answers is done.
        self.afterwards = server.afterwards.finish
        self.composition = composition
        self.records = records


@asynccontextmanager
async def served(
    tmp_path: Path, document: Mapping[str, Any] | None, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """Serves `document` with `variables` as the environment; without a document, what `variables` alone configure."""
    path = None
    if document is not None:
        path = tmp_path / "models.json"
        path.write_text(json.dumps(document), "utf-8")
    quiet = {"LOG_LEVEL": "error", "SKYBRIDGE_DEMO_PACE": "0", "SKYBRIDGE_BODY_LOG": "off"}
    environment = {**quiet, **(variables or {})}
    plant(environment)
    plant(document or {})
    composition = compose(environment, None if path is None else str(path), local=True)
    records: list[UsageRecord] = []
    composition.gateway.ports.record = records.append
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio turns Nagle off only where it can see the protocol
    listener.bind(("127.0.0.1", 0))
    guard = LeakGuard(composition.app)
    server = Server(guard, composition.gateway, grace=0.0)
    task = asyncio.create_task(server.serve(listener))
    await server.started.wait()
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", server, composition, records)
    finally:
        server.signalled(signal.SIGINT)
        server.signalled(signal.SIGINT)
        await task
        if composition.accounts is not None and composition.accounts.store is not None:
            await composition.accounts.store.close()
        await composition.http.aclose()
        listener.close()
        assert not guard.leaks, guard.leaks
