"""The demo backend as a Transport: chosen for `demo://` URLs, so that the gateway treats it as any other backend."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from core.errors import ClientFault
from core.ports import BackendRequest, Clock, Exchange, Head
from core.providers.demo.ask import Ask, JsonObject, Reply, Stamp
from core.providers.demo.writing import to_json
from core.slotted import slotted

_JSON = "application/json"
_EVENTS = "text/event-stream; charset=utf-8"


@slotted
class _Answered:
    """A whole answer: its frames are sent one after another, `pace` apart."""

    status: int
    content_type: str
    frames: Iterable[bytes]


def _to_bytes(value: JsonObject) -> bytes:
    return to_json(value).encode()


def _openai_error(error: ClientFault, request_id: str) -> JsonObject:
    described = {"message": error.message, "type": "invalid_request_error", "param": error.param, "code": error.code}
    return {"error": described}


_ANTHROPIC_KINDS = {404: "not_found_error"}

# Codes that Anthropic's SDK acts on: it then sends the whole conversation instead of continuing a thread.
_ANTHROPIC_CODES = frozenset({"thread_unsupported_request"})


def _anthropic_error(error: ClientFault, request_id: str) -> JsonObject:
    kind = _ANTHROPIC_KINDS.get(error.status, "invalid_request_error")
    described: JsonObject = {"type": kind, "message": error.message}
    if error.code in _ANTHROPIC_CODES:
        described["details"] = {"error_code": error.code}
    return {"type": "error", "error": described, "request_id": request_id}


@slotted(frozen=True)
class _Endpoint:
    """One path: where its code is, and how its vendor writes errors and names a request's id."""

    answer: Callable[[JsonObject, Stamp], _Answered]
    write_error: Callable[[ClientFault, str], JsonObject]
    request_id_header: str


def _generate(reader: str, writer: str) -> Callable[[JsonObject, Stamp], _Answered]:
    """An endpoint that answers in words; its modules are imported when it is first asked."""

    def answer(body: JsonObject, stamp: Stamp) -> _Answered:
        compose = import_module("core.providers.demo.compose").compose
        ask: Ask = import_module(f"core.providers.demo.{reader}").read_ask(body)
        reply: Reply = compose(ask)
        wire = import_module(f"core.providers.demo.{writer}")
        if ask.stream:
            return _Answered(200, _EVENTS, wire.write_frames(ask, reply, stamp))
        return _Answered(200, _JSON, [_to_bytes(wire.write_answer(ask, reply, stamp))])

    return answer


def _compute(module: str, function: str) -> Callable[[JsonObject, Stamp], _Answered]:
    """An endpoint whose answer is computed."""

    def answer(body: JsonObject, stamp: Stamp) -> _Answered:
        value = getattr(import_module(f"core.providers.demo.{module}"), function)(body)
        return _Answered(200, _JSON, [_to_bytes(value)])

    return answer


_ENDPOINTS: Mapping[str, _Endpoint] = {
    "/v1/chat/completions": _Endpoint(
        _generate("chat_completions", "chat_completions"), _openai_error, "x-request-id"
    ),
    "/v1/responses": _Endpoint(_generate("responses", "responses_answer"), _openai_error, "x-request-id"),
    "/v1/messages": _Endpoint(_generate("messages", "messages"), _anthropic_error, "request-id"),
    "/v1/messages/count_tokens": _Endpoint(_compute("messages", "count_tokens"), _anthropic_error, "request-id"),
    "/v1/embeddings": _Endpoint(_compute("embeddings", "answer"), _openai_error, "x-request-id"),
}


def _unknown(body: JsonObject, stamp: Stamp) -> _Answered:
    raise ClientFault("not_found", "The demo backend has no such path.")


_NOWHERE = _Endpoint(_unknown, _openai_error, "x-request-id")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _read_body(body: bytes) -> JsonObject:
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        message = f"We could not parse the JSON body of your request: {error}"
        raise ClientFault("bad_request", message) from error
    if not isinstance(value, dict):
        raise ClientFault("bad_request", "The JSON body of your request must be an object.")
    return value


class DemoTransport:
    """Answers by itself. `pace` is the time between two words of a stream, in seconds."""

    def __init__(self, clock: Clock, pace: float = 0.02) -> None:
        self._clock = clock
        self._pace = pace

    async def send(self, request: BackendRequest) -> Exchange:
        """The exchange with the demo. Never raises: what is wrong with the request is said in the answer."""
        path = request.url.partition("://")[2].partition("?")[0].partition("/")[2]
        endpoint = _ENDPOINTS.get(f"/{path}", _NOWHERE)
        now = self._clock.time()
        stamp = Stamp(hashlib.sha256(request.body + repr(now).encode()).hexdigest(), int(now))
        request_id = stamp.mint("req_")
        try:
            if request.method != "POST":
                raise ClientFault("method_not_allowed", f"{request.method} is not allowed here; use POST.")
            answered = endpoint.answer(_read_body(request.body), stamp)
        except ClientFault as fault:
            answered = _Answered(fault.status, _JSON, [_to_bytes(endpoint.write_error(fault, request_id))])
        headers = {"content-type": answered.content_type, endpoint.request_id_header: request_id}
        return DemoExchange(Head(answered.status, headers), iter(answered.frames), self._clock, self._pace)


class DemoExchange:
    """One answer on its way. A frame is there `pace` after the one before it, however late it is read."""

    def __init__(self, head: Head, frames: Iterator[bytes], clock: Clock, pace: float) -> None:
        self._head = head
        self._frames = frames
        self._clock = clock
        self._pace = pace
        self._next: bytes = next(frames, b"")
        self._due = clock.monotonic()

    async def head(self, wait: float) -> Head | None:
        """The answer's head, at once."""
        return self._head

    async def read(self, wait: float) -> bytes | None:
        """The frames that are due, joined; None when none is due within `wait` seconds; b"" after the last."""
        if not self._next:
            return b""
        remaining = self._due - self._clock.monotonic()
        if remaining > 0:
            await self._clock.sleep(min(remaining, wait))
            if remaining > wait:
                return None
        return self._take(self._clock.monotonic())

    def close(self) -> None:
        """Ends the answer: nothing more is read."""
        self._next = b""

    def _take(self, now: float) -> bytes:
        """The next frame, and those after it that are due by `now`."""
        taken = [self._next]
        while True:
            self._next = next(self._frames, b"")
            self._due += self._pace
            if not self._next or self._due > now:
                return b"".join(taken)
            taken.append(self._next)
