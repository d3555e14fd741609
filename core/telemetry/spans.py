"""Spans of a request, by OpenTelemetry's conventions for HTTP and for generative AI (gen_ai.*, in development).

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from core.errors import GatewayError, UpstreamFault
from core.http import Request
from core.masking import masked
from core.ports import BackendRequest
from core.routes import Endpoint
from core.routing.policy import Attempt
from core.routing.registry import Backend
from core.slotted import field, slotted
from core.telemetry.context import TraceContext, caller_of, traceparent
from core.telemetry.sampling import Sampler
from core.usage import UsageRecord

type Value = str | bool | int | float | list[str]

# SpanKind and StatusCode of the protocol.
SERVER: Final = 2
CLIENT: Final = 3
ERROR: Final = 2

_PORTS = {"http": 80, "https": 443}
_OPERATIONS = {"generate": "chat", "embeddings": "embeddings"}
# Backend types by the conventions' name for the provider; any other is called what it is.
_PROVIDERS = {
    "openai": "openai", "anthropic": "anthropic", "bedrock": "aws.bedrock", "bedrock-mantle": "aws.bedrock",
    "azure-openai": "azure.ai.openai", "azure-openai-classic": "azure.ai.openai", "azure-foundry": "anthropic",
    "gemini": "gcp.gemini",
}  # fmt: skip


@slotted
class Span:
    """One span. Times are in nanoseconds since the epoch; `error` is the status's message, None where all is well."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start: int
    attributes: dict[str, Value]
    end: int = 0
    error: str | None = None
    state: str = ""

    def fail(self, kind: str, message: str) -> None:
        """`message` is somebody else's text, which may quote a credential."""
        self.attributes["error.type"] = kind
        self.error = str(masked(message))


@slotted(frozen=True)
class TracePorts:
    """What traces need from outside. `now`: nanoseconds since the epoch; `new_id`: that many random bytes in
    hexadecimal; `platform`: the X-Ray header of this invocation, ""; `ended` takes a request's spans."""

    now: Callable[[], int]
    new_id: Callable[[int], str]
    platform: Callable[[], str]
    sampler: Sampler
    ended: Callable[[list[Span]], None]


@slotted
class RequestTrace:
    """The spans of one request: core.attempts.Watch, one server span, and a client span for each attempt.

    Where the trace is not sampled nothing is recorded, and backends are told so.
    """

    ports: TracePorts
    request: Request
    trace_id: str
    caller: TraceContext | None
    sampled: bool
    span: Span
    operation: str = ""
    stream: bool = False
    spans: list[Span] = field(default_factory=list)
    open: dict[int, Span] = field(default_factory=dict)
    last: Span | None = None

    def begun(self, attempt: Attempt, request: BackendRequest) -> None:
        """An attempt is about to be sent: it carries this trace on, in the place of the client's own headers."""
        span_id = self.ports.new_id(8)
        for part in request.parts or [request]:
            kept = [item for item in part.headers if item[0] not in ("traceparent", "tracestate")]
            kept.append(("traceparent", traceparent(self.trace_id, span_id, self.sampled)))
            if self.caller is not None and self.caller.state:
                kept.append(("tracestate", self.caller.state))
            part.headers[:] = kept
        if not self.sampled:
            return
        candidate = attempt.candidate
        name = f"{self.operation} {candidate.api_model}"
        attributes = client_attributes(candidate.backend, candidate.api_model, self.operation, request.url)
        if self.stream:
            attributes["gen_ai.request.stream"] = True
        if attempt.number > 1:
            attributes["http.request.resend_count"] = attempt.number - 1
        span = Span(self.trace_id, span_id, self.span.span_id, name, CLIENT, self.ports.now(), attributes)
        span.state = self.span.state
        self.spans.append(span)
        self.open[id(attempt)] = span

    def failed(self, attempt: Attempt, error: GatewayError) -> None:
        span = self.open.pop(id(attempt), None)
        if span is not None:
            self._end_failed(span, error)

    def given_up(self, attempt: Attempt) -> None:
        """The attempt was dropped: another was faster, or the client left."""
        span = self.open.pop(id(attempt), None)
        if span is not None:
            span.fail("cancelled", "given up")
            span.end = self.ports.now()

    def won(self, attempt: Attempt) -> None:
        """The answer comes from this attempt, whose span lasts as long as the answer."""
        self.last = self.open.pop(id(attempt), None)

    def broken(self, error: GatewayError) -> None:
        """The stream that had won broke; another attempt takes it up."""
        if self.last is not None:
            self._end_failed(self.last, error)
            self.last = None

    def _end_failed(self, span: Span, error: GatewayError) -> None:
        span.fail(_error_type(error), error.message)
        if isinstance(error, UpstreamFault) and error.raw is not None:
            span.attributes["http.response.status_code"] = error.raw.status
        span.end = self.ports.now()

    def ended(self, record: UsageRecord) -> None:
        """The request is over: its spans are handed on."""
        if not self.sampled:
            return
        now = self.ports.now()
        for span in self.open.values():
            span.fail("cancelled", "given up")
            span.end = now
        self.open = {}
        if self.last is not None:
            self._end_last(self.last, record, now)
        span = self.span
        span.end = now
        span.attributes.update(server_attributes(record))
        if record.outcome == "cut" or (record.outcome == "failed" and record.status >= 500):
            message = record.errors[-1] if record.errors else record.outcome
            span.fail(str(record.status) if record.status >= 400 else record.outcome, message)
        self.ports.ended([span, *self.spans])

    def _end_last(self, span: Span, record: UsageRecord, now: int) -> None:
        span.end = now
        span.attributes.update(answer_attributes(record))
        if record.outcome == "cut":
            span.fail("stream_broken", record.errors[-1] if record.errors else "the stream broke")
        elif record.outcome == "abandoned":
            span.fail("cancelled", "the client left")


def begin(ports: TracePorts, request: Request, endpoint: Endpoint) -> RequestTrace:
    """The trace of a request that has just begun."""
    caller = caller_of(request.headers, ports.platform())
    trace_id = caller.trace_id if caller is not None else ports.new_id(16)
    attributes: dict[str, Value] = {
        "http.request.method": request.method, "url.path": request.path,
        "http.route": route_of(request.path, endpoint),
    }  # fmt: skip
    agent = request.headers.get("user-agent")
    if agent:
        attributes["user_agent.original"] = agent
    name = f"{request.method} {attributes['http.route']}"
    parent = caller.parent if caller is not None else ""
    span = Span(trace_id, ports.new_id(8), parent, name, SERVER, ports.now(), attributes)
    span.state = caller.state if caller is not None else ""
    sampled = ports.sampler(trace_id, caller)
    operation = _OPERATIONS.get(endpoint.operation, endpoint.operation)
    return RequestTrace(ports, request, trace_id, caller, sampled, span, operation)


def route_of(path: str, endpoint: Endpoint) -> str:
    """The path without the model that it may hold, so that one route has one name."""
    if endpoint.model is None:
        return path
    head, _, rest = path.rpartition("/")
    if endpoint.format == "generate_content":
        return f"{head}/{{model}}:{rest.rpartition(':')[2]}"
    if endpoint.backend is not None:
        return f"{head}/{{model}}"
    parts = path.split("/")
    place = next((index + 1 for index, part in enumerate(parts) if part in ("model", "deployments")), len(parts))
    return "/".join([*parts[:place], "{model}", *parts[place + 1 :]])


def client_attributes(backend: Backend, api_model: str, operation: str, url: str) -> dict[str, Value]:
    """What is known of an attempt when it begins."""
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _PROVIDERS.get(backend.provider.name, backend.provider.name),
        "gen_ai.request.model": api_model,
        "skybridge.backend": backend.name,
    }
    host, port = server_of(url)
    if host:
        attributes["server.address"] = host
        attributes["server.port"] = port
    if backend.provider.regional:
        attributes["cloud.region"] = backend.region
    return attributes


def server_of(url: str) -> tuple[str, int]:
    """Host and port of a backend's URL; ("", 0) for one that is not on a network. By hand: urllib.parse is for
    nothing else before the first answer."""
    scheme, _, rest = url.removeprefix("batch+").partition("://")
    authority = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdigit():
        host, port = authority, ""
    return (host.strip("[]"), int(port or _PORTS[scheme])) if scheme in _PORTS else ("", 0)


def answer_attributes(record: UsageRecord) -> dict[str, Value]:
    """What the answer told: its model, why it ended, and the tokens, of which input includes those of caches."""
    usage = record.usage
    attributes: dict[str, Value] = {"gen_ai.response.model": record.api_model, "http.response.status_code": 200}
    if record.finish:
        attributes["gen_ai.response.finish_reasons"] = [record.finish]
    if record.first_byte_seconds is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = record.first_byte_seconds
    if record.session:
        attributes["gen_ai.conversation.id"] = record.session
    if usage.input_tokens is not None:
        attributes["gen_ai.usage.input_tokens"] = usage.total_input_tokens
    if usage.cache_write_tokens:
        attributes["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_tokens
    named: Mapping[str, int | None] = {
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    attributes.update({name: count for name, count in named.items() if count is not None})
    return attributes


def server_attributes(record: UsageRecord) -> dict[str, Value]:
    """What is known of a request when it is over."""
    attributes: dict[str, Value] = {
        "http.response.status_code": record.status, "skybridge.request_id": record.request_id,
        "skybridge.outcome": record.outcome, "skybridge.attempts": record.attempts,
        "gen_ai.request.model": record.model,
    }  # fmt: skip
    if record.backend:
        attributes["skybridge.backend"] = record.backend
        attributes["skybridge.translation"] = f"{record.client_format}>{record.backend_format}"
    if record.cost is not None:
        attributes["skybridge.cost_usd"] = float(record.cost.usd)
    if record.dropped:
        attributes["skybridge.dropped"] = list(record.dropped)
    return attributes


def _error_type(error: GatewayError) -> str:
    """A status that a backend gave, else the kind of what went wrong."""
    if isinstance(error, UpstreamFault) and error.raw is not None:
        return str(error.raw.status)
    return error.kind
