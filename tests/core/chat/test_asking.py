"""Questions of the chat API as requests to the gateway's own endpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.chat.asking import PATHS, Question, Room, ask, first_candidate
from core.chat.messages import Attachment, Said
from core.configuration import read_configuration
from core.errors import ClientFault
from core.events import Finished, PartDelta
from core.http import Request
from core.routes import Endpoint, match
from core.routing.registry import Route

CLIENT = Request("POST", "/api/v1/chat", "", {"user-agent": "me/1", "x-skybridge-fault": "status=500", "cookie": "c"},
                 deadline=5.0, first_byte_deadline=4.0, principal="p")  # fmt: skip
VARIABLES = {name: "k" for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AZURE_OPENAI_API_KEY")}
IMAGE = Attachment("image", "image/png", "aGk=", "a.png")


def route_of(type_name: str, api_model: str = "m", **row: Any) -> Route:
    backend = {"type": type_name, "base_url": "http://b"}
    document = {"backends": {"b": backend}, "models": {"asked": {"backend": "b", "api_model": api_model, **row}}}
    return read_configuration(document, VARIABLES).registry.resolve("asked")


def body_of(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.body)
    return body


@pytest.mark.parametrize(
    ("type_name", "path"),
    [
        ("anthropic", "/v1/messages"), ("openai", "/v1/responses"), ("openai-compatible", "/v1/chat/completions"),
        ("demo", "/v1/messages"), ("gemini", "/v1/messages"), ("bedrock", "/v1/messages"),
    ],
)  # fmt: skip
def test_a_question_is_put_in_a_format_of_the_first_candidate(type_name: str, path: str) -> None:
    route = route_of(type_name)
    question = Question("asked", [Said("user", "Hi")], "Be brief.", 0.5, 100, session="s_1")
    request = ask(question, route, CLIENT).request
    body = body_of(request)
    assert request.path == path and isinstance(match("POST", path, {}), Endpoint)
    assert body["model"] == "asked" and body["stream"] is True and body["temperature"] == 0.5
    assert "Be brief." in json.dumps(body) and "Hi" in json.dumps(body) and "100" in json.dumps(body)
    assert request.headers["user-agent"] == "me/1" and request.headers["x-claude-code-session-id"] == "s_1"
    assert request.headers["x-skybridge-fault"] == "status=500" and "cookie" not in request.headers
    assert (request.deadline, request.first_byte_deadline, request.principal) == (5.0, 4.0, "p")
    assert "x-claude-code-session-id" not in ask(Question("asked", question.messages), route, CLIENT).request.headers


def test_the_router_form_asks_in_its_own_format() -> None:
    for kind, format_name in (("openai", "chat_completions"), ("anthropic", "messages")):
        document = {
            "model_mapping": {"asked": ["m"]},
            "providers": [{"name": "p", "type": kind, "api_key": "k", "base_url": "http://b/v1", "priority": 1}],
        }
        route = read_configuration(document, {}).registry.resolve("asked")
        assert ask(Question("asked", [Said("user", "Hi")]), route, CLIENT).request.path == PATHS[format_name]


@pytest.mark.parametrize(
    ("name", "format_name"), [("claude-opus-4-5", "messages"), ("gpt-4.1", "chat_completions"), ("own", "messages")]
)
def test_the_router_form_asks_the_providers_of_the_names_vendor(name: str, format_name: str) -> None:
    """Whose a name is that no table knows, nobody can tell: the first provider is asked."""
    providers = [
        {"name": kind, "type": kind, "api_key": "k", "base_url": "http://b", "priority": priority}
        for kind, priority in (("openai", 1 if name.startswith("claude") else 2), ("anthropic", 1))
    ]
    registry = read_configuration({"model_mapping": {"asked": [name]}, "providers": providers}, {}).registry
    route = registry.resolve("asked")
    assert ask(Question("asked", [Said("user", "Hi")]), route, CLIENT).request.path == PATHS[format_name]


def test_files_effort_and_defaults_go_along() -> None:
    route = route_of("anthropic", "claude-sonnet-4-5", max_tokens=77)
    asked = ask(Question("asked", [Said("user", "Look", [IMAGE])], effort="high"), route, CLIENT)
    body = body_of(asked.request)
    assert body["messages"][0]["content"][0]["source"]["data"] == "aGk="
    assert "thinking" in body and body["max_tokens"] >= 77
    assert body_of(ask(Question("asked", [Said("user", "a")], max_tokens=9), route, CLIENT).request)["max_tokens"] == 9
    assert body_of(ask(Question("asked", [Said("user", "a")]), route, CLIENT).request)["max_tokens"] == 77


def test_what_the_model_does_not_take_is_told_or_refused() -> None:
    asked = ask(Question("asked", [Said("user", "a")], temperature=0.5), route_of("openai", "gpt-5"), CLIENT)
    assert asked.dropped == ["temperature"]
    with pytest.raises(ClientFault) as caught:
        ask(Question("asked", [Said("user", "a", [IMAGE])]), route_of("openai", "gpt-3.5-turbo"), CLIENT)
    assert caught.value.param == "attachments" and caught.value.status == 400


def test_the_answer_is_read_with_the_decoder_of_the_same_format() -> None:
    asked = ask(Question("asked", [Said("user", "a")]), route_of("openai-compatible"), CLIENT)
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    events = asked.decoder.feed(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
    assert any(isinstance(event, PartDelta) and event.value == "Hi" for event in events)
    assert isinstance(events[-1], Finished)


def test_the_smallest_context_of_a_chain_counts() -> None:
    document = {
        "backends": {"a": {"type": "anthropic"}, "o": {"type": "openai"}},
        "models": {
            "both": {"candidates": [
                {"backend": "a", "api_model": "claude-sonnet-4-5", "priority": 1},
                {"backend": "o", "api_model": "gpt-3.5-turbo", "priority": 2},
            ]},
            "large": {"backend": "a", "api_model": "claude-sonnet-4-5"}, "strange": {"backend": "o", "api_model": "x"},
        },
    }  # fmt: skip
    registry = read_configuration(document, VARIABLES).registry
    question = Question("both", [Said("user", "a")])
    both, large, strange = (Room(registry.resolve(name), question).left for name in ("both", "large", "strange"))
    assert 0 < both < 16_000 < strange < 128_000 < large < 200_000
    assert first_candidate(registry.resolve("both")).api_model == "claude-sonnet-4-5"
    longer = Question("both", [Said("user", "word " * 1000)], "system " * 500, max_tokens=8000)
    room = Room(registry.resolve("both"), longer)
    assert room.left < both - 5000 and room.tokens(Said("user", "word " * 100)) > 100
