"""An answer in each front's form: the exact JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from handlers.aws_response import MEGABYTE, Head, buffered, is_binary, may_stream, prelude
from tests.handlers.test_aws_events import REQUESTS, read

HEAD = Head(
    201,
    [
        (b"Content-Type", b"application/json; charset=utf-8"),
        (b"x-many", b"one"),
        (b"X-Many", b"two"),
        (b"set-cookie", b"a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT"),
        (b"set-cookie", b"b=2"),
        (b"set-cookie", b"c=3"),
        (b"connection", b"keep-alive"),
        (b"Transfer-Encoding", b"chunked"),
    ],
)
JOINED = {"content-type": "application/json; charset=utf-8", "x-many": "one, two"}
COOKIES = ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2", "c=3"]
LISTS = {"content-type": ["application/json; charset=utf-8"], "x-many": ["one", "two"], "set-cookie": COOKIES}
BODY = {"body": '{"é":1}', "isBase64Encoded": False}

ANSWERS: dict[str, dict[str, Any]] = {
    "function-url": {"statusCode": 201, "headers": JOINED, "cookies": COOKIES, **BODY},
    "http-api": {"statusCode": 201, "headers": JOINED, "cookies": COOKIES, **BODY},
    "http-api-payload-1": {"statusCode": 201, "multiValueHeaders": LISTS, **BODY},
    "rest-api": {"statusCode": 201, "multiValueHeaders": LISTS, **BODY},
    "load-balancer": {
        "statusCode": 201,
        "statusDescription": "201 Created",
        "headers": {**JOINED, "set-cookie": COOKIES[0], "Set-cookie": COOKIES[1], "sEt-cookie": COOKIES[2]},
        **BODY,
    },
    "load-balancer-multi-value": {
        "statusCode": 201,
        "statusDescription": "201 Created",
        "multiValueHeaders": LISTS,
        **BODY,
    },
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_buffered_answer_has_the_form_of_its_front(name: str) -> None:
    assert json.loads(buffered(read(name), HEAD, '{"é":1}'.encode())) == ANSWERS[name]


def test_the_prelude_of_a_function_url_has_cookies_of_their_own() -> None:
    document = json.loads(prelude(read("function-url"), HEAD))
    assert document == {"statusCode": 201, "headers": JOINED, "cookies": COOKIES}


def test_the_prelude_of_a_rest_api_lists_what_is_repeated() -> None:
    document = json.loads(prelude(read("rest-api"), HEAD))
    repeated = {"x-many": ["one", "two"], "set-cookie": COOKIES}
    single = {"content-type": "application/json; charset=utf-8"}
    assert document == {"statusCode": 201, "headers": single, "multiValueHeaders": repeated}


def test_a_prelude_never_holds_a_nul() -> None:
    head = Head(200, [(b"x-odd", b"a\x00\x00\x00\x00\x00\x00\x00\x00b")])
    assert b"\0" not in prelude(read("function-url"), head)


@pytest.mark.parametrize(
    ("content_type", "binary"),
    [
        (b"text/event-stream; charset=utf-8", False),
        (b"text/html", False),
        (b"Application/JSON", False),
        (b"application/problem+json", False),
        (b"image/svg+xml", False),
        (b"application/x-ndjson", False),
        (b"application/vnd.amazon.eventstream", True),
        (b"application/octet-stream", True),
        (b"image/png", True),
        (b"", True),
    ],
)
def test_what_is_text_travels_as_text_and_all_else_as_base64(content_type: bytes, binary: bool) -> None:
    assert is_binary(Head(200, [(b"content-type", content_type)])) is binary


def test_compressed_text_is_binary() -> None:
    assert is_binary(Head(200, [(b"content-type", b"text/plain"), (b"content-encoding", b"br")]))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [(b"application/vnd.amazon.eventstream", bytes(range(256))), (b"text/plain", b"\xff not utf-8")],
)
def test_binary_bodies_are_base64(content_type: bytes, body: bytes) -> None:
    answer = json.loads(buffered(read("http-api"), Head(200, [(b"content-type", content_type)]), body))
    assert answer["isBase64Encoded"] is True
    assert base64.b64decode(answer["body"]) == body


def test_a_status_without_a_known_phrase_still_has_a_description() -> None:
    answer = json.loads(buffered(read("load-balancer"), Head(299, []), b""))
    assert answer["statusDescription"] == "299 Status"


LIMITS = [("http-api", 6), ("rest-api", 6), ("load-balancer", 1), ("load-balancer-multi-value", 1)]


@pytest.mark.parametrize(("name", "megabytes"), LIMITS)
def test_an_answer_that_its_front_does_not_take_is_a_413(name: str, megabytes: int) -> None:
    plain = Head(200, [(b"content-type", b"text/plain")])
    room = megabytes * MEGABYTE - len(buffered(read(name), plain, b""))
    assert json.loads(buffered(read(name), plain, b"x" * room))["statusCode"] == 200
    answer = json.loads(buffered(read(name), plain, b"x" * (room + 1)))
    assert answer["statusCode"] == 413
    error = json.loads(answer["body"])["error"]
    assert error["type"] == "response_too_large" and f"{megabytes} MB" in error["message"]


STREAMS = {
    "auto": {"function-url", "function-url-binary"},
    "streaming": {"function-url", "function-url-binary", "rest-api"},
    "buffered": set[str](),
}


@pytest.mark.parametrize("mode", STREAMS)
def test_which_fronts_take_a_stream(mode: str) -> None:
    assert {name for name in REQUESTS if may_stream(read(name), mode)} == STREAMS[mode]
