"""The shapes of the management API, for its OpenAPI document and for the first look at a request's body.

What a request means is read by core.key_terms, which also knows what pydantic cannot say.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

# Assignments: a `type` statement would give each use a name of its own in the OpenAPI document.
Number = StrictInt | StrictFloat
Text = StrictStr
State = Literal["ok", "cooling", "down", "not_configured", "unknown"]


class Fault(BaseModel):
    """What went wrong."""

    code: str = Field(description="An upper-case word for programs.", examples=["BAD_REQUEST"])
    message: str = Field(description="A sentence for people.")
    details: dict[str, Any] = Field(description="`field` names the wrong member, `request_id` the request in the log.")


class FaultAnswer(BaseModel):
    """Every error of this API."""

    error: Fault


class Me(BaseModel):
    """Who calls."""

    key: str | None = Field(description="The id of the caller's key, null where it has none in the store.")
    name: str
    owner: str
    admin: bool = Field(description="Whether it may manage keys and see everybody's usage.")
    authenticated_by: Literal["none", "service_key", "key", "jwt", "iam", "entra", "platform"]
    store: Literal["sqlite", "dynamodb", "tables", "none"]
    version: str


class LastError(BaseModel):
    """The newest failure of a backend, without credentials."""

    status: int
    message: str | None = Field(description="Null for those who are no administrators.")
    at: float = Field(description="Epoch seconds.")


class Target(BaseModel):
    """One model at a backend."""

    api_model: str
    region: str
    state: State
    cooling_until: float | None
    requests: int
    errors: int


class BackendRow(BaseModel):
    """A backend and what this process has seen of it since its start."""

    name: str
    type: str
    base_url: str | None
    region: str | None
    format: str
    state: State
    reason: str | None
    cooling_until: float | None = Field(description="Epoch seconds.")
    consecutive_failures: int
    last_error: LastError | None
    requests: int
    errors: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    models: list[str]
    targets: list[Target]


class SharedCooldown(BaseModel):
    """A cooldown that any instance has told the others of."""

    backend: str
    region: str
    api_model: str
    until: float


class Backends(BaseModel):
    """All backends."""

    backends: list[BackendRow]
    scope: Literal["process"] = Field(description="Counts, latencies and states are those of the answering process.")
    since: float = Field(description="When that process began to count, in epoch seconds.")
    latency_of: int = Field(description="Latencies are of so many of the newest answers of each model at a backend.")
    shared_cooldowns: list[SharedCooldown] | None = Field(description="Of all processes; null without a store.")


class QuotaLeft(BaseModel):
    """What is left of one limit; money in USD."""

    limit: float
    used: float
    remaining: float
    resets: float | None = Field(description="Epoch seconds; null for what does not reset.")
    of: str


class Replaced(BaseModel):
    """An older key of the same id that works for a while yet."""

    prefix: str
    expires: float | None


class KeyRecord(BaseModel):
    """A key, without its text. Times are epoch seconds."""

    id: str
    prefix: str
    name: str
    owner: str
    labels: dict[str, str]
    created: float
    expires: float | None
    revoked: float | None
    state: Literal["active", "expired", "revoked"]
    models: list[str]
    admin: bool
    limits: dict[str, int]
    budget: dict[str, float] = Field(description="USD.")
    replaces: list[Replaced]
    quota: dict[str, QuotaLeft] | None = None
    spent_usd: float | None = Field(None, description="Of its longest budget.")


class Keys(BaseModel):
    """All keys, the newest first."""

    keys: list[KeyRecord]


class NewKey(KeyRecord):
    """A key that was just made."""

    key: str = Field(description="The key's text, which is shown this once.")


class KeyTerms(BaseModel):
    """The terms of a key. What is left out stays as it is; null takes it away."""

    model_config = ConfigDict(extra="forbid")

    name: Text | None = Field(None, max_length=200)
    labels: dict[str, Text | None] | None = Field(None, description="Merged with those that it has.")
    expires: Number | Text | None = Field(None, description="Epoch seconds, or YYYY-MM-DD with or without THH:MM:SSZ.")
    models: list[Text] | None = Field(None, description="Names or patterns that it may ask for; none for all.")
    limits: dict[str, Number | None] | None = Field(
        None, description="requests_per_minute, tokens_per_minute, tokens_per_day, in_flight."
    )
    budgets: dict[str, Number | None] | None = Field(None, description="usd_per_day, usd_per_month, usd_total.")
    budget: dict[str, Number | None] | None = Field(None, description="Another word for `budgets`.")
    admin: StrictBool = False


class KeyCreation(KeyTerms):
    """A key to be made."""

    owner: Text = Field(min_length=1, max_length=200, description="Whom its limits and bills belong to.")


class KeyChange(KeyTerms):
    """Changes to a key."""

    owner: Text = Field(default_factory=str, min_length=1, max_length=200)


class Rotation(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: Number = Field(86_400, ge=0, le=7_776_000, description="How long the old one goes on working.")
