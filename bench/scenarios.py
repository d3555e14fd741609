"""What is asked: the load of each scenario, and which models the fake backend answers for it.

A model is named `BACKEND_FORMAT/bench-CHUNKS-DELAY-SIZE`: the part before the slash says in which format the backend
behind the gateway is called, the part after it how the fake backend answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

SMALL, SATURATED, PACED, SHORT = "bench-8-0-16", "bench-2000-0-16", "bench-20-50-16", "bench-20-0-16"
KNOBS = (SMALL, SATURATED, PACED, SHORT)
BACKEND_FORMATS = ("chat_completions", "messages", "responses", "converse", "generate_content")
MODELS = tuple(f"{name}/{knobs}" for name in BACKEND_FORMATS for knobs in KNOBS)

PATHS = {"chat_completions": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
CONNECTIONS = (1, 8, 64)
STREAMS = 100
PACED_SECONDS = 1.1
_QUESTION = "What is the capital of France? Answer in one word."


@dataclass(frozen=True)
class Scenario:
    """One load. `client` and `backend` are wire formats; `kilobytes` is what the request carries beside its question.
    Paced streams begin over `spread` seconds, or they would measure their own queue."""

    client: str
    backend: str
    knobs: str
    connections: int
    kilobytes: int = 0
    spread: float = 0.0

    @property
    def name(self) -> str:
        """What finds it in the results."""
        kind = {SMALL: "requests", SATURATED: "chunks", PACED: "paced", SHORT: "streams"}[self.knobs]
        size = f"-{self.kilobytes}k" if self.kilobytes else ""
        return f"{self.client}>{self.backend} {kind}-{self.connections}{size}"

    @property
    def path(self) -> str:
        return PATHS[self.client]

    def body(self, model: str) -> bytes:
        """The request. A large one is a conversation with tools, as a coding agent sends it."""
        document: dict[str, object] = {"model": model, "stream": self.knobs != SMALL}
        turns = [{"role": "user", "content": _QUESTION}]
        if self.client == "messages":
            document["max_tokens"] = 4096
        if self.kilobytes:
            document["tools"] = list(_tools(self.client, self.kilobytes // 4))
            turns = [*_history(self.kilobytes * 3 // 4), *turns]
        if self.client == "responses":
            document["store"] = False  # as coding agents ask; keeping answers is no translation
        document["input" if self.client == "responses" else "messages"] = turns
        return json.dumps(document).encode()


def _history(kilobytes: int) -> Iterator[dict[str, str]]:
    """Earlier turns of a kilobyte each."""
    text = ("def area(radius):\n    return 3.14159 * radius ** 2  # \"pi\"\n" * 20)[:960]
    for number in range(kilobytes // 2 * 2):
        yield {"role": "assistant" if number % 2 else "user", "content": f"{number}: {text}"}


def _tools(client: str, kilobytes: int) -> Iterator[dict[str, object]]:
    """Tools of about a kilobyte each."""
    schema = {
        "type": "object",
        "properties": {f"argument_{n}": {"type": "string", "description": "What it is for. " * 4} for n in range(8)},
        "required": ["argument_0"],
    }
    for number in range(kilobytes):
        tool: dict[str, object] = {"name": f"tool_{number}", "description": "Reads a file of the project. " * 4}
        if client == "messages":
            yield {**tool, "input_schema": schema}
        elif client == "responses":
            yield {"type": "function", **tool, "parameters": schema, "strict": False}
        else:
            yield {"type": "function", "function": {**tool, "parameters": schema}}


def _passed(knobs: str, connections: int, kilobytes: int = 0, spread: float = 0.0) -> Scenario:
    return Scenario("chat_completions", "chat_completions", knobs, connections, kilobytes, spread)


REQUESTS = tuple(_passed(SMALL, count) for count in CONNECTIONS)
LARGE = _passed(SMALL, 64, kilobytes=100)
FIRST_BYTE = _passed(PACED, STREAMS, spread=PACED_SECONDS)
CHUNKS = _passed(SATURATED, STREAMS)
PASSED = (*REQUESTS, LARGE, FIRST_BYTE, CHUNKS)

PAIRS = tuple((client, backend) for client in PATHS for backend in BACKEND_FORMATS if client != backend)
TRANSLATED = tuple(
    Scenario(client, backend, knobs, count)
    for client, backend in PAIRS
    for knobs, count in ((SMALL, 64), (SATURATED, STREAMS))
)
# A coding agent's request, in the translations that are used most.
TRANSLATED_LARGE = tuple(
    Scenario(client, backend, SMALL, 64, kilobytes=100)
    for client, backend in (("messages", "converse"), ("messages", "responses"), ("chat_completions", "messages"))
)
