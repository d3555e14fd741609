"""Who is let in, and as whom: the key that is valid counts, whatever else is sent."""

from __future__ import annotations

import pytest

from core.access import AccessRules, Caller, is_admin, presented_keys, service_caller, service_keys
from core.errors import Refused
from core.http import Request
from tests.core.auth.test_sigv4 import NOW, made_request

RULES = AccessRules(("one", "two"))


def caller(headers: dict[str, str], rules: AccessRules = RULES, query: str = "") -> Caller:
    request = Request("POST", "/v1/messages", query, headers)
    return service_caller(rules, request, presented_keys(request), 0.0)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "one"}, {"api-key": "one"}, {"x-goog-api-key": " one "}, {"authorization": "bearer one"},
        {"x-api-key": "made-up", "authorization": "Bearer one"}, {"x-api-key": "one", "authorization": "Basic b25l"},
    ],
)  # fmt: skip
def test_a_caller_is_known_by_the_key_that_is_valid(headers: dict[str, str]) -> None:
    """What else a client sends gives it no other counters."""
    assert caller(headers) == caller({"x-api-key": "one"}) != caller({"x-api-key": "two"})
    assert caller(headers).kind == "service" and "one" not in repr(caller(headers))


OPEN = AccessRules()


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}, {"origin": "http://localhost"},
        {"origin": "http://[::1]:8000"}, {"origin": "https://console.localhost:1"}, {"sec-fetch-site": "none"},
        {"origin": "vscode-file://vscode-app"}, {"origin": "null"},
    ],
)  # fmt: skip
def test_who_may_use_a_gateway_that_asks_for_no_key(headers: dict[str, str]) -> None:
    assert caller(headers, OPEN).kind == "anonymous"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "http://localhost.evil.example"},
        {"origin": "http://127.evil.example:8000"},
        {"origin": "http://evil.example:8000", "sec-fetch-site": "same-origin"},
    ],
)  # fmt: skip
def test_a_page_of_another_site_needs_a_key(headers: dict[str, str]) -> None:
    """What a browser sends for it, rebound names included; with the key it is like any other client."""
    with pytest.raises(Refused, match="SERVICE_API_KEY") as caught:
        caller(headers, OPEN)
    assert caught.value.status == 403
    assert caller({**headers, "x-api-key": "one"}).kind == "service"


def test_a_setting_may_hold_several_keys() -> None:
    assert service_keys(" one, two,, ") == ("one", "two") and service_keys("") == ()


def test_a_key_in_the_query() -> None:
    assert caller({}, query="alt=sse&key=wrong&key=one") == caller({"x-api-key": "one"})


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "No API key was sent"), ({"authorization": "Basic b25l"}, "No API key was sent"),
        ({"x-api-key": "onE"}, "not valid"), ({"x-api-key": "\udcff"}, "not valid"),
        ({"x-api-key": "", "api-key": "on"}, "not valid"),
    ],
)  # fmt: skip
def test_who_is_not_let_in(headers: dict[str, str], words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        caller(headers)
    assert caught.value.status == 401


def test_a_signature_stands_for_the_key_it_was_made_with() -> None:
    parts, _ = made_request()
    request = Request(parts.method, parts.path, parts.query, dict(parts.headers), parts.body)
    signed = service_caller(AccessRules(("other", "s3cret")), request, presented_keys(request), NOW)
    assert signed == caller({"x-api-key": "s3cret"}, AccessRules(("s3cret",)))
    with pytest.raises(Refused, match="does not match"):
        service_caller(RULES, request, presented_keys(request), NOW)


def test_who_may_do_what_the_operator_may() -> None:
    kinds = {"service": True, "anonymous": True, "key": False, "iam": False}
    assert {kind: is_admin(Caller("x", kind)) for kind in kinds} == kinds
    assert is_admin(Caller("x", "key", admin=True))


def test_without_keys_callers_are_told_apart_all_the_same() -> None:
    everybody = AccessRules()
    assert caller({}, everybody) == Caller("anonymous", "anonymous")
    first, second = (caller({"x-api-key": key}, everybody) for key in ("a", "b"))
    assert first.kind == second.kind == "anonymous" and first.id != second.id
