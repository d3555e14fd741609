"""What a pass-through route needs of InvokeModel: AWS's errors and frames around Anthropic's answers.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
"""

from __future__ import annotations

import base64
import binascii
import json

from core.errors import UpstreamFault
from core.formats.contract import Observation
from core.formats.converse import wire as aws
from core.formats.messages import wire as messages
from core.framing.eventstream import CorruptFrame, Decoder, Frame

PING = aws.PING
STREAM_CONTENT_TYPE = aws.STREAM_CONTENT_TYPE
read_error = aws.read_error
write_error = aws.write_error
error_event = aws.error_event
observe_response = messages.observe_response


class StreamObserver:
    """Reads a copy of the stream; see core.formats.contract.StreamObserver."""

    def __init__(self) -> None:
        self._frames = Decoder()
        self._messages = messages.StreamObserver()
        self._aws_error: UpstreamFault | None = None

    @property
    def observation(self) -> Observation:
        """What was learnt of the answer."""
        return self._messages.observation

    @property
    def started(self) -> bool:
        """Whether a content event has been seen."""
        return self._messages.started

    @property
    def finished(self) -> bool:
        """Whether the stream's proper end has been seen."""
        return self._messages.finished

    @property
    def error(self) -> UpstreamFault | None:
        """The error that an exception frame or an error event reported."""
        return self._aws_error or self._messages.error

    def feed(self, frames: bytes) -> None:
        """Reads whole frames."""
        try:
            for frame in self._frames.feed(frames):
                if aws.is_error(frame):
                    self._aws_error = aws.frame_error(frame)
                elif event := chunk_of(frame):
                    self._messages.read_text(event)
        except CorruptFrame:
            # The client's own reader will find the same; the stream goes on untouched.
            return


def chunk_of(frame: Frame) -> bytes | None:
    """The JSON of Anthropic's event in a `chunk` frame; None for other frames and for unreadable ones."""
    if frame.headers.get(":event-type") != "chunk":
        return None
    try:
        return base64.b64decode(json.loads(frame.payload.decode())["bytes"])
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        return None
