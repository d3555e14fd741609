"""`POST /v1/responses/compact` on backends that have such a thing, and on those that have none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.compact_requests import as_compaction, as_generation
from core.errors import UpstreamFault
from core.http import Request, Response
from core.translation.compaction import PROMPT
from tests.gateways import Bench, body_of, native_bench
from tests.samples import answer_body
from tests.scripted import Play
from tests.wire.openai_judge import assert_valid

PATH = "/v1/responses/compact"
JSON = {"content-type": "application/json"}
INPUT = [
    {"role": "user", "content": "Do it."},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
    {"type": "message", "id": "msg_u", "role": "user", "content": [{"type": "input_text", "text": "And then?"}]},
]


def bench(*plays: Play, kind: str = "anthropic") -> Bench:
    backends = {"b": {"type": kind, "base_url": "http://b/v1", "api_key": "k"}}
    rows = [{"backend": "b", "api_model": "claude-sonnet-4-5" if kind == "anthropic" else "gpt-5"}]
    return Bench({"backends": backends, "models": {"m": {"candidates": rows}}}, plays)


def whole(format_name: str) -> Play:
    return Play(headers=JSON, chunks=[answer_body(format_name)])


async def compacted(made: Bench, status: int = 200, **members: Any) -> dict[str, Any]:
    response = await made.post(PATH, json.dumps({"model": "m", "input": INPUT, **members}).encode())
    assert response.status == status
    found: dict[str, Any] = json.loads(await body_of(response))
    return found


async def test_another_vendors_model_writes_the_summary() -> None:
    made = bench(whole("messages"), whole("messages"))
    found = await compacted(made, stream=True)
    assert_valid("CompactResource", found)
    assert {name: found[name] for name in ("object", "usage")} == {
        "object": "response.compaction",
        "usage": {
            "input_tokens": 5, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7,
        },
    }  # fmt: skip
    first, second, compaction = found["output"]
    assert (first["content"], first["status"]) == ([{"type": "input_text", "text": "Do it."}], "completed")
    assert (second["id"], second["content"]) == ("msg_u", INPUT[2]["content"])
    assert compaction["type"] == "compaction"
    asked = json.loads(made.transport.requests[0].body)
    assert asked["messages"][-1]["content"][-1]["text"] == PROMPT and not asked.get("stream")
    assert made.records[0].operation == "generate" and made.records[0].usage.output_tokens == 2

    again = await made.post("/v1/responses", json.dumps({"model": "m", "input": found["output"]}).encode())
    assert again.status == 200
    assert "Hi" in json.dumps(json.loads(made.transport.requests[1].body)["messages"])


async def test_openais_own_models_are_asked_by_a_trigger() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}
    answer = {**json.loads(answer_body("responses")), "output": [item]}
    made = native_bench("responses", [Play(headers=JSON, chunks=[json.dumps(answer).encode()])])
    found = await compacted(made, input="Do it.", instructions="Be brief.")
    assert found["output"][-1] == item and found["output"][0]["content"][0]["text"] == "Do it."
    request = made.transport.requests[0]
    asked = json.loads(request.body)
    assert request.url.endswith("/v1/responses")
    assert asked["input"][-1] == {"type": "compaction_trigger"}
    assert (asked["store"], asked["instructions"]) == (False, "Be brief.")


async def test_a_backend_that_makes_none_is_at_fault() -> None:
    found = await compacted(native_bench("responses", [whole("responses")]), 502)
    assert "no compaction" in found["error"]["message"]


async def test_errors_are_those_of_any_request() -> None:
    refused = Play(status=400, headers=JSON, chunks=[b'{"error":{"message":"no","type":"invalid_request_error"}}'])
    assert "no" in (await compacted(native_bench("responses", [refused]), 400))["error"]["message"]
    assert (await compacted(bench(), 400, input=[]))["error"]["param"] == "input"
    assert (await compacted(bench(), 400, input=5))["error"]["param"] == "input"
    assert (await compacted(bench(), 404, model="other"))["error"]["code"] == "model_not_found"
    assert (await compacted(bench(), 400, previous_response_id="resp_1", input=None))["error"]["param"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"[" * 100_000])
async def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    assert (await bench().post(PATH, body)).status == 400


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
def test_the_path_of_the_request_that_is_asked_instead(path: str) -> None:
    asked, said = as_generation(Request("POST", path, body=b'{"input":"\xc3\xa9"}'))
    assert asked.path == "/v1/responses" and said[0]["content"] == "\u00e9"


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b'{"output":5}', b"{}"])
async def test_an_answer_that_is_none_is_the_backends_fault(body: bytes) -> None:
    with pytest.raises(UpstreamFault):
        await as_compaction(Response(200, [], body), [])


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def pieces() -> Any:
        yield b'{"output":[{"type":'
        yield b'"compaction"}]}'

    found = await as_compaction(Response(200, [("content-length", "9"), ("x-request-id", "r")], pieces()), [])
    assert found.headers == [("x-request-id", "r")]
    assert json.loads(await body_of(found))["output"] == [{"type": "compaction"}]
