"""The request for a backend that speaks the client's own format: the client's bytes, but for a short list of edits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from core.http import HeaderList
from core.json_edit import Document
from core.ports import Clock
from core.routing.registry import Backend, Candidate

# Request headers that mean something to a backend. Everything else stays here: a client's credential above all.
_FORWARDED = frozenset(
    {
        "accept", "user-agent", "anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access",
        "openai-beta", "originator", "session-id", "session_id", "thread-id", "conversation_id", "x-client-request-id",
        "idempotency-key", "traceparent", "tracestate", "x-app", "http-referer", "x-title", "x-openrouter-title",
        "x-session-id", "x-ms-client-request-id", "x-goog-api-client",
    }
)
_FORWARDED_PREFIXES = ("x-stainless-", "x-codex-", "x-openai-", "x-claude-code-", "x-amzn-bedrock-")

# Response headers that mean something to a client.
_RETURNED = frozenset(
    {
        "content-type", "retry-after", "retry-after-ms", "x-should-retry", "request-id", "x-amzn-requestid",
        "x-amzn-errortype", "apim-request-id", "x-ms-region", "x-generation-id", "x-litellm-call-id", "cache-control",
        "content-disposition", "x-skybridge-token-count", "x-reasoning-included",
    }
)
_RETURNED_PREFIXES = ("anthropic-", "x-ratelimit-", "openai-", "x-codex-", "x-amzn-bedrock-", "llm_provider-")
# They say whose account at the backend the gateway uses, which is not the client's to know.
_ACCOUNTS = ("organization", "organization-id", "project", "workspace-id", "cookie")


# How vendors call their own id of a request, which their support asks for.
REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")

# In the place of a member's value: the backend refuses the member.
REMOVED = object()


def forwarded_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The client's headers that go on to a backend."""
    names = _forwarded_names(tuple(headers))
    return dict(zip(names, map(headers.__getitem__, names), strict=True))


@lru_cache(maxsize=256)
def _forwarded_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """A client sends the same names with each of its requests."""
    return tuple(
        name
        for name in names
        if name in _FORWARDED or (name.startswith(_FORWARDED_PREFIXES) and name not in _RETURNED)
    )


def returned_headers(headers: Mapping[str, str]) -> HeaderList:
    """The backend's headers that go back to the client. Its own request id keeps a name of its own."""
    names = _returned_names(tuple(headers))
    kept = list(zip(names, map(headers.__getitem__, names), strict=True))
    if "x-request-id" in headers:
        kept.append(("x-skybridge-backend-request-id", headers["x-request-id"]))
    return kept


def told_headers(headers: Mapping[str, str], client_format: str, clock: Clock) -> HeaderList:
    """What a backend's headers say to a client of another format: its id of the request, and its rate limits."""
    name, tells_rates = _told_names(tuple(headers))
    found = [] if name is None else [("x-skybridge-backend-request-id", headers[name])]
    if tells_rates:
        rates = import_module("core.rate_headers").rate_headers_for
        found += rates(client_format, headers, clock.time())
    return found


@lru_cache(maxsize=256)
def _told_names(names: tuple[str, ...]) -> tuple[str | None, bool]:
    """The name of the backend's id, and whether any tells rate limits."""
    found = next((name for name in REQUEST_IDS if name in names), None)
    return found, any(name.startswith(("x-ratelimit-", "anthropic-ratelimit-")) for name in names)


@lru_cache(maxsize=256)
def _returned_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """A backend too sends the same names with each of its answers."""
    return tuple(
        name
        for name in names
        if name in _RETURNED or (name.startswith(_RETURNED_PREFIXES) and not name.endswith(_ACCOUNTS))
    )


def endpoint_url(backend: Backend, path: str, model: str, query: str = "") -> str:
    """The absolute URL of `path` (a row of the provider table) at `backend`. `query` is the client's own."""
    url = backend.base_url + (_filled(path, backend, model) if "{" in path else path)
    if query:
        url += ("&" if "?" in url else "?") + query
    return url


def _filled(path: str, backend: Backend, model: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415  # few backends have the model in the path

    return path.format(model=quote(model, safe=""), api_version=backend.api_version)


def backend_headers(backend: Backend, client_headers: Mapping[str, str]) -> HeaderList:
    """Headers of a request to `backend`: the type's defaults, the client's, then the configured ones."""
    merged = {**backend.provider.headers, **forwarded_headers(client_headers)}
    merged["content-type"] = "application/json"
    merged.update(backend.headers)
    return list(merged.items())


def edit_body(
    document: Document, body: bytes, candidate: Candidate, format_name: str, forced: Mapping[str, Any]
) -> tuple[bytes, list[str]]:
    """The body for `candidate`, and the edits by name. Without an edit it is `body` itself. `forced` members take
    the place of the client's; those that are REMOVED are left out."""
    fresh = document.copy()
    edits = []
    for member, value in forced.items():
        if value is REMOVED:
            fresh.remove(member)
            edits.append(f"-{member}")
        elif document.values.get(member) != value:
            fresh.set(member, value)
            edits.append(member)
    if candidate.defaults:
        for member, value in default_members(format_name, candidate.defaults, document.values).items():
            member = limit_member(candidate) if member == "max_completion_tokens" else member
            fresh.set(member, value)
            edits.append(member)
    return (fresh.edited() if edits else body), edits


def limit_member(candidate: Candidate) -> str:
    """What the server of a candidate calls the output limit in Chat Completions."""
    from core.formats.chat_completions.dialects import dialect_of  # noqa: PLC0415  # where a default is configured
    from core.models.resolve import facts_for  # noqa: PLC0415

    provider = candidate.backend.provider.name
    dialect = dialect_of(provider)
    reasons = facts_for(candidate.known_as, provider).reasoning_model
    return dialect.reasoning_max_tokens if reasons else dialect.max_tokens


# The knobs that have a name of OpenAI's alone.
_OPENAIS: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("reasoning_effort", "summary_level", "verbosity_level", "truncation_strategy"), ()
)
# Claude's own words, whatever they are framed in.
_CLAUDES = {**_OPENAIS, "max_tokens": ("max_tokens",), "reasoning_effort": ("output_config", "effort")}

# How each format calls a candidate's defaults: the member, and the path inside it; () where it has no word for one, or
# none that fits every model.
_DEFAULT_MEMBERS: dict[str, dict[str, tuple[str, ...]]] = {
    "chat_completions": {
        **_OPENAIS,
        "max_tokens": ("max_completion_tokens",),
        "reasoning_effort": ("reasoning_effort",),
        "verbosity_level": ("verbosity",),
    },
    "responses": {
        "max_tokens": ("max_output_tokens",),
        "reasoning_effort": ("reasoning", "effort"),
        "summary_level": ("reasoning", "summary"),
        "verbosity_level": ("text", "verbosity"),
        "truncation_strategy": ("truncation",),
    },
    "messages": _CLAUDES,
    "invoke": _CLAUDES,
    "converse": {
        **_OPENAIS,
        "max_tokens": ("inferenceConfig", "maxTokens"),
        "temperature": ("inferenceConfig", "temperature"),
        "top_p": ("inferenceConfig", "topP"),
        "top_k": (),
        "service_tier": ("serviceTier", "type"),
    },
    "generate_content": {
        **_OPENAIS,
        "max_tokens": ("generationConfig", "maxOutputTokens"),
        "temperature": ("generationConfig", "temperature"),
        "top_p": ("generationConfig", "topP"),
        "top_k": ("generationConfig", "topK"),
        "service_tier": ("serviceTier",),
    },
}

# A default is not applied where the client said the same thing under another name.
_SAME_KNOB = {"max_completion_tokens": ("max_tokens",)}


def default_members(format_name: str, defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The members that `defaults` add to a request whose members are `values`; what the client said stays."""
    added: dict[str, Any] = {}
    names = _DEFAULT_MEMBERS.get(format_name, {})
    for knob, value in defaults.items():
        path = names.get(knob, (knob,))
        if not path:
            continue
        if len(path) == 1:
            if path[0] not in values and not any(name in values for name in _SAME_KNOB.get(path[0], ())):
                added[path[0]] = value
            continue
        outer, inner = path
        current = added.get(outer, values.get(outer))
        if current is None:
            added[outer] = {inner: value}
        elif isinstance(current, dict) and inner not in current:
            added[outer] = {**current, inner: value}
    return added


def unsaid_defaults(format_name: str, defaults: Mapping[str, Any]) -> list[str]:
    """The knobs among `defaults` that a request in this format does not say."""
    names = _DEFAULT_MEMBERS.get(format_name, {})
    return [knob for knob in defaults if names.get(knob) == ()]


def is_error_of(format_name: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether an error answer has what SDKs of the format look for; a proxy's has some shape of its own, and half of
    one has none."""
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if format_name in ("converse", "invoke"):
        return isinstance(error, dict) and "x-amzn-errortype" in headers
    if format_name == "generate_content" and isinstance(error, list) and error:
        error = error[0]  # as streams have it
    if not isinstance(error, dict) or (format_name == "messages" and error.get("type") != "error"):
        return False
    inside = error.get("error")
    return isinstance(inside, dict) and isinstance(inside.get("message"), str)
