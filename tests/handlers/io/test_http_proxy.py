import asyncio
import base64

import pytest

from core.ports import BackendRequest, TransportFault
from handlers.io.http_client import HttpTransport
from handlers.io.http_proxy import Proxy, ProxyTable
from handlers.io.http_url import read_url
from tests.handlers.io.raw_server import Peer, RawServer, eventually
from tests.handlers.io.test_http_client import HELLO, ask, fault_of

P = "http://proxy:3128"
BOTH = {"http_proxy": P, "https_proxy": P}


@pytest.mark.parametrize(
    ("environment", "url", "proxied"),
    [
        ({}, "http://h/", False),
        ({"HTTP_PROXY": P}, "http://h/", True),
        ({"HTTP_PROXY": P}, "https://h/", False),
        ({"https_proxy": P}, "https://h/", True),
        ({"ALL_PROXY": P}, "https://h/", True),
        ({"all_proxy": P}, "http://h/", True),
        ({"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}, "http://h/", False),
        ({"http_proxy": P, "REQUEST_METHOD": "GET"}, "http://h/", True),
        ({**BOTH, "NO_PROXY": "*"}, "http://h/", False),
        ({**BOTH, "NO_PROXY": "a, h ,b"}, "http://h/", False),
        ({**BOTH, "no_proxy": "h"}, "http://x.h/", False),
        ({**BOTH, "no_proxy": ".h"}, "http://x.h/", False),
        ({**BOTH, "no_proxy": "*.h"}, "http://x.H/", False),
        ({**BOTH, "no_proxy": "h"}, "http://xh/", True),
        ({**BOTH, "no_proxy": "h:81"}, "http://h:81/", False),
        ({**BOTH, "no_proxy": "h:81"}, "http://h/", True),
        ({**BOTH, "no_proxy": "10.0.0.1"}, "http://10.0.0.1/", False),
        ({**BOTH, "no_proxy": "[fe80::1]:80,fe80::2"}, "http://[fe80::1]/", False),
        ({**BOTH, "no_proxy": "fe80::2"}, "http://[fe80::2]/", False),
        ({**BOTH, "no_proxy": ",., "}, "http://h/", True),
        (BOTH, "http://localhost/", False),
        (BOTH, "http://x.localhost/", False),
        (BOTH, "http://127.8.0.1/", False),
        (BOTH, "http://[::1]/", False),
        (BOTH, "http://127.example.com/", True),
    ],
)
def test_the_environment_chooses(environment: dict[str, str], url: str, proxied: bool) -> None:
    expected = Proxy("proxy", 3128, "") if proxied else None
    assert ProxyTable(environment).choose(read_url(url)) == expected


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://p", Proxy("p", 80, "")),
        ("p:3128", Proxy("p", 3128, "")),
        ("HTTP://P:3128/", Proxy("p", 3128, "")),
        ("http://[::1]:3128", Proxy("::1", 3128, "")),
        ("http://u:p@p:1", Proxy("p", 1, "Basic " + base64.b64encode(b"u:p").decode())),
        ("http://u@p:1", Proxy("p", 1, "Basic " + base64.b64encode(b"u:").decode())),
        ("http://u%40x:p%3a%c3%bc@p:1", Proxy("p", 1, "Basic " + base64.b64encode("u@x:p:ü".encode()).decode())),
    ],
)
def test_proxies_are_named_by_urls(url: str, proxy: Proxy) -> None:
    assert ProxyTable({"http_proxy": url}).choose(read_url("http://h/")) == proxy


@pytest.mark.parametrize("url", ["socks5://p:1", "https://p", "http://", "http://p:x", "http://u%zz@p"])
async def test_a_proxy_that_cannot_be_used_is_a_fault(url: str) -> None:
    transport = HttpTransport(environment={"http_proxy": url, "https_proxy": url})
    for scheme in ("http", "https"):
        fault = await fault_of(transport, BackendRequest("GET", f"{scheme}://h/", [], b""))
        assert fault.stage == "connect"
        assert "proxy in the environment" in str(fault)


def through(server: RawServer, user: str = "") -> HttpTransport:
    url = f"http://{user}127.0.0.1:{server.port}"
    return HttpTransport(environment={"HTTP_PROXY": url, "HTTPS_PROXY": url})


async def test_a_plain_request_names_its_whole_url(server: RawServer) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append((await peer.request())[0])
            peer.send(HELLO)

    server.plays(script)
    transport = through(server, "u:p@")
    request = BackendRequest("GET", "http://backend.example:81/x?y=1", [], b"")
    assert await ask(transport, request) == (200, b"hello")
    assert await ask(transport, request) == (200, b"hello")
    assert server.connections == 1
    assert seen[0] == (
        b"GET http://backend.example:81/x?y=1 HTTP/1.1\r\nhost: backend.example:81\r\n"
        b"accept-encoding: identity\r\nproxy-authorization: Basic dTpw\r\n\r\n"
    )
    await transport.aclose()


async def test_a_request_with_an_address_of_its_own_is_tunnelled(server: RawServer) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        seen.append((await peer.request())[0])
        peer.send(b"HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n")
        while True:
            seen.append((await peer.request())[0])
            peer.send(HELLO)

    server.plays(script)
    transport = through(server, "u:p@")
    for address, named in (("192.0.2.1", b"192.0.2.1:80"), ("2001:db8::1", b"[2001:db8::1]:80")):
        seen.clear()
        request = BackendRequest("GET", "http://backend.example/x", [], b"", connect_address=address)
        assert await ask(transport, request) == (200, b"hello")
        assert await ask(transport, request) == (200, b"hello")
        plain = b"GET /x HTTP/1.1\r\nhost: backend.example\r\naccept-encoding: identity\r\n\r\n"
        assert seen == [
            b"CONNECT %s HTTP/1.1\r\nhost: %s\r\nproxy-authorization: Basic dTpw\r\n\r\n" % (named, named),
            plain,
            plain,
        ]
    await transport.aclose()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200", "closed the connection"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno", "status 407"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "status 302"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurplus", "before the tunnel was used"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, "too long"),
    ],
)
async def test_a_proxy_that_refuses_is_a_fault(server: RawServer, answer: bytes, reason: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)

    server.plays(script)
    transport = through(server)
    fault = await fault_of(transport, BackendRequest("GET", "https://backend.example/", [], b""))
    assert fault.stage == "connect"
    assert reason in str(fault)
    assert transport.open_connections == 0


async def test_a_proxy_that_does_not_speak_tls_behind_its_answer_is_a_fault(server: RawServer) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.read(10)
        peer.send(HELLO)

    server.plays(script)
    transport = through(server)
    fault = await fault_of(transport, BackendRequest("GET", "https://backend.example/", [], b""))
    assert fault.stage == "connect"
    assert transport.open_connections == 0


async def test_a_proxy_that_is_silent_takes_too_long(server: RawServer) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.gone()
        gone.set()

    server.plays(script)
    transport = through(server)
    request = BackendRequest("GET", "http://backend.example/", [], b"", 0.02, connect_address="192.0.2.1")
    assert "within 0.02 s" in str(await fault_of(transport, request))
    await eventually(gone.is_set)


async def test_a_proxy_that_is_not_there_is_a_fault(server: RawServer) -> None:
    transport = through(server)
    await server.stop()
    with pytest.raises(TransportFault, match="refused"):
        await transport.send(BackendRequest("GET", "https://backend.example/", [], b""))
