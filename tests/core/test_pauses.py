"""Turns that pause: a client of another format gets one answer, as if there had been one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.http import Request
from core.pauses import MOST_RESUMES, ResumingTransport, added, continued, may_pause
from core.ports import BackendRequest, TransportFault
from tests.gateways import Bench, body_of
from tests.scripted import Play, ScriptedTransport, VirtualClock
from tests.translation.pairs import document_of

JSON = {"content-type": "application/json"}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Bern"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
ASKED = {
    "model": "m", "input": "Weather?", "store": False,
    "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {"type": "object"}}],
}  # fmt: skip


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def answer(stop: str, *content: Any) -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": list(content),
        "stop_reason": stop, "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5, "server_tool_use": {"web_search_requests": 1}},
    }  # fmt: skip


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def stream(stop: str, *content: dict[str, Any]) -> list[bytes]:
    whole = answer(stop, *content)
    usage = {**whole["usage"], "output_tokens": 1}
    frames = [event("message_start", message={**whole, "content": [], "stop_reason": None, "usage": usage})]
    for index, block in enumerate(content):
        deltas: list[dict[str, Any]] = []
        start = dict(block)
        if block["type"] == "text":
            start["text"] = ""
            deltas = [{"type": "text_delta", "text": block["text"]}]
        elif block["type"] == "server_tool_use":
            start["input"] = {}
            text = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in (text[:4], text[4:])]
        frames.append(event("content_block_start", index=index, content_block=start))
        frames += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        frames.append(event("content_block_stop", index=index))
    delta = {"stop_reason": stop, "stop_sequence": None}
    return [*frames, event("message_delta", delta=delta, usage={"output_tokens": 5}), event("message_stop")]


def play(streamed: bool, stop: str, *content: dict[str, Any]) -> Play:
    if streamed:
        frames = stream(stop, *content)
        return Play(chunks=[*frames[:-2], b"".join(frames[-2:])])
    return Play(headers=JSON, chunks=[json.dumps(answer(stop, *content)).encode()])


def bench(*plays: Play) -> Bench:
    return Bench(document_of("messages"), plays)


async def ask(made: Bench, streamed: bool) -> dict[str, Any]:
    """The Response object that a client of the Responses API gets."""
    response = await made.post("/v1/responses", json.dumps({**ASKED, "stream": streamed}).encode())
    body = await body_of(response)
    if not streamed:
        found: dict[str, Any] = json.loads(body)
        return found
    last = body.decode().strip().rpartition("data: ")[2]
    ending: dict[str, Any] = json.loads(last)["response"]
    return ending


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_paused_turn_goes_on(streamed: bool) -> None:
    made = bench(
        play(streamed, "pause_turn", said("I look. "), SEARCH),
        play(streamed, "pause_turn", FOUND, said("")),
        play(streamed, "end_turn", said("It rains.")),
    )
    response = await ask(made, streamed)
    texts = [part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"]]
    assert (response["status"], "".join(texts)) == ("completed", "I look. It rains.")
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (30, 15)
    first, second, third = (json.loads(request.body) for request in made.transport.requests)
    assert second["messages"] == [*first["messages"], {"role": "assistant", "content": [said("I look. "), SEARCH]}]
    assert third["messages"][-1]["content"] == [said("I look. "), SEARCH, FOUND]
    assert {name: first[name] for name in first if name != "messages"} == {
        name: third[name] for name in third if name != "messages"
    }
    assert made.records[-1].usage.output_tokens == 15


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_turn_that_pauses_for_ever_is_cut_with_a_warning(streamed: bool) -> None:
    made = bench(*[play(streamed, "pause_turn", said("x")) for _ in range(MOST_RESUMES + 1)])
    response = await ask(made, streamed)
    assert response["status"] == "incomplete"
    assert "answer.pause_turn" in made.records[-1].dropped
    assert len(made.transport.requests) == MOST_RESUMES + 1


async def test_a_turn_that_cannot_go_on_is_a_broken_stream() -> None:
    made = bench(play(True, "pause_turn", said("I look.")), Play(status=500, headers=JSON, chunks=[b"{}"]))
    response = await ask(made, True)
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")


async def test_a_messages_client_goes_on_itself() -> None:
    made = bench(play(False, "pause_turn", said("I look.")))
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "tools": tools}
    response = await made.gateway.handle(Request("POST", "/v1/messages", "", {}, json.dumps(asked).encode()))
    assert json.loads(await body_of(response))["stop_reason"] == "pause_turn"
    assert len(made.transport.requests) == 1


def test_which_requests_may_pause() -> None:
    assert may_pause({"tools": [{"name": "f"}, {"type": "web_search_20250305"}]})
    assert not may_pause({"tools": [{"name": "f"}, {"type": "custom", "name": "g"}]})
    assert not may_pause({})


def test_sums_of_usage() -> None:
    assert added({"a": 1, "b": {"c": 2}, "d": "x"}, {"a": 2, "b": {"c": 3, "e": 1}, "d": "y", "f": None}) == {
        "a": 3, "b": {"c": 5, "e": 1}, "d": "y",
    }  # fmt: skip


def test_a_prefill_is_gone_on_with() -> None:
    body = json.dumps({"messages": [{"role": "assistant", "content": "I"}]}).encode()
    assert len(json.loads(continued(body, [said("x")]))["messages"]) == 2


async def resumed(*plays: Play) -> tuple[bytes, ScriptedTransport]:
    """All that is read of an exchange, and what it was read from."""
    transport = ScriptedTransport(plays, VirtualClock())
    exchange = await ResumingTransport(transport).send(BackendRequest("POST", "http://a", [], b'{"messages":[]}'))
    assert await exchange.head(1.0) is not None
    parts: list[bytes] = []
    while (data := await exchange.read(1.0)) != b"":
        parts.append(data or b"")
    exchange.close()
    return b"".join(parts), transport


ODD = [b"", b"{", b"[1]", b'{"content": 1}']


@pytest.mark.parametrize("body", ODD)
async def test_what_is_no_answer_passes(body: bytes) -> None:
    assert (await resumed(Play(headers=JSON, chunks=[body] if body else [])))[0] == body


async def test_what_is_no_event_passes() -> None:
    frames = [
        b"data: {\n\n", b'data: {"error": \n\n', b"data: [1]\n\n", event("ping"), event("message_start"),
        event("content_block_delta", delta={"type": "text_delta", "text": "x"}), event("content_block_stop"),
        event("content_block_start"), event("content_block_delta"),
        event("content_block_delta", delta={"type": "input_json_delta", "partial_json": "{"}),
        event("content_block_delta", delta={"type": "citations_delta", "citation": {"url": "u"}}),
        event("content_block_stop"), event("message_delta", delta={"stop_reason": "pause_turn"}),
    ]  # fmt: skip
    body, transport = await resumed(Play(chunks=frames), Play(chunks=[*stream("end_turn", said("y")), 2.0]))
    assert body.count(b"event: message_start") == body.count(b"event: message_stop") == 1
    sent = json.loads(transport.requests[1].body)["messages"]
    assert sent == [{"role": "assistant", "content": [{"input": {}, "citations": [{"url": "u"}]}]}]


async def test_an_error_is_not_looked_into() -> None:
    transport = ScriptedTransport([Play(status=500, headers=JSON, chunks=[b"no"])], VirtualClock())
    exchange = await ResumingTransport(transport).send(BackendRequest("POST", "http://a", [], b"{}"))
    head = await exchange.head(1.0)
    assert head is not None and head.status == 500
    assert await exchange.read(1.0) == b"no"


async def test_the_next_answer_is_waited_for() -> None:
    paused = Play(headers=JSON, chunks=[json.dumps(answer("pause_turn", said("x"))).encode()])
    transport = ScriptedTransport([paused, Play(headers=JSON, head_delay=3.0, status=529)], VirtualClock())
    exchange = await ResumingTransport(transport).send(BackendRequest("POST", "http://a", [], b'{"messages":[]}'))
    await exchange.head(1.0)
    assert [await exchange.read(1.0) for _ in range(4)] == [None] * 4
    with pytest.raises(TransportFault, match="529"):
        await exchange.read(1.0)
