"""Log lines as JSON, one object a line, to a stream that the platform collects."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from time import gmtime, strftime
from typing import TextIO

from core.json_edit import compact_encoder
from core.ports import Clock
from core.usage import UsageRecord

encode = compact_encoder(default=str)

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# Told each line that is no mere information.
type Watcher = Callable[[str, Mapping[str, object]], None]


class JsonLog:
    """core.ports.Log over a text stream."""

    def __init__(self, clock: Clock, level: str = "info", stream: TextIO | None = None) -> None:
        self._clock = clock
        self._threshold = LEVELS.get(level.lower(), 20)
        self._stream = stream or sys.stderr
        self._waiting: list[str] = []
        self.watcher: Watcher | None = None

    def enabled(self, level: str) -> bool:
        """Whether lines of `level` are written."""
        return LEVELS.get(level, 20) >= self._threshold

    def count(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Lets what counts faults know of a line, whether it is written or not."""
        if self.watcher is not None:
            self.watcher(event, fields)

    def event(self, level: str, event: str, /, **fields: object) -> None:
        if level != "info":
            self.count(level, event, fields)
        if not self.enabled(level):
            return
        line = {"time": date(self._clock.time()), "level": level, "event": event, **fields}
        self._waiting.append(encode(line) + "\n")
        loop = _running_loop() if level == "info" else None
        if loop is None:
            self.flush()
        elif len(self._waiting) == 1:
            loop.call_soon(self.flush)  # the lines of one turn of the loop are written together

    def flush(self) -> None:
        """Writes the lines that wait for the end of the event loop's turn."""
        lines, self._waiting = "".join(self._waiting), []
        if lines:
            put(self._stream, lines)


def put(stream: TextIO, text: str) -> None:
    """Writes at once, where that is possible: the stream's reader may have left or its disk be full, and no request
    fails for that."""
    with suppress(OSError, ValueError):  # of a stream that has been closed: ValueError
        try:
            stream.write(text)
        except UnicodeEncodeError:  # half a surrogate pair, which JSON writes as an escape
            stream.write(text.encode("utf-8", "backslashreplace").decode())
        stream.flush()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def date(seconds: float) -> str:
    """Epoch seconds as ISO 8601, to the millisecond. By hand: `datetime` is for nothing else on the cold path."""
    milliseconds = int(seconds * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}+00:00"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))


def write_record(log: JsonLog, record: UsageRecord) -> None:
    """The line that each request leaves behind."""
    level = "info" if record.outcome in ("complete", "abandoned") else "warning"
    if not log.enabled(level):
        return
    usage = record.usage
    log.event(
        level,
        "request",
        request_id=record.request_id,
        operation=record.operation,
        model=record.model,
        backend=record.backend,
        api_model=record.api_model,
        client_format=record.client_format,
        backend_format=record.backend_format,
        streamed=record.streamed,
        status=record.status,
        outcome=record.outcome,
        finish=record.finish,
        attempts=record.attempts,
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=None if record.cost is None else float(record.cost.usd),
        first_byte_ms=None if record.first_byte_seconds is None else round(record.first_byte_seconds * 1000, 1),
        ms=round(record.seconds * 1000, 1),
        edits=record.edits,
        dropped=record.dropped,
        errors=record.errors,
    )
