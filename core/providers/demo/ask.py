"""What a request asks for, and what is answered: the values between the demo's readers and writers."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from core.slotted import field, slotted

type JsonObject = dict[str, Any]


@slotted
class Offer:
    """A tool that the client would run. `schema` is None for a custom tool, which takes free text."""

    name: str
    schema: JsonObject | None
    namespace: str | None = None


@slotted
class ToolOutput:
    """What the client's tool gave back since the last answer."""

    name: str
    text: str


@slotted
class Ask:
    """A request, as far as the demo reads it.

    `api` is the format's name as people know it; `roles` the role of every message, in order; `user_text` the
    last thing that the user wrote. `choice` with `allowed` says whether and which tools may be called.
    `effort` is how the client asked for reasoning, None when it did not; `show_reasoning` whether its text may be
    seen. `schema` is the JSON Schema of a structured answer; `json_only` asks for any JSON object.
    `unread` names the members that the demo passes over.
    """

    api: str
    model: str
    stream: bool = False
    include_usage: bool = False
    roles: list[str] = field(default_factory=list)
    user_text: str = ""
    system_length: int = 0
    attachments: list[str] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    vendor_tools: list[str] = field(default_factory=list)
    choice: Literal["auto", "none", "required"] = "auto"
    allowed: list[str] = field(default_factory=list)
    parallel: bool = True
    outputs: list[ToolOutput] = field(default_factory=list)
    effort: str | None = None
    show_reasoning: bool = True
    encrypted: bool = False
    schema: JsonObject | None = None
    json_only: bool = False
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    unread: list[str] = field(default_factory=list)
    body: JsonObject = field(default_factory=dict)


@slotted
class ToolCall:
    """A call of `offer`. `arguments` is JSON text, or the free text of a custom tool."""

    offer: Offer
    arguments: str


@slotted
class Reply:
    """What the demo answers. `ended` is why it stops; `stop_sequence` the one that it ran into."""

    reasoning: str = ""
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    ended: Literal["done", "tools", "length", "stop_sequence"] = "done"
    stop_sequence: str | None = None
    reasoning_tokens: int = 0
    output_tokens: int = 0


@slotted(frozen=True)
class Stamp:
    """When an answer was made and what its ids grow from. `created` is in epoch seconds."""

    seed: str
    created: int

    def mint(self, prefix: str, number: int = 0) -> str:
        """An id as vendors make them: the same for the same answer, another for every number."""
        digest = hashlib.sha256(f"{self.seed} {prefix} {number}".encode()).hexdigest()
        return prefix + digest[:24]
