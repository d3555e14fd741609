"""google-genai's `.parsed` for schemas that are no object at their top, on a backend of every other format."""

from __future__ import annotations

import enum
import json
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types
from pydantic import BaseModel

from core.conversation import Answer, Block, Conversation, Text, ToolCall
from core.events import PartDelta, events_of
from core.formats import load_format, load_wire
from core.formats.contract import Reply
from core.http import Request
from core.slotted import replace
from core.stop import Stop
from core.translation.structured_output import TOOL_NAME
from tests.gateways import Bench, body_of
from tests.scripted import Play
from tests.translation.pairs import document_of


class Recipe(BaseModel):
    name: str
    steps: list[str]


class Section(enum.Enum):
    BRASS = "Brass"
    STRINGS = "Strings (all)"


RECIPES = [Recipe(name="Soup", steps=["boil", "eat }"]), Recipe(name="Bread", steps=[])]
DATA = [recipe.model_dump() for recipe in RECIPES]
JSON = "application/json"
# What is asked for, what the backend's model says in the member, and what `.parsed` gives.
CASES: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "list": ({"response_mime_type": JSON, "response_schema": list[Recipe]}, DATA, RECIPES),
    "word": ({"response_mime_type": "text/x.enum", "response_schema": Section}, "Strings (all)", Section.STRINGS),
    "enum": ({"response_mime_type": JSON, "response_schema": Section}, "Brass", Section.BRASS),
    "number": ({"response_mime_type": JSON, "response_schema": int}, 42, 42),
    "text": ({"response_mime_type": JSON, "response_schema": str}, "gr\u00fcn", "gr\u00fcn"),
    "union": ({"response_mime_type": JSON, "response_schema": Recipe | int}, DATA[0], DATA[0]),
    "JSON Schema": (
        {"response_mime_type": JSON, "response_json_schema": {"type": "array", "items": {"type": "integer"}}},
        [1, 2],
        [1, 2],
    ),
}
BACKENDS = ("chat_completions", "responses", "messages", "converse")


def play(backend: str, text: str, stream: bool) -> Play:
    """The backend's answer, its text (Nova's call) cut into small pieces."""
    block: Block = ToolCall("call_1", TOOL_NAME, text) if backend == "converse" else Text(text)
    answer = Answer("id", "model", [block], Stop("tool_use" if backend == "converse" else "end_turn"))
    reply = Reply("model", "A" * 20, 1, Conversation("messages", "model", include_usage=True))
    written = load_format(backend)
    if not stream:
        body = json.dumps(written.write_response(answer, reply)).encode()
        return Play(headers={"content-type": "application/json"}, chunks=[body])
    encoder, out = written.StreamEncoder(reply), []
    for event in events_of(answer):
        pieces = [event]
        if isinstance(event, PartDelta):
            pieces = [replace(event, value=event.value[at : at + 3]) for at in range(0, len(event.value), 3)]
        out += [encoder.emit(piece) for piece in pieces]
    kind = load_wire(backend).STREAM_CONTENT_TYPE
    return Play(headers={"content-type": kind}, chunks=[b"".join(out), encoder.close()])


class Through(httpx.AsyncBaseTransport):
    """The SDK's transport: the gateway itself."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path, request.url.query.decode()
        asked = Request(request.method, path, query, dict(request.headers), await request.aread())
        answer = await self.bench.gateway.handle(asked)
        return httpx.Response(answer.status, headers=list(answer.headers), content=await body_of(answer))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
async def test_the_sdk_parses_answers_that_are_no_object(name: str, backend: str) -> None:
    config, said, parsed = CASES[name]
    text = json.dumps({"value": said}, indent=1)
    document = document_of(backend)
    for stream in (False, True):
        bench = Bench(document, [play(backend, text, stream)])
        options = types.HttpOptions(httpx_async_client=httpx.AsyncClient(transport=Through(bench)))
        models = genai.Client(api_key="k", http_options=options).aio.models
        asked: Any = {"model": "m", "contents": "Which?", "config": config}
        if stream:
            shown = "".join([chunk.text or "" async for chunk in await models.generate_content_stream(**asked)])
            assert shown == (said if name == "word" else json.dumps({"value": said}, indent=1)[12:-2])
        else:
            answer = await models.generate_content(**asked)
            assert answer.parsed == parsed
        sent = json.loads(bench.transport.requests[0].body)
        assert '"value"' in json.dumps(sent)
