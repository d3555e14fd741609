"""OpenAI's error envelope: what servers of that API send, and what this gateway answers."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import (
    STATUS,
    ClientFault,
    GatewayError,
    Kind,
    NotConfigured,
    Refused,
    retry_after_seconds,
    upstream_fault,
)
from core.formats.openai_errors import openai_error_object, read_error_object, read_openai_error, write_openai_error
from tests.wire.fixtures import fixture_json
from tests.wire.recordings import Recorded, parameters, recorded_pairs

FAILED = [
    pair
    for pair in recorded_pairs("pydantic-ai-cassettes", "openai.com") + recorded_pairs("pydantic-ai-cassettes", "azure")
    if pair.status >= 400
]


def _body(**error: Any) -> bytes:
    return json.dumps({"error": error}).encode()


READ = fixture_json("errors", "responses/made-errors.json")


WAITS = [("1.5", 1.5), ("7", 7.0), ("\xb2", None), ("9" * 400, None), (".", None)]


@pytest.mark.parametrize(("value", "seconds"), WAITS)
def test_waits_that_backends_ask_for(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": value}) == seconds


@pytest.mark.parametrize("case", READ, ids=[case["name"] for case in READ])
def test_errors_are_read(case: dict[str, Any]) -> None:
    body = case["text"].encode() if "text" in case else json.dumps(case["body"]).encode()
    fault = read_openai_error(case["status"], {"retry-after-ms": "1500"}, body)
    assert (fault.kind, fault.status) == (case["kind"], case["answered"])
    assert fault.message
    assert fault.retry_after == 1.5
    assert fault.raw is not None
    assert (fault.raw.status, fault.raw.body) == (case["answered"], body)


def test_an_error_keeps_its_details() -> None:
    fault = read_openai_error(400, {}, _body(message="Bad.", param="input[0]", code="invalid_value"))
    assert (fault.param, fault.code, fault.message) == ("input[0]", "invalid_value", "Bad.")
    assert fault.details == {"message": "Bad.", "param": "input[0]", "code": "invalid_value"}
    nested = read_openai_error(400, {}, _body(message="Provider returned error", code=400, metadata={"raw": "why"}))
    assert nested.message == "Provider returned error: why"


def test_what_is_flagged_is_the_clients_prompt_not_the_gateways_key() -> None:
    metadata = {"reasons": ["violence"], "flagged_input": "...", "provider_name": "P", "model_slug": "p/m"}
    fault = read_openai_error(403, {}, _body(code=403, message="Your input was flagged", metadata=metadata))
    answer = write_openai_error(fault, "req_1")
    assert (fault.kind, answer.status) == ("content_filter", 400)
    assert json.loads(answer.body)["error"]["message"] == "Your input was flagged"


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": 'model "x" not found, try pulling it first'}, 'model "x" not found, try pulling it first', None),
        ({"error": "Unauthorized", "message": "Who?"}, "Who?", "Unauthorized"),
        ({"error": "not_found"}, "not_found", "not_found"),
    ],
)
def test_an_error_that_is_a_string(body: dict[str, str], message: str, code: str | None) -> None:
    fault = read_openai_error(404, {}, json.dumps(body).encode())
    assert (fault.message, fault.code) == (message, code)


@pytest.mark.parametrize("pair", parameters(FAILED))
def test_recorded_errors_are_read(pair: Recorded) -> None:
    fault = read_openai_error(pair.status, pair.response_headers, pair.response_body)
    error = pair.response_json["error"]
    assert (fault.message, fault.param) == (error["message"], error["param"])
    again = write_openai_error(fault, "req_1")
    assert again.status == pair.status
    assert json.loads(again.body)["error"]["message"] == error["message"]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["error", "code", "message", "type", "param", "metadata", "raw"]), inner),
)


@given(st.integers(200, 599), ANY_JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_body_is_some_error(status: int, body: bytes) -> None:
    fault = read_openai_error(status, {}, body)
    assert fault.message
    assert fault.status >= 400
    write_openai_error(fault, "")


IN_STREAM: list[tuple[Any, Kind, int]] = [
    ({"message": "Long.", "code": "context_length_exceeded"}, "context_length", 400),
    ({"message": "Slow.", "code": "rate_limit_exceeded"}, "rate_limit", 429),
    ({"message": "Down.", "code": 503}, "overloaded", 503),
    ({"message": "Hm.", "code": "new_code"}, "upstream", 502),
    ({"message": "The prompt is too long"}, "context_length", 400),
    ({}, "upstream", 502),
    (None, "upstream", 502),
    ("It broke.", "upstream", 502),
]


@pytest.mark.parametrize(("error", "kind", "status"), IN_STREAM)
def test_errors_inside_a_stream(error: Any, kind: Kind, status: int) -> None:
    fault = read_error_object(error)
    assert (fault.kind, fault.status) == (kind, status)
    assert fault.message


def test_an_error_without_words_takes_the_default() -> None:
    assert read_error_object({"message": "Hm."}, default="overloaded").kind == "overloaded"


WRITTEN: list[tuple[GatewayError, int, str, str | None]] = [
    (ClientFault("bad_request", "m", param="input"), 400, "invalid_request_error", None),
    (ClientFault("context_length", "m"), 400, "invalid_request_error", "context_length_exceeded"),
    (ClientFault("content_filter", "m"), 400, "invalid_request_error", "content_filter"),
    (Refused("authentication", "m"), 401, "invalid_request_error", "invalid_api_key"),
    (Refused("permission", "m"), 403, "invalid_request_error", "permission_denied"),
    (ClientFault("model_not_found", "m"), 404, "invalid_request_error", "model_not_found"),
    (ClientFault("not_found", "m"), 404, "invalid_request_error", None),
    (ClientFault("method_not_allowed", "m"), 405, "invalid_request_error", "method_not_allowed"),
    (ClientFault("too_large", "m"), 413, "invalid_request_error", "request_too_large"),
    (Refused("rate_limit", "m"), 429, "requests", "rate_limit_exceeded"),
    (Refused("spend_limit", "m"), 429, "insufficient_quota", "insufficient_quota"),
    (NotConfigured("m"), 503, "configuration_error", "configuration_error"),
    (GatewayError("overloaded", "m", status=529), 503, "server_error", "overloaded"),
    (upstream_fault("overloaded", "m", 529), 503, "server_error", "overloaded"),
    (upstream_fault("billing", "m", 402), 429, "insufficient_quota", "insufficient_quota"),
    (upstream_fault("upstream", "m", 522), 502, "server_error", "upstream_error"),
    (upstream_fault("timeout", "m", 504), 504, "server_error", "timeout"),
    (upstream_fault("authentication", "key sk-123", 401), 502, "server_error", "upstream_authentication"),
    (upstream_fault("permission", "key sk-123", 403), 502, "server_error", "upstream_authentication"),
]


@pytest.mark.parametrize(("error", "status", "type_", "code"), WRITTEN)
def test_errors_are_written(error: GatewayError, status: int, type_: str, code: str | None) -> None:
    answer = write_openai_error(error, "req_1")
    written = json.loads(answer.body)["error"]
    assert (answer.status, written["type"], written["code"]) == (status, type_, code)
    assert written["param"] == error.param
    assert "sk-123" not in written["message"]
    assert dict(answer.headers)["content-type"] == "application/json"


def test_every_kind_can_be_written() -> None:
    for kind in get_args(Kind.__value__):
        assert openai_error_object(GatewayError(kind, "m"))["message"] == "m"
    assert set(get_args(Kind.__value__)) == set(STATUS)


def test_a_backends_code_is_kept_unless_clients_act_on_ours() -> None:
    fault = upstream_fault("bad_request", "m", 400)
    fault.code = "invalid_value"
    assert openai_error_object(fault)["code"] == "invalid_value"
    fault = upstream_fault("context_length", "m", 400)
    fault.code = "string_too_long"
    assert openai_error_object(fault)["code"] == "context_length_exceeded"


WAITS: list[tuple[GatewayError, dict[str, str]]] = [
    (Refused("rate_limit", "m", retry_after=2.5), {"retry-after": "3", "retry-after-ms": "2500"}),
    (Refused("rate_limit", "m", retry_after=2), {"retry-after": "2"}),
    (Refused("rate_limit", "m"), {"retry-after": "1"}),
    (Refused("overloaded", "m", retry_after=7), {"retry-after": "7"}),
    (Refused("overloaded", "m"), {}),
    (Refused("spend_limit", "m"), {"x-should-retry": "false"}),
]


@pytest.mark.parametrize(("error", "headers"), WAITS)
def test_clients_are_told_when_to_come_back(error: GatewayError, headers: dict[str, str]) -> None:
    written = dict(write_openai_error(error, "").headers)
    del written["content-type"]
    assert written == headers


def test_an_errors_own_headers_are_sent() -> None:
    error = Refused("authentication", "m")
    error.headers = {"www-authenticate": "Bearer", "content-type": "text/plain"}
    headers = write_openai_error(error, "").headers
    assert headers == [("content-type", "application/json"), ("www-authenticate", "Bearer")]
