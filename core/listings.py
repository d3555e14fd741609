"""The small JSON pages: health, readiness, the root and the lists of models, in each client's shape."""

from __future__ import annotations

import json
from typing import Any

from core.configuration import Configuration
from core.errors import ClientFault
from core.routes import Endpoint


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


def model_page(endpoint: Endpoint, configuration: Configuration, query: str) -> bytes:
    """`GET /models` or one model of it. Raises ClientFault `model_not_found`, or for a `limit` that is none."""
    from core.model_rows import row_of  # noqa: PLC0415  # off the hot path

    registry = configuration.registry
    if endpoint.operation == "model":
        name = endpoint.model or ""
        registry.resolve(name)
        return json.dumps(row_of(endpoint.format, name, configuration)).encode()
    if endpoint.format == "messages":
        return _anthropic_page(list(registry.routes), query, configuration)
    rows = [row_of(endpoint.format, name, configuration) for name in registry.routes]
    page = {"models": rows} if endpoint.format == "generate_content" else {"object": "list", "data": rows}
    return json.dumps(page).encode()


def _anthropic_page(names: list[str], query: str, configuration: Configuration) -> bytes:
    """Anthropic's list comes in pages: `limit`, `after_id` and `before_id`. Without a limit all of it is one page."""
    from urllib.parse import parse_qs  # noqa: PLC0415  # off the hot path

    from core.model_rows import row_of  # noqa: PLC0415

    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = asked.get("limit", "1000")
    if len(limit) > 4 or not limit.isdecimal() or not 1 <= int(limit) <= 1000:
        raise ClientFault("bad_request", "limit must be a number from 1 to 1000.", param="limit")
    count = int(limit)
    if asked.get("before_id") in names:
        before = names[: names.index(asked["before_id"])]
        page, more = before[-count:], len(before) > count
    else:
        start = names.index(asked["after_id"]) + 1 if asked.get("after_id") in names else 0
        page, more = names[start : start + count], len(names) > start + count
    rows = [row_of("messages", name, configuration) for name in page]
    first, last = (page[0], page[-1]) if page else (None, None)
    return json.dumps({"data": rows, "has_more": more, "first_id": first, "last_id": last}).encode()
