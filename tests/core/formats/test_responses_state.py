"""Requests that lean on earlier ones, with a store and without."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import Dropped
from core.errors import ClientFault
from core.formats.contract import Call
from core.formats.responses import state
from core.formats.responses.read_request import read_request
from tests.wire.fixtures import fixture_json

ANSWERED = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": []}


def test_a_request_is_expanded_from_what_was_stored() -> None:
    first: dict[str, Any] = {"model": "m", "instructions": "Be brief.", "input": "One."}
    stored = state.stored_turn(first, {"output": [ANSWERED]})
    second = {"model": "m", "input": [{"role": "user", "content": "Two."}], "previous_response_id": "resp_1"}
    assert state.previous_response_id(second) == "resp_1"
    whole = state.expanded(second, stored)
    assert whole == {
        "model": "m",
        "input": [{"role": "user", "content": "One."}, ANSWERED, {"role": "user", "content": "Two."}],
    }
    assert state.stored_turn(whole, {}).input == whole["input"]
    assert state.previous_response_id(whole) is None


def test_references_are_resolved() -> None:
    known = {"rs_1": {"type": "reasoning", "id": "rs_1", "summary": []}}
    body = {"input": [{"type": "item_reference", "id": "rs_1"}, {"id": "rs_1"}, {"id": "rs_2"}, ANSWERED]}
    assert state.resolved(body, known)["input"] == [known["rs_1"], known["rs_1"], {"id": "rs_2"}, ANSWERED]
    assert state.resolved({"input": "text"}, known) == {"input": "text"}


def test_an_unknown_response_is_named() -> None:
    fault = state.unknown_response("resp_9")
    assert (fault.status, fault.param, fault.code) == (400, "previous_response_id", "previous_response_not_found")


def test_without_a_store_references_to_reasoning_are_dropped() -> None:
    conversation = read_request(fixture_json("requests", "responses/made-ai-sdk.json"), Call())
    kept, dropped = state.without_store(conversation)
    assert dropped == [Dropped("input", "the reasoning 'rs_0123' was named by reference and is not kept here")]
    assert len(kept.messages) == len(conversation.messages) - 1
    assert state.without_store(kept) == (kept, [])


NEEDS_A_STORE = [
    ({"model": "m", "input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
    ({"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
]


@pytest.mark.parametrize(("body", "param"), NEEDS_A_STORE)
def test_without_a_store_content_cannot_be_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ClientFault, match="needs a store") as caught:
        state.without_store(read_request(body, Call()))
    assert caught.value.param == param
