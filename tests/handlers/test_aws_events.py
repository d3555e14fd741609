"""Each front's events as HTTP requests: one file per front under events/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.aws_events import BadEvent, HttpEvent, decode_path, encode_path, is_notice, read_event

EVENTS = Path(__file__).parent / "events"


def load(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"made-{name}.json").read_text())
    return event


def read(name: str) -> HttpEvent:
    event = read_event(load(name))
    assert event is not None
    return event


# front, method, raw path, query, client, multi-value headers in the answer, body
REQUESTS = {
    "function-url": (
        "function-url",
        "POST",
        b"/model/us.amazon.nova-pro-v1%3A0/converse",
        b"a=1&a=2&b=%20c",
        "192.0.2.7",
        False,
        b'{"messages":[]}',
    ),
    "function-url-binary": ("function-url", "POST", b"/v1/audio", b"", "2001:db8::1", False, b"\x00\xff\x80\x01"),
    "http-api": (
        "http-api",
        "POST",
        b"/model/us.amazon.nova-pro%20v1:0/50%25%3F/%C3%A9",
        b"stream=true",
        "198.51.100.4",
        False,
        b"{}",
    ),
    "http-api-payload-1": ("http-api", "GET", b"/v1/models", b"", "198.51.100.5", True, b""),
    "rest-api": (
        "rest-api",
        "POST",
        b"/v1beta/models/gemini-2.5-pro:generateContent",
        b"alt=sse&q=a&q=b%20%26%20c%3Dd",
        "203.0.113.9",
        True,
        b'{"contents":[]}',
    ),
    "load-balancer": ("load-balancer", "GET", b"/v1/models%2Fx", b"q=a%20b&z=1", "203.0.113.77", False, b""),
    "load-balancer-multi-value": (
        "load-balancer",
        "POST",
        b"/v1/chat/completions",
        b"q=a%20b&q=c",
        None,
        True,
        b'{"a":1}',
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_each_front_is_one_http_request(name: str) -> None:
    event = read(name)
    seen = (event.front, event.method, event.raw_path, event.query, event.client, event.multi_value, event.body)
    assert seen == REQUESTS[name]


@pytest.mark.parametrize(
    ("name", "header", "values"),
    [
        ("function-url", b"cookie", [b"session=abc; theme=dark"]),
        ("function-url", b"x-many", [b"one,two"]),
        ("http-api", b"cookie", [b"a=1"]),
        ("http-api-payload-1", b"x-api-key", [b"sk-test"]),
        ("rest-api", b"x-many", [b"one", b"two"]),
        ("rest-api", b"accept", [b"application/json"]),
        ("load-balancer", b"x-forwarded-port", [b"80"]),
        ("load-balancer-multi-value", b"x-many", [b"one", b"two"]),
    ],
)
def test_headers_are_lower_case_and_keep_each_value(name: str, header: bytes, values: list[bytes]) -> None:
    assert [value for key, value in read(name).headers if key == header] == values


def test_the_asgi_scope_has_what_the_specification_asks_for() -> None:
    scope = read("function-url").scope()
    headers = scope.pop("headers")
    assert (b"authorization", b"Bearer sk-test") in headers
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/model/us.amazon.nova-pro-v1:0/converse",
        "raw_path": b"/model/us.amazon.nova-pro-v1%3A0/converse",
        "query_string": b"a=1&a=2&b=%20c",
        "root_path": "",
        "client": ("192.0.2.7", 0),
        "server": ("abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws", 443),
    }
    assert read("load-balancer").scope()["scheme"] == "http"


def test_a_request_without_host_or_client_has_none() -> None:
    event = read_event({"httpMethod": "get", "requestContext": {"elb": {}}})
    assert event is not None
    scope = event.scope()
    assert (scope["client"], scope["server"], scope["path"], scope["method"]) == (None, None, "/", "GET")


def test_the_stage_of_an_http_api_alone_is_the_root() -> None:
    event = load("http-api") | {"rawPath": "/prod"}
    request = read_event(event)
    assert request is not None and request.raw_path == b"/"
    request = read_event(event | {"rawPath": "/production/x"})
    assert request is not None and request.raw_path == b"/production/x"


@pytest.mark.parametrize("name", ["schedule", "queue", "stream-completion"])
def test_what_is_no_http_request_is_none(name: str) -> None:
    assert read_event(load(name)) is None


@pytest.mark.parametrize("event", [None, 1, "x", [], {}, {"requestContext": None}, {"requestContext": {}}])
def test_odd_events_are_none(event: object) -> None:
    assert read_event(event) is None


def test_a_completion_is_a_notice_and_a_queue_is_not() -> None:
    assert is_notice(load("stream-completion"))
    assert is_notice({"eventType": "StreamCompletion"})
    assert not is_notice(load("queue"))
    assert not is_notice(load("schedule"))
    assert not is_notice([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rawPath": 7}, "rawPath: expected a string"),
        ({"headers": ["a"]}, "headers: expected an object"),
        ({"body": {}}, "body: expected a string"),
        ({"body": "?", "isBase64Encoded": True}, "body: not the base64 that isBase64Encoded promises"),
        ({"body": "é", "isBase64Encoded": True}, "body: not the base64 that isBase64Encoded promises"),
    ],
)
def test_a_malformed_part_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadEvent, match=message):
        read_event(load("function-url") | change)


def test_a_malformed_query_is_named() -> None:
    event = load("rest-api") | {"multiValueQueryStringParameters": None, "queryStringParameters": "a=1"}
    with pytest.raises(BadEvent, match="queryStringParameters: expected an object"):
        read_event(event)


def test_values_that_are_null_or_single_are_taken_for_what_they_are() -> None:
    event = load("rest-api")
    event["multiValueHeaders"] = {"a": None, "b": "single", "c": []}
    request = read_event(event)
    assert request is not None and request.headers == [(b"b", b"single")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = (
    "rawPath",
    "rawQueryString",
    "headers",
    "multiValueHeaders",
    "cookies",
    "httpMethod",
    "path",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "body",
    "isBase64Encoded",
)
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "http": st.dictionaries(st.sampled_from(["method", "sourceIp"]), JSON),
        "elb": JSON,
        "stage": JSON,
        "identity": JSON,
    },
)


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON), CONTEXTS)
def test_no_event_raises_anything_but_bad_event(event: dict[str, Any], context: dict[str, Any]) -> None:
    try:
        request = read_event(event | {"requestContext": context})
        if request is not None:
            request.scope()
    except BadEvent:
        pass


@given(st.text(max_size=30))
def test_any_text_becomes_a_path_that_may_stand_in_a_request(text: str) -> None:
    raw = encode_path(text)
    assert not set(raw) & set(b" ?#\r\n\"<>\\^`{|}")
    assert encode_path(raw.decode()) == raw
    decode_path(raw)


@pytest.mark.parametrize(
    ("path", "raw", "decoded"),
    [
        ("/a b", b"/a%20b", "/a b"),
        ("/a%20b", b"/a%20b", "/a b"),
        ("/100%", b"/100%25", "/100%"),
        ("/%zz%4", b"/%25zz%254", "/%zz%4"),
        ("/%ff", b"/%ff", "/\ufffd"),
        ("/é", b"/%C3%A9", "/é"),
    ],
)
def test_paths_are_encoded_where_they_have_to_be(path: str, raw: bytes, decoded: str) -> None:
    assert encode_path(path) == raw
    assert decode_path(raw) == decoded
