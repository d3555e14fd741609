"""One request to another service, read whole, over in a given time."""

from __future__ import annotations

from core.ports import BackendRequest, Clock, Transport, TransportFault

MOST_BYTES = 64 * 1024


async def exchange(transport: Transport, clock: Clock, request: BackendRequest, seconds: float) -> tuple[int, bytes]:
    """Status and the beginning of the body. Raises TransportFault, also when time is over."""
    until = clock.monotonic() + seconds
    request.connect_timeout = min(request.connect_timeout, seconds)
    sent = await transport.send(request)
    try:
        head = await sent.head(max(0.0, until - clock.monotonic()))
        if head is None:
            raise TransportFault("head", "no answer in time")
        body = b""
        while part := await sent.read(max(0.0, until - clock.monotonic())):
            body += part
            if len(body) > MOST_BYTES:
                break
        if part is None:
            raise TransportFault("body", "no more of the answer in time")
        return head.status, body
    finally:
        sent.close()
