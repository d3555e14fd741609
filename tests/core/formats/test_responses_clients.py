"""OpenAI's own SDK reads what this format writes: whole answers, streams, and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import openai
import pytest
from openai.types.responses import Response

from core.conversation import (
    Answer,
    Citation,
    Conversation,
    Origin,
    Reasoning,
    Refusal,
    Stop,
    Text,
    ToolCall,
)
from core.errors import ClientFault, Refused, upstream_fault
from core.events import Event, Failed, events_of
from core.formats.responses import wire
from core.formats.responses.response import write_response
from core.formats.responses.stream_encoder import StreamEncoder
from core.usage import Usage
from tests.core.formats.responses_cases import reply
from tests.wire.fixtures import fixture

ANSWER = Answer(
    id="msg_1",
    model="claude",
    content=[
        Reasoning(["Think."], signature="sig", origin=Origin("anthropic")),
        Text("Hello ", citations=[Citation(url="https://e.org", title="E")]),
        Text("world."),
        ToolCall("toolu_1", "weather", '{"city":"Bern"}'),
        ToolCall("toolu_2", "patch", "***", kind="custom"),
    ],
    stop=Stop("tool_use"),
    usage=Usage(10, 5, cache_read_tokens=3, reasoning_tokens=2),
    format="messages",
)
CONVERSATION = Conversation("responses", "m", store=False)


@pytest.fixture(name="client")
def _client() -> Iterator[Callable[[httpx.Response], openai.OpenAI]]:
    opened: list[httpx.Client] = []

    def connect(answer: httpx.Response) -> openai.OpenAI:
        http = httpx.Client(transport=httpx.MockTransport(lambda request: answer))
        opened.append(http)
        return openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)

    yield connect
    for http in opened:
        http.close()


Client = Callable[[httpx.Response], openai.OpenAI]


def _encoded(*events: Event) -> bytes:
    encoder = StreamEncoder(reply(CONVERSATION))
    return b"".join(encoder.emit(event) for event in events) + encoder.close()


def _stream(data: bytes) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=data)


def _assert_answer(response: Response) -> None:
    assert response.output_text == "Hello world."
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "custom_tool_call"]
    reasoning, _, call, custom = response.output
    assert reasoning.type == "reasoning"
    assert reasoning.encrypted_content
    assert call.type == "function_call"
    assert (call.call_id, call.arguments) == ("toolu_1", '{"city":"Bern"}')
    assert custom.type == "custom_tool_call"
    assert custom.input == "***"
    assert response.usage is not None
    assert response.usage.input_tokens_details.cached_tokens == 3
    assert (response.usage.input_tokens, response.usage.total_tokens) == (13, 18)


def test_a_whole_answer(client: Client) -> None:
    body = write_response(ANSWER, reply(CONVERSATION))
    response = client(httpx.Response(200, json=body)).responses.create(model="m", input="Hi")
    _assert_answer(response)
    assert response.model == "asked-for"


def test_the_streaming_helper_builds_the_same_answer(client: Client) -> None:
    answer = _stream(_encoded(*events_of(ANSWER)))
    with client(answer).responses.stream(model="m", input="Hi") as stream:
        kinds = [event.type for event in stream]
        _assert_answer(stream.get_final_response())
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_a_plain_stream(client: Client) -> None:
    data = wire.PING + _encoded(*events_of(ANSWER))
    events = list(client(_stream(data)).responses.create(model="m", input="Hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    _assert_answer(last.response)


def test_a_refusal_and_an_incomplete_answer(client: Client) -> None:
    answer = Answer("x", "m", [Refusal("No.")], Stop("max_tokens"), format="converse")
    with client(_stream(_encoded(*events_of(answer)))).responses.stream(model="m", input="Hi") as stream:
        events = list(stream)
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"


FAULT = upstream_fault("overloaded", "Busy.", 529)


@pytest.mark.parametrize("sent", [0, 1, 8], ids=["at once", "after the start", "in the middle"])
def test_a_failure_raises(client: Client, sent: int) -> None:
    events = [*list(events_of(ANSWER))[:sent], Failed(FAULT)]
    stream = client(_stream(_encoded(*events))).responses.create(model="m", input="Hi", stream=True)
    with pytest.raises(openai.APIError, match="Busy"):
        list(stream)


def test_a_failure_in_pass_through_raises(client: Client) -> None:
    recorded = fixture("streams", "responses/made-text.sse")
    cut = recorded[: recorded.index(b"event: response.output_text.done")]
    data = cut + wire.error_event(FAULT, "req_1")
    with (
        pytest.raises(openai.APIError, match="Busy"),
        client(_stream(data)).responses.stream(model="m", input="Hi") as stream,
    ):
        stream.until_done()


ERRORS = [
    (ClientFault("bad_request", "Bad.", param="input"), openai.BadRequestError),
    (Refused("authentication", "Who?"), openai.AuthenticationError),
    (ClientFault("model_not_found", "No such model."), openai.NotFoundError),
    (Refused("rate_limit", "Slow."), openai.RateLimitError),
    (upstream_fault("upstream", "Broke.", 520), openai.InternalServerError),
]


@pytest.mark.parametrize(("error", "raised"), ERRORS)
def test_errors_are_the_sdks_own(client: Client, error: ClientFault, raised: type[openai.APIStatusError]) -> None:
    answer = wire.write_error(error, "req_1")
    response = httpx.Response(answer.status, headers=answer.headers, content=answer.body)
    with pytest.raises(raised) as caught:
        client(response).responses.create(model="m", input="Hi")
    assert caught.value.param == error.param
    assert error.message in caught.value.message
