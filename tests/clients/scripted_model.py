"""A scripted model behind a strict backend: plays scenes of many turns, and complains of every request that its vendor
would refuse, of reasoning that does not come back to it, and of reasoning that is not its own.

A scene is named in a user's text: `SCENE:name`. Each request that offers tools and ends in that scene gets its next
step. Requests without tools (titles, summaries) get a short text.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.backend_server import JSON, Received, Script
from tests.clients.agent_backend import DIALECTS, Offered
from tests.clients.answers import WRITERS, Answer, Called, Part, Said, Thought, Used
from tests.wire.rules import complaints

type Json = dict[str, Any]

_SCENE = re.compile(r"SCENE:([a-z-]+)")
# How every state begins that a scripted model gives out, in base64.
_STATE = re.compile(r"c3RhdGUtb2Yt[A-Za-z0-9_-]+")
_SHORT = "A short title"
_COUNTED = {"input_tokens": 4321, "inputTokens": 4321, "totalTokens": 4321}


@dataclass
class Think:
    """The step begins with a thought."""

    text: str = "I think about it."


@dataclass
class Say:
    """A text."""

    text: str


@dataclass
class Use:
    """A call of the tool whose name, or its end, is `name`: a regular expression."""

    name: str
    arguments: Json


type Step = Sequence[Think | Say | Use]
type Scenes = Mapping[str, Sequence[Step]]


@dataclass
class Issued:
    """A thought of this model's: its state, and the calls of its answer."""

    state: str
    calls: list[str]


class ScriptedModel:
    """What a BackendServer asks. `complaints` is empty where every request was fit for the vendor, `used` is what the
    answers took, `results` the last tool result of each request. `native`: the client speaks the format itself, and
    knows what its own vendor takes. `played`: shared by models that take turns in the same scenes."""

    def __init__(
        self,
        format_name: str,
        model: str,
        scenes: Scenes,
        *,
        name: str = "a",
        native: bool = False,
        played: Counter[str] | None = None,
    ) -> None:
        self._format, self._model, self._scenes, self._name, self._native = format_name, model, scenes, name, native
        self._dialect = DIALECTS["messages" if format_name == "invoke" else format_name]
        self._played: Counter[str] = Counter() if played is None else played
        self._issued: list[Issued] = []
        self.complaints: list[str] = []
        self.used: list[Used] = []
        self.results: list[str] = []

    def __call__(self, received: Received) -> Script:
        if "count" in received.target:
            return Script([json.dumps(_COUNTED).encode()], headers=JSON)
        body = received.json
        scene = next(reversed(_SCENE.findall("\n".join(user_texts(self._format, body)))), "")
        try:
            self._judge(scene, received, body)
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            self.complaints.append(f"{scene}: no judge can read it: {error!r}")
        tools = self._dialect.tools(body)
        if scene not in self._scenes or not tools:
            return self._write(received, body, Answer([Said(_SHORT)]))
        self.results += self._dialect.results(body)[-1:]
        steps = self._scenes[scene]
        step = steps[min(self._played[scene], len(steps) - 1)]
        self._played[scene] += 1
        return self._write(received, body, self._made(scene, step, tools))

    def _made(self, scene: str, step: Step, tools: list[Offered]) -> Answer:
        number = f"{self._name}{len(self.used) + 1:03}"
        parts: list[Part] = []
        for place, part in enumerate(step):
            match part:
                case Think():
                    parts.append(Thought(part.text, base64.urlsafe_b64encode(f"state-of-{number}!!".encode()).decode()))
                case Say():
                    parts.append(Said(part.text))
                case Use():
                    tool = next((tool for tool in tools if _is(tool.name, part.name)), None)
                    if tool is None:
                        self.complaints.append(f"{scene}: no {part.name} in {[tool.name for tool in tools]}")
                        continue
                    call = f"call_{number}_{place}"
                    parts.append(Called(call, tool.name, part.arguments, tool.namespace, tool.custom))
        calls = [part.id for part in parts if isinstance(part, Called)]
        self._issued += [Issued(part.state, calls) for part in parts if isinstance(part, Thought)]
        return Answer(parts, "tool" if calls else "end")

    def _write(self, received: Received, body: Json, answer: Answer) -> Script:
        answer.number = len(self.used) + 1
        answer.used = Used(prompt=1000 + answer.number, output=50 + answer.number)
        self.used.append(answer.used)
        writer = WRITERS[self._format]
        if body.get("stream") or "stream" in received.target.rsplit("/", 1)[-1].lower():
            return Script(writer.stream(answer), headers=writer.headers)
        return Script([json.dumps(writer.whole(answer)).encode()], headers=JSON)

    def _judge(self, scene: str, received: Received, body: Json) -> None:
        found = [] if self._native else complaints(self._format, self._model, body, received.headers)
        found += self._foreign(received.body.decode()) + self._missing(body)
        self.complaints += [f"{scene} {self._played[scene]}: {one}" for one in found]

    def _foreign(self, text: str) -> list[str]:
        own = {one.state for one in self._issued}
        states = Counter(_STATE.findall(text))
        found = [f"a foreign or changed state: {state}" for state in states if state not in own]
        return found + [f"state {state} is there {count} times" for state, count in states.items() if count > 1]

    def _missing(self, body: Json) -> list[str]:
        """States of the open turn's calls that do not come back."""
        if self._format == "chat_completions":  # which has no state of the model's
            return []
        fields = body.get("additionalModelRequestFields", {}) if self._format == "converse" else body
        thinks = fields.get("thinking", {"type": "disabled"})["type"] != "disabled"
        if self._format in ("messages", "invoke", "converse") and not thinks:
            return []  # a model that is not asked to think reads no thoughts
        text = json.dumps(open_turn(self._format, body))
        return [
            f"the state of {one.calls} is gone"
            for one in self._issued
            if one.calls and f'"{one.calls[0]}"' in text and one.state not in text
        ]


def _is(name: str, wanted: str) -> bool:
    return re.fullmatch(rf"(.*(__|\.))?({wanted})", name) is not None


def _turns(format_name: str, body: Json) -> list[Json]:
    if format_name == "responses":
        turns = body["input"]
        return turns if isinstance(turns, list) else [{"role": "user", "content": turns}]
    found: list[Json] = body["contents" if format_name == "generate_content" else "messages"]
    return found


def _said(turn: Json) -> str:
    """What a user's turn says beside results of tools. One agent of Codex's is another one's user."""
    content = turn.get("content", turn.get("parts"))
    if content is None or (turn.get("role") != "user" and turn.get("type") != "agent_message"):
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))


def user_texts(format_name: str, body: Json) -> list[str]:
    """What the user said."""
    return [text for turn in _turns(format_name, body) if (text := _said(turn))]


def open_turn(format_name: str, body: Json) -> list[Json]:
    """What came after the user's last words that stand alone."""
    turns = _turns(format_name, body)
    results = ("tool_result", "toolResult", "functionResponse")
    alone = [
        place
        for place, turn in enumerate(turns)
        if _said(turn) and not any(word in json.dumps(turn) for word in results)
    ]
    return turns[alone[-1] + 1 :] if alone else turns
