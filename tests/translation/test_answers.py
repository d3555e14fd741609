"""Recorded answers of every backend format reach every client format's SDK, and say the same there.

Each answer is read twice by official SDKs: as it was recorded, and as the gateway gives it to the client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.conversation import Answer, Reasoning, Refusal, Text, ToolCall
from core.events import answer_of
from core.formats import load_format
from core.formats.contract import Target
from core.models.resolve import facts_for
from tests.translation.judges import JUDGES
from tests.translation.pairs import answered
from tests.translation.reading import Ending, Reading
from tests.translation.recorded import FORMATS, Exchange, diverse, exchanges
from tests.wire.recordings import needs_recordings

pytestmark = needs_recordings

# The visible mark of media that a format's answers cannot hold.
_PLACEHOLDER = re.compile(r"\[image omitted: [^]]*\]")
# Clients that read a vendor's explanation of a refusal as the model's own.
_OPENAI = ("chat_completions", "responses")
# What a format's answers have no word for.
_NO_CACHE_WRITES = {"generate_content"}
_NO_REASONING_COUNT = {"converse"}


def _cases() -> Iterator[Any]:
    for backend in FORMATS:
        for exchange in diverse(backend):
            for client in FORMATS:
                yield pytest.param(client, exchange, id=f"{client}-{backend}-{exchange.name}")


def _read(format_name: str, body: bytes, streamed: bool, strict: bool) -> Reading:
    judge = JUDGES[format_name]
    return judge.stream(body, strict) if streamed else judge.whole(body, strict)


def comparable(reading: Reading, client: str, backend: str) -> Reading:
    """`reading` without what one of the two formats cannot say."""
    reading = replace(
        reading,
        text=_PLACEHOLDER.sub("", reading.text) + reading.refusal + (reading.explanation if client in _OPENAI else ""),
        refusal="",
        explanation="",
        prompt=reading.prompt or 0,
        cache_read=reading.cache_read or 0,
        cache_write=reading.cache_write or 0,
        output=reading.output or 0,
        reasoning=reading.reasoning or 0,
    )
    if {client, backend} & _NO_CACHE_WRITES:
        reading.cache_write = 0
    if {client, backend} & _NO_REASONING_COUNT:
        reading.reasoning = 0
    if reading.ending == "length":
        # The last call may be cut: what is left of its arguments is no JSON, and each SDK makes its own of it.
        reading.calls = [(name, None) for name, _ in reading.calls]
    return reading


@pytest.mark.parametrize(("client", "exchange"), list(_cases()))
async def test_a_recorded_answer_says_the_same_to_every_client(client: str, exchange: Exchange) -> None:
    backend = exchange.format
    original = _read(backend, exchange.body, exchange.streamed, strict=False)
    answer = await answered(client, exchange)
    read = _read(client, answer, exchange.streamed, strict=client != backend)
    assert comparable(read, client, backend) == comparable(original, client, backend)


_ENDINGS: dict[str, Ending] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "context_window": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "content_filter": "refusal",
    "pause_turn": "paused",
    "compaction": "paused",
}


def decoded(exchange: Exchange) -> Answer:
    """What this gateway makes of a backend's answer."""
    form = load_format(exchange.format)
    target = Target(exchange.model, "there", "there", facts_for(exchange.model), exchange.streamed)
    if not exchange.streamed:
        return form.read_response(json.loads(exchange.body), target)
    decoder = form.StreamDecoder(target)
    return answer_of([*decoder.feed(exchange.body), *decoder.close()])


def reading_of(answer: Answer) -> Reading:
    """The neutral answer, in the words of the judges."""
    reading = Reading(ending=_ENDINGS[answer.stop.reason], explanation=answer.stop.explanation or "")
    for block in answer.content:
        match block:
            case Text():
                reading.text += block.text
            case Refusal():
                reading.refusal += block.text
            case Reasoning():
                reading.thinking += block.text
            case ToolCall():
                reading.call(block.name, block.arguments)
    if reading.refusal:
        reading.ending = "refusal"
    usage = answer.usage
    reading.prompt, reading.output = usage.total_input_tokens, usage.output_tokens
    reading.cache_read, reading.cache_write = usage.cache_read_tokens, usage.cache_write_tokens
    reading.reasoning = usage.reasoning_tokens
    return reading


@pytest.mark.parametrize("backend", FORMATS)
def test_every_recorded_answer_is_read_as_its_own_sdk_reads_it(backend: str) -> None:
    found = exchanges(backend)
    assert found
    for exchange in found:
        original = _read(backend, exchange.body, exchange.streamed, strict=False)
        read = reading_of(decoded(exchange))
        assert comparable(read, "", backend) == comparable(original, "", backend), exchange.name
