"""Errors in the shape of `/api/v1`."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from core.errors import STATUS, ClientFault, GatewayError, Kind, Refused, upstream_fault
from core.formats.api import wire


@pytest.mark.parametrize("kind", get_args(Kind.__value__))
def test_every_kind_has_a_word_and_a_status_of_this_api(kind: Kind) -> None:
    error = GatewayError(kind, "No.")
    answer = wire.write_error(error, "req_1")
    assert answer.status in wire.STATUSES and (answer.status == STATUS[kind] or answer.status in (400, 503))
    body = json.loads(answer.body)["error"]
    assert body["code"].isupper() and body["message"] == "No." and body["details"] == {"request_id": "req_1"}


def test_details_name_the_field_and_when_to_come_again() -> None:
    error = Refused("rate_limit", "Slow.", param="model", retry_after=2.2)
    error.about = {"limit": 3}
    answer = wire.write_error(error, "")
    assert dict(answer.headers)["retry-after"] == "3" and answer.status == 429
    assert json.loads(answer.body)["error"]["details"] == {"limit": 3, "field": "model", "retry_after": 3}


def test_an_error_in_a_stream_is_an_event() -> None:
    event = wire.error_event(ClientFault("conflict", "Bridge \u2028 é \ud800"), "req_1")
    name, data, *rest = event.split(b"\n")
    assert name == b"event: error" and rest == [b"", b""]
    assert json.loads(data.removeprefix(b"data: "))["error"]["code"] == "CONFLICT"


def test_a_backends_own_status_is_one_of_this_api() -> None:
    assert wire.status_of(upstream_fault("bad_request", "x", 422)) == 400
    assert wire.status_of(upstream_fault("content_filter", "x", 451)) == 400
    assert wire.status_of(upstream_fault("upstream", "x", 502)) == 503
    assert wire.status_of(upstream_fault("overloaded", "x", 529)) == 503
    assert wire.status_of(upstream_fault("internal", "x", 500)) == 503
