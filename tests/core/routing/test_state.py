"""Encrypted reasoning goes back to the endpoint that issued it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.conversation import Conversation, Message, Origin, Reasoning, Text
from core.formats.envelope import seal
from core.http import Response
from core.routing.state import Issuers, is_stateful, without_blocks
from tests.gateways import Bench, body_of
from tests.scripted import Play, refused

JSON = {"content-type": "application/json"}
TYPES = {"a": "azure-openai", "b": "azure-openai"}


def answer(encrypted: str, response_id: str = "resp_1") -> dict[str, Any]:
    return {
        "id": response_id, "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": encrypted},
            {
                "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
            },
        ],
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7,
                  "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 1}},
    }  # fmt: skip


def whole(encrypted: str, response_id: str = "resp_1") -> Play:
    return Play(headers=JSON, chunks=[json.dumps(answer(encrypted, response_id)).encode()])


def streamed(encrypted: str, size: int) -> Play:
    response = answer(encrypted)
    started = {**response, "status": "in_progress", "output": [], "usage": None}
    message = response["output"][1]
    place = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    begun = {**response["output"][0], "encrypted_content": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.output_item.done", "output_index": 0, "item": response["output"][0]},
        {"type": "response.output_item.added", "output_index": 1, "item": {**message, "content": []}},
        {"type": "response.output_text.delta", **place, "delta": "Hi"},
        {"type": "response.output_item.done", "output_index": 1, "item": message},
        {"type": "response.completed", "response": response},
    ]  # fmt: skip
    data = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
    return Play(chunks=[data[place : place + size] for place in range(0, len(data), size)])


def bench(plays: list[Play], backends: dict[str, str] | None = None) -> Bench:
    backends = backends or TYPES
    document = {
        "backends": {
            name: {"type": kind, "base_url": f"http://{name}", "api_key": "k", "format": "responses"}
            for name, kind in backends.items()
        },
        "models": {
            "m": {"candidates": [
                {"backend": name, "api_model": "gpt-5", "priority": place} for place, name in enumerate(backends, 1)
            ]}
        },
    }  # fmt: skip
    return Bench(document, plays)


def follow_up(*encrypted: str, **members: Any) -> bytes:
    items: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    for piece in encrypted:
        items.append({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": piece})
        items.append({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"})
        items.append({"type": "function_call_output", "call_id": "c", "output": "x"})
    return json.dumps({"model": "m", "input": items, **members}).encode()


async def ask(ground: Bench, body: bytes) -> Response:
    response = await ground.post("/v1/responses", body)
    await body_of(response)
    return response


def host(ground: Bench, number: int = -1) -> str:
    return ground.transport.requests[number].url.split("/")[2]


def sent(ground: Bench, number: int = -1) -> Any:
    return json.loads(ground.transport.requests[number].body)


@pytest.mark.parametrize("size", [7, 61, 100_000])
async def test_it_goes_back_to_its_issuer_whatever_the_priorities(size: int) -> None:
    ground = bench([Play(connect=refused()), streamed("gAAA/b+==", size), whole("other")])
    await ask(ground, follow_up(stream=True))
    assert host(ground) == "b"
    body = follow_up("gAAA/b+==")
    response = await ask(ground, body)
    assert host(ground) == "b"
    assert sent(ground)["input"] == json.loads(body)["input"]
    assert response.header("x-skybridge-dropped") is None


async def test_whole_answers_are_learnt_from_too() -> None:
    ground = bench([Play(connect=refused()), whole("e1"), whole("e2")])
    await ask(ground, follow_up())
    await ask(ground, follow_up("e1"))
    assert host(ground) == "b"


async def test_where_the_issuer_is_down_the_block_is_dropped_with_a_warning() -> None:
    ground = bench([Play(connect=refused()), whole("e1"), Play(connect=refused()), whole("e2")])
    await ask(ground, follow_up())
    response = await ask(ground, follow_up("e1"))
    assert response.status == 200 and host(ground) == "a"
    assert response.header("x-skybridge-dropped") == "input[1]"
    items = sent(ground)["input"]
    assert [item.get("type") for item in items] == [None, "function_call", "function_call_output"]
    assert "id" not in items[1], "its id refers to the reasoning that is gone"


async def test_pieces_of_two_issuers_are_each_sent_to_their_own_only() -> None:
    ground = bench([whole("from a"), Play(connect=refused()), whole("from b"), whole("x")])
    await ask(ground, follow_up())
    await ask(ground, follow_up())
    response = await ask(ground, follow_up("from a", "from b"))
    assert host(ground) == "b", "the newest piece decides"
    assert response.header("x-skybridge-dropped") == "input[1]"
    reasoning = [item for item in sent(ground)["input"] if item.get("type") == "reasoning"]
    assert [item["encrypted_content"] for item in reasoning] == ["from b"]


async def test_a_piece_of_unknown_origin_is_not_sent_where_several_could_have_issued_it() -> None:
    ground = bench([whole("x")])
    response = await ask(ground, follow_up("who knows"))
    assert response.header("x-skybridge-dropped") == "input[1]"


async def test_with_one_backend_nothing_is_touched() -> None:
    ground = bench([whole("x")], {"a": "azure-openai"})
    body = follow_up("who knows")
    await ask(ground, body)
    assert sent(ground)["input"] == json.loads(body)["input"]


async def test_a_stored_response_goes_on_where_it_is_stored() -> None:
    ground = bench([Play(connect=refused()), whole("e", "resp_77"), whole("e2")])
    await ask(ground, follow_up())
    await ask(ground, b'{"model":"m","input":"go on","previous_response_id":"resp_77"}')
    assert host(ground) == "b"


async def test_an_envelope_of_another_clients_format_is_pinned_and_dropped_too() -> None:
    def messages(encrypted: str) -> bytes:
        sealed = seal(Reasoning(encrypted=encrypted, id="rs_1", origin=Origin("openai", "b")))
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "", "signature": sealed}, {"type": "text", "text": "Hi"},
            ]},
            {"role": "user", "content": "go on"},
        ]  # fmt: skip
        return json.dumps({"model": "m", "max_tokens": 99, "messages": turns}).encode()

    ground = bench([whole("e2"), Play(connect=refused()), whole("e3")])
    first = await ground.post("/v1/messages", messages("e1"))
    assert first.status == 200 and host(ground) == "b"
    assert any(item.get("encrypted_content") == "e1" for item in sent(ground)["input"])
    second = await ground.post("/v1/messages", messages("e1"))
    assert second.status == 200 and host(ground) == "a"
    assert "messages" in (second.header("x-skybridge-dropped") or "")
    assert not any(item.get("encrypted_content") for item in sent(ground)["input"])


@pytest.mark.parametrize(
    "items", ['"hi"', '[{"type":"reasoning"}]', "[7]", '[{"type":"reasoning","encrypted_content":7}]']
)
async def test_odd_input_is_the_backends_to_refuse(items: str) -> None:
    ground = bench([whole("x")])
    response = await ask(ground, f'{{"model":"m","input":{items}}}'.encode())
    assert response.status == 200


async def test_a_responses_request_that_must_be_translated_keeps_the_rule() -> None:
    """An envelope beside a plain piece: the request goes through the translation."""
    sealed = seal(Reasoning(["thought"], signature="c2ln", origin=Origin("anthropic", "c")))
    ground = bench([whole("x")])
    response = await ask(ground, follow_up("who knows", sealed))
    assert response.header("x-skybridge-translation") == "responses>responses"
    assert "messages" in (response.header("x-skybridge-dropped") or "")
    assert not any(item.get("type") == "reasoning" for item in sent(ground)["input"])


async def test_state_reaches_the_backend_whole_where_nothing_of_it_is_foreign() -> None:
    ground = bench([whole("mine"), whole("x")])
    await ask(ground, follow_up())
    response = await ask(ground, follow_up("mine"))
    assert host(ground) == "a" and response.header("x-skybridge-dropped") is None


def test_the_memory_is_bounded_and_forgets_the_longest_unused() -> None:
    issuers = Issuers(2)
    issuers.learn("1", "a")
    issuers.learn("2", "b")
    assert issuers.issuer("1") == "a"
    issuers.learn("3", "c")
    assert issuers.issuer("2") is None
    assert (issuers.issuer("1"), issuers.issuer("3")) == ("a", "c")


def test_one_candidate_is_nobodys_rival() -> None:
    assert not is_stateful("responses", [])


def test_a_conversation_that_holds_nothing_foreign_is_the_same() -> None:
    conversation = Conversation("messages", "m", messages=[Message("user", [Text("Hello")])])
    assert without_blocks(conversation, frozenset({"sealed"})) == (conversation, [])
