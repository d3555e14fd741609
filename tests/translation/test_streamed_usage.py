"""What a client's SDK reads of usage is the same from a stream and from a whole answer, for the recorded answers of
every format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.conversation import Conversation, FormatName
from core.events import Event, answer_of, events_of
from core.formats import load_format
from core.formats.contract import Reply, Target
from core.models.resolve import facts_for
from tests.translation import judges, metered, recorded
from tests.translation.pairs import BACKENDS
from tests.translation.recorded import Exchange
from tests.wire.anthropic_judge import message_of, streamed_message_of
from tests.wire.openai_judge import chunks_of, completion_of
from tests.wire.recordings import needs_recordings

pytestmark = needs_recordings

FORMATS: tuple[FormatName, ...] = ("chat_completions", "responses", "messages", "converse", "generate_content")


def events_from(exchange: Exchange) -> list[Event]:
    """The neutral stream of the exchange, whole or streamed."""
    target = Target(exchange.model, "there", "any", facts_for(exchange.model), exchange.streamed)
    written = load_format(exchange.format)
    if not exchange.streamed:
        return list(events_of(written.read_response(json.loads(exchange.body), target)))
    decoder = written.StreamDecoder(target)
    return [*decoder.feed(exchange.body), *decoder.close()]


def _metered(backend: str) -> Iterator[Exchange]:
    """Answers with every kind of token in them."""
    for streamed in (False, True):
        body = metered.answer_of(backend, streamed, "priority")
        yield Exchange(f"metered-{streamed}", backend, BACKENDS[backend][1], streamed, body)


def _converse(body: bytes) -> Any:
    shape = judges.bedrock_model().operation_model("Converse").output_shape
    answer = judges.parser().parse({"status_code": 200, "headers": {}, "body": body}, shape)
    return {name: answer.get(name) for name in ("usage", "serviceTier")}


def _converse_stream(data: bytes) -> Any:
    (last,) = [event["metadata"] for event in judges.botocore_events("ConverseStream", data) if "metadata" in event]
    return {name: last.get(name) for name in ("usage", "serviceTier")}


def _chat(body: bytes) -> Any:
    answer = completion_of(json.loads(body))
    return {name: answer.get(name) for name in ("usage", "service_tier")}


def _chat_stream(data: bytes) -> Any:
    chunks = chunks_of(data)
    tiers = [chunk["service_tier"] for chunk in chunks if chunk.get("service_tier")]
    return {"usage": chunks[-1].get("usage"), "service_tier": tiers[-1] if tiers else None}


def _response(body: bytes) -> Any:
    answer = judges.response_of(json.loads(body))
    return {name: answer.get(name) for name in ("usage", "service_tier")}


def _response_stream(data: bytes) -> Any:
    answer = judges.streamed_response_of(data)
    return {name: answer.get(name) for name in ("usage", "service_tier")}


def _gemini(body: bytes) -> Any:
    return judges.gemini_chunks(body, streamed=False)[-1].usage_metadata


def _gemini_stream(data: bytes) -> Any:
    return judges.gemini_chunks(data, streamed=True)[-1].usage_metadata


def _message_stream(data: bytes) -> Any:
    """The SDK keeps the cache's writes by time to live of the stream's beginning, where they may not be known yet: the
    end has them."""
    usage = streamed_message_of(data)["usage"]
    (end,) = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b'data: {"type":"message_delta"')]
    return {**usage, "cache_creation": usage.get("cache_creation", end["usage"]["cache_creation"])}


READERS: dict[FormatName, tuple[Callable[[bytes], Any], Callable[[bytes], Any]]] = {
    "messages": (lambda body: message_of(json.loads(body))["usage"], _message_stream),
    "converse": (_converse, _converse_stream),
    "chat_completions": (_chat, _chat_stream),
    "responses": (_response, _response_stream),
    "generate_content": (_gemini, _gemini_stream),
}


def _cases() -> Iterator[Any]:
    for backend in FORMATS:
        for client in FORMATS:
            if client != backend:
                yield pytest.param(client, backend, id=f"{client}-{backend}")


@pytest.mark.parametrize(("client", "backend"), list(_cases()))
def test_usage_is_the_same_in_a_stream(client: FormatName, backend: str) -> None:
    written, (whole, streamed) = load_format(client), READERS[client]
    for exchange in (*recorded.diverse(backend), *_metered(backend)):
        conversation = Conversation(client, "m", include_usage=True)
        reply = Reply("m", "A" * 20, 1, conversation)
        events = events_from(exchange)
        encoder = written.StreamEncoder(reply)
        data = b"".join([*(encoder.emit(event) for event in events), encoder.close()])
        body = json.dumps(written.write_response(answer_of(events), reply)).encode()
        assert streamed(data) == whole(body), exchange.name
