"""Answers with members of the wrong kind, missing or strange: an answer for the client or a fault of the backend's,
never an exception of another kind. Which ones follows from a seed, so a failure comes again."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from core.conversation import Conversation, FormatName, Message, Text
from core.errors import GatewayError
from core.events import events_of
from core.formats import load_format, load_wire
from core.formats.contract import Reply, Target
from core.models.resolve import facts_for
from core.translation.answer_losses import AnswerLosses
from tests.translation import recorded

FORMATS: tuple[FormatName, ...] = ("chat_completions", "responses", "messages", "converse", "generate_content")
CASES = 250
LARGEST = 8_000
ODD: list[Any] = [
    None, 0, -1, 1.5, True, False, "", "x", [], {}, [[]], [{}], {"a": 1}, {"type": "text"}, [None], "\ud800", "{",
    {"type": None}, {"type": []}, 10**30, {"text": None},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in members:
        yield from places(item, (*path, name))


def changed(chance: random.Random, body: Any) -> Any:
    """`body` with one or two members put wrong or taken away."""
    body = copy.deepcopy(body)
    for _ in range(chance.choice([1, 1, 2])):
        *way, last = chance.choice([*places(body)] or [("nothing",)])
        owner = body
        for name in way:
            owner = owner[name]
        if chance.random() < 0.8 or isinstance(owner, list):
            owner[last] = copy.deepcopy(chance.choice(ODD))
        else:
            owner.pop(last, None)
    return body


def changed_stream(chance: random.Random, body: bytes) -> bytes:
    frames = body.split(b"\n\n")
    numbers = [number for number, frame in enumerate(frames) if b"data: {" in frame]
    number = chance.choice(numbers)
    before, _, data = frames[number].partition(b"data: ")
    frames[number] = before + b"data: " + json.dumps(changed(chance, json.loads(data))).encode()
    return b"\n\n".join(frames)


@pytest.mark.parametrize("backend", FORMATS)
def test_odd_answers_are_faults_of_the_backend(backend: FormatName) -> None:
    chance = random.Random(backend)
    chosen = [each for each in recorded.exchanges(backend) if len(each.body) < LARGEST]
    chosen = [each for each in chosen if not (each.streamed and backend == "converse")]  # binary frames
    wire = load_wire(backend)
    for _ in range(CASES if chosen else 0):
        exchange, client = chance.choice(chosen), chance.choice(FORMATS)
        target = Target(exchange.model, "there", "any", facts_for(exchange.model), exchange.streamed)
        reply = Reply("m", "A" * 20, 1, Conversation(client, "m", [Message("user", [Text("x")])]))
        encoder = load_format(client).StreamEncoder(reply)
        if exchange.streamed:
            body = changed_stream(chance, exchange.body)
            wire.StreamObserver().feed(body + b"\n\n")
            decoder = load_format(backend).StreamDecoder(target)
            events = [*decoder.feed(body), *decoder.close()]
        else:
            values = changed(chance, json.loads(exchange.body))
            wire.observe_response(json.dumps(values).encode())
            wire.read_error(500, {}, json.dumps(values).encode())
            try:
                answer = load_format(backend).read_response(values, target)
            except GatewayError:
                continue
            AnswerLosses(client, []).whole(answer)
            assert json.dumps(load_format(client).write_response(answer, reply))
            events = [*events_of(answer)]
        assert b"".join(map(encoder.emit, events)) + encoder.close() is not None


def test_a_type_that_is_no_text_in_an_output_item() -> None:
    body = {"id": "resp_1", "status": "completed", "output": [{"type": {}}, {"type": []}]}
    observed = load_wire("responses").observe_response(json.dumps(body).encode())
    assert observed.stop is not None and observed.stop.reason == "end_turn"
