"""The Mangum door: events in, JSON answers out, with the deadline and the work after the answer."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from handlers import aws_buffered
from handlers.aws_buffered import Handler, make_handler
from handlers.aws_invocation import App, Receive, Scope, Send, UnsupportedEvent
from handlers.aws_response import MEGABYTE
from handlers.io.lambda_log import CURRENT, LambdaInvocation
from tests.doors import lambda_apps as apps
from tests.handlers.test_aws_events import load


class Context:
    """What the managed runtime gives a handler."""

    aws_request_id = "request-7"

    def __init__(self, seconds: float = 10) -> None:
        self.milliseconds = int(seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture
def handler_of() -> Iterator[Any]:
    """make_handler, its event loop closed afterwards."""

    def make(app: App) -> Handler:
        handler = make_handler(app)
        loops.append(asyncio.get_event_loop())
        return handler

    loops: list[asyncio.AbstractEventLoop] = []
    yield make
    for loop in loops:
        loop.close()
    asyncio.set_event_loop(None)


FRONTS = ["http-api", "http-api-payload-1", "rest-api", "load-balancer", "load-balancer-multi-value", "function-url"]


@pytest.mark.parametrize("name", FRONTS)
def test_each_front_is_answered_in_its_form(name: str, handler_of: Any) -> None:
    answer = handler_of(apps.echo)(load(name), Context())
    seen = json.loads(answer["body"])
    assert answer["statusCode"] == 201
    assert seen["platform"] == "lambda-buffered"
    assert seen["request_id"] == "request-7"
    assert 8 < seen["seconds"] < 8.6


def test_the_path_is_the_one_that_the_client_wrote(handler_of: Any) -> None:
    answer = handler_of(apps.echo)(load("http-api"), Context())
    seen = json.loads(answer["body"])
    assert seen["raw_path"] == "/model/us.amazon.nova-pro%20v1:0/50%25%3F/%C3%A9"
    assert seen["query"] == "stream=true"
    assert answer["cookies"] == ["a=1", "b=2; Path=/"]


@pytest.mark.parametrize("content_type", ["application/vnd.amazon.eventstream", "application/octet-stream"])
def test_binary_bodies_travel_as_base64(content_type: str, handler_of: Any) -> None:
    event = load("http-api") | {"rawQueryString": content_type, "isBase64Encoded": True, "body": "AP+A"}
    answer = handler_of(apps.binary)(event, Context())
    assert answer["isBase64Encoded"] is True
    assert base64.b64decode(answer["body"]) == b"\x00\xff\x80"


def test_event_streams_of_text_travel_as_text(handler_of: Any) -> None:
    event = load("http-api") | {"rawQueryString": "text/event-stream", "body": "data: é\n\n"}
    answer = handler_of(apps.binary)(event, Context())
    assert (answer["isBase64Encoded"], answer["body"]) == (False, "data: é\n\n")


def test_work_after_the_answer_is_done_before_it_is_returned(
    handler_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            done.append("written")

        async def broken() -> None:
            raise ValueError("no table")

        scope["extensions"]["skybridge.after"] += [broken, work]
        await apps.start(send)
        await apps.body(send, b"x")

    assert handler_of(app)(load("http-api"), Context())["statusCode"] == 200
    assert done == ["written"]
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["errorMessage"]) == ("work after the answer failed", "no table")


MALFORMED = [
    ({"body": 5}, "body: expected a string"),
    ({"body": "?", "isBase64Encoded": True}, "body: not the base64 that isBase64Encoded promises"),
    ({"headers": "a: b"}, "headers: expected an object"),
    ({"rawPath": None}, "rawPath: expected a string"),
]


@pytest.mark.parametrize(("change", "message"), MALFORMED)
def test_a_malformed_event_is_a_400_that_names_its_part(
    change: dict[str, Any], message: str, handler_of: Any
) -> None:
    answer = handler_of(apps.echo)(load("http-api") | change, Context())
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["error"]["message"].endswith(message)


BARE = [
    {"version": "2.0", "rawPath": "/a", "requestContext": {"http": {"method": "GET"}}},
    {"httpMethod": "GET", "path": "/a", "headers": None, "multiValueHeaders": None, "requestContext": {}},
    {"httpMethod": "GET", "path": "/a", "requestContext": {"elb": {}}, "headers": {"host": "[::1]:3000"}},
]


@pytest.mark.parametrize("event", BARE)
def test_an_event_with_the_least_of_members_is_answered(event: dict[str, Any], handler_of: Any) -> None:
    answer = handler_of(apps.echo)(event, Context())
    assert (answer["statusCode"], json.loads(answer["body"])["path"]) == (201, "/a")


def test_what_is_no_request_raises_and_a_notice_is_nothing(handler_of: Any) -> None:
    handler = handler_of(apps.echo)
    assert handler(load("stream-completion"), Context()) is None
    for event in (load("queue"), load("schedule"), [], None, "text"):
        with pytest.raises(UnsupportedEvent, match="HTTP requests only"):
            handler(event, Context())


def test_an_answer_that_is_too_large_is_a_413(handler_of: Any) -> None:
    answer = handler_of(apps.plain)(load("load-balancer") | {"path": f"/200/{MEGABYTE}"}, Context())
    assert (answer["statusCode"], answer["statusDescription"]) == (413, "413 Content Too Large")


def test_headers_that_are_not_utf_8_are_handed_on(handler_of: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await apps.start(send, 200, (b"content-type", b"text/plain"), (b"x-name", b"caf\xe9"))
        await apps.body(send, b"x")

    assert handler_of(app)(load("http-api"), Context())["headers"]["x-name"] == "caf\u00e9"


async def hang(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/started":
        await apps.start(send)
    await asyncio.Event().wait()


def test_an_answer_that_is_late_is_a_504(handler_of: Any) -> None:
    answer = handler_of(hang)(load("http-api"), Context(0.51))
    assert answer["statusCode"] == 504
    assert json.loads(answer["body"])["error"]["type"] == "timeout_error"


def test_an_answer_that_is_late_after_its_start_is_a_500(handler_of: Any) -> None:
    answer = handler_of(hang)(load("http-api") | {"rawPath": "/started"}, Context(0.51))
    assert answer["statusCode"] == 500


def test_an_app_that_raises_is_a_500(handler_of: Any) -> None:
    answer = handler_of(apps.breaks)(load("http-api") | {"rawPath": "/at-once"}, Context())
    assert answer["statusCode"] == 500


def test_a_context_without_a_clock_gives_no_deadline(handler_of: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await apps.start(send, 200, (b"content-type", b"text/plain"))
        await apps.body(send, str("skybridge.deadline" in scope["extensions"]).encode())

    assert handler_of(app)(load("http-api"), None)["body"] == "False"


def test_the_module_has_a_handler_and_nothing_else_of_its_own_making() -> None:
    with pytest.raises(AttributeError, match="missing"):
        aws_buffered.missing  # noqa: B018


def test_lines_of_the_log_say_whose_they_are(handler_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[LambdaInvocation | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(CURRENT.get())
        await apps.echo(scope, receive, send)

    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-a")
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    handler = handler_of(app)
    for _ in range(2):
        handler(load("http-api"), Context())
    assert seen == [LambdaInvocation("request-7", "", "Root=1-a", cold) for cold in (True, False)]
