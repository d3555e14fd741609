"""The shape that every wire format has: eight names to translate with, and a light part for pass-through.

`core.formats.<name>` offers read_request, write_request, read_response, write_response, read_error,
write_error, StreamDecoder and StreamEncoder, loaded on first use. `core.formats.<name>.wire` is all that a
pass-through route imports: read_error, write_error, error_event, PING, STREAM_CONTENT_TYPE, StreamObserver,
observe_response.

All of it is sans-IO: values and bytes in, values and bytes out; no clock, no randomness of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from core.slotted import field, slotted
from core.usage import Usage

if TYPE_CHECKING:  # a pass-through route never loads the neutral conversation
    from core.conversation import Answer, Conversation, Dropped, JsonObject, Stop
    from core.errors import GatewayError, UpstreamFault
    from core.events import Event
    from core.http import HeaderList
    from core.models.facts import ModelFacts


@slotted
class Call:
    """What of a client's request stands outside its body: the path's model and verb, and the headers."""

    model: str | None = None
    stream: bool | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@slotted
class Target:
    """Where a translated request goes. `model` is the backend's own id, `backend` the configured name,
    `provider` the backend's type (`bedrock`, `azure-openai`, ...).

    Reasoning state that comes back from here is tagged Origin(facts.vendor, ...).
    """

    model: str
    backend: str
    provider: str
    facts: ModelFacts
    stream: bool = False


@slotted
class Written:
    """A request body for a backend, the headers that the body calls for (`anthropic-beta`), and the warnings."""

    body: JsonObject
    headers: dict[str, str] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)


@slotted
class Reply:
    """What a client-side writer needs to know beside the answer. `model` is the name to show; `id_suffix`
    20 random characters for ids that must be minted; `created` epoch seconds; `conversation` the request.
    `kept`: the gateway keeps the answer, so reasoning state belongs in it whether asked for or not;
    `previous_response_id`: the kept answer that this one continues."""

    model: str
    id_suffix: str
    created: int
    conversation: Conversation
    request_id: str = ""
    kept: bool = False
    previous_response_id: str | None = None


@slotted
class ErrorAnswer:
    """An error as the client's format writes it: status, its own headers, JSON body."""

    status: int
    headers: HeaderList
    body: bytes


@slotted
class Observation:
    """What an observer has learnt of an answer on its way through.

    `error`: the answer is an error although its status is a success (OpenRouter answers so).
    """

    model: str | None = None
    response_id: str | None = None
    stop: Stop | None = None
    usage: Usage = field(default_factory=Usage)
    error: UpstreamFault | None = None


class StreamObserver(Protocol):
    """Reads a copy of a backend's stream. `feed` takes whole frames only (the relay cuts at frame ends).

    `started`: a content event has been seen. `finished`: the stream's proper end has been seen.
    `error`: an error frame has been seen. It never raises: what it cannot read it passes over.
    """

    observation: Observation
    started: bool
    finished: bool
    error: UpstreamFault | None

    def feed(self, frames: bytes) -> None: ...


class StreamDecoder(Protocol):
    """A backend's bytes to events. Never raises on a backend's bytes: what is broken becomes `Failed`.

    `feed` takes any split. `close` is called at the body's end and gives `Failed` when the stream was cut.
    After Finished or Failed nothing more comes.
    """

    def feed(self, data: bytes) -> list[Event]: ...
    def close(self) -> list[Event]: ...


class StreamEncoder(Protocol):
    """Events to the client's bytes. `close` gives what stands after the last event (Chat's [DONE])."""

    def emit(self, event: Event) -> bytes: ...
    def close(self) -> bytes: ...


class Wire(Protocol):
    """The module `core.formats.<name>.wire`."""

    PING: bytes
    STREAM_CONTENT_TYPE: str

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault: ...
    def write_error(self, error: GatewayError, request_id: str) -> ErrorAnswer: ...
    def error_event(self, error: GatewayError, request_id: str) -> bytes: ...
    def observe_response(self, body: bytes) -> Observation: ...

    # Wire modules define a class of this name; a factory is all that callers see of it.
    def StreamObserver(self) -> StreamObserver: ...


class Format(Protocol):
    """The module `core.formats.<name>`: the eight names."""

    def read_request(self, body: JsonObject, call: Call) -> Conversation: ...
    def write_request(self, conversation: Conversation, target: Target) -> Written: ...
    def read_response(self, body: JsonObject, target: Target) -> Answer: ...
    def write_response(self, answer: Answer, reply: Reply) -> JsonObject: ...
    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault: ...
    def write_error(self, error: GatewayError, request_id: str) -> ErrorAnswer: ...
    def StreamDecoder(self, target: Target) -> StreamDecoder: ...
    def StreamEncoder(self, reply: Reply) -> StreamEncoder: ...
