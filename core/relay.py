"""What stands between a backend's bytes and the client's: pipes for streams, readers for whole answers.

A pipe takes a backend's body as it arrives and gives what may go to the client. It passes whole frames on only,
so that a ping or an error event can follow at any moment without cutting a frame in two.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Protocol

from core.errors import ClientFault, GatewayError, UpstreamFault, upstream_fault
from core.formats.contract import Observation, Wire
from core.http import HeaderList
from core.json_edit import read_object
from core.redaction import redact, redacted_frames

# A frame larger than this is passed on in pieces: memory per stream is bounded (generated images come in
# frames of megabytes).
LARGEST_HELD_FRAME = 8 * 1024 * 1024

# Nothing but plain members stands before it, so it is the object's own.
_TOP_MODEL = re.compile(
    rb'\s*\{(?:\s*(?!"model")"[^"\\]*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[-+.\deE]+|true|false|null)\s*,)*'
    rb'\s*"model"\s*:\s*("(?:[^"\\]|\\.)*")'
)
_MODEL_MEMBER = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')


class FrameBuffer(Protocol):
    """Cuts bytes at frame ends; core.framing.sse and core.framing.eventstream have one each. `size`: bytes held."""

    @property
    def size(self) -> int: ...
    def feed(self, data: bytes) -> bytes: ...
    def close(self) -> bytes: ...


class Pipe(Protocol):
    """One backend stream on its way to the client.

    `started`: content has been decoded, so the answer may be committed. `alive`: something good has come.
    `finished`: the stream's proper end has been seen. `error`: the backend reported one.
    """

    observation: Observation

    @property
    def started(self) -> bool: ...
    @property
    def alive(self) -> bool: ...
    @property
    def finished(self) -> bool: ...
    @property
    def error(self) -> UpstreamFault | None: ...

    def feed(self, data: bytes) -> bytes:
        """What may go to the client now."""
        ...

    def close(self) -> bytes:
        """What is left to send when the backend's body has ended."""
        ...

    def fail(self, error: GatewayError, request_id: str) -> bytes:
        """The error that ends the client's stream here, in its own format."""
        ...


class Rewriter(Protocol):
    """What is changed in the frames of an answer that is passed through."""

    def frames(self, frames: bytes, observation: Observation) -> bytes:
        """Whole frames as the client may have them."""
        ...


class PassThroughPipe:
    """The backend's own bytes, unchanged but for the model's name; an observer reads a copy. An error among them is
    told without the credentials of `headers`, the request's."""

    def __init__(
        self, wire: Wire, buffer: FrameBuffer, renamer: Rewriter | None = None, headers: HeaderList | None = None
    ) -> None:
        self._wire = wire
        observer = self._observer = wire.StreamObserver()
        self._buffer = buffer
        self._renamer = renamer
        self._headers = headers or []
        self.observation = observer.observation
        self.started = self.alive = self.finished = False
        self.error: UpstreamFault | None = None
        self._torn = False  # a frame has gone out in pieces

    def feed(self, data: bytes) -> bytes:
        frames = self._buffer.feed(data)
        if not frames:
            if self._buffer.size <= LARGEST_HELD_FRAME:
                return b""
            frames = self._buffer.close()
            self._torn = True
        frames = self._observed(frames, frames)
        # Comments are no good start: OpenRouter sends them while it still looks for a provider.
        if not self.alive and self.error is None:
            self.alive = self.observation.response_id is not None or self.observation.model is not None
        return self._renamer.frames(frames, self.observation) if self._renamer else frames

    def close(self) -> bytes:
        """A last frame that lacks nothing but its empty line goes out as it came if the stream is complete with it; an
        error, which readers would pass over so, gets its empty line. Half a frame says nothing."""
        rest = self._buffer.close()
        if not rest or not self._is_text() or not (self._torn or _is_whole_frame(rest)):
            return b""
        rest = self._observed(rest + b"\n\n", rest)
        if self.error is not None:
            return rest + b"\n\n"
        if not self.finished:
            return b""
        return self._renamer.frames(rest, self.observation) if self._renamer else rest

    def fail(self, error: GatewayError, request_id: str) -> bytes:
        event = self._wire.error_event(error, request_id)
        return b"\n\n" + event if self._torn else event

    def _is_text(self) -> bool:
        return self._wire.STREAM_CONTENT_TYPE.startswith("text/")

    def _observed(self, copy: bytes, frames: bytes) -> bytes:
        """`frames` as they may go on, once the observer has read the `copy` of them."""
        observer = self._observer
        observer.feed(copy)
        self.started, self.finished = observer.started, observer.finished
        if observer.error is None:
            return frames
        self.error, self.alive = observer.error, False
        redact(observer.error, self._headers)
        return redacted_frames(frames, self._headers, not self._is_text())


def _is_whole_frame(frame: bytes) -> bool:
    """Whether the data of a frame of server-sent events that lacks its empty line came to its end: JSON, or a mark such
    as [DONE]."""
    from core.framing.sse import records_of  # noqa: PLC0415  # few streams end so, and none of binary frames

    data = "".join([record.data for record in records_of(frame + b"\n\n")]).strip()
    return data == "[DONE]" or _object(data) is not None


class Renamer:
    """Puts the name that the client asked for where the backend wrote the name that it serves.

    The served name is learnt from the first frame that the observer could read; from then on exactly that
    member is replaced, which text cannot contain: quotes inside a JSON string are escaped.
    """

    def __init__(self, asked: str) -> None:
        self._asked = _quoted(asked)
        self._old = b""
        self._new = b""

    def frames(self, frames: bytes, observation: Observation) -> bytes:
        """`frames` with the name replaced."""
        if not self._old and observation.model is not None:
            self._learn(frames, observation.model)
        return frames.replace(self._old, self._new) if self._old else frames

    def _learn(self, frames: bytes, served: str) -> None:
        for found in _MODEL_MEMBER.finditer(frames):
            if json.loads(found.group(1)) == served:
                self._old = found.group(0)
                self._new = self._old[: found.start(1) - found.start()] + self._asked
                return

    def whole(self, body: bytes, served: str | None = None) -> bytes:
        """A whole JSON answer with its top-level `model` replaced; left alone when there is none to replace. `served`:
        its value as an observer has read it, which spares reading the body again where the member stands early."""
        found = _TOP_MODEL.match(body) if served is not None else None
        if found is not None and found.group(1) == _quoted(served):
            return body[: found.start(1)] + self._asked + body[found.end(1) :]
        try:
            document = read_object(body)
        except ClientFault:
            return body
        if not isinstance(document.values.get("model"), str):
            return body
        document.set("model", json.loads(self._asked))
        return document.edited()


_SSE_FRAME = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)


class UsageHider:
    """Keeps the frame from the client that the gateway alone has asked for: the tokens of a Chat Completions stream,
    without a choice, on which clients that look at `choices[0]` would fail."""

    def __init__(self, renamer: Renamer | None) -> None:
        self._renamer = renamer

    def frames(self, frames: bytes, observation: Observation) -> bytes:
        """`frames` without that one."""
        if b'"choices":[]' in frames or b'"choices": []' in frames:
            frames = b"".join(frame for frame in _SSE_FRAME.findall(frames) if not _tells_usage_alone(frame))
        return self._renamer.frames(frames, observation) if self._renamer is not None else frames


def _tells_usage_alone(frame: bytes) -> bool:
    """Azure's first frame has no choice either, and no usage: it tells what the content filter said."""
    _, separator, data = frame.partition(b"data:")
    try:
        chunk = json.loads(data) if separator else None
    except ValueError:
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)


@lru_cache(maxsize=256)
def _quoted(name: str) -> bytes:
    return json.dumps(name).encode()


class WholeAnswer:
    """A non-streamed answer, ready for the client."""

    __slots__ = ("body", "observation")

    def __init__(self, body: bytes, observation: Observation) -> None:
        self.body = body
        self.observation = observation


# What an answer has in it, in one format or another, to one operation or another.
_CONTENT = frozenset(
    {
        "choices", "content", "output", "candidates", "promptFeedback", "data", "embedding", "embeddings",
        "input_tokens", "inputTokens", "totalTokens",
    }
)  # fmt: skip


def _is_answer(body: bytes) -> bool:
    return not _CONTENT.isdisjoint(_object(body) or ())


def _object(body: bytes | str) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def pass_through_whole(wire: Wire, body: bytes, renamer: Renamer | None) -> WholeAnswer:
    """The backend's own body, observed, with the model's name put back where it was changed. Raises UpstreamFault for
    a body that is an error or no answer at all (a proxy's page, nothing)."""
    observation = wire.observe_response(body)
    if observation.error is not None:
        raise observation.error  # an error inside a 200: the next candidate may do better
    said_nothing = observation.response_id is None and observation.model is None and not observation.usage.raw
    if said_nothing and not _is_answer(body):
        raise upstream_fault("upstream", "The backend's answer is no answer of a model.", 502)
    return WholeAnswer(renamer.whole(body, observation.model) if renamer else body, observation)
