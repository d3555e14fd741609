"""Log lines on AWS Lambda, as Powertools' Logger prints them, member for member.

`Logger(use_rfc3339=True)` is the model: its time format is the one that Lambda's own log levels ask for. Importing the
package would make the gateway's start half as long again, so it is for the tests only: they hold each line against what
it prints.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TextIO

from core.ports import Clock
from core.slotted import slotted
from handlers.io.log import JsonLog, date, put

_encode = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":")).encode


@slotted(frozen=True)
class LambdaInvocation:
    """What is being answered. `trace_id` is X-Ray's header, "" where there is none."""

    request_id: str
    function_arn: str
    trace_id: str
    cold_start: bool


# Of the task that answers an invocation: one process may answer several at once.
CURRENT: ContextVar[LambdaInvocation | None] = ContextVar("skybridge_lambda_invocation", default=None)


class ColdStart:
    """Whether an invocation is the first of its environment, and nobody kept that warm."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._cold = variables.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "provisioned-concurrency"

    def take(self) -> bool:
        """True once."""
        cold, self._cold = self._cold, False
        return cold


class LambdaLog(JsonLog):
    """core.ports.Log in Powertools' shape, with `event` beside `message` as in the other logs of the gateway. `depth`:
    how many calls the place that is logged lies above `event`."""

    def __init__(
        self, clock: Clock, level: str, variables: Mapping[str, str], stream: TextIO | None = None, depth: int = 1
    ) -> None:
        super().__init__(clock, variables.get("POWERTOOLS_LOG_LEVEL") or level, stream or sys.stdout)
        self._depth = depth
        self._service = variables.get("POWERTOOLS_SERVICE_NAME") or "service_undefined"
        memory = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self._function = {
            "function_name": variables.get("AWS_LAMBDA_FUNCTION_NAME"),
            "function_memory_size": memory or None,
        }

    def event(self, level: str, event: str, /, **fields: object) -> None:
        if level != "info":
            self.count(level, event, fields)
        if not self.enabled(level):
            return
        caller = sys._getframe(self._depth)
        invocation = CURRENT.get()
        line: dict[str, object] = {
            "level": level.upper(), "location": f"{caller.f_code.co_name}:{caller.f_lineno}", "message": event,
            "timestamp": date(self._clock.time()), "service": self._service,
        }  # fmt: skip
        if invocation is not None:
            line["cold_start"] = invocation.cold_start
            line.update(self._function)
            line["function_arn"] = invocation.function_arn
            line["function_request_id"] = invocation.request_id
        line["event"] = event
        line.update(fields)
        if invocation is not None and invocation.trace_id:
            line["xray_trace_id"] = invocation.trace_id.partition(";")[0].replace("Root=", "")
        text = _encode({name: value for name, value in line.items() if value is not None})
        put(self._stream, text + "\n")
