"""Whole requests and answers as JSON lines: in rotating files, in the platform's log, in an archive. Off unless asked
for.

SKYBRIDGE_BODY_LOG names the folder of the files (`logs`); `-` is the platform's log. SKYBRIDGE_BODY_ARCHIVE names an
archive (handlers.io.body_archive). SKYBRIDGE_BODY_LOG_PERSONAL=redact masks personal data too; credentials are always
masked. A line holds the bodies, usage, cost, times, backend, attempts and errors of one request.
"""

from __future__ import annotations

import json
import os
import sys
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from core.configuration import ConfigurationError
from core.gateway import Gateway
from core.http import Request, Response
from core.masking import masked
from core.ports import Clock, Log
from core.usage import UsageRecord
from handlers.io.shipping import Outside

if TYPE_CHECKING:
    from handlers.io.body_archive import BodyArchive

if sys.platform != "win32":
    import fcntl

FILE = "requests.jsonl"
FILE_BYTES = 10 * 1024 * 1024
FILES = 10
# Larger bodies are kept up to here.
BODY_BYTES = 1024 * 1024
# Records whose answer was never finished.
MOST_WAITING = 1000


type After = Callable[[], Awaitable[None]]


class KeptExchange:
    """One request and its answer, to be written down. `size` is about how many bytes it takes."""

    __slots__ = ("_facts", "_personal", "_request", "_text", "answer", "size")

    def __init__(self, facts: dict[str, Any], request: bytes, answer: bytes, personal: bool) -> None:
        self._facts = facts
        self._request = request
        self.answer = answer
        self._personal = personal
        self._text: str | None = None
        self.size = len(request) + len(answer) + 1024

    def members(self) -> dict[str, Any]:
        """The line's members, masked."""
        bodies = {"request": _body(self._request), "response": _body(self.answer)}
        try:
            return cast("dict[str, Any]", masked({**self._facts, **bodies}, personal=self._personal))
        except RecursionError:  # nested so deep that it is kept as text
            bodies = {"request": _text(self._request), "response": _text(self.answer)}
            return cast("dict[str, Any]", masked({**self._facts, **bodies}, personal=self._personal))

    def text(self) -> str:
        """The line, masked, without its end."""
        if self._text is None:
            self._text = json.dumps(self.members(), ensure_ascii=False, default=str)
        return self._text


class RotatingFile:
    """`requests.jsonl` of a folder, of which FILES are kept, each of FILE_BYTES at most. Several processes may write to
    one folder. Raises OSError for a folder that cannot be made."""

    def __init__(self, folder: str, log: Log) -> None:
        self._folder = folder
        self._path = os.path.join(folder, FILE)
        self._log = log
        os.makedirs(folder, exist_ok=True)

    def put(self, kept: KeptExchange) -> None:
        """Writes a line. A disk that is full hurts no request."""
        line = (kept.text() + "\n").encode("utf-8", "replace")
        try:
            with _alone(self._folder):
                self._rotate(len(line))
                with open(self._path, "ab") as file:
                    file.write(line)
        except OSError as fault:
            self._log.event("warning", "body_log_fault", error=str(fault))

    def _rotate(self, more: int) -> None:
        """`requests.jsonl` becomes `.1`, `.1` becomes `.2`; the last one goes."""
        if not os.path.exists(self._path) or os.path.getsize(self._path) + more <= FILE_BYTES:
            return
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, FILES))]
        for older, newer in zip(reversed(names), [*reversed(names[:-1])], strict=False):
            if os.path.exists(newer):
                os.replace(newer, older)


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """While no other process writes to `folder`."""
    if sys.platform == "win32":  # pragma: no cover - where one process writes to a folder
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # file systems over a network may have no such lock
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


class BodyLog:
    """Hands what is to be kept of each request to `sinks`."""

    def __init__(self, clock: Clock, sinks: list[Callable[[KeptExchange], None]], *, personal: bool = False) -> None:
        self._clock = clock
        self._sinks = sinks
        self._personal = personal
        self._records: OrderedDict[str, UsageRecord] = OrderedDict()
        self.archive: BodyArchive | None = None

    @property
    def after(self) -> list[After]:
        """What is run after each answer."""
        return [] if self.archive is None else [self.archive.shipper.after_answer]

    @property
    def finish(self) -> list[After]:
        """What is run when the process ends."""
        return [] if self.archive is None else [self.archive.shipper.finish]

    def record(self, record: UsageRecord) -> None:
        """Keeps a request's record until its answer has ended."""
        self._records[record.request_id] = record
        if len(self._records) > MOST_WAITING:
            self._records.popitem(last=False)

    def write(self, request: Request, response: Response, answer: bytes) -> None:
        """Keeps one request. `answer` is what the client was sent."""
        request_id = response.header("x-request-id") or response.header("request-id") or ""
        facts = {
            "time": self._clock.time(), "request_id": request_id, "method": request.method, "path": request.path,
            "status": response.status, **_facts(self._records.pop(request_id, None)),
        }  # fmt: skip
        kept = KeptExchange(facts, request.body, answer, self._personal)
        for put in self._sinks:
            put(kept)


def make_body_log(outside: Outside) -> BodyLog:
    """The log that `outside.variables` ask for. Raises ConfigurationError."""
    variables = outside.variables
    sinks: list[Callable[[KeptExchange], None]] = []
    folder = variables.get("SKYBRIDGE_BODY_LOG")
    if folder == "-":
        sinks.append(lambda kept: outside.log.event("info", "bodies", **_without_time(kept.members())))
    elif folder and folder != "off":
        outside.log.event("info", "bodies are kept", folder=os.path.abspath(folder))
        sinks.append(RotatingFile(folder, outside.log).put)
    personal = variables.get("SKYBRIDGE_BODY_LOG_PERSONAL") or "off"
    if personal not in ("redact", "off"):
        raise ConfigurationError("SKYBRIDGE_BODY_LOG_PERSONAL", f"expected redact or off; got {personal!r}")
    made = BodyLog(outside.clock, sinks, personal=personal == "redact")
    reference = variables.get("SKYBRIDGE_BODY_ARCHIVE")
    if reference and reference != "off":
        made.archive = import_module("handlers.io.body_archive").open_archive(reference, outside)
        sinks.append(made.archive.put)
    return made


class BodyLoggingGateway:
    """A gateway whose requests and answers are written down. Everything else is the gateway's own."""

    def __init__(self, gateway: Gateway, log: BodyLog) -> None:
        self._gateway = gateway
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def handle(self, request: Request) -> Response:
        """core.gateway.Gateway.handle."""
        response = await self._gateway.handle(request)
        if isinstance(response.body, bytes):
            if request.method == "POST":
                self._log.write(request, response, response.body)
            return response
        copy: list[bytes] = []
        body = _Copied(response.body, copy, lambda: self._log.write(request, response, b"".join(copy)))
        return Response(response.status, response.headers, body)


class _Copied(AsyncGenerator[bytes]):
    """A stream's body, of which a copy is kept up to BODY_BYTES; `ended` is called once, when it is closed."""

    def __init__(self, chunks: AsyncGenerator[bytes], copy: list[bytes], ended: Callable[[], None]) -> None:
        self._chunks = chunks
        self._copy = copy
        self._size = 0
        self._ended: Callable[[], None] | None = ended

    async def __anext__(self) -> bytes:
        return self._keep(await anext(self._chunks))

    async def asend(self, value: None) -> bytes:
        return self._keep(await self._chunks.asend(value))

    async def athrow(self, *exception: Any) -> bytes:
        return self._keep(await self._chunks.athrow(*exception))

    async def aclose(self) -> None:
        await self._chunks.aclose()
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended()

    def _keep(self, data: bytes) -> bytes:
        if self._size < BODY_BYTES:
            self._copy.append(data)
            self._size += len(data)
        return data


def _without_time(members: dict[str, Any]) -> dict[str, Any]:
    """The log's lines have their own."""
    del members["time"]
    return members


def _facts(record: UsageRecord | None) -> dict[str, Any]:
    if record is None:
        return {}
    usage = record.usage
    return {
        "key": record.key, "owner": record.owner, "model": record.model, "backend": record.backend,
        "api_model": record.api_model, "attempts": record.attempts, "outcome": record.outcome,
        "finish": record.finish, "seconds": record.seconds, "first_byte_seconds": record.first_byte_seconds,
        "usage": {
            "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens,
            "total_tokens": usage.total_tokens,
        },
        "cost_usd": None if record.cost is None else record.cost.usd,
        "dropped": record.dropped, "edits": record.edits, "errors": record.errors,
    }  # fmt: skip


def _text(data: bytes) -> str:
    """The beginning as text, and how long the whole is where there is more."""
    more = f"… ({len(data)} bytes)" if len(data) > BODY_BYTES else ""
    return data[:BODY_BYTES].decode("utf-8", "replace") + more


def _finite(text: str) -> float:
    """The number. Raises ValueError for one that JSON has no word for, which a line could not hold."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _body(data: bytes) -> Any:
    """JSON as it is, other text as text, the rest as how long it is."""
    if len(data) > BODY_BYTES:
        return _text(data)
    try:
        return json.loads(data, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return f"({len(data)} bytes)"
