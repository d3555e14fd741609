"""The endpoints of `core.routes` as paths of an OpenAPI document.

The table says which there are; the rows here say what their formats' bodies look like.
https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from core.errors import STATUS
from core.route_list import listed_routes
from core.routes import Endpoint
from handlers.openapi_schemas import EVENT

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
AWS_EVENTS: Final = "application/vnd.amazon.eventstream"

# The schemas of each operation and format: request, answer; those with the model in the path have their own request.
_BODIES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("generate", "chat_completions"): ("ChatCompletionsRequest", "ChatCompletionsResponse"),
    ("generate", "responses"): ("ResponsesRequest", "ResponsesResponse"),
    ("generate", "messages"): ("MessagesRequest", "MessagesResponse"),
    ("generate", "converse"): ("ConverseRequest", "ConverseResponse"),
    ("generate", "invoke"): ("InvokeRequest", "InvokeResponse"),
    ("generate", "generate_content"): ("GenerateContentRequest", "GenerateContentResponse"),
    ("embeddings", "chat_completions"): ("EmbeddingsRequest", "EmbeddingsResponse"),
    ("compact", "responses"): ("ResponsesRequest", "ResponsesResponse"),
    ("count_tokens", "responses"): ("ResponsesRequest", "TokenCount"),
    ("count_tokens", "messages"): ("MessagesCountRequest", "TokenCount"),
    ("count_tokens", "converse"): ("CountTokensRequest", "TokenCount"),
    ("count_tokens", "generate_content"): ("GenerateContentRequest", "TokenCount"),
    ("quiet", "messages"): ("Page", "Page"),
}
_MODEL_IN_PATH: Final = {
    "ChatCompletionsRequest": "ChatCompletionsDeploymentRequest",
    "EmbeddingsRequest": "EmbeddingsDeploymentRequest",
    "MessagesRequest": "MessagesModelRequest",
}
_ANSWERS: Final = {
    "models": "Models", "model": "Model", "response": "KeptResponse", "response_input": "KeptItems",
    "delete_response": "DeletedResponse", "usage": "UsageSums",
}  # fmt: skip
_ERRORS: Final = {
    "chat_completions": "OpenAIError", "responses": "OpenAIError", "messages": "AnthropicError",
    "converse": "BedrockError", "invoke": "BedrockError", "generate_content": "GeminiError", "api": "FaultAnswer",
}  # fmt: skip
_TITLES: Final = {
    "chat_completions": "OpenAI Chat Completions", "responses": "OpenAI Responses", "messages": "Anthropic Messages",
    "converse": "Bedrock Converse", "invoke": "Bedrock InvokeModel", "generate_content": "Gemini generateContent",
    "api": "operations",
}  # fmt: skip
_SUMMARIES: Final = {
    "generate": "An answer of a model", "embeddings": "Embeddings", "count_tokens": "How many tokens an input is",
    "models": "The configured models", "model": "One model", "health": "Whether the process lives, and its backends",
    "ready": "Whether the gateway takes requests", "root": "The console for browsers, a small page for others",
    "quiet": "What Claude Code asks at its start", "backend_health": "Whether the backend is configured",
    "backend_details": "The backend's state in detail", "usage": "What was used and what it cost, summed up",
    "metrics": "Figures for Prometheus", "response": "A kept response",
    "response_input": "What a kept response was asked", "delete_response": "Forgets a kept response",
    "compact": "A conversation made shorter",
}  # fmt: skip
_OPEN: Final = frozenset({"health", "ready", "root", "quiet", "backend_health"})
_OPERATIONS: Final = frozenset({
    "health", "ready", "root", "quiet", "backend_health", "backend_details", "usage", "metrics",
})  # fmt: skip

# Anthropic's own status for an overload, beside those of core.errors. 405 is for methods that are not
# here, 499 for the log: nobody is there to read it.
STATUSES: Final = sorted({*STATUS.values(), 529} - {405, 499})
_REASONS: Final = {
    400: "The request is wrong.", 401: "No key, or a wrong one.", 402: "The backend's account has no funds.",
    403: "Not for this caller.", 404: "No such model, path or thing.",
    409: "Not in the state that it is in.", 413: "The body is too large.",
    429: "Too many requests, or a budget is used up.", 500: "The gateway failed.", 502: "The backends failed.",
    503: "Not configured, or overloaded.", 504: "The backends took too long.", 529: "The backends are overloaded.",
}  # fmt: skip

_PARAMETERS: Final[Mapping[str, list[dict[str, Any]]]] = {
    "usage": [
        {"name": "by", "in": "query", "schema": {"type": "string"}, "example": "day,model",
         "description": "What to sum up by, separated by commas."},
        {"name": "days", "in": "query", "schema": {"type": "integer", "minimum": 1}, "description": "How far back."},
    ],
    "response_input": [
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
    ],
}  # fmt: skip


def endpoint_paths() -> dict[str, dict[str, Any]]:
    """The paths of the document, with an operation for each method."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, endpoint in listed_routes():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, endpoint)
    return paths


def shared_responses() -> dict[str, Any]:
    """The errors that the paths refer to: those of each format by status, and a backend's own."""
    found: dict[str, Any] = {}
    for kind in sorted(set(_ERRORS.values())):
        found[kind] = {"description": "A backend's own error, as it came.", "content": _json(kind)}
        for status in STATUSES:
            found[f"{kind}{status}"] = {"description": _REASONS[status], "content": _json(kind)}
    return found


def _operation(method: str, path: str, endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": ["operations" if endpoint.operation in _OPERATIONS else _TITLES[endpoint.format]],
        "summary": _SUMMARIES[endpoint.operation],
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_") + ("_" if path == "/" else ""),
        "responses": _responses(endpoint),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    parameters += _PARAMETERS.get(endpoint.operation, [])
    if parameters:
        operation["parameters"] = parameters
    if method == "POST":
        operation["requestBody"] = _request_body(endpoint, "{model}" in path)
    if endpoint.operation in _OPEN:
        operation["security"] = []
    return operation


def _request_body(endpoint: Endpoint, model_in_path: bool) -> dict[str, Any]:
    name = _BODIES[endpoint.operation, endpoint.format][0]
    name = _MODEL_IN_PATH.get(name, name) if model_in_path else name
    return {"required": endpoint.operation != "quiet", "content": {JSON: {"schema": _reference(name)}}}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": _contents(endpoint)}}
    if endpoint.operation in _OPEN:
        if endpoint.operation == "backend_health":
            responses["503"] = {"description": "It is not.", "content": _json("Page")}
        return responses
    kind = _ERRORS[endpoint.format]
    responses |= {str(status): {"$ref": f"#/components/responses/{kind}{status}"} for status in STATUSES}
    if endpoint.operation in ("generate", "compact"):
        responses["default"] = {"$ref": f"#/components/responses/{kind}"}
    if endpoint.operation == "backend_details":
        responses["503"] = {"description": "It is not well.", "content": _json("Page")}
    return responses


def _contents(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.operation == "metrics":
        return {"text/plain": {"schema": {"type": "string"}}}
    bodies = _BODIES.get((endpoint.operation, endpoint.format))
    contents = _json(bodies[1] if bodies else _ANSWERS.get(endpoint.operation, "Page"))
    events = {"schema": EVENT if endpoint.format not in ("converse", "invoke") else {"type": "string"}}
    if endpoint.operation == "root":
        return {**contents, "text/html": {"schema": {"type": "string"}}}
    if endpoint.operation != "generate" or endpoint.stream is False:
        return contents
    if endpoint.format in ("converse", "invoke"):
        return {AWS_EVENTS: events}
    if endpoint.format == "generate_content":
        answer = contents[JSON]["schema"]
        return {JSON: {"schema": {"type": "array", "items": answer}}, EVENTS: events}
    return {**contents, EVENTS: events} if endpoint.stream is None else {EVENTS: events}


def _json(name: str) -> dict[str, Any]:
    return {JSON: {"schema": _reference(name)}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
