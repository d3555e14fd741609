"""Byte framings: server-sent events and AWS event streams."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# The framing of each stream's content type; the binary one is imported only where it is spoken.
_FRAMINGS = {
    "text/event-stream": "core.framing.sse",
    "application/vnd.amazon.eventstream": "core.framing.eventstream",
}


def frame_buffer(content_type: str) -> Any:
    """A new FrameBuffer for a stream of `content_type`."""
    return import_module(_FRAMINGS[content_type.partition(";")[0]]).FrameBuffer()
