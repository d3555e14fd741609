"""The one table of endpoints: method and path to what is asked, and in which wire format.

A path is matched percent-encoded, without its query; a trailing slash is forgiven.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Literal

from core.slotted import slotted

type Operation = Literal[
    "generate", "embeddings", "count_tokens", "models", "model", "health", "ready", "root", "quiet",
    "backend_health", "backend_details", "usage", "response", "response_input", "delete_response", "console", "metrics",
    "compact",
]


@slotted(frozen=True)
class Endpoint:
    """What a path asks for. `format` is the wire format of request, answer and errors.

    `model` and `stream` are set where the path says them, None where the body does. `databricks` and the like:
    `backend` names the backend type that a dedicated path is bound to.
    """

    operation: Operation
    format: str
    model: str | None = None
    stream: bool | None = None
    backend: str | None = None


@slotted(frozen=True)
class NoRoute:
    """No endpoint. `format` is the one that path and headers suggest; `allow` is set where another method fits."""

    format: str
    allow: tuple[str, ...] = ()


_OPENAI_PREFIXES = ("", "/v1", "/openai", "/openai/v1")
_ANTHROPIC_PREFIXES = ("/v1", "/anthropic/v1", "/anthropic")


def _static_routes() -> dict[str, dict[str, Endpoint]]:
    table: dict[str, dict[str, Endpoint]] = {}

    def add(method: str, path: str, endpoint: Endpoint) -> None:
        table.setdefault(path, {})[method] = endpoint

    add("GET", "/api/v1/usage", Endpoint("usage", "api"))
    add("GET", "/metrics", Endpoint("metrics", "api"))
    for path in ("/docs", "/openapi.json"):
        add("GET", path, Endpoint("console", "api"))
    for prefix in _OPENAI_PREFIXES:
        add("POST", f"{prefix}/chat/completions", Endpoint("generate", "chat_completions"))
        add("POST", f"{prefix}/responses", Endpoint("generate", "responses"))
        add("POST", f"{prefix}/responses/input_tokens", Endpoint("count_tokens", "responses"))
        add("POST", f"{prefix}/responses/compact", Endpoint("compact", "responses", stream=False))
        add("POST", f"{prefix}/embeddings", Endpoint("embeddings", "chat_completions"))
        add("GET", f"{prefix}/models", Endpoint("models", "chat_completions"))
    for prefix in _ANTHROPIC_PREFIXES:
        add("POST", f"{prefix}/messages", Endpoint("generate", "messages"))
        add("POST", f"{prefix}/messages/count_tokens", Endpoint("count_tokens", "messages"))
    for path, stream in (("", None), ("/stream", True)):
        add("POST", f"/v1/databricks/messages{path}", Endpoint("generate", "messages", None, stream, "databricks"))
    add("POST", "/v1/databricks/messages/count_tokens", Endpoint("count_tokens", "messages", backend="databricks"))
    add("GET", "/v1/databricks/health", Endpoint("backend_health", "messages", backend="databricks"))
    add("GET", "/v1/databricks/health/detailed", Endpoint("backend_details", "messages", backend="databricks"))
    add("GET", "/anthropic/v1/models", Endpoint("models", "messages"))
    add("GET", "/v1beta/models", Endpoint("models", "generate_content"))
    add("GET", "/health", Endpoint("health", "chat_completions"))
    add("GET", "/ready", Endpoint("ready", "chat_completions"))
    add("GET", "/", Endpoint("root", "chat_completions"))
    # What Claude Code asks for at its start, and the telemetry that it posts: both are answered with nothing.
    add("GET", "/api/hello", Endpoint("quiet", "messages"))
    add("POST", "/api/event_logging/batch", Endpoint("quiet", "messages"))
    return table


_STATIC = _static_routes()

# What the application of handlers.console answers, its own 404s included.
_CONSOLE = ("/api/v1/", "/console/")

# A segment may hold any character in percent-encoding; Bedrock's ids and ARNs do (":" and "/").
_MODEL = r"(?P<model>[^/?#]+)"
_PATTERNS: tuple[tuple[str, str, Endpoint], ...] = (
    (rf"/model/{_MODEL}/converse", "POST", Endpoint("generate", "converse", stream=False)),
    (rf"/model/{_MODEL}/converse-stream", "POST", Endpoint("generate", "converse", stream=True)),
    (rf"/model/{_MODEL}/invoke", "POST", Endpoint("generate", "invoke", stream=False)),
    (rf"/model/{_MODEL}/invoke-with-response-stream", "POST", Endpoint("generate", "invoke", stream=True)),
    (rf"/model/{_MODEL}/count-tokens", "POST", Endpoint("count_tokens", "converse")),
    (
        rf"/(?:v1beta|v1)/models/{_MODEL}:generateContent",
        "POST",
        Endpoint("generate", "generate_content", stream=False),
    ),
    (
        rf"/(?:v1beta|v1)/models/{_MODEL}:streamGenerateContent",
        "POST",
        Endpoint("generate", "generate_content", stream=True),
    ),
    (rf"/(?:v1beta|v1)/models/{_MODEL}:countTokens", "POST", Endpoint("count_tokens", "generate_content")),
    (rf"/openai/deployments/{_MODEL}/chat/completions", "POST", Endpoint("generate", "chat_completions")),
    (rf"/openai/deployments/{_MODEL}/embeddings", "POST", Endpoint("embeddings", "chat_completions")),
    (rf"/v1/databricks/messages/{_MODEL}", "POST", Endpoint("generate", "messages", backend="databricks")),
    (rf"/v1beta/models/{_MODEL}", "GET", Endpoint("model", "generate_content")),
    (rf"/anthropic/v1/models/{_MODEL}", "GET", Endpoint("model", "messages")),
    (rf"(?:/openai)?(?:/v1)?/responses/{_MODEL}", "GET", Endpoint("response", "responses")),
    (rf"(?:/openai)?(?:/v1)?/responses/{_MODEL}", "DELETE", Endpoint("delete_response", "responses")),
    (rf"(?:/openai)?(?:/v1)?/responses/{_MODEL}/input_items", "GET", Endpoint("response_input", "responses")),
    # Names in a list of models may hold a slash ("bedrock/amazon.nova-pro-v1:0"), so the rest is the name.
    (r"(?:/openai)?(?:/v1)?/models/(?P<model>.+?)", "GET", Endpoint("model", "chat_completions")),
)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str, Endpoint], ...]:
    """Compiled when a path first needs them: the most used paths are all static."""
    return tuple((re.compile(pattern + r"/?\Z"), method, endpoint) for pattern, method, endpoint in _PATTERNS)


def rows() -> Iterator[tuple[str, str, Endpoint]]:
    """The whole table, for those who describe it: methods, paths or patterns of paths, and what they ask for."""
    for path, methods in _STATIC.items():
        for method, endpoint in methods.items():
            yield method, path, endpoint
    for pattern, method, endpoint in _PATTERNS:
        yield method, pattern, endpoint


def match(method: str, path: str, headers: Mapping[str, str]) -> Endpoint | NoRoute:
    """The endpoint for a request. HEAD is answered like GET."""
    method = "GET" if method == "HEAD" else method
    methods = _STATIC.get(path) or _STATIC.get(path.rstrip("/"))
    if methods is not None:
        endpoint = methods.get(method)
        if endpoint is None:
            return NoRoute(next(iter(methods.values())).format, tuple(methods))
        return _by_headers(endpoint, headers) if endpoint.operation in _CHOSEN_BY_HEADERS else endpoint
    return _match_pattern(method, path, headers)


_CHOSEN_BY_HEADERS = frozenset({"models", "root"})


def _by_headers(endpoint: Endpoint, headers: Mapping[str, str]) -> Endpoint:
    """One path, several answers: a list of models in the client's shape, the console for browsers."""
    if endpoint.operation == "models" and endpoint.format == "chat_completions":  # the path that vendors share
        format_name = _told_by_headers(headers)
        return endpoint if format_name is None else Endpoint("models", format_name)
    if endpoint.operation == "root" and "text/html" in headers.get("accept", ""):
        return Endpoint("console", "api")
    return endpoint


def _told_by_headers(headers: Mapping[str, str]) -> str | None:
    """The format of a client whose SDK sends a header of its own: google-genai asks under `/v1` as the others do."""
    if "anthropic-version" in headers:
        return "messages"
    return "generate_content" if "x-goog-api-key" in headers else None


def _match_pattern(method: str, path: str, headers: Mapping[str, str]) -> Endpoint | NoRoute:
    allowed: list[str] = []
    format_name = ""
    for pattern, wanted, endpoint in _patterns():
        found = pattern.match(path)
        if found is None:
            continue
        format_name = endpoint.format
        if endpoint.operation == "model" and format_name == "chat_completions":  # the path that vendors share
            format_name = _told_by_headers(headers) or format_name
        if wanted != method:
            if endpoint.operation != "model" or ":" not in path:  # Google's `model:method`, one that is not here
                allowed.append(wanted)
            continue
        model = found.groupdict().get("model")
        return Endpoint(endpoint.operation, format_name, _decoded(model), endpoint.stream, endpoint.backend)
    if not allowed and path.startswith(_CONSOLE):
        return Endpoint("console", "api")
    return NoRoute(format_name or guess_format(path, headers), tuple(allowed))


def _decoded(name: str | None) -> str | None:
    if name is None or "%" not in name:
        return name
    from urllib.parse import unquote  # noqa: PLC0415  # the cold path has its model in the body

    return unquote(name)


def guess_format(path: str, headers: Mapping[str, str]) -> str:
    """The format whose clients would read an error for an unknown path."""
    for prefix, format_name in (
        ("/v1/messages", "messages"),
        ("/anthropic", "messages"),
        ("/model/", "converse"),
        ("/v1beta/", "generate_content"),
        ("/v1/responses", "responses"),
        ("/responses", "responses"),
    ):
        if path.startswith(prefix):
            return format_name
    told = _told_by_headers(headers)
    if told is not None:
        return told
    if headers.get("authorization", "").startswith("AWS4-HMAC-SHA256"):
        return "converse"
    return "chat_completions"
