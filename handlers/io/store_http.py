"""Short calls to a cloud's HTTP API (stores, secrets): read whole, repeated where that helps, always over in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from core.http import HeaderList
from core.ports import BackendRequest, Clock, Random, StoreFault, Transport, TransportFault
from core.slotted import slotted

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
MAX_ANSWER = 16 * 1024 * 1024

type Authorize = Callable[[BackendRequest], Awaitable[None]]


@slotted
class Answer:
    """A whole answer; header names are lower case. `tries`: how many times it was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    tries: int = 1


@slotted(frozen=True)
class Call:
    """One request, unsigned: it is signed anew for each try."""

    method: str
    url: str
    headers: HeaderList
    body: bytes = b""


@slotted
class CloudClient:
    """Sends calls. `seconds` bounds one call with all its tries; `throttled` says whether an answer asks for
    another try. `name` is what the operator reads when the service cannot be used."""

    name: str
    transport: Transport
    clock: Clock
    random: Random
    authorize: Authorize
    throttled: Callable[[Answer], bool]
    seconds: float = 2.0

    async def send(self, call: Call, seconds: float | None = None) -> Answer:
        """The answer, whatever its status. Raises StoreFault when there is none in time: in `seconds`, for a call that
        may take longer than others."""
        until = self.clock.monotonic() + (seconds or self.seconds)
        pause, tries = FIRST_PAUSE, 1
        while True:
            reason = await self._try(call, until)
            if isinstance(reason, Answer):
                reason.tries = tries
                return reason
            tries += 1
            delay = pause * (0.5 + self.random.uniform())
            if self.clock.monotonic() + delay >= until:
                raise StoreFault(f"{self.name}: {reason}")
            await self.clock.sleep(delay)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _try(self, call: Call, until: float) -> Answer | str:
        """The answer, or why another try may help."""
        left = max(0.0, until - self.clock.monotonic())
        request = BackendRequest(call.method, call.url, list(call.headers), call.body, min(left, 1.0))
        try:
            await self.authorize(request)
            answer = await self._exchange(request, until)
        except TransportFault as fault:
            return str(fault)
        if answer.status >= 500 or self.throttled(answer):
            return f"status {answer.status}"
        return answer

    async def _exchange(self, request: BackendRequest, until: float) -> Answer:
        exchange = await self.transport.send(request)
        try:
            head = await exchange.head(max(0.0, until - self.clock.monotonic()))
            if head is None:
                raise TransportFault("head", "no answer in time")
            parts: list[bytes] = []
            size = 0
            while part := await exchange.read(max(0.0, until - self.clock.monotonic())):
                parts.append(part)
                size += len(part)
                if size > MAX_ANSWER:
                    raise TransportFault("body", "the answer is too long")
            if part is None:
                raise TransportFault("body", "no more of the answer in time")
            return Answer(head.status, head.headers, b"".join(parts))
        finally:
            exchange.close()
