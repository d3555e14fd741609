"""Checks a configuration file at authoring time: the schema, with pydantic, and the line of each problem.

The deployed function never imports this: it reads a file that was checked before it was shipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.configuration import ConfigurationError, read_configuration
from core.providers.table import PROVIDERS
from handlers.io.configuration_files import read_document
from handlers.pricing import read_pricing
from handlers.quotas import read_quotas

type FormatName = Literal["chat_completions", "responses", "messages", "converse", "invoke", "generate_content"]
type Seconds = Annotated[float, Field(gt=0)]
type Flag = bool | Literal["true", "false"]

_FORBID = ConfigDict(extra="forbid", strict=True, coerce_numbers_to_str=False)


class GuardrailSection(BaseModel):
    """A Bedrock guardrail."""

    model_config = _FORBID

    identifier: str
    version: str | int = "DRAFT"
    trace: bool | str | None = None


class BedrockOptions(BaseModel):
    """Bedrock's own settings, of a backend or a candidate (core.providers.bedrock)."""

    guardrail: GuardrailSection | None = None
    bedrock_service_tier: str | None = None
    performance: str | None = None
    request_metadata: dict[str, str] | None = None


class IdentityOptions(BaseModel):
    """Who the gateway is at a backend without a key (handlers.io.federation)."""

    scope: str | None = None
    audience: str | None = None
    authority: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    identity_client_id: str | None = None
    role_arn: str | None = None
    token_file: str | None = None
    token_url: str | None = None
    federation_rule_id: str | None = None
    organization_id: str | None = None
    workspace_id: str | None = None
    service_account_id: str | None = None
    identity_provider_id: str | None = None


class BackendRow(BedrockOptions, IdentityOptions):
    """One entry of `backends`."""

    model_config = _FORBID

    type: str
    base_url: str | None = None
    format: FormatName | None = None
    auth: Literal["api-key", "bearer", "iam", "managed-identity", "federated", "none"] | None = None
    api_key: str | None = None
    region: str | None = None
    regions: list[str] | None = None
    api_version: str | None = None
    headers: dict[str, str] | None = None
    timeout: Seconds | None = None
    connect_timeout: Seconds | None = None
    first_byte_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    max_retries: Annotated[int, Field(ge=0, le=10)] | None = None
    keeps_responses: Flag | None = None
    include_usage: Flag | None = None


class PolicySection(BaseModel):
    """How a model's candidates are tried."""

    model_config = _FORBID

    strategy: Literal["ordered", "weighted", "lowest_latency", "lowest_cost", "cache_aware"] = "weighted"
    attempts: Annotated[int, Field(ge=1)] | None = None
    timeout: Seconds | None = None
    first_byte_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    move_on: list[Annotated[int, Field(ge=400, le=599)]] = []
    stop: list[Annotated[int, Field(ge=400, le=599)]] = []
    hedge_after: Seconds | None = None
    continue_: Annotated[bool, Field(alias="continue")] = False
    max_stream_seconds: Seconds | None = None
    longest_wait: Annotated[float, Field(ge=0)] = 10.0


class CandidateRow(BedrockOptions):
    """One candidate. Other members are defaults for request knobs, of whatever name the backend knows them by."""

    model_config = ConfigDict(extra="allow", strict=True)

    backend: str
    api_model: str | None = None
    deployment_name: str | None = None
    priority: Annotated[int, Field(ge=1)] = 1
    weight: Annotated[float, Field(ge=0)] = 1
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary_level: Literal["auto", "detailed", "concise"] | None = None
    verbosity_level: Literal["low", "medium", "high"] | None = None
    truncation_strategy: Literal["auto", "disabled"] | None = None


class SingleRow(CandidateRow):
    """A model row that is its only candidate."""

    answer_model: Literal["asked", "served"] = "asked"
    policy: PolicySection | None = None


class ModelRow(BaseModel):
    """A model row with candidates."""

    model_config = _FORBID

    candidates: Annotated[list[CandidateRow], Field(min_length=1)]
    answer_model: Literal["asked", "served"] = "asked"
    policy: PolicySection | None = None


class LimitsSection(BaseModel):
    model_config = _FORBID

    max_body_bytes: Annotated[int, Field(gt=0)] | None = None
    max_in_flight: Annotated[int, Field(gt=0)] | None = None
    ping_seconds: Seconds | None = None
    commit_grace_seconds: Annotated[float, Field(ge=0)] | None = None
    reader_stall_seconds: Seconds | None = None
    responses_days: Seconds | None = None
    sessions_days: Seconds | None = None


class NativeDocument(BaseModel):
    """models.yaml, the registry form included."""

    model_config = _FORBID

    backends: dict[str, BackendRow] = {}
    models: dict[str, Any] = {}
    allow_direct: bool = False
    answer_model: Literal["asked", "served"] = "asked"
    limits: LimitsSection | None = None
    quotas: dict[str, Any] = {}
    prices: dict[str, Any] = {}


class RouterProvider(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    type: Literal["openai", "anthropic"]
    api_key: str
    base_url: str | None = None
    priority: int | None = None
    timeout: Seconds | None = None


class RouterDocument(BaseModel):
    """The router JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model_mapping: dict[str, list[str] | str] = {}
    providers: Annotated[list[RouterProvider], Field(min_length=1)]


def check_file(path: Path, variables: Mapping[str, str]) -> list[str]:
    """The problems of the file at `path`, a line of text each; empty when it can be used."""
    try:
        document = read_document(path)
    except ConfigurationError as error:
        return [str(error)]
    lines = _Lines(path)
    problems = [*lines.repeated(), *(lines.place(place, message) for place, message in _problems(document))]
    if problems:
        return problems
    try:
        configuration = read_configuration(document, variables)
        read_quotas(configuration.quotas)
        read_pricing(configuration)
    except ConfigurationError as error:
        return [lines.place(_split(error.key), error.message)]
    return []


# Variables of few values. Any other one does nothing, which nobody meant who set it.
_CHOICES = {
    "LOG_LEVEL": ("debug", "info", "warning", "error"),
    "SKYBRIDGE_AUTH": ("platform",),
    "SKYBRIDGE_BODY_LOG_PERSONAL": ("redact", "off"),
}


def check_variables(variables: Mapping[str, str]) -> list[str]:
    """What is wrong with the values of the environment, a line of text each."""
    return [
        f"{name}: expected {' or '.join(choices)}; got {variables[name]!r}"
        for name, choices in _CHOICES.items()
        if variables.get(name) and variables[name].lower() not in choices
    ]


type Place = Sequence[str | int]


def _problems(document: dict[str, Any]) -> list[tuple[Place, str]]:
    if "providers" in document or "model_mapping" in document:
        return _validate(RouterDocument, document, ())
    found = _validate(NativeDocument, document, ())
    backends = document.get("backends")
    for name, row in (backends if isinstance(backends, dict) else {}).items():
        if isinstance(row, dict) and isinstance(row.get("type"), str) and row["type"] not in PROVIDERS:
            expected = ", ".join(PROVIDERS)
            found.append((("backends", name, "type"), f"expected one of {expected}; got {row['type']!r}"))
    models = document.get("models")
    for name, row in (models if isinstance(models, dict) else {}).items():
        several = isinstance(row, dict) and "candidates" in row
        found.extend(_validate(ModelRow if several else SingleRow, row, ("models", name)))
        for place, candidate in _candidates(row) if several else [((), row)]:
            known = CandidateRow if several else SingleRow
            found.extend((("models", name, *place, key), text) for key, text in _misspelt(known, candidate))
    return found


def _candidates(row: dict[str, Any]) -> Iterator[tuple[Place, Any]]:
    rows = row["candidates"]
    yield from ((("candidates", index), each) for index, each in enumerate(rows if isinstance(rows, list) else []))


def _misspelt(schema: type[BaseModel], row: Any) -> Iterator[tuple[str, str]]:
    """The members of a row that takes any, which are all but one of those that it knows."""
    known = list(schema.model_fields)
    for key in row if isinstance(row, dict) else ():
        near = get_close_matches(str(key), known, 1, _NEAR)
        if near and key not in known:
            yield str(key), f"unknown key; did you mean {near[0]}?"


# How alike two names are (difflib's ratio) of which one may be meant for the other.
_NEAR = 0.8


def _validate(schema: type[BaseModel], value: Any, prefix: Place) -> list[tuple[Place, str]]:
    try:
        schema.model_validate(value)
    except ValidationError as error:
        return [((*prefix, *item["loc"]), _explained(schema, item)) for item in error.errors()]
    return []


# What pydantic says in words of Python's, by the type of its errors.
_IN_YAML = {
    "model_type": "expected a mapping", "dict_type": "expected a mapping", "list_type": "expected a list",
    "too_short": "expected at least one",
}  # fmt: skip


def _explained(schema: type[BaseModel], item: Any) -> str:
    if item["type"] == "missing":
        return "is missing"
    if item["type"] != "extra_forbidden":
        return f"{_IN_YAML.get(item['type'], item['msg'])}; got {_shown(item)}"
    for part in item["loc"][:-1]:
        schema = _schema_below(schema, part)
    known = [field.alias or name for name, field in schema.model_fields.items()]
    near = get_close_matches(str(item["loc"][-1]), known, 1, _NEAR)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; expected one of {', '.join(known)}"


def _schema_below(schema: type[BaseModel], part: str | int) -> type[BaseModel]:
    """The schema of a member; for the name or number of a row, the rows' schema, which the member before has given."""
    known = schema.model_fields.get(str(part))
    return schema if known is None else next(_schemas(known.annotation), schema)


def _schemas(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _schemas(each)


def _shown(item: Any) -> str:
    """The offending value, but never one that may be a secret."""
    if any("key" in str(part) for part in item["loc"]) or isinstance(item["input"], (dict, list)):
        return type(item["input"]).__name__
    return repr(item["input"])


def _split(key: str) -> Place:
    return tuple(part for part in key.replace("[", ".").replace("]", "").split(".") if part)


class _Lines:
    """Finds the line of a member in the file, YAML or JSON (which is YAML too)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)

    def place(self, place: Place, message: str) -> str:
        """`file, line N, key: message`."""
        key = ".".join(str(part) for part in place)
        return f"{self._path}, line {self._line(place)}, {key}: {message}"

    def repeated(self) -> list[str]:
        """A problem for each member that is there twice: YAML and JSON would take the last one without a word."""
        return [self.place(place, "there twice; only one of them would count") for place in _repeated(self._root, ())]

    def _line(self, place: Place) -> int:
        node = self._root
        line = 1
        for part in place:
            found = _child(node, part)
            if found is None:
                break
            mark, node = found
            line = mark.line + 1
        return line


def _repeated(node: Any, place: Place) -> Iterator[Place]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    seen: set[str] = set()
    for key, value in pairs:
        name = str(key.value)
        if name in seen:
            yield (*place, name)
        seen.add(name)
        yield from _repeated(value, (*place, name))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated(item, (*place, index))


def _child(node: Any, part: str | int) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark, value
    if isinstance(node, yaml.SequenceNode) and str(part).isdigit() and int(part) < len(node.value):
        item = node.value[int(part)]
        return item.start_mark, item
    return None
