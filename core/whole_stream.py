"""A whole answer to a request for a stream, as the stream that was asked for: some servers do not stream, and a proxy's
mocks and caches do not either."""

from __future__ import annotations

import json

from core.conversation import Conversation, FormatName
from core.events import events_of
from core.formats import load_format, load_wire
from core.formats.contract import Reply, Target
from core.models.resolve import facts_for
from core.routing.registry import Candidate


def as_stream(format_name: FormatName, body: bytes, candidate: Candidate) -> bytes | None:
    """The stream of `format_name` that says what `body` says, or that it is under another content type; None for one
    that is an error, or no answer."""
    wire = load_wire(format_name)
    if body.startswith((b"data:", b"event:", b":", b"id:")) and wire.STREAM_CONTENT_TYPE.startswith("text/"):
        return body
    found = wire.observe_response(body)
    if found.error is not None or found.stop is None:
        return None
    provider = candidate.backend.provider.name
    facts = facts_for(candidate.known_as, provider)
    target = Target(candidate.api_model, candidate.backend.name, provider, facts, stream=True)
    translate = load_format(format_name)
    answer = translate.read_response(json.loads(body), target)
    asked = Conversation(format_name, answer.model, include_usage=True)
    encoder = translate.StreamEncoder(Reply(answer.model, answer.id, answer.created or 0, asked))
    return b"".join(encoder.emit(event) for event in events_of(answer)) + encoder.close()
