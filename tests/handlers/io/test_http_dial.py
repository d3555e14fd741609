import asyncio
import socket
from collections.abc import Iterator

import pytest

from handlers.io.http_dial import Address, dial, race
from tests.handlers.io.raw_server import WAIT


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def refusing() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return (socket.AF_INET, listener.getsockname())


@pytest.fixture
def silent() -> Iterator[Address]:
    """An address that answers no attempt: the kernel's queue there is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield (socket.AF_INET, listener.getsockname())
        for filler in fillers:
            filler.close()


def address_of(listener: socket.socket) -> Address:
    return (socket.AF_INET, listener.getsockname())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_names_and_addresses_are_dialled(listener: socket.socket, host: str) -> None:
    port = listener.getsockname()[1]
    with await dial(host, port) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not sock.getblocking()


async def test_a_literal_of_the_newer_family_is_dialled() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener, await dial("::1", listener.getsockname()[1]) as sock:
        assert sock.getpeername()[0] == "::1"


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 70 + ".invalid", "a\0b"])
async def test_what_is_no_name_is_an_error(name: str) -> None:
    with pytest.raises((OSError, ValueError)):
        async with asyncio.timeout(WAIT):
            await dial(name, 80)


async def test_an_address_that_refuses_is_passed_over(listener: socket.socket, refusing: Address) -> None:
    for addresses in ([refusing, address_of(listener)], [address_of(listener), refusing]):
        with await race(addresses) as sock:
            assert sock.getpeername() == listener.getsockname()


async def test_an_address_that_is_silent_is_overtaken(listener: socket.socket, silent: Address) -> None:
    with await race([silent, address_of(listener)]) as sock:
        assert sock.getpeername() == listener.getsockname()


async def test_the_loser_is_closed(listener: socket.socket) -> None:
    with await race([address_of(listener)] * 3):
        pass


async def test_no_address_that_answers_is_an_error(refusing: Address) -> None:
    with pytest.raises(ConnectionRefusedError):
        await race([refusing, refusing, refusing])
    with pytest.raises(OSError, match="no address"):
        await race([])


async def test_giving_up_closes_every_attempt(listener: socket.socket, silent: Address) -> None:
    for turns in range(12):
        for addresses in ([silent, silent], [address_of(listener)] * 2, [address_of(listener)]):
            racing = asyncio.create_task(race(addresses))
            for _ in range(turns):
                await asyncio.sleep(0)
            racing.cancel()
            for sock in await asyncio.gather(racing, return_exceptions=True):
                if isinstance(sock, socket.socket):
                    sock.close()
    # What is still open now is reported when it is collected, and a warning is an error here.
