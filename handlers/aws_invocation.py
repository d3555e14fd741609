"""One invocation: an HTTP event through an ASGI app, and the app's answer to the Runtime API.

The answer goes out as a stream where the event's front takes one, as one JSON object where it does not. After
it has gone, and before the next invocation is asked for, the work runs that the app put into the scope's
`skybridge.after` (the environment may be frozen from then on).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from handlers.aws_events import BadEvent, HttpEvent, is_notice, read_event
from handlers.aws_response import PRELUDE_END, Head, HeaderRows, buffered, may_stream, prelude, refused
from handlers.aws_runtime_api import Invocation, ResponseStream, RuntimeApi, RuntimeApiFault, error_document

type Message = MutableMapping[str, Any]
type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]
type AfterWork = list[Callable[[], Awaitable[None]]]
type Log = Callable[..., None]

# Seconds before the platform's deadline by which the app has to have ended its answer, and the door ends it; by which
# the door has said so, or drops what nobody reads; and by which what follows the answer has to be done.
APP_MARGIN = 1.5
DOOR_MARGIN = 0.75
DROP_MARGIN = 0.6
AFTER_MARGIN = 0.25
# A front may wait for ever for a body without a byte. A line feed is white space in all formats served here.
FILLER = b"\n"


class Answer(Protocol):
    """Where the app's answer goes. `fail` may come at any time, and ends it; `abort` drops what nobody takes."""

    async def body(self, head: Head, data: bytes) -> None: ...
    async def finish(self, head: Head) -> None: ...
    async def fail(self, fault: BaseException) -> None: ...
    def abort(self) -> None: ...


class IncompleteAnswer(Exception):
    """The app returned without having ended its answer."""


class DeadlineExceeded(Exception):
    """The app had not ended its answer shortly before the platform would have cut it off."""


class UnsupportedEvent(Exception):
    """The invocation's event is not an HTTP request."""


class StreamedAnswer:
    """Prelude, NUL bytes and body as they come, and the error in the trailers."""

    def __init__(self, api: RuntimeApi, invocation_id: str, event: HttpEvent) -> None:
        self._api = api
        self._id = invocation_id
        self._event = event
        self._stream: ResponseStream | None = None
        self._empty = True

    async def body(self, head: Head, data: bytes) -> None:
        chunks = [data] if data else []
        if self._stream is None:
            chunks = [prelude(self._event, head), PRELUDE_END, *chunks]
            self._stream = await self._api.stream(self._id)
        self._empty = self._empty and not data
        if chunks:
            await self._stream.write(*chunks)

    async def finish(self, head: Head) -> None:
        if self._empty:
            head.headers.pop("content-length", None)
            await self.body(head, FILLER)
        assert self._stream is not None
        await self._stream.finish()

    async def fail(self, fault: BaseException) -> None:
        if self._stream is None:
            await self._api.report(f"/invocation/{self._id}/error", error_document(fault))
        else:
            await self._stream.finish(error_document(fault))

    def abort(self) -> None:
        if self._stream is not None:
            self._stream.abort()


class BufferedAnswer:
    """The whole answer as one JSON object, or an error in its place."""

    def __init__(self, api: RuntimeApi, invocation_id: str, event: HttpEvent) -> None:
        self._api = api
        self._id = invocation_id
        self._event = event
        self._body: list[bytes] = []

    async def body(self, head: Head, data: bytes) -> None:
        self._body.append(data)

    async def finish(self, head: Head) -> None:
        await self._api.respond(self._id, buffered(self._event, head, b"".join(self._body)))

    async def fail(self, fault: BaseException) -> None:
        await self._api.report(f"/invocation/{self._id}/error", error_document(fault))

    def abort(self) -> None:
        """Nothing has gone out yet."""


class Cycle:
    """The two ends that an ASGI app holds: receive and send. https://asgi.readthedocs.io/en/latest/specs/www.html"""

    def __init__(self, body: bytes, answer: Answer) -> None:
        self._request: bytes | None = body
        self._answer = answer
        self._head: Head | None = None
        self._sent = 0
        self.ended = asyncio.Event()

    async def receive(self) -> Message:
        """The request whole, then, once the answer has ended or nobody takes it any more, the disconnect."""
        if self._request is not None:
            body, self._request = self._request, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.ended.wait()
        return {"type": "http.disconnect"}

    def sent(self) -> int:
        """The bytes of the answer so far."""
        return self._sent

    def abort(self) -> None:
        """Nobody takes the answer: it is not ended but dropped, as waiting for its reader may take for ever."""
        self._answer.abort()
        self.ended.set()

    async def send(self, message: Message) -> None:
        """Takes http.response.start, then http.response.body. Raises OSError when nobody takes it."""
        if self.ended.is_set():
            raise RuntimeApiFault("the answer has already ended")
        kind = message["type"]
        if self._head is None and kind == "http.response.start":
            rows: HeaderRows = [(bytes(name), bytes(value)) for name, value in message.get("headers", [])]
            self._head = Head(message["status"], rows)
        elif self._head is not None and kind == "http.response.body":
            await self._send_body(self._head, message)
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")

    async def _send_body(self, head: Head, message: Message) -> None:
        try:
            more = message.get("more_body", False)
            data = message.get("body", b"")
            self._sent += len(data)
            if data or more:
                await self._answer.body(head, data)
            if not more:
                await self._answer.finish(head)
                self.ended.set()
        except OSError:
            self.ended.set()
            raise


async def guarded(work: Awaitable[None], until: float | None) -> Exception | None:
    """Awaits `work` until the loop time `until` at the latest; returns the exception that it ended with.

    The door's one boundary: whatever the app, its creation or its after-work raise comes out here as a value.
    """
    limit = asyncio.timeout_at(until)
    try:
        async with limit:
            await work
    except Exception as fault:  # noqa: BLE001 this is the boundary
        return DeadlineExceeded("the answer was not over in time") if limit.expired() else fault
    return None


class Handler:
    """Answers invocations with `app`. `mode`: auto, streaming or buffered (aws_response.may_stream)."""

    def __init__(self, app: App, mode: str, log: Log) -> None:
        self.app = app
        self.mode = mode
        self.log = log

    async def handle(self, api: RuntimeApi, invocation: Invocation) -> None:
        """Answers one invocation and does the work that is left over. Raises nothing that the app caused."""
        after: AfterWork = []
        fault = await guarded(self._answer(api, invocation, after), None)
        if fault is not None:
            self._log_fault("invocation not answered", invocation, fault)
        until = before(invocation.deadline, AFTER_MARGIN)
        for work in after:
            fault = await guarded(work(), until)
            if fault is not None:
                self._log_fault("work after the answer failed", invocation, fault)

    async def _answer(self, api: RuntimeApi, invocation: Invocation, after: AfterWork) -> None:
        error_path = f"/invocation/{invocation.id}/error"
        try:
            document = json.loads(invocation.event)
            event = read_event(document)
        except BadEvent as malformed:
            self.log("error", "a malformed event", request_id=invocation.id, errorMessage=str(malformed))
            await api.respond(invocation.id, refused(malformed))
            return
        except (ValueError, RecursionError) as unreadable:
            await api.report(error_path, error_document(unreadable))
            return
        if event is None:
            if is_notice(document):
                await api.respond(invocation.id, b"null")
            else:
                self.log("error", "not an HTTP event", request_id=invocation.id)
                await api.report(error_path, error_document(UnsupportedEvent(UNSUPPORTED)))
            return
        streams = may_stream(event, self.mode)
        answer = (StreamedAnswer if streams else BufferedAnswer)(api, invocation.id, event)
        cycle = Cycle(event.body, answer)
        fault = await guarded(
            self._run(event, invocation, cycle, after, streams), before(invocation.deadline, DOOR_MARGIN)
        )
        unreachable = cycle.ended.is_set()
        cycle.ended.set()
        if fault is None:
            return
        self._log_fault("the app failed", invocation, fault)
        if unreachable:
            return
        fault = await guarded(answer.fail(fault), before(invocation.deadline, DROP_MARGIN))
        if fault is not None:
            answer.abort()
            raise fault

    def _log_fault(self, event: str, invocation: Invocation, fault: Exception) -> None:
        self.log("error", event, request_id=invocation.id, **error_document(fault))

    async def _run(
        self, event: HttpEvent, invocation: Invocation, cycle: Cycle, after: AfterWork, streams: bool
    ) -> None:
        scope = event.scope()
        if self.mode == "buffered":
            ask_for_plain(scope)
        scope["extensions"] = extensions(
            "lambda-streaming" if streams else "lambda-buffered", invocation.deadline, after
        )
        scope["extensions"]["skybridge.request_id"] = invocation.id
        scope["extensions"]["skybridge.abort"] = cycle.abort
        scope["extensions"]["skybridge.trace_id"] = invocation.trace_id
        scope["extensions"]["skybridge.principal"] = event.principal
        if streams:
            scope["extensions"]["skybridge.sent"] = cycle.sent  # beyond some megabytes they are not free
        await self.app(scope, cycle.receive, cycle.send)
        if not cycle.ended.is_set():
            raise IncompleteAnswer("the app returned without having ended its answer")


UNSUPPORTED = (
    "this function answers HTTP requests only: events of function URLs, API Gateway (REST and HTTP APIs) "
    "and Application Load Balancers"
)


def before(deadline: float | None, margin: float) -> float | None:
    """`margin` seconds before `deadline`."""
    return None if deadline is None else deadline - margin


def ask_for_plain(scope: Scope) -> None:
    """What is compressed leaves in base64, which fronts like `sam local` hand on as it is: so nothing may be."""
    scope["headers"] = [each for each in scope["headers"] if each[0].lower() != b"accept-encoding"]


def extensions(platform: str, deadline: float | None, after: AfterWork) -> dict[str, Any]:
    """What the door tells the app in the scope's `extensions`.

    skybridge.platform  "lambda-streaming" or "lambda-buffered"
    skybridge.deadline  loop time in seconds by which the answer must be over; absent where there is none
    skybridge.after     a list for zero-argument coroutine functions to run once the answer has gone
    """
    members: dict[str, Any] = {"skybridge.platform": platform, "skybridge.after": after}
    if deadline is not None:
        members["skybridge.deadline"] = deadline - APP_MARGIN
    return members
