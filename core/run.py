"""One request from its body to its last byte: candidates, commit, relay, account."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from core.access import AccessRules, Caller
from core.attempts import Attempts, Prepared, Routing, Timing, Watch, Winner
from core.configuration import Configuration
from core.errors import GatewayError, NotConfigured, UpstreamFault, upstream_fault
from core.formats import load_wire
from core.formats.contract import Reply
from core.generation import Generation, is_of_another_format, read_generation
from core.http import HeaderList, Request, Response, listed
from core.native import needs_translation, prepare_native
from core.overload import InFlight
from core.passthrough import is_error_of, returned_headers, told_headers
from core.ports import BackendRequest, Clock, KeptResponses, Log, Media, Random, Transport, TransportFault
from core.redaction import without_secrets
from core.routes import Endpoint
from core.routing.health import Health
from core.routing.registry import Backend, Candidate, Policy, Route, of_format
from core.routing.state import (
    Carried,
    Issuers,
    LearningTransport,
    carried_state,
    is_stateful,
    without_blocks,
    without_pieces,
)
from core.routing.strategy import Choosing, order_candidates
from core.slotted import replace, slotted
from core.streaming import Bounds, Relay, Silence, StreamBody, story_of
from core.usage import CLIENT_LEFT, Cost, Usage, UsageRecord

if TYPE_CHECKING:
    from core.continuation import Story
    from core.faults import Fault
    from core.kept_responses import Keeping

# A whole answer has no ping: it is waited for until a timeout or the deadline says otherwise.
FOREVER = 86_400.0

# How an envelope of reasoning state begins (core.formats.envelope, which a pass-through does not load).
ENVELOPE = b"skybridge1."
# The same where the format's slot holds base64: the envelope's first bytes, of its JSON's brace too.
_ENVELOPES = {"generate_content": b"c2t5YnJpZGdlMS5l"}

# For the expected cost of a request: a rough guess at its tokens is enough to order candidates by price.
BYTES_PER_TOKEN = 4
MIDDLING_ANSWER = 500

type Authorize = Callable[[Backend, BackendRequest], Awaitable[None]]


@slotted
class Ports:
    """Everything impure that the gateway uses. `transports` are by URL scheme; `record` takes each request's
    usage when it is over; it must not block and not raise. `console` answers what no endpoint does (its API, its pages)
    for a caller and under a request id. `in_background`: see core.attempts.AttemptPorts.
    `responses`: where answers of the Responses API are kept, None where there is no store. `trace` follows a request,
    `metrics` gives the page of /metrics, `refused` takes format and kind of what is turned away before routing;
    `finish` writes what is left when the process ends. `metered`: backends are asked to count where they must be."""

    transports: Mapping[str, Transport]
    clock: Clock
    random: Random
    log: Log
    authorize: Authorize
    record: Callable[[UsageRecord], None]
    media: Media
    in_background: Callable[[Transport], Transport] = lambda transport: transport
    accounts: Accounts | None = None
    price: Callable[[UsageRecord], Cost | None] | None = None
    console: Callable[[Request, Caller | None, str], Awaitable[Response]] | None = None
    responses: Callable[[], KeptResponses] | None = None
    trace: Callable[[Request, Endpoint], Watch] | None = None
    metrics: Callable[[], bytes] | None = None
    refused: Callable[[str, str], None] | None = None
    finish: Callable[[], Awaitable[None]] | None = None
    metered: bool = False


class Accounts(Protocol):
    """Who calls, and what they may take. Without it there is the one service key and no limit."""

    async def identify(self, request: Request, rules: AccessRules) -> Caller:
        """Whose request it is. Raises Refused."""
        ...

    async def admit(self, caller: Caller, generation: Generation, record: UsageRecord) -> HeaderList:
        """Reserves what the request may take at most, and notes it in `record`. Gives the answer's headers about what
        is left, [] where nothing is limited. Raises Refused."""
        ...

    async def flush(self) -> None:
        """Writes what was recorded. Raises nothing."""
        ...

    async def usage(self, caller: Caller, query: str) -> bytes:
        """Sums of the records that `caller` may see, as JSON. Raises ClientFault or NotConfigured."""
        ...


class Surroundings(Protocol):
    """What a request shares with the others of its process; the gateway is it.

    `stop_at`: a reading of Clock.monotonic() by which the process ends, None while it stays. `faults_enabled`:
    whether `x-skybridge-fault` is obeyed. `issuers`: which backend can read which reasoning.
    """

    configuration: Configuration
    ports: Ports
    health: Health
    in_flight: InFlight
    stop_at: float | None
    faults_enabled: bool
    issuers: Issuers


class Run:
    """One request from its body to its last byte."""

    def __init__(
        self, gateway: Surroundings, request: Request, endpoint: Endpoint, record: UsageRecord, caller: Caller
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
        self._faults: list[Fault] = []
        self._stateful = False
        self._carried: Carried | None = None
        self._ordered: Sequence[Candidate] = ()
        self._broken: list[Candidate] = []
        self._story: Story | None = None
        self._limits: HeaderList = []
        self._watch = None if self._ports.trace is None else self._ports.trace(request, endpoint)
        self._keeping: Keeping | None = None

    async def answer(self) -> Response:
        """The response, streamed or whole. Raises GatewayError for what happens before anything is committed."""
        if fault := self._request.headers.get("x-skybridge-fault"):
            self._faults = self._read_faults(fault)
        generation = self._generation = read_generation(self._request, self._endpoint)
        record = self._record
        generation.metered = self._ports.metered
        record.model = generation.model
        record.streamed = generation.stream
        record.tier = generation.service_tier
        route = generation.route = self._route(generation.model)
        if self._ports.responses is not None and self._endpoint.format == "responses":
            generation = await self._with_kept(generation, route)
        if self._ports.accounts is not None:
            self._limits = await self._ports.accounts.admit(self._caller, generation, record)
        if not route.translate:  # such a route's requests are changed for the sake of a limit or a budget only
            generation.metered = record.hold is not None
        ordered = self._ordered = self._order(generation, route) if len(route.candidates) > 1 else route.candidates
        attempts = self._attempts = self._attempts_on(ordered, route.policy)
        if self._watch is not None:
            self._watch.stream = generation.stream
        if not generation.stream:
            winner = await attempts.advance(FOREVER)
            assert winner is not None and winner.answer is not None
            return self._whole_response(winner)
        first = await attempts.advance(self._gateway.configuration.limits.ping_seconds)
        headers = [*self._backend_headers(first), *self.headers()]
        wire = load_wire(self._endpoint.format)
        headers.append(("content-type", "application/json" if generation.array else wire.STREAM_CONTENT_TYPE))
        headers.append(("cache-control", "no-cache"))
        headers.append(("x-accel-buffering", "no"))
        stream = self._stream(first) if self._keeping is None else self._keeping.watched(self._stream(first))
        return Response(200, headers, StreamBody(stream, lambda: self.abandon(first)))

    async def _with_kept(self, generation: Generation, route: Route) -> Generation:
        """The request with what it refers to in its place, where the gateway keeps the responses of `route`."""
        keeping = import_module("core.kept_responses")  # clients of one format, on gateways with a store
        if not keeping.gateway_keeps(route):
            return generation
        assert self._ports.responses is not None
        self._keeping = keeping.Keeping(self._ports.responses(), self._caller.id, generation)
        generation = self._generation = await self._keeping.expand(route)
        self._request = generation.request
        return generation

    def _order(self, generation: Generation, route: Route) -> Sequence[Candidate]:
        """Several candidates, in the order to try them."""
        choosing = Choosing(
            self._ports.random, self._gateway.health, generation.prefix_digest, self._expected_cost
        )
        self._stateful = is_stateful(generation.native_format, route.candidates)
        if self._stateful:
            self._carried = carried_state(
                self._gateway.issuers, generation.native_format, generation.document.values, self._request.body
            )
            choosing.pinned = self._carried.pinned if self._carried is not None else None
        return order_candidates(route.candidates, route.policy.strategy, choosing)

    def _expected_cost(self, candidate: Candidate) -> float | None:
        """What a candidate would take for this prompt and a middling answer, for comparing candidates only."""
        if self._ports.price is None:
            return None
        asked = UsageRecord(
            self._record.request_id, self._record.operation, self._record.client_format, self._record.started,
            backend=candidate.backend.name, api_model=candidate.api_model,
            usage=Usage(len(self._request.body) // BYTES_PER_TOKEN, MIDDLING_ANSWER),
        )
        cost = self._ports.price(asked)
        return None if cost is None else float(cost.total)

    def _attempts_on(self, ordered: Sequence[Candidate], policy: Policy) -> Attempts:
        assert self._generation is not None
        grace = self._gateway.configuration.limits.commit_grace_seconds
        attempts = Attempts(
            Routing(ordered, policy, self._gateway.health),
            self._prepare,
            self._transport_for,
            self._ports,
            Timing(self._commit_deadline(policy, self._generation.stream), grace, self._gateway),
        )
        attempts.stream = self._generation.stream
        attempts.watch = self._watch
        return attempts

    def _route(self, model: str) -> Route:
        configuration = self._gateway.configuration
        if self._endpoint.backend is not None:
            dedicated = import_module("core.dedicated")  # few deployments have such endpoints asked
            return cast(Route, dedicated.dedicated_route(configuration, self._endpoint.backend, model))
        if configuration.active:
            about = {"model": model, "correlation_id": self._record.request_id}
            self._ports.log.event("info", "Processing message request", backend=configuration.active, **about)
            self._ports.log.event("info", f"Routing to {configuration.active_title} backend", **about)
        route = configuration.registry.resolve(model)
        if not route.translate:
            route = of_format(route, self._endpoint.format)
        aside = _ASIDE.get(self._endpoint.operation)
        return cast(Route, import_module(aside).route_for(route)) if aside else route

    def _whole_response(self, winner: Winner) -> Response:
        answer = winner.answer
        assert answer is not None
        winner.exchange.close()
        record = self._record
        record.usage = answer.observation.usage
        record.finish = answer.observation.stop.reason if answer.observation.stop else None
        record.status = winner.head.status
        headers = [*self._backend_headers(winner), *self.headers()]
        if winner.prepared.translation != "none" or "content-type" not in winner.head.headers:
            headers.append(("content-type", "application/json"))
        self._name_backend(winner.candidate)
        if self._ports.price is not None:
            record.cost = self._ports.price(record)
            if record.cost is not None:
                headers.append(("x-skybridge-cost-usd", record.cost.usd))
        self.account("complete")
        if self._keeping is not None and self._endpoint.operation == "generate":
            self._keeping.answered(answer.body)
        return Response(winner.head.status, headers, answer.body)

    async def _stream(self, winner: Winner | None) -> AsyncGenerator[bytes]:
        """The body: pings until there is a winner, then its bytes, then an error event if it did not end well."""
        ping = load_wire(self._endpoint.format).PING
        ping_seconds = self._gateway.configuration.limits.ping_seconds
        attempts = self._attempts
        assert attempts is not None
        record = self._record
        record.status = 200
        outcome = "abandoned"
        try:
            while winner is None:
                yield ping
                winner = await attempts.advance(ping_seconds)
            record.first_byte_seconds = self._ports.clock.monotonic() - self._started
            while True:
                try:
                    relay = self._relay(winner, ping)
                    while (data := await relay.next()) is not None:
                        yield data
                    break
                except (UpstreamFault, TransportFault) as failure:
                    attempts = self._follow_up(winner, failure)
                    if attempts is None:
                        raise
                while (follower := await attempts.advance(ping_seconds)) is None:
                    yield ping
                attempts.account_loss(winner.candidate, winner.pipe)
                winner = follower
            outcome = "complete"
        except (GatewayError, TransportFault) as failure:
            outcome = "cut"
            error = failure if isinstance(failure, GatewayError) else _broken(failure)
            record.errors.append(error.message)
            yield self._failure(winner, error)
        finally:
            self._end_stream(winner, outcome)

    def _end_stream(self, winner: Winner | None, outcome: str) -> None:
        """Closes whatever is open and accounts for a stream."""
        self.close()
        record = self._record
        if winner is not None:
            winner.exchange.close()
            assert winner.pipe is not None and self._attempts is not None
            # Followers that never spoke are in the errors; the tokens are of the one that did.
            self._attempts.candidate, self._attempts.prepared = winner.candidate, winner.prepared
            record.usage = winner.pipe.observation.usage
            stop = winner.pipe.observation.stop
            record.finish = stop.reason if stop else None
            if winner.pipe.error is not None:
                outcome = "cut"
                if winner.pipe.error.message not in record.errors:
                    record.errors.append(winner.pipe.error.message)
        self.account(outcome)

    def _relay(self, winner: Winner, ping: bytes) -> Relay:
        policy = self._policy()
        idle_timeout = policy.idle_timeout or winner.candidate.backend.idle_timeout
        silence = Silence(idle_timeout, self._gateway.configuration.limits.ping_seconds)
        ends = _soonest(self._request.deadline, _after(self._started, policy.max_stream_seconds))
        return Relay(winner, silence, ping, Bounds(ends, self._gateway, self._ports.clock))

    def _follow_up(self, winner: Winner, failure: UpstreamFault | TransportFault) -> Attempts | None:
        """Attempts to take up a stream that broke, by candidates that can; None where there is nothing to take up."""
        story, before, generation = story_of(winner.pipe), self._attempts, self._generation
        assert before is not None and generation is not None
        if story is None or not story.can_go_on:
            return None
        continuation = import_module("core.continuation")
        self._broken.append(winner.candidate)
        followers = continuation.followers(self._ordered, self._broken)
        if not followers or not continuation.is_plain(generation.memo["conversation"]):
            return None
        winner.exchange.close()
        self._story = story
        attempts = self._attempts = self._attempts_on(followers, replace(self._policy(), hedge_after=None))
        attempts.follow(before, failure if isinstance(failure, UpstreamFault) else _broken(failure))
        return attempts

    def _policy(self) -> Policy:
        assert self._generation is not None and self._generation.route is not None
        return self._generation.route.policy

    def _commit_deadline(self, policy: Policy, stream: bool) -> float | None:
        """Until when the answer must be committed; one that is not streamed begins where it ends."""
        request = self._request
        first_byte = None if stream else request.first_byte_deadline
        if request.deadline is None and first_byte is None and policy.timeout is None:
            return None
        return _soonest(request.deadline, first_byte, _after(self._started, policy.timeout))

    async def _prepare(self, candidate: Candidate) -> Prepared:
        """The request for `candidate`: as it is when it speaks the client's format, translated otherwise."""
        generation = self._generation
        assert generation is not None
        backend = candidate.backend
        if backend.missing:
            raise NotConfigured(backend.missing)
        aside = _ASIDE.get(self._endpoint.operation)
        if aside is not None:
            passes = self._passes_through(generation, candidate)
            return cast(Prepared, import_module(aside).prepare(generation, candidate, passes))
        foreign = self._carried.foreign_to(candidate) if self._carried is not None else frozenset()
        if self._passes_through(generation, candidate):
            native = prepare_native(generation, candidate)
            if foreign:
                native.request.body, native.dropped = without_pieces(native.request.body, foreign)
            if self._keeping is not None:
                native.dropped.extend(self._keeping.dropped)
            self._forget_body(generation, backend)
            return native
        translated = import_module("core.translated")
        conversation, dropped = without_blocks(translated.read_conversation(generation), foreign)
        story = self._story
        if self._continues() and (story is None or not story.said):
            story = import_module("core.continuation").Story()
        elif story is not None:
            conversation = import_module("core.continuation").prefilled(conversation, story.said)
        route = generation.route
        shown = candidate.api_model if route is not None and route.answer_model == "served" else generation.model
        reply = Reply(
            shown, self._ports.random.token(20), int(self._ports.clock.time()), conversation, self._record.request_id
        )
        if self._keeping is not None:
            reply = self._keeping.reply(reply)
            dropped = [*dropped, *self._keeping.dropped]
        prepare = translated.prepare_translated(generation, candidate, reply, self._ports.media, story)
        prepared = cast(Prepared, await prepare)
        prepared.dropped.extend(dropped)
        self._forget_body(generation, backend)
        return prepared

    def _forget_body(self, generation: Generation, backend: Backend) -> None:
        """What was read from 100 KB takes 1 MB: it does not wait for the answer where no other attempt can need it."""
        if len(self._ordered) == 1 and not backend.max_retries and self._keeping is None:
            generation.document.forget()

    def _failure(self, winner: Winner | None, error: GatewayError) -> bytes:
        """The error that ends a stream whose status is out already."""
        wire = load_wire(self._endpoint.format)
        if winner is not None and winner.pipe is not None:
            return winner.pipe.fail(error, self._record.request_id)
        if self._generation is not None and self._generation.array:
            return b"[" + wire.write_error(error, self._record.request_id).body + b"]"
        return wire.error_event(error, self._record.request_id)

    def _passes_through(self, generation: Generation, candidate: Candidate) -> bool:
        """Whether the client's bytes can go to the candidate: it speaks their format, and they hold no state of
        another vendor's in an envelope of ours, which only a translation takes out."""
        if generation.endpoint.operation == "embeddings":
            return True
        if generation.native_format == "chat_completions" and is_of_another_format(generation.document.values):
            return False
        if generation.array or self._continues():
            return False  # backends are asked for events
        speaks = candidate.backend.speaks(generation.native_format, candidate.api_model)
        if speaks and needs_translation(generation, candidate):
            return False
        return speaks and _ENVELOPES.get(generation.native_format, ENVELOPE) not in self._request.body

    def _continues(self) -> bool:
        generation = self._generation
        assert generation is not None
        if not (generation.stream and self._policy().continue_):
            return False
        return generation.endpoint.operation == "generate" and generation.native_format != "invoke"

    def _transport_for(self, url: str) -> Transport:
        transport = self._ports.transports[url.partition("://")[0]]
        attempts = self._attempts
        assert attempts is not None and attempts.prepared is not None
        backend_format = attempts.prepared.backend_format
        if self._stateful and backend_format == "responses" and attempts.candidate is not None:
            transport = LearningTransport(transport, self._gateway.issuers, attempts.candidate.backend.name)
        if attempts.prepared.translation != "none" and getattr(attempts.prepared, "pauses", False):
            transport = cast(Transport, import_module("core.pauses").ResumingTransport(transport))
        faults = self._faults and [fault for fault in self._faults if fault.attempt in (None, attempts.count)]
        if not faults:
            return transport
        injection = import_module("core.faults")
        return cast(Transport, injection.FaultyTransport(transport, faults, self._ports.clock, backend_format))

    def _read_faults(self, header: str) -> list[Fault]:
        injection = import_module("core.faults")  # no cold start pays for it
        if not self._gateway.faults_enabled:
            raise injection.refused_header()
        return cast("list[Fault]", injection.read_faults(header))

    def _backend_headers(self, winner: Winner | None) -> HeaderList:
        if winner is None:
            return []
        if winner.prepared.translation != "none":
            return self._beside_limits(told_headers(winner.head.headers, self._endpoint.format, self._ports.clock))
        headers = self._returned(winner.head.headers)
        if winner.pipe is not None:
            headers = [item for item in headers if item[0] not in ("content-type", "cache-control")]
        return headers

    def _returned(self, headers: Mapping[str, str]) -> HeaderList:
        """A backend's headers for a client of its own format."""
        return self._beside_limits(returned_headers(headers))

    def _beside_limits(self, found: HeaderList) -> HeaderList:
        """`found`, but what this gateway tells of its own limits it tells alone."""
        if self._limits:
            told = {name for name, _ in self._limits}
            found = [item for item in found if item[0] not in told]
        return found

    def relayed_error(self, error: GatewayError) -> Response | None:
        """The backend's own error answer, byte for byte, for a client of the same format. None where it is not
        the client's to see (the gateway's credential was refused) or nothing that its SDK could read."""
        if not isinstance(error, UpstreamFault) or error.raw is None:
            return None
        raw = error.raw
        if error.kind in _OWN_FAULTS or raw.status in (401, 403):
            return None
        if error.kind == "context_length" and not any(word in raw.body for word in _OVERFLOW[self._endpoint.format]):
            return None
        if not 400 <= raw.status < 600 or not raw.headers.get("content-type", "").startswith("application/json"):
            return None
        if not is_error_of(self._endpoint.format, raw.headers, raw.body):
            return None
        headers = [item for item in self._returned(raw.headers) if item[0] not in ("retry-after", "retry-after-ms")]
        if error.retry_after is not None:
            headers.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
        # Only Anthropic's clients know 529.
        status = 503 if raw.status == 529 and self._endpoint.format != "messages" else raw.status
        return Response(status, [*headers, *self.headers()], raw.body)

    def headers(self) -> HeaderList:
        """The gateway's own headers: which backend answered, and what was done to the request."""
        headers = [("x-request-id", self._record.request_id), *self._limits]
        attempts = self._attempts
        if attempts is None or attempts.candidate is None:
            return headers
        candidate, prepared = attempts.candidate, attempts.prepared
        headers += _headers_about(candidate.backend.name, candidate.api_model)
        headers.append(("x-skybridge-attempts", str(attempts.count)))
        if prepared is not None:
            headers.append(("x-skybridge-translation", prepared.translation))
            if prepared.dropped:
                headers.append(("x-skybridge-dropped", _header_safe(listed(prepared.dropped))))
        return headers

    def abandon(self, winner: Winner | None = None) -> None:
        """The client left before the answer's first byte."""
        self._record.status = CLIENT_LEFT
        if winner is None and self._attempts is not None and not self._attempts.under_way:
            self._record.errors.append("the client left while no backend was asked")
        self._end_stream(winner, "abandoned")

    def close(self) -> None:
        """Drops whatever is under way."""
        if self._attempts is not None:
            self._attempts.close()

    def _name_backend(self, candidate: Candidate) -> None:
        backend, record = candidate.backend, self._record
        record.backend = backend.name
        record.region = backend.region if backend.provider.regional else ""
        record.api_model = candidate.api_model

    def account(self, outcome: str) -> None:
        """Hands the usage record on, once the request is over."""
        self._gateway.in_flight.leave(self._caller.id)
        record, attempts = self._record, self._attempts
        record.outcome = outcome
        record.seconds = self._ports.clock.monotonic() - self._started
        if attempts is not None and attempts.candidate is not None:
            if outcome != "complete" or record.streamed:
                self._name_backend(attempts.candidate)  # a whole answer has named it, for its price
            record.attempts = attempts.count
            record.wasted = attempts.wasted
            if attempts.failures:
                record.errors = attempts.said(record.errors)
            if attempts.prepared is not None:
                record.backend_format = attempts.prepared.backend_format
                record.dropped = attempts.prepared.dropped
                record.edits = attempts.prepared.edits
                if self._keeping is not None:
                    record.edits = [*self._keeping.edits, *record.edits]
        self._ports.record(record)
        if attempts is not None:
            attempts.release()
        if self._watch is not None:
            self._watch.ended(record)


def _after(start: float, seconds: float | None) -> float | None:
    return None if seconds is None else start + seconds


def _soonest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)


# Operations that ask for no answer of a model, and the modules that prepare them.
_ASIDE = {"count_tokens": "core.counting.requests", "embeddings": "core.embeddings"}

# What clients know a full context window by: a proxy's words are not always these. Where nothing is
# known of a format's clients, any words will do.
_OVERFLOW = defaultdict(
    lambda: (b"",),
    messages=(b"prompt is too long", b"exceed context limit"),
    chat_completions=(b"context_length_exceeded",),
    responses=(b"context_length_exceeded",),
)

# Failures that are about the gateway's own credential.
_OWN_FAULTS = frozenset({"authentication", "permission", "configuration"})


def _broken(fault: TransportFault) -> GatewayError:
    return upstream_fault("upstream", f"The backend's connection broke in mid-stream: {fault}", 502)


@lru_cache(maxsize=1024)
def _headers_about(backend: str, model: str) -> HeaderList:
    """Which backend answered, and as which model."""
    shown = without_secrets(model, []) if model.startswith("arn:") else model  # it names the account
    return [("x-skybridge-backend", _header_safe(backend)), ("x-skybridge-model", _header_safe(shown))]


def _header_safe(value: str) -> str:
    """A header value may not hold control characters, and outside Latin-1 nothing at all (RFC 9110, 5.5)."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(character if " " <= character <= "~" else "?" for character in value)
