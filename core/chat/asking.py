"""A question of the chat API as a request to this gateway's own endpoints, in a format that its model is asked in.

The gateway answers it like any client's: limits, budgets, failover and the usage record are its own. The format is one
that the first candidate speaks, so that nothing is translated twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from core.chat.messages import ANSWER_ROOM, MARGIN, UNKNOWN_CONTEXT, Said
from core.conversation import Conversation, Effort, Message, ReasoningRequest, Sampling, Text
from core.counting.estimate import estimate_tokens
from core.errors import ClientFault, Unsupported
from core.formats import load_format
from core.formats.contract import StreamDecoder, Target
from core.http import Request
from core.models.facts import ModelFacts
from core.models.resolve import facts_for
from core.routing.registry import Candidate, Route
from core.slotted import field, slotted
from core.translation.pipeline import translate_request

# The formats that are asked in, the one that carries most first, and where.
PATHS: Final[Mapping[str, str]] = {
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "chat_completions": "/v1/chat/completions",
}
EFFORTS: Final[tuple[Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

# Headers of the client that its requests to models carry on.
_CARRIED: Final = ("user-agent", "x-skybridge-fault")


@slotted
class Question:
    """What a model is asked: a system prompt, what was said (the oldest first), and the knobs that were set."""

    model: str
    messages: Sequence[Said]
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    effort: Effort | None = None
    session: str = ""


@slotted
class Asked:
    """A question on its way: the request, what reads its answer, and what of it the model does not take."""

    request: Request
    decoder: StreamDecoder
    dropped: list[str] = field(default_factory=list)


def candidates_for(route: Route) -> Sequence[Candidate]:
    """The candidates that can be asked for the route's name. In the router JSON each name stands at the providers of
    both types: one of Claude's is for those that speak Messages, if there are any, one of OpenAI's for the others."""
    if route.translate:
        return route.candidates
    meant = []
    for candidate in route.candidates:
        spoken = _SPOKEN.get(facts_for(candidate.api_model).vendor)
        if spoken in (None, candidate.backend.format):
            meant.append(candidate)
    return meant or route.candidates


_SPOKEN = {"anthropic": "messages", "openai": "chat_completions"}


def first_candidate(route: Route) -> Candidate:
    """The one whose words the question is put in."""
    return min(candidates_for(route), key=lambda candidate: candidate.priority)


def ask(question: Question, route: Route, client: Request) -> Asked:
    """The request that asks `question` of `route`, on behalf of `client`'s. Raises ClientFault for what the model
    cannot take."""
    candidate = first_candidate(route)
    format_name = _format_for(candidate)
    target = _target_of(candidate)
    conversation = _conversation(question, candidate, target.facts)
    try:
        written = translate_request(conversation, format_name, target).written
    except Unsupported as fault:
        raise ClientFault("bad_request", fault.message, param="attachments") from fault
    body = {**written.body, "model": question.model, "stream": True}
    headers = {name: client.headers[name] for name in _CARRIED if name in client.headers}
    headers.update(written.headers)
    headers["content-type"] = "application/json"
    if question.session:
        headers["x-claude-code-session-id"] = question.session
    request = Request(
        "POST", PATHS[format_name], "", headers, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        client.deadline, client.first_byte_deadline, client.principal,
    )  # fmt: skip
    decoder = load_format(format_name).StreamDecoder(target)
    return Asked(request, decoder, [item.path for item in written.dropped])


def _format_for(candidate: Candidate) -> str:
    for name in PATHS:
        if candidate.backend.speaks(name, candidate.api_model):
            return name
    return next(iter(PATHS))


def _target_of(candidate: Candidate) -> Target:
    provider = candidate.backend.provider.name
    facts = facts_for(candidate.known_as, provider)
    return Target(candidate.api_model, candidate.backend.name, provider, facts, stream=True)


def _conversation(question: Question, candidate: Candidate, facts: ModelFacts) -> Conversation:
    messages = [said.shown() for said in question.messages]
    if question.system:
        messages.insert(0, Message("system", [Text(question.system)], slot="system", plain=True))
    limit = question.max_tokens
    if limit is None and "max_tokens" in candidate.defaults:
        limit = int(candidate.defaults["max_tokens"])
    return Conversation(
        format="chat_completions", model=question.model, messages=messages, stream=True, include_usage=True,
        max_tokens=limit, sampling=Sampling(temperature=question.temperature),
        reasoning=_reasoning(question.effort, facts),
    )  # fmt: skip


def _reasoning(effort: Effort | None, facts: ModelFacts) -> ReasoningRequest | None:
    """An effort alone makes OpenAI's models reason; of a model that nobody knows it is asked in so many words."""
    if effort is None:
        return None
    thinks = facts.unknown and effort != "none"
    return ReasoningRequest(mode="adaptive" if thinks else "effort", effort=effort)


class Room:
    """How much of a history a route's models take beside a question: the smallest context of them counts."""

    def __init__(self, route: Route, question: Question) -> None:
        facts = [facts_for(each.known_as, each.backend.provider.name) for each in route.candidates]
        self._facts = min(facts, key=_context)
        answer = question.max_tokens or min(self._facts.max_output or ANSWER_ROOM, ANSWER_ROOM)
        asked = sum(self.tokens(said) for said in question.messages)
        asked += self.tokens(Said("user", question.system)) if question.system else 0
        self.left = _context(self._facts) * MARGIN - answer - asked

    def tokens(self, said: Said) -> float:
        """What one message takes."""
        message = Conversation(format="chat_completions", model="", messages=[said.shown()])
        return float(estimate_tokens(message, self._facts))


def _context(facts: ModelFacts) -> int:
    return facts.context_window or UNKNOWN_CONTEXT
