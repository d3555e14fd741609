"""The table of endpoints."""

from __future__ import annotations

import pytest

from core.routes import Endpoint, NoRoute, match

GENERATES = [
    *((f"{prefix}/chat/completions", "chat_completions") for prefix in ("", "/v1", "/openai", "/openai/v1")),
    *((f"{prefix}/responses", "responses") for prefix in ("", "/v1", "/openai", "/openai/v1")),
    *((f"{prefix}/messages", "messages") for prefix in ("/v1", "/anthropic", "/anthropic/v1")),
]


@pytest.mark.parametrize(("path", "format_name"), GENERATES)
def test_every_spelling_of_the_paths(path: str, format_name: str) -> None:
    for spelling in (path, path + "/"):
        endpoint = match("POST", spelling, {})
        assert isinstance(endpoint, Endpoint)
        assert (endpoint.operation, endpoint.format, endpoint.model) == ("generate", format_name, None)
        assert isinstance(match("GET", spelling, {}), NoRoute)


WITH_MODEL = [
    ("/model/us.anthropic.claude%3A0/converse", "converse", "us.anthropic.claude:0", False),
    ("/model/m/converse-stream", "converse", "m", True),
    ("/model/arn%3Aaws%3Abedrock%3Ap%2Fx/invoke", "invoke", "arn:aws:bedrock:p/x", False),
    ("/model/m/invoke-with-response-stream", "invoke", "m", True),
    ("/v1beta/models/gemini-3:generateContent", "generate_content", "gemini-3", False),
    ("/v1/models/gemini-3:streamGenerateContent", "generate_content", "gemini-3", True),
    ("/openai/deployments/d/chat/completions", "chat_completions", "d", None),
]


@pytest.mark.parametrize(("path", "format_name", "model", "stream"), WITH_MODEL)
def test_paths_that_name_the_model(path: str, format_name: str, model: str, stream: bool | None) -> None:
    endpoint = match("POST", path, {})
    assert isinstance(endpoint, Endpoint)
    assert (endpoint.format, endpoint.model, endpoint.stream) == (format_name, model, stream)


def test_models_in_the_clients_shape() -> None:
    for path, headers, expected in (
        ("/v1/models", {}, "chat_completions"),
        ("/v1/models", {"anthropic-version": "x"}, "messages"),
        ("/v1/models/m", {"anthropic-version": "x"}, "messages"),
        ("/v1/models", {"x-goog-api-key": "x"}, "generate_content"),
        ("/v1/models/m", {"x-goog-api-key": "x"}, "generate_content"),
        ("/v1/models/a/b", {}, "chat_completions"),
        ("/v1beta/models", {}, "generate_content"),
        ("/v1beta/models/m", {}, "generate_content"),
        ("/anthropic/v1/models/m", {}, "messages"),
    ):
        endpoint = match("GET", path, headers)
        assert isinstance(endpoint, Endpoint)
        assert endpoint.format == expected


@pytest.mark.parametrize(
    ("path", "headers", "format_name"),
    [
        ("/v1/messages/x", {}, "messages"),
        ("/anthropic/x", {}, "messages"),
        ("/model/x", {}, "converse"),
        ("/v1beta/x", {}, "generate_content"),
        ("/v1/responses/x/cancel", {}, "responses"),
        ("/responses/x/cancel", {}, "responses"),
        ("/x", {"anthropic-version": "1"}, "messages"),
        ("/x", {"x-goog-api-key": "1"}, "generate_content"),
        ("/x", {"authorization": "AWS4-HMAC-SHA256 x"}, "converse"),
        ("/x", {}, "chat_completions"),
    ],
)
def test_the_format_of_an_error_for_an_unknown_path(path: str, headers: dict[str, str], format_name: str) -> None:
    assert match("POST", path, headers) == NoRoute(format_name)


@pytest.mark.parametrize("page", ["", "/m"])
def test_a_path_of_one_vendor_alone_says_whose_it_is(page: str) -> None:
    headers = {"x-goog-api-key": "x", "anthropic-version": "2023-06-01"}
    for path, format_name in (("/anthropic/v1/models", "messages"), ("/v1beta/models", "generate_content")):
        endpoint = match("GET", path + page, headers)
        assert isinstance(endpoint, Endpoint) and endpoint.format == format_name


def test_a_method_of_googles_that_is_not_here_is_no_page_of_a_model() -> None:
    embeds = match("POST", "/v1/models/m:batchEmbedContents", {"x-goog-api-key": "x"})
    assert embeds == NoRoute("generate_content")


def test_another_method_is_named() -> None:
    assert match("DELETE", "/model/m/converse", {}) == NoRoute("converse", ("POST",))
    assert match("POST", "/v1beta/models/m", {}) == NoRoute("generate_content", ("GET",))
    assert match("HEAD", "/", {}) == match("GET", "/", {})
