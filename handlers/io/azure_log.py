"""Log lines on Azure Functions: through `logging`, whose lines the worker hands to the host with their level, and the
host to Application Insights. The message is the JSON object that the other logs write.

The host takes lines of an invocation only and drops all others, so what is logged outside of one (at the start, in the
background) goes to the console, which the host logs under Host.Function.Console.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

from core.ports import Clock
from handlers.io.log import LEVELS, JsonLog, date, encode

LOGGER = "skybridge"

# Whether an invocation is being answered, which the host knows of: of the task that answers.
IN_INVOCATION: ContextVar[bool] = ContextVar("skybridge_azure_invocation", default=False)


class AzureLog(JsonLog):
    """core.ports.Log over the logger of this name."""

    def __init__(self, clock: Clock, level: str) -> None:
        super().__init__(clock, level)
        self._logger = logging.getLogger(LOGGER)
        self._logger.setLevel(logging.DEBUG)  # what is written is decided here

    def event(self, level: str, event: str, /, **fields: object) -> None:
        if not IN_INVOCATION.get():
            super().event(level, event, **fields)
            return
        if level != "info":
            self.count(level, event, fields)
        if self.enabled(level):
            line = {"time": date(self._clock.time()), "level": level, "event": event, **fields}
            text = encode(line).encode("utf-8", "backslashreplace").decode()  # the host takes UTF-8 only
            self._logger.log(LEVELS[level], "%s", text)
