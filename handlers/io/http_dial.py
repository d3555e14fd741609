"""A TCP connection to whichever of a host's addresses answers first (Happy Eyeballs, RFC 8305).

asyncio has this too, but leaves a socket open when it is cancelled at the wrong moment, and uvloop lacks it.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Any

type Address = tuple[int, tuple[Any, ...]]

# How long an attempt is alone before the next address is tried beside it (RFC 8305, 5).
HEAD_START = 0.25

# A model may think for minutes without a byte. NAT gateways forget such connections (AWS's after 350 s, Azure's
# after 240 s) unless the kernel speaks up.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}


async def dial(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket. Raises OSError: the last address's, when none answers."""
    addresses = await _resolve(host, port)
    return await race(addresses)


async def race(addresses: list[Address]) -> socket.socket:
    """The first of `addresses` to connect. Raises OSError."""
    if len(addresses) == 1:
        return await _attempt(addresses[0])
    attempts: list[asyncio.Task[socket.socket]] = []
    running: set[asyncio.Task[socket.socket]] = set()
    winner = None
    failure: BaseException | None = OSError("the host has no address")
    try:
        while winner is None and (running or len(attempts) < len(addresses)):
            if len(attempts) < len(addresses):
                attempts.append(asyncio.create_task(_attempt(addresses[len(attempts)])))
                running.add(attempts[-1])
            alone = HEAD_START if len(attempts) < len(addresses) else None
            done, running = await asyncio.wait(running, timeout=alone, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in done if task.exception() is None), None)
            failure = next((task.exception() for task in done if task.exception()), failure)
    finally:
        for task in attempts:
            if task is not winner:
                task.add_done_callback(_close_result)
                task.cancel()
    if winner is None:
        assert failure is not None
        raise failure
    return winner.result()


async def _resolve(host: str, port: int) -> list[Address]:
    """The host's addresses, families by turns. A literal address asks nobody, and takes no thread."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return [(family, (host, port))]
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    addresses: list[Address] = [(family, address) for family, _, _, _, address in found]
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    turns = chain.from_iterable(zip_longest(first, others))
    return [address for address in turns if address is not None]


async def _attempt(address: Address) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    """For an attempt that nobody waits for any more, however it ends."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
