"""A conversation that goes on is sent as what was sent before, and more: prompt caches and signatures hold.

Conversations are generated, written as each client's format has them, cut after each of the client's turns, and
translated to every backend. Each request's turns are the first turns of the next one's, byte for byte.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from core.conversation import (
    Block,
    CacheMark,
    Conversation,
    Document,
    FormatName,
    Image,
    Message,
    Origin,
    Reasoning,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from core.formats import load_format
from core.formats.contract import Call, Target
from core.models.resolve import facts_for
from core.translation.pipeline import translate_request
from tests.translation.pairs import BACKENDS
from tests.translation.test_loss import FORMATS, MODELS

TURN_MEMBERS = {"chat_completions": "messages", "responses": "input", "messages": "messages", "invoke": "messages"}
TURN_MEMBERS |= {"converse": "messages", "generate_content": "contents"}
HEAD_MEMBERS = ("system", "instructions", "systemInstruction", "tools", "toolConfig", "thinking", "reasoning")
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
VENDORS = {"chat_completions": "openai", "responses": "openai", "generate_content": "google"}
PNG = Source("base64", "iVBORw0KGgo=", "image/png")
PDF = Source("base64", "JVBERi0xLjQK", "application/pdf")


class Talk:
    """A conversation of an agent, one piece after another, all drawn from one seed."""

    def __init__(self, client: FormatName, seed: int) -> None:
        self._client = client
        self._random = random.Random(seed)
        self._calls = 0
        self.messages = [Message("system", [Text("Be brief.", cache=CacheMark())], slot=None)]

    def ask(self) -> None:
        content: list[Block] = [Text(f"Question {len(self.messages)}")]
        content += self._random.choice([[], [], [Image(PNG)], [Document(PDF, name="plan.pdf")]])
        self.messages.append(Message("user", content))
        if self._random.random() < 0.3 and self._client in ("chat_completions", "responses", "messages"):
            self.messages.append(Message("system", [Text(f"Note {len(self.messages)}")]))

    def answer(self) -> None:
        self.messages.append(Message("assistant", [*self._thoughts(), Text(f"Answer {len(self.messages)}")]))

    def work(self) -> None:
        """A turn of the model with one to three calls, and the results of the tools."""
        calls = [self._call() for _ in range(self._random.randint(1, 3))]
        words: list[Block] = [Text("I look.")] if self._random.random() < 0.5 else []
        self.messages.append(Message("assistant", [*self._thoughts(), *words, *calls]))
        results = [self._result(call) for call in calls]
        if self._client in ("chat_completions", "responses"):
            self.messages += [Message("tool", [result]) for result in results]
        else:
            self.messages.append(Message("user", list(results)))

    def _thoughts(self) -> list[Block]:
        vendor = VENDORS.get(self._client, "anthropic")
        if self._random.random() < 0.5:
            return []
        if vendor == "openai":
            state = f"rs_{len(self.messages)}"
            return [Reasoning(["hm"], "summary", encrypted="gAAAA", id=state, origin=Origin(vendor))]
        return [Reasoning(["hm"], signature="c2lnbmF0dXJl", origin=Origin(vendor))]

    def _call(self) -> ToolCall:
        self._calls += 1
        name = self._random.choice(["Read", "mcp__files__list_directory_" + "x" * 50, "Bash"])
        return ToolCall(f"call_{self._calls}", name, json.dumps({"path": f"/{self._calls}"}))

    def _result(self, call: ToolCall) -> ToolResult:
        content: list[Block] = [Text(f"Result of {call.id}")]
        if self._random.random() < 0.3 and self._client != "chat_completions":
            content.append(Image(PNG))
        failed = self._random.random() < 0.2 and self._client not in ("chat_completions", "responses")
        return ToolResult(call.id, content, is_error=True if failed else None, name=call.name)


def bodies(client: FormatName, seed: int) -> list[dict[str, Any]]:
    """The requests that a client of `client` sends in one conversation, one for each of its turns."""
    talk = Talk(client, seed)
    tools = [Tool(name, "A tool", SCHEMA) for name in ("Read", "mcp__files__list_directory_" + "x" * 50, "Bash")]
    whole = Conversation(client, "m", tools=tools, max_tokens=4096)
    target = Target(MODELS[client], "own", "own", facts_for(MODELS[client]))
    sent = []
    for step in ("ask", "work", "work", "answer", "ask", "work", "answer", "ask", "answer", "ask", "work"):
        getattr(talk, step)()
        if step != "answer":
            conversation = replace(whole, messages=list(talk.messages))
            sent.append(load_format(client).write_request(conversation, target).body)
    return sent


def translated(client: str, body: dict[str, Any], backend: str) -> dict[str, Any]:
    options, model = BACKENDS[backend]
    model = MODELS.get(backend, model)
    target = Target(model, "there", options["type"], facts_for(model))
    call = Call("m", False, {"anthropic-version": "2023-06-01"})
    conversation = load_format(client).read_request(json.loads(json.dumps(body)), call)
    return translate_request(conversation, backend, target).written.body


@pytest.mark.parametrize("backend", TURN_MEMBERS)
@pytest.mark.parametrize("client", FORMATS)
def test_every_request_begins_as_the_one_before(client: FormatName, backend: str) -> None:
    turns = TURN_MEMBERS[backend]
    for seed in range(6):
        before: dict[str, Any] | None = None
        for body in bodies(client, seed):
            now = translated(client, body, backend)
            assert json.dumps(now) == json.dumps(translated(client, body, backend)), "the same request twice"
            if before is not None:
                said = [json.dumps(turn) for turn in before[turns]]
                assert [json.dumps(turn) for turn in now[turns]][: len(said)] == said, f"seed {seed}"
                for name in HEAD_MEMBERS:
                    assert json.dumps(before.get(name)) == json.dumps(now.get(name)), f"{name}, seed {seed}"
            before = now
