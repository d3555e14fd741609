"""What an answer says, whichever format it came in: what must be the same on both sides of a translation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

type Ending = Literal["stop", "length", "tool_calls", "refusal", "paused"]


@dataclass
class Reading:
    """An answer as an official SDK read it. `refusal`: the model's words when it declines; `explanation`: the
    vendor's words for why it ended there.

    `calls`: name and arguments (a JSON value; the raw text of a custom tool). `prompt` counts the whole input with
    what a cache gave or took; a count is None where the format has no word for it or the answer did not say.
    """

    text: str = ""
    refusal: str = ""
    explanation: str = ""
    thinking: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    ending: Ending = "stop"
    prompt: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None

    def call(self, name: str, arguments: Any) -> None:
        """Adds a tool call; text is read as JSON where it is JSON."""
        self.calls.append((name, json_value(arguments)))


def json_value(arguments: Any) -> Any:
    """Arguments as a value: JSON text parsed, no text an empty object, other text as it is."""
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    if not arguments.strip():
        return {}
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
