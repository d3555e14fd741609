"""OpenAI's SDK leans on earlier answers, as it may with OpenAI, on backends that keep none: the gateway keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from handlers.cli import main
from tests.backend_server import BackendServer
from tests.clients.agent_backend import DIALECTS, Agent, ToolUse
from tests.clients.backends import document_for
from tests.served import Served, served

pytestmark = pytest.mark.clients

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
QUESTION = "What is the weather in Bern?"
SAID = "The tool said: 4|degrees"
KEY = "service-key"
BACKENDS = sorted(DIALECTS)


def client_of(gateway: Served, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def answer(client: openai.OpenAI, stream: bool, **asked: Any) -> Any:
    if not stream:
        return client.responses.create(model="m", **asked)
    with client.responses.stream(model="m", **asked) as events:
        for _ in events:
            pass
        return events.get_final_response()


async def on_backend(
    tmp_path: Path, format_name: str, agent: Agent, work: Callable[[Served, BackendServer], None]
) -> None:
    """Runs `work` beside a gateway with a store, whose one backend keeps no responses."""
    async with BackendServer(agent) as backend:
        document = document_for(format_name, backend.url)
        document["backends"]["scripted"]["keeps_responses"] = False
        variables = {"SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'made.db'}", "SERVICE_API_KEY": KEY}
        async with served(tmp_path, document, variables) as gateway:
            await asyncio.to_thread(work, gateway, backend)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("format_name", BACKENDS)
async def test_a_tool_is_used_over_previous_response_id(tmp_path: Path, format_name: str, stream: bool) -> None:
    agent = Agent(format_name, ToolUse("weather", {"city": "Bern"}))

    def work(gateway: Served, backend: BackendServer) -> None:
        with client_of(gateway) as client:
            first = answer(client, stream, input=QUESTION, tools=TOOLS, reasoning={"effort": "low"})
            [call] = [item for item in first.output if item.type == "function_call"]
            output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "4 degrees"}]
            second = answer(client, stream, input=output, tools=TOOLS, previous_response_id=first.id)
            assert second.output_text.strip() == SAID
            third = answer(client, stream, input="Thank you.", previous_response_id=second.id)
            assert third.status == "completed"
            if format_name != "responses":
                assert second.previous_response_id == first.id
            sent = backend.received[-1].body.decode()
            assert [sent.count(text) for text in (QUESTION, "4 degrees", "4|degrees", "Thank you.")] == [1, 1, 1, 1]

    await on_backend(tmp_path, format_name, agent, work)
    expected = {"chat_completions": False}.get(format_name, True)  # its format has no slot for a state
    assert agent.states[0] is expected


async def test_items_are_referred_to_as_the_ai_sdk_does(tmp_path: Path) -> None:
    agent = Agent("messages", ToolUse("weather", {"city": "Bern"}))

    def work(gateway: Served, backend: BackendServer) -> None:
        with client_of(gateway) as client:
            first = answer(client, True, input=QUESTION, tools=TOOLS, reasoning={"effort": "low"})
            references = [{"type": "item_reference", "id": item.id} for item in first.output]
            [call] = [item for item in first.output if item.type == "function_call"]
            result = {"type": "function_call_output", "call_id": call.call_id, "output": "4 degrees"}
            items: Any = [{"role": "user", "content": QUESTION}, *references, result]
            second = client.responses.with_raw_response.create(model="m", input=items, tools=TOOLS)
            assert second.parse().output_text == SAID
            assert "input" not in second.headers.get("x-skybridge-dropped", "")

    await on_backend(tmp_path, "messages", agent, work)
    assert agent.states == [True]


async def test_a_kept_response_is_read_listed_and_deleted(tmp_path: Path) -> None:
    def work(gateway: Served, backend: BackendServer) -> None:
        with client_of(gateway) as client:
            first = answer(client, True, input=QUESTION)
            second = answer(client, False, input="And now?", previous_response_id=first.id)
            found = client.responses.retrieve(second.id)
            assert (found.id, found.output_text, found.model) == (second.id, second.output_text, "m")
            listed = client.responses.input_items.list(second.id, order="asc").data
            assert [getattr(item, "role", None) for item in listed] == ["user", "assistant", "user"]
            page: Any = client.responses.input_items.list(second.id, limit=1)
            assert [item.content[0].text for item in page] == ["And now?", "A short title", QUESTION]
            client.responses.delete(second.id)
            ways: list[Any] = [client.responses.retrieve, client.responses.delete, client.responses.input_items.list]
            for gone in ways:
                with pytest.raises(openai.NotFoundError, match="not found"):
                    gone(second.id)
            with pytest.raises(openai.BadRequestError) as refused:
                answer(client, False, input="x", previous_response_id=second.id)
            assert (refused.value.code, refused.value.param) == (
                "previous_response_not_found", "previous_response_id",
            )  # fmt: skip
            assert answer(client, False, input="x", previous_response_id=first.id).status == "completed"

    await on_backend(tmp_path, "messages", Agent("messages", ToolUse("none", {})), work)


async def test_what_is_not_to_be_stored_is_not(tmp_path: Path) -> None:
    def work(gateway: Served, backend: BackendServer) -> None:
        with client_of(gateway) as client:
            for stream in (False, True):
                answered = answer(client, stream, input=QUESTION, store=False)
                with pytest.raises(openai.NotFoundError):
                    client.responses.retrieve(answered.id)

    await on_backend(tmp_path, "converse", Agent("converse", ToolUse("none", {})), work)


async def test_responses_are_their_callers_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = f"sqlite:{tmp_path / 'made.db'}"
    keys = []
    for owner in ("a", "b"):
        assert await asyncio.to_thread(main, ["keys", "create", "--owner", owner, "--store", store]) == 0
        keys.append(next(word for word in capsys.readouterr().out.split() if word.startswith("sk-sky")))

    def work(gateway: Served, backend: BackendServer) -> None:
        with client_of(gateway, keys[0]) as mine, client_of(gateway, keys[1]) as other:
            first = answer(mine, False, input=QUESTION)
            assert mine.responses.retrieve(first.id).id == first.id
            with pytest.raises(openai.NotFoundError):
                other.responses.retrieve(first.id)
            with pytest.raises(openai.BadRequestError, match="not found"):
                answer(other, False, input="x", previous_response_id=first.id)
            reference: Any = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "x"}]
            with pytest.raises(openai.BadRequestError):
                answer(other, False, input=reference)

    await on_backend(tmp_path, "messages", Agent("messages", ToolUse("none", {})), work)


async def test_without_a_store_there_is_nothing_to_ask_for(tmp_path: Path) -> None:
    async with BackendServer(Agent("messages", ToolUse("none", {}))) as backend:
        async with served(tmp_path, document_for("messages", backend.url)) as gateway:

            def work() -> None:
                with client_of(gateway) as client:
                    first = answer(client, False, input=QUESTION)
                    with pytest.raises(openai.NotFoundError, match="SKYBRIDGE_STORE"):
                        client.responses.retrieve(first.id)
                    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
                        answer(client, False, input="x", previous_response_id=first.id)

            await asyncio.to_thread(work)
