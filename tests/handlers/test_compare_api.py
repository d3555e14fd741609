"""Comparing and chaining models over real HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from tests.backend_server import JSON, BackendServer, Received, Script
from tests.chat_backends import chunk, document, echoes, end, events_of, says, text_of
from tests.served import served

FAILING = Script([b'{"error": {"message": "boom"}}'], 500, JSON)


async def post(tmp_path: Path, configuration: dict[str, Any], path: str, body: Any) -> httpx.Response:
    async with served(tmp_path, configuration) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
        answer = await client.post(f"/api/v1/{path}", json=body)
        sources = {record.source for record in gateway.records}
        assert sources <= {path.partition("/")[0]}
        return answer


def two(first: BackendServer, second: BackendServer) -> dict[str, Any]:
    row = {"backend": "b2", "api_model": "n"}
    found = document(first.url, n=row)
    found["backends"]["b2"] = {"type": "openai-compatible", "base_url": f"{second.url}/v1", "api_key": "upstream"}
    return found


async def test_models_side_by_side(tmp_path: Path) -> None:
    async with BackendServer([says("One")]) as first, BackendServer([says("Two")]) as second:
        body = {"prompt": "Which?", "modelA": "m", "modelB": "n", "system_prompt": "Be brief.", "temperature": 0.1}
        answer = (await post(tmp_path, two(first, second), "compare", body)).json()
    assert answer["prompt"] == "Which?"
    assert [(row["model"], row["content"], row["error"]) for row in answer["results"]] == [
        ("m", "One", None), ("n", "Two", None),
    ]  # fmt: skip
    for row, backend in zip(answer["results"], (first, second), strict=True):
        assert row["usage"]["total_tokens"] == 10 and row["finish_reason"] == "stop"
        assert row["time_to_first_token_ms"] <= row["duration_ms"]
        assert backend.received[0].json["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_they_run_at_once_and_their_events_are_told_apart(tmp_path: Path) -> None:
    """Each waits for the other's first word: one after the other, they would wait for ever."""
    words = [asyncio.Event(), asyncio.Event()]

    def script(index: int) -> Any:
        def choose(received: Received) -> Script:
            words[index].set()
            return Script([words[1 - index], chunk(f"w{index}"), end()])

        return choose

    async with BackendServer(script(0)) as first, BackendServer(script(1)) as second:
        body = {"prompt": "x", "models": ["m", "n"]}
        events = events_of((await post(tmp_path, two(first, second), "compare/stream", body)).content)
    for index, model in enumerate(("m", "n")):
        own = [(name, data) for name, data in events if data.get("index") == index]
        assert [name for name, _ in own] == ["start", "delta", "done"]
        assert {data["model"] for _, data in own} == {model} and text_of(own) == f"w{index}"
    assert events[-1][0] == "done" and [row["content"] for row in events[-1][1]["results"]] == ["w0", "w1"]


async def test_one_that_fails_does_not_fail_the_others(tmp_path: Path) -> None:
    broken = Script([chunk("Half"), end()[:10]], close=True)
    async with BackendServer([FAILING, broken]) as first, BackendServer(echoes) as second:
        configuration = two(first, second)
        body = {"prompt": "x", "models": ["m", "n", "nope"]}
        whole = (await post(tmp_path, configuration, "compare", body)).json()["results"]
        events = events_of((await post(tmp_path, configuration, "compare/stream", body)).content)
    assert [row["content"] for row in whole] == ["", "re: x", ""]
    assert [row["error"] and row["error"]["code"] for row in whole] == ["UPSTREAM_ERROR", None, "MODEL_NOT_FOUND"]
    assert whole[0]["finish_reason"] == "error" and whole[0]["usage"]["total_tokens"] == 0
    errors = {data["model"]: data["error"]["code"] for name, data in events if name == "error"}
    assert set(errors) == {"m", "nope"}
    results = events[-1][1]["results"]
    assert [row["content"] for row in results] == ["Half", "re: x", ""] and results[0]["error"]


async def test_a_client_that_leaves_a_comparison_lets_all_backends_go(tmp_path: Path) -> None:
    hanging = [Script([chunk("Half"), 60.0])]
    async with BackendServer(hanging) as first, BackendServer(hanging) as second:
        async with served(tmp_path, two(first, second)) as gateway:
            async with httpx.AsyncClient(base_url=gateway.url) as client:
                body = {"prompt": "x", "models": ["m", "n"]}
                async with client.stream("POST", "/api/v1/compare/stream", json=body) as answer:
                    received = b""
                    async for data in answer.aiter_raw():
                        received += data
                        if received.count(b"Half") == 2:
                            break
            for backend in (first, second):
                await asyncio.wait_for(backend.closed.wait(), 5)


async def test_comparisons_that_are_refused(tmp_path: Path) -> None:
    refused = [
        ({"prompt": "x"}, "modelA"), ({"prompt": "x", "modelA": "demo"}, "modelB"),
        ({"prompt": "x", "modelA": "demo", "models": ["demo", "demo"]}, "models"),
        ({"prompt": "x", "models": ["demo"]}, "models"), ({"prompt": "x", "models": ["demo"] * 5}, "models"),
        ({"prompt": " ", "models": ["demo", "demo"]}, "prompt"), ({"models": ["demo", "demo"]}, "prompt"),
    ]  # fmt: skip
    async with served(tmp_path, document()) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
        for body, field in refused:
            answer = await client.post("/api/v1/compare", json=body)
            assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, field), body


async def test_a_chain_of_models(tmp_path: Path) -> None:
    steps = [
        {"model": "m", "system_prompt": "First."}, {"model": "n"},
        {"model": "m", "prompt_template": "Shorten {previous} of {input}", "max_tokens": 5},
    ]  # fmt: skip
    scripts = [says("A"), says("C")]
    async with BackendServer(scripts) as first, BackendServer([says("B {previous}")]) as second:
        answer = (await post(tmp_path, two(first, second), "chain", {"message": "Q", "steps": steps})).json()
    assert answer["message"] == "C" and [step["content"] for step in answer["steps"]] == ["A", "B {previous}", "C"]
    assert [step["index"] for step in answer["steps"]] == [0, 1, 2] and answer["usage"]["total_tokens"] == 30
    assert answer["cost_usd"] is None and all(step["error"] is None for step in answer["steps"])
    assert first.received[0].json["messages"] == [
        {"role": "system", "content": "First."}, {"role": "user", "content": "Q"},
    ]  # fmt: skip
    asked = second.received[0].json["messages"][0]["content"]
    assert asked.startswith("Q") and asked.endswith("A")
    assert first.received[1].json["messages"][0]["content"] == "Shorten B {previous} of Q"


async def test_a_chain_as_it_comes(tmp_path: Path) -> None:
    body = {"message": "Q", "steps": [{"model": "demo"}, {"model": "demo"}], "stream": True}
    events = events_of((await post(tmp_path, document(), "chain", body)).content)
    names = [name for name, _ in events]
    assert names.count("step") == names.count("start") == 2 and names[-1] == "done"
    assert [data["step"] for name, data in events if name == "step"] == [0, 1]
    assert events[-1][1]["message"] == text_of([each for each in events if each[1].get("step") == 1])
    assert events[-1][1]["cost_usd"] == 0


async def test_a_step_that_fails_says_which_it_was(tmp_path: Path) -> None:
    body = {"message": "Q", "steps": [{"model": "demo"}, {"model": "m"}, {"model": "demo"}]}
    async with BackendServer([FAILING, FAILING]) as backend:
        configuration = document(backend.url)
        whole = await post(tmp_path, configuration, "chain", body)
        events = events_of((await post(tmp_path, configuration, "chain", {**body, "stream": True})).content)
    error = whole.json()["error"]
    assert whole.status_code == 503 and error["message"].startswith("Step 2 (m) failed")
    assert error["details"]["step"] == 1 and len(error["details"]["steps"]) == 2
    assert error["details"]["steps"][0]["content"] and error["details"]["steps"][1]["error"]
    assert events[-1][0] == "error" and events[-1][1]["step"] == 1
