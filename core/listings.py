"""The small JSON pages: health, readiness, the root and the lists of models, in each client's shape."""

from __future__ import annotations

import json
from typing import Any

from core.configuration import Configuration
from core.errors import ClientFault
from core.routes import Endpoint
from core.routing.registry import Registry

# Lists of models carry a creation date that clients parse but nobody means: the epoch, not an invention.
_CREATED = 0
_CREATED_TEXT = "1970-01-01T00:00:00Z"


def public_page(operation: str, configuration: Configuration) -> bytes:
    """The pages that need no key. They name backends and models, never an address or a secret."""
    registry = configuration.registry
    if operation == "quiet":
        return b"{}"
    if operation == "ready":
        return json.dumps({"status": "ready"}).encode()
    if operation == "root":
        page: dict[str, Any] = {"name": "skybridge", "models": "/v1/models", "health": "/health"}
        return json.dumps(page).encode()
    backends = {
        name: {"type": backend.provider.name, "configured": backend.missing is None, "missing": backend.missing}
        for name, backend in registry.backends.items()
    }
    active = {"active": configuration.active} if configuration.active else {}
    return json.dumps({"status": "ok", **active, "backends": backends}).encode()


def model_page(endpoint: Endpoint, registry: Registry) -> bytes:
    """`GET /models` or one model of it. Raises ClientFault `model_not_found`."""
    row = _ROWS.get(endpoint.format, _openai_row)
    if endpoint.operation == "model":
        name = endpoint.model or ""
        registry.resolve(name)
        return json.dumps(row(name, registry)).encode()
    names = list(registry.routes)
    rows = [row(name, registry) for name in names]
    if endpoint.format == "messages":
        first, last = (names[0], names[-1]) if names else (None, None)
        return json.dumps({"data": rows, "has_more": False, "first_id": first, "last_id": last}).encode()
    if endpoint.format == "generate_content":
        return json.dumps({"models": rows}).encode()
    return json.dumps({"object": "list", "data": rows}).encode()


def _openai_row(name: str, registry: Registry) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": _owner(name, registry)}


def _anthropic_row(name: str, registry: Registry) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_TEXT}


def _gemini_row(name: str, registry: Registry) -> dict[str, Any]:
    methods = ["generateContent", "streamGenerateContent"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


_ROWS = {"messages": _anthropic_row, "generate_content": _gemini_row}


def _owner(name: str, registry: Registry) -> str:
    try:
        route = registry.resolve(name)
    except ClientFault:
        return "skybridge"
    return route.candidates[0].backend.name if route.candidates else "skybridge"
