"""Model names to ordered candidates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate as glob_to_regex
from typing import Any, Literal

from core.errors import ClientFault
from core.providers.table import FORCED_PATHS, PROVIDERS, Paths, Provider
from core.slotted import field, slotted

type AnswerModel = Literal["asked", "served"]
type Strategy = Literal["ordered", "weighted", "lowest_latency", "lowest_cost", "cache_aware"]


@slotted(frozen=True)
class Policy:
    """A model's `policy:`. Times are in seconds; None leaves the backend's own setting or no bound.

    `attempts` bounds the tries over all candidates. `timeout` bounds the request up to its commit.
    `move_on` and `stop` are statuses that go to the next candidate, or do not, against the rule. `hedge_after`:
    a stream without content by then gets a second candidate beside the first. `continue`: a stream of plain text
    that breaks is taken up by another candidate. `max_stream_seconds` ends a stream properly by then.
    `longest_wait` bounds how long a `retry-after` is waited for in place.
    """

    strategy: Strategy = "weighted"
    attempts: int | None = None
    timeout: float | None = None
    first_byte_timeout: float | None = None
    idle_timeout: float | None = None
    move_on: tuple[int, ...] = ()
    stop: tuple[int, ...] = ()
    hedge_after: float | None = None
    continue_: bool = False
    max_stream_seconds: float | None = None
    longest_wait: float = 10.0


@slotted
class Backend:
    """One configured backend. Times are in seconds; None for `first_byte_timeout` leaves only `timeout`.

    `missing` says which setting is absent ("AZURE_API_KEY not set in environment"): the backend is known, and
    each request to it is a 503 that says so.
    """

    name: str
    provider: Provider
    base_url: str
    auth: str
    api_key: str = ""
    format: str | None = None
    region: str = ""
    api_version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 600.0
    connect_timeout: float = 5.0
    first_byte_timeout: float | None = None
    idle_timeout: float = 300.0
    max_retries: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    missing: str | None = None

    @property
    def signing_service(self) -> str:
        """The name that a SigV4 signature is for: a host of another service than the row's says so itself."""
        host = self.base_url.partition("://")[2].partition(".")[0]
        return host if host in _SIGNING_HOSTS else self.provider.signing_service

    @property
    def keeps_responses(self) -> bool:
        """Whether it answers `previous_response_id` itself; its own option of this name goes before its type's row."""
        said = self.options.get("keeps_responses")
        return self.provider.keeps_responses if said is None else said in (True, "true")

    def paths(self, format_name: str) -> Paths | None:
        """Where this backend serves `format_name`, None when it does not."""
        found = self.provider.formats.get(format_name)
        if found is None and self.format == format_name:
            return FORCED_PATHS[format_name]
        return found

    def speaks(self, format_name: str, model: str) -> bool:
        """Whether `model` can be asked in `format_name` here."""
        if self.format is not None:
            return format_name == self.format
        paths = self.provider.formats.get(format_name)
        return paths is not None and _serves(paths, model)

    def richest_format(self, model: str) -> str:
        """The format for a client whose own one this backend does not speak for `model`."""
        if self.format is not None:
            return self.format
        for name, paths in self.provider.formats.items():
            if _serves(paths, model):
                return name
        return next(iter(self.provider.formats))


# Hosts that begin with the signing name of their own service.
_SIGNING_HOSTS = frozenset({"bedrock-mantle", "aws-external-anthropic"})


def _serves(paths: Paths, model: str) -> bool:
    return not paths.models or re.search(paths.models, model) is not None


@slotted
class Candidate:
    """One way to answer for a model name. `defaults` fill request knobs that the client left open.

    `api_model` is the backend's name for the model, `model` the model's own where that one hides it (a deployment, an
    application inference profile): `known_as` tells what the model takes.
    """

    backend: Backend
    api_model: str
    priority: int = 1
    weight: float = 1.0
    defaults: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""

    @property
    def known_as(self) -> str:
        return self.model or self.api_model


@slotted
class Route:
    """All candidates of a model name. `translate` False: only candidates of the client's own format are used."""

    name: str
    candidates: Sequence[Candidate]
    answer_model: AnswerModel = "asked"
    translate: bool = True
    policy: Policy = field(default_factory=Policy)


class Registry:
    """Looks model names up: an exact row first, then `backend/model` where allowed, then patterns in their order."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        routes: Mapping[str, Route],
        *,
        allow_direct: bool = False,
        fallback: Route | None = None,
    ) -> None:
        self.backends = backends
        self.routes = {name: route for name, route in routes.items() if not is_pattern(name)}
        self.patterns = [(name, re.compile(glob_to_regex(name)), routes[name]) for name in routes if is_pattern(name)]
        self.allow_direct = allow_direct
        self._fallback = fallback

    @property
    def names(self) -> list[str]:
        """The configured names, patterns after the exact ones."""
        return [*self.routes, *(name for name, _, _ in self.patterns)]

    def resolve(self, model: str) -> Route:
        """The route of `model`. Raises ClientFault `model_not_found` that lists the configured names."""
        route = self.routes.get(model) or self._unlisted(model)
        if route is not None:
            return route
        available = ", ".join(self.names) or "none"
        raise ClientFault(
            "model_not_found", f"Model '{model}' is not configured. Available models: {available}", param="model"
        )

    def _unlisted(self, model: str) -> Route | None:
        """The route of a name that stands for itself: it goes into URLs and counters, which hold no half characters."""
        if not model.isprintable():
            return None
        direct = self._direct(model)
        if direct is not None:
            return direct
        for _, pattern, route in self.patterns:
            if pattern.match(model):
                return _for_pattern(route, model)
        return None if self._fallback is None else _for_pattern(self._fallback, model)

    def _direct(self, model: str) -> Route | None:
        name, slash, rest = model.partition("/")
        if not (self.allow_direct and slash and rest and name in self.backends):
            return None
        return Route(model, [Candidate(self.backends[name], rest)])


def is_pattern(name: str) -> bool:
    """Whether a configured model name stands for many (`claude-*haiku*`)."""
    return "*" in name or "?" in name


def _for_pattern(route: Route, model: str) -> Route:
    """A pattern's candidates serve one model under any name; those without an `api_model` take the name itself."""
    candidates = [
        candidate
        if candidate.api_model
        else Candidate(candidate.backend, model, candidate.priority, candidate.weight, candidate.defaults)
        for candidate in route.candidates
    ]
    return Route(model, candidates, route.answer_model, route.translate, route.policy)


def of_format(route: Route, format_name: str) -> Route:
    """The route with those candidates only that speak `format_name`. Raises ClientFault where there is none."""
    speaking = [item for item in route.candidates if item.backend.speaks(format_name, item.api_model)]
    if not speaking:
        raise ClientFault("model_not_found", f"No {format_name} backend serves '{route.name}'.", param="model")
    return Route(route.name, speaking, route.answer_model, route.translate, route.policy)


# Azure's api-versions before this one have no Responses API.
# https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle
_RESPONSES_SINCE = "2025-03-01"


def make_backend(name: str, type_name: str, options: Mapping[str, Any], missing: str | None = None) -> Backend:
    """A backend from checked options (docs/configuration.md lists them). `options` hold expanded values."""
    provider = PROVIDERS[type_name]
    api_version = str(options.get("api_version") or "")
    format_name = options.get("format")
    if api_version and provider.with_api_version:
        provider = PROVIDERS[provider.with_api_version]
        if format_name is None and api_version < _RESPONSES_SINCE:
            format_name = "chat_completions"
    region = str(options.get("region") or "us-east-1")
    base_url = str(options.get("base_url") or provider.base_url).replace("{region}", region).rstrip("/")
    if base_url and "://" not in base_url:
        base_url = f"https://{base_url}"
    for tail in provider.tails:
        base_url = base_url.removesuffix(tail)
    times = {
        key: float(options[key])
        for key in ("timeout", "connect_timeout", "first_byte_timeout", "idle_timeout")
        if options.get(key) is not None
    }
    api_key = str(options.get("api_key") or "")
    auth = str(options.get("auth") or "")
    if not auth:
        auth = "bearer" if provider.auth == "iam" and api_key else provider.auth
    return Backend(
        name=name,
        provider=provider,
        base_url=base_url,
        auth=auth,
        api_key=api_key,
        format=format_name,
        region=region,
        api_version=api_version,
        headers={key.lower(): str(value) for key, value in dict(options.get("headers") or {}).items()},
        max_retries=int(options.get("max_retries") or 0),
        options=options,
        missing=missing,
        **times,
    )
