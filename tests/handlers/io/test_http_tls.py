"""TLS against a certificate that is made for the test."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.ports import BackendRequest, TransportFault
from handlers.io.http_client import HttpTransport
from tests.handlers.io.raw_server import WAIT, Peer, RawServer, eventually
from tests.handlers.io.test_http_client import HELLO, OK, ask, fault_of, read_whole

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")


@dataclass
class Certificate:
    """A self-signed certificate for `localhost` and `backend.example`, and nothing else."""

    file: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:backend.example",
         "-keyout", made.key, "-out", made.file],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@pytest.fixture
async def secure(certificate: Certificate) -> AsyncIterator[RawServer]:
    server = RawServer(tls=certificate.server_context())
    await server.start()
    server.answers(HELLO)
    yield server
    await server.stop()


@pytest.fixture
async def trusting(certificate: Certificate) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(environment={"SSL_CERT_FILE": str(certificate.file)})
    yield transport
    await transport.aclose()
    assert transport.open_connections == 0


async def test_a_trusted_backend_is_spoken_to(secure: RawServer, trusting: HttpTransport) -> None:
    for _ in range(3):
        assert await ask(trusting, secure.request(body=bytes(300_000))) == (200, b"hello")
    assert (secure.connections, trusting.idle_connections) == (1, 1)


async def test_name_and_protocol_are_announced(certificate: Certificate, trusting: HttpTransport) -> None:
    names = []
    context = certificate.server_context()
    context.sni_callback = lambda connection, name, _: names.append(name)
    server = RawServer(tls=context)
    await server.start()
    protocols = []

    async def script(peer: Peer) -> None:
        protocols.append(peer._writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await peer.request()
        peer.send(HELLO)
        await peer.gone()

    server.plays(script)
    request = server.request()
    request.connect_address = "127.0.0.1"
    assert await ask(trusting, request) == (200, b"hello")
    assert (names, protocols) == (["localhost"], ["http/1.1"])
    await server.stop()


async def test_a_backend_that_nobody_vouches_for_is_refused(
    secure: RawServer, transport: HttpTransport
) -> None:
    fault = await fault_of(transport, secure.request())
    assert fault.stage == "connect"
    assert "certificate was not accepted" in str(fault)
    await eventually(lambda: transport.open_connections == 0)


async def test_a_certificate_for_another_name_is_refused(secure: RawServer, trusting: HttpTransport) -> None:
    request = secure.request()
    request.url = request.url.replace("localhost", "127.0.0.1")
    fault = await fault_of(trusting, request)
    assert fault.stage == "connect"
    assert "certificate was not accepted" in str(fault)
    assert "127.0.0.1" in str(fault)


async def test_certificates_may_come_from_a_bundle_or_a_folder(
    secure: RawServer, certificate: Certificate, tmp_path: Path
) -> None:
    digest = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", certificate.file], check=True, capture_output=True, text=True
    ).stdout.strip()
    shutil.copy(certificate.file, tmp_path / f"{digest}.0")
    for path in (certificate.file, tmp_path):
        transport = HttpTransport(environment={"REQUESTS_CA_BUNDLE": str(path)})
        assert await ask(transport, secure.request()) == (200, b"hello")
        await transport.aclose()


@pytest.mark.parametrize("in_thread", [False, True])
async def test_certificates_that_were_prepared_are_not_read_again(
    secure: RawServer, certificate: Certificate, tmp_path: Path, in_thread: bool
) -> None:
    bundle = tmp_path / "bundle.pem"
    shutil.copy(certificate.file, bundle)
    transport = HttpTransport(environment={"SSL_CERT_FILE": str(bundle)})
    if in_thread:
        transport.begin_tls()
    transport.prepare_tls()  # waits for the thread
    bundle.unlink()
    assert await ask(transport, secure.request()) == (200, b"hello")
    await transport.aclose()


async def test_the_first_request_waits_for_certificates_that_a_thread_reads(
    secure: RawServer, certificate: Certificate
) -> None:
    transport = HttpTransport(environment={"SSL_CERT_FILE": str(certificate.file)})
    transport.begin_tls()
    assert await ask(transport, secure.request()) == (200, b"hello")
    await transport.aclose()


@pytest.mark.parametrize("in_thread", [False, True])
async def test_what_cannot_be_prepared_is_told_to_the_first_request(
    secure: RawServer, tmp_path: Path, in_thread: bool
) -> None:
    transport = HttpTransport(environment={"SSL_CERT_FILE": str(tmp_path / "none.pem")})
    if in_thread:
        transport.begin_tls()
    else:
        transport.prepare_tls()
    assert "SSL_CERT_FILE" in str(await fault_of(transport, secure.request()))


async def test_a_bundle_that_is_not_there_is_named(secure: RawServer, tmp_path: Path) -> None:
    transport = HttpTransport(environment={"SSL_CERT_FILE": str(tmp_path / "none.pem")})
    fault = await fault_of(transport, secure.request())
    assert (fault.stage, "SSL_CERT_FILE" in str(fault)) == ("connect", True)


async def test_a_context_may_be_given(secure: RawServer, certificate: Certificate) -> None:
    context = ssl.create_default_context(cafile=str(certificate.file))
    transport = HttpTransport(environment={}, tls=context)
    assert await ask(transport, secure.request()) == (200, b"hello")
    await transport.aclose()


async def test_a_backend_without_tls_is_a_fault(server: RawServer, trusting: HttpTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.read(5)
        peer.send(HELLO)

    server.plays(script)
    fault = await fault_of(trusting, BackendRequest("GET", f"https://localhost:{server.port}/", [], b""))
    assert fault.stage == "connect"
    assert "TLS" in str(fault)


async def test_a_backend_that_leaves_the_handshake_is_a_fault(
    server: RawServer, trusting: HttpTransport
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read(5)
        peer.reset()

    server.plays(script)
    fault = await fault_of(trusting, BackendRequest("GET", f"https://localhost:{server.port}/", [], b""))
    assert fault.stage == "connect"


async def test_a_handshake_that_takes_too_long_is_a_fault(server: RawServer, trusting: HttpTransport) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.gone()
        gone.set()

    server.plays(script)
    request = BackendRequest("GET", f"https://localhost:{server.port}/", [], b"", connect_timeout=0.03)
    assert "within 0.03 s" in str(await fault_of(trusting, request))
    await eventually(gone.is_set)
    assert trusting.open_connections == 0


async def test_cancelling_a_handshake_leaks_nothing(server: RawServer, trusting: HttpTransport) -> None:
    gone = asyncio.Event()
    begun = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read(5)
        begun.set()
        await peer.gone()
        gone.set()

    server.plays(script)
    asking = asyncio.create_task(
        ask(trusting, BackendRequest("GET", f"https://localhost:{server.port}/", [], b""))
    )
    await eventually(begun.is_set)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await eventually(gone.is_set)
    assert trusting.open_connections == 0


async def test_a_stream_flows_and_can_be_left(secure: RawServer, trusting: HttpTransport) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK, b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await peer.gone()
        gone.set()

    secure.plays(script)
    exchange = await trusting.send(secure.request())
    await exchange.head(WAIT)
    assert await exchange.read(WAIT) == b"a"
    assert await exchange.read(0.001) is None
    exchange.close()
    await eventually(gone.is_set)
    assert trusting.open_connections == 0


async def test_a_slow_reader_makes_the_backend_wait(secure: RawServer, trusting: HttpTransport) -> None:
    size = 20_000_000
    sent = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK, b"content-length: %d\r\n\r\n" % size)
        for _ in range(size // 1_000_000):
            peer.send(bytes(1_000_000))
            await peer.drain()
        sent.set()
        await peer.gone()

    secure.plays(script)
    exchange = await trusting.send(secure.request())
    await exchange.head(WAIT)
    await asyncio.sleep(0.05)
    assert not sent.is_set()
    assert len(await read_whole(exchange)) == size
    exchange.close()
    assert trusting.idle_connections == 1


async def test_an_end_without_goodbye_is_a_fault(secure: RawServer, trusting: HttpTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK, b"content-length: 5\r\n\r\nhe")
        await peer.drain()
        peer.reset()

    secure.plays(script)
    exchange = await trusting.send(secure.request())
    with pytest.raises(TransportFault) as caught:
        await exchange.head(WAIT)
        await read_whole(exchange)
    assert caught.value.stage in ("head", "body")
    exchange.close()


async def test_a_tunnel_ends_at_the_backend(server: RawServer, certificate: Certificate) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        seen.append((await peer.request())[0])
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.start_tls(certificate.server_context())
        while True:
            seen.append((await peer.request())[0])
            peer.send(HELLO)

    server.plays(script)
    proxy = f"http://127.0.0.1:{server.port}"
    transport = HttpTransport(environment={"https_proxy": proxy, "SSL_CERT_FILE": str(certificate.file)})
    request = BackendRequest("GET", "https://backend.example/x", [], b"")
    assert await ask(transport, request) == (200, b"hello")
    assert await ask(transport, request) == (200, b"hello")
    plain = b"GET /x HTTP/1.1\r\nhost: backend.example\r\naccept-encoding: identity\r\n\r\n"
    assert seen == [
        b"CONNECT backend.example:443 HTTP/1.1\r\nhost: backend.example:443\r\n\r\n", plain, plain
    ]  # fmt: skip
    request.url = "https://other.example/x"
    assert "certificate was not accepted" in str(await fault_of(transport, request))
    await transport.aclose()
    assert transport.open_connections == 0


async def test_a_tunnel_that_closes_in_the_handshake_is_a_fault(
    server: RawServer, certificate: Certificate
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.read(5)

    server.plays(script)
    proxy = f"http://127.0.0.1:{server.port}"
    transport = HttpTransport(environment={"https_proxy": proxy, "SSL_CERT_FILE": str(certificate.file)})
    fault = await fault_of(transport, BackendRequest("GET", "https://backend.example/x", [], b""))
    assert fault.stage == "connect"
    await eventually(lambda: transport.open_connections == 0)
