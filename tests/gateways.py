"""Gateways over scripted transports, and the reading of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.access import AccessRules
from core.configuration import read_configuration
from core.counting.transport import EstimateTransport
from core.errors import ClientFault
from core.gateway import Gateway, Ports
from core.http import Request, Response
from core.ports import BackendRequest
from core.routing.registry import Backend
from core.usage import UsageRecord
from tests.leaks import leak_in
from tests.samples import PATHS, TYPES
from tests.scripted import FixedRandom, Play, ScriptedTransport, VirtualClock


class RecordingLog:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def event(self, level: str, event: str, /, **fields: object) -> None:
        assert not leak_in(repr((event, fields)))
        self.lines.append((level, event, fields))


class NoMedia:
    """core.ports.Media that has nothing to fetch."""

    async def fetch(self, url: str) -> tuple[str, bytes]:
        raise ClientFault("bad_request", f"{url} cannot be fetched in this test")


class Bench:
    """One gateway and everything that can be looked at around it."""

    def __init__(self, document: dict[str, Any], plays: Sequence[Play], keys: tuple[str, ...] = ()) -> None:
        self.clock = VirtualClock()
        self.transport = ScriptedTransport(plays, self.clock)
        self.log = RecordingLog()
        self.records: list[UsageRecord] = []
        self.authorized: list[str] = []
        transports = {"http": self.transport, "https": self.transport, "estimate": EstimateTransport()}
        ports = Ports(transports, self.clock, FixedRandom(), self.log, self._authorize, self.records.append, NoMedia())
        variables = {"OPENAI_API_KEY": "k1", "ANTHROPIC_API_KEY": "k2", "OPENROUTER_API_KEY": "k3"}
        self.gateway = Gateway(read_configuration(document, variables), ports, AccessRules(keys))

    async def _authorize(self, backend: Backend, request: BackendRequest) -> None:
        self.authorized.append(backend.name)

    async def post(self, path: str, body: bytes, **headers: str) -> Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.gateway.handle(Request("POST", path, "", names, body))

    async def get(self, path: str, **headers: str) -> Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.gateway.handle(Request("GET", path, "", names))


def native_bench(
    format_name: str, plays: Sequence[Play], *, candidates: int = 2, api_model: str = "m", **options: Any
) -> Bench:
    """A gateway whose model `m` has `candidates` backends that speak `format_name`."""
    backends = {
        f"b{number}": {"type": TYPES[format_name], "base_url": f"http://b{number}/v1", "api_key": "k", **options}
        for number in range(1, candidates + 1)
    }
    rows = [{"backend": name, "api_model": api_model, "priority": index} for index, name in enumerate(backends, 1)]
    return Bench({"backends": backends, "models": {"m": {"candidates": rows}}}, plays)


async def body_of(response: Response) -> bytes:
    """The whole body, streamed or not."""
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([data async for data in response.body])


def path_of(format_name: str) -> str:
    return PATHS[format_name]
