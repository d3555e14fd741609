"""Requests that lean on earlier ones."""

from __future__ import annotations

from typing import Any

from core.formats.responses import state

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
