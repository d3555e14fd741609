"""Small documents over HTTP: what credential and token endpoints answer."""

from __future__ import annotations

from core.errors import NotConfigured
from core.ports import BackendRequest, Transport, TransportFault

_ATTEMPTS = 3
_WAIT = 5.0
_MAX_DOCUMENT = 64 * 1024


async def fetch_document(transport: Transport, request: BackendRequest, what: str) -> tuple[int, bytes]:
    """Status and body; a broken connection or a 5xx is tried again at once. Raises NotConfigured that names `what`."""
    reason = "no answer"
    for attempt in range(_ATTEMPTS):
        try:
            status, body = await _exchange(transport, request)
        except TransportFault as fault:
            reason = str(fault)
            continue
        if status < 500 or attempt == _ATTEMPTS - 1:
            return status, body
    raise NotConfigured(f"{what} could not be reached: {reason}")


async def _exchange(transport: Transport, request: BackendRequest) -> tuple[int, bytes]:
    exchange = await transport.send(request)
    try:
        head = await exchange.head(_WAIT)
        if head is None:
            raise TransportFault("head", f"no answer within {_WAIT:g} s")
        body = b""
        while len(body) <= _MAX_DOCUMENT:
            chunk = await exchange.read(_WAIT)
            if chunk is None:
                raise TransportFault("body", f"no more of the answer within {_WAIT:g} s")
            if not chunk:
                return head.status, body
            body += chunk
        raise TransportFault("body", "the answer is too long")
    finally:
        exchange.close()
