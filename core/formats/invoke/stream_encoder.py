"""Events encoded as InvokeModelWithResponseStream's frames: Anthropic's events in `chunk` frames."""

from __future__ import annotations

import base64
import json

from core.events import Event, Failed, Finished, Ping
from core.formats.contract import Reply
from core.formats.invoke.wire import PING, error_event
from core.formats.messages import stream_encoder as messages
from core.framing.eventstream import encode_frame, encode_headers
from core.framing.sse import records_of
from core.usage import Usage

_HEADERS = encode_headers({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"})


class StreamEncoder:
    """See core.formats.contract.StreamEncoder."""

    def __init__(self, reply: Reply) -> None:
        self._messages = messages.StreamEncoder(reply)
        self._request_id = reply.request_id

    def emit(self, event: Event) -> bytes:
        """The frames for `event`, b"" for one that says nothing to the client."""
        if isinstance(event, Ping):
            return PING
        if isinstance(event, Failed):
            return error_event(event.error, self._request_id)
        payloads = [record.data for record in records_of(self._messages.emit(event))]
        if isinstance(event, Finished):
            payloads[-1] = _message_stop(event.usage)
        return b"".join(_chunk(payload) for payload in payloads)

    def close(self) -> bytes:
        """Nothing: message_stop is the last event."""
        return b""


def _chunk(payload: str) -> bytes:
    inner = base64.b64encode(payload.encode("utf-8", "replace"))
    return encode_frame(_HEADERS, b'{"bytes":"' + inner + b'"}')


def _message_stop(usage: Usage) -> str:
    """Bedrock's last event, with its own count of tokens. Latencies are left out: they are not known here."""
    metrics = {
        "inputTokenCount": usage.input_tokens or 0,
        "outputTokenCount": usage.output_tokens or 0,
        "cacheReadInputTokenCount": usage.cache_read_tokens or 0,
        "cacheWriteInputTokenCount": usage.cache_write_tokens,
    }
    return json.dumps({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})
