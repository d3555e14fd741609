"""One request's way through its candidates, up to the commit point.

`Attempts.advance(wait)` goes on for at most `wait` seconds and gives the winner, or None when it is time to let
the client know that somebody is still there. Nothing of a loser's answer is ever kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from core.errors import ClientFault, GatewayError, UpstreamFault, upstream_fault
from core.ports import BackendRequest, Clock, Exchange, Head, Random, Transport, TransportFault
from core.relay import Pipe, WholeAnswer
from core.routing.policy import Attempt, Plan, final_error, plan_attempts
from core.routing.registry import Candidate, Route

# An error's body is read this long and this far: it is for a message, not for delivery.
ERROR_BODY_SECONDS = 10.0
ERROR_BODY_BYTES = 1024 * 1024


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


@dataclass(slots=True)
class Winner:
    """The attempt that is answered from. A stream's first bytes are in `pending`, a whole answer in `answer`."""

    candidate: Candidate
    prepared: Prepared
    exchange: Exchange
    head: Head
    pipe: Pipe | None = None
    pending: bytes = b""
    answer: WholeAnswer | None = None


@dataclass(slots=True)
class Timing:
    """Bounds of a request, readings of Clock.monotonic() and seconds."""

    deadline: float | None
    commit_grace: float


@dataclass(slots=True)
class AttemptPorts:
    """What trying candidates needs from outside."""

    clock: Clock
    random: Random
    authorize: Callable[[Candidate, BackendRequest], Awaitable[None]]


@dataclass(slots=True)
class _Current:
    """The attempt under way."""

    attempt: Attempt
    prepared: Prepared
    exchange: Exchange
    started: float
    head: Head | None = None
    pipe: Pipe | None = None
    alive_since: float | None = None
    pending: list[bytes] = field(default_factory=list)


class Attempts:
    """Tries candidates until one can be committed to."""

    def __init__(
        self,
        route: Route,
        prepare: Callable[[Candidate], Awaitable[Prepared]],
        transport_for: Callable[[str], Transport],
        ports: AttemptPorts,
        timing: Timing,
    ) -> None:
        self._plan: Plan = plan_attempts(route.candidates, ports.random)
        self._prepare = prepare
        self._transport_for = transport_for
        self._ports = ports
        self._timing = timing
        self._current: _Current | None = None
        self._next: Attempt | None = next(self._plan, None)
        self.stream = False
        self.failures: list[GatewayError] = []
        self.count = 0
        self.candidate: Candidate | None = None
        self.prepared: Prepared | None = None

    async def advance(self, wait: float) -> Winner | None:
        """Raises the GatewayError to tell the client when nothing is left to try."""
        until = self._ports.clock.monotonic() + wait
        while True:
            try:
                if self._current is None:
                    await self._start()
                assert self._current is not None
                winner = await self._peek(self._current, until)
            except TransportFault as fault:
                self._failed(_fault_of(fault))
                continue
            except GatewayError as error:
                self._failed(error)
                continue
            if winner is not None or self._ports.clock.monotonic() >= until:
                return winner

    def close(self) -> None:
        """Drops the attempt under way, if there is one. A winner's exchange is its new owner's."""
        if self._current is not None:
            self._current.exchange.close()
            self._current = None

    async def _start(self) -> None:
        attempt = self._next
        if attempt is None:
            raise ClientFault("model_not_found", "No candidate serves this model.", param="model")
        if attempt.delay:
            await self._ports.clock.sleep(attempt.delay)
        self.count = attempt.number
        self.candidate = attempt.candidate
        self._check_deadline()
        prepared = self.prepared = await self._prepare(attempt.candidate)
        await self._ports.authorize(attempt.candidate, prepared.request)
        transport = self._transport_for(prepared.request.url)
        exchange = await transport.send(prepared.request)
        self._current = _Current(attempt, prepared, exchange, self._ports.clock.monotonic())

    def _failed(self, error: GatewayError) -> None:
        self.close()
        if isinstance(error, UpstreamFault) and self.prepared is not None and self.prepared.translation != "none":
            error.raw = None  # an answer in a format that the client does not read
        self.failures.append(error)
        try:
            self._next = self._plan.send(error)
        except StopIteration:
            raise final_error(self.failures) from error

    def _check_deadline(self) -> None:
        deadline = self._timing.deadline
        if deadline is not None and self._ports.clock.monotonic() >= deadline:
            raise ClientFault("timeout", "The gateway's time for this request is over.")

    def _wait(self, current: _Current, until: float) -> float:
        """Seconds until something must be looked at. Raises when the attempt's or the request's time is over."""
        now = self._ports.clock.monotonic()
        self._check_deadline()
        ends = self._attempt_ends(current)
        if now >= ends:
            name = current.attempt.candidate.backend.name
            raise upstream_fault("timeout", f"Backend {name} did not answer in time.", 504)
        limits = [until, ends]
        if self._timing.deadline is not None:
            limits.append(self._timing.deadline)
        if current.alive_since is not None:
            limits.append(current.alive_since + self._timing.commit_grace)
        return max(0.0, min(limits) - now)

    def _attempt_ends(self, current: _Current) -> float:
        backend = current.attempt.candidate.backend
        if self.stream and backend.first_byte_timeout is not None and current.alive_since is None:
            return current.started + min(backend.timeout, backend.first_byte_timeout)
        return current.started + backend.timeout

    async def _peek(self, current: _Current, until: float) -> Winner | None:
        if current.head is None:
            head = await current.exchange.head(self._wait(current, until))
            if head is None:
                return None
            current.head = head
            if head.status >= 400:
                await self._raise_error_answer(current, head)
        if not self.stream:
            return await self._read_whole(current, current.head, until)
        return await self._read_start(current, current.head, until)

    async def _raise_error_answer(self, current: _Current, head: Head) -> None:
        body = await self._read_body(current.exchange, ERROR_BODY_SECONDS, ERROR_BODY_BYTES)
        raise current.prepared.read_error(head.status, head.headers, body)

    async def _read_body(self, exchange: Exchange, seconds: float, most: int) -> bytes:
        until = self._ports.clock.monotonic() + seconds
        parts: list[bytes] = []
        size = 0
        while size < most:
            data = await exchange.read(max(0.0, until - self._ports.clock.monotonic()))
            if not data:
                break
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    async def _read_whole(self, current: _Current, head: Head, until: float) -> Winner | None:
        while True:
            data = await current.exchange.read(self._wait(current, until))
            if data is None:
                if self._ports.clock.monotonic() >= until:
                    return None
                continue
            if data:
                current.pending.append(data)
                continue
            answer = current.prepared.whole(b"".join(current.pending))
            candidate = current.attempt.candidate
            return self._won(Winner(candidate, current.prepared, current.exchange, head, answer=answer))

    async def _read_start(self, current: _Current, head: Head, until: float) -> Winner | None:
        """Reads a stream up to its first content, which is where the answer is committed."""
        pipe = current.pipe
        if pipe is None:
            await self._check_stream_type(current, head)
            pipe = current.pipe = current.prepared.pipe()
        while True:
            data = await current.exchange.read(self._wait(current, until))
            now = self._ports.clock.monotonic()
            self._take(current, pipe, data, now)
            if pipe.started or pipe.finished or self._grace_is_over(current, now):
                break
            if data == b"":
                raise _empty_stream(current, head)
            if now >= until:
                return None
        pending = b"".join(current.pending)
        candidate = current.attempt.candidate
        return self._won(Winner(candidate, current.prepared, current.exchange, head, pipe, pending))

    @staticmethod
    def _take(current: _Current, pipe: Pipe, data: bytes | None, now: float) -> None:
        if data:
            current.pending.append(pipe.feed(data))
        elif data is not None:
            current.pending.append(pipe.close())
        if pipe.error is not None and not pipe.started:
            raise pipe.error
        if pipe.alive and current.alive_since is None:
            current.alive_since = now

    def _grace_is_over(self, current: _Current, now: float) -> bool:
        return current.alive_since is not None and now >= current.alive_since + self._timing.commit_grace

    async def _check_stream_type(self, current: _Current, head: Head) -> None:
        """A JSON answer to a request for a stream is an error inside a 200 (OpenRouter's form), or no stream."""
        if not head.headers.get("content-type", "").startswith("application/json"):
            return
        body = await self._read_body(current.exchange, ERROR_BODY_SECONDS, ERROR_BODY_BYTES)
        fault = current.prepared.read_error(502, head.headers, body)
        fault.retryable = True
        raise fault

    def _won(self, winner: Winner) -> Winner:
        self._current = None
        return winner


def _fault_of(fault: TransportFault) -> UpstreamFault:
    error = upstream_fault("upstream", f"The backend's connection failed ({fault.stage}): {fault}", 502)
    error.__cause__ = fault
    return error


def _empty_stream(current: _Current, head: Head) -> UpstreamFault:
    name = current.attempt.candidate.backend.name
    said = "ended" if current.pipe is not None and current.pipe.alive else "was empty"
    return upstream_fault("upstream", f"Backend {name}'s stream {said} before any content (status {head.status}).", 502)
