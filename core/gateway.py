"""The one story of a request: authenticate, find the route, try candidates, commit, relay, account.

The gateway holds no state of a request and no platform: a door gives it a Request and sends the Response.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import cast
from urllib.parse import parse_qsl

from core import access, listings
from core.attempts import AttemptPorts, Attempts, Prepared, Routing, Timing, Winner
from core.configuration import Configuration
from core.errors import ClientFault, GatewayError, NotConfigured, Refused, UpstreamFault, upstream_fault
from core.formats import load_wire
from core.formats.contract import Reply
from core.generation import Generation, read_generation
from core.http import HeaderList, Request, Response
from core.native import prepare_native
from core.overload import InFlight
from core.passthrough import returned_headers
from core.ports import BackendRequest, Clock, Log, Media, Random, Transport, TransportFault
from core.routes import Endpoint, NoRoute, match
from core.routing.health import Health
from core.routing.registry import Backend, Candidate, Policy
from core.routing.strategy import Choosing, order_candidates
from core.usage import UsageRecord

# After a stream's proper end its connection is given this long to end too, so that it can be used again.
TAIL_SECONDS = 5.0
# A whole answer has no ping: it is waited for until a timeout or the deadline says otherwise.
FOREVER = 86_400.0

type Authorize = Callable[[Backend, BackendRequest], Awaitable[None]]


@dataclass(slots=True)
class Ports:
    """Everything impure that the gateway uses. `transports` are by URL scheme; `record` takes each request's
    usage when it is over; it must not block and not raise."""

    transports: Mapping[str, Transport]
    clock: Clock
    random: Random
    log: Log
    authorize: Authorize
    record: Callable[[UsageRecord], None]
    media: Media


@dataclass(slots=True)
class Gateway:
    """The gateway over one configuration."""

    configuration: Configuration
    ports: Ports
    rules: access.AccessRules = field(default_factory=access.AccessRules)
    health: Health = field(init=False)
    in_flight: InFlight = field(init=False)
    stop_at: float | None = None

    def __post_init__(self) -> None:
        self.health = Health(self.ports.clock.monotonic, self.ports.random.uniform)
        self.in_flight = InFlight(self.configuration.limits.max_in_flight)

    def drain(self, grace: float) -> None:
        """The process is about to end: new requests are refused, streams get `grace` seconds to finish and are
        then ended with an error event."""
        self.stop_at = self.ports.clock.monotonic() + grace

    async def handle(self, request: Request) -> Response:
        """Answers `request`. Every failure becomes an answer in the client's format; nothing is raised."""
        request_id = self._new_request_id()
        endpoint = match(request.method, request.path, request.headers)
        try:
            if isinstance(endpoint, NoRoute):
                raise _no_route(request, endpoint)
            if endpoint.operation in _OPEN_OPERATIONS:
                return self._public(endpoint, request_id)
            access.check(self.rules, request.headers, _query_key(request))
            if endpoint.operation in ("models", "model"):
                return self._listing(endpoint, request_id)
            return await self._generate(request, endpoint, request_id)
        except GatewayError as error:
            return self.error_response(error, endpoint.format, request_id)

    def refuse(self, request: Request, error: GatewayError) -> Response:
        """The answer to a request that a door turns away before its body was read."""
        endpoint = match(request.method, request.path, request.headers)
        return self.error_response(error, endpoint.format, self._new_request_id())

    def _new_request_id(self) -> str:
        return "req_" + self.ports.random.token(24)

    def error_response(
        self, error: GatewayError, format_name: str, request_id: str, extra: HeaderList | None = None
    ) -> Response:
        """`error` as a client of `format_name` reads it."""
        answer = load_wire(_error_format(format_name)).write_error(error, request_id)
        headers = [*answer.headers, *(extra or [("x-request-id", request_id)])]
        headers.extend(error.headers.items())
        return Response(answer.status, headers, answer.body)

    def _public(self, endpoint: Endpoint, request_id: str) -> Response:
        body = listings.public_page(endpoint.operation, self.configuration)
        return Response(200, [("content-type", "application/json"), ("x-request-id", request_id)], body)

    def _listing(self, endpoint: Endpoint, request_id: str) -> Response:
        body = listings.model_page(endpoint, self.configuration.registry)
        return Response(200, [("content-type", "application/json"), ("x-request-id", request_id)], body)

    async def _generate(self, request: Request, endpoint: Endpoint, request_id: str) -> Response:
        if self.stop_at is not None:
            raise Refused("overloaded", "This instance is shutting down.", retry_after=1.0)
        caller = access.caller_of(request.headers)
        self.in_flight.enter(caller)
        record = UsageRecord(
            request_id, endpoint.operation, endpoint.format, self.ports.clock.time(),
            user_agent=request.headers.get("user-agent", ""),
        )
        run = _Run(self, request, endpoint, record, caller)
        try:
            return await run.answer()
        except GatewayError as error:
            run.close()
            record.status = error.status
            record.errors.append(error.message)
            run.account("failed")
            return run.relayed_error(error) or self.error_response(error, endpoint.format, request_id, run.headers())
        except BaseException:
            # The client has gone (the door cancels) or the process ends: what was used is still recorded.
            run.close()
            run.account("abandoned")
            raise


class _Run:
    """One request from its body to its last byte."""

    def __init__(
        self, gateway: Gateway, request: Request, endpoint: Endpoint, record: UsageRecord, caller: str
    ) -> None:
        self._gateway = gateway
        self._ports = gateway.ports
        self._request = request
        self._endpoint = endpoint
        self._record = record
        self._caller = caller
        self._started = gateway.ports.clock.monotonic()
        self._attempts: Attempts | None = None
        self._generation: Generation | None = None

    async def answer(self) -> Response:
        """The response, streamed or whole. Raises GatewayError for what happens before anything is committed."""
        generation = self._generation = read_generation(self._request, self._endpoint)
        record = self._record
        record.model = generation.model
        record.streamed = generation.stream
        route = generation.route = self._gateway.configuration.registry.resolve(generation.model)
        limits = self._gateway.configuration.limits
        choosing = Choosing(self._ports.random, self._gateway.health, generation.prefix_digest)
        ordered = order_candidates(route.candidates, route.policy.strategy, choosing)
        attempts = self._attempts = Attempts(
            Routing(ordered, route.policy, self._gateway.health),
            self._prepare,
            self._transport_for,
            AttemptPorts(self._ports.clock, self._ports.random, self._authorize),
            Timing(self._commit_deadline(route.policy, generation.stream), limits.commit_grace_seconds),
        )
        attempts.stream = generation.stream
        if not generation.stream:
            winner = await attempts.advance(FOREVER)
            assert winner is not None and winner.answer is not None
            return self._whole_response(winner)
        first = await attempts.advance(limits.ping_seconds)
        headers = [*self._backend_headers(first), *self.headers()]
        wire = load_wire(self._endpoint.format)
        headers.append(("content-type", wire.STREAM_CONTENT_TYPE))
        headers.append(("cache-control", "no-cache"))
        headers.append(("x-accel-buffering", "no"))
        return Response(200, headers, self._stream(first))

    def _whole_response(self, winner: Winner) -> Response:
        answer = winner.answer
        assert answer is not None
        winner.exchange.close()
        record = self._record
        record.usage = answer.observation.usage
        record.finish = answer.observation.stop.reason if answer.observation.stop else None
        record.status = winner.head.status
        headers = [*self._backend_headers(winner), *self.headers()]
        if not any(name == "content-type" for name, _ in headers):
            headers.append(("content-type", "application/json"))
        self.account("complete")
        return Response(winner.head.status, headers, answer.body)

    async def _stream(self, winner: Winner | None) -> AsyncGenerator[bytes]:
        """The body: pings until there is a winner, then its bytes, then an error event if it did not end well."""
        wire = load_wire(self._endpoint.format)
        attempts = self._attempts
        assert attempts is not None
        record = self._record
        record.status = 200
        outcome = "abandoned"
        try:
            while winner is None:
                yield wire.PING
                winner = await attempts.advance(self._gateway.configuration.limits.ping_seconds)
            record.first_byte_seconds = self._ports.clock.monotonic() - self._started
            async for data in self._relay(winner, wire.PING):
                yield data
            outcome = "complete"
        except (GatewayError, TransportFault) as failure:
            outcome = "cut"
            error = failure if isinstance(failure, GatewayError) else _broken(failure)
            record.errors.append(error.message)
            yield wire.error_event(error, record.request_id)
        finally:
            attempts.close()
            if winner is not None:
                winner.exchange.close()
                assert winner.pipe is not None
                record.usage = winner.pipe.observation.usage
                stop = winner.pipe.observation.stop
                record.finish = stop.reason if stop else None
                if winner.pipe.error is not None:
                    outcome = "cut"
                    record.errors.append(winner.pipe.error.message)
            self.account(outcome)

    async def _relay(self, winner: Winner, ping: bytes) -> AsyncGenerator[bytes]:
        """The winner's bytes from the commit on. Raises when the stream breaks, stalls or runs out of time."""
        pipe = winner.pipe
        assert pipe is not None
        if winner.pending:
            yield winner.pending
        policy = self._policy()
        idle_timeout = policy.idle_timeout or winner.candidate.backend.idle_timeout
        silence = _Silence(idle_timeout, self._gateway.configuration.limits.ping_seconds)
        while True:
            data = await _read(winner, self._next_wait(silence.wait(pipe.finished), policy))
            if data == b"" or (data is None and pipe.finished):
                break
            if data:
                silence.broken()
                out = pipe.feed(data)
            else:
                out = silence.lasted(ping)
            if out:
                yield out
        rest = pipe.close()
        if rest:
            yield rest
        if not pipe.finished and pipe.error is None:
            raise upstream_fault("upstream", "The backend's stream ended before the answer was complete.", 502)

    def _policy(self) -> Policy:
        assert self._generation is not None and self._generation.route is not None
        return self._generation.route.policy

    def _commit_deadline(self, policy: Policy, stream: bool) -> float | None:
        """Until when the answer must be committed; one that is not streamed begins where it ends."""
        first_byte = None if stream else self._request.first_byte_deadline
        return _soonest(self._request.deadline, first_byte, _after(self._started, policy.timeout))

    def _next_wait(self, wait: float, policy: Policy) -> float:
        stream_ends = _after(self._started, policy.max_stream_seconds)
        deadline = _soonest(self._request.deadline, stream_ends, self._gateway.stop_at)
        if deadline is None:
            return wait
        left = deadline - self._ports.clock.monotonic()
        if left <= 0:
            raise ClientFault("timeout", "The gateway's time for this request is over; the answer is cut here.")
        return min(wait, left)

    async def _prepare(self, candidate: Candidate) -> Prepared:
        """The request for `candidate`: as it is when it speaks the client's format, translated otherwise."""
        generation = self._generation
        assert generation is not None
        backend = candidate.backend
        if backend.missing:
            raise NotConfigured(backend.missing)
        native = generation.endpoint.operation == "embeddings" or backend.speaks(
            generation.native_format, candidate.api_model
        )
        if native:
            return prepare_native(generation, candidate)
        if generation.route is not None and not generation.route.translate:
            raise ClientFault(
                "model_not_found", f"No {self._endpoint.format} backend serves '{generation.model}'.", param="model"
            )
        translated = import_module("core.translated")
        conversation = translated.read_conversation(generation)
        route = generation.route
        shown = candidate.api_model if route is not None and route.answer_model == "served" else generation.model
        reply = Reply(
            shown, self._ports.random.token(20), int(self._ports.clock.time()), conversation, self._record.request_id
        )
        return cast(Prepared, await translated.prepare_translated(generation, candidate, reply, self._ports.media))

    def _transport_for(self, url: str) -> Transport:
        return self._ports.transports[url.partition("://")[0]]

    async def _authorize(self, candidate: Candidate, request: BackendRequest) -> None:
        await self._ports.authorize(candidate.backend, request)

    def _backend_headers(self, winner: Winner | None) -> HeaderList:
        if winner is None or winner.prepared.translation != "none":
            return []
        headers = returned_headers(winner.head.headers)
        if winner.pipe is not None:
            headers = [item for item in headers if item[0] not in ("content-type", "cache-control")]
        return headers

    def relayed_error(self, error: GatewayError) -> Response | None:
        """The backend's own error answer, byte for byte, for a client of the same format. None where it is not
        the client's to see (the gateway's credential was refused) or nothing that its SDK could read."""
        if not isinstance(error, UpstreamFault) or error.raw is None:
            return None
        raw = error.raw
        if error.kind in _OWN_FAULTS or raw.status in (401, 403):
            return None
        if raw.status < 400 or not raw.headers.get("content-type", "").startswith("application/json"):
            return None
        headers = [item for item in returned_headers(raw.headers) if item[0] not in ("retry-after", "retry-after-ms")]
        if error.retry_after is not None:
            headers.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
        return Response(raw.status, [*headers, *self.headers()], raw.body)

    def headers(self) -> HeaderList:
        """The gateway's own headers: which backend answered, and what was done to the request."""
        headers = [("x-request-id", self._record.request_id)]
        attempts = self._attempts
        if attempts is None or attempts.candidate is None:
            return headers
        candidate, prepared = attempts.candidate, attempts.prepared
        headers.append(("x-skybridge-backend", candidate.backend.name))
        headers.append(("x-skybridge-model", candidate.api_model))
        headers.append(("x-skybridge-attempts", str(attempts.count)))
        if prepared is not None:
            headers.append(("x-skybridge-translation", prepared.translation))
            if prepared.dropped:
                headers.append(("x-skybridge-dropped", ", ".join(prepared.dropped)))
        return [(name, _header_safe(value)) for name, value in headers]

    def close(self) -> None:
        """Drops whatever is under way."""
        if self._attempts is not None:
            self._attempts.close()

    def account(self, outcome: str) -> None:
        """Hands the usage record on, once the request is over."""
        self._gateway.in_flight.leave(self._caller)
        record, attempts = self._record, self._attempts
        record.outcome = outcome
        record.seconds = self._ports.clock.monotonic() - self._started
        if attempts is not None and attempts.candidate is not None:
            record.backend = attempts.candidate.backend.name
            record.api_model = attempts.candidate.api_model
            record.attempts = attempts.count
            record.errors[:0] = [error.message for error in attempts.failures if error.message not in record.errors]
            if attempts.prepared is not None:
                record.backend_format = attempts.prepared.backend_format
                record.dropped = attempts.prepared.dropped
                record.edits = attempts.prepared.edits
        self._ports.record(record)


async def _read(winner: Winner, wait: float) -> bytes | None:
    """The winner's next bytes. A connection that breaks after the answer's proper end has done no harm."""
    try:
        return await winner.exchange.read(wait)
    except TransportFault:
        if winner.pipe is not None and winner.pipe.finished:
            return b""
        raise


def _after(start: float, seconds: float | None) -> float | None:
    return None if seconds is None else start + seconds


def _soonest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)


class _Silence:
    """How long a backend has said nothing, and what to do about it."""

    __slots__ = ("_idle", "_idle_timeout", "_ping_seconds", "_waiting")

    def __init__(self, idle_timeout: float, ping_seconds: float) -> None:
        self._idle_timeout = idle_timeout
        self._ping_seconds = ping_seconds
        self._idle = 0.0
        self._waiting = 0.0

    def wait(self, finished: bool) -> float:
        """Seconds to wait for the next bytes."""
        self._waiting = min(TAIL_SECONDS if finished else self._ping_seconds, self._idle_timeout - self._idle)
        return self._waiting

    def broken(self) -> None:
        self._idle = 0.0

    def lasted(self, ping: bytes) -> bytes:
        """A whole wait went by: the client gets a ping. Raises UpstreamFault when the silence is too long."""
        self._idle += self._waiting
        if self._idle >= self._idle_timeout:
            raise upstream_fault("timeout", "The backend's stream fell silent.", 504)
        return ping


# Failures that are about the gateway's own credential.
_OWN_FAULTS = frozenset({"authentication", "permission", "configuration"})

_OPEN_OPERATIONS = frozenset({"health", "ready", "root", "quiet"})


def _error_format(format_name: str) -> str:
    """Paths of the console answer in OpenAI's shape until the console is loaded; invoke errors are Bedrock's."""
    return {"console": "chat_completions", "invoke": "converse"}.get(format_name, format_name)


def _no_route(request: Request, no_route: NoRoute) -> GatewayError:
    if no_route.allow:
        allowed = ", ".join(no_route.allow)
        error = ClientFault("method_not_allowed", f"{request.method} is not allowed here; use {allowed}.")
        error.headers["allow"] = allowed
        return error
    return ClientFault("not_found", f"There is no {request.method} {request.path} on this gateway.")


def _query_key(request: Request) -> str | None:
    """Gemini's clients may send the key as `?key=`."""
    if "key=" not in request.query:
        return None
    return dict(parse_qsl(request.query)).get("key")


def _broken(fault: TransportFault) -> GatewayError:
    return upstream_fault("upstream", f"The backend's connection broke in mid-stream: {fault}", 502)


def _header_safe(value: str) -> str:
    """A header value may not hold control characters, and outside Latin-1 nothing at all (RFC 9110, 5.5)."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(character if " " <= character <= "~" else "?" for character in value)
