"""Which responses the gateway keeps, what it makes of references to them, and what it leaves to a backend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from core.http import Request, Response
from core.kept_responses import portable
from core.ports import StoredDocument, StoreFault
from tests.gateways import Bench, body_of
from tests.samples import answer_body, stream_frames
from tests.scripted import Play

JSON = {"content-type": "application/json"}
PATH = "/v1/responses"
BEFORE = [{"role": "user", "content": "One."}]
ANSWERED = {"type": "message", "id": "msg_0", "role": "assistant", "content": [{"type": "output_text", "text": "Two."}]}
THOUGHT = {"type": "reasoning", "id": "rs_0", "summary": []}


class Kept:
    """core.ports.KeptResponses in memory; with `away`, a store that cannot be reached."""

    def __init__(self, **documents: StoredDocument) -> None:
        self.documents: dict[str, StoredDocument] = dict(documents)
        self.away = False
        self.flushed = 0

    def _check(self) -> None:
        if self.away:
            raise StoreFault("away")

    async def response(self, owner: str, response_id: str) -> StoredDocument | None:
        self._check()
        return self.documents.get(response_id)

    async def items(self, owner: str, ids: Sequence[str]) -> Mapping[str, Any]:
        self._check()
        items = [item for document in self.documents.values() for item in document["output"]]
        return {item["id"]: item for item in items if item.get("id") in ids}

    def keep(self, owner: str, response_id: str, document: StoredDocument) -> None:
        self.documents[response_id] = document

    async def delete(self, owner: str, response_id: str) -> bool:
        self._check()
        return self.documents.pop(response_id, None) is not None

    async def flush(self) -> None:
        self.flushed += 1


def kept() -> Kept:
    return Kept(resp_0={"input": BEFORE, "output": [THOUGHT, ANSWERED], "response": {"id": "resp_0"}})


def bench(*plays: Play, kinds: Sequence[str] = ("anthropic",), store: Kept | None = None, **options: Any) -> Bench:
    """A gateway whose model has one backend of each of `kinds`, in this order."""
    backends = {
        f"b{number}": {"type": kind, "base_url": f"http://b{number}/v1", "api_key": "k", **options}
        for number, kind in enumerate(kinds)
    }
    rows = [{"backend": name, "api_model": "m", "priority": index} for index, name in enumerate(backends)]
    made = Bench({"backends": backends, "models": {"m": {"candidates": rows}}}, plays)
    found = kept() if store is None else store
    made.gateway.ports.responses = lambda: found
    return made


def whole(format_name: str) -> Play:
    return Play(headers=JSON, chunks=[answer_body(format_name)])


async def ask(made: Bench, **members: Any) -> Response:
    return await made.post(PATH, json.dumps({"model": "m", "input": "Three.", **members}).encode())


def sent(made: Bench) -> Any:
    return json.loads(made.transport.requests[-1].body)


async def told(response: Response) -> Any:
    return json.loads(await body_of(response))


async def test_a_backend_that_keeps_its_own_is_left_alone() -> None:
    store = kept()
    made = bench(whole("responses"), kinds=("openai",), store=store)
    body = b'{ "model":"m", "input" : "Three.",  "previous_response_id":"resp_0" }'
    assert (await made.post(PATH, body)).status == 200
    assert made.transport.requests[-1].body == body
    assert list(store.documents) == ["resp_0"]


@pytest.mark.parametrize("kinds", [("openai", "openai"), ("openrouter",)])
async def test_a_native_backend_gets_what_an_id_stands_for(kinds: Sequence[str]) -> None:
    store = kept()
    made = bench(whole("responses"), kinds=kinds, store=store)
    answered = await ask(made, previous_response_id="resp_0", temperature=1.50)
    assert answered.status == 200
    assert answered.header("x-skybridge-dropped") == "previous_response_id.reasoning"
    bare = {name: value for name, value in ANSWERED.items() if name != "id"}
    assert sent(made)["input"] == [*BEFORE, bare, {"role": "user", "content": "Three."}]
    assert "previous_response_id" not in sent(made)
    assert made.records[-1].edits[:2] == ["input", "previous_response_id"]
    assert store.documents["resp_1"]["input"] == sent(made)["input"]


async def test_reasoning_that_cannot_be_looked_up_is_named() -> None:
    """Behind a reference too, and for a candidate of another format beside a native one."""
    items = [THOUGHT, {"type": "item_reference", "id": "msg_0"}, {"role": "user", "content": "Three."}]
    made = bench(whole("responses"), whole("responses"), kinds=("openai", "openai"))
    assert (await ask(made, input=items)).header("x-skybridge-dropped") == "input.reasoning"
    assert (await ask(made, input=items[1:])).header("x-skybridge-dropped") is None
    made = bench(whole("messages"), kinds=("anthropic", "openai"))
    told_of = (await ask(made, input=items)).header("x-skybridge-dropped") or ""
    assert "input.reasoning" in told_of.split(", ")


async def test_requests_without_references_pass_as_they_are_and_are_kept() -> None:
    store = kept()
    made = bench(Play(chunks=stream_frames("responses")), kinds=("openai", "openai"), store=store)
    body = b'{ "model":"m", "input" : "h\\u00e9llo",  "stream": true }'
    answered = await made.post(PATH, body)
    assert await body_of(answered) == b"".join(stream_frames("responses"))
    assert made.transport.requests[-1].body == body
    assert store.documents["resp_1"]["output"] and store.flushed == 1


async def test_an_id_of_the_backends_own_passes() -> None:
    made = bench(whole("responses"), kinds=("openai", "openai"))
    assert (await ask(made, previous_response_id="resp_theirs")).status == 200
    assert sent(made)["previous_response_id"] == "resp_theirs"


async def test_an_unknown_id_is_refused_in_the_words_of_openai() -> None:
    made = bench()
    answered = await ask(made, previous_response_id="resp_none")
    error = (await told(answered))["error"]
    assert (answered.status, error["code"], error["param"]) == (
        400, "previous_response_not_found", "previous_response_id",
    )  # fmt: skip
    assert error["message"] == "Previous response with id 'resp_none' not found."
    assert not made.transport.requests


async def test_a_translated_answer_says_what_it_continues_and_its_store_is_no_loss() -> None:
    made = bench(whole("messages"))
    answered = await ask(made, previous_response_id="resp_0", store=True)
    body = await told(answered)
    assert (body["previous_response_id"], body["store"]) == ("resp_0", True)
    assert "store" not in (answered.header("x-skybridge-dropped") or "")
    texts = [message["content"] for message in sent(made)["messages"]]
    assert json.dumps(texts).count("Two.") == 1


async def test_what_is_not_to_be_stored_is_not_kept() -> None:
    store = Kept()
    assert (await ask(bench(whole("messages"), store=store), store=False)).status == 200
    assert store.documents == {}


async def test_references_become_the_items_or_stay() -> None:
    made = bench(whole("messages"))
    items = [{"role": "user", "content": "One."}, {"type": "item_reference", "id": "msg_0"}]
    assert (await ask(made, input=[*items, {"role": "user", "content": "Three."}])).status == 200
    assert "Two." in made.transport.requests[-1].body.decode()
    made = bench(whole("messages"))
    items[1]["id"] = "msg_none"
    assert (await ask(made, input=items)).status == 400


@pytest.mark.parametrize(
    ("items", "left"),
    [
        ([THOUGHT], []),
        ([THOUGHT, ANSWERED, THOUGHT], [{key: ANSWERED[key] for key in ANSWERED if key != "id"}]),
        ([{**THOUGHT, "encrypted_content": "x"}, ANSWERED], [{**THOUGHT, "encrypted_content": "x"}, ANSWERED]),
        ([THOUGHT, *BEFORE, ANSWERED], [{"role": "user", "content": "One."}, ANSWERED]),
    ],
)
def test_what_another_backend_cannot_look_up_is_left_out(items: Any, left: Any) -> None:
    assert portable(items) == left


@pytest.mark.parametrize("last", [b'{"response": "completed"', b"[1]", b'{"response": {"status": "completed"}}'])
async def test_what_is_no_finished_response_is_not_kept(last: bytes) -> None:
    store = Kept()
    frames = stream_frames("responses")
    odd = b'event: response.in_progress\ndata: {"type":"response.completed"}\n\ndata: ' + last + b"\n\n"
    made = bench(Play(chunks=[frames[0], *frames[1:-1], odd]), kinds=("openrouter",), store=store)
    await body_of(await ask(made, stream=True))
    assert store.documents == {}


async def test_a_store_that_is_away_is_a_503_where_it_is_needed() -> None:
    store = kept()
    store.away = True
    made = bench(whole("messages"), store=store)
    assert (await ask(made)).status == 200
    assert (await ask(made, previous_response_id="resp_0")).status == 503
    assert (await made.get(f"{PATH}/resp_0")).status == 503


async def get(made: Bench, path: str, query: str = "", method: str = "GET") -> Response:
    return await made.gateway.handle(Request(method, PATH + path, query, {}))


async def test_a_response_over_http() -> None:
    made = bench()
    assert await told(await get(made, "/resp_0")) == {"id": "resp_0"}
    assert (await get(made, "/resp_0", "stream=true")).status == 400
    assert (await get(made, "/resp_9")).status == 404
    assert (await get(made, "/resp_9", method="DELETE")).status == 404
    deleted = await told(await get(made, "/resp_0", method="DELETE"))
    assert deleted == {"id": "resp_0", "object": "response", "deleted": True}
    made.gateway.ports.responses = None
    missing = await get(made, "/resp_0")
    assert missing.status == 404 and "SKYBRIDGE_STORE" in (await told(missing))["error"]["message"]


async def test_the_input_of_a_response_in_pages() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "Two."}]}
    store = Kept(resp_0={"input": [*BEFORE, said, call], "output": [], "response": {}})
    made = bench(store=store)
    page = await told(await get(made, "/resp_0/input_items", "order=asc&limit=2"))
    assert [item["content"][0]["type"] for item in page["data"]] == ["input_text", "output_text"]
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("in_0_0", "in_0_1", True)
    rest = await told(await get(made, "/resp_0/input_items", "order=asc&after=in_0_1"))
    assert (rest["data"], rest["has_more"]) == ([call], False)
    assert (await told(await get(made, "/resp_0/input_items", "after=in_0_0")))["first_id"] is None
    for limit in ("0", "101", "x", "9" * 5000):
        assert (await get(made, "/resp_0/input_items", f"limit={limit}")).status == 400
