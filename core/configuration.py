"""A configuration document (already parsed from YAML or JSON) to a Registry.

Two forms are told apart by their members: the native one, which the older registry form is a part of
(`models:` whose rows name a backend type, with the credentials in the environment), and the router JSON
(`model_mapping` and `providers`). What is wrong raises ConfigurationError, which names the key and what was
expected; what is only absent from the environment makes the backends that need it answer 503.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.providers.bedrock import OPTION_NAMES
from core.providers.table import PROVIDERS
from core.routing.registry import Backend, Candidate, Policy, Registry, Route, is_pattern, make_backend
from core.slotted import field, replace, slotted

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

# Backend names that may be used in a model row without a `backends` section: the type that each stands for.
IMPLICIT_BACKENDS: dict[str, str] = {**{name: name for name in PROVIDERS}, "azure": "azure-openai"}

# Defaults of the registry form's rows.
_IMPLICIT_DEFAULTS: dict[str, dict[str, Any]] = {"anthropic": {"max_tokens": 8192}}

# Members of a candidate that say where it goes; every other one is a default for a request knob.
CANDIDATE_KEYS = frozenset({"backend", "api_model", "priority", "weight", "deployment_name"}) | OPTION_NAMES
MODEL_KEYS = frozenset({"candidates", "answer_model", "policy"})


class ConfigurationError(ValueError):
    """The configuration cannot be used. `key` is the path to the offending member ("models.gpt.backend")."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key
        self.message = message


@slotted
class Limits:
    """Bounds of this gateway. `max_body_bytes` None takes the platform's default. A reader that takes nothing for
    `reader_stall_seconds` is taken for gone. Responses that the gateway keeps are kept for `responses_days`,
    sessions of the chat API for `sessions_days` after their last turn."""

    max_body_bytes: int | None = None
    max_in_flight: int | None = None
    ping_seconds: float = 15.0
    commit_grace_seconds: float = 5.0
    reader_stall_seconds: float = 300.0
    responses_days: float = 30.0
    sessions_days: float = 30.0


@slotted
class ChatDefaults:
    """What holds for chats where the client says nothing. `rate_limit` is in requests a minute and user."""

    system_prompt: str | None = None
    max_tokens: int | None = None
    rate_limit: int | None = None


@slotted
class Configuration:
    """Everything that a gateway is built from.

    `warnings` and `notices` (an event and its fields) are logged when the gateway starts. `active` is the one
    backend that a form of configuration by variables has chosen, `active_title` its name in prose; "" otherwise.
    `body_log`: the folder where this form keeps bodies at a desk unless SKYBRIDGE_BODY_LOG says otherwise.
    `dedicated`: the registries of endpoints that are bound to a type of backend, made on first use. `quotas` and
    `prices` are read by handlers.accounts and handlers.pricing, which most requests do without.
    """

    registry: Registry
    limits: Limits = field(default_factory=Limits)
    warnings: list[str] = field(default_factory=list)
    notices: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    active: str = ""
    active_title: str = ""
    chat: ChatDefaults = field(default_factory=ChatDefaults)
    dedicated: dict[str, Registry] = field(default_factory=dict)
    quotas: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, Any] = field(default_factory=dict)
    body_log: str = ""


class Environment:
    """Expands `${NAME}` and `${NAME:-default}`; remembers what was absent."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.absent: list[str] = []

    def expand(self, value: Any) -> Any:
        """`value` with every variable replaced, in nested lists and objects too."""
        if isinstance(value, str):
            return _VARIABLE.sub(self._replace, value)
        if isinstance(value, Mapping):
            return {key: self.expand(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item) for item in value]
        return value

    def _replace(self, found: re.Match[str]) -> str:
        name, default = found.group(1), found.group(2)
        value = self.variables.get(name)
        if value:
            return value
        if default is None:
            self.absent.append(name)
        return default or ""


def read_configuration(document: Mapping[str, Any], variables: Mapping[str, str]) -> Configuration:
    """The configuration that `document` describes, with `variables` as the environment."""
    if "model_mapping" in document or "providers" in document:
        return Configuration(_read_router(document, variables), body_log="logs")
    known = {"backends", "models", "allow_direct", "limits", "answer_model", "quotas", "prices"}
    for key in document:
        if key not in known:
            raise ConfigurationError(str(key), f"unknown key; expected one of {', '.join(sorted(known))}")
    backends = _read_backends(_section(document, "backends"), variables)
    answer_model = document.get("answer_model", "asked")
    routes: dict[str, Route] = {}
    for name, row in _section(document, "models").items():
        routes[str(name)] = _read_model(str(name), row, backends, variables, answer_model)
    registry = Registry(backends, routes, allow_direct=bool(document.get("allow_direct")))
    configuration = Configuration(registry, _read_limits(_section(document, "limits")))
    configuration.quotas = _section(document, "quotas")
    configuration.prices = _section(document, "prices")
    return configuration


def _read_limits(section: Mapping[str, Any]) -> Limits:
    try:
        return Limits(**section)
    except TypeError as error:
        raise ConfigurationError("limits", str(error)) from error


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping of the document; an absent or empty (YAML null) one is empty."""
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise ConfigurationError(name, "expected a mapping of names")
    return section


def _read_backends(section: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Backend]:
    backends = {}
    for name, options in section.items():
        key = f"backends.{name}"
        if not isinstance(options, Mapping):
            raise ConfigurationError(key, "expected a mapping with `type`")
        type_name = options.get("type")
        if type_name not in PROVIDERS:
            raise ConfigurationError(f"{key}.type", f"expected one of {', '.join(PROVIDERS)}; got {type_name!r}")
        backends[str(name)] = backend_from_options(str(name), str(type_name), options, variables)
    return backends


def backend_from_options(
    name: str, type_name: str, options: Mapping[str, Any], variables: Mapping[str, str]
) -> Backend:
    """A backend with its variables expanded. A key or URL that is not given is taken from the variables that
    the vendor's own SDK reads; one that is nowhere is remembered in `missing`."""
    environment = Environment(variables)
    expanded = environment.expand(dict(options))
    provider = PROVIDERS[type_name]
    if not options.get("api_key") and provider.key_variable and not expanded.get("auth"):
        expanded["api_key"] = variables.get(provider.key_variable, "")
        if not expanded["api_key"] and provider.auth in ("api-key", "bearer") and not provider.key_optional:
            environment.absent.append(provider.key_variable)
    if not options.get("base_url") and provider.url_variable:
        expanded["base_url"] = variables.get(provider.url_variable, "")
        if not expanded["base_url"] and not provider.base_url:
            environment.absent.append(provider.url_variable)
    elif not options.get("base_url") and not provider.base_url:
        raise ConfigurationError(f"backends.{name}.base_url", f"a backend of type {type_name} needs one")
    if provider.regional and not expanded.get("region"):
        expanded["region"] = variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or "us-east-1"
    missing = f"{' and '.join(environment.absent)} not set in environment" if environment.absent else None
    return make_backend(name, type_name, expanded, missing)


def _read_model(
    name: str, row: Any, backends: dict[str, Backend], variables: Mapping[str, str], answer_model: Any
) -> Route:
    key = f"models.{name}"
    if not isinstance(row, Mapping):
        raise ConfigurationError(key, "expected a mapping with `backend` or `candidates`")
    rows = row.get("candidates")
    if rows is None:
        rows = [{member: value for member, value in row.items() if member not in MODEL_KEYS}]
    if not isinstance(rows, list) or not rows:
        raise ConfigurationError(f"{key}.candidates", "expected a list of at least one candidate")
    candidates = [
        _read_candidate(f"{key}.candidates[{index}]" if "candidates" in row else key, name, item, backends, variables)
        for index, item in enumerate(rows)
    ]
    candidates = _in_regions(candidates, variables)
    answer = row.get("answer_model", answer_model)
    if answer not in ("asked", "served"):
        raise ConfigurationError(f"{key}.answer_model", f"expected `asked` or `served`; got {answer!r}")
    return Route(name, candidates, answer, policy=_read_policy(f"{key}.policy", _section(row, "policy")))


_POLICY_KEYS = {name.rstrip("_"): name for name in Policy.__annotations__}


def _read_policy(key: str, section: Mapping[str, Any]) -> Policy:
    """A Policy from a configuration's mapping."""
    for name in section:
        if name not in _POLICY_KEYS:
            raise ConfigurationError(f"{key}.{name}", f"unknown key; expected one of {', '.join(_POLICY_KEYS)}")
    values: dict[str, Any] = {
        _POLICY_KEYS[name]: tuple(value) if isinstance(value, list) else value for name, value in section.items()
    }
    return Policy(**values)


def _read_candidate(
    key: str, model: str, row: Any, backends: dict[str, Backend], variables: Mapping[str, str]
) -> Candidate:
    if not isinstance(row, Mapping):
        raise ConfigurationError(key, "expected a mapping with `backend`")
    name = str(row.get("backend"))
    backend = backends.get(name)
    if backend is None and name in IMPLICIT_BACKENDS:
        backend = backends[name] = _implicit_backend(name, variables)
    if backend is None:
        configured = ", ".join(backends) or "none"
        raise ConfigurationError(f"{key}.backend", f"expected a configured backend ({configured}); got {name!r}")
    defaults = {member: value for member, value in row.items() if member not in CANDIDATE_KEYS}
    if backend.options.get("implicit"):
        defaults = {**_IMPLICIT_DEFAULTS.get(name, {}), **defaults}
    own = {member: row[member] for member in OPTION_NAMES if member in row}
    if own:
        backend = _with_options(backend, Environment(variables).expand(own))
    known_as = str(row.get("api_model") or ("" if is_pattern(model) else model))
    deployment = row.get("deployment_name") or (variables.get("AZURE_DEPLOYMENT") if name == "azure" else "")
    api_model = str(deployment or known_as)
    hidden = known_as if row.get("api_model") and api_model != known_as else ""
    return Candidate(
        backend, api_model, int(row.get("priority", 1)), float(row.get("weight", 1)), defaults, hidden
    )


def _with_options(backend: Backend, options: Mapping[str, Any]) -> Backend:
    """The same backend with some options of its own."""
    values = {name: getattr(backend, name) for name in Backend.__annotations__}
    return Backend(**{**values, "options": {**backend.options, **options}})


def _in_regions(candidates: list[Candidate], variables: Mapping[str, str]) -> list[Candidate]:
    """A backend with `regions` becomes one candidate for each of them, tried in their order."""
    if not any(candidate.backend.options.get("regions") for candidate in candidates):
        return candidates
    spread: list[Candidate] = []
    for candidate in candidates:
        backend = candidate.backend
        for index, region in enumerate(backend.options.get("regions") or [""]):
            options = {**backend.options, "region": region, "regions": None}
            name = f"{backend.name}@{region}"
            placed = backend_from_options(name, backend.provider.name, options, variables) if region else backend
            priority = candidate.priority * _REGIONS_MOST + index
            spread.append(replace(candidate, backend=placed, priority=priority))
    return spread


_REGIONS_MOST = 100


def _implicit_backend(name: str, variables: Mapping[str, str]) -> Backend:
    """The registry form: a type's name is a backend whose settings are all in the environment. `azure` there
    speaks the Responses API."""
    options: dict[str, Any] = {"implicit": True}
    if name == "azure":
        options |= {"format": "responses", "api_version": variables.get("AZURE_API_VERSION", "")}
    return backend_from_options(name, IMPLICIT_BACKENDS[name], options, variables)


# The router JSON's provider types, and the one format that each endpoint of it serves.
_ROUTER_TYPES = {"openai": ("openai", "chat_completions"), "anthropic": ("anthropic", "messages")}


# This form goes to the next provider after every HTTP error: what one refuses, another one's model may take. Providers
# of one priority are tried in their order.
_ROUTER_POLICY = Policy(strategy="ordered", move_on=tuple(range(400, 500)))


def _read_router(document: Mapping[str, Any], variables: Mapping[str, str]) -> Registry:
    """`model_mapping` gives each name the names that providers know it by; providers are tried by priority.

    A name is mapped to one name for all providers (`["a"]`) or to one for each provider of a format, in the order
    of their priority.
    """
    providers = document.get("providers")
    if not isinstance(providers, list) or not providers:
        raise ConfigurationError("providers", "expected a list of at least one provider")
    backends: dict[str, Backend] = {}
    ordered: list[tuple[int, Backend]] = []
    for index, row in enumerate(providers):
        key = f"providers[{index}]"
        if not isinstance(row, Mapping) or not row.get("name"):
            raise ConfigurationError(key, "expected a mapping with `name`, `type`, `api_key`, `base_url`, `priority`")
        if row.get("type") not in _ROUTER_TYPES:
            raise ConfigurationError(f"{key}.type", f"expected `openai` or `anthropic`; got {row.get('type')!r}")
        if str(row["name"]) in backends:
            raise ConfigurationError(f"{key}.name", f"expected a name of its own; another provider is {row['name']!r}")
        type_name, format_name = _ROUTER_TYPES[row["type"]]
        options = {member: row[member] for member in ("api_key", "base_url", "timeout") if row.get(member)}
        backend = backend_from_options(str(row["name"]), type_name, {**options, "format": format_name}, variables)
        backends[backend.name] = backend
        ordered.append((int(row.get("priority", index + 1)), backend))
    mapping = _section(document, "model_mapping")
    routes = {str(name): _router_route(str(name), names, ordered) for name, names in mapping.items()}
    fallback = _router_route("*", [], ordered)
    return Registry(backends, routes, fallback=fallback)


def _router_route(name: str, names: Any, ordered: list[tuple[int, Backend]]) -> Route:
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise ConfigurationError(f"model_mapping.{name}", "expected a list of model names")
    candidates = []
    position: dict[str | None, int] = {}
    for priority, backend in sorted(ordered, key=lambda item: item[0]):
        index = position[backend.format] = position.get(backend.format, -1) + 1
        api_model = listed[min(index, len(listed) - 1)] if listed else ""
        candidates.append(Candidate(backend, api_model, priority))
    return Route(name, candidates, "served", translate=False, policy=_ROUTER_POLICY)
