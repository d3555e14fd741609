"""Endpoints that are bound to one type of backend, whatever the configuration routes elsewhere.

`/v1/databricks/messages` and the paths below it reach the configured Databricks backend directly: a model row of
that backend by its name, else the names that every client knows (`core.forms.one_variable`), else the name itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.configuration import Configuration
from core.errors import GatewayError, NotConfigured
from core.forms.one_variable import CHOICES
from core.ports import BackendRequest, Transport, TransportFault
from core.routing.health import Health
from core.routing.registry import Backend, Candidate, Registry, Route
from core.run import Authorize, Ports
from core.slotted import field, slotted

# The choice of `core.forms.one_variable` whose names and messages a dedicated path shares.
_CHOICES = {"databricks": CHOICES["AZURE_DATABRICKS"]}

# A check of a backend waits this long for an answer, in seconds.
CHECK_SECONDS = 5.0


def dedicated_route(configuration: Configuration, type_name: str, model: str) -> Route:
    """The route of `model` on the backend of type `type_name`. Raises NotConfigured where there is none."""
    registry = configuration.dedicated.get(type_name)
    if registry is None:
        registry = configuration.dedicated[type_name] = _registry_of(configuration, type_name)
    return registry.resolve(model)


def backend_of(configuration: Configuration, type_name: str) -> Backend | None:
    """The first configured backend of that type."""
    backends = configuration.registry.backends.values()
    return next((backend for backend in backends if backend.provider.name == type_name), None)


def _registry_of(configuration: Configuration, type_name: str) -> Registry:
    backend = backend_of(configuration, type_name)
    choice = _CHOICES[type_name]
    if backend is None:
        raise NotConfigured(choice.required)
    if backend.missing and not backend.missing.startswith(choice.required):
        backend.missing = f"{choice.required}: {backend.missing}"
    routes = {name: Route(name, [Candidate(backend, model)]) for name, model in choice.models({}).items()}
    for name, route in configuration.registry.routes.items():
        own = [candidate for candidate in route.candidates if candidate.backend is backend]
        if own:
            routes[name] = Route(name, own, route.answer_model, route.translate, route.policy)
    return Registry({backend.name: backend}, routes, fallback=Route("*", [Candidate(backend, "")]))


@slotted
class HealthPage:
    """A page about one backend, and the status to send it with."""

    status: int
    page: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps(self.page).encode()


def health_page(configuration: Configuration, type_name: str, health: Health) -> HealthPage:
    """Whether the backend is configured and, as far as requests have shown, well: 200 or 503. No address, no key."""
    backend = backend_of(configuration, type_name)
    page: dict[str, Any] = {"backend": type_name, "configured": backend is not None and backend.missing is None}
    if backend is None or backend.missing:
        page["missing"] = _CHOICES[type_name].required if backend is None else backend.missing
        return HealthPage(503, {"status": "unhealthy", **page})
    cooling = max(map(health.cooling, _candidates(configuration, backend)), default=0.0)
    page["cooling_seconds"] = round(cooling, 1)
    if cooling:
        return HealthPage(503, {"status": "unhealthy", **page})
    return HealthPage(200, {"status": "healthy", **page})


async def detailed_page(configuration: Configuration, type_name: str, health: Health, ports: Ports) -> HealthPage:
    """The health page with the backend's settings and names, and the outcome of asking it for its list of models."""
    found = health_page(configuration, type_name, health)
    backend = backend_of(configuration, type_name)
    if backend is None or backend.missing:
        return found
    names = {name: model for name, model in _CHOICES[type_name].models({}).items() if "*" not in name}
    found.page.update(timeout=backend.timeout, max_retries=backend.max_retries, models=names)
    started = ports.clock.monotonic()
    found.page["check"] = check = await check_backend(backend, ports.transports, ports.authorize)
    check["ms"] = round((ports.clock.monotonic() - started) * 1000, 1)
    if not check["ok"]:
        found.status, found.page["status"] = 503, "unhealthy"
    return found


async def check_backend(backend: Backend, transports: Mapping[str, Transport], authorize: Authorize) -> dict[str, Any]:
    """Asks the backend for its list of models, with its credential: `ok`, and `status` or `error`."""
    url = backend.base_url + backend.provider.listing
    request = BackendRequest("GET", url, [("accept", "application/json")], b"", backend.connect_timeout)
    scheme = request.url.partition(":")[0]
    try:
        await authorize(backend, request)
        exchange = await transports[scheme].send(request)
        try:
            head = await exchange.head(CHECK_SECONDS)
        finally:
            exchange.close()
    except (GatewayError, TransportFault) as fault:
        return {"ok": False, "error": str(fault)}
    if head is None:
        return {"ok": False, "error": f"no answer within {CHECK_SECONDS:g} s"}
    return {"ok": head.status < 400, "status": head.status}


def _candidates(configuration: Configuration, backend: Backend) -> list[Candidate]:
    registries = [configuration.registry, *configuration.dedicated.values()]
    return [
        candidate
        for registry in registries
        for route in [*registry.routes.values(), *(route for _, _, route in registry.patterns)]
        for candidate in route.candidates
        if candidate.backend is backend
    ]
