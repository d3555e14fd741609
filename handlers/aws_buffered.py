"""The buffered door on AWS Lambda: `handlers.aws_buffered.handler`, behind API Gateway or a load balancer.

Mangum runs the app; events are read and answers written as the streaming door does it. This module gives the app what
that door gives it too: the deadline, and work after the answer, which here runs before the answer is returned, because
the environment may be frozen from then on.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any, cast

from mangum import Mangum

from handlers.aws_events import BadEvent, HttpEvent, is_notice, read_event
from handlers.aws_invocation import (
    AFTER_MARGIN,
    DOOR_MARGIN,
    UNSUPPORTED,
    AfterWork,
    App,
    DeadlineExceeded,
    Message,
    Receive,
    Scope,
    Send,
    UnsupportedEvent,
    ask_for_plain,
    before,
    extensions,
    guarded,
)
from handlers.aws_response import Head, buffered, refused
from handlers.aws_runtime_api import error_document
from handlers.io.clock import SystemClock
from handlers.io.lambda_log import CURRENT, ColdStart, LambdaInvocation, LambdaLog

type Handler = Callable[[dict[str, Any], Any], dict[str, Any] | None]
LATE = b'{"error":{"type":"timeout_error","message":"The answer was not over before the function\'s time was."}}'


class Front:
    """One event of any front, as Mangum has its handlers. Raises UnsupportedEvent and BadEvent."""

    @classmethod
    def infer(cls, event: Any, context: Any, config: Any) -> bool:
        return True

    def __init__(self, event: Any, context: Any, config: Any) -> None:
        request = read_event(event)
        if request is None:
            raise UnsupportedEvent(UNSUPPORTED)
        self._request = request
        self.body = request.body
        self.scope = {**request.scope(), "aws.request": request, "aws.context": context}

    def __call__(self, response: Any) -> dict[str, Any]:
        answer = buffered(self._request, Head(response["status"], response["headers"]), response["body"])
        return cast(dict[str, Any], json.loads(answer))


class Bounded:
    """An ASGI app as Mangum shall run it: with a deadline, and its work after the answer done."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._cold = ColdStart(os.environ)
        self._plain = os.environ.get("AWS_SAM_LOCAL") == "true"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one event. Raises what the app raised, which Mangum logs and answers with a 500."""
        request: HttpEvent = scope["aws.request"]
        if self._plain:
            ask_for_plain(scope)
        after: AfterWork = []
        CURRENT.set(_invocation(scope["aws.context"], self._cold.take()))
        deadline = _deadline(scope["aws.context"])
        scope["extensions"] = extensions("lambda-buffered", deadline, after)
        scope["extensions"]["skybridge.request_id"] = getattr(scope["aws.context"], "aws_request_id", None)
        scope["extensions"]["skybridge.principal"] = request.principal
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        async def answer() -> None:
            await self.app(scope, receive, watched)

        fault = await guarded(answer(), before(deadline, DOOR_MARGIN))
        if isinstance(fault, DeadlineExceeded) and not started:
            await _send_late(send)
            fault = None
        for work in after:
            failed = await guarded(work(), before(deadline, AFTER_MARGIN))
            if failed is not None:
                _log("work after the answer failed", failed)
        if fault is not None:
            raise fault


async def _send_late(send: Send) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 504, "headers": headers})
    await send({"type": "http.response.body", "body": LATE})


def _invocation(context: Any, cold_start: bool) -> LambdaInvocation:
    """What each log line tells of the invocation. The runtime puts the trace's id into the environment."""
    about = [getattr(context, name, None) or "" for name in ("aws_request_id", "invoked_function_arn")]
    return LambdaInvocation(about[0], about[1], os.environ.get("_X_AMZN_TRACE_ID", ""), cold_start)


def _deadline(context: Any) -> float | None:
    """The invocation's deadline as a loop time; None where the context does not tell (in a test, say)."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return None if remaining is None else asyncio.get_running_loop().time() + remaining() / 1000


def _log(event: str, fault: Exception) -> None:
    LambdaLog(SystemClock(), "info", os.environ, depth=2).event("error", event, **error_document(fault))


def make_handler(app: App) -> Handler:
    """The Lambda handler for `app`. It raises UnsupportedEvent for what is no HTTP request."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    adapter = Mangum(Bounded(app), lifespan="off", custom_handlers=[Front])

    def handle(event: Any, context: Any) -> dict[str, Any] | None:
        try:
            return adapter(event, context)
        except BadEvent as malformed:
            return cast(dict[str, Any], json.loads(refused(malformed)))
        except UnsupportedEvent:
            if is_notice(event):
                return None
            raise

    return handle


def __getattr__(name: str) -> Handler:
    """`handler` is made when the runtime looks it up, so that what is wrong then is reported as an init error."""
    if name != "handler":
        raise AttributeError(name)
    from handlers.asgi import create_app  # noqa: PLC0415 what goes wrong in this import is an init error

    globals()["handler"] = made = make_handler(create_app())
    return made
