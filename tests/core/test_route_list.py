"""The table of endpoints, spelled out for readers."""

from __future__ import annotations

from core.route_list import listed_routes
from core.routes import Endpoint, match


def test_every_listed_path_is_an_endpoint_and_the_same_one() -> None:
    listed = list(listed_routes())
    assert len({(method, path) for method, path, _ in listed}) == len(listed)
    for method, path, endpoint in listed:
        assert not set(path) & set("()?|\\")
        found = match(method, path.replace("{model}", "m").replace("{response_id}", "r"), {})
        assert isinstance(found, Endpoint)
        assert (found.operation, found.format, found.backend) == (
            endpoint.operation, endpoint.format, endpoint.backend,
        ), path  # fmt: skip


def test_groups_are_spelled_out() -> None:
    paths = {(method, path) for method, path, _ in listed_routes()}
    assert ("GET", "/openai/v1/models/{model}") in paths and ("GET", "/models/{model}") in paths
    assert ("POST", "/v1beta/models/{model}:generateContent") in paths
    assert ("DELETE", "/v1/responses/{response_id}") in paths
    assert not any(path.startswith(("/docs", "/openapi.json")) for _, path in paths)
