"""One request's way through its candidates, up to the commit point.

`Attempts.advance(wait)` goes on for at most `wait` seconds and gives the winner, or None when it is time to let
the client know that somebody is still there. Nothing of a loser's answer is ever kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from core.errors import STATUS, ClientFault, GatewayError, UpstreamFault, upstream_fault, words_of
from core.formats import load_wire
from core.passthrough import REQUEST_IDS, told_headers
from core.ports import BackendRequest, Clock, Exchange, Head, Random, Transport, TransportFault
from core.redaction import redact, redacted
from core.relay import Pipe, WholeAnswer
from core.routing.health import Health
from core.routing.policy import Attempt, Plan, final_error, plan_attempts
from core.routing.registry import Backend, Candidate, Policy
from core.slotted import field, slotted
from core.usage import UsageRecord, Wasted

# An error's body is read this long and this far: it is for a message, not for delivery.
ERROR_BODY_SECONDS = 10.0
ERROR_BODY_BYTES = 1024 * 1024
# What a proxy says to the gateway, which is no client's business (RFC 9110, 15.5.8).
PROXY_REFUSES = 407
# A whole answer is held in memory, and of a stream what comes before its content; images come in tens of megabytes.
LARGEST_ANSWER = 128 * 1024 * 1024
# Two attempts at once are looked at in turn, this many seconds each.
HEDGE_SLICE = 0.02
# No single wait is longer, so that a process that is told to end notices in time to end its answers properly.
LONGEST_NAP = 1.0


class Prepared(Protocol):
    """A request encoded for one candidate, and how its answer is read."""

    request: BackendRequest
    edits: list[str]
    dropped: list[str]
    backend_format: str
    translation: str

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault: ...
    def pipe(self) -> Pipe: ...
    def whole(self, body: bytes) -> WholeAnswer: ...


@slotted
class Winner:
    """The attempt that is answered from. A stream's first bytes are in `pending`, a whole answer in `answer`."""

    candidate: Candidate
    prepared: Prepared
    exchange: Exchange
    head: Head
    pipe: Pipe | None = None
    pending: bytes = b""
    answer: WholeAnswer | None = None


@slotted
class Routing:
    """The candidates in the order to try them, and the rules of trying."""

    ordered: Sequence[Candidate]
    policy: Policy
    health: Health


class Process(Protocol):
    """What may end while a request is under way. `stop_at`: by when (Clock.monotonic()), None while it stays."""

    stop_at: float | None


@slotted
class Timing:
    """Bounds of a request, readings of Clock.monotonic() and seconds. That `process` ends may become known at any
    moment."""

    deadline: float | None
    commit_grace: float
    process: Process

    def end(self) -> float | None:
        """By when there must be an answer."""
        stop_at = self.process.stop_at
        if stop_at is None or self.deadline is None:
            return self.deadline if stop_at is None else stop_at
        return min(self.deadline, stop_at)


class Watch(Protocol):
    """Follows one request and its attempts, for its trace. `stream`: whether the answer is streamed."""

    stream: bool

    def begun(self, attempt: Attempt, request: BackendRequest) -> None:
        """It is about to be sent: headers may still be added, which a signature then holds too."""
        ...

    def failed(self, attempt: Attempt, error: GatewayError) -> None: ...
    def given_up(self, attempt: Attempt) -> None: ...
    def won(self, attempt: Attempt) -> None: ...
    def broken(self, error: GatewayError) -> None:
        """What had won broke, and other attempts take it up."""
        ...

    def ended(self, record: UsageRecord) -> None:
        """The request is over, however it went."""
        ...


class AttemptPorts(Protocol):
    """What trying candidates needs from outside. `in_background` makes a transport whose `send` connects while its
    exchange is being waited for: a second attempt must not keep the first one waiting."""

    @property
    def clock(self) -> Clock: ...
    @property
    def random(self) -> Random: ...
    @property
    def authorize(self) -> Callable[[Backend, BackendRequest], Awaitable[None]]: ...
    @property
    def in_background(self) -> Callable[[Transport], Transport]: ...


@slotted
class _Racer:
    """One attempt under way."""

    attempt: Attempt
    prepared: Prepared
    exchange: Exchange
    started: float
    head: Head | None = None
    pipe: Pipe | None = None
    alive_since: float | None = None
    pending: list[bytes] = field(default_factory=list)
    size: int = 0
    ends: float = 0.0
    ends_if_alive: float = 0.0


class Attempts:
    """Tries candidates until one can be committed to. With a hedge, two of them at once. `stream`: whether the answer
    is streamed; `watch` follows, None where nobody does."""

    def __init__(
        self,
        routing: Routing,
        prepare: Callable[[Candidate], Awaitable[Prepared]],
        transport_for: Callable[[str], Transport],
        ports: AttemptPorts,
        timing: Timing,
    ) -> None:
        self._routing = routing
        self._plan: Plan = plan_attempts(routing.ordered, routing.policy, routing.health, ports.random)
        self._prepare = prepare
        self._transport_for = transport_for
        self._ports = ports
        self._now = ports.clock.monotonic
        self._timing = timing
        self._racers: list[_Racer] = []
        self._next: Attempt | None = None
        self._not_before = 0.0
        self._hedge_after = routing.policy.hedge_after
        self._begun = False
        self._hedged = False
        self._number_before = 0
        self.stream = False
        self.watch: Watch | None = None
        self.failures: list[GatewayError] = []
        self.wasted: list[Wasted] = []
        self.count = 0
        self.candidate: Candidate | None = None
        self.prepared: Prepared | None = None

    def follow(self, before: Attempts, failure: GatewayError) -> None:
        """These attempts go on where the winner of others failed."""
        self.stream = before.stream
        self._number_before = self.count = before.count
        self.candidate, self.prepared = before.candidate, before.prepared
        assert before.candidate is not None
        failure.backend = before.candidate.backend.name
        self.failures = [*before.failures, failure]
        self.wasted = before.wasted
        if self.watch is not None:
            self.watch.broken(failure)

    def said(self, messages: list[str]) -> list[str]:
        """What each backend failed with, under its name, before what else is in `messages`."""
        told = {failure.message for failure in self.failures}
        named = [f"{failure.backend}: {failure.message}" for failure in self.failures]
        return named + [message for message in messages if message not in told]

    async def advance(self, wait: float) -> Winner | None:
        """Raises the GatewayError to tell the client when nothing is left to try."""
        until = self._now() + wait
        while True:
            if not self._racers and not await self._launch(until, self._transport_for):
                return None
            winner = await self._race(until)
            if winner is not None or self._now() >= until:
                return winner

    @property
    def under_way(self) -> bool:
        """Whether a backend is at work."""
        return bool(self._racers)

    def close(self) -> None:
        """Drops the attempts under way, if there are any. A winner's exchange is its new owner's."""
        for racer in self._racers:
            racer.exchange.close()
            self._routing.health.given_up(racer.attempt.candidate)
            if self.watch is not None:
                self.watch.given_up(racer.attempt)
            self.account_loss(racer.attempt.candidate, racer.pipe)
        self._racers = []
        if self._next is not None:
            self._routing.health.given_up(self._next.candidate)
            self._next = None
        self._plan.close()

    def release(self) -> None:
        """The request is over. Its parts refer to one another: without this, what it held (a body of 100 KB, and what
        was read from it) would lie there until the collector of cycles comes by."""
        self._prepare = self._transport_for = _over
        for failure in self.failures:  # each knows the frames in which it was raised, and they what they worked on
            failure.__traceback__ = failure.__cause__ = failure.__context__ = None

    def account_loss(self, candidate: Candidate, pipe: Pipe | None) -> None:
        """What an attempt used that did not end well, or that nobody gets an answer from."""
        if pipe is not None and pipe.observation.usage.total_tokens:
            self.wasted.append(Wasted(candidate.backend.name, candidate.api_model, pipe.observation.usage))

    async def _launch(self, until: float, transport_for: Callable[[str], Transport]) -> bool:
        """Starts the next attempt. False when its time has not come by `until`."""
        if not self._begun:
            self._begun = True
            self._set_next(next(self._plan, None))
        attempt = self._next
        if attempt is None:
            raise self._final_error()
        if attempt.delay and not await self._time_has_come(until):
            return False
        self._next = None
        self.count = self._number_before + attempt.number
        self.candidate = attempt.candidate
        try:
            if attempt.delay:
                self._check_deadline()
            prepared = self.prepared = await self._prepare(attempt.candidate)
            if self.watch is not None:
                self.watch.begun(attempt, prepared.request)
            await self._ports.authorize(attempt.candidate.backend, prepared.request)
            exchange = await transport_for(prepared.request.url).send(prepared.request)
        except TransportFault as fault:
            self._failed(attempt, _fault_of(fault))
        except GatewayError as error:
            self._failed(attempt, error)
        except BaseException:
            self._routing.health.given_up(attempt.candidate)
            raise
        else:
            self._begin(attempt, prepared, exchange)
        return True

    async def _time_has_come(self, until: float) -> bool:
        """Waits for the moment of the next attempt, `until` at most."""
        while (left := self._not_before - self._now()) > 0:
            patience = until - self._now()
            if patience <= 0:
                return False
            self._check_deadline()
            await self._ports.clock.sleep(min(left, patience, LONGEST_NAP))
        return True

    def _transport_beside(self, url: str) -> Transport:
        return self._ports.in_background(self._transport_for(url))

    async def _race(self, until: float) -> Winner | None:
        """A turn for each attempt under way; the first that has content wins and the others are closed."""
        for racer in list(self._racers):
            try:
                winner = await self._peek(racer, until if self._hedge_after is None else self._turn(racer, until))
            except TransportFault as fault:
                self._lost(racer, _fault_of(fault))
            except GatewayError as error:
                self._lost(racer, error)
            else:
                if winner is not None:
                    self._won(racer)
                    return winner
        if self._hedge_is_due():
            self._hedged = True
            self._set_next(self._send(None))
            if self._next is not None:
                await self._launch(until, self._transport_beside)
        return None

    def _turn(self, racer: _Racer, until: float) -> float:
        """Until when one attempt is waited for: alone to the end, or to the hedge; beside another, in slices."""
        if len(self._racers) > 1:
            return min(until, self._now() + HEDGE_SLICE)
        if self._hedge_after is not None and self.stream and not self._hedged:
            return min(until, racer.started + self._hedge_after)
        return until

    def _hedge_is_due(self) -> bool:
        hedge_after = self._hedge_after
        if hedge_after is None or not self.stream or self._hedged or len(self._racers) != 1:
            return False
        return self._now() >= self._racers[0].started + hedge_after

    def _won(self, winner: _Racer) -> None:
        self._racers.remove(winner)
        self.close()
        self.candidate, self.prepared = winner.attempt.candidate, winner.prepared
        self._routing.health.succeeded(self.candidate, self._now() - winner.started)
        if self.watch is not None:
            self.watch.won(winner.attempt)

    def _lost(self, racer: _Racer, error: GatewayError) -> None:
        self._racers.remove(racer)
        racer.exchange.close()
        self.account_loss(racer.attempt.candidate, racer.pipe)
        self._failed(racer.attempt, error, racer.prepared)

    def _failed(self, attempt: Attempt, error: GatewayError, prepared: Prepared | None = None) -> None:
        if isinstance(error, UpstreamFault):
            self._read_date(error)
            if prepared is not None:
                redact(error, prepared.request.headers)
                _keep_request_id(error)
                if prepared.translation != "none" and error.raw is not None:
                    client_format = prepared.translation.partition(">")[0]
                    error.headers.update(told_headers(error.raw.headers, client_format, self._ports.clock))
                    error.raw = None  # an answer in a format that the client does not read
        self._routing.health.failed(attempt.candidate, error)
        if self.watch is not None:
            self.watch.failed(attempt, error)
        error.backend = attempt.candidate.backend.name
        self.failures.append(error)
        if self._next is None:
            self._set_next(self._send(error))
        if self._next is None and not self._racers:
            raise self._final_error() from error

    def _read_date(self, error: UpstreamFault) -> None:
        """`retry-after` as a date needs a clock (RFC 9110, 10.2.3), which formats do not have."""
        date = error.raw.headers.get("retry-after") if error.retry_after is None and error.raw is not None else None
        if date:
            from core.http_dates import seconds_until  # noqa: PLC0415  # few backends say it as a date

            error.retry_after = seconds_until(date, self._ports.clock.time())

    def _final_error(self) -> GatewayError:
        if not self.failures:
            return _time_is_over()
        error = final_error(self.failures)
        if error.kind in ("rate_limit", "overloaded") and error.retry_after is None:
            # The client is told the soonest end of a cooldown: one that asks again at once makes it worse.
            health = self._routing.health
            error.retry_after = min(map(health.cooling, self._routing.ordered), default=0.0) or None
        return error

    def _send(self, outcome: GatewayError | None) -> Attempt | None:
        try:
            return self._plan.send(outcome)
        except StopIteration:
            return None

    def _set_next(self, attempt: Attempt | None) -> None:
        """An attempt whose wait would outlast the request's time is none."""
        now = self._now()
        deadline = self._timing.end()
        if attempt is not None and deadline is not None and now + attempt.delay >= deadline:
            self._routing.health.given_up(attempt.candidate)
            attempt = None
        self._next = attempt
        self._not_before = now + attempt.delay if attempt is not None else 0.0

    def _check_deadline(self) -> None:
        deadline = self._timing.end()
        if deadline is not None and self._now() >= deadline:
            raise _time_is_over()

    def _wait(self, racer: _Racer, until: float) -> float:
        """Seconds until something must be looked at. Raises when the attempt's or the request's time is over."""
        now, next_look = self._now(), until
        deadline = self._timing.end()
        if deadline is not None:
            if now >= deadline:
                raise _time_is_over()
            next_look = min(next_look, deadline)
        if now >= racer.ends:
            name = racer.attempt.candidate.backend.name
            raise upstream_fault("timeout", f"Backend {name} did not answer in time.", 504)
        if racer.alive_since is not None:
            next_look = min(next_look, racer.alive_since + self._timing.commit_grace)
        return max(0.0, min(next_look - now, racer.ends - now, LONGEST_NAP))

    def _begin(self, attempt: Attempt, prepared: Prepared, exchange: Exchange) -> None:
        """An attempt is under way: until when it may take, and until when its stream must have begun."""
        backend, policy = attempt.candidate.backend, self._routing.policy
        racer = _Racer(attempt, prepared, exchange, self._now())
        racer.ends = racer.ends_if_alive = racer.started + backend.timeout
        first_byte = policy.first_byte_timeout or backend.first_byte_timeout
        if self.stream and first_byte is not None:
            racer.ends = racer.started + min(backend.timeout, first_byte)
        self._racers.append(racer)

    async def _peek(self, racer: _Racer, until: float) -> Winner | None:
        if racer.head is None:
            head = await racer.exchange.head(self._wait(racer, until))
            if head is None:
                return None
            racer.head = head
            if head.status >= 300:
                await self._raise_error_answer(racer, head)
        if not self.stream:
            return await self._read_whole(racer, racer.head, until)
        return await self._read_start(racer, racer.head, until)

    async def _raise_error_answer(self, racer: _Racer, head: Head) -> None:
        if head.status < 400:
            name = racer.attempt.candidate.backend.name
            message = f"Backend {name} redirects (status {head.status}); its base_url is not where it answers."
            raise upstream_fault("upstream", message, 502)
        if head.status == PROXY_REFUSES:
            raise upstream_fault("upstream", "The proxy before the backend refuses the gateway (status 407).", 502)
        body = await self._read_body(racer.exchange, ERROR_BODY_SECONDS, ERROR_BODY_BYTES)
        body = redacted(body, racer.prepared.request.headers)
        raise racer.prepared.read_error(head.status, head.headers, body)

    async def _read_body(self, exchange: Exchange, seconds: float, most: int) -> bytes:
        until = self._now() + seconds
        deadline = self._timing.end()
        if deadline is not None:
            until = min(until, deadline)
        parts: list[bytes] = []
        size = 0
        with suppress(TransportFault):  # what has come so far says more than that the rest did not
            while size < most:
                data = await exchange.read(max(0.0, until - self._now()))
                if not data:
                    break
                parts.append(data)
                size += len(data)
        return b"".join(parts)

    async def _read_whole(self, racer: _Racer, head: Head, until: float) -> Winner:
        # None: whole answers are waited for until a time is over, which `_wait` tells.
        while (data := await racer.exchange.read(self._wait(racer, until))) != b"":
            if data is not None:
                racer.pending.append(data)
                racer.size += len(data)
                if racer.size > LARGEST_ANSWER:
                    raise upstream_fault("upstream", "The backend's answer is too large.", 502)
        body = b"".join(racer.pending)
        try:
            answer = racer.prepared.whole(body)
        except GatewayError:
            self._account_refused(racer, body)
            raise
        return Winner(racer.attempt.candidate, racer.prepared, racer.exchange, head, answer=answer)

    def _account_refused(self, racer: _Racer, body: bytes) -> None:
        """What an answer that is none says that it used."""
        usage = load_wire(racer.prepared.backend_format).observe_response(body).usage
        if usage.total_tokens:
            candidate = racer.attempt.candidate
            self.wasted.append(Wasted(candidate.backend.name, candidate.api_model, usage))

    async def _read_start(self, racer: _Racer, head: Head, until: float) -> Winner | None:
        """Reads a stream up to its first content, which is where the answer is committed."""
        pipe = racer.pipe
        if pipe is None:
            pipe = racer.pipe = await self._begin_stream(racer, head)
        while True:
            data = await racer.exchange.read(self._wait(racer, until))
            now = self._now()
            self._take(racer, pipe, data, now)
            if pipe.started or pipe.finished or self._grace_is_over(racer, now):
                break
            if data == b"":
                raise _empty_stream(racer, head)
            if now >= until:
                return None
        pending = b"".join(racer.pending)
        candidate = racer.attempt.candidate
        return Winner(candidate, racer.prepared, racer.exchange, head, pipe, pending)

    @staticmethod
    def _take(racer: _Racer, pipe: Pipe, data: bytes | None, now: float) -> None:
        if data:
            racer.pending.append(pipe.feed(data))
            racer.size += len(data)
            if racer.size > LARGEST_ANSWER:
                raise upstream_fault("upstream", "The backend's stream is too large before any content.", 502)
        elif data is not None:
            racer.pending.append(pipe.close())
        if pipe.error is not None and not pipe.started:
            raise pipe.error
        if pipe.alive and racer.alive_since is None:
            racer.alive_since = now
            racer.ends = racer.ends_if_alive

    def _grace_is_over(self, racer: _Racer, now: float) -> bool:
        return racer.alive_since is not None and now >= racer.alive_since + self._timing.commit_grace

    async def _begin_stream(self, racer: _Racer, head: Head) -> Pipe:
        """A JSON answer to a request for a stream is an error inside a 200 (OpenRouter's form), or a whole answer of
        a server that does not stream."""
        prepared = racer.prepared
        if not head.headers.get("content-type", "").startswith("application/json"):
            return prepared.pipe()
        body = await self._read_body(racer.exchange, ERROR_BODY_SECONDS, LARGEST_ANSWER)
        whole = import_module("core.whole_stream")  # few servers do so
        stream = whole.as_stream(prepared.backend_format, body, racer.attempt.candidate)
        if stream is not None:
            pipe = prepared.pipe()
            racer.pending.append(pipe.feed(stream))
            return pipe
        shown = redacted(body, prepared.request.headers)
        fault = prepared.read_error(502, head.headers, shown)
        if fault.message == words_of(502, shown):
            fault.message = words_of(head.status, shown)
        elif STATUS[fault.kind] != 502:  # the body says what it is: a client of its format gets it under that
            fault = prepared.read_error(STATUS[fault.kind], head.headers, shown)
        fault.retryable = True
        raise fault


def _keep_request_id(error: UpstreamFault) -> None:
    """The backend's id of a request that it refused stays with the error."""
    headers = error.raw.headers if error.raw is not None else {}
    found = next((headers[name] for name in REQUEST_IDS if headers.get(name)), None)
    if found is not None:
        error.headers["x-skybridge-backend-request-id"] = found


def _over(*_: object) -> Any:
    raise AssertionError("the request is over")  # pragma: no cover - nobody asks then


def _time_is_over() -> GatewayError:
    return ClientFault("timeout", "The gateway's time for this request is over.")


def _fault_of(fault: TransportFault) -> UpstreamFault:
    error = upstream_fault("upstream", f"The backend's connection failed ({fault.stage}): {fault}", 502)
    error.__cause__ = fault
    return error


def _empty_stream(racer: _Racer, head: Head) -> UpstreamFault:
    name = racer.attempt.candidate.backend.name
    said = "ended" if racer.pipe is not None and racer.pipe.alive else "was empty"
    return upstream_fault("upstream", f"Backend {name}'s stream {said} before any content (status {head.status}).", 502)
